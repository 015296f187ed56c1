"""Training rows: token ids, where the completion begins, and what each token weighs in the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nescio.errors import TrainingError
from nescio.models.prompt import build_messages, encode_messages, render_completion
from nescio.records import Example

IGNORED = -100
"""Label of tokens that carry no loss, as everywhere in transformers."""


@dataclass(frozen=True)
class TrainingRow:
    """One example in tokens."""

    input_ids: tuple[int, ...]
    prompt_length: int
    """Tokens before the completion."""
    weights: tuple[float, ...]
    """Of each completion token in the loss."""


def encode_rows(
    tokenizer: Any, examples: Sequence[Example], *, max_length: int, decision_weight: float = 1.0
) -> list[TrainingRow]:
    """Tokenise examples: the prompt exactly as prediction renders it, the structured reply, the end token.

    Raises:
        TrainingError: A row has more than `max_length` tokens.
    """
    return [_encode_row(tokenizer, example, max_length=max_length, decision_weight=decision_weight) for example in examples]


def _encode_row(tokenizer: Any, example: Example, *, max_length: int, decision_weight: float) -> TrainingRow:
    prompt = encode_messages(tokenizer, build_messages(example.question, example.context))
    text = render_completion(example)
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    start = text.index(example.decision)
    end = start + len(example.decision)
    weights = [decision_weight if left < end and right > start else 1.0 for left, right in encoding["offset_mapping"]]
    ids = [*prompt, *encoding["input_ids"], tokenizer.eos_token_id]
    if len(ids) > max_length:
        limit = f"train.max_length={max_length}"
        raise TrainingError(f"example '{example.id}' has {len(ids)} tokens, more than {limit}; raise it or shorten the text")
    return TrainingRow(tuple(ids), len(prompt), (*weights, 1.0))
