"""How questions are worded: at least four phrasings a relation and language, each bound to one split."""

from __future__ import annotations

from nescio.data.facts.wording import de, en, es, fr, ja, zh

WORDINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "en": en.WORDINGS,
    "zh": zh.WORDINGS,
    "es": es.WORDINGS,
    "fr": fr.WORDINGS,
    "de": de.WORDINGS,
    "ja": ja.WORDINGS,
}
"""Phrasings by language and relation; words in braces are slots (grammar.py)."""


def split_of_phrasing(position: int) -> str:
    """The split that a phrasing is asked in: the first two train, the third calibrates, the others test.

    Examples:
        >>> [split_of_phrasing(position) for position in range(5)]
        ['train', 'train', 'calibration', 'test', 'test']
    """
    return ("train", "train", "calibration")[position] if position < 3 else "test"


def phrasings_of_split(language: str, relation: str, split: str) -> list[int]:
    """Positions of the phrasings that a split may use."""
    return [i for i in range(len(WORDINGS[language][relation])) if split_of_phrasing(i) == split]
