"""Decisions from the embedded engine: one structured reply a question, written with all others in one batch."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from nescio.errors import DataError, ModelError
from nescio.models.live_engine import LiveEngine
from nescio.models.packed import packed_linear_layers
from nescio.models.prompt import build_messages, encode_messages
from nescio.models.torch_engine import TorchEngine, common_prefix, window_of
from nescio.predict import ReplyGrammar, Row, make_chooser
from nescio.records import DECISIONS, Decision, EvidenceQuality, Question
from nescio.serve.policy import Rule, Verdict, judge
from nescio.serve.served_run import ServedRun

_ANSWER_BEGUN = re.compile(r'"answer": "')
_STRING = re.compile(r'((?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)(")?')
"""Ends before an escape that is only half there."""


class Ask(NamedTuple):
    """A question to a server."""

    question: str
    context: str | None = None
    rule: Rule = Rule()
    """Over the policy's own."""
    temperature: float = 0.0
    seed: int = 0
    max_tokens: int | None = None
    """Of the answer."""
    top_logprobs: int | None = None
    """Of how many alternatives the log-probabilities are wanted beside that of each token; None wants none."""


class TokenLogprob(NamedTuple):
    """A token of the answer."""

    text: str
    logprob: float
    """Natural logarithm of its probability; 0 where the schema left no choice."""
    top: tuple[tuple[str, float], ...]


class Told(NamedTuple):
    """What is known once the decision is read, before the answer is written."""

    decision: Decision
    probabilities: dict[Decision, float]
    raw_confidence: float
    confidence: float
    verdict: Verdict


class Reply(NamedTuple):
    """A finished reply."""

    told: Told
    written_as: Decision
    """The decision that the reply was written with: the model's own, or the policy's."""
    answer: str
    justification: str
    evidence_quality: EvidenceQuality | None
    finish: Literal["stop", "length"]
    logprobs: tuple[TokenLogprob, ...]
    prompt_tokens: int
    completion_tokens: int


Event = Told | str | Reply
"""In this order: what is told, pieces of the answer, the whole reply."""


@dataclass
class _Request:
    """A question on its way: what the engine's thread writes, and the server's loop reads."""

    ask: Ask
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[Event | Exception] = field(default_factory=asyncio.Queue)
    told: Told | None = None
    written_as: Decision = "correct"
    sent: str = ""
    tokens: int = 0
    answer_tokens: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list)
    cut: bool = False

    def put(self, event: Event | Exception) -> None:
        self.loop.call_soon_threadsafe(self.events.put_nowait, event)


class _LongEnoughError(Exception):
    """The answer has as many tokens as were asked for."""


class EmbeddedDecider:
    """A run's model in this process."""

    def __init__(self, run: ServedRun, *, max_rows: int = 32, max_prompt_tokens: int = 1024) -> None:
        """Load the model, and compute what all prompts begin with.

        Args:
            run: What is served.
            max_rows: Questions in one pass.
            max_prompt_tokens: Longer prompts are refused.
        """
        self.run = run
        loaded = run.load()
        self.tokenizer = loaded.tokenizer
        predict = run.config.predict
        self._grammar = ReplyGrammar(
            loaded, max_answer_chars=predict.max_answer_chars, max_justification_chars=predict.max_justification_chars
        )
        reply = predict.max_answer_chars + predict.max_justification_chars + 64
        self.max_prompt_tokens = min(max_prompt_tokens, window_of(loaded.model) - reply)
        if self.max_prompt_tokens <= 0:
            raise ModelError("the model's window has no room for a question beside the reply; shorten predict.max_answer_chars")
        self._packed = ExitStack()
        self._packed.enter_context(packed_linear_layers(loaded.model))
        self._prefix = common_prefix([self._encode("?", None), self._encode("A", "B")])
        self._engine = LiveEngine(TorchEngine(loaded.model, prefix=self._prefix, max_rows=max_rows, slots=256))

    def _encode(self, question: str, context: str | None) -> list[int]:
        return encode_messages(self.tokenizer, build_messages(question, context))

    def close(self, *, seconds: float | None = None) -> None:
        """Answer what was accepted, and stop."""
        self._engine.close(seconds=seconds)
        self._packed.close()

    @property
    def alive(self) -> bool:
        """Whether questions are answered."""
        return self._engine.alive

    @property
    def in_flight(self) -> int:
        """Questions accepted and not yet answered."""
        return self._engine.waiting + self._engine.running

    def count_tokens(self, ask: Ask) -> int:
        """Tokens of the whole prompt.

        Raises:
            DataError: It is longer than this server takes.
        """
        return self._check_length(len(self._encode(ask.question, ask.context)))

    def _check_length(self, n: int) -> int:
        if n > self.max_prompt_tokens:
            raise DataError(
                f"question and context have {n} tokens with the prompt around them, and this server takes at most "
                f"{self.max_prompt_tokens}; shorten the context"
            )
        return n

    async def decide(self, ask: Ask) -> AsyncIterator[Event]:
        """Answer a question; leaving the loop early cancels it.

        Raises:
            DataError: It is too long.
            ModelError: The model cannot make anything of it.
        """
        prompt = self._encode(ask.question, ask.context)
        self._check_length(len(prompt))
        request = _Request(ask, asyncio.get_running_loop())
        row = Row(
            Question(id="-", group="-", question=ask.question, context=ask.context),
            prompt[len(self._prefix) :],
            self._grammar,
            choose=make_chooser(ask.temperature, f"{ask.seed}|serve|{ask.question}"),
            settle=lambda probabilities: self._settle(request, probabilities),
            watch=lambda tokens, logits, text: self._watch(request, tokens, logits, text),
        )

        def program() -> Any:
            try:
                yield from row.decode()
            except _LongEnoughError:
                request.cut = True

        def end(error: Exception | None) -> None:
            if error is None and row.failure is not None:
                error = ModelError(row.failure)
            request.put(error or self._finish(request, row, prompt_tokens=len(prompt)))

        ticket = self._engine.submit(program(), end)
        ended = False
        try:
            while not ended:
                event = await request.events.get()
                if isinstance(event, Exception):
                    ended = True
                    raise event
                ended = isinstance(event, Reply)
                yield event
        finally:
            if not ended:
                ticket.cancel()

    def _settle(self, request: _Request, probabilities: Mapping[Decision, float]) -> Decision:
        """Apply the policy: which decision the reply is written with."""
        decision = max(DECISIONS, key=lambda one: probabilities[one])
        raw = probabilities["correct"]
        confidence = self.run.calibrate(raw)
        verdict = judge(request.ask.rule, decision=decision, confidence=confidence, raw=raw, guaranteed=self.run.guaranteed)
        request.told = Told(decision, dict(probabilities), raw, confidence, verdict)
        if verdict.action == "answer":
            request.written_as = "correct"
        else:
            request.written_as = max(("uncertain", "refuse"), key=lambda one: probabilities[one])
        request.put(request.told)
        return request.written_as

    def _watch(self, request: _Request, tokens: Sequence[int], logits: Any, text: str) -> None:
        request.tokens += len(tokens)
        before = request.sent
        answer, closed = read_partial_answer(text)
        if len(answer) > len(before):
            request.sent = answer
            request.put(answer[len(before) :])
            request.answer_tokens += len(tokens)
            if request.ask.top_logprobs is not None:
                request.logprobs += self._logprobs(tokens, logits, request.ask.top_logprobs)
        limit = request.ask.max_tokens
        if not closed and limit is not None and request.answer_tokens >= limit:
            raise _LongEnoughError

    def _logprobs(self, tokens: Sequence[int], logits: Any, top: int) -> list[TokenLogprob]:
        """Of the token that was picked; those behind it were forced."""
        log_probabilities = logits.double().log_softmax(-1)
        values, indices = log_probabilities.topk(top)
        pairs = zip(indices.tolist(), values.tolist(), strict=True)
        alternatives = tuple((self.tokenizer.decode([token]), value) for token, value in pairs)
        first = TokenLogprob(self.tokenizer.decode([tokens[0]]), float(log_probabilities[tokens[0]]), alternatives)
        return [first, *(TokenLogprob(self.tokenizer.decode([token]), 0.0, ()) for token in tokens[1:])]

    def _finish(self, request: _Request, row: Row, *, prompt_tokens: int) -> Reply:
        assert request.told is not None
        written = row.reply or {}
        return Reply(
            told=request.told,
            written_as=request.written_as,
            answer=str(written.get("answer", request.sent)),
            justification=str(written.get("justification", "")),
            evidence_quality=written.get("evidence_quality"),
            finish="length" if request.cut else "stop",
            logprobs=tuple(request.logprobs),
            prompt_tokens=prompt_tokens,
            completion_tokens=request.tokens,
        )


def read_partial_answer(text: str) -> tuple[str, bool]:
    r"""The answer in the beginning of a structured reply, as far as it is written, and whether it is whole.

    Examples:
        >>> read_partial_answer('{"decision": "correct", "answer": "Ad')
        ('Ad', False)
        >>> read_partial_answer('{"decision": "correct", "answer": "a \\"b\\"", "just')
        ('a "b"', True)
        >>> read_partial_answer('{"decision": "correct", "answer": "caf\\u00')
        ('caf', False)
    """
    begun = _ANSWER_BEGUN.search(text)
    if not begun:
        return "", False
    found = _STRING.match(text, begun.end())
    assert found is not None
    inner, closed = found[1], found[2] is not None
    answer = str(json.loads(f'"{inner}"', strict=False))
    if answer and "\ud800" <= answer[-1] <= "\udbff":  # half of a character outside the basic plane
        answer = answer[:-1]
    return answer, closed
