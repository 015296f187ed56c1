"""Which entities must stay together, and in which split a group lies."""

from __future__ import annotations

from collections.abc import Iterable

from nescio.data.facts.fact import Fact, draw, fold
from nescio.data.overlap import find_near_duplicates

_SHARES = (("train", 0.55), ("calibration", 0.70), ("test", 1.0))
"""Upper ends of the splits' shares."""
_SHORTEST_NEAR = 8
"""Names of fewer letters differ by too much of themselves to be spellings of one another."""


def group_entities(facts: Iterable[Fact]) -> dict[str, str]:
    """Join entities that are kin, bear the same name or nearly the same.

    Returns:
        The group of each entity: its smallest member, so that neither order nor chance has a say.
    """
    root: dict[str, str] = {}

    def find(entity: str) -> str:
        root.setdefault(entity, entity)
        while root[entity] != entity:
            root[entity] = entity = root[root[entity]]
        return entity

    def join(first: str, second: str) -> None:
        low, high = sorted((find(first), find(second)))
        root[high] = low

    bearer: dict[str, str] = {}
    for fact in facts:
        find(fact.entity)
        for relative in fact.kin:
            join(fact.entity, relative)
        if fact.names:
            join(fact.entity, bearer.setdefault(fold(fact.name), fact.entity))
    names = sorted(name for name in bearer if len(name) >= _SHORTEST_NEAR)
    for pair in find_near_duplicates(names):
        join(bearer[names[pair.first]], bearer[names[pair.second]])
    return {entity: find(entity) for entity in root}


def split_of_group(group: str) -> str:
    """The split of a group, by a hash of its name.

    Examples:
        >>> split_of_group("country:FR") == split_of_group("country:FR")
        True
    """
    place = draw(group, "split")
    return next(split for split, end in _SHARES if place < end)
