"""From the columns of a row to the fields of a question."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from nescio.data.questions.tables import SourceRow
from nescio.errors import DataError
from nescio.records import Record, Text

ColumnNames = Text | tuple[Text, ...]

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Columns(Record):
    """Which column holds what.

    A field that is None takes the column of its own name, where there is one. A dot looks inside of a cell
    (`answer.aliases`).
    """

    id: Text | None = None
    """Unique; without it the id is made of the text, so that it does not depend on the order of the rows."""
    group: Text | None = None
    """Rows that must not be divided between splits; without it, rows with one entity or the same question."""
    entity: Text | None = None
    """What the question is about; it makes the group, whatever its case and punctuation."""
    question: Text | None = None
    context: Text | None = None
    answers: ColumnNames | None = None
    """One column or several; the first answer comes first, repeats and blanks are left out."""
    choices: ColumnNames | None = None
    """A column with a list or with options by label, or one column for each option."""
    choice: Text | None = None
    """The right option: its index from 0, its letter or label, its text, or a list with 1 for it and 0 for the others."""
    answerable: Text | None = None
    language: Text | None = None
    relation: Text | None = None
    phrasing: Text | None = None
    obscurity: Text | None = None
    """In [0, 1]."""
    popularity: Text | None = None
    """A number, larger for what is better known; the obscurity is made of its rank."""
    source: Text | None = None
    metadata: tuple[Text, ...] = ()
    """Further columns to keep."""
    lists: str | None = None
    """How a list is written in one cell: `json`, or the sign between its items, such as `|`; `text`: such a cell is one
    item, as it stands. None is `text`, but refuses what looks like a list in brackets."""
    choice_is: Literal["index", "letter", "text"] | None = None
    """How the right option is told; None finds out, and refuses a row that can be read in two ways."""
    default_language: Text = "en"
    """Of rows that do not tell their language."""


class Fields(NamedTuple):
    """What one row says; the id, the group and the obscurity may still be open."""

    place: str
    id: str | None
    group: str | None
    entity: str | None
    question: str
    context: str | None
    answers: tuple[str, ...]
    choices: tuple[str, ...]
    choice: int | None
    answerable: bool | None
    language: str
    relation: str
    phrasing: str
    obscurity: float | None
    popularity: float | None
    source: str | None
    metadata: dict[str, str | int | float | bool | None]


def read_fields(row: SourceRow, columns: Columns) -> Fields:
    """Read what a row says of its question.

    Raises:
        DataError: A named column is missing, or a cell cannot be read (with file and line).
    """
    cells = {name: _find_cell(row, columns, name) for name in _SINGLE_CELLS}
    question = _read_text(row, "question", cells["question"])
    if question is None:
        # Asking for the column says which ones there are; a column that is there is blank.
        row.cell(columns.question or "question")
        raise DataError(f"{row.place}: the question is blank; mend or delete the row")
    options = _read_options(row, columns)
    answerable = _read_truth(row, cells["answerable"])
    answers = _read_answers(row, columns)
    if answerable is False and answers:
        raise DataError(f"{row.place}: answers are given for a question that is marked as not answerable; mend one of the two")
    texts = {name: _read_text(row, name, cells[name]) for name in _TEXT_CELLS}
    return Fields(
        place=row.place,
        question=question,
        answers=answers,
        choices=options.texts,
        choice=_find_choice(row, cells["choice"], options, columns.choice_is),
        answerable=answerable,
        language=texts.pop("language") or columns.default_language,
        relation=texts.pop("relation") or "",
        phrasing=texts.pop("phrasing") or "",
        obscurity=_read_number(row, "obscurity", cells["obscurity"]),
        popularity=_read_number(row, "popularity", cells["popularity"]),
        metadata=_read_metadata(row, columns),
        **texts,
    )


_TEXT_CELLS = ("id", "group", "entity", "context", "language", "relation", "phrasing", "source")
_SINGLE_CELLS = (*_TEXT_CELLS, "question", "choice", "answerable", "obscurity", "popularity")


def _find_cell(row: SourceRow, columns: Columns, name: str) -> Any:
    column = getattr(columns, name)
    return row.cells.get(name) if column is None else row.cell(column)


def _read_text(row: SourceRow, name: str, value: Any) -> str | None:
    """A cell as text without space around it; None where it is blank."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{row.place}: {name}: {value} is no text; leave the cell empty or mend it")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int | float):
        return str(value)
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    raise DataError(f"{row.place}: {name}: expected text, got a {type(value).__name__}; name another column")


def _read_number(row: SourceRow, name: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise DataError(f"{row.place}: {name}: '{value}' is no number; mend the cell or name another column")
    return number


def _read_truth(row: SourceRow, value: Any) -> bool | None:
    text = _read_text(row, "answerable", value)
    if text is None:
        return None
    if text.casefold() not in _TRUTHS:
        raise DataError(f"{row.place}: answerable: expected true or false, got '{text}'")
    return _TRUTHS[text.casefold()]


def _read_metadata(row: SourceRow, columns: Columns) -> dict[str, str | int | float | bool | None]:
    # A file of our own questions has them in one cell.
    given = row.cells.get("metadata") if not columns.metadata else None
    values = dict(given) if isinstance(given, Mapping) else {}
    if columns.popularity is not None:
        values[columns.popularity] = row.cell(columns.popularity)
    values |= {column: row.cell(column) for column in columns.metadata}
    for name, value in values.items():
        if value is not None and not isinstance(value, str | int | float):
            raise DataError(f"{row.place}: {name}: metadata must be text or a number, got a {type(value).__name__}")
    # A number that is missing in a table of numbers is NaN there.
    return {name: None if value != value else value for name, value in values.items()}  # noqa: PLR0124


def _read_answers(row: SourceRow, columns: Columns) -> tuple[str, ...]:
    names = _names(columns.answers)
    values = [row.cell(name) for name in names] if names else [row.cells.get("answers")]
    found = [text for value in values for text in _read_list(row, "answers", value, columns.lists)]
    return tuple(dict.fromkeys(text for text in found if text))


def _names(names: ColumnNames | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names or ()


def _read_list(row: SourceRow, name: str, value: Any, lists: str | None) -> list[str]:
    """Items of a cell, a blank one as ""."""
    if isinstance(value, str):
        value = _split_text(row, name, value.strip(), lists)
    items = value if isinstance(value, list | tuple) else [value]
    return [_read_text(row, name, item) or "" for item in items]


def _split_text(row: SourceRow, name: str, text: str, lists: str | None) -> Any:
    if not text or lists == "text":
        return text
    if lists is None:
        if text.startswith("[") and text.endswith("]"):
            raise DataError(
                f"{row.place}: {name}: {text[:40]} looks like a list; say that lists are written as `json`, what stands between "
                "their items, or `text` where it is one item"
            )
        return text
    if lists != "json":
        return text.split(lists)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{row.place}: {name}: {text[:40]} is not valid JSON ({error.msg}); mend the cell") from error
    if isinstance(value, dict):
        raise DataError(f"{row.place}: {name}: expected a JSON list, got an object")
    return value


class _Options(NamedTuple):
    """The options of a question."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    """What the source calls them; may be empty."""
    were_text: bool
    """Whether the source holds them as text, not as numbers."""


def _read_options(row: SourceRow, columns: Columns) -> _Options:
    names = _names(columns.choices)
    labels: Sequence[Any] = ()
    if len(names) > 1:
        value: Any = [row.cell(name) for name in names]
        while value and value[-1] in (None, ""):  # a question may have fewer options than the table has columns for
            value.pop()
    else:
        value = row.cell(names[0]) if names else row.cells.get("choices")
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        value = {key: [item.get(key) for item in value] for key in value[0]}
    if isinstance(value, Mapping):
        named = {"text", "label"} <= value.keys()
        labels, value = (value["label"], value["text"]) if named else (list(value), list(value.values()))
    texts = _read_list(row, "choices", value, columns.lists) if value not in (None, "") else []
    if "" in texts:
        raise DataError(f"{row.place}: choice {texts.index('')} is blank; mend the row")
    were_text = not isinstance(value, list) or all(isinstance(item, str) for item in value)
    return _Options(tuple(texts), tuple(str(label) for label in labels), were_text)


def _find_choice(row: SourceRow, value: Any, options: _Options, choice_is: str | None) -> int | None:
    """Index of the right option, None where the row does not tell."""
    count = len(options.texts)
    if isinstance(value, list):
        if len(value) != count or value.count(1) != 1:
            raise DataError(f"{row.place}: choice: expected a list with one 1 that is as long as the {count} choices")
        return value.index(1)
    text = _read_text(row, "choice", value)
    if text is None:
        return None
    if text in options.labels:
        return options.labels.index(text)
    if choice_is is None and isinstance(value, int) and options.were_text:
        choice_is = "index"  # a number among texts is no text
    readings = {kind: index for kind, index in _read_choice(text, options.texts).items() if choice_is in (None, kind)}
    fitting = {index for index in readings.values() if 0 <= index < count}
    if not readings:
        wanted = choice_is or "index, letter or text"
        raise DataError(f"{row.place}: choice '{text[:40]}' is no {wanted} of one of the {count} choices")
    if not fitting:
        raise DataError(f"{row.place}: choice '{text[:40]}' is out of range: there are {count} choices, counted from 0")
    if len(fitting) > 1:
        kinds = " or ".join(readings)
        raise DataError(f"{row.place}: choice '{text[:40]}' can be read as {kinds} of different choices; say which it is")
    return fitting.pop()


def _read_choice(text: str, options: Sequence[str]) -> dict[str, int]:
    """Every way to understand how an option is told."""
    readings: dict[str, int] = {}
    if re.fullmatch(r"-?\d+", text):
        readings["index"] = int(text)
    if re.fullmatch("[A-Za-z]", text):
        readings["letter"] = ord(text.upper()) - ord("A")
    if text in options:
        readings["text"] = options.index(text)
    return readings
