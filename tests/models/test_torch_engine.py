"""The ragged engine computes what the model itself computes, row by row."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from nescio.errors import ModelError
from nescio.models.tiny import ARCHITECTURES
from nescio.models.torch_engine import Drawn, Feed, TorchEngine, _attend, draw_tokens

VOCABULARY = 290
TOLERANCE = 1e-4


def random_tokens(number: int, *, seed: int) -> list[int]:
    """Tokens of a row, without control tokens."""
    return random.Random(seed).choices(range(3, VOCABULARY), k=number)


def plain_logits(model: Any, tokens: Sequence[int]) -> Any:
    """Logits after the last token, by the model's own forward pass."""
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0, -1]


class Script:
    """A row that reads given chunks, and what it saw after each."""

    def __init__(self, chunks: Sequence[tuple[Sequence[int], int | None]]) -> None:
        self.chunks = chunks
        self.seen: list[Any] = []

    def program(self) -> Any:
        """Feed the chunks one by one."""
        for tokens, keep in self.chunks:
            self.seen.append((yield Feed(tokens, keep)))

    def largest_error(self, model: Any, prefix: Sequence[int], read: Sequence[int] = ()) -> float:
        """Largest difference to the model's own logits, over all chunks and tokens; `read` went before the first chunk."""
        errors = []
        for (tokens, keep), logits in zip(self.chunks, self.seen, strict=True):
            read = [*(read if keep is None else read[:keep]), *tokens]
            errors.append((plain_logits(model, [*prefix, *read]) - logits).abs().max().item())
        return max(errors)


def ragged_rows(number: int, *, seed: int) -> list[Script]:
    """Rows of one to five chunks of 1 to 40 tokens, some of which go back to an earlier length."""
    draw = random.Random(seed)
    rows = []
    for row in range(number):
        chunks: list[tuple[list[int], int | None]] = []
        length = 0
        for chunk in range(draw.randint(1, 5)):
            keep = draw.randint(1, length) if length and draw.random() < 0.4 else None
            tokens = random_tokens(draw.choice([1, 1, 2, 7, 40]), seed=1000 * seed + 10 * row + chunk)
            length = (length if keep is None else keep) + len(tokens)
            chunks.append((tokens, keep))
        rows.append(Script(chunks))
    return rows


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("prefix_length", [0, 1, 30, 90])
def test_logits_equal_the_plain_forward_pass(tiny_model: Callable[[str], Any], architecture: str, prefix_length: int) -> None:
    """Ragged chunks, rewinds and rows coming and going change nothing, with a prefix or without, beyond gemma3's window of 64."""
    model = tiny_model(architecture).model
    prefix = random_tokens(prefix_length, seed=1)
    rows = ragged_rows(11, seed=prefix_length)
    ended = list(TorchEngine(model, prefix=prefix, max_rows=4).run(row.program() for row in rows))

    assert sorted(ended) == list(range(11))
    assert max(row.largest_error(model, prefix) for row in rows) < TOLERANCE


def test_the_tolerance_is_far_below_what_a_wrong_window_or_position_would_change(tiny_model: Callable[[str], Any]) -> None:
    """The reference itself is sensitive: one token more or less at the far end of the context shows in the logits."""
    for architecture in ARCHITECTURES:
        model = tiny_model(architecture).model
        tokens = random_tokens(150, seed=5)

        assert (plain_logits(model, tokens) - plain_logits(model, tokens[1:])).abs().max() > 50 * TOLERANCE


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_token_by_token_reading_crosses_the_sliding_window(tiny_model: Callable[[str], Any], architecture: str) -> None:
    """A row that grows by single tokens from 60 to 75 sees what a single pass sees, although old slots leave the window."""
    model = tiny_model(architecture).model
    tokens = random_tokens(75, seed=3)
    row = Script([(tokens[:60], None), *(([token], None) for token in tokens[60:])])
    list(TorchEngine(model, max_rows=1).run([row.program()]))

    assert row.largest_error(model, []) < TOLERANCE


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_fork_goes_on_from_a_copy(tiny_model: Callable[[str], Any], architecture: str) -> None:
    """Rows that fork, cut back or not, and their forks see what they would see alone; forks take no other row's place."""
    model = tiny_model(architecture).model
    prefix, common = random_tokens(20, seed=1), [random_tokens(30 + n, seed=n) for n in range(5)]
    trunks, forks = [], []
    for n, read in enumerate(common):
        tail, side = [random_tokens(k, seed=50 + n) for k in (1, 9)], [random_tokens(k, seed=90 + n) for k in (7, 1, 1)]
        keep = 30 if n % 2 else None
        trunks.append(Script([(read, None), (tail[0], None), (tail[1], None)]))
        forks.append(Script([(side[0], keep), (side[1], None), (side[2], None)]))

    def program(n: int) -> Any:
        (read, _), *rest = trunks[n].chunks
        trunks[n].seen.append((yield Feed(read)))
        for number, (tokens, keep) in enumerate(rest):
            trunks[n].seen.append((yield Feed(tokens, keep, () if number else (forks[n].program(),))))

    ended = list(TorchEngine(model, prefix=prefix, max_rows=3).run(program(n) for n in range(5)))

    assert sorted(ended) == list(range(5))
    for n, read in enumerate(common):
        assert trunks[n].largest_error(model, prefix) < TOLERANCE
        assert forks[n].largest_error(model, prefix, read) < TOLERANCE


def test_a_row_has_ended_when_its_forks_have(tiny_model: Callable[[str], Any]) -> None:
    """A row is announced once, after its longer fork."""
    fork = Script([([5], None)] * 4)

    def program() -> Any:
        yield Feed([5, 6])
        yield Feed([7], None, (fork.program(),))

    run = TorchEngine(tiny_model("llama").model, max_rows=1).run([program()])

    assert [(index, len(fork.seen)) for index in run] == [(0, 4)]


def test_rows_do_not_see_what_earlier_rows_left_in_their_place(tiny_model: Callable[[str], Any]) -> None:
    """One place serves a long row, then short ones; a second run on the same engine starts afresh as well."""
    model = tiny_model("llama").model
    prefix = random_tokens(10, seed=1)
    engine = TorchEngine(model, prefix=prefix, max_rows=1)
    for _ in range(2):
        rows = [Script([(random_tokens(n, seed=n), None)]) for n in (120, 3, 50, 1)]

        assert list(engine.run(row.program() for row in rows)) == [0, 1, 2, 3]
        assert max(row.largest_error(model, prefix) for row in rows) < TOLERANCE


def test_a_row_can_be_cut_back_to_nothing(tiny_model: Callable[[str], Any]) -> None:
    """`keep=0` leaves the prefix only."""
    model = tiny_model("qwen3").model
    row = Script([([5, 6, 7], None), ([8, 9], 0)])
    list(TorchEngine(model, prefix=[10, 11], max_rows=2).run([row.program()]))

    assert row.largest_error(model, [10, 11]) < TOLERANCE


def test_programs_that_ask_for_nothing_end_at_once(tiny_model: Callable[[str], Any]) -> None:
    """Rows without a single token neither stop the run nor keep others from their turn, however many they are."""

    def idle() -> Any:
        return
        yield

    script = Script([([5, 6], None)])
    engine = TorchEngine(tiny_model("llama").model, max_rows=2)

    assert sorted(engine.run([idle(), idle(), idle(), script.program(), idle()])) == [0, 1, 2, 3, 4]
    assert len(script.seen) == 1


def test_no_programs_give_no_results(tiny_model: Callable[[str], Any]) -> None:
    """An empty run ends."""
    assert list(TorchEngine(tiny_model("llama").model).run([])) == []


def test_an_empty_feed_is_a_bug_of_the_row(tiny_model: Callable[[str], Any]) -> None:
    """A row that feeds no token has no logits of its own and must not get its neighbour's."""
    engine = TorchEngine(tiny_model("llama").model)

    with pytest.raises(ValueError, match="at least one token"):
        list(engine.run([Script([([5], None)]).program(), Script([([], None)]).program()]))


def test_the_models_own_attention_is_back_whenever_the_caller_runs(tiny_model: Callable[[str], Any]) -> None:
    """After construction, between results and at the end the model is as it was, and torch's inference mode is off."""
    import torch

    model = tiny_model("gemma3").model
    before = model.config._attn_implementation
    reference = plain_logits(model, [5, 6, 7])
    engine = TorchEngine(model, prefix=[3, 4], max_rows=2)

    assert model.config._attn_implementation == before != "nescio_ragged"
    for _ in engine.run(row.program() for row in ragged_rows(5, seed=1)):
        assert model.config._attn_implementation == before
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
        assert torch.equal(plain_logits(model, [5, 6, 7]), reference)


def test_the_models_own_attention_is_back_after_an_exception(tiny_model: Callable[[str], Any]) -> None:
    """A row that fails in the middle takes the run down, not the model; the engine can be used again."""
    model = tiny_model("llama").model
    before = model.config._attn_implementation

    def failing() -> Any:
        yield Feed([5, 6])
        raise ZeroDivisionError

    engine = TorchEngine(model, prefix=[3, 4], max_rows=2)
    with pytest.raises(ZeroDivisionError):
        list(engine.run([Script([([5], None), ([6], None)]).program(), failing()]))
    row = Script([([7, 8], None)])
    list(engine.run([row.program()]))

    assert model.config._attn_implementation == before
    assert row.largest_error(model, [3, 4]) < TOLERANCE


def test_two_engines_on_one_model_do_not_disturb_each_other(tiny_model: Callable[[str], Any]) -> None:
    """Runs can be taken in turns."""
    model = tiny_model("llama").model
    rows = [[Script([(random_tokens(n + 5, seed=n + side), None)]) for n in range(4)] for side in (0, 50)]
    prefixes = [[3, 4], random_tokens(20, seed=9)]
    runs = [
        TorchEngine(model, prefix=prefix, max_rows=1).run(row.program() for row in side)
        for prefix, side in zip(prefixes, rows, strict=True)
    ]
    for _ in zip(*runs, strict=True):
        pass

    for prefix, side in zip(prefixes, rows, strict=True):
        assert max(row.largest_error(model, prefix) for row in side) < TOLERANCE


def test_training_after_a_run_still_has_gradients(tiny_model: Callable[[str], Any]) -> None:
    """Nothing of the run's inference mode sticks to the model."""
    import torch

    model = tiny_model("llama").model
    list(TorchEngine(model, prefix=[3, 4]).run([Script([([5, 6], None)]).program()]))
    loss = model(input_ids=torch.tensor([[5, 6, 7]]), labels=torch.tensor([[5, 6, 7]])).loss
    (gradient,) = torch.autograd.grad(loss, [model.model.layers[0].self_attn.q_proj.weight])

    assert gradient.abs().max() > 0


@pytest.mark.parametrize("warns_only", [False, True])
def test_models_with_fixed_attention_are_refused(warns_only: bool, monkeypatch: pytest.MonkeyPatch, tiny_folder: Any) -> None:
    """A model that refuses another attention, or keeps its own with a mere warning, would mix rows up without a word."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_folder("llama"))

    def keep_own(implementation: str) -> None:
        if not warns_only:
            raise ValueError(implementation)

    monkeypatch.setattr(model, "set_attn_implementation", keep_own)
    with pytest.raises(ModelError, match="LlamaForCausalLM does not let its attention be replaced"):
        TorchEngine(model, prefix=[3])


@pytest.mark.parametrize("option", ["softcap", "s_aux"])
def test_attention_with_unknown_terms_is_refused(option: str) -> None:
    """Soft-capped scores and attention sinks are not computed here, and must not be left out silently."""
    with pytest.raises(ModelError, match=option):
        _attend(SimpleNamespace(layer_idx=0), None, None, None, None, scaling=1.0, **{option: 30.0})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_targets_draws_and_logits_come_from_one_pass(tiny_model: Callable[[str], Any], architecture: str) -> None:
    """Rows that ask for the probability of given tokens, for draws or for logits share steps, and each gets its own."""
    import torch

    model = tiny_model(architecture).model
    prefix = random_tokens(20, seed=1)
    texts = [random_tokens(3 + 17 * (n % 4), seed=10 + n) for n in range(9)]
    told: dict[int, Any] = {}

    def program(n: int) -> Any:
        read = texts[n]
        yield Feed(read[:2])
        if n % 3 == 0:
            told[n] = yield Feed(read[1:-1], 1, targets=read[2:])
        elif n % 3 == 1:
            told[n] = yield Feed(read[2:], draws=(None, np.random.default_rng(n), None))
        else:
            told[n] = yield Feed(read[2:])

    list(TorchEngine(model, prefix=prefix, max_rows=5).run(program(n) for n in range(9)))

    for n, read in enumerate(texts):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prefix + read]), use_cache=False).logits[0, len(prefix) :]
        expected = logits.log_softmax(-1)
        if n % 3 == 0:
            assert told[n].tolist() == pytest.approx([float(expected[k, read[k + 1]]) for k in range(1, len(read) - 1)], abs=1e-4)
        elif n % 3 == 1:
            likeliest = int(expected[-1].argmax())
            assert [told[n][0].token, told[n][2].token] == [likeliest, likeliest]
            assert [one.log_probability for one in told[n]] == pytest.approx(
                [float(expected[-1, one.token]) for one in told[n]], abs=1e-4
            )
        else:
            assert (told[n] - logits[-1]).abs().max() < TOLERANCE


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layer", [0, 1, -1])
def test_features_are_the_models_own_hidden_states(tiny_model: Callable[[str], Any], architecture: str, layer: int) -> None:
    """Behind a prefix, of a row's last token, beside rows that ask for something else."""
    import torch

    model = tiny_model(architecture).model
    prefix, told = random_tokens(9, seed=1), {}
    rows = [random_tokens(length, seed=length) for length in (3, 8, 1, 5)]

    def read(n: int) -> Any:
        told[n] = yield Feed(rows[n], features=n != 1)

    list(TorchEngine(model, prefix=prefix, max_rows=4, feature_layer=layer).run(read(n) for n in range(len(rows))))

    for n, row in enumerate(rows):
        with torch.no_grad():
            out = model(input_ids=torch.tensor([[*prefix, *row]]), use_cache=False, output_hidden_states=True)
        expected = out.logits[0, -1] if n == 1 else out.hidden_states[layer][0, -1]
        assert (told[n] - expected).abs().max().item() < TOLERANCE


@pytest.mark.parametrize(
    "feed",
    [
        Feed([5, 6], targets=[7]),
        Feed([5], targets=[6, 7]),
        Feed([5], draws=[None], targets=[6]),
        Feed([5], draws=[None], features=True),
    ],
)
def test_targets_that_do_not_fit_their_tokens_are_a_bug_of_the_row(tiny_model: Callable[[str], Any], feed: Feed) -> None:
    """A target too few would give every later row its neighbour's numbers."""

    def program() -> Any:
        yield feed

    with pytest.raises(ValueError, match=r"one for each of its tokens|asks for features, or for draws"):
        list(TorchEngine(tiny_model("llama").model).run([program()]))


def test_forks_fork_in_their_first_feed_too(tiny_model: Callable[[str], Any]) -> None:
    """A row may part into any number of branches at once, and at its very beginning; all go on from where it was."""
    model = tiny_model("llama").model
    prefix, read = random_tokens(4, seed=1), random_tokens(9, seed=2)
    seen: dict[str, Any] = {}

    def branch(name: str, token: int, forks: Sequence[Any] = ()) -> Any:
        seen[name] = yield Feed([token], forks=forks)

    def program() -> Any:
        yield Feed(read, forks=[branch("first", 30, [branch("second", 40)])])
        seen["trunk"] = yield Feed([50], forks=[branch("third", 60, [branch("fourth", 70)])])

    ended = list(TorchEngine(model, prefix=prefix, max_rows=1).run([program()]))
    tokens = {"first": [30], "second": [40], "trunk": [*read, 50], "third": [*read, 60], "fourth": [*read, 70]}

    assert ended == [0]
    for name, own in tokens.items():
        assert (seen[name] - plain_logits(model, [*prefix, *own])).abs().max() < TOLERANCE


@pytest.mark.parametrize("asks", ["logits", "draws", "targets"])
def test_a_row_that_is_no_number_spoils_no_other(tiny_folder: Callable[[str], Any], asks: str) -> None:
    """Neither the rows beside it, nor those that move or start into its place, nor the forks of others see its NaN."""
    from nescio.models.load import load_model

    model = load_model(str(tiny_folder("llama")), dtype="float32", device="cpu").model
    embed, bad = model.get_input_embeddings(), 200

    def spoil(_: Any, inputs: Any, output: Any) -> Any:
        return output.masked_fill((inputs[0] == bad)[..., None], float("nan"))

    seen: dict[int, Any] = {}

    def spoiled(n: int) -> Any:
        tokens = [bad, *random_tokens(30, seed=n)]
        last = {"logits": Feed([9, 8]), "draws": Feed([9, 8], draws=[None]), "targets": Feed([9, 8], targets=[7, 6])}[asks]
        if n % 2:
            yield Feed(tokens)
            yield last
        else:
            yield last._replace(tokens=[*tokens, 9, 8], targets=[7] * 33 if asks == "targets" else ())

    def sound(n: int) -> Any:
        for token in (10 + n, 20 + n, 30 + n):
            seen[n] = yield Feed([token])

    handle = embed.register_forward_hook(spoil)
    engine = TorchEngine(model, prefix=[3, 4], max_rows=4)
    list(engine.run(spoiled(n) if n % 3 == 1 else sound(n) for n in range(24)))
    handle.remove()

    for n, logits in seen.items():
        assert (logits - plain_logits(model, [3, 4, 10 + n, 20 + n, 30 + n])).abs().max() < TOLERANCE


def draw_often(logits: Any, times: int, *, temperature: float = 1.0, seed: int = 0) -> list[Drawn]:
    """Draw `times` tokens from one row of logits, in portions, from one source."""
    source = np.random.default_rng(seed)
    feed = Feed([0], draws=[source] * 2000, temperature=temperature)
    return [one for _ in range(times // 2000) for one in draw_tokens(logits[None], [feed])[0]]


def chi_square_of(drawn: Sequence[Drawn], probabilities: Any) -> float:
    """How likely counts so far off are (p) if tokens are drawn with these probabilities; rare tokens are counted as one."""
    counts = np.bincount([one.token for one in drawn], minlength=len(probabilities)).astype(float)
    expected = probabilities * len(drawn)
    rare = expected < 5
    seen = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    kept = wanted > 0
    return float(chisquare(seen[kept], wanted[kept] * (seen[kept].sum() / wanted[kept].sum())).pvalue)


@pytest.mark.parametrize("vocabulary", [40, 256, 257, 700])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_from_the_softmax(vocabulary: int, temperature: float) -> None:
    """Counts of 20,000 draws agree with the softmax at the temperature, and not with the one at another temperature."""
    import torch

    logits = torch.randn(vocabulary, generator=torch.Generator().manual_seed(vocabulary)) * 2 + 30
    drawn = draw_often(logits, 20_000, temperature=temperature, seed=vocabulary)

    assert chi_square_of(drawn, (logits.double() / temperature).softmax(-1).numpy()) > 1e-3
    assert chi_square_of(drawn, (logits.double() / (temperature * 1.3)).softmax(-1).numpy()) < 1e-9


def test_log_probabilities_are_those_of_temperature_one() -> None:
    """Whatever the temperature of the draw, and however large the logits."""
    import torch

    logits = torch.randn(300, generator=torch.Generator().manual_seed(1)) * 3 + 500
    expected = logits.double().log_softmax(-1)
    for temperature in (0.3, 1.0, 3.0):
        for one in draw_often(logits, 2000, temperature=temperature):
            assert one.log_probability == pytest.approx(float(expected[one.token]), abs=1e-4)


def test_greedy_draws_take_the_likeliest_whatever_stands_beside_them() -> None:
    """Draws without a source and draws with one can share a row and a step, each row at its own temperature."""
    import torch

    logits = torch.randn(3, 300, generator=torch.Generator().manual_seed(2))
    sources = [np.random.default_rng(n) for n in (5, 6)]
    mixed = [Feed([0], draws=[None, sources[0]]), Feed([0], draws=[None]), Feed([0], draws=[sources[1], None], temperature=3.0)]
    drawn = draw_tokens(logits, mixed)
    alone = [
        draw_tokens(logits[[0]], [Feed([0], draws=[np.random.default_rng(5)])])[0][0],
        draw_tokens(logits[[2]], [Feed([0], draws=[np.random.default_rng(6)], temperature=3.0)])[0][0],
    ]

    assert [drawn[0][0].token, drawn[1][0].token, drawn[2][1].token] == logits.argmax(-1).tolist()
    assert [drawn[0][1].token, drawn[2][0].token] == [one.token for one in alone]


def test_a_token_of_probability_zero_is_never_drawn() -> None:
    """Nor one that pads the vocabulary to whole blocks, even where one token alone is left in its block."""
    import torch

    logits = torch.full((513,), float("-inf"))
    logits[[3, 255, 512]] = torch.tensor([0.0, 1.0, 2.0])

    assert {one.token for one in draw_often(logits, 6000)} == {3, 255, 512}


def test_logits_that_are_no_numbers_give_no_probability() -> None:
    """One NaN makes every draw of its row NaN, with a token that exists, and no other row's."""
    import torch

    logits = torch.randn(3, 300, generator=torch.Generator().manual_seed(3))
    logits[0, 299], logits[1] = float("nan"), float("inf")
    drawn = draw_tokens(logits, [Feed([0], draws=[None, np.random.default_rng(row)]) for row in range(3)])

    for row in drawn[:2]:
        assert all(math.isnan(one.log_probability) and 0 <= one.token < 300 for one in row)
    assert all(math.isfinite(one.log_probability) for one in drawn[2])
