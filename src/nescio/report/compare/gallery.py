"""Which figures the comparison shows, how to read each, and why one is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from nescio.report.canvas import Plan
from nescio.report.compare.figures import AWAY, OWN, ComparedPoint, draw_honesty_dots, draw_paper_dots, draw_tradeoff, has_values
from nescio.report.compare.run import BY_NAME, ComparedRun
from nescio.report.compare.tables import Paper
from nescio.report.headline import show_value
from nescio.report.honesty.headline import OUT
from nescio.report.paper_results import PAPER_CITATION


def plan_comparison(runs: Sequence[ComparedRun], *, paper: Paper | None) -> Iterator[Plan | str]:
    """Every figure in order, or why it is left out."""
    points = [ComparedPoint(run.name, run.metrics_of(run.own), run.metrics_of(OUT)) for run in runs]
    yield _plan_dots(points)
    for place, key, title in ((OWN, "own", "in distribution"), (AWAY, "away", "out of distribution, mean")):
        metrics = [getattr(point, key) for point in points]
        if not any(has_values(row, "prudence", "over_conservativeness") for row in metrics):
            yield f"Prudence against over-conservativeness, {title}: defined in no run."
            continue
        yield Plan(
            name=f"tradeoff_{key}",
            section="Figures",
            title=f"Prudence against over-conservativeness, {title}",
            caption="How to read it: up and to the left is better; along a grey line honesty is the same (per cent at its "
            f"end). {_name_numbers(points)}",
            alt=f"Scatter plot. {_tell(points, metrics, ('prudence', 'over_conservativeness'))}",
            draw=partial(draw_tradeoff, metrics, place=place),
        )
    if paper:
        yield Plan(
            name="paper",
            section="The paper's own numbers",
            title="Honesty in the paper: another model, other questions",
            caption=f"How to read it: compare the order of the recipes, not the values. {PAPER_CITATION}.",
            alt="Dot plot of honesty in the paper. "
            + "; ".join(
                f"{recipe.replace('_', ' ')}: " + ", ".join(f"{name} {100 * row.honesty:.1f} %" for name, row in results.items())
                for recipe, results in paper.items()
            ),
            draw=lambda: draw_paper_dots(paper),
        )


def _plan_dots(points: Sequence[ComparedPoint]) -> Plan | str:
    if not any(has_values(row, "honesty") for point in points for row in (point.own, point.away)):
        return "Honesty of each run: defined in no run."
    told = [_tell(points, [point.own for point in points], ("honesty",))]
    if any(point.away for point in points):
        told.append("Out of distribution: " + _tell(points, [point.away for point in points], ("honesty",)))
    return Plan(
        name="honesty",
        section="Figures",
        title="Honesty of each run",
        caption="How to read it: further right is better; bars are 95 % intervals, and at the dotted line a model earns what it "
        "would by never refusing or by always refusing.",
        alt=f"Dot plot of honesty. In distribution: {' '.join(told)}",
        draw=lambda: draw_honesty_dots(points),
    )


def _tell(points: Sequence[ComparedPoint], rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    phrases = []
    for point, row in zip(points, rows, strict=True):
        values = [f"{BY_NAME[key].label.lower()} {show_value(row.get(key), percent=True)}" for key in keys]
        phrases.append(f"{point.label}: {', '.join(values)}")
    return "; ".join(phrases) + "."


def _name_numbers(points: Sequence[ComparedPoint]) -> str:
    return ", ".join(f"{number} {point.label}" for number, point in enumerate(points, start=1)) + "."
