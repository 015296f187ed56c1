"""Decision metrics out of one confusion matrix.

Every function takes a matrix of shape (..., k, k + 1): rows are gold classes, columns the predicted ones, and the last
column holds items without a prediction. Leading axes are independent matrices, such as bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nescio.metrics.inputs import FloatArray, IntArray, divide


def confusion_matrix(gold: Sequence[Hashable], predicted: Sequence[Hashable | None], *, labels: Sequence[Hashable]) -> IntArray:
    """Count gold against predicted classes.

    Args:
        gold: The right class of each item.
        predicted: The predicted class of each item; None where there is no prediction.
        labels: The k classes, in the order of rows and columns.

    Returns:
        Counts, shape (k, k + 1); the last column counts the items without a prediction.

    Raises:
        ValueError: Lengths differ, or a class is not among the labels.

    Examples:
        >>> confusion_matrix(["a", "a", "b"], ["a", None, "a"], labels=["a", "b"]).tolist()
        [[1, 0, 1], [1, 0, 0]]
    """
    if len(gold) != len(predicted):
        raise ValueError(f"gold and predicted must have one length, got {len(gold)} and {len(predicted)}")
    column: dict[Hashable, int] = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels) + 1), dtype=np.int64)
    for right, said in zip(gold, predicted, strict=True):
        if right not in column or (said is not None and said not in column):
            raise ValueError(f"class {right if right not in column else said!r} is not among the labels {list(labels)}")
        counts[column[right], len(labels) if said is None else column[said]] += 1
    return counts


def precision(confusion: FloatArray | IntArray) -> FloatArray:
    """Share of right ones among the predictions of each class, in [0, 1], shape (..., k); NaN where never predicted."""
    return divide(_hits(confusion), confusion.sum(axis=-2)[..., :-1])


def recall(confusion: FloatArray | IntArray) -> FloatArray:
    """Share of each gold class that was predicted as such, in [0, 1], shape (..., k); NaN where the class is absent.

    An item without a prediction stays in the denominator.
    """
    return divide(_hits(confusion), confusion.sum(axis=-1))


def f1(confusion: FloatArray | IntArray) -> FloatArray:
    """Harmonic mean of precision and recall, in [0, 1], shape (..., k).

    Computed as 2 hits / (gold + predicted), which is 0 for a class that is never predicted (where precision alone is
    undefined) and NaN only for a class that is neither gold nor predicted.
    """
    return divide(2 * _hits(confusion), confusion.sum(axis=-1) + confusion.sum(axis=-2)[..., :-1])


def macro_f1(confusion: FloatArray | IntArray) -> FloatArray:
    """Unweighted mean of F1 over the classes that are gold or predicted at least once, in [0, 1], shape (...); NaN if none."""
    each = f1(confusion)
    return divide(np.nansum(each, axis=-1), (~np.isnan(each)).sum(axis=-1))


def accuracy(confusion: FloatArray | IntArray) -> FloatArray:
    """Share of items whose class was predicted, in [0, 1], shape (...); an item without a prediction is wrong; NaN if empty."""
    return divide(_hits(confusion).sum(axis=-1), confusion.sum(axis=(-2, -1)))


def _hits(confusion: FloatArray | IntArray) -> NDArray[Any]:
    return np.diagonal(confusion, axis1=-2, axis2=-1)
