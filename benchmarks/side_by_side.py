"""What benchmarks say of their machine and of rates measured over several rounds."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

import numpy as np


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": float(np.median(values)), "min": min(values), "max": max(values)}


def show_spread(found: dict[str, float]) -> str:
    """As `median (least-greatest)`."""
    return f"{found['median']:.2f} ({found['min']:.2f}-{found['max']:.2f})"


def describe_machine(*libraries: str) -> str:
    """Processor, cores, threads, versions of libraries."""
    from importlib.metadata import version

    import torch

    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {versions}"
