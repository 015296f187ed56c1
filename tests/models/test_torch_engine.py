"""The ragged engine computes what the model itself computes, row by row."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from nescio.errors import ModelError
from nescio.models.tiny import ARCHITECTURES
from nescio.models.torch_engine import Feed, TorchEngine, _attend

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
