"""The sample stage: let a model answer each question many times, and keep every answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from nescio.errors import ConfigError, DataError
from nescio.models.engine import DrawSettings, SampleRequest, SamplingEngine
from nescio.records import Question, Sample
from nescio.sample.prompts import PromptSettings, digest_request, render_request
from nescio.sample.store import SampleStore, default_store

__all__ = [
    "Batch",
    "Executor",
    "PromptSettings",
    "SampleStore",
    "default_store",
    "draw_here",
    "render_request",
    "sample_questions",
    "sampling_key",
]

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with (questions done, questions in all)."""


@dataclass(frozen=True)
class Batch:
    """Questions that go through an engine together."""

    place: int
    """Of its first question."""
    requests: tuple[SampleRequest, ...]


OnAnswered: TypeAlias = Callable[[int], None]
"""Called with the number of questions answered in the batch under way."""

Executor: TypeAlias = Callable[[Iterator[Batch], OnAnswered | None], Iterator[tuple[Batch, list[Sample]]]]
"""Runs batches through engines, here or elsewhere, and hands each back with its samples, in any order."""


def draw_here(engine: SamplingEngine, settings: DrawSettings) -> Executor:
    """Run batches through one engine in this process, one after the other."""

    def execute(batches: Iterator[Batch], on_answered: OnAnswered | None) -> Iterator[tuple[Batch, list[Sample]]]:
        for batch in batches:
            yield batch, engine.draw(batch.requests, settings, on_done=on_answered)

    return execute


def sample_questions(
    questions: Sequence[Question],
    engine: SamplingEngine,
    *,
    n: int = 10,
    greedy: bool = True,
    settings: DrawSettings | None = None,
    prompt: PromptSettings | None = None,
    store: str | Path | None = None,
    executor: Executor | None = None,
    batch_questions: int = 128,
    on_progress: OnProgress | None = None,
) -> list[Sample]:
    """Draw answers to each question; what the store holds already is not drawn again.

    What is drawn for a question depends on the model, its prompt, the settings and the sample's index alone. Batches are
    cut from `questions` by their place, so that a resumed run computes the same batches as an undisturbed one, and so the
    same numbers to the last bit.

    Args:
        questions: With distinct ids.
        engine: What answers.
        n: Drawn answers a question, indices 1 to n.
        greedy: Whether the greedy answer, index 0, is wanted too.
        settings: How answers are drawn.
        prompt: How questions are put.
        store: Folder of all stores; `default_store()` where none is given.
        executor: Where batches run; `draw_here` where none is given.
        batch_questions: Questions a batch: what a killed run loses at most.
        on_progress: Called as questions are done.

    Returns:
        Samples in the order of the questions, then of their indices; failed ones among them.

    Raises:
        ConfigError: Nothing is asked for.
        DataError: An id is repeated, or the engine or the executor lost, repeated or shifted samples.
    """
    settings, prompt = settings or DrawSettings(), prompt or PromptSettings()
    indices = [*([0] if greedy else []), *range(1, n + 1)]
    if not indices or n < 0:
        raise ConfigError(f"n={n} {'' if greedy else 'without the greedy answer '}leaves nothing to draw; set n to 1 or more")
    _refuse_repeats(questions)
    kept = SampleStore(store or default_store(), sampling_key(engine, settings, prompt))
    requests = [render_request(question, prompt, indices=indices) for question in questions]
    digests = [digest_request(request) for request in requests]
    drawn: dict[tuple[str, int], Sample] = {}
    batches = list(_cut_batches(requests, digests, kept, batch_questions))
    finished = len(questions) - sum(len(batch.requests) for batch in batches)

    def report(answered: int) -> None:
        if on_progress:
            on_progress(finished + answered, len(questions))

    digest_of = {request.question_id: digest for request, digest in zip(requests, digests, strict=True)}
    for batch, samples in (executor or draw_here(engine, settings))(iter(batches), report):
        _check_batch(batch, samples)
        marked = [sample.model_copy(update={"prompt": digest_of[sample.question_id]}) for sample in samples]
        kept.keep(batch.place, marked)
        drawn |= {(sample.question_id, sample.index): sample for sample in marked}
        finished += len(batch.requests)
        report(0)
    all_samples = [
        kept.find(request.question_id, digest, index) or drawn.get((request.question_id, index))
        for request, digest in zip(requests, digests, strict=True)
        for index in indices
    ]
    if lost := all_samples.count(None):
        raise DataError(f"the executor lost batches with {lost} samples; run again: what is there is not drawn twice")
    return [sample for sample in all_samples if sample is not None]


def sampling_key(engine: SamplingEngine, settings: DrawSettings, prompt: PromptSettings) -> dict[str, Any]:
    """All that samples depend on beside their question, ready for JSON."""
    shots = [
        shot.model_dump(mode="json", include={"question", "context", "answers", "choices", "choice"}) for shot in prompt.shots
    ]
    return {
        "model": engine.identify(),
        "prompt": {"style": prompt.style, "instruction": prompt.instruction, "options": prompt.options, "shots": shots},
        "settings": asdict(settings) | {"stop": list(settings.stop)},
    }


def _cut_batches(
    requests: Sequence[SampleRequest], digests: Sequence[str], kept: SampleStore, batch_questions: int
) -> Iterator[Batch]:
    """Batches of what is missing; those of which nothing is missing are left out."""
    for place in range(0, len(requests), batch_questions):
        missing = []
        window = zip(requests[place : place + batch_questions], digests[place : place + batch_questions], strict=True)
        for request, digest in window:
            wanted = tuple(i for i in request.indices if kept.find(request.question_id, digest, i) is None)
            if wanted:
                missing.append(SampleRequest(request.question_id, request.messages, request.text, wanted, request.options))
        if missing:
            yield Batch(place, tuple(missing))


def _check_batch(batch: Batch, samples: Sequence[Sample]) -> None:
    """An engine that loses, repeats or shifts answers must not go unnoticed."""
    wanted = [(request.question_id, index) for request in batch.requests for index in request.indices]
    got = [(sample.question_id, sample.index) for sample in samples]
    if wanted != got:
        raise DataError(
            f"the engine returned {len(got)} samples out of place for {len(wanted)} asked for; do not use its answers"
        )


def _refuse_repeats(questions: Sequence[Question]) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise DataError(f"question id '{question.id}' occurs more than once; ids must be distinct")
        seen.add(question.id)
