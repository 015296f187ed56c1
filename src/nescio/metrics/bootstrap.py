"""Intervals by resampling whole groups: items of one group (twins, samples of one question) rise and fall together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nescio.metrics.inputs import FloatArray, IntArray

CHUNK = 2**16
"""Weights held at once; the working set of a chunk then fits a processor's cache."""


class Interval(NamedTuple):
    """A percentile interval."""

    low: float
    """NaN if more than half of the resamples leave the metric undefined."""
    high: float
    """As for `low`."""
    n_undefined: int
    """Resamples in which the metric is undefined; they are left out of the percentiles."""


def bootstrap_interval(
    statistic: Callable[[FloatArray], FloatArray],
    groups: Sequence[Any] | NDArray[Any],
    *,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a metric under resampling of groups with replacement.

    Args:
        statistic: Takes weights, shape (r, n), how often each item was drawn in each of r resamples; returns the metric of
            each resample, shape (r,), NaN where undefined.
        groups: The group of each item, shape (n,).
        n_resamples: How many resamples.
        level: Share of the resamples inside the interval, in (0, 1).
        seed: Of the resampling; equal seeds and groups give equal resamples, so that differences between systems are paired.

    References:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Cameron, Gelbach and Miller,
        Bootstrap-Based Improvements for Inference with Clustered Errors, 2008.
    """
    names, code = np.unique(np.asarray(groups), return_inverse=True)
    rows = max(1, CHUNK // max(len(code), 1))
    chunks = resample_counts(len(names), n_resamples=n_resamples, seed=seed, rows=rows)
    values = np.concatenate([statistic(counts[:, code].astype(np.float64)) for counts in chunks])
    return percentile_interval(values, level=level)


def resample_counts(n_groups: int, *, n_resamples: int, seed: int, rows: int) -> Iterator[IntArray]:
    """Yield how often each group is drawn, in chunks of at most `rows` resamples, shape (r, n_groups).

    Each resample draws n_groups groups with replacement, a draw from the uniform multinomial. The draws do not depend
    on `rows`.
    """
    generator = np.random.default_rng(seed)
    for first in range(0, n_resamples, rows):
        r = min(rows, n_resamples - first)
        # Counting uniform draws gives the same multinomial as Generator.multinomial, about ten times sooner.
        drawn = generator.integers(0, max(n_groups, 1), size=(r, n_groups), dtype=np.int64)
        drawn += np.arange(r)[:, None] * n_groups
        yield np.bincount(drawn.ravel(), minlength=r * n_groups).reshape(r, n_groups)


def percentile_interval(values: FloatArray, *, level: float = 0.95) -> Interval:
    """Interval between the outer percentiles of a metric's resamples, shape (r,); NaN stands for undefined."""
    defined = values[~np.isnan(values)]
    n_undefined = len(values) - len(defined)
    if not len(defined) or 2 * n_undefined > len(values):
        return Interval(np.nan, np.nan, n_undefined)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return Interval(float(low), float(high), n_undefined)
