"""From which confidence on to answer: thresholds that keep a promise about errors, and the one that costs demand.

All thresholds t mean: answer iff confidence >= t. The promises hold for questions drawn as the calibration questions were;
under shift they are void (docs/calibration.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nescio.confidence.calibrator_fits import FloatArray, Items, check_items
from nescio.errors import ConfigError, DataError, describe_unknown
from nescio.records import Probability, Record

GuaranteeMethod = Literal["fixed_sequence", "bonferroni", "conformal"]
IntArray = NDArray[np.int64]
PILOT_SHARE = 0.2
"""Of the calibration items, to find where the fixed sequence starts. Of 0.1, 0.2 and 0.3 it left the most coverage at 1,000
items, averaged over seven simulated populations; at 300 items 0.1 did as well."""
RANK_RATIO = 1.25
"""Each number of answered items that Bonferroni tests is so many times the one before."""


class ThresholdGuarantee(Record):
    """A threshold, what it promises, and what it did on the items that it was tested on."""

    method: GuaranteeMethod
    threshold: Probability | None
    """Answer iff confidence >= threshold; None where nothing can be promised: then answer nothing."""
    reason: str | None
    """Why there is no threshold; None where there is one."""
    max_risk: Probability
    """`fixed_sequence`, `bonferroni`: bound on the share of errors among answered questions. `conformal`: bound on the expected
    share of questions that are answered wrongly, among all."""
    level: Probability | None
    """With which probability, over draws of the calibration items, the bound holds; None for `conformal`, which has none."""
    n: int
    """Items tested: those of the pilot left out, and all but one of each group (`conformal`: all)."""
    n_pilot: int
    """Items that only chose the start of the sequence."""
    n_answered: int
    """Items tested that the threshold answers; 0 without one."""
    errors: int
    """Wrong ones among them: not an estimate of the risk, as the threshold was chosen on them."""
    least_risk: Probability
    """The least that so many items could promise, all of them answered without an error."""
    items_without_error_needed: int
    """Fewer answered items cannot promise `max_risk`, even without an error."""
    items_needed: int | None = None
    """Without a threshold: about how many calibration items would give one if error rates stay as they are; None where none has
    an error rate below `max_risk`, or where there is a threshold."""

    @property
    def coverage(self) -> float:
        """Share of the tested items that the threshold answers, in [0, 1]."""
        return self.n_answered / self.n


class Realised(NamedTuple):
    """What a threshold does on questions that had no part in choosing it."""

    coverage: float
    """Share of the questions answered, in [0, 1]; NaN where there are none."""
    risk: float
    """Share of errors among the answered, in [0, 1]; NaN where nothing is answered."""
    n_answered: int
    errors: int
    low: float
    """Lower end of the Clopper-Pearson interval of the risk; NaN where nothing is answered."""
    high: float
    """Upper end, as for `low`."""


class _Prefixes(NamedTuple):
    """Thresholds in descending order with what they answer."""

    threshold: FloatArray
    answered: IntArray
    errors: IntArray


def guarantee_threshold(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    max_risk: float,
    level: float = 0.95,
    method: str = "fixed_sequence",
    groups: Sequence[Any] | None = None,
    start: float | None = None,
    seed: int = 0,
) -> ThresholdGuarantee:
    """Find the threshold of most coverage whose selective risk is promised not to exceed `max_risk`.

    With probability `level` over the draw of independent calibration items, errors / answered of the population stays within
    `max_risk`; having no threshold counts as kept. Nothing is assumed about the confidences: they may be miscalibrated, tied or
    useless. They must not come from a calibrator fitted on the same items, unless it keeps their order strictly.

    Of a threshold fixed beforehand that answers k items, the errors are Bin(k, risk), so that P(Bin(k, max_risk) <= errors) is
    a p-value of "the risk exceeds max_risk".

    - `fixed_sequence` tests every threshold downwards from a start, each at 1 - level, and stops at the first that fails.
      A promise is broken only if the first threshold of the sequence with too much risk passes, whatever their number. The
      start must not depend on the tested items: a random fifth of the items chooses it, or `start` does.
    - `bonferroni` tests numbers of answered items, n, n / 1.25, n / 1.25^2 and so on, each at (1 - level) / tests. Given the
      highest confidence left out, the items above it are independent draws from above it, so that the p-value holds although
      the threshold is the data's. It is just above that confidence.

    Args:
        confidence: In [0, 1], shape (n,).
        correct: 0 or 1, shape (n,).
        max_risk: In (0, 1).
        level: In (0, 1).
        method: `fixed_sequence` or `bonferroni`.
        groups: The group of each item where items are not independent: one item a group, drawn by the seed, is kept, and the
            promise is about a random item of a random group. None: all items are independent.
        start: Of the fixed sequence, in [0, 1], chosen without these items (`choose_start` on others): then no pilot is spent.
        seed: Draws one of each group, and the pilot.

    Raises:
        ConfigError: An option is out of range, or the method is unknown.
        DataError: No item, or see `check_items`.

    References:
        Angelopoulos, Bates, Candes, Jordan and Lei, Learn then Test, arXiv 2110.01052, 2021, section 2 (fixed-sequence testing;
        the start from split data is ours); Geifman and El-Yaniv, Selective Classification for Deep Neural Networks, NeurIPS
        2017, section 3 (exact binomial bound of the selective risk; Bonferroni there goes over the steps of a binary search).
    """
    _check_share("max_risk", max_risk)
    _check_share("level", level)
    if method not in ("fixed_sequence", "bonferroni"):
        raise ConfigError(describe_unknown("guarantee method", method, ("fixed_sequence", "bonferroni")))
    if start is not None and (method == "bonferroni" or not 0.0 <= start <= 1.0):
        raise ConfigError(f"start must lie in [0, 1] and goes with the method 'fixed_sequence' only, got {start} with '{method}'")
    items = _shuffle_one_of_each_group(_some_items(confidence, correct), groups, seed=seed)
    n_pilot = int(PILOT_SHARE * len(items.correct)) if method == "fixed_sequence" and start is None else 0
    pilot, tested = _split(items, n_pilot)
    first = None
    if method == "fixed_sequence":
        first = start if start is not None else choose_start(*pilot, max_risk=max_risk) if n_pilot else 0.0
        found = _test_downwards(count_prefixes(tested), start=first, max_risk=max_risk, level=level)
    else:
        found = _test_ranks(tested, max_risk=max_risk, level=level)
    return _describe(found, tested, method=method, max_risk=max_risk, level=level, n_pilot=n_pilot, start=first)


def conformal_threshold(
    confidence: ArrayLike, correct: ArrayLike, *, max_loss: float, groups: Sequence[Any] | None = None
) -> ThresholdGuarantee:
    """Find the lowest threshold at which a new question is answered wrongly with probability at most `max_loss`.

    This is another promise than that of `guarantee_threshold`, in two ways. It counts errors per question asked, not per
    question answered: answering little keeps it at any error rate. And it holds on average over calibration sets, not with a
    confidence: a given set's threshold may well exceed it.

    With R wrongly answered of n items, (R + 1) / (n + 1) <= max_loss, and the loss of a question can only fall as the threshold
    rises.

    Args:
        confidence: In [0, 1], shape (n,).
        correct: 0 or 1, shape (n,).
        max_loss: In (0, 1).
        groups: The group of each item where items are not independent: a group's loss is the mean of its items', n the number of
            groups, and the promise is about a random item of a random group.

    Raises:
        ConfigError: max_loss is out of range.
        DataError: No item, or see `check_items`.

    References:
        Angelopoulos, Bates, Fisch, Lei and Schuster, Conformal Risk Control, arXiv 2208.02814, 2022, equation 4, with B = 1. The
        threshold is the lowest confidence above the paper's infimum, which can only lower the loss.
    """
    _check_share("max_loss", max_loss)
    items = _some_items(confidence, correct)
    code = np.arange(len(items.correct)) if groups is None else _encode_groups(groups, n=len(items.correct))
    n, weight = int(code.max()) + 1, 1.0 / np.bincount(code)[code]
    order = np.argsort(-items.confidence, kind="stable")
    c = items.confidence[order]
    last = np.append(c[1:] != c[:-1], True)
    loss = np.cumsum((weight * (1.0 - items.correct))[order])[last]
    kept = np.flatnonzero((loss + 1.0) / (n + 1.0) <= max_loss)
    threshold = float(c[last][kept[-1]]) if len(kept) else None
    needed = math.ceil(1.0 / max_loss) - 1
    answered = np.zeros(len(c), dtype=bool) if threshold is None else items.confidence >= threshold
    few = f"{n} calibration items cannot keep the expected loss at {max_loss:g}; at least {needed} are needed"
    wrong_on_top = f"no threshold keeps the expected loss at {max_loss:g}: too many of the most confident items are wrong"
    return ThresholdGuarantee(
        method="conformal",
        threshold=threshold,
        reason=None if threshold is not None else few if n < needed else wrong_on_top,
        max_risk=max_loss,
        level=None,
        n=len(c),
        n_pilot=0,
        n_answered=int(answered.sum()),
        errors=int((1.0 - items.correct)[answered].sum()),
        least_risk=1.0 / (n + 1.0),
        items_without_error_needed=needed,
    )


def threshold_for_costs(abstain_reward: float, cost_wrong: float) -> float:
    """Confidence above which answering earns more than abstaining, (r_a + c) / (1 + c), for calibrated confidences.

    An answer that is right with probability p earns p - c (1 - p), abstaining r_a. At equality both earn the same. This is
    `nescio.metrics.optimal_threshold`.

    Args:
        abstain_reward: r_a, what abstaining earns where a right answer earns 1. From 1 on answering never pays.
        cost_wrong: c, what a wrong answer costs, at least 0.

    Raises:
        ConfigError: A number is not finite, or the cost is negative.

    Examples:
        >>> threshold_for_costs(0.0, 9.0), threshold_for_costs(0.2, 1.0)
        (0.9, 0.6)
    """
    if not (0.0 <= cost_wrong < math.inf and math.isfinite(abstain_reward)):
        raise ConfigError(
            f"cost_wrong must be finite and at least 0, abstain_reward finite; got {cost_wrong} and {abstain_reward}"
        )
    return (abstain_reward + cost_wrong) / (1.0 + cost_wrong)


def realised(threshold: float | None, confidence: ArrayLike, correct: ArrayLike, *, level: float = 0.95) -> Realised:
    """Measure coverage and risk of a threshold on other questions, with an exact interval of the risk.

    Args:
        threshold: Answer iff confidence >= threshold; None answers nothing.
        confidence: In [0, 1], shape (n,).
        correct: 0 or 1, shape (n,).
        level: Of the two-sided interval, in (0, 1). It takes questions as independent.

    Raises:
        ConfigError: The level is out of range.
        DataError: See `check_items`.

    References:
        Clopper and Pearson, The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial, Biometrika 1934.
    """
    _check_share("level", level)
    c, y = check_items(confidence, correct)
    answered = np.zeros(len(c), dtype=bool) if threshold is None else c >= threshold
    k, errors = int(answered.sum()), int((1.0 - y)[answered].sum())
    coverage = k / len(c) if len(c) else math.nan
    if not k:
        return Realised(coverage, math.nan, 0, 0, math.nan, math.nan)
    tail = (1.0 + level) / 2.0
    high = float(upper_bounds(np.array([errors]), np.array([k]), level=tail)[0])
    low = 1.0 - float(upper_bounds(np.array([k - errors]), np.array([k]), level=tail)[0])
    return Realised(coverage, errors / k, k, errors, low, high)


def choose_start(confidence: ArrayLike, correct: ArrayLike, *, max_risk: float) -> float:
    """Threshold at which these items speak most clearly for a risk below `max_risk`: where a fixed sequence should start.

    It is the confidence with the largest (max_risk - error rate) sqrt(k), with k items answered and the error rate smoothed by
    one item of rate `max_risk`. Too high a start has too few items to pass, too low a start too many errors.

    Args:
        confidence: In [0, 1], shape (n,), at least one; of other items than the guarantee's, of any split but the test one.
        correct: 0 or 1, shape (n,).
        max_risk: In (0, 1).

    Raises:
        ConfigError: max_risk is out of range.
        DataError: No item, or see `check_items`.
    """
    _check_share("max_risk", max_risk)
    prefixes = count_prefixes(_some_items(confidence, correct))
    k = prefixes.answered
    evidence = (max_risk - (prefixes.errors + max_risk) / (k + 1.0)) * np.sqrt(k)
    return float(prefixes.threshold[np.argmax(evidence)])


def count_prefixes(items: Items) -> _Prefixes:
    """Answered and wrong items at each distinct confidence, from the highest down; equal confidences are never split."""
    order = np.argsort(-items.confidence, kind="stable")
    c = items.confidence[order]
    last = np.append(c[1:] != c[:-1], True)[: len(c)]
    errors = np.cumsum(items.correct[order] == 0.0)
    return _Prefixes(c[last], np.flatnonzero(last) + 1, errors[last])


def p_values(errors: IntArray, answered: IntArray, *, max_risk: float) -> FloatArray:
    """P(Bin(answered, max_risk) <= errors), element by element: how surprising so few errors are if the risk is `max_risk`."""
    from scipy.special import betaincc

    # The binomial distribution function as a beta integral; where every answer is wrong it is 1.
    some_right = np.maximum(answered - errors, 1)
    return np.where(errors < answered, betaincc(errors + 1, some_right, max_risk), 1.0)


def upper_bounds(errors: IntArray, answered: IntArray, *, level: float) -> FloatArray:
    """One-sided Clopper-Pearson bound of the risk, element by element, in (0, 1]; 1 where nothing is answered."""
    from scipy.special import betaincinv

    some_right = np.maximum(answered - errors, 1)
    return np.where(errors < answered, betaincinv(errors + 1, some_right, level), 1.0)


def count_without_error(max_risk: float, *, level: float) -> int:
    """Answered items that promise `max_risk` if none of them is wrong: the least k with (1 - max_risk)^k <= 1 - level.

    Examples:
        >>> count_without_error(0.05, level=0.95)
        59
    """
    return math.ceil(math.log(1.0 - level) / math.log1p(-max_risk))


def _test_downwards(prefixes: _Prefixes, *, start: float, max_risk: float, level: float) -> tuple[float, int, int] | None:
    """Lowest threshold such that it and all others from the start down to it pass, with its answered items and errors."""
    above = int(np.searchsorted(-prefixes.threshold, -start, side="right"))
    if not above:
        return None  # no item reaches the start: its test cannot pass
    # The start answers what the last confidence from it upwards does.
    passed = p_values(prefixes.errors[above - 1 :], prefixes.answered[above - 1 :], max_risk=max_risk) <= 1.0 - level
    n_passed = int(np.argmin(np.append(passed, False)))
    if not n_passed:
        return None
    lowest = above + n_passed - 2
    threshold = start if n_passed == 1 else float(prefixes.threshold[lowest])
    return threshold, int(prefixes.answered[lowest]), int(prefixes.errors[lowest])


def _test_ranks(items: Items, *, max_risk: float, level: float) -> tuple[float, int, int] | None:
    """Threshold of most coverage that passes its share of 1 - level, with its answered items and errors."""
    n, least = len(items.correct), count_without_error(max_risk, level=level)
    ranks = [int(n / RANK_RATIO**j) for j in range(max(0, math.floor(math.log(max(n, 1) / least) / math.log(RANK_RATIO)) + 1))]
    prefixes = count_prefixes(items)
    for rank in ranks:
        whole = int(np.searchsorted(prefixes.answered, rank, side="right"))  # ties with the first item left out are left out
        if not whole:
            continue
        k, errors = prefixes.answered[whole - 1], prefixes.errors[whole - 1]
        if p_values(errors, k, max_risk=max_risk) <= (1.0 - level) / len(ranks):
            left_out = prefixes.threshold[whole] if whole < len(prefixes.threshold) else None
            return 0.0 if left_out is None else float(np.nextafter(left_out, 2.0)), int(k), int(errors)
    return None


def _describe(
    found: tuple[float, int, int] | None,
    tested: Items,
    *,
    method: str,
    max_risk: float,
    level: float,
    n_pilot: int,
    start: float | None,
) -> ThresholdGuarantee:
    n = len(tested.correct)
    needed = count_without_error(max_risk, level=level)
    least = 1.0 - (1.0 - level) ** (1.0 / n)
    threshold, answered, errors = found or (None, 0, 0)
    reason, items_needed = None, None
    if found is None:
        prefixes = count_prefixes(tested)
        items_needed = _estimate_items_needed(prefixes, max_risk=max_risk, level=level, total=n + n_pilot)
        reason = _explain_stop(prefixes, start=start, max_risk=max_risk, level=level) or _explain(
            prefixes, max_risk=max_risk, level=level, least=least, needed=needed, items_needed=items_needed
        )
    return ThresholdGuarantee(
        method="fixed_sequence" if method == "fixed_sequence" else "bonferroni",
        threshold=threshold,
        reason=reason,
        max_risk=max_risk,
        level=level,
        n=n,
        n_pilot=n_pilot,
        n_answered=answered,
        errors=errors,
        least_risk=least,
        items_without_error_needed=needed,
        items_needed=items_needed,
    )


def _explain_stop(prefixes: _Prefixes, *, start: float | None, max_risk: float, level: float) -> str | None:
    """Why nothing was found although some threshold would pass by itself; None where none would."""
    bounds = upper_bounds(prefixes.errors, prefixes.answered, level=level)
    if bounds.min() > max_risk:
        return None
    if start is None:
        best = int(np.argmin(bounds))
        return (
            f"no threshold can promise a risk of {max_risk:g} at level {level:g}: the best one by itself would, with "
            f"{prefixes.errors[best]} of {prefixes.answered[best]} answered wrong, but not as one of several that are tried; "
            "more calibration items may"
        )
    above = int(np.searchsorted(-prefixes.threshold, -start, side="right"))
    k, errors = (int(prefixes.answered[above - 1]), int(prefixes.errors[above - 1])) if above else (0, 0)
    return (
        f"no threshold can promise a risk of {max_risk:g} at level {level:g} in this order of tests: it starts at {start:.3g}, "
        f"where {errors} of {k} answered are wrong, and stops there; more calibration items, or the guarantee 'bonferroni', may "
        "find one"
    )


def _explain(prefixes: _Prefixes, *, max_risk: float, level: float, least: float, needed: int, items_needed: int | None) -> str:
    n = int(prefixes.answered[-1])
    if n < needed:
        return (
            f"{n} tested items cannot promise a risk of {max_risk:g} at level {level:g}: without any error they would promise "
            f"{least:.3g}; at least {needed} answered without an error are needed"
        )
    bounds = upper_bounds(prefixes.errors, prefixes.answered, level=level)
    best = int(np.argmin(bounds))
    seen = f"{prefixes.errors[best]} of {prefixes.answered[best]} answered are wrong, which bounds the risk by {bounds[best]:.3g}"
    outlook = (
        "no threshold has an error rate below it, so that more items alone will not help"
        if items_needed is None
        else f"about {items_needed} calibration items would be needed if error rates stay as they are"
    )
    return f"no threshold can promise a risk of {max_risk:g} at level {level:g}: at the best one {seen}; {outlook}"


def _estimate_items_needed(prefixes: _Prefixes, *, max_risk: float, level: float, total: int) -> int | None:
    """Calibration items at which the most promising threshold would pass its test, by the normal approximation."""
    from scipy.special import ndtri

    k = prefixes.answered
    rate = (prefixes.errors + 0.5) / (k + 1.0)
    useful = rate < max_risk
    if not useful.any():
        return None
    z = float(ndtri(level))
    answered_needed = z * z * max_risk * (1.0 - max_risk) / (max_risk - rate[useful]) ** 2
    answered_needed = np.maximum(answered_needed, count_without_error(max_risk, level=level))
    return max(total + 1, math.ceil(float(np.min(answered_needed / k[useful])) * total))


def _shuffle_one_of_each_group(items: Items, groups: Sequence[Any] | None, *, seed: int) -> Items:
    order = np.random.default_rng(seed).permutation(len(items.correct))
    if groups is not None:
        code = _encode_groups(groups, n=len(order))
        _, first = np.unique(code[order], return_index=True)
        order = order[np.sort(first)]
    return Items(items.confidence[order], items.correct[order])


def _encode_groups(groups: Sequence[Any], *, n: int) -> IntArray:
    if len(groups) != n:
        raise DataError(f"there are {n} confidences and {len(groups)} groups; give one group a confidence")
    return np.asarray(np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1], dtype=np.int64)


def _split(items: Items, n: int) -> tuple[Items, Items]:
    return Items(items.confidence[:n], items.correct[:n]), Items(items.confidence[n:], items.correct[n:])


def _some_items(confidence: ArrayLike, correct: ArrayLike) -> Items:
    items = check_items(confidence, correct)
    if not len(items.correct):
        raise DataError("no item has a confidence to choose a threshold by; give graded calibration items")
    return items


def _check_share(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise ConfigError(f"{name} must lie between 0 and 1, got {value}")
