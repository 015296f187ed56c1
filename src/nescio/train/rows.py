"""Training rows: token ids, where the completion begins, and what each token weighs in the loss."""

from __future__ import annotations

from collections import Counter
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
    decision_end: int
    """Tokens up to the end of the decision's label."""

    def cut_after_decision(self) -> TrainingRow:
        """The same row without what follows its decision."""
        end = self.decision_end
        return TrainingRow(self.input_ids[:end], self.prompt_length, self.weights[: end - self.prompt_length], end)


def encode_rows(
    tokenizer: Any, examples: Sequence[Example], *, max_length: int, decision_weight: float = 1.0, balance: bool = False
) -> list[TrainingRow]:
    """Tokenise examples: the prompt exactly as prediction renders it, the structured reply, the end token.

    Args:
        tokenizer: The model's.
        examples: Rows to learn.
        max_length: Longest row allowed, in tokens.
        decision_weight: Weight of the decision's tokens; all others of the completion weigh 1.
        balance: Scale `decision_weight` by inverse frequency, so that the three decisions weigh the same in sum.

    Raises:
        TrainingError: A row has more than `max_length` tokens.
    """
    counts = Counter(example.decision for example in examples)
    fair = len(examples) / len(counts) if counts else 0.0
    scale = {decision: fair / count if balance else 1.0 for decision, count in counts.items()}
    return [
        _encode_row(tokenizer, e, max_length=max_length, decision_weight=decision_weight * scale[e.decision]) for e in examples
    ]


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
    last = max(place for place, (left, _) in enumerate(encoding["offset_mapping"]) if left < end)
    return TrainingRow(tuple(ids), len(prompt), (*weights, 1.0), len(prompt) + last + 1)


def pair_twins(groups: Sequence[str], *, largest: int = 2) -> list[list[int]]:
    """Row numbers in units that stay together in a batch: the rows of a group, at most `largest` of them.

    Examples:
        >>> pair_twins(["a", "b", "a", "b", "c"])
        [[0, 2], [1, 3], [4]]
    """
    members: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    return [rows[start : start + largest] for rows in members.values() for start in range(0, len(rows), largest)]
