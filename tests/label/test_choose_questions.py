"""The balance of known and unknown questions, and which are taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nescio.label.choose import BEYOND_LIMIT, NO_SIDE, SURPLUS, choose_questions

SIDES = st.dictionaries(st.text(min_size=1, max_size=4), st.sampled_from([True, False, None]), max_size=30)


def kept(reasons: dict[str, str | None]) -> set[str]:
    """Ids without a reason to be left out."""
    return {id for id, reason in reasons.items() if reason is None}


def make_sides(n_known: int, n_unknown: int) -> dict[str, bool | None]:
    """So many known and unknown questions."""
    return {f"k{i}": True for i in range(n_known)} | {f"u{i}": False for i in range(n_unknown)}


@pytest.mark.parametrize(
    ("n_known", "n_unknown", "balance", "expected"),
    [
        (10, 4, 0.5, (4, 4)),
        (3, 10, 0.5, (3, 3)),
        (10, 100, 0.25, (10, 30)),
        (100, 9, 0.25, (3, 9)),
        (3, 7, 0.3, (3, 7)),  # 0.3 in floating point is a little less than 3/10
        (0, 7, 0.5, (0, 0)),
    ],
)
def test_as_many_as_the_balance_lets(n_known: int, n_unknown: int, balance: float, expected: tuple[int, int]) -> None:
    """The scarcer side is used up, and the other one fills the balance."""
    chosen = kept(choose_questions(make_sides(n_known, n_unknown), balance=balance, limit=None, seed=0))

    assert tuple(sum(id[0] == side for id in chosen) for side in "ku") == expected


def test_a_limit_keeps_the_balance() -> None:
    """Twenty of four hundred, a quarter of them known; the reasons tell the balance from the limit."""
    reasons = choose_questions(make_sides(100, 300) | {"x": None}, balance=0.25, limit=20, seed=0)

    assert sorted(id[0] for id in kept(reasons)) == ["k"] * 5 + ["u"] * 15
    assert set(reasons.values()) == {None, BEYOND_LIMIT, NO_SIDE}
    assert set(choose_questions(make_sides(9, 2), balance=0.5, limit=2, seed=0).values()) == {None, BEYOND_LIMIT, SURPLUS[True]}


def test_without_a_balance_all_stay_up_to_the_limit() -> None:
    """Undetermined ones too."""
    sides = make_sides(5, 5) | {"x": None}

    assert kept(choose_questions(sides, balance=None, limit=None, seed=0)) == set(sides)
    assert len(kept(choose_questions(sides, balance=None, limit=4, seed=0))) == 4


@given(sides=SIDES, balance=st.sampled_from([None, 0.1, 0.3, 0.5, 2 / 3]), limit=st.integers(1, 30), seed=st.integers(0, 5))
def test_order_does_not_matter_and_limits_nest(
    sides: dict[str, bool | None], balance: float | None, limit: int, seed: int
) -> None:
    """Questions are taken by seed and id; a larger limit only adds to a smaller one; nothing is lost."""
    options = {"balance": balance, "seed": seed}
    reasons = choose_questions(sides, limit=limit, **options)
    backwards = choose_questions(dict(reversed(sides.items())), limit=limit, **options)

    assert reasons == backwards
    assert set(reasons) == set(sides)
    assert len(kept(reasons)) <= limit
    assert kept(reasons) <= kept(choose_questions(sides, limit=limit + 1, **options))


def test_the_seed_chooses() -> None:
    """Other seeds take other questions."""
    taken = {tuple(sorted(kept(choose_questions(make_sides(20, 20), balance=0.5, limit=4, seed=seed)))) for seed in range(5)}

    assert len(taken) == 5
