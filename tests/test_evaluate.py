"""The evaluate stage on records: names, denominators, nulls, intervals, pairs and refusals."""

import json

import numpy as np
import pytest

from nescio.confidence.calibrators import Calibrator
from nescio.errors import DataError
from nescio.evaluate import evaluate_systems
from nescio.metrics import expected_calibration_error
from nescio.metrics.scorecard import METRICS
from nescio.records import Example, Grade, Prediction

# id, group, pattern, right decision, decision taken (None: failed), verdict, confidence
ROWS = [
    ("a1", "a", "p", "correct", "correct", "correct", 0.9),
    ("a2", "a", "p", "refuse", "refuse", "incorrect", 0.2),
    ("b1", "b", "p", "correct", "correct", "incorrect", 0.8),
    ("b2", "b", "p", "uncertain", "correct", "incorrect", 0.7),
    ("c1", "c", "q", "correct", "refuse", "correct", 0.4),
    ("c2", "c", "q", "refuse", "correct", "incorrect", 0.6),
    ("d1", "d", "q", "correct", None, "ungraded", None),
    ("e1", "e", "q", "uncertain", "uncertain", "abstained", 0.1),
]
RIGHT = [1, 0, 0, 0, 1, 0, 0, 0]
CONFIDENCE = [0.9, 0.2, 0.8, 0.7, 0.4, 0.6, 0.5, 0.1]


def make_example(row):
    """The example of a row."""
    row_id, group, pattern, decision, *_ = row
    texts = {"question": "q", "answer": "a", "justification": "j", "evidence_quality": "high"}
    answers = ("a",) if decision == "correct" else ()
    return Example(id=row_id, group=group, pattern=pattern, decision=decision, answers=answers, **texts)


def make_prediction(row):
    """The prediction of a row."""
    *_, taken, _, confidence = row
    return Prediction(id=row[0], decision=taken, confidence=confidence, failure="unreadable" if taken is None else None)


def make_run(rows=ROWS, *, systems=("base",)):
    """Examples, and the same predictions and grades for each system."""
    predictions = [make_prediction(row) for row in rows]
    grades = [Grade(id=row[0], verdict=row[5], reason="test") for row in rows]
    return [make_example(row) for row in rows], dict.fromkeys(systems, predictions), dict.fromkeys(systems, grades)


def evaluate(rows=ROWS, **options):
    """The metrics of one system."""
    return evaluate_systems(*make_run(rows), **({"n_resamples": 50} | options))["systems"]["base"]


# Decided rightly: a1, a2, b1, e1. Gold: correct a1 b1 c1 d1, uncertain b2 e1, refuse a2 c2.
# Taken: correct a1 b1 b2 c2, uncertain e1, refuse a2 c1, failed d1.
BY_HAND = {
    "decision_accuracy": (4 / 8, 8),
    "macro_f1": ((1 / 2 + 2 / 3 + 1 / 2) / 3, 8),
    "precision_correct": (2 / 4, 4),
    "precision_uncertain": (1 / 1, 1),
    "precision_refuse": (1 / 2, 2),
    "recall_correct": (2 / 4, 4),
    "recall_uncertain": (1 / 2, 2),
    "recall_refuse": (1 / 2, 2),
    "f1_correct": (2 * 2 / (4 + 4), 6),  # n: right or taken on a1 b1 c1 d1 b2 c2
    "f1_uncertain": (2 * 1 / (2 + 1), 2),
    "f1_refuse": (2 * 1 / (2 + 2), 3),
    "answer_rate": (4 / 8, 8),
    "uncertainty_rate": (1 / 8, 8),
    "refusal_rate": (2 / 8, 8),
    "false_confidence_rate": (3 / 4, 4),  # b1 answered wrongly, b2 and c2 not to be answered
    "hallucination_rate": (1 / 2, 2),  # c2 of a2, c2
    "over_refusal_rate": (1 / 4, 4),  # c1 of a1, b1, c1, d1
    "answer_accuracy": (1 / 4, 4),  # a1; c1's forced answer was right but not given
    "twin_accuracy": (1 / 3, 3),  # a; b and c have a wrong twin; d and e are no pairs
    "brier": (sum((c - y) ** 2 for c, y in zip(CONFIDENCE, RIGHT, strict=True)) / 8, 8),
    "nll": (-np.mean(np.log([c if y else 1 - c for c, y in zip(CONFIDENCE, RIGHT, strict=True)])), 8),
    # Every confidence is alone in its bin.
    "ece": (np.mean(np.abs(np.subtract(CONFIDENCE, RIGHT))), 8),
    # 0.9 beats all six wrong ones; 0.4 beats 0.2 and 0.1.
    "auroc": ((6 + 2) / 12, 8),
    # Errors by falling confidence 0 1 1 1 1 0 1 1.
    "aurc": (np.mean(np.cumsum([0, 1, 1, 1, 1, 0, 1, 1]) / np.arange(1, 9)), 8),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_metric_by_hand(name):
    """Value and denominator of each metric on eight questions, one of them failed."""
    entry = evaluate()[name]
    value, n = BY_HAND[name]

    assert entry["value"] == pytest.approx(value)
    assert entry["n"] == n


def test_every_metric_has_value_n_and_interval_and_the_whole_is_json():
    """Names and keys are the documented ones for systems, patterns and pairs, and nothing is NaN."""
    result = evaluate_systems(*make_run(systems=("base", "tuned")), pairs=[("tuned", "base")], n_resamples=50)
    json.dumps(result, allow_nan=False)
    base = result["systems"]["base"]

    assert set(result) == {"systems", "paired", "settings"}
    assert set(base) == {*METRICS, "confusion", "counts", "noise_floor", "patterns"}
    assert set(base["patterns"]) == {"p", "q"}
    for part in (base, *base["patterns"].values(), result["paired"]["tuned-base"]):
        for name in METRICS:
            assert {"value", "n", "low", "high"} <= set(part[name])
            assert (part[name]["value"] is None) <= ("reason" in part[name])


def test_confusion_counts_and_settings_by_hand():
    """Right decisions are the outer keys, decisions taken the inner ones, failures included."""
    result = evaluate_systems(*make_run(), seed=7, n_resamples=10, n_bins=5)
    base = result["systems"]["base"]

    assert base["confusion"] == {
        "correct": {"correct": 2, "uncertain": 0, "refuse": 1, "failed": 1},
        "uncertain": {"correct": 1, "uncertain": 1, "refuse": 0, "failed": 0},
        "refuse": {"correct": 1, "uncertain": 0, "refuse": 1, "failed": 0},
    }
    assert base["counts"] == {"items": 8, "failed": 1, "without_confidence": 1, "ungraded": 1, "nll_clipped": 0}
    assert result["settings"] | {"calibrators": None} == {
        "n_resamples": 10,
        "n_bins": 5,
        "seed": 7,
        "level": 0.95,
        "n_items": 8,
        "n_groups": 5,
        "failed_confidence": 0.5,
        "nll_clip": 1e-6,
        "calibrators": None,
    }


def test_a_failed_item_is_wrong_everywhere_and_never_flatters():
    """Turning a right item into a failure lowers accuracy and recall, keeps n, and costs Brier score."""
    failed = [(*ROWS[0][:4], None, "ungraded", None), *ROWS[1:]]
    before, after = evaluate(), evaluate(failed)

    for name in ("decision_accuracy", "recall_correct", "answer_accuracy", "twin_accuracy"):
        assert after[name]["value"] < before[name]["value"]
        assert after[name]["n"] == before[name]["n"]
    assert after["brier"]["n"] == 8
    assert after["counts"]["failed"] == 2


def test_a_failed_item_keeps_one_half_after_calibration():
    """The stand-in is no confidence of the system, so no calibrator moves it."""
    calibrator = Calibrator(method="platt", slope=1.0, intercept=3.0)
    base = evaluate(calibrations={"base": calibrator})
    expected = [*calibrator.apply(CONFIDENCE[:6]), 0.5, *calibrator.apply(CONFIDENCE[7:])]

    assert base["brier"]["value"] == pytest.approx(np.mean(np.subtract(expected, RIGHT) ** 2))


def test_a_confidence_left_behind_by_a_failed_item_is_not_used():
    """A reply that broke off after its confidence is a failure like any other: 0.5, counted, and not clipped."""
    examples, predictions, grades = make_run()
    left = [row.model_copy(update={"confidence": 1.0}) if row.id == "d1" else row for row in predictions["base"]]
    base = evaluate_systems(examples, {"base": left}, grades, n_resamples=50)["systems"]["base"]

    assert base == evaluate()
    assert base["counts"]["without_confidence"] == 1


def test_calibration_moves_the_calibrated_metrics_and_keeps_raw_ones_and_ranks():
    """Metrics before calibration stay, those after it change, and a rising map changes no rank metric."""
    rows = [row for row in ROWS if row[4] is not None]
    plain, calibrated = evaluate(rows), evaluate(rows, calibrations={"base": Calibrator(method="temperature", slope=0.3)})

    for name in ("ece_raw", "brier_raw", "nll_raw", "auroc", "aurc", "e_aurc", "decision_accuracy"):
        assert calibrated[name] == plain[name]
    for name in ("ece", "brier", "nll"):
        assert plain[name] == plain[f"{name}_raw"]
        assert calibrated[name]["value"] != plain[name]["value"]


def test_certain_confidences_are_kept_and_clipped_ones_counted():
    """Confidence exactly 1.0 on wrong answers is in the ECE, and the log loss says what it clipped."""
    rows = [(f"x{k}", f"x{k}", "p", "refuse", "correct", "incorrect", 1.0) for k in range(4)]
    base = evaluate(rows)

    assert base["ece"]["value"] == 1.0
    assert base["counts"]["nll_clipped"] == 4
    assert base["nll"]["value"] == pytest.approx(-np.log(1e-6))


def test_undefined_metrics_are_null_with_a_reason():
    """Two refused questions leave precision, answer metrics, twins and ranks undefined, none of them 0."""
    rows = [(f"x{k}", f"x{k}", "p", "refuse", "refuse", "incorrect", 0.2) for k in range(2)]
    base = evaluate(rows)
    reasons = {name: base[name].get("reason") for name in METRICS if base[name]["value"] is None}

    assert reasons == {
        "precision_correct": "the decision was never taken",
        "precision_uncertain": "the decision was never taken",
        "recall_correct": "no question has this right decision",
        "recall_uncertain": "no question has this right decision",
        "f1_correct": "the decision is neither right nor taken on any question",
        "f1_uncertain": "the decision is neither right nor taken on any question",
        "false_confidence_rate": "no question was answered",
        "over_refusal_rate": "no question has the right decision 'correct'",
        "answer_accuracy": "no question has the right decision 'correct'",
        "twin_accuracy": "no group has exactly two questions",
        "auroc": "answering would have been right on all questions or on none",
    }
    assert base["precision_correct"] == {
        "value": None, "n": 0, "low": None, "high": None, "reason": "the decision was never taken"
    }  # fmt: skip


def test_a_system_that_states_no_confidence_has_no_confidence_metrics():
    """Decisions without confidences are measured; calibration errors of nothing are null."""
    rows = [(*row[:6], None) for row in ROWS]
    base = evaluate(rows)

    assert base["decision_accuracy"]["value"] == 0.5
    assert base["ece"] == {"value": None, "n": 0, "low": None, "high": None, "reason": "no question has a confidence"}
    assert base["noise_floor"] == {"mean": None, "q95": None, "reason": "no question has a confidence"}
    assert base["counts"]["without_confidence"] == 8
    assert base["counts"]["failed"] == 1


def test_resamples_that_leave_a_metric_undefined_are_counted():
    """The one answered group of eight is missing from (7/8)^8 = 34 % of the resamples; the others give the interval."""
    rows = [(f"x{k}", f"x{k}", "p", "refuse", "correct" if k == 0 else "refuse", "incorrect", 0.2) for k in range(8)]
    entry = evaluate(rows, n_resamples=400)["false_confidence_rate"]

    assert (entry["value"], entry["low"], entry["high"]) == (1.0, 1.0, 1.0)
    assert entry["undefined_resamples"] / 400 == pytest.approx((7 / 8) ** 8, abs=0.08)


def test_too_many_undefined_resamples_leave_no_interval():
    """Two systems answer one group of eight each, not the same: both are drawn in 41 % of the resamples only."""
    # 1 - 2 (7/8)^8 + (6/8)^8 = 0.413
    rows = [(f"x{k}", f"x{k}", "p", "refuse", "refuse", "incorrect", 0.2) for k in range(8)]
    examples, predictions, grades = make_run(rows, systems=("a", "b"))
    for k, name in enumerate(("a", "b")):
        predictions[name] = [make_prediction((*row[:4], "correct" if row[0] == f"x{k}" else "refuse", *row[5:])) for row in rows]
    result = evaluate_systems(examples, predictions, grades, pairs=[("a", "b")], n_resamples=400)
    entry = result["paired"]["a-b"]["false_confidence_rate"]

    assert (entry["value"], entry["low"], entry["high"]) == (0.0, None, None)
    assert entry["undefined_resamples"] / 400 == pytest.approx(1 - 0.413, abs=0.08)
    assert entry["reason"] == f"undefined in {entry['undefined_resamples']} of 400 resamples"


def test_a_single_group_has_values_and_no_interval():
    """Resampling one group says nothing about chance, so no interval of width 0 is claimed."""
    entry = evaluate(ROWS[:2])["decision_accuracy"]

    assert entry == {"value": 1.0, "n": 2, "low": None, "high": None, "reason": "a single group gives no interval"}


def test_patterns_are_the_metrics_of_their_questions_alone():
    """A pattern's entry equals an evaluation of that pattern's questions."""
    whole, alone = evaluate(), evaluate([row for row in ROWS if row[2] == "q"])

    assert whole["patterns"]["q"] == {name: alone[name] for name in METRICS}


def test_a_system_differs_from_itself_by_exactly_nothing():
    """Paired differences use the same resamples, so equal systems differ by 0 with an interval of 0."""
    result = evaluate_systems(*make_run(systems=("a", "b")), pairs=[("a", "b"), ("a", "a")], n_resamples=100)

    for pair in ("a-b", "a-a"):
        for name in METRICS:
            entry = result["paired"][pair][name]
            assert (entry["value"], entry["low"], entry["high"]) == (0.0, 0.0, 0.0)


def test_paired_difference_is_first_minus_second_and_narrower_than_unpaired():
    """One more right item raises accuracy by 1/8, and the interval of the difference leaves out what both share."""
    examples, predictions, grades = make_run(systems=("base", "tuned"))
    better = make_prediction((*ROWS[5][:4], "refuse", *ROWS[5][5:]))
    predictions["tuned"] = [better if row.id == "c2" else row for row in predictions["base"]]
    result = evaluate_systems(examples, predictions, grades, pairs=[("tuned", "base")], n_resamples=500)
    difference, single = result["paired"]["tuned-base"], result["systems"]["base"]

    assert difference["decision_accuracy"]["value"] == pytest.approx(1 / 8)
    assert difference["hallucination_rate"]["value"] == pytest.approx(-1 / 2)
    assert difference["decision_accuracy"]["low"] == pytest.approx(0.0)
    width, wide = (entry["decision_accuracy"]["high"] - entry["decision_accuracy"]["low"] for entry in (difference, single))
    assert width < wide
    # Four questions were answered before and three are now: the smaller denominator is told.
    assert difference["false_confidence_rate"]["n"] == 3


def test_a_difference_with_an_undefined_side_is_null_and_says_whose():
    """A system that never answers has no false-confidence rate to compare."""
    examples, predictions, grades = make_run(systems=("base", "tuned"))
    predictions["tuned"] = [Prediction(id=row[0], decision="refuse", confidence=0.1) for row in ROWS]
    result = evaluate_systems(examples, predictions, grades, pairs=[("tuned", "base")], n_resamples=20)

    assert result["paired"]["tuned-base"]["false_confidence_rate"]["value"] is None
    assert result["paired"]["tuned-base"]["false_confidence_rate"]["reason"] == "tuned: no question was answered"


def test_order_of_rows_does_not_matter_and_seeds_do():
    """Predictions and grades are matched by id; the same seed gives the same numbers, another seed other intervals."""
    examples, predictions, grades = make_run()
    turned = {"base": predictions["base"][::-1]}, {"base": grades["base"][::-1]}
    first = evaluate_systems(examples, predictions, grades, n_resamples=50)

    assert evaluate_systems(examples, *turned, n_resamples=50) == first
    assert evaluate_systems(examples, predictions, grades, n_resamples=50, seed=1)["systems"] != first["systems"]


def test_noise_floor_is_that_of_the_calibrated_confidences():
    """The floor lies in (0, 1) and its mean below its 95 % quantile."""
    floor = evaluate()["noise_floor"]

    assert 0 < floor["mean"] < floor["q95"] < 1
    assert evaluate(n_bins=1)["ece"]["value"] == pytest.approx(expected_calibration_error(CONFIDENCE, RIGHT, n_bins=1))


@pytest.mark.parametrize("kind", ["predictions", "grades"])
def test_a_missing_extra_or_repeated_row_raises_and_is_named(kind):
    """No row may be dropped, brought in or counted twice."""

    def run(change):
        examples, predictions, grades = make_run()
        rows = {"predictions": predictions, "grades": grades}
        rows[kind] = {"base": change(rows[kind]["base"])}
        evaluate_systems(examples, rows["predictions"], rows["grades"])

    with pytest.raises(DataError, match=rf"{kind} of system 'base': question 'a2' is missing \(2 such\)"):
        run(lambda rows: [rows[0], *rows[3:]])
    with pytest.raises(DataError, match=rf"{kind} of system 'base': 'z' is no question of the test split \(1 such\)"):
        run(lambda rows: [*rows, rows[0].model_copy(update={"id": "z"})])
    with pytest.raises(DataError, match=rf"{kind} of system 'base': id 'a1' occurs more than once"):
        run(lambda rows: [*rows, rows[0]])


def test_questions_seen_by_training_or_calibration_are_refused():
    """A leak between splits stops the run and names a question."""
    with pytest.raises(DataError, match=r"training or calibration saw question 'b1' \(2 such\)"):
        evaluate(seen_ids=["c1", "b1", "unrelated"])


def test_unknown_systems_missing_grades_repeated_or_no_examples_raise():
    """Each slip in the call is told in one line."""
    examples, predictions, grades = make_run()
    with pytest.raises(DataError, match=r"unknown system 'bas'\. Did you mean 'base'\?"):
        evaluate_systems(examples, predictions, grades, pairs=[("base", "bas")])
    with pytest.raises(DataError, match="unknown system 'tuned'"):
        evaluate_systems(examples, predictions, grades, calibrations={"tuned": Calibrator(method="identity")})
    with pytest.raises(DataError, match="system 'base' has predictions but no grades"):
        evaluate_systems(examples, predictions, {})
    with pytest.raises(DataError, match="there are no examples"):
        evaluate_systems([], {"base": []}, {"base": []})
    with pytest.raises(DataError, match="the examples: id 'a1' occurs more than once"):
        evaluate_systems([*examples, examples[0]], predictions, grades)
