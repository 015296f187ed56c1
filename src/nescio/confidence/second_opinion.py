"""A second opinion beside the trained model's: how likely its own first answer was, before it was trained.

What training teaches about refusing hangs on what questions are about and how they are worded; the answer's likelihood less so.
Each opinion is a log-odds that the model knows the answer. Both are fitted to as many known as unknown questions and brought to
scale on calibration questions, and then they are added: a product of experts, with nothing chosen by hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nescio.records import Record, Sample

FloatArray = NDArray[np.float64]


class SecondOpinion(Record):
    """Log-odds that the model knows: slope_of_reply * its own log-odds + slope_of_answer * (weights @ features + intercept)."""

    weights: tuple[float, float]
    """Of the log-likelihood of the greedy answer and of that of its first token, in nats."""
    intercept: float
    """In log-odds."""
    slope_of_answer: float
    """1 / temperature of the opinion on the answer."""
    slope_of_reply: float
    """1 / temperature of the trained model's own opinion."""

    def weigh(self, log_odds: float, greedy: Sample) -> float | None:
        """The probability that the model knows the answer, by both opinions.

        Args:
            log_odds: Of the trained model, that it would answer rather than refuse.
            greedy: The untrained model's greedy answer.

        Returns:
            In [0, 1]; None where the answer has no log-probabilities.
        """
        features = read_features(greedy)
        if features is None:
            return None
        of_answer = float(np.dot(self.weights, features)) + self.intercept
        total = self.slope_of_reply * log_odds + self.slope_of_answer * of_answer
        return float(0.5 * (1.0 + np.tanh(0.5 * total)))


def read_features(greedy: Sample) -> tuple[float, float] | None:
    """Log-likelihood of an answer, its stop included, and of its first token, in nats; None without log-probabilities."""
    if greedy.failure is not None or not greedy.log_probabilities:
        return None
    return sum(greedy.log_probabilities), greedy.log_probabilities[0]


def fit_second_opinion(
    train: Sequence[tuple[Sample, bool]], calibration: Sequence[tuple[Sample, bool, float]]
) -> SecondOpinion | None:
    """Fit the opinion on the answer to training questions, and the scale of both opinions to calibration questions.

    Known and unknown questions weigh the same in sum, whatever their numbers: 0 in log-odds then is where honesty, the mean of
    prudence and 1 - over-conservativeness, is highest.

    Args:
        train: The greedy answer to each training question, and whether that is right.
        calibration: The same of questions that were not trained on, with the trained model's log-odds.

    Returns:
        None where either has no known or no unknown question with log-probabilities.

    References:
        Hinton, Training Products of Experts by Minimizing Contrastive Divergence, Neural Computation 14, 2002, equation 1.
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2 (temperature).
    """
    learnt = [(features, known) for sample, known in train if (features := read_features(sample))]
    held = [(features, known, own) for sample, known, own in calibration if (features := read_features(sample))]
    if len({known for _, known in learnt}) < 2 or len({known for _, known, _ in held}) < 2:
        return None
    weights, intercept = _fit(np.array([features for features, _ in learnt]), [known for _, known in learnt])
    known = [known for _, known, _ in held]
    of_answer = np.array([features for features, _, _ in held]) @ weights + intercept
    of_reply = np.array([own for _, _, own in held])
    return SecondOpinion(
        weights=(float(weights[0]), float(weights[1])),
        intercept=intercept,
        slope_of_answer=_fit_slope(of_answer, known),
        slope_of_reply=_fit_slope(of_reply, known),
    )


def _fit(features: FloatArray, known: Sequence[bool], *, intercept: bool = True) -> tuple[FloatArray, float]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(class_weight="balanced", fit_intercept=intercept, max_iter=1000).fit(features, known)
    return fitted.coef_[0], float(np.ravel(fitted.intercept_)[0])


def _fit_slope(log_odds: FloatArray, known: Sequence[bool]) -> float:
    """At least 0: an opinion that points the wrong way on calibration questions is not believed at all."""
    weights, _ = _fit(log_odds[:, None], known, intercept=False)
    return max(0.0, float(weights[0]))
