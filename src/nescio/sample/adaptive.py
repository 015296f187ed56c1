"""Spend samples where they can still change a label: stop early where they cannot, go on where the doubt is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from nescio.errors import ConfigError, DataError
from nescio.metrics.binomial import wilson_interval
from nescio.records import Question, Sample, SampleGrade

Rule = Literal["exact", "wilson"]
StopReason = Literal["settled", "clear", "spent"]

Draw: TypeAlias = Callable[[Sequence[Question], int], Sequence[Sample]]
"""Samples 1 to the given index of each question, in any order, the greedy one among them or not. What was drawn before should
cost nothing, as with `sample_questions` and its store."""
GradeSamples: TypeAlias = Callable[[Sequence[Question], Sequence[Sample]], Sequence[SampleGrade]]
"""One grade for each sample given, in any order. The questions are those of the samples."""


class AdaptiveSamples(NamedTuple):
    """What was drawn, and what it cost."""

    samples: list[Sample]
    """In the order of the questions, then of their indices."""
    grades: list[SampleGrade]
    """Of the samples, in their order."""
    drawn: int
    """Samples used, greedy ones not counted."""
    saved: int
    """Samples less than n for every question; negative where `n_max` cost more than was saved."""
    stops: dict[str, StopReason]
    """Of each question id, why no more was drawn: the label is `settled` whatever the rest would be, the interval is `clear` of
    borders, or all samples are `spent`."""


def sample_adaptively(
    questions: Sequence[Question],
    draw: Draw,
    grade: GradeSamples,
    *,
    borders: Sequence[float],
    n: int = 10,
    n_max: int | None = None,
    first: int = 4,
    step: int = 2,
    level: float = 0.95,
    rule: Rule = "wilson",
) -> AdaptiveSamples:
    """Draw as many samples of each question as its label needs.

    A label is a range of k / m, the share of right samples among the graded ones. It changes at the borders: from below a
    border to the border itself. All questions get `first` samples; those that are still open get `step` more, and so on, all
    open ones together. A question is closed where

    - its label is the same whatever the samples up to the most it may get turn out to be, ungraded ones included; then it
      agrees with the full draw, always;
    - by the rule `wilson`, the Wilson interval of k / m lies between two borders. That looks at the interval again and again,
      so that its coverage is less than `level`, and labels may differ from the full draw.

    Samples that are `ungraded` count as drawn, and neither as right nor as wrong.

    Args:
        questions: With distinct ids.
        draw: Draws samples.
        grade: Grades them; asked about each sample once.
        borders: Shares in (0, 1] at which the label changes, such as (0.1, 0.5) for refuse | uncertain | correct.
        n: Samples of a full draw.
        n_max: The most samples of a question whose interval still crosses a border; n where none is given.
        first: Samples before the first decision.
        step: Samples between two decisions.
        level: Of the Wilson interval.
        rule: `exact` stops only where the label is settled.

    Raises:
        ConfigError: Borders or numbers of samples make no sense.
        DataError: `draw` or `grade` leaves samples out or gives others.

    References:
        Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927.
    """
    _check_options(borders, n=n, n_max=n_max, first=first, step=step, level=level, rule=rule)
    most = n_max or n
    tallies = {question.id: _Tally() for question in questions}
    if len(tallies) < len(questions):
        raise DataError("question ids must be distinct")
    open_questions, upto = list(questions), min(first, most)
    while open_questions:
        _extend(tallies, open_questions, draw, grade, upto)
        for question in open_questions:
            tally = tallies[question.id]
            tally.stop = _find_stop(tally, borders, rest=most - upto, level=level if rule == "wilson" else None)
        open_questions = [question for question in open_questions if tallies[question.id].stop is None]
        upto = min(upto + step, most)
    drawn = sum(index > 0 for tally in tallies.values() for index in tally.samples)
    return AdaptiveSamples(
        samples=[tally.samples[index] for tally in tallies.values() for index in sorted(tally.samples)],
        grades=[tally.grades[index] for tally in tallies.values() for index in sorted(tally.samples)],
        drawn=drawn,
        saved=n * len(questions) - drawn,
        stops={id: tally.stop for id, tally in tallies.items() if tally.stop is not None},
    )


@dataclass
class _Tally:
    """What is known of a question so far."""

    samples: dict[int, Sample] = field(default_factory=dict)
    grades: dict[int, SampleGrade] = field(default_factory=dict)
    stop: StopReason | None = None

    def count(self) -> tuple[int, int]:
        """How many drawn samples are right, and how many have a grade; the greedy one is not among them."""
        verdicts = [grade.verdict for index, grade in self.grades.items() if index and grade.verdict != "ungraded"]
        return verdicts.count("correct"), len(verdicts)


def _extend(tallies: dict[str, _Tally], questions: Sequence[Question], draw: Draw, grade: GradeSamples, upto: int) -> None:
    """Draw samples up to an index and grade the new ones."""
    asked = {question.id for question in questions}
    new = []
    for sample in draw(questions, upto):
        if sample.question_id not in asked or sample.index > upto:
            raise DataError(f"sample {sample.index} of question '{sample.question_id}' was drawn, but not asked for")
        if sample.index not in tallies[sample.question_id].samples:
            tallies[sample.question_id].samples[sample.index] = sample
            new.append(sample)
    for question in questions:
        if not set(range(1, upto + 1)) <= tallies[question.id].samples.keys():
            raise DataError(f"question '{question.id}' was to have samples 1 to {upto}, but some were not drawn")
    graded = list(grade(questions, new))
    if sorted((one.question_id, one.index) for one in graded) != sorted((one.question_id, one.index) for one in new):
        raise DataError(f"the grader was given {len(new)} samples and must return one grade for each of them")
    for one in graded:
        tallies[one.question_id].grades[one.index] = one


def _find_stop(tally: _Tally, borders: Sequence[float], *, rest: int, level: float | None) -> StopReason | None:
    """Why a question needs no more samples; None where it does. `rest` is how many it may still get."""
    right, graded = tally.count()
    if rest == 0:
        return "spent"
    # Of all that may follow, only wrong answers give the smallest share and only right ones the largest. All may be ungraded
    # too: with no grade so far there would be no label then.
    if graded and _label(right / (graded + rest), borders) == _label((right + rest) / (graded + rest), borders):
        return "settled"
    if level is not None and graded:
        low, high = wilson_interval(right, graded, level)
        if _label(low, borders) == _label(high, borders):
            return "clear"
    return None


def _label(share: float, borders: Sequence[float]) -> int:
    """Number of the range that a share lies in."""
    return sum(share >= border for border in borders)


def _check_options(
    borders: Sequence[float], *, n: int, n_max: int | None, first: int, step: int, level: float, rule: str
) -> None:
    if rule not in ("exact", "wilson"):
        raise ConfigError(f"unknown rule '{rule}'. Known: exact, wilson.")
    if not borders or not all(0 < border <= 1 for border in borders):
        raise ConfigError(f"borders must be shares above 0 and up to 1, at least one, got {list(borders)}")
    if min(n, first, step) < 1:
        raise ConfigError(f"n, first and step must be 1 or more, got n={n}, first={first}, step={step}")
    if n_max is not None and (n_max < n or rule == "exact"):
        raise ConfigError(f"n_max must be at least n and needs the rule 'wilson', got n_max={n_max}, n={n}, rule={rule}")
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, got {level}")
