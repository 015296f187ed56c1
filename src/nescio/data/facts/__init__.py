"""A question bank that needs no download, made from well-kept data packages (docs/facts.md)."""

from nescio.data.facts.build import build_facts
from nescio.data.facts.fact import LANGUAGES

__all__ = ["LANGUAGES", "build_facts"]
