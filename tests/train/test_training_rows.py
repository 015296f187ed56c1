"""Training rows read exactly as prediction asks, and answer in the structured reply."""

import json

import pytest

from nescio.errors import TrainingError
from nescio.models.prompt import build_messages, encode_messages, render_completion
from nescio.train.rows import encode_rows


def test_row_is_the_prompt_of_prediction_and_the_reply(load_tiny, examples):
    """The prompt's tokens are those that prediction feeds, so that the model is asked what it was taught."""
    tokenizer = load_tiny().tokenizer
    row = encode_rows(tokenizer, examples[1:2], max_length=2048)[0]
    prompt = encode_messages(tokenizer, build_messages(examples[1].question, examples[1].context))

    assert list(row.input_ids[: row.prompt_length]) == prompt
    assert tokenizer.decode(row.input_ids[row.prompt_length :]) == render_completion(examples[1]) + "<|im_end|>"


def test_decision_is_found_in_the_reply(load_tiny, examples):
    """The span's tokens spell the decision, at its own place even where the answer says the same word."""
    tokenizer = load_tiny().tokenizer
    talkative = examples[0].model_copy(update={"answer": "That is correct, quite correct."})
    for example, row in zip([*examples, talkative], encode_rows(tokenizer, [*examples, talkative], max_length=2048), strict=True):
        start, end = row.decision_span

        assert tokenizer.decode(row.input_ids[start:end]) == example.decision
        assert tokenizer.decode(row.input_ids[row.prompt_length : start]) == '{"decision": "'


def test_weights_of_a_row(load_tiny, examples):
    """The reply's tokens share a weight of 1, and each of the decision's has the decision's weight on top."""
    row = encode_rows(load_tiny().tokenizer, examples[:1], max_length=2048, decision_weight=10)[0]
    weights, share = row.loss_weights(), 1 / (len(row.input_ids) - row.prompt_length)
    start, end = row.decision_span

    assert weights[: row.prompt_length] == [0] * row.prompt_length
    assert weights[start:end] == [share + 10] * (end - start)
    assert set(weights[row.prompt_length : start] + weights[end:]) == {share}


def test_limit_holds_to_the_token(load_tiny, examples):
    """A row of exactly the longest length passes; one token less stops the run and names the example, length and limit."""
    tokenizer = load_tiny().tokenizer
    row = encode_rows(tokenizer, examples[:1], max_length=2048)[0]
    length = len(row.input_ids)

    assert encode_rows(tokenizer, examples[:1], max_length=length) == [row]
    with pytest.raises(TrainingError, match=rf"example 'apple-0' has {length} tokens, more than train\.max_length={length - 1};"):
        encode_rows(tokenizer, examples[:1], max_length=length - 1)


def test_a_row_cut_after_its_decision_ends_there(load_tiny, examples):
    """The short row is the beginning of the long one, up to the last token of the label, and only the label weighs."""
    tokenizer = load_tiny().tokenizer
    for example, row in zip(examples, encode_rows(tokenizer, examples, max_length=2048, decision_weight=10), strict=True):
        short = row.shorten()
        start, end = row.decision_span

        assert short.input_ids == row.input_ids[:end]
        assert tokenizer.decode(short.input_ids[short.prompt_length :]) == '{"decision": "' + example.decision
        assert short.loss_weights() == [0] * start + [10] * (end - start)


def test_a_weighted_answer_stays_in_a_short_row_up_to_its_quote(load_tiny, examples):
    """Where the decision is correct the short row ends with the closing quote, and the answer's tokens share its weight."""
    tokenizer = load_tiny().tokenizer
    rows = encode_rows(tokenizer, examples, max_length=2048, decision_weight=10, answer_weight=3)
    for example, row in zip(examples, rows, strict=True):
        short = row.shorten()
        text = tokenizer.decode(short.input_ids[short.prompt_length :])
        if example.decision != "correct":
            assert text == '{"decision": "' + example.decision
            assert sum(short.loss_weights()) == pytest.approx(10 * (row.decision_span[1] - row.decision_span[0]))
            continue
        start, end = row.answer_span

        assert text.rstrip(",") == '{"decision": "correct", "answer": ' + json.dumps(example.answer, ensure_ascii=False)
        assert short.loss_weights()[start:] == pytest.approx([3 / (end - start)] * (end - start))
        assert row.loss_weights()[start] == pytest.approx(3 / (end - start) + 1 / (len(row.input_ids) - row.prompt_length))


def test_balanced_decisions_weigh_the_same_in_sum(load_tiny, examples):
    """Three correct rows and one refused one: each decision's labels carry half of the decisions' weight."""
    tokenizer = load_tiny().tokenizer
    correct, refuse = (next(e for e in examples if e.decision == decision) for decision in ("correct", "refuse"))
    rows = encode_rows(tokenizer, [correct, correct, correct, refuse], max_length=2048, decision_weight=6, balance=True)

    assert [row.decision_weight for row in rows] == [6 * 4 / (2 * 3)] * 3 + [6 * 4 / (2 * 1)]
