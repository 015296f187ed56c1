"""What all lines have in common: stage after stage in one process, training in as many as were launched."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from nescio.config import LineConfig
from nescio.data.overlap import normalise_question
from nescio.errors import ConfigError, DataError
from nescio.models.load import LoadedModel
from nescio.records import Example, Label, Question
from nescio.run_folder import Run, identify_model
from nescio.store import read_json, read_json_lines, sha256_of_file, sha256_of_json, write_json
from nescio.train.processes import hear_first_process, is_helper, part_from_others

if TYPE_CHECKING:
    from nescio.train.head import TrainedAdapter

C = TypeVar("C", bound=LineConfig)

ADAPTER_FILES = ("adapter/adapter_model.safetensors", "adapter/adapter_config.json")
Fit: TypeAlias = Callable[[Callable[[], LoadedModel], dict[str, Any]], "TrainedAdapter"]
"""Trains a model, which its first argument loads, by settings: those of the run's `train` section, where files go, and whom to
tell of progress."""


def follow_line(
    run: Run[C],
    stages: Sequence[str],
    functions: Mapping[str, Callable[[Run[C]], None]],
    *,
    training: Callable[[Run[C]], Training],
) -> Path:
    """Run stages one after the other; a helper of a distributed launch only joins in the training.

    Args:
        run: The run.
        stages: Names of stages, in order.
        functions: What each of them does.
        training: What there is to train; asked when it is time to.

    Returns:
        The run folder.
    """
    check_model_name(run.config.model.name)
    if is_helper():
        if "train" in stages and hear_first_process(cpu=run.on_cpu):
            training(run).train_adapter()
        part_from_others()
        return run.folder
    with run.locked():
        write_json(run.folder / "config.json", run.config.model_dump())
        for stage in stages:
            functions[stage](run)
    return run.folder


class Training:
    """The train stage of a run."""

    def __init__(self, run: Run[Any], *, fit: Fit, inputs: Mapping[str, Any], outputs: Sequence[str] = ADAPTER_FILES) -> None:
        """Take note of what to train on.

        Args:
            run: The run.
            fit: Reads the training rows and learns them.
            inputs: Digests of what they are read from.
            outputs: What it leaves in the run folder.
        """
        self._run = run
        self._fit = fit
        self._outputs = outputs
        config = run.config
        self._inputs = {
            "model": identify_model(config.model),
            "train": config.train.model_dump(exclude={"report_to", "save_steps"}),
            "seed": config.seed,
            **inputs,
        }

    def run_stage(self) -> None:
        """Tune the adapter, unless it is there already."""
        run, begun = self._run, False

        def work() -> str:
            nonlocal begun
            begun = hear_first_process(True, cpu=run.on_cpu)
            result = self.train_adapter()
            curve = {"steps": result.loss_curve, "rows": result.rows, "tokens": result.tokens}
            write_json(run.folder / "train.json", curve | {"trainable_parameters": result.trainable_parameters})
            for left_over in run.folder.glob(".checkpoints-*"):  # of an interrupted run with other settings
                shutil.rmtree(left_over)
            return f"{result.rows} rows, final loss {result.loss_curve[-1]['loss']:.3f}"

        run.stage("train", self._inputs, [*self._outputs, "train.json"], work)
        if not begun:
            hear_first_process(False, cpu=run.on_cpu)
        part_from_others()

    def train_adapter(self) -> TrainedAdapter:
        """Tune the adapter, in this process's share of the work."""
        from nescio.models.load import load_model

        run, config = self._run, self._run.config
        settings = {
            **config.train.model_dump(),
            "seed": config.seed,
            "checkpoints": run.folder / f".checkpoints-{sha256_of_json(self._inputs)[:16]}",
            "logs": run.folder / "logs",
            "on_step": lambda step, total, loss: run.progress.advance("train", step, total, f"loss {loss:.3f}"),
        }
        load = partial(load_model, config.model.name, dtype=config.model.dtype, device=config.model.device)
        return self._fit(load, settings)


def adopt_training(
    run: Run[Any], source: str, judged: Iterable[Example | Question], files: Sequence[str] = ADAPTER_FILES
) -> None:
    """Copy what another run has trained in place of training, so that this one stands for itself.

    Args:
        run: The run.
        source: The folder of the other one.
        judged: What this run calibrates on and is tested on.
        files: What the other one has trained.

    Raises:
        DataError: The other run was trained on a question that this one is judged on.
    """
    rows = (row for _, row in read_json_lines(Path(source) / "data" / "train.jsonl"))
    trained = {normalise_question(row["question"], row.get("context")) for row in rows}
    leaked = next((row for row in judged if normalise_question(row.question, row.context) in trained), None)
    if leaked is not None:
        raise DataError(f"the adapter in '{source}' was trained on question '{leaked.id}', which is judged here; keep them apart")
    names = (*files, "train.json")
    inputs = {"adapter": {name: sha256_of_file(Path(source) / name) for name in names}}

    def work() -> str:
        (run.folder / "adapter").mkdir(exist_ok=True)
        for name in names:
            shutil.copyfile(Path(source) / name, run.folder / name)
        return f"trained in {source}"

    run.stage("train", inputs, names, work)


def read_trained_config(source: str, files: Sequence[str] = ADAPTER_FILES) -> dict[str, Any]:
    """The settings of a run whose adapter another one is to use.

    Raises:
        ConfigError: It is no folder of a finished run with such files.
    """
    missing = next(
        (name for name in ("config.json", "train.json", "data/train.jsonl", *files) if not (Path(source) / name).is_file()), None
    )
    if missing is not None:
        raise ConfigError(f"adapter: '{source}' has no {missing}; name the folder of a run that has trained one of this kind")
    return dict(read_json(Path(source) / "config.json"))


def check_trained_with(source: str, trained: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse an adapter that was trained with other settings than it would be read by.

    Args:
        source: The folder of its run.
        trained: The settings of that run.
        wanted: `section.name` -> the value of this one.

    Raises:
        ConfigError: One differs.
    """
    for setting, value in wanted.items():
        section, name = setting.split(".")
        found = trained.get(section, {}).get(name)
        if found != value:
            raise ConfigError(
                f"the adapter in '{source}' was trained with {setting}: {found}, not {value}; set {setting}: {found}"
            )


def fit_replies(read: Callable[[], Sequence[Example | Label]], folder: Path) -> Fit:
    """How replies are learnt: the rows are read when it is time to."""

    def fit(load: Callable[[], LoadedModel], settings: dict[str, Any]) -> TrainedAdapter:
        from nescio.train import train_adapter

        return train_adapter(load(), read(), folder, **settings)

    return fit


def mixed_digests(mix: str | None) -> dict[str, str]:
    """Digests of the examples that are learnt along; none where there are none."""
    from nescio.data.load import find_folder

    if mix is None:
        return {}
    return {path.name: sha256_of_file(path) for path in sorted(Path(str(find_folder(mix))).glob("*.jsonl"))}


def check_model_name(name: str) -> None:
    """Refuse a name that can be no model before any work is done."""
    from nescio.models.load import ALIASES, resolve_model

    if name not in ALIASES:  # an alias may have to be downloaded, which can wait until the data are known to be sound
        resolve_model(name)
