from __future__ import annotations

import json
from pathlib import Path

import pytest

from nescio.data.load import find_folder, load_splits
from nescio.grade.match import grade_answer

NEAR_MISSES = Path(__file__).parent / "near_misses.jsonl"


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("It is Paris.", ["Paris"]),
        ("PARIS", ["paris"]),
        ("The answer is The Beatles", ["Beatles"]),
        ("In 1969, during Apollo 11.", ["1969"]),
        ("1,969 people", ["1969"]),
        ("1969", ["1,969"]),
        ("It is 3.5.", ["3.5"]),
        ("87 percent", ["87%"]),
        ("four strings", ["4"]),
        ("4", ["four"]),
        ("July 4th, 1776", ["July 4"]),
        ("Harbour Street 12, second floor", ["12 Harbour Street", "Harbour Street 12"]),
        ("Schiller's ode", ["Schiller"]),
        ("It is not London but Paris", ["Paris"]),
        ("Paris, not London", ["Paris"]),
        ("Paris rather than London", ["Paris"]),
        ("No, it was Paris", ["Paris"]),
        ("No: Paris", ["Paris"]),
        ("nine or 9", ["nine", "9"]),
        ("New York or the Big Apple", ["New York", "Big Apple"]),
        ("It was not guilty", ["not guilty"]),
        ("either way, it is in Paris", ["Paris"]),
        ("I know it: no.", ["No. 5", "know it"]),
        ("I don't know for sure, but Paris", ["Paris"]),
        ("+", ["+"]),
        ("答えは東京です。", ["東京"]),
        ("수도는 파리입니다", ["파리"]),
        ("3年です", ["3年"]),
    ],
)
def test_an_asserted_alias_is_correct(answer: str, gold: list[str]) -> None:
    """An alias in the answer, however it is written, grades correct."""
    assert grade_answer(answer, gold).verdict == "correct"


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("London", ["Paris"]),
        ("I know it", ["now", "no"]),
        ("13.5", ["3.5"]),
        ("3.55", ["3.5"]),
        ("3.5", ["5", "3"]),
        ("19690", ["1969"]),
        ("the 1990s", ["1990"]),
        ("3 million", ["3"]),
        ("three hundred", ["3"]),
        ("two hundred and three", ["3"]),
        ("twenty-nine", ["9", "20"]),
        ("2½", ["2", "1/2"]),
        ("1/2", ["2"]),
        ("-40", ["40"]),
        ("10²", ["10", "102"]),
        ("$80,000", ["£80,000"]),
        ("vitamin D", ["vitamin A"]),
        ("C++", ["C"]),
        ("York", ["New York"]),
        ("13年です", ["3年"]),
        ("2.5年", ["5年"]),
    ],
)
def test_an_alias_is_never_found_inside_another_word_or_number(answer: str, gold: list[str]) -> None:
    """Tokens match whole or not at all."""
    assert grade_answer(answer, gold).verdict == "incorrect"


@pytest.mark.parametrize(
    "answer",
    [
        "not Paris",
        "It is not Paris.",
        "It isn't Paris",
        "It wasn’t in Paris",
        "It has never been Paris",
        "no Paris",
        "neither Paris nor London",
        "London instead of Paris",
        "London rather than Paris",
        "any city except Paris",
    ],
)
def test_a_denied_alias_is_incorrect(answer: str) -> None:
    """A negation directly before the alias turns it into its contrary."""
    result = grade_answer(answer, ["Paris"])

    assert result.verdict == "incorrect"
    assert result.reason == "it denies 'Paris'"


@pytest.mark.parametrize(
    "answer",
    [
        "Paris or London",
        "London or Paris",
        "either Paris or London",
        "in Lyon or maybe in Paris",
        "Paris, London or Rome",
        "Paris, London, or Rome",
        "Rome, Paris or London",
        "Paris, or London",
        "Port Said or old Paris",
    ],
)
def test_an_alias_beside_an_alternative_is_incorrect(answer: str) -> None:
    """Who names several answers has not given one."""
    result = grade_answer(answer, ["Paris"])

    assert result.verdict == "incorrect"
    assert result.reason == "it offers 'Paris' beside another answer"


def test_a_shorter_alias_inside_a_longer_one_does_not_hide_a_trap() -> None:
    """The words beside the longest alias count."""
    assert grade_answer("New York City or Boston", ["New York City", "New York"]).verdict == "incorrect"
    assert grade_answer("not New York", ["New York", "York"]).verdict == "incorrect"


@pytest.mark.parametrize(
    ("answer", "gold", "verdict"),
    [
        ("Yes", "yes", "correct"),
        ("Yes, four crates fit.", "yes", "correct"),
        ("No, breakfast is charged apart.", "no", "correct"),
        ("No, yes would be wrong", "yes", "incorrect"),
        ("No, that is not so", "yes", "incorrect"),
        ("Yes, there is no doubt", "no", "incorrect"),
        ("Yes and no", "yes", "incorrect"),
        ("Yes or no", "no", "incorrect"),
        ("It is not possible", "no", "correct"),
        ("They don't.", "no", "correct"),
        ("It can't be done", "no", "correct"),
        ("It is not possible", "yes", "incorrect"),
        ("It is not only possible but easy", "no", "incorrect"),
        ("There is no doubt", "no", "incorrect"),
        ("It is possible", "no", "incorrect"),
        ("I know", "no", "incorrect"),
        ("never, it is harmless", "yes", "incorrect"),
        ("No one knows.", "no", "abstained"),
        ("It is not known", "no", "abstained"),
        ("I do not know", "no", "abstained"),
        ("No, nobody knows of one", "no", "correct"),
    ],
)
def test_yes_and_no_count_at_the_head_of_the_answer_only(answer: str, gold: str, verdict: str) -> None:
    """A yes or a no further back says nothing about the question."""
    assert grade_answer(answer, [gold]).verdict == verdict


@pytest.mark.parametrize(
    "answer",
    [
        "I don't know",
        "I do not know.",
        "It cannot be determined from the text.",
        "The text does not say.",
        "I’m not sure",
        "It is unknown.",
        "Unknown",
        "There is not enough information.",
        "Nobody knows.",
        "No idea",
    ],
)
def test_an_answer_that_abstains_is_no_wrong_answer(answer: str) -> None:
    """Abstaining is a verdict of its own."""
    assert grade_answer(answer, ["Paris"]).verdict == "abstained"


@pytest.mark.parametrize(("answer", "gold"), [(None, ["Paris"]), ("", ["Paris"]), (" \n", ["Paris"]), ("Paris", [])])
def test_without_answer_or_gold_there_is_no_verdict(answer: str | None, gold: list[str]) -> None:
    """Nothing to compare is ungraded, never wrong or right."""
    assert grade_answer(answer, gold).verdict == "ungraded"


def test_gold_answers_of_the_shipped_set_grade_correct_and_near_misses_do_not() -> None:
    """Every alias and every row's own answer is right; answers that only come close are not."""
    if not NEAR_MISSES.is_file() or not (find_folder("failure_aware") / "train.jsonl").is_file():
        pytest.skip("the shipped data or its near misses are not in this checkout")
    near_misses = {row["id"]: row["near_misses"] for row in map(json.loads, NEAR_MISSES.read_text().splitlines())}
    rows = [
        example for examples in load_splits("failure_aware").values() for example in examples if example.decision == "correct"
    ]
    wrongly_failed = [
        (row.id, text)
        for row in rows
        for text in (*row.answers, row.answer)
        if grade_answer(text, row.answers).verdict != "correct"
    ]
    wrongly_passed = [
        (row.id, text) for row in rows for text in near_misses[row.id] if grade_answer(text, row.answers).verdict == "correct"
    ]

    assert (wrongly_failed, wrongly_passed) == ([], [])
