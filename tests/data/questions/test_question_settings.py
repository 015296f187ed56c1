"""The table of settings is sound, and is what the docs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from nescio.data.questions import SETTINGS, Setting

DOCS = Path(__file__).parents[3] / "docs" / "questions.md"


def list_splits(setting: Setting, splits: list[str]) -> str:
    """Splits with the test sets in bold."""
    return ", ".join(f"**{split}**" if setting.roles.get(split) == "test" else split for split in splits)


def splits_of_files(setting: Setting) -> list[str]:
    """In the order in which they are read; where the rows tell their split, those of the setting's roles."""
    if setting.original is None:
        return []
    named = [split for split in setting.original.files.values() if split]
    return list(dict.fromkeys(named)) or ["dev", "test"]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_docs_have_each_setting_as_it_is(name: str) -> None:
    """Hub id, configuration, licence, splits and test sets: a row that is out of date would mislead."""
    setting = SETTINGS[name]
    config = f" ({setting.hub.config})" if setting.hub and setting.hub.config else ""
    hub = f"`{setting.hub.id}`{config}" if setting.hub else ""
    on_hub = list_splits(setting, list(setting.hub.splits) if setting.hub else [])
    files = list_splits(setting, splits_of_files(setting))

    assert f"| `{name}` | {setting.about} | {setting.licence} | {hub} | {on_hub} | {files} |\n" in DOCS.read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_every_split_of_a_benchmark_has_its_role(name: str) -> None:
    """A split without a role would be neither refused nor allowed; a benchmark without a test split would be none."""
    setting = SETTINGS[name]
    splits = {*(setting.hub.splits if setting.hub else ()), *splits_of_files(setting)}

    assert setting.hub or setting.original
    assert not setting.roles or splits <= setting.roles.keys()
    assert not setting.roles or "test" in setting.roles.values()
