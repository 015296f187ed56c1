import dataclasses

import pytest
from honesty_run import make_content

from nescio.errors import ConfigError, DataError
from nescio.records import Sample, SampleGrade
from nescio.report.honesty import GradedSample, pair_samples
from nescio.report.honesty.content import list_out_of_distribution, order_sets
from nescio.report.honesty.examples import KINDS, pick_examples, tell_state


@pytest.fixture(scope="module")
def run():
    """A run over three sets."""
    return make_content(n=200)


def test_scorecard_of_decisions_is_refused(run):
    """Another kind of run is named in one line, with what to give."""
    with pytest.raises(ConfigError, match=r"kind 'decision', expected 'honesty'; give a run") as error:
        dataclasses.replace(run, scorecard={"systems": {}, "paired": {}})

    assert "\n" not in str(error.value)


def test_scorecard_without_sets_is_refused(run):
    """A page about nothing is not made."""
    with pytest.raises(ConfigError, match="no question set"):
        dataclasses.replace(run, scorecard={"kind": "honesty", "sets": {}}, outcomes={})


def test_outcomes_of_other_sets_are_refused(run):
    """Every set of the scorecard has outcomes, and no set has more."""
    with pytest.raises(DataError, match="run evaluate again"):
        dataclasses.replace(run, outcomes={"facts": run.outcomes["facts"]})


def test_outcome_without_its_question_is_refused(run):
    """A gallery never shows an outcome without what was asked."""
    with pytest.raises(DataError, match="no question 'facts-0000'"):
        dataclasses.replace(run, questions={})


def test_sets_in_distribution_come_first():
    """What the settings name out of distribution comes last; without settings all but the first set are."""
    scorecard = {"sets": {"a": {}, "b": {}, "c": {}}, "settings": {"out_of_distribution": ["a", "c"]}}

    assert order_sets(scorecard) == ["b", "a", "c"]
    assert list_out_of_distribution({"sets": scorecard["sets"]}) == ["b", "c"]


def test_samples_find_their_grades_whatever_the_order():
    """Each sample gets the verdict of its own index; one without a grade is ungraded, one that failed says so."""
    samples = [
        Sample(question_id="q", index=1, text="Rome"),
        Sample(question_id="q", index=0, text="Paris"),
        Sample(question_id="q", index=2, failure="timed out"),
    ]
    grades = [SampleGrade(question_id="q", index=0, verdict="correct", reason="alias")]

    assert pair_samples(samples, grades) == {
        "q": [
            GradedSample(0, "Paris", "correct"),
            GradedSample(1, "Rome", "ungraded"),
            GradedSample(2, "(failed: timed out)", "ungraded"),
        ]
    }


def test_examples_are_of_their_kind(run):
    """Kinds share no question, and together with what is ungraded or became right they hold all."""
    picked = pick_examples(run, per_kind=10_000)
    rows = [row for outcomes in run.outcomes.values() for row in outcomes]
    learned = sum(tell_state(row) == "unknown" and row.after == "correct" for row in rows)

    assert len(picked) == len(KINDS)
    assert sum(kind["n"] for kind in picked) + learned == len(rows)
    assert all(item["after"] == "refused" for kind in picked if "refused" in kind["name"] for item in kind["items"])
    assert all(item["gold"] == "none" for kind in picked[-2:] for item in kind["items"])


def test_examples_do_not_depend_on_the_order_of_outcomes(run):
    """The same questions are shown however the outcomes are sorted."""
    turned = dataclasses.replace(run, outcomes={name: rows[::-1] for name, rows in run.outcomes.items()})

    assert pick_examples(run) == pick_examples(turned)


def test_equal_samples_stand_on_one_line(run):
    """Ten drawn samples are shown with how often each was said, the greedy answer apart and first."""
    items = [item for kind in pick_examples(run) for item in kind["items"] if item["samples"]]

    assert items
    for item in items:
        assert item["samples"][0]["greedy"]
        assert sum(sample["times"] for sample in item["samples"][1:]) == 10
