"""Training rows: token ids, where the completion begins, and where in it the decision stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    decision_span: tuple[int, int]
    """Where the decision's label begins and ends."""
    decision_weight: float = 0.0
    """Of the decision's negative log-likelihood, beside the reply's."""
    group: str = ""
    """Twins share it."""
    whole: bool = True
    """Whether the reply is learnt, or the decision alone."""

    def cut_after_decision(self) -> TrainingRow:
        """The same row without what follows its decision."""
        return replace(self, input_ids=self.input_ids[: self.decision_span[1]], whole=False)

    def loss_weights(self) -> list[float]:
        """Of each token's negative log-likelihood: mean over the completion, plus `decision_weight` times the decision's sum."""
        share = 1 / (len(self.input_ids) - self.prompt_length) if self.whole else 0.0
        weights = [0.0] * self.prompt_length + [share] * (len(self.input_ids) - self.prompt_length)
        for place in range(*self.decision_span):
            weights[place] += self.decision_weight
        return weights


def encode_rows(
    tokenizer: Any, examples: Sequence[Example], *, max_length: int, decision_weight: float = 0.0, balance: bool = False
) -> list[TrainingRow]:
    """Tokenise examples: the prompt exactly as prediction renders it, the structured reply, the end token.

    Args:
        tokenizer: The model's.
        examples: Rows to learn.
        max_length: Longest row allowed, in tokens.
        decision_weight: Weight of the decision, beside the mean over the reply's tokens.
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
    touching = [place for place, (left, right) in enumerate(encoding["offset_mapping"]) if left < end and right > start]
    ids = [*prompt, *encoding["input_ids"], tokenizer.eos_token_id]
    if len(ids) > max_length:
        limit = f"train.max_length={max_length}"
        raise TrainingError(f"example '{example.id}' has {len(ids)} tokens, more than {limit}; raise it or shorten the text")
    return TrainingRow(
        input_ids=tuple(ids),
        prompt_length=len(prompt),
        decision_span=(len(prompt) + touching[0], len(prompt) + touching[-1] + 1),
        decision_weight=decision_weight,
        group=example.group,
    )


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
