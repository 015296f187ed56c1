"""Grading by match: does the answer hold a gold alias as whole words, asserted and alone?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from nescio.grade.tokens import Token, tokenise
from nescio.records import Example, Grade, Prediction, Verdict

_SCALES = {"hundred", "thousand", "million", "billion", "trillion", "dozen"}
_POLARITIES = {"yes": "yes", "yeah": "yes", "yep": "yes", "no": "no", "nope": "no"}
_AUXILIARIES = "is are was were do does did has have had can could will would should must may"
_CONTRACTIONS = "isnt arent wasnt werent dont doesnt didnt hasnt havent hadnt cant couldnt wont wouldnt shouldnt mustnt cannot"
_NEGATIONS = set(_CONTRACTIONS.split()) | {"not", "no", "never", "nor", "neither", "without", "except"}
# May stand between a negation, or an "or", and the answer: "not in Paris", "in Lyon or in Paris".
_LINKS = {"in", "on", "at", "by", "of", "from", "to", "during", "about", "maybe", "perhaps", "possibly", "actually", "be", "been"}
_INSTEAD = re.compile(r"\b(?:rather|other) than\b|\binstead of\b", re.IGNORECASE)
# On tokens, so without punctuation, articles and apostrophes; "no one" reads "no 1".
_ABSTENTION = re.compile(
    r"\b(?:i (?:really )?(?:do not|dont) know|(?:no 1|nobody) knows|no idea|im not (?:sure|certain)|am not (?:sure|certain)"
    r"|(?:can ?not|cant|could not|couldnt) (?:be (?:determined|known|said|answered|inferred|established)|say|tell|answer|know)"
    r"|(?:is|are) (?:unknown|unclear|not (?:known|stated|given|mentioned|specified|clear))"
    r"|(?:does not|doesnt) (?:say|state|mention|specify|give)|unable to|(?:not enough|insufficient) information)\b|^unknown$"
)
_LEADING_DENIAL = re.compile(
    rf"(?:it|this|that|they|he|she|there|we|you|i) (?:(?:{_AUXILIARIES.replace(' ', '|')}) not"
    rf"|{_CONTRACTIONS.replace(' ', '|')})\b(?! (?:only|just|merely)\b)"
)
# Scripts written without spaces, or (Korean) with particles stuck to the word.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


class MatchResult(NamedTuple):
    """What comparing an answer with the gold aliases gave."""

    verdict: Verdict
    reason: str


class _Span(NamedTuple):
    start: int
    end: int
    """Behind the last token."""


def grade_by_match(example: Example, prediction: Prediction) -> Grade:
    """Grade the answer that the user would have read had the system answered.

    Where the right decision is not `correct`, no answer is right, whatever it says.
    """
    if example.decision != "correct":
        reason = f"no answer is right: the right decision is '{example.decision}'"
        return Grade(id=example.id, verdict="incorrect", reason=reason)
    if prediction.failure is not None:
        return Grade(id=example.id, verdict="ungraded", reason=f"the prediction failed: {prediction.failure}")
    verdict, reason = grade_answer(prediction.text_if_answering, example.answers)
    return Grade(id=example.id, verdict=verdict, reason=reason)


def grade_answer(answer: str | None, gold: Sequence[str]) -> MatchResult:
    """Compare an answer with gold aliases.

    Some alias must be in the answer as a run of whole tokens that is neither denied ("not Paris") nor offered beside
    something else ("Paris or London"). Where `yes` or `no` is gold, only the answer's leading polarity counts. Aliases
    in scripts without spaces match by containment.

    Args:
        answer: Free text; None or blank is ungraded.
        gold: Aliases, any of which is right; none is ungraded.

    References:
        Joshi et al.: TriviaQA (ACL 2017), section 4, for the normalisation; its exact match is loosened to containment,
        since answers here are sentences.
    """
    if not gold:
        return MatchResult("ungraded", "there is no gold answer")
    if answer is None or not answer.strip():
        return MatchResult("ungraded", "there is no answer")
    tokens = tokenise(_INSTEAD.sub("not", answer))
    text = " ".join(token.text for token in tokens)
    abstains = _ABSTENTION.search(text) is not None
    wanted = {alias.strip().casefold() for alias in gold} & {"yes", "no"}
    result = _grade_polarity(tokens, text, wanted, abstains=abstains) if wanted else None
    result = result or _match_aliases(answer, tokens, [alias for alias in gold if alias.strip().casefold() not in wanted])
    if result is not None:
        return result
    if abstains:
        return MatchResult("abstained", "it says that it does not know")
    return MatchResult("incorrect", "it holds no gold alias")


def _grade_polarity(tokens: Sequence[Token], text: str, wanted: set[str], *, abstains: bool) -> MatchResult | None:
    """Grade a yes or no by how the answer begins; None where it begins with neither."""
    leading = [_POLARITIES.get(token.text) for token in tokens[:3]]
    if leading and leading[0] is not None:
        if {"yes", "no"} <= set(leading):
            return MatchResult("incorrect", "it says both yes and no")
        # "No one knows" abstains; "No, nobody knows of one" answers.
        if not abstains or len(tokens) == 1 or tokens[1].gap:
            return MatchResult("correct" if leading[0] in wanted else "incorrect", f"it begins with '{tokens[0].text}'")
    elif not abstains and _LEADING_DENIAL.match(text):
        return MatchResult("correct" if "no" in wanted else "incorrect", "it begins with a denial")
    return None


def _match_aliases(answer: str, tokens: Sequence[Token], aliases: Sequence[str]) -> MatchResult | None:
    """Look for aliases; None where there is not one."""
    spans: dict[_Span, str] = {}
    for alias in aliases:
        run = [token.text for token in tokenise(alias)]
        if _UNSPACED.search(alias) or not run:
            if _contains(answer, alias):
                return MatchResult("correct", f"it holds '{alias}'")
        else:
            spans |= dict.fromkeys(_find_runs(tokens, run), alias)
    # In "New York or Boston", "York" alone would seem to have no "or" beside it.
    whole = {s: alias for s, alias in spans.items() if not any(o != s and o.start <= s.start and s.end <= o.end for o in spans)}
    rejected: MatchResult | None = None
    for span, alias in whole.items():
        if _is_denied(tokens, span):
            rejected = MatchResult("incorrect", f"it denies '{alias}'")
        elif _has_rival(tokens, span, whole):
            rejected = MatchResult("incorrect", f"it offers '{alias}' beside another answer")
        else:
            return MatchResult("correct", f"it holds '{alias}'")
    return rejected


def _contains(answer: str, alias: str) -> bool:
    """Containment without regard to spaces; a digit at the alias's edge must be a number's edge."""
    answer, alias = ("".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in (answer, alias))
    before = r"(?<![\d.,])" if alias[:1].isdigit() else ""
    after = r"(?![.,]?\d)" if alias[-1:].isdigit() else ""
    return re.search(before + re.escape(alias) + after, answer) is not None


def _find_runs(tokens: Sequence[Token], run: Sequence[str]) -> list[_Span]:
    starts = (i for i in range(len(tokens) - len(run) + 1) if all(tokens[i + j].text == word for j, word in enumerate(run)))
    return [span for span in (_Span(i, i + len(run)) for i in starts) if not _is_part_of_number(tokens, span)]


def _is_part_of_number(tokens: Sequence[Token], span: _Span) -> bool:
    """Whether the span ends or begins amid a longer number: "3" in "3 million", "3 1/2" or "two hundred and three"."""
    first, last = tokens[span.start], tokens[span.end - 1]
    if last.is_number and span.end < len(tokens):
        following = tokens[span.end]
        if following.text in _SCALES or (not following.gap and _is_fraction(following)):
            return True
    before = [token for token in tokens[: span.start] if token.text != "and"][-1:]
    if not before or not first.is_number or first.gap:
        return False
    return before[0].text in _SCALES or (before[0].is_number and _is_fraction(first))


def _is_fraction(token: Token) -> bool:
    return token.is_number and "/" in token.text


def _is_denied(tokens: Sequence[Token], span: _Span) -> bool:
    """Whether a negation stands directly before the span; "No, Paris" does not deny Paris."""
    i = _skip_links(tokens, span.start)
    return i > 0 and not tokens[i].gap and tokens[i - 1].text in _NEGATIONS


def _skip_links(tokens: Sequence[Token], i: int) -> int:
    while i > 0 and not tokens[i].gap and tokens[i - 1].text in _LINKS:
        i -= 1
    return i


def _has_rival(tokens: Sequence[Token], span: _Span, spans: dict[_Span, str]) -> bool:
    """Whether "or" joins the span to something that is no alias."""
    start = _skip_links(tokens, span.start)
    # One word may come between, such as a first name: "Anna Lind or Tom Ashdown".
    for i in (start - 1, start - 2):
        if i >= 0 and tokens[i].text == "or":
            return not any(i - 1 <= other.end <= i for other in spans)
        if i < 0 or tokens[i + 1].gap == ".":
            break
    # In a list, up to three: "Paris, Lyon, or Nice".
    reach = 4 if span.end < len(tokens) and tokens[span.end].gap == "," else 2
    for i, token in enumerate(tokens[span.end : span.end + reach], start=span.end):
        if token.gap == ".":
            return False
        if token.text == "or":
            return not any(i < other.start <= i + 3 for other in spans)
    return False
