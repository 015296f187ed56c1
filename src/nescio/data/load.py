"""Data sets in: three splits that share nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from nescio.data.overlap import normalise_question
from nescio.errors import DataError
from nescio.records import SPLITS, Example
from nescio.store import read_records

SHIPPED = "failure_aware"
"""Name of the data set inside the package."""


def load_examples(path: str | Path) -> list[Example]:
    """Read one JSONL file of examples.

    Raises:
        DataError: The file is missing, empty or torn, or a row breaks the schema or repeats an id (with file and line).
    """
    return read_records(path, Example)


def find_folder(folder: str | Path) -> Path:
    """Where a data set lies: `failure_aware` is the one inside the package, all else is a path."""
    if str(folder) == SHIPPED:
        return Path(str(resources.files("nescio.data"))) / SHIPPED
    return Path(folder)


def load_splits(folder: str | Path, *, limit: int | None = None) -> dict[str, list[Example]]:
    """Read train.jsonl, calibration.jsonl and test.jsonl, and refuse splits that share a question.

    Only what is certain is checked here: ids, groups, and questions that are equal but for case, punctuation and
    spacing. `nescio data validate` finds near-duplicates too.

    Args:
        folder: `failure_aware` (inside the package) or a folder.
        limit: Keep only the first so many groups of each split, at least 1; the check covers all rows nevertheless.

    Returns:
        Rows by split, in the order train, calibration, test.

    Raises:
        DataError: The folder or a file is missing, a file is faulty or empty, or two splits share an id, a group or a question.
    """
    path = find_folder(folder)
    files = {split: path / f"{split}.jsonl" for split in SPLITS}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        expected = ", ".join(file.name for file in files.values())
        state = f"lacks {', '.join(missing)}" if path.is_dir() else "does not exist"
        raise DataError(f"data folder '{path}' {state}; expected a folder with {expected}, or the name '{SHIPPED}'")
    splits = {split: load_examples(file) for split, file in files.items()}
    _refuse_leaks(splits, files)
    if limit is None:
        return splits
    return {split: _first_groups(examples, limit) for split, examples in splits.items()}


def _refuse_leaks(splits: Mapping[str, list[Example]], files: Mapping[str, Path]) -> None:
    seen: dict[tuple[str, str], tuple[str, Example]] = {}
    for split, examples in splits.items():
        for example in examples:
            for kind, key in _identities(example):
                other_split, other = seen.setdefault((kind, key), (split, example))
                if other_split != split:
                    raise DataError(
                        f"leaking split: '{other.id}' ({files[other_split]}) and '{example.id}' ({files[split]}) {kind}; "
                        f"run `nescio data validate {files[split].parent}` to see every leak"
                    )


def _identities(example: Example) -> Iterator[tuple[str, str]]:
    """What no two splits may share, with the words that say so."""
    yield "have the same id", example.id
    yield f"are of the same group '{example.group}'", example.group
    yield "ask the same question", normalise_question(example.question, example.context)


def _first_groups(examples: list[Example], limit: int) -> list[Example]:
    kept = set(list(dict.fromkeys(example.group for example in examples))[:limit])
    return [example for example in examples if example.group in kept]
