"""One self-contained HTML page of a run: the result in a sentence, the numbers, the figures, every single item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nescio.records import DECISIONS
from nescio.report.canvas import Picture
from nescio.report.content import ReportContent
from nescio.report.gallery import draw_figures
from nescio.report.headline import (
    HEADLINE_METRICS,
    ExchangeRate,
    MetricName,
    count_exchange,
    describe_failures,
    describe_result,
    judge_difference,
    show_interval,
    show_system,
    show_value,
)
from nescio.report.template import HERE, escape_json, render_template
from nescio.store import write_text

EXAMPLE_FIELDS = (
    *("id", "group", "pattern", "question", "context", "decision", "answer", "justification", "evidence_quality", "source"),
)


def write_report(folder: Path, content: ReportContent) -> Path:
    """Write `index.html` and the figures (`figures/<name>.png` and `.svg`) into a folder.

    The page needs no network and no other file. The same content gives the same bytes.

    Returns:
        Path of the page.

    Raises:
        StoreError: The folder cannot be written.
    """
    folder = Path(folder)
    pictures, missing = draw_figures(content, folder / "figures")
    write_text(folder / "index.html", render_page(content, pictures=pictures, missing=missing))
    return folder / "index.html"


def render_page(content: ReportContent, *, pictures: Sequence[Picture] = (), missing: Sequence[str] = ()) -> str:
    """Put the page together; `missing` says in a sentence each which figures are left out, and why."""
    return render_template("page.html.j2", _describe_page(content, pictures, missing))


def _describe_page(content: ReportContent, pictures: Sequence[Picture], missing: Sequence[str]) -> dict[str, Any]:
    """What the template needs."""
    from markupsafe import Markup

    return {
        "title": content.title,
        "sentence": describe_result(content.scorecard),
        "systems": [(name, show_system(name)) for name in content.systems],
        "pairs": [(pair, " − ".join(map(show_system, pair.split("-")))) for pair in content.pairs],
        "rows": [_describe_row(content, metric) for metric in HEADLINE_METRICS],
        "warnings": describe_failures(content.scorecard),
        "figures": [picture._replace(svg=Markup(picture.svg)) for picture in pictures],
        "missing": missing,
        "exchange": _count_exchanges(content),
        "n_items": len(content.examples),
        "patterns": sorted({example.pattern for example in content.examples}),
        "decisions": DECISIONS,
        "made": {"Settings": content.settings, "Run": content.manifest},
        "items": Markup(escape_json(_describe_items(content))),
        "js": Markup((HERE / "page.js").read_text(encoding="utf-8")),
    }


def _describe_row(content: ReportContent, metric: MetricName) -> dict[str, Any]:
    """One line of the headline table: a cell a system, then a cell a paired difference."""
    cells = [_describe_cell(content.scorecard["systems"][system].get(metric.key), metric) for system in content.systems]
    cells += [_describe_difference(content.scorecard["paired"][pair].get(metric.key), metric) for pair in content.pairs]
    return {"metric": metric, "cells": cells}


def _describe_cell(value: Mapping[str, Any] | None, metric: MetricName) -> dict[str, Any]:
    return {
        "value": show_value(value, percent=metric.percent),
        "interval": show_interval(value, percent=metric.percent),
        "n": (value or {}).get("n"),
        "verdict": "",
    }


def _describe_difference(value: Mapping[str, Any] | None, metric: MetricName) -> dict[str, Any]:
    text = show_value(value, percent=metric.percent, signed=True)
    verdict = judge_difference(value, higher_is_better=metric.higher_is_better)
    if value is None or value.get("value") is None:
        return {"value": text, "interval": "", "n": None, "verdict": ""}
    if verdict == "undefined":
        text += f" (no interval: {value.get('reason') or 'no reason recorded'})"
    interval = show_interval(value, percent=metric.percent, signed=True)
    return {"value": text, "interval": interval, "n": None, "verdict": verdict}


def _count_exchanges(content: ReportContent) -> list[ExchangeRate]:
    if "tuned" not in content.systems:
        return []
    others = [name for name in content.systems if name != "tuned"]
    return [count_exchange(content.examples, content.predictions, content.grades, other=other) for other in others]


def _describe_items(content: ReportContent) -> dict[str, Any]:
    """The data of the item browser."""
    items = []
    for index, example in enumerate(content.examples):
        item: dict[str, Any] = {field: getattr(example, field) for field in EXAMPLE_FIELDS}
        item["answers"] = list(example.answers)
        item["systems"] = {name: _describe_reply(content, name, index) for name in content.systems}
        items.append(item)
    return {"systems": [{"key": name, "name": show_system(name)} for name in content.systems], "items": items}


def _describe_reply(content: ReportContent, system: str, index: int) -> dict[str, Any]:
    prediction, grade = content.predictions[system][index], content.grades[system][index]
    reply = prediction.model_dump(exclude={"id"}, exclude_none=True)
    return reply | {"calibrated": content.calibrated[system][index], "verdict": grade.verdict, "reason": grade.reason}
