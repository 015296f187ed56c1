"""Grading: is the answer right? One path for every system and every stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nescio.errors import ConfigError, DataError, describe_unknown
from nescio.grade.match import grade_by_match
from nescio.grade.samples import SAMPLE_GRADERS, SampleGrader, grade_samples, holds_gold
from nescio.records import Example, Grade, Prediction

__all__ = [
    "GRADERS",
    "SAMPLE_GRADERS",
    "Grader",
    "SampleGrader",
    "grade_predictions",
    "grade_samples",
    "holds_gold",
]

Grader = Callable[[Example, Prediction], Grade]

GRADERS: dict[str, Grader] = {"match": grade_by_match}


def grade_predictions(
    examples: Iterable[Example], predictions: Iterable[Prediction], *, grader: str | Grader = "match"
) -> list[Grade]:
    """Grade one prediction for each example.

    Args:
        examples: What was asked.
        predictions: In any order; matched by id.
        grader: A name in `GRADERS`, or a function of example and prediction.

    Returns:
        Grades in the order of the examples, one for each.

    Raises:
        ConfigError: The grader's name is unknown.
        DataError: Predictions and examples do not pair up one to one.
    """
    if isinstance(grader, str):
        if grader not in GRADERS:
            raise ConfigError(describe_unknown("grader", grader, GRADERS))
        grader = GRADERS[grader]
    by_id: dict[str, Prediction] = {}
    for prediction in predictions:
        if prediction.id in by_id:
            raise DataError(f"there are two predictions for '{prediction.id}'; give the predictions of one system")
        by_id[prediction.id] = prediction
    pairs = [(example, by_id.pop(example.id, None)) for example in examples]
    missing = [example.id for example, prediction in pairs if prediction is None]
    if missing or by_id:
        raise DataError(
            f"predictions and examples do not belong together: {len(missing)} examples have no prediction and {len(by_id)} "
            f"predictions no example (such as '{(missing or list(by_id))[0]}'); predict again on these examples"
        )
    return [grader(example, prediction) for example, prediction in pairs if prediction is not None]
