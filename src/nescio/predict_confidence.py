"""The predict stage for confidence: what a trained model says about its answers, read from one forward pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from nescio.confidence.answers import Estimate
from nescio.confidence.asked.stated_probability import read_stated_probability
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.load import LoadedModel
from nescio.models.packed import packed_linear_layers
from nescio.models.torch_engine import Feed, RowProgram, TorchEngine, common_prefix, window_of
from nescio.models.torch_sampler import TorchSampler
from nescio.records import Sample
from nescio.train.head import HEAD, read_features
from nescio.train.objectives import AnsweredQuestion, RowForm, encode_answered
from nescio.train.packing import share_prompts, shared_prompt
from nescio.train.rows import TrainingRow

Logits: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
LONGEST_PERCENTAGE = 6
"""Tokens that a stated percentage may have."""


class Stated(NamedTuple):
    """What a model states about many answers."""

    confidence: np.ndarray[Any, np.dtype[np.float64]]
    """In [0, 1], shape (n,); NaN where the model's logits are no numbers."""
    tokens: int
    """Tokens that went through the model; what rows share is counted once."""


def state_confidence(
    loaded: LoadedModel,
    rows: Sequence[TrainingRow],
    form: RowForm,
    *,
    batch_size: int = 32,
    on_progress: Callable[[int], None] | None = None,
) -> Stated:
    """Read a confidence off each row's options, or off the model's confidence head.

    Of two options the confidence is the probability of the better one against the other; of more, the mean of their values
    under the model's probabilities (of these options alone).

    Args:
        loaded: The adapted model.
        rows: Of `encode_answered`.
        form: What they were made with.
        batch_size: Rows in flight.
        on_progress: Called with the number of rows read.
    """
    if not rows:
        return Stated(np.zeros(0), 0)
    if getattr(loaded.model, HEAD, None) is None:
        logits, tokens = _read_options(loaded.model, rows, batch_size=batch_size, on_progress=on_progress)
    else:
        logits, tokens = _read_head(loaded.model, rows, batch_size=batch_size, on_progress=on_progress)
    return Stated(np.clip(_softmax(logits) @ np.array(form.values), 0.0, 1.0), tokens)


def _read_options(
    model: Any, rows: Sequence[TrainingRow], *, batch_size: int, on_progress: Callable[[int], None] | None
) -> tuple[Logits, int]:
    """Logits of each row's option tokens, shape (rows, options), and the tokens read; what all rows share is read once."""
    found = np.full((len(rows), len(rows[0].options)), np.nan)
    prefix = common_prefix([row.input_ids for row in rows]) if len(rows) > 1 else []

    window = window_of(model)
    fitting = [place for place, row in enumerate(rows) if len(row.input_ids) <= window]  # the others keep NaN

    def read(place: int) -> RowProgram:
        logits = yield Feed(rows[place].input_ids[len(prefix) :])
        found[place] = logits[list(rows[place].options)].double().cpu().numpy()

    longest = max(len(row.input_ids) for row in rows)
    with packed_linear_layers(model):
        engine = TorchEngine(model, prefix=prefix, max_rows=batch_size, slots=longest - len(prefix))
        for done, _ in enumerate(engine.run(read(place) for place in fitting), start=1):
            if on_progress:
                on_progress(done)
    return found, len(prefix) + sum(len(row.input_ids) - len(prefix) for row in rows)


def _read_head(
    model: Any, rows: Sequence[TrainingRow], *, batch_size: int, on_progress: Callable[[int], None] | None
) -> tuple[Logits, int]:
    """Logits of the head on each row's last token, shape (rows, 2), and the tokens read: shared beginnings once a batch."""
    import torch

    head, tokens = getattr(model, HEAD), 0
    found = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        with torch.inference_mode():
            found.append(
                head(read_features(model, batch, layer=head.layer, batch_size=batch_size).float()).double().cpu().numpy()
            )
        tokens += count_tokens(batch)
        if on_progress:
            on_progress(start + len(batch))
    return np.concatenate(found), tokens


def state_percentages(
    loaded: LoadedModel,
    rows: Sequence[TrainingRow],
    form: RowForm,
    *,
    batch_size: int = 32,
    on_progress: Callable[[int], None] | None = None,
) -> Stated:
    """Let a model write its confidence as a percentage behind each row, greedily; NaN where it writes none.

    The arguments are those of `state_confidence`.
    """
    if not rows:
        return Stated(np.zeros(0), 0)
    written: list[list[int]] = [[] for _ in rows]

    def write(place: int) -> RowProgram:
        feed = Feed(rows[place].input_ids, draws=[None])
        while len(written[place]) < LONGEST_PERCENTAGE:
            token = (yield feed)[0].token
            if token == loaded.tokenizer.eos_token_id:
                return
            written[place].append(token)
            feed = Feed([token], draws=[None])

    engine = TorchEngine(loaded.model, max_rows=batch_size, slots=max(len(row.input_ids) for row in rows) + LONGEST_PERCENTAGE)
    for done, _ in enumerate(engine.run(write(place) for place in range(len(rows))), start=1):
        if on_progress:
            on_progress(done)
    texts = [loaded.tokenizer.decode(tokens) for tokens in written]
    tokens = sum(len(row.input_ids) for row in rows) + sum(map(len, written))
    return Stated(np.array([_value(read_stated_probability(text)) for text in texts]), tokens)


def answer_and_state(
    loaded: LoadedModel,
    requests: Sequence[SampleRequest],
    form: RowForm,
    settings: DrawSettings,
    *,
    batch_size: int = 64,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[list[Sample], Stated]:
    """Answer questions greedily and state each confidence in the same breath: the query is read behind what was written.

    The answer's keys and values serve the query, so that stating a confidence costs the query's tokens alone; with a head it
    costs a single one, the answer's last. Only where the written tokens are not those that the answer's text is trained with is
    the answer read again.

    Args:
        loaded: The adapted model, or one with a head.
        requests: Open questions, or such with options.
        form: Of `choose_form`; one that asks behind the answer.
        settings: How answers are written.
        batch_size: Questions in flight.
        on_progress: Called with the number of questions done.

    Returns:
        The greedy answers, and the confidences; tokens are those that were read for the confidences alone.
    """
    import torch

    head = getattr(loaded.model, HEAD, None)
    sampler = TorchSampler(loaded, max_rows=batch_size, feature_layer=-1 if head is None else head.layer)
    told = np.full(len(requests), np.nan)
    extra = [0] * len(requests)

    def state(place: int, answer: Sample, read: Sequence[int], shared: int) -> RowProgram:
        [row] = encode_answered(loaded.tokenizer, [AnsweredQuestion(requests[place], answer.text)], form, anchored=False)
        kept = _count_alike(row.input_ids[:-1], read)
        extra[place] = len(row.input_ids) - kept
        seen = yield Feed(row.input_ids[kept:], keep=kept - shared, features=head is not None)
        with torch.inference_mode():
            logits = seen[list(row.options)] if head is None else head(seen)
        told[place] = (_softmax(logits.double().cpu().numpy()[None]) @ np.array(form.values))[0]

    answers = sampler.draw(requests, settings, on_done=on_progress, then=state)
    return answers, Stated(np.clip(told, 0.0, 1.0), sum(extra))


def _count_alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two rows begin with alike."""
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count


def _value(estimate: Estimate) -> float:
    return math.nan if estimate.confidence is None else estimate.confidence


def count_tokens(rows: Sequence[TrainingRow]) -> int:
    """Tokens of a batch: beginnings that rows share count once."""
    total = 0
    for members in share_prompts(rows):
        prefix = shared_prompt([rows[member] for member in members])
        total += prefix + sum(len(rows[member].input_ids) - prefix for member in members)
    return total


def _softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
