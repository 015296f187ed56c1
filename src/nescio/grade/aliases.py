"""Gold aliases in an answer: as whole words, by value or by pattern, asserted and alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from nescio.errors import DataError
from nescio.grade.contained import Contained, match_contained, read_contained
from nescio.grade.spans import CONTRACTIONS, MatchResult, find_names, find_runs, judge_spans
from nescio.grade.tokens import UNSPACED, Token, tokenise
from nescio.grade.values import find_values, is_same_value, read_value
from nescio.grade.variants import allows_coarse_dates, asks_for_person, has_shape_of_name, vary_alias

PATTERN_PREFIX = "re:"
"""Before a gold alias that is a regular expression."""

_POLARITIES = {"yes": "yes", "yeah": "yes", "yep": "yes", "no": "no", "nope": "no"}
_AUXILIARIES = "is are was were do does did has have had can could will would should must may"
_INSTEAD = re.compile(
    r"\b(?:rather|other) than\b|\binstead of\b|\b(?:anything|everything|all) but\b"
    r"|\banstatt\b|\bau lieu d(?:e\b|['’])|\ben lugar de\b",
    re.IGNORECASE,
)
_LEADING_DENIAL = re.compile(
    rf"(?:it|this|that|they|he|she|there|we|you|i) (?:(?:{_AUXILIARIES.replace(' ', '|')}) not"
    rf"|{CONTRACTIONS.replace(' ', '|')})\b(?! (?:only|just|merely)\b)"
)


class Gold(NamedTuple):
    """Gold aliases, read once for all answers to a question."""

    polarities: frozenset[str]
    """`yes` or `no`, where an alias is one."""
    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    """Aliases that are regular expressions."""
    contained: tuple[Contained, ...]
    """Aliases in scripts without spaces."""
    runs: tuple[tuple[str, tuple[str, ...]], ...]
    """The others and their variants, as tokens."""
    names: tuple[tuple[str, tuple[str, ...]], ...]
    """Those among them that may be a person's, where a person is asked for."""
    values: tuple[str, ...]
    """Those that are a number, a quantity or a date."""
    coarse: bool
    """Whether a year is enough where the gold answer is a day."""


def read_gold(aliases: Iterable[str], question: str = "") -> Gold:
    """Prepare gold aliases for `match_aliases`.

    Args:
        aliases: As the data set gives them; `re:` before one makes it a regular expression.
        question: What is asked; decides which variants answer it as well (`nescio.grade.variants`).

    Raises:
        DataError: An alias is no valid regular expression.
    """
    return _read_gold(tuple(aliases), question)


@lru_cache(maxsize=4096)
def _read_gold(aliases: tuple[str, ...], question: str) -> Gold:
    patterns = tuple((alias, _compile(alias)) for alias in aliases if alias.startswith(PATTERN_PREFIX))
    plain = [alias for alias in aliases if not alias.startswith(PATTERN_PREFIX)]
    polarities = frozenset(alias.strip().casefold() for alias in plain) & {"yes", "no"}
    plain = [alias for alias in plain if alias.strip().casefold() not in polarities]
    contained, runs = [], {}
    for alias in plain:
        run = tuple(token.text for token in tokenise(alias))
        if UNSPACED.search(alias) or not run:
            contained.append(read_contained(alias))
            continue
        runs[run] = alias
        for variant in vary_alias(alias, question):
            runs.setdefault(tuple(token.text for token in tokenise(variant)), alias)
    runs.pop((), None)
    names = tuple((alias, run) for run, alias in runs.items() if len(run) > 1 and has_shape_of_name(alias))
    return Gold(
        polarities=polarities,
        patterns=patterns,
        contained=tuple(contained),
        runs=tuple((alias, run) for run, alias in runs.items()),
        names=names if asks_for_person(question) else (),
        values=tuple(alias for alias in plain if read_value(alias) is not None),
        coarse=allows_coarse_dates(question),
    )


def _compile(alias: str) -> re.Pattern[str]:
    try:
        return re.compile(alias.removeprefix(PATTERN_PREFIX).strip(), re.IGNORECASE)
    except re.error as error:
        raise DataError(
            f"gold answer '{alias}' is no valid regular expression ({error}); mend it or leave out '{PATTERN_PREFIX}'"
        ) from error


def match_aliases(answer: str, gold: Gold, *, refuses: bool = False) -> MatchResult | None:
    """Look for a gold alias that is asserted, and offered alone.

    Args:
        answer: Free text.
        gold: From `read_gold`.
        refuses: Whether the answer is known to refuse, so that "No one knows" is no "no".

    Returns:
        `correct`, or `incorrect` where an alias is denied or has a rival; None where there is no alias at all.
    """
    tokens = tokenise(_INSTEAD.sub("not", answer))
    result = _grade_polarity(tokens, gold.polarities, refuses=refuses) if gold.polarities else None
    return result or _match_patterns(answer, tokens, gold) or _match_plain(answer, tokens, gold) or _match_values(answer, gold)


def _grade_polarity(tokens: Sequence[Token], wanted: frozenset[str], *, refuses: bool) -> MatchResult | None:
    """Grade a yes or no by how the answer begins; None where it begins with neither."""
    leading = [_POLARITIES.get(token.text) for token in tokens[:3]]
    if leading and leading[0] is not None:
        if {"yes", "no"} <= set(leading):
            return MatchResult("incorrect", "it says both yes and no")
        # "No one knows" abstains; "No, nobody knows of one" answers.
        if not refuses or len(tokens) == 1 or tokens[1].gap:
            return MatchResult("correct" if leading[0] in wanted else "incorrect", f"it begins with '{tokens[0].text}'")
    elif not refuses and _LEADING_DENIAL.match(" ".join(token.text for token in tokens)):
        return MatchResult("correct" if "no" in wanted else "incorrect", "it begins with a denial")
    return None


def _match_patterns(answer: str, tokens: Sequence[Token], gold: Gold) -> MatchResult | None:
    text = " ".join(unicodedata.normalize("NFKC", answer).casefold().split()) if gold.patterns else ""
    for alias, pattern in gold.patterns:
        found = pattern.search(text)
        if found is None:
            continue
        run = tuple(token.text for token in tokenise(found[0]))
        spans = dict.fromkeys(find_runs(tokens, run), alias) if run else {}
        # What the pattern finds amid a word is its own affair; what it finds as words may be denied.
        return judge_spans(answer, tokens, spans) or MatchResult("correct", f"it matches '{alias}'")
    return None


def _match_plain(answer: str, tokens: Sequence[Token], gold: Gold) -> MatchResult | None:
    found = match_contained(answer, gold.contained)
    if found is not None and found.verdict == "correct":
        return found
    spans = {span: alias for alias, run in gold.runs for span in find_runs(tokens, run)}
    spans = spans or {span: alias for alias, run in gold.names for span in find_names(tokens, run)}
    return judge_spans(answer, tokens, spans) or found


def _match_values(answer: str, gold: Gold) -> MatchResult | None:
    """Look for a number, quantity or date of a gold alias's value, however it is written."""
    for alias in gold.values:
        for value in find_values(answer):
            said = answer[value.start : value.end]
            if not is_same_value(said, alias, coarse=gold.coarse):
                continue
            # Written as the alias, it is denied or rivalled like any other.
            rewritten = f"{answer[: value.start]} {alias} {answer[value.end :]}"
            result = _match_plain(rewritten, tokenise(_INSTEAD.sub("not", rewritten)), read_gold([alias]))
            if result is not None and result.verdict == "correct":
                return MatchResult("correct", f"'{said}' is '{alias}' by value")
            return result
    return None
