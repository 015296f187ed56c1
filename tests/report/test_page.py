import dataclasses
import json
import re

import pytest

from conftest import HOSTILE_QUESTION
from nescio.errors import DataError
from nescio.report import write_report
from nescio.report.page import render_page


def items_of(page):
    """The data that the page carries for its item browser."""
    match = re.search(r'<script type="application/json" id="items-data">(.*?)</script>', page, flags=re.DOTALL)
    return json.loads(match[1])


@pytest.fixture(scope="module")
def report(content, tmp_path_factory):
    """The folder of the simulated run's report."""
    return write_report(tmp_path_factory.mktemp("report"), content).parent


@pytest.fixture(scope="module")
def page(report):
    """The page of the simulated run."""
    return (report / "index.html").read_text(encoding="utf-8")


def test_page_and_figures_are_the_same_in_two_runs(content, report, tmp_path):
    """Two reports of one run are identical, file by file."""
    again = write_report(tmp_path, content).parent
    names = sorted(path.relative_to(report) for path in report.rglob("*") if path.is_file())

    assert len(names) == 1 + 2 * 11
    assert all((report / name).read_bytes() == (again / name).read_bytes() for name in names)


def test_page_asks_for_nothing_outside_itself(page):
    """No source, link or style sheet leads out of the file, and the page forbids any."""
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page)
    assert "@import" not in page


def test_hostile_text_stays_text(page):
    """A question that closes the script and opens a tag neither ends the data nor becomes markup."""
    assert items_of(page)["items"][0]["question"] == HOSTILE_QUESTION
    assert "</script><b>" not in page


def test_title_and_settings_are_escaped(content):
    """What stands in the HTML itself is escaped too."""
    settings, manifest = {"<u>": "<i>"}, {"a": {"<s>": {"<q>": "<del>"}}}
    page = render_page(dataclasses.replace(content, title="<img src=x>", settings=settings, manifest=manifest))

    assert not re.search(r"<(img|u|i|s|q|del)\b", page)
    assert all(f"&lt;{tag}&gt;" in page for tag in ("img src=x", "u", "i", "s", "q", "del"))


def test_every_item_and_system_is_in_the_page(content, page):
    """Each question carries each system's decision, answers, justification, confidence and grade."""
    data = items_of(page)

    assert [item["id"] for item in data["items"]] == [example.id for example in content.examples]
    reply = data["items"][1]["systems"]["tuned"]
    prediction = content.predictions["tuned"][1]
    assert (reply["decision"], reply["answer"], reply["confidence"]) == (
        prediction.decision,
        prediction.answer,
        prediction.confidence,
    )
    assert reply["calibrated"] == content.calibrated["tuned"][1]
    assert reply["verdict"] == content.grades["tuned"][1].verdict


def test_failed_items_are_announced_and_shown(content, page):
    """A failed item stands in the warning and in the list, with its reason."""
    assert "Base: of 60 items 1 gave no readable decision, 1 could not be graded." in page
    assert items_of(page)["items"][3]["systems"]["base"]["failure"] == content.predictions["base"][3].failure


def test_page_without_failures_has_no_warning(build_content):
    """The warning is no decoration: a run without faults has none."""
    page = render_page(build_content(groups=4, failures=False))

    assert "Not every item could be scored" not in page


@pytest.mark.parametrize("systems", [("base",), ("tuned",), ("few_shot", "tuned"), ("base", "few_shot")])
def test_any_subset_of_the_systems_gives_a_page(build_content, systems):
    """A run of fewer systems has fewer columns and no comparison with what is missing."""
    page = render_page(build_content(groups=3, systems=systems))

    assert [system["key"] for system in items_of(page)["systems"]] == list(systems)
    assert ("Tuned against" in page) == (len(systems) > 1 and "tuned" in systems)


def test_missing_figures_are_named(content):
    """Where a figure is left out the page gives the sentence that says why."""
    assert "Training loss: none was recorded." in render_page(content, missing=["Training loss: none was recorded."])


def test_undefined_metrics_show_their_reason(content):
    """A null in the scorecard is a reason on the page; a difference without an interval has no verdict."""
    scorecard = json.loads(json.dumps(content.scorecard))
    scorecard["systems"]["tuned"]["auroc"] = {"value": None, "n": 60, "low": None, "high": None, "reason": "all were right"}
    scorecard["paired"]["tuned-base"]["ece"] = {"value": 0.2, "n": 60, "low": None, "high": None, "reason": "a single group"}

    page = render_page(dataclasses.replace(content, scorecard=scorecard))

    assert "undefined: all were right" in page
    assert "(no interval: a single group)" in page
    assert "no verdict" in page


def test_rows_that_do_not_match_the_examples_are_refused(content):
    """A page never shows one question's reply under another question."""
    shuffled = {name: rows[::-1] for name, rows in content.predictions.items()}
    short = {name: rows[:-1] for name, rows in content.grades.items()}

    with pytest.raises(DataError, match="bring them in one order"):
        dataclasses.replace(content, predictions=shuffled)
    with pytest.raises(DataError, match="59 grades of 'base' for 60 examples"):
        dataclasses.replace(content, grades=short)
    with pytest.raises(DataError, match=r"the scorecard has the systems \['base', 'few_shot', 'tuned'\]"):
        dataclasses.replace(content, calibrated={"tuned": content.calibrated["tuned"]})
