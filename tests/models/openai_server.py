"""A server with OpenAI's interface that answers by a hash, and fails on order; run it as a script for tests by hand.

Its answers depend on prompt, temperature and (where it is above 0) seed alone, so that two runs can be compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("error", "rate limit", "time-out", "truncated body", "no choices")


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    attempt: int
    """How often this very body has arrived, from 1."""
    at: float
    """Seconds on the monotonic clock."""


@dataclass(frozen=True)
class Reply:
    """What to send back."""

    body: Any = None
    """JSON, or bytes to send as they are."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    """Wait so long first."""
    missing_bytes: int = 0
    """Announce so many bytes more than are sent, then hang up."""


def answer(received: Received) -> Reply:
    """The right answer."""
    return Reply(make_body(received))


def answer_with_faults(received: Received) -> Reply:
    """The right answer, but for one request in five a fault: which one, and whether, hangs on the request and the attempt."""
    number = digest(received.body, received.attempt)
    if number % 5:
        return answer(received)
    return make_fault(FAULTS[number // 5 % len(FAULTS)], received)


def make_fault(kind: str, received: Received) -> Reply:
    """A reply that goes wrong in one of the ways that servers go wrong."""
    match kind:
        case "error":
            return Reply({"error": {"message": "out of luck"}}, status=500)
        case "rate limit":
            return Reply({"error": {"message": "too fast"}}, status=429, headers={"Retry-After": "0"})
        case "time-out":
            return Reply(make_body(received), after_s=60.0)
        case "truncated body":
            whole = json.dumps(make_body(received)).encode()
            return Reply(whole[: len(whole) // 2], missing_bytes=len(whole) - len(whole) // 2)
        case "no choices":
            return Reply({"choices": []})
    raise AssertionError(kind)


def make_body(received: Received, **choice: Any) -> dict[str, Any]:
    """A successful body in the layout of the path asked; fields of the choice can be replaced."""
    asked = received.body
    seed = asked.get("seed") if asked["temperature"] else None
    number = digest(asked.get("messages", asked.get("prompt")), asked["temperature"], seed)
    tokens = ["The", " answer", f" is {number % 1000}", "."]
    values = [-((number >> shift) % 256) / 64 for shift in (0, 8, 16, 24)]
    if received.path.endswith("/chat/completions"):
        told = {"content": [{"token": t, "logprob": v, "top_logprobs": []} for t, v in zip(tokens, values, strict=True)]}
        filled: dict[str, Any] = {"message": {"role": "assistant", "content": "".join(tokens)}}
    else:
        told = {"tokens": tokens, "token_logprobs": values, "top_logprobs": None}
        filled = {"text": "".join(tokens)}
    filled |= {"index": 0, "finish_reason": "stop", "logprobs": told if asked.get("logprobs") else None}
    return {"id": "x", "model": asked["model"], "choices": [filled | choice]}


def digest(*parts: Any) -> int:
    """A number that hangs on the parts alone."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()[:6], "big")


class OpenAIServer:
    """The server, on a free port of this machine while the context lasts."""

    def __init__(self, reply: Callable[[Received], Reply] = answer, *, port: int = 0) -> None:
        """Take what makes the replies."""
        self.received: list[Received] = []
        self.most_at_once = 0
        self._at_once = 0
        self._reply = reply
        self._attempts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _HTTPServer(("127.0.0.1", port), self._make_handler())

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> OpenAIServer:
        """Begin to serve."""
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; requests that stall are let go."""
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, received: Received) -> Reply:
        """Note the request, count those under way, and make the reply."""
        with self._lock:
            self.received.append(received)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            reply = self._reply(received)
            if reply.after_s:
                self._closing.wait(reply.after_s)
            return reply
        finally:
            with self._lock:
                self._at_once -= 1

    def count_attempt(self, raw: bytes) -> int:
        """How often this body has come, this time included."""
        key = hashlib.sha256(raw).hexdigest()
        with self._lock:
            self._attempts[key] += 1
            return self._attempts[key]

    def _make_handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler inside
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Without these a reply in two writes waits for the client's delayed acknowledgement.
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                attempt = server.count_attempt(raw)
                reply = server.serve(Received(self.path, json.loads(raw), dict(self.headers), attempt, time.monotonic()))
                content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content) + reply.missing_bytes))
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = bool(reply.missing_bytes)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    # A client that has given up keeps its connection's thread stalled until the server closes.
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--faults", action="store_true", help="let one request in five go wrong")
    options = parser.parse_args()
    with OpenAIServer(answer_with_faults if options.faults else answer, port=options.port):
        threading.Event().wait()
