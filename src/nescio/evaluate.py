"""The evaluate stage: every metric of every system with a 95 % interval, and the paired differences (docs/metrics.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from nescio.confidence.calibrators import Calibrator
from nescio.errors import DataError, describe_unknown
from nescio.metrics import calibration_noise_floor, percentile_interval
from nescio.metrics.calibration import NLL_CLIP, count_clipped
from nescio.metrics.inputs import FloatArray
from nescio.metrics.scorecard import COLUMNS, CONFIDENCE_METRICS, FAILED, Outcomes, Scores, score_outcomes
from nescio.records import DECISIONS, Example, Grade, Prediction, answering_is_right

FAILED_CONFIDENCE = 0.5
"""What an item without a confidence enters the confidence metrics with: it knows nothing, and pays for it."""
LEVEL = 0.95
"""Share of the resamples inside an interval."""

WHY_UNDEFINED = {
    "precision": "the decision was never taken",
    "recall": "no question has this right decision",
    "f1": "the decision is neither right nor taken on any question",
    "false_confidence_rate": "no question was answered",
    "hallucination_rate": "no question has the right decision 'refuse'",
    "over_refusal_rate": "no question has the right decision 'correct'",
    "answer_accuracy": "no question has the right decision 'correct'",
    "auroc": "answering would have been right on all questions or on none",
    "twin_accuracy": "no group has exactly two questions",
}


def evaluate_systems(
    examples: Sequence[Example],
    predictions: Mapping[str, Sequence[Prediction]],
    grades: Mapping[str, Sequence[Grade]],
    *,
    calibrations: Mapping[str, Calibrator] | None = None,
    seen_ids: Collection[str] = (),
    pairs: Sequence[tuple[str, str]] = (),
    n_resamples: int = 1000,
    n_bins: int = 10,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure systems on the same questions.

    Args:
        examples: The test split.
        predictions: System -> one prediction an example, in any order.
        grades: System -> one grade an example, in any order.
        calibrations: System -> calibrator of its confidence; a system without one keeps its raw confidence.
        seen_ids: Questions that training or calibration used.
        pairs: (a, b) for the paired difference a minus b.
        n_resamples: Bootstrap resamples of groups, the same ones for all systems.
        n_bins: Bins of the calibration errors.
        seed: Of the resamples and of the noise floor.

    Returns:
        `systems`, `paired` and `settings`, ready for JSON; an undefined metric has value None and a reason.

    Raises:
        DataError: There are no examples; an id is repeated, missing, extra or was seen before; a system is unknown or ungraded.
    """
    calibrations = calibrations or {}
    _check_systems(predictions, grades, named=[*calibrations, *(name for pair in pairs for name in pair)])
    _check_questions(examples, predictions, grades, seen_ids=seen_ids)
    options = {"n_resamples": n_resamples, "n_bins": n_bins, "seed": seed}
    patterns = np.array([example.pattern for example in examples])
    systems: dict[str, Any] = {}
    scores: dict[str, Scores] = {}
    for name, said in predictions.items():
        outcomes = gather_outcomes(examples, said, grades[name], calibrator=calibrations.get(name))
        parts = {str(pattern): outcomes.keep(patterns == pattern) for pattern in np.unique(patterns)}
        scores[name] = score_outcomes(outcomes, **options)
        systems[name] = _describe_scores(scores[name]) | {
            "confusion": _describe_confusion(outcomes),
            "counts": _count_items(outcomes, grades[name]),
            "noise_floor": _describe_noise_floor(outcomes, n_bins=n_bins, seed=seed),
            "patterns": {pattern: _describe_scores(score_outcomes(part, **options)) for pattern, part in parts.items()},
        }
    return {
        "systems": systems,
        "paired": {f"{a}-{b}": _describe_differences(a, b, scores) for a, b in pairs},
        "settings": options | _describe_settings(examples, calibrations),
    }


def gather_outcomes(
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    grades: Sequence[Grade],
    *,
    calibrator: Calibrator | None = None,
) -> Outcomes:
    """Turn records into arrays, in the order of the examples.

    A failed item, or one without a confidence, gets FAILED_CONFIDENCE before and after calibration.
    """
    prediction_of, grade_of = {row.id: row for row in predictions}, {row.id: row for row in grades}
    said = [prediction_of[example.id] for example in examples]
    confidences = [None if row.decision is None else row.confidence for row in said]
    stated = np.array([confidence is not None for confidence in confidences])
    raw = np.array([FAILED_CONFIDENCE if confidence is None else confidence for confidence in confidences])
    calibrated = raw if calibrator is None else np.where(stated, calibrator.apply(raw), FAILED_CONFIDENCE)
    return Outcomes(
        gold=np.array([DECISIONS.index(example.decision) for example in examples]),
        predicted=np.array([FAILED if row.decision is None else DECISIONS.index(row.decision) for row in said]),
        right=np.array([float(answering_is_right(example, grade_of[example.id])) for example in examples]),
        raw=raw,
        confidence=calibrated,
        stated=stated,
        group=np.unique([example.group for example in examples], return_inverse=True)[1],
    )


def _describe_scores(scores: Scores) -> dict[str, Any]:
    return {
        name: _describe(value, scores.n[name], scores.resampled[name], n_groups=scores.n_groups, why=_explain(name, scores))
        for name, value in scores.value.items()
    }


def _describe_differences(a: str, b: str, scores: Mapping[str, Scores]) -> dict[str, Any]:
    """Every metric of a minus that of b on the same resamples; n is the smaller of the two denominators."""
    entries = {}
    for name, value in scores[a].value.items():
        undefined = [system for system in (a, b) if np.isnan(scores[system].value[name])]
        why = "; ".join(f"{system}: {_explain(name, scores[system])}" for system in undefined)
        n = min(scores[a].n[name], scores[b].n[name])
        resampled = scores[a].resampled[name] - scores[b].resampled[name]
        entries[name] = _describe(value - scores[b].value[name], n, resampled, n_groups=scores[a].n_groups, why=why)
    return entries


def _describe(value: float, n: int, resampled: FloatArray, *, n_groups: int, why: str) -> dict[str, Any]:
    """One metric as JSON; NaN becomes None with a reason."""
    low, high, n_undefined = percentile_interval(resampled, level=LEVEL)
    entry: dict[str, Any] = {"value": value, "n": n, "low": low, "high": high}
    if np.isnan(value):
        return entry | {"value": None, "low": None, "high": None, "reason": why}
    if n_undefined:
        entry["undefined_resamples"] = n_undefined
    if n_groups == 1:
        return entry | {"low": None, "high": None, "reason": "a single group gives no interval"}
    if np.isnan(low):
        return entry | {"low": None, "high": None, "reason": f"undefined in {n_undefined} of {len(resampled)} resamples"}
    return entry


def _explain(name: str, scores: Scores) -> str:
    """Why a metric is undefined, if it is."""
    if name in CONFIDENCE_METRICS and scores.n[name] == 0:
        return "no question has a confidence"
    return WHY_UNDEFINED.get(name) or WHY_UNDEFINED.get(name.partition("_")[0], "")


def _describe_confusion(outcomes: Outcomes) -> dict[str, dict[str, int]]:
    """Counts by right decision, then by decision taken."""
    cells = np.bincount(outcomes.gold * len(COLUMNS) + outcomes.predicted, minlength=len(DECISIONS) * len(COLUMNS))
    rows = cells.reshape(len(DECISIONS), len(COLUMNS)).tolist()
    return {gold: dict(zip(COLUMNS, row, strict=True)) for gold, row in zip(DECISIONS, rows, strict=True)}


def _count_items(outcomes: Outcomes, grades: Sequence[Grade]) -> dict[str, int]:
    return {
        "items": len(outcomes.gold),
        "failed": int(np.count_nonzero(outcomes.predicted == FAILED)),
        "without_confidence": int(np.count_nonzero(~outcomes.stated)),
        "ungraded": sum(grade.verdict == "ungraded" for grade in grades),
        "nll_clipped": count_clipped(outcomes.confidence),
    }


def _describe_noise_floor(outcomes: Outcomes, *, n_bins: int, seed: int) -> dict[str, Any]:
    if not outcomes.stated.any():
        return {"mean": None, "q95": None, "reason": "no question has a confidence"}
    return calibration_noise_floor(outcomes.confidence, n_bins=n_bins, seed=seed)._asdict()


def _describe_settings(examples: Sequence[Example], calibrations: Mapping[str, Calibrator]) -> dict[str, Any]:
    return {
        "level": LEVEL,
        "n_items": len(examples),
        "n_groups": len({example.group for example in examples}),
        "failed_confidence": FAILED_CONFIDENCE,
        "nll_clip": NLL_CLIP,
        "calibrators": {name: calibrator.model_dump() for name, calibrator in calibrations.items()},
    }


def _check_systems(predictions: Mapping[str, Any], grades: Mapping[str, Any], *, named: Sequence[str]) -> None:
    for name in named:
        if name not in predictions:
            raise DataError(describe_unknown("system", name, predictions))
    for name in predictions:
        if name not in grades:
            raise DataError(f"system '{name}' has predictions but no grades; grade them first")


def _check_questions(
    examples: Sequence[Example],
    predictions: Mapping[str, Sequence[Prediction]],
    grades: Mapping[str, Sequence[Grade]],
    *,
    seen_ids: Collection[str],
) -> None:
    if not examples:
        raise DataError("there are no examples to evaluate; give a test split with at least one question")
    ids = [example.id for example in examples]
    _refuse_repeats(ids, what="the examples")
    seen = set(seen_ids)
    leaked = [one for one in ids if one in seen]
    if leaked:
        raise DataError(f"training or calibration saw question '{leaked[0]}' ({len(leaked)} such); evaluate on other questions")
    for name, said in predictions.items():
        _check_ids(ids, [row.id for row in said], what=f"predictions of system '{name}'")
        _check_ids(ids, [row.id for row in grades[name]], what=f"grades of system '{name}'")


def _check_ids(expected: Sequence[str], got: Sequence[str], *, what: str) -> None:
    known, seen = set(expected), set(got)
    missing = [one for one in expected if one not in seen]
    if missing:
        raise DataError(f"{what}: question '{missing[0]}' is missing ({len(missing)} such); cover the whole test split")
    extra = [one for one in got if one not in known]
    if extra:
        raise DataError(f"{what}: '{extra[0]}' is no question of the test split ({len(extra)} such); use matching files")
    _refuse_repeats(got, what=what)


def _refuse_repeats(ids: Sequence[str], *, what: str) -> None:
    repeated = [one for one, times in Counter(ids).items() if times > 1]
    if repeated:
        raise DataError(f"{what}: id '{repeated[0]}' occurs more than once; keep one row a question")
