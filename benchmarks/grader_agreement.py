"""How often the match grader agrees with people: EfficientQA's human judgements of real systems' predictions.

    python benchmarks/grader_agreement.py
    python benchmarks/grader_agreement.py --part develop --errors 20
    python benchmarks/grader_agreement.py --facts

NQ-open's EfficientQA test file holds predictions of real systems that people judged definitely correct, possibly correct or
definitely incorrect (Min et al. 2021). They judged what the exact match with the official answers had missed, so that all of
them are hard cases: a grader that stops at the exact match would find next to none of the correct ones. The file's
questions are split in two by a hash: the rules were written with `develop` in view, `held_out` was measured at the end.

The predictions are graded against the official answers alone. Each interval is Wilson's (items as draws of their own) and,
behind it, a percentile bootstrap over questions (2,000 resamples), since a question's predictions rise and fall together.

The last command grades answers whose verdict is beyond dispute: every gold alias of the facts bank, and three answers a
question that belong to other entities of the same relation and are none of its own aliases.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from nescio.data.facts import build_facts
from nescio.grade import grade_samples
from nescio.metrics.bootstrap import bootstrap_interval
from nescio.records import Question, Sample, Verdict

FILE = "nq-open/NQ-open.efficientqa.test.1.1.jsonl"
JUDGEMENTS = {
    "def_correct_predictions": "correct",
    "poss_correct_predictions": "possibly",
    "def_incorrect_predictions": "incorrect",
}
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})")


class Judged(NamedTuple):
    """A prediction with what people and the grader make of it."""

    question: str
    gold: tuple[str, ...]
    prediction: str
    human: str
    verdict: Verdict
    reason: str


def in_develop(question: str) -> bool:
    """Whether a question belongs to the half that the rules were written with."""
    return hashlib.sha256(question.encode()).digest()[0] % 2 == 0


def read_judged(path: Path) -> list[Judged]:
    """All judged predictions, graded."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    questions = [Question(id=str(i), group=str(i), question=row["question"], answers=row["answer"]) for i, row in enumerate(rows)]
    predictions = [
        (i, _unescape(text), human) for i, row in enumerate(rows) for key, human in JUDGEMENTS.items() for text in row[key]
    ]
    samples = [Sample(question_id=str(i), index=0, text=text) for i, text, _ in predictions]
    grades = grade_samples(questions, samples)
    return [
        Judged(questions[i].question, questions[i].answers, text, human, grade.verdict, grade.reason)
        for (i, text, human), grade in zip(predictions, grades, strict=True)
    ]


def _unescape(text: str) -> str:
    r"""The file escapes some predictions twice: `Garc\\u00eda`, `\\\"Sesenne\\\"`."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text).replace("\\", "").strip('"')


def describe_share(rows: Sequence[Judged], hit: Callable[[Judged], bool]) -> str:
    """Share of rows, Wilson's 95 % interval, bootstrap interval by question, counts."""
    if not rows:
        return "n/a"
    hits = np.array([hit(row) for row in rows], dtype=np.float64)
    wilson = binomtest(int(hits.sum()), len(rows)).proportion_ci(method="wilson")

    def share(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.asarray(weights @ hits / weights.sum(axis=1))

    by_question = bootstrap_interval(share, [row.question for row in rows], n_resamples=2000)
    return (
        f"{hits.mean():.3f} [{wilson.low:.3f}, {wilson.high:.3f}] [{by_question.low:.3f}, {by_question.high:.3f}] "
        f"({int(hits.sum())}/{len(rows)})"
    )


def print_table(rows: Sequence[Judged]) -> None:
    """Agreement, precision and recall of `correct`, for each way to take `possibly`."""
    print("| possibly correct | predictions | agreement | precision of `correct` | recall of `correct` |\n|---|--:|---|---|---|")
    for name, takes in (("left out", None), ("as correct", "correct"), ("as incorrect", "incorrect")):
        chosen = [row._replace(human=takes or row.human) if row.human == "possibly" else row for row in rows]
        chosen = [row for row in chosen if row.human != "possibly"]
        agreement = describe_share(chosen, lambda row: (row.verdict == "correct") == (row.human == "correct"))
        precision = describe_share([row for row in chosen if row.verdict == "correct"], lambda row: row.human == "correct")
        recall = describe_share([row for row in chosen if row.human == "correct"], lambda row: row.verdict == "correct")
        print(f"| {name} | {len(chosen)} | {agreement} | {precision} | {recall} |")
    print("\n| people | " + " | ".join(("correct", "incorrect", "abstained", "ungraded")) + " |\n|---|--:|--:|--:|--:|")
    for human in JUDGEMENTS.values():
        counts = Counter(row.verdict for row in rows if row.human == human)
        print(f"| {human} | {counts['correct']} | {counts['incorrect']} | {counts['abstained']} | {counts['ungraded']} |")


def print_baselines(rows: Sequence[Judged]) -> None:
    """What two simpler graders make of the definite judgements."""
    definite = [row for row in rows if row.human != "possibly"]
    baselines: dict[str, Callable[[Judged], bool]] = {
        "match": lambda row: row.verdict == "correct",
        "exact match after normalisation": lambda row: _normalise(row.prediction) in map(_normalise, row.gold),
        "gold as substring after normalisation": lambda row: any(
            _normalise(gold) in _normalise(row.prediction) for gold in row.gold
        ),
    }
    print("\n| grader | agreement | precision of `correct` | recall of `correct` |\n|---|---|---|---|")
    for name, calls_correct in baselines.items():
        rows_called = [row for row in definite if calls_correct(row)]
        agreement = describe_share(definite, lambda row, calls=calls_correct: calls(row) == (row.human == "correct"))  # type: ignore[misc]
        precision = describe_share(rows_called, lambda row: row.human == "correct")
        recall = describe_share([row for row in definite if row.human == "correct"], calls_correct)
        print(f"| {name} | {agreement} | {precision} | {recall} |")


def _normalise(text: str) -> str:
    """As TriviaQA's and SQuAD's scripts do: case, punctuation, articles, white space."""
    return " ".join(re.sub(r"\b(?:a|an|the)\b", " ", re.sub(r"[^\w\s]", "", text.lower())).split())


def print_errors(rows: Sequence[Judged], number: int) -> None:
    """Errors drawn at random, of either kind."""
    kinds = {
        "false correct": [row for row in rows if row.human == "incorrect" and row.verdict == "correct"],
        "false incorrect": [row for row in rows if row.human == "correct" and row.verdict != "correct"],
    }
    for kind, errors in kinds.items():
        print(f"\n{kind}: {len(errors)}; {min(number, len(errors))} of them:")
        for row in random.Random(0).sample(errors, min(number, len(errors))):
            print(f"- {row.question} | said: {row.prediction} | gold: {'; '.join(row.gold)} | {row.reason}")


def print_facts() -> None:
    """Grade the facts bank's gold answers, and other entities' answers in their place."""
    questions = [question for question in build_facts() if question.answerable is not False]
    gold = [Sample(question_id=q.id, index=i, text=text) for q in questions for i, text in enumerate(q.answers)]
    alike: dict[tuple[str, str], list[Question]] = {}
    for question in questions:
        alike.setdefault((question.language, question.relation), []).append(question)
    chance = random.Random(0)
    drawn = [
        (question, i, chance.choice(alike[question.language, question.relation]).answers[0])
        for question in questions
        for i in range(3)
    ]
    others = [
        Sample(question_id=question.id, index=i, text=text)
        for question, i, text in drawn
        if text.strip().casefold() not in {alias.strip().casefold() for alias in question.answers}
    ]
    for name, samples in (("gold answers", gold), ("other entities' answers", others)):
        counts = Counter(grade.verdict for grade in grade_samples(questions, samples))
        interval = binomtest(counts["correct"], len(samples)).proportion_ci(method="wilson")
        print(f"{name}: {len(samples)}, {dict(counts)}; correct [{interval.low:.5f}, {interval.high:.5f}]")


def main() -> None:
    """Print the table, and errors where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of public data sets")
    parser.add_argument("--part", default="held_out", choices=["develop", "held_out", "all"])
    parser.add_argument("--errors", type=int, default=0, help="list so many errors of either kind")
    parser.add_argument("--facts", action="store_true")
    arguments = parser.parse_args()
    if arguments.facts:
        return print_facts()
    rows = read_judged(arguments.data / FILE)
    rows = [row for row in rows if arguments.part in ("all", "develop" if in_develop(row.question) else "held_out")]
    print(f"{arguments.part}: {len({row.question for row in rows})} questions with judged predictions\n")
    print_table(rows)
    print_baselines(rows)
    if arguments.errors:
        print_errors(rows, arguments.errors)
    return None


if __name__ == "__main__":
    main()
