from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nescio.grade.values import CalendarDate, Quantity, is_same_value, read_value


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("1,5 km", "1500 m"),
        ("about 1.5 kilometers", "1,500 metres"),
        ("two hundred", "200"),
        ("two hundred and three thousand four hundred twelve", "203,412"),
        ("twenty-five miles", "25 mi"),
        ("a dozen", "12"),
        ("a hundred", "100"),
        ("2.5 million", "2,500,000"),
        ("2.500.000", "2 500 000"),
        ("1'000", "1000"),
        ("1.234,56 €", "€1234.56"),
        ("$2 million", "2000000 dollars"),
        ("50 %", "50 percent"),
        ("3 weeks", "21 days"),
        ("100 °C", "212 °F"),
        ("0 degrees Celsius", "273.15 K"),
        ("12 inches", "1 foot"),
        ("36 km/h", "10 m/s"),
        ("-5", "−5"),
        ("3亿", "300 million"),
        ("July 20, 1969", "1969-07-20"),
        ("20th of July 1969", "1969年7月20日"),
        ("20 de julio de 1969", "20 juillet 1969"),
        ("20. Juli 1969", "20.7.1969"),
        ("20/07/1969", "Jul 20 1969"),
        ("July 20, 1969", "July 1969"),
        ("July 1969", "1969"),
        ("In 1969.", "1969"),
    ],
)
def test_equal_values_match(answer: str, gold: str) -> None:
    """However they are written, in whatever unit, and where the answer says more than was asked."""
    assert is_same_value(answer, gold) is True


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("1.5 km", "1.5 m"),
        ("1.500", "1500"),
        ("5 kg", "5 km"),
        ("203", "200"),
        ("two hundred", "two hundred thousand"),
        ("5 dollars", "5 euros"),
        ("100 °C", "100 °F"),
        ("1969", "July 1969"),
        ("July 1969", "July 20, 1969"),
        ("July 21, 1969", "July 20, 1969"),
        ("1969", "1968"),
    ],
)
def test_other_values_do_not_match(answer: str, gold: str) -> None:
    """Another number, unit, currency or day, and a date that says less than the gold one."""
    assert is_same_value(answer, gold) is False


@pytest.mark.parametrize(
    "text", ["", "Paris", "and", "7 dwarfs", "1969 and 1970", "05/06/1969", "31 February 2000", "1.2.3", "km", "July"]
)
def test_what_is_no_single_value_is_left_to_others(text: str) -> None:
    """Words, several numbers, impossible or ambiguous dates: None, never a guess."""
    assert read_value(text) is None
    assert is_same_value(text, "7") is None
    assert is_same_value("7", text) is None


def test_a_bare_number_beside_a_unit_is_left_to_others() -> None:
    """Whether "5" answers "5 km" depends on the question."""
    assert is_same_value("5", "5 km") is None
    assert is_same_value("50%", "0.5") is None


def test_a_value_may_be_as_long_as_it_likes() -> None:
    """More digits than Python would turn into a number are no value, and no error."""
    assert read_value("9" * 10_000) is None


def test_values_are_exact() -> None:
    """A tenth is a tenth, and a mile is 1609.344 metres."""
    assert read_value("0.1") == Quantity(Fraction(1, 10), "")
    assert read_value("1 mile") == Quantity(Fraction(1609344, 1000), "length")
    assert read_value("March 1848") == CalendarDate(1848, 3)


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    """Nothing raises, and a value is equal to itself."""
    assert is_same_value(text, text) in {True, None}


@given(st.integers(-(10**15), 10**15))
def test_grouped_digits_are_the_number(number: int) -> None:
    """Commas between thousands do not change a number."""
    assert is_same_value(f"{number:,}", str(number)) is True


@given(st.dates())
def test_a_date_in_words_is_the_date(day: object) -> None:
    """ISO, words and Chinese agree on every date of four digits' years."""
    assert is_same_value(f"{day:%B} {day:%d}, {day:%Y}", f"{day:%Y-%m-%d}") in {True, None}
