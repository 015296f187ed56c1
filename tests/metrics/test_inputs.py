"""Numbers that are no confidence or no outcome stop at the door of every metric."""

import numpy as np
import pytest

from nescio import metrics

METRICS = [
    metrics.brier_score,
    metrics.negative_log_likelihood,
    metrics.expected_calibration_error,
    metrics.expected_calibration_error_equal_mass,
    metrics.expected_calibration_error_debiased,
    metrics.area_under_roc,
    metrics.area_under_risk_coverage,
    metrics.excess_aurc,
    metrics.reliability_bins,
    metrics.risk_coverage_curve,
]
SCALARS = [metric for metric in METRICS if metric not in (metrics.reliability_bins, metrics.risk_coverage_curve)]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bad", [-0.1, 1.1, 90.0, -2.3, np.nan, np.inf])
def test_confidence_outside_its_range_raises(metric, bad):
    """Percentages, log-probabilities and NaN are refused by every metric, with the value and its place."""
    with pytest.raises(ValueError, match=r"confidence must lie in \[0, 1\], got .* at index 1"):
        metric([0.5, bad], [1, 0])


@pytest.mark.parametrize("metric", METRICS)
def test_outcomes_other_than_zero_and_one_raise(metric):
    """A graded score such as 0.5 is no outcome."""
    with pytest.raises(ValueError, match=r"correct must hold only 0 and 1, got 0\.5 at index 0"):
        metric([0.5, 0.6], [0.5, 1])


@pytest.mark.parametrize("metric", METRICS)
def test_different_lengths_raise(metric):
    """A missing outcome is never broadcast."""
    with pytest.raises(ValueError, match=r"correct must have shape \(2,\)"):
        metric([0.5, 0.6], [1])


def test_two_dimensional_confidence_raises():
    """A matrix of class probabilities is not flattened into confidences."""
    with pytest.raises(ValueError, match="one dimension"):
        metrics.brier_score([[0.1, 0.9]], [1])


@pytest.mark.parametrize("metric", SCALARS)
def test_no_items_give_nan(metric):
    """No data is NaN, not a perfect 0."""
    result = metric([], [])

    assert np.isnan(result.value if isinstance(result, metrics.NegativeLogLikelihood) else result)


@pytest.mark.parametrize("metric", SCALARS)
def test_one_item_gives_a_number_or_nan_without_a_warning(metric):
    """A single item neither crashes nor warns; only the AUROC is undefined there."""
    result = metric([0.7], [1])
    value = result.value if isinstance(result, metrics.NegativeLogLikelihood) else result

    assert np.isnan(value) == (metric is metrics.area_under_roc)


@pytest.mark.parametrize("metric", [metric for metric in METRICS if metric.__kwdefaults__ and "n_bins" in metric.__kwdefaults__])
def test_no_bins_raise(metric):
    """Zero bins are refused."""
    with pytest.raises(ValueError, match="n_bins must be at least 1, got 0"):
        metric([0.5], [1], n_bins=0)


def test_every_public_name_is_importable_and_sorted():
    """`__all__` lists what the package offers, in order."""
    assert list(metrics.__all__) == sorted(metrics.__all__)
    assert all(hasattr(metrics, name) for name in metrics.__all__)
