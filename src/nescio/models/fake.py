"""An engine without a model, for tests: answers in no time, the same ones every time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nescio.models.engine import DrawSettings, SampleRequest
from nescio.records import Sample


@dataclass
class FakeEngine:
    """Answers that depend on (seed, question id, index) alone.

    Examples:
        >>> engine = FakeEngine(answers={"q": ["Paris"]})
        >>> [sample.text for sample in engine.draw([SampleRequest("q", text="?", indices=(0, 3))], DrawSettings())]
        ['Paris', 'Paris']
    """

    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What may be answered to a question, the greedy answer first; of any other question one of eight words."""
    failing: frozenset[tuple[str, int]] = frozenset()
    """(question id, index) of the samples that fail."""
    delay_s: float = 0.0
    """Seconds that each request takes."""
    calls: list[tuple[SampleRequest, ...]] = field(default_factory=list)
    """The requests of each call so far."""

    @property
    def drawn(self) -> int:
        """Samples asked for so far."""
        return sum(len(request.indices) for requests in self.calls for request in requests)

    def identify(self) -> dict[str, Any]:
        """No weights to tell apart."""
        return {"engine": "fake"}

    def draw(
        self, requests: Sequence[SampleRequest], settings: DrawSettings, *, on_done: Callable[[int], None] | None = None
    ) -> list[Sample]:
        """Answer each request once for each of its indices; see `SamplingEngine`."""
        self.calls.append(tuple(requests))
        samples: list[Sample] = []
        for done, request in enumerate(requests, start=1):
            time.sleep(self.delay_s)
            samples += [self._answer(request, index, settings.seed) for index in request.indices]
            if on_done:
                on_done(done)
        return samples

    def _answer(self, request: SampleRequest, index: int, seed: int) -> Sample:
        sample = Sample(question_id=request.question_id, index=index)
        if (request.question_id, index) in self.failing:
            return sample.model_copy(update={"failure": "asked to fail"})
        texts = request.options or self.answers.get(request.question_id) or _WORDS
        digest = hashlib.sha256(f"{seed}|{request.question_id}|{index}".encode()).digest()
        choice = int.from_bytes(digest[:8], "little") % len(texts) if index else 0
        told = {"choice": choice} if request.options else {}
        return sample.model_copy(update={"text": texts[choice].strip(), "log_probabilities": (-(digest[8] + 1) / 64,), **told})


_WORDS = ("Ada", "Bergen", "cobalt", "dusk", "ember", "fjord", "1969", "heron")
