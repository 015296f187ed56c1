"""Plain decisions, and what operators look at."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nescio.models.load import load_adapted_model
from nescio.predict import predict
from nescio.records import Example, Question
from nescio.serve.decider import read_partial_answer
from nescio.serve.monitor import stability_index
from nescio.store import read_json, read_records


def post(url, path, body, *, raw=None, headers=None):
    """Status and content."""
    data = json.dumps(body).encode() if raw is None else raw
    request = urllib.request.Request(url + path, data, {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def get(url, path):
    """Text."""
    with urllib.request.urlopen(url + path, timeout=60) as reply:
        return reply.read().decode()


def test_served_decisions_are_those_of_the_run(url, run_folder):
    """All test questions at once: decision and probabilities are what the predict stage wrote, whoever else is in the batch."""
    examples = read_records(run_folder / "data" / "test.jsonl", Example)
    model = read_json(run_folder / "config.json")["model"]
    loaded = load_adapted_model(model["name"], run_folder / "adapter", dtype=model["dtype"], device=model["device"])
    settings = read_json(run_folder / "config.json")["predict"]
    lengths = {name: settings[name] for name in ("max_answer_chars", "max_justification_chars")}
    expected = predict(
        loaded, [Question(id=e.id, group=e.id, question=e.question, context=e.context) for e in examples], **lengths
    )

    def decide(example):
        return post(url, "/v1/decide", {"question": example.question, "context": example.context})

    with ThreadPoolExecutor(8) as clients:
        served = list(clients.map(decide, examples))

    assert [status for status, _ in served] == [200] * len(examples)
    for (_, told), alone in zip(served, expected, strict=True):
        assert told["decision"] == alone.decision
        for decision, probability in alone.probabilities.items():
            assert told["probabilities"][decision] == pytest.approx(probability, abs=1e-4)
        if told["action"] == "answer":
            assert told["answer"] == alone.answer


def test_a_list_is_answered_in_its_order(url):
    """One record a question."""
    questions = [{"question": f"What is {n} and {n}?"} for n in range(12)]
    status, told = post(url, "/v1/decide", {"questions": questions, "rule": {"threshold": 0}})

    assert status == 200
    assert [one["question"] for one in told] == [one["question"] for one in questions]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "question"),
        ({"question": "  "}, "question"),
        ({"question": "Who?", "rule": {"threshold": "NaN"}}, "threshold"),
        ({"question": "Who?", "contxt": "x"}, "contxt"),
        ({"question": "Who?", "context": "word " * 20000}, "shorten the context"),
    ],
)
def test_bad_questions_are_refused(url, body, message):
    """With 400 and a word on what to do."""
    status, told = post(url, "/v1/decide", body)

    assert status == 400
    assert message in told["error"]["message"]


@pytest.mark.parametrize(
    ("raw", "headers", "status"),
    [
        (b"{not json", {}, 400),
        (b'{"question": "\xff\xfe"}', {}, 400),
        (b"x" * (2 << 20), {}, 413),
        (b"x" * (50 << 20), {}, 413),
    ],
)
def test_bad_bodies_are_refused(url, raw, headers, status):
    """Before anything is made of them."""
    found, told = post(url, "/v1/decide", None, raw=raw, headers=headers)

    assert found == status
    assert told["error"]["message"]


def test_operators_see_what_happens(url):
    """Counts by outcome and by decision, latency, coverage; the server is alive and ready."""
    post(url, "/v1/decide", {"question": "Who?", "rule": {"threshold": 0}})
    told = get(url, "/metrics")

    assert get(url, "/healthz") == get(url, "/readyz") == "ok"
    for name in ('nescio_requests_total{outcome="answered"}', "nescio_decisions_total", "nescio_latency_seconds_bucket"):
        assert name in told
    assert float(told.split("\nnescio_coverage ")[1].split()[0]) > 0


@pytest.mark.parametrize("answer", ['a "b" \\ c', "ä 中 😀", "tab\tline\nend", ""])
def test_a_partial_answer_is_a_beginning_of_the_whole(answer):
    """However the reply is cut, what is read of it begins the answer; and all of it is read in the end."""
    for ascii_only in (True, False):
        text = json.dumps({"decision": "correct", "answer": answer, "justification": "x"}, ensure_ascii=ascii_only)
        parts = [read_partial_answer(text[:end]) for end in range(len(text) + 1)]

        assert all(answer.startswith(part) for part, _ in parts)
        assert [len(part) for part, _ in parts] == sorted(len(part) for part, _ in parts)
        assert parts[-1] == (answer, True)


def test_the_stability_index_by_hand():
    """Alike it is 0; and ten to one against even, with half an item added to each bin."""
    expected = np.arange(100) / 100

    assert stability_index(expected, expected) == pytest.approx(0)
    p, q = np.array([50.5, 50.5]) / 101, np.array([10.5, 0.5]) / 11
    assert stability_index(expected, [0.1] * 10, n_bins=2) == pytest.approx(((p - q) * np.log(p / q)).sum())
    assert stability_index([0.5] * 10, [0.5] * 10) == 0
