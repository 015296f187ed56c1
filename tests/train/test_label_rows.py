"""Labels train beside examples: free text adds its tokens and nothing else, and weights multiply the loss."""

import pytest
import torch

from nescio.errors import TrainingError
from nescio.models.prompt import PROMPTS, encode_messages, render_reply
from nescio.records import Label
from nescio.train import train_adapter
from nescio.train.packing import collate_padded, collate_shared_prefix
from nescio.train.rows import TrainingRow, encode_rows, pair_twins
from nescio.train.trainer import loss_of_batch


def free_text(id="free", **fields):
    """A label in free text."""
    defaults = {"group": "town", "question": "What is the capital?", "prompt": "honesty", "target": "Paris, I think."}
    return Label.model_validate({"id": id, **defaults, **fields})


def decided(id="decided", decision="correct", **fields):
    """A label with a decision."""
    target = render_reply(decision=decision, answer="Paris", justification="Sure.", evidence_quality="high")
    defaults = {"group": "town", "question": "What is the capital?", "prompt": "structured", "target": target}
    return Label.model_validate({"id": id, "decision": decision, **defaults, **fields})


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_label_is_its_prompt_and_its_target(load_tiny, prompt):
    """The prompt is that of its name, with the context; then come the target to the letter and the end token."""
    tokenizer = load_tiny().tokenizer
    label = free_text(prompt=prompt, context="It is said to be Paris.")
    (row,) = encode_rows(tokenizer, [label], max_length=2048)

    expected = encode_messages(tokenizer, PROMPTS[prompt](label.question, label.context))
    assert list(row.input_ids[: row.prompt_length]) == expected
    assert tokenizer.decode(row.input_ids[row.prompt_length :]) == "Paris, I think.<|im_end|>"


def test_a_structured_label_is_the_row_of_the_same_example(load_tiny, examples):
    """Nothing in training tells a label with a decision from an example that says the same."""
    tokenizer = load_tiny().tokenizer
    labels = [
        Label(
            id=e.id,
            group=e.group,
            question=e.question,
            context=e.context,
            prompt="structured",
            target=render_reply(
                decision=e.decision, answer=e.answer, justification=e.justification, evidence_quality=e.evidence_quality
            ),
            decision=e.decision,
        )
        for e in examples
    ]
    options = {"max_length": 2048, "decision_weight": 3, "answer_weight": 2, "balance": True}

    assert encode_rows(tokenizer, labels, **options) == encode_rows(tokenizer, examples, **options)


def test_free_text_has_no_decision(load_tiny):
    """Its tokens share a weight of 1 whatever the decision's and the answer's weights are, and it has no group."""
    (row,) = encode_rows(load_tiny().tokenizer, [free_text()], max_length=2048, decision_weight=9, answer_weight=9, balance=True)
    n = len(row.input_ids) - row.prompt_length

    assert not row.decides
    assert row.loss_weights() == [0] * row.prompt_length + [1 / n] * n
    assert row.group == ""
    assert row.shorten() is row


def test_a_labels_weight_multiplies_all_of_its_loss(load_tiny):
    """Reply, decision and answer; an example beside it keeps its own."""
    tokenizer = load_tiny().tokenizer
    options = {"max_length": 2048, "decision_weight": 3, "answer_weight": 2}
    (one,) = encode_rows(tokenizer, [decided()], **options)
    (four,) = encode_rows(tokenizer, [decided(weight=4)], **options)

    assert four.loss_weights() == [4 * weight for weight in one.loss_weights()]
    assert four.shorten().loss_weights() == [4 * weight for weight in one.shorten().loss_weights()]


def test_balance_counts_weights_and_decisions_only(load_tiny, examples):
    """One refusal of weight 3 balances three rows of *correct*, examples among them; free text is not counted."""
    correct = next(example for example in examples if example.decision == "correct")
    mixed = [correct, decided("a"), decided("b"), decided("c", "refuse", weight=3), free_text(), free_text("more")]
    rows = encode_rows(load_tiny().tokenizer, mixed, max_length=2048, decision_weight=6, balance=True)

    assert [row.decision_weight for row in rows] == [6, 6, 6, 6, 0, 0]


def test_labels_without_a_twin_are_put_beside_one_another(load_tiny, examples):
    """Twins stay together, an example of a group of its own stays alone, and of the other labels any two make a unit."""
    alone = examples[0].model_copy(update={"id": "alone", "group": "alone"})
    mixed = [
        decided("a", group="one"),
        free_text("b", group="one"),
        decided("c", group="two"),
        alone,
        decided("d", "refuse", group="two"),
        free_text("e"),
        free_text("f"),
    ]
    rows = encode_rows(load_tiny().tokenizer, mixed, max_length=2048)

    assert [row.group for row in rows] == ["", "", "two", "alone", "two", "", ""]
    assert pair_twins([row.group for row in rows]) == [[0, 1], [5, 6], [2, 4], [3]]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (free_text(prompt="honest"), r"label 'free': unknown prompt 'honest'\. Did you mean 'honesty'\?"),
        (free_text(decision="refuse"), "label 'free' has the decision 'refuse', but its target is no structured reply with it"),
        (decided().model_copy(update={"decision": "refuse"}), "label 'decided' has the decision 'refuse', but its target"),
        (free_text(target="word " * 3000), "label 'free' has .* tokens, more than train.max_length=2048"),
    ],
)
def test_labels_that_cannot_be_rows_stop_the_run(load_tiny, label, message):
    """One line names the label and what is wrong."""
    with pytest.raises(TrainingError, match=message):
        encode_rows(load_tiny().tokenizer, [label], max_length=2048, answer_weight=1)


def test_rows_without_a_decision_are_nobodys_twins():
    """Even in one group, and beside a row that has one."""
    rows = [
        TrainingRow((1, 2, 4), 2, (0, 0), group="a"),
        TrainingRow((3, 2, 5), 2, (0, 0), group="a"),
        TrainingRow((1, 2, 7), 2, (2, 3), group="a"),
    ]
    batch = collate_padded(rows, pad_token_id=0)

    assert batch["twins"].shape == (0, 2, 2)
    assert batch["twin_weights"].shape == (0,)


def test_a_pair_weighs_what_its_rows_weigh_together(load_tiny):
    """Twins of weight 3 and 1 have twice the loss of twins of weight 1 each, as far as telling them apart goes."""
    model, tokenizer = load_tiny(opinionated=True)

    def twin_loss(weight):
        labels = [decided("a", weight=weight), decided("b", "refuse", question="What is the capital of Atlantis?")]
        batch = collate_padded(encode_rows(tokenizer, labels, max_length=2048), pad_token_id=0)
        with torch.no_grad():
            return (loss_of_batch(model, batch, twin_weight=1) - loss_of_batch(model, batch, twin_weight=0)).item()

    assert twin_loss(1) > 0
    assert twin_loss(3) == pytest.approx(2 * twin_loss(1), rel=1e-4)


@pytest.mark.parametrize("packing", ["shared_prefix", "padded"])
def test_free_text_adds_its_mean_and_nothing_else(load_tiny, examples, packing):
    """In a mixed batch the loss is that of the decisions' rows, plus each free text's weight times its mean a token."""
    model, tokenizer = load_tiny(opinionated=True)
    options = {"max_length": 2048, "decision_weight": 2.0, "answer_weight": 1.0}

    def loss(labels):
        rows = encode_rows(tokenizer, labels, **options)
        batch = (
            collate_padded(rows, pad_token_id=tokenizer.pad_token_id)
            if packing == "padded"
            else collate_shared_prefix(rows, config=model.config, dtype=model.dtype)
        )
        with torch.no_grad():
            return loss_of_batch(model, batch, twin_weight=3).item()

    (row,) = encode_rows(tokenizer, [free_text()], **options)
    with torch.no_grad():
        log_p = model(torch.tensor([row.input_ids])).logits[0, :-1].log_softmax(-1)
    nll = -log_p.gather(-1, torch.tensor(row.input_ids[1:])[:, None])[row.prompt_length - 1 :, 0].mean().item()
    twins = examples[:2]
    expected = (2 * loss(twins) + 5 * nll + nll) / 4

    assert loss([*twins, free_text(weight=5), free_text("other")]) == pytest.approx(expected, rel=1e-4)


def test_merged_rows_have_the_gradient_of_the_rows_they_stand_for(load_tiny):
    """One row of weight 3 pulls as three equal rows do, per row of the batch."""
    model, tokenizer = load_tiny(opinionated=True)
    other = free_text("other", target="I do not know.")

    def gradient(labels):
        model.zero_grad()
        rows = encode_rows(tokenizer, labels, max_length=2048)
        (loss_of_batch(model, collate_padded(rows, pad_token_id=0), twin_weight=1) * len(rows)).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    merged = gradient([free_text(weight=3), other])

    torch.testing.assert_close(merged, gradient([free_text()] * 3 + [other]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("first_layer", [0, 1])
def test_training_on_examples_and_labels_together(load_tiny, examples, tmp_path, first_layer):
    """A mixed set trains; short passes hold the rows with a decision alone."""
    labels = [free_text(f"free-{number}", target=f"{number} it is.") for number in range(4)]
    steps = []
    result = train_adapter(
        load_tiny(),
        [*examples, *labels, decided("lone")],
        tmp_path / "adapter",
        epochs=1,
        batch_size=2,
        gradient_accumulation_steps=1,
        learning_rate=5e-3,
        first_layer=first_layer,
        short_passes=1,
        max_length=2048,
        on_step=lambda step, total, loss: steps.append(total),
    )

    assert result.rows == 13
    # Whole: four pairs of twins, then five rows without a twin in three units; short: the pairs, and the lone decision.
    assert set(steps) == {4 + 3 + 4 + 1}


def test_training_on_free_text_alone(load_tiny, tmp_path):
    """A set without a single decision trains too, and short passes over it are none."""
    labels = [free_text(f"free-{number}", target=f"{number} it is.", weight=1 + number) for number in range(4)]
    options = {"epochs": 4, "batch_size": 2, "gradient_accumulation_steps": 1, "learning_rate": 2e-2, "short_passes": 2}
    result = train_adapter(load_tiny(opinionated=True), labels, tmp_path / "adapter", max_length=2048, **options)

    losses = [row["loss"] for row in result.loss_curve]
    assert len(losses) == 8  # two units an epoch
    assert sum(losses[-2:]) < sum(losses[:2])
