"""Every error that nescio raises on purpose.

NescioError
+-- ConfigError     a run file or an option is wrong
+-- DataError       a data file is unreadable, invalid or leaks between splits
+-- ModelError      a model or tokenizer cannot be found, loaded or used
+-- TrainingError   training cannot start or went wrong
+-- StoreError      a run folder cannot be read or written

The command line prints the message of these on one line and exits 2. Everything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NescioError(Exception):
    """Root of the errors that a user can act on."""


class ConfigError(NescioError):
    """A run file or a command line option is wrong."""


class DataError(NescioError):
    """A data file is unreadable, invalid or leaks between splits."""


class ModelError(NescioError):
    """A model or tokenizer cannot be found, loaded or used."""


class TrainingError(NescioError):
    """Training cannot start or went wrong."""


class StoreError(NescioError):
    """A run folder cannot be read or written."""


def describe_unknown(kind: str, got: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, with the nearest known one.

    Examples:
        >>> describe_unknown("grader", "mach", ["match", "judge"])
        "unknown grader 'mach'. Did you mean 'match'? Known: judge, match."
    """
    names = sorted(known)
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown {kind} '{got}'.{hint} Known: {', '.join(names)}."
