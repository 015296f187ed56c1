"""Post-hoc calibrators: turn a raw confidence into one that comes true as often as it says.

All work on the log-odds of the confidence and keep its order, so that rank metrics do not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nescio.errors import ConfigError, describe_unknown
from nescio.records import Record

CalibrationMethod = Literal["identity", "temperature", "platt"]
FloatArray = NDArray[np.float64]

LOGIT_CLIP = 1e-6
"""Confidences are clipped to [LOGIT_CLIP, 1 - LOGIT_CLIP] before their log-odds are taken."""
IDENTITY_PULL = 1e-6
"""Strength of the pull towards slope 1 and intercept 0; it decides only where the data leave the answer open."""


class Calibrator(Record):
    """A monotone map from raw to calibrated confidence: sigmoid(slope * logit(confidence) + intercept)."""

    method: CalibrationMethod
    """How the numbers were found; `identity` leaves confidences untouched."""
    slope: float = 1.0
    """At least 0, so that ranks never flip; 1 / temperature."""
    intercept: float = 0.0
    """In log-odds."""

    def apply(self, confidence: ArrayLike) -> FloatArray:
        """Calibrate raw confidences.

        Args:
            confidence: In [0, 1], shape (n,).

        Returns:
            In [0, 1], shape (n,).
        """
        raw = np.asarray(confidence, dtype=np.float64)
        return raw if self.method == "identity" else _sigmoid(self.slope * _logit(raw) + self.intercept)


class CalibratorChoice(NamedTuple):
    """The calibrator that predicted held-out folds best, and what the others reached."""

    calibrator: Calibrator
    """Fitted on all folds."""
    negative_log_likelihood: dict[str, float]
    """Cross-validated, in nats an item, of each candidate; empty where none could be fitted."""
    reason: str | None
    """Why confidences stay as they are; None where a method was chosen by its likelihood."""


def fit_temperature(confidence: ArrayLike, correct: ArrayLike) -> Calibrator:
    """Divide log-odds by one temperature, the maximum likelihood one.

    Outcomes are smoothed as in `fit_platt`. Constant confidence of 0.5 says nothing about the temperature, which then stays 1.

    Args:
        confidence: Raw, in [0, 1], shape (n,).
        correct: 0 or 1, shape (n,).

    References:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
    """
    slope, _ = _fit_log_odds(confidence, correct, with_intercept=False)
    return Calibrator(method="temperature", slope=slope)


def fit_platt(confidence: ArrayLike, correct: ArrayLike) -> Calibrator:
    """Fit slope (at least 0) and intercept of the log-odds by maximum likelihood.

    The outcomes 1 and 0 are smoothed to (p + 1) / (p + 2) and 1 / (q + 2), with p right and q wrong items, so that data
    which a threshold separates get a finite slope.

    Args:
        confidence: Raw, in [0, 1], shape (n,).
        correct: 0 or 1, shape (n,).

    References:
        Platt, Probabilistic Outputs for Support Vector Machines, 1999, section 2.2; we take the log-odds of the confidence as
        the input and do not let the slope turn negative.
    """
    slope, intercept = _fit_log_odds(confidence, correct, with_intercept=True)
    return Calibrator(method="platt", slope=slope, intercept=intercept)


def fit_identity(confidence: ArrayLike, correct: ArrayLike) -> Calibrator:
    """Leave confidences as they are."""
    return Calibrator(method="identity")


FITTERS = {"identity": fit_identity, "temperature": fit_temperature, "platt": fit_platt}


def choose_calibrator(
    confidence: ArrayLike,
    correct: ArrayLike,
    groups: Sequence[Any],
    *,
    methods: Sequence[str],
    folds: int = 5,
    seed: int = 0,
) -> CalibratorChoice:
    """Fit the method with the lowest cross-validated negative log-likelihood.

    Items of one group lie in the same fold. On equal likelihood the method named first wins.

    Args:
        confidence: Raw, in [0, 1], shape (n,).
        correct: 0 or 1, shape (n,).
        groups: The group of each item, length n.
        methods: Candidates: identity, temperature, platt.
        folds: At least 2; not more than groups are used.
        seed: Deals the groups into folds.

    Raises:
        ConfigError: No method is named, one is unknown, or there are fewer than two folds.
    """
    _check_choice(methods, folds)
    c, y = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    names, code = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    reason = _why_not(y, len(names))
    if reason is not None:
        return CalibratorChoice(Calibrator(method="identity"), {}, reason)
    fold = (np.random.default_rng(seed).permutation(len(names)) % folds)[code]
    losses = {method: _cross_validate(method, c, y, fold) for method in methods}
    best = min(losses, key=losses.__getitem__)
    return CalibratorChoice(FITTERS[best](c, y), losses, None)


def _check_choice(methods: Sequence[str], folds: int) -> None:
    if not methods:
        raise ConfigError(f"no calibration method is named; name one or more of {', '.join(FITTERS)}")
    for method in methods:
        if method not in FITTERS:
            raise ConfigError(describe_unknown("calibration method", method, FITTERS))
    if folds < 2:
        raise ConfigError(f"cross-validation needs at least 2 folds, got {folds}")


def _why_not(correct: FloatArray, n_groups: int) -> str | None:
    """Why these data cannot teach a calibrator; None where they can."""
    if not len(correct):
        return "no item has a confidence to calibrate"
    if np.all(correct == correct[0]):
        return f"all {len(correct)} items have the same outcome ({'right' if correct[0] else 'wrong'})"
    if n_groups < 2:
        return "a single group cannot be split into folds"
    return None


def _cross_validate(method: str, confidence: FloatArray, correct: FloatArray, fold: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood of held-out items, in nats."""
    calibrated = np.empty_like(confidence)
    for held_out in np.unique(fold):
        inside = fold == held_out
        calibrated[inside] = FITTERS[method](confidence[~inside], correct[~inside]).apply(confidence[inside])
    clipped = np.clip(calibrated, LOGIT_CLIP, 1.0 - LOGIT_CLIP)
    return float(-np.mean(np.log(np.where(correct == 1.0, clipped, 1.0 - clipped))))


def _fit_log_odds(confidence: ArrayLike, correct: ArrayLike, *, with_intercept: bool) -> tuple[float, float]:
    """Slope and intercept of least smoothed log loss; the loss is convex, so any start finds it."""
    from scipy.optimize import minimize

    x = _logit(np.asarray(confidence, dtype=np.float64))
    right = np.asarray(correct, dtype=np.float64) == 1.0
    n_right = int(right.sum())
    target = np.where(right, (n_right + 1.0) / (n_right + 2.0), 1.0 / (len(right) - n_right + 2.0))

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        z = parameters[0] * x + parameters[1]
        away = parameters - np.array([1.0, 0.0])
        residual = _sigmoid(z) - target
        value = np.mean(np.logaddexp(0.0, z) - target * z) + 0.5 * IDENTITY_PULL * away @ away
        return float(value), np.array([np.mean(residual * x), np.mean(residual)]) + IDENTITY_PULL * away

    bounds = [(0.0, None), (None, None) if with_intercept else (0.0, 0.0)]
    found = minimize(
        loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-9}
    )
    return float(found.x[0]), float(found.x[1])


def _logit(confidence: FloatArray) -> FloatArray:
    clipped = np.clip(confidence, LOGIT_CLIP, 1.0 - LOGIT_CLIP)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _sigmoid(log_odds: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)))  # does not overflow, whatever the log-odds
