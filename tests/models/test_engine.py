"""Settings that give no answers are refused, and the fake keeps the protocol."""

import pytest

from nescio.errors import ConfigError
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.fake import FakeEngine

REQUESTS = [SampleRequest("a", text="?", indices=(0, 1, 5)), SampleRequest("b", text="?", indices=(2,), options=(" A", " B"))]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        ({"temperature": float("nan")}, "temperature must be above 0"),
        ({"temperature": float("inf")}, "temperature must be above 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be 1 or more, got 0"),
        ({"stop": ("\n", "")}, "an empty stop ends every answer"),
    ],
)
def test_settings_without_answers_are_refused(settings, message):
    """Before anything is drawn."""
    with pytest.raises(ConfigError, match=message):
        DrawSettings(**settings)


def test_the_fake_gives_the_same_answers_in_any_company():
    """An answer depends on seed, id and index alone, and another seed gives others."""
    together = FakeEngine().draw(REQUESTS, DrawSettings())
    apart = [sample for request in REQUESTS[::-1] for sample in FakeEngine().draw([request], DrawSettings())]
    others = [FakeEngine().draw([SampleRequest("a", indices=tuple(range(20)))], DrawSettings(seed=seed)) for seed in (0, 1)]

    assert [(s.question_id, s.index) for s in together] == [("a", 0), ("a", 1), ("a", 5), ("b", 2)]
    assert sorted(apart, key=lambda s: (s.question_id, s.index)) == together
    assert others[0] != others[1]
    assert (together[3].text, together[3].choice) in {("A", 0), ("B", 1)}


def test_the_fake_says_what_it_is_told_to_and_counts():
    """From a table of answers, or a failure; calls, samples and progress are there to look at."""
    engine = FakeEngine(answers={"a": ["Paris"]}, failing=frozenset({("a", 5)}))
    told = []
    samples = engine.draw(REQUESTS, DrawSettings(), on_done=told.append)

    assert [sample.text for sample in samples[:3]] == ["Paris", "Paris", ""]
    assert [sample.failure for sample in samples] == [None, None, "asked to fail", None]
    assert (engine.drawn, engine.calls, told) == (4, [tuple(REQUESTS)], [1, 2])
