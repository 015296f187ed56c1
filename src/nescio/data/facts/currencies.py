"""Facts about currencies: their ISO 4217 codes and numbers."""

from __future__ import annotations

import datetime
import functools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from nescio.data.facts.fact import LANGUAGES, Fact, clean, code_set, collect_aliases
from nescio.data.facts.geography import load_countries, load_locale
from nescio.data.facts.packages import load_package

# Units of account, metals and testing codes, and codes that replaced another of late.
_NO_MONEY = code_set(
    "BOV CHE CHW CLF COU MXV USN UYI UYW XAD XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX ZWL ZWG SLL SLE"
)
_NO_MONEY |= code_set("ANG BGN CUC HRK VED VES XCG MRU STN BYN CNH")
_ALSO = {
    ("CNY", "en"): ("renminbi", "yuan", "Chinese yuan renminbi"),
    ("CNY", "zh"): ("人民币", "元"),
    ("CNY", "ja"): ("人民元",),
    ("CNY", "de"): ("Renminbi", "Yuan"),
    ("CNY", "fr"): ("renminbi",),
    ("CNY", "es"): ("renminbi",),
    ("GBP", "en"): ("pound sterling", "sterling"),
    ("GBP", "de"): ("Pfund Sterling", "britische Pfund"),
    ("GBP", "ja"): ("イギリスポンド", "ポンド"),
    ("JPY", "ja"): ("円", "日本円"),
    ("JPY", "en"): ("yen",),
    ("USD", "en"): ("United States dollar", "American dollar", "U.S. dollar"),
    ("USD", "ja"): ("アメリカドル", "ドル"),
    ("GYD", "en"): ("Guyanese dollar",),
    ("KGS", "en"): ("Kyrgyz som", "Kyrgyzstani som"),
    ("BAM", "en"): ("convertible mark",),
    ("CHF", "de"): ("Franken",),
}


def currency_name(code: str, language: str) -> str:
    """What a currency is called in a running sentence."""
    name = clean(load_locale(language).currencies[code])
    if language == "en":
        words = name.split()
        # CLDR capitalises units as in a list; "Swiss franc", "US dollar", "euro".
        name = (
            " ".join([*words[:-1], words[-1].lower()])
            .replace("Israeli New", "Israeli new")
            .replace("Convertible ", "convertible ")
            .replace(" & ", " and ")
        )
    return name.replace(" ", "・" if _is_kana(name) else " ") if language == "ja" else name


def _is_kana(name: str) -> bool:
    return all("\u30a0" <= char <= "\u30ff" or char == " " for char in name)


def currency_aliases(code: str, language: str) -> tuple[str, ...]:
    """What a currency may be called in a language, the usual name first; empty where CLDR does not name it."""
    if not clean(load_locale(language).currencies.get(code)):
        return ()
    name = currency_name(code, language)
    joined: tuple[str, ...] = (name.replace("・", ""),) if language == "ja" else ()
    if language in {"en", "es", "fr"} and name[-1] not in "sn" and (language == "en" or " " not in name):
        joined = (name + "s",)
    if language == "en":
        official = load_package("pycountry").currencies.get(alpha_3=code)
        joined += tuple(called for called in [getattr(official, "name", "")] if " " in called and "(" not in called)
        joined += tuple(called.replace("ruble", "rouble") for called in [name] if "ruble" in called)
    return collect_aliases(name, *joined, *_inflect(name, language), *_ALSO.get((code, language), ()))


def _inflect(name: str, language: str) -> list[str]:
    """German adjectives with other endings: "der Polnische Złoty", "den Polnischen Złoty"."""
    adjective, _, unit = name.partition(" ")
    stem = re.fullmatch(r"(.+(?:isch|en|an|ugies))(?:er|e|es)", adjective) if language == "de" and unit else None
    return [f"{stem[1]}{ending} {unit}" for ending in ("e", "er", "es", "en")] if stem else []


def own_units(code: str, language: str) -> tuple[str, ...]:
    """The unit alone, where no other money is called so: "forint", but not "peso"."""
    units = _units(language)
    unit = units.get(code, "")
    return collect_aliases(unit) if unit and list(units.values()).count(unit) == 1 else ()


@functools.cache
def _units(language: str) -> dict[str, str]:
    """The unit of each currency by its code; empty in Chinese, which joins it to the country's name."""
    records = sorted(record.alpha_3 for record in load_package("pycountry").currencies)
    names = {code: currency_aliases(code, language) for code in records if language != "zh"}
    first = language in {"es", "fr"}
    return {
        code: re.split("[ ・-]", called[0])[0 if first else -1]
        for code, called in names.items()
        if called and len(re.split("[ ・-]", called[0])) > 1
    }


def list_currency_facts() -> Iterator[Fact]:
    """Facts of every relation whose subject is a currency or its code; the measure is the population that pays with it."""
    users: Counter[str] = Counter()
    countries: defaultdict[str, list[str]] = defaultdict(list)
    for code, country in load_countries().items():
        for currency in load_package("babel.numbers").get_territory_currencies(code, datetime.date(2025, 12, 31)):
            users[currency] += int(country.population)
            countries[currency].append(country.key)
    for record in sorted(load_package("pycountry").currencies, key=lambda record: record.alpha_3):
        code = record.alpha_3
        if code in _NO_MONEY:
            continue
        # The one country that uses it is a near relative: its currency is asked for too.
        kin = tuple(countries[code]) if len(countries[code]) == 1 else ()
        for language in LANGUAGES:
            names = currency_aliases(code, language)
            if not names:
                continue
            entity, measure = f"currency:{code}", float(users[code])
            yield Fact("currency_code", language, entity, measure, names[0], (code,), names="currency", kin=kin)
            yield Fact("code_currency", language, entity, measure, code, names, kin=kin)
            if language == "en":
                yield Fact("currency_numeric", language, entity, measure, names[0], (record.numeric,), names="currency", kin=kin)
