"""Intervals of counted shares."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nescio.metrics import wilson_interval


def test_by_hand():
    """0 of 10: the upper bound is z^2 / (n + z^2) with z = 1.96, 3.8415 / 13.8415."""
    assert wilson_interval(0, 10) == (0, pytest.approx(3.8415 / 13.8415, abs=1e-4))
    assert wilson_interval(10, 10) == (pytest.approx(10 / 13.8415, abs=1e-4), 1)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (1, 2), (3, 10), (5, 10), (10, 10), (17, 1000)])
def test_against_scipy(k, n, level):
    """SciPy's interval of the binomial test, by the same method."""
    expected = binomtest(k, n).proportion_ci(level, method="wilson")

    assert wilson_interval(k, n, level) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_it_holds_the_share_and_mirrors(pair):
    """The share lies inside, both bounds are shares, and failures mirror successes."""
    k, n = pair
    low, high = wilson_interval(k, n)
    mirrored = wilson_interval(n - k, n)

    assert 0 <= low <= k / n <= high <= 1
    assert (1 - mirrored.high, 1 - mirrored.low) == (pytest.approx(low), pytest.approx(high))


def test_edges():
    """Of nothing the share is unknown; what cannot be is refused."""
    assert all(math.isnan(bound) for bound in wilson_interval(0, 0))
    for k, n in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="k must lie between 0 and n"):
            wilson_interval(k, n)
    for level in (0.0, 1.0):
        with pytest.raises(ValueError, match="level must lie between 0 and 1"):
            wilson_interval(1, 3, level)
