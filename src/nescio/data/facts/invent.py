"""Names of things that do not exist: letter chains that sound like their kind and stand in none of the packages."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable

from nescio.data.facts.existing import find_existing_names, list_names_of_kind
from nescio.data.facts.fact import draw, fold
from nescio.data.facts.grammar import inflect

_TRIES = 2000
_WITHOUT_SPACES = {"zh", "ja"}
_UNITS = {
    "en": ("{country} franc", "{country} dinar", "{country} peso", "{country} crown"),
    "es": ("franco de {country}", "dinar de {country}", "peso de {country}", "corona de {country}"),
    "fr": ("franc {of}", "dinar {of}", "peso {of}", "couronne {of}"),
    "de": ("{country}-Franken", "{country}-Dinar", "{country}-Peso", "{country}-Krone"),
    "zh": ("{country}法郎", "{country}第纳尔", "{country}比索", "{country}克朗"),
    "ja": ("{country}・フラン", "{country}・ディナール", "{country}・ペソ", "{country}・クローネ"),
}
_KINDS = {"state": "us_city", "subdivision": "city", "script": "language"}
"""Where the names of another kind make the better model."""
_ENDINGS = {("element", "en"): ("ium",), ("language", "zh"): ("语",), ("language", "ja"): ("語",), ("language", "de"): ("isch",)}
_LENGTHS = {"zh": (3, 4), "ja": (4, 8), "en": (6, 11), "es": (6, 12), "fr": (6, 12), "de": (7, 13)}


class Inventor:
    """Makes names up; the same name for the same entity, whatever was asked before."""

    def __init__(self, known: Iterable[str]) -> None:
        """Collect what exists.

        Args:
            known: Names that are not to be made up, besides all that the packages hold.
        """
        self._existing = find_existing_names() | {fold(name) for name in known}
        self._taken: dict[str, str] = {}

    def invent(self, entity: str, names: str, language: str) -> str | None:
        """A name for the invented twin of an entity.

        Languages with Latin letters share a proper name, as they do in life; names of languages are words of each language.

        Args:
            entity: The real twin.
            names: Kind of name.
            language: ISO 639-1 code.

        Returns:
            The name; None where none was found that exists nowhere.
        """
        if names == "currency":
            country = self.invent(entity, "country", language)
            units = _UNITS[language]
            return (
                units[int(draw(entity, "unit") * len(units))].format(country=country, of=inflect(country, language, "")["d"])
                if country
                else None
            )
        if names == "airport":
            city = self.invent(entity, "city", "en")
            return f"{city} International Airport" if city else None
        own = language if language in _WITHOUT_SPACES or names == "language" else "en"
        kind = _KINDS.get(names, names)
        for attempt in range(_TRIES):
            name = walk_chain(kind, own, f"{entity} {names} {own} {attempt}")
            if name and self._taken.setdefault(fold(name), entity) == entity and self.is_unknown(name, kind, own):
                lower = kind == "element" or (kind == "language" and own in {"es", "fr"})
                return name if lower else name[:1].upper() + name[1:]
        return None

    def is_unknown(self, name: str, kind: str, language: str) -> bool:
        """Whether a name stands in none of the packages and reminds of no name of its kind."""
        folded = fold(name)
        letters = _letters_of(kind, language)
        size = letters.shortest
        parts = {folded[i:j] for i in range(len(folded)) for j in range(i + size, len(folded) + 1)}
        return not (
            folded in self._existing
            or parts & letters.names
            or folded[: letters.beginning] in letters.beginnings
            or folded in letters.text
            or _leave_one_out(folded) & letters.one_off
        )


class _Letters:
    """What the real names of a kind look like."""

    def __init__(self, names: Iterable[str], *, beginning: int, shortest: int) -> None:
        folded = {fold(name) for name in names} - {""}
        self.beginning, self.shortest = beginning, shortest
        self.names = {name for name in folded if len(name) >= shortest}
        self.text = "|".join(sorted(folded))
        self.beginnings = {name[:beginning] for name in folded}
        self.one_off = {part for name in self.names for part in _leave_one_out(name)}


def _leave_one_out(word: str) -> set[str]:
    """Two words are one letter apart only if they share one of these."""
    return {word} | {word[:i] + word[i + 1 :] for i in range(len(word))}


@functools.cache
def _letters_of(kind: str, language: str) -> _Letters:
    if language in _WITHOUT_SPACES:
        kinds = {"country", "city", "language", kind}
        names = [name.rstrip("语語") for kind in sorted(kinds) for name in list_names_of_kind(kind, language)]
        size = 2 if language == "zh" else 3
        return _Letters(names, beginning=size, shortest=size)
    if kind in {"city", "us_city", "de_town", "cn_town"}:
        # So many towns exist that only a long beginning or a long name is a reminder.
        return _Letters(list_names_of_kind(kind, language), beginning=7, shortest=6)
    return _Letters([*list_names_of_kind(kind, language), *list_names_of_kind("country", language)], beginning=4, shortest=4)


@functools.cache
def _chain(kind: str, language: str) -> dict[str, tuple[str, ...]]:
    """Which letters follow which, with repetition, so that a draw is weighted by frequency."""
    order = _order(kind, language)
    follow: defaultdict[str, list[str]] = defaultdict(list)
    for name in list_names_of_kind(kind, language):
        word = name if language in _WITHOUT_SPACES else name.casefold()
        if all(char.isalpha() or char == "ー" for char in word):
            padded = "^" * order + word + "$"
            for i in range(order, len(padded)):
                follow[padded[i - order : i]].append(padded[i])
    return {state: tuple(letters) for state, letters in follow.items()}


def _order(kind: str, language: str) -> int:
    """How many letters decide the next: fewer where there are few names to learn from."""
    if language == "zh" or (language == "ja" and kind == "country"):
        return 1
    return 2 if language == "ja" or kind in {"country", "element", "star", "constellation"} else 3


def walk_chain(kind: str, language: str, key: str) -> str | None:
    """One name of a kind, of which the key decides every letter; None where it does not come out as its kind does."""
    chain, order = _chain(kind, language), _order(kind, language)
    shortest, longest = _LENGTHS[language]
    name = ""
    while len(name) <= longest:
        letters = chain[("^" * order + name)[-order:]]
        letter = letters[int(draw(f"{key} {name}", "letter") * len(letters))]
        if letter == "$":
            break
        name += letter
    fitting = shortest <= len(name) <= longest and name.endswith(_ENDINGS.get((kind, language), ("",)))
    return name if fitting else None
