"""Numbers, quantities and dates by value: "1,5 km" is "1500 m", "July 20, 1969" is "1969-07-20", "two hundred" is 200."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from fractions import Fraction
from typing import NamedTuple

_UNITS: dict[str, dict[str, str]] = {
    "length": {
        "mm": "1/1000", "cm": "1/100", "dm": "1/10", "m": "1", "km": "1000",
        "in": "254/10000", "ft": "3048/10000", "yd": "9144/10000", "mi": "1609344/1000",
    },
    "mass": {
        "mg": "1/1000000", "g": "1/1000", "kg": "1", "t": "1000", "oz": "28349523125/1000000000000", "lb": "45359237/100000000",
    },
    "time": {"ms": "1/1000", "s": "1", "min": "60", "h": "3600", "day": "86400", "week": "604800"},
    # A month and a year are no fixed numbers of days.
    "years": {"month": "1/12", "year": "1", "decade": "10", "century": "100"},
    "volume": {"ml": "1/1000", "cl": "1/100", "l": "1"},
    "area": {"cm²": "1/10000", "m²": "1", "ha": "10000", "km²": "1000000"},
    "speed": {"m/s": "1", "km/h": "1000/3600", "mph": "1609344/3600000"},
    "share": {"percent": "1/100"},
    "dollars": {"$": "1"},
    "euros": {"€": "1"},
    "pounds sterling": {"£": "1"},
    "yen": {"¥": "1"},
}  # fmt: skip
_SIZES = {unit: (dimension, Fraction(size)) for dimension, units in _UNITS.items() for unit, size in units.items()}
_SPELLINGS = {
    "mm": "millimeter millimetre", "cm": "centimeter centimetre", "dm": "decimeter decimetre", "m": "meter metre",
    "km": "kilometer kilometre", "in": "inch inches", "ft": "foot feet", "yd": "yard", "mi": "mile",
    "mg": "milligram", "g": "gram", "kg": "kilogram kilo", "t": "tonne", "oz": "ounce", "lb": "pound",
    "ms": "millisecond", "s": "second sec", "min": "minute", "h": "hour hr", "day": "", "week": "",
    "month": "", "year": "yr", "decade": "", "century": "centuries",
    "ml": "milliliter millilitre", "cl": "centiliter centilitre", "l": "liter litre",
    "cm²": "cm2", "m²": "m2", "ha": "hectare", "km²": "km2", "m/s": "mps", "km/h": "kmh kph", "mph": "",
    "percent": "%", "$": "dollar usd", "€": "euro eur", "£": "gbp", "¥": "yen jpy",
}  # fmt: skip
_UNIT_OF = {word + plural: unit for unit, words in _SPELLINGS.items() for word in (unit, *words.split()) for plural in ("", "s")}
_TEMPERATURES = {
    "c": (Fraction(1), Fraction("273.15")),
    "f": (Fraction(5, 9), Fraction("459.67") * 5 / 9),
    "k": (Fraction(1), Fraction(0)),
}

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: i for i, word in enumerate(_ONES.split())} | {word: 10 * i for i, word in enumerate(_TENS.split(), start=2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "万": 10**4, "亿": 10**8, "億": 10**8}
_MONTHS = (
    "january jan enero janvier januar",
    "february feb febrero février februar",
    "march mar marzo mars märz",
    "april apr abril avril",
    "may mayo mai",
    "june jun junio juin juni",
    "july jul julio juillet juli",
    "august aug agosto août",
    "september sep sept septiembre septembre",
    "october oct octubre octobre oktober",
    "november nov noviembre novembre",
    "december dec diciembre décembre dezember",
)
_MONTH_OF = {name: i for i, names in enumerate(_MONTHS, start=1) for name in names.split()}
_MONTH = "(?P<month_name>" + "|".join(sorted(_MONTH_OF, key=len, reverse=True)) + r")\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.)?"
_YEAR = r"(?P<year>\d{3,4})"
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<year>\d{4})-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?",
        r"(?P<year>\d{3,4})年(?:(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})[日号])?)?",
        r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4})",
        rf"{_MONTH} {_DAY},? {_YEAR}",
        rf"{_DAY} (?:of |de |d')?{_MONTH},? (?:de )?{_YEAR}",
        rf"{_MONTH},? (?:of |de )?{_YEAR}",
    )
)
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_MAX_CHARS = 200
# What may be one value in a script without spaces stands alone; elsewhere the whole text is one piece.
_PIECE = re.compile(
    r"\d{3,4}年(?:\d{1,2}月(?:\d{1,2}[日号])?)?|\d[\d.,]*[万亿億]|(?:(?!\d{3,4}年|\d[\d.,]*[万亿億])[^\u3040-\u30ff\u3400-\u9fff])+"
)
_WORD = re.compile(r"[+-]?(?:[$€£¥]\s?)?\d[^\s()\[\]?!;]*(?<![.,:;!?'\"])|[^\s()\[\]?!;,:.\"]+")
_HAS_DIGIT = re.compile(r"\d")
_MAX_WORDS = 8
_OTHER_SCALES = ("hundred", "thousand", "million", "milli", "billion", "trillion", "mille", "mil", "tausend", "cent", "dozen")
_NUMBER = re.compile(r"[+-]?(?:\d[\d.,' ]*\d|\d)")
_ABOUT = re.compile(r"^(?:(?:about|around|approximately|roughly|circa|ca\.|in|on|the|a|an|it is|it was)\s+)+")


class Quantity(NamedTuple):
    """A number with its dimension."""

    amount: Fraction
    """In the dimension's base unit: metre, kilogram, second, year, litre, square metre, metre a second, kelvin, whole."""
    dimension: str
    """Such as `length` or `dollars`; empty for a bare number."""


class CalendarDate(NamedTuple):
    """A date of the Gregorian calendar, as far as it is given."""

    year: int
    month: int | None = None
    day: int | None = None


def read_value(text: str) -> Quantity | CalendarDate | None:
    """Read a text that is one number, quantity or date and nothing else but "about" and the like; None if it is not.

    A comma or a full stop before exactly three digits groups thousands if it is a comma or stands more than once, and else
    divides decimals: 1,500 is 1500, 1.500 is 1.5, 1,5 is 1.5, 1.500.000 is a million and a half. A date with strokes is
    read where only one order of day and month is possible.

    Examples:
        >>> read_value("1,5 km") == read_value("1500 m")
        True
        >>> read_value("July 20, 1969")
        CalendarDate(year=1969, month=7, day=20)
        >>> read_value("two hundred")
        Quantity(amount=Fraction(200, 1), dimension='')
        >>> read_value("Paris") is None
        True
    """
    if len(text) > _MAX_CHARS:
        return None
    folded = " ".join(unicodedata.normalize("NFC", text).replace("\N{MINUS SIGN}", "-").casefold().split())
    folded = _ABOUT.sub("", folded.strip(" .!;:\"'"))
    return _read_date(folded) or _read_quantity(folded)


class FoundValue(NamedTuple):
    """Where a value stands in a text."""

    start: int
    end: int
    """Behind its last sign."""


def find_values(text: str) -> list[FoundValue]:
    """Find the numbers, quantities and dates in a text, each as long as it can be read and no part of another number.

    Examples:
        >>> text = "It rose by 1,500 m on 20 July 1969."
        >>> [text[value.start : value.end] for value in find_values(text)]
        ['1,500 m', '20 July 1969']
    """
    words = [match for piece in _PIECE.finditer(text) for match in _WORD.finditer(text, *piece.span())]
    found, i = [], 0
    while i < len(words):
        n = _longest_value(text, words, i) if _may_begin_value(words[i][0]) else 0
        if n and not _is_amid_number(text, words, i, i + n):
            found.append(FoundValue(words[i].start(), words[i + n - 1].end()))
        i += max(n, 1)
    return found


def _may_begin_value(word: str) -> bool:
    folded = word.casefold()
    return bool(_HAS_DIGIT.search(word)) or folded.partition("-")[0] in _SMALL or folded in _MONTH_OF


def _longest_value(text: str, words: list[re.Match[str]], i: int) -> int:
    """How many words from the i-th on are one value; 0 where none is."""
    for n in range(min(_MAX_WORDS, len(words) - i), 0, -1):
        if read_value(text[words[i].start() : words[i + n - 1].end()]) is not None:
            return n
    return 0


def _is_amid_number(text: str, words: list[re.Match[str]], start: int, end: int) -> bool:
    """Whether a digit, number word or scale goes on directly before or behind: "3" in "3 1/2" or in "3 milliards"."""
    around = []
    if start and not text[words[start - 1].end() : words[start].start()].strip():
        around.append(words[start - 1][0].casefold())
    if end < len(words) and not text[words[end - 1].end() : words[end].start()].strip():
        around.append(words[end][0].casefold())
    return any(word[0].isdigit() or word in _SMALL or word in _SCALES or word.startswith(_OTHER_SCALES) for word in around)


def is_same_value(answer: str, gold: str, *, coarse: bool = False) -> bool | None:
    """Whether an answer states the gold value.

    Amounts must be equal exactly, in whatever unit. A date may say more than the gold one, but not less: "July 20, 1969" states
    "July 1969" and "1969".

    Args:
        answer: A short text.
        gold: A short text.
        coarse: Whether a date may say less too: "1969" then states "July 20, 1969".

    Returns:
        None where either text is no value or only one has a unit, so that another way of matching must decide.
    """
    said, right = read_value(answer), read_value(gold)
    if said is None or right is None:
        return None
    if isinstance(said, CalendarDate):
        if isinstance(right, Quantity):
            return right == Quantity(Fraction(said.year), "")
        pairs = zip(said, right, strict=True)
        return all(wanted in (None, given) or (coarse and given is None) for given, wanted in pairs)
    if isinstance(right, CalendarDate):
        return coarse and said == Quantity(Fraction(right.year), "")
    if said.dimension != right.dimension and "" in (said.dimension, right.dimension):
        return None
    return said == right


def _read_date(text: str) -> CalendarDate | None:
    for pattern in _DATES:
        match = pattern.fullmatch(text)
        if match is not None:
            parts = {name: value for name, value in match.groupdict().items() if value is not None}
            month = _MONTH_OF[parts["month_name"]] if "month_name" in parts else int(parts["month"]) if "month" in parts else None
            return _check_date(int(parts["year"]), month, int(parts["day"]) if "day" in parts else None)
    match = _SLASHED.fullmatch(text)
    if match is None:
        return None
    first, second, year = map(int, match.groups())
    orders = {_check_date(year, second, first), _check_date(year, first, second)} - {None}
    return orders.pop() if len(orders) == 1 else None


def _check_date(year: int, month: int | None, day: int | None) -> CalendarDate | None:
    try:
        date(year, month or 1, day or 1)
    except ValueError:
        return None
    return CalendarDate(year, month, day)


def _read_quantity(text: str) -> Quantity | None:
    money = re.fullmatch(r"(-?)([$€£¥])\s?(.+)", text)
    if money is not None:
        text = f"{money[1]}{money[3]} {money[2]}"
    amount, rest = _read_amount(text)
    if amount is None:
        return None
    unit = rest.strip(" -.")
    degrees = re.fullmatch(r"(?:°|degrees?)?\s?(c|f|k)(?:elsius|ahrenheit|elvins?)?", unit)
    if degrees is not None:
        factor, offset = _TEMPERATURES[degrees[1]]
        return Quantity(amount * factor + offset, "temperature")
    if not unit:
        return Quantity(amount, "")
    if unit not in _UNIT_OF:
        return None
    dimension, size = _SIZES[_UNIT_OF[unit]]
    return Quantity(amount * size, dimension)


def _read_amount(text: str) -> tuple[Fraction | None, str]:
    """The number at the beginning, and what follows it."""
    match = _NUMBER.match(text)
    if match is None:
        return _read_words(text)
    number = _read_digits(match[0])
    if number is None:
        return None, text
    rest = text[match.end() :]
    scale = re.match(r"\s?(thousand|million|billion|trillion|万|亿|億)\b", rest)
    return (number * _SCALES[scale[1]], rest[scale.end() :]) if scale else (number, rest)


def _read_digits(digits: str) -> Fraction | None:
    digits = re.sub(r"(?<=\d)[' ](?=\d{3}(?!\d))", "", digits)
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", digits):
        digits = digits.replace(",", "")
    elif re.fullmatch(r"[+-]?[1-9]\d{0,2}(?:\.\d{3}){2,}(?:,\d+)?", digits) or re.fullmatch(
        r"[+-]?[1-9]\d{0,2}\.\d{3},\d+", digits
    ):
        digits = digits.replace(".", "").replace(",", ".")
    else:
        digits = digits.replace(",", ".")
    return Fraction(digits) if re.fullmatch(r"[+-]?\d+(?:\.\d+)?", digits) else None


def _read_words(text: str) -> tuple[Fraction | None, str]:
    """English number words at the beginning: "two hundred and three thousand", "twenty-five miles"."""
    total, part, end = 0, 0, 0
    found = False
    for match in re.finditer(r"[^\s-]+", text):
        word = match[0]
        if word in _SMALL:
            part += _SMALL[word]
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word == "dozen":
            part = max(part, 1) * 12
        elif word in _SCALES:
            total, part = total + max(part, 1) * _SCALES[word], 0
        elif word != "and" or not found:
            break
        found, end = True, match.end()
    return (Fraction(total + part), text[end:]) if found else (None, text)
