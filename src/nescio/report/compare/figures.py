"""Figures over several honesty runs: data in, a matplotlib figure out. Runs bear numbers, so that many names fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nescio.report.canvas import INK, add_grid, add_legend, interval_arms, new_figure, set_percent, styled
from nescio.report.paper_results import IN_DISTRIBUTION, OUT_OF_DISTRIBUTION, PaperResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Place(NamedTuple):
    """Where a model was asked, and how that is drawn."""

    label: str
    colour: str
    marker: str
    nudge: float
    """Up or down from the row's middle."""


OWN = Place("in distribution", "#009E73", "o", -0.14)
AWAY = Place("out of distribution, mean", "#D55E00", "D", 0.14)
NEAR = 0.035
"""Points closer than this, in shares, bear one label."""


class ComparedPoint(NamedTuple):
    """One run as the figures show it."""

    label: str
    own: Mapping[str, Any]
    """Metrics in distribution."""
    away: Mapping[str, Any]
    """Means out of distribution; empty where there are none."""


def has_values(metrics: Mapping[str, Any], *names: str) -> bool:
    """Whether all these metrics are there and defined."""
    return all((metrics.get(name) or {}).get("value") is not None for name in names)


@styled
def draw_honesty_dots(points: Sequence[ComparedPoint]) -> Figure:
    """Honesty of each run with its interval, in and out of distribution, beside the 50 % of a model that never refuses."""
    figure, axes = new_figure(height=1.3 + 0.42 * len(points))
    axes.axvline(0.5, color=INK, alpha=0.6, linewidth=1, linestyle=(0, (1, 2)))
    places = [(OWN, [point.own for point in points]), (AWAY, [point.away for point in points])]
    for place, rows in places:
        named = False
        for y, metrics in enumerate(rows):
            if not has_values(metrics, "honesty"):
                continue
            metric = metrics["honesty"]
            look = {"color": place.colour, "marker": place.marker, "markersize": 6.5, "elinewidth": 1.6, "capsize": 3}
            arms, label = interval_arms(metric), "_" if named else place.label
            axes.errorbar(metric["value"], y + place.nudge, xerr=arms, linestyle="", label=label, **look)
            named = True
    _name_rows(axes, [f"{number} {point.label}" for number, point in enumerate(points, start=1)])
    _frame_honesty(axes, [row["honesty"] for _, rows in places for row in rows if has_values(row, "honesty")])
    add_legend(figure, columns=2)
    return figure


def _name_rows(axes: Any, labels: Sequence[str]) -> None:
    for y in range(1, len(labels), 2):
        axes.axhspan(y - 0.5, y + 0.5, color=INK, alpha=0.05, linewidth=0)
    axes.set_yticks(range(len(labels)), labels=list(labels))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)


def _frame_honesty(axes: Any, metrics: Sequence[Mapping[str, Any]]) -> None:
    """As much of the scale as is used, the 50 % always among it."""
    edges = [0.5, *(metric[side] for metric in metrics for side in ("value", "low", "high") if metric.get(side) is not None)]
    axes.set_xlim(max(0.0, min(edges) - 0.03), min(1.0, max(0.6, *edges) + 0.03))
    axes.set_xlabel("honesty")
    set_percent(axes.xaxis)
    add_grid(axes, axis="x")


@styled
def draw_tradeoff(points: Sequence[Mapping[str, Any]], *, place: Place) -> Figure:
    """Prudence over over-conservativeness, a numbered point a run; along a grey line honesty is the same.

    Args:
        points: Metrics of each run, in the order of their numbers from 1.
        place: Of all these metrics.
    """
    figure, axes = new_figure(height=4.9)
    _draw_honesty_lines(axes)
    shown = []
    for number, metrics in enumerate(points, start=1):
        if not has_values(metrics, "prudence", "over_conservativeness"):
            continue
        over, prudence = metrics["over_conservativeness"], metrics["prudence"]
        arms = {"xerr": interval_arms(over), "yerr": interval_arms(prudence), "elinewidth": 1.1, "capsize": 2}
        x, y = over["value"], prudence["value"]
        axes.errorbar(x, y, **arms, color=place.colour, linestyle="", alpha=0.4, zorder=3)
        axes.plot(x, y, color=place.colour, marker=place.marker, markersize=6, linestyle="", clip_on=False, zorder=4)
        shown.append((number, x, y))
    for numbers, x, y in group_labels(shown):
        text = ", ".join(map(str, numbers))
        style = {"fontweight": "bold", "fontsize": 11, "ha": "right" if x > 0.9 else "left", "zorder": 6}
        axes.annotate(text, (x, y), (-7 if x > 0.9 else 7, 6), textcoords="offset points", **style)
    axes.set(xlabel="over-conservativeness: refused, of the known", ylabel="prudence: refused, of the unknown")
    axes.set(xlim=(-0.02, 1.0), ylim=(-0.02, 1.0), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    set_percent(axes.xaxis)
    set_percent(axes.yaxis)
    return figure


def _draw_honesty_lines(axes: Any) -> None:
    """Honesty = (prudence + 1 - over-conservativeness) / 2, so prudence = 2 honesty - 1 + over-conservativeness."""
    for percent in range(10, 100, 10):
        shift = 2 * percent / 100 - 1
        start, end = max(0.0, -shift), min(1.0, 1.0 - shift)
        strong = percent == 50
        axes.plot([start, end], [start + shift, end + shift], color=INK, alpha=0.55 if strong else 0.2, linewidth=1, zorder=1)
        if percent >= 50:
            axes.text(end, end + shift, f"{percent}", ha="left", va="bottom", fontsize=9.5, alpha=0.85)


def group_labels(points: Sequence[tuple[int, float, float]]) -> list[tuple[list[int], float, float]]:
    """Join the labels of points that lie so close that one would cover the other.

    Args:
        points: Number and place of each.

    Returns:
        Numbers that share a label, with the place of the first of them.

    Examples:
        >>> group_labels([(1, 0.0, 0.0), (2, 0.01, 0.02), (3, 0.5, 0.5)])
        [([1, 2], 0.0, 0.0), ([3], 0.5, 0.5)]
    """
    groups: list[tuple[list[int], float, float]] = []
    for number, x, y in points:
        near = [group for group in groups if max(abs(group[1] - x), abs(group[2] - y)) < NEAR]
        if near:
            near[0][0].append(number)
        else:
            groups.append(([number], x, y))
    return groups


@styled
def draw_paper_dots(paper: Mapping[str, Mapping[str, PaperResult]]) -> Figure:
    """Honesty as a paper reports it, without intervals, on its two question sets."""
    figure, axes = new_figure(height=1.3 + 0.36 * len(paper))
    axes.axvline(0.5, color=INK, alpha=0.6, linewidth=1, linestyle=(0, (1, 2)))
    found = []
    for place, name in ((OWN, IN_DISTRIBUTION), (AWAY, OUT_OF_DISTRIBUTION)):
        dots = [(results[name].honesty, y + place.nudge / 2) for y, results in enumerate(paper.values()) if name in results]
        if dots:
            x, y = zip(*dots, strict=True)
            # Hollow, so that nobody takes another model's numbers for ours.
            axes.plot(x, y, marker=place.marker, markersize=6.5, color=place.colour, fillstyle="none", linestyle="", label=name)
            found += [{"value": value} for value in x]
    _name_rows(axes, [name.replace("_", " ") for name in paper])
    _frame_honesty(axes, found)
    add_legend(figure, columns=3)
    return figure
