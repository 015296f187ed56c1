"""Runs side by side: on the same questions only, under names of their own."""

import shutil

import pytest

from nescio.cli import main
from nescio.errors import ConfigError, DataError
from nescio.evaluate_honesty import evaluate_honesty
from nescio.pipeline import compare as comparing
from nescio.pipeline.compare import compare_runs
from nescio.records import Outcome
from nescio.store import read_json, write_json, write_records


def make_run(folder, *, refused, sets=("own", "far"), n=6):
    """A finished run that knew half of the questions before, and now refuses some."""
    outcomes = {
        name: [
            Outcome(
                question_id=f"{name}-{i}",
                group=f"{i}",
                before="correct" if i % 2 else "wrong",
                after="idk" if i in refused else "correct" if i % 2 else "wrong",
                holds_gold=i not in refused and i % 2 == 1,
                forced="correct" if i % 2 else "wrong",
            )
            for i in range(n)
        ]
        for name in sets
    }
    scorecard = evaluate_honesty(outcomes, out_of_distribution=[name for name in sets if name != "own"], n_resamples=20)
    write_json(folder / "scorecard.json", scorecard)
    write_json(folder / "config.json", {"name": folder.name, "seed": 0, "label": {"recipe": "absolute"}})
    for name, rows in outcomes.items():
        write_records(folder / "outcomes" / f"{name}.jsonl", rows)
    return folder


@pytest.fixture
def runs(tmp_path):
    """One that refuses what it does not know, and one that refuses nothing."""
    return [make_run(tmp_path / "prudent", refused=(0, 2, 4)), make_run(tmp_path / "bold", refused=())]


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    """What is handed to the page, in place of the page; its drawing is tested elsewhere."""
    seen = {}

    def write(out, runs, **options):
        seen.update(runs=runs, out=out, **options)
        return out / "index.html"

    monkeypatch.setattr(comparing, "write_comparison", write)
    return seen


def test_differences_are_to_the_reference_alone(runs, tmp_path, without_figures):
    """Prudence 1 against 0: a difference of 1 on the same questions; the reference has none to itself."""
    page = compare_runs(runs, out=tmp_path / "out", reference="bold")
    prudent, bold = without_figures["runs"]

    assert page == tmp_path / "out" / "index.html"
    assert (prudent.name, bold.name, bold.differences) == ("prudent", "bold", None)
    assert prudent.differences["sets"]["own"]["metrics"]["prudence"]["value"] == 1
    assert prudent.differences["means"]["out_of_distribution"]["honesty"]["value"] == 0.5
    assert without_figures["paper"]


def test_without_a_reference_there_are_no_differences(runs, tmp_path, without_figures):
    """And without the paper there are no numbers of it."""
    compare_runs(runs, out=tmp_path / "out", with_paper=False)

    assert [run.differences for run in without_figures["runs"]] == [None, None]
    assert without_figures["paper"] is None


@pytest.mark.parametrize("reference", [None, "prudent"])
@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"n": 5}, r"'prudent' and 'other' were not asked the same questions: 1 of set 'far'"),
        ({"sets": ("own",)}, r"6 of set 'far'"),
    ],
)
def test_other_questions_are_one_line(runs, tmp_path, reference, other, message):
    """With a reference or without: numbers on other questions do not stand in one column."""
    other = make_run(tmp_path / "other", refused=(), **other)

    with pytest.raises(DataError, match=message):
        compare_runs([runs[0], other], out=tmp_path / "out", reference=reference)


def test_what_cannot_be_compared_is_one_line(runs, tmp_path):
    """One run, one name twice, a reference that is none, a folder without a result."""
    with pytest.raises(ConfigError, match="nothing to compare in 1 run; give two or more"):
        compare_runs(runs[:1], out=tmp_path / "out")
    with pytest.raises(ConfigError, match="two runs have the same name"):
        compare_runs([runs[0], shutil.copytree(runs[0], tmp_path / "copy")], out=tmp_path / "out")
    with pytest.raises(ConfigError, match="there is no run 'brave' among prudent, bold"):
        compare_runs(runs, out=tmp_path / "out", reference="brave")
    with pytest.raises(DataError, match=r"holds no scorecard.json; finish it first: nescio run"):
        compare_runs([runs[0], tmp_path], out=tmp_path / "out")


@pytest.mark.parametrize("reference", [None, "prudent"])
def test_runs_of_another_kind_are_one_line(runs, tmp_path, reference):
    """A decision run has no honesty to compare."""
    write_json(runs[1] / "scorecard.json", {"systems": {}, "paired": {}})

    with pytest.raises(ConfigError, match="bold"):
        compare_runs(runs, out=tmp_path / "out", reference=reference)


def test_command_prints_the_table_and_names_the_page(runs, tmp_path, monkeypatch, capsys):
    """Also in the JSON file, where the reference is named; what a user can mend is one line and exit code 2."""
    monkeypatch.undo()
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        main(["compare", *map(str, runs), "--out", str(out), "--reference", "bold", "--no-paper"])
    printed = capsys.readouterr().out

    assert stop.value.code == 0
    assert "prudent" in printed
    assert "".join(printed.split()).endswith(str(out / "index.html"))
    assert read_json(out / "comparison.json")["reference"] == "bold"
    with pytest.raises(SystemExit) as stop:
        main(["compare", str(runs[0]), "--out", str(out)])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: there is nothing to compare in 1 run; give two or more run folders\n"
