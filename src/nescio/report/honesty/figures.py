"""Figures of an honesty run: data in, a matplotlib figure out.

Meaning never hangs on colour alone: bars bear hatches, lines dashes, cells their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nescio.report.canvas import INK, add_grid, add_legend, draw_cell, frame_cells, new_figure, set_percent, styled
from nescio.report.figures import LOOKS
from nescio.report.honesty.counts import Bin, Share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, as on the page of decisions.
BLUE, VERMILLION, AMBER, GREY = "#0072B2", "#D55E00", "#E69F00", "#878d96"
PARTS = (
    ("right", "answered, right", BLUE, 0.6, ""),
    ("wrong", "answered, wrong", VERMILLION, 0.6, "////"),
    ("refused", "refused", GREY, 0.28, ""),
)
GRID_LABELS = ("right", "wrong", "refused")
NUMERATORS = {(2, 0): "▲", (2, 1): "●", (2, 2): "●"}
"""Cells (row, column) that are counted in over-conservativeness (▲) and in prudence (●)."""


@styled
def draw_grid(counts: Sequence[Sequence[int]]) -> Figure:
    """The grid of responses after training (rows) and before it (columns), cells N1 to N9 row by row, with totals.

    The solid frame holds what over-conservativeness is a share of, the dashed one what prudence is a share of.
    """
    from matplotlib.patches import Rectangle

    table = np.asarray(counts, dtype=float)
    total = table.sum()
    figure, axes = new_figure(height=3.5, width=4.1)
    for y in range(3):
        for x in range(3):
            name = f"N{3 * y + x + 1} {NUMERATORS.get((y, x), '')}".rstrip()
            draw_cell(axes, x, y, text="", tint=table[y, x] / total if total else 0.0)
            axes.text(x, y - 0.2, name, ha="center", va="center", fontsize=9.5)
            axes.text(x, y + 0.14, f"{int(table[y, x]):,}", ha="center", va="center", fontweight="bold", fontsize=12)
    for place in range(3):
        axes.text(3, place, f"{int(table[place].sum()):,}", ha="center", va="center")
        axes.text(place, 3, f"{int(table[:, place].sum()):,}", ha="center", va="center")
    axes.text(3, 3, f"{int(total):,}", ha="center", va="center", fontweight="bold")
    frame: dict[str, Any] = {"fill": False, "zorder": 4, "linewidth": 2.4}
    axes.add_patch(Rectangle((-0.5, -0.5), 0.98, 3.0, edgecolor=BLUE, **frame))
    axes.add_patch(Rectangle((0.53, 0.5), 1.97, 2.0, edgecolor=VERMILLION, linestyle=(0, (4, 2)), **frame))
    frame_cells(axes, columns=[*GRID_LABELS, "all"], rows=[*GRID_LABELS, "all"])
    axes.set(xlabel="before training", ylabel="after training", xlim=(-0.56, 3.5), ylim=(3.5, -0.56))
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.xaxis.labelpad = 8
    return figure


@styled
def draw_obscurity_map(bins: Sequence[Bin], *, unanswerable: Bin | None, measure: str) -> Figure:
    """What the model knew before training and what it does after it, over the obscurity of what is asked.

    Args:
        bins: From best known to most obscure.
        unanswerable: Questions that nobody can answer; None where there are none.
        measure: What the line shows.
    """
    figure, axes = new_figure(height=4.0)
    columns = [*bins] if unanswerable is None else [*bins, unanswerable]
    places = np.arange(len(columns), dtype=float)
    if unanswerable is not None:
        places[-1] += 0.6
    _stack_parts(axes, places, columns)
    known = [(place, column.known) for place, column in zip(places, bins, strict=False) if column.known.n]
    _draw_shares(axes, known, colour=INK, marker="s", dashes="-", label=measure)
    axes.set_xticks(places, labels=[f"{column.name}\n{_count(column)}" for column in columns], fontsize=9.5)
    axes.set(xlabel="obscurity, from best known (1); below, the number of questions", ylabel="share of questions")
    axes.set(ylim=(0, 1), xlim=(-0.6, places[-1] + 0.6))
    axes.tick_params(axis="x", length=0)
    set_percent(axes.yaxis)
    add_legend(figure, columns=2)
    return figure


def _count(column: Bin) -> str:
    n = max(column.known.n, column.right.n)
    return f"{n / 1000:.1f}k" if n >= 1000 else str(n)


def _stack_parts(axes: Any, places: Any, columns: Sequence[Bin]) -> None:
    bottom = np.zeros(len(columns))
    for part, label, colour, opacity, hatch in PARTS:
        heights = np.array([getattr(column, part).value for column in columns])
        heights = np.nan_to_num(heights)
        style = {"alpha": opacity, "hatch": hatch, "edgecolor": "#ffffff", "linewidth": 0}
        axes.bar(places, heights, bottom=bottom, width=0.86, facecolor=colour, label=label, **style)
        bottom += heights


def _draw_shares(axes: Any, points: Sequence[tuple[float, Share]], *, colour: str, marker: str, dashes: Any, label: str) -> None:
    """Points with intervals, joined by a line."""
    if not points:
        return
    x, y, low, high = np.array([(place, share.value, share.low, share.high) for place, share in points]).T
    arms = np.maximum([y - low, high - y], 0.0)
    look = {"color": colour, "marker": marker, "linestyle": dashes, "markersize": 6, "linewidth": 1.8}
    axes.errorbar(x, y, yerr=arms, elinewidth=1.3, capsize=2.5, label=label, zorder=5, **look)


class RelationRow(NamedTuple):
    """One relation of the heat map."""

    name: str
    n: int
    """Questions."""
    known: Sequence[float]
    """Share right before training in each bin of obscurity; NaN where there is no question."""
    refused: Sequence[float]
    """Share refused after training in each bin; NaN where there is no question."""


@styled
def draw_relation_heat(rows: Sequence[RelationRow]) -> Figure:
    """Per cent known before training (left, blue) and refused after it (right, orange), by relation and obscurity."""
    n_bins = len(rows[0].known)
    figure, axes = new_figure(height=1.1 + 0.28 * len(rows))
    gap = n_bins + 0.5
    for y, row in enumerate(rows):
        for offset, values, colour in ((0.0, row.known, BLUE), (gap, row.refused, VERMILLION)):
            for x, value in enumerate(values):
                shown = None if math.isnan(value) else value
                text = "" if shown is None else f"{100 * shown:.0f}"
                draw_cell(axes, x + offset, y, text=text, tint=shown, colour=colour)
    labels = [str(1 + place % n_bins) for place in range(2 * n_bins)]
    frame_cells(axes, columns=labels, rows=[f"{row.name.replace('_', ' ')} ({row.n:,})" for row in rows])
    axes.set_xticks([*range(n_bins), *(gap + x for x in range(n_bins))], labels=labels)
    axes.set(xlim=(-0.5, gap + n_bins - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for middle, title in (((n_bins - 1) / 2, "known before"), (gap + (n_bins - 1) / 2, "refused after")):
        axes.annotate(
            title,
            (middle, 1),
            (0, 22),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            weight="bold",
        )
    return figure


@styled
def draw_sample_bins(bins: Sequence[Bin], *, xlabel: str) -> Figure:
    """Accuracy of the greedy answer before training and refusals after it, over what the samples say."""
    figure, axes = new_figure(height=3.7)
    tuned = LOOKS["tuned"]
    for nudge, part, colour, marker, dashes, label in (
        (-0.07, "greedy_right", BLUE, "s", (0, (3, 2)), "greedy answer right, before"),
        (0.07, "refused", tuned.colour, tuned.marker, tuned.dashes, "refused, after"),
    ):
        shares = [(place + nudge, getattr(row, part)) for place, row in enumerate(bins)]
        points = [(place, share) for place, share in shares if share.n]
        _draw_shares(axes, points, colour=colour, marker=marker, dashes=dashes, label=label)
    labels = [f"{row.name}\n{_count_samples(row)}" for row in bins]
    axes.set_xticks(range(len(bins)), labels=labels, fontsize=9.5)
    axes.set(xlabel=xlabel, ylabel="share of questions", ylim=(-0.03, 1.03), xlim=(-0.5, len(bins) - 0.5))
    set_percent(axes.yaxis)
    add_grid(axes, axis="y")
    add_legend(figure, columns=2)
    return figure


def _count_samples(row: Bin) -> str:
    n = max(row.greedy_right.n, row.refused.n)
    return f"n {n:,}" if n < 10_000 else f"n {n // 1000}k"


class PenaltyCurve(NamedTuple):
    """S(c) of one set."""

    name: str
    costs: Sequence[float]
    """Ascending."""
    tuned: Sequence[Mapping[str, Any]]
    """`value`, `low`, `high` at each cost; None where undefined."""
    untrained: Sequence[float]
    """At each cost; NaN where undefined."""


@styled
def draw_penalty_curves(curves: Sequence[PenaltyCurve]) -> Figure:
    """Mean reward over the cost of an error, a panel a set: the trained model with its interval, and the untrained."""
    from matplotlib.ticker import MaxNLocator

    columns = min(2, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure, first = new_figure(height=0.7 + (2.3 if columns > 1 else 3.0) * rows)
    first.remove()
    for place, curve in enumerate(curves):
        axes = figure.add_subplot(rows, columns, place + 1)
        _draw_penalty(axes, curve, named=place == 0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if len(curves) > 1:
            axes.set_title(curve.name.replace("_", " "), fontsize=10.5)
        if place % columns == 0:
            axes.set_ylabel("mean reward S(c)")
        if place + columns >= len(curves):
            axes.set_xlabel("cost c of an error")
    add_legend(figure)
    return figure


def _draw_penalty(axes: Any, curve: PenaltyCurve, *, named: bool) -> None:
    costs = np.array(curve.costs, dtype=float)
    base, tuned = LOOKS["base"], LOOKS["tuned"]
    value, low, high = (np.array([_number(point.get(key)) for point in curve.tuned]) for key in ("value", "low", "high"))
    untrained = np.array(curve.untrained, dtype=float)
    axes.axhline(0, color=INK, alpha=0.6, linewidth=1, linestyle=(0, (1, 2)), label="0: refuse all" if named else "_")
    look = {"marker": base.marker, "markersize": 3.5, "linewidth": 1.8}
    axes.plot(costs, untrained, color=base.colour, linestyle=base.dashes, label="Untrained" if named else "_", **look)
    axes.fill_between(costs, low, high, color=tuned.colour, alpha=0.2, linewidth=0)
    axes.plot(costs, value, color=tuned.colour, marker="o", markersize=3.5, linewidth=2, label="Tuned" if named else "_")
    numbers = np.concatenate([value, low, high, untrained])
    numbers = numbers[~np.isnan(numbers)]
    # Errors can cost without end; below -1 on average a model does harm, and how much is of no use to see.
    axes.set_ylim(max(-1.5, min(-0.1, numbers.min(initial=0.0) - 0.05)), max(0.2, numbers.max(initial=0.0) + 0.08))
    if len(costs) and costs.max() > 5:
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xticks(_spread(costs), labels=[f"{cost:g}" for cost in _spread(costs)], minor=False)
        axes.minorticks_off()
    add_grid(axes)


def _spread(costs: Any) -> list[float]:
    """Costs to label: whole ones, at most six."""
    whole = [float(cost) for cost in costs if cost == int(cost)]
    step = max(1, math.ceil(len(whole) / 6))
    return [*whole[:-1:step], whole[-1]] if whole else []


def _number(value: float | None) -> float:
    return math.nan if value is None else value
