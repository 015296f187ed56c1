"""Facts about dialling codes of towns in Germany and China, in English and in the language of the country."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from nescio.data.facts.fact import Fact, collect_aliases, fold
from nescio.data.facts.geography import City, country_name, find_city
from nescio.data.facts.packages import load_package

_LEAST_INHABITANTS = 20_000
# Province, then town: 广东省深圳市, 广西梧州市. Autonomous prefectures have names too long for a short answer.
_CHINESE_TOWN = re.compile(r"^(?:[\u4e00-\u9fff]{2,3}省|内蒙古|广西|宁夏|新疆|西藏)?([\u4e00-\u9fff]{2,5})市$")
_CHINESE_FIXED_LINE = re.compile(r"86(?:10|2\d|[3-9]\d\d)")
# Codes that several cities share, of which the data name one, or whose city was merged into another.
_SHARED = {"24", "28", "29", "371", "391", "634", "728", "731", "898"}


class _Area(NamedTuple):
    """One town's dialling code within a country."""

    country: str
    language: str
    prefix: str
    english: str
    local: str


def list_dialling_facts() -> Iterator[Fact]:
    """Facts of both directions; the measure is the town's population."""
    areas = [*_german(), *_chinese()]
    codes = Counter((area.country, area.prefix) for area in areas)
    towns = Counter((area.country, fold(area.english)) for area in areas)
    for area in areas:
        city = find_city(area.english, area.country)
        unique = codes[area.country, area.prefix] == towns[area.country, fold(area.english)] == 1
        if city is None or city.population < _LEAST_INHABITANTS or not unique:
            continue
        yield from _state(area, city, "en", area.english)
        yield from _state(area, city, area.language, area.local)


def _state(area: _Area, city: City, language: str, name: str) -> Iterator[Fact]:
    details = (("country", country_name(area.country, language)),)
    digits = "0" + area.prefix
    names = f"{area.country.lower()}_town"
    town = collect_aliases(name)
    yield Fact("dialling_code", language, city.key, city.population, name, (digits,), names=names, details=details)
    yield Fact("dialling_code_of", language, city.key, city.population, digits, town, details=details)


def _prefixes(country_code: str) -> Iterator[tuple[str, dict[str, str]]]:
    data = load_package("phonenumbers.geodata").GEOCODE_DATA
    for prefix in sorted(data):
        if prefix.startswith(country_code):
            yield prefix, data[prefix]


def list_chinese_towns() -> list[str]:
    """Chinese names of the towns that have a dialling code of their own."""
    return [area.local for area in _chinese()]


def _german() -> Iterator[_Area]:
    """Names of one word: where two towns share a name, the data add a river or a region."""
    for prefix, names in _prefixes("49"):
        name = names.get("de", "")
        if name and " " not in name and "-" not in name:
            yield _Area("DE", "de", prefix[2:], name, name)


def _chinese() -> Iterator[_Area]:
    for prefix, names in _prefixes("86"):
        town = _CHINESE_TOWN.match(names.get("zh", ""))
        if town and _CHINESE_FIXED_LINE.fullmatch(prefix) and prefix[2:] not in _SHARED:
            yield _Area("CN", "zh", prefix[2:], names.get("en", "").split(",")[0], town[1])
