"""Rows of files that may be faulty: what can be read, and why the rest cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from nescio.data.overlap import normalise_question
from nescio.records import Decision, EvidenceQuality, Example, Text
from nescio.store import BadLine, explain_validation, parse_json_lines, read_bytes


class Row(NamedTuple):
    """What the checks need of a row, whatever its format."""

    path: str
    line: int
    """Where the row begins, from 1."""
    text: str
    """Normalised question and context."""
    decision: Decision
    evidence_quality: EvidenceQuality
    example: Example | None
    """None for alpaca rows, which have no id, group and pattern."""


class Fault(NamedTuple):
    """A row that cannot be read."""

    line: int
    message: str


class RowsOfFile(NamedTuple):
    """All of one file."""

    path: str
    rows: list[Row]
    faults: list[Fault]


class _AlpacaRow(BaseModel):
    instruction: str
    input: str = ""
    output: str


class _AlpacaReply(BaseModel):
    model_config = ConfigDict(extra="forbid")

    decision: Decision
    answer: Text
    justification: Text
    evidence_quality: EvidenceQuality


class _Alpaca(NamedTuple):
    row: _AlpacaRow
    reply: _AlpacaReply


def read_rows(path: Path) -> RowsOfFile:
    """Read a file of examples (JSONL) or of alpaca rows (a JSON array, or JSONL).

    In an alpaca row the question is the `input`; the `instruction` is part of it only where it differs between rows.

    Raises:
        DataError: The file is missing or cannot be opened; faulty rows are data, not errors.
    """
    content = read_bytes(path)
    parsed: list[tuple[int, Example | _Alpaca]] = []
    faults: list[Fault] = []
    for line, value in _parse_array(content) if content.lstrip()[:1] == b"[" else _parse_lines(content):
        result = value if isinstance(value, Fault) else _parse_row(line, value)
        if isinstance(result, Fault):
            faults.append(result)
        else:
            parsed.append((line, result))
    return RowsOfFile(str(path), _make_rows(str(path), parsed), faults)


def _parse_lines(content: bytes) -> Iterator[tuple[int, Any]]:
    """Values of the non-empty lines, a Fault in place of each that is no JSON."""
    for number, value in parse_json_lines(content):
        yield number, Fault(number, value.reason) if isinstance(value, BadLine) else value


def _parse_array(content: bytes) -> Iterator[tuple[int, Any]]:
    """Elements of a JSON array with the line that each begins in; what follows a Fault cannot be read."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        yield number, Fault(number, "not valid UTF-8; nothing of this file was read")
        return
    decoder = json.JSONDecoder()
    position = _skip_space(text, text.index("[") + 1)
    line, counted = 1, 0
    while not text.startswith("]", position):
        line += text.count("\n", counted, position)
        counted = position
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            yield line, Fault(error.lineno, f"not valid JSON ({error.msg}); nothing after it was read")
            return
        yield line, value
        position = _skip_space(text, position)
        if text.startswith(",", position):
            position = _skip_space(text, position + 1)
        elif not text.startswith("]", position):
            yield line, Fault(line, "no comma or bracket follows this row; nothing after it was read")
            return


def _skip_space(text: str, position: int) -> int:
    while text[position : position + 1].isspace():
        position += 1
    return position


def _parse_row(line: int, value: Any) -> Example | _Alpaca | Fault:
    where = ""
    try:
        if not (isinstance(value, dict) and "output" in value):
            return Example.model_validate(value)
        row = _AlpacaRow.model_validate(value)
        where = "output: "
        return _Alpaca(row, _AlpacaReply.model_validate(json.loads(row.output)))
    except ValidationError as error:
        return Fault(line, where + explain_validation(error))
    except json.JSONDecodeError as error:
        return Fault(line, f"{where}not a JSON reply ({error.msg})")


def _make_rows(path: str, parsed: Sequence[tuple[int, Example | _Alpaca]]) -> list[Row]:
    tasks = {found.row.instruction for _, found in parsed if isinstance(found, _Alpaca)}
    rows = []
    for line, found in parsed:
        if isinstance(found, Example):
            text = normalise_question(found.question, found.context)
            rows.append(Row(path, line, text, found.decision, found.evidence_quality, found))
        else:
            instruction, question = found.row.instruction, found.row.input
            text = normalise_question(question if len(tasks) == 1 and question.strip() else f"{instruction} {question}")
            rows.append(Row(path, line, text, found.reply.decision, found.reply.evidence_quality, None))
    return rows
