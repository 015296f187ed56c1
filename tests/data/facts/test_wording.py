"""Wordings are whole: enough of them, with slots that can be filled."""

from __future__ import annotations

import string
from collections import Counter

import pytest

from nescio.data.facts.fact import LANGUAGES
from nescio.data.facts.grammar import inflect
from nescio.data.facts.relations import RELATIONS
from nescio.data.facts.wording import WORDINGS, phrasings_of_split
from nescio.records import SPLITS


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_relation_has_four_phrasings_and_all_splits(language):
    """Each split finds a phrasing of its own; no two phrasings are equal."""
    for relation, phrasings in WORDINGS[language].items():
        assert relation in RELATIONS
        assert len(phrasings) >= 4
        assert all(phrasings_of_split(language, relation, split) for split in SPLITS)
    texts = Counter(text for phrasings in WORDINGS[language].values() for text in phrasings)

    assert [text for text, count in texts.items() if count > 1] == []


def test_english_words_every_relation():
    """There is no relation that only another language asks for."""
    assert set(WORDINGS["en"]) == set(RELATIONS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phrasing_names_its_entity(language):
    """A wording without the entity would ask the same of all."""
    forms = {"name", "the", "The", "gen", "nom", "in", "akk", "de", "le", "el", "al", "d", "en"}
    for phrasings in WORDINGS[language].values():
        for text in phrasings:
            assert forms & {slot for _, slot, _, _ in string.Formatter().parse(text) if slot}


@pytest.mark.parametrize(
    ("name", "language", "slot", "form"),
    [
        ("Netherlands", "en", "the", "the Netherlands"),
        ("Kenya", "en", "the", "Kenya"),
        ("France", "fr", "de", "de la France"),
        ("Canada", "fr", "de", "du Canada"),
        ("Mexique", "fr", "de", "du Mexique"),
        ("Inde", "fr", "le", "l’Inde"),
        ("États-Unis", "fr", "de", "des États-Unis"),
        ("Israël", "fr", "de", "d’Israël"),
        ("Cuba", "fr", "de", "de Cuba"),
        ("Hongrie", "fr", "le", "la Hongrie"),
        ("Honduras", "fr", "de", "du Honduras"),
        ("Reino Unido", "es", "de", "del Reino Unido"),
        ("Países Bajos", "es", "al", "a los Países Bajos"),
        ("Perú", "es", "de", "de Perú"),
        ("Schweiz", "de", "gen", "der Schweiz"),
        ("Niederlande", "de", "in", "in den Niederlanden"),
        ("Vereinigte Staaten", "de", "nom", "die Vereinigten Staaten"),
        ("Vereinigte Staaten", "de", "hat", "haben"),
        ("Frankreich", "de", "gen", "Frankreichs"),
        ("Honduras", "de", "gen", "von Honduras"),
        ("Irak", "de", "in", "im Irak"),
        ("Irak", "de", "akk", "den Irak"),
    ],
)
def test_countries_take_their_article(name, language, slot, form):
    """Articles, cases and agreement are those of the language."""
    assert inflect(name, language, "country")[slot] == form


def test_french_elides_before_vowels():
    """Oslo loses the vowel of "de", Le Caire does not; languages take l' likewise."""
    assert inflect("Oslo", "fr", "city")["d"] == "d’Oslo"
    assert inflect("Tokyo", "fr", "city")["d"] == "de Tokyo"
    assert inflect("hébreu", "fr", "language")["de"] == "de l’hébreu"
    assert inflect("haoussa", "fr", "language")["de"] == "du haoussa"
