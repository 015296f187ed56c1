"""Files: read with the line number of every fault, write whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from nescio.errors import DataError, StoreError

R = TypeVar("R", bound=BaseModel)

UNFINISHED = ".part"
"""Ending of a file that is still being written; one that is left over is of a process that was killed."""


def sha256_of_file(path: str | Path) -> str:
    """Hex digest of a file's bytes.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from error


def sha256_of_json(value: Any) -> str:
    """Hex digest of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@contextmanager
def translate_os_errors(what: str) -> Iterator[None]:
    """Turn the system's errors about files into one line with a remedy.

    Raises:
        StoreError: The disk is full, or the path cannot be written or read.
    """
    try:
        yield
    except Exception as error:  # torch and safetensors have errors of their own for a full disk
        if _is_full_disk(error):
            raise StoreError(f"no disk space left while {what}; free some space and run the same command again") from error
        if not isinstance(error, OSError):
            raise
        name = f" ({error.filename})" if error.filename is not None else ""
        raise StoreError(f"failed while {what}: {error.strerror or error}{name}") from error


def _is_full_disk(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    # torch's archive writer does not say why it failed; the only reason met in practice is a full disk.
    return "No space left on device" in str(error) or "inline_container.cc" in str(error)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file so that a reader sees the old content or the new, never a part.

    Raises:
        StoreError: The disk is full or the path cannot be written.
    """
    path = Path(path)
    with translate_os_errors(f"writing {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)  # mkstemp makes the file private
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def remove_unfinished(folder: Path) -> None:
    """Delete what killed processes left half-written below a folder that nobody else writes to."""
    with translate_os_errors(f"clearing {folder}"):
        for path in folder.rglob(f".*{UNFINISHED}"):
            path.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write one JSON value, indented, whole or not at all. NaN is refused: say null with a reason."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_records(path: str | Path, records: Iterable[BaseModel]) -> None:
    """Write records as JSONL, whole or not at all."""
    write_text(path, "".join(record.model_dump_json() + "\n" for record in records))


def read_json(path: str | Path) -> Any:
    """Read one JSON value.

    Raises:
        DataError: The file is missing or is no JSON.
    """
    try:
        return json.loads(_read_utf8(Path(path)))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from error


class BadLine(NamedTuple):
    """A line of a JSONL file that cannot be read."""

    reason: str
    remedy: str


def parse_json_lines(content: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value) of each non-empty line, a `BadLine` in place of a value that is torn or not UTF-8."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield number, BadLine(f"not valid UTF-8 at byte {error.start} of the line", "save the file as UTF-8")
        except json.JSONDecodeError as error:
            yield number, BadLine(f"not a whole JSON object ({error.msg})", "mend or delete the line")


def read_json_lines(path: str | Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value) of each non-empty line of a JSONL file.

    Raises:
        DataError: The file is missing, or a line is torn or not UTF-8 (with its number).
    """
    for number, value in parse_json_lines(read_bytes(path)):
        if isinstance(value, BadLine):
            raise DataError(f"{path}:{number}: {value.reason}; {value.remedy}")
        yield number, value


def read_records(path: str | Path, record: type[R]) -> list[R]:
    """Read a JSONL file of one kind of record.

    Raises:
        DataError: The file is missing, empty, torn or not UTF-8, a row breaks the schema or repeats an id (with file and line).
    """
    rows: list[R] = []
    seen: dict[str, int] = {}
    for number, value in read_json_lines(path):
        try:
            row = record.model_validate(value)
        except ValidationError as error:
            raise DataError(f"{path}:{number}: {explain_validation(error)}") from error
        row_id = getattr(row, "id", None)
        if row_id is not None:
            if row_id in seen:
                raise DataError(f"{path}:{number}: id '{row_id}' was already used in line {seen[row_id]}")
            seen[row_id] = number
        rows.append(row)
    if not rows:
        raise DataError(f"'{path}' holds no rows")
    return rows


def explain_validation(error: ValidationError) -> str:
    """The first problem of a row, in one line."""
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"])
    return f"{field}: {problem['msg']}" if field else problem["msg"].removeprefix("Value error, ")


def _read_utf8(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not valid UTF-8 at byte {error.start}; save the file as UTF-8") from error


def read_bytes(path: str | Path) -> bytes:
    """A file's bytes.

    Raises:
        DataError: The file is missing or cannot be opened.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"'{path}' does not exist") from None
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from error
