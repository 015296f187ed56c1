"""The page in a real browser: nothing fails, nothing is fetched, the filters work, a phone has room."""

import pytest

from nescio.report import write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(content, tmp_path_factory):
    """Where the page of the simulated run lies."""
    return write_report(tmp_path_factory.mktemp("report"), content).as_uri()


@pytest.fixture
def page(browser, address):
    """The opened page on a desk, with what it logged and asked for."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.logged, page.asked = [], []
    page.on("console", lambda message: page.logged.append(message.text))
    page.on("pageerror", lambda error: page.logged.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    yield page
    page.close()


def shown(page):
    """Number of questions in sight."""
    return page.locator("#item-table tbody:visible").count()


def test_page_loads_in_silence(page, address):
    """Nothing is logged, no error is thrown, and nothing but the page itself and its empty icon is asked for."""
    assert page.logged == []
    assert [url for url in page.asked if not url.startswith("data:")] == [address]
    assert shown(page) == 60


def test_pattern_filter_leaves_its_questions(page, content):
    """Choosing a pattern leaves exactly the questions of that pattern, and the count says so."""
    page.select_option("[name=pattern]", "needs_tools")
    expected = sum(example.pattern == "needs_tools" for example in content.examples)

    assert 0 < expected < 60
    assert shown(page) == expected
    assert page.inner_text("#count") == f"{expected} of 60 questions"


def test_text_filter_finds_words_in_any_order_and_case(page, content):
    """A search for two words leaves the questions that hold both."""
    page.fill("[name=text]", "SAVO kept")
    expected = sum("Savo" in (example.context or "") for example in content.examples)

    assert 0 < expected < 60
    assert shown(page) == expected


def test_outcome_filter_finds_the_hallucinations_of_a_system(page, content):
    """Decision and outcome belong to the chosen system."""
    page.select_option("[name=system]", "base")
    page.select_option("[name=outcome]", "hallucination")
    pairs = zip(content.examples, content.predictions["base"], strict=True)
    expected = sum(example.decision == "refuse" and row.decision == "correct" for example, row in pairs)

    assert 0 < expected < 60
    assert shown(page) == expected


def test_twins_come_together(page):
    """With twins together a match brings its twin, side by side, and clearing brings all back."""
    page.select_option("[name=gold]", "correct")
    assert shown(page) == 30

    page.check("[name=twins]")
    ids = page.locator("#item-table tbody:visible").evaluate_all("rows => rows.map((row) => row.dataset.id)")
    assert len(ids) == 60
    assert all(first[:-1] == second[:-1] for first, second in zip(ids[::2], ids[1::2], strict=True))

    page.click("button[type=reset]")
    page.wait_for_function("document.getElementById('count').textContent === '60 questions'")


def test_confident_questions_can_come_first(page, content):
    """Ordering by confidence puts the tuned system's most confident question on top."""
    page.select_option("[name=order]", "high")
    best = max(range(60), key=lambda index: content.calibrated["tuned"][index])

    assert page.locator("#item-table tbody").first.get_attribute("data-id") == content.examples[best].id


def test_details_open_from_the_keyboard(page, content):
    """Focus and Enter show the justification, and say to a screen reader that it is open."""
    button = page.locator("button.more").nth(1)
    button.focus()
    page.keyboard.press("Enter")

    assert button.get_attribute("aria-expanded") == "true"
    assert content.examples[1].justification in page.locator(".details").inner_text()


def test_hostile_question_is_shown_as_text(page, content):
    """Markup in a question appears as typed."""
    assert page.locator(".question").first.inner_text() == content.examples[0].question
    assert page.locator(".question b").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_needs_no_sideways_scrolling(browser, address, scheme):
    """At 375 pixels nothing sticks out, with the details of a question open."""
    page = browser.new_page(viewport={"width": 375, "height": 800}, color_scheme=scheme)
    page.goto(address)
    page.locator("button.more").first.click()
    widths = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth]")
    page.close()

    assert max(widths) <= 375


def test_dark_page_has_light_ink_in_its_figures(browser, address):
    """Text in a figure follows the page: light on a dark ground."""
    page = browser.new_page(color_scheme="dark")
    page.goto(address)
    colours = page.evaluate(
        "[getComputedStyle(document.querySelector('figure svg text')).fill, getComputedStyle(document.body).backgroundColor]"
    )
    page.close()

    # rgb(231, 233, 237) on rgb(20, 23, 28)
    ink, ground = (sum(map(int, colour.strip("rgb()").split(","))) / 3 for colour in colours)
    assert ink > 200
    assert ground < 50
