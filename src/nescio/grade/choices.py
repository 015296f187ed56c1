"""Which option of a multiple-choice question a free text takes: by letter or by the option's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nescio.grade.aliases import match_aliases, read_gold
from nescio.grade.refusal import find_refusal
from nescio.grade.spans import MatchResult
from nescio.grade.tokens import tokenise
from nescio.records import Question

_MARKS = re.compile(r"[*_`]+")
_LETTER = r"(?:\(\s?([A-Za-z])\s?\)|\[\s?([A-Za-z])\s?\]|([A-Za-z])\)|([A-Za-z])(?![A-Za-z0-9_'’]))"
# What may follow a letter that stands for an option; "A dog" and "I think" name none.
_ENDS = r"(?=\s*(?:$|[.):,;\n\]/。、，：]|(?:or|and|oder|und|ou|et|o|y|because|since|as|is|or)\b|[\u3040-\u30ff\u3400-\u9fff]))"
_AT_START = re.compile(rf"^\W*?{_LETTER}{_ENDS}")
_AFTER_LEAD = re.compile(
    r"(?:\b(?:but|answers?|option|choice|letter|antwort|lösung|respuesta|opción|réponse|choix)|答案|选项|選項|選択肢|答え|正解)\W*"
    r"(?:(?:is|was|are|would be|should be|must be|will be|ist|est|es)\b|是|为|為|は|が)?\W*?"
    rf"(?:(?:option|choice|letter)\s+|选项)?{_LETTER}{_ENDS}",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"(?<![\w)])\(([A-Za-z])\)(?!\w)")
_NEXT = re.compile(rf"\s*(?:,\s*(?:or|and)?|/|\b(?:or|and|oder|und|ou|et|o|y)\b|或|または|か)\s*{_LETTER}(?!\w)")
_DENIED = re.compile(r"(?:\bnot|n['’]t|\bno|\bnicht|\bpas|不是)\s*(?:option\s|choice\s)?\W*$", re.IGNORECASE)


class Offered(NamedTuple):
    """The options that a text takes."""

    by_letter: tuple[int, ...]
    by_text: tuple[int, ...]

    @property
    def options(self) -> tuple[int, ...]:
        """All of them, in order, each once."""
        return tuple(sorted({*self.by_letter, *self.by_text}))


def grade_choice(question: Question, text: str, taken: int | None = None) -> MatchResult:
    """Grade the answer to a multiple-choice question.

    Args:
        question: With `choices` and the right `choice`.
        text: Free text, where `taken` is None.
        taken: Index of the option taken, where it is known.

    Returns:
        Two different options offered are incorrect; where none is recognised, a refusal is abstained and all else ungraded.
    """
    if taken is not None:
        if not 0 <= taken < len(question.choices):
            return MatchResult("ungraded", f"option {taken} is out of range: there are {len(question.choices)}, counted from 0")
        return _grade_one(question, taken)
    offered = find_offered(text, question.choices)
    refusal = find_refusal(text)
    if refusal is not None and not any(find_refusal(question.choices[i]) for i in offered.options):
        return MatchResult("abstained", f"it refuses ({refusal.reason})")
    if _names_itself(text, question.choices) and offered.by_letter != offered.by_text:
        return MatchResult("ungraded", f"'{text.strip()}' is the letter of one option and the text of another")
    if not offered.options:
        return MatchResult("ungraded", "it names none of the options")
    return _grade_one(question, *offered.options)


def _grade_one(question: Question, taken: int, *others: int) -> MatchResult:
    if others:
        return MatchResult("incorrect", f"it offers options {' and '.join(map(_name, (taken, *others)))}")
    return MatchResult("correct" if taken == question.choice else "incorrect", f"it takes option {_name(taken)}")


def find_offered(text: str, choices: Sequence[str]) -> Offered:
    """Find the options that a text offers, by letter ("B", "(b)", "the answer is B") and by their own text.

    Examples:
        >>> find_offered("The answer is (b).", ["Lyon", "Paris"])
        Offered(by_letter=(1,), by_text=())
        >>> find_offered("It is Paris, not Lyon.", ["Lyon", "Paris"])
        Offered(by_letter=(), by_text=(1,))
    """
    plain = _MARKS.sub("", text).strip()
    letters = sorted({ord(letter.upper()) - ord("A") for letter in _read_letters(plain)})
    return Offered(tuple(i for i in letters if i < len(choices)), _find_texts(plain, choices))


def _read_letters(text: str) -> Iterator[str]:
    for start in [_AT_START.match(text), *_AFTER_LEAD.finditer(text)]:
        found = start
        while found is not None:
            place = next(found.start(group) for group in range(1, len(found.groups()) + 1) if found[group])
            if not _DENIED.search(text[:place].rstrip("([ ")):
                yield text[place]
            found = _NEXT.match(text, found.end())
    for bracketed in _IN_BRACKETS.finditer(text):
        if not _DENIED.search(text[: bracketed.start()]):
            yield bracketed[1]


def _find_texts(text: str, choices: Sequence[str]) -> tuple[int, ...]:
    """Options whose text is asserted, those left out that are only a part of a longer one in the text."""
    said = [token.text for token in tokenise(text)]
    runs = [[token.text for token in tokenise(choice)] for choice in choices]
    exact = tuple(i for i, run in enumerate(runs) if run == said)
    if exact:
        return exact
    found = [i for i, choice in enumerate(choices) if _is_held(text, choice)]
    return tuple(i for i in found if not any(_is_within(runs[i], runs[other]) for other in found if other != i))


def _is_held(text: str, choice: str) -> bool:
    # An option of one letter would be found in any text that names options by letter.
    if len(choice.strip()) == 1 and choice.strip().isalpha() and choice.strip().isascii():
        return False
    gold = read_gold([choice if not choice.startswith("re:") else f" {choice}"])
    result = match_aliases(text, gold)
    return result is not None and (result.verdict == "correct" or "beside" in result.reason)


def _is_within(run: Sequence[str], other: Sequence[str]) -> bool:
    n = len(run)
    return n < len(other) and any(list(other[i : i + n]) == list(run) for i in range(len(other) - n + 1))


def _names_itself(text: str, choices: Sequence[str]) -> bool:
    """Whether an option's text is a letter, and the answer is that letter alone: blood group A as option C."""
    return text.strip(" ().").casefold() in {choice.strip().casefold() for choice in choices if len(choice.strip()) == 1}


def _name(option: int) -> str:
    return chr(ord("A") + option) if option < 26 else str(option)
