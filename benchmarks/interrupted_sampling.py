"""Sampling that is killed, that loses a worker or that asks a faulty server: are its samples those of an undisturbed run?

Draws the same samples by `nescio sample` in several ways, each into a store of its own, and compares the files byte by byte:
undisturbed; killed (-9) several times and started again; on a Ray cluster of two workers of which one is killed midway; and from
a server here that fails one request in five, against the same server without faults.

    nescio data build facts --out facts.jsonl
    python benchmarks/interrupted_sampling.py --questions facts.jsonl --model smollm2-135m
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from nescio.records import Question
from nescio.store import read_records, write_records

SERVER = Path(__file__).parents[1] / "tests" / "models" / "openai_server.py"
WAYS = ("killed", "ray", "server")


def main() -> None:
    """Print what was done to each run, how long it took, and whether its file is the undisturbed one."""
    arguments = _read_arguments()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        asked = root / "questions.jsonl"
        write_records(asked, read_records(arguments.questions, Question)[: arguments.limit])
        common = [str(asked), "--n", str(arguments.n)]
        local = [*common, "--model", arguments.model, "--dtype", arguments.dtype, "--shots", str(arguments.shots)]
        if {"killed", "ray"} & set(arguments.ways):
            reference = _run(root, "undisturbed", local)
        if "killed" in arguments.ways:
            _compare(reference, _run_killed(root, local, kills=arguments.kills))
        if "ray" in arguments.ways:
            _compare(reference, _run_on_ray(root, local))
        if "server" in arguments.ways:
            reference = _run_on_server(root, "server", common)
            _compare(reference, _run_on_server(root, "faulty-server", common, "--faults"))


def _start(root: Path, name: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "nescio", "sample", *options, "--store", str(root / name), "--out", str(_file(root, name))]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(root / f"{name}.log").open("wb"))


def _file(root: Path, name: str) -> Path:
    return root / f"{name}.jsonl"


def _finish(root: Path, name: str, process: subprocess.Popen[bytes], started: float) -> Path:
    if process.wait():
        sys.exit(f"{name}: failed\n{(root / f'{name}.log').read_text()[-2000:]}")
    digest = hashlib.sha256(_file(root, name).read_bytes()).hexdigest()
    lines = _file(root, name).read_bytes().count(b"\n")
    print(f"{name}: {lines} samples in {time.perf_counter() - started:.0f} s, sha256 {digest[:16]}", flush=True)
    return _file(root, name)


def _run(root: Path, name: str, options: Sequence[str]) -> Path:
    started = time.perf_counter()
    return _finish(root, name, _start(root, name, options), started)


def _run_killed(root: Path, options: Sequence[str], *, kills: int) -> Path:
    started, chance = time.perf_counter(), random.Random(0)
    for kill in range(1, kills + 1):
        process = _start(root, "killed", options)
        _wait_until(lambda parts=3 * kill: _count_parts(root / "killed") >= parts, process)  # type: ignore[misc]
        time.sleep(chance.uniform(0.0, 5.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"killed: -9 with {_count_parts(root / 'killed')} parts in the store", flush=True)
    return _finish(root, "killed", _start(root, "killed", options), started)


def _run_on_ray(root: Path, options: Sequence[str]) -> Path:
    started = time.perf_counter()
    process = _start(root, "ray", [*options, "--executor", "ray", "--workers", "2"])
    _wait_until(lambda: _count_parts(root / "ray") >= 3, process)
    victim = max(_find_ray_workers(process.pid), key=lambda worker: worker.memory_info().rss)
    print(f"ray: -9 to worker {victim.pid}, of {victim.memory_info().rss >> 20} MiB", flush=True)
    victim.kill()
    return _finish(root, "ray", process, started)


def _find_ray_workers(parent: int) -> list[psutil.Process]:
    """Ray's processes that hold a model: those that do work, and not the cluster's own."""
    return [p for p in psutil.Process(parent).children(recursive=True) if any(part.startswith("ray::") for part in p.cmdline())]


def _run_on_server(root: Path, name: str, options: Sequence[str], *extra: str) -> Path:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, str(SERVER), "--port", str(port), *extra], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_until(lambda: _answers(port), server)
        return _run(root, name, [*options, "--model", "test", "--base-url", f"http://127.0.0.1:{port}/v1"])
    finally:
        server.kill()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _count_parts(store: Path) -> int:
    """Files of whole batches; what is being written has a name that begins with a dot."""
    return sum(path.is_file() and not path.name.startswith(".") for path in store.rglob("*"))


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    for waited in itertools.count():
        if condition():
            return
        if process.poll() is not None or waited > 36_000:
            sys.exit("the run ended before it could be disturbed; ask more questions")
        time.sleep(0.1)


def _compare(reference: Path, other: Path) -> None:
    same = reference.read_bytes() == other.read_bytes()
    print(f"{other.stem}: {'the same bytes as' if same else 'DIFFERENT from'} {reference.stem}", flush=True)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--limit", type=int, default=2000, help="questions")
    parser.add_argument("--n", type=int, default=10, help="samples a question")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return parser.parse_args()


if __name__ == "__main__":
    main()
