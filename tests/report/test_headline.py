import pytest

from nescio.records import Example, Grade, Prediction
from nescio.report.headline import (
    count_exchange,
    describe_failures,
    describe_result,
    judge_difference,
    show_interval,
    show_setting,
    show_value,
)


def metric(value, low=None, high=None, **extra):
    """A metric as in the scorecard."""
    return {"value": value, "n": 10, "low": low, "high": high, **extra}


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "verdict"),
    [
        (0.1, 0.3, True, "better"),
        (0.1, 0.3, False, "worse"),
        (-0.3, -0.1, True, "worse"),
        (-0.3, -0.1, False, "better"),
        (-0.1, 0.3, True, "no detectable change"),
        (0.0, 0.3, True, "no detectable change"),
        (-0.3, 0.0, False, "no detectable change"),
    ],
)
def test_verdict_needs_an_interval_clear_of_zero(low, high, higher_is_better, verdict):
    """A difference is better or worse only if zero lies outside its interval, and the side follows the metric's direction."""
    difference = metric((low + high) / 2, low, high)

    assert judge_difference(difference, higher_is_better=higher_is_better) == verdict


@pytest.mark.parametrize("difference", [None, metric(None, reason="nothing was answered"), metric(0.3)])
def test_verdict_is_undefined_without_an_interval(difference):
    """A difference without a value or an interval carries no verdict, however large it is."""
    assert judge_difference(difference, higher_is_better=True) == "undefined"


def test_undefined_value_gives_its_reason():
    """An undefined metric is never shown as a number."""
    assert show_value(metric(None, reason="no question was answered"), percent=True) == "undefined: no question was answered"
    assert show_interval(metric(None, reason="no question was answered"), percent=True) == ""
    assert show_value(None, percent=True) == "not measured"


def test_signed_values_have_a_sign_and_no_negative_zero():
    """A difference always shows its direction; a rounded zero has no minus."""
    assert show_value(metric(0.123), percent=True, signed=True) == "+12.3\xa0points"
    assert show_value(metric(-0.0001), percent=True, signed=True) == "+0.0\xa0points"
    assert show_interval(metric(0.0, -0.2, 0.2), percent=False, signed=True) == "−0.200 to +0.200"


def scorecard(difference):
    """Base and tuned with one paired difference."""
    base = {"decision_accuracy": metric(0.4, 0.3, 0.5), "hallucination_rate": metric(0.9, 0.8, 1.0)}
    tuned = {"decision_accuracy": metric(0.7, 0.6, 0.8), "hallucination_rate": metric(None, reason="none to refuse")}
    return {"systems": {"tuned": tuned, "base": base}, "paired": {"tuned-base": {"decision_accuracy": difference}}}


def test_sentence_claims_a_gain_only_where_the_interval_does():
    """The opening sentence says `better` for a clear gain, and `not detectably different` for one that may be chance."""
    clear = describe_result(scorecard(metric(0.3, 0.2, 0.4)))
    chance = describe_result(scorecard(metric(0.3, -0.1, 0.7)))

    assert clear == "Asked 10 test questions, the tuned model decided rightly on 70\xa0%, better than base (40\xa0%)."
    assert "not detectably different from base" in chance


def test_sentence_of_a_single_system_compares_nothing():
    """With only the base model there is nothing to be better than."""
    only_base = {"systems": {"base": scorecard(None)["systems"]["base"]}, "paired": {}}

    sentence = describe_result(only_base)

    assert sentence.startswith("Asked 10 test questions, the base model decided rightly on 40\xa0%, and answered 90\xa0%")
    assert "better" not in sentence


def test_failures_name_the_system_and_the_counts():
    """Failed and ungraded items are announced for each system that has some, and for no other."""
    systems = {
        "base": {"counts": {"items": 8, "failed": 2, "ungraded": 1}},
        "tuned": {"counts": {"items": 8, "failed": 0, "ungraded": 0}},
    }

    assert describe_failures({"systems": systems}) == ["Base: of 8 items 2 gave no readable decision, 1 could not be graded."]


def make_example(number, decision):
    """A question with an id and a right decision."""
    words = {"pattern": "needs_tools", "question": "?", "answer": "!", "justification": "so", "evidence_quality": "low"}
    answers = ("4",) if decision == "correct" else ()
    return Example(id=str(number), group=str(number), decision=decision, answers=answers, **words)


def exchange(rows):
    """Exchange rate of base against tuned from rows of (right decision, base decision, base verdict, tuned ..., ...)."""
    examples = [make_example(number, row[0]) for number, row in enumerate(rows)]
    predictions, grades = {}, {}
    for system, at in (("base", 1), ("tuned", 3)):
        predictions[system] = [Prediction(id=str(number), decision=row[at]) for number, row in enumerate(rows)]
        grades[system] = [Grade(id=str(number), verdict=row[at + 1], reason="-") for number, row in enumerate(rows)]
    return count_exchange(examples, predictions, grades, other="base")


def test_exchange_rate_divides_hallucinations_avoided_by_right_answers_lost():
    """Three hallucinations avoided for two right answers lost and one gained make three for one."""
    rate = exchange(
        [("refuse", "correct", "incorrect", "refuse", "abstained")] * 3
        + [("correct", "correct", "correct", "uncertain", "correct")] * 2
        + [("correct", "refuse", "correct", "correct", "correct")]
    )

    # avoided 3 - 0, lost 2 - 1
    assert (rate.avoided, rate.lost) == (3, 1)
    assert rate.in_words == "3.0 hallucinations avoided per right answer lost (3 against 1)"


def test_exchange_rate_is_told_in_words_where_nothing_was_lost():
    """No division by zero: where no right answer was lost, the page says so."""
    rate = exchange([("refuse", "correct", "incorrect", "refuse", "abstained")])

    assert rate.in_words == "1 hallucination avoided and, net, no right answer lost"


def test_exchange_rate_admits_that_nothing_was_avoided():
    """More hallucinations than before are told as such, with the price."""
    rate = exchange(
        [("refuse", "refuse", "abstained", "correct", "incorrect"), ("correct", "correct", "correct", "refuse", "abstained")]
    )

    assert rate.in_words == "no hallucination was avoided (1 more than before), and 1 right answer lost"


def test_ungraded_answers_are_no_right_answers_to_lose():
    """An ungraded answer of the other system is not counted as lost."""
    rate = exchange([("correct", "correct", "ungraded", "refuse", "abstained")])

    assert rate.lost == 0


@pytest.mark.parametrize(
    ("value", "words"), [(None, "none"), (True, "yes"), (5e-4, "0.0005"), (1830.25, "1,830.2"), ({"a_b": [1, 2]}, "a b 1, 2")]
)
def test_settings_are_told_in_words(value, words):
    """Values of a run file read as a person would write them."""
    assert show_setting(value) == words
