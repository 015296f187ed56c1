"""Questions of any source, as one kind of record."""

from __future__ import annotations

from nescio.data.questions.columns import Columns
from nescio.data.questions.leaks import SharedQuestion, find_shared_questions, join_near_duplicates, refuse_benchmark_tests
from nescio.data.questions.load import load_questions
from nescio.data.questions.settings import SETTINGS, Hub, Original, Setting

__all__ = [
    "SETTINGS",
    "Columns",
    "Hub",
    "Original",
    "Setting",
    "SharedQuestion",
    "find_shared_questions",
    "join_near_duplicates",
    "load_questions",
    "refuse_benchmark_tests",
]
