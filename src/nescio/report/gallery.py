"""Which figures a page shows, in which order, with caption and alternative text; and why one is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nescio.records import DECISIONS, answering_is_right
from nescio.report import figures
from nescio.report.canvas import Picture, Plan, draw_plans
from nescio.report.content import ReportContent
from nescio.report.headline import show_system, show_value

Array = NDArray[np.float64]


class Outcomes(NamedTuple):
    """Confidences of one system and what came true; shape (n,) each."""

    raw: Array
    calibrated: Array
    right: Array
    left_out: int
    """Items without a confidence."""


def draw_figures(content: ReportContent, folder: Path) -> tuple[list[Picture], list[str]]:
    """Draw every figure that there is data for, as files and for the page.

    Returns:
        The pictures, and one sentence for each that is missing.

    Raises:
        StoreError: The folder cannot be written.
    """
    return draw_plans(plan_figures(content), folder)


def plan_figures(content: ReportContent) -> Iterator[Plan | str]:
    """Every figure in order, or why it is left out."""
    yield _plan_loss(content)
    if not content.examples or not content.systems:
        yield "Figures of the systems: there are no items to show."
        return
    yield _plan_accuracy(content)
    yield _plan_failure_rates(content)
    yield _plan_decisions(content)
    yield from _plan_confusions(content)
    yield from _plan_confidence(content)
    yield _plan_patterns(content)


def _plan_loss(content: ReportContent) -> Plan | str:
    rows = [row for row in content.loss_curve if row.get("loss") is not None]
    if not rows:
        return "Training loss: none was recorded."
    first, last = rows[0], rows[-1]
    caption = f"From {first['loss']:.2f} at step {first['step']} to {last['loss']:.2f} at step {last['step']}."
    return Plan(
        name="training_loss",
        section="What changed",
        title="Training loss",
        caption=caption,
        alt=f"Line chart of the training loss. {caption}",
        draw=lambda: figures.draw_training_loss(rows),
    )


def _plan_accuracy(content: ReportContent) -> Plan:
    points = _list_values(content, ("decision_accuracy", "refusal_rate"), words="{} decides rightly on {} and refuses {}")
    return Plan(
        name="accuracy_refusal",
        section="What changed",
        title="Accuracy against refusal rate",
        caption="Bars are 95 % intervals. Refusing more is no gain in itself: "
        "crosses mark what one constant decision gets, the star a perfect model.",
        alt=f"Scatter plot of decision accuracy over refusal rate. {points}",
        draw=lambda: figures.draw_accuracy_against_refusal(content.scorecard["systems"], gold=_list_gold(content)),
    )


def _plan_failure_rates(content: ReportContent) -> Plan:
    keys = ("hallucination_rate", "false_confidence_rate", "over_refusal_rate")
    rates = _list_values(content, keys, words="{}: hallucination {}, false confidence {}, over-refusal {}")
    return Plan(
        name="failure_rates",
        section="What changed",
        title="Three ways to fail",
        caption="Shorter is better; whiskers are 95 % intervals. Over-refusal is the price that a cautious model may pay.",
        alt=f"Bar chart of failure rates. {rates}",
        draw=lambda: figures.draw_failure_rates(content.scorecard["systems"]),
    )


def _plan_decisions(content: ReportContent) -> Plan:
    gold = _list_gold(content)
    decisions = {name: [row.decision or "failed" for row in content.predictions[name]] for name in content.systems}
    shares = "; ".join(f"{show_system(name)}: {_list_shares(rows)}" for name, rows in decisions.items())
    return Plan(
        name="decisions",
        section="Decisions",
        title="Which decisions are taken",
        caption="The closer a row is to the first, the better the mix. The tables show whether the right questions lie behind.",
        alt=f"Stacked bars of decisions. Right: {_list_shares(gold)}; {shares}.",
        draw=lambda: figures.draw_decisions(gold, decisions),
    )


def _plan_confusions(content: ReportContent) -> Iterator[Plan]:
    for name in content.systems:
        confusion = content.scorecard["systems"][name].get("confusion")
        if confusion:
            yield _plan_confusion(name, confusion)


def _plan_confusion(name: str, confusion: Mapping[str, Mapping[str, int]]) -> Plan:
    rows = []
    for gold, taken in confusion.items():
        counts = ", ".join(f"{count} {decision}" for decision, count in taken.items())
        rows.append(f"right {gold}, taken {counts}")
    return Plan(
        name=f"confusion_{name}",
        section="Decisions",
        title=f"{show_system(name)}: right against taken",
        caption="Numbers of questions; the diagonal (bold) is right.",
        alt=f"Confusion matrix of {show_system(name)}: {'; '.join(rows)}.",
        draw=lambda: figures.draw_confusion(confusion),
    )


def collect_outcomes(content: ReportContent, system: str) -> Outcomes:
    """Put together the confidences of a system and whether answering would have been right."""
    sides = (content.examples, content.predictions[system], content.grades[system], content.calibrated[system])
    rows = [
        (prediction.confidence, calibrated, answering_is_right(example, grade))
        for example, prediction, grade, calibrated in zip(*sides, strict=True)
        if prediction.confidence is not None and calibrated is not None
    ]
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return Outcomes(table[:, 0], table[:, 1], table[:, 2], left_out=len(content.examples) - len(rows))


def _plan_confidence(content: ReportContent) -> Iterator[Plan | str]:
    collected = {name: collect_outcomes(content, name) for name in content.systems}
    outcomes = {name: rows for name, rows in collected.items() if len(rows.right)}
    subject = content.subject
    if subject is None or subject not in outcomes:
        yield f"Calibration and risk-coverage: {show_system(subject or 'no system')} has no item with a confidence."
        return
    yield _plan_reliability(content, subject, outcomes[subject])
    yield _plan_histogram(subject, outcomes[subject])
    yield _plan_risk_coverage(content, subject, outcomes)


def _plan_reliability(content: ReportContent, subject: str, rows: Outcomes) -> Plan:
    n_bins = int(content.scorecard.get("settings", {}).get("n_bins", 10))
    errors = _describe_calibration(content.scorecard["systems"][subject])
    return Plan(
        name="calibration",
        section="Confidence",
        title="Does confidence come true?",
        caption=f"{_describe_scope(subject, rows)} On the diagonal, 70 % of what is stated at 70 % comes true. "
        f"The band is where a perfectly calibrated model of this size would lie by chance. {errors}",
        alt=f"Reliability diagram before and after calibration. {_describe_scope(subject, rows)} {errors}",
        draw=lambda: figures.draw_reliability(rows.raw, rows.calibrated, rows.right, n_bins=n_bins),
    )


def _plan_histogram(subject: str, rows: Outcomes) -> Plan:
    scope = _describe_scope(subject, rows)
    medians = f"Median before calibration {np.median(rows.raw):.2f}, after {np.median(rows.calibrated):.2f}."
    return Plan(
        name="confidence_histogram",
        section="Confidence",
        title="Which confidences are stated",
        caption=f"{scope} {medians}",
        alt=f"Histogram of confidences before and after calibration. {scope} {medians}",
        draw=lambda: figures.draw_confidence_histogram(rows.raw, rows.calibrated),
    )


def _plan_risk_coverage(content: ReportContent, subject: str, outcomes: Mapping[str, Outcomes]) -> Plan:
    systems = content.scorecard["systems"]
    areas = "; ".join(f"{show_system(name)} {show_value(systems[name].get('aurc'), percent=False)}" for name in outcomes)
    curves = {name: (rows.calibrated, rows.right) for name, rows in outcomes.items()}
    return Plan(
        name="risk_coverage",
        section="Confidence",
        title="What answering less would buy",
        caption=f"Lower is better. Oracle and random are those of {show_system(subject).lower()}. Area under the curve: {areas}.",
        alt=f"Risk-coverage curves. Area under the curve: {areas}.",
        draw=lambda: figures.draw_risk_coverage(curves, subject=subject),
    )


def _plan_patterns(content: ReportContent) -> Plan | str:
    systems = content.scorecard["systems"]
    if not any(metrics.get("patterns") for metrics in systems.values()):
        return "Accuracy by pattern: the scorecard has no patterns."
    told = []
    for name in content.systems:
        cells = sorted(systems[name].get("patterns", {}).items())
        values = [f"{pattern} {show_value(cell.get('decision_accuracy'), percent=True)}" for pattern, cell in cells]
        told.append(f"{show_system(name)}: {', '.join(values)}")
    return Plan(
        name="patterns",
        section="Patterns",
        title="Decision accuracy by pattern",
        caption="Number of questions in brackets. With few questions a cell is a hint, not a finding.",
        alt=f"Heat table. {'; '.join(told)}.",
        draw=lambda: figures.draw_pattern_heat(systems),
    )


def _list_gold(content: ReportContent) -> list[str]:
    return [example.decision for example in content.examples]


def _list_values(content: ReportContent, keys: Sequence[str], *, words: str) -> str:
    systems: Mapping[str, Any] = content.scorecard["systems"]
    phrases = []
    for name in content.systems:
        values = [show_value(systems[name].get(key), percent=True) for key in keys]
        phrases.append(words.format(show_system(name), *values))
    return "; ".join(phrases) + "."


def _list_shares(rows: Sequence[str]) -> str:
    shares = {decision: 100 * rows.count(decision) / len(rows) for decision in (*DECISIONS, "failed")}
    return ", ".join(f"{decision} {share:.0f} %" for decision, share in shares.items() if share)


def _describe_scope(system: str, rows: Outcomes) -> str:
    left_out = f" ({rows.left_out} without a confidence left out)" if rows.left_out else ""
    return f"{show_system(system)}, {len(rows.right)} questions{left_out}."


def _describe_calibration(metrics: Mapping[str, Any]) -> str:
    before, after = (show_value(metrics.get(key), percent=False) for key in ("ece_raw", "ece"))
    text = f"Calibration error before {before}, after {after}"
    floor = metrics.get("noise_floor") or {}
    if floor.get("mean") is None or floor.get("q95") is None:
        return text + "."
    perfect = f"{floor['mean']:.3f} on average and rarely more than {floor['q95']:.3f}"
    return f"{text}; a perfectly calibrated model would show {perfect}."
