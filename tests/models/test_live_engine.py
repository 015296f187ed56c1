"""Programs that come and go while others run: each gets what it would get alone, and none takes another along."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from test_torch_engine import TOLERANCE, plain_logits, ragged_rows, random_tokens

from nescio.errors import ModelError
from nescio.models.live_engine import CancelledRowError, LiveEngine
from nescio.models.torch_engine import Feed, TorchEngine

PATIENCE = 60
"""Seconds after which a test gives up waiting."""


class Ending:
    """Waits for a program's end, and knows how it ended."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self.times = 0
        self.error: Exception | None = None

    def __call__(self, error: Exception | None) -> None:
        """The program has ended."""
        self.times += 1
        self.error = error
        self._ended.set()

    def wait(self) -> Ending:
        """Until then."""
        assert self._ended.wait(PATIENCE), "the program has not ended"
        return self


class Endless:
    """A row that reads one token after the other until somebody stops it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.closed = False

    def program(self) -> Any:
        """Go on and on."""
        try:
            while True:
                yield Feed([7], keep=0)
                self.begun.set()
        finally:
            self.closed = True


@pytest.fixture
def model(tiny_model: Callable[[str], Any]) -> Any:
    """A tiny one."""
    return tiny_model("llama").model


@pytest.fixture
def engine(model: Any) -> Iterator[LiveEngine]:
    """Closed after the test."""
    live = LiveEngine(TorchEngine(model, max_rows=4))
    yield live
    live.close(seconds=PATIENCE)
    assert not live.alive


def test_programs_from_many_threads_get_the_models_own_logits(model: Any, engine: LiveEngine) -> None:
    """Twenty clients at once, in a batch of four: everyone's logits are those of the plain forward pass."""
    rows = ragged_rows(20, seed=5)
    endings = [Ending() for _ in rows]
    clients = [
        threading.Thread(target=engine.submit, args=(row.program(), ending)) for row, ending in zip(rows, endings, strict=True)
    ]
    for client in clients:
        client.start()
    for ending in endings:
        assert ending.wait().error is None

    assert max(row.largest_error(model, []) for row in rows) < TOLERANCE
    assert [ending.times for ending in endings] == [1] * len(rows)


def test_a_program_joins_others_that_run(engine: LiveEngine) -> None:
    """It does not wait for them to end."""
    endless, quick = Endless(), Ending()
    ticket = engine.submit(endless.program(), Ending())
    assert endless.begun.wait(PATIENCE)
    engine.submit(ragged_rows(1, seed=1)[0].program(), quick)

    assert quick.wait().error is None
    assert engine.running == 1
    ticket.cancel()


def test_a_cancelled_program_leaves_the_batch(engine: LiveEngine) -> None:
    """At its next step, cleaned up, its forks with it; its place is free for others."""
    endless, fork, ending = Endless(), Endless(), Ending()

    def parent() -> Any:
        yield Feed([3, 4])
        yield Feed([5], forks=[fork.program()])
        yield from endless.program()

    ticket = engine.submit(parent(), ending)
    assert endless.begun.wait(PATIENCE)
    assert fork.begun.wait(PATIENCE)
    ticket.cancel()

    assert isinstance(ending.wait().error, CancelledRowError)
    assert endless.closed
    assert fork.closed
    assert engine.running == 0


def test_one_that_is_cancelled_before_it_begins_never_begins(engine: LiveEngine) -> None:
    """Though it waited behind a full batch."""
    running = [engine.submit(Endless().program(), Ending()) for _ in range(4)]
    late, ending = Endless(), Ending()
    ticket = engine.submit(late.program(), ending)
    ticket.cancel()
    for one in running:
        one.cancel()

    assert isinstance(ending.wait().error, CancelledRowError)
    assert not late.begun.is_set()


def test_a_program_that_fails_fails_alone(model: Any, engine: LiveEngine) -> None:
    """Its error reaches its own caller; rows beside it are as they would have been."""

    def failing() -> Any:
        yield Feed([3])
        raise ArithmeticError("no such number")

    row, good, bad = ragged_rows(1, seed=2)[0], Ending(), Ending()
    engine.submit(failing(), bad)
    engine.submit(row.program(), good)

    assert isinstance(bad.wait().error, ArithmeticError)
    assert good.wait().error is None
    assert row.largest_error(model, []) < TOLERANCE


def test_a_pass_that_fails_ends_its_programs_and_no_later_ones(model: Any, engine: LiveEngine) -> None:
    """As when memory runs out once: everyone in the batch hears of it, and the engine goes on."""
    endless, bad = Endless(), Ending()
    engine.submit(endless.program(), bad)
    assert endless.begun.wait(PATIENCE)
    broken = Ending()
    engine.submit((Feed([]) for _ in range(1)), broken)  # a feed without tokens cannot be run

    assert isinstance(bad.wait().error, ValueError)
    assert isinstance(broken.wait().error, ValueError)
    row, good = ragged_rows(1, seed=3)[0], Ending()
    engine.submit(row.program(), good)
    assert good.wait().error is None
    assert row.largest_error(model, []) < TOLERANCE


def test_a_listener_that_fails_takes_no_other_along(engine: LiveEngine, caplog: pytest.LogCaptureFixture) -> None:
    """As an event loop that was closed under it; and it is said."""

    def gone(_: Exception | None) -> None:
        raise RuntimeError("the loop is closed")

    ending = Ending()
    engine.submit(ragged_rows(1, seed=6)[0].program(), gone)
    engine.submit(ragged_rows(1, seed=7)[0].program(), ending)

    assert ending.wait().error is None
    assert engine.alive
    engine.close(seconds=PATIENCE)
    assert "nobody heard" in caplog.text


def test_closing_ends_what_was_accepted_and_takes_no_more(model: Any) -> None:
    """Every program that was taken is run to its end."""
    live = LiveEngine(TorchEngine(model, max_rows=2))
    rows = ragged_rows(9, seed=4)
    endings = [Ending() for _ in rows]
    for row, ending in zip(rows, endings, strict=True):
        live.submit(row.program(), ending)
    live.close()

    assert [ending.times for ending in endings] == [1] * len(rows)
    assert all(ending.error is None for ending in endings)
    with pytest.raises(ModelError, match="the engine is closed"):
        live.submit(Endless().program(), Ending())


def test_closing_in_a_hurry_cancels_what_does_not_end(model: Any) -> None:
    """A program that never ends does not keep the process."""
    live = LiveEngine(TorchEngine(model, max_rows=2))
    endless, ending = Endless(), Ending()
    live.submit(endless.program(), ending)
    assert endless.begun.wait(PATIENCE)
    live.close(seconds=0.1)

    assert isinstance(ending.wait().error, CancelledRowError)


def test_a_shared_prefix_is_read_by_all(model: Any) -> None:
    """As in the engine that is not live."""
    prefix = random_tokens(30, seed=1)
    live = LiveEngine(TorchEngine(model, prefix=prefix, max_rows=3))
    told, ending = [], Ending()

    def read() -> Any:
        told.append((yield Feed([9, 8, 7])))

    live.submit(read(), ending)
    ending.wait()
    live.close()

    assert (plain_logits(model, [*prefix, 9, 8, 7]) - told[0]).abs().max().item() < TOLERANCE
