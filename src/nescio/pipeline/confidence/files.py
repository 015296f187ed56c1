"""What a confidence run keeps in its folder, and how it is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nescio.config import ConfidenceConfig, StatedConfidenceConfig
from nescio.pipeline.line import ADAPTER_FILES
from nescio.records import Confidence, ConfidenceOutcome, Question, Sample, SampleGrade
from nescio.run_folder import Run
from nescio.store import read_json, read_records

HEADED = ("correctness", "p_ik")
"""Objectives that can be read from features, by a head."""
HEAD_FILES = ("adapter/head.safetensors", "adapter/head.json")
ENCODER_FILES = ("adapter/encoder.json", "adapter/model.safetensors")
OF_PROMPT = ("style", "shots", "options")
"""Settings of sampling that questions are put by."""
OF_PENALTY = ("divergence", "divergence_weight")
"""Settings of training that leave no trace in how the adapter is used."""

ConfidenceRun = Run[ConfidenceConfig]


def run_parts(run: ConfidenceRun) -> list[str]:
    """Names of the splits and of the test sets, as their files have them."""
    return ["train", "calibration", *(f"test.{name}" for name in run.config.questions.test)]


def asked_parts(run: ConfidenceRun) -> list[str]:
    """Those whose questions are asked; training questions are not where nobody learns from the answers."""
    config = run.config.confidence
    unread = config.adapter is not None and "p_true_few_shot" not in config.estimators
    return [part for part in run_parts(run) if part != "train" or not unread]


def run_questions(run: ConfidenceRun, part: str) -> list[Question]:
    """Questions of a part."""
    return read_records(run.folder / "data" / f"{part}.jsonl", Question)


def run_samples(run: ConfidenceRun, part: str) -> list[Sample]:
    """Samples of the untrained model."""
    return read_records(run.folder / "samples" / f"{part}.jsonl", Sample)


def judged_grades(run: ConfidenceRun, part: str) -> list[SampleGrade]:
    """Grades of the answers that confidence is stated in: the untrained model's, or the trained one's own."""
    if answers_itself(run):
        return read_records(run.folder / "own" / "grades" / f"{part}.jsonl", SampleGrade)
    return run_grades(run, part)


def judged_samples(run: ConfidenceRun, part: str) -> list[Sample]:
    """The answers that confidence is stated in: the untrained model's, or the trained one's own."""
    if answers_itself(run):
        return read_records(run.folder / "own" / "samples" / f"{part}.jsonl", Sample)
    return run_samples(run, part)


def run_grades(run: ConfidenceRun, part: str) -> list[SampleGrade]:
    """Grades of these samples."""
    return read_records(run.folder / "grades" / f"{part}.jsonl", SampleGrade)


def run_confidences(run: ConfidenceRun, part: str) -> list[Confidence]:
    """What every method says of the answers to a part."""
    return read_records(run.folder / "confidences" / f"{part}.jsonl", Confidence)


def greedy_right(grades: Sequence[SampleGrade]) -> dict[str, bool]:
    """Whether each greedy answer is right; those without a grade are left out, and counted where they are shown."""
    return {g.question_id: g.verdict == "correct" for g in grades if g.index == 0 and g.verdict != "ungraded"}


def answers_itself(run: ConfidenceRun) -> bool:
    """Whether the model that states confidence answers as well, so that the answers judged are its own."""
    return answers_in_one_pass(run.config.confidence)


def answers_in_one_pass(config: StatedConfidenceConfig) -> bool:
    """Whether answer and confidence come from one pass."""
    return config.objective == "joint" or config.in_one_pass


def method_name(config: StatedConfidenceConfig) -> str:
    """What the run's own method is called in tables."""
    if config.objective == "none":
        return "zero_shot"
    return config.form if config.objective == "correctness" else config.objective


def trained_digests(run: ConfidenceRun) -> dict[str, str | None]:
    """Digests of what was trained; none where nothing was."""
    config = run.config.confidence
    if config.objective == "none":
        return {}
    return run.digests(trained_files(run))


def trained_files(run: ConfidenceRun) -> tuple[str, ...]:
    """What training leaves in the run folder."""
    return files_of(run.config.confidence)


def files_of(config: StatedConfidenceConfig) -> tuple[str, ...]:
    """What an objective's training leaves in a run folder."""
    if config.objective == "encoder":
        return ENCODER_FILES
    return HEAD_FILES if config.form == "probe" and config.objective in HEADED else ADAPTER_FILES


def read_outcomes(folder: Path) -> dict[str, list[ConfidenceOutcome]]:
    """What each method said of each answer of a finished run, by the name of its set."""
    settings = read_json(folder / "scorecard.json")["settings"]
    names = [*settings["in_distribution"], *settings["held_out"]]
    return {name: read_records(folder / "outcomes" / f"{name}.jsonl", ConfidenceOutcome) for name in names}
