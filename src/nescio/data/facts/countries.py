"""Facts about countries: capital, currency, calling code, codes, continent, neighbour, official language."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator

from nescio.data.facts.currencies import currency_aliases, own_units
from nescio.data.facts.fact import LANGUAGES, Fact, code_set, collect_aliases, fold
from nescio.data.facts.geography import (
    City,
    Country,
    country_aliases,
    country_name,
    exemplar_names,
    find_city,
    load_countries,
    load_locale,
)
from nescio.data.facts.languages import language_aliases
from nescio.data.facts.packages import load_package

# No one answer: several capitals, seat of government elsewhere, disputed, moving or moved of late, none at all.
_NO_SINGLE_CAPITAL = code_set("BI BO GQ ID IL LK NR PW SZ VA YE ZA")
# Where the name of the country gives the answer away.
_NO_SINGLE_CAPITAL |= code_set("DJ LU MC SG SM")
_CAPITALS = {"KZ": "Astana", "MM": "Naypyidaw", "US": "Washington, D.C.", "TD": "N'Djamena", "ST": "São Tomé", "BR": "Brasília"}
_CAPITAL_ALIASES = {
    "US": ("Washington", "Washington DC"),
    "KZ": ("Nur-Sultan",),
    "MM": ("Nay Pyi Taw", "Nay Pyi Daw"),
    "KI": ("South Tarawa",),
    "UA": ("Kiev",),
    "CN": ("Peking",),
    "IN": ("Delhi",),
    "GT": ("Guatemala", "Ciudad de Guatemala"),
    "MV": ("Malé",),
    "YE": ("Sana'a",),
    "CR": ("San José",),
    "CM": ("Yaoundé",),
    "CO": ("Bogotá", "Santafé de Bogotá"),
    "PY": ("Asunción",),
    "TG": ("Lomé",),
    "MD": ("Chișinău", "Kishinev"),
    "MN": ("Ulan Bator",),
    "LU": ("Luxembourg City",),
    "AD": ("Andorra",),
    "TO": ("Nukuʻalofa", "Nukualofa"),
    "CH": ("Berne",),
    "TM": ("Aşgabat",),
    "GD": ("Saint George's",),
    "AG": ("Saint John's",),
    "MX": ("Ciudad de México",),
    "LA": ("Viangchan",),
    "SO": ("Muqdisho",),
    "OM": ("Masqat",),
    "KW": ("Kuwait",),
    "PA": ("Panama", "Panamá", "Ciudad de Panamá"),
}
# Money that changed of late, or of which several kinds are in use by law.
_NO_SINGLE_CURRENCY = code_set("BG BT CU HT LB LS MR NA PA PS SL SV SZ TL VE ZW")
# Their francs are called CFA franc in everyday speech, whichever of the two it is.
_NO_SINGLE_CURRENCY |= code_set("BF BJ CF CG CI CM GA GQ GW ML NE SN TD TG")
# On two continents, or counted to one or the other.
_NO_SINGLE_CONTINENT = code_set("AM AU AZ CY EG GE ID KZ PA PG RU TL TR YE")
# The law changed of late, is silent, or names languages that CLDR leaves out.
_NO_SINGLE_LANGUAGE = code_set("AE AR BF BN CL CN CO CV DO EG ET FM GE GH GW IL IQ ME ML MV MY NE NO PE SG UG UY VE ZA")
_CONTINENTS = {"AF": "002", "AS": "142", "EU": "150", "NA": "003", "SA": "005", "OC": "009"}
_CONTINENT_ALIASES = {
    ("NA", "zh"): ("北美",),
    ("SA", "zh"): ("南美",),
    ("NA", "ja"): ("北アメリカ", "北米", "北アメリカ大陸"),
    ("SA", "ja"): ("南アメリカ", "南米", "南アメリカ大陸"),
    ("OC", "ja"): ("大洋州",),
    ("NA", "es"): ("Norteamérica", "América del Norte"),
    ("SA", "es"): ("Sudamérica", "Suramérica", "América del Sur"),
}


def list_country_facts() -> Iterator[Fact]:
    """Facts of every relation whose subject is a country, or one of its codes."""
    for country in load_countries().values():
        for language in LANGUAGES:
            yield from _capitals(country, language)
            yield from _currencies(country, language)
            yield from _calling_codes(country, language)
            yield from _codes(country, language)
            yield from _continents(country, language)
            yield from _official_languages(country, language)
        yield from _neighbours(country)


def _state(country: Country, relation: str, language: str, *answers: str | None, kin: tuple[str, ...] = ()) -> Fact:
    name = country_name(country.code, language)
    answered = collect_aliases(*answers)
    return Fact(relation, language, country.key, country.population, name, answered, names="country", kin=kin)


def _from(country: Country, relation: str, language: str, name: str, *, names: str = "", kin: tuple[str, ...] = ()) -> Fact:
    """A fact whose answer is the country."""
    answers = country_aliases(country.code, language)
    return Fact(relation, language, country.key, country.population, name, answers, names=names, kin=kin)


def _capitals(country: Country, language: str) -> Iterator[Fact]:
    if country.code in _NO_SINGLE_CAPITAL:
        return
    english = _CAPITALS.get(country.code, country.data["capital"])
    place = find_capital(country)
    local = english if language == "en" else exemplar_names(language).get((fold(country.data["capital"]), country.code))
    if not local:
        return
    aliases = _CAPITAL_ALIASES.get(country.code, ()) if language in {"en", "es", "fr", "de"} else ()
    kin = (place.key,) if place else ()
    spelled = (place.name,) if place and language == "en" else ()
    yield _state(country, "capital", language, local, *spelled, *aliases, kin=kin)
    yield _from(country, "capital_of", language, local, names="city", kin=kin)


def find_capital(country: Country) -> City | None:
    """The populated place that is a country's capital; None where GeoNames spells it in another way."""
    return find_city(country.data["capital"], country.code)


def _currencies(country: Country, language: str) -> Iterator[Fact]:
    if country.code in _NO_SINGLE_CURRENCY:
        return
    tender = load_package("babel.numbers").get_territory_currencies(country.code, datetime.date(2025, 12, 31))
    names = currency_aliases(tender[0], language) if len(tender) == 1 else ()
    if names:
        yield _state(country, "currency", language, *names, *own_units(tender[0], language), tender[0])


def _calling_codes(country: Country, language: str) -> Iterator[Fact]:
    regions = load_package("phonenumbers").COUNTRY_CODE_TO_REGION_CODE
    codes = [code for code, shared in regions.items() if country.code in shared]
    if len(codes) != 1 or country.code == "VA":  # the Vatican uses Italy's
        return
    code, shared = str(codes[0]), regions[codes[0]]
    if code != "1" or country.code in {"US", "CA"}:
        yield _state(country, "calling_code", language, f"+{code}", f"00{code}")
    if len(shared) == 1:
        yield _from(country, "calling_code_of", language, f"+{code}")


def _codes(country: Country, language: str) -> Iterator[Fact]:
    yield _state(country, "country_alpha2", language, country.code)
    if country.code != "US":  # the code is what English calls the country
        yield _from(country, "alpha2_of", language, country.code)
    if language == "en":
        alpha3, number = country.data["iso3"], f"{country.data['isonumeric']:03}"
        yield _state(country, "country_alpha3", language, alpha3)
        yield _from(country, "alpha3_of", language, alpha3)
        yield _state(country, "country_numeric", language, number)
        if country.code != "US":
            yield _from(country, "domain_of", language, country.data["tld"])


def _continents(country: Country, language: str) -> Iterator[Fact]:
    if country.code not in _NO_SINGLE_CONTINENT:
        continent = country.data["continentcode"]
        name = load_locale(language).territories[_CONTINENTS[continent]]
        yield _state(country, "continent", language, name, *_CONTINENT_ALIASES.get((continent, language), ()))


def _official_languages(country: Country, language: str) -> Iterator[Fact]:
    if country.code in _NO_SINGLE_LANGUAGE:
        return
    spoken = load_package("babel.core").get_global("territory_languages").get(country.code, {})
    statuses: Counter[str] = Counter()
    for code, facts in spoken.items():
        if facts["official_status"] in {"official", "de_facto_official"}:
            statuses[code.split("_")[0]] += facts["official_status"] == "official"
    if len(statuses) == 1 and min(statuses.values()) > 0:
        yield _state(country, "official_language", language, *language_aliases(next(iter(statuses)), language))


def _neighbours(country: Country) -> Iterator[Fact]:
    """The neighbour of a country that has a land border with one sovereign state only."""
    neighbours = [code for code in country.data["neighbours"].split(",") if code]
    if len(neighbours) != 1 or neighbours[0] not in load_countries():
        return
    if country.code not in {"CA", "CU", "DK", "GB"}:  # Hans Island, Guantánamo, Gibraltar: borders that not everybody counts
        yield _state(country, "only_neighbour", "en", *country_aliases(neighbours[0], "en"))
