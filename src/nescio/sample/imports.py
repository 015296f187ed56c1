"""Samples that another tool has drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nescio.errors import DataError
from nescio.records import Question, Sample, Text
from nescio.store import explain_validation, read_json_lines


class _AnswersRow(BaseModel):
    """All answers to a question in one row."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Text
    samples: list[str]
    greedy: str | None = None


class _AnswerRow(BaseModel):
    """One answer; what else a sample may hold goes into it unchanged."""

    model_config = ConfigDict(extra="allow", strict=True)

    question_id: Text
    text: str
    index: Annotated[int, Field(ge=0)] | None = None


class _Numbered(NamedTuple):
    line: int
    sample: Sample


def import_samples(
    path: str | Path,
    questions: Iterable[Question],
    *,
    skip_unknown: bool = False,
    on_skipped: Callable[[int], None] | None = None,
) -> list[Sample]:
    """Read samples that another tool has drawn.

    A row is one sample, `{"question_id": ..., "text": ...}` and whatever else a `Sample` holds, or all samples of a question,
    `{"id": ..., "samples": [...], "greedy": ...}`. Without an `index` samples are numbered from 1, in the order of the file;
    a `greedy` answer is number 0.

    Args:
        path: JSONL.
        questions: Those that the samples may belong to; a question may have none.
        skip_unknown: Leave out the samples of other questions.
        on_skipped: Called with the number of samples left out, where there are any.

    Returns:
        Samples in the order of the questions, then of their indices.

    Raises:
        DataError: The file is missing, empty, torn or not UTF-8, a row is neither of the two (with its line), a sample occurs
            twice, or samples belong to no question and are not to be skipped.
    """
    known = {question.id: place for place, question in enumerate(questions)}
    numbered = _read_samples(path)
    unknown = [one for one in numbered if one.sample.question_id not in known]
    if unknown and not skip_unknown:
        line, first = unknown[0]
        raise DataError(
            f"{path}:{line}: no question has the id '{first.question_id}'; {len(unknown)} of {len(numbered)} samples belong to "
            "no question; name the file of their questions, or skip the samples of unknown ones"
        )
    if unknown and on_skipped:
        on_skipped(len(unknown))
    samples = [one.sample for one in numbered if one.sample.question_id in known]
    return sorted(samples, key=lambda sample: (known[sample.question_id], sample.index))


def _read_samples(path: str | Path) -> list[_Numbered]:
    """All samples of a file with their lines, numbered."""
    found: list[_Numbered] = []
    lines: dict[tuple[str, int], int] = {}
    last: dict[str, int] = {}
    for line, row in read_json_lines(path):
        try:
            samples = list(_read_row(row, last))
        except ValidationError as error:
            raise DataError(f"{path}:{line}: {explain_validation(error)}") from error
        except TypeError as error:
            raise DataError(f"{path}:{line}: {error}") from error
        for sample in samples:
            key = sample.question_id, sample.index
            if key in lines:
                raise DataError(
                    f"{path}:{line}: sample {sample.index} of question '{sample.question_id}' was already in line {lines[key]}"
                )
            lines[key] = line
            last[sample.question_id] = max(last.get(sample.question_id, 0), sample.index)
            found.append(_Numbered(line, sample))
    if not found:
        raise DataError(f"'{path}' holds no samples")
    return found


def _read_row(row: Any, last: dict[str, int]) -> Iterator[Sample]:
    """The samples of a row; `last` is the highest index so far of each question."""
    if isinstance(row, dict) and "question_id" in row:
        one = _AnswerRow.model_validate(row)
        index = last.get(one.question_id, 0) + 1 if one.index is None else one.index
        yield Sample.model_validate({**row, "index": index})
    elif isinstance(row, dict) and "id" in row:
        many = _AnswersRow.model_validate(row)
        texts: Sequence[str | None] = [many.greedy, *many.samples]
        base = last.get(many.id, 0)
        for place, text in enumerate(texts):
            if text is not None:
                yield Sample(question_id=many.id, index=base + place if place else 0, text=text)
    else:
        raise TypeError("a row must be an object with 'question_id' and 'text', or with 'id' and 'samples'")
