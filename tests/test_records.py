"""Records refuse what cannot be, so that no stage has to check again."""

import math

import pytest
from pydantic import ValidationError

from nescio.errors import ConfigError, DataError, ModelError, NescioError, StoreError, TrainingError, describe_unknown
from nescio.records import DECISIONS, EVIDENCE_QUALITIES, Example, Grade, Prediction, Question, answering_is_right


def test_words_of_the_format():
    """The order is that of every table, matrix and probability vector."""
    assert DECISIONS == ("correct", "uncertain", "refuse")
    assert EVIDENCE_QUALITIES == ("high", "medium", "low")


@pytest.mark.parametrize("decision", DECISIONS)
def test_gold_aliases_go_with_correct_only(make_example, decision):
    """An answerable question has gold aliases, any other has none."""
    example = make_example("q-a", decision=decision)

    assert bool(example.answers) == (decision == "correct")
    with pytest.raises(ValidationError, match="answers must"):
        make_example("q-a", decision=decision, answers=[] if decision == "correct" else ["Ada"])


@pytest.mark.parametrize("field", ["id", "group", "pattern", "question", "context", "answer", "justification"])
@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_texts_are_not_blank(make_example, field, blank):
    """White space is no text."""
    with pytest.raises(ValidationError):
        make_example("q-a").model_validate({**make_example("q-a").model_dump(), field: blank})


@pytest.mark.parametrize(
    "change", [{"decision": "answer"}, {"evidence_quality": "good"}, {"answers": [" "]}, {"confidence": 0.5}]
)
def test_examples_out_of_schema_are_refused(make_example, change):
    """Unknown words, blank aliases and unknown fields."""
    with pytest.raises(ValidationError):
        Example.model_validate({**make_example("q-a").model_dump(), **change})


def test_records_are_frozen(make_example):
    """A row read is a row kept."""
    with pytest.raises(ValidationError):
        make_example("q-a").decision = "refuse"


def test_prediction_is_decided_or_failed():
    """Exactly one of decision and failure."""
    assert Prediction(id="q", decision="refuse").failure is None
    assert Prediction(id="q", decision=None, failure="too long").decision is None
    for fields in ({"decision": None}, {"decision": "refuse", "failure": "too long"}):
        with pytest.raises(ValidationError, match="either a decision or a failure"):
            Prediction(id="q", **fields)


@pytest.mark.parametrize("confidence", [-0.01, 1.01, math.nan, math.inf, 55])
def test_confidence_is_a_probability(confidence):
    """Percentages and NaN are refused, in the confidence and in the three probabilities."""
    with pytest.raises(ValidationError):
        Prediction(id="q", decision="refuse", confidence=confidence)
    with pytest.raises(ValidationError):
        Prediction(id="q", decision="refuse", probabilities={"correct": confidence, "uncertain": 0, "refuse": 0})


def test_text_if_answering_is_the_answer_or_the_forced_one():
    """Graders read what the user would have read had the system answered."""
    answered = Prediction(id="q", decision="correct", answer="Ada", forced_answer=None)
    refused = Prediction(id="q", decision="refuse", answer="Nobody knows.", forced_answer="Ada")

    assert answered.text_if_answering == refused.text_if_answering == "Ada"
    assert Prediction(id="q", decision="refuse", answer="Nobody knows.").text_if_answering is None
    assert Prediction(id="q", decision=None, failure="too long").text_if_answering is None


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("verdict", ["correct", "incorrect", "abstained", "ungraded"])
def test_answering_is_right_only_where_both_agree(make_example, decision, verdict):
    """The question must be answerable and the answer grade correct; anything else, ungraded too, is not right."""
    right = answering_is_right(make_example("q-a", decision=decision), Grade(id="q-a", verdict=verdict, reason="r"))

    assert right == (decision == "correct" and verdict == "correct")


def test_prediction_survives_json():
    """Probabilities come back to the last bit."""
    row = Prediction(id="q", decision="correct", probabilities={"correct": 1 / 3, "uncertain": 0.1, "refuse": 1 - 0.1 - 1 / 3})

    assert Prediction.model_validate_json(row.model_dump_json()) == row


@pytest.mark.parametrize(("choices", "choice"), [((), 0), (("a", "b"), 2), (("a", "b"), -1)])
def test_the_right_option_is_one_of_the_options(choices, choice):
    """Neither beyond the options nor without any."""
    with pytest.raises(ValidationError, match=f"choice {choice} is out of range"):
        Question(id="q", group="g", question="Q?", choices=choices, choice=choice)


@pytest.mark.parametrize("change", [{"question": " "}, {"answers": [""]}, {"obscurity": 1.5}, {"metadata": {"a": []}}, {"x": 1}])
def test_questions_out_of_schema_are_refused(change):
    """Blank texts, values out of range and unknown fields."""
    with pytest.raises(ValidationError):
        Question.model_validate({"id": "q", "group": "g", "question": "Q?", **change})


@pytest.mark.parametrize("error", [ConfigError, DataError, ModelError, StoreError, TrainingError])
def test_errors_have_one_root(error):
    """The command line catches the root."""
    assert issubclass(error, NescioError)
    assert not issubclass(NescioError, ValueError | OSError)


def test_nearest_name_is_offered_only_when_near():
    """A name that resembles nothing gets the list alone."""
    assert (
        describe_unknown("stage", "trian", ["train", "data"])
        == "unknown stage 'trian'. Did you mean 'train'? Known: data, train."
    )
    assert describe_unknown("stage", "xyz", ["train", "data"]) == "unknown stage 'xyz'. Known: data, train."
