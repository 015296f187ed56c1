"""`nescio data questions`: questions of any source to one kind of file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from nescio.data.questions import Columns, find_shared_questions, load_questions
from nescio.errors import ConfigError
from nescio.records import Question
from nescio.store import explain_validation, write_records

_Column = Annotated[str | None, typer.Option(rich_help_panel="Columns")]
_ColumnList = Annotated[list[str] | None, typer.Option(rich_help_panel="Columns", help="May be given several times.")]


def questions(
    source: Annotated[str, typer.Argument(help="A file, a setting (docs/questions.md), or an id of the hub: owner/name.")],
    *,
    setting: Annotated[str | None, typer.Option(help="Read the file or folder as this data set was published.")] = None,
    split: Annotated[str | None, typer.Option(help="One split only.")] = None,
    config: Annotated[str | None, typer.Option(help="Configuration of a data set of the hub.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first so many rows.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the questions to this JSONL file.")] = None,
    against: Annotated[Path | None, typer.Option(help="Count questions that this file of questions holds too.")] = None,
    number: Annotated[int, typer.Option(min=1, help="Questions to show where nothing is written.")] = 3,
    id_column: _Column = None,
    group_column: _Column = None,
    entity_column: _Column = None,
    question_column: _Column = None,
    context_column: _Column = None,
    answers_column: _ColumnList = None,
    choices_column: _ColumnList = None,
    choice_column: _Column = None,
    answerable_column: _Column = None,
    language_column: _Column = None,
    relation_column: _Column = None,
    phrasing_column: _Column = None,
    obscurity_column: _Column = None,
    popularity_column: _Column = None,
    source_column: _Column = None,
    metadata_column: _ColumnList = None,
    lists: Annotated[str | None, typer.Option(help="How a cell holds a list: json, text (none), or a sign such as '|'.")] = None,
    choice_is: Annotated[str | None, typer.Option(help="How the right option is told: index, letter or text.")] = None,
    language: Annotated[str | None, typer.Option(help="Language of rows that do not tell theirs.")] = None,
) -> None:
    """Read questions of any source, and show them or write them as JSONL."""
    columns = _make_columns(
        {
            "id": id_column,
            "group": group_column,
            "entity": entity_column,
            "question": question_column,
            "context": context_column,
            "answers": tuple(answers_column or ()) or None,
            "choices": choices_column[0] if choices_column and len(choices_column) == 1 else tuple(choices_column or ()) or None,
            "choice": choice_column,
            "answerable": answerable_column,
            "language": language_column,
            "relation": relation_column,
            "phrasing": phrasing_column,
            "obscurity": obscurity_column,
            "popularity": popularity_column,
            "source": source_column,
            "metadata": tuple(metadata_column or ()) or None,
            "lists": lists,
            "choice_is": choice_is,
            "default_language": language,
        }
    )
    found = load_questions(source, columns=columns, setting=setting, split=split, config=config, limit=limit)
    console = Console()
    if out is not None:
        write_records(out, found)
    else:
        for question in found[:number]:
            console.print(_draw_question(question))
    console.print(_draw_summary(found))
    if not any(question.answers or question.choices or question.answerable is not None for question in found):
        typer.echo("note: nothing here can be graded; name the column of answers with --answers-column", err=True)
    if against is not None:
        shared = find_shared_questions(found, load_questions(against))
        exact = sum(pair.similarity == 1 for pair in shared)
        counts = f"{len(shared)} of {len(found)} ({exact} exact, {len(shared) - exact} near)"
        console.print(f"also in {against}: {counts}", markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        typer.echo(str(out))


def _make_columns(given: dict[str, str | tuple[str, ...] | None]) -> Columns | None:
    """None where no option names a column: a setting then has its own."""
    named = {field: value for field, value in given.items() if value is not None}
    try:
        return Columns.model_validate(named) if named else None
    except ValidationError as error:
        raise ConfigError(f"options for columns: {explain_validation(error)}") from error


def _draw_summary(questions: Sequence[Question]) -> Table:
    languages = Counter(question.language for question in questions)
    tests = Counter(
        f"{question.metadata.get('benchmark')} {question.metadata['benchmark_split']}"
        for question in questions
        if "benchmark_split" in question.metadata
    )
    rows = {
        "questions": str(len(questions)),
        "groups": str(len({question.group for question in questions})),
        "languages": _list_counts(languages),
        "with answers": str(sum(bool(question.answers) for question in questions)),
        "without answers": str(sum(not question.answers for question in questions)),
        "multiple choice": str(sum(bool(question.choices) for question in questions)),
        "unanswerable": str(sum(question.answerable is False for question in questions)),
        "with context": str(sum(question.context is not None for question in questions)),
        "with obscurity": str(sum(question.obscurity is not None for question in questions)),
        "of a benchmark": _list_counts(tests) or "0",
    }
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def _list_counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _draw_question(question: Question) -> Panel:
    # Text objects, because brackets in a question are not markup.
    parts = [Text(f"Context: {question.context}\n", style="dim")] if question.context else []
    parts.append(Text(question.question, style="bold"))
    for i, option in enumerate(question.choices):
        parts.append(Text(f"{'*' if i == question.choice else ' '} {option}", style="green" if i == question.choice else ""))
    if question.answers:
        parts.append(Text(f"Gold: {' | '.join(question.answers)}", style="cyan"))
    if question.answerable is False:
        parts.append(Text("cannot be answered", style="red"))
    return Panel(Group(*parts), title=Text(question.source), subtitle=Text(question.id))
