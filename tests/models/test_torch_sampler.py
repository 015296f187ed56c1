"""Every sample is what the model alone would have written for it, whatever else is drawn beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.prompt import encode_messages, encode_text
from nescio.models.tiny import ARCHITECTURES
from nescio.models.torch_sampler import TorchSampler
from nescio.records import Sample

SETTINGS = DrawSettings(temperature=1.3, max_new_tokens=9, stop=("e", "12"), seed=3)
SHOTS = "Q: How many legs does a spider have?\nA: 8\n\nQ: Which metal is liquid?\nA: Mercury\n\nQ: "
BLOCK = 256


def ask(question: str, *, id: str | None = None, indices: Sequence[int] = range(4), chat: bool = False, **fields: Any) -> Any:
    """A request, as a chat or as plain text behind two worked examples (more than 64 tokens)."""
    text = f"{SHOTS}{question}\nA:"
    prompt: dict[str, Any] = {"text": text}
    if chat:
        prompt = {"messages": ({"role": "system", "content": SHOTS}, {"role": "user", "content": question})}
    return SampleRequest(id or question, indices=tuple(indices), **prompt, **fields)


class Written(NamedTuple):
    """What the reference says of one sample."""

    text: str
    log_probabilities: list[float]
    ended: bool


def log_softmax_after(model: Any, tokens: Sequence[int]) -> Any:
    """Of the model's own forward pass over all of the tokens: a row for each, in float64."""
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0].double().log_softmax(-1).numpy()


def make_source(settings: DrawSettings, question_id: str, index: int) -> np.random.Generator:
    """The documented stream of a sample."""
    key = hashlib.sha256(f"{settings.seed}|sample|{question_id}|{index}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(int.from_bytes(key, "little")))


def draw_naively(log_probabilities: Any, source: np.random.Generator, temperature: float) -> int:
    """A block, then a token within it, each by Gumbel-max; everything in float64."""
    blocks = -(-len(log_probabilities) // BLOCK)
    noise = -np.log(-np.log(source.random(blocks + BLOCK)))
    scaled = np.full(blocks * BLOCK, -np.inf)
    scaled[: len(log_probabilities)] = log_probabilities / temperature
    scaled = scaled.reshape(blocks, BLOCK)
    block = int(np.argmax(np.logaddexp.reduce(scaled, axis=1) + noise[:blocks]))
    return block * BLOCK + int(np.argmax(scaled[block] + noise[blocks:]))


def write_naively(loaded: Any, request: SampleRequest, index: int, settings: DrawSettings) -> Written:
    """One sample at a time, one whole forward pass a token."""
    tokenizer, source = loaded.tokenizer, make_source(settings, request.question_id, index)
    prompt = encode_messages(tokenizer, request.messages) if request.messages else encode_text(tokenizer, request.text)
    tokens: list[int] = []
    told: list[float] = []
    while len(tokens) < settings.max_new_tokens:
        after = log_softmax_after(loaded.model, prompt + tokens)[-1]
        token = draw_naively(after, source, settings.temperature) if index else int(after.argmax())
        told.append(float(after[token]))
        if token == tokenizer.eos_token_id:
            return Written(tokenizer.decode(tokens, skip_special_tokens=True).strip(), told, True)
        tokens.append(token)
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        if any(stop in text for stop in settings.stop):
            return Written(min((text.split(stop)[0] for stop in settings.stop), key=len).strip(), told, True)
    return Written(tokenizer.decode(tokens, skip_special_tokens=True).strip(), told, False)


def strip_probabilities(samples: Sequence[Sample]) -> list[Sample]:
    """What must be the same to the letter."""
    return [sample.model_copy(update={"log_probabilities": (), "option_log_likelihoods": ()}) for sample in samples]


def assert_same(samples: Sequence[Sample], others: Sequence[Sample]) -> None:
    """The same texts, choices and ends to the letter; log-probabilities to the decimals that are promised."""
    assert strip_probabilities(samples) == strip_probabilities(others)
    for one, other in zip(samples, others, strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=3e-4)
        assert one.option_log_likelihoods == pytest.approx(other.option_log_likelihoods, abs=3e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_samples_are_what_the_model_alone_would_write(tiny_model: Callable[[str], Any], architecture: str) -> None:
    """Token by token, chat and plain, greedy and drawn, beyond the sliding window of gemma3, stops within a token and not."""
    loaded = tiny_model(architecture)
    requests = [ask("Who wrote it?"), ask("What do bees make, and why?", chat=True), ask("When?", indices=(7, 2))]
    samples = iter(TorchSampler(loaded, max_rows=4).draw(requests, SETTINGS))

    for request in requests:
        for index in request.indices:
            sample, expected = next(samples), write_naively(loaded, request, index, SETTINGS)
            assert (sample.question_id, sample.index, sample.failure) == (request.question_id, index, None)
            assert (sample.text, sample.ended) == (expected.text, expected.ended)
            assert sample.log_probabilities == pytest.approx(expected.log_probabilities, abs=3e-4)
    assert next(samples, None) is None


def mixed_requests() -> list[SampleRequest]:
    """Open and multiple-choice questions, plain and chat, 3 to 8 samples each."""
    requests = [ask(f"Question {n} of {'very ' * (n % 5)}many?", chat=n % 3 == 0, indices=range(3 + n % 6)) for n in range(12)]
    return [*requests, *(ask(f"Which, {n}?", options=(" A", " the answer", " B"), indices=range(5)) for n in range(3))]


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Callable[[str], Any]) -> list[Sample]:
    """Samples of `mixed_requests`, drawn in one go."""
    return TorchSampler(tiny_model("gemma3")).draw(mixed_requests(), SETTINGS)


@pytest.mark.parametrize("max_rows", [1, 7, 64])
def test_samples_do_not_depend_on_the_number_of_rows(tiny_model: Any, undisturbed: list[Sample], max_rows: int) -> None:
    """Rows in flight are a matter of speed only."""
    samples = TorchSampler(tiny_model("gemma3"), max_rows=max_rows).draw(mixed_requests(), SETTINGS)

    assert_same(samples, undisturbed)
    assert {sample.ended for sample in samples} == {True, False}
    assert len({sample.text for sample in samples}) > len(samples) / 3


def test_samples_do_not_depend_on_company_or_order(tiny_model: Any, undisturbed: list[Sample]) -> None:
    """Alone, in the opposite order or beside others with another prefix, a question is answered the same."""
    sampler, requests = TorchSampler(tiny_model("gemma3"), max_rows=16), mixed_requests()
    expected = {(sample.question_id, sample.index): sample for sample in undisturbed}
    backwards = sampler.draw(requests[::-1], SETTINGS)
    halves = sampler.draw(requests[::2], SETTINGS) + sampler.draw(requests[4:5], SETTINGS)
    beside = sampler.draw([requests[3], SampleRequest("other", text="B", indices=(1, 2)), requests[13]], SETTINGS)

    for samples in (backwards, halves, [sample for sample in beside if sample.question_id != "other"]):
        assert_same(samples, [expected[sample.question_id, sample.index] for sample in samples])


def test_a_sample_does_not_depend_on_which_others_are_asked_for(tiny_model: Any, undisturbed: list[Sample]) -> None:
    """Sample 5 is the same with samples 0 to 7 or alone; so is a choice between options."""
    expected = {(sample.question_id, sample.index): sample for sample in undisturbed}
    requests = [replace(r, indices=(r.indices[-1], 1)) for r in mixed_requests()]
    samples = TorchSampler(tiny_model("gemma3")).draw(requests, SETTINGS)

    assert_same(samples, [expected[sample.question_id, sample.index] for sample in samples])


def test_seed_id_and_index_each_give_other_samples(tiny_model: Callable[[str], Any]) -> None:
    """No two streams are the same: questions with one text but two ids, two seeds, two indices."""
    sampler = TorchSampler(tiny_model("llama"))
    long = replace(SETTINGS, stop=(), temperature=3.0)
    first, second = (sampler.draw([ask("When?", id=id, indices=(1, 2))], long) for id in ("a", "b"))
    other = sampler.draw([ask("When?", id="a", indices=(1, 2))], replace(long, seed=4))

    assert len({sample.text for sample in [*first, *second, *other]}) == 6


class Keyboard:
    """Makes a model write what a test wants: after the prompt, the tokens of given texts, each with certainty."""

    def __init__(self, loaded: Any, typed: Sequence[int]) -> None:
        self.loaded, self.typed, self.prompt_length = loaded, list(typed), 0

    def __call__(self, model: Any, arguments: Any, keywords: Any, output: Any) -> Any:
        """Replace the logits; the place in the text tells which token comes next."""
        import torch

        positions = keywords["position_ids"][0][keywords["logits_to_keep"]]
        logits = torch.full_like(output.logits, -50.0)
        for row, position in enumerate(positions.tolist()):
            place = min(max(position + 1 - self.prompt_length, 0), len(self.typed) - 1)
            logits[0, row, self.typed[place]] = 0.0
        output.logits = logits
        return output


@pytest.fixture
def type_out(tiny_model: Callable[[str], Any]) -> Callable[..., Sample]:
    """Sample 1 of a question where the model writes the tokens given."""

    def draw(tokens: Sequence[int], **settings: Any) -> Sample:
        loaded, request = tiny_model("llama"), ask("When?", indices=(1,))
        keyboard = Keyboard(loaded, tokens)
        keyboard.prompt_length = len(encode_text(loaded.tokenizer, request.text))
        handle = loaded.model.register_forward_hook(keyboard, with_kwargs=True)
        try:
            return TorchSampler(loaded).draw([request], DrawSettings(**settings))[0]
        finally:
            handle.remove()

    return draw


def test_an_answer_stops_within_a_token(tiny_model: Any, type_out: Callable[..., Sample]) -> None:
    """What stands before the stop in the same token belongs to the answer; the token's probability is kept."""
    tokenizer = tiny_model("llama").tokenizer
    (token,) = tokenizer("decision", add_special_tokens=False)["input_ids"]
    sample = type_out([*tokenizer("a ")["input_ids"], token, 50], stop=("si",))

    assert (sample.text, sample.ended, len(sample.log_probabilities)) == ("a deci", True, 3)


def test_the_earliest_of_several_stops_counts(tiny_model: Any, type_out: Callable[..., Sample]) -> None:
    """Two stops in one token: the text ends before the first of them."""
    tokens = tiny_model("llama").tokenizer("decision", add_special_tokens=False)["input_ids"]

    assert type_out(tokens, stop=("on", "ci")).text == "de"


def test_an_answer_ends_at_a_line_break_by_default(tiny_model: Any, type_out: Callable[..., Sample]) -> None:
    """White space around the answer is no part of it."""
    sample = type_out(tiny_model("llama").tokenizer(" Ada \nBob")["input_ids"])

    assert (sample.text, sample.ended) == ("Ada", True)


def test_an_answer_ends_at_the_end_token(tiny_model: Any, type_out: Callable[..., Sample]) -> None:
    """Even where it is the last token that the limit allows; an answer of nothing else is empty."""
    tokenizer = tiny_model("llama").tokenizer
    ada = tokenizer("Ada")["input_ids"]

    for limit in (len(ada) + 1, 20):
        sample = type_out([*ada, tokenizer.eos_token_id, 50], max_new_tokens=limit)
        assert (sample.text, sample.ended, len(sample.log_probabilities)) == ("Ada", True, len(ada) + 1)
    assert type_out([tokenizer.eos_token_id, 50]).text == ""


def test_an_answer_without_an_end_is_cut_and_says_so(tiny_model: Any, type_out: Callable[..., Sample]) -> None:
    """At the length limit; a stop that arrives with the last token still counts."""
    tokens = tiny_model("llama").tokenizer("Ada Lovelace\n")["input_ids"]
    cut, whole = type_out(tokens, max_new_tokens=3), type_out(tokens, max_new_tokens=len(tokens))

    assert (cut.text, cut.ended, len(cut.log_probabilities)) == ("Ada", False, 3)
    assert (whole.text, whole.ended) == ("Ada Lovelace", True)


def test_ends_that_the_models_authors_name_count_too(tiny_model: Any, type_out: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chat models end a turn with another token than the tokenizer's."""
    loaded = tiny_model("llama")
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", [77, loaded.tokenizer.eos_token_id])
    sample = type_out([*loaded.tokenizer("Ada")["input_ids"], 77, 50])

    assert (sample.text, sample.ended) == ("Ada", True)


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_log_likelihoods_of_options_are_the_models_own(tiny_model: Any, architecture: str, chat: bool) -> None:
    """Summed over the tokens of options of one token and of several; the greedy choice is the likeliest."""
    loaded = tiny_model(architecture)
    options = ("A", "B", "the answer is uncertain", "the answer", "xyz") if chat else (" A", " the answer", " xyz", " the an")
    requests = [ask(f"Which, {n}?", chat=chat, options=options, indices=(0, 1, 2)) for n in range(3)]
    samples = TorchSampler(loaded, max_rows=2).draw(requests, SETTINGS)

    for request, sample in zip(requests, samples[::3], strict=True):
        tokenizer = loaded.tokenizer
        prompt = encode_messages(tokenizer, request.messages) if chat else encode_text(tokenizer, request.text)
        told = []
        for option in options:
            tokens = tokenizer(option)["input_ids"]
            after = log_softmax_after(loaded.model, prompt + tokens)[len(prompt) - 1 :]
            told.append([float(row[token]) for row, token in zip(after, tokens, strict=False)])
        totals = [sum(one) for one in told]
        assert sample.option_log_likelihoods == pytest.approx(totals, abs=5e-4)
        assert (sample.choice, sample.text) == (int(np.argmax(totals)), options[int(np.argmax(totals))].strip())
        assert sample.log_probabilities == pytest.approx(told[sample.choice], abs=3e-4)


def test_options_are_drawn_in_proportion_to_their_likelihoods(tiny_model: Callable[[str], Any]) -> None:
    """Shares of 3,000 drawn choices lie within four standard errors of the softmax at the temperature."""
    settings = DrawSettings(temperature=4.0)
    request = ask("Which?", options=(" A", " B", " C"), indices=range(3001))
    samples = TorchSampler(tiny_model("llama")).draw([request], settings)
    weights = np.exp(np.array(samples[0].option_log_likelihoods) / 4.0)
    expected = weights / weights.sum()
    shares = np.bincount([sample.choice for sample in samples[1:]], minlength=3) / 3000

    assert (np.abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / 3000)).all()
    assert expected.max() < 0.98  # else the test could not fail


def test_a_border_within_a_token_is_scored_with_the_whole_token(tiny_model: Callable[[str], Any]) -> None:
    """The text "the deci" + "sion" is one token to the model: that token's probability is the option's, for all options alike."""
    loaded = tiny_model("llama")
    text, options = "Say: the deci", ("sion", "sively", "x")
    sample = TorchSampler(loaded).draw([SampleRequest("q", text=text, options=options)], SETTINGS)[0]
    wholes = [loaded.tokenizer(text + option)["input_ids"] for option in options]
    prompt = loaded.tokenizer(text)["input_ids"]
    shared = next(n for n, token in enumerate(prompt) if any(whole[n] != token for whole in wholes))
    expected = [
        sum(
            float(row[token])
            for row, token in zip(log_softmax_after(loaded.model, whole)[shared - 1 :], whole[shared:], strict=False)
        )
        for whole in wholes
    ]

    assert len(wholes[0]) <= len(prompt)  # the option adds no token: counting from the prompt's end would find none of it
    assert sample.option_log_likelihoods == pytest.approx(expected, abs=5e-4)


def test_a_prompt_longer_than_the_window_fails_alone(tiny_model: Callable[[str], Any]) -> None:
    """Its samples tell why; the others are as if it had not been there."""
    sampler = TorchSampler(tiny_model("llama"))
    sound = [ask("When?"), ask("Which?", options=(" A", " B"))]
    long = [ask("x" * 2100, id="long"), ask("x" * 2100, id="long too", options=(" A", " B"), indices=(0, 3))]
    samples = sampler.draw([sound[0], *long, sound[1]], SETTINGS)

    assert_same([s for s in samples if "long" not in s.question_id], sampler.draw(sound, SETTINGS))
    assert [s.index for s in samples if s.failure] == [0, 1, 2, 3, 0, 3]
    assert all("window is 2048" in str(s.failure) for s in samples if "long" in s.question_id)


def test_a_prompt_or_an_option_without_tokens_fails_alone(tiny_model: Callable[[str], Any]) -> None:
    """There is nothing to go on from, or nothing whose likelihood could be told."""
    chat = ask("Which?", id="c", chat=True, options=("A", ""))
    samples = TorchSampler(tiny_model("llama")).draw([SampleRequest("e"), ask("When?", indices=(1,)), chat], SETTINGS)

    assert [sample.failure for sample in samples] == ["the prompt has no tokens", None, *["an option has no tokens"] * 4]
    assert TorchSampler(tiny_model("llama")).draw([SampleRequest("e")], SETTINGS)[0].failure


def test_logits_that_are_no_numbers_fail_alone(tiny_model: Callable[[str], Any]) -> None:
    """A question on which the model breaks down, open or with options, says so and spoils neither its neighbours nor the next."""
    loaded = tiny_model("llama")
    sound = [ask(f"When, {n}?") for n in range(4)]
    sampler = TorchSampler(loaded, max_rows=2)
    expected = sampler.draw(sound, SETTINGS)
    sign = next(sign for sign in "~{}^$#" if all(sign not in sample.text for sample in expected))
    embed, (bad,) = loaded.model.get_input_embeddings(), loaded.tokenizer(sign)["input_ids"]
    broken = [ask(sign, id="broken"), ask(sign, id="broken too", options=(" A", " the answer"))]

    def spoil(_: Any, inputs: Any, output: Any) -> Any:
        return output.masked_fill((inputs[0] == bad)[..., None], float("nan"))

    handle = embed.register_forward_hook(spoil)
    samples = sampler.draw([sound[0], broken[0], sound[1], broken[1], *sound[2:]], SETTINGS)
    handle.remove()

    assert_same([s for s in samples if "broken" not in s.question_id], expected)
    for sample in samples:
        if "broken" in sample.question_id:
            assert (sample.text, sample.log_probabilities, "not finite" in str(sample.failure)) == ("", (), True)


@pytest.mark.parametrize("chat", [False, True])
def test_control_tokens_that_are_spelled_out_stay_text(tiny_model: Any, chat: bool) -> None:
    """Neither a question nor an option can end a turn: both read as if a space stood within the control token."""
    sampler = TorchSampler(tiny_model("llama"))
    spelled = ask("A<|im_end|>B", id="q", chat=chat), ask("Which?", id="o", chat=chat, options=("<|im_end|>", "A"))
    broken_up = ask("A< |im_end|>B", id="q", chat=chat), ask("Which?", id="o", chat=chat, options=("< |im_end|>", "A"))

    for one, other in zip(sampler.draw(spelled, SETTINGS), sampler.draw(broken_up, SETTINGS), strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=3e-4)
        assert one.option_log_likelihoods == pytest.approx(other.option_log_likelihoods, abs=3e-4)


def test_progress_is_told_to_the_end(tiny_model: Callable[[str], Any]) -> None:
    """Requests that are done with, those that fail at once included."""
    told: list[int] = []
    TorchSampler(tiny_model("llama")).draw(
        [ask("x" * 2100), ask("When?"), ask("Who?", options=(" A",))], SETTINGS, on_done=told.append
    )

    assert told == [2, 3]


def test_nothing_asked_nothing_drawn(tiny_model: Callable[[str], Any]) -> None:
    """No requests give no samples."""
    assert TorchSampler(tiny_model("llama")).draw([], SETTINGS) == []


def test_what_identifies_the_samples(tiny_model: Callable[[str], Any]) -> None:
    """The engine's kind and whatever the caller says of the weights."""
    assert TorchSampler(tiny_model("llama"), identity={"sha256": "ab"}).identify() == {"engine": "torch", "sha256": "ab"}
