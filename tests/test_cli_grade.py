from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nescio.cli import app, main
from nescio.records import Question, Sample, SampleGrade
from nescio.store import read_records, write_records

runner = CliRunner()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Arguments for two small sets and their samples."""
    questions = [
        Question(id="a", group="a", question="Capital of France?", answers=("Paris",), source="[bold]cities"),
        Question(id="b", group="b", question="Capital of Florania?", answerable=False, source="invented"),
    ]
    samples = [
        Sample(question_id="a", index=0, text="Paris"),
        Sample(question_id="a", index=1, text="London"),
        Sample(question_id="a", index=2, failure="time-out"),
        Sample(question_id="b", index=0, text="I don't know."),
    ]
    write_records(tmp_path / "questions.jsonl", questions)
    write_records(tmp_path / "samples.jsonl", samples)
    paths = [str(tmp_path / name) for name in ("samples.jsonl", "questions.jsonl", "grades.jsonl")]
    return [paths[0], "--questions", paths[1], "--out", paths[2]]


def test_every_sample_is_graded_and_counted(files: list[str]) -> None:
    """Ungraded is shown and no part of the accuracy: 1 of 2 in the cities, 1 of 3 in all."""
    result = runner.invoke(app, ["grade", *files], env={"COLUMNS": "140"})
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if line.startswith("│")]

    assert result.exit_code == 0, result.output
    assert [grade.verdict for grade in read_records(files[-1], SampleGrade)] == ["correct", "incorrect", "ungraded", "abstained"]
    assert rows[0][:7] == ["[bold]cities", "3", "1", "1", "0", "1", "0.500"]
    assert rows[1][:7] == ["invented", "1", "0", "0", "1", "0", "0.000"]
    assert rows[2][:7] == ["all", "4", "1", "1", "1", "1", "0.333"]
    assert result.output.splitlines()[-1] == files[-1]


def test_samples_of_other_questions_are_one_line(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and nothing is written."""
    write_records(files[2], [Question(id="z", group="z", question="Who?", answers=("Ada",))])
    with pytest.raises(SystemExit) as stop:
        main(["grade", *files])

    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: there is a sample of question 'a', which is unknown; give the questions it was drawn for\n"
    )
    assert not Path(files[-1]).exists()
