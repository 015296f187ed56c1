"""What the graded samples of one question say about what the model knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nescio.metrics import wilson_interval
from nescio.records import Question, Sample, SampleGrade


@dataclass(frozen=True)
class GradedAnswer:
    """A sample's text and what its grade comes to."""

    index: int
    text: str
    """Without white space around it."""
    right: bool
    """Abstaining is not right."""


class Evidence(NamedTuple):
    """The graded answers of a question; those without a grade are not among them."""

    invented: bool
    """Nobody can answer: no answer is right, whatever its grade says, and no sample is needed to know it."""
    greedy: GradedAnswer | None
    drawn: tuple[GradedAnswer, ...]
    """By index."""

    @property
    def right(self) -> int:
        """How many drawn answers are right."""
        return sum(answer.right for answer in self.drawn)

    @property
    def accuracy(self) -> float:
        """Expected accuracy, EA in Yang et al. 2023: the share of the drawn answers that is right; 0 where none was graded."""
        return self.right / len(self.drawn) if self.drawn else 0.0

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson interval of the accuracy, 95 %; None where none was graded."""
        return wilson_interval(self.right, len(self.drawn)) if self.drawn else None

    @property
    def known(self) -> bool | None:
        """Whether the greedy answer is right; None where nobody can tell."""
        if self.invented:
            return False
        return self.greedy.right if self.greedy else None

    @property
    def first_right(self) -> str | None:
        """The greedy answer if it is right, else the first right one of those drawn; None where there is none."""
        return next((answer.text for answer in self._right_answers()), None)

    @property
    def usual_right(self) -> str | None:
        """The greedy answer if it is right, else the right one that was drawn most often, the first of equals."""
        if self.greedy and self.greedy.right:
            return self.greedy.text
        texts = Counter(answer.text for answer in self._right_answers())
        return texts.most_common(1)[0][0] if texts else None

    def _right_answers(self) -> list[GradedAnswer]:
        return [answer for answer in ((self.greedy,) if self.greedy else ()) + self.drawn if answer.right]


def weigh_evidence(question: Question, samples: Sequence[Sample], grades: Sequence[SampleGrade]) -> Evidence:
    """Put the samples of one question together with their grades.

    A sample has no grade if its grade is missing or `ungraded`, if it failed, or if it has no text that could be right.

    Args:
        question: What was asked.
        samples: Of this question, in any order.
        grades: Of these samples, in any order.
    """
    verdicts = {grade.index: grade.verdict for grade in grades}
    invented = question.answerable is False
    answers = []
    for sample in sorted(samples, key=lambda sample: sample.index):
        verdict = verdicts.get(sample.index, "ungraded")
        text = answer_text(question, sample)
        if verdict != "ungraded" and sample.failure is None and (text or verdict != "correct"):
            answers.append(GradedAnswer(sample.index, text, right=verdict == "correct" and not invented))
    return Evidence(
        invented=invented,
        greedy=next((answer for answer in answers if answer.index == 0), None),
        drawn=tuple(answer for answer in answers if answer.index > 0),
    )


def answer_text(question: Question, sample: Sample) -> str:
    """What the model said, cut off or not; the option's text where it chose one and wrote nothing."""
    text = sample.text.strip()
    if not text and sample.choice is not None and sample.choice < len(question.choices):
        return question.choices[sample.choice]
    return text
