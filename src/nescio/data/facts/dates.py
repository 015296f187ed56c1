"""Facts about dates: national holidays, Easter and the lunar new year."""

from __future__ import annotations

import datetime
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator

from nescio.data.facts.fact import LANGUAGES, Fact, code_set
from nescio.data.facts.geography import country_name, load_countries, load_locale
from nescio.data.facts.packages import load_package

_YEARS = range(1950, 2051)
_LUNAR_YEARS = range(1950, 2041)
_PRESENT = 2025
"""Years are the better known the nearer they are to this one."""
_HOLIDAY_YEARS = (2012, 2016, 2019, 2021, 2022, 2023, 2024, 2025)
_HOLIDAY = re.compile(
    r"(?:Independence|National|Republic|Constitution|Liberation|Revolution|Flag|Victory|Armed Forces|Army|Unity|Martyrs'|Heroes'|"
    r"Statehood|Reconciliation|Emancipation|Memorial|Freedom|Culture|Foundation|Restoration|Throne|Waitangi|Reformation) Day"
)
# Governments that changed their calendar of late.
_IN_FLUX = code_set("AF BD BF BY GA IL KP KZ ML NE NR SO SS SY TH YE")

# Days that the law shifts to a neighbouring weekday, and names that fit another day as well.
_MOVED = {
    ("CL", "Reformation Day"),
    ("DO", "Constitution Day"),
    ("GT", "Army Day"),
    ("GT", "Revolution Day"),
    ("MG", "Republic Day"),
    ("PL", "National Day"),
}


def list_date_facts() -> Iterator[Fact]:
    """Facts of every relation whose answer is a day."""
    easter = load_package("dateutil.easter")
    for year in _YEARS:
        entity, measure = f"year:{year}", -float(abs(year - _PRESENT))
        for language in LANGUAGES:
            answers = write_day(easter.easter(year, easter.EASTER_WESTERN), language)
            yield Fact("easter", language, entity, measure, str(year), answers)
        yield Fact(
            "orthodox_easter", "en", entity, measure, str(year), write_day(easter.easter(year, easter.EASTER_ORTHODOX), "en")
        )
    calendar = load_package("holidays.calendars")._ChineseLunisolar()
    for year in _LUNAR_YEARS:
        day, _ = calendar.lunar_new_year_date(year)
        for language in LANGUAGES:
            if day is not None:
                entity, measure = f"year:{year}", -float(abs(year - _PRESENT))
                yield Fact("lunar_new_year", language, entity, measure, str(year), write_day(day, language))
    yield from _national_holidays()


def write_day(day: datetime.date, language: str) -> tuple[str, ...]:
    """A day without its year, in the ways that a language writes it.

    Examples:
        >>> write_day(datetime.date(2024, 3, 1), "en")
        ('March 1', '1 March', '1 of March', 'Mar 1', '1 Mar')
    """
    locale, number = load_locale(language), day.day
    month = locale.months["format"]["wide"][day.month]
    short = locale.months["format"]["abbreviated"][day.month].rstrip(".")
    if language in {"zh", "ja"}:
        return (f"{day.month}月{number}日", f"{day.month}月{number}号") if language == "zh" else (f"{day.month}月{number}日",)
    forms = {
        "en": (f"{month} {number}", f"{number} {month}", f"{number} of {month}", f"{short} {number}", f"{number} {short}"),
        "de": (f"{number}. {month}", f"{number:02}.{day.month:02}", f"{number}.{day.month}"),
        "es": (f"{number} de {month}", *((f"primero de {month}",) if number == 1 else ())),
        "fr": (*((f"1er {month}",) if number == 1 else ()), f"{number} {month}"),
    }
    return tuple(dict.fromkeys(forms[language]))


def _national_holidays() -> Iterator[Fact]:
    """Public holidays that fell on one and the same day in all the years looked at."""
    holidays = load_package("holidays")
    localized = holidays.list_localized_countries()
    supported = holidays.list_supported_countries()
    for code, country in load_countries().items():
        if code not in supported or code in _IN_FLUX:
            continue
        days: defaultdict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
        language = "en_US" if "en_US" in localized.get(code, ()) else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some calendars begin after our first year
            calendar = holidays.country_holidays(code, years=_HOLIDAY_YEARS, language=language, observed=False)
        for day, names in calendar.items():
            for name in names.split("; "):
                days[name][day.month, day.day] += 1
        for name, found in sorted(days.items()):
            steady = len(found) == 1 and sum(found.values()) == len(_HOLIDAY_YEARS)
            if steady and _is_plain(name) and (code, name) not in _MOVED:
                (month, number), _ = found.most_common(1)[0]
                details = (("holiday", name),)
                answers = write_day(datetime.date(2024, month, number), "en")
                shown = country_name(code, "en")
                yield Fact(
                    "national_holiday", "en", country.key, country.population, shown, answers, names="country", details=details
                )


def _is_plain(name: str) -> bool:
    """Whether a holiday's name is short, tells of the country's history and does not tell the date."""
    telling = _HOLIDAY.search(name) and not name.endswith("Holiday") and "(" not in name
    return bool(telling) and len(name) < 45 and not any(char.isdigit() for char in name)
