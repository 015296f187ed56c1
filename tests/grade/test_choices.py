from __future__ import annotations

import pytest

from nescio.grade.choices import find_offered, grade_choice
from nescio.records import Question

CITIES = Question(id="q", group="q", question="Capital of France?", choices=("Lyon", "Paris", "New York", "York"), choice=1)


@pytest.mark.parametrize(
    "text",
    [
        "B", "b", "(b)", "[B]", "B.", "B)", "(B) Paris", "B. Paris", "B: Paris", "**B**", "The answer is B", "The answer is (B).",
        "Answer: B", "I think the correct answer is B because it is large.", "option B", "Paris", "It is Paris.", "paris",
        "It is Paris, not Lyon.", "Not A but B", "答案是B。", "答案：B", "答えはBです。", "La respuesta es B.",
        "La réponse est B", "Die Antwort ist B.", "I'm not sure, but I think it is B) Paris.", "My choice: (b)",
    ],
)  # fmt: skip
def test_the_right_option_is_recognised(text: str) -> None:
    """By letter or text, with or without words around it."""
    assert grade_choice(CITIES, text).verdict == "correct"


@pytest.mark.parametrize(
    "text",
    ["A", "(c)", "Lyon", "The answer is A.", "A or B", "B or A", "Paris or Lyon", "B. Lyon", "Both (A) and (B)", "New York",
     "York", "It is not Paris but Lyon", "The answer is B or C."],
)  # fmt: skip
def test_another_option_or_two_are_incorrect(text: str) -> None:
    """Who names two options has chosen none; a letter that contradicts its text is two."""
    assert grade_choice(CITIES, text).verdict == "incorrect"


@pytest.mark.parametrize("text", ["I don't know.", "I cannot answer that.", "我不知道。"])
def test_a_refusal_that_names_no_option_is_abstained(text: str) -> None:
    """As in open questions."""
    assert grade_choice(CITIES, text).verdict == "abstained"


@pytest.mark.parametrize("text", ["A dog", "London", "E", "The city of light", "Big apple", "as above", "not B"])
def test_what_names_no_option_is_ungraded(text: str) -> None:
    """An article, a pronoun, a letter beyond the options and other words are no choice."""
    assert grade_choice(CITIES, text).verdict == "ungraded"


def test_the_letter_is_not_read_from_inside_a_word() -> None:
    """The C of CORRECT and the a of "and" name nothing."""
    assert find_offered("CORRECT and so on", CITIES.choices) == ((), ())


def test_an_option_that_reads_like_a_refusal_can_be_taken() -> None:
    """An option such as "Cannot be determined" is an answer where it is on offer."""
    question = Question(id="q", group="q", question="Who?", choices=("Ada", "Bob", "Cannot be determined"), choice=2)

    assert grade_choice(question, "Cannot be determined").verdict == "correct"
    assert grade_choice(question, "C").verdict == "correct"
    assert grade_choice(question, "I have no idea.").verdict == "abstained"


def test_a_letter_that_is_also_a_text_is_left_open() -> None:
    """Blood group A as option C: the reply "A" may mean either."""
    question = Question(id="q", group="q", question="Which group?", choices=("B", "AB", "A", "0"), choice=2)

    assert grade_choice(question, "A").verdict == "ungraded"
    assert grade_choice(question, "C").verdict == "correct"


def test_the_option_taken_goes_before_the_text() -> None:
    """Engines that choose by likelihood tell the index."""
    assert grade_choice(CITIES, "A", 1).verdict == "correct"
    assert grade_choice(CITIES, "B", 0).verdict == "incorrect"
    assert grade_choice(CITIES, "B", 9).verdict == "ungraded"
