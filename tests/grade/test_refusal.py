from __future__ import annotations

import json
import re
import time
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nescio.grade import refusal_phrases
from nescio.grade.refusal import RefusalState, detect_refusal

REPLIES = [json.loads(line) for line in (Path(__file__).parent / "refusal_replies.jsonl").read_text("utf-8").splitlines()]
STATES = get_args(RefusalState)
# How many states are right today (docs/grading.md); fresh_4 is the one part to which nothing was fitted.
RIGHT = {"build": 258, "held_out": 249, "fresh_1": 83, "fresh_2": 82, "fresh_3": 74, "fresh_4": 36}


def choose(part: str) -> list[dict[str, Any]]:
    """The replies of one part."""
    return [row for row in REPLIES if row["part"] == part]


def test_the_corpus_is_what_the_docs_say() -> None:
    """Ids and replies stand once, all states occur in all six languages, and each language has its share."""
    counts = Counter(row["language"] for row in REPLIES)
    states = {(row["language"], row["label"]) for row in REPLIES}

    assert len({row["id"] for row in REPLIES}) == len(REPLIES)
    assert counts["en"] >= 120
    assert all(counts[language] >= 60 for language in ("zh", "es", "fr", "de", "ja"))
    assert states == {(language, state) for language in counts for state in STATES}
    assert {row["part"] for row in REPLIES} == set(RIGHT)
    assert all(count == 1 for reply, count in Counter(row["reply"] for row in REPLIES).items() if reply.strip())


@pytest.mark.parametrize("part", RIGHT)
def test_no_part_of_the_corpus_gets_worse(part: str) -> None:
    """At least as many states are right as when the numbers in the docs were taken."""
    wrong = [row["id"] for row in choose(part) if detect_refusal(row["reply"]).state != row["label"]]

    assert len(wrong) <= len(choose(part)) - RIGHT[part], wrong


@pytest.mark.parametrize(
    "reply",
    [
        "I'm not sure, but I think it is Paris",
        "I don't know, Paris?",
        "Don't know much about history, but it was 1066.",
        "It cannot be Paris, so it must be Lyon.",
        "I can't help but think it is Paris.",
        "I can't believe you don't know! It's Paris.",
        "I'd rather not guess, but if pressed I would say Paris.",
        "As of my knowledge cutoff in 2023, the president was Macron.",
        "I don't have access to real-time data. As of 2023, the president was Macron.",
        "I do not doubt that it is Paris.",
        "I refuse to believe that it is anything but Paris.",
        'The character says "I don\'t know"',
        "She declined to answer.",
        "He was not given the prize.",
        "He did not know the answer.",
        "The war in which the U.S. did not participate was the Taiping Rebellion",
        "Nobody could beat him.",
        "Nobody.",
        "The Unknown Soldier",
        "Queen Elizabeth I",
        "Whip It",
        "No, unicorns don't exist.",
        "No.",
        "D",
        "Could be Paris, could be Lyon.",
        "It was not Paris.",
        "Sorry, it's Paris.",
        "不明飞行物",
        "缺乏维生素C会导致坏血病。",
        "行方不明者",
        "個人情報保護法です。",
        "In der Schweiz gibt es keine Küste.",
        "Er weiß es nicht.",
        "La Luna no da luz propia.",
        "Nadie ha pisado Marte.",
        "On ne peut pas respirer sur Mars.",
        "Weiß nicht, Wien?",
        "不知道，是巴黎吗？",
    ],
)
def test_what_resembles_a_refusal_and_answers(reply: str) -> None:
    """Hedges, quotations, other people's ignorance, negated facts and titles are answers."""
    assert detect_refusal(reply).state == "answered"


@pytest.mark.parametrize(
    "reply",
    [
        "I don't know",
        "i dont know",
        "I DON’T KNOW",
        '"I don\'t know."',
        'Answer: "I don\'t know."',
        "Pass.",
        "N/A",
        "Nobody knows.",
        "Who knows?",
        "I don't know if it's Paris or London.",
        "I don't know. History was never my strong suit.",
        "I don't know; ask your teacher.",
        "I don't know, but I'd be happy to help you look it up.",
        "I'm sorry, Dave. I'm afraid I can't do that.",
        "I'm sorry, but as an AI language model I cannot predict the future.",
        "None of the documents mention the price.",
        "There isn't enough information to answer.",
        "Paris. No, wait, I really don't know.",
        "Weiß nicht",
        "sais pas",
        "Ni idea",
        "知らん",
        "没概念",
    ],
)
def test_what_refuses_in_few_or_many_words(reply: str) -> None:
    """A refusal is one however short, polite or quoted as a whole it is."""
    assert detect_refusal(reply).state == "refused"


@pytest.mark.parametrize("reply", ["", " \n", "...", "🤷", "I don't kn", "I don't know, but I think", "The answer is", "Sure!"])
def test_what_says_nothing_is_undetermined(reply: str) -> None:
    """Neither a default answer nor a default refusal is made up."""
    assert detect_refusal(reply).state == "undetermined"


@pytest.mark.parametrize(
    ("reply", "aliases", "state"),
    [
        ("Don't Know Why", ["Don't Know Why"], "answered"),
        ("Let It Be", ["Let It Be"], "answered"),
        ("I don't know who wrote it, though Grieg set it to music.", ["Grieg"], "answered"),
        ("I don't know who wrote it, though Grieg set it to music.", ["Ibsen"], "refused"),
        ("I don't know, it is not Grieg", ["Grieg"], "refused"),
        ("I don't know the population of Paris.", ["Paris"], "refused"),
        ("Oslo... actually, I take that back, I have no idea.", ["Oslo"], "refused"),
        ("", ["Oslo"], "undetermined"),
    ],
)
def test_a_gold_alias_decides_outside_of_refusals_and_denials(reply: str, aliases: list[str], state: str) -> None:
    """An asserted gold answer is an answer; one that is denied, taken back or part of the refusal is not."""
    assert detect_refusal(reply, aliases=aliases).state == state


def test_the_reason_quotes_what_matched() -> None:
    """A reader sees the phrase, or the clause that answers."""
    assert detect_refusal("Sadly, the text does not say.").reason == "misses information: 'text does not say'"
    assert detect_refusal("No idea, maybe a cello?").reason == "it says 'maybe a cello' beside 'no idea'"
    assert detect_refusal("?!").reason == "it holds no word"


@given(st.text(max_size=300), st.lists(st.text(max_size=20), max_size=2))
@settings(deadline=None)
def test_any_text_gets_a_state_and_a_reason(reply: str, aliases: list[str]) -> None:
    """Nothing raises."""
    state, reason = detect_refusal(reply, aliases=aliases)

    assert state in STATES
    assert reason


@given(st.lists(st.sampled_from([word for row in REPLIES for word in row["reply"].split(" ")]), max_size=30))
@settings(deadline=None)
def test_words_of_refusals_in_any_order_get_a_state(words: list[str]) -> None:
    """Nothing raises where many rules apply at once."""
    assert detect_refusal(" ".join(words)).state in STATES


@pytest.mark.parametrize("row", REPLIES, ids=lambda row: row["id"])
def test_case_and_white_space_do_not_matter(row: dict[str, Any]) -> None:
    """Shouted, whispered or spread over lines, a reply keeps its state."""
    reply = row["reply"]
    state = detect_refusal(reply).state

    for variant in (reply.upper(), reply.lower(), f"\n {reply}\t ", re.sub(" ", " \n  ", reply), reply.replace("'", "’")):
        assert detect_refusal(variant).state == state, variant


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "I ",
        "not ",
        "'",
        '"',
        "“",
        "the text ",
        "kann ich nicht ",
        "je ne ",
        "no ",
        "わから",
        "我不",
        ", but",
        "?",
        "i don't know. ",
        "(",
    ],
)
def test_a_very_long_reply_takes_no_longer_than_a_long_one(piece: str) -> None:
    """A million characters, of whatever kind, are judged in well under a second."""
    detect_refusal("")
    reply = piece * (10**6 // len(piece))
    started = time.perf_counter()
    detect_refusal(reply)

    assert time.perf_counter() - started < 1.0


def test_the_end_of_a_very_long_reply_is_read() -> None:
    """An answer that is taken back after pages is no answer."""
    pages = "Paris has two opera houses. " * 1000

    assert detect_refusal(pages).state == "answered"
    assert detect_refusal(pages + "Scratch that, I don't know.").state == "refused"


def test_every_line_of_the_phrase_sheets_is_a_pattern_that_may_match() -> None:
    """No line is empty of signs, refers to an abbreviation that is not there, or matches everything."""
    for role in (*refusal_phrases.CUES, *get_args(refusal_phrases.Role)):
        assert refusal_phrases.phrases(role).search("") is None, role
        assert refusal_phrases.phrases(role).search("zzz") is None, role


def test_each_language_has_a_sheet() -> None:
    """The six languages of the docs."""
    sheets = {sheet.name for sheet in files(refusal_phrases).iterdir() if sheet.name.endswith(".txt")}

    assert sheets == {"de.txt", "en.txt", "es.txt", "fr.txt", "ja.txt", "zh.txt"}
