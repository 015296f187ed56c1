from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nescio.cli.data import app
from nescio.data.questions import load_questions
from nescio.records import Question
from nescio.store import read_records

runner = CliRunner()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table as a user has it."""
    path = tmp_path / "mine.csv"
    path.write_text(
        "Nr,Frage,Antworten,Klasse\n1,Wer schrieb [bold]Faust?,Goethe|J. W. Goethe,8\n2,Wo liegt Ulm?,Baden-Württemberg,5\n",
        encoding="utf-8",
    )
    return path


OPTIONS = ["--question-column", "Frage", "--answers-column", "Antworten", "--lists", "|", "--id-column", "Nr"]


def test_questions_of_any_table_become_the_projects_own(table: Path, tmp_path: Path) -> None:
    """The file that is written holds the record, is counted, and is read again without options."""
    out = tmp_path / "out.jsonl"
    options = [*OPTIONS, "--language", "de", "--metadata-column", "Klasse", "--out", str(out)]
    result = runner.invoke(app, ["questions", str(table), *options])
    written = read_records(out, Question)

    assert result.exit_code == 0, result.output
    assert (written[0].id, written[0].answers, written[0].language) == ("1", ("Goethe", "J. W. Goethe"), "de")
    assert written[0].metadata == {"Klasse": "8"}
    assert load_questions(out) == written
    assert result.output.splitlines()[-1] == str(out)
    assert "de 2" in result.output
    assert "Faust" not in result.output


def test_without_out_the_first_are_shown(table: Path) -> None:
    """Text is shown as it is, as many questions as asked for, and nothing is written."""
    result = runner.invoke(app, ["questions", str(table), *OPTIONS, "--number", "1"])

    assert result.exit_code == 0, result.output
    assert "Wer schrieb [bold]Faust?" in result.output
    assert "Gold: Goethe | J. W. Goethe" in result.output
    assert "Ulm" not in result.output
    assert [path.name for path in table.parent.iterdir()] == ["mine.csv"]


def test_the_summary_counts_every_kind(tmp_path: Path) -> None:
    """Languages, answers, options, questions without an answer, and those of a benchmark's test set."""
    test = {"metadata": {"benchmark": "popqa", "benchmark_split": "test"}}
    rows = [
        {"question": "A?", "answers": ["a"], **test},
        {"question": "B?", "choices": ["a", "b"], "choice": 1, "language": "ja"},
        {"question": "C?", "answerable": False, "context": "c"},
        {"question": "D?", "answers": ["d"], "obscurity": 0.5, **test},
    ]
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = runner.invoke(app, ["questions", str(path)])
    counts = dict([part.strip() for part in line.split("│")[1:3]] for line in result.output.splitlines() if line.count("│") == 3)

    assert counts == {
        "questions": "4",
        "groups": "4",
        "languages": "en 3, ja 1",
        "with answers": "2",
        "without answers": "2",
        "multiple choice": "1",
        "unanswerable": "1",
        "with context": "1",
        "with obscurity": "1",
        "of a benchmark": "popqa test 2",
    }
    assert "* b" in result.output
    assert "cannot be answered" in result.output


def test_what_two_files_share_is_counted(table: Path, tmp_path: Path) -> None:
    """Exact and near ones apart."""
    other = tmp_path / "other.jsonl"
    other.write_text('{"question": "WO LIEGT ULM"}\n{"question": "Wer schrieb [bold]Fausta?"}\n', encoding="utf-8")
    result = runner.invoke(app, ["questions", str(table), *OPTIONS, "--against", str(other)])

    assert f"also in {other}: 2 of 2 (1 exact, 1 near)" in result.output


def test_questions_that_cannot_be_graded_are_told(table: Path) -> None:
    """A forgotten option is not found out only after sampling."""
    result = runner.invoke(app, ["questions", str(table), "--question-column", "Frage"])

    assert result.exit_code == 0
    assert "name the column of answers with --answers-column" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--question-column", "Frge"], "mine.csv:2: unknown column 'Frge'. Did you mean 'Frage'?"),
        ([*OPTIONS, "--choice-is", "number"], "options for columns: choice_is: Input should be 'index', 'letter' or 'text'"),
        ([*OPTIONS, "--setting", "umwp"], "setting 'umwp' has columns of its own"),
        (["--setting", "umpw"], "unknown setting 'umpw'. Did you mean 'umwp'?"),
        ([*OPTIONS, "--split", "test"], "has no split 'test'"),
    ],
)
def test_a_wrong_option_is_one_line(table: Path, options: list[str], message: str) -> None:
    """Exit code 2, as for every mistake that a user can mend."""
    result = runner.invoke(app, ["questions", str(table), *options])

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
