"""Proper scores, reliability bins and the three calibration errors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from nescio.metrics import (
    brier_score,
    calibration_noise_floor,
    expected_calibration_error,
    expected_calibration_error_debiased,
    expected_calibration_error_equal_mass,
    negative_log_likelihood,
    reliability_bins,
)

ERRORS = [expected_calibration_error, expected_calibration_error_equal_mass, expected_calibration_error_debiased]
PLAIN_ERRORS = ERRORS[:2]
ITEMS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


def random_items(*, seed, n=400):
    """Confidences without ties and outcomes that come true less often than stated."""
    generator = np.random.default_rng(seed)
    confidence = generator.random(n)
    return confidence, generator.random(n) < confidence**2


# Proper scores


def test_brier_score_by_hand():
    """Squared distances 0.01, 0.04 and 0.36 average to 0.41 / 3."""
    assert brier_score([0.9, 0.2, 0.4], [1, 0, 1]) == pytest.approx(0.41 / 3)


@pytest.mark.parametrize("seed", range(3))
def test_proper_scores_agree_with_scikit_learn(seed):
    """Brier score and log loss are those of scikit-learn."""
    confidence, correct = random_items(seed=seed)

    assert brier_score(confidence, correct) == pytest.approx(reference.brier_score_loss(correct, confidence))
    assert negative_log_likelihood(confidence, correct).value == pytest.approx(reference.log_loss(correct, confidence))


def test_a_certain_error_costs_the_clipped_amount_and_is_counted():
    """Confidence 1.0 on a wrong item costs -ln(1e-6), not infinity, and the clipped items are counted."""
    result = negative_log_likelihood([1.0, 0.5, 0.0], [0, 1, 0])

    # -ln 1e-6 = 13.8155, -ln 0.5 = 0.6931, -ln(1 - 1e-6) = 0.000001
    assert result.value == pytest.approx((6 * math.log(10) + math.log(2) + 1e-6) / 3)
    assert result.n_clipped == 2


# Reliability bins


def test_confidence_exactly_one_stays_in_the_last_bin():
    """Fifty wrong answers at confidence 1.0 are seen: half-open bins would lose them."""
    confidence = [1.0] * 50 + [0.5] * 50
    correct = [0] * 50 + [1, 0] * 25
    bins = reliability_bins(confidence, correct)

    assert bins.count.sum() == 100
    assert bins.count[9] == 50
    # Half of the items are off by 1, the others by 0.
    assert expected_calibration_error(confidence, correct) == pytest.approx(0.5)


def test_confidence_exactly_zero_is_in_the_first_bin():
    """Confidence 0.0 neither raises nor falls out."""
    assert reliability_bins([0.0, 0.0], [0, 1]).count.tolist() == [2] + [0] * 9


@pytest.mark.parametrize("n_bins", [1, 2, 3, 5, 7, 10, 15, 20, 30])
def test_every_edge_belongs_to_the_bin_below_it(n_bins):
    """M / n_bins is in bin m for every m, whatever binary fractions make of it; just above it is in the next bin."""
    edges = [m / n_bins for m in range(1, n_bins + 1)]
    above = [np.nextafter(edge, 2) for edge in edges[:-1]]

    assert reliability_bins(edges, [1] * n_bins, n_bins=n_bins).count.tolist() == [1] * n_bins
    assert reliability_bins(above, [1] * (n_bins - 1), n_bins=n_bins).count.tolist() == [0] + [1] * (n_bins - 1)


def test_decimal_confidences_sit_on_their_edges():
    """0.1, 0.2 ... 1.0 as people write them fill ten bins once each; adding up steps of 0.1 would move 0.3 and 0.7."""
    written = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]

    assert reliability_bins(written, [1] * 10).count.tolist() == [1] * 10


def test_reliability_bins_by_hand():
    """Counts, means and accuracies of two used bins; the empty ones hold NaN."""
    bins = reliability_bins([0.1, 0.3, 0.9], [0, 1, 1], n_bins=3)

    assert bins.lower == pytest.approx([0, 1 / 3, 2 / 3])
    assert bins.upper == pytest.approx([1 / 3, 2 / 3, 1])
    assert bins.count.tolist() == [2, 0, 1]
    assert bins.mean_confidence == pytest.approx([0.2, np.nan, 0.9], nan_ok=True)
    assert bins.accuracy == pytest.approx([0.5, np.nan, 1.0], nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_reliability_bins_agree_with_scikit_learn(seed):
    """Means and accuracies of the used bins are those of scikit-learn's calibration curve."""
    confidence, correct = random_items(seed=seed)
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=10)
    bins = reliability_bins(confidence, correct)

    assert bins.accuracy == pytest.approx(accuracy)
    assert bins.mean_confidence == pytest.approx(mean_confidence)


def test_empty_reliability_bins_have_no_mean():
    """No items leave every bin empty and every mean undefined."""
    bins = reliability_bins([], [])

    assert bins.count.tolist() == [0] * 10
    assert np.isnan(bins.accuracy).all()


# Calibration errors


def test_expected_calibration_error_by_hand():
    """Bins (0.6, 0.7] and (0.9, 1.0] are off by 0.15 and 0.05 and hold half of the items each."""
    # (0.65 + 0.65) / 2 - 1/2 = 0.15; 1 - (0.95 + 0.95) / 2 = 0.05; mean 0.1
    assert expected_calibration_error([0.65, 0.65, 0.95, 0.95], [1, 0, 1, 1]) == pytest.approx(0.1)


@pytest.mark.parametrize("error", PLAIN_ERRORS)
@pytest.mark.parametrize("confidence", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_constant_confidence_is_off_by_its_distance_to_accuracy(error, confidence):
    """With one confidence the error is abs(c - accuracy), here accuracy 3/4."""
    assert error([confidence] * 8, [1, 1, 1, 0] * 2) == pytest.approx(abs(confidence - 0.75))


@pytest.mark.parametrize("error", PLAIN_ERRORS)
def test_a_constant_shift_is_seen(error):
    """Confidences 0.1 and 0.3 for items that are right with 0.5 and 0.7 are off by 0.4: nothing is rescaled before."""
    confidence = [0.1] * 10 + [0.3] * 10
    correct = [1] * 5 + [0] * 5 + [1] * 7 + [0] * 3

    assert error(confidence, correct) == pytest.approx(0.4)


def test_uniform_bias_is_not_cancelled_by_looking_at_the_winning_class():
    """P(correct) that is 0.15 too high at 0.35 and at 0.65 has an error of 0.15, though max(p, 1 - p) looks right on average."""
    confidence = [0.35] * 10 + [0.65] * 10
    correct = [1] * 2 + [0] * 8 + [1] * 5 + [0] * 5

    assert expected_calibration_error(confidence, correct) == pytest.approx(0.15)


def test_equal_mass_bins_hold_equal_numbers():
    """Eight items in four bins of two: gaps |0.3|, |0.3|, |0.3| and |-0.3| weigh a quarter each."""
    confidence = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08]
    correct = [0, 0, 1, 0, 0, 0, 1, 1]
    # Sums of confidence minus outcome: 0.03, 0.07 - 1, 0.11, 0.15 - 2.
    expected = (0.03 + 0.93 + 0.11 + 1.85) / 8

    assert expected_calibration_error_equal_mass(confidence, correct, n_bins=4) == pytest.approx(expected)


def test_equal_mass_bins_never_split_ties():
    """The order in which tied items are stored changes nothing, and a tie is one bin however many bins are asked for."""
    confidence = [0.6] * 10 + [0.9] * 2
    first = expected_calibration_error_equal_mass(confidence, [1] * 5 + [0] * 5 + [1, 0], n_bins=4)
    second = expected_calibration_error_equal_mass(confidence, [0] * 5 + [1] * 5 + [0, 1], n_bins=4)

    # |0.6 - 0.5| weighs 10, |0.9 - 0.5| weighs 2
    assert first == pytest.approx((10 * 0.1 + 2 * 0.4) / 12)
    assert second == pytest.approx(first)


def test_equal_mass_bins_keep_few_distinct_values_apart():
    """Two stated values, 0.9 and 0.95, do not fall into one bin where their errors would cancel."""
    # 0.9 with accuracy 1.0 is 0.1 too low, 0.95 with accuracy 0.85 is 0.1 too high.
    confidence = [0.9] * 20 + [0.95] * 20
    correct = [1] * 20 + [1] * 17 + [0] * 3

    assert expected_calibration_error_equal_mass(confidence, correct) == pytest.approx(0.1)


def test_debiased_error_by_hand():
    """One bin: squared gap 0.09 less the variance 0.25 / 3 of its accuracy."""
    # Four items of 0.8, accuracy 0.5: 0.3^2 - 0.5 * 0.5 / (4 - 1) = 0.09 - 0.083333
    expected = math.sqrt(0.09 - 0.25 / 3)

    assert expected_calibration_error_debiased([0.8] * 4, [1, 1, 0, 0]) == pytest.approx(expected)


def test_debiased_error_is_clipped_at_zero_and_ignores_single_items():
    """A gap below its noise counts as 0; a bin of one item has no variance and adds nothing."""
    assert expected_calibration_error_debiased([0.5] * 4, [1, 1, 0, 0]) == 0.0
    assert expected_calibration_error_debiased([0.1, 0.9], [1, 0]) == 0.0


def test_debiased_square_is_right_on_average_where_the_plain_one_is_too_large():
    """Confidence 0.5 where 0.7 are right has a squared error of 0.04; the plain square adds 0.21 / 100 of chance."""
    outcomes = np.random.default_rng(0).random((2000, 100)) < 0.7
    debiased = [expected_calibration_error_debiased([0.5] * 100, correct) ** 2 for correct in outcomes]
    plain = [expected_calibration_error([0.5] * 100, correct) ** 2 for correct in outcomes]

    # Standard error of either mean: 2 * 0.2 * sqrt(0.21 / 100) / sqrt(2000) = 0.0004.
    assert np.mean(debiased) == pytest.approx(0.04, abs=0.001)
    assert np.mean(plain) - np.mean(debiased) == pytest.approx(0.0021, abs=0.0001)


@settings(deadline=None)  # a busy machine is no failure
@given(ITEMS, st.integers(1, 20))
def test_errors_are_probabilities_and_do_not_depend_on_order(items, n_bins):
    """All three errors lie in [0, 1] and are the same for the reversed list."""
    confidence, correct = zip(*items, strict=True)
    for error in ERRORS:
        value = error(confidence, correct, n_bins=n_bins)

        assert 0.0 <= value <= 1.0 + 1e-12
        assert value == pytest.approx(error(confidence[::-1], correct[::-1], n_bins=n_bins), abs=1e-9)


@settings(deadline=None)  # a busy machine is no failure
@given(ITEMS, st.integers(1, 20))
def test_doubling_the_items_changes_no_plain_error(items, n_bins):
    """Bins depend on shares, not on counts."""
    confidence, correct = zip(*items, strict=True)
    for error in PLAIN_ERRORS:
        assert error(confidence, correct, n_bins=n_bins) == pytest.approx(
            error(confidence * 2, correct * 2, n_bins=n_bins), abs=1e-9
        )


@settings(deadline=None)  # a busy machine is no failure
@given(ITEMS)
def test_one_bin_gives_the_distance_of_the_means(items):
    """With a single bin both plain errors are the signed error without its sign."""
    confidence, correct = zip(*items, strict=True)
    for error in PLAIN_ERRORS:
        assert error(confidence, correct, n_bins=1) == pytest.approx(abs(np.mean(confidence) - np.mean(correct)), abs=1e-9)


# Noise floor


def test_noise_floor_of_certain_confidences_is_zero():
    """Confidences of exactly 0 and 1 leave nothing to chance."""
    assert calibration_noise_floor([0.0, 1.0, 1.0]) == (0.0, 0.0)


def test_noise_floor_by_hand_for_one_coin():
    """One item of confidence 0.5 is off by 0.5 whatever happens."""
    assert calibration_noise_floor([0.5]) == (0.5, 0.5)


def test_noise_floor_agrees_with_a_plain_simulation():
    """Mean and quantile are those of drawing outcomes and computing the ECE one set at a time."""
    generator = np.random.default_rng(1)
    confidence = generator.random(75)
    plain = [expected_calibration_error(confidence, generator.random(75) < confidence) for _ in range(3000)]
    floor = calibration_noise_floor(confidence, draws=3000)

    # The ECE's spread is about 0.03, so a mean of 3,000 is good to 0.0006 and the quantile to 0.002.
    assert floor.mean == pytest.approx(np.mean(plain), abs=0.003)
    assert floor.q95 == pytest.approx(np.quantile(plain, 0.95), abs=0.008)


def test_noise_floor_is_repeatable_and_undefined_without_items():
    """A seed fixes the draws; no items have no floor."""
    assert calibration_noise_floor([0.2, 0.7] * 9, seed=3) == calibration_noise_floor([0.2, 0.7] * 9, seed=3)
    assert np.isnan(calibration_noise_floor([])).all()
