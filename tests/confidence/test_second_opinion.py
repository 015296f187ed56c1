"""The second opinion: by hand, on made data with a known best answer, and where there is nothing to fit."""

import math

import numpy as np
import pytest

from nescio.confidence.second_opinion import SecondOpinion, fit_second_opinion, read_features
from nescio.records import Sample

PLAIN = SecondOpinion(weights=(1.0, 0.0), intercept=0.0, slope_of_answer=1.0, slope_of_reply=1.0)


def answer(*log_probabilities, **fields):
    """A greedy answer whose tokens have these log-probabilities."""
    return Sample(question_id="q", index=0, text="Paris", log_probabilities=log_probabilities, **fields)


def make_data(n, *, seed, reply_tells=1.0, known_share=0.5):
    """Answers and log-odds of n questions; both tell known from unknown, each with noise of its own."""
    chance = np.random.default_rng(seed)
    known = chance.random(n) < known_share
    sums = -np.abs(chance.normal(np.where(known, 1.0, 4.0), 1.5))
    log_odds = chance.normal(np.where(known, reply_tells, -reply_tells), 1.0)
    return [(answer(total / 2, total / 2), bool(k), float(own)) for total, k, own in zip(sums, known, log_odds, strict=True)]


def weigh_all(opinion, rows):
    """Probabilities, and what is known."""
    return np.array([opinion.weigh(own, greedy) for greedy, _, own in rows]), np.array([known for _, known, _ in rows])


def balanced_accuracy(says_known, known):
    """Mean of the shares of known and of unknown questions that are told right."""
    return (says_known[known].mean() + (~says_known[~known]).mean()) / 2


def test_log_odds_are_added():
    """A likelihood of e^-1 lowers odds of 3 by e."""
    odds = 3 / math.e
    assert PLAIN.weigh(math.log(3), answer(-0.4, -0.6)) == pytest.approx(odds / (1 + odds))
    halved = PLAIN.model_copy(update={"slope_of_reply": 0.0, "slope_of_answer": 0.5, "intercept": 1.0})
    assert halved.weigh(7.0, answer(-0.4, -0.6)) == pytest.approx(0.5)
    first = PLAIN.model_copy(update={"weights": (0.0, 2.0)})
    assert first.weigh(0.0, answer(-0.4, -9.0)) == pytest.approx(1 / (1 + math.exp(0.8)))


@pytest.mark.parametrize("greedy", [answer(), answer(-1.0, failure="too long")])
def test_an_answer_without_log_probabilities_has_no_opinion(greedy):
    """Nothing is made up for it."""
    assert read_features(greedy) is None
    assert PLAIN.weigh(2.0, greedy) is None


def test_log_odds_far_out_do_not_overflow():
    """However sure either is."""
    assert PLAIN.weigh(-1e6, answer(-1.0)) == 0.0
    assert PLAIN.weigh(1e6, answer(-1.0)) == 1.0


def test_both_together_tell_more_than_each_alone():
    """On data of which each opinion tells a part; and 0.5 is the border where the two kinds of question count alike."""
    train = [(greedy, known) for greedy, known, _ in make_data(2000, seed=0)]
    opinion = fit_second_opinion(train, make_data(2000, seed=1, known_share=0.15))
    rows = make_data(5000, seed=2, known_share=0.15)
    both, known = weigh_all(opinion, rows)
    of_reply, _ = weigh_all(opinion.model_copy(update={"slope_of_answer": 0.0}), rows)
    of_answer, _ = weigh_all(opinion.model_copy(update={"slope_of_reply": 0.0}), rows)

    reached = balanced_accuracy(both >= 0.5, known)
    assert reached > max(balanced_accuracy(alone >= 0.5, known) for alone in (of_reply, of_answer)) + 0.02
    assert reached > max(balanced_accuracy(both >= border, known) for border in np.arange(0.05, 1.0, 0.05)) - 0.01


def test_how_many_questions_of_a_kind_there_are_changes_nothing():
    """Three times the unknown ones is the same opinion."""
    rows = make_data(400, seed=3)
    more = rows + 2 * [row for row in rows if not row[1]]
    once = fit_second_opinion([row[:2] for row in rows], rows)
    thrice = fit_second_opinion([row[:2] for row in more], more)

    # The penalty on the weights is not scaled along with the data; it is small.
    assert weigh_all(thrice, rows)[0] == pytest.approx(weigh_all(once, rows)[0], abs=0.03)


def test_a_reply_that_points_the_wrong_way_is_not_believed():
    """Its slope is 0, not negative; what remains is the opinion on the answer."""
    opinion = fit_second_opinion([row[:2] for row in make_data(400, seed=4)], make_data(400, seed=5, reply_tells=-1.0))

    assert opinion.slope_of_reply == 0.0
    assert opinion.slope_of_answer > 0.0
    assert opinion.weigh(-2.0, answer(-1.0)) == opinion.weigh(2.0, answer(-1.0))


@pytest.mark.parametrize("side", [True, False])
def test_one_side_alone_teaches_nothing(side):
    """Known or unknown questions only, in training or in calibration: there is no opinion, and no warning either."""
    rows = make_data(50, seed=6)
    lone = [row for row in rows if row[1] is side]

    assert fit_second_opinion([row[:2] for row in lone], rows) is None
    assert fit_second_opinion([row[:2] for row in rows], lone) is None
    assert fit_second_opinion([], []) is None
    assert fit_second_opinion([(answer(), known) for _, known, _ in rows], rows) is None
