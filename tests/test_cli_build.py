"""`nescio data build facts` writes the bank and says what is in it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from nescio.cli.data import app
from nescio.data.facts import packages
from nescio.records import Question
from nescio.store import read_records

runner = CliRunner(env={"COLUMNS": "200"})


def test_build_facts_writes_questions_and_a_table(tmp_path):
    """The file reads back as questions; the table has a row of totals."""
    out = tmp_path / "facts.jsonl"
    result = runner.invoke(app, ["build", "facts", "--out", str(out), "--limit", "500", "--language", "en"])

    assert result.exit_code == 0, result.output
    assert len(read_records(out, Question)) == 500
    assert "capital_of" in result.output
    assert "relations" in result.output


@pytest.mark.parametrize("options", [["--language", "xx"], ["--limit", "0"]])
def test_build_facts_refuses_wrong_options_in_one_line(tmp_path, options):
    """A wrong option exits 2 with one line, and writes nothing."""
    result = runner.invoke(app, ["build", "facts", "--out", str(tmp_path / "facts.jsonl"), *options])

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_build_facts_names_a_missing_package(tmp_path, monkeypatch):
    """Without the extra, one line says what to install."""

    def refuse(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(packages.importlib, "import_module", refuse)
    result = runner.invoke(app, ["build", "facts", "--out", str(tmp_path / "facts.jsonl")])

    assert result.exit_code == 2
    assert "pip install 'nescio[facts]'" in result.stderr
    assert result.stderr.count("\n") == 1
