from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nescio.errors import DataError
from nescio.grade.match import grade_answer, holds_alias

PAIRS = [json.loads(line) for line in (Path(__file__).parent / "adversarial_pairs.jsonl").read_text("utf-8").splitlines()]
WORDS = sorted({word for row in PAIRS for word in (*row["reply"].split(), *" ".join(row["gold"]).split())})


@pytest.mark.parametrize("row", PAIRS, ids=lambda row: f"{row['kind']}: {row['reply']} [{row['gold'][0]}]")
def test_what_comes_close_is_told_from_what_is_right(row: dict[str, Any]) -> None:
    """Each hand-made pair gets the verdict that a careful reader gives it."""
    result = grade_answer(row["reply"], row["gold"], question=row["question"])

    assert result.verdict == row["verdict"], result.reason


def test_the_pairs_are_many_of_every_verdict_and_language() -> None:
    """No pair stands twice, and right and wrong ones are both there in every language."""
    verdicts = {(row["language"], row["verdict"]) for row in PAIRS}
    counts = Counter((row["question"], *row["gold"], row["reply"]) for row in PAIRS)

    assert len(PAIRS) >= 200
    assert max(counts.values()) == 1
    assert {
        (language, verdict) for language in ("en", "zh", "ja", "es", "fr", "de") for verdict in ("correct", "incorrect")
    } <= verdicts


@pytest.mark.parametrize("row", PAIRS, ids=lambda row: row["gold"][0] + row["reply"])
def test_a_gold_answer_itself_is_right(row: dict[str, Any]) -> None:
    """However strange it reads, unless it is a pattern."""
    for alias in row["gold"]:
        if not alias.startswith("re:"):
            assert grade_answer(alias, row["gold"], question=row["question"]).verdict == "correct"


@given(
    st.lists(st.sampled_from([*WORDS, "and", "or", ",", "&", "no", "y", ".", "1969", "or,"]), max_size=12), st.sampled_from(PAIRS)
)
@settings(deadline=None, max_examples=300)
def test_words_in_any_order_get_a_verdict(words: list[str], row: dict[str, Any]) -> None:
    """Nothing raises, and a loosely correct answer is never graded a plain miss."""
    reply = " ".join(words)
    result = grade_answer(reply, row["gold"], question=row["question"])

    assert result.reason
    if holds_alias(reply, row["gold"], question=row["question"]):
        assert result.verdict in {"correct", "abstained"}


@given(st.text(max_size=80), st.lists(st.text(min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=2))
@settings(deadline=None)
def test_any_text_gets_a_verdict(reply: str, gold: list[str]) -> None:
    """Nothing raises, whatever is compared."""
    if not any(alias.startswith("re:") for alias in gold):
        assert grade_answer(reply, gold).reason


def test_a_pattern_that_cannot_be_read_is_one_line() -> None:
    """The gold answer is quoted, with the fault and the remedy."""
    with pytest.raises(DataError, match=r"gold answer 're:\(' is no valid regular expression .* mend it") as error:
        grade_answer("x", ["re:("])

    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("question", "reply", "verdict"),
    [
        ("When did they land?", "1969", "correct"),
        ("On which date did they land?", "1969", "incorrect"),
        ("", "1969", "incorrect"),
    ],
)
def test_a_year_is_enough_only_where_the_question_asks_when(question: str, reply: str, verdict: str) -> None:
    """A question for the day, or none, is stricter."""
    assert grade_answer(reply, ["July 20, 1969"], question=question).verdict == verdict


def test_middle_names_are_free_only_where_a_person_is_asked_for() -> None:
    """South West Africa is not South Africa."""
    assert grade_answer("Keala Settle", ["Keala Joan Settle"], question="Who is it?").verdict == "correct"
    assert grade_answer("South West Africa", ["South Africa"], question="Which country is it?").verdict == "incorrect"


def test_an_alias_is_held_whether_or_not_the_reply_refuses() -> None:
    """Loosely correct leaves refusals out of account, but not denials."""
    assert holds_alias("I don't know the population of Paris.", ["Paris"])
    assert not holds_alias("I don't know, but not Paris.", ["Paris"])
    assert not holds_alias(None, ["Paris"])
    assert not holds_alias("Paris", [])
