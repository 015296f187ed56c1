"""The whole bank, built once for all tests."""

from __future__ import annotations

import pytest

from nescio.data.facts import build_facts
from nescio.records import Question


@pytest.fixture(scope="session")
def bank() -> list[Question]:
    """Every question in every language."""
    return build_facts()
