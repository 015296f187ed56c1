from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nescio.cli.data import app
from nescio.records import Example
from nescio.store import write_records

Make = Callable[..., Example]
runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, make_example: Make) -> Path:
    """A small clean set."""
    rows = {
        "train": [
            make_example("apple-1-a", question="Who ate the [bold] apple?"),
            make_example("apple-1-b", decision="refuse", question="Who shall eat it?", evidence_quality="medium"),
        ],
        "calibration": [make_example("boat-1-a", pattern="needs_tools", question="Where is the boat moored?")],
        "test": [make_example("coat-1-a", decision="uncertain", question="Why is his coat so red?")],
    }
    for split, examples in rows.items():
        write_records(tmp_path / f"{split}.jsonl", examples)
    return tmp_path


def test_validate_prints_tables_and_exits_0_on_a_clean_set(folder: Path) -> None:
    """The report counts the rows of each file."""
    result = runner.invoke(app, ["validate", str(folder)])

    assert result.exit_code == 0, result.output
    assert "train.jsonl" in result.output
    assert "needs_tools" in result.output
    assert "errors: 0" in result.output


def test_validate_exits_1_on_a_leak(folder: Path, make_example: Make) -> None:
    """A leak is shown and fails the command."""
    write_records(folder / "test.jsonl", [make_example("d-a", question="where is the boat moored")])
    result = runner.invoke(app, ["validate", str(folder)])

    assert result.exit_code == 1
    assert "1 of 1" in result.output
    assert "errors: 1" in result.output


def test_validate_exits_2_with_one_line_on_an_unreadable_path(tmp_path: Path) -> None:
    """A wrong path is the user's mistake, said in one line."""
    result = runner.invoke(app, ["validate", str(tmp_path / "absent.jsonl")])

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "absent.jsonl' does not exist" in result.stderr


def test_validate_refuses_the_original_failure_aware_set(shared_data: Path) -> None:
    """Its repeats and leaks are printed and fail the command."""
    folder = shared_data / "seed-failure-aware"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    result = runner.invoke(app, ["validate", str(folder)])

    assert result.exit_code == 1
    assert result.output.count("73 of 75 rows leak") == 2
    assert "291 of 350 rows are repeats" in result.output


def test_show_prints_twins_with_their_text_as_it_is(folder: Path) -> None:
    """Both twins appear, and brackets in a question are not read as markup."""
    result = runner.invoke(app, ["show", str(folder), "--group", "apple-1"])

    assert result.exit_code == 0, result.output
    assert "apple-1-a" in result.output
    assert "apple-1-b" in result.output
    assert "[bold]" in result.output
    assert "1 of 1 groups" in result.output


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--split", "test"], {"coat-1-a"}),
        (["--pattern", "needs_tools"], {"boat-1-a"}),
        (["--decision", "refuse"], {"apple-1-a", "apple-1-b"}),  # a group is shown whole
        (["--number", "1"], {"apple-1-a", "apple-1-b"}),
        ([], {"apple-1-a", "apple-1-b", "boat-1-a", "coat-1-a"}),
    ],
)
def test_show_selects_groups(folder: Path, options: list[str], shown: set[str]) -> None:
    """Each option narrows down the groups that are shown."""
    result = runner.invoke(app, ["show", str(folder), *options])

    assert {id for id in ("apple-1-a", "apple-1-b", "boat-1-a", "coat-1-a") if id in result.output} == shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "tset"], "unknown split 'tset'. Did you mean 'test'?"),
        (["--pattern", "need_tools"], "unknown pattern 'need_tools'. Did you mean 'needs_tools'?"),
        (["--decision", "refused"], "unknown decision 'refused'. Did you mean 'refuse'?"),
        (["--group", "apple-2"], "unknown group 'apple-2'. Did you mean 'apple-1'?"),
    ],
)
def test_show_offers_the_nearest_name(folder: Path, options: list[str], message: str) -> None:
    """A name that is not there is an error of one line."""
    result = runner.invoke(app, ["show", str(folder), *options])

    assert result.exit_code == 2
    assert message in result.stderr


def test_show_reads_a_single_file(folder: Path) -> None:
    """A file has no splits to choose from."""
    file = str(folder / "train.jsonl")

    assert "apple-1-b" in runner.invoke(app, ["show", file]).output
    assert runner.invoke(app, ["show", file, "--split", "test"]).exit_code == 2


def test_export_writes_and_lists_files(folder: Path, tmp_path: Path) -> None:
    """Every file written is printed and exists."""
    out = tmp_path / "out"
    result = runner.invoke(app, ["export", "--format", "llamafactory", "--out", str(out), "--data", str(folder), "--model", "m"])

    assert result.exit_code == 0, result.output
    assert result.output.split() == [str(out / f"{split}.json") for split in ("train", "calibration", "test")] + [
        str(out / "dataset_info.json"),
        str(out / "train_lora.yaml"),
    ]
    assert "model_name_or_path: m\n" in (out / "train_lora.yaml").read_text()
    assert len(json.loads((out / "train.json").read_text())) == 2
    assert runner.invoke(app, ["validate", str(out)]).exit_code == 0


def test_export_refuses_an_unknown_format(folder: Path, tmp_path: Path) -> None:
    """The nearest format is offered and nothing is written."""
    result = runner.invoke(app, ["export", "--format", "tlr", "--out", str(tmp_path / "out"), "--data", str(folder)])

    assert result.exit_code == 2
    assert "Did you mean 'trl'" in result.stderr
    assert not (tmp_path / "out").exists()
