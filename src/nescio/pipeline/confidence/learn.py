"""Training a confidence run's model on its graded answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from nescio.errors import DataError
from nescio.models.load import LoadedModel
from nescio.models.prompt import render_question
from nescio.pipeline.confidence.files import (
    HEADED,
    ConfidenceRun,
    run_grades,
    run_questions,
    run_samples,
)
from nescio.records import SampleGrade
from nescio.store import sha256_of_json

if TYPE_CHECKING:
    from nescio.train.head import TrainedAdapter
    from nescio.train.objectives import AnsweredQuestion, Objective, RowForm
    from nescio.train.rows import TrainingRow

OF_REPLIES = ("decision_weight", "answer_weight", "balance_decisions", "max_length")
"""Settings of training that only structured replies have."""


def learn(run: ConfidenceRun, load: Callable[[], LoadedModel], settings: dict[str, Any]) -> TrainedAdapter:
    """Train what the run's objective says, by the settings of its `train` section."""
    from nescio.train import train_rows
    from nescio.train.head import attach_head, fit_head

    config = run.config.confidence
    if config.objective == "encoder":
        return _learn_encoder(run, settings)
    loaded = load()
    rows = _training_rows(run, loaded.tokenizer, settings)
    kept = {name: value for name, value in settings.items() if name not in OF_REPLIES}
    folder = run.folder / "adapter"
    if config.objective in HEADED and config.form == "probe":
        of_head = {name: settings[name] for name in ("epochs", "learning_rate", "batch_size", "seed", "on_step")}
        return fit_head(loaded, rows, folder, layer=config.layer, **of_head)
    if config.objective in HEADED and config.form == "lora":
        attach_head(loaded.model, layer=config.layer, seed=settings["seed"])
    return train_rows(loaded, rows, folder, divergence=config.divergence, divergence_weight=config.divergence_weight, **kept)


def _learn_encoder(run: ConfidenceRun, settings: dict[str, Any]) -> TrainedAdapter:
    """A small encoder learns from the question alone how likely the answer is right."""
    from nescio.train.encoder import train_encoder
    from nescio.train.head import TrainedAdapter

    texts = {question.id: render_question(question) for question in run_questions(run, "train")}
    targets = {one.request.question_id: one.target for one in _read_graded(run)}
    trained = train_encoder(
        run.config.confidence.encoder,
        [(texts[question_id], (1.0 - target, target)) for question_id, target in targets.items() if target is not None],
        run.folder / "adapter",
        epochs=round(settings["epochs"]),
        learning_rate=settings["learning_rate"],
        batch_size=settings["batch_size"],
        seed=settings["seed"],
        on_step=settings["on_step"],
    )
    words = sum(len(texts[question_id].split()) for question_id in targets)
    return TrainedAdapter(trained.folder, trained.loss_curve, trained.rows, words, trained.parameters)


def _read_graded(run: ConfidenceRun) -> list[AnsweredQuestion]:
    """The training questions whose answers are graded, no more than wanted."""
    answered = [one for one in read_answered(run, "train") if one.target is not None]
    limit = run.config.confidence.limit
    if limit:
        answered = sorted(answered, key=lambda one: sha256_of_json(one.request.question_id))[:limit]
    if not answered:
        raise DataError("no training question has a graded answer; ask other questions")
    return answered


def _training_rows(run: ConfidenceRun, tokenizer: Any, settings: dict[str, Any]) -> list[TrainingRow]:
    """Rows of graded answers, and of structured decisions where they are learnt along."""
    from nescio.data.load import load_splits
    from nescio.train.objectives import encode_answered
    from nescio.train.rows import encode_rows, refuse_long_row

    config = run.config.confidence
    answered = _read_graded(run)
    rows = encode_answered(tokenizer, answered, run_form(run), anchored=config.divergence_weight > 0)
    for one, row in zip(answered, rows, strict=True):
        refuse_long_row(len(row.input_ids), f"question '{one.request.question_id}'", max_length=settings["max_length"])
    if config.mix is None:
        return rows
    names = ("max_length", "decision_weight", "answer_weight")
    mixed = encode_rows(
        tokenizer,
        load_splits(config.mix)["train"],
        balance=settings["balance_decisions"],
        **{name: settings[name] for name in names},
    )
    return [*rows, *mixed]


def run_form(run: ConfidenceRun) -> RowForm:
    """How the run's objective asks for confidence."""
    from nescio.train.objectives import choose_form

    config = run.config.confidence
    objective = {"none": "correctness", "joint": "correctness"}.get(config.objective, config.objective)
    form = config.form if config.objective in HEADED else "lora_prompt"
    return choose_form(cast("Objective", objective), form=form, query=config.query)


def read_answered(run: ConfidenceRun, part: str) -> list[AnsweredQuestion]:
    """The questions of a part whose greedy answer there is, with what it is worth."""
    from nescio.pipeline.asking import make_prompt_settings
    from nescio.sample import render_request
    from nescio.train.objectives import AnsweredQuestion

    prompt = make_prompt_settings(run.config.sample)
    greedy = {one.question_id: one for one in run_samples(run, part) if one.index == 0 and one.failure is None}
    worth = _worth(run_grades(run, part), soft=run.config.confidence.targets == "soft")
    return [
        AnsweredQuestion(render_request(question, prompt, indices=()), greedy[question.id].text, worth.get(question.id))
        for question in run_questions(run, part)
        if question.id in greedy
    ]


def _worth(grades: Sequence[SampleGrade], *, soft: bool) -> dict[str, float]:
    """How likely each question's greedy answer is right: its grade, or the share of drawn answers that is right."""
    right: dict[str, list[float]] = defaultdict(list)
    for grade in grades:
        if (grade.index > 0) == soft and grade.verdict != "ungraded":
            right[grade.question_id].append(float(grade.verdict == "correct"))
    return {question_id: sum(each) / len(each) for question_id, each in right.items()}
