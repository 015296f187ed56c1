"""Benchmark tests stay out of training, and one question is found by whatever it is called."""

from __future__ import annotations

from typing import Any

import pytest

from nescio.data.questions import SharedQuestion, find_shared_questions, join_near_duplicates, refuse_benchmark_tests
from nescio.errors import DataError
from nescio.records import Question


def ask(id: str, question: str, **fields: Any) -> Question:
    """A question of which only the text matters."""
    return Question.model_validate({"id": id, "group": f"g-{id}", "question": question, **fields})


def test_benchmark_tests_are_refused_as_training_data() -> None:
    """They are counted by benchmark, and the first is named."""
    test = {"benchmark_split": "test"}
    questions = [
        ask("a", "A?"),
        ask("b", "B?", metadata={"benchmark": "popqa", **test}),
        ask("c", "C?", metadata={"benchmark": "arc", **test}),
        ask("d", "D?", metadata={"benchmark": "popqa", **test}),
    ]

    with pytest.raises(DataError, match=r"must not be trained on: 1 of arc, 2 of popqa \(first 'b'\)"):
        refuse_benchmark_tests(questions)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_other_splits_of_a_benchmark_may_be_trained_on(split: str) -> None:
    """So may questions of no benchmark."""
    refuse_benchmark_tests([ask("a", "A?"), ask("b", "B?", metadata={"benchmark": "arc", "benchmark_split": split})])


def test_shared_questions_are_found_with_the_nearest() -> None:
    """Equal but for case and punctuation, or near; context is no other question."""
    one = [
        ask("1", "Who wrote the opera Fidelio?"),
        ask("2", "In which year was the bridge of Avignon built?", context="c"),
        ask("3", "What is the boiling point of neon?"),
    ]
    other = [
        ask("x", "who wrote the opera fidelio"),
        ask("y", "In which year was the bridge of Avignon builtt?"),
        ask("z", "In which year was the bridge of Avignons built?"),
        ask("w", "Who wrote the opera Fidelio"),
    ]
    found = find_shared_questions(one, other)

    assert found[0] == SharedQuestion("1", "x", 1.0)
    # 45 characters have 41 5-grams; one more letter at the end adds one: 41 of 42. In the middle it changes more.
    assert found[1] == SharedQuestion("2", "y", 41 / 42)
    assert len(found) == 2
    assert find_shared_questions(one, []) == []


def test_near_duplicates_join_with_all_of_their_groups() -> None:
    """Chains of groups become one, named after the first; what is apart stays apart."""
    questions = [
        ask("1", "Which river flows through the town of Verdun?", group="a"),
        ask("2", "Where was Bach born?", group="b"),
        ask("3", "Which river flows through the town of Verdun", group="c"),
        ask("4", "Where did Bach live?", group="c"),
        ask("5", "Which river flows through the town of Verduns?", group="b"),
        ask("6", "How tall is a giraffe?", group="d"),
    ]
    joined = join_near_duplicates(questions)

    assert [question.group for question in joined] == ["a", "a", "a", "a", "a", "d"]
    assert [question.id for question in joined] == ["1", "2", "3", "4", "5", "6"]
    assert join_near_duplicates([]) == []
