"""Answers as comparable words and numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

_ORDINALS = ("st", "nd", "rd", "th")
_SMALL_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBER_OF = {word: number for number, word in enumerate(_SMALL_NUMBERS.split())}
_TENS_OF = {word: 10 * number for number, word in enumerate(_TENS.split(), start=2)}

UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""A sign of a script written without spaces, or (Korean) with particles stuck to the word."""
_SEAM = re.compile(
    rf"(?<={UNSPACED.pattern})(?=[^\W_])(?!{UNSPACED.pattern})|(?<=[^\W_])(?<!{UNSPACED.pattern})(?={UNSPACED.pattern})"
)
_ACCENTS = re.compile(r"([a-z])[\u0300-\u036f]+")
_STROKED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _without(*signs: str) -> Callable[[re.Match[str]], str]:
    return lambda match: match[0].translate({ord(sign): None for sign in signs})


# Before case and compatibility forms are folded away, since these rules need them.
_BEFORE_FOLDING: tuple[Rule, ...] = (
    # 40 000 and 40'000, but not "in 1969 300 people"
    (re.compile(r"(?<![\w.,])\d{1,3}(?:[ \u00a0\u2009\u202f'’]\d{3})+(?!\w)"), _without(*" \u00a0\u2009\u202f'’")),
    (re.compile(r"[¼-¾⅐-⅞]"), r" \g<0>"),  # folding turns 2½ into 21/2
    (re.compile(r"(?<=\d)[⁰¹²³⁴-⁹]+"), r"^\g<0>"),  # and 10² into 102
    # Capital A inside a sentence is a name: vitamin A, hepatitis A.
    (re.compile(r"\b(?:[Tt]he|THE|[Aa]n|a)(?=\s+\w)|(?:^|(?<=[.!?:] )|(?<=[\n\"“]))A(?=\s+\w)"), " "),
)
_AFTER_FOLDING: tuple[Rule, ...] = (
    (re.compile(r"(?<=\w)\s?&\s?(?=\w)"), " and "),
    (re.compile("\N{MINUS SIGN}"), "-"),
    (re.compile("\N{FRACTION SLASH}"), "/"),
    (re.compile(r"(?<=[^\W\d]{3})\s?/\s?(?=[^\W\d]{3})"), " or "),
    (re.compile(rf"\b({_TENS.replace(' ', '|')}) - (?=(?:{_SMALL_NUMBERS.replace(' ', '|')})\b)"), r"\1-"),
    (re.compile(r"\b(?:[^\W\d_]\.){2,}"), _without(".")),  # u.s., p.m.
    (re.compile(r"(?<=[^\W\d_])['’]s\b|(?<=\w)['’](?=\w)"), ""),  # Schiller's -> schiller, isn't -> isnt
    (re.compile(r"(?<![\w.])\.(?=\d)"), "0."),  # .5
    (re.compile(r"(?<!\d )\b(?:minus|negative)\s+(?=\d)"), "-"),
    (re.compile(r"\s?%|\bper cent\b"), " percent"),
    (re.compile(r"\s?°\s?c\b"), " degrees celsius"),
    (re.compile(r"\s?°\s?f\b"), " degrees fahrenheit"),
    (re.compile(r"\s?°|\bdegree\b"), " degrees"),
    (re.compile(r"([$€£¥])\s?(\d[\d.,]*(?<=\d)(?:\s(?:thousand|million|billion|trillion)\b)?)"), r"\2 \1"),
    (re.compile(r"\$"), " dollars"),
    (re.compile("€"), " euros"),
    (re.compile("£"), " pounds"),
    (re.compile("¥"), " yen"),
)
# A number keeps sign, separators, exponent and fraction: 3.5 is neither in 13.5 nor in 3.55, and 2 is not in 1/2.
_TOKEN = re.compile(
    r"(?P<number>(?:(?<![\w)\]%])-)?(?:(?<!/)\d+(?:[.,:^]\d+)*/\d+(?![/\d])|\d+(?:[.,:^]\d+)*))(?P<suffix>[^\W_]*)"
    r"|(?P<word>[^\W\d]\w*(?:\.\d+)*(?:[+#]+(?!\w))?)"
)
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_WHOLE_DECIMAL = re.compile(r"(-?\d+)\.0+")


class Token(NamedTuple):
    """A word or a number."""

    text: str
    gap: Literal["", ",", "."] = ""
    """What stands before it: nothing, a break within the sentence, or the end of a sentence."""

    @property
    def is_number(self) -> bool:
        """Whether it is a number, with or without a unit stuck to it."""
        return self.text.lstrip("-")[:1].isdigit()


def tokenise(text: str) -> list[Token]:
    """Split into folded words and numbers, without articles and punctuation.

    Case and compatibility forms (NFKC) are folded, number words up to ninety-nine become digits, thousands separators
    ordinal endings and accents on Latin letters go, and percent, degree and currency signs become words.

    Examples:
        >>> [token.text for token in tokenise("The U.S. paid $1,969, or 3.5 %, on the 4th.")]
        ['us', 'paid', '1969', 'dollars', 'or', '3.5', 'percent', 'on', '4']
    """
    for pattern, replacement in _BEFORE_FOLDING:
        text = pattern.sub(replacement, text)
    text = unicodedata.normalize("NFKC", text).casefold()
    if not text.isascii():
        text = _SEAM.sub(" ", _drop_accents(text))
    for pattern, replacement in _AFTER_FOLDING:
        text = pattern.sub(replacement, text)
    return _read_number_words(_scan(text))


def _drop_accents(text: str) -> str:
    """Without accents on Latin letters; in other scripts a mark may make another letter."""
    return unicodedata.normalize("NFC", _ACCENTS.sub(r"\1", unicodedata.normalize("NFD", text.translate(_STROKED))))


def _scan(text: str) -> Iterator[Token]:
    end = 0
    for match in _TOKEN.finditer(text):
        gap = _classify_gap(text[end : match.start()])
        end = match.end()
        if match["word"]:
            yield Token(match["word"], gap)
            continue
        number, suffix = _plain_number(match["number"]), match["suffix"]
        if suffix in _ORDINALS or not suffix:
            yield Token(number, gap)
        elif len(suffix) > 1 and suffix.isalpha():
            yield from (Token(number, gap), Token(suffix))
        else:
            # One letter may change the number: 1990s, 5m.
            yield Token(number + suffix, gap)


def _classify_gap(between: str) -> Literal["", ",", "."]:
    if re.search(r"[.!?;\n]", between):
        return "."
    return "," if re.search(r"[,:()\[\]–—]|\s-+\s", between) else ""


def _plain_number(number: str) -> str:
    if _THOUSANDS.fullmatch(number):
        number = number.replace(",", "")
    return _WHOLE_DECIMAL.sub(r"\1", number) if _WHOLE_DECIMAL.fullmatch(number) else number


def _read_number_words(tokens: Iterator[Token]) -> list[Token]:
    read: list[Token] = []
    tens = 0
    for text, gap in tokens:
        unit = _NUMBER_OF.get(text)
        if tens and not gap and unit is not None and 1 <= unit <= 9:
            read[-1] = Token(str(tens + unit), read[-1].gap)
            tens = 0
            continue
        tens = _TENS_OF.get(text, 0)
        number = tens or unit
        read.append(Token(text if number is None else str(number), gap))
    return read
