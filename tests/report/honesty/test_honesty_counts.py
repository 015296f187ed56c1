import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nescio.records import Outcome
from nescio.report.honesty import GradedSample
from nescio.report.honesty.counts import (
    SAMPLE_BINS,
    bin_by_obscurity,
    bin_by_samples,
    gather_rows,
    measure_agreement,
    take_share,
    wilson_interval,
)


def make_outcome(number, **fields):
    """An outcome of which a test names only what it is about."""
    defaults = {"question_id": f"q{number}", "group": f"g{number}", "before": "wrong", "after": "wrong", "holds_gold": False}
    return Outcome.model_validate(defaults | fields)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_is_that_of_scipy(trial):
    """The interval equals scipy's, and always holds the share itself."""
    k, n = trial
    low, high = wilson_interval(k / n, n)
    expected = binomtest(k, n).proportion_ci(method="wilson")

    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= k / n <= high <= 1


def test_interval_of_nothing_is_undefined():
    """No trial gives NaN, never 0."""
    assert np.isnan(wilson_interval(np.nan, 0)).all()


def test_share_counts_each_group_once_in_its_interval():
    """Four questions of two groups have the interval of two trials, and n stays four."""
    share = take_share(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 1, 1]))

    assert (share.value, share.n) == (0.5, 4)
    assert (share.low, share.high) == pytest.approx(wilson_interval(0.5, 2))


def test_obscurity_falls_into_tenths():
    """0 and 0.09 are in the first tenth, 0.1 in the second, 1.0 in the last; unmeasured and unanswerable ones in none."""
    values = (0.0, 0.09, 0.1, 1.0, None)
    outcomes = [make_outcome(number, obscurity=value, after="idk") for number, value in enumerate(values)]
    outcomes.append(make_outcome(9, obscurity=0.5, answerable=False))
    sizes = [row.refused.n for row in bin_by_obscurity(gather_rows(outcomes))]

    assert sizes == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_known_is_the_mean_share_of_right_samples():
    """Two questions with 2 of 4 and 4 of 4 right samples are known at (0.5 + 1) / 2; how many samples there are has no weight."""
    outcomes = [make_outcome(0, obscurity=0.0, right=2, graded=4), make_outcome(1, obscurity=0.0, right=4, graded=4)]

    assert bin_by_obscurity(gather_rows(outcomes))[0].known.value == 0.75


def test_without_samples_the_greedy_answer_tells_what_is_known():
    """Where nothing was drawn, known is the share of right greedy answers; ungraded ones are left out."""
    said = ("correct", "wrong", "ungraded")
    outcomes = [make_outcome(number, obscurity=0.0, before=before) for number, before in enumerate(said)]
    known = bin_by_obscurity(gather_rows(outcomes))[0].known

    assert (known.value, known.n) == (0.5, 2)


def test_ungraded_responses_are_in_no_share():
    """Of four responses one is ungraded; the three shares are thirds and add up to 1."""
    outcomes = [make_outcome(n, obscurity=0.0, after=after) for n, after in enumerate(("correct", "wrong", "idk", "ungraded"))]
    first = bin_by_obscurity(gather_rows(outcomes))[0]

    assert [first.right.value, first.wrong.value, first.refused.value] == pytest.approx([1 / 3] * 3)
    assert first.refused.n == 3


def test_sample_bins_keep_none_and_all_apart():
    """K of 10 falls into: none, 1-2, 3-4, 5-6, 7-8, 9, all; a share that is NaN falls nowhere."""
    outcomes = [make_outcome(k, right=k, graded=10) for k in range(11)] + [make_outcome(11)]
    rows = gather_rows(outcomes)
    sizes = [row.greedy_right.n for row in bin_by_samples(rows, rows.knowledge)]

    assert dict(zip(SAMPLE_BINS, sizes, strict=True)) == {
        "0": 1,
        "1–20": 2,
        "21–40": 2,
        "41–60": 2,
        "61–80": 2,
        "81–99": 1,
        "100": 1,
    }


def test_agreement_is_with_the_greedy_answer_whatever_case_and_punctuation():
    """Two of four samples say what the greedy answer says; without samples there is no agreement."""
    texts = ("Paris.", "paris", "PARIS!", "Rome", "Pari s")
    samples = {"q0": [GradedSample(index, text, "ungraded") for index, text in enumerate(texts)], "q1": []}
    agreement = measure_agreement([make_outcome(0), make_outcome(1), make_outcome(2)], samples)

    assert agreement[0] == 0.5
    assert np.isnan(agreement[1:]).all()
