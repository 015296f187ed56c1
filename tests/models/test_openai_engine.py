"""An engine over HTTP: whatever goes wrong on the way, each answer is its own question's, and nothing is made up."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from openai_server import FAULTS, OpenAIServer, Received, Reply, answer, answer_with_faults, make_body, make_fault

from nescio.errors import ConfigError, ModelError
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.openai_engine import OpenAIEngine, Pacer
from nescio.records import Sample

SETTINGS = DrawSettings(temperature=0.7, max_new_tokens=12, stop=("\n",), seed=3)
ASK = SampleRequest("q", messages=({"role": "user", "content": "Who?"},))
ASK_PLAIN = SampleRequest("q", text="Q: Who?\nA:")
ASK_CHOICE = SampleRequest("q", messages=({"role": "user", "content": "Which?"},), options=(" Paris", " Lyon", " Nice"))


def make_requests(count: int, *, indices: tuple[int, ...] = (0, 1, 2, 3)) -> list[SampleRequest]:
    """Half of them chats, half plain texts."""
    plain = [SampleRequest(f"q{n}", text=f"Question {n}?", indices=indices) for n in range(0, count, 2)]
    chats = [
        SampleRequest(f"q{n}", messages=({"role": "user", "content": f"Question {n}?"},), indices=indices)
        for n in range(1, count, 2)
    ]
    return [request for pair in zip(plain, chats, strict=True) for request in pair]


@contextmanager
def serving(reply: Callable[[Received], Reply] = answer, **options: Any) -> Iterator[tuple[OpenAIServer, OpenAIEngine]]:
    """A server, and an engine that is impatient with it."""
    with OpenAIServer(reply) as server:
        yield server, OpenAIEngine(server.url, "m", **{"timeout_s": 10.0, "backoff_s": 0.001, **options})


def draw_one(reply: Callable[[Received], Reply], request: SampleRequest = ASK, **options: Any) -> Sample:
    """The one answer of one request."""
    with serving(reply, **options) as (_, engine):
        (sample,) = engine.draw([request], SETTINGS)
        return sample


def say(content: Any, **choice: Any) -> Callable[[Received], Reply]:
    """Make a server that always says this."""

    def reply(received: Received) -> Reply:
        written = {"message": {"content": content}} if "chat" in received.path else {"text": content}
        return Reply(make_body(received, logprobs=None) | {"choices": [{**written, "finish_reason": "stop", **choice}]})

    return reply


# --- what is sent


def test_a_chat_and_a_plain_text_go_to_their_own_addresses():
    """Messages go to the chat's address as they are, a text to the plain one, each with the settings of the draw."""
    with serving() as (server, engine):
        engine.draw([ASK, ASK_PLAIN], SETTINGS)
    chat, plain = sorted(server.received, key=lambda received: received.path)

    common = {"model": "m", "temperature": 0.0, "max_tokens": 12, "stop": ["\n"], "top_p": 1.0}
    assert (chat.path, plain.path) == ("/v1/chat/completions", "/v1/completions")
    assert chat.body.items() >= ({**common, "logprobs": True}).items()
    assert chat.body["messages"] == [{"role": "user", "content": "Who?"}]
    assert plain.body.items() >= {**common, "logprobs": 1, "prompt": "Q: Who?\nA:"}.items()


def test_only_the_greedy_answer_has_temperature_zero_and_each_has_its_own_seed():
    """Seeds are 31 bits of question, index and seed, so that neither order nor company changes them."""
    with serving() as (server, engine):
        engine.draw([SampleRequest(name, text="Q", indices=(0, 1, 2)) for name in ("a", "b")], SETTINGS)
        engine.draw([SampleRequest("b", text="Q", indices=(2,))], SETTINGS)
        engine.draw([SampleRequest("b", text="Q", indices=(2,))], DrawSettings(seed=4))
    bodies = [received.body for received in server.received]
    seeds = Counter(body["seed"] for body in bodies)

    assert sorted(body["temperature"] for body in bodies[:6]) == [0.0, 0.0, 0.7, 0.7, 0.7, 0.7]
    # Six of the first draw, one of which the second draw repeats, and one of another seed.
    assert sorted(seeds.values()) == [1, 1, 1, 1, 1, 1, 2]
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_further_fields_are_sent_and_identified_and_the_key_is_sent_alone(monkeypatch):
    """What a server needs beyond the common fields is part of the identity; the key is a header and nothing else."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    with serving(extra_body=extra) as (server, engine):
        engine.draw([ASK], SETTINGS)
        identity = engine.identify()

    assert server.received[0].headers["Authorization"] == "Bearer sk-secret"
    assert server.received[0].body["chat_template_kwargs"] == {"enable_thinking": False}
    assert identity == {"engine": "openai", "base_url": server.url, "model": "m", "extra_body": extra}
    assert "sk-secret" not in json.dumps(identity) + repr(engine)


def test_a_question_that_utf8_cannot_hold_is_asked_like_any_other():
    """Half a surrogate pair in one question, or in one reply, does not stop the run, and the sample can be stored."""
    sample = draw_one(say("Par\ud800is"), SampleRequest("q", text="What is \ud83d?"))

    assert sample.text == "Par?is"
    assert json.loads(sample.model_dump_json())["text"] == "Par?is"


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("localhost:8000/v1", {}),
        ("http://", {}),
        ("http://user:word@localhost/v1", {}),
        ("http://localhost/v1?key=1", {}),
        ("http://localhost/v1", {"concurrency": 0}),
        ("http://localhost/v1", {"max_attempts": 0}),
        ("http://localhost/v1", {"timeout_s": 0.0}),
        ("http://localhost/v1", {"requests_per_second": -1.0}),
        ("http://localhost/v1", {"extra_body": {"temperature": 2}}),
        ("http://localhost/v1", {"api_key": "sk-key\nAnother: line"}),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(address, options):
    """Before anything is sent, in one line, and never with the key in it."""
    with pytest.raises(ConfigError) as caught:
        OpenAIEngine(address, "m", **options)

    assert "\n" not in str(caught.value)
    assert "sk-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("http://10.0.0.7/v1", True),
        ("https://10.0.0.7/v1", False),
        ("http://127.0.0.1/v1", False),
        ("http://localhost/v1", False),
    ],
)
def test_a_key_in_clear_text_is_warned_of(caplog, address, warned):
    """Where a key would cross the network readable for anybody, one line says so."""
    OpenAIEngine(address, "m", api_key="sk-key")

    assert [record.getMessage() for record in caplog.records] == (
        [f"the API key goes to {address} in clear text; use https"] if warned else []
    )


# --- what comes back


def test_samples_come_in_the_order_of_requests_and_indices():
    """Replies that overtake one another change nothing: the first request is answered last here."""

    def slow_first(received: Received) -> Reply:
        return Reply(make_body(received), after_s=0.2 if "Question 0" in json.dumps(received.body) else 0.0)

    requests = make_requests(6, indices=(2, 0))
    done: list[int] = []
    with serving(slow_first) as (_, engine):
        samples = engine.draw(requests, SETTINGS, on_done=done.append)
        alone = [sample for request in reversed(requests) for sample in engine.draw([request], SETTINGS)]

    assert [(sample.question_id, sample.index) for sample in samples] == [(f"q{n}", index) for n in range(6) for index in (2, 0)]
    assert sorted(samples, key=repr) == sorted(alone, key=repr)
    assert done == [1, 2, 3, 4, 5, 6]


def test_no_requests_give_no_samples():
    """Nothing is asked where nothing is wanted."""
    with serving() as (server, engine):
        assert engine.draw([], SETTINGS) == []
        assert engine.draw([SampleRequest("q", text="Q", indices=())], SETTINGS) == []
        assert server.received == []


def test_drawing_works_inside_a_running_loop():
    """A notebook has an event loop of its own."""
    with serving() as (_, engine):

        async def cell() -> list[Sample]:
            return engine.draw([ASK], SETTINGS)

        assert asyncio.run(cell())[0].failure is None


@pytest.mark.parametrize("request_", [ASK, ASK_PLAIN])
def test_text_and_log_probabilities_are_kept(request_):
    """Both layouts of the two addresses are read."""
    told = [-0.25, -0.5]
    layouts = [
        {"content": [{"token": "Pa", "logprob": told[0]}, {"token": "ris", "logprob": told[1]}]},
        {"tokens": ["Pa", "ris"], "token_logprobs": told, "top_logprobs": [{"Pa": -0.25}, {"ris": -0.5}]},
    ]
    for layout in layouts:
        sample = draw_one(say(" Paris ", logprobs=layout), request_)

        assert sample == Sample(question_id="q", index=0, text="Paris", log_probabilities=(-0.25, -0.5))


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"content": None},
        {"content": [{"token": "Paris"}]},
        {"content": [{"token": "Paris", "logprob": -math.inf}]},
        {"tokens": ["Paris"], "token_logprobs": [None], "top_logprobs": None},
        {"tokens": ["Pa", "ris"], "token_logprobs": [-1.0], "top_logprobs": None},
    ],
)
def test_log_probabilities_that_are_not_all_there_are_left_out(told):
    """Half of them would pass for all; an answer without them is still an answer."""
    sample = draw_one(say("Paris", logprobs=told))

    assert (sample.text, sample.log_probabilities, sample.failure) == ("Paris", (), None)


def test_a_server_that_minds_no_stop_is_cut_at_the_first():
    """The text, its log-probabilities and whether it ended are those of an answer that stopped there."""
    tokens = ["Paris", ".", "\n", "Q", ":"]
    told = {"content": [{"token": token, "logprob": -float(place)} for place, token in enumerate(tokens)]}
    sample = draw_one(say("".join(tokens), logprobs=told, finish_reason="length"))

    assert sample.text == "Paris."
    # The stop's own token is kept, what follows is not.
    assert sample.log_probabilities == (0.0, -1.0, -2.0)
    assert sample.ended


def test_an_answer_cut_off_at_its_limit_has_not_ended():
    """The server's word for it is `length`."""
    assert not draw_one(say("Paris is", finish_reason="length")).ended
    assert draw_one(say("Paris", finish_reason="stop")).ended


def test_an_empty_answer_is_an_answer():
    """A model may say nothing; that is not the server's failure."""
    assert draw_one(say("")) == Sample(question_id="q", index=0, text="")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("content", [None, "", "\n"])
def test_reasoning_without_an_answer_is_a_failure_that_says_so(field, content):
    """It is not asked again: with the same limits it would end the same way."""
    with serving(say(content, message={"content": content, field: "Well, "}, finish_reason="length")) as (server, engine):
        (sample,) = engine.draw([ASK], SETTINGS)

    assert sample.failure is not None
    assert "reasoning" in sample.failure
    assert len(server.received) == 1


def test_a_refusal_kept_apart_is_the_answer():
    """It is what the user would have read."""
    assert draw_one(say(None, message={"content": None, "refusal": "I cannot say."})).text == "I cannot say."


# --- multiple choice


@pytest.mark.parametrize(
    ("reply", "choice"),
    [("B", 1), ("B.", 1), ("(B) Lyon", 1), ("The answer is B.", 1), ("Answer: C", 2), ("lyon", 1), ("Lyon.", 1), ("**C**", 2)],
)
def test_an_option_is_named_by_letter_or_text(reply, choice):
    """The sample's text is the option as it was offered."""
    sample = draw_one(say(reply), ASK_CHOICE)

    assert (sample.choice, sample.text) == (choice, ("Paris", "Lyon", "Nice")[choice])


@pytest.mark.parametrize("reply", ["A city in France", "Marseille", "D", "Be careful", "", "Paris or Lyon", "A, B or C"])
def test_a_reply_that_names_no_option_is_kept_as_it_is(reply):
    """What cannot be told is not guessed."""
    sample = draw_one(say(reply), ASK_CHOICE)

    assert (sample.choice, sample.text, sample.failure) == (None, reply, None)


def test_log_likelihoods_of_options_come_from_the_first_token():
    """A letter's spellings with and without a space add up: 0.25 + 0.25 of B; without all letters there are none."""
    top = [("B", 0.25), (" B", 0.25), ("A", 0.375), ("C", 0.125)]

    def told(entries: list[tuple[str, float]]) -> dict[str, Any]:
        listed = [{"token": token, "logprob": math.log(p)} for token, p in entries]
        return {"content": [{"token": "B", "logprob": math.log(0.25), "top_logprobs": listed}]}

    sample = draw_one(say("B", logprobs=told(top)), ASK_CHOICE)

    assert sample.option_log_likelihoods == pytest.approx([math.log(0.375), math.log(0.5), math.log(0.125)])
    assert draw_one(say("B", logprobs=told(top[:3])), ASK_CHOICE).option_log_likelihoods == ()
    # Named by its text, the first token speaks of no letter.
    assert draw_one(say("Lyon", logprobs=told(top)), ASK_CHOICE).option_log_likelihoods == ()


# --- faults


def test_faults_on_one_request_in_five_change_no_sample():
    """2,000 answers, with errors, rate limits, time-outs, truncated bodies and empty replies between: all the same as without."""
    requests = make_requests(500)
    kinds: Counter[int] = Counter()

    def faulty(received: Received) -> Reply:
        reply = answer_with_faults(received)
        kinds[2 if reply.after_s else 1 if reply.missing_bytes else reply.status if reply.body != {"choices": []} else 3] += 1
        return reply

    with serving() as (_, engine):
        undisturbed = engine.draw(requests, SETTINGS)
    with serving(faulty, timeout_s=0.5, concurrency=32) as (_, engine):
        disturbed = engine.draw(requests, SETTINGS)

    assert disturbed == undisturbed
    assert all(sample.failure is None and sample.text for sample in disturbed)
    # Every kind occurred, and together they were about one in five.
    assert min(kinds[kind] for kind in (1, 2, 3, 429, 500)) > 20
    assert 0.15 < 1 - kinds[200] / kinds.total() < 0.25


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_that_lasts_is_the_failure_of_its_own_sample(kind):
    """After the last attempt the sample says what went wrong; its neighbours have their own answers."""

    def one_breaks(received: Received) -> Reply:
        return make_fault(kind, received) if "Question 3?" in json.dumps(received.body) else answer(received)

    requests = make_requests(8, indices=(0, 1))
    with serving() as (_, engine):
        expected = engine.draw(requests, SETTINGS)
    with serving(one_breaks, max_attempts=3, timeout_s=0.5) as (server, engine):
        samples = engine.draw(requests, SETTINGS)
    broken = [sample for sample in samples if sample.question_id == "q3"]

    assert [sample for sample in samples if sample.question_id != "q3"] == [s for s in expected if s.question_id != "q3"]
    assert [sample.index for sample in broken] == [0, 1]
    assert all((sample.failure or "").startswith("no answer in 3 attempts; the last: ") for sample in broken)
    assert max(received.attempt for received in server.received) == 3


@pytest.mark.parametrize("body", [{"choices": [{"message": {"content": None}}]}, {"choices": None}, [], b"<html>", b""])
def test_a_reply_without_an_answer_is_asked_for_again(body):
    """Null content, missing choices and what is not JSON are slips of the server."""
    sample = draw_one(lambda received: Reply(body) if received.attempt == 1 else answer(received))

    assert sample.failure is None
    assert sample.text.startswith("The answer is")


def test_what_the_server_refuses_is_not_asked_again():
    """A request that is wrong stays wrong; the sample has the server's words on one line."""
    said = {"error": {"message": "maximum context length\nis 4096 tokens", "type": "BadRequestError", "param": None}}
    with serving(lambda _: Reply(said, status=400)) as (server, engine):
        (sample,) = engine.draw([ASK], SETTINGS)

    assert sample.failure == "the server refused the request (400): maximum context length is 4096 tokens"
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"object": "error", "message": "no good"}, "no good"),
        ({"error": "no good"}, "no good"),
        ({"detail": "no good"}, "no good"),
        ({"detail": [{"loc": ["body", "prompt"], "msg": "no good", "input": {}}]}, "'prompt': no good"),
        (b"<html>", "Unprocessable Entity"),
    ],
)
def test_the_dialects_of_error_messages_are_understood(said, words):
    """vLLM, Ollama, FastAPI and proxies each put it elsewhere."""
    assert draw_one(lambda _: Reply(said, status=422)).failure == f"the server refused the request (422): {words}"


def test_retry_after_is_respected():
    """Nothing is sent before the time that the server names is over."""

    def busy_once(received: Received) -> Reply:
        if received.attempt == 1:
            return Reply({"error": {"message": "busy"}}, status=503, headers={"Retry-After": "0.4"})
        return answer(received)

    with serving(busy_once) as (server, engine):
        (sample,) = engine.draw([ASK], SETTINGS)

    assert sample.failure is None
    assert server.received[1].at - server.received[0].at >= 0.4


def test_delays_grow_and_hang_on_the_seed_alone(monkeypatch):
    """Each is between half of and the whole of twice the one before, and a second run has the same."""
    runs: list[list[float]] = []
    sleep = asyncio.sleep
    for _ in range(2):
        delays: list[float] = []

        async def note(seconds: float, delays: list[float] = delays) -> None:
            delays.append(seconds)
            await sleep(0)

        with (
            monkeypatch.context() as patch,
            serving(lambda _: Reply({}, status=500), max_attempts=8, backoff_s=1.0) as (_, engine),
        ):
            patch.setattr("nescio.models.openai_engine.asyncio.sleep", note)
            engine.draw([ASK], SETTINGS)
        runs.append([delay for delay in delays if delay])

    assert runs[0] == runs[1]
    assert all(whole / 2 <= delay <= whole for delay, whole in zip(runs[0], [1, 2, 4, 8, 16, 30, 30], strict=True))


def test_requests_under_way_never_exceed_the_bound():
    """The bound is reached, too: nobody idles."""
    with serving(lambda received: Reply(make_body(received), after_s=0.02), concurrency=5) as (server, engine):
        engine.draw(make_requests(20), SETTINGS)

    assert server.most_at_once == 5


def test_the_rate_limit_holds():
    """30 requests at 100 a second take 29 intervals of 10 ms."""
    with serving(requests_per_second=100.0) as (server, engine):
        started = time.monotonic()
        engine.draw(make_requests(30, indices=(0,)), SETTINGS)

        assert time.monotonic() - started >= 0.29
    assert len(server.received) == 30


def test_the_pacer_spaces_turns_and_holds_them_back():
    """On a clock of its own: turns at 0, 0.5, 1.0 seconds, then none before the hold is over."""
    now = 0.0
    turns = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def take_turns() -> None:
        pacer = Pacer(2.0, clock=lambda: now, sleep=sleep)
        for turn in range(5):
            if turn == 3:
                pacer.hold(4.0)
            await pacer.wait()
            turns.append(now)

    asyncio.run(take_turns())

    # The hold is asked for at 1.0, so the fourth turn is at 5.0.
    assert turns == [0.0, 0.5, 1.0, 5.0, 5.5]


# --- what stops the run


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply({"error": {"message": "Incorrect API key\nprovided: sk-key"}}, status=401), "OPENAI_API_KEY"),
        (Reply({"error": {"message": "forbidden"}}, status=403), "OPENAI_API_KEY"),
        (Reply({"error": {"message": "The model `m` does not exist."}}, status=404), "the model 'm'"),
        (Reply({"error": {"message": "pay", "code": "insufficient_quota"}}, status=429), "account"),
        (Reply({"error": {"message": "pay"}}, status=402), "account"),
        (Reply({}, status=307, headers={"Location": "http://elsewhere/"}), "http://elsewhere/"),
        (Reply({}, status=429, headers={"Retry-After": "86400"}), "86400 s"),
    ],
)
def test_what_every_request_would_meet_stops_the_run(reply, words):
    """One line that says what to do, without the key, and after hardly more requests than are under way at once."""
    with serving(lambda _: reply, api_key="sk-key", concurrency=4) as (server, engine):
        with pytest.raises(ModelError) as caught:
            engine.draw(make_requests(200), SETTINGS)

        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "sk-key" not in str(caught.value)
        assert len(server.received) <= 8


def test_a_prompt_that_is_forbidden_does_not_stop_a_run_that_was_answered():
    """Some servers refuse a prompt's contents by 403; behind an answer the key is known to be right."""

    def forbid_one(received: Received) -> Reply:
        bad = "Question 3?" in json.dumps(received.body)
        return Reply({"error": {"message": "flagged"}}, status=403) if bad else answer(received)

    with serving(forbid_one, concurrency=1) as (_, engine):
        samples = engine.draw(make_requests(6, indices=(0,)), SETTINGS)

    assert [sample.failure for sample in samples if sample.failure] == ["the server refused the request (403): flagged"]


def test_nobody_at_the_address_stops_the_run(caplog):
    """It is said at the first attempt that nobody answers, and in the end what to look for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engine = OpenAIEngine(f"http://127.0.0.1:{port}/v1", "m", max_attempts=3, backoff_s=0.01)

    with pytest.raises(ModelError, match="is the server running"):
        engine.draw(make_requests(20), SETTINGS)
    assert len(caplog.records) == 1


def test_a_server_that_starts_late_is_waited_for():
    """A connection that is refused counts as any other fault."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engine = OpenAIEngine(f"http://127.0.0.1:{port}/v1", "m", backoff_s=0.2)
    late: list[OpenAIServer] = []

    def start() -> None:
        time.sleep(0.5)
        late.append(OpenAIServer(port=port).__enter__())

    thread = threading.Thread(target=start)
    thread.start()
    samples = engine.draw(make_requests(4), SETTINGS)
    thread.join()
    late[0].__exit__()

    assert all(sample.failure is None for sample in samples)


# --- parameters that a server does not take


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("seed", {"error": {"message": "Unknown field.", "param": "seed"}}),
        ("logprobs", {"error": {"message": "This server doesn't support logprobs.", "param": None}}),
        ("top_p", {"error": {"message": "Unsupported parameter: top_p", "code": 400}}),
        ("stop", {"detail": [{"loc": ["body", "stop"], "msg": "Extra inputs are not permitted"}]}),
        ("max_tokens", {"error": {"message": "Unsupported: 'max_tokens'. Use 'max_completion_tokens' instead."}}),
    ],
)
def test_a_parameter_that_is_refused_is_dropped_once(caplog, parameter, said):
    """The request goes out again without it, all later ones go without it at once, and one line says so."""
    caplog.set_level(logging.WARNING)

    def picky(received: Received) -> Reply:
        return Reply(said, status=400) if parameter in received.body else answer(received)

    with serving(picky, concurrency=1) as (server, engine):
        samples = engine.draw(make_requests(4), SETTINGS)

    assert all(sample.failure is None for sample in samples)
    assert sum(parameter in received.body for received in server.received) == 1
    assert len(server.received) == len(samples) + 1
    assert engine.dropped == {parameter}
    assert [parameter in record.getMessage() for record in caplog.records] == [True]
    assert ("max_completion_tokens" in server.received[-1].body) == (parameter == "max_tokens")


def test_a_parameter_that_was_not_at_fault_is_kept():
    """A message may speak of the seed for another reason; nothing is dropped for all unless that helped."""

    def confused(received: Received) -> Reply:
        bad = "Question 1?" in json.dumps(received.body)
        return Reply({"error": {"message": "cannot fit the 'seed' and the prompt"}}, status=400) if bad else answer(received)

    with serving(confused) as (server, engine):
        samples = engine.draw(make_requests(4, indices=(0,)), SETTINGS)

    assert [sample.question_id for sample in samples if sample.failure] == ["q1"]
    assert engine.dropped == set()
    assert sum("seed" not in received.body for received in server.received) == 1
