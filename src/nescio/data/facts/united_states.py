"""Facts about the states of the United States: capital, year of statehood, postal code, area codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from nescio.data.facts.fact import Fact, collect_aliases
from nescio.data.facts.geography import find_city, load_cities
from nescio.data.facts.packages import load_package


def list_state_facts() -> Iterator[Fact]:
    """Facts of every relation whose subject is a state of the US; the measure is the population of its cities."""
    people = Counter[str]()
    for city in load_cities(500):
        if city.country == "US":
            people[city.admin1] += city.population
    for state in sorted(load_package("us").STATES, key=lambda state: state.abbr):
        yield from _state(state, float(people[state.abbr]))
    yield from _area_codes(people)


def _state(state: Any, people: float) -> Iterator[Fact]:
    entity = f"state:{state.abbr}"
    capital = find_city(state.capital, "US")
    kin = (capital.key,) if capital and capital.admin1 == state.abbr else ()
    saint = (state.capital.replace("St. ", "Saint "),) if state.capital.startswith("St. ") else ()
    yield Fact("state_capital", "en", entity, people, state.name, (state.capital, *saint), names="state", kin=kin)
    yield Fact("capital_state", "en", entity, people, state.capital, (state.name,), names="us_city", kin=kin)
    yield Fact("statehood", "en", entity, people, state.name, (str(state.statehood_year),), names="state", kin=kin)
    yield Fact("state_abbreviation", "en", entity, people, state.name, (state.abbr,), names="state", kin=kin)
    yield Fact("abbreviation_state", "en", entity, people, state.abbr, (state.name,), kin=kin)


def _area_codes(people: Counter[str]) -> Iterator[Fact]:
    """Area codes that lie in one state."""
    states = load_package("us").STATES
    by_name = {state.name: state for state in states} | {f"{state.name} State": state for state in states}
    by_abbreviation = {state.abbr: state for state in states}
    for prefix, names in sorted(load_package("phonenumbers.geodata").GEOCODE_DATA.items()):
        if len(prefix) == 4 and prefix.startswith("1"):
            place = names.get("en", "")
            state = by_name.get(place) or by_abbreviation.get(place.rpartition(", ")[2])
            if state is not None:
                answers = collect_aliases(state.name)
                yield Fact("area_code_state", "en", f"area_code:{prefix[1:]}", people[state.abbr], prefix[1:], answers)
