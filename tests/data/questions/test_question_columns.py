"""Cells become the fields of a question, or the row is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from nescio.data.questions.columns import Columns, Fields, read_fields
from nescio.data.questions.tables import SourceRow
from nescio.errors import DataError


def read(cells: dict[str, Any], **columns: Any) -> Fields:
    """Fields of one row."""
    return read_fields(SourceRow("a.csv:2", {"question": "Who?", **cells}), Columns(**columns))


def test_columns_called_like_fields_need_no_option() -> None:
    """The names of a question's own fields are found by themselves."""
    fields = read({"id": 7, "answers": ["Ada"], "context": " c ", "language": "de", "relation": "P1", "obscurity": 0.5})

    assert (fields.id, fields.answers, fields.context) == ("7", ("Ada",), "c")
    assert (fields.language, fields.relation, fields.obscurity) == ("de", "P1", 0.5)


def test_named_columns_take_the_place_of_those() -> None:
    """A column that is named wins; one that is not there is refused."""
    fields = read({"answers": ["x"], "gold": ["Ada"], "key": "k"}, answers="gold", id="key", default_language="fr")

    assert (fields.answers, fields.id, fields.language) == (("Ada",), "k", "fr")
    with pytest.raises(DataError, match=r"a\.csv:2: unknown column 'gould'. Did you mean 'gold'\?"):
        read({"gold": ["Ada"]}, answers="gould")


@pytest.mark.parametrize(
    ("value", "lists", "answers"),
    [
        (["b", " a ", "b", "", None], None, ("b", "a")),  # order kept, no repeats, no blanks
        ("Ada", None, ("Ada",)),
        ("Ada|Countess | |Ada", "|", ("Ada", "Countess")),
        ('["Ada", "A. L."]', "json", ("Ada", "A. L.")),
        ('"Ada"', "json", ("Ada",)),
        ("[sic]", "text", ("[sic]",)),
        (None, "json", ()),
        ("", "|", ()),
        ([460.0, 0.65, 3, True, False], None, ("460", "0.65", "3", "yes", "no")),
    ],
)
def test_answers_are_read_in_every_form(value: Any, lists: str | None, answers: tuple[str, ...]) -> None:
    """Lists, JSON in a cell, separated text, numbers and truth values."""
    assert read({"answers": value}, lists=lists).answers == answers


def test_answers_of_several_columns_come_in_their_order() -> None:
    """The first column holds the first answer, aliases follow."""
    fields = read({"answer": {"value": "Ada", "aliases": ["A. L.", "Ada"]}}, answers=("answer.value", "answer.aliases"))

    assert fields.answers == ("Ada", "A. L.")


@pytest.mark.parametrize(
    ("cells", "columns", "message"),
    [
        ({"answers": "['a', 'b']"}, {}, r"answers: \['a', 'b'\] looks like a list; say that lists are written as `json`"),
        ({"answers": "['a', 'b']"}, {"lists": "json"}, r"answers: \['a', 'b'\] is not valid JSON"),
        ({"answers": '{"a": 1}'}, {"lists": "json"}, "answers: expected a JSON list, got an object"),
        ({"answers": [["a"]]}, {}, "answers: expected text, got a list"),
        ({"answers": float("nan")}, {}, "answers: nan is no text"),
        ({"question": "  "}, {}, "the question is blank"),
        ({"question": None}, {}, "the question is blank"),
        ({"question": ["a"]}, {}, "question: expected text, got a list"),
        ({"answerable": "perhaps"}, {}, "answerable: expected true or false, got 'perhaps'"),
        ({"answerable": False, "answers": ["a"]}, {}, "answers are given for a question that is marked as not answerable"),
        ({"popularity": "many"}, {}, "popularity: 'many' is no number"),
        ({"popularity": float("inf")}, {}, "popularity: 'inf' is no number"),
        ({"popularity": True}, {}, "popularity: 'True' is no number"),
        ({"tags": ["a"]}, {"metadata": ("tags",)}, "tags: metadata must be text or a number, got a list"),
        ({"choices": ["a", ""]}, {}, "choice 1 is blank"),
    ],
)
def test_a_cell_that_cannot_be_read_stops_with_its_place(cells: dict[str, Any], columns: dict[str, Any], message: str) -> None:
    """One line that says where, what was found and what to do."""
    with pytest.raises(DataError, match=rf"^a\.csv:2: {message}"):
        read(cells, **columns)


def test_a_missing_question_column_names_what_is_there() -> None:
    """The usual first mistake with a file of one's own."""
    with pytest.raises(DataError, match=r"unknown column 'question'. Did you mean 'Question'\? Known: Answer, Question\."):
        read_fields(SourceRow("a.csv:2", {"Question": "Who?", "Answer": "Ada"}), Columns())


@pytest.mark.parametrize(
    ("cells", "columns", "options", "choice"),
    [
        ({"choices": ["x", "y"], "choice": 1}, {}, ("x", "y"), 1),
        ({"choices": ["x", "y"], "choice": "b"}, {}, ("x", "y"), 1),
        ({"choices": ["x", "y"], "choice": "y"}, {}, ("x", "y"), 1),
        ({"choices": ["x", "y"], "choice": [0, 1]}, {}, ("x", "y"), 1),
        ({"choices": ["x", "y"]}, {}, ("x", "y"), None),
        ({"choices": {"text": ["x", "y"], "label": ["1", "2"]}, "choice": "2"}, {}, ("x", "y"), 1),
        ({"choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}], "choice": "B"}, {}, ("x", "y"), 1),
        ({"choices": {"A": "x", "B": "y"}, "choice": "B"}, {}, ("x", "y"), 1),
        ({"A": "x", "B": "y", "C": None, "right": "B"}, {"choices": ("A", "B", "C"), "choice": "right"}, ("x", "y"), 1),
        ({"choices": "x|y", "choice": "1"}, {"lists": "|"}, ("x", "y"), 1),
        ({"choices": ["10", "2", "1"], "choice": 1}, {}, ("10", "2", "1"), 1),  # a number among texts is an index
        ({"choices": ["10", "2", "1"], "choice": "1"}, {"choice_is": "text"}, ("10", "2", "1"), 2),
        ({"choices": ["B", "A"], "choice": "A"}, {"choice_is": "letter"}, ("B", "A"), 0),
        ({"choices": [3, 4], "choice": 4}, {}, ("3", "4"), 1),  # no fifth option: it can only be the text
        ({"choices": []}, {}, (), None),
    ],
)
def test_the_right_option_is_told_in_every_form(
    cells: dict[str, Any], columns: dict[str, Any], options: tuple[str, ...], choice: int | None
) -> None:
    """Index, letter, label, text, or a list of ones and zeros; options in a list, by label, or in columns."""
    fields = read(cells, **columns)

    assert (fields.choices, fields.choice) == (options, choice)


@pytest.mark.parametrize(
    ("cells", "columns", "message"),
    [
        ({"choices": ["x", "y"], "choice": 2}, {}, "choice '2' is out of range: there are 2 choices, counted from 0"),
        ({"choices": ["x", "y"], "choice": -1}, {}, "choice '-1' is out of range"),
        ({"choices": ["x", "y"], "choice": "C"}, {}, "choice 'C' is out of range"),
        ({"choices": ["x", "y"], "choice": "zebra"}, {}, "choice 'zebra' is no index, letter or text of one of the 2 choices"),
        ({"choices": ["x", "y"], "choice": "1"}, {"choice_is": "letter"}, "choice '1' is no letter"),
        ({"choices": ["2", "1", "0"], "choice": "0"}, {}, "can be read as index or text of different choices; say which it is"),
        ({"choices": [2, 1, 0], "choice": 0}, {}, "can be read as index or text"),
        ({"choices": ["B", "A"], "choice": "A"}, {}, "can be read as letter or text"),
        ({"choices": ["x", "y"], "choice": [1, 1]}, {}, "expected a list with one 1 that is as long as the 2 choices"),
        ({"choices": ["x", "y"], "choice": [1]}, {}, "expected a list with one 1"),
        ({"choice": 0}, {}, "out of range: there are 0 choices"),
    ],
)
def test_a_right_option_that_is_none_or_doubtful_is_refused(cells: dict[str, Any], columns: dict[str, Any], message: str) -> None:
    """A wrong guess would teach and grade the wrong answer."""
    with pytest.raises(DataError, match=rf"a\.csv:2: .*{message}"):
        read(cells, **columns)


def test_metadata_keeps_named_columns_and_the_popularity() -> None:
    """Scalars as they are; a number that is missing in a table of numbers is None."""
    fields = read({"views": 12, "year": float("nan"), "tag": "t"}, popularity="views", metadata=("year", "tag"))

    assert fields.popularity == 12
    assert fields.metadata == {"views": 12, "year": None, "tag": "t"}
