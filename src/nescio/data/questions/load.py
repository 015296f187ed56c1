"""Questions in: from a file, from the hub, or by the name of a setting."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from nescio.data.overlap import normalise_question
from nescio.data.questions.columns import Columns, Fields, read_fields
from nescio.data.questions.hub import find_only_split, read_hub
from nescio.data.questions.settings import SETTINGS, Original, Setting
from nescio.data.questions.tables import ENDINGS, SourceRow, read_table
from nescio.errors import ConfigError, DataError, describe_unknown
from nescio.records import Question
from nescio.store import explain_validation

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_DIGEST_LENGTH = 16
"""Hex digits of a key that is made of text: among a million texts, two meet with a chance of 3 in 100 million."""


class _Source(NamedTuple):
    """A source that is open for reading."""

    name: str
    """What made ids begin with."""
    rows: Iterator[tuple[str | None, SourceRow]]
    """Split and row."""
    columns: Columns
    setting: Setting | None


def load_questions(
    source: str | Path,
    *,
    columns: Columns | None = None,
    setting: str | None = None,
    split: str | None = None,
    config: str | None = None,
    limit: int | None = None,
) -> list[Question]:
    """Read questions from a file, a data set of the hub, or by the name of a setting (docs/questions.md).

    Reading is strict: the first row that cannot be read stops it. Answers keep their order, without repeats. Where no
    column holds ids, an id is made of question, context and choices, and so does not depend on the order of the rows.
    Obscurity is the rank by popularity among the questions read, from 0 (the best known) to 1; ties share their mean rank.
    Questions of a benchmark say so in `metadata`: `benchmark`, and `benchmark_split` as `train`, `dev` or `test`.

    Args:
        source: A JSONL, JSON, CSV, TSV or Parquet file, also compressed (`.gz`); the name of a setting, or an id of the hub
            (`owner/name`), to stream from the hub; with `setting`, a file or folder of a data set as it was published.
        columns: Which column holds what; by default, columns that are called like the fields of a question.
        setting: Name in `SETTINGS` by which to read the file or folder.
        split: One split only. From the hub: by default the first that the setting names, or the only one there is. Of
            files: by default all; in a JSON file with several lists, the list of that name.
        config: Configuration of a data set of the hub that has several.
        limit: Read only the first so many rows, at least 1.

    Returns:
        Questions in the order of the rows, at least one.

    Raises:
        ConfigError: The setting or the limit cannot be, or columns are given for files that a setting reads.
        DataError: The source is missing, empty or faulty (with file and line), has no such split, or repeats an id.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}; leave it out to read all")
    opened = _open_source(source, columns=columns, setting=setting, split=split, config=config)
    drafts = [(part, read_fields(row, opened.columns)) for part, row in itertools.islice(opened.rows, limit)]
    if not drafts:
        raise DataError(f"'{source}' holds no rows")
    return _make_questions(opened, drafts)


def _open_source(
    source: str | Path, *, columns: Columns | None, setting: str | None, split: str | None, config: str | None
) -> _Source:
    path, text = Path(source), str(source)
    if setting is not None:
        if setting not in SETTINGS:
            raise ConfigError(describe_unknown("setting", setting, SETTINGS))
        if columns is not None:
            raise ConfigError(f"setting '{setting}' has columns of its own; give either columns or a setting")
        return _open_original(path, setting, split)
    if path.is_dir() and text not in SETTINGS:
        raise DataError(f"'{path}' is a folder; name a file in it, or the setting that reads it")
    if path.is_file():
        rows = ((split, row) for row in read_table(path, key=split))
        return _Source(path.name.split(".")[0] or path.name, rows, columns or Columns(), None)
    if text in SETTINGS:
        return _open_hub_setting(text, columns, split, config)
    if path.suffix in (*ENDINGS, ".gz"):
        raise DataError(f"'{path}' does not exist")
    if not _HUB_ID.fullmatch(text):
        known = describe_unknown("setting", text, SETTINGS)
        raise DataError(f"'{text}' does not exist; expected a file, an id of the hub (owner/name), or a setting: {known}")
    known_as = _find_hub_setting(text, config)
    if known_as is not None:
        return _open_hub_setting(known_as, columns, split, config)
    chosen = split or find_only_split(text, config=config)
    rows = ((chosen, row) for row in read_hub(text, config=config, split=chosen))
    return _Source(text.rpartition("/")[2], rows, columns or Columns(), None)


def _find_hub_setting(hub_id: str, config: str | None) -> str | None:
    """The setting of a data set of the hub, so that a benchmark is one by whatever name it is asked for."""
    configs = {name: setting.hub.config for name, setting in SETTINGS.items() if setting.hub and setting.hub.id == hub_id}
    exact = [name for name in configs if configs[name] == config]
    return next(iter([*exact, *configs]), None)


def _open_hub_setting(name: str, columns: Columns | None, split: str | None, config: str | None) -> _Source:
    setting = SETTINGS[name]
    hub = setting.hub
    if hub is None:
        raise DataError(
            f"'{name}' is not on the hub: get its files from {setting.home}, and give their path and setting '{name}'"
        )
    chosen = split or hub.splits[0]
    if chosen not in hub.splits:
        raise DataError(f"'{name}': {describe_unknown('split', chosen, hub.splits)}")
    rows = ((chosen, row) for row in read_hub(hub.id, config=config or hub.config, split=chosen))
    return _Source(name, rows, columns or hub.columns, setting)


def _open_original(path: Path, name: str, split: str | None) -> _Source:
    original = SETTINGS[name].original
    if original is None:
        raise ConfigError(f"setting '{name}' reads from the hub only; give '{name}' itself as the source")
    if not path.exists():
        raise DataError(f"'{path}' does not exist; the files of '{name}' are at {SETTINGS[name].home}")
    splits = {split for split in original.files.values() if split} or set(SETTINGS[name].roles)
    if split is not None and split not in splits:
        raise DataError(f"'{name}': {describe_unknown('split', split, splits)}")
    files = [(file, part) for file, part in _find_files(path, original) if split is None or part in (None, split)]
    if not files:
        expected = [pattern for pattern, part in original.files.items() if split is None or part in (None, split)]
        raise DataError(f"'{path}' is no file of '{name}'; expected {' or '.join(expected)}")
    rows = ((row.cells.get("split", part), row) for file, part in files for row in original.read(file))
    return _Source(name, (pair for pair in rows if split in (None, pair[0])), original.columns, SETTINGS[name])


def _find_files(path: Path, original: Original) -> list[tuple[Path, str | None]]:
    """Files of a data set with their splits, in the order of the setting, then by name."""
    if path.is_file():
        return [(path, split) for pattern, split in original.files.items() if path.match(pattern)][:1]
    return [(file, split) for pattern, split in original.files.items() for file in sorted(path.rglob(pattern)) if file.is_file()]


def _make_questions(opened: _Source, drafts: Sequence[tuple[str | None, Fields]]) -> list[Question]:
    obscurity = _rank_obscurity([fields.popularity for _, fields in drafts])
    places: dict[str, str] = {}
    questions = []
    for (split, fields), rank in zip(drafts, obscurity, strict=True):
        row_id = _choose_id(opened, split, fields, places)
        options, choice = _shuffle(fields) if opened.setting and opened.setting.shuffled else (fields.choices, fields.choice)
        answerable = fields.answerable
        if answerable is None and opened.setting and opened.setting.unanswerable_without_answers:
            answerable = bool(fields.answers)
        origin = " ".join(part for part in (opened.name, split) if part)
        try:
            question = Question(
                id=row_id,
                group=_choose_group(fields),
                question=fields.question,
                context=fields.context,
                answers=fields.answers,
                choices=options,
                choice=choice,
                answerable=answerable,
                language=fields.language,
                relation=fields.relation,
                phrasing=fields.phrasing,
                obscurity=rank if fields.obscurity is None else fields.obscurity,
                source=origin if opened.setting else fields.source or origin,
                metadata=fields.metadata | _mark_benchmark(opened, split),
            )
        except ValidationError as error:
            raise DataError(f"{fields.place}: {explain_validation(error)}") from error
        questions.append(question)
    return questions


def _choose_id(opened: _Source, split: str | None, fields: Fields, places: dict[str, str]) -> str:
    """The row's own id, or one made of its text; `places` remembers the ids that are taken."""
    if fields.id is not None:
        row_id = f"{opened.name}-{fields.id}" if opened.setting else fields.id
        if row_id in places:
            raise DataError(f"{fields.place}: id '{fields.id}' was already used in {places[row_id]}")
    else:
        content = json.dumps([fields.question, fields.context, fields.choices])
        stem = "-".join(part for part in (opened.name, split, _digest(content)) if part)
        numbered = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
        row_id = next(candidate for candidate in numbered if candidate not in places)
    places[row_id] = fields.place
    return row_id


def _choose_group(fields: Fields) -> str:
    """The source's group, else the entity, else a key of the question that its case and punctuation do not change."""
    if fields.group is not None:
        return fields.group
    if fields.entity is not None:
        return normalise_question(fields.entity) or fields.entity
    return f"question-{_digest(normalise_question(fields.question) or fields.question)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]


def _shuffle(fields: Fields) -> tuple[tuple[str, ...], int | None]:
    """Options in the order of their digests with the question: neither first nor last is the right one more often."""
    order = sorted(range(len(fields.choices)), key=lambda i: _digest(f"{fields.question}\n{fields.choices[i]}"))
    choice = None if fields.choice is None else order.index(fields.choice)
    return tuple(fields.choices[i] for i in order), choice


def _mark_benchmark(opened: _Source, split: str | None) -> dict[str, str]:
    if opened.setting is None or not opened.setting.roles:
        return {}
    role = opened.setting.roles[split or ""]
    return {"benchmark": opened.setting.benchmark or opened.name, "benchmark_split": role}


def _rank_obscurity(popularity: Sequence[float | None]) -> list[float | None]:
    """Mean rank from the most popular, divided by the number of the others; None without a popularity or others.

    Examples:
        >>> _rank_obscurity([10, 500, None, 10])
        [0.75, 0.0, None, 0.75]
    """
    known = sorted((value for value in popularity if value is not None), reverse=True)
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for rank, value in enumerate(known):
        first.setdefault(value, rank)
        last[value] = rank
    if len(known) < 2:
        return [None] * len(popularity)
    return [None if value is None else (first[value] + last[value]) / 2 / (len(known) - 1) for value in popularity]
