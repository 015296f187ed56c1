"""Facts about cities and subdivisions: country, state, time zone, ISO 3166-2 code."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from nescio.data.facts.fact import LANGUAGES, Fact, code_set, collect_aliases, fold, sample, words_of
from nescio.data.facts.geography import (
    City,
    cities_by_name,
    country_aliases,
    country_name,
    exemplar_names,
    find_city,
    load_cities,
    load_countries,
)
from nescio.data.facts.packages import load_package

_LARGE, _SMALL = 1500, 1500
"""English asks for the largest cities, and for as many drawn from all others."""
_US_LARGE, _US_SMALL = 350, 350
_SUBDIVISIONS_ASKED = 1500

# Where two states claim the ground, or a map shows another state's hand: (country, GeoNames' first-level code).
_CONTESTED = {("UA", code) for code in ("05", "08", "11", "14", "20", "26")} | {("GE", code) for code in ("02", "37")}
_CONTESTED |= {("IN", "12"), ("IN", "30"), ("IN", "41"), ("PK", "06"), ("PK", "07"), ("RU", "11"), ("RU", "20")}
_CONTESTED_ZONES = {"Asia/Hebron", "Asia/Gaza", "Asia/Jerusalem", "Europe/Simferopol", "Asia/Famagusta", "Africa/El_Aaiun"}
_CONTESTED_NAMES = {
    fold(name)
    for name in code_set(
        "Hargeisa Berbera Burao Borama Erigavo Tiraspol Bender Tighina Ribnita Stepanakert Xankandi Khankendi Susa Shusha "
        "Sukhumi Tskhinvali Majdal Sevastopol Dubasari"
    )
}
# Time zones that changed of late, so that a snapshot may be out of date.
_ZONES_IN_FLUX = code_set("KZ MX RU GL CN UA EH")


# Zones that are called after a region, whose capital has a longer name.
_REGIONS = {"larioja", "catamarca", "sanjuan", "sanluis", "jujuy"}


def list_city_facts() -> Iterator[Fact]:
    """Facts of every relation whose subject is a city or a subdivision."""
    yield from _countries()
    yield from _exemplars()
    yield from _states()
    yield from _subdivisions()


def is_contested(city: City) -> bool:
    """Whether it is a matter of view which country a place lies in."""
    return (
        city.country not in load_countries()
        or (city.country, city.admin1) in _CONTESTED
        or city.timezone in _CONTESTED_ZONES
        or fold(city.name) in _CONTESTED_NAMES
    )


@functools.cache
def is_only_one(city: City) -> bool:
    """Whether no place of 500 inhabitants or more bears the name in another country."""
    return {other.country for other in cities_by_name()[fold(city.name)]} == {city.country}


@functools.cache
def _askable() -> tuple[City, ...]:
    """Cities whose name names one country, the largest first; of several in one country only the largest."""
    best: dict[str, City] = {}
    for city in sorted(load_cities(), key=lambda city: (-city.population, city.id)):
        if city.population > 0 and not is_contested(city) and is_only_one(city) and len(city.name) > 2 and _is_telling(city.name):
            best.setdefault(fold(city.name), city)
    return tuple(best.values())


def _countries() -> Iterator[Fact]:
    cities = _askable()
    rest = {city.key: city for city in cities[_LARGE:]}
    chosen = [*cities[:_LARGE], *(rest[key] for key in sorted(sample(rest, _SMALL, "city")))]
    several = Counter(city.country for city in chosen)
    for city in chosen:
        if _same_word(city.name, country_name(city.country, "en")):
            continue
        answers = country_aliases(city.country, "en")
        yield Fact("city_country", "en", city.key, city.population, city.name, answers, names="city")
        zone = _zone_of(city)
        if zone and several[city.country] and city.population >= 100_000:
            yield Fact("city_timezone", "en", city.key, city.population, city.name, zone, names="city")


def _is_telling(name: str) -> bool:
    """Whether a name is a town's, not a numbered or bracketed part of one."""
    return not any(char.isdigit() or char in "(./" for char in name) and not name.startswith(("City of ", "Zone ", "Sector "))


def _same_word(city: str, country: str) -> bool:
    return fold(country) in fold(city)


def _zone_of(city: City) -> tuple[str, ...]:
    """The IANA name, where it is not simply the city's own, with the names that it had before."""
    namesakes = {other.timezone for other in cities_by_name()[fold(city.name)]}
    if load_package("babel.core").get_global("zone_territories").get(city.timezone) != city.country:
        return ()  # a zone that the country shares with the neighbour whom it is called after
    if len(namesakes) > 1 or city.country in _ZONES_IN_FLUX or fold(city.timezone.rsplit("/", 1)[-1]) == fold(city.name):
        return ()
    aliases = load_package("babel.core").get_global("zone_aliases")
    modern = aliases.get(city.timezone, city.timezone)
    earlier = sorted(old for old, new in aliases.items() if new == modern and "/" in old and old.rsplit("/", 1)[0] != "Etc")
    same = [zone for zone in earlier if zone.split("/")[0] == city.timezone.split("/")[0]]
    if len(same) > 3:  # a country that was merged into its neighbour's zone
        return ()
    return collect_aliases(city.timezone, modern, *same)


def _exemplars() -> Iterator[Fact]:
    """In the other languages only the cities that CLDR names."""
    named: defaultdict[str, dict[str, City]] = defaultdict(dict)
    for language in LANGUAGES[1:]:
        for (folded, country), name in sorted(exemplar_names(language).items()):
            city = find_city(folded, country)
            if city is None or city.population < 15000 or is_contested(city) or not is_only_one(city) or folded in _REGIONS:
                continue
            if not _same_word(name, country_name(city.country, language)):
                named[language][name] = city
    for language, cities in named.items():
        for name, city in cities.items():
            answers = country_aliases(city.country, language)
            yield Fact("city_country", language, city.key, city.population, name, answers, names="city")


def _states() -> Iterator[Fact]:
    """Cities of the United States whose name occurs in one state only."""
    states = {state.abbr: state.name for state in load_package("us").STATES}
    by_name: defaultdict[str, set[str]] = defaultdict(set)
    for city in load_cities(500):
        if city.country == "US":
            by_name[fold(city.name)].add(city.admin1)
    cities = [city for city in load_cities() if city.country == "US" and city.admin1 in states]
    cities = [city for city in cities if len(by_name[fold(city.name)]) == 1 and not mentions_state(city.name, states)]
    cities.sort(key=lambda city: (-city.population, city.id))
    rest = {city.key: city for city in cities[_US_LARGE:]}
    chosen = [*cities[:_US_LARGE], *(rest[key] for key in sorted(sample(rest, _US_SMALL, "us city")))]
    for city in chosen:
        yield Fact("city_state", "en", city.key, city.population, city.name, (states[city.admin1],), names="us_city")


def mentions_state(name: str, states: dict[str, str]) -> bool:
    """Whether a city's name gives a state away, rightly or not."""
    return any(fold(state) in fold(name) for state in states.values())


def _subdivisions() -> Iterator[Fact]:
    """Subdivisions of ISO 3166-2; the measure is the mean population of the country's subdivisions of the same rank."""
    records: list[Any] = [r for r in load_package("pycountry").subdivisions if r.country_code in load_countries()]
    sizes = Counter((r.country_code, r.parent_code is None) for r in records)
    bearers: defaultdict[str, set[str]] = defaultdict(set)
    for record in load_package("pycountry").subdivisions:
        bearers[fold(record.name)].add(record.country_code)
    for folded, cities in cities_by_name().items():
        if folded in bearers:
            bearers[folded] |= {city.country for city in cities}
    kept = [r for r in records if len(bearers[fold(r.name)]) == 1 and _is_plain(r) and r.country_code not in _REDRAWN]
    twice = Counter((record.country_code, fold(record.name)) for record in records)
    chosen = sample([r.code for r in kept], _SUBDIVISIONS_ASKED, "subdivision")
    for record in sorted(kept, key=lambda record: record.code):
        if record.code not in chosen or twice[record.country_code, fold(record.name)] > 1:
            continue
        country = load_countries()[record.country_code]
        measure = country.population / sizes[record.country_code, record.parent_code is None]
        entity, kind = f"subdivision:{record.code}", _KINDS_IN_USE.get(country.code, record.type.lower())
        details = (("kind", kind), ("a_kind", f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"))
        twin = find_city(record.name, record.country_code)
        kin = (twin.key,) if twin else ()
        if not _same_word(record.name, country_name(country.code, "en")):
            answers = country_aliases(country.code, "en")
            yield Fact(
                "subdivision_country", "en", entity, measure, record.name, answers, names="subdivision", details=details, kin=kin
            )
        where = (*details, ("country", country_name(country.code, "en")))
        code = collect_aliases(record.code)
        yield Fact("subdivision_code", "en", entity, measure, record.name, code, names="subdivision", details=where, kin=kin)


# Countries that redrew their map of late, and claims that another state does not share.
_REDRAWN = code_set("BF BI CI CL CM CN CU DZ EE ET FJ GR IL IS KZ LV MA MD MW NO NP NR NZ PH PK RU SO SS SY TD UA UZ VN YE")

# Where the term of the standard is not the one that English has for the subdivision.
_KINDS_IN_USE = {"HR": "county", "PL": "voivodeship", "RO": "county"}
# Names that tell no place from another.
_GENERIC = code_set(
    "norte nord north northern sul sud sur south southern este est east eastern leste oeste ouest west western "
    "centre center central centro capital littoral coast coastal upper lower metropolitan distrito district federal "
    "island islands oriental occidental northeast northwest southeast southwest northeastern northwestern "
    "southeastern southwestern north-east plateaux savanes maritime atlantique montagnes midlands highlands lagos "
    "rivers river delta lacs hautsbassins"
)


def _is_plain(record: Any) -> bool:
    """One name, at the first level, of a kind that a reader understands."""
    odd = any(char in record.name for char in "(),/[]0123456789–") or " and " in record.name or len(record.name) < 4
    odd = odd or all(word in _GENERIC for word in words_of(record.name))
    plain = record.type.lower() in {
        "province", "state", "region", "department", "county", "district", "canton", "governorate", "parish", "prefecture",
        "municipality", "oblast", "voivodship", "emirate", "division",
    }  # fmt: skip
    return plain and not odd and record.parent_code is None
