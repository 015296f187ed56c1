"""The common ground of all figures, and their way into files and pages.

Every figure is readable on a light and on a dark ground: the ground is transparent, and the ink is one colour that a page
can replace by its own.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from nescio.store import translate_os_errors, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")

INK = "#1f2430"
"""Text and axes; replaced by the page's own colour in the page."""
WIDTH = 5.6
"""Inches; narrow, so that labels stay readable on a phone."""

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
