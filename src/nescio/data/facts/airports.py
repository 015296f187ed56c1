"""Facts about airports by their IATA codes: country, city, name."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

from nescio.data.facts.cities import is_contested
from nescio.data.facts.fact import LANGUAGES, Fact, collect_aliases, fold, mentions, sample
from nescio.data.facts.geography import City, country_aliases, find_city, load_cities, load_countries
from nescio.data.facts.packages import load_package

_COUNTRY_ASKED = {"en": 1200, "zh": 250, "es": 250, "fr": 250, "de": 250, "ja": 250}
_CITY_ASKED = 900
_NAMES_ASKED = 900
# Closed since, though their codes are still listed.
_CLOSED = {"ISL", "SXF", "THF", "TXL"}


def list_airport_facts() -> Iterator[Fact]:
    """Facts of every relation whose subject is an airport; the measure is the population of its city."""
    served = dict(_airports())
    named = Counter(fold(row["name"]) for row in load_package("airportsdata").load("IATA").values())
    asked = {language: sample(served, number, f"airport {language}") for language, number in _COUNTRY_ASKED.items()}
    cities = sample((code for code in served if not _is_overshadowed(served[code][1])), _CITY_ASKED, "airport city")
    telling = (code for code, (row, city) in served.items() if named[fold(row["name"])] == 1 and _is_telling(row, city))
    names = sample(telling, _NAMES_ASKED, "airport name")
    for code in sorted(served):
        row, city = served[code]
        entity, kin = f"airport:{code}", (city.key,)
        for language in LANGUAGES:
            if code in asked[language]:
                answers = country_aliases(city.country, language)
                yield Fact("airport_country", language, entity, city.population, code, answers, kin=kin)
        if code in cities:
            yield Fact("airport_city", "en", entity, city.population, code, collect_aliases(row["city"], city.name), kin=kin)
        if code in names:
            yield Fact("airport_code", "en", entity, city.population, row["name"], (code,), names="airport", kin=kin)


def _airports() -> Iterator[tuple[str, tuple[dict[str, Any], City]]]:
    """Public airports whose city GeoNames knows, with 15,000 inhabitants or more."""
    for code, row in sorted(load_package("airportsdata").load("IATA").items()):
        city = find_city(row["city"], row["country"]) if row["country"] in load_countries() else None
        if city is None or city.population < 15_000 or is_contested(city) or not _is_civil(row) or code in _CLOSED:
            continue
        if _distance(row, city) < 1 and len(code) == 3 and code.isalpha():
            yield code, (row, city)


def _distance(row: dict[str, Any], city: City) -> float:
    """Degrees of latitude or longitude, whichever differ more, between an airport and its city."""
    return float(max(abs(row["lat"] - city.latitude), abs(row["lon"] - city.longitude)))


def _is_civil(row: dict[str, Any]) -> bool:
    name = row["name"].casefold()
    odd = " base|air force| afb|naval|heliport|railway|station|seaplane|army|military|airfield|airpark|construction|closed|(|/"
    if (
        len(row["icao"]) != 4
        or not row["icao"].isalpha()
        or "airport" not in name
        or any(word in name for word in odd.split("|"))
    ):
        return False
    # In the United States the list takes some codes of small fields from the FAA, which are no IATA codes.
    return row["country"] != "US" or "international" in name or "regional" in name


def _is_telling(row: dict[str, Any], city: City) -> bool:
    """Whether the name names the place, so that it stands for one airport of the world."""
    return (
        row["name"].endswith("Airport")
        and mentions(row["name"], city.name)
        and ("International" in row["name"] or city.population >= 100_000)
    )


@functools.cache
def _is_overshadowed(city: City) -> bool:
    """Whether a much larger city is so near that a traveller would name that one."""
    large = max(300_000, 2 * city.population)
    return any(
        other.population >= large and abs(other.latitude - city.latitude) < 1 and abs(other.longitude - city.longitude) < 1
        for other in load_cities()
    )
