"""Everything that can be wrong with a data set, found in one pass and reported together."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, TypeVar

from nescio.data.overlap import find_near_duplicates
from nescio.data.rows import Row, RowsOfFile, read_rows
from nescio.errors import DataError
from nescio.records import DECISIONS, EVIDENCE_QUALITIES, Decision, EvidenceQuality, Record

K = TypeVar("K", bound=Hashable)

SPLIT_ORDER = ("train", "val", "validation", "calibration", "test")
"""File names looked for in a folder; a leak is charged to the later of two."""
MAX_EVIDENCE_NMI = 0.6
"""Above it, evidence quality says nearly nothing that the decision does not say."""
MIN_ROWS_FOR_NMI = 30
"""With fewer rows, chance alone brings the estimate near the limit (its bias is about 2 / rows nats): only a warning."""
SHARE_LIMITS = (0.25, 0.45)
"""A decision's share of the whole set."""
MIN_ROWS_FOR_SHARES = 300
"""With fewer rows, a share outside of the limits is only a warning."""


class Problem(Record):
    """One fault of a data set."""

    severity: Literal["error", "warning"]
    message: str
    """With file and line where there are any."""


class FileSummary(Record):
    """What one file holds."""

    path: str
    rows: int
    """Rows that could be read; the others are errors."""
    distinct: int
    """Questions (with context) that differ in more than case, punctuation and spacing."""
    decisions: dict[Decision, int]


class Leak(Record):
    """Rows of one file whose question also stands in an earlier one."""

    path: str
    earlier: str
    rows: int
    """Rows of the file that could be read."""
    exact: int
    """Rows whose normalised question and context are in the earlier file."""
    near: int
    """Further rows that are near-duplicates of one there (character 5-gram Jaccard >= 0.8)."""
    line: int
    """The first such row."""
    earlier_line: int
    """Its double in the earlier file."""


class ValidationReport(Record):
    """What was found; `ok` says whether the set may be used."""

    files: tuple[FileSummary, ...]
    decisions: dict[Decision, int]
    patterns: dict[str, dict[Decision, int]]
    """Empty for files without patterns."""
    evidence: dict[EvidenceQuality, dict[Decision, int]]
    evidence_nmi: float | None
    """Normalised mutual information of evidence quality and decision, in [0, 1]; None where either is constant."""
    leaks: tuple[Leak, ...]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings may remain."""
        return all(problem.severity != "error" for problem in self.problems)


def validate_files(paths: Sequence[Path]) -> ValidationReport:
    """Check a data set that lies in one or more files, each of them a split.

    Args:
        paths: JSONL files of examples, alpaca files (a JSON array of instruction, input and output, where the output is
            the JSON reply as a string), or folders that hold either under the names of splits.

    Raises:
        DataError: A path is missing or cannot be read, or a folder holds no split.
    """
    found = dict.fromkeys(file for path in paths for file in _expand(path))
    files = [read_rows(file) for file in sorted(found, key=_split_rank)]
    rows = [row for file in files for row in file.rows]
    nmi = normalised_mutual_information([(row.evidence_quality, row.decision) for row in rows])
    leaks = _find_leaks([file for file in files if file.rows])
    problems = [
        *_check_schema(files),
        *_check_ids(rows),
        *_check_groups(rows),
        *_check_repeats(files),
        *map(_describe_leak, leaks),
        *_check_evidence(rows, nmi),
        *_check_shares(rows),
    ]
    return ValidationReport(
        files=tuple(_summarise(file) for file in files),
        decisions=_count_decisions(rows),
        patterns=_count_by(sorted((row.example.pattern, row.decision) for row in rows if row.example)),
        evidence=_count_by(
            (quality, row.decision) for quality in EVIDENCE_QUALITIES for row in rows if row.evidence_quality == quality
        ),
        evidence_nmi=nmi,
        leaks=tuple(leaks),
        problems=tuple(problems),
    )


def normalised_mutual_information(pairs: Sequence[tuple[str, str]]) -> float | None:
    """How far two labels tell one another: I(X; Y) / sqrt(H(X) H(Y)), in [0, 1].

    Returns:
        None where a label is constant, or there are no pairs: the quotient is then undefined.

    References:
        Strehl and Ghosh: Cluster ensembles (JMLR 2002), equation 2.

    Examples:
        >>> normalised_mutual_information([("a", "x"), ("b", "y")])
        1.0
    """
    n = len(pairs)
    joint, left, right = Counter(pairs), Counter(x for x, _ in pairs), Counter(y for _, y in pairs)
    if len(left) < 2 or len(right) < 2:
        return None
    information = sum(count / n * math.log(count * n / (left[x] * right[y])) for (x, y), count in joint.items())
    # Rounding may leave [0, 1] by an ulp.
    return min(1.0, max(0.0, information / math.sqrt(_entropy(left) * _entropy(right))))


def _entropy(counts: Counter[str]) -> float:
    n = counts.total()
    return -sum(count / n * math.log(count / n) for count in counts.values())


def _expand(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [path / f"{name}{suffix}" for name in SPLIT_ORDER for suffix in (".jsonl", ".json")]
    found = [file for file in files if file.is_file()]
    if not found:
        raise DataError(f"folder '{path}' holds no split; expected files such as train.jsonl, calibration.jsonl and test.jsonl")
    return found


def _split_rank(path: Path) -> int:
    return SPLIT_ORDER.index(path.stem) if path.stem in SPLIT_ORDER else len(SPLIT_ORDER)


def _error(message: str) -> Problem:
    return Problem(severity="error", message=message)


def _check_schema(files: Iterable[RowsOfFile]) -> Iterator[Problem]:
    for file in files:
        yield from (_error(f"{file.path}:{fault.line}: {fault.message}") for fault in file.faults)
        if not file.rows:
            yield _error(f"{file.path}: no row can be read")


def _check_ids(rows: Iterable[Row]) -> Iterator[Problem]:
    seen: dict[str, Row] = {}
    for row in rows:
        if row.example is not None:
            first = seen.setdefault(row.example.id, row)
            if first is not row:
                yield _error(f"{row.path}:{row.line}: id '{row.example.id}' was already used in {first.path}:{first.line}")


def _check_groups(rows: Iterable[Row]) -> Iterator[Problem]:
    places: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        if row.example is not None:
            places[row.example.group].setdefault(row.path, row.line)
    for group, lines in places.items():
        if len(lines) > 1:
            listed = ", ".join(f"{path}:{line}" for path, line in lines.items())
            yield _error(f"group '{group}' crosses splits: {listed}; keep its rows in one file")


def _check_repeats(files: Iterable[RowsOfFile]) -> Iterator[Problem]:
    for path, rows, _ in files:
        first: dict[str, int] = {}
        repeats = [(row.line, first[row.text]) for row in rows if first.setdefault(row.text, row.line) != row.line]
        if repeats:
            line, earlier = repeats[0]
            yield _error(f"{path}:{line}: repeats the question of line {earlier}; {len(repeats)} of {len(rows)} rows are repeats")


def _find_leaks(files: Sequence[RowsOfFile]) -> list[Leak]:
    """Near-duplicates count across files only: twins of one group are nearly the same on purpose."""
    texts = list(dict.fromkeys(row.text for file in files for row in file.rows))
    near: defaultdict[str, list[str]] = defaultdict(list)
    for pair in find_near_duplicates(texts):
        near[texts[pair.first]].append(texts[pair.second])
        near[texts[pair.second]].append(texts[pair.first])
    leaks = (_find_leak(later, earlier, near) for earlier, later in combinations(files, 2))
    return [leak for leak in leaks if leak is not None]


def _find_leak(file: RowsOfFile, earlier: RowsOfFile, near: Mapping[str, list[str]]) -> Leak | None:
    first_line = {row.text: row.line for row in reversed(earlier.rows)}
    lines: list[tuple[int, int]] = []
    exact = 0
    for row in file.rows:
        double = next((text for text in (row.text, *near.get(row.text, ())) if text in first_line), None)
        if double is not None:
            lines.append((row.line, first_line[double]))
            exact += double == row.text
    if not lines:
        return None
    line, earlier_line = lines[0]
    return Leak(
        path=file.path,
        earlier=earlier.path,
        rows=len(file.rows),
        exact=exact,
        near=len(lines) - exact,
        line=line,
        earlier_line=earlier_line,
    )


def _describe_leak(leak: Leak) -> Problem:
    return _error(
        f"{leak.path}:{leak.line}: asks the question of {leak.earlier}:{leak.earlier_line}; {leak.exact + leak.near} of "
        f"{leak.rows} rows leak ({leak.exact} exact, {leak.near} near)"
    )


def _check_evidence(rows: Sequence[Row], nmi: float | None) -> Iterator[Problem]:
    if nmi is None:
        if rows:
            message = "evidence quality or decision is the same in every row: how far one follows the other is undefined"
            yield Problem(severity="warning", message=message)
    elif nmi > MAX_EVIDENCE_NMI:
        # Alpaca files come from elsewhere: their evidence labels are not ours to mend.
        strict = len(rows) >= MIN_ROWS_FOR_NMI and all(row.example is not None for row in rows)
        yield Problem(
            severity="error" if strict else "warning",
            message=f"evidence quality follows the decision: normalised mutual information {nmi:.2f} > {MAX_EVIDENCE_NMI}; "
            "judge the evidence on its own",
        )


def _check_shares(rows: Sequence[Row]) -> Iterator[Problem]:
    low, high = SHARE_LIMITS
    for decision, count in _count_decisions(rows).items():
        if rows and not low <= count / len(rows) <= high:
            yield Problem(
                severity="error" if len(rows) >= MIN_ROWS_FOR_SHARES else "warning",
                message=f"decision '{decision}' has {count} of {len(rows)} rows ({count / len(rows):.1%}); "
                f"expected {low:.0%} to {high:.0%}",
            )


def _summarise(file: RowsOfFile) -> FileSummary:
    rows = file.rows
    return FileSummary(path=file.path, rows=len(rows), distinct=len({row.text for row in rows}), decisions=_count_decisions(rows))


def _count_decisions(rows: Iterable[Row]) -> dict[Decision, int]:
    counts = Counter(row.decision for row in rows)
    return {decision: counts[decision] for decision in DECISIONS}


def _count_by(pairs: Iterable[tuple[K, Decision]]) -> dict[K, dict[Decision, int]]:
    """Decisions by key, in the order in which the keys first come."""
    counts = Counter(pairs)
    return {key: {decision: counts[key, decision] for decision in DECISIONS} for key, _ in counts}
