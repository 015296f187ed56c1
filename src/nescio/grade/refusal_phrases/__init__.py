"""Phrases by which a reply refuses, hedges, hands over or says nothing: one file a language beside this module.

A file holds regular expressions, one a line, under the role that they play; `#` begins a comment, and `NAME = ...` under
`[define]` an abbreviation for `<NAME>` below it. They are matched on one folded clause (`nescio.grade.refusal`): lower case,
straight apostrophes, "ss" for "ß", one space between words, no punctuation. Let no repetition be without a bound where it
can follow another, so that matching stays linear in time. A file `<language>.txt` more is a language more.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

Cue = Literal["declines", "doubts", "no such thing", "misses information", "cannot", "unknowable", "ignorant", "asks back"]
"""What a phrase of refusal says.

`declines` refuses whatever else is said; `doubts` refuses only where nothing else is said; `cannot` names a sense, a tool or
an expertise that is lacking; the others say why there is no answer.
"""
CUES: tuple[Cue, ...] = get_args(Cue)
"""In the order in which they are tried: the first that matches a clause names it."""

Role = Literal[
    "tentative", "filler", "redirect", "retraction", "reported before", "reported after", "denied", "denied after",
    "question word", "starts with question word", "subordinate", "setting", "contrast", "ends in contrast", "cause",
    "ends in cause", "dangling",
]  # fmt: skip
"""What another phrase does in its clause: it guesses, is a courtesy, points elsewhere, takes back, and so on."""


_ROLES = {"define", *CUES, *get_args(Role)}


@cache
def phrases(role: Cue | Role) -> re.Pattern[str]:
    """Matches a phrase of this role in any of the languages."""
    return re.compile("|".join(line for language in _read_languages() for line in language.get(role, ())))


@cache
def _read_languages() -> tuple[dict[str, list[str]], ...]:
    sheets = sorted((sheet for sheet in files(__package__).iterdir() if sheet.name.endswith(".txt")), key=lambda s: s.name)
    return tuple(_read_sheet(sheet.read_text("utf-8")) for sheet in sheets)


def _read_sheet(text: str) -> dict[str, list[str]]:
    roles: dict[str, list[str]] = {}
    defined: dict[str, str] = {}
    role = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.strip("[]") in _ROLES:
            role = line.strip("[]")
            continue
        name, _, pattern = line.rpartition(" = ")
        pattern = re.sub(r"<[A-Z_]+>", lambda match: defined[match[0]], pattern)
        if role == "define":
            defined[f"<{name}>"] = pattern
        else:
            roles.setdefault(role, []).append(pattern)
    return roles
