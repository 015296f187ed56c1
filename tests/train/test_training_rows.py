"""Training rows read exactly as prediction asks, and answer in the structured reply."""

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


def test_decision_weight_falls_on_the_decision_only(load_tiny, examples):
    """The heavy tokens spell the decision; every other token of the completion, the end token too, weighs 1."""
    tokenizer = load_tiny().tokenizer
    for example, row in zip(examples, encode_rows(tokenizer, examples, max_length=2048, decision_weight=10), strict=True):
        completion = row.input_ids[row.prompt_length :]
        heavy = [token for token, weight in zip(completion, row.weights, strict=True) if weight == 10]

        assert tokenizer.decode(heavy) == example.decision
        assert sorted(set(row.weights)) == [1, 10]


def test_decision_that_stands_in_the_answer_too_weighs_once(load_tiny, examples):
    """Only the decision's own place is heavy, not the same word in the answer."""
    tokenizer = load_tiny().tokenizer
    example = examples[0].model_copy(update={"answer": "That is correct, quite correct."})
    row = encode_rows(tokenizer, [example], max_length=2048, decision_weight=10)[0]
    heavy = [token for token, weight in zip(row.input_ids[row.prompt_length :], row.weights, strict=True) if weight == 10]

    assert tokenizer.decode(heavy) == "correct"


def test_limit_holds_to_the_token(load_tiny, examples):
    """A row of exactly the longest length passes; one token less stops the run and names the example, length and limit."""
    tokenizer = load_tiny().tokenizer
    row = encode_rows(tokenizer, examples[:1], max_length=2048)[0]
    length = len(row.input_ids)

    assert encode_rows(tokenizer, examples[:1], max_length=length) == [row]
    with pytest.raises(TrainingError, match=rf"example 'apple-0' has {length} tokens, more than train\.max_length={length - 1};"):
        encode_rows(tokenizer, examples[:1], max_length=length - 1)


def test_a_row_cut_after_its_decision_ends_there(load_tiny, examples):
    """The short row is the beginning of the long one, up to the last token of the label, with the same weights."""
    tokenizer = load_tiny().tokenizer
    for example, row in zip(examples, encode_rows(tokenizer, examples, max_length=2048, decision_weight=10), strict=True):
        short = row.cut_after_decision()

        assert short.input_ids == row.input_ids[: len(short.input_ids)]
        text = tokenizer.decode(short.input_ids[short.prompt_length :])
        assert text.startswith('{"decision": "' + example.decision)
        assert len(text) <= len('{"decision": "' + example.decision + '"')
        assert short.weights == row.weights[: len(short.weights)]
        assert short.weights[-1] == 10


def test_balanced_decisions_weigh_the_same_in_sum(load_tiny, examples):
    """Three correct rows and one refused one: each decision's labels carry half of the decisions' weight."""
    tokenizer = load_tiny().tokenizer
    correct, refuse = (next(e for e in examples if e.decision == decision) for decision in ("correct", "refuse"))
    rows = encode_rows(tokenizer, [correct, correct, correct, refuse], max_length=2048, decision_weight=6, balance=True)
    labels = [max(row.weights) for row in rows]

    assert labels == [6 * 4 / (2 * 3)] * 3 + [6 * 4 / (2 * 1)]
