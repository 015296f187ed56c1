"""The vLLM engine against a stand-in for vLLM that takes no call which vLLM would not take."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections import Counter
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from nescio.errors import ModelError
from nescio.models.draws import derive_seed
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.vllm_engine import VLLMEngine

SETTINGS = DrawSettings(temperature=0.7, max_new_tokens=3, stop=("\n",), seed=5)
BOS = 1


class CharacterTokenizer:
    """One token a character, and one before the text."""

    chat_template = "{# roles in brackets #}"
    bos_token_id = BOS
    added_tokens_decoder: dict[int, Any] = {}  # noqa: RUF012 - as in transformers
    all_special_tokens = ("<s>",)

    def __len__(self) -> int:
        return 1 + sys.maxunicode

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        """Encode."""
        return {"input_ids": [BOS] * add_special_tokens + [ord(character) for character in text]}

    def apply_chat_template(self, turns: Any, **options: Any) -> str:
        """Render a chat up to where the assistant begins."""
        assert options["add_generation_prompt"]
        assert not options["tokenize"]
        return "<s>" + "".join(f"[{turn['role']}]{turn['content']}" for turn in turns) + "[assistant]"


@dataclass(kw_only=True)
class SamplingParams:
    """Those fields of vLLM's that may be used."""

    temperature: float = 1.0
    seed: int | None = None
    stop: list[str] | None = None
    max_tokens: int | None = 16
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    detokenize: bool = True


class LLM:
    """Answers by a hash of prompt, temperature and seed; scores a prompt's token by its own number."""

    def __init__(self, *, model: str, max_model_len: int = 200, dtype: str = "auto", hf_token: str | None = None) -> None:
        """Take the options that the tests use."""
        if model == "missing":
            raise OSError("missing is not a local folder\nand is not a valid model identifier")
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=max_model_len, dtype="torch.bfloat16"))
        self.calls: list[tuple[list[Any], list[SamplingParams]]] = []

    def get_tokenizer(self) -> CharacterTokenizer:
        """The model's tokenizer."""
        return CharacterTokenizer()

    def generate(self, prompts: Any, sampling_params: Any, *, use_tqdm: bool = True) -> list[Any]:
        """One output for each prompt, in order; one prompt that is too long, or empty, fails the call."""
        assert not use_tqdm
        assert len(prompts) == len(sampling_params)
        self.calls.append((prompts, sampling_params))
        limit = self.llm_engine.model_config.max_model_len
        if any(not 0 < len(prompt["prompt_token_ids"]) < limit for prompt in prompts):
            raise ValueError(f"The decoder prompt is longer than the maximum model length of {limit}.")
        return [self._answer(prompt["prompt_token_ids"], params) for prompt, params in zip(prompts, sampling_params, strict=True)]

    def _answer(self, ids: list[int], params: SamplingParams) -> Any:
        seed = params.seed if params.temperature else None
        digest = hashlib.sha256(json.dumps([ids, params.temperature, seed]).encode()).digest()
        drawn = [65 + byte % 26 for byte in digest[: params.max_tokens]]
        if digest[31] % 2:
            drawn[-1] = ord("\n")
        stopped = drawn[-1] == ord("\n")
        told = [{token: logprob(token), token + 1: logprob(token + 1)} for token in drawn]
        prompt_told = [None, *({token: logprob(token), 0: logprob(0)} for token in ids[1:])]
        completion = SimpleNamespace(
            text=" " + "".join(map(chr, drawn)).removesuffix("\n") if params.detokenize else "",
            token_ids=tuple(drawn),
            logprobs=told if params.logprobs is not None else None,
            finish_reason="stop" if stopped else "length",
        )
        return SimpleNamespace(
            prompt_token_ids=ids,
            prompt_logprobs=prompt_told if params.prompt_logprobs is not None else None,
            outputs=[completion],
        )


def logprob(token: int) -> Any:
    """The stand-in's log-probability of a token: its number, negative, in thousandths."""
    return SimpleNamespace(logprob=-token / 1000, rank=1, decoded_token=chr(token))


@pytest.fixture(autouse=True)
def vllm(monkeypatch):
    """A module that can be imported as `vllm`."""
    module = ModuleType("vllm")
    module.__dict__.update(LLM=LLM, SamplingParams=SamplingParams, TokensPrompt=dict, __version__="0.0")
    monkeypatch.setitem(sys.modules, "vllm", module)
    return module


def chat(question: str, *, system: str = "") -> tuple[dict[str, str], ...]:
    """A chat of one question."""
    return (*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": question})


def calls(engine: VLLMEngine) -> list[tuple[list[Any], list[SamplingParams]]]:
    """What the stand-in was asked."""
    made: list[tuple[list[Any], list[SamplingParams]]] = engine._llm.calls
    return made


def decode(ids: list[int]) -> str:
    """The text of a prompt."""
    return "".join("^" if token == BOS else chr(token) for token in ids)


def test_one_call_carries_every_prompt_with_its_own_settings():
    """Greedy at 0, drawn with a temperature and with the seed of question and index; the chosen tokens' log-probabilities."""
    engine = VLLMEngine("m")
    requests = [
        SampleRequest("a", messages=chat("Who?", system="Be brief."), indices=(0, 2)),
        SampleRequest("b", messages=chat("When?")),
        SampleRequest("c", text="Q: Where?\nA:", indices=(1,)),
    ]
    engine.draw(requests, SETTINGS)
    ((prompts, params),) = calls(engine)

    assert [decode(prompt["prompt_token_ids"]) for prompt in prompts] == [
        "<s>[system]Be brief.[user]Who?[assistant]",
        "<s>[system]Be brief.[user]Who?[assistant]",
        "<s>[user]When?[assistant]",
        "^Q: Where?\nA:",
    ]
    assert [one.temperature for one in params] == [0.0, 0.7, 0.0, 0.7]
    assert [one.seed for one in params] == [
        derive_seed(5, name, index) for name, index in (("a", 0), ("a", 2), ("b", 0), ("c", 1))
    ]
    assert all((one.stop, one.max_tokens, one.logprobs, one.prompt_logprobs) == (["\n"], 3, 0, None) for one in params)


def test_answers_are_read_in_order_and_depend_on_nothing_else():
    """Text without space around it, the chosen tokens' log-probabilities with the stop's, and whether the answer ended."""
    engine = VLLMEngine("m")
    requests = [SampleRequest(f"q{n}", text=f"Question {n}?", indices=(2, 0, 1)) for n in range(8)]
    done: list[int] = []
    samples = engine.draw(requests, SETTINGS, on_done=done.append)
    backwards = engine.draw(requests[::-1], SETTINGS)

    assert [(sample.question_id, sample.index) for sample in samples] == [
        (f"q{n}", index) for n in range(8) for index in (2, 0, 1)
    ]
    assert sorted(map(repr, samples)) == sorted(map(repr, backwards))
    assert {sample.ended for sample in samples} == {True, False}
    assert done == [8]
    for sample in samples:
        written = sample.text + "\n" * sample.ended
        assert len(written) == 3
        assert sample.log_probabilities == tuple(-ord(character) / 1000 for character in written)


def test_options_are_scored_behind_the_prompt():
    """An option's log-likelihood is the sum over its own tokens; the greedy choice is the likeliest option."""
    engine = VLLMEngine("m")
    plain = SampleRequest("a", text="Q?", options=(" ab", " aa", " abc"))
    chatted = SampleRequest("b", messages=chat("Which?"), options=("B", "A"))
    first, second = engine.draw([plain, chatted], SETTINGS)
    ((prompts, params),) = calls(engine)

    # " aa" is 32 + 97 + 97 thousandths.
    assert first.option_log_likelihoods == pytest.approx((-0.227, -0.226, -0.326))
    assert (first.choice, first.text) == (1, "aa")
    assert second.option_log_likelihoods == pytest.approx((-0.066, -0.065))
    assert (second.choice, second.text) == (1, "A")
    assert decode(prompts[0]["prompt_token_ids"]) == "^Q? ab"
    assert decode(prompts[4]["prompt_token_ids"]) == "<s>[user]Which?[assistant]A"
    assert all((one.prompt_logprobs, one.max_tokens) == (1, 1) for one in params)


def test_options_are_drawn_from_their_softmax():
    """Log-likelihoods of -1 and -2 at temperature 0.5 give odds of e squared; the prompt is scored once for all indices."""
    engine = VLLMEngine("m")
    request = SampleRequest("a", text="Q?", options=("\u03e8", "\u07d0"), indices=tuple(range(4001)))
    samples = engine.draw([request], DrawSettings(temperature=0.5))
    share = Counter(sample.choice for sample in samples[1:])[0] / 4000

    # 0x3e8 = 1000 and 0x7d0 = 2000; the standard error of the share is 0.005.
    assert samples[0].option_log_likelihoods == pytest.approx((-1.0, -2.0))
    assert share == pytest.approx(1 / (1 + math.exp(-2)), abs=0.02)
    assert len(calls(engine)[0][0]) == 2
    assert engine.draw([request], DrawSettings(temperature=0.5)) == samples


def test_open_and_multiple_choice_questions_share_a_call():
    """Neither kind shifts the other's answers."""
    engine = VLLMEngine("m")
    requests = [
        SampleRequest("a", text="One", indices=(0, 1)),
        SampleRequest("b", text="Two", options=(" x", " y")),
        SampleRequest("c", text="Three", indices=(0,)),
    ]
    together = engine.draw(requests, SETTINGS)
    alone = [sample for request in requests for sample in engine.draw([request], SETTINGS)]

    assert together == alone
    assert len(calls(engine)) == 4


@pytest.mark.parametrize(
    "bad",
    [
        SampleRequest("bad", text="x" * 49, indices=(0, 1)),
        SampleRequest("bad", text="x" * 45, options=(" y", " yes"), indices=(0, 1)),
        SampleRequest("bad", text="x", options=(" y", ""), indices=(0, 1)),
        SampleRequest("bad", messages=({"role": "user", "content": "x" * 50},), indices=(0, 1)),
    ],
)
def test_a_prompt_that_vllm_would_refuse_fails_alone(bad):
    """VLLM would fail the whole call; the others are answered as if it were not there."""
    engine = VLLMEngine("m", max_model_len=50)
    good = [SampleRequest("a", text="One"), SampleRequest("b", text="Two")]
    samples = engine.draw([good[0], bad, good[1]], SETTINGS)

    assert [samples[0], samples[3]] == engine.draw(good, SETTINGS)
    assert [(sample.index, sample.failure is not None) for sample in samples[1:3]] == [(0, True), (1, True)]


def test_nothing_asked_is_no_call():
    """An empty list goes back as it came."""
    engine = VLLMEngine("m")

    assert engine.draw([], SETTINGS) == []
    assert calls(engine) == []


def test_identity_is_what_answers_depend_on():
    """Options that set the speed, and secrets, are no part of it."""
    identity = VLLMEngine("m", dtype="bfloat16", hf_token="hf_secret").identify()

    assert identity == {
        "engine": "vllm",
        "model": "m",
        "dtype": "torch.bfloat16",
        "version": "0.0",
        "options": {"dtype": "bfloat16"},
    }


def test_errors_of_vllm_are_told_in_one_line(monkeypatch):
    """A missing package names the extra, a model that cannot be loaded and a run that breaks name their reason."""
    with pytest.raises(ModelError, match=r"^vLLM cannot load 'missing': missing is not a local folder and is not"):
        VLLMEngine("missing")
    engine = VLLMEngine("m")
    monkeypatch.setattr(engine._llm, "generate", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("engine\ndied")))
    with pytest.raises(ModelError, match=r"^vLLM failed on 1 prompts: engine died$"):
        engine.draw([SampleRequest("a", text="One")], SETTINGS)
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError, match=r"pip install 'nescio\[vllm\]'"):
        VLLMEngine("m")
