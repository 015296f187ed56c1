"""Where gold answers stand in an answer's tokens, and whether they are asserted there, and alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from nescio.grade.tokens import Token
from nescio.records import Verdict

_SCALES = {"hundred", "thousand", "million", "billion", "trillion", "dozen"}
_SCALE_SIGNS = "十百千万萬亿億兆"
CONTRACTIONS = "isnt arent wasnt werent dont doesnt didnt hasnt havent hadnt cant couldnt wont wouldnt shouldnt mustnt cannot"
"""Negated auxiliaries, as tokens."""
_NEGATIONS = {*CONTRACTIONS.split(), "not", "no", "never", "nor", "neither", "without", "except"}
_NEGATIONS |= {"nicht", "kein", "keine", "keinen", "nie", "pas", "jamais", "sans", "ni", "nunca", "jamas", "sin"}
# May stand between a negation, or an "or", and the answer: "not in Paris", "in Lyon or in Paris", "no es París".
_ENGLISH_LINKS = "in on at by of from to during about maybe perhaps possibly actually be been"
_OTHER_LINKS = "es esta era fue en de del el la los las le les au aux du des im am der die das den dem"
_LINKS = {*_ENGLISH_LINKS.split(), *_OTHER_LINKS.split()}
_OR = {"or", "oder", "ou", "o"}
_AND = {"and", "und", "et", "y"}
_TAKEN_BACK = {"no", "nein", "non"}
_IS = {"is", "was", "ist", "est", "es"}
_IS_NOT = {"isnt", "wasnt"}
_WRONG = {"wrong", "incorrect", "false", "falsch", "faux", "incorrecto", "falso"}
_RIGHT = {"right", "correct", "true", "it", "answer"}
# Words that only introduce the answer.
_LEAD = re.compile(r"^(?:(?:answer|it|they|he|she|this|these|those|that) (?:is|are|was|were) |answer )")
_MAX_INSERTED_NAMES = 2
# "and the" joins the words of a title as often as two answers: "Harry Potter and the Goblet of Fire".
_LIST_SIGNS = re.compile(
    r"(?:,.*){3}|\d,\s\d|&|\b(?:and|und|et|y)\b(?!\s+(?:the|an?|der|die|das|l[ae]s?|el|los)\b)", re.IGNORECASE
)
_ASIDE = re.compile(r"[:()]")
_MIN_LIST = 4
_MAX_ITEM_WORDS = 4


class MatchResult(NamedTuple):
    """What comparing an answer with the gold aliases gave."""

    verdict: Verdict
    reason: str


class Span(NamedTuple):
    """A run of tokens."""

    start: int
    """Its first token."""
    end: int
    """Behind the last token."""


def judge_spans(answer: str, tokens: Sequence[Token], spans: dict[Span, str]) -> MatchResult | None:
    """Judge the gold answers found in an answer: one that is neither denied nor offered beside another is enough.

    Args:
        answer: The text.
        tokens: The text's tokens.
        spans: Where gold answers stand, and which.

    Returns:
        None where there are none.
    """
    # In "New York or Boston", "York" alone would seem to have no "or" beside it.
    whole = {s: alias for s, alias in spans.items() if not any(o != s and o.start <= s.start and s.end <= o.end for o in spans)}
    items = _split_list(answer, tokens) if whole else []
    rejected: MatchResult | None = None
    for span, alias in whole.items():
        if _is_denied(tokens, span):
            rejected = MatchResult("incorrect", f"it denies '{alias}'")
        elif _has_rival(tokens, span, whole) or _is_listed(items, span, whole):
            rejected = MatchResult("incorrect", f"it offers '{alias}' beside another answer")
        else:
            return MatchResult("correct", f"it holds '{alias}'")
    return rejected


def find_runs(tokens: Sequence[Token], run: Sequence[str]) -> list[Span]:
    """Where a run of tokens stands, as no part of a longer number."""
    first, n = run[0], len(run)
    spans = [
        Span(i, i + n)
        for i in range(len(tokens) - n + 1)
        if tokens[i].text == first and all(tokens[i + j].text == run[j] for j in range(1, n))
    ]
    return [span for span in spans if not _is_part_of_number(tokens, span)]


def find_names(tokens: Sequence[Token], run: Sequence[str]) -> list[Span]:
    """A person's name with middle names or initials more or less: the first and the last name must be there."""
    spans = []
    for start, token in enumerate(tokens):
        if token.text != run[0]:
            continue
        for end in range(start + 2, min(start + len(run) + _MAX_INSERTED_NAMES, len(tokens)) + 1):
            inner = tokens[start + 1 : end]
            if any(t.gap == "," or t.is_number or t.text in _AND | _OR | _NEGATIONS | _LINKS for t in inner):
                break
            if tokens[end - 1].text == run[-1] and _agree_on_middle_names([t.text for t in inner[:-1]], run[1:-1]):
                spans.append(Span(start, end))
                break
    return spans


def _agree_on_middle_names(said: Sequence[str], gold: Sequence[str]) -> bool:
    """Whether the shorter list of middle names is within the longer one, in order; an initial stands for its name."""
    short, long = sorted((said, gold), key=len)
    rest = iter(long)
    return all(any(name == other or (1 in (len(name), len(other)) and name[0] == other[0]) for other in rest) for name in short)


def _is_part_of_number(tokens: Sequence[Token], span: Span) -> bool:
    """Whether the span ends or begins amid a longer number: "3" in "3 million", "3 1/2" or "two hundred and three"."""
    first, last = tokens[span.start], tokens[span.end - 1]
    if last.is_number and span.end < len(tokens):
        following = tokens[span.end]
        if following.text in _SCALES or (not following.gap and (_is_fraction(following) or following.text[0] in _SCALE_SIGNS)):
            return True
    before = [token for token in tokens[: span.start] if token.text != "and"][-1:]
    if not before or not first.is_number or first.gap:
        return False
    return before[0].text in _SCALES or (before[0].is_number and _is_fraction(first))


def _is_fraction(token: Token) -> bool:
    return token.is_number and "/" in token.text


def _is_denied(tokens: Sequence[Token], span: Span) -> bool:
    """Whether a negation stands directly before the span, or it is called wrong or taken back directly behind it.

    "No, Paris" does not deny Paris.
    """
    i = _skip_links(tokens, span.start)
    if i > 0 and not tokens[i].gap and tokens[i - 1].text in _NEGATIONS:
        return True
    after = tokens[span.end : span.end + 4]
    return _is_taken_back(after) or _is_called_wrong([token.text for token in after])


def _is_taken_back(after: Sequence[Token]) -> bool:
    """Whether "no" follows on its own: "Paris, no, London", but not "Paris, no doubt"."""
    return len(after) > 1 and after[0].text in _TAKEN_BACK and after[0].gap != "" and after[1].gap != ""


def _is_called_wrong(after: Sequence[str]) -> bool:
    """Whether "is wrong" or "is not right" follows."""
    first, second, third = [*after, "", "", ""][:3]
    if first in _IS:
        return second in _WRONG or (second == "not" and third in _RIGHT)
    return first in _IS_NOT and second in _RIGHT


def _skip_links(tokens: Sequence[Token], i: int) -> int:
    while i > 0 and not tokens[i].gap and tokens[i - 1].text in _LINKS:
        i -= 1
    return i


def _is_or(token: Token) -> bool:
    """Whether it is an "or"; "o" may also be a letter in brackets."""
    return token.text == "or" or (token.text in _OR and not token.gap)


def _has_rival(tokens: Sequence[Token], span: Span, spans: dict[Span, str]) -> bool:
    """Whether "or" joins the span to something that is no alias."""
    start = _skip_links(tokens, span.start)
    # One word may come between, such as a first name: "Anna Lind or Tom Ashdown".
    for i in (start - 1, start - 2):
        if i >= 0 and _is_or(tokens[i]):
            return not any(i - 1 <= other.end <= i for other in spans)
        if i < 0 or tokens[i + 1].gap == ".":
            break
    # In a list, up to three: "Paris, Lyon, or Nice".
    reach = 4 if span.end < len(tokens) and tokens[span.end].gap == "," else 2
    for i, token in enumerate(tokens[span.end : span.end + reach], start=span.end):
        if token.gap == ".":
            return False
        if _is_or(token):
            return not any(i < other.start <= i + 3 for other in spans)
    return False


def _is_listed(items: Sequence[Span], span: Span, spans: dict[Span, str]) -> bool:
    """Whether the whole answer is a list, of which the span is one item and not every item holds an alias."""
    return span in items and not all(any(i.start <= other.start and other.end <= i.end for other in spans) for i in items)


def _split_list(answer: str, tokens: Sequence[Token]) -> list[Span]:
    """The items of an answer that is a list and nothing else: "Paris and London", "Paris, London, Rome, Bern".

    A list is joined by "and", holds numbers only, or has so many commas that it is no
    place within a place ("Ulm, Swabia, Germany").
    """
    if not _LIST_SIGNS.search(answer) or _ASIDE.search(answer):
        return []
    lead = _LEAD.match(" ".join(token.text for token in tokens))
    start = len(lead[0].split()) if lead else 0
    items: list[Span] = []
    joined = False
    for i, token in enumerate(tokens):
        if i < start or (i == start and token.text not in _AND):
            continue
        if token.gap == ".":
            return []
        if token.text in _AND or token.gap == ",":
            joined = joined or token.text in _AND
            items.append(Span(start, i))
            start = i + (token.text in _AND)
    items = [item for item in [*items, Span(start, len(tokens))] if item.start < item.end]
    if any(item.end - item.start > _MAX_ITEM_WORDS or tokens[item.start].text in _LINKS for item in items):
        return []
    numbers = all(item.end - item.start == 1 and tokens[item.start].is_number for item in items)
    enough = 2 if joined or numbers else _MIN_LIST
    return items if len(items) >= enough else []
