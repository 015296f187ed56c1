from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from nescio.data.export import export_dataset
from nescio.data.validate import validate_files
from nescio.errors import ConfigError
from nescio.models.prompt import SYSTEM_PROMPT
from nescio.records import Example

Make = Callable[..., Example]


@pytest.fixture
def splits(make_example: Make) -> dict[str, list[Example]]:
    """A row without and a row with a context; quotes, line breaks and other scripts have to survive."""
    return {
        "train": [make_example("a-a", question='Who said "nescio"?'), make_example("a-b", context="Ada\nsaid so. 知らない")],
        "calibration": [make_example("b-a", decision="uncertain", question="Is it warm there now?")],
        "test": [make_example("c-a", decision="refuse", question="What will she say?")],
    }


def test_alpaca_rows_hold_instruction_question_and_reply(tmp_path: Path, splits: dict[str, list[Example]]) -> None:
    """Read back, every row has the system prompt, its question and context, and the reply as JSON."""
    export_dataset(splits, tmp_path, format="alpaca")

    for split, examples in splits.items():
        rows = json.loads((tmp_path / f"{split}.json").read_text())
        assert len(rows) == len(examples)
        for row, example in zip(rows, examples, strict=True):
            assert row["instruction"] == SYSTEM_PROMPT
            assert example.question in row["input"]
            assert (example.context or "") in row["input"]
            reply = json.loads(row["output"])
            assert reply == {key: getattr(example, key) for key in ("decision", "answer", "justification", "evidence_quality")}


def test_validation_accepts_the_alpaca_export(tmp_path: Path, splits: dict[str, list[Example]]) -> None:
    """What we export keeps the schema and does not leak."""
    export_dataset(splits, tmp_path, format="alpaca")
    report = validate_files([tmp_path])

    assert report.ok
    assert report.decisions == {"correct": 2, "uncertain": 1, "refuse": 1}


def test_trl_rows_are_conversational_prompt_and_completion(tmp_path: Path, splits: dict[str, list[Example]]) -> None:
    """The prompt ends with the user's turn and the completion is the assistant's, read back as TRL reads it."""
    datasets = pytest.importorskip("datasets")
    export_dataset(splits, tmp_path, format="trl")
    rows = datasets.load_dataset(
        "json", data_files={"train": str(tmp_path / "train.jsonl")}, split="train", cache_dir=str(tmp_path / "cache")
    )

    assert set(rows.column_names) == {"prompt", "completion"}
    for row, example in zip(rows, splits["train"], strict=True):
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        assert [message["role"] for message in row["completion"]] == ["assistant"]
        assert row["prompt"][0]["content"] == SYSTEM_PROMPT
        assert example.question in row["prompt"][1]["content"]
        assert json.loads(row["completion"][0]["content"])["decision"] == example.decision


def test_llamafactory_files_refer_to_one_another(tmp_path: Path, splits: dict[str, list[Example]]) -> None:
    """The run file names data sets of dataset_info.json, which name files and columns that exist."""
    written = export_dataset(splits, tmp_path, format="llamafactory", model_name="some/model")
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    run = yaml.safe_load((tmp_path / "train_lora.yaml").read_text())
    row = json.loads((tmp_path / "train.json").read_text())[0]

    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()}
    assert run["model_name_or_path"] == "some/model"
    assert {run["dataset"], run["eval_dataset"]} == {"nescio_train", "nescio_calibration"}
    assert info[run["dataset"]]["file_name"] == "train.json"
    assert {column: row[name] for column, name in info["nescio_train"]["columns"].items()}["system"] == SYSTEM_PROMPT
    assert "Who said" in row[info["nescio_train"]["columns"]["prompt"]]
    # Read as a number by YAML: 5e-5 without a point would be a string.
    assert (run["lora_rank"], run["lora_alpha"], run["learning_rate"], run["num_train_epochs"]) == (8, 16, 5e-5, 3)


def test_the_words_of_the_prompt_can_be_changed(tmp_path: Path, splits: dict[str, list[Example]]) -> None:
    """Another instruction and another rendering reach the file."""
    export_dataset(splits, tmp_path, format="alpaca", instruction="Decide.", render=lambda question, context: f"Q: {question}")
    row = json.loads((tmp_path / "test.json").read_text())[0]

    assert (row["instruction"], row["input"]) == ("Decide.", "Q: What will she say?")


def test_an_unknown_format_is_an_error_before_anything_is_written(tmp_path: Path, splits: dict[str, list[Example]]) -> None:
    """The nearest format is offered."""
    with pytest.raises(ConfigError, match="Did you mean 'alpaca'"):
        export_dataset(splits, tmp_path, format="alpacca")

    assert list(tmp_path.iterdir()) == []
