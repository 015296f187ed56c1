"""The Ray executor on a cluster of this machine with two workers."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nescio.errors import ConfigError, ModelError
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.records import Question, Sample, SampleGrade
from nescio.sample import Executor, draw_here, sample_questions
from nescio.sample.ray_executor import OPEN_EACH, draw_on_ray, grade_on_ray

needs_ray = [
    pytest.mark.slow,  # a cluster takes a dozen processes and seconds to start
    pytest.mark.skipif(
        subprocess.run([sys.executable, "-c", "import ray.data"], check=False, capture_output=True).returncode != 0,
        reason="needs Ray: pip install 'nescio[ray]'",
    ),
    # Ray Data sets its own deprecated options when it is first used.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*"),
]
SETTINGS = DrawSettings(seed=3)


class FakeEngine:
    """Answers with a digest of seed, question and index; notes in a folder which process drew what."""

    def __init__(self, folder: Path | None = None, *, name: str = "fake") -> None:
        self.folder = folder
        self.name = name

    def identify(self) -> dict[str, Any]:
        """Say the name."""
        return {"engine": self.name}

    def draw(
        self, requests: Sequence[SampleRequest], settings: DrawSettings, *, on_done: Callable[[int], None] | None = None
    ) -> list[Sample]:
        """Answer."""
        if self.folder:
            (self.folder / f"{requests[0].question_id}-{os.getpid()}").touch()
        return [
            Sample(question_id=request.question_id, index=index, text=_digest(settings, request, index)[:index])
            for request in requests
            for index in request.indices
        ]


class MeetingEngine(FakeEngine):
    """Draws nothing before a second process is there to draw: the faster of two workers might do everything."""

    def draw(self, requests: Sequence[SampleRequest], *arguments: Any, **options: Any) -> list[Sample]:
        """Answer."""
        (self.folder / f"present-{os.getpid()}").touch()
        while len(list(self.folder.glob("present-*"))) < 2:
            time.sleep(0.01)
        return super().draw(requests, *arguments, **options)


class WaitingEngine(FakeEngine):
    """At one question it names its process and waits to be killed; the second time it answers."""

    def draw(self, requests: Sequence[SampleRequest], *arguments: Any, **options: Any) -> list[Sample]:
        """Answer, or not."""
        if any(request.question_id == "q1000" for request in requests):
            named = self.folder / "victim"
            if not named.exists():
                named.with_suffix(".part").write_text(str(os.getpid()))
                named.with_suffix(".part").rename(named)
                time.sleep(600)
        return super().draw(requests, *arguments, **options)


class DyingEngine(FakeEngine):
    """Takes its process with it at one question."""

    def draw(self, requests: Sequence[SampleRequest], *arguments: Any, **options: Any) -> list[Sample]:
        """Answer, or not."""
        if any(request.question_id == "q5" for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().draw(requests, *arguments, **options)


class RefusingEngine(FakeEngine):
    """Never answers."""

    def draw(self, requests: Sequence[SampleRequest], *arguments: Any, **options: Any) -> list[Sample]:
        """Answer, or not."""
        raise ModelError("the server does not know model 'x'; name another")


class BrokenEngine(FakeEngine):
    """Has a bug."""

    def draw(self, requests: Sequence[SampleRequest], *arguments: Any, **options: Any) -> list[Sample]:
        """Answer, or not."""
        raise ZeroDivisionError("a bug")


def _digest(settings: DrawSettings, request: SampleRequest, index: int) -> str:
    return hashlib.sha256(f"{settings.seed}/{request.question_id}/{index}".encode()).hexdigest()


def _fail_to_make() -> FakeEngine:
    raise ModelError("model 'x' is not on this machine; copy it there")


def _die_while_making() -> FakeEngine:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _name_by_process(folder: Path) -> FakeEngine:
    return MeetingEngine(folder, name=str(os.getpid()))


def _grade(samples: Sequence[Sample]) -> list[SampleGrade]:
    return [
        SampleGrade(
            question_id=sample.question_id,
            index=sample.index,
            verdict="correct" if sample.text[:1] < "8" else "incorrect",
            reason=f"by process {os.getpid()}",
        )
        for sample in samples
    ]


def _load_opinionated(folder: Path) -> Any:
    """A tiny model, scaled as in the `tiny_model` fixture, as a sampling engine."""
    import torch

    from nescio.models.load import load_model
    from nescio.models.torch_sampler import TorchSampler

    loaded = load_model(str(folder), dtype="float32", device="cpu")
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if weight.dim() == 2:
                weight.mul_(16 if "embed" in name else 12)
    return TorchSampler(loaded, identity={"name": "tiny"})


def _ask(number: int) -> list[Question]:
    return [Question(id=f"q{i}", group=f"q{i}", question=f"How much is {i} + {i}?", answers=(str(2 * i),)) for i in range(number)]


def _sample(number: int, store: Path, executor: Executor | None = None, **options: Any) -> list[Sample]:
    return sample_questions(_ask(number), FakeEngine(), settings=SETTINGS, store=store, executor=executor, **options)


def _read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A running cluster with two cores in its accounts; its workers get the classes of this file by value."""
    ray = pytest.importorskip("ray")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    yield
    with warnings.catch_warnings():
        # Ray ends its processes without waiting for them, and leaves their log files to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        ray.shutdown()
        gc.collect()
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


class TestOnACluster:
    """Everything that needs a running cluster."""

    pytestmark = needs_ray

    @pytest.fixture(autouse=True)
    def _use(self, cluster: None) -> None:
        """Share one cluster."""

    def test_gives_what_one_process_gives(self, tmp_path: Path) -> None:
        """Samples and the store's files are those of a run without Ray, to the byte, and both workers drew."""
        (tmp_path / "noted").mkdir()
        here = _sample(2000, tmp_path / "here")
        on_ray = draw_on_ray(partial(MeetingEngine, tmp_path / "noted"), SETTINGS, workers=2)
        there = _sample(2000, tmp_path / "there", on_ray)

        assert there == here
        assert _read_files(tmp_path / "there") == _read_files(tmp_path / "here")
        assert len(here) == 2000 * 11
        assert len({path.name.split("-")[1] for path in (tmp_path / "noted").glob("q*")}) == 2

    def test_survives_a_killed_worker(self, tmp_path: Path) -> None:
        """A worker killed (-9) at its batch changes no byte of the store; the batch is drawn again."""
        (tmp_path / "noted").mkdir()
        victim = tmp_path / "noted" / "victim"
        killed: list[int] = []

        def kill() -> None:
            while not victim.exists():
                time.sleep(0.01)
            killed.append(int(victim.read_text()))
            os.kill(killed[0], signal.SIGKILL)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        on_ray = draw_on_ray(partial(WaitingEngine, tmp_path / "noted"), SETTINGS, workers=2)
        there = _sample(2000, tmp_path / "there", on_ray)
        killer.join(1)

        assert len(killed) == 1
        assert there == _sample(2000, tmp_path / "here")
        assert _read_files(tmp_path / "there") == _read_files(tmp_path / "here")
        # q1000 is in the eighth batch of 128, which q896 opens: drawn to its end by another process than the killed one.
        [drawn] = (tmp_path / "noted").glob("q896-*")
        assert int(drawn.name.split("-")[1]) != killed[0]

    def test_resumes_what_one_process_began(self, tmp_path: Path) -> None:
        """What the store holds is not drawn again, and a store that holds everything starts no pipeline."""
        (tmp_path / "noted").mkdir()
        _sample(256, tmp_path / "store")
        on_ray = draw_on_ray(partial(FakeEngine, tmp_path / "noted"), SETTINGS, workers=2)
        _sample(500, tmp_path / "store", on_ray)

        assert sorted(path.name.split("-")[0] for path in (tmp_path / "noted").iterdir()) == ["q256", "q384"]

        unmakeable = draw_on_ray(_fail_to_make, SETTINGS, workers=2)
        assert len(_sample(500, tmp_path / "store", unmakeable)) == 500 * 11

    @pytest.mark.parametrize(
        ("make_engine", "message"),
        [(RefusingEngine, "does not know model 'x'"), (_fail_to_make, "is not on this machine")],
        ids=["drawing", "making"],
    )
    def test_errors_come_out_as_raised(self, tmp_path: Path, make_engine: Callable[[], FakeEngine], message: str) -> None:
        """An error of nescio in a worker is that error here, in one line and without a chain of Ray's own."""
        with pytest.raises(ModelError, match=message) as caught:
            _sample(300, tmp_path, draw_on_ray(make_engine, SETTINGS, workers=2))

        assert type(caught.value) is ModelError
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_bugs_keep_their_traceback(self, tmp_path: Path) -> None:
        """Any other error in a worker names itself and its place."""
        with pytest.raises(Exception, match=r"(?s)in draw.*ZeroDivisionError: a bug") as caught:
            _sample(10, tmp_path, draw_on_ray(BrokenEngine, SETTINGS, workers=1))

        assert not isinstance(caught.value, ModelError)

    @pytest.mark.parametrize(
        ("make_engine", "message"),
        [(DyingEngine, "died 2 times at the same batch"), (_die_while_making, "died 2 times while they made their engine")],
        ids=["drawing", "making"],
    )
    def test_gives_up_in_the_end(self, tmp_path: Path, make_engine: Callable[[], FakeEngine], message: str) -> None:
        """A batch or a model that kills every worker is tried as often as told, and then said in one line."""
        with pytest.raises(ModelError, match=message) as caught:
            _sample(10, tmp_path, draw_on_ray(make_engine, SETTINGS, workers=1, retries=1), batch_questions=2)

        assert "\n" not in str(caught.value)

    def test_engines_must_agree(self, tmp_path: Path) -> None:
        """Engines that say different things of themselves, or another than was expected, are refused."""
        with pytest.raises(ModelError, match="differs in engine: 'fake' instead of 'other'"):
            _sample(10, tmp_path, draw_on_ray(FakeEngine, SETTINGS, workers=1, identity={"engine": "other"}))
        (tmp_path / "noted").mkdir()
        with pytest.raises(ModelError, match="differs in engine"):
            _sample(
                100, tmp_path, draw_on_ray(partial(_name_by_process, tmp_path / "noted"), SETTINGS, workers=2), batch_questions=5
            )

    def test_workers_do_not_run_ahead(self, tmp_path: Path) -> None:
        """While nobody takes results, no more batches are begun than may be open."""
        (tmp_path / "noted").mkdir()
        on_ray = draw_on_ray(partial(FakeEngine, tmp_path / "noted"), SETTINGS, workers=2)
        begun: list[int] = []

        def stall(batches: Any, on_progress: Any) -> Iterator[Any]:
            for done in on_ray(batches, on_progress):
                if not begun:
                    _wait_until_quiet(tmp_path / "noted")
                    begun.append(len(list((tmp_path / "noted").iterdir())))
                yield done

        samples = _sample(400, tmp_path / "store", stall, batch_questions=20)

        assert begun == [OPEN_EACH * 2]
        assert len(samples) == 400 * 11

    def test_grades_where_it_draws(self, tmp_path: Path) -> None:
        """Grades come with the samples out of the same processes, and equal those of grading what is stored."""
        grades: list[SampleGrade] = []
        on_ray = draw_on_ray(FakeEngine, SETTINGS, workers=2, grade=_grade, on_grades=grades.extend)
        samples = _sample(300, tmp_path, on_ray)
        stored = grade_on_ray(_grade, samples, workers=2, batch_samples=400)

        assert {_verdict(grade) for grade in grades} == {_verdict(grade) for grade in _grade(samples)}
        assert len(grades) == len(samples)
        assert [_verdict(grade) for grade in stored] == [_verdict(grade) for grade in _grade(samples)]
        assert f"by process {os.getpid()}" not in {grade.reason for grade in [*grades, *stored]}

    def test_a_model_gives_what_it_gives_here(self, tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
        """A model of torch draws the same texts in a worker as in this process."""
        make_engine = partial(_load_opinionated, tiny_folder("llama"))
        settings = DrawSettings(max_new_tokens=8, seed=1)
        engine = make_engine()
        both = [
            sample_questions(
                _ask(12), engine, n=4, settings=settings, store=tmp_path / name, executor=executor, batch_questions=4
            )
            for name, executor in [
                ("here", draw_here(engine, settings)),
                ("there", draw_on_ray(make_engine, settings, workers=2, identity=engine.identify())),
            ]
        ]

        here, there = both
        assert [sample.text for sample in there] == [sample.text for sample in here]
        assert len({sample.text for sample in here}) > 12
        for one, other in zip(here, there, strict=True):
            assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-3)

    def test_leaves_a_cluster_running_that_it_did_not_start(self) -> None:
        """Ray is shut down by whoever started it."""
        import ray

        grade_on_ray(_grade, [Sample(question_id="q", index=0, text="a")], workers=1)

        assert ray.is_initialized()


SCRIPT = """
import sys
from functools import partial
from nescio.records import Sample, SampleGrade
from nescio.sample.ray_executor import grade_on_ray

def grade(samples):
    return [SampleGrade(question_id=s.question_id, index=s.index, verdict="correct", reason="") for s in samples]

if __name__ == "__main__":
    samples = [Sample(question_id=f"q{i}", index=0, text="a") for i in range(10)]
    grades = grade_on_ray(grade, samples, workers=3, batch_samples=2)
    import ray
    print(len(grades), ray.is_initialized())
"""


@pytest.mark.slow
@needs_ray[1]
def test_starts_and_stops_a_cluster_of_its_own_in_silence(tmp_path: Path) -> None:
    """Without an address Ray runs on this machine for as long as it is needed, and says nothing."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, env=environment)

    assert ended.stdout == "10 False\n"
    assert ended.stderr == ""


@pytest.mark.slow
@needs_ray[1]
def test_unreachable_cluster_is_said_in_one_line() -> None:
    """An address where nothing answers is an error with a remedy."""
    code = "from test_ray_executor import *; from test_ray_executor import _grade\n"
    code += "grade_on_ray(_grade, [Sample(question_id='q', index=0)], workers=1, address='127.0.0.1:1')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)

    [said] = [line for line in ended.stderr.splitlines() if line.startswith("nescio.errors.")]
    assert said.startswith("nescio.errors.ConfigError: no Ray cluster at '127.0.0.1:1'")
    assert "ray start --head" in said


def test_missing_ray_is_said_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Ray the error names what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(ModelError, match=r"pip install 'nescio\[ray\]'"):
        _sample(1, tmp_path, draw_on_ray(FakeEngine, SETTINGS, workers=1))


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 1, "cpus_each": -1}, {"workers": 1, "retries": -1}])
def test_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    """No worker, or less than nothing for one, is refused before anything starts."""
    with pytest.raises(ConfigError):
        draw_on_ray(FakeEngine, SETTINGS, **options)


def _verdict(grade: SampleGrade) -> tuple[str, int, str]:
    return grade.question_id, grade.index, grade.verdict


def _wait_until_quiet(folder: Path, *, seconds: float = 2) -> None:
    """Wait until no file has come for a while."""
    counted, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        now = len(list(folder.iterdir()))
        if now != counted:
            counted, since = now, time.monotonic()
        time.sleep(0.05)
