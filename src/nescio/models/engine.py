"""What draws answers: the protocol that the embedded engine, servers and other engines share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nescio.errors import ConfigError
from nescio.models.prompt import Message
from nescio.records import Sample


@dataclass(frozen=True)
class SampleRequest:
    """One question, rendered, and which answers to it are wanted."""

    question_id: str
    messages: tuple[Message, ...] = ()
    """Turns of a chat, the last one the user's; empty where the prompt is plain text."""
    text: str = ""
    """A plain prompt to go on from; empty where the prompt is a chat."""
    indices: tuple[int, ...] = (0,)
    """Which answers: 0 is the greedy one, from 1 on they are drawn."""
    options: tuple[str, ...] = ()
    """Continuations to choose from; empty for an open question."""
    begun: str = ""
    """What the reply begins with; not part of the answer. The embedded engine only."""
    forbidden: tuple[str, ...] = ()
    """Texts that the reply may not begin with. The embedded engine only."""


@dataclass(frozen=True)
class DrawSettings:
    """How answers are drawn; a part of the samples' key."""

    temperature: float = 1.0
    """Of the drawn answers; above 0."""
    max_new_tokens: int = 24
    stop: tuple[str, ...] = ("\n",)
    """Texts that end an answer, beside the model's own end; they are not part of it."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what gives no answers."""
        if not 0 < self.temperature < math.inf:
            raise ConfigError(f"temperature must be above 0, got {self.temperature}; the greedy answer is there without it")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be 1 or more, got {self.max_new_tokens}")
        if "" in self.stop:
            raise ConfigError("an empty stop ends every answer before it begins; leave it out")


class SamplingEngine(Protocol):
    """Anything that can answer requests."""

    def identify(self) -> dict[str, Any]:
        """What the answers depend on beside prompt and settings (weights, dtype, server's model name), ready for JSON."""
        ...

    def draw(
        self,
        requests: Sequence[SampleRequest],
        settings: DrawSettings,
        *,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Sample]:
        """Answer each request once for each of its indices.

        What is drawn depends on (seed, question id, index) and the prompt alone: not on the other requests, their order or
        number. A request that fails gives samples with a failure; it never stops or shifts another.

        Args:
            requests: Any number.
            settings: The same for all of them.
            on_done: Called with the number of requests that are done with.

        Returns:
            Samples in the order of requests, then of indices.
        """
        ...
