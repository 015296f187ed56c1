"""Labelling a set: joins, counts, merging and weights."""

from __future__ import annotations

from typing import Any

import pytest
from graded_questions import make_case
from hypothesis import given
from hypothesis import strategies as st

from nescio.errors import ConfigError, DataError
from nescio.label import RECIPES, label_questions
from nescio.models.prompt import REFUSAL
from nescio.records import Question, Sample, SampleGrade

Rows = tuple[list[Question], list[Sample], list[SampleGrade]]


def make_rows(*answers: str, **fields: object) -> Rows:
    """Questions q0, q1, ... by their answers, as three lists."""
    cases = [make_case(signs, id=f"q{i}", **fields) for i, signs in enumerate(answers)]
    return [c[0] for c in cases], [s for c in cases for s in c[1]], [g for c in cases for g in c[2]]


def test_every_question_is_accounted_for() -> None:
    """Known, unknown and left out, each with its reason, sum up to all."""
    rows = make_rows("+ + +", "- - -", "- + ?", "+ ? ?", "? + +", "")
    result = label_questions(*rows, recipe="absolute")

    assert result.counts == {
        "questions": 6,
        "known": 1,
        "unknown": 1,
        "undetermined": 0,
        "left out: no drawn answer has a grade": 1,
        "left out: no samples": 1,
        "left out: the greedy answer has no grade, and the balance goes by it": 1,
        "left out: unknown, more than the balance takes": 1,
        "rows": 2,
        "ungraded samples": 4,
        "samples of other questions": 0,
    }
    assert result.labels[0].id == "q0"


@pytest.mark.parametrize("recipe", sorted(set(RECIPES) - {"prompt_based"}))
@given(
    answers=st.lists(st.text("+-?~", max_size=6).map(" ".join), min_size=1, max_size=8),
    balance=st.sampled_from([None, 0.5]),
    limit=st.sampled_from([None, 1, 3]),
)
def test_counts_sum_up_for_every_recipe(recipe: str, answers: list[str], balance: float | None, limit: int | None) -> None:
    """No question vanishes, and the rows are of the questions that were kept."""
    try:
        labels, counts = label_questions(*make_rows(*answers), recipe=recipe, balance=balance, limit=limit)
    except DataError as error:
        assert "leaves none" in str(error)
        return

    kept = counts["known"] + counts["unknown"] + counts["undetermined"]
    assert kept + sum(n for name, n in counts.items() if name.startswith("left out")) == counts["questions"] == len(answers)
    assert len({label.group for label in labels}) == kept
    assert len(labels) == counts["rows"]
    assert len({label.id for label in labels}) == len(labels)


def test_rows_come_in_the_order_of_the_questions_whatever_the_order_of_the_files() -> None:
    """Samples and grades in any order give the same labels; turned questions give the same labels, turned."""
    questions, samples, grades = make_rows(*["+ + -", "- - +", "+ - -", "- - -", "- + +", "- ~ -"])
    result = label_questions(questions, samples, grades, recipe="decision", limit=3)
    shuffled = label_questions(questions[::-1], samples[::-1], grades[::-1], recipe="decision", limit=3)

    assert shuffled.labels == result.labels[::-1]
    assert shuffled.counts == result.counts


def test_merged_rows_weigh_as_much_as_the_rows_they_stand_for() -> None:
    """Ten rows of two texts and the refusal become three, of the weight of their number, under the first one's id."""
    rows = make_rows("+ " + "- " * 5 + "+:Paris +:Paris +:paris +:Paris +:paris")
    merged = label_questions(*rows, recipe="multisample", balance=None).labels
    single = label_questions(*rows, recipe="multisample", balance=None, merge=False).labels

    assert [(row.id, row.target, row.weight) for row in merged] == [
        ("q0#1", REFUSAL, 5),
        ("q0#6", "Paris", 3),
        ("q0#8", "paris", 2),
    ]
    assert len(single) == 10
    assert {row.weight for row in single} == {1}


def test_weights_by_samples() -> None:
    """Rows whose samples agree, and are many, weigh more; the mean is 1 and a row without samples weighs that."""
    questions, samples, grades = make_rows("+" + " +" * 10, "+" + " +" * 10, "+" + " + -" * 5, "+ +")
    invented = questions[1].model_copy(update={"id": "x", "answerable": False, "answers": ()})
    labels = label_questions([*questions, invented], samples, grades, recipe="decision", balance=None, weight="samples").labels
    sure, _, torn, few, unsampled = (label.weight for label in labels)
    # Widths of the Wilson intervals: 10/10 0.2775, 5/10 0.5268, 1/1 0.7935.
    mean = (2 * (1 - 0.2775) + (1 - 0.5268) + (1 - 0.7935)) / 4

    assert sure == pytest.approx((1 - 0.2775) / mean, abs=1e-3)
    assert torn == pytest.approx((1 - 0.5268) / mean, abs=1e-3)
    assert few == pytest.approx((1 - 0.7935) / mean, abs=1e-3)
    assert unsampled == 1


def test_a_threshold_reaches_the_recipe() -> None:
    """One of two right is correct by default, and uncertain at 0.6."""
    rows = make_rows("+ + -")

    assert label_questions(*rows, recipe="decision", balance=None).labels[0].decision == "correct"
    assert label_questions(*rows, recipe="decision", balance=None, threshold=0.6).labels[0].decision == "uncertain"


def test_samples_of_other_questions_are_counted() -> None:
    """A part of the questions may be labelled with the samples of all."""
    questions, samples, grades = make_rows("+ +", "- - -")
    result = label_questions(questions[:1], samples, grades, recipe="absolute", balance=None)

    assert result.counts["samples of other questions"] == 3
    assert [label.id for label in result.labels] == ["q0"]


def test_the_prompt_alone_makes_no_rows() -> None:
    """It is a recipe nevertheless, and every question is left out with that reason."""
    labels, counts = label_questions(*make_rows("+ +", "- -"), recipe="prompt_based")

    assert labels == []
    assert counts["left out: this recipe trains on nothing"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "absolut"}, r"unknown recipe 'absolut'\. Did you mean 'absolute'\?"),
        ({"recipe": "r_tuning", "threshold": 0.5}, "recipe 'r_tuning' has no threshold; leave it out"),
        ({"recipe": "idk", "threshold": 0.0}, "threshold must lie above 0 and be at most 1, got 0"),
        ({"recipe": "idk", "threshold": 1.1}, "threshold must lie above 0 and be at most 1, got 1.1"),
        ({"recipe": "idk", "balance": 1.0}, "balance must lie between 0 and 1, got 1"),
        ({"recipe": "idk", "balance": 0.0}, "balance must lie between 0 and 1, got 0"),
        ({"recipe": "idk", "limit": 0}, "limit must be at least 1, got 0"),
        ({"recipe": "idk", "weight": "sample"}, "unknown weight 'sample'"),
    ],
)
def test_options_out_of_range_are_refused(options: Any, message: str) -> None:
    """One line that says what to do."""
    with pytest.raises(ConfigError, match=message):
        label_questions(*make_rows("+ +", "- -"), **options)


def test_rows_that_do_not_belong_together_are_refused() -> None:
    """Other questions, grades without a sample, two samples or grades or questions of one name."""
    questions, samples, grades = make_rows("+ +", "- -")
    elsewhere = [sample.model_copy(update={"question_id": "other"}) for sample in samples[:1]]
    cases = {
        "no sample is of one of the 2 questions": (questions, elsewhere, []),
        r"1 grades have no sample \(such as 1 of 'q1'\)": (questions, samples[:-1], grades),
        "two samples 1 of question 'q0'": (questions, [*samples, samples[1]], grades),
        "two grades 0 of question 'q1'": (questions, samples, [*grades, grades[2]]),
        "two questions 'q1'": ([*questions, questions[1]], samples, grades),
    }
    for message, rows in cases.items():
        with pytest.raises(DataError, match=message):
            label_questions(*rows, recipe="absolute")


def test_a_balance_that_leaves_nothing_is_refused() -> None:
    """A model that knows nothing cannot be half known; the line says what there is."""
    with pytest.raises(DataError, match=r"share of 0\.5 known questions leaves none: 0 are known, 2 unknown, 0 undetermined"):
        label_questions(*make_rows("- - -", "- + +"), recipe="decision")
