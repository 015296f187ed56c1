"""Grades of sampled answers: one path for open, multiple-choice and unanswerable questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nescio.errors import ConfigError, DataError, describe_unknown
from nescio.grade.choices import find_offered, grade_choice
from nescio.grade.judge import Ask, grade_by_judge, grade_without_judge
from nescio.grade.match import grade_answer, holds_alias
from nescio.grade.spans import MatchResult
from nescio.records import Question, Sample, SampleGrade

SampleGrader = Callable[[Question, Sample], SampleGrade]


def grade_sample_by_match(question: Question, sample: Sample) -> SampleGrade:
    """Grade one sample by match (docs/grading.md).

    Raises:
        DataError: A gold answer is no valid regular expression.
    """
    verdict, reason = _match(question, sample)
    return SampleGrade(question_id=sample.question_id, index=sample.index, verdict=verdict, reason=reason)


SAMPLE_GRADERS: dict[str, SampleGrader] = {"match": grade_sample_by_match}
JUDGES = ("judge", "match_then_judge")
"""Graders that ask a model: for every open answer, or only for those that match finds incorrect."""


def grade_samples(
    questions: Sequence[Question],
    samples: Sequence[Sample],
    *,
    grader: str | SampleGrader = "match",
    ask: Ask | None = None,
) -> list[SampleGrade]:
    """Grade samples, each against its question.

    Args:
        questions: What was asked; those without samples do no harm.
        samples: In any order; joined by question id.
        grader: A name in `SAMPLE_GRADERS` or `JUDGES`, or a function of question and sample.
        ask: What answers a judge's chats; needed by `JUDGES` alone.

    Returns:
        One grade a sample, in their order.

    Raises:
        ConfigError: The grader's name is unknown, or it needs `ask`.
        DataError: A question is unknown or there twice, or a gold answer is no valid regular expression.
    """
    by_id = index_questions(questions)
    for sample in samples:
        if sample.question_id not in by_id:
            raise DataError(
                f"there is a sample of question '{sample.question_id}', which is unknown; give the questions it was drawn for"
            )
    if isinstance(grader, str) and grader in JUDGES:
        if ask is None:
            raise ConfigError(f"grader '{grader}' needs a model to ask; give one, or take 'match'")
        if grader == "judge":
            return grade_by_judge(questions, samples, ask)
        return _match_then_judge(by_id, samples, ask)
    if isinstance(grader, str):
        if grader not in SAMPLE_GRADERS:
            raise ConfigError(describe_unknown("grader", grader, [*SAMPLE_GRADERS, *JUDGES]))
        grader = SAMPLE_GRADERS[grader]
    if grader is not grade_sample_by_match:
        return [grader(by_id[sample.question_id], sample) for sample in samples]
    return _grade_each_text_once(by_id, samples)


def index_questions(questions: Sequence[Question]) -> dict[str, Question]:
    """Questions by id.

    Raises:
        DataError: Two share an id.
    """
    by_id: dict[str, Question] = {}
    for question in questions:
        if by_id.setdefault(question.id, question) is not question:
            raise DataError(f"there are two questions '{question.id}'; give the questions of one set")
    return by_id


def holds_gold(question: Question, text: str) -> bool:
    """Whether a gold answer is in a text, refused or not: loosely correct (Yang et al. 2023, section 3.3).

    It must be asserted as in `grade_answer`; the paper takes an answer for there wherever its letters are. Of a
    multiple-choice question the right option and no other must be offered. A question that nobody can answer has none.

    Raises:
        DataError: A gold answer is no valid regular expression.
    """
    if question.choice is not None:
        return find_offered(text, question.choices).options == (question.choice,)
    return question.answerable is not False and holds_alias(text, question.answers, question=question.question)


def _match(question: Question, sample: Sample) -> MatchResult:
    shared = grade_without_judge(question, sample)
    if shared is not None:
        return shared
    if question.choice is not None:
        return grade_choice(question, sample.text)
    return grade_answer(sample.text, question.answers, question=question.question)


def _grade_each_text_once(by_id: dict[str, Question], samples: Sequence[Sample]) -> list[SampleGrade]:
    """Grade by match; a model gives the same answer many times."""
    seen: dict[tuple[str, str, int | None, str | None], MatchResult] = {}
    grades = []
    for sample in samples:
        key = (sample.question_id, sample.text, sample.choice, sample.failure)
        if key not in seen:
            seen[key] = _match(by_id[sample.question_id], sample)
        verdict, reason = seen[key]
        grades.append(SampleGrade(question_id=sample.question_id, index=sample.index, verdict=verdict, reason=reason))
    return grades


def _match_then_judge(by_id: dict[str, Question], samples: Sequence[Sample], ask: Ask) -> list[SampleGrade]:
    grades = _grade_each_text_once(by_id, samples)
    left_open = [
        i
        for i, (sample, grade) in enumerate(zip(samples, grades, strict=True))
        if _leaves_open(by_id[sample.question_id], sample, grade)
    ]
    chosen = [samples[i] for i in left_open]
    asked = list({sample.question_id: by_id[sample.question_id] for sample in chosen}.values())
    for i, judged in zip(left_open, grade_by_judge(asked, chosen, ask), strict=True):
        grades[i] = judged.model_copy(update={"reason": f"match: {grades[i].reason}; {judged.reason}"})
    return grades


def _leaves_open(question: Question, sample: Sample, grade: SampleGrade) -> bool:
    """Whether a judge may know better: an open answer that holds no gold, or a text that names no option."""
    doubtful = "ungraded" if question.choice is not None else "incorrect"
    return grade.verdict == doubtful and grade_without_judge(question, sample) is None
