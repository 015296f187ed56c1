"""Temperature and Platt scaling, and the choice between them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from nescio.confidence.calibrators import FITTERS, Calibrator, choose_calibrator, fit_platt, fit_temperature
from nescio.errors import ConfigError

ITEMS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30)


def distorted_items(*, slope, intercept=0.0, n=20_000, seed=0):
    """Log-odds, outcomes that follow slope * log-odds + intercept, and the distorted confidence that hides both."""
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(0, 2, n)
    return expit(log_odds), generator.random(n) < expit(slope * log_odds + intercept)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_temperature_is_recovered(temperature):
    """Confidences that are too sharp or too flat by a known temperature give that temperature back."""
    calibrator = fit_temperature(*distorted_items(slope=1 / temperature))

    # The standard error of the slope is near 0.02 at 20,000 items.
    assert calibrator.slope == pytest.approx(1 / temperature, rel=0.06)
    assert calibrator.intercept == 0.0
    assert calibrator.method == "temperature"


def test_platt_recovers_slope_and_intercept():
    """A shifted and stretched confidence is put right."""
    calibrator = fit_platt(*distorted_items(slope=0.5, intercept=-1.0))

    assert calibrator.slope == pytest.approx(0.5, abs=0.05)
    assert calibrator.intercept == pytest.approx(-1.0, abs=0.08)


def test_platt_agrees_with_an_unpenalised_logistic_regression():
    """On many items, where smoothing hardly matters, the fit is scikit-learn's."""
    confidence, correct = distorted_items(slope=0.7, intercept=0.4)
    log_odds = np.log(confidence / (1 - confidence))[:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-8).fit(log_odds, correct)
    calibrator = fit_platt(confidence, correct)

    assert calibrator.slope == pytest.approx(reference.coef_[0, 0], abs=2e-3)
    assert calibrator.intercept == pytest.approx(reference.intercept_[0], abs=2e-3)


def test_apply_by_hand():
    """Log-odds of 0.8 are ln 4; at slope 1/2 the odds are 2, and an intercept of ln 3 makes them 6."""
    assert Calibrator(method="temperature", slope=0.5).apply([0.8]) == pytest.approx([2 / 3])
    assert Calibrator(method="platt", slope=0.5, intercept=np.log(3)).apply([0.8]) == pytest.approx([6 / 7])


def test_apply_keeps_certain_confidences_finite():
    """0 and 1 are clipped before their log-odds are taken, and the halves of the scale mirror one another."""
    applied = Calibrator(method="temperature", slope=0.5).apply([0.0, 1.0])

    # Odds of 1e-6 become 1e-3.
    assert applied == pytest.approx([1e-3 / (1 + 1e-3), 1 / (1 + 1e-3)], rel=1e-4)


def test_identity_leaves_confidences_untouched():
    """Not even the clip touches what is not calibrated."""
    assert Calibrator(method="identity").apply([0.0, 0.3, 1.0]).tolist() == [0.0, 0.3, 1.0]


@pytest.mark.parametrize("fit", [fit_temperature, fit_platt])
def test_separable_items_give_a_finite_slope(fit):
    """A threshold separates right from wrong, and still no confidence becomes certain: at most (2 + 1) / (2 + 2)."""
    confidence, correct = [0.1, 0.1, 0.9, 0.9], [0, 0, 1, 1]
    calibrator = fit(confidence, correct)

    assert calibrator.apply(confidence) == pytest.approx([1 / 4, 1 / 4, 3 / 4, 3 / 4], abs=1e-4)


@pytest.mark.parametrize("fit", [fit_temperature, fit_platt])
def test_upside_down_confidences_are_flattened_and_never_flipped(fit):
    """Where higher confidence is wrong more often, the slope stops at 0."""
    calibrator = fit([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0])

    assert calibrator.slope == pytest.approx(0.0, abs=1e-6)


def test_constant_confidence_moves_to_the_base_rate_and_says_nothing_of_temperature():
    """At 0.5 the log-odds are 0: Platt's intercept takes the smoothed base rate, the temperature stays 1."""
    # Targets (3 + 1) / (3 + 2) three times and 1 / (1 + 2) once: mean (2.4 + 0.3333) / 4.
    assert fit_platt([0.5] * 4, [1, 1, 1, 0]).apply([0.5]) == pytest.approx([(2.4 + 1 / 3) / 4], abs=1e-5)
    assert fit_temperature([0.5] * 4, [1, 1, 1, 0]).slope == pytest.approx(1.0)


@settings(deadline=None)  # a busy machine is no failure
@given(ITEMS)
def test_every_fit_is_finite_rising_and_inside_the_unit_interval(items):
    """Whatever the items, no fitted map overflows, falls, or leaves [0, 1]."""
    confidence, correct = zip(*items, strict=True)
    for fit in (fit_temperature, fit_platt):
        calibrator = fit(confidence, correct)
        applied = calibrator.apply(np.linspace(0, 1, 21))

        assert calibrator.slope >= 0.0
        assert np.isfinite([calibrator.slope, calibrator.intercept]).all()
        assert (np.diff(applied) >= 0).all()
        assert ((applied >= 0) & (applied <= 1)).all()


def test_the_method_that_predicts_held_out_folds_best_is_chosen():
    """A shift needs an intercept, so Platt wins; pure sharpness leaves the two nearly equal; both numbers are told."""
    confidence, correct = distorted_items(slope=1.0, intercept=-1.5, n=600)
    choice = choose_calibrator(confidence, correct, range(600), methods=["identity", "temperature", "platt"])
    likelihood = choice.negative_log_likelihood

    assert choice.calibrator == fit_platt(confidence, correct)
    assert choice.reason is None
    assert likelihood["platt"] < likelihood["temperature"] < likelihood["identity"]


def test_cross_validated_likelihood_of_the_identity_is_the_plain_one():
    """What is not fitted scores the same in folds as on all items: ln 2 here."""
    choice = choose_calibrator([0.5] * 6, [1, 0] * 3, range(6), methods=["identity"])

    assert choice.negative_log_likelihood == pytest.approx({"identity": np.log(2)})


def test_groups_are_never_split_between_folds(monkeypatch):
    """Each fit sees both items of a group or neither, and each group is held out once."""
    seen = []

    def spy(confidence, correct):
        seen.append(list(confidence))
        return fit_temperature(confidence, correct)

    monkeypatch.setitem(FITTERS, "temperature", spy)
    confidence = np.linspace(0.1, 0.9, 12)
    choose_calibrator(np.tile(confidence, 2), [1, 0] * 12, [f"g{k}" for k in range(12)] * 2, methods=["temperature"], folds=4)
    *folds, whole = seen

    assert len(folds) == 4
    assert all(fold.count(value) in (0, 2) for fold in folds for value in confidence)
    assert all(sum(value not in fold for fold in folds) == 1 for value in confidence)
    assert len(whole) == 24


def test_the_seed_deals_the_folds():
    """Equal seeds give equal likelihoods, other seeds others."""
    confidence, correct = distorted_items(slope=0.5, n=60)
    first, again, other = (
        choose_calibrator(confidence, correct, range(60), methods=["platt"], seed=seed).negative_log_likelihood
        for seed in (0, 0, 1)
    )

    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("confidence", "correct", "groups", "reason"),
    [
        ([0.2, 0.8], [1, 1], [0, 1], "all 2 items have the same outcome (right)"),
        ([0.2, 0.8], [0, 0], [0, 1], "all 2 items have the same outcome (wrong)"),
        ([], [], [], "no item has a confidence to calibrate"),
        ([0.2, 0.8], [0, 1], ["a", "a"], "a single group cannot be split into folds"),
    ],
)
def test_items_that_teach_nothing_leave_confidences_as_they_are(confidence, correct, groups, reason):
    """Without two outcomes and two groups nothing is fitted, and the reason is told."""
    choice = choose_calibrator(confidence, correct, groups, methods=["temperature", "platt"])

    assert choice == (Calibrator(method="identity"), {}, reason)


def test_fewer_groups_than_folds_are_one_a_fold():
    """Three groups in five folds still cross-validate."""
    choice = choose_calibrator([0.2, 0.6, 0.9], [0, 1, 1], ["a", "b", "c"], methods=["temperature"])

    assert np.isfinite(choice.negative_log_likelihood["temperature"])


def test_wrong_options_raise_with_the_known_names():
    """A misspelt method gets a hint."""
    with pytest.raises(ConfigError, match=r"unknown calibration method 'plat'\. Did you mean 'platt'\?"):
        choose_calibrator([0.5], [1], [0], methods=["plat"])
    with pytest.raises(ConfigError, match="no calibration method is named"):
        choose_calibrator([0.5], [1], [0], methods=[])
    with pytest.raises(ConfigError, match="at least 2 folds, got 1"):
        choose_calibrator([0.5], [1], [0], methods=["platt"], folds=1)


def test_every_method_of_the_record_has_a_fit():
    """The names that a calibrator may carry are the names that can be fitted."""
    for method, fit in FITTERS.items():
        assert fit([0.2, 0.8], [0, 1]).method == method
