"""The predict stage for replies in free text: what a trained model says, and what it says when it may not refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from nescio.errors import ConfigError, describe_unknown
from nescio.models.engine import DrawSettings, SampleRequest, SamplingEngine
from nescio.models.prompt import PROMPTS, SURE, SURE_QUERY, UNSURE, render_question
from nescio.records import Question, Reply, Sample


class ReplyForm(NamedTuple):
    """How the replies of a recipe are asked for and read."""

    prompt: str
    """A name in `PROMPTS`."""
    forbidden: tuple[str, ...] = ()
    """Beginnings that only refusals have: forbidden where the model may not refuse."""
    asks_itself: bool = False
    """Whether the reply goes on to say how sure it is (R-Tuning)."""


REPLY_FORMS: dict[str, ReplyForm] = {
    "prompt_based": ReplyForm("honesty", ("I",)),
    "fine_tuned": ReplyForm("honesty", ("I",)),
    "absolute": ReplyForm("honesty", ("I",)),
    "multisample": ReplyForm("honesty", ("I",)),
    # Their answers begin with "I'm" and "I don't" too.
    "confidence_num": ReplyForm("honesty", ("I apologize",)),
    "confidence_verb": ReplyForm("honesty", ("I apologize",)),
    "idk": ReplyForm("plain", ("This question",)),
    "r_tuning": ReplyForm("plain", asks_itself=True),
    "r_tuning_refusal": ReplyForm("plain", forbidden=("I", "That is", "The answer is not")),
}
"""By the recipe that a model was trained with."""


BESIDE = ("absolute", "multisample")
"""Recipes that can be learnt beside a structured one: every refusal begins with one token that no answer begins with."""


class Spoken(NamedTuple):
    """What a model would say in free text if it answered, and how much rather it would say that than refuse."""

    answer: str
    log_odds: float
    """Log-probability of the answer's first token less that of the refusal's, in nats: below 0 it refuses."""


def speak(
    engine: SamplingEngine,
    questions: Sequence[Question],
    *,
    recipe: str,
    max_new_tokens: int = 48,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Spoken]:
    """Ask a model in free text how it would answer, and whether it would.

    An answer has to win against the refusal: where a question is worded in a new way, both lose probability together.

    Args:
        engine: The trained model, embedded.
        questions: With distinct ids.
        recipe: A name in `BESIDE`, which the model was trained with.
        max_new_tokens: Of an answer.
        on_progress: Called with the number of questions that are answered.

    Returns:
        By question id; nothing of questions that failed.

    Raises:
        ConfigError: The recipe is not in `BESIDE`.
    """
    if recipe not in BESIDE:
        raise ConfigError(describe_unknown("recipe to learn beside", recipe, BESIDE))
    form = REPLY_FORMS[recipe]
    requests = [_make_request(question, form) for question in questions]
    refusals = engine.draw([replace(request, options=form.forbidden) for request in requests], DrawSettings())
    answers = engine.draw(
        [replace(request, forbidden=form.forbidden) for request in requests],
        DrawSettings(max_new_tokens=max_new_tokens),
        on_done=on_progress,
    )
    return {
        answer.question_id: Spoken(answer.text, _first_token_log_odds(refusal, answer))
        for refusal, answer in zip(refusals, answers, strict=True)
        if not (refusal.failure or answer.failure)
    }


def _first_token_log_odds(refusal: Sample, answer: Sample) -> float:
    """The answer's probabilities are those where the refusal is forbidden: given that the model does not refuse."""
    refuses = min(refusal.option_log_likelihoods[0], -1e-6)
    return math.log(-math.expm1(refuses)) + answer.log_probabilities[0] - refuses


def predict_replies(
    engine: SamplingEngine,
    questions: Sequence[Question],
    *,
    recipe: str,
    max_new_tokens: int = 48,
    forced: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> list[Reply]:
    """Let a model reply to each question, greedily.

    The confidence of R-Tuning is P(sure) against P(unsure) behind the answer; the other recipes state none.

    Args:
        engine: The trained model; the embedded engine, as servers cannot be kept from refusing.
        questions: With distinct ids.
        recipe: A name in `REPLY_FORMS`.
        max_new_tokens: Of a reply.
        forced: Whether to ask again, with the beginnings of refusals forbidden, where a reply begins so.
        on_progress: Called with the number of questions that are replied to.

    Raises:
        ConfigError: The recipe is unknown.
    """
    if recipe not in REPLY_FORMS:
        raise ConfigError(describe_unknown("recipe", recipe, REPLY_FORMS))
    form = REPLY_FORMS[recipe]
    settings = DrawSettings(max_new_tokens=max_new_tokens)
    requests = [_make_request(question, form) for question in questions]
    written = engine.draw(requests, settings, on_done=on_progress)
    answers = [sample.text.partition(SURE_QUERY)[0].strip() if form.asks_itself else sample.text for sample in written]
    confidences = _ask_how_sure(engine, requests, written, answers) if form.asks_itself else [None] * len(requests)
    if form.asks_itself:  # it answers first, and never refuses
        told = {request.question_id: answer for request, answer in zip(requests, answers, strict=True)}
    else:
        told = _force(engine, requests, answers, form, settings) if forced else {}
    return [
        Reply(
            question_id=question.id,
            text=answer,
            refused=None if confidence is None else confidence < 0.5,
            confidence=confidence,
            forced=told.get(question.id) if sample.failure is None else None,
            failure=sample.failure,
        )
        for question, sample, answer, confidence in zip(questions, written, answers, confidences, strict=True)
    ]


def _make_request(question: Question, form: ReplyForm) -> SampleRequest:
    return SampleRequest(question.id, messages=tuple(PROMPTS[form.prompt](render_question(question), question.context)))


def _ask_how_sure(
    engine: SamplingEngine, requests: Sequence[SampleRequest], written: Sequence[Sample], answers: Sequence[str]
) -> list[float | None]:
    """P(sure) against P(unsure) behind each answer; None where there is none."""
    asked = [
        SampleRequest(
            request.question_id,
            messages=request.messages,
            options=(f" {SURE}", f" {UNSURE}"),
            begun=f"{answer} {SURE_QUERY}",
        )
        for request, answer in zip(requests, answers, strict=True)
    ]
    told = engine.draw(asked, DrawSettings())
    return [None if a.failure or b.failure else _compare(*b.option_log_likelihoods) for a, b in zip(written, told, strict=True)]


def _compare(sure: float, unsure: float) -> float:
    return 1.0 / (1.0 + math.exp(min(unsure - sure, 700.0)))


def _force(
    engine: SamplingEngine, requests: Sequence[SampleRequest], answers: Sequence[str], form: ReplyForm, settings: DrawSettings
) -> dict[str, str]:
    """What is replied where a refusal's beginnings are forbidden; nothing of requests that failed."""
    # Greedily, a reply that begins otherwise would be the same again: forbidding these beginnings does not touch it.
    told = {r.question_id: answer for r, answer in zip(requests, answers, strict=True) if not answer.startswith(form.forbidden)}
    again = [
        SampleRequest(request.question_id, messages=request.messages, forbidden=form.forbidden)
        for request in requests
        if request.question_id not in told
    ]
    return told | {sample.question_id: sample.text for sample in engine.draw(again, settings) if sample.failure is None}
