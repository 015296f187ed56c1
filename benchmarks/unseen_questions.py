"""How honest a finished run is on test questions that nobody has looked at while its recipe was made.

A limit on a test source keeps its first questions, in the order of a hash. This takes the next ones behind those that the run was
tested on, less those that its training, calibration or tests hold too, asks the untrained model greedily, lets the trained one
reply, and decides by what the run fitted to its training and calibration questions. Nothing is fitted again. The folder it writes
can be compared as a run's.

    python benchmarks/unseen_questions.py runs/honesty-decision --out runs/unseen-decision
    python benchmarks/unseen_questions.py runs/honesty-absolute --out runs/unseen-absolute
    nescio compare runs/unseen-decision runs/unseen-absolute --reference honesty-decision
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from nescio.confidence.second_opinion import SecondOpinion
from nescio.config import HonestyConfig, QuestionsConfig
from nescio.data.questions import find_shared_questions
from nescio.data.questions.source import load_source
from nescio.errors import DataError, NescioError
from nescio.evaluate_honesty import evaluate_honesty
from nescio.grade import grade_samples
from nescio.pipeline.asking import Asker
from nescio.pipeline.honesty import HonestyRun, make_replier
from nescio.pipeline.outcomes import make_outcomes, weigh_replies
from nescio.records import Outcome, Question
from nescio.run_folder import Silence
from nescio.store import read_json, read_records, write_json, write_records


def main() -> None:
    """Write outcomes and scorecard of the unseen questions, and print honesty by set."""
    arguments = _read_arguments()
    try:
        config = HonestyConfig.model_validate(read_json(arguments.run / "config.json"))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise DataError(f"'{arguments.run}/config.json' is not of this version of nescio: {where}; run it again") from None
    scorecard = read_json(arguments.run / "scorecard.json")
    sets = find_unseen(arguments.run, config.questions, wanted={config.questions.in_distribution: arguments.own})
    ask, reply = (
        Asker(config, Silence()),
        make_replier(HonestyRun(config.model_copy(update={"out": str(arguments.run)}), Silence())),
    )
    fitted = scorecard.get("second_opinion")
    outcomes: dict[str, list[Outcome]] = {}
    for name, questions in sets.items():
        print(f"{name}: {len(questions)} questions", file=sys.stderr, flush=True)
        samples = ask(questions, n=0, note=name)
        replies = reply(questions, name)
        if fitted is not None:
            replies = weigh_replies(samples, replies, SecondOpinion.model_validate(fitted))
        outcomes[name] = make_outcomes(questions, grade_samples(questions, samples), replies, threshold=scorecard["threshold"])
        write_records(arguments.out / "outcomes" / f"{name}.jsonl", outcomes[name])
    others = [name for name in outcomes if name != config.questions.in_distribution]
    scores = evaluate_honesty(outcomes, out_of_distribution=others, n_resamples=config.evaluate.resamples, seed=config.seed)
    kept = {key: scorecard.get(key) for key in ("threshold", "second_opinion", "in_distribution", "recipe")}
    write_json(arguments.out / "scorecard.json", scores | kept)
    write_json(arguments.out / "config.json", config.model_dump(mode="json"))
    for name, scored in scores["sets"].items():
        honesty = scored["metrics"]["honesty"]
        print(f"{name}: " + (honesty["reason"] if honesty["value"] is None else f"honesty {honesty['value']:.3f}"))


def find_unseen(run: Path, config: QuestionsConfig, *, wanted: dict[str, int]) -> dict[str, list[Question]]:
    """The questions behind those tested, as many again or as many as `wanted` says; sets that are used up are left out."""
    learnt = [q for part in ("train", "calibration") for q in read_records(run / "data" / f"{part}.jsonl", Question)]
    tested = {name: read_records(run / "data" / f"test.{name}.jsonl", Question) for name in config.test}
    seen = [*learnt, *(question for questions in tested.values() for question in questions)]
    unseen = {}
    for name, source in config.test.items():
        n = wanted.get(name, len(tested[name]))
        behind = load_source(source.model_copy(update={"limit": None}), root=config.root)[len(tested[name]) :][: n + n // 4]
        shared = {found.id for found in find_shared_questions(behind, seen)}
        if left := [question for question in behind if question.id not in shared][:n]:
            unseen[name] = left
    return unseen


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--own", type=int, default=1000, help="questions of the set in distribution")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except NescioError as error:
        sys.exit(f"error: {error}")
