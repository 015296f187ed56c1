"""Thresholds that keep a promise, and the simulation that shows it kept."""

import math

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom, binomtest

from nescio.confidence.thresholds import (
    ThresholdGuarantee,
    choose_start,
    conformal_threshold,
    count_without_error,
    guarantee_threshold,
    p_values,
    realised,
    threshold_for_costs,
    upper_bounds,
)
from nescio.errors import ConfigError, DataError
from nescio.metrics import optimal_threshold

MAX_RISK, LEVEL, REDRAWS, ITEMS = 0.1, 0.95, 2000, 250
# A promise that is broken in exactly 5 % of redraws is broken more often than this in one simulation of a thousand.
MOST_BROKEN = binom.ppf(0.999, REDRAWS, 1 - LEVEL) / REDRAWS
METHODS = ("fixed_sequence", "bonferroni")


def calibrated(generator, n):
    """Confidence as often right as it says."""
    confidence = expit(generator.normal(1.5, 1.5, n))
    return confidence, generator.random(n) < confidence


def over_confident(generator, n):
    """Hardly a confidence below 0.9, three of four right."""
    log_odds = generator.normal(1.5, 1.5, n)
    return expit(3 * log_odds + 2), generator.random(n) < expit(log_odds)


def tied(generator, n):
    """Six stated confidences; the risk from 0.8 on is 0.1 + 1 / 600."""
    level = generator.integers(0, 6, n)
    accuracy = np.array([0.4, 0.6, 0.8, 0.805, 0.94, 0.95])[level]
    return np.array([0.1, 0.3, 0.5, 0.8, 0.9, 1.0])[level], generator.random(n) < accuracy


def near_the_boundary(generator, n):
    """Whatever the threshold, the risk is a little more than what is allowed: every threshold breaks the promise."""
    return generator.random(n), generator.random(n) < 0.899


def upside_down_on_top(generator, n):
    """The most confident are often wrong, those behind them hardly ever: the risk crosses the bound twice."""
    confidence = generator.random(n)
    return confidence, generator.random(n) < np.where(confidence > 0.97, 0.6, np.where(confidence > 0.4, 0.95, 0.4))


POPULATIONS = (calibrated, over_confident, tied, near_the_boundary, upside_down_on_top)


class Population:
    """A pool of 200,000 questions that stands for all there are, so that risks are known exactly."""

    def __init__(self, draw):
        self.generator = np.random.default_rng(0)
        self.confidence, self.correct = draw(self.generator, 200_000)
        order = np.argsort(-self.confidence)
        self.descending = -self.confidence[order]
        self.errors = np.append(0, np.cumsum(~self.correct[order]))

    def redraw(self):
        """Draw a calibration set."""
        index = self.generator.integers(0, len(self.correct), ITEMS)
        return self.confidence[index], self.correct[index]

    def answered_and_wrong(self, threshold):
        """Tell which shares of all questions a threshold answers, and answers wrongly."""
        answered = np.searchsorted(self.descending, -threshold, side="right")
        return answered / len(self.correct), self.errors[answered] / len(self.correct)


def choose_naively(confidence, correct):
    """Lowest threshold at which not more of the calibration items are wrong than allowed."""
    order = np.argsort(-confidence)
    kept = np.flatnonzero(np.cumsum(~correct[order]) <= MAX_RISK * np.arange(1, len(order) + 1))
    return confidence[order][kept[-1]] if len(kept) else None


def share_broken(draw, choose):
    """Share of redrawn calibration sets whose threshold answers with more than MAX_RISK wrong in the population."""
    population, broken = Population(draw), 0
    for _ in range(REDRAWS):
        threshold = choose(*population.redraw())
        if threshold is not None:
            answered, wrong = population.answered_and_wrong(threshold)
            broken += bool(wrong > MAX_RISK * answered)
    return broken / REDRAWS


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("draw", POPULATIONS)
def test_the_promise_is_kept_in_95_percent_of_2000_redraws(draw, method):
    """Whatever the population, the true risk exceeds the bound in at most 5 % of the redraws, give or take chance."""
    broken = share_broken(draw, lambda c, y: guarantee_threshold(c, y, max_risk=MAX_RISK, method=method).threshold)

    assert broken <= MOST_BROKEN


@pytest.mark.parametrize("draw", POPULATIONS)
def test_the_naive_choice_breaks_the_promise(draw):
    """The same simulation catches a threshold by the observed error rate: it fails in a third of the redraws or more."""
    assert share_broken(draw, choose_naively) > 0.33


def test_testing_each_threshold_without_an_order_breaks_the_promise():
    """The lowest threshold that passes, found without a sequence or a correction, is caught as well."""

    def choose(confidence, correct):
        order = np.argsort(-confidence)
        k, errors = np.arange(1, ITEMS + 1), np.cumsum(~correct[order])
        passed = np.flatnonzero(p_values(errors, k, max_risk=MAX_RISK) <= 1 - LEVEL)
        return confidence[order][passed[-1]] if len(passed) else None

    assert share_broken(near_the_boundary, choose) > MOST_BROKEN


@pytest.mark.parametrize("draw", POPULATIONS)
def test_conformal_risk_control_keeps_the_expected_loss(draw):
    """The share of questions answered wrongly is at most max_loss on average over redraws, and not far below."""
    population, losses = Population(draw), []
    for _ in range(REDRAWS):
        threshold = conformal_threshold(*population.redraw(), max_loss=0.05).threshold
        losses.append(0.0 if threshold is None else population.answered_and_wrong(threshold)[1])
    error = np.std(losses) / math.sqrt(REDRAWS)

    assert np.mean(losses) <= 0.05 + 3 * error
    assert draw is tied or np.mean(losses) >= 0.04  # six values leave gaps in what can be chosen


def test_p_values_and_bounds_are_those_of_the_binomial():
    """The beta integrals are SciPy's binomial distribution function and its exact interval."""
    errors, answered = np.array([0, 1, 5, 20, 0, 3]), np.array([59, 10, 200, 200, 0, 3])

    assert p_values(errors, answered, max_risk=0.05) == pytest.approx(binom.cdf(errors, answered, 0.05))
    for bound, e, k in zip(upper_bounds(errors, answered, level=0.95)[:4], errors, answered, strict=False):
        assert bound == pytest.approx(binomtest(int(e), int(k), alternative="less").proportion_ci(0.95, "exact").high)
    assert upper_bounds(errors, answered, level=0.95)[4:].tolist() == [1.0, 1.0]


def test_without_errors_59_answers_promise_five_percent():
    """0.95^58 is 0.051 and 0.95^59 is 0.048: at 58 there is no threshold, at 59 all is answered."""
    confidence = np.linspace(0.5, 0.9, 59)
    kept = guarantee_threshold(confidence, np.ones(59), max_risk=0.05, start=0.5)
    missed = guarantee_threshold(confidence[:58], np.ones(58), max_risk=0.05, start=0.5)

    assert count_without_error(0.05, level=0.95) == 59
    assert (kept.threshold, kept.n_answered, kept.errors, kept.coverage, kept.reason) == (0.5, 59, 0, 1.0, None)
    assert missed.threshold is None
    assert missed.items_without_error_needed == 59
    # 1 - 0.05^(1/58) = 0.0503
    assert missed.least_risk == pytest.approx(1 - 0.05 ** (1 / 58))
    assert missed.reason == (
        "58 tested items cannot promise a risk of 0.05 at level 0.95: without any error they would promise 0.0503; "
        "at least 59 answered without an error are needed"
    )


def test_the_sequence_stops_at_its_first_failure():
    """Five errors in a row behind 100 right answers end it, though later thresholds would pass again."""
    correct = np.array([1] * 100 + [0] * 5 + [1] * 400)
    confidence = np.linspace(0.99, 0.01, 505)
    found = guarantee_threshold(confidence, correct, max_risk=0.05, start=float(confidence[79]))

    # P(Bin(k, 0.05) <= e) for 100 right and e wrong: e = 1 gives 0.035, e = 2 gives 0.112.
    assert (found.n_answered, found.errors) == (101, 1)
    assert found.threshold == confidence[100]
    assert p_values(np.array([5]), np.array([505]), max_risk=0.05)[0] < 0.05


def test_a_start_that_only_passes_itself_is_the_threshold():
    """Nothing above the start was tested, so that the start itself is returned."""
    confidence = [0.9] * 80 + [0.2] * 20
    found = guarantee_threshold(confidence, [1] * 80 + [0] * 20, max_risk=0.05, start=0.5)

    assert (found.threshold, found.n_answered) == (0.5, 80)


def test_a_start_that_no_item_reaches_promises_nothing():
    """Without an answered item there is no evidence."""
    assert guarantee_threshold([0.2] * 100, [1] * 100, max_risk=0.05, start=0.9).threshold is None


def test_equal_confidences_are_answered_together():
    """A threshold between two items of one confidence does not exist: all 100 at 0.8 or none."""
    correct = np.array([1] * 70 + [0] * 30)
    for method in METHODS:
        assert guarantee_threshold([0.8] * 100, correct, max_risk=0.05, method=method).threshold is None


def test_bonferroni_answers_what_lies_above_the_first_item_left_out():
    """Its threshold is the next number above the highest confidence that is refused, and 0 where none is."""
    confidence = np.array([0.9] * 400 + [0.2] * 100)
    found = guarantee_threshold(confidence, [1] * 400 + [0] * 100, max_risk=0.05, method="bonferroni")

    assert found.threshold == np.nextafter(0.2, 1)
    assert (found.n_answered, found.errors, found.n_pilot) == (400, 0, 0)
    assert guarantee_threshold(confidence, np.ones(500), max_risk=0.05, method="bonferroni").threshold == 0.0


def test_no_threshold_tells_how_many_items_would_do():
    """A fifth wrong can never promise 5 %; 4 % wrong can, with many more items."""
    generator = np.random.default_rng(0)
    hopeless = guarantee_threshold([0.7] * 300, np.arange(300) % 5 > 0, max_risk=0.05)
    scarce = guarantee_threshold([0.7] * 300, generator.permutation(300) % 25 > 0, max_risk=0.05)

    assert hopeless.items_needed is None
    assert "no threshold has an error rate below it, so that more items alone will not help" in hopeless.reason
    # About 1.645^2 * 0.05 * 0.95 / 0.01^2 = 1285 for a rate of 4 %; the rate is smoothed and that of the 240 tested.
    assert 700 < scarce.items_needed < 5000
    assert f"about {scarce.items_needed} calibration items would be needed" in scarce.reason


def test_the_pilot_is_a_fifth_and_is_not_tested():
    """Of 500 items 100 choose the start."""
    found = guarantee_threshold(*calibrated(np.random.default_rng(1), 500), max_risk=0.2)

    assert (found.n, found.n_pilot) == (400, 100)
    assert found.threshold is not None


def test_the_start_is_where_the_evidence_is_strongest():
    """With 2 errors in 90 at 0.6, more than 0 in 40 above it or 30 in 150 below it speaks for a risk under 10 %."""
    confidence = [0.9] * 40 + [0.6] * 50 + [0.3] * 60
    correct = [1] * 40 + [1] * 48 + [0] * 2 + [1] * 32 + [0] * 28

    # (0.1 - 0.1 / 41) sqrt 40 = 0.617, (0.1 - 2.1 / 91) sqrt 90 = 0.730, (0.1 - 30.1 / 151) sqrt 150 < 0.
    assert choose_start(confidence, correct, max_risk=0.1) == 0.6


def test_one_item_of_each_group_is_tested():
    """Ten copies of a question are one: 40 groups cannot promise 5 %, however many items."""
    found = guarantee_threshold([0.9] * 400, [1] * 400, max_risk=0.05, groups=np.arange(400) % 40, start=0.5)

    assert found.n == 40
    assert found.threshold is None


def test_equal_seeds_give_equal_thresholds():
    """The seed draws pilot and items of groups."""
    items = calibrated(np.random.default_rng(1), 400)
    options = {"max_risk": 0.2, "groups": np.arange(400) // 2}
    first, again, other = (guarantee_threshold(*items, seed=seed, **options) for seed in (0, 0, 1))

    assert first == again
    assert first != other


def test_all_right_and_all_wrong():
    """All right is answered wholly where there are enough items; all wrong gives no threshold."""
    confidence = np.linspace(0.1, 0.9, 200)
    for method in METHODS:
        right = guarantee_threshold(confidence, np.ones(200), max_risk=0.05, method=method)
        wrong = guarantee_threshold(confidence, np.zeros(200), max_risk=0.05, method=method)

        assert right.n_answered > 0
        assert right.errors == 0
        assert (wrong.threshold, wrong.n_answered, wrong.coverage, wrong.items_needed) == (None, 0, 0.0, None)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("confidence", "correct"), [([0.7], [1]), ([0.7] * 10, [1] * 10)])
def test_one_item_and_ten_identical_items_promise_nothing(confidence, correct, method):
    """Too few items are told, and how many are needed."""
    found = guarantee_threshold(confidence, correct, max_risk=0.05, method=method)

    assert found.threshold is None
    assert "at least 59 answered without an error are needed" in found.reason


def test_conformal_by_hand():
    """(R + 1) / (n + 1) <= 0.2 with n = 19 allows R = 3: all above the fourth wrong item from the top is answered."""
    confidence = np.arange(19, 0, -1) / 20
    correct = np.array([1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    found = conformal_threshold(confidence, correct, max_loss=0.2)

    assert (found.threshold, found.n_answered, found.errors, found.level) == (confidence[9], 10, 3, None)


def test_conformal_without_enough_items_says_so():
    """1 / (n + 1) <= 0.05 needs 19 items; and a wrong item on top leaves nothing to answer."""
    few = conformal_threshold([0.5] * 18, [1] * 18, max_loss=0.05)
    wrong = conformal_threshold([0.5] * 19, [0] * 19, max_loss=0.05)

    assert few.reason == "18 calibration items cannot keep the expected loss at 0.05; at least 19 are needed"
    assert conformal_threshold([0.5] * 19, [1] * 19, max_loss=0.05).threshold == 0.5
    assert wrong.threshold is None
    assert "too many of the most confident items are wrong" in wrong.reason


def test_conformal_weighs_groups_equally():
    """A group of ten wrong items costs as much as one wrong item: the loss of a group is a mean."""
    confidence, correct = [0.9] * 10 + [0.5] * 38, [0] * 10 + [1] * 38
    groups = ["big"] * 10 + list(range(38))

    # (1 + 1) / (39 + 1) = 0.05 by groups, (10 + 1) / (48 + 1) by items.
    assert conformal_threshold(confidence, correct, max_loss=0.05, groups=groups).threshold == 0.5
    assert conformal_threshold(confidence, correct, max_loss=0.05).threshold is None


@pytest.mark.parametrize(("reward", "cost"), [(0.0, 9.0), (0.3, 1.0), (-0.5, 0.0), (1.0, 4.0)])
def test_cost_threshold_is_that_of_the_metrics(reward, cost):
    """(r_a + c) / (1 + c), and at it answering earns what abstaining does."""
    threshold = threshold_for_costs(reward, cost)

    assert threshold == optimal_threshold(cost, reward)
    assert threshold - cost * (1 - threshold) == pytest.approx(reward)


def test_realised_by_hand():
    """Four of five answered at 0.5, one wrong; the interval is the exact one."""
    found = realised(0.5, [0.9, 0.8, 0.6, 0.5, 0.4], [1, 1, 0, 1, 0])
    exact = binomtest(1, 4).proportion_ci(0.95, "exact")

    assert found[:4] == (0.8, 0.25, 4, 1)
    assert found[4:] == pytest.approx((exact.low, exact.high))


def test_realised_without_an_answer_is_undefined():
    """A risk of nothing is NaN, not 0; coverage is 0, and of no question NaN."""
    for threshold in (0.95, None):
        found = realised(threshold, [0.9, 0.1], [1, 0])

        assert (found.coverage, found.n_answered, found.errors) == (0.0, 0, 0)
        assert np.isnan([found.risk, found.low, found.high]).all()
    assert math.isnan(realised(0.5, [], []).coverage)


def test_realised_at_the_ends_is_exact():
    """No error gives a lower end of 0, only errors an upper end of 1."""
    assert realised(0.5, [0.9] * 10, [1] * 10)[4:] == pytest.approx((0.0, 1 - 0.025 ** (1 / 10)))
    assert realised(0.5, [0.9] * 10, [0] * 10)[4:] == pytest.approx((0.025 ** (1 / 10), 1.0))


def test_the_record_survives_json():
    """What is stored is what is read, the threshold to the last bit."""
    found = guarantee_threshold(*calibrated(np.random.default_rng(1), 500), max_risk=0.2, method="bonferroni")

    assert ThresholdGuarantee.model_validate_json(found.model_dump_json()) == found


def test_bad_input_raises_one_line():
    """Confidences, outcomes, groups and options that cannot be meant stop with what to do."""
    with pytest.raises(DataError, match=r"a confidence must lie in \[0, 1\], got nan at index 1"):
        guarantee_threshold([0.5, math.nan], [1, 0], max_risk=0.05)
    with pytest.raises(DataError, match=r"got 1\.5 at index 0"):
        realised(0.5, [1.5], [1])
    with pytest.raises(DataError, match="no item has a confidence"):
        guarantee_threshold([], [], max_risk=0.05)
    with pytest.raises(DataError, match="2 confidences and 1 groups"):
        conformal_threshold([0.5, 0.6], [1, 0], max_loss=0.05, groups=["a"])
    with pytest.raises(ConfigError, match="max_risk must lie between 0 and 1, got 5"):
        guarantee_threshold([0.5], [1], max_risk=5)
    with pytest.raises(ConfigError, match=r"level must lie between 0 and 1, got 1\.0"):
        guarantee_threshold([0.5], [1], max_risk=0.05, level=1.0)
    with pytest.raises(ConfigError, match=r"unknown guarantee method 'bonferoni'\. Did you mean 'bonferroni'\?"):
        guarantee_threshold([0.5], [1], max_risk=0.05, method="bonferoni")
    with pytest.raises(ConfigError, match="goes with the method 'fixed_sequence' only"):
        guarantee_threshold([0.5], [1], max_risk=0.05, method="bonferroni", start=0.5)
    with pytest.raises(ConfigError, match="cost_wrong must be finite and at least 0"):
        threshold_for_costs(0.0, -1.0)


def test_a_sequence_that_stops_at_its_start_says_so():
    """Though a higher threshold would pass by itself: the start must not be chosen by the items that it is tested on."""
    confidence = np.linspace(1, 0, 200)
    correct = np.repeat([1, 0], 100)
    stopped = guarantee_threshold(confidence, correct, max_risk=0.2, start=0.0)

    assert stopped.threshold is None
    assert "starts at 0, where 100 of 200 answered are wrong, and stops there" in stopped.reason
    found = guarantee_threshold(confidence, correct, max_risk=0.2, method="bonferroni")
    assert found.n_answered > 50
    assert found.errors / found.n_answered < 0.2


def test_bonferroni_says_where_one_test_alone_would_pass():
    """14 answers without an error bound the risk by 0.2; of many thresholds tried, that is not enough."""
    confidence = np.linspace(1, 0, 200)
    correct = np.repeat([1, 0], [14, 186])
    told = guarantee_threshold(confidence, correct, max_risk=0.2, method="bonferroni")

    assert told.threshold is None
    assert "the best one by itself would, with 0 of 14 answered wrong, but not as one of several" in told.reason
