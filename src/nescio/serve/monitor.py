"""What operators see of a server: requests, latency, decisions, coverage, and whether confidences drift."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from nescio.serve.decider import Reply

WINDOW = 1000
"""Questions that live shares are of."""
LEAST_FOR_DRIFT = 200
"""Live confidences below which no drift is told."""
DRIFT_ALARM = 0.25
"""Population stability index from which on distributions are called different, by the custom of credit scoring."""


class Monitor:
    """Counts, in a registry of its own."""

    def __init__(self, reference: Sequence[float]) -> None:
        """Take the confidences that live ones are compared with."""
        self._reference = tuple(reference)
        self._confidences: deque[float] = deque(maxlen=WINDOW)
        self._answered: deque[bool] = deque(maxlen=WINDOW)
        self.registry = registry = CollectorRegistry()
        self._requests = Counter("nescio_requests", "Questions by what became of them.", ["outcome"], registry=registry)
        self._decisions = Counter("nescio_decisions", "Replies by the model's decision.", ["decision"], registry=registry)
        self._actions = Counter("nescio_actions", "Replies by what the policy did.", ["action"], registry=registry)
        buckets = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
        self._latency = Histogram("nescio_latency_seconds", "Time of a reply.", buckets=buckets, registry=registry)
        self._coverage = Gauge("nescio_coverage", f"Share answered of the last {WINDOW} questions.", registry=registry)
        self._mean = Gauge("nescio_mean_confidence", f"Mean confidence of the last {WINDOW} questions.", registry=registry)
        self._queue = Gauge("nescio_queue_length", "Questions accepted and not yet answered.", registry=registry)
        self._drift = Gauge(
            "nescio_confidence_drift",
            "Population stability index of live confidences against those of calibration; NaN until there are enough.",
            registry=registry,
        )
        self._alarm = Gauge("nescio_drift_alarm", f"1 where the drift is at least {DRIFT_ALARM}.", registry=registry)

    def count(self, outcome: str) -> None:
        """A request has ended."""
        self._requests.labels(outcome).inc()

    def saw(self, reply: Reply, *, seconds: float) -> None:
        """A reply was given."""
        told = reply.told
        self._decisions.labels(told.decision).inc()
        self._actions.labels(told.verdict.action).inc()
        self._latency.observe(seconds)
        self._confidences.append(told.confidence)
        self._answered.append(told.verdict.action == "answer")

    @property
    def drift(self) -> float:
        """Population stability index of the live confidences; NaN where there are too few."""
        if len(self._confidences) < LEAST_FOR_DRIFT or not self._reference:
            return float("nan")
        return stability_index(self._reference, tuple(self._confidences))

    def render(self, *, queue: int) -> bytes:
        """All of it, in Prometheus' text format."""
        self._queue.set(queue)
        self._coverage.set(float(np.mean(self._answered)) if self._answered else float("nan"))
        self._mean.set(float(np.mean(self._confidences)) if self._confidences else float("nan"))
        drift = self.drift
        self._drift.set(drift)
        self._alarm.set(float(drift >= DRIFT_ALARM))
        return bytes(generate_latest(self.registry))


def stability_index(expected: Sequence[float], found: Sequence[float], *, n_bins: int = 10) -> float:
    """Population stability index: sum over bins of (p - q) ln(p / q), at least 0; 0 where both are alike.

    Bins hold a tenth each of what is expected; half an item is added to every bin, so that an empty one is no infinity.

    Args:
        expected: Shape (n,).
        found: Shape (m,).
        n_bins: Bins; fewer where values of `expected` are equal.

    References:
        Siddiqi, Credit Risk Scorecards, 2006: the index, and 0.25 as the mark of a shift.
    """
    edges = np.unique(np.quantile(expected, np.arange(1, n_bins) / n_bins))
    counts = [
        np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1) + 0.5 for values in (expected, found)
    ]
    p, q = (count / count.sum() for count in counts)
    return float(((p - q) * np.log(p / q)).sum())
