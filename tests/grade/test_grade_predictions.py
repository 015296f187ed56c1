from __future__ import annotations

from collections.abc import Callable

import pytest

from nescio.errors import ConfigError, DataError
from nescio.grade import GRADERS, grade_predictions
from nescio.records import Example, Grade, Prediction

Make = Callable[..., Example]


@pytest.fixture
def examples(make_example: Make) -> list[Example]:
    """A row of each decision; the answerable one has the gold answer Ada."""
    return [make_example("a-a"), make_example("b-a", decision="uncertain"), make_example("c-a", decision="refuse")]


def predict(id: str, decision: str = "correct", answer: str | None = "It was Ada.", forced: str | None = None) -> Prediction:
    """A prediction."""
    return Prediction(id=id, decision=decision, answer=answer, forced_answer=forced)


def test_grades_come_in_the_order_of_the_examples(examples: list[Example]) -> None:
    """Predictions are matched by id, not by place."""
    grades = grade_predictions(examples, [predict("c-a"), predict("a-a"), predict("b-a")])

    assert [(grade.id, grade.verdict) for grade in grades] == [("a-a", "correct"), ("b-a", "incorrect"), ("c-a", "incorrect")]


def test_no_answer_is_right_where_the_question_should_not_be_answered(examples: list[Example]) -> None:
    """The reason names the right decision."""
    grades = grade_predictions(examples, [predict("a-a"), predict("b-a"), predict("c-a", "refuse", "I cannot know.")])

    assert grades[1].reason == "no answer is right: the right decision is 'uncertain'"
    assert grades[2].verdict == "incorrect"


def test_an_item_that_was_not_answered_is_graded_by_its_forced_answer(examples: list[Example]) -> None:
    """What the refusal says is not graded, the answer it would have given is."""
    forced = predict("a-a", "refuse", "I will not say that Ada did it.", forced="Ada")
    bare = predict("a-a", "refuse", "Ada, perhaps.")

    assert grade_predictions(examples[:1], [forced])[0].verdict == "correct"
    assert grade_predictions(examples[:1], [bare])[0].verdict == "ungraded"


def test_a_failed_prediction_is_ungraded_with_its_failure(examples: list[Example]) -> None:
    """A failure is neither right nor wrong."""
    (grade,) = grade_predictions(examples[:1], [Prediction(id="a-a", decision=None, failure="no JSON")])

    assert (grade.verdict, grade.reason) == ("ungraded", "the prediction failed: no JSON")


def test_a_function_can_grade(examples: list[Example]) -> None:
    """Users pass their own grader without registering it."""

    def contrary(example: Example, prediction: Prediction) -> Grade:
        return Grade(id=example.id, verdict="abstained", reason=str(prediction.answer))

    assert grade_predictions(examples[:1], [predict("a-a")], grader=contrary)[0].verdict == "abstained"


def test_every_grader_keeps_the_rules_that_all_share(examples: list[Example]) -> None:
    """Gold grades correct, an unanswerable row never does, and a failure is ungraded."""
    failed = Prediction(id="a-a", decision=None, failure="no JSON")
    for grade in GRADERS.values():
        assert grade(examples[0], predict("a-a", answer="Ada")).verdict == "correct"
        assert grade(examples[1], predict("b-a", answer="Ada")).verdict == "incorrect"
        assert grade(examples[0], failed).verdict == "ungraded"


def test_an_unknown_grader_is_an_error(examples: list[Example]) -> None:
    """The nearest name is offered."""
    with pytest.raises(ConfigError, match=r"unknown grader 'mach'\. Did you mean 'match'"):
        grade_predictions(examples, [], grader="mach")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a-a", "b-a"], r"1 examples have no prediction and 0 predictions no example \(such as 'c-a'\)"),
        (["a-a", "b-a", "c-a", "d-a"], r"0 examples have no prediction and 1 predictions no example \(such as 'd-a'\)"),
        (["a-a", "a-a", "b-a", "c-a"], "two predictions for 'a-a'"),
    ],
)
def test_predictions_of_other_examples_are_refused(examples: list[Example], ids: list[str], message: str) -> None:
    """Missing, foreign and double predictions would make a wrong number."""
    with pytest.raises(DataError, match=message):
        grade_predictions(examples, [predict(id) for id in ids])
