"""What engines share that leave the drawing to others: a seed for each answer, where it stops, which option it names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# A bare letter before a space may be a word ("A city in France"), so a bracket, a mark or the end has to follow.
_LEADING_LETTER = re.compile(r"\W*(?:(?:the )?(?:correct )?answer(?: is|:)\W*)?([A-Z])(?:[).:*\]\n]|$)", re.IGNORECASE)


class Stop(NamedTuple):
    """Where in a text a stop lies."""

    start: int
    """In characters: of the stop's first one."""
    end: int
    """Behind its last one."""


class NamedOption(NamedTuple):
    """The option that a reply names."""

    number: int
    """Its place among the options, from 0."""
    by_letter: bool
    """By its letter, not by its text."""


def derive_seed(seed: int, question_id: str, index: int) -> int:
    """The seed of one answer, in [0, 2^31): it depends on nothing else that is asked.

    Examples:
        >>> derive_seed(0, "q1", 1) == derive_seed(0, "q1", 1)
        True
        >>> derive_seed(0, "q1", 1) == derive_seed(0, "q1", 2)
        False
    """
    # The id stands last: whatever characters it has, no other triple spells the same text.
    key = f"{seed}\n{index}\n{question_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(key).digest()[:4], "big") >> 1


def find_stop(text: str, stops: Sequence[str]) -> Stop | None:
    r"""The first stop in a text, the longest where two begin together; None where there is none.

    Examples:
        >>> find_stop("Paris.\nLyon", ["Q:", "\n"])
        Stop(start=6, end=7)
    """
    found = [Stop(start, start + len(stop)) for stop in stops if stop and (start := text.find(stop)) >= 0]
    return min(found, key=lambda stop: (stop.start, -stop.end), default=None)


def find_named_option(reply: str, options: Sequence[str]) -> NamedOption | None:
    """Which option a reply names, by its exact text or by its letter; None where that cannot be told.

    Texts are compared without case, surrounding space and a final mark. Letters are `A` for the first option and so on,
    whether the options are letters themselves or texts.

    Examples:
        >>> find_named_option("(B) Lyon", [" Paris", " Lyon"])
        NamedOption(number=1, by_letter=True)
        >>> find_named_option("Lyon.", [" Paris", " Lyon"])
        NamedOption(number=1, by_letter=False)
        >>> find_named_option("A city in France", [" Paris", " Lyon"]) is None
        True
    """
    texts = [_fold(option) for option in options]
    if texts.count(_fold(reply)) == 1:
        number = texts.index(_fold(reply))
        return NamedOption(number, by_letter=texts[number] == option_letters(options)[number].casefold())
    match = _LEADING_LETTER.match(reply)
    letters = [letter.upper() for letter in option_letters(options)]
    if match is None or letters.count(match[1].upper()) != 1:
        return None
    return NamedOption(letters.index(match[1].upper()), by_letter=True)


def option_letters(options: Sequence[str]) -> list[str]:
    """The letter of each option: itself where all are single letters, else by position; "" beyond the alphabet."""
    bare = [option.strip() for option in options]
    if all(len(option) == 1 and option.isalpha() for option in bare):
        return bare
    return [_LETTERS[position] if position < len(_LETTERS) else "" for position in range(len(options))]


def _fold(text: str) -> str:
    return text.strip().rstrip(".!").rstrip().casefold()
