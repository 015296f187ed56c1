"""A fact: what one relation says about one entity, in one language."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

LANGUAGES = ("en", "zh", "es", "fr", "de", "ja")
"""ISO 639-1 codes of the languages that questions are asked in."""

# Written without spaces: here a name is found anywhere, elsewhere only as whole words.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_WORD = re.compile(r"\w+")
_BRACKETS = re.compile(r"\s*[(（][^)）]*[)）]")

# Letters that are no letter with a mark, though they are often written so.
_NO_MARK = str.maketrans(
    {
        "ł": "l",
        "Ł": "L",
        "ø": "o",
        "Ø": "O",
        "đ": "d",
        "Đ": "D",
        "ı": "i",
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ʻ": "'",
        "ʼ": "'",
    }
)


class Fact(NamedTuple):
    """What a relation says about an entity; with a wording it becomes a question."""

    relation: str
    """A key of `relations.RELATIONS`."""
    language: str
    """ISO 639-1 code."""
    entity: str
    """`kind:identifier`, the same in all languages."""
    measure: float
    """How well known the entity is: the greater the better known; comparable within its kind."""
    name: str
    """What the question calls the entity."""
    answers: tuple[str, ...]
    """The answer and its aliases."""
    names: str = ""
    """Kind of name, for inflecting and inventing: a city's name may stand for a country. Empty where `name` is a code."""
    details: tuple[tuple[str, str], ...] = ()
    """Other words of the question by slot, such as the language that is translated to."""
    kin: tuple[str, ...] = ()
    """Entities that must lie in the same split, such as the country of a capital."""


def code_set(codes: str) -> frozenset[str]:
    """Codes written with spaces between them."""
    return frozenset(codes.split())


def fold(text: str) -> str:
    """Text without case, accents, punctuation and spacing: equal results name the same thing.

    Examples:
        >>> fold("Saint-Étienne") == fold("saint etienne")
        True
    """
    if text.isascii():
        if text.isalnum():  # quick for the millions of names that have nothing to fold
            return text.casefold()
    else:
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return "".join(_WORD.findall(text.casefold()))


def words_of(text: str) -> list[str]:
    """Folded words, in order."""
    return [fold(word) for word in _WORD.findall(text)]


def mentions(text: str, answer: str) -> bool:
    """Whether a text holds an answer: as whole words, or anywhere for scripts without spaces.

    Examples:
        >>> mentions("What is the capital of Guatemala?", "Guatemala")
        True
        >>> mentions("What is the capital of Nigeria?", "Niger")
        False
    """
    if _UNSPACED.search(answer):
        return fold(answer) in fold(text)
    words, run = words_of(text), words_of(answer)
    return any(words[start : start + len(run)] == run for start in range(len(words) - len(run) + 1)) if run else False


def parts_of(text: str) -> set[str]:
    """What a text mentions that is shorter than itself: runs of words, or of characters for scripts without spaces.

    Numbers count as whole: 1 is no part of 12.

    Examples:
        >>> sorted(parts_of("Papua New Guinea"))
        ['guinea', 'new', 'new guinea', 'papua', 'papua new']
    """
    words: Sequence[str] = words_of(text)
    joint = " "
    if _UNSPACED.search(text):
        words, joint = fold(text), ""
    size = len(words)
    if any(char.isdigit() for char in text):
        return set()
    return {joint.join(words[i:j]) for i in range(size) for j in range(i + 1, size + 1) if j - i < size}


def clean(name: str | None) -> str:
    """A name without brackets and invisible hyphens; empty for None."""
    return _BRACKETS.sub("", (name or "").replace("\N{SOFT HYPHEN}", "")).strip()


def collect_aliases(*names: str | None) -> tuple[str, ...]:
    """Distinct names in order, each followed by its form without accents where it has any."""
    found: dict[str, None] = {}
    for name in names:
        if not name or not name.strip():
            continue
        found.setdefault(name.strip())
        plain = _drop_accents(name.strip())
        if plain != name.strip():
            found.setdefault(plain)
    return tuple(found)


def _drop_accents(name: str) -> str:
    """Latin letters lose their accents; in other scripts, such as kana, the marks are letters."""
    latin = unicodedata.normalize("NFD", name.translate(_NO_MARK))
    if any(ord(char) > 0x24F and char.isalpha() for char in latin):
        return name
    plain = "".join(char for char in latin if not unicodedata.combining(char))
    return plain.replace("’", "'")


def draw(key: str, salt: str = "") -> float:
    """A number in [0, 1) that depends on the key alone, never on order or process."""
    return int.from_bytes(hashlib.sha256(f"{salt}\n{key}".encode()).digest()[:8], "big") / 2**64


def sample(keys: Iterable[str], number: int, salt: str) -> set[str]:
    """The `number` keys whose draws are smallest: which ones does not depend on order."""
    return set(sorted(keys, key=lambda key: (draw(key, salt), key))[:number])
