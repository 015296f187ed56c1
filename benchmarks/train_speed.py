"""Rows a second and peak memory of LoRA fine-tuning: nescio, TRL's SFTTrainer as it comes, LLaMA-Factory.

Every contender trains rank 8 on all linear layers, batch 4 x 4, on the same rows in the same dtype, one after the other in
a process of its own. TRL runs with its defaults and once more with its best documented flags for short rows. LLaMA-Factory
needs an environment of its own: give its Python with --llamafactory-python.

    python benchmarks/train_speed.py --rows 96
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from nescio.data.export import export_dataset
from nescio.data.load import load_splits
from nescio.models.load import DEFAULT_MODEL, load_model, pick_dtype, resolve_model

BATCH, ACCUMULATION, RANK, ALPHA = 4, 4, 8, 16


def train_with_nescio(model: str, dtype: str, rows: int, folder: Path) -> float:
    """Seconds of training alone."""
    from nescio.train import train_adapter

    loaded = load_model(model, dtype=dtype)
    marks: list[float] = []
    examples = load_splits("failure_aware")["train"][:rows]
    started = time.perf_counter()
    train_adapter(
        loaded, examples, folder / "adapter", epochs=1, rank=RANK, alpha=ALPHA, batch_size=BATCH, decision_weight=0,
        twin_weight=0, gradient_accumulation_steps=ACCUMULATION, save_steps=10**6,
        on_step=lambda *_: marks.append(time.perf_counter()),
    )  # fmt: skip
    return marks[-1] - started


def train_with_trl(model: str, dtype: str, rows: int, folder: Path, *, tuned_flags: bool) -> float:
    """Seconds of `SFTTrainer.train`."""
    from datasets import load_dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    loaded = load_model(model, dtype=dtype)
    export_dataset({"train": load_splits("failure_aware")["train"][:rows]}, folder, format="trl")
    flags: dict[str, Any] = {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"} if tuned_flags else {}
    arguments = SFTConfig(
        output_dir=str(folder / "out"), num_train_epochs=1, per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATION, bf16=dtype == "bfloat16", use_cpu=True, save_strategy="no", report_to="none",
        disable_tqdm=True, dataloader_pin_memory=False, **flags,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=loaded.model,
        args=arguments,
        train_dataset=load_dataset(
            "json", data_files=str(folder / "train.jsonl"), split="train", cache_dir=str(folder / "cache")
        ),
        processing_class=loaded.tokenizer,
        peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    return float(trainer.train().metrics["train_runtime"])


def llamafactory_command(python: str, model: str, dtype: str, rows: int, folder: Path) -> list[str]:
    """Write LLaMA-Factory's files; returns the command that trains."""
    export_dataset({"train": load_splits("failure_aware")["train"][:rows]}, folder, format="llamafactory", model_name=model)
    import yaml

    settings = yaml.safe_load((folder / "train_lora.yaml").read_text())
    settings |= {
        "model_name_or_path": model, "dataset_dir": str(folder), "output_dir": str(folder / "out"), "num_train_epochs": 1,
        "per_device_train_batch_size": BATCH, "gradient_accumulation_steps": ACCUMULATION, "lora_rank": RANK, "lora_alpha": ALPHA,
        "bf16": dtype == "bfloat16", "overwrite_output_dir": True, "use_cpu": True,
        "disable_gradient_checkpointing": True, "logging_steps": 1, "report_to": "none",
        "save_strategy": "no", "plot_loss": False,
    }  # fmt: skip
    for key in ("eval_dataset", "eval_strategy", "eval_steps", "per_device_eval_batch_size", "val_size"):
        settings.pop(key, None)
    (folder / "bench.yaml").write_text(yaml.safe_dump(settings))
    return [python, "-m", "llamafactory.cli", "train", str(folder / "bench.yaml")]


def measure(command: list[str]) -> tuple[str, float]:
    """Run a command; returns its output and the peak resident memory of its processes, in GiB."""
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "DISABLE_VERSION_CHECK": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            with contextlib.suppress(psutil.NoSuchProcess):  # one has ended between two looks
                family = [psutil.Process(process.pid)]
                family += family[0].children(recursive=True)
                peak = max(peak, sum(member.memory_info().rss for member in family) / 2**30)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, _ = process.communicate()
    done.set()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{output[-3000:]}")
    return output, peak


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--llamafactory-python", help="Python of an environment with llamafactory 0.9.5.")
    parser.add_argument("--one", choices=["nescio", "trl", "trl-flags"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    model, dtype = resolve_model(args.model), pick_dtype(args.dtype)
    if args.one:
        if args.one == "nescio":
            seconds = train_with_nescio(model, dtype, args.rows, args.folder)
        else:
            seconds = train_with_trl(model, dtype, args.rows, args.folder, tuned_flags=args.one == "trl-flags")
        print(json.dumps({"seconds": seconds}))
        return
    names = ["nescio", "trl", "trl-flags"] + (["llamafactory"] if args.llamafactory_python else [])
    rates: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, float] = dict.fromkeys(names, 0.0)
    for _ in range(args.repeats):
        for name in names:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                if name == "llamafactory":
                    output, peak = measure(llamafactory_command(args.llamafactory_python, model, dtype, args.rows, folder))
                    seconds = float(json.loads((folder / "out" / "train_results.json").read_text())["train_runtime"])
                else:
                    flags = ["--one", name, "--folder", str(folder), "--rows", str(args.rows), "--model", model, "--dtype", dtype]
                    output, peak = measure([sys.executable, __file__, *flags])
                    seconds = float(json.loads(output.strip().splitlines()[-1])["seconds"])
                rates[name].append(args.rows / seconds)
                peaks[name] = max(peaks[name], peak)
    print(f"{args.rows} rows, rank {RANK} on all linear layers, batch {BATCH} x {ACCUMULATION}, {dtype}, {os.cpu_count()} cores")
    for name in names:
        best = max(rates[name])
        ratio = max(rates["nescio"]) / best
        print(f"{name:<14} {best:6.2f} rows/s   peak {peaks[name]:5.2f} GiB   nescio is {ratio:4.2f} times as fast")


if __name__ == "__main__":
    main()
