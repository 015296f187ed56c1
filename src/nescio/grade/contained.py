"""Gold answers in scripts without spaces: by containment, asserted and alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from nescio.grade.spans import MatchResult

_DENIED_BEFORE = re.compile(r"(?:不是|并非|並非|不在|而非|不叫|没有|沒有)$")
_DENIED_AFTER = re.compile(r"(?:では|じゃ|で)(?:ない|ありません|なく|なかった)|(?:이|가)?아(?:니|닙)|以外")
_OR_BEFORE = re.compile(r"(?:或者|或是|或|还是|還是|または|もしくは|あるいは|それとも|(?<=[\u30a0-\u30ff\u4e00-\u9fffa-z])か)$")
_OR_AFTER = re.compile(r"或|还是|還是|または|もしくは|あるいは|それとも|か(?=[\u30a0-\u30ff\u4e00-\u9fffa-z])")
# White space and signs that join or quote names and are left out as often as not.
_LEFT_OUT = re.compile(r"[\s・·‧=《》「」『』“”\"]+")


class Contained(NamedTuple):
    """A gold alias to be found by containment."""

    alias: str
    """As given."""
    folded: str
    """Without case, white space and joining signs."""
    pattern: re.Pattern[str]
    """Finds it in a folded text."""


def read_contained(alias: str) -> Contained:
    """Prepare an alias; a digit or Latin letter at its edge must be a number's or word's edge."""
    folded = _fold(alias)
    first, last = folded[:1], folded[-1:]
    before = r"(?<![\d.,])" if first.isdigit() else r"(?<![a-z])" if first.isascii() and first.isalpha() else ""
    after = r"(?![.,]?\d)" if last.isdigit() else r"(?![a-z])" if last.isascii() and last.isalpha() else ""
    return Contained(alias, folded, re.compile(before + re.escape(folded) + after))


def match_contained(answer: str, gold: Sequence[Contained]) -> MatchResult | None:
    """Look for aliases by containment; None where there is not one."""
    rejected: MatchResult | None = None
    text = _fold(answer) if gold else ""
    for alias, _, pattern in gold:
        for found in pattern.finditer(text):
            before, after = text[: found.start()], text[found.end() :]
            if _DENIED_BEFORE.search(before) or _DENIED_AFTER.match(after):
                rejected = MatchResult("incorrect", f"it denies '{alias}'")
            elif _has_rival(before, after, [other.folded for other in gold]):
                rejected = MatchResult("incorrect", f"it offers '{alias}' beside another answer")
            else:
                return MatchResult("correct", f"it holds '{alias}'")
    return rejected


def _has_rival(before: str, after: str, aliases: Sequence[str]) -> bool:
    ahead, behind = _OR_BEFORE.search(before), _OR_AFTER.match(after)
    if ahead is not None:
        return not before[: ahead.start()].endswith(tuple(aliases))
    return behind is not None and not after[behind.end() :].startswith(tuple(aliases))


def _fold(text: str) -> str:
    return _LEFT_OUT.sub("", unicodedata.normalize("NFKC", text).casefold())
