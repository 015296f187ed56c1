"""The line for examples whose decisions are known: data, train, predict, grade, calibrate, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nescio.config import RunConfig, System
from nescio.errors import ConfigError, DataError, describe_unknown
from nescio.models.prompt import build_messages
from nescio.pipeline.line import (
    ADAPTER_FILES,
    Training,
    adopt_training,
    check_trained_with,
    fit_replies,
    follow_line,
    read_trained_config,
)
from nescio.records import SPLITS, Example, Prediction, answering_is_right
from nescio.run_folder import Progress, Run, Silence, identify_model
from nescio.store import read_json, read_records, sha256_of_file, sha256_of_json, write_json, write_records

if TYPE_CHECKING:
    from nescio.confidence.thresholds import ThresholdGuarantee

STAGES = ("data", "train", "predict", "grade", "calibrate", "evaluate", "report")
PREDICTED_SPLITS = ("calibration", "test")


def run_decision_line(config: RunConfig, *, until: str = "report", progress: Progress | None = None) -> Path:
    """Run the stages up to `until`; see `nescio.pipeline.run_line`."""
    if until not in STAGES:
        raise ConfigError(describe_unknown("stage", until, STAGES))
    if config.predict.adapter is not None:
        wanted = {"model.name": config.model.name}
        check_trained_with(config.predict.adapter, read_trained_config(config.predict.adapter), wanted)
    stages = [*STAGES[: STAGES.index(until) + 1]]
    if "tuned" not in config.predict.systems and until != "train" and "train" in stages:
        stages.remove("train")
    return follow_line(Run(config, progress or Silence()), stages, _STAGE_FUNCTIONS, training=_training)


def prepare_data(run: Run[RunConfig]) -> None:
    """Read and check the splits, and keep the run's own copy."""
    from nescio.data.load import find_folder, load_splits

    data = run.config.data
    source = Path(str(find_folder(data.folder)))
    files = {path.name: sha256_of_file(path) for path in sorted(source.glob("*.jsonl"))}

    def work() -> str:
        splits = load_splits(data.folder, limit=data.limit)
        for split, examples in splits.items():
            write_records(run.folder / "data" / f"{split}.jsonl", examples)
        return ", ".join(f"{len(examples)} {split}" for split, examples in splits.items())

    outputs = [f"data/{split}.jsonl" for split in SPLITS]
    run.stage("data", {"files": files, "limit": data.limit}, outputs, work)


def train(run: Run[RunConfig]) -> None:
    """Tune the adapter on the training split, or take over another run's."""
    adapter = run.config.predict.adapter
    if adapter is None:
        _training(run).run_stage()
    else:
        adopt_training(run, adapter, [example for split in PREDICTED_SPLITS for example in run.examples(split)])


def _training(run: Run[RunConfig]) -> Training:
    fit = fit_replies(lambda: run.examples("train"), run.folder / "adapter")
    return Training(run, fit=fit, inputs={"rows": run.digest("data/train.jsonl")})


def predict(run: Run[RunConfig]) -> None:
    """Let each system answer the calibration and the test split."""
    for system in run.config.predict.systems:
        _predict_system(run, system)


def _predict_system(run: Run[RunConfig], system: System) -> None:
    config = run.config
    shots = _choose_shots(run.examples("train"), config.predict.shots) if system == "few_shot" else []
    inputs = {
        "model": identify_model(config.model),
        "predict": config.predict.model_dump(exclude={"systems", "shots", "adapter"}),
        "seed": config.seed if config.predict.temperature else None,
        "adapter": run.digests(ADAPTER_FILES) if system == "tuned" else None,
        "shots": {shot.id: sha256_of_json(shot.model_dump()) for shot in shots},
        "splits": {split: run.digest(f"data/{split}.jsonl") for split in PREDICTED_SPLITS},
    }
    outputs = [f"predictions/{system}.{split}.jsonl" for split in PREDICTED_SPLITS]

    def work() -> str:
        from nescio.predict import predict as predict_examples
        from nescio.predict import predict_resumably

        loaded = _load_system(run, system)
        splits = {split: run.examples(split) for split in PREDICTED_SPLITS}
        options = config.predict.model_dump(include={"batch_size", "temperature", "max_answer_chars", "max_justification_chars"})
        done = predict_resumably(
            lambda examples: predict_examples(loaded, examples, shots=shots, seed=config.seed, **options),
            [example for split in PREDICTED_SPLITS for example in splits[split]],
            partial=run.folder / "predictions" / f".{system}-{sha256_of_json(inputs)[:16]}.jsonl",
            chunk_rows=4 * config.predict.batch_size,
            on_chunk=lambda count, total: run.progress.advance(f"predict/{system}", count, total, ""),
        )
        for split, examples in splits.items():
            write_records(run.folder / "predictions" / f"{system}.{split}.jsonl", [done[e.id] for e in examples])
        for finished in (run.folder / "predictions").glob(f".{system}-*.jsonl"):
            finished.unlink()
        failed = sum(prediction.failure is not None for prediction in done.values())
        return f"{len(done)} items" + (f", {failed} failed" if failed else "")

    run.stage(f"predict/{system}", inputs, outputs, work)


def _load_system(run: Run[RunConfig], system: System) -> Any:
    from nescio.models.load import load_adapted_model, load_model

    model = run.config.model
    if system == "tuned":
        return load_adapted_model(model.name, run.folder / "adapter", dtype=model.dtype, device=model.device)
    return load_model(model.name, dtype=model.dtype, device=model.device)


def _choose_shots(examples: Sequence[Example], number: int) -> list[Example]:
    """Worked examples: decisions in turn, every one of another pattern, with and without context, of middling length."""
    if number > len(examples):
        raise ConfigError(f"predict.shots={number}, but the training split has only {len(examples)} rows; choose fewer")

    def length(example: Example) -> int:
        return len(example.question) + len(example.context or "") + len(example.answer) + len(example.justification)

    middle = sorted(map(length, examples))[len(examples) // 2]
    decisions = ("correct", "uncertain", "refuse", "correct")
    shots: list[Example] = []
    for turn in range(number):
        decision, bare = decisions[turn % 4], turn % 4 in (0, 3)
        left = [e for e in examples if e not in shots]
        fresh = [e for e in left if e.pattern not in {shot.pattern for shot in shots}]
        fitting = [e for e in fresh if e.decision == decision and (e.context is None) == bare]
        shots.append(min(fitting or left, key=lambda e: abs(length(e) - middle)))
    return shots


def grade(run: Run[RunConfig]) -> None:
    """Grade every system's answers."""
    systems = run.config.predict.systems
    names = [f"{system}.{split}.jsonl" for system in systems for split in PREDICTED_SPLITS]
    inputs = {
        "predictions": {name: run.digest(f"predictions/{name}") for name in names},
        "splits": {split: run.digest(f"data/{split}.jsonl") for split in PREDICTED_SPLITS},
    }

    def work() -> str:
        from nescio.grade import grade_predictions

        for system in systems:
            for split in PREDICTED_SPLITS:
                grades = grade_predictions(run.examples(split), run.predictions(system, split))
                write_records(run.folder / "grades" / f"{system}.{split}.jsonl", grades)
        return ""

    run.stage("grade", inputs, [f"grades/{name}" for name in names], work)


def calibrate(run: Run[RunConfig]) -> None:
    """Fit each system's calibrator on the calibration split."""
    systems = run.config.predict.systems
    inputs = {
        "calibrate": run.config.calibrate.model_dump(),
        "seed": run.config.seed,
        "files": {name: run.digest(name) for system in systems for name in _files_of(system, "calibration")},
    }

    def work() -> str:
        from nescio.calibrate import calibrate_confidence

        examples = run.examples("calibration")
        fitted = {
            system: calibrate_confidence(
                examples,
                run.predictions(system, "calibration"),
                run.grades(system, "calibration"),
                methods=run.config.calibrate.methods,
                seed=run.config.seed,
                model=_digest_system(run, system),
                prompt=sha256_of_json(build_messages("", "")),
            )
            for system in systems
        }
        write_json(run.folder / "calibrate.json", {name: c.model_dump(mode="json") for name, c in fitted.items()})
        if "tuned" in fitted:  # goes where the adapter goes
            write_json(run.folder / "adapter" / "calibration.json", fitted["tuned"].model_dump(mode="json"))
        if run.config.calibrate.max_risk is not None:
            promised = {system: _promise(run, system).model_dump() for system in systems}
            write_json(run.folder / "thresholds.json", promised)
        return ", ".join(f"{name}: {c.method}" for name, c in fitted.items())

    outputs = ["calibrate.json", *(["adapter/calibration.json"] if "tuned" in systems else [])]
    outputs += ["thresholds.json"] if run.config.calibrate.max_risk is not None else []
    run.stage("calibrate", inputs, outputs, work)


def _digest_system(run: Run[RunConfig], system: System) -> str:
    """What tells a system's weights from any others."""
    return sha256_of_json([identify_model(run.config.model), run.digests(ADAPTER_FILES) if system == "tuned" else {}])


def _promise(run: Run[RunConfig], system: System) -> ThresholdGuarantee:
    """The threshold of a system's raw P(correct) that keeps the promise.

    Of the questions answered from it on, at most so many should not have been answered or are answered wrongly. An item without a
    confidence is not answered.
    """
    from nescio.confidence.thresholds import guarantee_threshold

    examples, config = run.examples("calibration"), run.config.calibrate
    confidence = {p.id: 0.0 if p.confidence is None else p.confidence for p in run.predictions(system, "calibration")}
    grades = {g.id: g for g in run.grades(system, "calibration")}
    assert config.max_risk is not None
    return guarantee_threshold(
        [confidence[example.id] for example in examples],
        [answering_is_right(example, grades[example.id]) for example in examples],
        max_risk=config.max_risk,
        level=config.level,
        method=config.guarantee,
        groups=[example.group for example in examples],
        seed=run.config.seed,
    )


def evaluate(run: Run[RunConfig]) -> None:
    """Score every system on the test split."""
    systems = run.config.predict.systems
    inputs = {
        "evaluate": run.config.evaluate.model_dump(),
        "seed": run.config.seed,
        "calibrate": run.digest("calibrate.json"),
        "files": {name: run.digest(name) for system in systems for name in _files_of(system, "test")},
    }

    def work() -> str:
        from nescio.evaluate import evaluate_systems

        calibrations = _calibrations(run)
        seen = {example.id for example in run.examples("train")}
        for calibration in calibrations.values():
            seen.update(calibration.question_ids)
        scorecard = evaluate_systems(
            run.examples("test"),
            {system: run.predictions(system, "test") for system in systems},
            {system: run.grades(system, "test") for system in systems},
            calibrations={name: calibration.calibrator for name, calibration in calibrations.items()},
            seen_ids=seen,
            pairs=[("tuned", other) for other in systems if other != "tuned" and "tuned" in systems],
            n_resamples=run.config.evaluate.resamples,
            n_bins=run.config.evaluate.bins,
            seed=run.config.seed,
        )
        write_json(run.folder / "scorecard.json", scorecard)
        return ""

    run.stage("evaluate", inputs, ["scorecard.json"], work)


def report(run: Run[RunConfig]) -> None:
    """Write the page for people, and the adapter's model card."""
    systems = run.config.predict.systems
    tuned = "tuned" in systems
    inputs = {
        "settings": run.config.model_dump(),
        "calibrate": run.digest("calibrate.json"),
        "scorecard": run.digest("scorecard.json"),
        "train": run.digest("train.json"),
        "files": {name: run.digest(name) for system in systems for name in _files_of(system, "test")},
    }

    def work() -> str:
        from nescio.report import ReportContent, write_report

        calibrations = _calibrations(run)
        predictions: dict[str, list[Prediction]] = {system: run.predictions(system, "test") for system in systems}
        content = ReportContent(
            title=run.config.report.title,
            scorecard=read_json(run.folder / "scorecard.json"),
            examples=run.examples("test"),
            predictions=predictions,
            grades={system: run.grades(system, "test") for system in systems},
            calibrated={system: _calibrated(calibrations[system].calibrator, rows) for system, rows in predictions.items()},
            loss_curve=read_json(run.folder / "train.json")["steps"] if tuned else [],
            settings=run.config.model_dump(),
            manifest=run.manifest,
        )
        write_report(run.folder / "report", content)
        if tuned:
            _write_card(run, content.scorecard)
        return str(run.folder / "report" / "index.html")

    run.stage("report", inputs, ["report/index.html", *(["adapter/README.md"] if tuned else [])], work)


def _write_card(run: Run[RunConfig], scorecard: Mapping[str, Any]) -> None:
    from nescio.data.load import SHIPPED
    from nescio.report import write_model_card

    config, trained = run.config, read_json(run.folder / "train.json")
    splits = {split: run.examples(split) for split in SPLITS}
    sizes = ", ".join(f"{len(examples)} for {split}" for split, examples in splits.items())
    write_model_card(
        run.folder / "adapter" / "README.md",
        name=f"{Path(config.model.name).name}-nescio",
        base_model=config.model.name,
        scorecard=scorecard,
        training={
            **config.train.model_dump(exclude={"report_to", "save_steps"}),
            "rows": trained["rows"],
            "tokens_an_epoch": trained["tokens"],
            "trainable_parameters": trained["trainable_parameters"],
            **{key: run.manifest[key] for key in ("seed", "commit", "versions")},
        },
        dataset="failure-aware" if config.data.folder == SHIPPED else Path(config.data.folder).name,
        dataset_description=f"Questions with their right decisions, in groups that no two splits share; rows: {sizes}.",
        languages=sorted({example.language for examples in splits.values() for example in examples}),
    )


_STAGE_FUNCTIONS: dict[str, Callable[[Run[RunConfig]], None]] = {
    "data": prepare_data,
    "train": train,
    "predict": predict,
    "grade": grade,
    "calibrate": calibrate,
    "evaluate": evaluate,
    "report": report,
}


def _files_of(system: str, split: str) -> list[str]:
    return [f"data/{split}.jsonl", f"predictions/{system}.{split}.jsonl", f"grades/{system}.{split}.jsonl"]


def _calibrations(run: Run[RunConfig]) -> dict[str, Any]:
    from nescio.calibrate import Calibration

    content = read_json(run.folder / "calibrate.json")
    return {name: Calibration.model_validate(value) for name, value in content.items()}


def _calibrated(calibrator: Any, predictions: Sequence[Prediction]) -> list[float | None]:
    return [None if p.confidence is None else float(calibrator.apply([p.confidence])[0]) for p in predictions]


def score_predictions(predictions: Path, *, data: str, split: str, out: Path) -> Path:
    """Grade and score predictions that any other system made.

    Args:
        predictions: JSONL of `records.Prediction`; `id` and `decision` are needed, the rest as far as it is known.
        data: `failure_aware`, a folder of splits, or one JSONL file of examples.
        split: Which split, where data is a folder.
        out: The scorecard.

    Raises:
        DataError: A file is unreadable, or the predictions are not those of the examples.
        ConfigError: There is no such split.
    """
    from nescio.data.load import load_examples, load_splits
    from nescio.evaluate import evaluate_systems
    from nescio.grade import grade_predictions

    if split not in SPLITS:
        raise ConfigError(describe_unknown("split", split, SPLITS))
    examples = load_examples(data) if data.endswith(".jsonl") else load_splits(data)[split]
    rows = read_records(predictions, Prediction)
    order = {row.id: row for row in rows}
    if set(order) != {example.id for example in examples}:
        missing = sorted({example.id for example in examples} ^ set(order))[0]
        raise DataError(f"{predictions}: its ids are not those of the examples; the first difference is '{missing}'")
    aligned = [order[example.id] for example in examples]
    name = predictions.stem
    scorecard = evaluate_systems(
        examples, {name: aligned}, {name: grade_predictions(examples, aligned)}, calibrations={}, seen_ids=(), pairs=[]
    )
    write_json(out, scorecard)
    return out
