"""How a confidence run's methods did: outcomes, promises and what became of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nescio.calibrate import Calibration
from nescio.errors import DataError
from nescio.evaluate_confidence import CONSTANT, MISSING
from nescio.pipeline.confidence.files import (
    ConfidenceRun,
    greedy_right,
    judged_grades,
    run_confidences,
    run_grades,
    run_questions,
)
from nescio.records import Confidence, ConfidenceOutcome, Question
from nescio.store import read_json

if TYPE_CHECKING:
    from nescio.confidence.thresholds import ThresholdGuarantee


def promise(
    run: ConfidenceRun, questions: Sequence[Question], stated: Sequence[Confidence], right: Mapping[str, bool], method: str
) -> ThresholdGuarantee:
    """The threshold of a method's raw confidence that keeps the run's promise; an answer without a confidence is not given."""
    from nescio.confidence.thresholds import guarantee_threshold

    group = {question.id: question.group for question in questions}
    rows = [row for row in stated if row.method == method and row.question_id in right]
    return guarantee_threshold(
        [0.0 if row.confidence is None else row.confidence for row in rows],
        [right[row.question_id] for row in rows],
        max_risk=run.config.calibrate.max_risk,
        level=run.config.calibrate.level,
        method=run.config.calibrate.guarantee,
        groups=[group[row.question_id] for row in rows],
        seed=run.config.seed,
    )


def make_outcomes(run: ConfidenceRun, part: str, fitted: Mapping[str, Calibration]) -> list[ConfidenceOutcome]:
    """What each method says of each graded greedy answer of a part."""
    right = greedy_right(judged_grades(run, part))
    stated: dict[str, dict[str, float | None]] = defaultdict(dict)
    for row in run_confidences(run, part):
        stated[row.question_id][row.method] = row.confidence
    priors = {method: one.prior for method, one in fitted.items()}
    prior = next((one for one in priors.values() if one is not None), MISSING)
    made = []
    for question in run_questions(run, part):
        if question.id not in right:
            continue
        raw: dict[str, float | None] = {**stated[question.id], CONSTANT: prior}
        calibrated = {
            method: prior if value is None else float(fitted[method].calibrator.apply([value])[0]) if method in fitted else value
            for method, value in raw.items()
        }
        made.append(
            ConfidenceOutcome(
                question_id=question.id, group=question.group, right=right[question.id], raw=raw, calibrated=calibrated
            )
        )
    return made


def accuracy_kept(run: ConfidenceRun, outcomes: Mapping[str, Sequence[ConfidenceOutcome]]) -> dict[str, Any]:
    """Accuracy of the trained model's own answers less that of the untrained model's, place by place, paired."""
    from nescio.evaluate_confidence import differ_confidences

    alone, before = {}, {}
    for name, rows in outcomes.items():
        right = greedy_right(run_grades(run, f"test.{name}"))
        paired = [row for row in rows if row.question_id in right]
        constant = [row.model_copy(update={k: {CONSTANT: MISSING} for k in ("raw", "calibrated")}) for row in paired]
        alone[name] = constant
        before[name] = [row.model_copy(update={"right": right[row.question_id]}) for row in constant]
    told = differ_confidences(
        alone,
        CONSTANT,
        before,
        CONSTANT,
        in_distribution=run.config.questions.in_distribution,
        n_resamples=run.config.evaluate.resamples,
        seed=run.config.seed,
    )
    return {place: metrics["accuracy"] for place, metrics in told.items()}


def refuse_calibrated_questions(outcomes: Mapping[str, Sequence[ConfidenceOutcome]], fitted: Mapping[str, Calibration]) -> None:
    """Stop where a calibrator has seen a question that it is to be judged on.

    Raises:
        DataError: It has.
    """
    seen = {question_id for one in fitted.values() for question_id in one.question_ids}
    for name, rows in outcomes.items():
        leaked = next((row.question_id for row in rows if row.question_id in seen), None)
        if leaked is not None:
            raise DataError(f"question '{leaked}' of set '{name}' was calibrated on; keep the sets apart")


def describe_thresholds(run: ConfidenceRun, outcomes: Mapping[str, Sequence[ConfidenceOutcome]]) -> dict[str, Any]:
    """What each method's promised threshold does on each test set, and on all of one side together."""
    from nescio.confidence.thresholds import realised

    inside = run.config.questions.in_distribution
    places = {
        "in_distribution": [row for name in inside for row in outcomes[name]],
        "held_out": [row for name, rows in outcomes.items() if name not in inside for row in rows],
        **outcomes,
    }
    told = {}
    for method, guarantee in read_json(run.folder / "thresholds.json").items():
        done = {
            place: realised(
                guarantee["threshold"], [row.raw[method] or 0.0 for row in rows], [float(row.right) for row in rows]
            )._asdict()
            for place, rows in places.items()
            if rows
        }
        told[method] = {"guarantee": guarantee, "realised": {place: _without_nan(each) for place, each in done.items()}}
    return told


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}
