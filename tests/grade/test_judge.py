from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from nescio.errors import ConfigError, DataError
from nescio.grade import grade_samples
from nescio.grade.judge import Ask, ask_engine, build_judge_messages, grade_by_judge, read_judgement
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.prompt import Message
from nescio.records import Question, Sample

PARIS = Question(id="q", group="q", question="Capital of France?", answers=("Paris", "re:lut[eè]ce"))
OPTIONS = Question(id="o", group="o", question="Capital of France?", choices=("Lyon", "Paris"), choice=1)


def say(text: str, id: str = "q", **fields: Any) -> Sample:
    """A sample."""
    return Sample.model_validate({"question_id": id, "index": 0, "text": text, **fields})


@pytest.fixture
def asked() -> list[Sequence[Message]]:
    """The chats that a judge was asked."""
    return []


def answer_all(word: str | None, asked: list[Sequence[Message]]) -> Ask:
    """A judge that always says the same."""

    def ask(chats: Sequence[Sequence[Message]]) -> list[str | None]:
        asked.extend(chats)
        return [word] * len(chats)

    return ask


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("correct", "correct"),
        (" Correct.\n", "correct"),
        ("**incorrect**", "incorrect"),
        ("Incorrect, because it names Lyon", "incorrect"),
        ("abstained", "abstained"),
        ("not correct", "ungraded"),
        ("no, yes it is correct", "ungraded"),
        ("correct or incorrect", "ungraded"),
        ("The verdict is correct", "ungraded"),
        ("yes", "ungraded"),
        ("corrections", "ungraded"),
        ("incorrectly", "ungraded"),
        ("", "ungraded"),
        (" .\n", "ungraded"),
        (None, "ungraded"),
    ],
)
def test_a_judgement_is_the_first_word_and_the_only_verdict(reply: str | None, verdict: str) -> None:
    """No substring, no second verdict, no silence becomes one."""
    assert read_judgement(reply).verdict == verdict


def test_an_unreadable_judgement_is_quoted() -> None:
    """A reader sees what the judge said."""
    assert "'yes and no'" in read_judgement("yes and no").reason
    assert read_judgement(None).reason == "the judge said nothing"


def test_the_judge_sees_question_gold_and_reply(asked: list[Sequence[Message]]) -> None:
    """With every alias, and the reply as material."""
    (grade,) = grade_by_judge([PARIS], [say("  the French capital ")], answer_all("correct", asked))
    content = asked[0][-1]["content"]

    assert (grade.verdict, grade.reason) == ("correct", "the judge says 'correct'")
    assert "Capital of France?" in content
    assert "Known answers: Paris; anything that matches /lut[eè]ce/\n" in content
    assert "Reply: the French capital\n" in content
    assert "B. Paris" in build_judge_messages(OPTIONS, "the second")[-1]["content"]


def test_what_needs_no_judgement_is_not_asked(asked: list[Sequence[Message]]) -> None:
    """Failures, blanks, options by index, questions without gold or without any answer; equal replies once."""
    nothing = Question(id="n", group="n", question="Why?")
    invented = Question(id="i", group="i", question="Capital of Florania?", answerable=False)
    samples = [
        say("", failure="time-out"), say(" "), say("B", "o", choice=1), say("Paris", "n"), say("Floria", "i"),
        say("No idea.", "i"), say("Lutetia", index=1), say("Lutetia", index=2),
    ]  # fmt: skip
    grades = grade_by_judge([PARIS, OPTIONS, nothing, invented], samples, answer_all("correct", asked))

    assert [grade.verdict for grade in grades] == [
        "ungraded", "ungraded", "correct", "ungraded", "incorrect", "abstained", "correct", "correct",
    ]  # fmt: skip
    assert [grade.index for grade in grades[-2:]] == [1, 2]
    assert len(asked) == 1


def test_after_match_only_what_match_leaves_open_is_asked(asked: list[Sequence[Message]]) -> None:
    """Correct and abstained stay; an open miss and a text that names no option go to the judge."""
    samples = [say("Paris"), say("I don't know"), say("London"), say("the second one", "o"), say("Lyon", "o")]
    grades = grade_samples([PARIS, OPTIONS], samples, grader="match_then_judge", ask=answer_all("correct", asked))

    assert [grade.verdict for grade in grades] == ["correct", "abstained", "correct", "correct", "incorrect"]
    assert len(asked) == 2
    assert grades[2].reason == "match: it holds no gold alias; the judge says 'correct'"


@pytest.mark.parametrize("word", [None, "", "maybe"])
def test_silence_never_becomes_a_verdict(word: str | None, asked: list[Sequence[Message]]) -> None:
    """Not even the one that match had reached."""
    for grader in ("judge", "match_then_judge"):
        (grade,) = grade_samples([PARIS], [say("London")], grader=grader, ask=answer_all(word, asked))
        assert grade.verdict == "ungraded"


def test_a_judge_needs_a_model() -> None:
    """Without one the run is wrong."""
    with pytest.raises(ConfigError, match="grader 'judge' needs a model to ask"):
        grade_samples([PARIS], [say("London")], grader="judge")


def test_a_judge_that_loses_an_answer_is_found_out() -> None:
    """A missing answer would shift all that follow."""
    with pytest.raises(DataError, match="asked 2 times and answered 1 times"):
        grade_by_judge([PARIS], [say("London"), say("Rome")], lambda _: ["correct"])
    with pytest.raises(DataError, match="question 'z', which is unknown"):
        grade_by_judge([PARIS], [say("London", "z")], lambda _: [])


class Echo:
    """An engine that answers with the last word of the reply to be judged, in no particular order; "fail" fails."""

    def identify(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}

    def draw(
        self, requests: Sequence[SampleRequest], settings: DrawSettings, *, on_done: Callable[[int], None] | None = None
    ) -> list[Sample]:
        """One greedy answer a request."""
        assert all(request.indices == (0,) for request in requests)
        words = {r.question_id: r.messages[-1]["content"].split("Reply: ")[1].split("\n")[0] for r in requests}
        failures = {id: "lost" if word == "fail" else None for id, word in words.items()}
        return [Sample(question_id=id, index=0, text=word, failure=failures[id]) for id, word in reversed(words.items())]


def test_any_engine_can_judge() -> None:
    """Answers are joined by id, and one that failed is silence."""
    samples = [say("correct"), say("fail"), say("incorrect")]

    assert [grade.verdict for grade in grade_by_judge([PARIS], samples, ask_engine(Echo()))] == [
        "correct",
        "ungraded",
        "incorrect",
    ]
