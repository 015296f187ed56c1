"""What a run looks like in a terminal."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from nescio.store import read_json

HEADLINE = {
    "decision_accuracy": "decision accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC of confidence",
    "false_confidence_rate": "false confidence rate",
    "hallucination_rate": "hallucination rate",
    "over_refusal_rate": "over-refusal rate",
    "answer_accuracy": "answer accuracy",
    "twin_accuracy": "twin accuracy",
    "ece": "ECE (calibrated)",
}


class RunProgress:
    """A line a stage, with a bar and an estimate while it runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )

    def __enter__(self) -> RunProgress:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def begin(self, stage: str, note: str) -> None:
        """Open the stage's bar; its length is known with the first step."""
        self._tasks[stage] = self._bars.add_task(stage, total=None, note=note)

    def advance(self, stage: str, done: int, total: int, note: str) -> None:
        """Move the bar."""
        self._bars.update(self._tasks[stage], completed=done, total=total, note=note)

    def end(self, stage: str, note: str) -> None:
        """Leave one line behind."""
        if stage in self._tasks:
            self._bars.remove_task(self._tasks.pop(stage))
        # A Text, because brackets in a path are not markup.
        self._console.print(Text.assemble((f"{stage:<18}", "bold"), " ", note), soft_wrap=True)


def print_scorecard(path: Path) -> None:
    """The headline metrics of every system, with 95 % intervals and a verdict on the tuned one."""
    scorecard = read_json(path)
    systems = list(scorecard["systems"])
    table = Table(title=f"{scorecard['systems'][systems[0]]['counts']['items']} test items, 95 % intervals")
    table.add_column("")
    for name in [*systems, *scorecard["paired"]]:
        table.add_column(name.replace("_", "-"), justify="right")
    for metric, title in HEADLINE.items():
        cells = [_cell(scorecard["systems"][system][metric]) for system in systems]
        cells += [_cell(paired[metric], sign="+") for paired in scorecard["paired"].values()]
        table.add_row(title, *cells)
    Console().print(table)


def _cell(metric: dict[str, Any], *, sign: str = "") -> str:
    if metric["value"] is None:
        return "-"
    text = f"{metric['value']:{sign}.3f}"
    if metric["low"] is None:
        return text
    return f"{text}\n[dim]{metric['low']:{sign}.3f} .. {metric['high']:{sign}.3f}[/]"
