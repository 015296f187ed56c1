"""Time the scorecard with its clustered bootstrap against a plain loop over scikit-learn and NumPy.

Run: python benchmarks/metrics_speed.py
The loop computes the same metrics on a copy of the drawn items for each resample. It is timed on a few resamples and
scaled to all. The confidences hold no ties, so that the loop's AURC may take the items in any sorted order.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn import metrics as sk

from nescio.metrics.bootstrap import resample_counts
from nescio.metrics.scorecard import CORRECT, METRICS, REFUSE, Outcomes, score_outcomes

DECISION_NAMES = ("correct", "uncertain", "refuse")


def make_outcomes(n: int, *, seed: int) -> Outcomes:
    """Twins of a system that is somewhat sure of itself and fails on 1 % of the items."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(0, 3, n)
    predicted = np.where(generator.random(n) < 0.7, gold, generator.integers(0, 3, n))
    predicted[generator.random(n) < 0.01] = 3
    right = ((gold == CORRECT) & (generator.random(n) < 0.6)).astype(np.float64)
    raw = 1 / (1 + np.exp(-generator.normal(2 * right - 1, 1.5)))
    group = np.arange(n) // 2
    return Outcomes(gold, predicted, right, raw, raw**1.5, predicted != 3, group)


def equal_width_error(confidence: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """ECE in ten bins, one bin after the other."""
    edges = np.arange(11) / 10
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high) if low else confidence <= high
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return total


def equal_mass_errors(confidence: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float]:
    """Plain and debiased error in ten bins by the middle rank of each tie, one bin after the other."""
    _, inverse, count = np.unique(confidence, return_inverse=True, return_counts=True)
    twice_middle = 2 * np.cumsum(count) - count
    bins = (10 * twice_middle // (2 * len(confidence)))[inverse]
    plain, square = 0.0, 0.0
    for number in range(10):
        inside = bins == number
        size = int(inside.sum())
        if size < 1:
            continue
        accuracy = right[inside].mean()
        gap = confidence[inside].mean() - accuracy
        plain += size / len(right) * abs(gap)
        square += size / len(right) * (gap**2 - accuracy * (1 - accuracy) / (size - 1)) if size > 1 else 0.0
    return plain, max(square, 0.0) ** 0.5


def loop_metrics(outcomes: Outcomes, group: NDArray[np.int64]) -> dict[str, float]:
    """Every metric of one set of items, by scikit-learn where it has it."""
    gold, predicted, right, raw, confidence, _, _ = outcomes
    answered = predicted == CORRECT
    precision, recall, f1, _ = sk.precision_recall_fscore_support(gold, predicted, labels=[0, 1, 2], zero_division=0)
    wrong = 1 - right[np.argsort(-confidence, kind="stable")]
    ranks = np.arange(1, len(wrong) + 1)
    aurc = float(np.mean(np.cumsum(wrong) / ranks))
    equal_mass, debiased = equal_mass_errors(confidence, right)
    size, hits = np.bincount(group), np.bincount(group, weights=gold == predicted)
    values = {
        "decision_accuracy": sk.accuracy_score(gold, predicted),
        "macro_f1": sk.f1_score(gold, predicted, labels=[0, 1, 2], average="macro"),
        "answer_rate": answered.mean(),
        "uncertainty_rate": (predicted == 1).mean(),
        "refusal_rate": (predicted == REFUSE).mean(),
        "false_confidence_rate": 1 - right[answered].mean(),
        "hallucination_rate": answered[gold == REFUSE].mean(),
        "over_refusal_rate": (predicted[gold == CORRECT] == REFUSE).mean(),
        "answer_accuracy": (answered * right)[gold == CORRECT].mean(),
        "twin_accuracy": hits[size == 2].sum() and np.mean(hits[size == 2] == 2),
        "ece": equal_width_error(confidence, right),
        "ece_equal_mass": equal_mass,
        "ece_debiased": debiased,
        "brier": sk.brier_score_loss(right, confidence),
        "nll": sk.log_loss(right, np.clip(confidence, 1e-6, 1 - 1e-6)),
        "auroc": sk.roc_auc_score(right, confidence),
        "aurc": aurc,
        "e_aurc": aurc - float(np.mean(np.cumsum(np.sort(wrong)) / ranks)),
        "ece_raw": equal_width_error(raw, right),
        "brier_raw": sk.brier_score_loss(right, raw),
        "nll_raw": sk.log_loss(right, np.clip(raw, 1e-6, 1 - 1e-6)),
    }
    for k, decision in enumerate(DECISION_NAMES):
        values |= {f"precision_{decision}": precision[k], f"recall_{decision}": recall[k], f"f1_{decision}": f1[k]}
    return {name: float(value) for name, value in values.items()}


def loop_resamples(outcomes: Outcomes, *, n_resamples: int, seed: int) -> float:
    """Seconds that the loop takes for so many resamples."""
    members = np.argsort(outcomes.group, kind="stable").reshape(-1, 2)
    start = time.perf_counter()
    for counts in resample_counts(len(members), n_resamples=n_resamples, seed=seed, rows=1):
        drawn = np.repeat(members, counts[0], axis=0)
        copies = np.repeat(np.arange(len(drawn)), 2)  # a group drawn twice counts as two groups
        loop_metrics(Outcomes._make(array[drawn.ravel()] for array in outcomes), copies)
    return time.perf_counter() - start


def main() -> None:
    """Print seconds, their ratio and how far the point values are apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=10_000, help="questions, two a group; an even number")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--loop-resamples", type=int, default=50, help="resamples on which the loop is timed")
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many timings of ours is told")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    outcomes = make_outcomes(options.items, seed=options.seed)

    seconds = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        scores = score_outcomes(outcomes, n_resamples=options.resamples, seed=options.seed)
        seconds.append(time.perf_counter() - start)
    ours = float(np.median(seconds))
    timed = loop_resamples(outcomes, n_resamples=options.loop_resamples, seed=options.seed)
    loop = timed / options.loop_resamples * options.resamples
    expected = loop_metrics(outcomes, outcomes.group)
    apart = {name: abs(scores.value[name] - expected[name]) for name in METRICS}
    furthest = max(apart, key=apart.__getitem__)

    table = Table(
        title=f"{len(METRICS)} metrics, {options.items} items, {options.items // 2} groups, {options.resamples} resamples"
    )
    for heading in ("way", "seconds", "ratio"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    table.add_row("nescio", f"{ours:.2f}", "1")
    scaled = f"loop over scikit-learn, scaled from {options.loop_resamples} resamples in {timed:.2f} s"
    table.add_row(scaled, f"{loop:.1f}", f"{loop / ours:.0f}")
    Console().print(table)
    print(f"point values: largest distance {apart[furthest]:.1e} ({furthest})")


if __name__ == "__main__":
    main()
