from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from nescio.data.split import split_by_group
from nescio.errors import ConfigError, DataError
from nescio.records import Example

Make = Callable[..., Example]
PATTERNS = ("false_premise", "harmful_request", "time_dependent", "needs_tools")


@pytest.fixture
def examples(make_example: Make) -> list[Example]:
    """20 groups of twins in each of four patterns, no two groups alike."""
    return [
        make_example(f"{pattern}-{n}-{twin}", pattern=pattern, question=f"{hash_words(pattern, n)} {twin}?")
        for pattern in PATTERNS
        for n in range(20)
        for twin in "ab"
    ]


def hash_words(pattern: str, n: int) -> str:
    """Eight pseudo-random words."""
    letters = random.Random(f"{pattern}{n}")
    return " ".join("".join(letters.choices("abcdefghij", k=5)) for _ in range(8))


def test_every_row_is_in_one_split_and_no_group_is_divided(examples: list[Example]) -> None:
    """The splits are a partition by groups."""
    splits = split_by_group(examples)
    groups = [{example.group for example in rows} for rows in splits.values()]

    assert sorted(example.id for rows in splits.values() for example in rows) == sorted(example.id for example in examples)
    assert sum(map(len, groups)) == len(set.union(*groups)) == 80


def test_ratios_hold_overall_and_within_each_pattern(examples: list[Example]) -> None:
    """55, 15 and 30 % of 160 rows, and of the 40 rows of each pattern within two groups."""
    splits = split_by_group(examples)

    # 160 * (0.55, 0.15, 0.30) = (88, 24, 48).
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 88, "calibration": 24, "test": 48}
    for split, expected in (("train", 22), ("calibration", 6), ("test", 12)):
        counts = Counter(example.pattern for example in splits[split])
        assert all(abs(counts[pattern] - expected) <= 4 for pattern in PATTERNS)


def test_the_order_of_the_input_does_not_matter_and_the_seed_does(examples: list[Example]) -> None:
    """The same rows in another order give the same splits; another seed gives others."""
    shuffled = random.Random(1).sample(examples, len(examples))

    assert split_by_group(shuffled) == split_by_group(examples)
    assert split_by_group(examples, seed=1) != split_by_group(examples, seed=0)


@pytest.mark.parametrize("change", ["?", "s?"])
def test_groups_that_share_a_question_stay_together(examples: list[Example], make_example: Make, change: str) -> None:
    """A chain of groups, each the same as or near the next by one row only, goes to one split as a whole."""
    chain = []
    for n in range(12):
        here, there = hash_words("chain", n), hash_words("chain", n + 1)
        chain += [make_example(f"chain-{n}-a", question=f"{here}?"), make_example(f"chain-{n}-b", question=f"{there}{change}")]
    splits = split_by_group([*examples, *chain])

    assert [n for n in (sum(e.group.startswith("chain") for e in rows) for rows in splits.values()) if n] == [24]


def test_too_few_groups_are_an_error(make_example: Make) -> None:
    """A split that would be empty is refused."""
    with pytest.raises(DataError, match="2 separate groups are too few to fill calibration"):
        split_by_group([make_example("a-a", question="Who won?"), make_example("b-a", question="Why is it so cold?")])


@pytest.mark.parametrize("ratios", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.0, 0.0, 0.0)])
def test_ratios_must_be_three_shares(examples: list[Example], ratios: tuple[float, ...]) -> None:
    """Two ratios, a sum other than one, or an empty share is a mistake."""
    with pytest.raises(ConfigError, match="add up to 1"):
        split_by_group(examples, ratios=ratios)
