"""The common ground of all figures, and their way into files and pages.

Every figure is readable on a light and on a dark ground: the ground is transparent, and the ink is one colour that a page
can replace by its own.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec

import numpy as np
from numpy.typing import NDArray

from nescio.store import translate_os_errors, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")
Array = NDArray[np.float64]

INK = "#1f2430"
"""Text and axes; replaced by the page's own colour in the page."""
WIDTH = 5.6
"""Inches; narrow, so that labels stay readable on a phone."""

MAX_TINT = 0.6
"""Opacity of the fullest cell. Up to here ink stays readable on blue, on a light ground and on a dark one."""
CELL_COLOUR = "#0072B2"
"""Of a heat table, unless another is wanted."""

STYLE: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "nescio",  # without a fixed salt the ids in an SVG differ from run to run
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in our style without touching the style of the process."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def new_figure(*, height: float, width: float = WIDTH) -> tuple[Figure, Any]:
    """An empty figure with one axes, outside pyplot's registry: nothing stays open."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def add_grid(axes: Any, *, axis: str = "both") -> None:
    """Faint lines behind everything else."""
    axes.grid(visible=True, axis=axis, color=INK, alpha=0.12, linewidth=0.8)
    axes.set_axisbelow(True)


def set_percent(axis: Any) -> None:
    """Write shares in [0, 1] as percentages."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1, decimals=0))


def add_legend(figure: Figure, *, columns: int = 3) -> None:
    """Name what is drawn above the axes, where it covers no data."""
    figure.legend(loc="outside upper left", ncols=columns, handlelength=2.2, columnspacing=1.4)


def interval_arms(metric: Mapping[str, Any]) -> Array:
    """Arms of the interval around the value, shape (2, 1); none where there is no interval."""
    value = metric["value"]
    low, high = (value if metric.get(side) is None else metric[side] for side in ("low", "high"))
    return np.array([[max(value - low, 0.0)], [max(high - value, 0.0)]])


def draw_cell(
    axes: Any, x: float, y: float, *, text: str, tint: float | None, weight: str = "normal", colour: str = CELL_COLOUR
) -> None:
    """One cell of a heat table; `tint` in [0, 1], or None for a cell without a value."""
    from matplotlib.patches import Rectangle

    opacity = 0.0 if tint is None else 0.04 + (MAX_TINT - 0.04) * tint
    axes.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, color=colour, alpha=opacity, linewidth=0))
    axes.text(x, y, text, ha="center", va="center", fontweight=weight)


def frame_cells(axes: Any, *, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Name the columns and rows of a heat table and take the axes away."""
    axes.set_xticks(range(len(columns)), labels=list(columns))
    axes.set_yticks(range(len(rows)), labels=list(rows))
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def write_figure(figure: Figure, folder: Path, *, name: str) -> str:
    """Write `name.svg` and, on a white ground, `name.png`.

    Returns:
        The text of the SVG file; the same figure gives the same bytes in every run.

    Raises:
        StoreError: The folder cannot be written.
    """
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        with translate_os_errors(f"writing {folder / name}.png"):
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(folder / f"{name}.png", dpi=160, facecolor="white", metadata={"Software": None})
    svg = text.getvalue()
    write_text(folder / f"{name}.svg", svg)
    return svg


def embed_svg(svg: str, *, name: str, alt: str) -> str:
    """Make an SVG file's text fit to stand in a page: ink in the page's colour, ids of its own, alternative text.

    Args:
        svg: As returned by `write_figure`.
        name: Unique in the page; prefixes every id.
        alt: What the figure shows, for those who do not see it.
    """
    from markupsafe import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    head, body = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    head += f' role="img" aria-label="{escape(alt)}"'
    return f"{head}>{body}".replace(INK, "currentColor").strip()


class Plan(NamedTuple):
    """A figure still to be drawn."""

    name: str
    """Of its files; unique in the page."""
    section: str
    title: str
    caption: str
    alt: str
    """What the figure shows, with its numbers, for those who do not see it."""
    draw: Callable[[], Figure]


class Picture(NamedTuple):
    """A figure as the page shows it."""

    name: str
    section: str
    title: str
    caption: str
    svg: str
    """Markup, safe to embed."""


def draw_plans(plans: Iterable[Plan | str], folder: Path) -> tuple[list[Picture], list[str]]:
    """Draw figures, as files and for the page.

    Args:
        plans: Figures in order; a string says in a sentence why one is left out.
        folder: Where the files go.

    Returns:
        The pictures, and the sentences.

    Raises:
        StoreError: The folder cannot be written.
    """
    pictures, missing = [], []
    for plan in plans:
        if isinstance(plan, str):
            missing.append(plan)
            continue
        svg = write_figure(plan.draw(), folder, name=plan.name)
        embedded = embed_svg(svg, name=plan.name, alt=plan.alt)
        pictures.append(Picture(plan.name, plan.section, plan.title, plan.caption, embedded))
    return pictures, missing
