"""Options and fixtures of the whole suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nescio.records import Example


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where data sets lie that the repository does not ship."""
    parser.addoption(
        "--shared-data", default="../shared/data", help="folder of public data sets, relative to the repository root"
    )


@pytest.fixture
def shared_data(request: pytest.FixtureRequest) -> Path:
    """The folder of public data sets; tests that need one are skipped where it is absent."""
    folder = request.config.rootpath / request.config.getoption("--shared-data")
    if not folder.is_dir():
        pytest.skip(f"no public data sets in {folder}; name their folder with --shared-data")
    return folder


@pytest.fixture
def make_example() -> Callable[..., Example]:
    """Make an example of which a test names only what it is about."""

    def make(id: str, **fields: object) -> Example:
        decision = fields.get("decision", "correct")
        defaults = {
            "group": id.rsplit("-", 1)[0],
            "pattern": "false_premise",
            "question": f"What is meant by {id}?",
            "decision": decision,
            "answer": "Ada.",
            "justification": "It is on record.",
            "evidence_quality": "high",
            "answers": ["Ada"] if decision == "correct" else [],
        }
        return Example.model_validate({"id": id, **defaults, **fields})

    return make
