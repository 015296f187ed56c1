"""The pages of honesty runs in a real browser: nothing fails, nothing is fetched, a phone has room."""

import pytest
from honesty_run import make_content, make_runs

from nescio.report.compare import write_comparison
from nescio.report.honesty import write_honesty_report
from nescio.report.paper_results import PAPER_RESULTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """Where a report and a comparison lie."""
    folder = tmp_path_factory.mktemp("pages")
    runs = make_runs(9, n=60, reference="multisample")
    return {
        "report": write_honesty_report(folder / "report", make_content(n=200)).as_uri(),
        "comparison": write_comparison(folder / "comparison", runs, reference="multisample", paper=PAPER_RESULTS).as_uri(),
    }


@pytest.mark.parametrize("name", ["report", "comparison"])
@pytest.mark.parametrize("width", [375, 1200])
def test_page_loads_in_silence_and_fits(browser, addresses, name, width):
    """Nothing is logged, nothing but the page is asked for, and nothing sticks out with all details open."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    logged, asked = [], []
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(addresses[name])
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    widths = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth]")
    page.close()

    assert logged == []
    assert [url for url in asked if not url.startswith("data:")] == [addresses[name]]
    assert max(widths) <= width


def test_every_figure_has_a_text_for_those_who_do_not_see_it(browser, addresses):
    """Each figure is an image with a label, a title and a caption."""
    page = browser.new_page()
    page.goto(addresses["report"])
    figures = page.locator("figure")
    labelled = page.locator("figure svg[role=img][aria-label]").count()
    captions = page.locator("figure figcaption").all_inner_texts()
    number = figures.count()
    page.close()

    assert number == labelled == len(captions) > 8
    assert all("How to read it:" in caption for caption in captions)
