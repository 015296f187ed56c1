"""All metrics of one system at once: the quick weighted forms against the plain functions on repeated items."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from nescio import metrics
from nescio.metrics import scorecard
from nescio.metrics.scorecard import CONFIDENCE_METRICS, CORRECT, FAILED, METRICS, REFUSE, Outcomes, score_outcomes


def random_outcomes(*, n=60, seed=0, levels=None):
    """Twins, with some failed items; on request with tied confidences."""
    generator = np.random.default_rng(seed)
    gold, predicted = generator.integers(0, 3, n), generator.integers(0, 4, n)
    raw = generator.random(n) if levels is None else generator.integers(0, levels + 1, n) / levels
    return Outcomes(
        gold=gold,
        predicted=predicted,
        right=((gold == CORRECT) & (generator.random(n) < 0.7)).astype(float),
        raw=raw,
        confidence=raw**2,
        stated=predicted != FAILED,
        group=np.arange(n) // 2,
    )


def plain_metrics(outcomes):
    """Every metric from the plain functions or from its definition, one at a time."""
    gold, predicted, right, raw, confidence, _, _ = outcomes
    answered = predicted == CORRECT
    matrix = np.zeros((3, 4), dtype=int)
    np.add.at(matrix, (gold, predicted), 1)
    expected = {
        "decision_accuracy": np.mean(gold == predicted),
        "macro_f1": f1_score(gold, predicted, labels=[0, 1, 2], average="macro"),
        "answer_rate": np.mean(answered),
        "uncertainty_rate": np.mean(predicted == 1),
        "refusal_rate": np.mean(predicted == REFUSE),
        "false_confidence_rate": np.mean(1 - right[answered]),
        "hallucination_rate": np.mean(answered[gold == REFUSE]),
        "over_refusal_rate": np.mean(predicted[gold == CORRECT] == REFUSE),
        "answer_accuracy": np.mean((answered & (right == 1))[gold == CORRECT]),
        "ece": metrics.expected_calibration_error(confidence, right),
        "ece_equal_mass": metrics.expected_calibration_error_equal_mass(confidence, right),
        "ece_debiased": metrics.expected_calibration_error_debiased(confidence, right),
        "brier": metrics.brier_score(confidence, right),
        "nll": metrics.negative_log_likelihood(confidence, right).value,
        "auroc": roc_auc_score(right, confidence),
        "aurc": metrics.area_under_risk_coverage(confidence, right),
        "e_aurc": metrics.excess_aurc(confidence, right),
        "ece_raw": metrics.expected_calibration_error(raw, right),
        "brier_raw": metrics.brier_score(raw, right),
        "nll_raw": metrics.negative_log_likelihood(raw, right).value,
    }
    for name in ("precision", "recall", "f1"):
        for decision, value in zip(("correct", "uncertain", "refuse"), getattr(metrics, name)(matrix), strict=True):
            expected[f"{name}_{decision}"] = value
    return expected


@pytest.mark.parametrize("levels", [None, 3])
def test_every_resample_equals_the_plain_metrics_on_the_repeated_items(levels):
    """Weighing sorted items gives, for each metric and resample, what copying the drawn items would give."""
    outcomes = random_outcomes(levels=levels)
    scores = score_outcomes(outcomes, n_resamples=20, seed=5)
    counts = next(metrics.resample_counts(30, n_resamples=20, seed=5, rows=20))
    both_right = [np.mean(pair) == 1 for pair in np.split(outcomes.gold == outcomes.predicted, 30)]

    for r, count in enumerate(counts):
        times = count[outcomes.group]
        repeated = Outcomes(*(np.repeat(array, times) for array in outcomes))
        expected = plain_metrics(repeated) | {"twin_accuracy": count @ np.array(both_right) / 30}
        got = {name: values[r] for name, values in scores.resampled.items()}
        assert got == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("levels", [None, 3])
def test_measured_values_equal_the_plain_metrics(levels):
    """Without resampling, the scorecard is the plain functions side by side, in the documented order."""
    outcomes = random_outcomes(levels=levels)
    scores = score_outcomes(outcomes, n_resamples=1)
    both_right = [np.mean(pair) == 1 for pair in np.split(outcomes.gold == outcomes.predicted, 30)]

    assert scores.value == pytest.approx(plain_metrics(outcomes) | {"twin_accuracy": np.mean(both_right)}, abs=1e-9)
    assert tuple(scores.value) == tuple(scores.n) == tuple(scores.resampled) == METRICS


def test_equal_seeds_give_equal_resamples_and_other_seeds_others():
    """Scores of two systems can be paired because the seed alone fixes the resamples."""
    outcomes = random_outcomes()
    first, again, other = (score_outcomes(outcomes, n_resamples=50, seed=seed).resampled["nll"] for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_results_do_not_depend_on_the_chunk(monkeypatch):
    """Holding one resample at a time changes no number."""
    whole = score_outcomes(random_outcomes(), n_resamples=30)
    monkeypatch.setattr(scorecard, "CHUNK", 1)
    single = score_outcomes(random_outcomes(), n_resamples=30)

    for name in METRICS:
        assert single.resampled[name] == pytest.approx(whole.resampled[name], nan_ok=True)


def test_confidence_metrics_are_undefined_where_no_confidence_was_stated():
    """A system that states no confidence gets no calibration error for its stand-ins, and keeps its decision metrics."""
    outcomes = random_outcomes()._replace(stated=np.zeros(60, dtype=bool))
    scores = score_outcomes(outcomes, n_resamples=5)

    assert all(np.isnan(scores.value[name]) and scores.n[name] == 0 for name in CONFIDENCE_METRICS)
    assert all(np.isnan(scores.resampled[name]).all() for name in CONFIDENCE_METRICS)
    assert not np.isnan(scores.value["decision_accuracy"])


def test_keeping_a_part_numbers_its_groups_anew():
    """Groups that are left out leave no empty group behind, which a resample could draw."""
    outcomes = random_outcomes(n=8)
    part = outcomes.keep(np.array([False, False, True, True, False, False, True, False]))

    assert part.group.tolist() == [0, 0, 1]
    assert part.raw.tolist() == outcomes.raw[[2, 3, 6]].tolist()
