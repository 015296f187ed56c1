from __future__ import annotations

import random
import time
from typing import Any

import pytest

from nescio.errors import ConfigError, DataError
from nescio.grade import SAMPLE_GRADERS, grade_samples, holds_gold
from nescio.records import Question, Sample, SampleGrade


def ask(id: str = "q", **fields: Any) -> Question:
    """A question of which a test names only what it is about."""
    return Question.model_validate({"id": id, "group": id, "question": "What is the capital of France?", **fields})


PARIS = ask(answers=["Paris", "City of Light"])
INVENTED = ask("invented", question="What is the capital of Florania?", answerable=False)
OPTIONS = ask("options", choices=["Lyon", "Paris"], choice=1)


def say(text: str = "", id: str = "q", **fields: Any) -> Sample:
    """A sample."""
    return Sample.model_validate({"question_id": id, "index": 0, "text": text, **fields})


def grade(question: Question, sample: Sample) -> SampleGrade:
    """The one grade of one sample."""
    (result,) = grade_samples([question], [sample.model_copy(update={"question_id": question.id})])
    return result


def test_grades_come_in_the_order_of_the_samples() -> None:
    """One grade a sample, joined by question id, each with its sample's index."""
    samples = [say("London", index=2), say("Lyon", "options"), say("Paris", index=0), say("I don't know", "invented", index=5)]
    grades = grade_samples([INVENTED, PARIS, OPTIONS], samples)

    assert [(g.question_id, g.index, g.verdict) for g in grades] == [
        ("q", 2, "incorrect"),
        ("options", 0, "incorrect"),
        ("q", 0, "correct"),
        ("invented", 5, "abstained"),
    ]


@pytest.mark.parametrize(
    ("question", "sample", "reason"),
    [
        (PARIS, say(failure="time-out"), "the sample failed: time-out"),
        (PARIS, say(" \n"), "there is no answer"),
        (INVENTED, say(""), "there is no answer"),
        (OPTIONS, say(""), "there is no answer"),
        (OPTIONS, say("Marseille"), "it names none of the options"),
        (ask(), say("Paris"), "there is no gold answer"),
        (ask(answerable=True), say("I don't know"), "there is no gold answer"),
        (OPTIONS, say("B", choice=7), "option 7 is out of range: there are 2, counted from 0"),
    ],
)
def test_what_cannot_be_graded_is_ungraded(question: Question, sample: Sample, reason: str) -> None:
    """Never wrong, never right, and the reason says why."""
    result = grade(question, sample)

    assert (result.verdict, result.reason) == ("ungraded", reason)


@pytest.mark.parametrize(
    ("text", "verdict"), [("I don't know.", "abstained"), ("Floria City", "incorrect"), ("我不知道。", "abstained")]
)
def test_only_a_refusal_is_in_order_where_nobody_can_answer(text: str, verdict: str) -> None:
    """An invented entity has no right answer, whatever gold the source may hold."""
    assert grade(INVENTED, say(text)).verdict == verdict
    assert grade(INVENTED.model_copy(update={"answers": ("Floria City",)}), say(text)).verdict == verdict


def test_the_option_taken_decides_a_multiple_choice_question() -> None:
    """Blank text beside it does not matter; a question marked unanswerable that has a right option is graded by it."""
    assert grade(OPTIONS, say("", choice=1)).verdict == "correct"
    assert grade(OPTIONS, say("Paris", choice=0)).verdict == "incorrect"
    unanswerable = ask(choices=["Ada", "Cannot be known"], choice=1, answerable=False)
    assert grade(unanswerable, say("B")).verdict == "correct"


def test_a_refusal_goes_before_a_gold_answer_within_it() -> None:
    """As in Yang et al.; a hedge before an answer is none."""
    assert grade(PARIS, say("I don't know the population of Paris.")).verdict == "abstained"
    assert grade(PARIS, say("I don't know, but I think Paris")).verdict == "correct"
    assert grade(PARIS, say("I don't know, but I think")).verdict == "incorrect"


@pytest.mark.parametrize(
    ("question", "text", "held"),
    [
        (PARIS, "I don't know the population of Paris.", True),
        (PARIS, "I don't know.", False),
        (PARIS, "the city of light", True),
        (PARIS, "Paris or London", False),
        (INVENTED, "Paris", False),
        (OPTIONS, "(b)", True),
        (OPTIONS, "I cannot answer, though Paris comes to mind", True),
        (OPTIONS, "Lyon or Paris", False),
        (PARIS, "", False),
    ],
)
def test_loosely_correct_is_whatever_holds_a_gold_answer(question: Question, text: str, held: bool) -> None:
    """Refused or not."""
    assert holds_gold(question, text) is held


def test_every_grader_keeps_the_rules_that_all_share() -> None:
    """Gold is correct, a miss is not, an unanswerable question never is, and a failure is ungraded."""
    for judge in SAMPLE_GRADERS.values():
        assert judge(PARIS, say("Paris")).verdict == "correct"
        assert judge(PARIS, say("London")).verdict == "incorrect"
        assert judge(INVENTED, say("Paris", "invented")).verdict == "incorrect"
        assert judge(PARIS, say(failure="x")).verdict == "ungraded"


def test_a_function_can_grade() -> None:
    """Users pass their own grader without registering it."""

    def contrary(question: Question, sample: Sample) -> SampleGrade:
        return SampleGrade(question_id=question.id, index=sample.index, verdict="abstained", reason=sample.text)

    (result,) = grade_samples([PARIS], [say("Paris")], grader=contrary)
    assert (result.verdict, result.reason) == ("abstained", "Paris")


def test_an_unknown_grader_is_an_error() -> None:
    """The nearest name is offered."""
    with pytest.raises(ConfigError, match=r"unknown grader 'mach'\. Did you mean 'match'"):
        grade_samples([PARIS], [], grader="mach")


def test_samples_of_unknown_questions_are_refused() -> None:
    """One line with the id."""
    with pytest.raises(DataError, match="a sample of question 'z', which is unknown"):
        grade_samples([PARIS], [say("Paris"), say("Paris", "z")])
    with pytest.raises(DataError, match="two questions 'q'"):
        grade_samples([PARIS, ask()], [say("Paris")])


def test_samples_that_repeat_are_graded_once() -> None:
    """About half a millisecond a different text, and next to nothing for one that was seen before."""
    rng = random.Random(0)
    questions = [ask(str(i), answers=[f"Town {i}"]) for i in range(100)]
    texts = [f"It is Town {rng.randrange(200)}." for _ in range(20)]
    samples = [say(rng.choice(texts), str(i % 100), index=i // 100) for i in range(10_000)]
    started = time.process_time()
    grade_samples(questions, samples)

    assert time.process_time() - started < 6  # 2,000 different pairs of question and text
