"""Rows of a table file, each with its place, whatever the format."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nescio.errors import DataError, describe_unknown
from nescio.store import BadLine, parse_json_lines, read_bytes

_BOM = b"\xef\xbb\xbf"
_MAX_CELL = 1 << 30
"""Characters; the csv module's own limit of 131,072 is less than a long context has."""


class SourceRow(NamedTuple):
    """A row of a source, and where it stands."""

    place: str
    """File and line, or what else leads to the row."""
    cells: Mapping[str, Any]
    """Values by column."""

    def cell(self, column: str) -> Any:
        """A column's value; `answer.aliases` looks inside of a cell, `ctxs.0.text` into a list too.

        Raises:
            DataError: There is no such column.
        """
        if column in self.cells:
            return self.cells[column]
        value: Any = self.cells
        for part in column.split("."):
            value = self._step(value, part, column)
        return value

    def _step(self, value: Any, part: str, column: str) -> Any:
        if isinstance(value, Mapping) and part in value:
            return value[part]
        if isinstance(value, list):
            if part.isdigit() and int(part) < len(value):
                return value[int(part)]
            if value and all(isinstance(item, Mapping) and part in item for item in value):
                return [item[part] for item in value]
        raise DataError(f"{self.place}: {describe_unknown('column', column, map(str, self.cells))}")


def read_table(path: Path, *, key: str | None = None) -> Iterator[SourceRow]:
    """Read a JSONL, JSON, CSV, TSV or Parquet file; all but the last may be compressed (`.gz`).

    A JSON file is a list of rows, or an object that holds such a list (or an object of rows) under a key. JSON lines in a
    file called `.json` are read as such.

    Args:
        path: The file; its ending says the format.
        key: Of the list to read, where a JSON file holds several.

    Raises:
        DataError: The file is missing, of an unknown format, torn, not UTF-8, or has no such key (with file and line).
    """
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    form = ending.lower().removesuffix(".gz")
    if form not in ENDINGS:
        raise DataError(f"'{path}': {describe_unknown('file ending', form, ENDINGS)}")
    if key is not None and form != ".json":
        raise DataError(f"'{path}' has no split '{key}': only JSON files hold several; leave the split out")
    if form == ".parquet":
        return _read_parquet(path)
    if form == ".json":
        return parse_json(str(path), read_content(path), key=key)
    return _PARSERS[form](str(path), read_content(path))


def read_content(path: Path) -> bytes:
    """A file's bytes, uncompressed, without the byte order mark.

    Raises:
        DataError: The file is missing, cannot be opened, or is not a whole gzip file.
    """
    content = read_bytes(path)
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"'{path}' is not a whole gzip file ({error}); fetch it again") from error
    return content.removeprefix(_BOM)


def decode(name: str, content: bytes) -> str:
    """Text of a file.

    Raises:
        DataError: It is not UTF-8 (with the line).
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}:{line}: not valid UTF-8; save the file as UTF-8") from error


def parse_json(name: str, content: bytes, *, key: str | None = None) -> Iterator[SourceRow]:
    """Rows of a JSON file.

    Raises:
        DataError: It is torn, not UTF-8, or holds no rows, or several lists of which none is chosen.
    """
    text = decode(name, content)
    if not text.strip():
        return
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and key is None:
            yield from parse_jsonl(name, content)
            return
        raise DataError(f"{name}:{error.lineno}: not valid JSON ({error.msg}); mend the file") from error
    if isinstance(value, list):
        if key is not None:
            raise DataError(f"'{name}' is one list and has no split '{key}'; leave the split out")
        places = [f"{name}:{line}" for line in _lines_of_elements(text)]
        yield from (_object_row(place, row) for place, row in zip(places, value, strict=True))
    else:
        yield from _find_rows(name, value, key)


def _lines_of_elements(text: str) -> Iterator[int]:
    """The line in which each element of a valid JSON array begins."""
    decoder = json.JSONDecoder()
    position, line, counted = text.index("[") + 1, 1, 0
    while True:
        while text[position] in ", \t\r\n":
            position += 1
        if text[position] == "]":
            return
        line += text.count("\n", counted, position)
        counted = position
        yield line
        _, position = decoder.raw_decode(text, position)


def _find_rows(name: str, value: Any, key: str | None) -> Iterator[SourceRow]:
    if not isinstance(value, dict):
        raise DataError(f"'{name}' holds no rows; expected a list of objects")
    lists = {name: rows for name, rows in value.items() if isinstance(rows, list) and all(isinstance(row, dict) for row in rows)}
    if key is not None:
        if key not in lists:
            raise DataError(f"'{name}': {describe_unknown('split', key, lists)}")
        lists = {key: lists[key]}
    if len(lists) > 1:
        raise DataError(f"'{name}' holds several lists of rows; choose one of them as the split: {', '.join(lists)}")
    if lists:
        [(chosen, rows)] = lists.items()
        yield from (_object_row(f"{name}: row {number} of '{chosen}'", row) for number, row in enumerate(rows, start=1))
    else:
        yield from (_object_row(f"{name}: row '{row_key}'", row) for row_key, row in value.items())


def parse_jsonl(name: str, content: bytes) -> Iterator[SourceRow]:
    """Rows of a JSONL file.

    Raises:
        DataError: A line is torn, not UTF-8 or no object (with its number).
    """
    for number, value in parse_json_lines(content):
        if isinstance(value, BadLine):
            raise DataError(f"{name}:{number}: {value.reason}; {value.remedy}")
        yield _object_row(f"{name}:{number}", value)


def _object_row(place: str, value: Any) -> SourceRow:
    if not isinstance(value, dict):
        raise DataError(f"{place}: expected an object with columns, got {json.dumps(value, ensure_ascii=False)[:40]}")
    return SourceRow(place, value)


def parse_csv(name: str, content: bytes, *, delimiter: str = ",") -> Iterator[SourceRow]:
    """Rows of a CSV file whose first row names the columns; an empty cell is None.

    Raises:
        DataError: The file is not UTF-8, a quote is not closed, or a row has another number of cells than the header.
    """
    rows = parse_csv_cells(name, content, delimiter=delimiter)
    _, header = next(rows, ("", []))
    repeated = {column for column in header if header.count(column) > 1}
    if repeated:
        raise DataError(f"{name}:1: column '{min(repeated)}' is there twice; rename one")
    for place, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{place}: {len(cells)} cells, but the header names {len(header)} columns; mend the row")
        yield SourceRow(place, {column: cell or None for column, cell in zip(header, cells, strict=True)})


def parse_csv_cells(name: str, content: bytes, *, delimiter: str = ",") -> Iterator[tuple[str, list[str]]]:
    """Place and cells of each row of a CSV file, the header too; empty lines are left out.

    Raises:
        DataError: The file is not UTF-8, or a quote is not closed (with the line where the row begins).
    """
    # newline="" leaves line ends inside of quotes as they are.
    lines = io.StringIO(decode(name, content), newline="")
    limit = csv.field_size_limit(_MAX_CELL)
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            place = f"{name}:{reader.line_num + 1}"
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise DataError(f"{place}: not a whole CSV row ({error}); mend its quotes") from error
            if cells is None:
                return
            if cells:
                yield place, cells
    finally:
        csv.field_size_limit(limit)


def parse_tsv(name: str, content: bytes) -> Iterator[SourceRow]:
    """As `parse_csv`, with tabs between cells."""
    return parse_csv(name, content, delimiter="\t")


def _read_parquet(path: Path) -> Iterator[SourceRow]:
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    if not path.is_file():
        raise DataError(f"'{path}' does not exist")
    number = 0
    try:
        with ParquetFile(path) as file:
            rows = (cells for batch in file.iter_batches() for cells in batch.to_pylist())
            for number, cells in enumerate(rows, start=1):
                yield SourceRow(f"{path}: row {number}", cells)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"'{path}' is not a whole Parquet file (after row {number}: {reason}); fetch it again") from error


_PARSERS: dict[str, Callable[[str, bytes], Iterator[SourceRow]]] = {
    ".csv": parse_csv,
    ".jsonl": parse_jsonl,
    ".ndjson": parse_jsonl,
    ".tsv": parse_tsv,
}
ENDINGS = (*_PARSERS, ".json", ".parquet")
"""Endings of the files that are read."""
