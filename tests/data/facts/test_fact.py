"""Names are compared without regard to how they are written."""

from __future__ import annotations

import datetime

import pytest

from nescio.data.facts.dates import write_day
from nescio.data.facts.elements import group_of, period_of
from nescio.data.facts.fact import Fact, collect_aliases, draw, fold, mentions, parts_of, sample
from nescio.data.facts.groups import group_entities, split_of_group


@pytest.mark.parametrize(("first", "second"), [("São Tomé", "sao tome"), ("N'Djamena", "NDJAMENA"), ("東京", "東京")])
def test_spellings_fold_together(first, second):
    """Case, accents, apostrophes and spaces do not tell names apart."""
    assert fold(first) == fold(second)


def test_a_name_is_mentioned_as_whole_words_only():
    """Niger is not in Nigeria, but 印度 is in 印度尼西亚, where no space would show a word's end."""
    assert not mentions("Nigeria", "Niger")
    assert mentions("the Republic of Niger", "Niger")
    assert mentions("印度尼西亚", "印度")


def test_a_whole_is_no_part_of_itself():
    """Only what is shorter counts as part; numbers have none."""
    assert "south sudan" not in parts_of("South Sudan")
    assert "sudan" in parts_of("South Sudan")
    assert "印度" in parts_of("印度尼西亚")
    assert parts_of("1 May") == set()


def test_aliases_come_with_and_without_accents():
    """The usual form is first; letters that are no letter with a mark are plain letters too."""
    assert collect_aliases("Złoty", "Złoty", "", None) == ("Złoty", "Zloty")
    assert collect_aliases("ドイツ") == ("ドイツ",)


def test_draws_depend_on_the_key_alone():
    """The same key draws the same number, and a sample does not depend on order."""
    assert draw("a") == draw("a") != draw("b")
    assert sample(["a", "b", "c", "d"], 2, "s") == sample(["d", "c", "b", "a"], 2, "s")


def test_days_are_written_as_the_language_does():
    """The first of a month has a form of its own in French."""
    day = datetime.date(2024, 5, 1)

    assert write_day(day, "fr")[0] == "1er mai"
    assert write_day(day, "de")[0] == "1. Mai"
    assert write_day(day, "es")[0] == "1 de mayo"
    assert write_day(day, "ja") == ("5月1日",)


def test_the_periodic_table_has_its_shape():
    """Group sizes: 1 and 18 hold seven elements each; group 3 only scandium and yttrium, as the rest is disputed."""
    groups = [group_of(number) for number in range(1, 119)]

    assert groups.count(1) == groups.count(18) == 7
    assert groups.count(2) == 6
    assert groups.count(3) == 2
    assert all(groups.count(group) == 4 for group in range(4, 13))
    assert all(groups.count(group) == 6 for group in range(13, 18))
    assert [sum(period_of(n) == period for n in range(1, 119)) for period in range(1, 8)] == [2, 8, 8, 18, 18, 32, 32]


def test_kin_and_namesakes_stay_together():
    """A capital lies with its country, a city with its namesake, a misspelling with the name."""
    facts = [
        Fact("capital", "en", "country:FR", 1, "France", ("Paris",), names="country", kin=("city:1",)),
        Fact("city_country", "en", "city:1", 1, "Paris", ("France",), names="city"),
        Fact("city_country", "en", "city:2", 1, "PARIS", ("France",), names="city"),
        Fact("city_country", "en", "city:3", 1, "Constantinopolis", ("Turkey",), names="city"),
        Fact("city_country", "en", "city:4", 1, "Constantinopoliss", ("Turkey",), names="city"),
        Fact("alpha2_of", "en", "country:IT", 1, "paris", ("Italy",)),
    ]
    groups = group_entities(facts)

    assert groups["country:FR"] == groups["city:1"] == groups["city:2"]
    assert groups["city:3"] == groups["city:4"] != groups["city:1"]
    assert groups["country:IT"] != groups["city:1"]


def test_splits_come_near_their_shares():
    """55, 15 and 30 % of many groups, within three standard errors of 10,000 draws (0.015)."""
    splits = [split_of_group(f"group:{i}") for i in range(10_000)]

    assert abs(splits.count("train") / 10_000 - 0.55) < 0.015
    assert abs(splits.count("test") / 10_000 - 0.30) < 0.015
