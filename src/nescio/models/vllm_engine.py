"""Answers from vLLM inside this process (docs/engines.md)."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nescio.errors import ModelError
from nescio.models.draws import derive_seed
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.prompt import encode_messages
from nescio.records import Sample

_NOT_IDENTITY = {"hf_token", "gpu_memory_utilization", "swap_space", "cpu_offload_gb", "disable_log_stats", "download_dir"}
"""Options that are secret or change the speed alone."""


class _Row(NamedTuple):
    """One prompt for vLLM."""

    place: int
    """Of the request it belongs to."""
    number: int
    """The answer's index, or that of the option to score."""
    ids: list[int]
    scored_from: int | None
    """Of an option: where in `ids` it begins."""


class VLLMEngine:
    """Answers from vLLM in this process: all prompts of a call in one `LLM.generate`.

    Open questions are drawn with a seed made of (seed, question id, index) each; options are scored by the log-probabilities
    of prompt and option read as one prompt, and the answers from 1 on drawn from their softmax at the temperature. vLLM's
    default `logprobs_mode` tells log-probabilities at temperature 1, before any cut.

    vLLM itself answers alike from run to run only with VLLM_ENABLE_V1_MULTIPROCESSING=0, and independently of what else is
    asked only with VLLM_BATCH_INVARIANT=1, on hardware that can.

    **Tested against a stand-in only**, which follows vLLM's documented interface (`LLM`, `SamplingParams`, `TokensPrompt`,
    `RequestOutput`); it has not been run on vLLM.
    """

    def __init__(self, model: str, **llm_options: Any) -> None:
        """Load the model.

        Args:
            model: Hub id or local folder.
            llm_options: Of `vllm.LLM`, such as `dtype`, `tensor_parallel_size`, `max_model_len`, `revision`.

        Raises:
            ModelError: vLLM is not installed, or cannot load the model.
        """
        try:
            import vllm
        except (ImportError, OSError) as error:
            raise ModelError(f"vLLM cannot be imported ({_one_line(error)}); pip install 'nescio[vllm]'") from error
        self._vllm = vllm
        self._model = model
        self._options = llm_options
        try:
            self._llm = vllm.LLM(model=model, **llm_options)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise ModelError(f"vLLM cannot load '{model}': {_one_line(error)}") from error
        self._tokenizer = self._llm.get_tokenizer()

    def identify(self) -> dict[str, Any]:
        """Model, dtype, vLLM's version and the options that change answers."""
        kept = {name: value for name, value in self._options.items() if name not in _NOT_IDENTITY}
        return {
            "engine": "vllm",
            "model": self._model,
            "dtype": str(self._llm.llm_engine.model_config.dtype),
            "version": str(self._vllm.__version__),
            "options": json.loads(json.dumps(kept, sort_keys=True, default=str)),
        }

    def draw(
        self,
        requests: Sequence[SampleRequest],
        settings: DrawSettings,
        *,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Sample]:
        """Answer each request once for each of its indices; see `SamplingEngine`. `on_done` is called once, at the end.

        Raises:
            ModelError: vLLM itself fails; a prompt that cannot be read or is too long fails alone.
        """
        failures: dict[int, str] = {}
        rows: list[_Row] = []
        for place, request in enumerate(requests):
            try:
                rows += self._plan(place, request)
            except _UnfitPromptError as error:
                failures[place] = str(error)
        outputs = dict(zip([row[:2] for row in rows], self._generate(rows, requests, settings), strict=True))
        starts = {row[:2]: row.scored_from for row in rows}
        samples: list[Sample] = []
        for place, request in enumerate(requests):
            if place in failures:
                samples += [_failed(request, index, failures[place]) for index in request.indices]
            elif request.options:
                numbers = range(len(request.options))
                scores = [_score(outputs[place, number], starts[place, number]) for number in numbers]
                samples += [_choose(request, scores, settings, index=index) for index in request.indices]
            else:
                samples += [_read_answer(request, outputs[place, index], index=index) for index in request.indices]
        if on_done is not None and requests:
            on_done(len(requests))
        return samples

    def _plan(self, place: int, request: SampleRequest) -> list[_Row]:
        """The prompts of one request: one for each index, or one for each option."""
        try:
            ids = self._encode(request)
        except ModelError as error:
            raise _UnfitPromptError(str(error)) from error
        if request.options:
            rows = [_Row(place, number, *self._add_option(request, ids, text)) for number, text in enumerate(request.options)]
        else:
            rows = [_Row(place, index, ids, None) for index in request.indices]
        # vLLM refuses the whole call for one such prompt. It wants room for a token behind each.
        limit = self._llm.llm_engine.model_config.max_model_len
        longest = max((len(row.ids) for row in rows), default=1)
        if longest >= limit:
            raise _UnfitPromptError(f"the prompt has {longest} tokens; the model takes fewer than {limit}")
        if any(not row.ids or row.scored_from == len(row.ids) for row in rows):
            raise _UnfitPromptError("the prompt, or an option, is empty")
        return rows

    def _encode(self, request: SampleRequest) -> list[int]:
        if request.messages:
            return encode_messages(self._tokenizer, request.messages)
        return list(self._tokenizer(request.text)["input_ids"])

    def _add_option(self, request: SampleRequest, ids: list[int], option: str) -> tuple[list[int], int]:
        """Prompt and option as one, and where the option begins."""
        if request.messages:
            return ids + list(self._tokenizer(option, add_special_tokens=False)["input_ids"]), len(ids)
        # Read in one, as the model would have written it; tokens that reach over the border count to the option.
        whole = list(self._tokenizer(request.text + option)["input_ids"])
        shared = next(
            (at for at, (one, other) in enumerate(zip(whole, ids, strict=False)) if one != other), min(len(whole), len(ids))
        )
        # The very first token has no probability.
        return whole, max(1, shared)

    def _generate(self, rows: Sequence[_Row], requests: Sequence[SampleRequest], settings: DrawSettings) -> list[Any]:
        if not rows:
            return []
        prompts = [self._vllm.TokensPrompt(prompt_token_ids=row.ids) for row in rows]
        params = [
            self._make_params(requests[row.place], settings, index=row.number)
            if row.scored_from is None
            else self._score_params()
            for row in rows
        ]
        try:
            outputs: list[Any] = self._llm.generate(prompts, params, use_tqdm=False)
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"vLLM failed on {len(rows)} prompts: {_one_line(error)}") from error
        return outputs

    def _make_params(self, request: SampleRequest, settings: DrawSettings, *, index: int) -> Any:
        return self._vllm.SamplingParams(
            temperature=settings.temperature if index else 0.0,
            seed=derive_seed(settings.seed, request.question_id, index),
            stop=list(settings.stop),
            max_tokens=settings.max_new_tokens,
            # 0 further tokens: the one that was drawn is always told.
            logprobs=0,
        )

    def _score_params(self) -> Any:
        return self._vllm.SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=1, detokenize=False)


class _UnfitPromptError(Exception):
    """A prompt that vLLM need not be shown."""


def _read_answer(request: SampleRequest, output: Any, *, index: int) -> Sample:
    drawn = output.outputs[0]
    told = drawn.logprobs or []
    values = [float(at[token].logprob) for token, at in zip(drawn.token_ids, told, strict=False)]
    return Sample(
        question_id=request.question_id,
        index=index,
        text=drawn.text.strip(),
        log_probabilities=tuple(values) if all(map(math.isfinite, values)) else (),
        ended=drawn.finish_reason != "length",
    )


def _score(output: Any, start: int | None) -> float:
    """Log-likelihood of a prompt's end, in nats."""
    ids = output.prompt_token_ids
    return sum(float(output.prompt_logprobs[at][ids[at]].logprob) for at in range(start or 1, len(ids)))


def _choose(request: SampleRequest, scores: Sequence[float], settings: DrawSettings, *, index: int) -> Sample:
    """The likeliest option for index 0, else one drawn from the softmax of scores / temperature, by the Gumbel-max trick."""
    noisy = list(scores)
    if index:
        chance = random.Random(derive_seed(settings.seed, request.question_id, index))
        # 1 - random() lies in (0, 1], whose logarithm is finite; that of 1 is 0, which the inner maximum keeps off.
        noisy = [score / settings.temperature - math.log(max(-math.log(1.0 - chance.random()), 1e-300)) for score in scores]
    choice = noisy.index(max(noisy))
    return Sample(
        question_id=request.question_id,
        index=index,
        text=request.options[choice].strip(),
        choice=choice,
        option_log_likelihoods=tuple(scores),
    )


def _failed(request: SampleRequest, index: int, why: str) -> Sample:
    return Sample(question_id=request.question_id, index=index, failure=why)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
