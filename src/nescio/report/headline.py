"""What the numbers say in plain words: names, formats, verdicts, one sentence, the exchange rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from nescio.records import Example, Grade, Prediction, answering_is_right

Metric = Mapping[str, Any]
"""`value`, `n`, `low`, `high`; the first, third and fourth may be None, then `reason` says why."""
Verdict = Literal["better", "worse", "no detectable change", "undefined"]

SYSTEM_NAMES = {"base": "Base", "few_shot": "Few-shot", "tuned": "Tuned"}


class MetricName(NamedTuple):
    """How a metric is shown."""

    key: str
    """Name in the scorecard."""
    label: str
    higher_is_better: bool
    percent: bool
    """Shown as a percentage; else with three decimals."""
    meaning: str
    """One line for a reader who does not know the name."""


HEADLINE_METRICS = (
    MetricName("decision_accuracy", "Decision accuracy", True, True, "decisions that match the right one"),
    MetricName("macro_f1", "Macro F1", True, False, "F1 of the three decisions, averaged"),
    MetricName("auroc", "AUROC", True, False, "does confidence rank right answers above wrong ones? 0.5 is chance"),
    MetricName("false_confidence_rate", "False confidence", False, True, "wrong among the questions that it chose to answer"),
    MetricName("hallucination_rate", "Hallucination", False, True, "answered among the questions that it should refuse"),
    MetricName("over_refusal_rate", "Over-refusal", False, True, "refused among the questions that it could answer"),
    MetricName("answer_accuracy", "Answer accuracy", True, True, "answered rightly among the questions that it could answer"),
    MetricName("ece", "Calibration error (ECE)", False, False, "average gap between stated confidence and what came true"),
    MetricName("twin_accuracy", "Twin accuracy", True, True, "pairs of near-identical questions decided rightly on both sides"),
)


def order_systems(names: Iterable[str]) -> list[str]:
    """Sort systems as base, few-shot, tuned, then any others by name.

    Examples:
        >>> order_systems(["tuned", "base"])
        ['base', 'tuned']
    """
    known = list(SYSTEM_NAMES)
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))


def show_system(name: str) -> str:
    """The system's name for readers."""
    return SYSTEM_NAMES.get(name, name.replace("_", " "))


def show_value(metric: Metric | None, *, percent: bool, signed: bool = False) -> str:
    r"""A metric's value, or why there is none.

    Examples:
        >>> show_value({"value": 0.5, "n": 8}, percent=True)
        '50.0\xa0%'
        >>> show_value({"value": None, "n": 0, "reason": "nothing was answered"}, percent=True)
        'undefined: nothing was answered'
    """
    if metric is None:
        return "not measured"
    if metric.get("value") is None:
        return f"undefined: {metric.get('reason') or 'no reason recorded'}"
    number = _show_number(metric["value"], percent=percent, signed=signed)
    if not percent:
        return number
    return f"{number}\xa0points" if signed else f"{number}\xa0%"


def show_interval(metric: Metric | None, *, percent: bool, signed: bool = False) -> str:
    """A metric's 95 % interval, or an empty string where there is none.

    Examples:
        >>> show_interval({"value": 0.5, "n": 8, "low": 0.25, "high": 0.75}, percent=True)
        '25.0 to 75.0'
    """
    if metric is None or metric.get("value") is None or metric.get("low") is None or metric.get("high") is None:
        return ""
    low, high = (_show_number(metric[side], percent=percent, signed=signed) for side in ("low", "high"))
    return f"{low} to {high}"


def judge_difference(metric: Metric | None, *, higher_is_better: bool) -> Verdict:
    """Whether a paired difference is clear of zero, and to which side.

    Args:
        metric: Paired difference, tuned minus the other, with its interval.
        higher_is_better: The metric's good direction.

    Returns:
        `undefined` where there is no difference or no interval; an interval that touches zero is no detectable change.

    Examples:
        >>> judge_difference({"value": -0.2, "n": 80, "low": -0.3, "high": -0.1}, higher_is_better=False)
        'better'
    """
    if metric is None or any(metric.get(part) is None for part in ("value", "low", "high")):
        return "undefined"
    if metric["low"] > 0:
        return "better" if higher_is_better else "worse"
    if metric["high"] < 0:
        return "worse" if higher_is_better else "better"
    return "no detectable change"


def describe_result(scorecard: Mapping[str, Any]) -> str:
    """The outcome in one sentence, with no claim that a paired interval does not carry."""
    systems = scorecard["systems"]
    names = order_systems(systems)
    if not names:
        return "No system was evaluated."
    subject = "tuned" if "tuned" in systems else names[-1]
    accuracy = systems[subject].get("decision_accuracy")
    if accuracy is None or accuracy.get("value") is None:
        return f"The decision accuracy of {show_system(subject).lower()} is {show_value(accuracy, percent=True)}."
    others = [name for name in names if name != subject]
    sentence = f"Asked {accuracy['n']} test questions, the {_describe_system(subject)} decided rightly on {_round(accuracy)}"
    relations: dict[str, list[str]] = {}
    for other in others:
        relations.setdefault(_relate(scorecard, subject, other), []).append(_name_with_value(systems, other, "decision_accuracy"))
    comparisons = [f"{relation} {' and '.join(named)}" for relation, named in relations.items()]
    if comparisons:
        sentence += ", " + " but ".join(comparisons)
    return sentence + _describe_hallucination(systems, subject, others) + "."


def _describe_system(name: str) -> str:
    return {"base": "base model", "few_shot": "few-shot prompted model", "tuned": "tuned model"}.get(name, f"system {name}")


def _relate(scorecard: Mapping[str, Any], subject: str, other: str) -> str:
    difference = scorecard.get("paired", {}).get(f"{subject}-{other}", {}).get("decision_accuracy")
    return {
        "better": "better than",
        "worse": "worse than",
        "no detectable change": "not detectably different from",
        "undefined": "not comparable with",
    }[judge_difference(difference, higher_is_better=True)]


def _describe_hallucination(systems: Mapping[str, Any], subject: str, others: Sequence[str]) -> str:
    own = systems[subject].get("hallucination_rate")
    if own is None or own.get("value") is None:
        return ""
    text = f", and answered {_round(own)} of the questions that it should have refused"
    known = [name for name in others if (systems[name].get("hallucination_rate") or {}).get("value") is not None]
    if known:
        values = [f"{show_system(name).lower()} {_round(systems[name]['hallucination_rate'])}" for name in known]
        text += f" ({', '.join(values)})"
    return text


def _name_with_value(systems: Mapping[str, Any], name: str, key: str) -> str:
    metric = systems[name].get(key) or {}
    value = f" ({_round(metric)})" if metric.get("value") is not None else ""
    return f"{show_system(name).lower()}{value}"


def _round(metric: Metric) -> str:
    return f"{100 * metric['value']:.0f}\xa0%"


def _show_number(value: float, *, percent: bool, signed: bool) -> str:
    scaled, decimals = (100 * value, 1) if percent else (value, 3)
    rounded = round(scaled, decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def describe_failures(scorecard: Mapping[str, Any]) -> list[str]:
    """One line a system that has failed or ungraded items; empty where all is well."""
    lines = []
    for name in order_systems(scorecard["systems"]):
        counts = scorecard["systems"][name].get("counts", {})
        parts = [f"{counts[key]} {words}" for key, words in _FAULTS if counts.get(key)]
        if parts:
            lines.append(f"{show_system(name)}: of {counts.get('items', 'unknown')} items {', '.join(parts)}.")
    return lines


_FAULTS = (("failed", "gave no readable decision"), ("ungraded", "could not be graded"))


class ExchangeRate(NamedTuple):
    """What the tuned system gave up for fewer hallucinations, against one other system; counts of questions."""

    other: str
    hallucinations_avoided: int
    """The other answered and should have refused; tuned did not answer."""
    hallucinations_added: int
    answers_lost: int
    """The other answered rightly; tuned did not."""
    answers_gained: int

    @property
    def avoided(self) -> int:
        """Hallucinations avoided, net; negative where there are more."""
        return self.hallucinations_avoided - self.hallucinations_added

    @property
    def lost(self) -> int:
        """Right answers lost, net; negative where there are more."""
        return self.answers_lost - self.answers_gained

    @property
    def in_words(self) -> str:
        """The rate, or why there is none."""
        if self.avoided <= 0:
            gain = "no hallucination was avoided" + (f" ({-self.avoided} more than before)" if self.avoided else "")
            if self.lost > 0:
                return f"{gain}, and {_count(self.lost, 'right answer')} lost"
            return f"{gain}; {'no right answer was lost' if not self.lost else _count(-self.lost, 'right answer') + ' gained'}"
        if self.lost <= 0:
            extra = f"; {_count(-self.lost, 'right answer')} gained on top" if self.lost else ""
            return f"{_count(self.avoided, 'hallucination')} avoided and, net, no right answer lost{extra}"
        rate = self.avoided / self.lost
        return f"{rate:.1f} hallucinations avoided per right answer lost ({self.avoided} against {self.lost})"


def count_exchange(
    examples: Sequence[Example],
    predictions: Mapping[str, Sequence[Prediction]],
    grades: Mapping[str, Sequence[Grade]],
    *,
    other: str,
    subject: str = "tuned",
) -> ExchangeRate:
    """Count hallucinations and right answers that differ between two systems.

    A hallucination is an item whose right decision is `refuse` and that was answered. A right answer is an item whose
    right decision is `correct`, that was answered, and whose answer grades correct; ungraded answers are not right.
    """
    counts = dict.fromkeys(("hallucinations_avoided", "hallucinations_added", "answers_lost", "answers_gained"), 0)
    rows = zip(examples, predictions[other], grades[other], predictions[subject], grades[subject], strict=True)
    for example, before, before_grade, after, after_grade in rows:
        was, now = (side.decision == "correct" for side in (before, after))
        if example.decision == "refuse":
            counts["hallucinations_avoided"] += was and not now
            counts["hallucinations_added"] += now and not was
        was_right = was and answering_is_right(example, before_grade)
        now_right = now and answering_is_right(example, after_grade)
        counts["answers_lost"] += was_right and not now_right
        counts["answers_gained"] += now_right and not was_right
    return ExchangeRate(other, **counts)


def show_setting(value: Any) -> str:
    """A value of the settings or the manifest in words.

    Examples:
        >>> show_setting([0.0005, None, True])
        '0.0005, none, yes'
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {show_setting(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(show_setting(part) for part in value)
    return str(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
