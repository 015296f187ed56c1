"""Facts about the sky: the constellation of a star, the abbreviations of the constellations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from nescio.data.facts.fact import Fact
from nescio.data.facts.packages import load_package

_POINTS = 4000
"""On a grid of equal areas; the smallest constellation gets six of them."""
# Spellings in the catalogue that nobody uses, and one name that two stars bear.
_MISSPELT = {"Adara", "Albereo", "Alcaid", "Formalhaut", "Gienah", "Gienah Corvi", "Suhail"}
# Serpens lies in two parts, which ephem names one by one.
_ALSO = {
    "Bootes": ("Boötes",),
    "Serpens Caput": ("Serpens",),
    "Ursa Major": ("Great Bear", "Big Dipper"),
    "Ursa Minor": ("Little Bear", "Little Dipper"),
    "Crux": ("Southern Cross",),
    "Scorpius": ("Scorpio",),
    "Capricornus": ("Capricorn",),
    "Canis Major": ("Great Dog",),
    "Canis Minor": ("Little Dog",),
}


def list_sky_facts() -> Iterator[Fact]:
    """Facts of every relation whose subject is a star or a constellation."""
    ephem = load_package("ephem")
    first: dict[tuple[float, float], str] = {}
    for name in sorted(load_package("ephem.stars").stars):
        if name not in _MISSPELT:
            star = ephem.star(name)
            star.compute("2000/1/1")
            constellation = ephem.constellation(star)[1]
            answers = (constellation, *_ALSO.get(constellation, ()))
            # Magnitudes count down: the brightest star has the smallest.
            # Names of one and the same star, such as Hadar and Agena, must not be torn apart.
            place = (round(float(star.ra), 3), round(float(star.dec), 3))
            kin = (first.setdefault(place, f"star:{name}"),)
            yield Fact("star_constellation", "en", f"star:{name}", -float(star.mag), name, answers, names="star", kin=kin)
    for (abbreviation, name), area in sorted(_measure_constellations().items()):
        if not name.startswith("Serpens"):
            entity = f"constellation:{abbreviation}"
            yield Fact("constellation_abbreviation", "en", entity, area, name, (abbreviation,), names="constellation")
            yield Fact("abbreviation_constellation", "en", entity, area, abbreviation, (name, *_ALSO.get(name, ())))


def _measure_constellations() -> Counter[tuple[str, str]]:
    """Area by (abbreviation, name): how many points of a Fibonacci grid on the sphere lie in it."""
    constellation = load_package("ephem").constellation
    turn = math.pi * (3 - math.sqrt(5))
    points = ((i * turn % (2 * math.pi), math.asin(1 - (2 * i + 1) / _POINTS)) for i in range(_POINTS))
    return Counter(constellation(point) for point in points)
