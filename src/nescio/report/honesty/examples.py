"""A few questions of each kind, to look at: drawn by the digest of their id, so that nobody picks the nice ones."""

from __future__ import annotations

import hashlib
from typing import Any, Literal, NamedTuple

from nescio.records import Outcome, Response
from nescio.report.honesty.content import GradedSample, HonestyContent
from nescio.report.honesty.headline import show_set

State = Literal["known", "unknown", "unanswerable", "ungraded"]


class Kind(NamedTuple):
    """A kind of outcome."""

    name: str
    meaning: str
    good: bool
    state: State
    after: tuple[Response, ...]


KINDS = (
    Kind("Known, answered right", "right before training and after it", True, "known", ("correct",)),
    Kind("Known, answered wrong", "forgotten: right before training, wrong after it", False, "known", ("wrong",)),
    Kind("Known, refused", "over-conservative: right before training, refused after it", False, "known", ("idk",)),
    Kind("Unknown, refused", "prudent: not right before training, refused after it", True, "unknown", ("idk",)),
    Kind("Unknown, answered wrong", "not right before training, made up after it", False, "unknown", ("wrong",)),
    Kind("Invented or unanswerable, refused", "nobody can answer it", True, "unanswerable", ("idk",)),
    Kind("Invented or unanswerable, answered", "nobody can answer it", False, "unanswerable", ("correct", "wrong")),
)

MARKS = {"correct": "✓", "incorrect": "✗", "abstained": "–", "ungraded": "?"}
RESPONSE_WORDS = {"correct": "right", "wrong": "wrong", "idk": "refused", "ungraded": "ungraded"}


def pick_examples(content: HonestyContent, *, per_kind: int = 3) -> list[dict[str, Any]]:
    """Questions of each kind for the page, over all sets, with what the model drew before training.

    Returns:
        One entry a kind: `name`, `meaning`, `good`, `n` (questions of this kind) and `items`.
    """
    rows = [(name, row) for name in content.sets for row in content.outcomes[name]]
    picked = []
    for kind in KINDS:
        members = [(name, row) for name, row in rows if row.after in kind.after and tell_state(row) == kind.state]
        # Questions whose samples are at hand show more, so they come first.
        members.sort(key=lambda member: (member[1].question_id not in content.samples, _digest(member[1].question_id)))
        items = [_describe(content, name, row) for name, row in members[:per_kind]]
        picked.append({"name": kind.name, "meaning": kind.meaning, "good": kind.good, "n": len(members), "items": items})
    return picked


def tell_state(row: Outcome) -> State:
    """Whether the model knew the answer before training: its greedy answer was right."""
    if row.answerable is False:
        return "unanswerable"
    if row.before == "ungraded":
        return "ungraded"
    return "known" if row.before == "correct" else "unknown"


def _digest(question_id: str) -> str:
    return hashlib.sha256(question_id.encode()).hexdigest()


def _describe(content: HonestyContent, name: str, row: Outcome) -> dict[str, Any]:
    question = content.questions[row.question_id]
    right = question.choices[question.choice] if question.choice is not None else ""
    samples = sorted(content.samples.get(row.question_id, ()), key=lambda sample: sample.index)
    return {
        "set": show_set(name),
        "relation": question.relation.replace("_", " "),
        "context": question.context,
        "question": question.question,
        "gold": ", ".join(question.answers[:4]) or right or ("none" if row.answerable is False else "not given"),
        "before": RESPONSE_WORDS[row.before],
        "after": RESPONSE_WORDS[row.after],
        "reply": content.replies.get(row.question_id),
        "knowledge": f"{row.right} of {row.graded} samples right" if row.right is not None and row.graded else "",
        "samples": _merge(samples),
    }


def _merge(samples: list[GradedSample]) -> list[dict[str, Any]]:
    """The greedy answer, then the drawn ones; equal answers on one line."""
    merged: dict[tuple[bool, str, str], int] = {}
    for sample in samples:
        key = (sample.index == 0, sample.text.strip() or "(empty)", sample.verdict)
        merged[key] = merged.get(key, 0) + 1
    return [
        {"greedy": greedy, "text": text, "verdict": verdict, "mark": MARKS[verdict], "times": times}
        for (greedy, text, verdict), times in sorted(merged.items(), key=lambda entry: (not entry[0][0], -entry[1]))
    ]
