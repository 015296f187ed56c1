from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nescio.data.overlap import NearDuplicate, find_near_duplicates, normalise_question


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who won?", "who  won"),
        ("What's «new»?", "What’s “new”"),
        ("In 2019, who won?", "in 2019 who won"),
        ("Was it 1,969 - or 3.5?", "was it 1,969 or 3.5"),
        ("Straße", "STRASSE"),
    ],
)
def test_case_punctuation_and_spacing_do_not_make_another_question(one: str, other: str) -> None:
    """Questions that differ in case, punctuation or spacing only are the same."""
    assert normalise_question(one) == normalise_question(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 7 + 2?", "What is 7 - 2?"),
        ("What is 7 * 2?", "What is 7 / 2?"),
        ("What is 3.5 m?", "What is 35 m?"),
        ("Is -5 even?", "Is 5 even?"),
        ("Why C++?", "Why C?"),
        ("Is it 16:30?", "Is it 1630?"),
    ],
)
def test_signs_that_carry_meaning_make_another_question(one: str, other: str) -> None:
    """Operators, signs and what joins the digits of a number are kept."""
    assert normalise_question(one) != normalise_question(other)


def test_a_context_is_not_part_of_the_question() -> None:
    """The same words, divided otherwise between question and context, are another row."""
    assert normalise_question("a b", "c") != normalise_question("a", "b c")
    assert normalise_question("a b") != normalise_question("a", "b")


def test_similarity_is_the_jaccard_index_of_five_grams() -> None:
    """A shared stem and one other last letter give the quotient of shared and all 5-grams."""
    # 14 characters have 10 5-grams; a changed last letter changes only the last of them: 9 shared, 11 in all.
    found = find_near_duplicates(["abcdefghijklmn", "abcdefghijklmx", "zyxwvutsrq"], threshold=0.8)

    assert found == [NearDuplicate(0, 1, 9 / 11)]


def test_the_threshold_itself_counts() -> None:
    """A pair that lies exactly on the threshold is found."""
    # 13 characters have 9 5-grams: with another last letter 8 are shared and 10 are there in all, 8 / 10 = 0.8.
    assert [pair.similarity for pair in find_near_duplicates(["abcdefghijklm", "abcdefghijklx"])] == [0.8]
    # 12 characters: 7 / 9 < 0.8.
    assert find_near_duplicates(["abcdefghijkl", "abcdefghijkx"]) == []


def test_short_and_empty_texts_are_compared_whole() -> None:
    """A text shorter than a 5-gram is near only to itself."""
    assert [pair[:2] for pair in find_near_duplicates(["abc", "abcd", "", "abc", ""])] == [(0, 3), (2, 4)]
    assert find_near_duplicates([]) == []


@given(st.lists(st.text("ab ", max_size=12), max_size=12), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_the_filters_lose_no_pair(texts: list[str], threshold: float) -> None:
    """The result equals the comparison of all pairs."""

    def grams(text: str) -> set[str]:
        return {text[i : i + 5] for i in range(max(1, len(text) - 4))}

    expected = []
    for i, one in enumerate(texts):
        for j in range(i + 1, len(texts)):
            shared = len(grams(one) & grams(texts[j]))
            if shared / len(grams(one) | grams(texts[j])) >= threshold:
                expected.append((i, j))

    assert [pair[:2] for pair in find_near_duplicates(texts, threshold=threshold)] == expected


def test_thousands_of_questions_of_one_template_take_a_moment() -> None:
    """Common grams do not lead to comparing all pairs: 3,000 templated questions have 4.5 million pairs."""
    letters = random.Random(0)
    names = ["".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=16)) for _ in range(3000)]

    assert find_near_duplicates([f"where was {name} born" for name in names]) == []
