"""Refusals against what should be refused, penalties, and AbstainQA's knowledge boundary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from nescio.metrics import (
    abstention_counts,
    abstention_scores_benchmark,
    abstention_scores_survey,
    boundary_counts,
    hallucination_rate,
    knowledge_boundary,
    optimal_threshold,
    over_refusal_rate,
    penalty_curve,
    penalty_score,
    truthfulness,
)
from nescio.metrics.honesty import RESPONSES, count_responses

# N1 to N5: answerable and correct, wrong, refused; unanswerable and answered, refused.
COUNTS = np.array([5, 2, 1, 3, 4])
RESPONSE = st.sampled_from(RESPONSES)
ROWS = st.lists(st.tuples(RESPONSE, st.sampled_from([True, False, None])), max_size=40)
FORCED = st.lists(st.tuples(RESPONSE, st.sampled_from([*RESPONSES, None])), max_size=40)


def random_rows(*, seed, n=300):
    """Responses with whether the question has an answer and with forced answers, all graded and said."""
    generator = np.random.default_rng(seed)
    responses = [RESPONSES[k] for k in generator.integers(0, 3, n)]
    return responses, generator.random(n) < 0.6, [RESPONSES[k] for k in generator.integers(0, 3, n)]


def test_abstention_counts_by_hand():
    """Any answer to an unanswerable question is an error, even one that was graded correct."""
    rows = [
        ("correct", True),  # N1
        ("wrong", True),  # N2
        ("idk", True),  # N3
        ("idk", True),  # N3
        ("wrong", False),  # N4
        ("correct", False),  # N4
        ("idk", False),  # N5
        ("ungraded", True),  # left out
        ("idk", None),  # left out
    ]

    assert abstention_counts([row[0] for row in rows], [row[1] for row in rows]).tolist() == [1, 1, 2, 2, 1]


def test_both_abstention_scores_by_hand():
    """They share the precision; the survey's recall also wants wrong answers to answerable questions refused."""
    survey, benchmark = abstention_scores_survey(COUNTS), abstention_scores_benchmark(COUNTS)

    # Five refused, four of them rightly.
    assert survey.precision == benchmark.precision == 4 / 5
    assert survey.recall == pytest.approx(4 / (2 + 3 + 4))
    assert benchmark.recall == pytest.approx(4 / (3 + 4))
    # 2 * 4 / (5 refused + 9 or 7 that should be)
    assert survey.f1 == pytest.approx(8 / 14)
    assert benchmark.f1 == pytest.approx(8 / 12)


@pytest.mark.parametrize("seed", range(3))
def test_both_abstention_scores_agree_with_scikit_learn(seed):
    """Each is the precision, recall and F1 of one yes-or-no question."""
    responses, answerable, _ = random_rows(seed=seed)
    counts = abstention_counts(responses, answerable)
    refused, wrong = np.array(responses) == "idk", np.array(responses) == "wrong"

    for scores, due in (
        (abstention_scores_benchmark(counts), ~answerable),
        (abstention_scores_survey(counts), ~answerable | wrong),
    ):
        assert scores == pytest.approx(precision_recall_fscore_support(due, refused, average="binary")[:3])


def test_a_model_that_never_refuses_has_f1_zero_and_no_precision():
    """It should have refused, so F1 and recall are 0; of refusals that are not there nothing can be said."""
    for scores in (abstention_scores_survey(np.array([5, 2, 0, 3, 0])), abstention_scores_benchmark(np.array([5, 2, 0, 3, 0]))):
        assert np.isnan(scores.precision)
        assert (scores.recall, scores.f1) == (0.0, 0.0)


def test_without_unanswerable_questions_the_two_recalls_part():
    """AbstentionBench's is undefined, the survey's 0 of the wrong answers."""
    counts = np.array([5, 2, 1, 0, 0])

    assert np.isnan(abstention_scores_benchmark(counts).recall)
    assert abstention_scores_survey(counts).recall == 0.0
    assert np.isnan(abstention_scores_survey(np.array([5, 0, 0, 0, 0])).f1)


def test_over_refusal_and_hallucination_by_hand():
    """Each has the questions of its own kind for a denominator."""
    assert over_refusal_rate(COUNTS) == pytest.approx(1 / 8)
    assert hallucination_rate(COUNTS) == pytest.approx(3 / 7)
    assert np.isnan(over_refusal_rate(np.array([0, 0, 0, 3, 4])))
    assert np.isnan(hallucination_rate(np.array([5, 2, 1, 0, 0])))


def test_penalty_score_by_hand():
    """Each of the five errors costs c; a refusal of an answerable question earns the reward."""
    # 5 + 4 = 9 earned in 15 questions.
    assert penalty_score(COUNTS, c=0) == pytest.approx(9 / 15)
    assert penalty_score(COUNTS, c=10) == pytest.approx((9 - 50) / 15)
    assert penalty_score(COUNTS, c=1, abstain_reward=0.5) == pytest.approx((9 + 0.5 - 5) / 15)
    # With a cost of n, a single error outweighs all that is right.
    assert penalty_score(np.array([14, 1, 0, 0, 0]), c=15) < 0
    assert np.isnan(penalty_score(abstention_counts([], []), c=1))


def test_penalty_of_one_is_truthfulness_where_everything_is_answerable():
    """TruthRL's Acc - Hall is one point of the curve."""
    responses = ["correct"] * 4 + ["wrong"] * 3 + ["idk"] * 2 + ["ungraded"]
    counts = abstention_counts(responses, [True] * 10)

    assert penalty_score(counts, c=1) == pytest.approx(truthfulness(count_responses(responses)))


def test_curve_is_the_score_at_every_penalty_and_goes_through_leading_axes():
    """The last axis is the penalties; no penalty gives no point."""
    stack = np.stack([COUNTS, COUNTS[::-1]])

    assert penalty_curve(stack, penalties=[0, 2.5, 10]) == pytest.approx(
        np.stack([penalty_score(stack, c=c) for c in (0, 2.5, 10)], axis=1)
    )
    assert penalty_curve(COUNTS, penalties=[]).shape == (0,)


@given(ROWS, st.lists(st.floats(0, 100), min_size=2, max_size=6))
def test_curve_falls_with_the_penalty_and_stays_in_range(rows, penalties):
    """Dearer errors never raise the score, which lies in [-c, 1]."""
    counts = abstention_counts([row[0] for row in rows], [row[1] for row in rows])
    curve = penalty_curve(counts, penalties=sorted(penalties))

    if counts.sum():
        assert (np.diff(curve) <= 1e-9).all()
        assert (curve <= 1).all()
        assert (curve >= -np.array(sorted(penalties)) - 1e-9).all()
    else:
        assert np.isnan(curve).all()


@pytest.mark.parametrize(("c", "reward", "expected"), [(0, 0, 0.0), (1, 0, 0.5), (9, 0, 0.9), (1, 0.5, 0.75), (10, 1, 1.0)])
def test_threshold_is_where_answering_and_refusing_earn_the_same(c, reward, expected):
    """At the threshold p, p - c (1 - p) equals the reward."""
    p = optimal_threshold(c, reward)

    assert p == pytest.approx(expected)
    assert p - c * (1 - p) == pytest.approx(reward)


@pytest.mark.parametrize("c", [-1, np.nan, np.inf])
def test_a_penalty_that_is_no_cost_raises(c):
    """A negative penalty would pay for errors."""
    with pytest.raises(ValueError, match="c must be at least 0 and finite"):
        penalty_score(COUNTS, c=c)
    with pytest.raises(ValueError, match="c must be at least 0 and finite"):
        optimal_threshold(c)


def test_boundary_counts_by_hand():
    """A refusal is right where the forced answer is not correct; one without a graded forced answer stands by itself."""
    rows = [
        ("correct", None),  # A
        ("correct", "wrong"),  # A: what was said counts
        ("idk", "correct"),  # B
        ("wrong", None),  # C
        ("idk", "wrong"),  # D
        ("idk", "wrong"),  # D
        ("idk", "idk"),  # D: it has no right answer to give
        ("idk", None),  # not known
        ("idk", "ungraded"),  # not known
        ("ungraded", "correct"),  # left out
    ]

    assert boundary_counts([row[0] for row in rows], [row[1] for row in rows]).tolist() == [2, 1, 1, 3, 2]


def test_knowledge_boundary_by_hand():
    """Refusals of which nothing is known are in the n of the effective reliability alone."""
    scores = knowledge_boundary(np.array([4, 1, 2, 3, 2]))

    assert scores.reliable_accuracy == pytest.approx(4 / 6)
    assert scores.effective_reliability == pytest.approx((4 - 2) / 12)
    assert scores.abstain_accuracy == pytest.approx(7 / 10)
    assert scores.abstain_precision == pytest.approx(3 / 4)
    assert scores.abstain_recall == pytest.approx(3 / 5)
    # 2 * 3 / (4 refused + 5 that should be)
    assert scores.abstain_f1 == pytest.approx(6 / 9)


@pytest.mark.parametrize("seed", range(3))
def test_knowledge_boundary_agrees_with_scikit_learn(seed):
    """Its abstain scores are those of telling the questions that the model itself would get wrong."""
    responses, _, forced = random_rows(seed=seed)
    scores = knowledge_boundary(boundary_counts(responses, forced))
    refused = np.array(responses) == "idk"
    wrong = np.where(refused, np.array(forced) != "correct", np.array(responses) != "correct")

    assert scores[3:] == pytest.approx(precision_recall_fscore_support(wrong, refused, average="binary")[:3])
    assert scores.abstain_accuracy == pytest.approx(accuracy_score(wrong, refused))


def test_boundary_of_one_who_never_refuses_and_of_nobody():
    """Never refusing has F1 0 and no precision; no question has nothing."""
    never = knowledge_boundary(boundary_counts(["correct", "wrong"], [None, None]))

    assert np.isnan(never.abstain_precision)
    assert (never.abstain_recall, never.abstain_f1, never.effective_reliability) == (0.0, 0.0, 0.0)
    assert np.isnan(knowledge_boundary(boundary_counts([], []))).all()


@given(ROWS, FORCED)
def test_scores_stay_in_their_ranges(rows, forced):
    """Shares lie in [0, 1], the effective reliability in [-1, 1], or they are undefined."""
    counts = abstention_counts([row[0] for row in rows], [row[1] for row in rows])
    boundary = knowledge_boundary(boundary_counts([row[0] for row in forced], [row[1] for row in forced]))
    shares = [*abstention_scores_survey(counts), *abstention_scores_benchmark(counts), *boundary[:1], *boundary[2:]]

    assert all(np.isnan(share) or 0 <= share <= 1 for share in shares)
    assert np.isnan(boundary.effective_reliability) or -1 <= boundary.effective_reliability <= 1


def test_unequal_lengths_raise():
    """A missing flag or forced answer is never broadcast."""
    with pytest.raises(ValueError, match="responses and answerable must have one length, got 2 and 1"):
        abstention_counts(["idk", "idk"], [True])
    with pytest.raises(ValueError, match="responses and forced must have one length, got 1 and 0"):
        boundary_counts(["idk"], [])
