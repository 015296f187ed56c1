"""The server as a process: signals, clients that hang up, a mistaken start."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time

import openai
import pytest
from test_decide import get, post
from test_openai_client import ask

PATIENCE = 90


@pytest.fixture
def start(run_folder, tmp_path):
    """Starts `nescio serve` with further options; what runs at the end of a test is killed."""
    started = []

    def go(*options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "nescio", "serve", str(run_folder), "--port", str(port), *options]
        with (tmp_path / "stderr").open("wb") as stderr:
            process = subprocess.Popen(command, stderr=stderr)
        started.append(process)
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: is_up(url), process)
        return process, url

    yield go
    for process in started:
        process.kill()
        process.wait()


def is_up(url):
    """Whether it takes questions."""
    try:
        return get(url, "/readyz") == "ok"
    except OSError:
        return False


def wait_for(condition, process=None):
    """Until then; not for ever, and not for a server that has ended."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        assert process is None or process.poll() is None, "the server has ended"
        time.sleep(0.05)


def test_a_changed_policy_is_taken_up_on_hangup_and_a_mistaken_one_is_not(start, tmp_path):
    """Without a restart."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("rule: {threshold: 0.0}")
    process, url = start("--policy", str(policy))

    def action():
        return post(url, "/v1/decide", {"question": "Who?"})[1]["action"]

    assert action() == "answer"
    policy.write_text("rule: {threshold: 1.0, below: refuse}")
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: action() == "refuse", process)
    policy.write_text("rule: {treshold: 0.0}")
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: b"policy not changed" in (tmp_path / "stderr").read_bytes(), process)
    assert action() == "refuse"


def test_what_was_accepted_is_answered_before_the_end(start):
    """SIGTERM under load: every request that was taken gets its reply, and the process ends in order."""
    process, url = start("--max-rows", "4")
    replies, threads = [], []
    for n in range(24):
        thread = threading.Thread(target=lambda n=n: replies.append(post(url, "/v1/decide", {"question": f"What is {n}?"})))
        thread.start()
        threads.append(thread)
    wait_for(lambda: in_flight(url) >= 8, process)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(PATIENCE)

    assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
    assert len(replies) == 24
    assert {status for status, _ in replies} <= {200, 503}
    assert sum(status == 200 for status, _ in replies) >= 8


def in_flight(url):
    """Questions accepted and not yet answered."""
    return float(get(url, "/metrics").split("\nnescio_queue_length ")[1].split()[0])


def test_a_client_that_hangs_up_leaves_the_batch(decider, url):
    """Nothing is written for nobody."""

    def cancelled():
        found = re.search(r'nescio_requests_total\{outcome="cancelled"\} (\S+)', get(url, "/metrics"))
        return float(found[1]) if found else 0.0

    before = cancelled()
    streams = [ask(url, stream=True, messages=[{"role": "user", "content": f"What is {n}?"}]) for n in range(6)]
    for stream in streams:
        next(iter(stream))
        stream.close()

    wait_for(lambda: decider.in_flight == 0)
    assert cancelled() > before
    assert ask(url).choices[0].message.content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which run? give the folder of a finished one"),
        (("no/such/run",), "'no/such/run' has no config.json; give the folder of a finished run"),
    ],
)
def test_a_mistaken_start_is_one_line(arguments, message):
    """And exit code 2."""
    done = subprocess.run([sys.executable, "-m", "nescio", "serve", *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_key_becomes_its_digest(run_folder):
    """That of sha256sum."""
    done = subprocess.run(
        [sys.executable, "-m", "nescio", "serve", "--hash-key"], input="secret\n", capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"


def test_the_error_of_a_stream_is_raised_by_the_client(decider, monkeypatch, url):
    """A model that fails midway is an API error, not the end of a text."""
    from nescio.errors import ModelError

    async def failing(_):
        raise ModelError("no such luck")
        yield

    monkeypatch.setattr(decider, "decide", failing)
    with pytest.raises(openai.APIError, match="no such luck"):
        list(ask(url, stream=True))
    with pytest.raises(openai.InternalServerError, match="no such luck"):
        ask(url)
