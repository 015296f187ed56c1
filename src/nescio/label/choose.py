"""Which questions are trained on: a share of known ones, drawn by chance that is bound to the question."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from nescio.store import sha256_of_json

NO_SIDE = "the greedy answer has no grade, and the balance goes by it"
SURPLUS = {True: "known, more than the balance takes", False: "unknown, more than the balance takes"}
BEYOND_LIMIT = "beyond the limit"


def choose_questions(
    known: Mapping[str, bool | None], *, balance: float | None, limit: int | None, seed: int
) -> dict[str, str | None]:
    """Keep as many questions as there can be with a given share of known ones.

    Which ones depends on the seed and their ids, not on their order; a smaller limit keeps a part of what a larger one keeps.

    Args:
        known: Whether the model knows the answer, by question id; None where that cannot be told.
        balance: Share of known questions, in (0, 1); None keeps every question.
        limit: Most questions to keep, in that same share; None sets none.
        seed: Of the order in which they are taken.

    Returns:
        By question id, why it is left out; None where it is kept.
    """
    order = sorted(known, key=lambda id: sha256_of_json([seed, id]))
    if balance is None:
        return {id: BEYOND_LIMIT if limit is not None and place >= limit else None for place, id in enumerate(order)}
    reasons: dict[str, str | None] = dict.fromkeys(order, NO_SIDE)
    sides = {side: [id for id in order if known[id] is side] for side in (True, False)}
    most = _most_balanced(len(sides[True]), len(sides[False]), balance)
    kept = most if limit is None else min(most, limit)
    for side, ids in sides.items():
        in_balance, in_limit = (_count_side(total, balance, known=side) for total in (most, kept))
        for place, id in enumerate(ids):
            reasons[id] = None if place < in_limit else BEYOND_LIMIT if place < in_balance else SURPLUS[side]
    return reasons


def _most_balanced(n_known: int, n_unknown: int, balance: float) -> int:
    """The most questions that can be had in this balance."""
    share = _exact(balance)
    return int(min(n_known / share, n_unknown / (1 - share)))


def _count_side(total: int, balance: float, *, known: bool) -> int:
    n_known = round(total * _exact(balance))
    return n_known if known else total - n_known


def _exact(balance: float) -> Fraction:
    """0.3 as 3/10, so that three of ten questions are not one too many."""
    return Fraction(str(balance))
