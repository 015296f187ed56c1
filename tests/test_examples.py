"""The examples run as they stand and print what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nescio.models.tiny import make_tiny_model

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(name, *arguments):
    """What the script prints, run as a user would run it."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_stays_under_forty_lines(script):
    """An example that does not fit on a screen is a program."""
    lines = script.read_text(encoding="utf-8").splitlines()

    assert len(lines) < 40


def test_scoring_tells_a_bold_system_from_a_careful_one():
    """The bold system answers every question that is to be refused; the careful one is better, and the interval says so."""
    lines = run_example("score_any_predictions").splitlines()
    numbers = {line.split()[0]: [float(number) for number in re.findall(r"[-+]?\d+\.\d\d", line)] for line in lines}
    bold, careful, difference, low, high = numbers["decision_accuracy"]

    assert difference == pytest.approx(careful - bold, abs=0.011)  # each number is rounded to 0.01
    assert 0.0 < low < difference < high < 1.0
    assert numbers["hallucination_rate"][0] == 1.0
    assert numbers["over_refusal_rate"][0] == 0.0


def test_calibration_finds_the_temperature_and_lowers_the_error():
    """Log-odds were doubled, so that the temperature is near 2, and the error falls below what chance explains."""
    output = run_example("calibrate_confidence")
    temperature, before, after, floor = (float(number) for number in re.findall(r"\d+\.\d+", output))

    assert temperature == pytest.approx(2.0, abs=0.2)
    assert after < floor < before


def test_prediction_names_a_decision_three_probabilities_and_an_answer(tmp_path):
    """A random model obeys the reply's schema too, and the greedy decision is the most probable one."""
    output = run_example("predict_one", str(make_tiny_model(tmp_path)))
    decision, stated, answer = (output.split(name, 1)[1] for name in ("decision:      ", "probabilities: ", "answer:        "))
    probabilities = {name: float(p) for name, p in re.findall(r"(\w+) (\d\.\d{3})", stated.splitlines()[0])}

    assert probabilities[decision.splitlines()[0]] == max(probabilities.values())
    assert set(probabilities) == {"correct", "uncertain", "refuse"}
    assert sum(probabilities.values()) == pytest.approx(1.0, abs=0.002)  # three numbers rounded to 0.001
    assert 1 <= len(answer.removesuffix("\n")) <= 200  # of any signs, line breaks included


def test_the_second_labelling_agrees_as_documented():
    """The agreement in docs/data.md is what the example prints."""
    printed = run_example("second_labelling")
    documented = (EXAMPLES.parent / "docs" / "data.md").read_text(encoding="utf-8")

    for kappa, agreement in re.findall(r"kappa (\S+) .*agreement (\S+),", printed):
        assert kappa in documented
        assert agreement in documented
