"""Clustered resampling and percentile intervals."""

import numpy as np
import pytest

from nescio.metrics import bootstrap_interval, percentile_interval, resample_counts


def mean_of(values):
    """Weighted mean of an outcome, as a statistic."""
    values = np.asarray(values, dtype=float)
    return lambda weights: weights @ values / weights.sum(axis=1)


def test_every_resample_draws_as_many_groups_as_there_are():
    """Counts are whole, sum to the number of groups, and each group is drawn once on average."""
    counts = np.concatenate(list(resample_counts(20, n_resamples=2000, seed=0, rows=64)))

    assert counts.shape == (2000, 20)
    assert (counts.sum(axis=1) == 20).all()
    # Standard error of a mean count: sqrt(0.95 / 2000) = 0.022.
    assert counts.mean(axis=0) == pytest.approx(np.ones(20), abs=0.1)
    # Variance of a multinomial count: 20 * 1/20 * 19/20.
    assert counts.var() == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_resamples_do_not_depend_on_the_chunk(rows):
    """Memory use is a matter of taste, results are not."""
    whole = np.concatenate(list(resample_counts(9, n_resamples=50, seed=4, rows=50)))

    assert np.array_equal(np.concatenate(list(resample_counts(9, n_resamples=50, seed=4, rows=rows))), whole)


def test_undefined_resamples_are_left_out_and_counted():
    """The interval covers the defined values; past one half undefined there is none."""
    some = percentile_interval(np.array([np.nan] * 4 + [1.0] * 6))
    half = percentile_interval(np.array([np.nan] * 5 + [1.0] * 5))
    most = percentile_interval(np.array([np.nan] * 6 + [1.0] * 4))

    assert some == (1.0, 1.0, 4)
    assert half == (1.0, 1.0, 5)
    assert np.isnan(most.low)
    assert np.isnan(most.high)
    assert most.n_undefined == 6


def test_percentiles_by_hand():
    """Of 0, 1 ... 1000 the middle 95 % runs from 25 to 975."""
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0, 0))


def test_nothing_to_resample_is_undefined():
    """No resample, no interval."""
    assert np.isnan(percentile_interval(np.array([])).low)


def test_twins_that_rise_and_fall_together_widen_the_interval():
    """100 pairs of equal outcomes carry 100 outcomes, so the interval is sqrt(2) wider than for 200 single items."""
    values = np.repeat(np.random.default_rng(0).random(100) < 0.5, 2)
    grouped = bootstrap_interval(mean_of(values), np.repeat(np.arange(100), 2), n_resamples=4000)
    single = bootstrap_interval(mean_of(values), np.arange(200), n_resamples=4000)

    assert (grouped.high - grouped.low) / (single.high - single.low) == pytest.approx(2**0.5, rel=0.1)


def test_group_names_do_not_matter():
    """Groups may be named by strings; only which items share one counts."""
    values = [0, 1, 1, 0, 1, 1]
    named = bootstrap_interval(mean_of(values), ["a", "a", "b", "b", "c", "c"])

    assert named == bootstrap_interval(mean_of(values), [0, 0, 1, 1, 2, 2])


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Of 300 samples of 60 groups of correlated pairs, about 95 % give an interval around the true mean of 0.6."""
    generator = np.random.default_rng(2)
    groups, covered = np.repeat(np.arange(60), 2), 0
    for seed in range(300):
        shared = generator.random(60) < 0.6
        alone = generator.random(120) < 0.6
        values = np.where(generator.random(120) < 0.7, np.repeat(shared, 2), alone)
        interval = bootstrap_interval(mean_of(values), groups, n_resamples=300, seed=seed)
        covered += interval.low <= 0.6 <= interval.high

    # Standard error of a coverage of 0.95 over 300 samples is 0.013; percentile intervals are a little short.
    assert 0.90 <= covered / 300 <= 0.985
