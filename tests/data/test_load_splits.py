from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nescio.data.load import find_folder, load_splits
from nescio.errors import DataError
from nescio.records import SPLITS, Example
from nescio.store import write_records

Make = Callable[..., Example]


@pytest.fixture
def folder(tmp_path: Path, make_example: Make) -> Path:
    """Three groups of twins a split."""
    for split in SPLITS:
        write_records(tmp_path / f"{split}.jsonl", [make_example(f"{split}-{n}-{twin}") for n in range(3) for twin in "ab"])
    return tmp_path


def test_all_three_splits_are_read_in_order(folder: Path) -> None:
    """Each split holds its file's rows in their order."""
    splits = load_splits(folder)

    assert list(splits) == ["train", "calibration", "test"]
    assert [example.id for example in splits["test"]][:3] == ["test-0-a", "test-0-b", "test-1-a"]
    assert [len(rows) for rows in splits.values()] == [6, 6, 6]


def test_limit_counts_groups_not_rows(folder: Path) -> None:
    """A limit of two keeps both twins of the first two groups."""
    splits = load_splits(folder, limit=2)

    assert [example.id for example in splits["train"]] == ["train-0-a", "train-0-b", "train-1-a", "train-1-b"]


def test_limit_does_not_hide_a_leak(folder: Path, make_example: Make) -> None:
    """A leak in rows beyond the limit is still refused."""
    rows = load_splits(folder)["test"]
    write_records(folder / "test.jsonl", [*rows, make_example("late-a", question="What is meant by train-2-a?")])

    with pytest.raises(DataError, match="leaking split"):
        load_splits(folder, limit=1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": "train-1-b"}, "have the same id"),
        ({"id": "new-a", "group": "train-1"}, "are of the same group 'train-1'"),
        ({"id": "new-a", "question": "what is meant by  TRAIN-1-b"}, "ask the same question"),
    ],
)
def test_splits_that_share_something_are_refused(folder: Path, make_example: Make, fields: dict[str, str], words: str) -> None:
    """The message names the first pair, both files and the command that shows the rest."""
    write_records(folder / "test.jsonl", [make_example(**fields)])

    with pytest.raises(DataError) as caught:
        load_splits(folder)

    message = str(caught.value)
    assert message.startswith("leaking split: 'train-1-")
    assert words in message
    assert f"'{fields['id']}' ({folder / 'test.jsonl'})" in message
    assert str(folder / "train.jsonl") in message
    assert f"nescio data validate {folder}" in message


def test_the_same_question_with_another_context_is_no_leak(folder: Path, make_example: Make) -> None:
    """Only question and context together make a question."""
    rows = [make_example("new-a", question="What is meant by train-1-b?", context="Ada said so.")]
    write_records(folder / "test.jsonl", rows)

    assert load_splits(folder)["test"] == rows


def test_twins_of_the_same_words_are_no_leak(folder: Path, make_example: Make) -> None:
    """Within a split, equal questions are left to validation."""
    write_records(folder / "test.jsonl", [make_example("t-a", question="Who won?"), make_example("t-b", question="Who won?")])

    assert len(load_splits(folder)["test"]) == 2


def test_a_missing_folder_says_what_is_expected(tmp_path: Path) -> None:
    """The error names the three files and the shipped set."""
    with pytest.raises(DataError, match=r"does not exist; expected a folder with train\.jsonl, calibration\.jsonl, test\.jsonl"):
        load_splits(tmp_path / "absent")


def test_a_missing_file_is_named(folder: Path) -> None:
    """The error says which file the folder lacks."""
    (folder / "calibration.jsonl").unlink()

    with pytest.raises(DataError, match=r"lacks calibration\.jsonl"):
        load_splits(folder)


def test_an_empty_split_is_an_error(folder: Path) -> None:
    """No rows is no split."""
    (folder / "test.jsonl").write_text("")

    with pytest.raises(DataError, match="holds no rows"):
        load_splits(folder)


def test_failure_aware_is_inside_the_package() -> None:
    """The name stands for the package's own folder, whatever the working folder holds."""
    import nescio.data

    assert find_folder("failure_aware") == Path(nescio.data.__path__[0]) / "failure_aware"
    assert find_folder("./failure_aware") == Path("failure_aware")


def test_the_shipped_set_loads() -> None:
    """The set inside the package has three splits that share nothing."""
    if not (find_folder("failure_aware") / "train.jsonl").is_file():
        pytest.skip("the data files are not in this checkout")

    assert all(load_splits("failure_aware").values())
