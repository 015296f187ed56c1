"""Structured predictions: valid by construction, the decision read from the logits."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from nescio.errors import ModelError
from nescio.models.load import LoadedModel
from nescio.models.packed import packed_linear_layers
from nescio.models.prompt import OPENING, TO_ANSWER, build_messages, encode_messages, reply_schema
from nescio.models.torch_engine import Feed, TorchEngine, common_prefix, window_of
from nescio.records import DECISIONS, Decision, Example, Prediction, Question
from nescio.store import translate_os_errors

Logits = NDArray[np.floating[Any]]
Choose = Callable[[Logits], int]
Decoding = Generator[Feed, Any, None]

_REPLY_TO_ANSWER = re.compile(re.escape(OPENING) + r"\w+" + re.escape(TO_ANSWER) + r'(?:[^"\\]|\\.)*"', re.DOTALL)


def predict(
    loaded: LoadedModel,
    examples: Sequence[Example | Question],
    *,
    shots: Sequence[Example] = (),
    batch_size: int = 32,
    temperature: float = 0.0,
    max_answer_chars: int = 200,
    max_justification_chars: int = 200,
    force_answers: bool = True,
    seed: int = 0,
    on_prediction: Callable[[Prediction], None] | None = None,
) -> list[Prediction]:
    """Predict decision, answer, justification and evidence quality for each example.

    The reply follows the JSON schema token by token (llguidance), so that every reply parses. P(correct), P(uncertain) and
    P(refuse) are the probabilities of the whole label strings at the decision position, normalised over the three. Items whose
    decision is not `correct` also get a forced answer, decoded as if it were. Randomness depends on (seed, id) alone.

    Args:
        loaded: Model and tokenizer.
        examples: Only id, question and context are read.
        shots: Worked examples placed before every question.
        batch_size: Rows in flight.
        temperature: 0 is greedy.
        max_answer_chars: Length limit of answer and forced answer, in characters.
        max_justification_chars: Length limit of the justification, in characters.
        force_answers: Whether rows that are not answered get a forced answer. Evaluation needs it: without one, nothing says
            whether answering would have been right.
        seed: Of the run.
        on_prediction: Called with each prediction as it is made, in any order.

    Returns:
        One prediction an example, in their order. An item that does not fit the model's window, or of which the model
        cannot make anything (logits that are not numbers), has a failure instead of a decision.
    """
    grammar = ReplyGrammar(loaded, max_answer_chars=max_answer_chars, max_justification_chars=max_justification_chars)
    prompts = [encode_messages(loaded.tokenizer, build_messages(e.question, e.context, shots=shots)) for e in examples]
    room = window_of(loaded.model) - max_answer_chars - max_justification_chars - 64
    done: dict[int, Prediction] = {}

    def keep(index: int, prediction: Prediction) -> None:
        done[index] = prediction
        if on_prediction:
            on_prediction(prediction)

    for index, prompt in enumerate(prompts):
        if len(prompt) > room:
            failure = f"the prompt has {len(prompt)} tokens, the model's window leaves room for {max(room, 0)}"
            keep(index, Prediction(id=examples[index].id, decision=None, failure=failure))
    # Long rows first: the last batch, which empties row by row, is then the cheapest.
    order = sorted((i for i in range(len(prompts)) if i not in done), key=lambda i: -len(prompts[i]))
    if order:
        prefix = common_prefix([prompts[i] for i in order])
        rows = [
            Row(
                examples[i],
                prompts[i][len(prefix) :],
                grammar,
                choose=make_chooser(temperature, f"{seed}|predict|{examples[i].id}"),
                choose_forced=make_chooser(temperature, f"{seed}|forced|{examples[i].id}") if force_answers else None,
            )
            for i in order
        ]
        with packed_linear_layers(loaded.model):
            longest = len(rows[0].prompt) + (max_answer_chars + max_justification_chars) // 2
            engine = TorchEngine(loaded.model, prefix=prefix, max_rows=min(batch_size, len(order)), slots=longest)
            for position in engine.run(row.decode() for row in rows):
                keep(order[position], rows[position].prediction())
    return [done[index] for index in range(len(examples))]


@dataclass
class Row:
    """One example on its way through the engine."""

    example: Example | Question
    prompt: Sequence[int]
    grammar: ReplyGrammar
    choose: Choose
    choose_forced: Choose | None = None
    """Another stream of chance: the forced answer is written beside the reply, step by step. None where none is asked for."""
    settle: Callable[[Mapping[Decision, float]], Decision] | None = None
    """Which decision the reply is written with, by their probabilities; None: what `choose` picks."""
    watch: Callable[[Sequence[int], Logits | None, str], None] | None = None
    """Hears of every step of writing: the tokens taken, the logits that the first of them was picked from, and the reply so far.
    Tokens behind the first are those that the schema leaves no choice about."""
    probabilities: dict[Decision, float] | None = None
    reply: dict[str, Any] | None = None
    forced_answer: str | None = None
    failure: str | None = None

    def decode(self) -> Decoding:
        """Read the decision and write the reply, beside it the forced answer; what stops it becomes the row's failure."""
        try:
            yield from self._decode()
        except _CannotDecodeError as error:
            self.failure = str(error)

    def _decode(self) -> Decoding:
        opening = [*self.prompt, *self.grammar.opening]
        log_probabilities = yield from self._read_decision(opening)
        exact = np.exp(log_probabilities - np.logaddexp.reduce(log_probabilities))
        self.probabilities = {decision: float(p) for decision, p in zip(DECISIONS, exact, strict=True)}
        decision = self.settle(self.probabilities) if self.settle else DECISIONS[self.choose(log_probabilities)]
        forced = None
        if self.choose_forced and decision != "correct":
            forced = self._force_answer(self.choose_forced, start=len(opening))
        text = yield from self._write(decision, self.choose, start=len(opening), beside=forced)
        self.reply = json.loads(text)

    def _force_answer(self, choose: Choose, *, start: int) -> Decoding:
        try:
            text = yield from self._write("correct", choose, start=start, answer_only=True)
            self.forced_answer = json.loads(text)["answer"]
        except _CannotDecodeError as error:
            self.failure = str(error)

    def _read_decision(self, opening: list[int]) -> Generator[Feed, Any, NDArray[np.float64]]:
        """Log-probability of each whole label, shape (3,); labels of several tokens are read token by token."""
        first = _log_softmax((yield Feed(opening)))
        totals = []
        for label in (self.grammar.labels[decision] for decision in DECISIONS):
            total = float(first[label[0]])
            for place in range(1, len(label)):
                keep = len(opening) if place == 1 else None
                total += float(_log_softmax((yield Feed([label[place - 1]], keep)))[label[place]])
            totals.append(total)
        if not np.isfinite(totals).all():
            raise _CannotDecodeError("the model's logits are not finite numbers; model.dtype=float32 may help")
        return np.array(totals)

    def _write(
        self, decision: Decision, choose: Choose, *, start: int, answer_only: bool = False, beside: Decoding | None = None
    ) -> Generator[Feed, Any, str]:
        """Decode the reply behind a decision, to its end or to the end of its answer; returns a whole JSON object."""
        matcher = self.grammar.start(decision)
        feed = Feed(self.grammar.openings[decision][len(self.grammar.opening) :], start, (beside,) if beside else ())
        written: list[int] = []
        while True:
            logits = yield feed
            masked = self.grammar.allowed(matcher, logits)
            token = choose(masked)
            if not np.isfinite(masked[token]):
                raise _CannotDecodeError("the model's logits are not finite numbers; model.dtype=float32 may help")
            feed = Feed([token, *self.grammar.advance(matcher, token)])
            written += feed.tokens
            if self.watch and not answer_only:
                self.watch(feed.tokens, logits, self.grammar.text(decision, written))
            if answer_only:
                # Tokens do not end where fields end, so that the text alone says whether the answer is closed.
                answered = _REPLY_TO_ANSWER.match(self.grammar.text(decision, written))
                if answered:
                    return answered[0] + "}"
            elif matcher.is_accepting():
                return self.grammar.text(decision, written)

    def prediction(self) -> Prediction:
        """The record of a finished row."""
        if self.failure is not None:
            return Prediction(id=self.example.id, decision=None, failure=self.failure)
        assert self.reply is not None and self.probabilities is not None
        return Prediction(
            id=self.example.id,
            probabilities=self.probabilities,
            confidence=self.probabilities["correct"],
            forced_answer=self.forced_answer,
            **self.reply,
        )


class _CannotDecodeError(Exception):
    """Nothing can be made of a row; the message becomes its failure."""


class ReplyGrammar:
    """The reply's schema in the tokens of one tokenizer."""

    def __init__(self, loaded: LoadedModel, *, max_answer_chars: int, max_justification_chars: int) -> None:
        import llguidance
        import llguidance.hf

        self._tokenizer = loaded.tokenizer
        vocabulary = loaded.model.get_output_embeddings().weight.shape[0]
        self._ll_tokenizer = llguidance.hf.from_tokenizer(loaded.tokenizer, n_vocab=vocabulary)
        schema = reply_schema(max_answer_chars=max_answer_chars, max_justification_chars=max_justification_chars)
        # The spacing of Python's json.dumps, in which the training rows are written.
        schema["x-guidance"] = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
        self._grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
        self._mask = np.zeros((1, (vocabulary + 31) // 32), dtype=np.int32)
        self._vocabulary = vocabulary

    @cached_property
    def openings(self) -> dict[Decision, list[int]]:
        """Tokens from the opening brace to the answer's opening quote, for each decision: as a training row has them."""
        encode = self._tokenizer
        return {d: encode(OPENING + d + TO_ANSWER, add_special_tokens=False)["input_ids"] for d in DECISIONS}

    @cached_property
    def opening(self) -> list[int]:
        """Tokens before the decision, the same for all decisions."""
        return common_prefix(list(self.openings.values()))

    @cached_property
    def labels(self) -> dict[Decision, list[int]]:
        """Tokens of each decision's label: what is left between the common beginning and the common end."""
        rest = {d: tokens[len(self.opening) :] for d, tokens in self.openings.items()}
        ending = len(common_prefix([tokens[::-1] for tokens in rest.values()]))
        return {d: tokens[: len(tokens) - ending] for d, tokens in rest.items()}

    def start(self, decision: Decision) -> Any:
        """A matcher that stands at the beginning of the answer."""
        import llguidance

        matcher = llguidance.LLMatcher(self._ll_tokenizer, self._grammar)
        # In its own tokens: the model's may begin with a space that is no part of the text ("▁{").
        if not matcher.consume_tokens(self._ll_tokenizer.tokenize_str(OPENING + decision + TO_ANSWER)):
            raise ModelError(f"the tokenizer cannot write the reply's schema: {matcher.get_error() or 'opening refused'}")
        return matcher

    def allowed(self, matcher: Any, logits: Any) -> Logits:
        """The logits with every token that the schema forbids at minus infinity."""
        matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        bits = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: self._vocabulary]
        masked: Logits = np.where(bits, logits.cpu().numpy(), np.float32("-inf"))
        return masked

    def advance(self, matcher: Any, token: int) -> list[int]:
        """Take a token; returns the tokens that the schema then leaves no choice about."""
        if not matcher.consume_token(token):
            raise _CannotDecodeError(f"the reply's grammar refused a token: {matcher.get_error()}")
        forced: list[int] = matcher.compute_ff_tokens()
        matcher.consume_tokens(forced)
        return forced

    def text(self, decision: Decision, tokens: Sequence[int]) -> str:
        """A reply from its opening brace on; `tokens` are those behind the answer's opening quote."""
        written: bytes = self._ll_tokenizer.decode_bytes(list(tokens))
        return OPENING + decision + TO_ANSWER + written.decode("utf-8", errors="ignore")  # the last character may be half there


def make_chooser(temperature: float, stream: str) -> Choose:
    """What picks a token from logits.

    Args:
        temperature: 0 picks the likeliest.
        stream: Name of the stream of chance; equal names draw alike.
    """
    if temperature == 0:
        return lambda logits: int(logits.argmax())
    key = hashlib.sha256(stream.encode()).digest()
    generator = np.random.Generator(np.random.Philox(int.from_bytes(key[:16], "little")))

    def draw(logits: Logits) -> int:
        weights = np.exp((logits - logits.max()).astype(np.float64) / temperature).cumsum()
        return int(np.searchsorted(weights, generator.random() * weights[-1], side="right"))

    return draw


def _log_softmax(logits: Any) -> Any:
    return logits.double().log_softmax(-1)


def predict_resumably(
    predict_chunk: Callable[[Sequence[Example]], list[Prediction]],
    examples: Sequence[Example],
    *,
    partial: Path,
    chunk_rows: int,
    on_chunk: Callable[[int, int], None] | None = None,
) -> dict[str, Prediction]:
    """Predict in chunks and keep each finished chunk on disk, so that a killed run goes on where it was.

    Chunks are cut from `examples` alone: a resumed run computes the same batches as an undisturbed one, and so the same
    numbers to the last bit.

    Args:
        predict_chunk: Predicts a list of examples.
        examples: All of them.
        partial: File for finished chunks, of these examples and options alone; deleting it is the caller's.
        chunk_rows: Examples a chunk.
        on_chunk: Called with (examples done, examples in all).

    Returns:
        Predictions by example id.
    """
    with translate_os_errors(f"reading {partial}"):
        done = _read_partial(partial)
        partial.parent.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(examples), chunk_rows):
        chunk = examples[start : start + chunk_rows]
        if not all(example.id in done for example in chunk):
            fresh = predict_chunk(chunk)
            with translate_os_errors(f"writing {partial}"), partial.open("a", encoding="utf-8") as file:
                file.write("".join(prediction.model_dump_json() + "\n" for prediction in fresh))
                file.flush()
                os.fsync(file.fileno())
            done |= {prediction.id: prediction for prediction in fresh}
        if on_chunk:
            on_chunk(min(start + chunk_rows, len(examples)), len(examples))
    return done


def _read_partial(path: Path) -> dict[str, Prediction]:
    """Predictions of an interrupted run; the file is cut off before the first line that is not whole."""
    if not path.is_file():
        return {}
    content = path.read_bytes()
    done: dict[str, Prediction] = {}
    size = 0
    for line in content.splitlines(keepends=True):
        try:
            row = Prediction.model_validate_json(line)
        except ValidationError:
            break
        if not line.endswith(b"\n"):
            break
        done[row.id] = row
        size += len(line)
    if size < len(content):
        os.truncate(path, size)
    return done
