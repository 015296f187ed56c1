import copy
import dataclasses
import json
import re

import pytest
from honesty_run import make_runs

from nescio.errors import ConfigError
from nescio.report.canvas import Plan
from nescio.report.compare import ComparedRun, write_comparison
from nescio.report.compare.figures import group_labels
from nescio.report.compare.gallery import plan_comparison
from nescio.report.compare.page import describe_comparison, render_comparison
from nescio.report.compare.tables import write_tables
from nescio.report.paper_results import PAPER_RESULTS


@pytest.fixture(scope="module")
def runs():
    """Four runs with differences to the third."""
    return make_runs(4, n=80, reference="absolute")


@pytest.fixture(scope="module")
def folder(runs, tmp_path_factory):
    """Their comparison beside the paper."""
    return write_comparison(tmp_path_factory.mktemp("compare"), runs, reference="absolute", paper=PAPER_RESULTS).parent


def test_comparison_is_the_same_in_two_runs(runs, folder, tmp_path):
    """Two comparisons of the same runs are identical, file by file."""
    again = write_comparison(tmp_path, runs, reference="absolute", paper=PAPER_RESULTS).parent
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())

    assert {"comparison.json", "index.html", "table.md"} <= {str(name) for name in names}
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in names)


def test_page_asks_for_nothing_outside_itself(folder):
    """The page needs no network and forbids it."""
    page = (folder / "index.html").read_text(encoding="utf-8")

    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page)


def test_table_has_a_row_a_run_in_every_place(runs, folder):
    """In distribution, the mean and each set have a table with all runs, their four metrics, intervals and difference."""
    table = (folder / "table.md").read_text(encoding="utf-8")
    titles = [line for line in table.splitlines() if line.startswith("### ")]
    honesty = runs[1].scorecard["sets"]["facts"]["metrics"]["honesty"]

    assert titles == [
        "### In distribution: facts",
        "### Out of distribution: mean over the sets",
        "### Out of distribution: popqa",
        "### Out of distribution: nq open",
        "### The paper's own numbers: another model",
    ]
    for run in runs:
        assert len(re.findall(rf"^\| {run.name} \| {run.recipe} \|", table, flags=re.MULTILINE)) == 4
    assert f"| {100 * honesty['value']:.1f} ({100 * honesty['low']:.1f} to {100 * honesty['high']:.1f}) |" in table
    assert "| reference |" in table
    assert "(−3.0 to +1.0) no detectable change |" in table


def test_markdown_rows_have_as_many_cells_as_their_heads(folder):
    """No name or reason breaks a table."""
    blocks = (folder / "table.md").read_text(encoding="utf-8").split("\n\n")
    tables = [block.strip().splitlines() for block in blocks if block.startswith("|")]

    assert len(tables) == 6
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1


def test_pipe_in_a_name_stays_in_its_cell(runs):
    """A run's name may hold what Markdown would take for a border."""
    table = write_tables([dataclasses.replace(runs[0], name="a|b"), runs[1]])

    assert "| a\\|b |" in table


def test_paper_stands_apart_and_is_cited(folder):
    """The paper's numbers are under their own heading with model and citation, on the page too."""
    table, page = ((folder / name).read_text(encoding="utf-8") for name in ("table.md", "index.html"))
    paper = table[table.index("### The paper's own numbers") :]

    assert "LLaMA2-Chat-13B" in paper
    assert "| multisample | 67.7 | 15.9 | 75.9 | 68.9 | – |" in paper
    assert "| absolute | 47.7 | 9.9 | 68.9 | 71.3 | absolute |" in paper
    assert "The paper&#39;s tables: another model" in page or "The paper's tables: another model" in page
    assert "LLaMA2-Chat-13B" in page


def test_json_holds_what_the_page_says(runs, folder):
    """Metrics of every place, differences, recipe and the paper's numbers can be read by a program."""
    summary = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))

    assert summary["reference"] == "absolute"
    assert [run["recipe"] for run in summary["runs"]] == [run.recipe for run in runs]
    assert summary["runs"][1]["metrics"]["facts"] == runs[1].scorecard["sets"]["facts"]["metrics"]
    assert summary["runs"][2]["differences"] == {}
    assert summary["runs"][1]["differences"]["out_of_distribution"]["honesty"]["value"] == pytest.approx(-0.01)
    assert summary["paper"]["results"]["multisample"]["TriviaQA"]["honesty"] == 0.7591


def test_sentence_names_the_highest_honesty():
    """The best run in each place is named with its value; undefined ones do not take part."""
    metrics = {"a": 0.7, "b": 0.8, "c": None}
    runs = [
        ComparedRun(name, {"kind": "honesty", "sets": {"facts": {"metrics": {"honesty": {"value": value, "reason": "no"}}}}})
        for name, value in metrics.items()
    ]

    assert describe_comparison(runs) == "In distribution, b has the highest honesty of 2 runs: 80\xa0%."
    assert describe_comparison([runs[2]]) == "No run has a defined honesty."


@pytest.mark.parametrize("reference", ["best", "near"])
def test_sentence_names_what_the_best_is_not_clearly_above(reference):
    """Whichever run is the reference: its paired difference tells, one clear of zero is not named, other pairs are not known."""
    differences = {"best": {"near": (-0.1, 0.02), "far": (-0.2, -0.1)}, "near": {"best": (-0.02, 0.1), "far": (-0.1, 0.02)}}
    runs = [
        ComparedRun(
            name,
            {"kind": "honesty", "sets": {"facts": {"metrics": {"honesty": {"value": value}}}}},
            differences={"sets": {"facts": {"metrics": {"honesty": {"value": 0.0, "low": interval[0], "high": interval[1]}}}}}
            if (interval := differences[reference].get(name))
            else None,
        )
        for name, value in {"best": 0.8, "near": 0.75, "far": 0.6}.items()
    ]

    assert describe_comparison(runs, reference).endswith("80\xa0%, not clearly above near.")
    assert describe_comparison(runs).endswith("80\xa0%.")


@pytest.mark.parametrize("count", [2, 20])
def test_two_and_twenty_runs_can_be_compared(count, tmp_path):
    """Every figure and table of few and of many runs is made, all runs named."""
    runs = make_runs(count, n=30)
    page = write_comparison(tmp_path, runs).read_text(encoding="utf-8")

    assert page.count('<th scope="row" role="rowheader">') == 4 * count


def test_one_set_gives_a_comparison_without_means(tmp_path):
    """Runs in distribution only have one table, and a sentence in place of the second scatter plot."""
    runs = make_runs(2, n=30, sets=("facts",))
    missing = [plan for plan in plan_comparison(runs, paper=None) if isinstance(plan, str)]

    assert write_tables(runs).count("### ") == 1
    assert missing == ["Prudence against over-conservativeness, out of distribution, mean: defined in no run."]
    assert write_comparison(tmp_path, runs).is_file()


def test_undefined_and_missing_metrics_are_told(runs, tmp_path):
    """A null gives its reason and a set that a run lacks is not measured; figures leave both out."""
    scorecard = copy.deepcopy(runs[0].scorecard)
    nothing = {"value": None, "n": 0, "low": None, "high": None, "reason": "nothing was known"}
    scorecard["sets"]["facts"]["metrics"] = dict.fromkeys(scorecard["sets"]["facts"]["metrics"], nothing)
    del scorecard["sets"]["popqa"]
    mixed = [dataclasses.replace(runs[0], scorecard=scorecard), runs[1]]
    table = write_tables(mixed)

    assert "| undefined: nothing was known |" in table
    assert "| not measured |" in table
    for plan in plan_comparison(mixed, paper=None):
        assert isinstance(plan, Plan)
        assert plan.draw().axes


def test_runs_without_any_number_give_a_page(runs, tmp_path):
    """Where nothing is defined there are sentences in place of empty figures."""
    nothing = {"value": None, "n": 0, "low": None, "high": None, "reason": "nothing was known"}
    metrics = dict.fromkeys(("honesty", "prudence", "over_conservativeness", "accuracy"), nothing)
    scorecard = {"kind": "honesty", "sets": {"facts": {"metrics": metrics}}}
    page = write_comparison(tmp_path, [ComparedRun("a", scorecard), ComparedRun("b", scorecard)]).read_text(encoding="utf-8")

    assert "Honesty of each run: defined in no run." in page
    assert "No run has a defined honesty." in page
    assert not (tmp_path / "figures").exists()


def test_runs_with_another_yardstick_are_announced(runs):
    """Where the responses before training differ from the reference's, the page warns."""
    differences = copy.deepcopy(runs[0].differences)
    differences["sets"]["facts"]["counts"]["before_differs"] = 3
    page = render_comparison([dataclasses.replace(runs[0], differences=differences), *runs[1:]], reference="absolute")

    assert "fine_tuned: 3 of 80 questions of facts." in page
    assert "the same yardstick" not in render_comparison(runs, reference="absolute")


def test_run_of_decisions_is_refused():
    """Only honesty runs are compared; the error is one line with the run's name and a remedy."""
    with pytest.raises(ConfigError, match="run 'quickstart' has a scorecard of kind 'decision'") as error:
        ComparedRun("quickstart", {"systems": {}, "paired": {}})

    assert "\n" not in str(error.value)


def test_runs_that_cannot_be_compared_are_refused(runs, tmp_path):
    """One run, two runs of one name and an unknown reference are errors, and nothing is written."""
    with pytest.raises(ConfigError, match="two runs or more, got 1"):
        write_comparison(tmp_path, runs[:1])
    with pytest.raises(ConfigError, match="two runs are named 'fine_tuned'"):
        write_comparison(tmp_path, [runs[0], runs[0]])
    with pytest.raises(ConfigError, match="'best' is none of the runs; known: fine_tuned, prompt_based"):
        write_comparison(tmp_path, runs[:2], reference="best")

    assert not list(tmp_path.iterdir())


def test_hostile_names_are_escaped(runs):
    """Markup in the name of a run is text on the page."""
    page = render_comparison([dataclasses.replace(runs[0], name="<b>a_b</b>"), runs[1]])

    assert "<b>a" not in page
    assert "&lt;b&gt;a_<wbr>b&lt;/b&gt;" in page


def test_labels_of_near_points_are_joined():
    """Only points that would cover one another share a label."""
    assert group_labels([(1, 0.1, 0.1), (2, 0.2, 0.1), (3, 0.11, 0.11)]) == [([1, 3], 0.1, 0.1), ([2], 0.2, 0.1)]


def test_settings_that_differ_are_in_one_table(runs):
    """What all runs share is said once; what differs is set by set of settings."""
    page = render_comparison(runs)
    made = page[page.index('id="made"') :]

    assert made.count("smollm2-135m") == 1
    assert "label.recipe" in made
