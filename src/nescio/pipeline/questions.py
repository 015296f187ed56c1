"""What a run asks: read from its sources, and kept apart by what it is used for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from nescio.config import QuestionsConfig, SourceConfig
from nescio.data.questions import find_shared_questions, refuse_benchmark_tests
from nescio.data.questions.source import FACTS, identify_facts, load_source
from nescio.errors import DataError
from nescio.records import Question
from nescio.store import sha256_of_file


def read_questions(config: QuestionsConfig) -> tuple[dict[str, list[Question]], dict[str, int]]:
    """Read the questions, and keep apart what is trained on, calibrated on and tested.

    What is also tested leaves training and calibration, and what is left of calibration leaves training.

    Returns:
        Questions of `train`, `calibration` and each `test.<name>`; and how many of the first two there were before.

    Raises:
        DataError: A source cannot be read, a benchmark's test set is in training, two questions have one id, or none is left.
    """
    train, calibration = _load(config, config.train), _load(config, config.calibration)
    tests = {f"test.{name}": _load(config, [source]) for name, source in config.test.items()}
    refuse_benchmark_tests(train)
    refuse_benchmark_tests(calibration)
    tested = [question for questions in tests.values() for question in questions]
    _refuse_ambiguous_ids([*train, *calibration, *tested])
    kept = {"calibration": _leave_out(calibration, tested, split="calibration", why="tested")}
    kept["train"] = _leave_out(train, [*tested, *kept["calibration"]], split="train", why="tested or calibrated on")
    return kept | tests, {"train": len(train), "calibration": len(calibration)}


def _load(config: QuestionsConfig, sources: Sequence[SourceConfig]) -> list[Question]:
    found = [q for source in sources for q in load_source(source, root=config.root, limit=config.limit)]
    _refuse_ambiguous_ids(found)
    return list({question.id: question for question in found}.values())


def _refuse_ambiguous_ids(questions: Iterable[Question]) -> None:
    """One question may come from two sources; two questions of one id would be taken for each other."""
    seen: dict[str, Question] = {}
    for question in questions:
        other = seen.setdefault(question.id, question)
        if (other.question, other.context, other.choices) != (question.question, question.context, question.choices):
            raise DataError(
                f"id '{question.id}' stands for two questions, '{other.question}' and '{question.question}'; "
                "give the questions of all sources ids of their own"
            )


def _leave_out(questions: Sequence[Question], others: Sequence[Question], *, split: str, why: str) -> list[Question]:
    """Questions without those that are, exactly or nearly, among the others."""
    shared = {found.id for found in find_shared_questions(questions, others)}
    kept = [question for question in questions if question.id not in shared]
    if not kept:
        raise DataError(f"no question of questions.{split} is left: all {len(questions)} are also {why}; take other sources")
    return kept


def digest_sources(config: QuestionsConfig) -> dict[str, str]:
    """Digests of what sources are read from: a changed file, or another state of the bank, makes the stage run again."""
    digests: dict[str, str] = {}
    for source in dict.fromkeys(source.source for source in [*config.train, *config.calibration, *config.test.values()]):
        path = Path(source.replace("{root}", config.root))
        if source == FACTS:
            digests[source] = identify_facts()
        elif path.is_file():
            digests[source] = sha256_of_file(path)
        elif path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            digests |= {f"{source}/{file.relative_to(path)}": sha256_of_file(file) for file in files}
    return digests
