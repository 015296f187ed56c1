"""Sampling and grading on any number of machines, as a pipeline of Ray Data (docs/scale_out.md).

References:
    Moritz, Nishihara, Wang et al., Ray: A Distributed Framework for Emerging AI Applications, OSDI 2018.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import pickle
import socket
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from nescio.errors import ConfigError, ModelError, NescioError
from nescio.models.engine import DrawSettings, SamplingEngine
from nescio.records import Sample, SampleGrade
from nescio.sample import Batch, Executor, OnAnswered

T = TypeVar("T")
R = TypeVar("R")

GradeBatch: TypeAlias = Callable[[Sequence[Sample]], list[SampleGrade]]
"""Grades samples, in their order."""

ASSIGNED_EACH = 2
"""Batches that a worker has before it: the one it is at and the next, so that it never waits for the driver."""
OPEN_EACH = 4
"""Batches a worker that may be begun but not handed on. More than `ASSIGNED_EACH`, or batches that are tried again could wait
for ever behind batches that wait for them."""


def draw_on_ray(
    make_engine: Callable[[], SamplingEngine],
    settings: DrawSettings,
    *,
    workers: int,
    cpus_each: float = 1,
    gpus_each: float = 0,
    address: str | None = None,
    retries: int = 3,
    identity: Mapping[str, Any] | None = None,
    grade: GradeBatch | None = None,
    on_grades: Callable[[list[SampleGrade]], None] | None = None,
) -> Executor:
    """Run batches through engines on the workers of a Ray cluster; each comes back as soon as it is done.

    Args:
        make_engine: Makes an engine; called once in each worker, so it must pickle and find its model there.
        settings: The same for all batches.
        workers: Processes with an engine of their own; never more than there are batches.
        cpus_each: Cores that a worker takes up in Ray's accounts; its numeric libraries start as many threads.
        gpus_each: GPUs that a worker takes up; 0.5 lets two of them share one.
        address: Of a running cluster; None is the one that RAY_ADDRESS names, else a new one on this machine alone.
        retries: How often a batch is tried again, and a worker started again, when its process or machine is lost.
        identity: What the engine that the store is opened for says of itself; a worker's engine that says otherwise is
            refused. Where none is given, all must say what the first one says.
        grade: Grades the samples of a batch in the worker that drew them; must pickle.
        on_grades: Called here with the grades of each batch, before its samples are handed on.

    Returns:
        What `sample_questions` takes as its executor. It raises ModelError where Ray is missing, where a worker died more
        often than it may, and where engines differ, and ConfigError where no cluster is found or it has no place for a
        worker; errors of nescio in a worker come out as they are.

    Raises:
        ConfigError: A number is out of range.
    """
    cluster = _Cluster(workers, cpus_each, gpus_each, address, retries)
    make_work = partial(_make_drawing, make_engine, settings, grade)

    def execute(batches: Iterator[Batch], on_answered: OnAnswered | None) -> Iterator[tuple[Batch, list[Sample]]]:
        del on_answered  # within a batch nothing is heard of it; of whole ones `sample_questions` tells by itself
        expected = identity
        with closing(_run(batches, make_work, cluster)) as finished:
            for batch, drawn in finished:
                expected = drawn.identity if expected is None else expected
                _check_identity(drawn.identity, expected)
                if grade and on_grades:
                    on_grades(drawn.grades)
                yield batch, drawn.samples

    return execute


def grade_on_ray(
    grade: GradeBatch,
    samples: Sequence[Sample],
    *,
    workers: int,
    cpus_each: float = 1,
    gpus_each: float = 0,
    address: str | None = None,
    retries: int = 3,
    batch_samples: int = 2048,
) -> list[SampleGrade]:
    """Grade samples that are drawn already on the workers of a Ray cluster.

    Args:
        grade: Grades samples, in their order; must pickle.
        samples: Any number.
        workers: As in `draw_on_ray`.
        cpus_each: As in `draw_on_ray`.
        gpus_each: As in `draw_on_ray`.
        address: As in `draw_on_ray`.
        retries: As in `draw_on_ray`.
        batch_samples: Samples that travel together.

    Returns:
        Grades in the order of the samples.

    Raises:
        ConfigError: A number is out of range, no cluster is found, or it has no place for a worker.
        ModelError: Ray is missing, or a worker died more often than it may.
    """
    cluster = _Cluster(workers, cpus_each, gpus_each, address, retries)
    batches = [(place, samples[place : place + batch_samples]) for place in range(0, len(samples), batch_samples)]
    graded = {place: grades for (place, _), grades in _run(batches, partial(_make_grading, grade), cluster)}
    return [grade for place, _ in batches for grade in graded[place]]


_REMEDY = "what is done is kept: give the workers more memory or more retries and run the same command again"


@dataclass(frozen=True)
class _Cluster:
    """How many workers there are, what each of them needs, and where; see `draw_on_ray`."""

    workers: int
    cpus_each: float
    gpus_each: float
    address: str | None
    retries: int

    def __post_init__(self) -> None:
        """Refuse numbers that Ray would wait on for ever."""
        if self.workers < 1:
            raise ConfigError(f"the number of Ray workers is {self.workers}; it must be at least 1")
        if min(self.cpus_each, self.gpus_each, self.retries) < 0:
            raise ConfigError("cores, GPUs and retries of a Ray worker must not be below 0")


def _run(items: Iterable[T], make_work: Callable[[], Callable[[T], R]], cluster: _Cluster) -> Generator[tuple[T, R]]:
    """Do the same to many items; each comes back once, with what became of it, in the order in which they are done.

    Ray is started where it does not run yet, and stopped again when the generator ends or is closed. The items are read to
    their end before anything starts.
    """
    left = dict(enumerate(items))
    if not left:
        return
    ray = _import_ray()
    with (
        _environment(),
        _translate_ray_errors(ray),
        _connected(ray, cluster),
        _hushed(),
        closing(_stream(ray, left, make_work, cluster)) as finished,
    ):
        for number, outcome in finished:
            if outcome.error is not None:
                raise outcome.error
            # A block that Ray computed twice counts once: whichever worker made it, it holds the same.
            if number in left:
                yield left.pop(number), outcome.made
    if left:
        raise ModelError(f"Ray ended without an error but lost {len(left)} batches; run the same command again")


class _Drawn(NamedTuple):
    """What a worker sends back of a batch."""

    identity: dict[str, Any]
    samples: list[Sample]
    grades: list[SampleGrade]


class _Outcome(NamedTuple, Generic[R]):
    """What became of an item: an error of nescio travels as a value, so that it arrives as it was raised."""

    made: R
    error: NescioError | None = None


class _Gate:
    """An actor that every worker asks before it starts anything.

    It bounds what is begun and not handed on yet: Ray Data holds back by memory only, and finished batches are small, so that
    a killed run would lose thousands of them. And it counts what is tried again: by itself Ray Data would send a batch that
    kills its worker to another one, for ever.
    """

    def __init__(self, workers: int, retries: int) -> None:
        self._limit = OPEN_EACH * workers
        self._starts_allowed = workers + retries
        self._retries = retries
        self._starts = 0
        self._tries: Counter[int] = Counter()
        self._open: set[int] = set()
        self._changed = asyncio.Condition()

    async def start(self) -> NescioError | None:
        """Count a worker that starts; what to say where too many have, one after the other, and none was ready."""
        self._starts += 1
        if self._starts <= self._starts_allowed:
            return None
        return ModelError(f"Ray's workers died {self._retries + 1} times while they made their engine; {_REMEDY}")

    async def ready(self) -> None:
        """Note that a worker has its engine."""
        self._starts = 0

    async def enter(self, number: int) -> NescioError | None:
        """Wait for a place; an item that has one, and is tried again, keeps it until it has been tried too often."""
        async with self._changed:
            await self._changed.wait_for(lambda: number in self._open or len(self._open) < self._limit)
            self._open.add(number)
        self._tries[number] += 1
        if self._tries[number] <= self._retries + 1:
            return None
        return ModelError(f"Ray's worker died {self._retries + 1} times at the same batch; {_REMEDY}")

    async def leave(self, number: int) -> None:
        """Give the place of an item to another."""
        async with self._changed:
            self._open.discard(number)
            self._changed.notify_all()


class _Worker(Generic[T, R]):
    """An actor that makes its engine once and works on one item at a time."""

    def __init__(self, make_work: Callable[[], Callable[[T], R]], gate: Any) -> None:
        self._gate = gate
        self._error = self._ask("start")
        try:
            self._work = None if self._error else make_work()
        except NescioError as error:
            self._error, self._work = error, None
        self._ask("ready")

    def __call__(self, table: Any) -> Any:
        """Work on a table of one row, `number` and pickled `item`; a pickled `outcome` takes the item's place."""
        import pyarrow  # type: ignore[import-untyped, unused-ignore]

        outcomes = [self._try(row["number"], row["item"]) for row in table.to_pylist()]
        return pyarrow.table({"number": table["number"], "outcome": [pickle.dumps(outcome) for outcome in outcomes]})

    def _try(self, number: int, item: bytes) -> _Outcome[R | None]:
        refusal = self._ask("enter", number)
        if self._work is None or refusal:
            return _Outcome(None, self._error or refusal)
        try:
            return _Outcome(self._work(pickle.loads(item)))
        except NescioError as error:
            return _Outcome(None, error)

    def _ask(self, what: str, *about: int) -> NescioError | None:
        import ray

        answer: NescioError | None = ray.get(getattr(self._gate, what).remote(*about))
        return answer


def _make_drawing(
    make_engine: Callable[[], SamplingEngine], settings: DrawSettings, grade: GradeBatch | None
) -> Callable[[Batch], _Drawn]:
    engine = make_engine()

    def draw(batch: Batch) -> _Drawn:
        samples = engine.draw(batch.requests, settings)
        return _Drawn(engine.identify(), samples, grade(samples) if grade else [])

    return draw


def _make_grading(grade: GradeBatch) -> Callable[[tuple[int, Sequence[Sample]]], list[SampleGrade]]:
    return lambda chunk: grade(chunk[1])


def _check_identity(told: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Samples of other weights, or in another dtype, must not go into the same store."""
    differing = sorted(key for key in {*told, *expected} if told.get(key) != expected.get(key))
    if differing:
        key = differing[0]
        raise ModelError(
            f"a Ray worker's engine differs in {key}: {told.get(key)!r} instead of {expected.get(key)!r}; "
            "give every machine the same model and name its dtype"
        )


def _stream(
    ray: Any, items: Mapping[int, T], make_work: Callable[[], Callable[[T], R]], cluster: _Cluster
) -> Generator[tuple[int, _Outcome[R]]]:
    """The pipeline: blocks of one item each, through a pool of actors, back to this process as they are done."""
    import pyarrow  # type: ignore[import-untyped, unused-ignore]

    workers = min(cluster.workers, len(items))  # Ray warns of a pool that is larger than the number of blocks
    gate = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Gate).remote(workers, cluster.retries)
    # Pickled bytes in a typed column: the columns that Ray makes of Python objects by itself are not all exact.
    blocks = [pyarrow.table({"number": [number], "item": [pickle.dumps(item)]}) for number, item in items.items()]
    dataset = ray.data.from_arrow(blocks).map_batches(
        _Worker,
        fn_constructor_args=(make_work, gate),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=ASSIGNED_EACH),
        num_cpus=cluster.cpus_each,
        num_gpus=cluster.gpus_each,
    )
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for row in table.to_pylist():
            yield row["number"], pickle.loads(row["outcome"])
            gate.leave.remote(row["number"])


def _import_ray() -> Any:
    """Ray, with its pipelines.

    Raises:
        ModelError: It is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ModelError(f"Ray cannot be imported ({_first_line(error)}); pip install 'nescio[ray]'") from error
    return ray


@contextmanager
def _connected(ray: Any, cluster: _Cluster) -> Iterator[None]:
    """A connection to Ray; one that was there before is used and left as it is.

    Raises:
        ConfigError: No cluster is found, or this machine has no place for a worker.
    """
    if ray.is_initialized():
        yield
        return
    address = cluster.address or os.environ.get("RAY_ADDRESS")
    where = {"address": address} if address else _describe_here(cluster)
    try:
        if address:
            _reach(address)
        with _stderr_off():
            ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **where)
    except (OSError, ValueError, RuntimeError) as error:
        place = f"at '{address}'" if address else "on this machine"
        raise ConfigError(f"no Ray cluster {place}: {_first_line(error)}; start one with `ray start --head`") from error
    try:
        if not address and ray.cluster_resources().get("GPU", 0) < cluster.gpus_each:
            raise ConfigError(f"a Ray worker is to have {cluster.gpus_each:g} GPUs, more than this machine has")
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Knock where the address is one of a network: where nobody answers, Ray would try for minutes and end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _describe_here(cluster: _Cluster) -> dict[str, Any]:
    """A cluster of this machine, with as many cores in its accounts as the workers ask for: no worker waits for another."""
    cores = max(os.cpu_count() or 1, math.ceil(cluster.workers * cluster.cpus_each))
    return {"address": "local", "num_cpus": cores, "include_dashboard": False}


@contextmanager
def _environment() -> Iterator[None]:
    """What only the environment tells Ray; a user who has set one of these has decided."""
    wanted = {
        "RAY_USAGE_STATS_ENABLED": "0",  # nothing about anybody's runs is sent anywhere
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # its future meaning, and no warning about it
        "RAY_BACKEND_LOG_LEVEL": "fatal",  # else every pool of workers that may restart is an error message on the terminal
    }
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _stderr_off() -> Iterator[None]:
    """Drop what Ray's C++ writes to the terminal as it starts, such as that it was told to write nothing."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep Ray Data's plans, and its tracebacks of errors that are raised anyway, off the terminal."""
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _translate_ray_errors(ray: Any) -> Iterator[None]:
    """Say in one line that workers or machines are lost; errors in the code that they ran keep their traceback.

    Raises:
        ModelError: A worker died, a block was lost, or nothing came back for half an hour.
    """
    stalled = getattr(ray.data.exceptions, "ExecutionTimeoutError", ())  # of newer versions
    try:
        yield
    except (ray.exceptions.RayTaskError, ray.exceptions.UserCodeException):
        raise
    except ray.exceptions.RayError as error:
        raise ModelError(f"Ray gave up ({_first_line(error)}); what is done is kept: run the same command again") from error
    except stalled as error:
        raise ModelError(
            f"Ray came no further ({_first_line(error)}); see with `ray status` whether there is a place for each worker, "
            "or make batches smaller"
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__
