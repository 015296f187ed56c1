"""The line that teaches a model how likely its own answers are right, beside estimators that need no training.

data, sample, grade, train, predict, calibrate, evaluate, report; samples are shared by all runs that ask the same model the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nescio.calibrate import Calibration
from nescio.config import ConfidenceConfig
from nescio.errors import ConfigError, describe_unknown
from nescio.pipeline.confidence.check import check_confidence_config
from nescio.pipeline.confidence.costs import Costs
from nescio.pipeline.confidence.estimate import Estimating, mix_confidences, needs_draws
from nescio.pipeline.confidence.files import (
    OF_PENALTY,
    OF_PROMPT,
    ConfidenceRun,
    answers_itself,
    asked_parts,
    greedy_right,
    judged_grades,
    judged_samples,
    method_name,
    read_outcomes,
    run_confidences,
    run_parts,
    run_questions,
    run_samples,
    trained_digests,
    trained_files,
)
from nescio.pipeline.confidence.judge import (
    accuracy_kept,
    describe_thresholds,
    make_outcomes,
    promise,
    refuse_calibrated_questions,
)
from nescio.pipeline.confidence.learn import learn
from nescio.pipeline.confidence.state import make_stater
from nescio.pipeline.line import Training, adopt_training, follow_line, mixed_digests
from nescio.records import Confidence
from nescio.run_folder import Progress, Silence, identify_model
from nescio.store import read_json, read_records, sha256_of_json, write_json, write_records

CONFIDENCE_STAGES = ("data", "sample", "grade", "train", "predict", "calibrate", "evaluate", "report")


def run_confidence_line(config: ConfidenceConfig, *, until: str = "report", progress: Progress | None = None) -> Path:
    """Run the stages up to `until`; see `nescio.pipeline.run_line`."""
    if until not in CONFIDENCE_STAGES:
        raise ConfigError(describe_unknown("stage", until, CONFIDENCE_STAGES))
    check_confidence_config(config)
    stages = [*CONFIDENCE_STAGES[: CONFIDENCE_STAGES.index(until) + 1]]
    if config.confidence.objective == "none" and "train" in stages:
        stages.remove("train")
    return follow_line(ConfidenceRun(config, progress or Silence()), stages, _STAGE_FUNCTIONS, training=_training)


def prepare_questions(run: ConfidenceRun) -> None:
    """Read the questions, and keep the run's own copy."""
    from nescio.pipeline.questions import digest_sources, read_questions

    config = run.config.questions

    def work() -> str:
        parts, read = read_questions(config)
        for part, questions in parts.items():
            write_records(run.folder / "data" / f"{part}.jsonl", questions)
        notes = [f"{len(parts[split])} of {count} {split}" for split, count in read.items()]
        notes += [f"{len(parts[part])} {part.removeprefix('test.')}" for part in parts if part not in read]
        return ", ".join(notes)

    outputs = [f"data/{part}.jsonl" for part in run_parts(run)]
    run.stage("data", {"questions": config.model_dump(), "sources": digest_sources(config)}, outputs, work)


def sample(run: ConfidenceRun) -> None:
    """Ask the model before training: everything greedily, and many times what estimators or soft targets look at."""
    config = run.config
    draws = {part: config.sample.n if needs_draws(config.confidence, part) else 0 for part in asked_parts(run)}
    inputs = {
        "model": identify_model(config.answering_model),
        "sample": config.sample.model_dump(exclude={"model", "n", "store", "batch_size", "batch_questions"}),
        "draws": draws,
        "seed": config.seed,
        "questions": {part: run.digest(f"data/{part}.jsonl") for part in draws},
    }

    def work() -> str:
        from nescio.pipeline.asking import Asker

        ask = Asker(config, run.progress)
        for part, n in draws.items():
            write_records(run.folder / "samples" / f"{part}.jsonl", ask(run_questions(run, part), n=n, note=part))
        return ""

    run.stage("sample", inputs, [f"samples/{part}.jsonl" for part in draws], work)


def grade(run: ConfidenceRun) -> None:
    """Grade the samples."""
    parts = asked_parts(run)
    inputs = {name: run.digest(name) for part in parts for name in (f"samples/{part}.jsonl", f"data/{part}.jsonl")}

    def work() -> str:
        from nescio.grade import grade_samples

        ungraded = 0
        for part in parts:
            grades = grade_samples(run_questions(run, part), run_samples(run, part))
            ungraded += sum(g.verdict == "ungraded" for g in grades)
            write_records(run.folder / "grades" / f"{part}.jsonl", grades)
        return f"{ungraded} samples ungraded"

    run.stage("grade", inputs, [f"grades/{part}.jsonl" for part in parts], work)


def train(run: ConfidenceRun) -> None:
    """Teach the model by its graded answers, or take over what another run has learnt."""
    adapter = run.config.confidence.adapter
    if adapter is None:
        _training(run).run_stage()
    else:
        judged = (question for part in run_parts(run)[1:] for question in run_questions(run, part))
        adopt_training(run, adapter, judged, trained_files(run))


def _training(run: ConfidenceRun) -> Training:
    config = run.config.confidence
    names = ("data/train.jsonl", "samples/train.jsonl", "grades/train.jsonl")
    settings = ["objective", "form", "query", "divergence", "divergence_weight", "targets", "layer", "limit", "mix"]
    settings += ["encoder"] if config.objective == "encoder" else []  # of no other training
    inputs = {
        "confidence": config.model_dump(include=set(settings)),
        "sample": run.config.sample.model_dump(include=set(OF_PROMPT)),
        "files": {name: run.digest(name) for name in names},
        "mix": mixed_digests(config.mix),
    }
    return Training(run, fit=partial(learn, run), inputs=inputs, outputs=trained_files(run))


def predict(run: ConfidenceRun) -> None:
    """State the confidence of every answer, by what was trained and by each estimator."""
    config = run.config
    parts = run_parts(run)[1:]
    inputs: dict[str, Any] = {
        "model": identify_model(config.model),
        "confidence": config.confidence.model_dump(exclude={"adapter", "batch_size", "in_one_pass", "limit", "mix", *OF_PENALTY}),
        "sample": config.sample.model_dump(include=set(OF_PROMPT)),
        "trained": trained_digests(run),
        "files": {f"{kind}/{part}.jsonl": run.digest(f"{kind}/{part}.jsonl") for part in parts for kind in ("data", "samples")},
    }
    if config.confidence.in_one_pass:
        inputs["in_one_pass"] = True
    if config.sample.model is not None:
        inputs["answering"] = identify_model(config.sample.model)

    def work() -> str:
        costs = Costs()
        state, estimate = make_stater(run, costs), Estimating(run, costs)
        told = {}
        for part in parts:
            partial = run.folder / "confidences" / f".{part}-{sha256_of_json(inputs)[:16]}.jsonl"
            if partial.is_file():  # this part was finished before the run was stopped
                told[part] = read_records(partial, Confidence)
            else:
                told[part] = [*state(part), *estimate(part)]
                write_records(partial, told[part])
        for part, mixed in mix_confidences(run, told).items():
            told[part] += mixed
        for part, rows in told.items():
            write_records(run.folder / "confidences" / f"{part}.jsonl", rows)
        for finished in (run.folder / "confidences").glob(".*.jsonl"):
            finished.unlink()
        # Not among the outputs: seconds differ from run to run.
        write_json(run.folder / "costs.json", costs.describe())
        missing = sum(one.confidence is None for rows in told.values() for one in rows)
        return f"{missing} without a confidence" if missing else ""

    outputs = [f"confidences/{part}.jsonl" for part in parts]
    if answers_itself(run):
        outputs += [f"own/{kind}/{part}.jsonl" for part in parts for kind in ("samples", "grades")]
    run.stage("predict", inputs, outputs, work)


def calibrate(run: ConfidenceRun) -> None:
    """Fit a calibrator of each method on the calibration questions, and find the threshold that keeps the promise."""
    config = run.config
    names = ["data/calibration.jsonl", "grades/calibration.jsonl", "confidences/calibration.jsonl"]
    names += ["own/grades/calibration.jsonl"] if answers_itself(run) else []
    inputs = {
        "calibrate": config.calibrate.model_dump(),
        "seed": config.seed,
        "files": {name: run.digest(name) for name in names},
    }

    def work() -> str:
        from nescio.calibrate import calibrate_methods

        questions, stated = run_questions(run, "calibration"), run_confidences(run, "calibration")
        right = greedy_right(judged_grades(run, "calibration"))
        fitted = calibrate_methods(
            questions,
            stated,
            right,
            methods=config.calibrate.methods,
            seed=config.seed,
            model=sha256_of_json([identify_model(config.model), trained_digests(run)]),
            prompt=sha256_of_json([config.sample.model_dump(include=set(OF_PROMPT)), config.confidence.query]),
        )
        write_json(run.folder / "calibrate.json", {method: one.model_dump(mode="json") for method, one in fitted.items()})
        if config.confidence.objective != "none" and method_name(config.confidence) in fitted:  # goes where the adapter goes
            write_json(
                run.folder / "adapter" / "calibration.json", fitted[method_name(config.confidence)].model_dump(mode="json")
            )
        promised = {method: promise(run, questions, stated, right, method) for method in fitted}
        write_json(run.folder / "thresholds.json", {method: one.model_dump() for method, one in promised.items()})
        own = promised.get(method_name(config.confidence))
        if own is None or own.threshold is None:
            return "" if own is None else f"no threshold: {own.reason}"
        return f"answers from {own.threshold:.3f} on: at most {own.max_risk:.0%} wrong, with {own.level:.0%} confidence"

    run.stage("calibrate", inputs, ["calibrate.json", "thresholds.json"], work)


def evaluate(run: ConfidenceRun) -> None:
    """Score every method on the test sets."""
    config = run.config
    sets = config.questions.test
    kinds = ("data", "grades", "confidences")
    inputs = {
        "evaluate": config.evaluate.model_dump(),
        "in_distribution": list(config.questions.in_distribution),
        "seed": config.seed,
        "calibrate": run.digests(["calibrate.json", "thresholds.json"]),
        "files": {f"{kind}/test.{name}.jsonl": run.digest(f"{kind}/test.{name}.jsonl") for name in sets for kind in kinds},
        "own": run.digests([f"own/grades/test.{name}.jsonl" for name in sets]) if answers_itself(run) else None,
    }

    def work() -> str:
        from nescio.evaluate_confidence import evaluate_confidences

        fitted = {method: Calibration.model_validate(one) for method, one in read_json(run.folder / "calibrate.json").items()}
        outcomes = {name: make_outcomes(run, f"test.{name}", fitted) for name in sets}
        refuse_calibrated_questions(outcomes, fitted)
        for name, rows in outcomes.items():
            write_records(run.folder / "outcomes" / f"{name}.jsonl", rows)
        own = method_name(config.confidence)
        scorecard = evaluate_confidences(
            outcomes,
            in_distribution=config.questions.in_distribution,
            reference=own,
            n_resamples=config.evaluate.resamples,
            n_bins=config.evaluate.bins,
            seed=config.seed,
        )
        ungraded = {name: len(run_questions(run, f"test.{name}")) - len(rows) for name, rows in outcomes.items()}
        if answers_itself(run):
            scorecard["accuracy_kept"] = accuracy_kept(run, outcomes)
        scorecard |= {
            "method": own,
            "ungraded": ungraded,
            "calibration": {m: one.model_dump(exclude={"question_ids"}) for m, one in fitted.items()},
            "thresholds": describe_thresholds(run, outcomes),
        }
        write_json(run.folder / "scorecard.json", scorecard)
        return f"{sum(ungraded.values())} questions without a graded answer" if any(ungraded.values()) else ""

    run.stage("evaluate", inputs, ["scorecard.json", *(f"outcomes/{name}.jsonl" for name in sets)], work)


def report(run: ConfidenceRun) -> None:
    """Write the page for people."""
    sets = run.config.questions.test
    trained = run.config.confidence.objective != "none"
    names = ["scorecard.json", *(["train.json"] if trained else [])]
    names += [f"{kind}/{name}.jsonl" for name in sets for kind in ("outcomes", "data/test", "samples/test")]
    names = [name.replace("/test/", "/test.") for name in names]
    inputs = {"settings": run.config.model_dump(), "files": run.digests(names)}

    def work() -> str:
        from nescio.report import ConfidenceContent, write_confidence_report

        parts = [f"test.{name}" for name in sets]
        content = ConfidenceContent(
            title=run.config.report.title,
            scorecard=read_json(run.folder / "scorecard.json"),
            outcomes=read_outcomes(run.folder),
            questions={question.id: question for part in parts for question in run_questions(run, part)},
            answers={one.question_id: one.text for part in parts for one in judged_samples(run, part) if one.index == 0},
            loss_curve=read_json(run.folder / "train.json")["steps"] if trained else [],
            settings=run.config.model_dump(),
            manifest=run.manifest,
        )
        return str(write_confidence_report(run.folder / "report", content))

    run.stage("report", inputs, ["report/index.html"], work)


_STAGE_FUNCTIONS: dict[str, Callable[[ConfidenceRun], None]] = {
    "data": prepare_questions,
    "sample": sample,
    "grade": grade,
    "train": train,
    "predict": predict,
    "calibrate": calibrate,
    "evaluate": evaluate,
    "report": report,
}
