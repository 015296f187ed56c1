"""`nescio data`: check a data set, look at it, hand it to another trainer; build one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from nescio.cli.build import app as build_app
from nescio.cli.known import build_known, build_unknown
from nescio.cli.questions import questions
from nescio.data.export import DEFAULT_MODEL, Format, export_dataset
from nescio.data.load import SHIPPED, find_folder, load_examples, load_splits
from nescio.data.validate import ValidationReport, validate_files
from nescio.errors import ConfigError, NescioError, describe_unknown
from nescio.records import DECISIONS, SPLITS, Decision, Example

app = typer.Typer(help="Check, show, export and build data sets.", no_args_is_help=True)
app.add_typer(build_app, name="build")

K = TypeVar("K", bound=str)

_STYLES: dict[Decision, str] = {"correct": "green", "uncertain": "yellow", "refuse": "red"}


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """A user's mistake is one line and exit code 2; a bug keeps its traceback."""
    try:
        yield
    except NescioError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


app.command()(_one_line_errors()(questions))
app.command("build-known")(_one_line_errors()(build_known))
app.command("build-unknown")(_one_line_errors()(build_unknown))


@app.command()
def validate(
    paths: Annotated[list[str] | None, typer.Argument(help="Files or folders; the shipped set where none is given.")] = None,
) -> None:
    """Check schema, balance, repeats and leaks between splits; exit 1 on errors."""
    console = Console()
    with _one_line_errors():
        report = validate_files([find_folder(path) if path == SHIPPED else Path(path) for path in paths or [SHIPPED]])
    _print_report(report, console)
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def show(
    path: Annotated[str, typer.Argument(help="A JSONL file or a folder of splits.")] = SHIPPED,
    *,
    split: Annotated[str | None, typer.Option(help="One split only: train, calibration or test.")] = None,
    pattern: Annotated[str | None, typer.Option(help="One pattern only.")] = None,
    decision: Annotated[str | None, typer.Option(help="Groups with a row of this decision.")] = None,
    group: Annotated[str | None, typer.Option(help="One group only.")] = None,
    number: Annotated[int, typer.Option(min=1, help="Groups to show.")] = 3,
) -> None:
    """Print examples, twins side by side."""
    console = Console()
    with _one_line_errors():
        examples = _select_split(path, split)
        examples = _keep(examples, "pattern", pattern, [example.pattern for example in examples])
        examples = _keep(examples, "group", group, [example.group for example in examples])
        chosen = {example.group for example in _keep(examples, "decision", decision, DECISIONS)}
    groups: dict[str, list[Example]] = {}
    for example in examples:
        if example.group in chosen:
            groups.setdefault(example.group, []).append(example)
    for twins in list(groups.values())[:number]:
        _print_twins(twins, console)
    console.print(f"{min(number, len(groups))} of {len(groups)} groups", highlight=False)


@app.command()
def export(
    format: Annotated[str, typer.Option(help="llamafactory, trl or alpaca.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    data: Annotated[str, typer.Option(help="`failure_aware` or a folder of splits.")] = SHIPPED,
    model: Annotated[str, typer.Option(help="Model in the run file for LLaMA-Factory.")] = DEFAULT_MODEL,
) -> None:
    """Write the splits in the format of another trainer."""
    with _one_line_errors():
        known = {name: name for name in get_args(Format)}
        if format not in known:
            raise ConfigError(describe_unknown("format", format, known))
        for written in export_dataset(load_splits(data), out, format=known[format], model_name=model):
            typer.echo(str(written))


def _select_split(path: str, split: str | None) -> list[Example]:
    if path != SHIPPED and Path(path).is_file():
        if split is not None:
            raise ConfigError(f"--split {split} needs a folder of splits, got the file '{path}'; leave it out")
        return load_examples(path)
    if split is not None and split not in SPLITS:
        raise ConfigError(describe_unknown("split", split, SPLITS))
    splits = load_splits(path)
    return [example for name in SPLITS if split in (None, name) for example in splits[name]]


def _keep(examples: Sequence[Example], field: str, wanted: str | None, known: Iterable[str]) -> list[Example]:
    if wanted is None:
        return list(examples)
    if wanted not in set(known):
        raise ConfigError(describe_unknown(field, wanted, set(known)))
    return [example for example in examples if getattr(example, field) == wanted]


def _print_twins(twins: Sequence[Example], console: Console) -> None:
    grid = Table.grid(expand=True)
    for _ in twins:
        grid.add_column(ratio=1)
    grid.add_row(*(_draw_example(example) for example in twins))
    console.print(grid)


def _draw_example(example: Example) -> Panel:
    # Text objects, because brackets in a question are not markup.
    parts = [Text(f"Context: {example.context}\n", style="dim")] if example.context else []
    parts += [Text(f"{example.question}\n", style="bold"), Text(example.answer)]
    if example.answers:
        parts.append(Text(f"Gold: {' | '.join(example.answers)}", style="cyan"))
    parts.append(Text(f"\n{example.justification} (evidence: {example.evidence_quality})", style="italic"))
    style = _STYLES[example.decision]
    return Panel(Group(*parts), title=Text(f"{example.decision}", style=style), subtitle=Text(example.id), border_style=style)


def _print_report(report: ValidationReport, console: Console) -> None:
    names = _short_names([file.path for file in report.files])
    console.print(_draw_files(report, names))
    if report.patterns:
        console.print(_count_table("Patterns", "pattern", report.patterns))
    if report.evidence:
        console.print(_count_table("Evidence quality", "evidence", report.evidence))
        nmi = "undefined, as one of them is constant" if report.evidence_nmi is None else f"{report.evidence_nmi:.3f}"
        console.print(f"normalised mutual information of evidence quality and decision: {nmi}", highlight=False)
    if report.leaks:
        console.print(_draw_leaks(report, names))
    for problem in report.problems:
        console.print(f"{problem.severity}: {problem.message}", markup=False, highlight=False, soft_wrap=True)
    errors = sum(problem.severity == "error" for problem in report.problems)
    console.print(f"errors: {errors}, warnings: {len(report.problems) - errors}", highlight=False)


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    """File names alone where all lie in one folder."""
    folders = {str(Path(path).parent) for path in paths}
    return {path: Path(path).name if len(folders) == 1 else path for path in paths}


def _draw_files(report: ValidationReport, names: Mapping[str, str]) -> Table:
    table = _decision_table("Files", "file", "rows", "distinct")
    for file in report.files:
        table.add_row(Text(names[file.path]), str(file.rows), str(file.distinct), *_shares(file.decisions))
    if len(report.files) > 1:
        table.add_row("all", str(sum(file.rows for file in report.files)), "", *_shares(report.decisions))
    return table


def _draw_leaks(report: ValidationReport, names: Mapping[str, str]) -> Table:
    table = Table("file", "leaks from", "leaked rows", "exact", "near", title="Leaks", title_justify="left")
    for leak in report.leaks:
        leaked = f"{leak.exact + leak.near} of {leak.rows}"
        table.add_row(Text(names[leak.path]), Text(names[leak.earlier]), leaked, str(leak.exact), str(leak.near))
    return table


def _decision_table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(columns[0], overflow="fold")
    for column in (*columns[1:], *DECISIONS):
        table.add_column(column, justify="right")
    return table


def _count_table(title: str, column: str, counts: Mapping[K, Mapping[Decision, int]]) -> Table:
    table = _decision_table(title, column)
    for key, decisions in counts.items():
        table.add_row(Text(key), *(str(decisions[decision]) for decision in DECISIONS))
    return table


def _shares(decisions: Mapping[Decision, int]) -> list[str]:
    total = sum(decisions.values())
    return [f"{count} ({count / total:.0%})" if total else "0" for count in decisions.values()]
