"""What a model is asked about its own answer, and the tokens that it can reply with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nescio.errors import ModelError


class Query(NamedTuple):
    """A text behind an answer (or a question), and continuations to choose from, from the worst to the best."""

    text: str
    options: tuple[str, ...]


QUERIES = {
    "brief": Query("\nRight:", (" no", " yes")),
    "short": Query("\nIs that right? Answer yes or no:", (" no", " yes")),
    "choices": Query("\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:", (" i", " ii")),
}
"""Asked behind an answer: `brief` of a model that has learnt what is meant; `choices` as in Kapoor et al. 2024, appendix."""

KNOW_QUERY = Query("\nDo you know the answer? Reply yes or no:", (" no", " yes"))
"""Asked behind a question, before there is an answer: P(IK) of Kadavath et al. 2022."""

CONFIDENCE_QUERY = Query("\nConfidence from 0 to 9:", tuple(f" {digit}" for digit in range(10)))
"""Confidence tokens as in Li et al. 2025 (ConfTuner), N = 9, single tokens of every tokenizer: i stands for i / 9."""

PERCENT_QUERY = Query("\nConfidence:", ())
"""A percentage follows, in words of the model's own."""


def option_tokens(tokenizer: Any, query: Query) -> tuple[int, ...]:
    """The token that begins each option where it really follows the query: with its space, or behind a token for that space.

    Where all options begin with the same tokens, such as a space that is a token of its own, those belong to the query: see
    `encode_query`.

    Raises:
        ModelError: Two options begin with the same token.
    """
    _, options = _encode(tokenizer, query)
    if len(set(options)) < len(options):
        raise ModelError(
            f"the tokenizer begins two of {query.options} with the same token; choose another query (confidence.query)"
        )
    return options


def encode_query(tokenizer: Any, query: Query) -> tuple[int, ...]:
    """Token ids of the query as they stand before an option."""
    return _encode(tokenizer, query)[0]


def _encode(tokenizer: Any, query: Query) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The query's tokens, with what all options begin with, and each option's first token behind that."""

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    if not query.options:
        return tuple(encode(query.text)), ()
    wholes = [encode(query.text + option) for option in query.options]
    shared = _shared_length(wholes)
    # One option may be the beginning of another (" i", " ii" in letters): the shorter then has no token left to be told by.
    if any(len(whole) <= shared for whole in wholes):
        raise ModelError(f"the tokenizer makes one of {query.options} the beginning of another; choose another query")
    return tuple(wholes[0][:shared]), tuple(whole[shared] for whole in wholes)


def _shared_length(rows: Sequence[Sequence[int]]) -> int:
    length = 0
    for tokens in zip(*rows, strict=False):
        if len(set(tokens)) > 1:
            break
        length += 1
    return length
