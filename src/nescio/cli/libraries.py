"""Manners of the libraries that the command line runs on."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import warnings


def quieten_libraries() -> None:
    """Keep other libraries' progress bars and advice out of our output; their errors still come through."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)

    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    set_verbosity_error()
    disable_progress_bar()
    from datasets import disable_progress_bars

    disable_progress_bars()


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks: handing every tensor's pages back and fetching them again costs a tenth of a training run."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(ctypes.c_int(-3), ctypes.c_int(1 << 30))  # M_MMAP_THRESHOLD
        libc.mallopt(ctypes.c_int(-1), ctypes.c_int((1 << 31) - 1))  # M_TRIM_THRESHOLD
