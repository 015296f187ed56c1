"""A run folder: its lock, its manifest, and the stages that are done in it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import nescio
from nescio.config import LineConfig, ModelConfig
from nescio.errors import StoreError
from nescio.records import Example, Grade, Prediction
from nescio.store import (
    read_json,
    read_records,
    remove_unfinished,
    sha256_of_file,
    sha256_of_json,
    translate_os_errors,
    write_json,
)


class Progress(Protocol):
    """What a front end hears of a run."""

    def begin(self, stage: str, note: str) -> None:
        """A stage begins."""

    def advance(self, stage: str, done: int, total: int, note: str) -> None:
        """Part of a stage is done."""

    def end(self, stage: str, note: str) -> None:
        """A stage has ended, or was skipped."""


class Silence:
    """A front end that says nothing."""

    def begin(self, stage: str, note: str) -> None:
        """Say nothing."""

    def advance(self, stage: str, done: int, total: int, note: str) -> None:
        """Say nothing."""

    def end(self, stage: str, note: str) -> None:
        """Say nothing."""


C = TypeVar("C", bound=LineConfig)


@dataclass
class Run(Generic[C]):
    """A run folder, its manifest and what is already loaded from it."""

    config: C
    progress: Progress
    manifest: dict[str, Any] = field(default_factory=lambda: {"stages": {}})

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.config.folder

    @property
    def on_cpu(self) -> bool:
        """Whether the model runs on the processor."""
        from nescio.models.load import pick_device

        return pick_device(self.config.model.device) == "cpu"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process out of the folder, and take up what an earlier one left; the lock dies with its process."""
        import fcntl

        with translate_os_errors(f"opening {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                where = f"another process is at work in '{self.folder}'"
                raise StoreError(f"{where}; wait for it or choose another name or out") from None
            remove_unfinished(self.folder)
            path = self.folder / "manifest.json"
            if path.is_file():
                self.manifest |= read_json(path)
            yield

    def stage(self, name: str, inputs: Mapping[str, Any], outputs: Sequence[str], work: Callable[[], str]) -> None:
        """Do the work of a stage unless its inputs and its outputs are as they were.

        Args:
            name: The stage, or a part of it (`predict/base`).
            inputs: All that the outputs depend on: config, digests of files.
            outputs: Files in the run folder.
            work: Makes the outputs and returns a note for the front end.
        """
        key = sha256_of_json({"inputs": inputs, "nescio": nescio.__version__})
        known = self.manifest["stages"].get(name, {})
        if known.get("key") == key and known.get("outputs") == self.digests(outputs):
            self.progress.end(name, "unchanged, skipped")
            return
        self.progress.begin(name, "")
        started = time.perf_counter()
        with _peak_memory() as memory:
            note = work()
        seconds = time.perf_counter() - started
        self.manifest["stages"][name] = {
            "key": key,
            "inputs": dict(inputs),
            "outputs": self.digests(outputs),
            "seconds": round(seconds, 2),
            "peak_memory_mib": round(memory.peak / 2**20),
        }
        self.save_manifest()
        self.progress.end(name, f"{note} [{seconds:.0f} s]" if note else f"{seconds:.0f} s")

    def digests(self, outputs: Sequence[str]) -> dict[str, str | None]:
        """sha256 of each output file; None where it is missing."""
        return {name: sha256_of_file(path) if (path := self.folder / name).is_file() else None for name in outputs}

    def save_manifest(self) -> None:
        """Write the manifest with versions, commit and seed as they are now."""
        self.manifest |= {"seed": self.config.seed, "commit": _commit(), "versions": _versions(), "machine": _machine()}
        write_json(self.folder / "manifest.json", self.manifest)

    def examples(self, split: str) -> list[Example]:
        """A split as the data stage left it."""
        return read_records(self.folder / "data" / f"{split}.jsonl", Example)

    def predictions(self, system: str, split: str) -> list[Prediction]:
        """Predictions of a system."""
        return read_records(self.folder / "predictions" / f"{system}.{split}.jsonl", Prediction)

    def grades(self, system: str, split: str) -> list[Grade]:
        """Grades of a system's predictions."""
        return read_records(self.folder / "grades" / f"{system}.{split}.jsonl", Grade)

    def digest(self, name: str) -> str | None:
        """sha256 of one file of the folder."""
        return self.digests([name])[name]


def identify_model(config: ModelConfig) -> dict[str, Any]:
    """What tells the model's weights from any others, without reading them all."""
    from nescio.models.load import find_hub_commit, pick_device, pick_dtype, resolve_model

    source = Path(resolve_model(config.name))
    device = pick_device(config.device)
    identity = {"name": config.name, "dtype": pick_dtype(config.dtype, device=device), "device": device.split(":")[0]}
    if not source.is_dir():
        return identity | {"commit": find_hub_commit(config.name)}
    return identity | {"files": {path.name: _sample_digest(path) for path in sorted(source.iterdir()) if path.is_file()}}


def _sample_digest(path: Path, *, samples: int = 64, sample_bytes: int = 1 << 16) -> str:
    """sha256 of a file's size and of samples spread evenly over it; of the whole file where it is small."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= samples * sample_bytes:
            digest.update(file.read())
        else:
            for number in range(samples):
                file.seek(number * (size - sample_bytes) // (samples - 1))
                digest.update(file.read(sample_bytes))
    return digest.hexdigest()


@dataclass
class _Memory:
    peak: int = 0


@contextmanager
def _peak_memory() -> Iterator[_Memory]:
    """Watch this process's resident memory, in bytes."""
    import psutil

    process, memory, done = psutil.Process(), _Memory(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            memory.peak = max(memory.peak, process.memory_info().rss)
            done.wait(0.1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()


def _versions() -> dict[str, str]:
    names = ("nescio", "torch", "transformers", "trl", "peft", "accelerate", "llguidance", "numpy", "scipy")
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _machine() -> dict[str, Any]:
    return {"platform": platform.platform(), "cores": os.cpu_count()}


def _commit() -> str | None:
    """The commit of the checkout that nescio runs from, with a plus sign where files differ from it."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # an installed copy may lie inside a checkout of something else
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
