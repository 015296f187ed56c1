"""Readers for the original files of public data sets that are no plain tables.

Each takes a file and yields rows whose columns are called like the fields of a question; what the files are like is
described in docs/questions.md.
"""

from __future__ import annotations

import functools
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nescio.data.questions.tables import SourceRow, parse_csv_cells, parse_json, read_content, read_table
from nescio.errors import DataError
from nescio.store import read_json

_LETTERED = re.compile(r"[A-Z]\. (?P<text>.+)")
_MMLU_FILE = re.compile(r"(?P<subject>.+)_(?:dev|val|test)")


def read_keyed_splits(path: Path) -> Iterator[SourceRow]:
    """Rows of a JSON file with a list of rows for each split, such as `dev` and `test`."""
    for split in ("dev", "test"):
        for row in read_table(path, key=split):
            yield row._replace(cells={**row.cells, "split": split})


def read_mmlu(path: Path) -> Iterator[SourceRow]:
    """MMLU: CSV without a header; question, options, letter. The subject is in the file's name."""
    named = _MMLU_FILE.fullmatch(path.stem)
    subject = named["subject"] if named else path.stem
    for place, cells in parse_csv_cells(str(path), read_content(path)):
        if len(cells) < 4:
            raise DataError(f"{place}: expected a question, its options and a letter, got {len(cells)} cells; mend the row")
        question, *options, letter = cells
        yield SourceRow(
            place,
            {"question": question, "choices": options, "choice": letter, "metadata": {"subject": subject.replace("_", " ")}},
        )


def read_openbookqa(path: Path) -> Iterator[SourceRow]:
    """OpenBookQA with its options in one block of text, `A. ...` in each line."""
    for row in read_table(path):
        options = str(row.cell("options")).splitlines()
        right = str(row.cell("answer"))
        matches = [_LETTERED.fullmatch(option) for option in options]
        if right not in options or None in matches:
            raise DataError(f"{row.place}: expected options such as 'A. text' and an answer that is one of them; mend the row")
        texts = [match["text"] for match in matches if match]
        yield row._replace(cells={"question": row.cell("question"), "choices": texts, "choice": str(options.index(right))})


def read_entityquestions(path: Path) -> Iterator[SourceRow]:
    """EntityQuestions: a JSON list for each relation of Wikidata, also in a tar archive.

    The entity is what stands in the relation's template, where the file of templates lies in the folder of the splits
    or in that of the relations.
    """
    templates = _read_templates(str(path.parent), str(path.parent.parent))
    for name, content in _read_members(path):
        relation, split = Path(name).name.split(".")[:2]
        before, after = templates.get(relation, ("", ""))
        frame = re.compile(f"{re.escape(before)}(?P<entity>.+){re.escape(after)}") if before or after else None
        for index, row in enumerate(parse_json(f"{path}/{name}" if name != path.name else str(path), content)):
            found = frame.fullmatch(str(row.cell("question"))) if frame else None
            yield row._replace(
                cells={
                    "id": f"{split}-{relation}-{index}",
                    "question": row.cell("question"),
                    "answers": row.cell("answers"),
                    "relation": relation,
                    "entity": found["entity"] if found else None,
                }
            )


@functools.cache
def _read_templates(*folders: str) -> dict[str, tuple[str, str]]:
    """What stands before and after the entity, by relation."""
    for folder in folders:
        file = Path(folder) / "relation_query_templates.json"
        if file.is_file():
            parts = ((relation, template.partition("[X]")) for relation, template in read_json(file).items())
            return {relation: (before, after) for relation, (before, _, after) in parts}
    return {}


def _read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    if not path.name.endswith(".tar.gz"):
        yield path.name, read_content(path)
        return
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(".json") else None
                if file is not None:
                    yield member.name, file.read()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"'{path}' is not a whole tar archive ({error}); fetch it again") from error


def read_umwp(path: Path) -> Iterator[SourceRow]:
    """UMWP: word problems, the unanswerable ones with the number of their answerable twin."""
    for row in read_table(path):
        answerable = row.cell("answerable")
        twins = row.cell("relevant_ids") or [row.cell("id")]
        yield row._replace(
            cells={
                "id": row.cell("id"),
                "group": f"umwp-{twins[0]}",
                "question": row.cell("question"),
                # Two unanswerable rows carry a stray number.
                "answers": row.cell("answer") if answerable else None,
                "answerable": answerable,
                "metadata": {"category": row.cell("category"), "origin": row.cell("source")},
            }
        )


def read_squad2(path: Path) -> Iterator[SourceRow]:
    """SQuAD 2: articles, their paragraphs, and questions on each; unanswerable means by its paragraph."""
    for article in read_table(path, key="data"):
        for number, paragraph in enumerate(article.cell("paragraphs"), start=1):
            passage = SourceRow(f"{article.place}, paragraph {number}", paragraph)
            for asked in passage.cell("qas"):
                row = SourceRow(f"{passage.place}, question '{asked.get('id')}'", asked)
                yield row._replace(
                    cells={
                        "id": row.cell("id"),
                        "entity": article.cell("title"),
                        "question": row.cell("question"),
                        "context": passage.cell("context"),
                        "answers": [answer["text"] for answer in row.cell("answers")],
                        "answerable": not row.cell("is_impossible"),
                    }
                )


def read_truthfulqa_mc(path: Path) -> Iterator[SourceRow]:
    """TruthfulQA's choices with one right (mc1): an object of text to 1 or 0."""
    for row in read_table(path):
        targets = row.cell("mc1_targets")
        yield row._replace(cells={"question": row.cell("question"), "choices": list(targets), "choice": list(targets.values())})


def read_mintaka(path: Path) -> Iterator[SourceRow]:
    """Mintaka: each question in English and in its translations; gold answers as the file has them, entities in English."""
    for row in read_table(path):
        metadata = {
            "answer_type": row.cell("answer.answerType"),
            "answer_count": len(row.cell("answer.answer") or ()),
            "category": row.cell("category"),
            "complexity": row.cell("complexityType"),
        }
        shared = {"group": f"mintaka-{row.cell('id')}", "answers": _read_mintaka_answers(row), "metadata": metadata}
        for language, question in {"en": row.cell("question"), **row.cell("translations")}.items():
            own = {"id": f"{row.cell('id')}-{language}", "question": question, "language": language}
            yield row._replace(cells=own | shared)


def _read_mintaka_answers(row: SourceRow) -> list[Any]:
    if row.cell("complexityType") == "count":
        return [row.cell("answer.answerNum")]  # what was counted only supports it
    found = row.cell("answer.answer") or ()
    if row.cell("answer.answerType") != "entity":
        return list(found)
    # An entity that Wikidata does not have is told by its mention alone.
    return [*(item["label"] for item in found), row.cell("answer.mention")]


def read_liedetector(path: Path) -> Iterator[SourceRow]:
    """Facts of the lie-detector paper: an object of rows; what is told of invented people is no gold answer."""
    invented = "made_up" in path.name
    rows = read_json(path)
    if not isinstance(rows, dict):
        raise DataError(f"'{path}' is no object of rows; give the file as it was published")
    for key, cells in rows.items():
        row = SourceRow(f"{path}: row '{key}'", cells)
        category = str(row.cell("category"))
        yield row._replace(
            cells={
                "id": key,
                "question": row.cell("question"),
                "answers": () if invented else [row.cell("answer")],
                "answerable": False if invented and category.startswith("people_") else None,
                "metadata": {"category": category},
            }
        )


def read_open_trivia(path: Path) -> Iterator[SourceRow]:
    """OpenTriviaQA: blocks of `#Q` question, `^` right answer, and an option in each further line, `A` and on."""
    block: list[str] = []
    start = 0
    for number, raw in enumerate(read_content(path).split(b"\n"), start=1):
        line = _decode_either(raw).rstrip("\r")
        if line.startswith("#Q"):
            if block:
                yield _read_trivia_block(path, start, block)
            block, start = [line], number
        elif block and line.strip():
            block.append(line)
        elif line.strip():
            raise DataError(f"{path}:{number}: expected '#Q' and a question; mend or delete the line")
    if block:
        yield _read_trivia_block(path, start, block)


def _decode_either(line: bytes) -> str:
    """The files mix UTF-8 and cp1252 from line to line; five of its 256 bytes mean nothing."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _read_trivia_block(path: Path, start: int, block: Iterable[str]) -> SourceRow:
    lines = list(block)
    place = f"{path}:{start}"
    marks = [i for i, line in enumerate(lines) if line.startswith("^")]
    if len(marks) != 1:
        raise DataError(f"{place}: expected one right answer ('^'), got {len(marks)}; mend the block")
    question = "\n".join([lines[0].removeprefix("#Q"), *lines[1 : marks[0]]])
    # A few options are blank: they cannot be chosen, and the right one is told by its text.
    options = [line[2:].strip() for line in lines[marks[0] + 1 :]]
    answer = lines[marks[0]].removeprefix("^").strip()
    cells: dict[str, Any] = {"question": question, "answers": [answer], "choices": [option for option in options if option]}
    if answer not in cells["choices"]:
        raise DataError(f"{place}: the right answer is none of the options; mend the block")
    return SourceRow(place, cells | {"choice": answer, "metadata": {"category": path.name}})
