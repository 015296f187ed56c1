"""Samples on disk: what was drawn once is never drawn again, and a killed run loses only what it was at."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nescio.records import Sample
from nescio.store import read_records, remove_unfinished, sha256_of_json, translate_os_errors, write_json, write_records

PARTS = "part-*.jsonl"


class SampleStore:
    """A folder of finished batches, one for each way of drawing samples.

    The folder's name is a digest of all that the samples depend on together: model, prompt, settings. Within, each finished
    batch is a file that appears whole or not at all, so that any number of processes may write at the same time. A sample
    counts as drawn where its question's id, its index and the digest of its rendered prompt are found.
    """

    def __init__(self, root: str | Path, key: Mapping[str, Any]) -> None:
        """Open the folder for a key, and read what is there.

        Args:
            root: Folder of all stores.
            key: What the samples depend on, ready for JSON.

        Raises:
            DataError: A batch cannot be read.
            StoreError: The folder cannot be written.
        """
        self.folder = Path(root) / sha256_of_json(key)[:16]
        with translate_os_errors(f"opening {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._enter()
        described = self.folder / "key.json"
        if not described.is_file():
            write_json(described, dict(key))
        self._samples: dict[tuple[str, str, int], Sample] = {}
        for path in sorted(self.folder.glob(PARTS)):
            if path.stat().st_size:
                self._remember(read_records(path, Sample))

    def _enter(self) -> None:
        """Hold the folder's lock, shared; who finds nobody holding it first removes what killed processes left half-written.

        The lock dies with its process, so that no leftover can be taken for a file that somebody is writing.
        """
        import fcntl

        lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        weakref.finalize(self, os.close, lock)
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_unfinished(self.folder)
        fcntl.flock(lock, fcntl.LOCK_SH)

    def __len__(self) -> int:
        return len(self._samples)

    def find(self, question_id: str, prompt: str, index: int) -> Sample | None:
        """The sample, if it was drawn before."""
        return self._samples.get((question_id, prompt, index))

    def keep(self, place: int, samples: Sequence[Sample]) -> None:
        """Write a finished batch.

        Args:
            place: Of the batch in the run; orders the files.
            samples: Of the batch. Failed ones are not kept: the next run tries them again.
        """
        made = [sample for sample in samples if sample.failure is None]
        if not made:
            return
        content = sha256_of_json([[sample.question_id, sample.prompt, sample.index] for sample in made])
        write_records(self.folder / f"part-{place:08d}-{content[:12]}.jsonl", made)
        self._remember(made)

    def _remember(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            self._samples.setdefault((sample.question_id, sample.prompt, sample.index), sample)


def default_store() -> Path:
    """Where samples go unless another folder is named: `NESCIO_SAMPLES`, else `runs/samples`."""
    return Path(os.environ.get("NESCIO_SAMPLES") or Path("runs") / "samples")
