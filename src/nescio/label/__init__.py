"""Labelling: what a model is to learn of each question, out of what it said and how that was graded (docs/labels.md)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeVar

from nescio.errors import ConfigError, DataError, describe_unknown
from nescio.label.choose import choose_questions
from nescio.label.evidence import weigh_evidence
from nescio.label.recipes import (
    LeftOut,
    Recipe,
    absolute,
    confidence_num,
    confidence_verb,
    decision,
    fine_tuned,
    idk,
    multisample,
    prompt_based,
    r_tuning,
    r_tuning_refusal,
)
from nescio.records import Label, Question, Sample, SampleGrade

RECIPES: dict[str, Recipe] = {
    "absolute": absolute,
    "confidence_num": confidence_num,
    "confidence_verb": confidence_verb,
    "multisample": multisample,
    "fine_tuned": fine_tuned,
    "prompt_based": prompt_based,
    "r_tuning": r_tuning,
    "r_tuning_refusal": r_tuning_refusal,
    "idk": idk,
    "decision": decision,
}
TAKE_THRESHOLD = ("absolute", "idk", "decision")
"""Recipes that a threshold can be given to."""

S = TypeVar("S", Sample, SampleGrade)


class LabelResult(NamedTuple):
    """Rows to learn, and what became of every question."""

    labels: list[Label]
    """In the order of the questions."""
    counts: dict[str, int]
    """`questions`, of which `known`, `unknown`, `undetermined` and each `left out: <reason>` sum up to all; then `rows`,
    `ungraded samples` and `samples of other questions`."""


def label_questions(
    questions: Sequence[Question],
    samples: Iterable[Sample],
    grades: Iterable[SampleGrade],
    *,
    recipe: str,
    threshold: float | None = None,
    balance: float | None = 0.5,
    limit: int | None = None,
    weight: Literal["none", "samples"] = "none",
    merge: bool = True,
    seed: int = 0,
) -> LabelResult:
    """Make training rows of questions by a recipe.

    A question is *known* if the greedy answer is right, whatever the recipe, and *undetermined* if that has no grade.

    Args:
        questions: What was asked.
        samples: Of these questions, in any order; those of other questions are counted and not used.
        grades: Of these samples, in any order.
        recipe: A name in `RECIPES`.
        threshold: Border of the expected accuracy, in (0, 1], for recipes that have one; None is the recipe's own.
        balance: Share of known questions, in (0, 1), the paper's by default; None keeps every question.
        limit: Most questions to keep.
        weight: `samples` weighs a row by 1 less the width of its accuracy's Wilson interval, scaled to a mean of 1: a label
            that rests on few samples, or on samples that disagree, counts for less.
        merge: Make equal rows of a question one row of their common weight; the sum of the losses stays the same.
        seed: Chooses the questions.

    Raises:
        ConfigError: The recipe is unknown, or an option is out of range or not the recipe's.
        DataError: Questions, samples and grades do not belong together, or the balance leaves no question.
    """
    _check_options(recipe, threshold=threshold, balance=balance, limit=limit, weight=weight)
    options = {} if threshold is None else {"threshold": threshold}
    answers, others = _join(questions, samples, grades)
    made: dict[str, list[Label]] = {}
    known: dict[str, bool | None] = {}
    left_out: Counter[str] = Counter()
    for question in questions:
        result = RECIPES[recipe](question, *answers[question.id], **options)
        if isinstance(result, LeftOut):
            left_out[result.reason] += 1
        else:
            made[question.id] = result
            known[question.id] = weigh_evidence(question, *answers[question.id]).known
    reasons = choose_questions(known, balance=balance, limit=limit, seed=seed)
    kept = [id for id in made if reasons[id] is None]
    if made and not kept:
        raise DataError(_explain_nothing_left(known, balance))
    left_out.update(reason for reason in reasons.values() if reason is not None)
    labels = [label for id in kept for label in (merge_rows(made[id]) if merge else made[id])]
    sides = Counter(known[id] for id in kept)
    counts = {
        "questions": len(questions),
        "known": sides[True],
        "unknown": sides[False],
        "undetermined": sides[None],
        **{f"left out: {reason}": count for reason, count in sorted(left_out.items())},
        "rows": len(labels),
        "ungraded samples": sum(_count_ungraded(question, *answers[question.id]) for question in questions),
        "samples of other questions": others,
    }
    return LabelResult(_weigh_by_samples(labels) if weight == "samples" else labels, counts)


def merge_rows(labels: Sequence[Label]) -> list[Label]:
    """Make rows of one question with equal targets one row, under the first one's id, of their common weight."""
    merged: dict[str, Label] = {}
    for label in labels:
        first = merged.get(label.target)
        merged[label.target] = first.model_copy(update={"weight": first.weight + label.weight}) if first else label
    return list(merged.values())


def _weigh_by_samples(labels: Sequence[Label]) -> list[Label]:
    sureness = [1 - (label.interval[1] - label.interval[0]) if label.interval else None for label in labels]
    told = [value for value in sureness if value is not None]
    mean = sum(told) / len(told) if told else 1.0
    return [
        label.model_copy(update={"weight": label.weight * (1.0 if value is None else value / mean)})
        for label, value in zip(labels, sureness, strict=True)
    ]


def _check_options(recipe: str, *, threshold: float | None, balance: float | None, limit: int | None, weight: str) -> None:
    if recipe not in RECIPES:
        raise ConfigError(describe_unknown("recipe", recipe, RECIPES))
    if threshold is not None and recipe not in TAKE_THRESHOLD:
        raise ConfigError(f"recipe '{recipe}' has no threshold; leave it out, or take one of {', '.join(TAKE_THRESHOLD)}")
    if threshold is not None and not 0 < threshold <= 1:
        raise ConfigError(f"the threshold must lie above 0 and be at most 1, got {threshold}")
    if balance is not None and not 0 < balance < 1:
        raise ConfigError(f"the balance must lie between 0 and 1, got {balance}; None keeps every question")
    if limit is not None and limit < 1:
        raise ConfigError(f"the limit must be at least 1, got {limit}")
    if weight not in ("none", "samples"):
        raise ConfigError(describe_unknown("weight", weight, ("none", "samples")))


def _join(
    questions: Sequence[Question], samples: Iterable[Sample], grades: Iterable[SampleGrade]
) -> tuple[dict[str, tuple[list[Sample], list[SampleGrade]]], int]:
    """Samples and grades by question id, and how many samples are of other questions."""
    if len(ids := {question.id for question in questions}) < len(questions):
        repeated = next(id for id, count in Counter(question.id for question in questions).items() if count > 1)
        raise DataError(f"there are two questions '{repeated}'; give each an id of its own")
    sampled, graded = _by_question(samples, "samples"), _by_question(grades, "grades")
    if ids and sampled and not ids & sampled.keys():
        raise DataError(
            f"questions and samples do not belong together: no sample is of one of the {len(ids)} questions "
            f"(the first is of '{next(iter(sampled))}'); take the questions that were sampled"
        )
    pairs = {(id, grade.index) for id, own in graded.items() for grade in own}
    lone = pairs - {(id, sample.index) for id, own in sampled.items() for sample in own}
    if lone:
        id, index = min(lone)
        raise DataError(
            f"samples and grades do not belong together: {len(lone)} grades have no sample (such as {index} of '{id}'); "
            "grade these samples again"
        )
    others = sum(len(own) for id, own in sampled.items() if id not in ids)
    return {id: (sampled.get(id, []), graded.get(id, [])) for id in ids}, others


def _by_question(rows: Iterable[S], kind: str) -> dict[str, list[S]]:
    found: dict[str, dict[int, S]] = defaultdict(dict)
    for row in rows:
        if row.index in found[row.question_id]:
            raise DataError(f"there are two {kind} {row.index} of question '{row.question_id}'; give those of one model")
        found[row.question_id][row.index] = row
    return {id: list(own.values()) for id, own in found.items()}


def _count_ungraded(question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade]) -> int:
    evidence = weigh_evidence(question, samples, grades)
    return len(samples) - len(evidence.drawn) - (evidence.greedy is not None)


def _explain_nothing_left(known: dict[str, bool | None], balance: float | None) -> str:
    sides = Counter(known.values())
    return (
        f"a share of {balance} known questions leaves none: {sides[True]} are known, {sides[False]} unknown, "
        f"{sides[None]} undetermined; ask other questions too, or keep every question"
    )
