"""A plausible run, simulated: three systems that answer test questions with known habits."""

import math
import random
import shutil

import numpy as np
import pytest

from nescio.evaluate import evaluate_systems
from nescio.records import DECISIONS, Example, Grade, Prediction
from nescio.report import ReportContent

PATTERNS = (
    *(
        "incomplete_context",
        "conflicting_sources",
        "future_event",
        "ambiguous_question",
        "private_information",
        "harmful_request",
    ),
    *("insufficient_sample", "false_premise", "invented_entity", "time_dependent", "subjective_matter", "unverified_source"),
    *("needs_tools", "underspecified", "unknowable_detail", "injected_instruction"),
)
BROWSERS = ("chromium", "google-chrome", "chromium-browser")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)
SECOND_TWINS = ("refuse", "refuse", "uncertain")
HOSTILE_QUESTION = "What does the tag </script><b>bold</b> & \"quoted\" 'text' do in <i>HTML</i>?"
# How often each system takes the right decision, and what it takes otherwise.
HABITS = {"base": (0.35, ("correct",)), "few_shot": (0.45, ("correct", "correct", "uncertain")), "tuned": (0.74, DECISIONS)}
RIGHT_ANSWERS = {"base": 0.5, "few_shot": 0.55, "tuned": 0.6}


def make_example(number, side, *, pattern):
    """One of two twins: side a can be answered, side b cannot."""
    group = f"{pattern}-{number:03d}"
    decision = "correct" if side == "a" else SECOND_TWINS[number % 3]
    town = ("Savo", "Brekke", "Lindmark", "Korvo", "Luntian")[number % 5]
    context = None
    if number % 2:
        context = f"The harbour log of {town}, kept by the master, lists {number + 3} boats at the north quay on 14 May."
    return Example(
        id=f"{group}-{side}",
        group=group,
        pattern=pattern,
        question=f"How many boats lay at the {'north' if side == 'a' else 'south'} quay of {town} on 14 May?",
        context=context,
        decision=decision,
        answer=f"{number + 3} boats lay there."
        if side == "a"
        else "The log says nothing about that quay, so the number cannot be known.",
        justification="The log gives the number." if side == "a" else "Only the other quay is in the log.",
        evidence_quality="high" if side == "a" else "medium",
        answers=(f"{number + 3}", f"{number + 3} boats") if side == "a" else (),
        source="context (invented document)",
    )


def make_reply(example, system, rng):
    """What a system says, the grade of it, and its calibrated confidence."""
    skill, slips = HABITS[system]
    decision = example.decision if rng.random() < skill else rng.choice(slips)
    answerable = example.decision == "correct"
    right = answerable and rng.random() < RIGHT_ANSWERS[system]
    signal = rng.gauss(1.1 if right else -0.9, 1.1) * (1.0 if system == "tuned" else 0.4)
    confidence = 1 / (1 + math.exp(-(2.4 * signal + 1.2)))
    text = (
        example.answer if right else "There were 12 boats at the quay on that day, as the harbour master wrote down in his log."
    )
    prediction = Prediction(
        id=example.id,
        decision=decision,
        probabilities={"correct": confidence, "uncertain": (1 - confidence) * 0.4, "refuse": (1 - confidence) * 0.6},
        answer=text if decision == "correct" else "Nothing at hand says how many boats there were.",
        justification="The text names the number." if decision == "correct" else "The text is silent on this quay.",
        evidence_quality="medium",
        forced_answer=None if decision == "correct" else text,
        confidence=confidence,
    )
    calibrated = float(PlattCalibrator().apply(confidence))
    verdict = "correct" if right else "incorrect"
    reason = "contains an alias" if right else "contains no alias"
    return prediction, Grade(id=example.id, verdict=verdict, reason=reason), calibrated


class PlattCalibrator:
    """The same map for every system: sigmoid(0.85 logit(confidence) - 1.5)."""

    def apply(self, confidence):
        """Calibrate."""
        confidence = np.asarray(confidence)
        logit = np.log(confidence / (1 - confidence))
        return 1 / (1 + np.exp(-(0.85 * logit - 1.5)))

    def model_dump(self):
        """Say what it is."""
        return {"method": "platt", "slope": 0.85, "intercept": -1.5}


def make_content(*, groups=30, seed=0, systems=("base", "few_shot", "tuned"), failures=True):
    """Two questions a group; with `failures`, the first system fails on one item and leaves one ungraded."""
    rng = random.Random(seed)
    examples = [make_example(number, side, pattern=PATTERNS[number % 16]) for number in range(groups) for side in "ab"]
    examples[0] = examples[0].model_copy(update={"question": HOSTILE_QUESTION})
    predictions, grades, calibrated = {}, {}, {}
    for system in systems:
        replies = [make_reply(example, system, rng) for example in examples]
        predictions[system], grades[system], calibrated[system] = (list(column) for column in zip(*replies, strict=True))
    if failures:
        _spoil(predictions[systems[0]], grades[systems[0]], calibrated[systems[0]])
    return ReportContent(
        title="SmolLM2-135M on the failure-aware set",
        scorecard=_evaluate(examples, predictions, grades),
        examples=examples,
        predictions=predictions,
        grades=grades,
        calibrated=calibrated,
        loss_curve=[
            {
                "step": step,
                "loss": 0.4 + 2.2 * math.exp(-step / 25) + rng.gauss(0, 0.08),
                "learning_rate": 5e-4 * (1 - step / 121),
            }
            for step in range(1, 121)
        ],
        settings={
            "model": {"name": "smollm2-135m", "dtype": "bfloat16"},
            "train": {"epochs": 3, "rank": 8, "learning_rate": 0.0005},
            "seed": 0,
        },
        manifest={
            "commit": "0123456789abcdef",
            "seed": 0,
            "versions": {"nescio": "0.1.0", "torch": "2.13.0", "transformers": "5.23"},
            "stages": {
                "train": {"seconds": 412.3, "peak_memory_mib": 1830.0},
                "predict": {"seconds": 95.1, "peak_memory_mib": 1210.5},
            },
        },
    )


def _spoil(predictions, grades, calibrated):
    predictions[3] = Prediction(id=predictions[3].id, decision=None, failure="the reply ended before the decision")
    grades[3] = Grade(id=grades[3].id, verdict="ungraded", reason="there is no answer to grade")
    calibrated[3] = None


def _evaluate(examples, predictions, grades):
    calibrations = dict.fromkeys(predictions, PlattCalibrator())
    pairs = [("tuned", other) for other in ("base", "few_shot") if "tuned" in predictions and other in predictions]
    return evaluate_systems(examples, predictions, grades, calibrations=calibrations, pairs=pairs, n_resamples=200)


@pytest.fixture(scope="session")
def content():
    """Sixty questions, three systems, one failed item."""
    return make_content()


@pytest.fixture(scope="session")
def build_content():
    """The maker itself, for tests that need another run."""
    return make_content


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser found; looked for {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()
