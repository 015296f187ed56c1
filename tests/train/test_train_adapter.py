"""Training as users see it: it learns, it goes on after a crash, and it stops with one line when something is wrong."""

import errno
import json
import subprocess
import sys
from itertools import chain

import pytest
import torch
from safetensors.torch import load_file

from nescio.errors import StoreError, TrainingError
from nescio.models.load import LoadedModel, load_adapted_model
from nescio.models.tiny import ARCHITECTURES
from nescio.train import train_adapter
from nescio.train.frozen import FrozenLayers
from nescio.train.lora import speed_up_lora
from nescio.train.rows import encode_rows


class Interruption(Exception):  # noqa: N818 - it stands for a crash, it is no error of ours
    """Stands for a crash between two steps."""


@pytest.fixture
def tune(load_tiny, examples, tmp_path):
    """Tune a fresh tiny model: eight rows, two a step, four steps an epoch."""

    def run(name="adapter", *, architecture="llama", **options):
        defaults = {"epochs": 2, "batch_size": 2, "gradient_accumulation_steps": 1, "learning_rate": 5e-3, "save_steps": 2}
        loaded = options.pop("loaded", None) or load_tiny(architecture)
        return train_adapter(loaded, options.pop("rows", examples), tmp_path / name, **defaults | {"max_length": 2048} | options)

    return run


def weights(result):
    """The bytes of the adapter."""
    return (result.folder / "adapter_model.safetensors").read_bytes()


def stop_at(last, steps):
    """A progress callback that notes each step, and crashes after `last`."""

    def note(step, total, loss):
        steps.append(step)
        if step == last:
            raise Interruption

    return note


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loss_goes_down_on_every_architecture(tune, load_tiny, architecture):
    """After four epochs the eight rows are better known than at first; the curve has one row a step."""
    result = tune(loaded=load_tiny(architecture, opinionated=True), epochs=4, learning_rate=2e-2)

    losses = [row["loss"] for row in result.loss_curve]
    assert [row["step"] for row in result.loss_curve] == list(range(1, 17))  # 8 rows / 2 a step * 4 epochs
    assert sum(losses[-4:]) < 0.9 * sum(losses[:4]), losses
    assert set(result.loss_curve[0]) == {"step", "loss", "learning_rate"}


def test_adapter_folder_is_whole_and_nothing_else_is_left(tune, tmp_path, trainable_folders, capsys):
    """PEFT's files and the tokenizer stay, without PEFT's blank card; checkpoints go; nothing is printed."""
    capsys.readouterr()
    result = tune()

    assert "Loading weights" not in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    names = {path.name for path in result.folder.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names
    assert "README.md" not in names
    merged = load_adapted_model(str(trainable_folders["llama"]), result.folder, dtype="float32", device="cpu")
    assert merged.model.config.model_type == "llama"


def test_training_prints_nothing(tune, load_tiny, capfd):
    """Progress goes through `on_step` only; the trainer's own lines stay away."""
    loaded = load_tiny()
    capfd.readouterr()
    steps = []
    tune(loaded=loaded, on_step=lambda step, total, loss: steps.append((step, total)))

    assert capfd.readouterr() == ("", "")
    assert steps == [(step, 8) for step in range(1, 9)]


def test_counts_are_those_of_the_rows_and_the_adapter(tune, load_tiny, examples):
    """Rows, tokens and trainable weights can be recomputed by hand."""
    result = tune(epochs=1, rank=4)

    assert result.rows == 8
    assert result.tokens == sum(len(row.input_ids) for row in encode_rows(load_tiny().tokenizer, examples, max_length=2048))
    # Hidden 32, inner 48, key and value 16: rank 4 times (in + out) of q, k, v, o, gate, up, down in each of two blocks.
    per_block = (32 + 32) + (32 + 16) + (32 + 16) + (32 + 32) + (32 + 48) + (32 + 48) + (48 + 32)
    assert result.trainable_parameters == 4 * 2 * per_block


@pytest.mark.parametrize("weights", [(0, 0, 0), (10, 0, 0), (0, 0, 3), (0, 5, 0), (2, 4, 3)])
def test_loss_is_the_one_described(tune, load_tiny, examples, weights):
    """At a learning rate near 0, one step over all rows logs the mean over rows, term by term, from plain forward passes."""
    decision_weight, answer_weight, twin_weight = weights
    model, tokenizer = load_tiny(opinionated=True)
    rows = encode_rows(tokenizer, examples, max_length=2048, decision_weight=1, answer_weight=1, balance=True)
    replies, decisions, answers, at_decision, labels = [], [], [], [], []
    with torch.no_grad():
        for row in rows:
            log_p = model(torch.tensor([row.input_ids])).logits[0, :-1].log_softmax(-1)
            nll = -log_p.gather(-1, torch.tensor(row.input_ids[1:])[:, None])[:, 0]
            start, end = row.decision_span
            replies.append(nll[row.prompt_length - 1 :].mean().item())
            decisions.append(row.decision_weight * nll[start - 1 : end - 1].sum().item())
            first, last = row.answer_span
            answers += [nll[first - 1 : last - 1].mean().item()] if last else []
            at_decision.append(log_p[start - 1])
            labels.append(row.input_ids[start])
    twins = 0.0
    for a, b in ((0, 1), (2, 3), (4, 5), (6, 7)):
        right = at_decision[a][labels[a]] + at_decision[b][labels[b]]
        wrong = at_decision[a][labels[b]] + at_decision[b][labels[a]]
        twins += 2 * torch.nn.functional.softplus(wrong - right).item()
    expected = (sum(replies) + decision_weight * sum(decisions) + answer_weight * sum(answers) + twin_weight * twins) / len(rows)
    options = {"epochs": 1, "gradient_accumulation_steps": 4, "learning_rate": 1e-9, "loaded": load_tiny(opinionated=True)}
    result = tune(decision_weight=decision_weight, answer_weight=answer_weight, twin_weight=twin_weight, **options)

    assert [row["loss"] for row in result.loss_curve] == pytest.approx([expected], rel=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_frozen_layers_are_computed_once_and_change_nothing(tune, load_tiny, monkeypatch, architecture):
    """With states kept, training walks to the weights of training without them, and each row passes the lower layer once."""
    options = {"first_layer": 1, "short_passes": 2, "epochs": 1}
    plain = tune("plain", loaded=load_tiny(architecture, opinionated=True), packing="padded", **options)
    loaded, computed = load_tiny(architecture, opinionated=True), []
    compute = FrozenLayers._compute
    monkeypatch.setattr(FrozenLayers, "_compute", lambda self, row: computed.append(row) or compute(self, row))
    kept = tune("kept", loaded=loaded, **options)

    assert len(computed) == len(set(computed)) == 8
    assert [row["loss"] for row in kept.loss_curve] == pytest.approx([row["loss"] for row in plain.loss_curve], rel=1e-3)
    a, b = (load_file(result.folder / "adapter_model.safetensors") for result in (kept, plain))
    assert {name.split(".layers.")[1].split(".")[0] for name in a} == {"1"}
    for name, weight in a.items():
        torch.testing.assert_close(weight, b[name], rtol=0.02, atol=2e-3, msg=name)
    # Afterwards the model computes with all its layers again.
    tokens = torch.tensor([[1, 2, 3]])
    hidden = loaded.model(tokens, output_hidden_states=True).hidden_states
    assert not torch.equal(hidden[0], hidden[1])


def test_states_that_would_not_fit_are_computed_anew(tune, monkeypatch):
    """Too many tokens to keep: the same weights, at the price of the lower layer in every pass."""
    kept = tune("kept", first_layer=1)
    monkeypatch.setattr("nescio.train.frozen.LARGEST_STORE", 1000)
    computed, compute = [], FrozenLayers._compute
    monkeypatch.setattr(FrozenLayers, "_compute", lambda self, row: computed.append(row) or compute(self, row))
    anew = tune("anew", first_layer=1)

    assert len(computed) == 16  # eight rows in two epochs
    a, b = (load_file(result.folder / "adapter_model.safetensors") for result in (kept, anew))
    for name, weight in a.items():
        torch.testing.assert_close(weight, b[name], rtol=1e-3, atol=1e-4, msg=name)


def test_first_layer_beyond_the_last_is_one_line(tune):
    """Nothing would be trained."""
    with pytest.raises(TrainingError, match=r"train\.first_layer=2 leaves nothing to train; the model has layers 0 to 1"):
        tune(first_layer=2)


def test_loraplus_moves_the_second_matrix_further(tune):
    """After one step of AdamW, A has moved by the learning rate and B by the ratio times as much."""
    plain = load_file(tune("plain", epochs=1, gradient_accumulation_steps=4, warmup_ratio=0).folder / "adapter_model.safetensors")
    plus = load_file(
        tune("plus", epochs=1, gradient_accumulation_steps=4, warmup_ratio=0, loraplus_lr_ratio=8).folder
        / "adapter_model.safetensors"
    )

    for name, weight in plain.items():
        ratio = (plus[name].abs().max() / weight.abs().max()).item()
        assert ratio == pytest.approx(8 if "lora_B" in name else 1, rel=0.05), name


def test_training_uses_the_lean_lora_pass(tune, monkeypatch):
    """All seven linear layers of both blocks are sped up where nothing speaks against it."""
    changed = []
    monkeypatch.setattr("nescio.train.speed_up_lora", lambda model: changed.append(speed_up_lora(model)))
    tune(epochs=1)

    assert changed == [14]


def test_both_layouts_learn_the_same(tune, load_tiny):
    """Packed and padded training walk down the same curve to the same weights, up to rounding."""
    packed = tune("packed", loaded=load_tiny("gemma3", opinionated=True))
    padded = tune("padded", loaded=load_tiny("gemma3", opinionated=True), packing="padded")

    expected = [row["loss"] for row in padded.loss_curve]
    assert [row["loss"] for row in packed.loss_curve] == pytest.approx(expected, rel=1e-3)
    a, b = (load_file(result.folder / "adapter_model.safetensors") for result in (packed, padded))
    for name, weight in a.items():
        torch.testing.assert_close(weight, b[name], rtol=0.02, atol=2e-3, msg=name)


def test_seed_decides(tune):
    """The same seed gives the same bytes in weights and configuration, another seed other weights."""
    first, again, other = tune("first"), tune("again"), tune("other", seed=1)

    assert weights(first) == weights(again)
    assert (first.folder / "adapter_config.json").read_bytes() == (again.folder / "adapter_config.json").read_bytes()
    assert weights(first) != weights(other)


def test_modules_in_the_adapters_config_are_sorted(tune):
    """PEFT keeps the adapted modules as a set, whose order changes from process to process."""
    modules = json.loads((tune(epochs=1).folder / "adapter_config.json").read_text())["target_modules"]

    assert modules == sorted(modules)
    assert modules


@pytest.mark.parametrize("options", [{}, {"dropout": 0.1}, {"first_layer": 1, "loraplus_lr_ratio": 8}])
def test_interrupted_training_ends_with_the_same_bytes(tune, tmp_path, load_tiny, options):
    """Crashed in step 5 and called again, training goes on after step 4 to bit-identical weights and the whole curve."""

    def tune_half(name, **more):
        model, tokenizer = load_tiny(opinionated=True)
        return tune(name, loaded=LoadedModel(model.to(torch.bfloat16), tokenizer), **options, **more)

    straight = tune_half("straight")
    steps = []
    with pytest.raises(Interruption):
        tune_half("broken", on_step=stop_at(5, steps))
    assert not (tmp_path / "broken").exists()
    resumed = tune_half("broken", on_step=stop_at(None, steps))

    assert steps == [1, 2, 3, 4, 5, 5, 6, 7, 8]
    assert weights(resumed) == weights(straight)
    assert resumed.loss_curve == straight.loss_curve
    assert not (tmp_path / "broken-checkpoints").exists()


def test_frozen_states_do_not_depend_on_the_rows_beside_them(load_tiny, examples):
    """To the last bit in bfloat16: a resumed run computes them in other company than the undisturbed one did."""
    model, tokenizer = load_tiny(opinionated=True)
    rows = encode_rows(tokenizer, examples, max_length=2048)
    together = FrozenLayers(model.to(torch.bfloat16), rows, first_layer=1).states(range(len(rows)))
    alone = [FrozenLayers(model, rows, first_layer=1).states([number])[0] for number in range(len(rows))]

    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))


@pytest.mark.parametrize("damage", ["missing", "half"])
def test_torn_checkpoint_is_skipped(tune, tmp_path, damage):
    """A newest checkpoint without a whole trainer_state.json is dropped for the one before it; the bytes stay the same."""
    straight = tune("straight")
    with pytest.raises(Interruption):
        tune("broken", on_step=stop_at(5, []))
    state = tmp_path / "broken-checkpoints" / "checkpoint-4" / "trainer_state.json"
    if damage == "half":
        state.write_text(state.read_text()[:100])
    else:
        state.unlink()
    steps = []
    resumed = tune("broken", on_step=stop_at(None, steps))

    assert steps == [3, 4, 5, 6, 7, 8]
    assert weights(resumed) == weights(straight)


def test_crash_behind_the_last_step_costs_no_step(tune, monkeypatch):
    """Killed while the adapter is being saved, training has nothing left to do but to save it."""
    straight = tune("straight")

    def crash(*arguments):
        raise Interruption

    with monkeypatch.context() as broken, pytest.raises(Interruption):
        broken.setattr("nescio.train._save_adapter", crash)
        tune("broken")
    steps = []
    resumed = tune("broken", on_step=stop_at(None, steps))

    assert steps == []
    assert weights(resumed) == weights(straight)
    assert resumed.loss_curve == straight.loss_curve


def test_loss_that_is_not_finite_stops_with_its_step(tune, load_tiny):
    """Weights that break in step 2 stop the run in step 3, with what to do."""
    loaded = load_tiny()

    def poison(step, total, loss):
        if step == 2:
            loaded.model.get_input_embeddings().weight.data.fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"the loss became nan at step 3; lower train\.learning_rate or set model\.dtype"):
        tune(loaded=loaded, on_step=poison)


def test_row_too_long_stops_before_the_first_step(tune):
    """No row is cut; the message names the example."""
    steps = []
    with pytest.raises(TrainingError, match=r"example 'apple-0' has .* more than train.max_length=300"):
        tune(max_length=300, on_step=stop_at(None, steps))

    assert steps == []


def test_no_rows_is_an_error(tune):
    """There is nothing to learn from."""
    with pytest.raises(TrainingError, match="there are no training rows"):
        tune(rows=[])


def test_tensorboard_files_stay(tune, tmp_path):
    """The event files lie beside the adapter, not among the checkpoints, which go."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    tune(epochs=1, report_to=["tensorboard"])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "adapter-logs"]
    assert list((tmp_path / "adapter-logs").glob("events.out.tfevents.*"))


def test_unknown_tracker_is_one_line(tune):
    """A tracker that the trainer does not know is the user's mistake, not a traceback."""
    with pytest.raises(
        TrainingError, match=r"train\.report_to=\['clipboard'\] cannot be used: clipboard is not supported"
    ) as caught:
        tune(report_to=["clipboard"])

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    ],
)
def test_full_disk_while_saving_a_checkpoint_is_one_line(tune, monkeypatch, error):
    """Both what the system says and what torch makes of it become a StoreError with a remedy."""

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(StoreError, match=r"no disk space left while saving checkpoints in .*; free some space and run"):
        tune()


TWO_PROCESSES = """
import json, os, sys, warnings
from pathlib import Path
import nescio.train
from nescio.models.load import load_model
from nescio.records import Example
from nescio.train.rows import encode_rows

folder, rank = Path(sys.argv[1]), os.environ["RANK"]
loaded = load_model(str(folder / "model"), dtype="float32", device="cpu")
examples = [Example.model_validate_json(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
rows = encode_rows(loaded.tokenizer, examples, max_length=2048)
names = {row.input_ids: example.id for row, example in zip(rows, examples, strict=True)}
seen, collate = [], nescio.train.collate_shared_prefix

def record(batch, **options):
    seen.append([names[row.input_ids] for row in batch])
    return collate(batch, **options)

nescio.train.collate_shared_prefix = record
result = nescio.train.train_adapter(
    loaded, examples, folder / "adapter", epochs=2, batch_size=2, gradient_accumulation_steps=1, learning_rate=5e-3,
    max_length=2048, save_steps=2,
)
(folder / f"rank{rank}.json").write_text(json.dumps({"seen": seen, "curve": result.loss_curve}))
"""


@pytest.mark.slow
def test_two_processes_share_the_rows(tune, tmp_path, trainable_folders, examples):
    """Under torchrun each process sees half of the rows, all rows come once an epoch, and there is one adapter.

    Two processes of two rows a step learn what one process of four rows a step learns, as both draw the same order.
    """
    (tmp_path / "model").symlink_to(trainable_folders["llama"])
    (tmp_path / "rows.jsonl").write_text("".join(example.model_dump_json() + "\n" for example in examples))
    (tmp_path / "script.py").write_text(TWO_PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(tmp_path / "script.py"), str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))

    ids = sorted(example.id for example in examples)
    for epoch in (0, 1):  # two batches of two rows a process and epoch
        halves = [list(chain(*process["seen"][2 * epoch : 2 * epoch + 2])) for process in (first, second)]
        assert [len(half) for half in halves] == [4, 4]
        assert sorted(halves[0] + halves[1]) == ids
    assert len(first["seen"]) == len(second["seen"]) == 4
    alone = tune("alone", batch_size=4)
    assert [row["loss"] for row in first["curve"]] == pytest.approx([row["loss"] for row in alone.loss_curve], rel=1e-3)
    a, b = (load_file(folder / "adapter_model.safetensors") for folder in (tmp_path / "adapter", alone.folder))
    for name, weight in a.items():
        torch.testing.assert_close(weight, b[name], rtol=0.02, atol=2e-3, msg=name)
    assert not (tmp_path / "adapter-checkpoints").exists()


def test_short_passes_add_short_rows_and_twins_share_a_batch(tune, examples, monkeypatch):
    """One epoch with two short passes reads every row once whole and twice cut off, each batch a pair of twins."""
    import nescio.train

    batches, collate = [], nescio.train.collate_shared_prefix

    def record(batch, **options):
        batches.append(batch)
        return collate(batch, **options)

    monkeypatch.setattr(nescio.train, "collate_shared_prefix", record)
    pairs = [example.model_copy(update={"group": f"g{number // 2}"}) for number, example in enumerate(examples)]
    tune(rows=pairs, epochs=1, batch_size=2, short_passes=2)

    lengths = [[not row.whole for row in batch] for batch in batches]
    assert sorted(lengths) == [[False, False]] * 4 + [[True, True]] * 8
