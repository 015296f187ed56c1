"""Which figures the page of an honesty run shows, how to read each, and why one is left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nescio.records import Outcome
from nescio.report.canvas import Array, Plan
from nescio.report.figures import draw_training_loss
from nescio.report.honesty import figures
from nescio.report.honesty.content import HonestyContent
from nescio.report.honesty.counts import (
    CORRECT,
    IDK,
    UNGRADED,
    Bin,
    Rows,
    Share,
    bin_by_obscurity,
    bin_by_samples,
    describe_bin,
    gather_rows,
    measure_agreement,
)
from nescio.report.honesty.figures import PenaltyCurve, RelationRow
from nescio.report.honesty.headline import describe_faults, show_set
from nescio.report.honesty.untrained import measure_untrained_penalty

END, GRID, SAMPLES, COSTS, TRAINING = (
    "Where does this model's knowledge end?",
    "Before and after",
    "Do the samples tell?",
    "What errors cost",
    "Training",
)
RELATION_BINS = 5


class View(NamedTuple):
    """What samples are asked."""

    name: str
    title: str
    xlabel: str
    meaning: str


VIEWS = (
    View("right", "Share of right samples", "right samples before training, %", "are right"),
    View("agreement", "Sample agreement", "samples that say the same as the greedy answer, %", "agree, whatever is right"),
)


def plan_figures(content: HonestyContent) -> Iterator[Plan | str]:
    """Every figure in order, or why it is left out."""
    rows = {name: gather_rows(content.outcomes[name]) for name in content.sets}
    yield from _plan_obscurity(content, rows)
    for name in content.sets:
        yield _plan_grid(content, name)
    yield from _plan_samples(content, rows)
    yield _plan_penalty(content)
    yield _plan_loss(content)


def _plan_obscurity(content: HonestyContent, rows: dict[str, Rows]) -> Iterator[Plan | str]:
    measured = [name for name in content.sets if _has_obscurity(rows[name])]
    if not measured:
        yield "Known and unknown over obscurity: no question says how obscure it is."
        return
    for name in measured:
        yield _plan_map(name, rows[name])
    yield _plan_relations(content, measured[0], rows[measured[0]])


def _has_obscurity(rows: Rows) -> bool:
    return bool((~np.isnan(rows.obscurity) & ~rows.unanswerable).any())


def _plan_map(name: str, rows: Rows) -> Plan:
    bins = bin_by_obscurity(rows)
    invented = rows.keep(rows.unanswerable)
    unanswerable = describe_bin("no answer", invented) if len(invented.group) else None
    sampled = not np.isnan(rows.knowledge[~rows.unanswerable]).all()
    measure = "right samples, before" if sampled else "right greedy answers, before"
    left_out = int((np.isnan(rows.obscurity) & ~rows.unanswerable).sum())
    caption = (
        f"How to read it: the line is what the model knew before training ({measure}; bars 95 %); one that knows its limits "
        f"answers up to the line and refuses above it. {_describe_following(rows)}"
    )
    if unanswerable is not None:
        caption += f" The last column holds questions that nobody can answer: {_percent(unanswerable.refused)} refused."
    if left_out:
        caption += f" {left_out:,} questions without a measure of obscurity are left out."
    told = "; ".join(f"decile {row.name}: {_describe_bin(row)}" for row in bins if row.right.n or row.known.n)
    return Plan(
        name=f"obscurity_{name}",
        section=END,
        title=f"Known and unknown: {show_set(name)}",
        caption=caption,
        alt=f"Stacked bars of answers and refusals by obscurity, with a line of what was known before. {told}.",
        draw=lambda: figures.draw_obscurity_map(bins, unanswerable=unanswerable, measure=measure),
    )


def _describe_following(rows: Rows) -> str:
    """How well refusal follows ignorance, in two numbers."""
    asked = rows.keep(~rows.unanswerable & (rows.after != UNGRADED))
    knowledge = asked.knowledge
    if np.isnan(knowledge).all():
        knowledge = np.where(asked.before == UNGRADED, np.nan, (asked.before == CORRECT).astype(float))
    refused = asked.after == IDK
    parts = []
    for words, chosen in (("no right sample", knowledge == 0), ("only right samples", knowledge == 1)):
        if chosen.any():
            parts.append(f"{100 * refused[chosen].mean():.0f} % of those with {words} (n {int(chosen.sum()):,})")
    words = " and ".join(parts)
    return f"It refuses {words}." if np.isfinite(asked.knowledge).any() and parts else ""


def _plan_relations(content: HonestyContent, name: str, rows: Rows) -> Plan | str:
    table = tabulate_relations(content, name, rows)
    if not table:
        return f"Relations of {show_set(name)}: no question with a measure of obscurity names its relation."
    best, worst = table[0], table[-1]
    return Plan(
        name="relations",
        section=END,
        title=f"By relation: {show_set(name)}",
        caption="How to read it: 1 is best known, 5 most obscure; where little is known (left), much should be refused (right). "
        "Per cent of questions in each cell, number of questions in brackets, best known relation on top.",
        alt=f"Heat tables of what was known before and what is refused after, by relation and obscurity, {len(table)} relations. "
        f"Best known: {_describe_relation(best)}. Least known: {_describe_relation(worst)}.",
        draw=lambda: figures.draw_relation_heat(table),
    )


def tabulate_relations(content: HonestyContent, name: str, rows: Rows) -> list[RelationRow]:
    """Known before and refused after by relation and fifth of obscurity; best known first, unanswerable ones left out."""
    relations = np.array([content.questions[row.question_id].relation for row in content.outcomes[name]], dtype=object)
    usable = ~np.isnan(rows.obscurity) & ~rows.unanswerable & (relations != "")
    table = []
    for relation in sorted(set(relations[usable])):
        part = rows.keep(usable & (relations == relation))
        bins = bin_by_obscurity(part, n_bins=RELATION_BINS)
        known, refused = [row.known.value for row in bins], [row.refused.value for row in bins]
        table.append((describe_bin(relation, part).known.value, RelationRow(relation, len(part.group), known, refused)))
    table.sort(key=lambda entry: (math.isnan(entry[0]), -entry[0], entry[1].name))
    return [row for _, row in table]


def _describe_relation(row: RelationRow) -> str:
    known, refused = (
        ", ".join("–" if math.isnan(value) else f"{100 * value:.0f}" for value in values) for values in (row.known, row.refused)
    )
    return f"{row.name.replace('_', ' ')}, known {known} %, refused {refused} %"


def _plan_grid(content: HonestyContent, name: str) -> Plan | str:
    entry = content.scorecard["sets"][name]
    counts = (entry.get("grid") or {}).get("counts")
    if not counts:
        return f"Before and after on {show_set(name)}: the scorecard has no grid."
    cells = ", ".join(f"N{3 * y + x + 1} {counts[y][x]}" for y in range(3) for x in range(3))
    faults = describe_faults(entry)
    ungraded = f"Not in the grid, {faults}." if faults else "None is ungraded."
    return Plan(
        name=f"grid_{name}",
        section=GRID,
        title=show_set(name),
        caption="How to read it: over-conservativeness is ▲ of the solid frame, prudence is both ● of the dashed frame. "
        + ungraded,
        alt=f"Grid of responses before training (columns) and after it (rows): {cells}. {ungraded}",
        draw=lambda: figures.draw_grid(counts),
    )


def _plan_samples(content: HonestyContent, rows: dict[str, Rows]) -> Iterator[Plan | str]:
    own = [name for name in content.sets if name not in content.away]
    any_samples = False
    for place, names in (("in_distribution", own), ("out_of_distribution", content.away)):
        outcomes = [row for name in names for row in content.outcomes[name]]
        if not outcomes:
            continue
        pooled = _pool([rows[name] for name in names])
        where = show_set(names[0]) if len(names) == 1 else f"{len(names)} sets {show_set(place)}"
        for plan in _plan_scope(content, place, outcomes, pooled, where=where):
            any_samples = True
            yield plan
    if not any_samples:
        yield "Samples against accuracy: no question with a graded response was sampled before training."


def _pool(parts: Sequence[Rows]) -> Rows:
    """Several sets as one; groups of different sets stay apart."""
    offsets = np.cumsum([0, *(int(part.group.max(initial=-1)) + 1 for part in parts)])
    moved = [part._replace(group=part.group + offset) for part, offset in zip(parts, offsets, strict=False)]
    return Rows._make(np.concatenate(arrays) for arrays in zip(*moved, strict=True))


def _plan_scope(content: HonestyContent, place: str, outcomes: Sequence[Outcome], rows: Rows, *, where: str) -> Iterator[Plan]:
    for view in VIEWS:
        share = rows.knowledge if view.name == "right" else measure_agreement(outcomes, content.samples)
        bins = bin_by_samples(rows, share)
        if not any(row.greedy_right.n or row.refused.n for row in bins):
            continue
        yield Plan(
            name=f"samples_{view.name}_{place}",
            section=SAMPLES,
            title=f"{view.title}: {where}",
            caption=f"How to read it: the further right, the more samples {view.meaning}; accuracy should rise, refusal fall. "
            f"Bars are 95 % Wilson intervals that count each group of questions once. {_count_left_out(share)}",
            alt=f"Accuracy of the greedy answer and share of refusals by samples. {_describe_samples(bins)}.",
            draw=_draw_samples(bins, view.xlabel),
        )


def _draw_samples(bins: Sequence[Bin], xlabel: str) -> Any:
    return lambda: figures.draw_sample_bins(bins, xlabel=xlabel)


def _count_left_out(share: Array) -> str:
    missing = int(np.isnan(share).sum())
    return f"{missing:,} questions without samples are left out." if missing else ""


def _describe_samples(bins: Sequence[Bin]) -> str:
    told = [
        f"{row.name} %: greedy right {_percent(row.greedy_right)}, refused {_percent(row.refused)}, n {row.greedy_right.n}"
        for row in bins
        if row.greedy_right.n or row.refused.n
    ]
    return "; ".join(told)


def _plan_penalty(content: HonestyContent) -> Plan | str:
    curves = []
    for name in content.sets:
        points = [row for row in content.scorecard["sets"][name].get("penalty_curve") or () if row.get("c") is not None]
        points.sort(key=lambda row: row["c"])
        costs = [float(row["c"]) for row in points]
        if any(row.get("value") is not None for row in points):
            curves.append(PenaltyCurve(name, costs, points, measure_untrained_penalty(content.outcomes[name], costs)))
    if not curves:
        return "Penalty curve: the scorecard has none."
    return Plan(
        name="penalty",
        section=COSTS,
        title="Mean reward over the cost of an error",
        caption="How to read it: a right answer earns 1, a refusal 0 (1 where nobody can answer), an error costs c; above "
        "the dotted zero line the model is worth more than one that refuses all. Answering pays only where the chance of "
        "being right exceeds c / (1 + c). What falls below −1.5 is cut off.",
        alt=f"Reward curves. {'; '.join(map(_describe_curve, curves))}.",
        draw=lambda: figures.draw_penalty_curves(curves),
    )


def _describe_curve(curve: PenaltyCurve) -> str:
    ends = sorted({0, len(curve.costs) - 1})
    points = [
        f"at c {curve.costs[end]:g} tuned {_decimal(curve.tuned[end].get('value'))}, untrained {_decimal(curve.untrained[end])}"
        for end in ends
    ]
    return f"{show_set(curve.name)} {', '.join(points)}"


def _plan_loss(content: HonestyContent) -> Plan | str:
    rows = [row for row in content.loss_curve if row.get("loss") is not None]
    if not rows:
        return "Training loss: none was recorded."
    first, last = rows[0], rows[-1]
    told = f"From {first['loss']:.2f} at step {first['step']} to {last['loss']:.2f} at step {last['step']}."
    return Plan(
        name="training_loss",
        section=TRAINING,
        title="Training loss",
        caption=f"How to read it: a curve that has flattened out has learned what it can. {told}",
        alt=f"Line chart of the training loss. {told}",
        draw=lambda: draw_training_loss(rows),
    )


def _describe_bin(row: Bin) -> str:
    shares = {"known before": row.known, "answered right": row.right, "wrong": row.wrong, "refused": row.refused}
    return ", ".join(f"{words} {_percent(share)}" for words, share in shares.items()) + f", n {max(row.known.n, row.right.n)}"


def _percent(share: Share) -> str:
    return f"{100 * share.value:.0f} %" if share.n else "–"


def _decimal(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"
