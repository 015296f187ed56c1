"""What a confidence costs beside the greedy answer that it is of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from nescio.models.engine import SampleRequest
from nescio.records import Sample


@dataclass
class _Sum:
    questions: int = 0
    tokens: int = 0
    tokens_unshared: int = 0
    seconds: float | None = None


@dataclass
class Costs:
    """Adds up, for each method, the tokens that go through the model and the seconds that it takes."""

    sums: dict[str, _Sum] = field(default_factory=lambda: defaultdict(_Sum))

    def add(self, method: str, *, questions: int, tokens: int, tokens_unshared: int) -> None:
        """Add what some questions took.

        Args:
            method: Whose confidences they are.
            questions: How many were asked about.
            tokens: Computed anew, where a beginning that many rows share is computed once, and an answer's keys and values are
                kept.
            tokens_unshared: The same where every row is computed whole.
        """
        found = self.sums[method]
        found.questions += questions
        found.tokens += tokens
        found.tokens_unshared += tokens_unshared

    @contextmanager
    def timed(self, method: str) -> Iterator[None]:
        """Add the seconds that pass within."""
        start = perf_counter()
        yield
        found = self.sums[method]
        found.seconds = (found.seconds or 0.0) + perf_counter() - start

    def describe(self) -> dict[str, dict[str, float | None]]:
        """By method, a question's share; `seconds` is None where samples were drawn in some earlier run."""
        return {
            method: {
                "tokens": found.tokens / found.questions,
                "tokens_unshared": found.tokens_unshared / found.questions,
                "seconds": None if found.seconds is None else found.seconds / found.questions,
            }
            for method, found in self.sums.items()
            if found.questions
        }


def count_drawn_tokens(samples: Sequence[Sample], prompts: dict[str, int]) -> tuple[int, int]:
    """Tokens of all drawn answers, their stops included; and the same where each has its prompt read anew.

    Args:
        samples: Those of index 0 are greedy, and are not counted.
        prompts: Tokens of each question's prompt.
    """
    drawn = [sample for sample in samples if sample.index > 0 and sample.failure is None]
    tokens = sum(len(sample.log_probabilities) for sample in drawn)
    return tokens, tokens + sum(prompts[sample.question_id] for sample in drawn)


def count_prompt_tokens(tokenizer: Any, requests: Sequence[SampleRequest]) -> tuple[int, int]:
    """Tokens of some prompts with what their replies begin with: without the beginning that all share, and with it."""
    from nescio.models.prompt import encode_messages, encode_text

    rows = []
    for request in requests:
        prompt = encode_messages(tokenizer, request.messages) if request.messages else encode_text(tokenizer, request.text)
        rows.append([*prompt, *tokenizer(request.begun, add_special_tokens=False)["input_ids"]] if request.begun else prompt)
    return count_row_tokens(rows)


def count_row_tokens(rows: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Tokens of some rows: with the beginning that all share read once, and with every row read whole."""
    from nescio.models.torch_engine import common_prefix

    whole = sum(map(len, rows))
    shared = len(common_prefix(rows)) if len(rows) > 1 else 0
    return whole - shared * (len(rows) - 1), whole
