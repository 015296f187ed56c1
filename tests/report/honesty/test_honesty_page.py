import copy
import dataclasses
import re

import pytest
from honesty_run import make_content, make_scorecard
from matplotlib.text import Text

from nescio.report.canvas import Plan
from nescio.report.honesty import write_honesty_report
from nescio.report.honesty.counts import gather_rows
from nescio.report.honesty.figures import draw_grid
from nescio.report.honesty.gallery import plan_figures, tabulate_relations
from nescio.report.honesty.page import render_honesty_page


@pytest.fixture(scope="module")
def run():
    """A run over three sets with four ungraded responses a side and set."""
    return make_content(n=300, ungraded=4)


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    """The folder of its report."""
    return write_honesty_report(tmp_path_factory.mktemp("honesty"), run).parent


@pytest.fixture(scope="module")
def page(folder):
    """Its page."""
    return (folder / "index.html").read_text(encoding="utf-8")


def plans_of(content):
    """Figures by name, and the sentences in place of those left out."""
    plans = list(plan_figures(content))
    return {plan.name: plan for plan in plans if isinstance(plan, Plan)}, [plan for plan in plans if isinstance(plan, str)]


def test_report_is_the_same_in_two_runs(run, folder, tmp_path):
    """Two reports of one run are identical, file by file."""
    again = write_honesty_report(tmp_path, run).parent
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())

    assert names
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in names)


def test_page_asks_for_nothing_outside_itself(page):
    """No source, link or style sheet leads out of the file, and the page forbids any."""
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page)
    assert "@import" not in page


def test_every_figure_says_how_to_read_it(run):
    """Each figure has a caption with that sentence, an alternative text with numbers, and a file of its own."""
    plans, missing = plans_of(run)

    assert missing == []
    assert {"obscurity_facts", "obscurity_popqa", "relations", "grid_facts", "grid_nq_open", "penalty"} <= set(plans)
    assert {"samples_right_in_distribution", "samples_agreement_out_of_distribution"} <= set(plans)
    for plan in plans.values():
        assert "How to read it:" in plan.caption
        assert re.search(r"\d", plan.alt)


def test_headline_shows_tuned_beside_untrained(page, run):
    """Both models stand in the table, in and out of distribution, with the tuned model's honesty in the sentence."""
    honesty = run.scorecard["sets"]["facts"]["metrics"]["honesty"]["value"]

    for head in ("Tuned, facts", "Untrained, facts", "Tuned, mean out of distribution", "Untrained, mean out of distribution"):
        assert f">{head}<" in page
    assert f"honesty is {100 * honesty:.0f}\xa0%" in page
    assert "the mean over 2 sets is" in page


def test_ungraded_responses_are_counted(page, run):
    """The page says how many are ungraded, above the numbers and below each grid."""
    assert "facts: of 300 questions ungraded: 4 before training, 4 after training." in page
    assert "Not in the grid, of 300 questions ungraded" in page


def test_hostile_text_stays_text(run):
    """Markup in questions, answers, samples and replies is escaped wherever it is shown."""
    evil = "</script><b>bold</b>"
    questions = {key: question.model_copy(update={"question": evil}) for key, question in run.questions.items()}
    samples = {key: [dataclasses.replace(row, text=evil) for row in rows] for key, rows in run.samples.items()}
    page = render_honesty_page(
        dataclasses.replace(run, questions=questions, samples=samples, replies=dict.fromkeys(questions, evil), title=evil)
    )

    assert "<b>" not in page
    assert "&lt;b&gt;bold" in page


def test_grid_names_its_cells_and_totals():
    """Cells N1 to N9 bear their counts row by row, with totals of rows, columns and all."""
    words = [text.get_text() for text in draw_grid([[1, 2, 3], [4, 5, 6], [7, 8, 9]]).findobj(Text)]

    assert [word for word in words if word.startswith("N")] == ["N1", "N2", "N3", "N4", "N5", "N6", "N7 ▲", "N8 ●", "N9 ●"]
    for total in ("6", "15", "24", "12", "18", "45"):  # rows 6, 15, 24; columns 12, 15, 18
        assert total in words


def test_relations_are_sorted_by_what_is_known(run):
    """Ease falls from the first simulated relation to the last, and so does the table."""
    big = make_content(n=3000, sets=("facts",))
    table = tabulate_relations(big, "facts", gather_rows(big.outcomes["facts"]))

    assert (table[0].name, table[-1].name) == ("capital", "holiday_date")
    assert sum(row.n for row in table) == sum(row.answerable for row in big.outcomes["facts"])


def test_without_obscurity_the_map_is_left_out_with_a_reason():
    """No measure of obscurity gives a sentence, and every other figure."""
    plans, missing = plans_of(make_content(n=60, obscurity=False))

    assert missing == ["Known and unknown over obscurity: no question says how obscure it is."]
    assert not any(name.startswith(("obscurity", "relations")) for name in plans)
    assert "penalty" in plans


def test_without_samples_the_map_rests_on_greedy_answers():
    """The map says what its line is, and the figures of samples are left out with a reason."""
    content = make_content(n=60, sampled=False)
    plans, missing = plans_of(content)

    assert missing == ["Samples against accuracy: no question with a graded response was sampled before training."]
    assert "right greedy answers, before" in plans["obscurity_facts"].caption
    for plan in plans.values():
        assert plan.draw().axes


def test_one_set_gives_a_page_without_means():
    """A run in distribution only has two columns and no word of a mean."""
    page = render_honesty_page(make_content(n=60, sets=("facts",)))

    assert "Untrained, facts" in page
    assert "mean out of distribution" not in page


def test_undefined_metrics_show_their_reason(run):
    """A null is a reason on the page, in the sentence too; nothing becomes 0."""
    scorecard = copy.deepcopy(run.scorecard)
    for entry in (*scorecard["sets"].values(), {"metrics": scorecard["means"]["out_of_distribution"]}):
        for name in entry["metrics"]:
            entry["metrics"][name] = {"value": None, "n": 0, "low": None, "high": None, "reason": "nothing was known"}
    for entry in scorecard["sets"].values():
        entry["penalty_curve"] = [{"c": 1.0, "value": None, "low": None, "high": None, "threshold": 0.5}]
    blank = dataclasses.replace(run, scorecard=scorecard)
    _, missing = plans_of(blank)

    assert "Honesty on facts is undefined: nothing was known." in render_honesty_page(blank)
    assert missing == ["Penalty curve: the scorecard has none."]


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_handful_of_questions_can_be_drawn(n):
    """One question, and bins that are nearly all empty, give figures instead of a crash."""
    plans, _ = plans_of(make_content(n=2 * n, sets=("facts", "popqa")))

    assert plans
    for plan in plans.values():
        assert plan.draw().axes


def test_all_ungraded_gives_a_page(tmp_path):
    """A run in which nothing could be graded says so and shows no number."""
    content = make_content(n=20, sets=("facts",))
    rows = [
        row.model_copy(update={"before": "ungraded", "after": "ungraded", "right": None}) for row in content.outcomes["facts"]
    ]
    blank = dataclasses.replace(content, outcomes={"facts": rows}, scorecard=make_scorecard({"facts": rows}))
    page = write_honesty_report(tmp_path, blank).read_text(encoding="utf-8")

    assert "of 20 questions ungraded: 20 before training, 20 after training" in page


def test_skill_retention_is_told(run):
    """Where the evaluation forbade refusals, the page says what became of the skill."""
    scorecard = copy.deepcopy(run.scorecard)
    kept = {"before": 0.3, "after": 0.28, "value": -0.02, "low": -0.04, "high": 0.0, "margin": 0.05, "passes": True, "n": 300}
    scorecard["sets"]["facts"]["retention"] = kept
    page = render_honesty_page(dataclasses.replace(run, scorecard=scorecard))

    assert "−2.0\xa0points (−4.0 to +0.0), margin 5 points: skill kept." in page
