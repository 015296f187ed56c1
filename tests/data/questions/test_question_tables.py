"""Every file format gives the same rows, and every fault the place where it stands."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from nescio.data.questions.tables import SourceRow, read_table
from nescio.errors import DataError

ROWS = [{"question": "Who wrote „Faust“?", "answers": "Goethe"}, {"question": "How many, roughly?", "answers": "7"}]
CSV = 'question,answers\nWho wrote „Faust“?,Goethe\n\n"How many, roughly?",7\n'


def write_rows(path: Path) -> Path:
    """The two rows in the format of the file's ending."""
    texts = {
        ".jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
        ".ndjson": "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in ROWS),
        ".json": json.dumps(ROWS, indent=1),
        ".csv": CSV,
        ".tsv": CSV.replace("Faust“?,", "Faust“?\t").replace('",7', '"\t7').replace("question,", "question\t"),
    }
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    else:
        path.write_text(texts[path.suffix], encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    """Quotes, line ends, blank lines and non-ASCII letters do not matter."""
    rows = list(read_table(write_rows(tmp_path / f"a{ending}")))

    assert [row.cells for row in rows] == ROWS


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv"])
def test_compressed_files_and_byte_order_marks_are_read(tmp_path: Path, ending: str) -> None:
    """As spreadsheets and data sets write them."""
    plain = write_rows(tmp_path / f"a{ending}")
    packed = tmp_path / f"b{ending}.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + plain.read_bytes()))

    assert [row.cells for row in read_table(packed)] == ROWS


@pytest.mark.parametrize(
    ("ending", "places"),
    [
        (".jsonl", ["a.jsonl:1", "a.jsonl:2"]),
        (".json", ["a.json:2", "a.json:6"]),  # indented by 1: a line for each bracket and each of two cells
        (".csv", ["a.csv:2", "a.csv:4"]),  # a header before, a blank line between
        (".parquet", ["a.parquet: row 1", "a.parquet: row 2"]),
    ],
)
def test_rows_know_where_they_stand(tmp_path: Path, ending: str, places: list[str]) -> None:
    """Line numbers count from 1 and are those of an editor."""
    rows = read_table(write_rows(tmp_path / f"a{ending}"))

    assert [row.place for row in rows] == [f"{tmp_path}/{place}" for place in places]


def test_a_csv_row_over_several_lines_stands_where_it_begins(tmp_path: Path) -> None:
    """A line break inside quotes belongs to the cell."""
    path = tmp_path / "a.csv"
    path.write_text('question,answers\n"one\r\ntwo",1\nthree,3\n', encoding="utf-8", newline="")
    rows = list(read_table(path))

    assert [(row.place.rpartition(":")[2], row.cells["question"]) for row in rows] == [("2", "one\r\ntwo"), ("4", "three")]


def test_a_csv_cell_may_be_longer_than_the_module_allows_by_default(tmp_path: Path) -> None:
    """A context of 200,000 letters is read."""
    path = tmp_path / "a.csv"
    path.write_text(f"context\n{'x' * 200_000}\n", encoding="utf-8")

    assert [len(row.cells["context"]) for row in read_table(path)] == [200_000]


@pytest.mark.parametrize(
    ("text", "key", "questions"),
    [
        ('{"about": "x", "tags": ["a"], "rows": [{"q": 1}, {"q": 2}]}', None, [1, 2]),  # the only list of objects
        ('{"dev": [{"q": 1}], "test": [{"q": 2}]}', "test", [2]),
        ('{"7": {"q": 1}, "x": {"q": 2}}', None, [1, 2]),  # an object of rows
        ('{"q": 1}\n{"q": 2}\n', None, [1, 2]),  # JSON lines under another name
        ("", None, []),
        ("[]", None, []),
    ],
)
def test_json_holds_its_rows_in_several_ways(tmp_path: Path, text: str, key: str | None, questions: list[int]) -> None:
    """As a list, under a key, as an object of rows, or one a line."""
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")

    assert [row.cells["q"] for row in read_table(path, key=key)] == questions


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"q": 1}\n{"q": 2', r"a\.jsonl:2: not a whole JSON object .*; mend or delete the line"),
        ("a.jsonl", b'{"q": 1}\n{"q": "\xe9"}\n', r"a\.jsonl:2: not valid UTF-8"),
        ("a.jsonl", b'{"q": 1}\n[1]\n', r"a\.jsonl:2: expected an object with columns, got \[1\]"),
        ("a.json", b'[{"q": 1},\n{"q": 2', r"a\.json:2: not valid JSON"),
        ("a.json", b'[{"q": 1},\n\n{"q": "\xe9"}]', r"a\.json:3: not valid UTF-8; save the file as UTF-8"),
        ("a.json", b"[1]", r"a\.json:1: expected an object"),
        ("a.json", b"7", r"a\.json' holds no rows"),
        ("a.json", b'{"a": [{"q": 1}], "b": [{"q": 2}]}', "several lists of rows; choose one of them as the split: a, b"),
        ("a.csv", b"q,a\n1,2\n3\n", r"a\.csv:3: 1 cells, but the header names 2 columns"),
        ("a.csv", b'q,a\n1,2\n"3,4\n5,6\n', r"a\.csv:3: not a whole CSV row .*; mend its quotes"),
        ("a.csv", b"q,a\n1,2\n\xff,4\n", r"a\.csv:3: not valid UTF-8"),
        ("a.csv", b"q,a,q\n1,2,3\n", r"a\.csv:1: column 'q' is there twice"),
        ("a.tsv", b"q\ta\n1\t2\t3\n", r"a\.tsv:2: 3 cells"),
        ("a.parquet", b"PAR1 and no more", r"a\.parquet' is not a whole Parquet file .*; fetch it again"),
        ("a.csv.gz", gzip.compress(b"q\n1\n", mtime=0)[:-4], r"a\.csv\.gz' is not a whole gzip file"),
        ("a.jsonl.gz", b'{"q": 1}\n', r"a\.jsonl\.gz' is not a whole gzip file"),
        ("a.jsn", b"[]", r"unknown file ending '\.jsn'. Did you mean '\.json'\?"),
    ],
)
def test_a_fault_is_one_line_with_its_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """Torn lines, wrong encodings and missing cells stop the reading; nothing is guessed."""
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError, match=message) as caught:
        list(read_table(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet", ".tsv.gz"])
def test_a_missing_file_is_said(tmp_path: Path, ending: str) -> None:
    """Whatever the format."""
    with pytest.raises(DataError, match="does not exist"):
        list(read_table(tmp_path / f"a{ending}"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"dev": [{"q": 1}]}', "unknown split 'test'. Known: dev"),
        ("a.json", '[{"q": 1}]', "is one list and has no split 'test'"),
        ("a.csv", "q\n1\n", "has no split 'test'"),
    ],
)
def test_a_split_that_is_not_there_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    """Rather than another one read in its place."""
    (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=message):
        list(read_table(tmp_path / name, key="test"))


def test_cells_are_found_inside_of_cells() -> None:
    """A dot goes into objects and lists; over a list of objects it collects."""
    row = SourceRow("a:1", {"a": {"b": [{"t": 1}, {"t": 2}]}, "x.y": 3})

    assert row.cell("x.y") == 3
    assert row.cell("a.b.1.t") == 2
    assert row.cell("a.b.t") == [1, 2]


@pytest.mark.parametrize("column", ["anser", "answer.valeu", "answer.value.more", "list.7", "list.t"])
def test_a_missing_column_names_the_nearest(column: str) -> None:
    """With the place, and all that are there."""
    row = SourceRow("a.csv:2", {"answer": {"value": 1}, "list": [{"t": 1}, {"u": 1}], "question": "q"})

    with pytest.raises(DataError, match=r"a\.csv:2: unknown column .*Known: answer, list, question\."):
        row.cell(column)
    with pytest.raises(DataError, match=r"Did you mean 'answer'\?"):
        row.cell("anser")
