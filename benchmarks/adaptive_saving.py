"""How many samples adaptive sampling saves, and whether its labels are those of the full draw.

Replays a full draw: every question has all of its samples already, and the adaptive sampler is given only those it asks for.

    python benchmarks/adaptive_saving.py --samples runs/honesty-decision/samples/train.jsonl \
        --questions runs/honesty-decision/data/train.jsonl
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from nescio.grade import grade_samples
from nescio.metrics import wilson_interval
from nescio.records import Question, Sample, SampleGrade
from nescio.sample.adaptive import Rule, sample_adaptively
from nescio.store import read_records

RULES: tuple[Rule, ...] = ("exact", "wilson")


def main() -> None:
    """Print one line a rule and number of samples before the first decision."""
    arguments = _read_arguments()
    samples = read_records(arguments.samples, Sample)
    by_question: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_question[sample.question_id].append(sample)
    questions = [q for q in read_records(arguments.questions, Question) if q.id in by_question and q.answerable is not False]
    n = max(sample.index for sample in samples)
    verdict = {(g.question_id, g.index): g for g in _grade(questions, by_question)}
    full = {q.id: _label(q.id, range(1, n + 1), verdict, arguments.borders) for q in questions}
    labels = dict(sorted(Counter(full.values()).items()))
    print(f"{len(questions)} questions x {n} samples, borders {arguments.borders}; labels: {labels}\n")
    print("| rule | first | drawn | saved | labels as in the full draw [95 %] |\n|---|--:|--:|--:|---|")
    for rule in RULES:
        for first in (2, 4, 6):
            made = sample_adaptively(
                questions,
                lambda some, upto: [s for q in some for s in by_question[q.id] if s.index <= upto],
                lambda _, some: [verdict[s.question_id, s.index] for s in some],
                borders=arguments.borders,
                n=n,
                first=first,
                step=arguments.step,
                rule=rule,
            )
            used: dict[str, list[int]] = defaultdict(list)
            for sample in made.samples:
                used[sample.question_id].append(sample.index)
            same = sum(_label(q.id, used[q.id], verdict, arguments.borders) == full[q.id] for q in questions)
            low, high = wilson_interval(same, len(questions))
            share = made.saved / (n * len(questions))
            print(f"| {rule} | {first} | {made.drawn} | {share:.1%} | {same} of {len(questions)} [{low:.4f}, {high:.4f}] |")


def _grade(questions: Sequence[Question], by_question: dict[str, list[Sample]]) -> list[SampleGrade]:
    return grade_samples(questions, [sample for question in questions for sample in by_question[question.id]])


def _label(
    question_id: str, indices: Sequence[int] | range, verdict: dict[tuple[str, int], SampleGrade], borders: Sequence[float]
) -> int:
    """Number of the range that the share of right samples lies in; -1 where nothing has a grade."""
    verdicts = [verdict[question_id, index].verdict for index in indices if index > 0]
    graded = [one for one in verdicts if one != "ungraded"]
    return sum(graded.count("correct") / len(graded) >= border for border in borders) if graded else -1


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--borders", type=float, nargs="+", default=[0.1, 0.5])
    parser.add_argument("--step", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
