"""Data sets out, in the formats that other trainers read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from nescio.errors import ConfigError, describe_unknown
from nescio.models.prompt import SYSTEM_PROMPT, render_completion, render_user_message
from nescio.records import Example
from nescio.store import write_json, write_text

Format = Literal["llamafactory", "trl", "alpaca"]
Render = Callable[[str, str | None], str]
"""Question and context to the user's turn."""

DATASET_NAME = "nescio"
DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def export_dataset(
    splits: Mapping[str, Iterable[Example]],
    folder: str | Path,
    *,
    format: Format,
    instruction: str = SYSTEM_PROMPT,
    render: Render = render_user_message,
    model_name: str = DEFAULT_MODEL,
) -> list[Path]:
    """Write splits for another trainer, with the words that nescio itself trains on.

    Args:
        splits: Examples by split; the names become file names.
        folder: Made where missing; files of the same name are replaced.
        format: `alpaca`: a JSON array of instruction, input and output per split. `llamafactory`: the same with
            dataset_info.json and train_lora.yaml for `llamafactory-cli train`. `trl`: JSONL with prompt and completion as
            lists of messages, on which TRL's SFTTrainer computes the loss of the completion only.
        instruction: The system turn.
        render: Makes the user's turn.
        model_name: The model in train_lora.yaml: a hub id or a local folder.

    Returns:
        The files written.

    Raises:
        ConfigError: The format is unknown.
        StoreError: A file cannot be written.
    """
    folder = Path(folder)
    if format == "trl":
        return [_write_trl(folder / f"{split}.jsonl", rows, instruction, render) for split, rows in splits.items()]
    if format not in ("alpaca", "llamafactory"):
        raise ConfigError(describe_unknown("format", format, ("alpaca", "llamafactory", "trl")))
    written = [_write_alpaca(folder / f"{split}.json", rows, instruction, render) for split, rows in splits.items()]
    if format == "llamafactory":
        written += _write_llamafactory(folder, list(splits), model_name)
    return written


def _write_alpaca(path: Path, examples: Iterable[Example], instruction: str, render: Render) -> Path:
    rows = [
        {"instruction": instruction, "input": render(row.question, row.context), "output": render_completion(row)}
        for row in examples
    ]
    write_json(path, rows)
    return path


def _write_trl(path: Path, examples: Iterable[Example], instruction: str, render: Render) -> Path:
    rows = [
        {
            "prompt": [
                {"role": "system", "content": instruction},
                {"role": "user", "content": render(row.question, row.context)},
            ],
            "completion": [{"role": "assistant", "content": render_completion(row)}],
        }
        for row in examples
    ]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def _write_llamafactory(folder: Path, splits: list[str], model_name: str) -> list[Path]:
    info, run_file = folder / "dataset_info.json", folder / "train_lora.yaml"
    # LLaMA-Factory leaves out unnamed columns; naming `instruction` as the system turn keeps it out of the user's.
    columns = {"system": "instruction", "prompt": "input", "response": "output"}
    entries = {
        f"{DATASET_NAME}_{split}": {"file_name": f"{split}.json", "formatting": "alpaca", "columns": columns} for split in splits
    }
    write_json(info, entries)
    head = "# LoRA fine-tuning with LLaMA-Factory. In this folder: llamafactory-cli train train_lora.yaml\n"
    write_text(run_file, head + yaml.safe_dump(_llamafactory_run(splits, model_name), sort_keys=False))
    return [info, run_file]


def _llamafactory_run(splits: list[str], model_name: str) -> dict[str, Any]:
    """A run file; the calibration split is watched where there is one, the test split never."""
    run: dict[str, Any] = {
        "model_name_or_path": model_name,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": 8,
        "lora_alpha": 16,
        "lora_target": "all",
        "dataset_dir": ".",
        "dataset": f"{DATASET_NAME}_train",
        "template": "default",
        "cutoff_len": 1024,
        "output_dir": "saves/lora",
        "logging_steps": 10,
        "save_strategy": "epoch",
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 4,
        "learning_rate": 5e-5,
        "num_train_epochs": 3.0,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
        "report_to": "none",
    }
    if "calibration" in splits:
        run |= {
            "eval_dataset": f"{DATASET_NAME}_calibration",
            "eval_strategy": "epoch",
            "per_device_eval_batch_size": 4,
        }
    return run
