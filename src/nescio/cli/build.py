"""`nescio data build`: make question sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nescio.errors import NescioError
from nescio.records import SPLITS, Question

app = typer.Typer(help="Make question sets.", no_args_is_help=True)


@app.callback()
def _build() -> None:
    """Make question sets."""


@app.command()
def facts(
    out: Annotated[Path, typer.Option(help="JSONL file to write.")],
    *,
    language: Annotated[
        list[str] | None, typer.Option(help="en, zh, es, fr, de or ja; repeat for several. All if left out.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many questions, drawn evenly from all.")] = None,
) -> None:
    """Build the bank of short-answer facts, with invented twins (docs/facts.md)."""
    from nescio.data.facts import LANGUAGES, build_facts
    from nescio.store import write_records

    console = Console()
    try:
        with Console(stderr=True).status("building"):
            questions = build_facts(languages=tuple(language or LANGUAGES), limit=limit)
            write_records(out, questions)
    except NescioError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    console.print(_summarise(questions))
    console.print(f"{len(questions)} questions: {out}", markup=False, highlight=False, soft_wrap=True)


def _summarise(questions: Sequence[Question]) -> Table:
    """Questions by relation, in each language and split, and how many are on invented things."""
    languages = list(dict.fromkeys(question.language for question in questions))
    table = Table("relation", title="Facts", title_justify="left")
    columns = ["questions", *sorted(languages, key=lambda code: (code != "en", code)), *SPLITS, "invented"]
    for column in columns:
        table.add_column(column, justify="right")
    counts: dict[str, Counter[str]] = {}
    for question in questions:
        row = counts.setdefault(question.relation, Counter())
        row.update(["questions", question.language, str(question.metadata["split"])])
        row["invented"] += question.answerable is False
    for relation, row in counts.items():
        table.add_row(relation, *(str(row[column]) for column in columns))
    total = Counter[str]()
    for row in counts.values():
        total.update(row)
    table.add_section()
    table.add_row(f"{len(counts)} relations", *(str(total[column]) for column in columns))
    return table
