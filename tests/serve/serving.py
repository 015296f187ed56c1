"""A server on a port of its own, in a thread."""

import socket
import threading
import time
from contextlib import contextmanager

import uvicorn

from nescio.serve.app import make_app
from nescio.serve.policy import Policy


@contextmanager
def serving(decider, policy=None, **settings):
    """The base URL of a server that runs in a thread."""
    app = make_app(decider, policy or Policy(), **settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline, "the server has not started"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
