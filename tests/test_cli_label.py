"""`nescio label` as users see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nescio.cli import main
from nescio.records import Label, Question, Sample, SampleGrade
from nescio.store import read_records, write_records


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Four questions, of which the model knows one for sure and one half; three answers to each."""
    right = {"a": (1, 1, 1), "b": (0, 0, 0), "c": (0, 0, 0), "d": (1, 0, 1)}
    keys = [(id, index) for id in right for index in range(3)]
    verdicts = {1: "correct", 0: "incorrect"}
    questions = [Question(id=id, group=id, question=f"What is {id}?", answers=("gold",)) for id in right]
    samples = [Sample(question_id=id, index=index, text=f"{id} it is") for id, index in keys]
    grades = [SampleGrade(question_id=id, index=i, verdict=verdicts[right[id][i]], reason="a test") for id, i in keys]
    arguments = []
    for name, rows in (("questions", questions), ("samples", samples), ("grades", grades)):
        write_records(tmp_path / f"{name}.jsonl", rows)
        arguments += [f"--{name}", str(tmp_path / f"{name}.jsonl")]
    return ["label", *arguments, "--out", str(tmp_path / "labels.jsonl")]


def run(arguments: list[str]) -> int:
    """The exit code of the command."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return int(exit_.value.code or 0)


def test_labels_are_written_and_counted(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two known questions and two unknown ones, each a row; the file is named last."""
    code = run([*files, "--recipe", "decision"])
    out = capsys.readouterr().out
    labels = read_records(tmp_path / "labels.jsonl", Label)

    assert code == 0
    assert {label.id: label.decision for label in labels} == {"a": "correct", "b": "refuse", "c": "refuse", "d": "correct"}
    counts = {line.split()[1]: line.split()[-2] for line in out.splitlines() if line.count("│") == 3}
    assert (counts["known"], counts["unknown"], counts["rows"]) == ("2", "2", "4")
    assert "".join(out.split()).endswith("labels.jsonl")


def test_options_reach_the_recipe(files: list[str], tmp_path: Path) -> None:
    """Threshold, limit, weights, and rows that are not merged."""
    assert run([*files, "--recipe", "decision", "--threshold", "0.9", "--keep-all"]) == 0
    labels = {label.id: label for label in read_records(tmp_path / "labels.jsonl", Label)}
    assert (labels["d"].decision, labels["a"].weight) == ("uncertain", 1)

    assert run([*files, "--recipe", "decision", "--keep-all", "--weigh"]) == 0
    labels = {label.id: label for label in read_records(tmp_path / "labels.jsonl", Label)}
    assert labels["d"].weight < 1 < labels["a"].weight

    assert run([*files, "--recipe", "multisample", "--limit", "2", "--no-merge"]) == 0
    assert len(read_records(tmp_path / "labels.jsonl", Label)) == 2 * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "decisions"], "unknown recipe 'decisions'. Did you mean 'decision'?"),
        (["--recipe", "idk", "--keep-all", "--balance", "0.4"], "--keep-all and --balance 0.4 contradict each other"),
        (["--recipe", "prompt_based"], "recipe 'prompt_based' makes no rows of these questions; nothing was written"),
    ],
)
def test_mistakes_are_one_line(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """The exit code is 2, and nothing is written."""
    code = run([*files, *arguments])

    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "labels.jsonl").exists()


def test_benchmark_tests_are_not_trained_on(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A question that is marked as of a test set stops the command."""
    marked = [
        question.model_copy(update={"metadata": {"benchmark": "popqa", "benchmark_split": "test"}})
        for question in read_records(tmp_path / "questions.jsonl", Question)
    ]
    write_records(tmp_path / "questions.jsonl", marked)
    code = run([*files, "--recipe", "decision"])

    assert code == 2
    assert "benchmark test questions must not be trained on: 4 of popqa" in capsys.readouterr().err
