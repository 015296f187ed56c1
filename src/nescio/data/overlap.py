"""When two questions are the same: normalised text, and near-duplicates of it."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

NEAR_DUPLICATE = 0.8
"""Jaccard similarity of character 5-grams from which two questions count as the same."""
GRAM_LENGTH = 5

# Signs around digits belong to the number or the sum: 3.5 is not 35, 7 - 2 is not 7 * 2, -5 is not 5.
_PUNCTUATION = re.compile(r"[.,:/*-](?!\s*\d)|(?<!\d)(?<!\d\s)[.,:/]|[^\w\s.,:/*%&#@+<=>^~|$£€¥°-]|_")


class NearDuplicate(NamedTuple):
    """Two texts of one list that are nearly the same."""

    first: int
    """Index of the earlier text."""
    second: int
    """Index of the later text; `first < second`."""
    similarity: float
    """Jaccard similarity of their character n-grams, in [threshold, 1]."""


def normalise_question(question: str, context: str | None = None) -> str:
    """Question and context without case, punctuation and spacing; equal results ask the same thing.

    Signs that carry meaning stay: what joins the digits of a number, and mathematical and currency signs.

    Examples:
        >>> normalise_question("What's  3.5 + 2 ?") == normalise_question("what's 3.5 + 2")
        True
        >>> normalise_question("What is 35 + 2?") == normalise_question("What is 3.5 + 2?")
        False
    """
    return f"{_normalise(question)}\n{_normalise(context)}" if context else _normalise(question)


def _normalise(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().replace("\N{MINUS SIGN}", "-")
    return " ".join(_PUNCTUATION.sub(" ", text).split())


def find_near_duplicates(texts: Sequence[str], *, threshold: float = NEAR_DUPLICATE) -> list[NearDuplicate]:
    """Every pair of texts whose sets of character 5-grams have a Jaccard similarity of at least the threshold.

    Exact: the prefix filter only skips pairs that cannot reach the threshold. With the grams of each text sorted from
    rare to common, two such texts share one of their first `|x| - ceil(threshold * |x|) + 1` grams, so only texts that
    meet in this short inverted index are compared.

    Args:
        texts: Normalised texts; give each distinct text once, as equal texts pair up too.
        threshold: In (0, 1].

    Returns:
        Pairs sorted by (first, second); empty where nothing is near.

    References:
        Xiao, Wang, Lin, Yu: Efficient similarity joins for near duplicate detection (WWW 2008), lemma 1 and the
        length filter of section 3.
    """
    grams = [_grams(text) for text in texts]
    frequency = Counter(gram for members in grams for gram in members)
    index: defaultdict[str, list[int]] = defaultdict(list)
    found: list[NearDuplicate] = []
    for second in sorted(range(len(texts)), key=lambda i: len(grams[i])):
        members = grams[second]
        prefix = sorted(members, key=lambda gram: (frequency[gram], gram))
        prefix = prefix[: len(members) - _least(threshold, len(members)) + 1]
        # Texts come from short to long, so the length filter is one-sided.
        candidates = {i for gram in prefix for i in index[gram] if len(grams[i]) >= _least(threshold, len(members))}
        for first in candidates:
            shared = len(grams[first] & members)
            similarity = shared / (len(grams[first]) + len(members) - shared)
            if similarity >= threshold:
                found.append(NearDuplicate(min(first, second), max(first, second), similarity))
        for gram in prefix:
            index[gram].append(second)
    return sorted(found)


def _grams(text: str) -> frozenset[str]:
    """A text shorter than one gram is its own only gram."""
    return frozenset(text[i : i + GRAM_LENGTH] for i in range(max(1, len(text) - GRAM_LENGTH + 1)))


def _least(threshold: float, size: int) -> int:
    """The fewest grams that a set may share with one of this size; floating point must not round it up."""
    return math.ceil(threshold * size - 1e-9)
