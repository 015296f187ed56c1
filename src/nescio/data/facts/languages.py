"""Facts about languages and scripts: codes, and the script that a language is written in."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from nescio.data.facts.fact import LANGUAGES, Fact, clean, code_set, collect_aliases, draw, fold
from nescio.data.facts.geography import load_countries, load_locale
from nescio.data.facts.packages import load_package

# Written in several scripts, or in another one across a border.
_SEVERAL_SCRIPTS = code_set(
    "az az bm bs chr cr dv ff ha hi-Latn iu kk kok ks ku ky mn ms ng pa sa sat sd shi sr tg tk tt tzm ug uz vai yi zh "
    "zgh za ji sh jv su wo so om sw li ie io vo"
)
_ALSO = {
    ("bn", "en"): ("Bengali",),
    ("fa", "en"): ("Farsi",),
    ("ps", "en"): ("Pushto",),
    ("es", "en"): ("Castilian",),
    ("es", "es"): ("castellano",),
    ("dv", "en"): ("Dhivehi", "Maldivian"),
    ("ky", "en"): ("Kirghiz",),
    ("ca", "en"): ("Valencian",),
    ("ro", "en"): ("Moldovan",),
    ("si", "en"): ("Sinhalese",),
    ("or", "en"): ("Oriya",),
    ("el", "de"): ("Neugriechisch",),
    ("fa", "de"): ("Farsi",),
    ("fa", "zh"): ("法尔西语",),
    ("rw", "de"): ("Ruandisch",),
    ("be", "de"): ("Weißrussisch",),
    ("ko", "ja"): ("朝鮮語",),
}


@functools.cache
def language_aliases(code: str, language: str) -> tuple[str, ...]:
    """What a language may be called in a language; empty where CLDR does not name it."""
    name = load_locale(language).languages.get(code)
    if not name:
        return ()
    listed = [clean(name), *_ALSO.get((code, language), ())]
    if language == "en":
        record = find_language(code)
        listed += [clean(part) for part in getattr(record, "name", "").split(";") if "," not in part]
    return collect_aliases(*listed)


def find_language(code: str) -> Any:
    """The ISO 639-3 record of a two- or three-letter code; None where there is none."""
    return load_package("pycountry").languages.get(**{"alpha_2" if len(code) == 2 else "alpha_3": code})


@functools.cache
def count_speakers() -> dict[str, float]:
    """Speakers by language code: CLDR's shares of each country's population, with GeoNames' populations."""
    speakers: defaultdict[str, float] = defaultdict(float)
    spoken = load_package("babel.core").get_global("territory_languages")
    for code, country in load_countries().items():
        shares: dict[str, float] = {}
        for tag, facts in spoken.get(code, {}).items():
            language = tag.split("_")[0]
            shares[language] = max(shares.get(language, 0.0), facts["population_percent"])
        for language, share in shares.items():
            speakers[language] += country.population * share / 100
    return {code: speakers[code] for code in sorted(speakers)}


def list_language_facts() -> Iterator[Fact]:
    """Facts of every relation whose subject is a language or a script, or its code."""
    for code, speakers in count_speakers().items():
        record = find_language(code)
        if record is None or record.type != "L" or code in {"sh", "in", "iw", "ji", "no", "nb", "nn", "tl", "fil"}:
            continue  # withdrawn codes, and names that share a language
        for language in LANGUAGES:
            yield from _codes(code, record, language, speakers)
            yield from _scripts(code, language, speakers)
    yield from _script_codes()


def _codes(code: str, record: Any, language: str, speakers: float) -> Iterator[Fact]:
    names = language_aliases(code, language)
    if not names:
        return
    entity = f"language:{record.alpha_3}"
    if len(code) == 2:
        yield Fact("language_alpha2", language, entity, speakers, names[0], (code,), names="language")
        yield Fact("alpha2_language", language, entity, speakers, code, names)
    if language == "en" and record.scope == "I":
        yield Fact("language_alpha3", language, entity, speakers, names[0], (record.alpha_3,), names="language")
        yield Fact("alpha3_language", language, entity, speakers, record.alpha_3, names)


def _scripts(code: str, language: str, speakers: float) -> Iterator[Fact]:
    tag = load_package("babel.core").get_global("likely_subtags").get(code, "").split("_")
    names = language_aliases(code, language)
    if len(code) != 2 or len(tag) < 2 or code in _SEVERAL_SCRIPTS or code in _written_twice() or not names or speakers < 100_000:
        return
    # That most languages are written in Latin letters is nothing to ask a hundred times.
    if tag[1] == "Latn" and draw(code, "latin") >= 0.3:
        return
    entity = f"language:{find_language(code).alpha_3}"
    script = script_aliases(tag[1], language)
    if script:
        yield Fact("language_script", language, entity, speakers, names[0], script, names="language")


@functools.cache
def _written_twice() -> frozenset[str]:
    """Languages that CLDR lists in two scripts in some country."""
    spoken = load_package("babel.core").get_global("territory_languages")
    return frozenset(tag.split("_")[0] for tags in spoken.values() for tag in tags if "_" in tag)


_SCRIPT_ALSO = {
    ("Cyrl", "en"): ("Cyrillic alphabet",),
    ("Jpan", "en"): ("kanji", "hiragana", "katakana"),
    ("Jpan", "zh"): ("汉字", "假名"),
    ("Jpan", "ja"): ("漢字", "仮名", "かな", "ひらがな"),
    ("Kore", "en"): ("Hangul", "Hangeul"),
    ("Kore", "zh"): ("谚文",),
    ("Kore", "ja"): ("ハングル",),
    ("Kore", "de"): ("Hangul",),
    ("Kore", "fr"): ("hangul", "hangeul"),
    ("Kore", "es"): ("hangul",),
    ("Ethi", "en"): ("Ge'ez", "Geez"),
    ("Beng", "en"): ("Bengali", "Bengali-Assamese"),
    ("Mymr", "en"): ("Burmese",),
    ("Mlym", "en"): ("Malayalam",),
    ("Arab", "en"): ("Perso-Arabic",),
}


@functools.cache
def script_aliases(code: str, language: str) -> tuple[str, ...]:
    """What a script may be called in a language; empty where CLDR does not name it."""
    name = load_locale(language).scripts.get(code)
    if not name:
        return ()
    listed = [clean(name)]
    # 西里尔文 is also 西里尔字母; キリル文字 also キリル.
    for ending in {"ja": ("文字",), "zh": ("文字", "文")}.get(language, ()):
        if listed[0].endswith(ending) and len(listed[0]) > len(ending) + 1:
            listed.append(listed[0].removesuffix(ending))
    return collect_aliases(*listed, *_SCRIPT_ALSO.get((code, language), ()))


def _script_codes() -> Iterator[Fact]:
    """Scripts that Unicode or CLDR name; the measure is how many people's language is usually written so."""
    users: Counter[str] = Counter()
    likely = load_package("babel.core").get_global("likely_subtags")
    for code, speakers in count_speakers().items():
        tag = likely.get(code, "").split("_")
        if len(tag) > 1:
            users[tag[1]] += int(speakers)
    named: dict[str, str] = {}
    for record in load_package("pycountry").scripts:
        name = script_aliases(record.alpha_4, "en")
        if name and not record.alpha_4.startswith("Z") and record.alpha_4 not in {"Jpan", "Kore", "Hrkt", "Hanb", "Jamo"}:
            named[record.alpha_4] = name[0]
    once = Counter(fold(name) for name in named.values())
    for code in sorted(named):
        if once[fold(named[code])] == 1:
            entity = f"script:{code}"
            yield Fact("script_code", "en", entity, users[code], named[code], (code,), names="script")
            yield Fact("code_script", "en", entity, users[code], code, script_aliases(code, "en"))
