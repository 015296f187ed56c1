from __future__ import annotations

import pytest

from nescio.grade.tokens import Token, tokenise


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The Beatles", "beatles"),
        ("It takes a day, an hour", "it takes day hour"),
        ("Vitamin A", "vitamin a"),
        ("A cat. A dog", "cat dog"),
        ("the", "the"),
        ("Schiller's O'Brien isn't", "schiller obrien isnt"),
        ("U.S. at 4 p.m.", "us at 4 pm"),
        ("1,969 and 40 000 and 40'000 and 1,234,567.5", "1969 and 40000 and 40000 and 1234567.5"),
        ("in 1969 300 people", "in 1969 300 people"),
        ("3.5, 10.0, 6.10 and .5.", "3.5 10 6.10 and 0.5"),
        ("16:30 or 2:31:08", "16:30 or 2:31:08"),
        ("−5 and minus 7, 9-3 and 9 minus 3", "-5 and -7 9 3 and 9 minus 3"),
        ("2½ or 1/2 on 12/05/2024", "2 1/2 or 1/2 on 12 05 2024"),
        ("10² = 100", "10^2 100"),
        ("87% = 87 per cent = 87 percent", "87 percent 87 percent 87 percent"),
        ("170° and 20 °C", "170 degrees and 20 degrees celsius"),
        ("£80,000 or $3 million", "80000 pounds or 3 million dollars"),
        ("5km, 4pm, 5m, the 1990s, WPA3", "5 km 4 pm 5m 1990s wpa3"),
        ("1st, 4th", "1 4"),
        ("zero twelve twenty twenty-nine forty two", "0 12 20 29 42"),
        ("twenty, nine", "20 9"),
        ("C++ or C# v2.0", "c++ or c# v2.0"),
        ("ﬁve ＡＢＣ Straße", "5 abc strasse"),
        ("?!", ""),
    ],
)
def test_texts_become_comparable_tokens(text: str, tokens: str) -> None:
    """Articles, case, punctuation and ways to write a number do not matter; what a number is does."""
    assert " ".join(token.text for token in tokenise(text)) == tokens


def test_breaks_between_tokens_are_kept() -> None:
    """A comma and the end of a sentence are told apart, and from a mere space."""
    assert tokenise("No, it is. Is it?") == [
        Token("no"),
        Token("it", ","),
        Token("is"),
        Token("is", "."),
        Token("it"),
    ]
