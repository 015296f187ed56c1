"""Questions with samples and grades, of which a test names only what it is about."""

from __future__ import annotations

from collections.abc import Sequence

from nescio.records import Question, Sample, SampleGrade, Verdict

Case = tuple[Question, list[Sample], list[SampleGrade]]

VERDICTS: dict[str, Verdict] = {"+": "correct", "-": "incorrect", "?": "ungraded", "~": "abstained"}
TEXTS = {"+": "Paris", "-": "Lyon", "?": "Nice", "~": "No idea"}


def make_case(said: str | Sequence[str], id: str = "q1", **fields: object) -> Case:
    """Make a question, its answers and their grades.

    Answers are words with the greedy one first: `+` right, `-` wrong, `?` ungraded, `~` abstained; text may follow after a colon.
    """
    question = {"id": id, "group": f"group of {id}", "question": "What is the capital?", "answers": ("the GOLD city", "Paris")}
    words = said.split() if isinstance(said, str) else said
    samples = [Sample(question_id=id, index=i, text=word[2:] or TEXTS[word[0]]) for i, word in enumerate(words)]
    grades = [SampleGrade(question_id=id, index=i, verdict=VERDICTS[w[0]], reason="a test") for i, w in enumerate(words)]
    return Question.model_validate(question | fields), samples, grades
