"""Training rows: token ids, where the completion begins, and where in it the decision stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nescio.errors import TrainingError
from nescio.models.prompt import OPENING, TO_ANSWER, TO_JUSTIFICATION, build_messages, encode_messages, render_completion
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
    answer_span: tuple[int, int] = (0, 0)
    """Where the answer begins and ends, its closing quote included; empty where there is no answer to learn beside the reply."""
    answer_weight: float = 0.0
    """Of the answer's mean negative log-likelihood, beside the reply's."""
    group: str = ""
    """Twins share it."""
    whole: bool = True
    """Whether the reply is learnt, or what has a weight of its own alone."""

    def shorten(self) -> TrainingRow:
        """The same row without what follows its decision, or its answer where that has a weight of its own."""
        end = max(self.decision_span[1], self.answer_span[1])
        return replace(self, input_ids=self.input_ids[:end], whole=False)

    def loss_weights(self) -> list[float]:
        """Of each token's negative log-likelihood: the reply's mean, the weighted decision's sum, the weighted answer's mean."""
        share = 1 / (len(self.input_ids) - self.prompt_length) if self.whole else 0.0
        weights = [0.0] * self.prompt_length + [share] * (len(self.input_ids) - self.prompt_length)
        for place in range(*self.decision_span):
            weights[place] += self.decision_weight
        start, end = self.answer_span
        for place in range(start, end):
            weights[place] += self.answer_weight / (end - start)
        return weights


def encode_rows(
    tokenizer: Any,
    examples: Sequence[Example],
    *,
    max_length: int,
    decision_weight: float = 0.0,
    answer_weight: float = 0.0,
    balance: bool = False,
) -> list[TrainingRow]:
    """Tokenise examples: the prompt exactly as prediction renders it, the structured reply, the end token.

    Args:
        tokenizer: The model's.
        examples: Rows to learn.
        max_length: Longest row allowed, in tokens.
        decision_weight: Weight of the decision, beside the mean over the reply's tokens.
        answer_weight: Weight of the mean over the answer's tokens, where the decision is *correct*.
        balance: Scale `decision_weight` by inverse frequency, so that the three decisions weigh the same in sum.

    Raises:
        TrainingError: A row has more than `max_length` tokens.
    """
    counts = Counter(example.decision for example in examples)
    fair = len(examples) / len(counts) if counts else 0.0
    scale = {decision: fair / count if balance else 1.0 for decision, count in counts.items()}
    return [
        _encode_row(
            tokenizer,
            e,
            max_length=max_length,
            decision_weight=decision_weight * scale[e.decision],
            answer_weight=answer_weight if e.decision == "correct" else 0.0,
        )
        for e in examples
    ]


def _encode_row(
    tokenizer: Any, example: Example, *, max_length: int, decision_weight: float, answer_weight: float
) -> TrainingRow:
    prompt = encode_messages(tokenizer, build_messages(example.question, example.context))
    text = render_completion(example)
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = encoding["offset_mapping"]
    answer_span = (0, 0)
    if answer_weight:
        # The quote that closes it is the answer's end, and is to be learnt like an end.
        answer_span = _touching(
            offsets, text.index(TO_ANSWER) + len(TO_ANSWER), text.index(TO_JUSTIFICATION) + 1, after=len(prompt)
        )
    ids = [*prompt, *encoding["input_ids"], tokenizer.eos_token_id]
    if len(ids) > max_length:
        limit = f"train.max_length={max_length}"
        raise TrainingError(f"example '{example.id}' has {len(ids)} tokens, more than {limit}; raise it or shorten the text")
    return TrainingRow(
        input_ids=tuple(ids),
        prompt_length=len(prompt),
        decision_span=_touching(offsets, len(OPENING), len(OPENING) + len(example.decision), after=len(prompt)),
        decision_weight=decision_weight,
        answer_span=answer_span,
        answer_weight=answer_weight,
        group=example.group,
    )


def _touching(offsets: Sequence[tuple[int, int]], start: int, end: int, *, after: int) -> tuple[int, int]:
    """The tokens that hold a character from `start` to `end`, counted from the row's beginning."""
    places = [place for place, (left, right) in enumerate(offsets) if left < end and right > start]
    return after + places[0], after + places[-1] + 1


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
