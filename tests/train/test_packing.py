"""Rows in one sequence must teach exactly what separate rows teach."""

import dataclasses

import pytest
import torch
from peft import LoraConfig, get_peft_model

from nescio.models.prompt import render_completion
from nescio.models.tiny import ARCHITECTURES
from nescio.records import Label
from nescio.train.packing import collate_padded, collate_shared_prefix, share_prompts
from nescio.train.rows import IGNORED, TrainingRow, encode_rows


class PlainConfig:
    """A model without a sliding window."""


def token_losses(model, batch):
    """Negative log-likelihood of every labelled token, from all the logits: shape (labelled tokens,)."""
    inputs = {key: value for key, value in batch.items() if key not in ("labels", "loss_weights", "twins", "rows")}
    logits = model(**inputs, use_cache=False).logits[:, :-1].flatten(0, 1)
    labels = batch["labels"][:, 1:].flatten()
    losses = torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    return losses[labels != IGNORED]


def add_adapter(model):
    """LoRA on every linear layer, both matrices away from zero, so that all of them have gradients."""
    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return adapted


def gradients(model, batch):
    """The summed loss and its gradient at every adapter weight."""
    model.zero_grad()
    loss = token_losses(model, batch).sum()
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}


def two_rows():
    """Twins: prompts 1 2 3 and 1 2 7 8, which share 1 2; completions 4 5, with decision 4 of weight 10, and 9."""
    return [
        TrainingRow(input_ids=(1, 2, 3, 4, 5), prompt_length=3, decision_span=(3, 4), decision_weight=10, group="a"),
        TrainingRow(input_ids=(1, 2, 7, 8, 9), prompt_length=4, decision_span=(4, 5), group="a"),
    ]


def completion_sizes(rows):
    """Tokens of each row's completion."""
    return [len(row.input_ids) - row.prompt_length for row in rows]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shared_prefix_has_the_loss_and_gradients_of_separate_rows(load_tiny, examples, architecture):
    """Packing changes neither the loss nor any LoRA gradient; gemma3's rows are longer than its window of 64 tokens."""
    model, tokenizer = load_tiny(architecture, opinionated=True)
    rows = encode_rows(tokenizer, examples[:4], max_length=2048)
    assert all(size > 64 for size in completion_sizes(rows))
    adapted = add_adapter(model)
    padded_loss, padded = gradients(adapted, collate_padded(rows, pad_token_id=tokenizer.pad_token_id))
    packed_loss, packed = gradients(adapted, collate_shared_prefix(rows, config=model.config, dtype=model.dtype))

    assert len(packed) == 2 * 2 * 7  # A and B of seven linear layers in each of two blocks
    assert packed_loss == pytest.approx(padded_loss, rel=1e-5)
    for name, gradient in packed.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradient, padded[name], rtol=1e-3, atol=1e-4 * padded[name].abs().max().item(), msg=name)


def label(number, *, prompt="honesty"):
    """A row in free text, behind a system turn that structured rows do not have."""
    return Label(id=f"l{number}", group=f"l{number}", question=f"Which is {number}?", prompt=prompt, target=f"It is {number}.")


def with_label_losses(model, batch):
    """Loss of each labelled token in the order of their values: two layouts have the rows in another order."""
    return sorted(token_losses(model, batch).tolist())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rows_of_two_kinds_have_the_loss_of_separate_rows(load_tiny, examples, architecture):
    """Each kind of prompt is computed once, and neither sees the other; whichever stands first in the batch."""
    model, tokenizer = load_tiny(architecture, opinionated=True)
    mixed = [examples[0], label(1), examples[1], label(2), label(3)]
    rows = encode_rows(tokenizer, mixed, max_length=2048)
    padded = collate_padded(rows, pad_token_id=tokenizer.pad_token_id)
    packed = collate_shared_prefix(rows, config=model.config, dtype=model.dtype)

    assert sorted(share_prompts(rows)) == [[0, 2], [1, 3, 4]]
    assert with_label_losses(model, packed) == pytest.approx(with_label_losses(model, padded), abs=2e-4)
    assert packed["loss_weights"].sum().item() == pytest.approx(padded["loss_weights"].sum().item())
    assert packed["input_ids"].numel() < sum(len(row.input_ids) for row in rows)


def row(*ids):
    """Completion of one token."""
    return TrainingRow(input_ids=ids, prompt_length=len(ids) - 1, decision_span=(0, 0))


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([row(1, 2, 3, 9), row(1, 2, 4, 9)], [[0, 1]]),
        # One prefix for all is a token long; two of their own save two tokens each and cost one.
        ([row(1, 2, 3, 4, 9), row(1, 5, 6, 7, 9), row(1, 2, 3, 8, 9), row(1, 5, 6, 8, 9)], [[0, 2], [1, 3]]),
        ([row(1, 2, 3, 9), row(4, 5, 6, 9)], [[0, 1]]),  # they share nothing: no layout is shorter
        ([row(1, 2, 9)], [[0]]),
    ],
)
def test_rows_are_parted_where_that_saves_tokens(rows, parts):
    """By hand."""
    assert share_prompts(rows) == parts


def test_twins_of_another_kind_of_prompt_are_found_where_they_lie():
    """Their decisions are told by row, whatever order the rows are laid out in."""
    free = [row(7, 7, 7, 7, 5), row(7, 7, 7, 8, 5)]
    twins = [
        TrainingRow(input_ids=(1, 2, 2, 2, 3, 4), prompt_length=5, decision_span=(5, 6), group="a"),
        TrainingRow(input_ids=(1, 2, 2, 2, 6, 9), prompt_length=5, decision_span=(5, 6), group="a"),
    ]
    batch = collate_shared_prefix([free[0], *twins, free[1]], config=PlainConfig(), dtype=torch.float32)
    (first, second), ids = batch["twins"][0].tolist(), batch["input_ids"][0].tolist()

    assert [ids[column] for _, column in (first, second)] == [4, 9]
    assert share_prompts([free[0], *twins, free[1]]) == [[0, 3], [1, 2]]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_has_the_loss_of_rows_on_their_own(load_tiny, examples, architecture):
    """Pad tokens are seen by nobody: each row's losses are those of a batch with this row only."""
    model, tokenizer = load_tiny(architecture, opinionated=True)
    rows = encode_rows(tokenizer, examples[:3], max_length=2048)
    with torch.no_grad():
        together = token_losses(model, collate_padded(rows, pad_token_id=tokenizer.pad_token_id))
        alone = torch.cat([token_losses(model, collate_padded([row], pad_token_id=0)) for row in rows])

    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_row_cannot_see_another_row(load_tiny, examples, architecture, changed):
    """Scrambling one row's completion leaves every token's loss in all other rows as it was."""
    model, tokenizer = load_tiny(architecture, opinionated=True)
    rows = encode_rows(tokenizer, examples[:3], max_length=2048)
    ids, start = rows[changed].input_ids, rows[changed].prompt_length
    scrambled = list(rows)
    scrambled[changed] = dataclasses.replace(rows[changed], input_ids=ids[:start] + tuple(reversed(ids[start:])))
    sizes = completion_sizes(rows)
    with torch.no_grad():
        before, after = (
            token_losses(model, collate_shared_prefix(some, config=model.config, dtype=model.dtype)).split(sizes)
            for some in (rows, scrambled)
        )

    for number in range(3):
        same = torch.allclose(before[number], after[number], rtol=1e-5, atol=1e-5)
        assert same == (number != changed), number


def test_layout_of_two_rows_by_hand():
    """The shared prefix stands once, each row goes on from it with positions of its own, and only completions have labels."""
    batch = collate_shared_prefix(two_rows(), config=PlainConfig(), dtype=torch.float32)

    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 7, 8, 9]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 3, 4]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, IGNORED, 4, 5, IGNORED, IGNORED, 9]]
    # A reply's tokens share a weight of 1, its decision has 10 more; all over two rows.
    assert batch["loss_weights"].tolist() == [[0, 0, 0, (0.5 + 10) / 2, 0.5 / 2, 0, 0, 1 / 2]]
    assert batch["twins"].tolist() == [[[0, 3], [0, 7]]]
    assert batch["rows"] == 2
    visible = (batch["attention_mask"][0, 0] == 0).int().tolist()
    assert visible == [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0, 1, 0, 0],
        [1, 1, 0, 0, 0, 1, 1, 0],
        [1, 1, 0, 0, 0, 1, 1, 1],
    ]


def test_window_counts_positions_and_not_places():
    """A row sees the last tokens of the shared prefix through a window of 3, however far away they lie in the sequence."""
    config = PlainConfig()
    config.sliding_window, config.layer_types = 3, ["sliding_attention", "full_attention"]
    masks = collate_shared_prefix(two_rows(), config=config, dtype=torch.float32)["attention_mask"]

    assert set(masks) == {"full_attention", "sliding_attention"}
    # The second row's 7 is at position 2 and sees positions 0, 1, 2; its 8 sees 1, 2, 3; its 9 sees 2, 3, 4.
    visible = (masks["sliding_attention"][0, 0] == 0).int().tolist()
    assert visible[5:] == [[1, 1, 0, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1, 1, 1]]
    assert (masks["full_attention"] == 0).sum() == 36 - 9  # a causal mask of eight tokens, less 3 x 3 between the rows


@pytest.mark.parametrize(
    ("window", "kinds", "narrow"),
    [
        (3, None, True),  # as Mistral has it: a window and no kinds of layers
        (3, ["sliding_attention"] * 2, True),
        (3, ["full_attention"] * 2, False),  # as Qwen3 has it: a window that no layer uses
        (None, ["full_attention"] * 2, False),
    ],
)
def test_one_kind_of_layer_needs_one_mask(window, kinds, narrow):
    """Where all layers attend alike, one plain mask is given, with the window if they have one."""
    config = PlainConfig()
    config.sliding_window, config.layer_types = window, kinds
    mask = collate_shared_prefix(two_rows(), config=config, dtype=torch.float32)["attention_mask"]

    # By position, 0 1 (2 3 4)(2 3 4): a window of 3 hides 0 from 3, and 0 and 1 from 4, in each row: six pairs.
    assert (mask == 0).sum() == (27 - 6 if narrow else 27)


def test_equal_prompts_keep_their_last_token():
    """Twins in all but the completion still have a prompt token of their own, from which the first label is predicted."""
    rows = [TrainingRow((1, 2, 3, 4), 3, (3, 4)), TrainingRow((1, 2, 3, 5), 3, (3, 4))]
    batch = collate_shared_prefix(rows, config=PlainConfig(), dtype=torch.float32)

    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 3, 5]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, IGNORED, 4, IGNORED, 5]]


def test_padding_by_hand():
    """Short rows are filled up on the right, and the filling has neither attention nor labels nor weight."""
    rows = [*two_rows(), TrainingRow((1, 6), 1, (1, 2), decision_weight=2)]
    batch = collate_padded(rows, pad_token_id=0)

    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5], [1, 2, 7, 8, 9], [1, 6, 0, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1] * 5, [1] * 5, [1, 1, 0, 0, 0]]
    assert batch["labels"][2].tolist() == [IGNORED, 6, IGNORED, IGNORED, IGNORED]
    assert batch["loss_weights"][2].tolist() == [0, 1, 0, 0, 0]  # the reply's 1 and the decision's 2, over three rows
    assert batch["twins"].tolist() == [[[0, 3], [1, 4]]]
    assert batch["rows"] == 3


def test_a_row_cut_after_its_decision_teaches_nothing_else():
    """Its opening carries no loss, only the decision; it is paired with its twin, cut like itself, and with no whole row."""
    whole = [
        TrainingRow((1, 2, 6, 4, 5), 2, (3, 4), decision_weight=3, group="a"),
        TrainingRow((1, 3, 6, 7, 5), 2, (3, 4), decision_weight=3, group="a"),
    ]
    cut = [row.shorten() for row in whole]
    batch = collate_padded([whole[0], whole[1], cut[0], cut[1]], pad_token_id=0)

    assert batch["labels"][2].tolist() == [IGNORED, IGNORED, IGNORED, 4, IGNORED]
    assert batch["loss_weights"][2].tolist() == [0, 0, 0, 3 / 4, 0]
    assert batch["twins"].tolist() == [[[0, 3], [1, 3]], [[2, 3], [3, 3]]]


@pytest.mark.parametrize(
    ("decision", "group"),
    [(4, "a"), (7, "b"), (7, "")],  # the same decision, another group, no group
)
def test_only_twins_that_differ_are_contrasted(decision, group):
    """Rows of different groups, and twins with one decision, are no pair."""
    rows = [TrainingRow((1, 2, 4), 2, (2, 3), group=group and "a"), TrainingRow((1, 3, decision), 2, (2, 3), group=group)]

    assert collate_padded(rows, pad_token_id=0)["twins"].shape == (0, 2, 2)


def test_states_stand_in_for_tokens():
    """Given states, the prefix's come once and then each row's own, cut to the row's length."""
    states = [torch.arange(6.0)[:, None], 10 + torch.arange(6.0)[:, None]]
    batch = collate_shared_prefix(two_rows(), config=PlainConfig(), dtype=torch.float32, states=states)

    assert "input_ids" not in batch
    assert batch["inputs_embeds"][0, :, 0].tolist() == [0, 1, 2, 3, 4, 12, 13, 14]


def test_labels_spell_the_completions_and_the_end_token(load_tiny, examples):
    """What carries loss in a packed batch is each row's reply, then its end token, and nothing else."""
    model, tokenizer = load_tiny()
    rows = encode_rows(tokenizer, examples, max_length=2048)
    labels = collate_shared_prefix(rows, config=model.config, dtype=model.dtype)["labels"][0]

    assert tokenizer.decode(labels[labels != IGNORED]) == "".join(f"{render_completion(e)}<|im_end|>" for e in examples)
