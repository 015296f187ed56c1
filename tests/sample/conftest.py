"""Questions to sample."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nescio.records import Question


@pytest.fixture
def make_questions() -> Callable[..., list[Question]]:
    """So many open questions, q0 and on."""

    def make(number: int, **fields: object) -> list[Question]:
        rows = [{"id": f"q{n}", "group": f"q{n}", "question": f"What is {n}?", "answers": [f"{n}"]} for n in range(number)]
        return [Question.model_validate({**row, **fields}) for row in rows]

    return make
