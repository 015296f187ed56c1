"""`nescio grade`: a verdict for every sampled answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nescio.records import Question, Sample, SampleGrade, Verdict


def grade(
    samples: Annotated[Path, typer.Argument(help="JSONL file of samples (docs/grading.md).")],
    *,
    questions: Annotated[Path, typer.Option(help="JSONL file of the questions, as `nescio data questions --out` writes them.")],
    out: Annotated[Path, typer.Option(help="JSONL file of grades to write, one a sample.")],
) -> None:
    """Grade sampled answers by match, and count the verdicts."""
    from nescio.grade import grade_samples
    from nescio.store import read_records, write_records

    asked = read_records(questions, Question)
    drawn = read_records(samples, Sample)
    grades = grade_samples(asked, drawn)
    write_records(out, grades)
    Console().print(_draw_counts(asked, grades))
    typer.echo(str(out))


def _draw_counts(questions: Sequence[Question], grades: Sequence[SampleGrade]) -> Table:
    """Verdicts by source, and how many of the graded samples are right."""
    source_of = {question.id: question.source or "-" for question in questions}
    counts: dict[str, Counter[Verdict]] = {}
    for grade in grades:
        counts.setdefault(source_of[grade.question_id], Counter())[grade.verdict] += 1
    table = Table("source", title="Verdicts", title_justify="left")
    for column in ("samples", *get_args(Verdict), "accuracy", "95 % interval"):
        table.add_column(column, justify="right")
    for source, row in counts.items():
        table.add_row(Text(source), *_cells(row))
    if len(counts) > 1:
        table.add_section()
        table.add_row("all", *_cells(sum(counts.values(), Counter())))
    table.caption = "accuracy: correct among all that have a grade; Wilson's interval, each sample a draw of its own"
    return table


def _cells(counts: Counter[Verdict]) -> list[str]:
    from scipy.stats import binomtest

    verdicts = [str(counts[verdict]) for verdict in get_args(Verdict)]
    graded = counts.total() - counts["ungraded"]
    if not graded:
        return [str(counts.total()), *verdicts, "-", "-"]
    low, high = binomtest(counts["correct"], graded).proportion_ci(method="wilson")
    return [str(counts.total()), *verdicts, f"{counts['correct'] / graded:.3f}", f"{low:.3f}..{high:.3f}"]
