"""Facts about currencies: their ISO 4217 codes and numbers."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterator

from nescio.data.facts.fact import LANGUAGES, Fact, clean, collect_aliases
from nescio.data.facts.geography import load_countries, load_locale
from nescio.data.facts.packages import load_package

# Units of account, metals and testing codes, and codes that replaced another of late.
_NO_MONEY = set("BOV CHE CHW CLF COU MXV USN UYI UYW XAD XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX ZWL ZWG SLL SLE".split())
_NO_MONEY |= set("ANG BGN CUC HRK VED VES XCG MRU STN BYN CNH".split())
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
    ("KRW", "en"): ("won",),
    ("CHF", "de"): ("Franken",),
}


def currency_name(code: str, language: str) -> str:
    """What a currency is called in a running sentence."""
    name = clean(load_locale(language).currencies[code])
    if language == "en":
        words = name.split()
        # CLDR capitalises units as in a list; "Swiss franc", "US dollar", "euro".
        name = " ".join([*words[:-1], words[-1].lower()])
    return name.replace(" ", "・" if _is_kana(name) else " ") if language == "ja" else name


def _is_kana(name: str) -> bool:
    return all("\u30a0" <= char <= "\u30ff" or char == " " for char in name)


def currency_aliases(code: str, language: str) -> tuple[str, ...]:
    """What a currency may be called in a language, the usual name first; empty where CLDR does not name it."""
    if code not in load_locale(language).currencies:
        return ()
    name = currency_name(code, language)
    joined = (name.replace("・", ""),) if language == "ja" else ()
    if language in {"en", "es", "fr"} and name[-1] not in "sn" and (language == "en" or " " not in name):
        joined = (name + "s",)
    return collect_aliases(name, *joined, *_ALSO.get((code, language), ()))


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
