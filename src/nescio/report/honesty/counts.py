"""What the page counts for itself: shares by obscurity and by samples."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nescio.metrics.inputs import FloatArray, IntArray
from nescio.records import Outcome
from nescio.report.honesty.content import GradedSample

RESPONSES = ("correct", "wrong", "idk", "ungraded")
CORRECT, WRONG, IDK, UNGRADED = range(4)
SAMPLE_BINS = ("0", "1–20", "21–40", "41–60", "61–80", "81–99", "100")
"""Per cent of the samples. The ends stand alone: recipes draw their borders at no right sample and at all of them."""
Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


class Rows(NamedTuple):
    """Outcomes as arrays of shape (n,)."""

    before: IntArray
    """An index into RESPONSES."""
    after: IntArray
    """An index into RESPONSES."""
    knowledge: FloatArray
    """Share of the graded samples that is right, in [0, 1]; NaN where there is none."""
    obscurity: FloatArray
    """In [0, 1]; NaN where the source has no measure."""
    unanswerable: NDArray[np.bool_]
    """Nobody can answer the question."""
    group: IntArray
    """Number of the group."""

    def keep(self, chosen: NDArray[np.bool_]) -> Rows:
        """Some of the outcomes."""
        return Rows._make(array[chosen] for array in self)


class Share(NamedTuple):
    """A share with its 95 % interval."""

    value: float
    """In [0, 1]; NaN where n is 0."""
    n: int
    """Questions."""
    low: float
    high: float


class Bin(NamedTuple):
    """What became of the questions of one bin."""

    name: str
    known: Share
    """Share of right samples before training; where no samples were drawn, of right greedy answers."""
    greedy_right: Share
    """Greedy answer right before training."""
    right: Share
    """Answered rightly after training, of the graded."""
    wrong: Share
    refused: Share


def gather_rows(outcomes: Sequence[Outcome]) -> Rows:
    """Turn outcomes into arrays."""
    return Rows(
        before=np.array([RESPONSES.index(row.before) for row in outcomes], dtype=np.int64),
        after=np.array([RESPONSES.index(row.after) for row in outcomes], dtype=np.int64),
        knowledge=np.array([row.right / row.graded if row.right is not None and row.graded else np.nan for row in outcomes]),
        obscurity=np.array([np.nan if row.obscurity is None else row.obscurity for row in outcomes], dtype=np.float64),
        unanswerable=np.array([row.answerable is False for row in outcomes], dtype=np.bool_),
        group=np.unique([row.group for row in outcomes], return_inverse=True)[1].astype(np.int64),
    )


def wilson_interval(share: float, n: float) -> tuple[float, float]:
    """95 % interval of a share of n trials; NaN where there is no trial.

    Examples:
        >>> [round(side, 3) for side in wilson_interval(0.0, 10)]
        [0.0, 0.278]

    References:
        E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    if not n:
        return math.nan, math.nan
    centre, spread = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    # Rounding must not push the value out of its own interval at 0 and 1.
    return min(max((centre - spread) / scale, 0.0), share), max(min((centre + spread) / scale, 1.0), share)


def take_share(values: FloatArray, group: IntArray) -> Share:
    """Mean of values in [0, 1], those that are NaN left out, with a Wilson interval.

    Each group counts as one trial, as if its questions were answered all alike: the interval is rather too wide than too
    narrow. For shares such as k of n samples it is wide for the same reason: no share varies more than an event does.
    """
    defined = ~np.isnan(values)
    n = int(defined.sum())
    if not n:
        return Share(math.nan, 0, math.nan, math.nan)
    value = float(values[defined].mean())
    return Share(value, n, *wilson_interval(value, len(np.unique(group[defined]))))


def describe_bin(name: str, rows: Rows) -> Bin:
    """Shares of the questions of one bin; ungraded responses are in no share."""
    graded_after = rows.after != UNGRADED

    def share_after(code: int) -> Share:
        return take_share(np.where(graded_after, rows.after == code, np.nan), rows.group)

    greedy = np.where(rows.before != UNGRADED, rows.before == CORRECT, np.nan)
    known = take_share(rows.knowledge, rows.group)
    right, wrong, refused = (share_after(code) for code in (CORRECT, WRONG, IDK))
    return Bin(name, known if known.n else take_share(greedy, rows.group), take_share(greedy, rows.group), right, wrong, refused)


def bin_by_obscurity(rows: Rows, *, n_bins: int = 10) -> list[Bin]:
    """Shares in bins of equal width of obscurity, best known first; unanswerable questions and unmeasured ones left out."""
    chosen = rows.keep(~np.isnan(rows.obscurity) & ~rows.unanswerable)
    place = np.minimum((chosen.obscurity * n_bins).astype(np.int64), n_bins - 1)
    return [describe_bin(str(index + 1), chosen.keep(place == index)) for index in range(n_bins)]


def bin_by_samples(rows: Rows, share: FloatArray) -> list[Bin]:
    """Shares in the bins of SAMPLE_BINS.

    Args:
        rows: Outcomes.
        share: Of samples, in [0, 1]; NaN leaves the question out. Shape (n,).
    """
    defined = ~np.isnan(share)
    inner = np.clip(np.ceil(np.where(defined, share, 0.0) * 5 - 1e-9), 1, 5)
    place = np.where(share <= 0, 0, np.where(share >= 1, 6, inner))
    return [describe_bin(name, rows.keep(defined & (place == index))) for index, name in enumerate(SAMPLE_BINS)]


def measure_agreement(outcomes: Sequence[Outcome], samples: Mapping[str, Sequence[GradedSample]]) -> FloatArray:
    """Share of the drawn samples that say the same as the greedy answer, shape (n,); NaN where there is nothing to compare.

    Answers are the same when their words are, whatever the case and the punctuation. No gold answer is needed.
    """
    return np.array([_agree(samples.get(row.question_id, ())) for row in outcomes], dtype=np.float64)


def _agree(samples: Sequence[GradedSample]) -> float:
    greedy = [_fold(sample.text) for sample in samples if sample.index == 0]
    drawn = [_fold(sample.text) for sample in samples if sample.index > 0]
    return drawn.count(greedy[0]) / len(drawn) if greedy and drawn else math.nan


def _fold(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
