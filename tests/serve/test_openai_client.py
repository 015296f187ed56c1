"""The official `openai` client, unchanged but for its base URL."""

import json
import math

import openai
import pytest
from serving import serving

from nescio.models.prompt import REFUSAL

QUESTION = [{"role": "user", "content": "What is the capital of Peru?"}]


def ask(url, *, key="none", **body):
    """A completion."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)
    return client.chat.completions.create(**{"model": "nescio", "messages": QUESTION} | body)


def test_a_reply_is_a_completion_with_a_decision(url):
    """Content, usage and finish reason are where the client looks for them; the decision is beside them."""
    reply = ask(url)

    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    told = reply.nescio
    assert math.isclose(sum(told["probabilities"].values()), 1, abs_tol=1e-6)
    assert told["decision"] == max(told["probabilities"], key=told["probabilities"].get)
    assert 0 <= told["confidence"] <= 1
    assert told["bin"]["lower"] <= told["confidence"] <= told["bin"]["upper"]
    assert told["justification"]


def test_models_are_listed(url):
    """The run is the model."""
    [model] = openai.OpenAI(base_url=f"{url}/v1", api_key="none").models.list().data

    assert model.id == ask(url).model


def test_a_stream_adds_up_to_the_reply(url):
    """Piece by piece the same text; confidence comes before the first of them."""
    whole = ask(url)
    chunks = list(ask(url, stream=True, stream_options={"include_usage": True}))

    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert sum(bool(piece) for piece in pieces) > 1
    told = [place for place, chunk in enumerate(chunks) if getattr(chunk, "nescio", None)]
    assert told[0] < next(place for place, piece in enumerate(pieces) if piece)
    assert chunks[told[-1]].nescio == whole.nescio
    assert chunks[-1].usage == whole.usage


def test_logprobs_are_of_the_answers_tokens(url):
    """With as many alternatives as asked for, likeliest first; their texts add up to the answer."""
    choice = ask(url, logprobs=True, top_logprobs=3).choices[0]

    content = choice.logprobs.content
    assert "".join(one.token for one in content).startswith(choice.message.content)
    assert all(one.logprob <= 0 for one in content)
    picked = [one for one in content if one.top_logprobs]
    assert picked
    assert all(len(one.top_logprobs) == 3 for one in picked)
    assert all(one.top_logprobs[0].logprob >= one.top_logprobs[1].logprob for one in picked)


def test_the_structured_reply_on_demand(url):
    """`response_format` of JSON: the content is the whole reply."""
    content = ask(url, response_format={"type": "json_object"}).choices[0].message.content

    assert set(json.loads(content)) == {"decision", "answer", "justification", "evidence_quality"}


@pytest.mark.parametrize(("threshold", "action"), [(0.0, "answer"), (1.0, "refuse")])
def test_a_threshold_decides(url, threshold, action):
    """At 0 everything is answered, at 1 nothing; below it the fixed sentence."""
    reply = ask(url, extra_body={"nescio": {"rule": {"threshold": threshold, "below": "refuse"}}})

    assert (reply.nescio["action"], reply.nescio["decided_by"]) == (action, "threshold")
    assert (reply.choices[0].message.content == REFUSAL) == (action == "refuse")


def test_an_answer_is_cut_where_it_is_asked_to_be(url):
    """`max_tokens` counts the answer's tokens."""
    choice = ask(url, max_tokens=2).choices[0]

    assert choice.finish_reason == "length"
    assert ask(url).choices[0].message.content.startswith(choice.message.content)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"n": 2}, "n: "),
        ({"top_p": 0.5}, "top_p: "),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, "response_format.type"),
        ({"messages": [{"role": "assistant", "content": "I say"}]}, "the last message must be the user's question"),
        ({"messages": []}, "messages: "),
        ({"extra_body": {"nescio": {"rule": {"threshold": 1.5}}}}, "nescio.rule.threshold"),
        ({"extra_body": {"nescio": {"rule": {"threshold": 0.5, "costs": {"wrong": 1}}}}}, "a threshold or costs, not both"),
        ({"extra_body": {"max_thinking": 3}}, "max_thinking"),
        ({"messages": [{"role": "user", "content": "why? " * 5000}]}, "shorten the context"),
    ],
)
def test_bad_requests_are_the_clients_own_exception(url, body, message):
    """With a word on what is wrong."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(url, **body)
    assert message in str(caught.value)


def test_keys_open_the_door(decider):
    """A missing or wrong key is an authentication error; each key has a rule of its own."""
    import hashlib

    digest = hashlib.sha256(b"secret").hexdigest()
    policy = {"keys": [{"name": "ops", "sha256": digest, "rule": {"threshold": 1.0, "below": "refuse"}}]}
    from nescio.serve.policy import Policy

    with serving(decider, Policy.model_validate(policy)) as url:
        with pytest.raises(openai.AuthenticationError, match="Authorization: Bearer KEY"):
            ask(url, key="wrong")
        assert ask(url, key="secret").nescio["action"] == "refuse"


def test_too_many_at_once_are_told_to_come_again(decider):
    """A rate limit, which clients wait for and retry."""
    with serving(decider, max_in_flight=0) as url, pytest.raises(openai.RateLimitError, match="ask again in a moment"):
        ask(url)
