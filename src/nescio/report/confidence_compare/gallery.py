"""Which figures the comparison of confidence runs shows, how to read each, and why one is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from nescio.report.canvas import Plan
from nescio.report.compare.figures import Place
from nescio.report.confidence import figures
from nescio.report.confidence.content import PLACES, list_places
from nescio.report.confidence.counts import LEAST_ANSWERED
from nescio.report.confidence.figures import DotRow, has_value
from nescio.report.confidence.gallery import make_curve
from nescio.report.confidence.headline import show_name, show_number
from nescio.report.confidence_compare.run import Entry, find_best

BEFORE_AND_AFTER = {
    "ece_raw": Place("before calibration", figures.VERMILLION, "s", -0.14),
    "ece": Place("after", figures.GREEN, "o", 0.14),
}


def plan_comparison(entries: Sequence[Entry]) -> Iterator[Plan | str]:
    """Every figure in order, or why it is left out."""
    places = list_places(entries[0].run.scorecard)
    shown = [entry for entry in entries if entry.kind != "baseline"]
    yield _plan_auroc(shown, places)
    for place in places:
        if not any(entry.speaks(place) for entry in shown):
            yield f"Risk over coverage, {show_name(place)}: no method has a confidence."
            continue
        yield _plan_risk_coverage(shown, place)
    for place in places:
        yield _plan_calibration(shown, place)


def _plan_auroc(entries: Sequence[Entry], places: Sequence[str]) -> Plan | str:
    rows = [
        DotRow(
            show_name(entry.label),
            {place: entry.metrics_of(place).get("auroc") or {} for place in places if entry.speaks(place)},
            entry.kind == "trained",
        )
        for entry in entries
    ]
    if not any(has_value(metric) for row in rows for metric in row.metrics.values()):
        return "AUROC of each method: undefined, as all answers are right or all are wrong."
    return Plan(
        name="auroc",
        section="Figures",
        title="AUROC of each method",
        caption="How to read it: further right tells right from wrong answers better; at the dotted line a method knows nothing. "
        "Bars are 95 % intervals; trained methods are bold. A method without any confidence has no point.",
        alt=f"Dot plot of AUROC. {_tell(rows)}",
        draw=lambda: figures.draw_method_dots(
            rows, {place: figures.PLACE_LOOKS[place] for place in places}, xlabel="AUROC", line=0.5
        ),
    )


def _tell(rows: Sequence[DotRow]) -> str:
    words = {"ece_raw": "before", "ece": "after"}
    return "; ".join(
        f"{row.name}: "
        + ", ".join(f"{words.get(key, show_name(key))} {show_number(metric)}" for key, metric in row.metrics.items())
        for row in rows
    )


def _plan_risk_coverage(entries: Sequence[Entry], place: str) -> Plan:
    entries = [entry for entry in entries if entry.speaks(place)]
    best = find_best(entries, place, kind="untrained")
    mix = find_best(entries, place, kind="mix")
    learnt = [*([mix] if mix else []), *(entry for entry in entries if entry.kind == "trained")]
    room = len(figures.LINES) - (best is not None)
    highlighted = [*learnt[:room], *([best] if best else [])]
    curves = [make_curve(show_name(entry.label), entry.stated(place)) for entry in entries]
    rest = [show_name(entry.label) for entry in entries if entry not in highlighted]
    first = highlighted[0] if highlighted else entries[0]
    accuracy = float(first.stated(place).right.mean())
    caption = (
        "How to read it: lower is better, the dotted line is the best order there is, the dashed one a random order. Curves "
        f"begin at {LEAST_ANSWERED} answers (at a twentieth, where there are few)."
    )
    if best:
        caption += f" The best untrained estimator here is {show_name(best.label)}."
    if any(abs(float(entry.stated(place).right.mean()) - accuracy) > 0 for entry in entries):
        caption += f" Not all runs answer alike: the best and the random order are those of the answers of {first.run.name}."
    if rest:
        caption += f" Grey, from best to worst AUROC: {', '.join(rest)}."
    told = "; ".join(f"{show_name(entry.label)} {show_number(entry.metrics_of(place).get('e_aurc'))}" for entry in entries)
    return Plan(
        name=f"risk_coverage_{place}",
        section="Figures",
        title=f"Risk over coverage: {show_name(place)}",
        caption=caption,
        alt=f"Risk-coverage curves. Area above the best order (E-AURC): {told}.",
        draw=partial(
            figures.draw_risk_coverage_of_methods,
            curves,
            highlighted=[show_name(entry.label) for entry in highlighted],
            accuracy=accuracy,
            promise=None,
        ),
    )


def _plan_calibration(entries: Sequence[Entry], place: str) -> Plan | str:
    rows = [
        DotRow(
            show_name(entry.label),
            {key: entry.metrics_of(place).get(key) or {} for key in BEFORE_AND_AFTER},
            entry.kind == "trained",
        )
        for entry in entries
        if entry.speaks(place)
    ]
    if not any(has_value(metric) for row in rows for metric in row.metrics.values()):
        return f"Calibration error {PLACES[place].lower()}: defined for no method."
    return Plan(
        name=f"ece_{place}",
        section="Figures",
        title=f"Calibration error (ECE): {show_name(place)}",
        caption="How to read it: further left, confidence is truer; before calibration (hollow) and after it. Bars are 95 % "
        "intervals; trained methods are bold.",
        alt=f"Dot plot of ECE. {_tell(rows)}",
        draw=lambda: figures.draw_method_dots(rows, BEFORE_AND_AFTER, xlabel="ECE", line=0.0, hollow=("ece_raw",)),
    )
