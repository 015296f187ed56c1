"""Facts about words: weekdays, months and countries as other languages call them, by CLDR."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Iterator
from pathlib import Path

from nescio.data.facts.fact import LANGUAGES, Fact, clean, code_set, collect_aliases, sample
from nescio.data.facts.geography import country_name, load_countries, load_locale
from nescio.data.facts.languages import count_speakers, find_language, language_aliases
from nescio.data.facts.packages import load_package

# Languages written in Latin letters, so that an answer needs no transcription, whose days and months have one usual name each.
_WEEKDAYS = sorted(
    code_set(
        "af az br ca cs cy da de en es et eu fi fo fr fy ga gd gl ha haw hr hsb hu id is it kl lb lt lv mg mi ms mt no nl "
        "pl pt rm ro sk sl so sq sv sw tk to tr uz vi xh yo zu"
    )
)
_MONTHS = sorted(
    code_set(
        "af az br bs ca cs cy da de en es et eu fi fo fr ga gl ha haw hr hu id is it lb lt lv mg ms mt no nl pl pt ro sk "
        "sl so sq sv sw tr uz"
    )
)
_NAMES_OF_COUNTRIES = sorted(
    code_set("af ca cs cy da de en es et eu fi fr ga gl hr hu id is it lt lv ms no nl pl pt ro sk sl sq sv sw tr vi")
)
# Countries whose own name for themselves, or whose short name, is not settled abroad.
_UNSETTLED = code_set("AE AM BA BY CD CF CG CI CV CZ FM GB GE GW KG KN KP KR LC MD MK MM NL PS SZ TL TR TT US VA VC VN")
_COUNTRIES_ASKED = 120
_LANGUAGES_PER_COUNTRY = {"en": 9, "zh": 2, "es": 2, "fr": 2, "de": 2, "ja": 2}


def list_translation_facts() -> Iterator[Fact]:
    """Facts of every relation that asks for a word in another language."""
    for language in LANGUAGES:
        yield from _calendar_words("weekday", language)
        yield from _calendar_words("month", language)
        yield from _country_words(language)


def _calendar_words(relation: str, language: str) -> Iterator[Fact]:
    """The subject is the language, of which each word is a detail."""
    table = "days" if relation == "weekday" else "months"
    own = _calendar(language, table)[0]
    for code in _WEEKDAYS if relation == "weekday" else _MONTHS:
        if code == language:
            continue
        name = language_aliases(code, language)
        # Every language in English; the five others ask for their share, to keep the relation from swamping the bank.
        asked = sample([str(i) for i in own], 7 if language == "en" else 2, f"{relation} {language} {code}")
        forms = _calendar(code, table)
        for i in sorted(int(i) for i in asked):
            if name and i in own:
                answers = collect_aliases(*(table[i] for table in forms if i in table))
                if answers and not any(char.isdigit() for char in answers[0]):
                    yield _word(relation, language, code, word=own[i], answers=answers)


def _word(relation: str, language: str, code: str, *, word: str, answers: tuple[str, ...]) -> Fact:
    name = language_aliases(code, language)[0]
    record = find_language(code)
    speakers = count_speakers().get(code, 0.0)
    details = (("word", word),)
    return Fact(relation, language, f"language:{record.alpha_3}", speakers, name, answers, names="language", details=details)


@functools.cache
def _calendar(code: str, table: str) -> tuple[dict[int, str], ...]:
    """Full names of days or months, those that stand alone first: Finnish "tammikuu", in a date "tammikuuta".

    Read from the language's own file, since babel keeps what an alias meant in the language that asked first.
    """
    localedata = load_package("babel.localedata")
    with Path(localedata.resolve_locale_filename(code)).open("rb") as file:
        own = pickle.load(file)[table]
    contexts = (own.get(context, {}) for context in ("stand-alone", "format"))
    return tuple(dict(names["wide"]) for names in contexts if isinstance(names, dict) and isinstance(names.get("wide"), dict))


def _country_words(language: str) -> Iterator[Fact]:
    countries = sorted(load_countries().values(), key=lambda country: (-country.population, country.code))
    for country in [country for country in countries if country.code not in _UNSETTLED][:_COUNTRIES_ASKED]:
        others = [code for code in _NAMES_OF_COUNTRIES if code != language]
        for code in sorted(sample(others, _LANGUAGES_PER_COUNTRY[language], f"exonym {country.code} {language}")):
            other = language_aliases(code, language)
            word = clean(load_locale(code).territories.get(country.code))
            name = country_name(country.code, language)
            if other and word:
                yield Fact(
                    "country_name",
                    language,
                    country.key,
                    country.population,
                    name,
                    collect_aliases(word),
                    names="country",
                    details=(("tongue", other[0]),),
                )
