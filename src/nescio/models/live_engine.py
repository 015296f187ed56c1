"""Row programs that arrive at any time, run together: requests of a server share the passes through the model.

One thread owns the model. A program that arrives joins the batch at the next step, one that is cancelled leaves it there, and one
that fails takes no other along.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from nescio.errors import ModelError
from nescio.models.torch_engine import RowProgram, TorchEngine

GATHER_SECONDS = 0.002
"""How long an idle engine waits for more programs after the first, so that they start together."""
_LOG = logging.getLogger(__name__)

OnEnd = Callable[[Exception | None], None]
"""Called once, in the engine's thread, when a program has ended: with what went wrong, if anything did."""


class CancelledRowError(ModelError):
    """A program was cancelled before its end."""


@dataclass
class Ticket:
    """A program on its way through the engine."""

    program: RowProgram
    on_end: OnEnd
    error: Exception | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Leave the batch at the next step."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants it to end."""
        return self._cancelled.is_set()


class LiveEngine:
    """Runs programs in a thread of its own, as they come."""

    def __init__(self, engine: TorchEngine) -> None:
        """Start the thread; nobody else may use the engine from now on, nor its model."""
        self._engine = engine
        self._waiting: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._running: dict[int, Ticket] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="nescio-engine", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Programs that have not begun."""
        return self._waiting.qsize()

    @property
    def running(self) -> int:
        """Programs in the batch."""
        return len(self._running)

    @property
    def alive(self) -> bool:
        """Whether programs are taken and run."""
        return self._thread.is_alive() and not self._closed.is_set()

    def submit(self, program: RowProgram, on_end: OnEnd) -> Ticket:
        """Run a program with all others.

        Args:
            program: Not yet begun.
            on_end: Hears of its end.

        Raises:
            ModelError: The engine is closed.
        """
        if not self.alive:
            raise ModelError("the engine is closed; start another")
        ticket = Ticket(program, on_end)
        self._waiting.put(ticket)
        return ticket

    def close(self, *, seconds: float | None = None) -> None:
        """Take no more programs, and wait for those that are there to end.

        Args:
            seconds: How long to wait before what is left is cancelled; None waits for all.
        """
        self._closed.set()
        self._waiting.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            for ticket in list(self._running.values()):
                ticket.cancel()
            self._thread.join(seconds)

    def _work(self) -> None:
        while not (self._closed.is_set() and self._waiting.empty()):
            try:
                for number in self._engine.run(_Arrivals(self._take), eager=True):
                    self._end(self._running.pop(number))
            except Exception as error:  # noqa: BLE001 - a pass that failed ends its programs; the next ones may do better
                for ticket in self._running.values():
                    ticket.error = ticket.error or error
                    ticket.program.close()
                    self._end(ticket)
                self._running.clear()

    def _end(self, ticket: Ticket) -> None:
        if ticket.error is None and ticket.cancelled:
            ticket.error = CancelledRowError("cancelled")
        try:
            ticket.on_end(ticket.error)
        except Exception:  # noqa: BLE001 - of a listener that is gone, such as a loop that is closed; the others still wait
            _LOG.exception("nobody heard of the end of a program")

    def _take(self, number: int) -> RowProgram | None:
        """The next program that waits; None where none does and others run. An idle engine waits for one.

        Raises:
            StopIteration: The engine is closed and nothing is left.
        """
        while True:
            if self._closed.is_set() and self._waiting.empty():
                if self._running:
                    return None
                raise StopIteration
            try:
                ticket = self._waiting.get(block=not self._running)
            except queue.Empty:
                return None
            if ticket is None:  # only wakes an idle engine up
                continue
            if ticket.cancelled:
                self._end(ticket)
                continue
            if not self._running and self._waiting.empty():
                self._closed.wait(GATHER_SECONDS)
            self._running[number] = ticket
            return _guard(ticket.program, ticket)


@dataclass
class _Arrivals:
    """Hands the engine a program whenever it has room, under the number that the engine gives it."""

    take: Callable[[int], RowProgram | None]
    asked: int = -1

    def __iter__(self) -> Iterator[RowProgram | None]:
        return self

    def __next__(self) -> RowProgram | None:
        self.asked += 1
        return self.take(self.asked)


def _guard(program: RowProgram, ticket: Ticket) -> RowProgram:
    """The same program, which ends when its ticket is cancelled, and keeps what it stumbles over to itself."""
    try:
        feed = next(program, None)
        while feed is not None:
            if feed.forks:
                feed = feed._replace(forks=[_guard(fork, ticket) for fork in feed.forks])
            answer = yield feed
            if ticket.cancelled or ticket.error is not None:
                program.close()
                return
            try:
                feed = program.send(answer)
            except StopIteration:
                return
    except Exception as error:  # noqa: BLE001 - of one row, whatever it is; the batch goes on
        ticket.error = ticket.error or error
