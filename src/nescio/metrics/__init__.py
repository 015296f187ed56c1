"""Metrics of decisions and confidences: pure functions on arrays, NumPy only (docs/metrics.md)."""

from nescio.metrics.binomial import ShareInterval, wilson_interval
from nescio.metrics.bootstrap import Interval, bootstrap_interval, percentile_interval, resample_counts
from nescio.metrics.calibration import (
    NegativeLogLikelihood,
    NoiseFloor,
    ReliabilityBins,
    brier_score,
    calibration_noise_floor,
    expected_calibration_error,
    expected_calibration_error_debiased,
    expected_calibration_error_equal_mass,
    negative_log_likelihood,
    reliability_bins,
)
from nescio.metrics.classification import accuracy, confusion_matrix, f1, macro_f1, precision, recall
from nescio.metrics.ranking import RiskCoverage, area_under_risk_coverage, area_under_roc, excess_aurc, risk_coverage_curve

__all__ = [
    "Interval",
    "NegativeLogLikelihood",
    "NoiseFloor",
    "ReliabilityBins",
    "RiskCoverage",
    "ShareInterval",
    "accuracy",
    "area_under_risk_coverage",
    "area_under_roc",
    "bootstrap_interval",
    "brier_score",
    "calibration_noise_floor",
    "confusion_matrix",
    "excess_aurc",
    "expected_calibration_error",
    "expected_calibration_error_debiased",
    "expected_calibration_error_equal_mass",
    "f1",
    "macro_f1",
    "negative_log_likelihood",
    "percentile_interval",
    "precision",
    "recall",
    "reliability_bins",
    "resample_counts",
    "risk_coverage_curve",
    "wilson_interval",
]
