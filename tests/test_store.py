"""Files are read with the place of every fault, and written whole or not at all."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from nescio.errors import DataError, StoreError
from nescio.records import Grade
from nescio.store import (
    read_json,
    read_json_lines,
    read_records,
    remove_unfinished,
    sha256_of_file,
    sha256_of_json,
    translate_os_errors,
    write_json,
    write_records,
    write_text,
)

GRADES = [Grade(id=f"q{number}", verdict="correct", reason="„gold“ ✓") for number in range(3)]
LINE = b'{"id": "q1", "verdict": "correct", "reason": "r"}\n'


def test_records_come_back_as_they_were(tmp_path):
    """JSONL in UTF-8, one line a record, in a folder that is made."""
    path = tmp_path / "a" / "b" / "grades.jsonl"
    write_records(path, GRADES)

    assert read_records(path, Grade) == GRADES
    assert path.read_bytes().count(b"\n") == 3
    assert "„gold“".encode() in path.read_bytes()


def test_json_comes_back_and_nan_is_refused(tmp_path):
    """A number that is none must be said as null with a reason; the old file stays."""
    write_json(tmp_path / "a.json", {"b": [1, None, "ü"]})

    assert read_json(tmp_path / "a.json") == {"b": [1, None, "ü"]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"b": float("nan")})
    assert read_json(tmp_path / "a.json") == {"b": [1, None, "ü"]}


def test_written_file_is_readable_by_others(tmp_path):
    """The scratch file is private; the finished file is not."""
    write_text(tmp_path / "a.txt", "x\n")

    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


class FullDisk:
    """A file on which every write fails."""

    def __init__(self, handle, *arguments, **options):
        os.close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def write(self, text):
        """Find no space."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("broken", ["replace", "fdopen", "fsync"])
def test_full_disk_leaves_the_old_file_and_no_scratch(tmp_path, monkeypatch, broken, code):
    """Wherever the space runs out, the reader sees the old content, and the message says what to do."""
    path = tmp_path / "a.txt"
    write_text(path, "old\n")

    def fail(*arguments, **options):
        raise OSError(code, os.strerror(code))

    with (
        monkeypatch.context() as patch,
        pytest.raises(StoreError, match=r"no disk space left while writing .*a\.txt; free some space"),
    ):
        patch.setattr(os, broken, FullDisk if broken == "fdopen" else fail)
        write_text(path, "new\n")

    assert [child.name for child in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old\n"


def test_interrupted_write_leaves_no_scratch(tmp_path, monkeypatch):
    """Ctrl-C in the middle of a write cleans up too."""

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a.txt", "new\n")

    assert list(tmp_path.iterdir()) == []


def test_unwritable_place_is_one_line(tmp_path):
    """A file where a folder should be is named."""
    (tmp_path / "a").write_text("")

    with pytest.raises(StoreError, match=r"failed while writing .*b\.txt: (File exists|Not a directory) \(.*a.*\)") as caught:
        write_text(tmp_path / "a" / "b.txt", "x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no disk space left while saving; free some space"),
        (OSError(errno.EACCES, "Permission denied", "x.bin"), r"failed while saving: Permission denied \(x\.bin\)$"),
        (OSError(errno.EIO, "Input/output error"), "failed while saving: Input/output error$"),
        (OSError("odd"), "failed while saving: odd$"),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
            "no disk space left while saving",
        ),
        (Exception("I/O error: No space left on device (os error 28)"), "no disk space left while saving"),
    ],
)
def test_errors_of_the_system_and_of_writers_become_one_line(error, message):
    """A full disk is wrapped by torch and safetensors in errors of their own; the system's errors keep the file's name."""
    with pytest.raises(StoreError, match=message), translate_os_errors("saving"):
        raise error


def test_other_errors_pass_through():
    """A bug inside stays a bug."""
    with pytest.raises(RuntimeError, match="shapes differ"), translate_os_errors("saving"):
        raise RuntimeError("shapes differ")


def test_sweeping_takes_scratch_files_only(tmp_path):
    """Half-written files go, in every folder; finished and hidden ones stay."""
    for name in (".a.json.x1.part", "deep/.b.jsonl.x2.part", "deep/c.part", ".lock", "d.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    remove_unfinished(tmp_path)

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        ".lock",
        "d.json",
        "deep/c.part",
    ]


def test_scratch_of_a_killed_write_is_what_sweeping_takes(tmp_path, monkeypatch):
    """A process killed before the rename leaves a file that the next run clears away."""
    monkeypatch.setattr(os, "replace", lambda source, target: None)
    write_text(tmp_path / "a.json", "{}")
    assert len(list(tmp_path.iterdir())) == 1
    remove_unfinished(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no rows"),
        (b"\n  \n", "holds no rows"),
        (LINE + b'{"id": "q2", "verd', "f.jsonl:2: not a whole JSON object"),
        (LINE + b"\n" + b'{"id": "q2"', "f.jsonl:3: not a whole JSON object"),
        (LINE + b'{"id": "\xff"}\n', "f.jsonl:2: not valid UTF-8 at byte 8 of the line; save the file as UTF-8"),
        (LINE + LINE, "f.jsonl:2: id 'q1' was already used in line 1"),
        (LINE + b'{"id": "q2", "verdict": "fine", "reason": "r"}', "f.jsonl:2: verdict: Input should be 'correct', 'incorrect'"),
        (LINE + b'{"id": "q2", "verdict": "correct"}', "f.jsonl:2: reason: Field required"),
        (
            LINE + b'{"id": "q2", "verdict": "correct", "reason": "r", "extra": 1}',
            "f.jsonl:2: extra: Extra inputs are not permitted",
        ),
        (b"[]", "f.jsonl:1: Input should be a valid dictionary"),
    ],
)
def test_faulty_rows_are_named_with_file_and_line(tmp_path, content, message):
    """Blank lines count, so that the number is that of the editor."""
    path = tmp_path / "f.jsonl"
    path.write_bytes(content)

    with pytest.raises(DataError) as caught:
        read_records(path, Grade)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lines_end_at_newlines_only(tmp_path):
    """A Windows line end is white space, and U+2028 inside a text ends no line."""
    path = tmp_path / "f.jsonl"
    path.write_bytes(json.dumps({"a": "x\u2028y"}, ensure_ascii=False).encode() + b"\r\n" + b'{"a": "z"}')

    assert list(read_json_lines(path)) == [(1, {"a": "x\u2028y"}), (2, {"a": "z"})]


@pytest.mark.parametrize("read", [lambda path: list(read_json_lines(path)), read_json, lambda path: read_records(path, Grade)])
def test_missing_file_and_folder_are_one_line(tmp_path, read):
    """Every reader says which path it was."""
    with pytest.raises(DataError, match=r"'.*absent' does not exist"):
        read(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_faulty_json_is_named_with_its_line(tmp_path):
    """Torn and non-UTF-8 files are refused."""
    (tmp_path / "a.json").write_text('{\n"a": ')
    (tmp_path / "b.json").write_bytes(b'"\xff"')

    with pytest.raises(DataError, match=r"a\.json:2: not valid JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"'.*b\.json' is not valid UTF-8 at byte 1"):
        read_json(tmp_path / "b.json")


def test_digests(tmp_path):
    """A file's digest is that of its bytes; a value's does not depend on the order of keys."""
    (tmp_path / "a").write_bytes(b"abc")

    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    assert sha256_of_json({"a": 1, "b": 2}) == sha256_of_json({"b": 2, "a": 1})
    assert sha256_of_json({"a": 1}) != sha256_of_json({"a": 2})
    with pytest.raises(DataError, match=r"'.*absent' cannot be read: No such file"):
        sha256_of_file(Path(tmp_path) / "absent")
