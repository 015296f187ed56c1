"""One self-contained HTML page of an honesty run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nescio.report.canvas import Picture, draw_plans
from nescio.report.honesty.content import HonestyContent
from nescio.report.honesty.examples import pick_examples
from nescio.report.honesty.gallery import plan_figures
from nescio.report.honesty.headline import (
    HONESTY_METRICS,
    SET_METRICS,
    describe_cell,
    describe_honesty,
    describe_retention,
    describe_ungraded,
    find_mean,
    show_set,
)
from nescio.report.honesty.untrained import measure_untrained, measure_untrained_mean
from nescio.report.template import render_template
from nescio.store import write_text


def write_honesty_report(folder: str | Path, content: HonestyContent) -> Path:
    """Write `index.html` and the figures (`figures/<name>.png` and `.svg`) into a folder.

    The page needs no network and no other file. The same content gives the same bytes.

    Returns:
        Path of the page.

    Raises:
        StoreError: The folder cannot be written.
    """
    folder = Path(folder)
    pictures, missing = draw_plans(plan_figures(content), folder / "figures")
    write_text(folder / "index.html", render_honesty_page(content, pictures=pictures, missing=missing))
    return folder / "index.html"


def render_honesty_page(content: HonestyContent, *, pictures: Sequence[Picture] = (), missing: Sequence[str] = ()) -> str:
    """Put the page together; `missing` says in a sentence each which figures are left out, and why."""
    return render_template("honesty.html.j2", _describe_page(content, pictures, missing))


def _describe_page(content: HonestyContent, pictures: Sequence[Picture], missing: Sequence[str]) -> dict[str, Any]:
    from markupsafe import Markup

    own = content.sets[0]
    settings = content.scorecard.get("settings", {})
    options = {"n_resamples": int(settings.get("n_resamples", 1000)), "seed": int(settings.get("seed", 0))}
    columns: list[tuple[str, str, Any]] = [
        ("tuned", f"Tuned, {show_set(own)}", content.scorecard["sets"][own].get("metrics", {})),
        ("base", f"Untrained, {show_set(own)}", measure_untrained(content.outcomes[own], **options)),
    ]
    sentence = describe_honesty(content.scorecard, own=own, untrained=columns[1][2])
    if content.away:
        away = {name: content.outcomes[name] for name in content.away}
        columns.append(("tuned", "Tuned, mean out of distribution", find_mean(content.scorecard)))
        columns.append(("base", "Untrained, mean out of distribution", measure_untrained_mean(away, **options)))
    return {
        "title": content.title,
        "sentence": sentence,
        "heads": [(key, name) for key, name, _ in columns],
        "rows": [
            {"metric": metric, "cells": [describe_cell(metrics.get(metric.key)) for _, _, metrics in columns]}
            for metric in HONESTY_METRICS
        ],
        "set_heads": [("", metric.label) for metric in SET_METRICS],
        "set_rows": [_describe_set(content, name) for name in content.sets],
        "retention": describe_retention(content.scorecard, content.sets),
        "warnings": describe_ungraded(content.scorecard, content.sets),
        "figures": [picture._replace(svg=Markup(picture.svg)) for picture in pictures],
        "missing": missing,
        "kinds": pick_examples(content),
        "made": {
            "Settings": dict(content.settings),
            "Labels learned": dict(content.label_counts),
            "Evaluation": dict(settings),
            "Run": dict(content.manifest),
        },
    }


def _describe_set(content: HonestyContent, name: str) -> dict[str, Any]:
    entry = content.scorecard["sets"][name]
    metrics, counts = entry.get("metrics", {}), entry.get("counts", {})
    size = f"{counts.get('items', len(content.outcomes[name])):,} questions"
    place = "out of distribution" if name in content.away else "in distribution"
    cells = [describe_cell(metrics.get(metric.key)) for metric in SET_METRICS]
    return {"name": show_set(name), "note": f"{size}, {place}", "cells": cells}
