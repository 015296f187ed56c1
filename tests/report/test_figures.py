import dataclasses
import re

import numpy as np
import pytest

from nescio.report import figures
from nescio.report.canvas import INK, embed_svg, write_figure
from nescio.report.gallery import Plan, collect_outcomes, plan_figures


def texts_of(figure):
    """All words in a figure."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_same_figure_gives_the_same_bytes(tmp_path):
    """Two runs write identical PNG and SVG files: no date, no random ids."""
    rows = [{"step": step, "loss": 1 / step} for step in range(1, 40)]
    for folder in ("one", "two"):
        write_figure(figures.draw_training_loss(rows), tmp_path / folder, name="loss")

    for name in ("loss.png", "loss.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_drawing_leaves_the_style_of_the_process_alone():
    """A user's own matplotlib settings are the same before and after."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.draw_training_loss([{"step": 1, "loss": 1.0}])

    assert dict(matplotlib.rcParams) == before


def test_embedded_figure_takes_the_colour_of_the_page(tmp_path):
    """Ink becomes currentColor, so that a dark page shows light text; the file on disk keeps its own ink."""
    svg = write_figure(figures.draw_training_loss([{"step": 1, "loss": 1.0}]), tmp_path, name="loss")
    embedded = embed_svg(svg, name="loss", alt='a "quoted" <line>')

    assert INK in svg
    assert INK not in embedded
    assert "currentColor" in embedded
    assert 'aria-label="a &#34;quoted&#34; &lt;line&gt;"' in embedded
    assert "<?xml" not in embedded


def test_ids_of_two_embedded_figures_never_meet(tmp_path):
    """The same drawing under two names shares no id, and every reference points at an id of its own figure."""
    svg = write_figure(figures.draw_training_loss([{"step": 1, "loss": 1.0}]), tmp_path, name="loss")
    ids = {}
    for name in ("first", "second"):
        embedded = embed_svg(svg, name=name, alt="")
        ids[name] = set(re.findall(r'\bid="([^"]+)"', embedded))
        references = set(re.findall(r'(?:url\(|href=")#([^")]+)', embedded))
        assert references
        assert references <= ids[name]

    assert not ids["first"] & ids["second"]


def test_noise_band_holds_the_truth_of_a_perfect_model():
    """With 100 items at confidence 0.5 the band is that of the binomial distribution."""
    low, high = figures.simulate_noise_floor(np.full(100, 0.5), n_bins=10, seed=0)

    # 0.5 sits in the fifth bin. Standard deviation sqrt(0.25 / 100) = 0.05, so 95 % lie within about 0.40 and 0.60.
    assert low[4] == pytest.approx(0.40, abs=0.015)
    assert high[4] == pytest.approx(0.60, abs=0.015)
    assert np.isnan(np.delete(low, 4)).all()


def test_rate_without_a_value_is_written_as_undefined():
    """An undefined rate gets the word, never a bar of length zero; a missing one is not measured."""
    systems = {"base": {"hallucination_rate": {"value": None, "n": 0, "reason": "none"}}}
    words = texts_of(figures.draw_failure_rates(systems))

    assert words.count("undefined") == 1
    assert words.count("not measured") == 2
    assert "0 %" not in words


def test_failed_items_have_a_column_in_the_confusion_matrix():
    """Failures are shown where there are some, and take no room where there are none."""
    with_failure = texts_of(figures.draw_confusion({"refuse": {"correct": 3, "failed": 2}}))
    without = texts_of(figures.draw_confusion({"refuse": {"correct": 3, "failed": 0}}))

    assert "failed" in with_failure
    assert "failed" not in without


def test_single_point_and_single_class_can_be_drawn():
    """One item, right or wrong, gives a diagram and a curve instead of a crash."""
    for right in (0.0, 1.0):
        one = np.array([0.7]), np.array([right])
        figures.draw_reliability(one[0], one[0], one[1])
        figures.draw_risk_coverage({"tuned": one}, subject="tuned")


def test_items_without_a_confidence_are_left_out_and_counted(content):
    """The failed item of the base system is missing from its curves, and the number is kept."""
    base, tuned = collect_outcomes(content, "base"), collect_outcomes(content, "tuned")

    assert (len(base.right), base.left_out) == (len(content.examples) - 1, 1)
    assert tuned.left_out == 0


def test_every_planned_figure_has_an_alternative_text_and_a_name_of_its_own(content):
    """Alternative texts tell the numbers, and no two figures share a file."""
    plans = [plan for plan in plan_figures(content) if isinstance(plan, Plan)]

    assert len({plan.name for plan in plans}) == len(plans) == 11
    assert all(re.search(r"\d", plan.alt) for plan in plans)


@pytest.mark.parametrize("systems", [("base",), ("tuned",), ("few_shot", "tuned"), ("base", "few_shot")])
def test_any_subset_of_the_systems_can_be_drawn(build_content, systems):
    """Every figure of a run of fewer systems can be drawn."""
    plans = list(plan_figures(build_content(groups=3, systems=systems)))

    assert len(plans) == 8 + len(systems)
    for plan in plans:
        assert plan.draw().axes


def test_missing_parts_are_told(content):
    """Without loss curve, patterns and confidences there are sentences in place of empty axes."""
    systems = {name: {**metrics, "patterns": {}} for name, metrics in content.scorecard["systems"].items()}
    bare = dataclasses.replace(
        content,
        loss_curve=[],
        scorecard={**content.scorecard, "systems": systems},
        calibrated={name: [None] * len(content.examples) for name in content.systems},
    )

    assert [plan for plan in plan_figures(bare) if isinstance(plan, str)] == [
        "Training loss: none was recorded.",
        "Calibration and risk-coverage: Tuned has no item with a confidence.",
        "Accuracy by pattern: the scorecard has no patterns.",
    ]
