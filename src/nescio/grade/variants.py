"""Other wordings of a gold alias that answer the question just as well, as far as that can be told without a model."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PARENTHESIS = re.compile(r"\s*\([^()]*\)")
_NICKNAME = re.compile(r"\s*[\"“][^\"“”]+[\"”]")
_PREPOSITION = re.compile(r"^(?:in|on|at|by|from|through|during|since)\s+(?=\S)")
_TITLE = re.compile(
    r"^(?:Sir|Dame|Lord|Lady|Mr|Mrs|Ms|Dr|Prof|Professor|Senator|Sen|President|Captain|General|Colonel|King|Queen|Prince|Princess"
    r"|Pope|Saint|St|Emperor|Empress)\.?\s+(?=[A-Z]\w+\s+[A-Z])"
)
_SCALE = r"\s(?:hundred|thousand|million|billion|trillion)\b"
_COUNT = re.compile(rf"((?:\d[\d,.]*\d|\d)(?:{_SCALE})?|[a-z]+)(?!{_SCALE})\s+\D+", re.IGNORECASE)
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
_NUMBER_WORDS = frozenset(_NUMBERS.split())
_INITIALS_OF = re.compile(r"\b[A-Z]")
_ASKS_WHO = re.compile(r"\b(?:who|whom|whose|wer|wen|qui|quién|quien)\b|\b(?:actor|actress|author|singer)\b", re.IGNORECASE)
_ASKS_HOW_MANY = re.compile(r"\bhow (?:many|old)\b|\bpopulation\b|\bwie viele\b|\bcombien\b|\bcuánt[oa]s\b", re.IGNORECASE)
_ASKS_WHEN = re.compile(r"\bwhen\b|\b(?:what|which) year\b|\bwann\b|\bquand\b|\bcuándo\b", re.IGNORECASE)
_ASKS_FOR_THE_DAY = re.compile(r"\bdays?\b|\bdates?\b|\bbirthday\b|\bmonths?\b|\bexact", re.IGNORECASE)
_NAME = re.compile(r"[A-ZÀ-Þ][\w'’.-]*(?:\s+(?:(?:de|da|di|du|von|van|der|den|la|le|al|bin|ibn|of)\s+)*[A-ZÀ-Þ][\w'’.-]*){1,4}")


def vary_alias(alias: str, question: str = "") -> Iterator[str]:
    """Yield other wordings of an alias, itself not among them, nor one that the question says itself.

    Examples:
        >>> list(vary_alias("Mercury (planet)"))
        ['Mercury']
        >>> list(vary_alias("four steps", "How many steps are there?"))
        ['four step', 'four']
    """
    bare = _NICKNAME.sub("", _PARENTHESIS.sub("", alias)).strip()
    variants = [bare, _PREPOSITION.sub("", bare), _TITLE.sub("", bare)]
    variants += _pluralise(bare)
    acronym = "".join(_INITIALS_OF.findall(bare))
    if len(acronym) >= 3 and len(acronym) == len(re.findall(r"\b(?!(?:of|the|and|for|in)\b)\w+", bare)):
        variants.append(acronym)
    if _ASKS_HOW_MANY.search(question) and (count := _COUNT.fullmatch(bare)):
        # "four steps", but not "many steps"
        variants += [count[1]] * (count[1][0].isdigit() or count[1].casefold() in _NUMBER_WORDS)
    # Which country has the code PNG? "PNG" repeats the question.
    return (variant for variant in dict.fromkeys(variants) if variant and variant != alias and not _says(question, variant))


def _says(question: str, wording: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(wording)}(?!\w)", question, re.IGNORECASE) is not None


def _pluralise(alias: str) -> list[str]:
    """Plural of a common noun, and singular of several words: "martes" (Spanish for Tuesday) is no plural of "marte"."""
    if alias != alias.lower() or not re.fullmatch(r"[a-z][a-z -]{3,}[a-z]", alias):
        return []
    if alias.endswith("s"):
        return [alias[:-1]] if " " in alias else []
    return [alias + "s"]


def has_shape_of_name(alias: str) -> bool:
    """Whether an alias may be a person's first and last name."""
    return _NAME.fullmatch(_NICKNAME.sub("", alias.strip())) is not None


def asks_for_person(question: str) -> bool:
    """Whether a question asks who."""
    return _ASKS_WHO.search(question) is not None


def allows_coarse_dates(question: str) -> bool:
    """Whether a question asks when, and not for the day: a year or month then answers it too."""
    return _ASKS_WHEN.search(question) is not None and _ASKS_FOR_THE_DAY.search(question) is None
