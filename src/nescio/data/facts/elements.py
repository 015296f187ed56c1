"""Facts about chemical elements: symbol, atomic number, period, group."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from nescio.data.facts.fact import LANGUAGES, Fact
from nescio.data.facts.packages import load_package

_NOBLE_GASES = (0, 2, 10, 18, 36, 54, 86, 118)
"""Atomic numbers at which the periods end."""
_ALSO = {"aluminum": ("aluminium",), "cesium": ("caesium",), "sulfur": ("sulphur",), "tungsten": ("wolfram",)}


def list_element_facts() -> Iterator[Fact]:
    """Facts of every relation whose subject is an element; the smaller its atomic number, the better known it counts."""
    for element in load_package("periodictable").elements:
        number = element.number
        if not 1 <= number <= 118:
            continue  # the neutron
        name, entity, measure, symbol = element.name, f"element:{number}", -float(number), element.symbol
        called = (name, *_ALSO.get(name, ()))
        yield Fact("element_symbol", "en", entity, measure, name, (symbol,), names="element")
        yield Fact("symbol_element", "en", entity, measure, symbol, called)
        yield Fact("element_number", "en", entity, measure, name, (str(number),), names="element")
        yield Fact("number_element", "en", entity, measure, str(number), called)
        group = group_of(number)
        for language in LANGUAGES:
            yield Fact("symbol_number", language, entity, measure, symbol, (str(number),))
            yield Fact("number_symbol", language, entity, measure, str(number), (symbol,))
            yield Fact("symbol_period", language, entity, measure, symbol, (str(period_of(number)),))
            if group is not None:
                yield Fact("symbol_group", language, entity, measure, symbol, (str(group),))


def period_of(number: int) -> int:
    """The row of the periodic table.

    Examples:
        >>> [period_of(number) for number in (1, 2, 3, 26, 118)]
        [1, 1, 2, 4, 7]
    """
    return sum(number > end for end in _NOBLE_GASES)


def group_of(number: int) -> int | None:
    """The column of the periodic table, 1 to 18; None for the f-block and the disputed members of group 3.

    Examples:
        >>> [group_of(number) for number in (1, 2, 5, 26, 57, 79, 118)]
        [1, 18, 13, 8, None, 11, 18]
    """
    start, end = next((start, end) for start, end in pairwise(_NOBLE_GASES) if start < number <= end)
    place, from_end = number - start, end - number
    if number == 1 or (place <= 2 and number != 2):
        return place
    if from_end <= 5 or end - start == 18:
        return 18 - from_end
    # Long periods have fifteen elements between groups 2 and 4, of which chemists place two kinds in group 3.
    return 18 - from_end if end - start == 32 and from_end <= 14 else None
