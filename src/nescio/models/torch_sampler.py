"""Answers drawn from a model in this process: prompts read once, samples that agree so far written once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np

from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.load import LoadedModel
from nescio.models.packed import packed_linear_layers
from nescio.models.prompt import encode_continuation, encode_messages, encode_text
from nescio.models.torch_engine import Drawn, Feed, RowProgram, TorchEngine, common_prefix, gumbel, window_of
from nescio.records import Sample

LOG_PROBABILITY_DIGITS = 4
"""Decimals kept: the last digits of float32 depend on what else was computed beside a row."""
Afterthought: TypeAlias = Callable[[int, Sample, Sequence[int], int], RowProgram]
"""What a row goes on with behind a greedy answer: a function of the request's place, the answer, all tokens read so far, and how
many of them all rows share and feeds do not count."""
_NOT_FINITE = "the model's logits are not finite numbers; model.dtype=float32 may help"


class TorchSampler:
    """A model of transformers as a sampling engine.

    The prefix that all prompts share is computed once, each prompt once for all of its samples. Samples of a question that
    have written the same tokens so far are one row; where they part, the row forks. That changes nothing in what is drawn:
    each sample follows its own numbers, a stream that (seed, question id, index) names.
    """

    def __init__(
        self,
        loaded: LoadedModel | Callable[[], LoadedModel],
        *,
        identity: dict[str, Any] | None = None,
        max_rows: int = 128,
        feature_layer: int = -1,
    ) -> None:
        """Keep the model.

        Args:
            loaded: Model and tokenizer, or what loads them when the first answer is drawn: where a store holds all samples,
                none is.
            identity: What tells the weights from any others.
            max_rows: Rows in flight.
            feature_layer: Whose hidden states an afterthought can ask for.
        """
        self._feature_layer = feature_layer
        self._given = loaded
        self._identity = identity or {}
        self._max_rows = max_rows

    @cached_property
    def _loaded(self) -> LoadedModel:
        return self._given if isinstance(self._given, LoadedModel) else self._given()

    @cached_property
    def _end_tokens(self) -> frozenset[int]:
        return _end_tokens(self._loaded)

    def identify(self) -> dict[str, Any]:
        """What the caller says of the weights."""
        return {"engine": "torch", **self._identity}

    def draw(
        self,
        requests: Sequence[SampleRequest],
        settings: DrawSettings,
        *,
        on_done: Callable[[int], None] | None = None,
        then: Afterthought | None = None,
    ) -> list[Sample]:
        """Answer each request once for each of its indices; see `SamplingEngine`.

        With `then`, which goes on behind each greedy answer, no other answers can be wanted.
        """
        if then is not None and any(request.indices != (0,) for request in requests):
            raise ValueError("only greedy answers can be gone on behind; ask for index 0 alone")
        if not requests:
            return []
        writers = [self._make_writer(request, settings) for request in requests]
        for place, writer in enumerate(writers):
            writer.then = None if then is None else partial(then, place)
        window = window_of(self._loaded.model)
        fitting = []
        for writer in writers:
            if fault := writer.find_fault(window):
                writer.fail(fault)
            else:
                fitting.append(writer)
        done = len(writers) - len(fitting)
        for _ in self._run(fitting):
            done += 1
            if on_done:
                on_done(done)
        return [sample for writer in writers for sample in writer.samples()]

    def _run(self, writers: Sequence[_Writer]) -> Iterator[int]:
        if not writers:
            return
        prefix = common_prefix([writer.prompt for writer in writers])
        for writer in writers:
            writer.own_prompt = writer.prompt[len(prefix) :]
        # Samples of a question agree at first: half as many rows as samples is what questions hold on average.
        rows_each = max(1, max(len(writer.request.indices) for writer in writers) // 2)
        longest = max(len(writer.own_prompt) + writer.reach for writer in writers)
        # Long ones first: reads of like length share a step, and the last rows to end are short.
        order = sorted(range(len(writers)), key=lambda place: -len(writers[place].prompt))
        with packed_linear_layers(self._loaded.model):
            engine = TorchEngine(
                self._loaded.model, prefix=prefix, max_rows=self._max_rows, slots=longest, feature_layer=self._feature_layer
            )
            yield from engine.run((writers[place].program() for place in order), rows_each=rows_each)

    def _make_writer(self, request: SampleRequest, settings: DrawSettings) -> _Writer:
        tokenizer = self._loaded.tokenizer
        prompt = encode_messages(tokenizer, request.messages) if request.messages else encode_text(tokenizer, request.text)
        if request.begun:
            prompt = [*prompt, *tokenizer(request.begun, add_special_tokens=False)["input_ids"]]
        if request.options:
            return _Chooser(request, settings, tokenizer, prompt, self._end_tokens)
        return _Answerer(request, settings, tokenizer, prompt, self._end_tokens)


@dataclass
class _Writer:
    """One request on its way through the engine."""

    request: SampleRequest
    settings: DrawSettings
    tokenizer: Any
    prompt: list[int]
    end_tokens: frozenset[int]
    own_prompt: list[int] = field(default_factory=list)
    """The prompt without the prefix that all prompts share."""
    made: dict[int, Sample] = field(default_factory=dict)
    then: Callable[[Sample, Sequence[int], int], RowProgram] | None = None
    """What the row goes on with behind its greedy answer."""

    @property
    def reach(self) -> int:
        """Tokens that may follow the prompt."""
        raise NotImplementedError

    def program(self) -> RowProgram:
        """The request as a row program."""
        raise NotImplementedError

    def find_fault(self, window: int) -> str | None:
        """Why the model cannot be asked this; None where it can. `window` is the most tokens that it reads."""
        if not self.prompt:
            return "the prompt has no tokens"
        if len(self.prompt) + self.reach > window:
            return f"the prompt has {len(self.prompt)} tokens, {self.reach} may follow, and the model's window is {window}"
        return None

    def fail(self, reason: str) -> None:
        """Give every sample that is not there yet a failure."""
        for index in self.request.indices:
            self.made.setdefault(index, Sample(question_id=self.request.question_id, index=index, failure=reason))

    def go_on(self, written: Sequence[int]) -> RowProgram:
        """What comes behind the greedy answer; `written` are its tokens that were read."""
        answer = self.made.get(0)
        if self.then is not None and answer is not None and answer.failure is None:
            yield from self.then(answer, [*self.prompt, *written], len(self.prompt) - len(self.own_prompt))

    def samples(self) -> list[Sample]:
        """In the order of the indices asked for."""
        return [self.made[index] for index in self.request.indices]

    def chance(self, index: int) -> np.random.Generator | None:
        """What a sample is drawn with; None where it is greedy."""
        if index == 0:
            return None
        stream = f"{self.settings.seed}|sample|{self.request.question_id}|{index}"
        key = hashlib.sha256(stream.encode()).digest()
        return np.random.Generator(np.random.Philox(int.from_bytes(key[:16], "little")))


@dataclass
class _Member:
    """One sample in the making."""

    index: int
    chance: np.random.Generator | None
    log_probabilities: list[float] = field(default_factory=list)


@dataclass
class _Answerer(_Writer):
    """An open question: text up to a stop."""

    @property
    def reach(self) -> int:
        return self.settings.max_new_tokens

    def __post_init__(self) -> None:
        """Tokenise what the reply may not begin with."""
        encode = self.tokenizer
        self.forbidden = [encode(text, add_special_tokens=False)["input_ids"] for text in self.request.forbidden]

    def program(self) -> RowProgram:
        members = [_Member(index, self.chance(index)) for index in self.request.indices]
        feed = Feed(self.own_prompt, temperature=self.settings.temperature)
        return self._write(self._ask(feed, [], members), [], members)

    def _ask(self, feed: Feed, written: list[int], members: list[_Member]) -> Feed:
        """The feed with the members' draws, and without the tokens that would complete a forbidden beginning."""
        forbidden = tuple(text[-1] for text in self.forbidden if text[:-1] == written)
        return feed._replace(draws=[member.chance for member in members], forbidden=forbidden)

    def _write(self, feed: Feed, written: list[int], members: list[_Member]) -> RowProgram:
        """Write on for samples that have the same tokens so far; where they part, the first go on and the others fork."""
        while True:
            drawn: list[Drawn] = yield feed
            parts: dict[int, list[_Member]] = {}
            for member, one in zip(members, drawn, strict=True):
                member.log_probabilities.append(one.log_probability)
                if math.isfinite(one.log_probability):
                    parts.setdefault(one.token, []).append(member)
                else:
                    self.made[member.index] = self._make(member, "", ended=True, failure=_NOT_FINITE)
            going_on = [(token, part) for token, part in parts.items() if not self._finish(part, [*written, token])]
            if not going_on:
                yield from self.go_on(written)
                return
            temperature = feed.temperature
            feeds = [self._ask(Feed([t], temperature=temperature), [*written, t], part) for t, part in going_on]
            rest = zip(feeds[1:], going_on[1:], strict=True)
            forks = [self._write(other, [*written, token], part) for other, (token, part) in rest]
            token, members = going_on[0]
            feed, written = feeds[0]._replace(forks=forks), [*written, token]

    def _finish(self, members: list[_Member], tokens: list[int]) -> bool:
        """Make the samples of members that have come to their end; says whether they have."""
        stopped = tokens[-1] in self.end_tokens
        text = str(self.tokenizer.decode(tokens[:-1] if stopped else tokens, skip_special_tokens=True))
        places = [place for stop in self.settings.stop if (place := text.find(stop)) >= 0]
        ended = stopped or bool(places)
        if not ended and len(tokens) < self.settings.max_new_tokens:
            return False
        text = text[: min(places)] if places else text
        for member in members:
            self.made[member.index] = self._make(member, text.strip(), ended=ended)
        return True

    def _make(self, member: _Member, text: str, *, ended: bool, failure: str | None = None) -> Sample:
        return Sample(
            question_id=self.request.question_id,
            index=member.index,
            text=text,
            log_probabilities=() if failure else _rounded(member.log_probabilities),
            ended=ended,
            failure=failure,
        )


@dataclass
class _Chooser(_Writer):
    """A multiple-choice question: the log-likelihood of each option, and choices drawn from them."""

    def __post_init__(self) -> None:
        """Tokenise options as they follow the prompt."""
        if self.request.messages or self.request.begun:
            self.options = [encode_continuation(self.tokenizer, option) for option in self.request.options]
            return
        # The border of prompt and option may fall within a token. All options are then told from where the first of them
        # parts from the prompt's own tokens: behind different prompts their likelihoods could not be compared.
        wholes = [encode_text(self.tokenizer, self.request.text + option) for option in self.request.options]
        self.prompt = common_prefix([[*self.prompt, -1], *wholes])
        self.options = [whole[len(self.prompt) :] for whole in wholes]

    @property
    def reach(self) -> int:
        return max(map(len, self.options))

    def find_fault(self, window: int) -> str | None:
        return super().find_fault(window) if all(self.options) else "an option has no tokens"

    def program(self) -> RowProgram:
        first = (yield Feed(self.own_prompt)).log_softmax(-1)
        told: list[list[float]] = []
        for option in self.options:
            told.append([float(first[option[0]])])
            if len(option) > 1:
                told[-1] += (yield Feed(option[:-1], keep=len(self.own_prompt), targets=option[1:])).tolist()
        totals = [sum(log_probabilities) for log_probabilities in told]
        if not np.isfinite(totals).all():
            self.fail(_NOT_FINITE)
            return
        for index in self.request.indices:
            choice = _choose(totals, self.chance(index), temperature=self.settings.temperature)
            self.made[index] = Sample(
                question_id=self.request.question_id,
                index=index,
                text=self.request.options[choice].strip(),
                choice=choice,
                log_probabilities=_rounded(told[choice]),
                option_log_likelihoods=_rounded(totals),
            )
        yield from self.go_on(())


def _choose(log_likelihoods: Sequence[float], chance: np.random.Generator | None, *, temperature: float) -> int:
    """The likeliest option, or one drawn in proportion to the likelihoods."""
    if chance is None:
        return int(np.argmax(log_likelihoods))
    return int(np.argmax(np.array(log_likelihoods) / temperature + gumbel(chance, len(log_likelihoods))))


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, LOG_PROBABILITY_DIGITS) for value in values)


def _end_tokens(loaded: LoadedModel) -> frozenset[int]:
    """The tokenizer's end token and those that the model's authors named: many chat models end a turn with another one."""
    named = getattr(getattr(loaded.model, "generation_config", None), "eos_token_id", None)
    ends = {loaded.tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return frozenset(token for token in ends if token is not None)
