import pytest

from nescio.report.paper_results import IN_DISTRIBUTION, OUT_OF_DISTRIBUTION, PAPER_RESULTS

ROWS = [(recipe, name, result) for recipe, results in PAPER_RESULTS.items() for name, result in results.items()]


@pytest.mark.parametrize(("recipe", "name", "result"), ROWS)
def test_honesty_follows_from_its_parts(recipe, name, result):
    """Honesty = (prudence + 1 - over-conservativeness) / 2 in every row, within the rounding of three numbers to 0.01 %."""
    assert result.honesty == pytest.approx((result.prudence + 1 - result.over_conservativeness) / 2, abs=1.01e-4)


def test_every_recipe_has_both_question_sets():
    """No recipe stands with half of its results."""
    assert all(set(results) == {IN_DISTRIBUTION, OUT_OF_DISTRIBUTION} for results in PAPER_RESULTS.values())


def test_multisample_leads_honesty_in_the_paper():
    """The paper's own conclusion, on both sets."""
    for name in (IN_DISTRIBUTION, OUT_OF_DISTRIBUTION):
        assert max(PAPER_RESULTS, key=lambda recipe: PAPER_RESULTS[recipe][name].honesty) == "multisample"
