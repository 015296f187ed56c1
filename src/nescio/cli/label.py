"""`nescio label`: training rows out of samples and grades."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nescio.data.questions import refuse_benchmark_tests
from nescio.errors import ConfigError
from nescio.label import label_questions
from nescio.records import Question, Sample, SampleGrade
from nescio.store import read_records, write_records


def label(
    questions: Annotated[Path, typer.Option(help="JSONL file of questions (docs/questions.md).")],
    samples: Annotated[Path, typer.Option(help="JSONL file of the model's answers to them.")],
    grades: Annotated[Path, typer.Option(help="JSONL file of the grades of these answers.")],
    recipe: Annotated[str, typer.Option(help="What to make of them, for example `decision` or `absolute` (docs/labels.md).")],
    out: Annotated[Path, typer.Option(help="JSONL file to write.")],
    *,
    threshold: Annotated[
        float | None, typer.Option(help="Border of the share of right answers; the recipe's own if none.")
    ] = None,
    balance: Annotated[float | None, typer.Option(help="Share of known questions; 0.5 if none is given.")] = None,
    keep_all: Annotated[bool, typer.Option("--keep-all", help="Keep every question, whatever the share of known ones.")] = False,
    limit: Annotated[int | None, typer.Option(help="At most so many questions.")] = None,
    weigh: Annotated[bool, typer.Option("--weigh", help="Let a row count by how much its samples tell.")] = False,
    merge: Annotated[bool, typer.Option(help="Make equal rows of a question one row of their common weight.")] = True,
    seed: Annotated[int, typer.Option(help="Chooses the questions.")] = 0,
) -> None:
    """Make training rows of what a model said and how it was graded."""
    if keep_all and balance is not None:
        raise ConfigError(f"--keep-all and --balance {balance} contradict each other; leave one of them out")
    asked = read_records(questions, Question)
    refuse_benchmark_tests(asked)
    labels, counts = label_questions(
        asked,
        read_records(samples, Sample),
        read_records(grades, SampleGrade),
        recipe=recipe,
        threshold=threshold,
        balance=None if keep_all else 0.5 if balance is None else balance,
        limit=limit,
        weight="samples" if weigh else "none",
        merge=merge,
        seed=seed,
    )
    table = Table(show_header=False)
    for name, count in counts.items():
        table.add_row(name, str(count))
    Console().print(table)
    if not labels:
        raise ConfigError(f"recipe '{recipe}' makes no rows of these questions; nothing was written")
    write_records(out, labels)
    typer.echo(str(out))
