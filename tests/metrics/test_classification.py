"""Confusion matrix and what is read off it."""

import numpy as np
import pytest
from sklearn import metrics as reference

from nescio.metrics import accuracy, confusion_matrix, f1, macro_f1, precision, recall

LABELS = ["a", "b", "c"]


def random_classes(*, seed, n=300, failed=False):
    """Gold and predicted classes, on request with missing predictions."""
    generator = np.random.default_rng(seed)
    names = [*LABELS, None] if failed else LABELS
    gold = [LABELS[k] for k in generator.integers(0, 3, n)]
    return gold, [names[k] for k in generator.integers(0, len(names), n)]


def test_confusion_matrix_counts_gold_by_predicted_with_a_last_column_for_none():
    """Rows are gold, columns predicted, and an item without a prediction is kept."""
    matrix = confusion_matrix(["a", "a", "b", "c", "c"], ["a", "b", None, "c", "a"], labels=LABELS)

    assert matrix.tolist() == [[1, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0]]


@pytest.mark.parametrize("seed", range(3))
def test_all_metrics_agree_with_scikit_learn(seed):
    """Precision, recall, F1, macro-F1 and accuracy are those of scikit-learn."""
    gold, predicted = random_classes(seed=seed)
    matrix = confusion_matrix(gold, predicted, labels=LABELS)
    expected = reference.precision_recall_fscore_support(gold, predicted, labels=LABELS)

    assert matrix[:, :-1].tolist() == reference.confusion_matrix(gold, predicted, labels=LABELS).tolist()
    assert precision(matrix) == pytest.approx(expected[0])
    assert recall(matrix) == pytest.approx(expected[1])
    assert f1(matrix) == pytest.approx(expected[2])
    assert macro_f1(matrix) == pytest.approx(reference.f1_score(gold, predicted, average="macro"))
    assert accuracy(matrix) == pytest.approx(reference.accuracy_score(gold, predicted))


def test_an_item_without_prediction_is_wrong_in_recall_and_accuracy_but_not_in_precision():
    """A failure stays in the denominators of its gold class and of all items."""
    matrix = confusion_matrix(["a", "a", "a", "b"], ["a", "a", None, "b"], labels=["a", "b"])

    assert recall(matrix).tolist() == [2 / 3, 1.0]
    assert precision(matrix).tolist() == [1.0, 1.0]
    assert accuracy(matrix) == 3 / 4
    # 2 * 2 / (3 gold + 2 predicted)
    assert f1(matrix)[0] == pytest.approx(4 / 5)


def test_undefined_is_nan_and_never_predicted_has_f1_zero():
    """Precision of a class never predicted, and everything of a class never seen, is NaN; its F1 is 0 only if it is gold."""
    matrix = confusion_matrix(["a", "b"], ["a", "a"], labels=LABELS)

    assert np.isnan(precision(matrix)).tolist() == [False, True, True]
    assert np.isnan(recall(matrix)).tolist() == [False, False, True]
    assert f1(matrix)[:2] == pytest.approx([2 / 3, 0.0])
    assert np.isnan(f1(matrix)[2])
    # The class that is neither gold nor predicted is left out: (2/3 + 0) / 2.
    assert macro_f1(matrix) == pytest.approx(1 / 3)


def test_nothing_at_all_is_nan():
    """An empty matrix has no accuracy and no F1."""
    matrix = confusion_matrix([], [], labels=LABELS)

    assert np.isnan(accuracy(matrix))
    assert np.isnan(macro_f1(matrix))


def test_leading_axes_are_independent_matrices():
    """A stack of matrices gives the same numbers as each matrix alone."""
    matrices = [confusion_matrix(*random_classes(seed=seed, failed=True), labels=LABELS) for seed in range(4)]
    stacked = np.stack(matrices)

    for metric in (accuracy, macro_f1, precision, recall, f1):
        assert metric(stacked) == pytest.approx(np.stack([metric(matrix) for matrix in matrices]))


def test_unknown_classes_and_unequal_lengths_raise():
    """A class outside the labels is an error, not a fourth column."""
    with pytest.raises(ValueError, match="class 'x' is not among the labels"):
        confusion_matrix(["a"], ["x"], labels=LABELS)
    with pytest.raises(ValueError, match="class 'x' is not among the labels"):
        confusion_matrix(["x"], [None], labels=LABELS)
    with pytest.raises(ValueError, match="one length, got 1 and 2"):
        confusion_matrix(["a"], ["a", "b"], labels=LABELS)
