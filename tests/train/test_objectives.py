"""Rows of confidence: what stands in them, what they are worth, and that they teach what they say."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nescio.errors import ModelError, TrainingError
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.load import LoadedModel, load_adapted_model
from nescio.models.torch_sampler import TorchSampler
from nescio.predict_confidence import answer_and_state, count_tokens, state_confidence, state_percentages
from nescio.train import train_rows
from nescio.train.head import HEAD, attach_head, fit_head, load_head
from nescio.train.objectives import AnsweredQuestion, choose_form, encode_answered
from nescio.train.packing import LOSS_INPUTS, collate_padded, collate_shared_prefix
from nescio.train.rows import TrainingRow
from nescio.train.trainer import loss_of_batch

OBJECTIVES = ("correctness", "p_ik", "conftuner", "verbalised")


def ask(number, answer="blue", target=None):
    """A question as plain text behind a beginning that all share."""
    text = f"Answer the question.\n\nQuestion: What is the colour of thing {number}?\nAnswer:"
    return AnsweredQuestion(SampleRequest(str(number), text=text), answer, target)


@pytest.fixture
def separable():
    """Answers of which `red` is right and `blue` is wrong."""
    return [ask(number, "red" if number % 2 else "blue", float(number % 2)) for number in range(16)]


def text_of(tokenizer, row, start=0, end=None):
    """The text of a part of a row."""
    return tokenizer.decode(row.input_ids[start:end])


def test_a_row_is_prompt_answer_and_query(tiny_model):
    """The answer stands behind a space, the query behind the answer, and the answer's tokens are anchored."""
    tokenizer = tiny_model("llama").tokenizer
    [row] = encode_answered(tokenizer, [ask(1, "deep blue", 1.0)], choose_form("correctness"), anchored=True)

    # The tiny tokenizer's space is a token of its own; it belongs to the query.
    assert text_of(tokenizer, row).rstrip().endswith("Answer: deep blue\nIs that right? Answer yes or no:")
    assert text_of(tokenizer, row, *row.anchored) == " deep blue"
    assert row.option_targets == (0.0, 1.0)


def test_p_ik_never_sees_the_answer(tiny_model):
    """Whether it knows is asked behind the question alone: two answers give one row."""
    tokenizer = tiny_model("llama").tokenizer
    form = choose_form("p_ik")
    rows = [encode_answered(tokenizer, [ask(1, answer, 1.0)], form, anchored=True)[0] for answer in ("red", "blue")]

    assert rows[0] == rows[1]
    assert rows[0].anchored[0] == rows[0].anchored[1]


def test_a_head_is_asked_nothing(tiny_model):
    """Features are those of the answer's last token, without a query behind it."""
    tokenizer = tiny_model("llama").tokenizer
    [row] = encode_answered(tokenizer, [ask(1, "red", 1.0)], choose_form("correctness", form="lora"), anchored=False)

    assert text_of(tokenizer, row).endswith("Answer: red")
    assert row.options == (0, 1)


def test_confidence_tokens_cost_their_squared_error(tiny_model):
    """With y = 1 the token 6 of 9 costs (1 - 6/9)^2 = 1/9; with y = 0.5 it costs the mean of 1/9 and 4/9."""
    tokenizer = tiny_model("llama").tokenizer
    right, open_row = encode_answered(
        tokenizer, [ask(1, "red", 1.0), ask(2, "red", 0.5)], choose_form("conftuner"), anchored=False
    )

    assert right.by_cost
    assert right.option_targets[6] == pytest.approx(1 / 9)
    assert open_row.option_targets[6] == pytest.approx((1 / 9 + 4 / 9) / 2)
    assert np.argmin(right.option_targets) == 9


def test_a_percentage_is_written_out_and_alone_is_learnt(tiny_model):
    """A target of 0.72 is the text 70%, the only part of the row that carries loss."""
    tokenizer = tiny_model("llama").tokenizer
    [row] = encode_answered(tokenizer, [ask(1, "red", 0.72)], choose_form("verbalised"), anchored=False)

    assert text_of(tokenizer, row, row.prompt_length, -1) == " 70%"
    assert row.input_ids[-1] == tokenizer.eos_token_id
    batch = collate_padded([row], pad_token_id=0)
    assert (batch["labels"] >= 0).sum() == len(row.input_ids) - row.prompt_length


@pytest.mark.parametrize("objective", ["correctness", "conftuner"])
def test_both_layouts_have_the_same_loss(load_tiny, separable, objective):
    """Choices and anchors are found in one long sequence as in padded rows: losses of a moved adapter agree to rounding."""
    loaded = load_tiny("llama", opinionated=True)
    rows = encode_answered(loaded.tokenizer, separable[:5], choose_form(objective), anchored=True)
    model = move_adapter(loaded.model)
    packed = collate_shared_prefix(rows, config=model.config, dtype=torch.float32)
    padded = collate_padded(rows, pad_token_id=loaded.tokenizer.pad_token_id)

    losses = [loss_of_batch(model, batch, divergence_weight=1.0).item() for batch in (packed, padded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    without = loss_of_batch(model, packed).item()
    assert losses[0] > without + 1e-4  # the adapter has moved: keeping the answers costs something


def move_adapter(model):
    """LoRA away from zero, so that the model is not what it was."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return adapted.eval()


def test_the_loss_is_cross_entropy_over_the_options_alone(load_tiny, separable):
    """By hand: the mean over rows of log-sum-exp of both option logits less that of the right option."""
    loaded = load_tiny("llama", opinionated=True)
    rows = encode_answered(loaded.tokenizer, separable[:3], choose_form("correctness"), anchored=False)
    loss = loss_of_batch(loaded.model, collate_shared_prefix(rows, config=loaded.model.config, dtype=torch.float32)).item()

    expected = []
    for row in rows:
        logits = loaded.model(torch.tensor([row.input_ids])).logits[0, -1, list(row.options)].double()
        expected.append((torch.logsumexp(logits, 0) - logits[row.option_targets.index(1.0)]).item())
    assert loss == pytest.approx(np.mean(expected), rel=1e-4)


def test_the_expected_cost_is_that_of_the_models_own_choice(load_tiny):
    """By hand: the sum over digits of probability (among digits) times squared error."""
    loaded = load_tiny("llama", opinionated=True)
    rows = encode_answered(loaded.tokenizer, [ask(1, "red", 1.0)], choose_form("conftuner"), anchored=False)
    loss = loss_of_batch(loaded.model, collate_shared_prefix(rows, config=loaded.model.config, dtype=torch.float32)).item()

    logits = loaded.model(torch.tensor([rows[0].input_ids])).logits[0, -1, list(rows[0].options)].double()
    costs = torch.tensor([(1 - digit / 9) ** 2 for digit in range(10)], dtype=torch.float64)
    assert loss == pytest.approx((logits.softmax(0) * costs).sum().item(), rel=1e-4)


def test_rows_of_different_choices_share_a_batch(load_tiny):
    """Two options and ten in one batch: the loss is the mean of the losses alone."""
    loaded = load_tiny("llama", opinionated=True)
    two = encode_answered(loaded.tokenizer, [ask(1, "red", 1.0)], choose_form("correctness"), anchored=False)
    ten = encode_answered(loaded.tokenizer, [ask(2, "red", 0.0)], choose_form("conftuner"), anchored=False)

    def loss(rows):
        return loss_of_batch(loaded.model, collate_shared_prefix(rows, config=loaded.model.config, dtype=torch.float32)).item()

    assert loss([*two, *ten]) == pytest.approx((loss(two) + loss(ten)) / 2, rel=1e-4)


@pytest.fixture
def train(load_tiny, tmp_path):
    """Train a fresh tiny model on rows; returns the model as it is loaded for use."""

    def run(rows_of, *, head=False, name="adapter", **options):
        loaded = load_tiny("llama", opinionated=True)
        rows = rows_of(loaded.tokenizer)
        if head:
            attach_head(loaded.model)
        settings = {"epochs": 6, "learning_rate": 1e-2, "batch_size": 4, "gradient_accumulation_steps": 1} | options
        return train_rows(loaded, rows, tmp_path / name, **settings)

    return run


def load_trained(trainable_folders, folder, prepare=None):
    """The trained model, its adapter merged."""
    return load_adapted_model(str(trainable_folders["llama"]), folder, dtype="float32", device="cpu", prepare=prepare)


@pytest.mark.parametrize("objective", ["correctness", "conftuner"])
def test_training_tells_right_from_wrong(train, load_tiny, separable, objective):
    """After six epochs every right answer is surer than every wrong one, which no untrained model was taught."""
    form = choose_form(objective)
    result = train(lambda tokenizer: encode_answered(tokenizer, separable, form, anchored=True), divergence_weight=0.1)

    loaded = load_tiny("llama", opinionated=True)
    loaded = LoadedModel(merge(loaded.model, result.folder), loaded.tokenizer)
    rows = encode_answered(loaded.tokenizer, [ask(n, "red" if n % 2 else "blue") for n in range(40, 52)], form, anchored=False)
    stated = state_confidence(loaded, rows, form, batch_size=5).confidence
    assert stated[1::2].min() > stated[::2].max()


def merge(model, folder):
    """The adapter's weights in the model's."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder)).merge_and_unload().eval()


def test_a_head_is_trained_saved_and_loaded_with_its_adapter(train, load_tiny, separable):
    """The head's weights travel in the adapter's file, and the loaded model tells right from wrong by it."""
    form = choose_form("correctness", form="lora")
    result = train(lambda tokenizer: encode_answered(tokenizer, separable, form, anchored=False), head=True)

    assert any("confidence_head" in name for name in load_file(result.folder / "adapter_model.safetensors"))
    loaded = load_tiny("llama", opinionated=True)
    attach_head(loaded.model, seed=5)  # other first weights: what it tells must come from the file
    loaded = LoadedModel(merge(loaded.model, result.folder), loaded.tokenizer)
    rows = encode_answered(loaded.tokenizer, [ask(n, "red" if n % 2 else "blue") for n in range(40, 50)], form, anchored=False)
    stated = state_confidence(loaded, rows, form).confidence
    assert stated[1::2].min() > stated[::2].max()


def test_a_probe_leaves_the_model_alone_and_is_found_again(load_tiny, separable, tmp_path):
    """Only the head learns; another process that loads it states the same."""
    loaded = load_tiny("llama", opinionated=True)
    before = {name: weight.clone() for name, weight in loaded.model.named_parameters()}
    form = choose_form("correctness", form="probe")
    rows = encode_answered(loaded.tokenizer, separable, form, anchored=False)
    result = fit_head(loaded, rows, tmp_path / "probe", epochs=60, learning_rate=3e-3, batch_size=8)

    assert all(torch.equal(before[name], weight) for name, weight in loaded.model.named_parameters() if name in before)
    assert result.loss_curve[-1]["loss"] < result.loss_curve[0]["loss"]
    stated = state_confidence(loaded, rows, form).confidence
    again = load_tiny("llama", opinionated=True)
    load_head(again.model, tmp_path / "probe")
    np.testing.assert_array_equal(state_confidence(again, rows, form).confidence, stated)
    assert stated[1::2].min() > stated[::2].max()


def test_a_head_of_another_model_is_refused(load_tiny, separable, tmp_path):
    """A head of another width does not fit, and says so in one line."""
    from safetensors.torch import save_file

    loaded = load_tiny("llama")
    rows = encode_answered(loaded.tokenizer, separable, choose_form("correctness", form="probe"), anchored=False)
    fit_head(loaded, rows, tmp_path / "probe", epochs=0.1)
    weights = load_file(tmp_path / "probe" / "head.safetensors")
    save_file({name: torch.zeros(3, 3) for name in weights}, tmp_path / "probe" / "head.safetensors")

    with pytest.raises(ModelError, match="does not fit"):
        load_head(load_tiny("llama").model, tmp_path / "probe")


def test_the_penalty_keeps_answers_nearer_to_what_they_were(train, load_tiny, separable):
    """Trained with the penalty, the answers' tokens move less than without it."""

    def rows_of(tokenizer):
        return encode_answered(tokenizer, separable, choose_form("correctness"), anchored=True)

    moved = []
    for weight in (0.0, 3.0):
        result = train(rows_of, divergence_weight=weight, name=f"adapter-{weight}")
        tuned, base = load_tiny("llama", opinionated=True), load_tiny("llama", opinionated=True)
        model = merge(tuned.model, result.folder)
        rows = rows_of(tuned.tokenizer)
        moved.append(sum(distance(model, base.model, row) for row in rows))
    assert moved[1] < 0.5 * moved[0]


def distance(model, base, row):
    """How far the distributions of a row's answer tokens are apart."""
    start, end = row.anchored
    with torch.no_grad():
        now, then = (one(torch.tensor([row.input_ids])).logits[0, start - 1 : end - 1].log_softmax(-1) for one in (model, base))
    return (now.exp() * (now - then)).sum().item()


def test_the_confidence_does_not_depend_on_the_batch(tiny_model, separable):
    """Rows in one batch cannot see one another: alone and together they get the same confidence."""
    loaded = tiny_model("llama")
    form = choose_form("correctness")
    rows = encode_answered(loaded.tokenizer, separable, form, anchored=False)

    together, alone = (state_confidence(loaded, rows, form, batch_size=size).confidence for size in (16, 1))
    np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_tokens_are_counted_without_shared_beginnings(tiny_model, separable):
    """Two rows with a common beginning of p tokens cost the sum of their lengths less p."""
    tokenizer = tiny_model("llama").tokenizer
    rows = encode_answered(tokenizer, separable[:2], choose_form("correctness"), anchored=False)
    shared = 0
    while rows[0].input_ids[shared] == rows[1].input_ids[shared]:
        shared += 1

    assert count_tokens(rows) == len(rows[0].input_ids) + len(rows[1].input_ids) - shared


def test_a_percentage_that_is_not_written_is_no_confidence(tiny_model, separable):
    """A model that was never taught to state one writes something else, and gets NaN, not a default."""
    loaded = tiny_model("llama")
    form = choose_form("verbalised")
    rows = encode_answered(loaded.tokenizer, [one._replace(target=None) for one in separable], form, anchored=False)

    assert np.isnan(state_percentages(loaded, rows, form).confidence).all()


def test_percentages_that_were_learnt_are_read(train, load_tiny, separable):
    """Taught 100% for red and 0% for blue, the model states them."""
    form = choose_form("verbalised")
    result = train(lambda tokenizer: encode_answered(tokenizer, separable, form, anchored=False), epochs=12, learning_rate=2e-2)

    loaded = load_tiny("llama", opinionated=True)
    loaded = LoadedModel(merge(loaded.model, result.folder), loaded.tokenizer)
    rows = encode_answered(loaded.tokenizer, [one._replace(target=None) for one in separable], form, anchored=False)
    stated = state_percentages(loaded, rows, form, batch_size=4)
    assert stated.confidence[1::2].min() > stated.confidence[::2].max()
    assert stated.tokens > sum(len(row.input_ids) for row in rows)


def test_unknown_divergence_and_no_rows_are_refused(load_tiny, tmp_path):
    """Both are told before any model is changed."""
    with pytest.raises(TrainingError, match="no training rows"):
        train_rows(load_tiny(), [], tmp_path / "adapter")
    row = TrainingRow(input_ids=(1, 2), prompt_length=1, decision_span=(0, 0))
    with pytest.raises(TrainingError, match="unknown divergence"):
        train_rows(load_tiny(), [row], tmp_path / "adapter", divergence="hellinger")


def test_batches_hold_what_the_loss_needs(separable, tiny_model):
    """Everything named in LOSS_INPUTS is there in both layouts, and the model gets none of it."""
    tokenizer = tiny_model("llama").tokenizer
    rows = encode_answered(tokenizer, separable[:2], choose_form("correctness"), anchored=True)
    packed = collate_shared_prefix(rows, config=tiny_model("llama").model.config, dtype=torch.float32)

    assert set(LOSS_INPUTS) <= packed.keys()
    assert set(LOSS_INPUTS) <= collate_padded(rows, pad_token_id=0).keys()
    for (row, column), full in zip(packed["choices"].tolist(), rows, strict=True):
        assert packed["input_ids"][row, column] == full.input_ids[-1]
    anchored = [packed["input_ids"][row, column].item() for row, column in packed["anchors"].tolist()]
    assert anchored == [token for row in rows for token in row.input_ids[slice(*row.anchored)]]


def test_answers_and_confidences_come_in_one_breath(tiny_model, separable):
    """The confidence read behind the answer's own keys is that of a pass over the whole row, and costs the query alone."""
    loaded = tiny_model("llama")
    form = choose_form("correctness")
    requests = [SampleRequest(one.request.question_id, text=one.request.text) for one in separable[:6]]
    requests.append(SampleRequest("choice", text=requests[0].text, options=(" red", " dark blue")))
    answers, stated = answer_and_state(loaded, requests, form, DrawSettings(max_new_tokens=4), batch_size=3)

    plain = TorchSampler(loaded, max_rows=8).draw(requests, DrawSettings(max_new_tokens=4))
    assert [answer.text for answer in answers] == [answer.text for answer in plain]
    answered = [AnsweredQuestion(request, answer.text) for request, answer in zip(requests, answers, strict=True)]
    rows = encode_answered(loaded.tokenizer, answered, form, anchored=False)
    np.testing.assert_allclose(stated.confidence, state_confidence(loaded, rows, form).confidence, rtol=1e-3)
    assert stated.tokens < sum(len(row.input_ids) for row in rows) / 2


@pytest.mark.parametrize("layer", [-1, 1])
def test_a_head_reads_its_features_where_the_answer_ended(tiny_model, separable, layer):
    """For a token or so, and with what a pass over the whole row would have told it."""
    loaded = tiny_model("llama")
    form = choose_form("correctness", form="probe")
    requests = [SampleRequest(one.request.question_id, text=one.request.text) for one in separable[:6]]
    attach_head(loaded.model, layer=layer, seed=3)
    try:
        answers, stated = answer_and_state(loaded, requests, form, DrawSettings(max_new_tokens=4), batch_size=3)
        answered = [AnsweredQuestion(request, answer.text) for request, answer in zip(requests, answers, strict=True)]
        rows = encode_answered(loaded.tokenizer, answered, form, anchored=False)
        expected = state_confidence(loaded, rows, form).confidence
    finally:
        delattr(loaded.model, HEAD)

    np.testing.assert_allclose(stated.confidence, expected, rtol=1e-3)
    assert len(set(expected.round(6))) > 1
    assert len(requests) <= stated.tokens < sum(len(row.input_ids) for row in rows) / 2


def test_only_greedy_answers_are_gone_on_behind(tiny_model):
    """Which of several answers the confidence would be of, nobody could say."""
    loaded = tiny_model("llama")
    with pytest.raises(ValueError, match="index 0 alone"):
        TorchSampler(loaded).draw([SampleRequest("1", text="Q:", indices=(0, 1))], DrawSettings(), then=lambda *_: None)


@pytest.mark.parametrize("state", [state_confidence, state_percentages])
def test_nothing_to_ask_about_is_no_confidence_at_all(tiny_model, state):
    """No row, no pass through the model."""
    stated = state(tiny_model("llama"), [], choose_form("correctness"))

    assert (len(stated.confidence), stated.tokens) == (0, 0)


def test_a_row_beyond_the_models_window_has_no_confidence(tiny_model, separable, monkeypatch):
    """What a model cannot read is NaN; the rows beside it keep their confidence."""
    import nescio.predict_confidence as predict

    loaded, form = tiny_model("llama"), choose_form("correctness")
    rows = encode_answered(loaded.tokenizer, [*separable[:2], ask(3, "red " * 40)], form, anchored=False)
    monkeypatch.setattr(predict, "window_of", lambda model: len(rows[2].input_ids) - 1)
    stated = state_confidence(loaded, rows, form).confidence

    assert np.isnan(stated).tolist() == [False, False, True]
