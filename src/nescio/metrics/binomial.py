"""Intervals of a share that was counted: k of n."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple


class ShareInterval(NamedTuple):
    """Where a share lies."""

    low: float
    """In [0, 1]; NaN where nothing was counted."""
    high: float
    """As for `low`."""


def wilson_interval(k: int, n: int, level: float = 0.95) -> ShareInterval:
    """Wilson's score interval of a share of which k of n were seen: all p that a two-sided score test would not reject.

    Args:
        k: How many of them, 0 to n.
        n: Of how many; 0 gives NaN.
        level: Coverage, in (0, 1).

    Raises:
        ValueError: k is not between 0 and n, or the level is not between 0 and 1.

    References:
        Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927. No correction for continuity.

    Examples:
        >>> [round(bound, 3) for bound in wilson_interval(5, 10)]
        [0.237, 0.763]
    """
    if not 0 <= k <= n:
        raise ValueError(f"k must lie between 0 and n, got k={k} and n={n}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    if n == 0:
        return ShareInterval(math.nan, math.nan)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, spread = k / n, z * z / n
    centre = share + spread / 2
    reach = math.sqrt(spread * (share * (1 - share) + spread / 4))
    # At the ends the bound is 0 or 1 exactly; rounding would leave a trace.
    low = 0.0 if k == 0 else (centre - reach) / (1 + spread)
    high = 1.0 if k == n else (centre + reach) / (1 + spread)
    return ShareInterval(low, high)
