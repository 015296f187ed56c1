"""What tells best whether a model knows: the signals of one finished honesty run, alone and together.

Each signal ranks the questions (area under the ROC curve against whether the untrained model's greedy answer was right), and each
is a rule of refusing (honesty, and over-conservativeness): the decision as it is written, what the model would rather say in free
text, the likelihood of the untrained model's answer, and the last two together, as the run decided.

    nescio run configs/honesty/decision.yaml
    python benchmarks/refusal_signals.py runs/honesty-decision
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nescio.confidence.second_opinion import SecondOpinion
from nescio.evaluate_honesty import evaluate_honesty
from nescio.metrics import area_under_roc, bootstrap_interval
from nescio.metrics.ranking import auroc_of_sums
from nescio.metrics.running import rank_items, sum_running
from nescio.pipeline.outcomes import make_outcomes, weigh_replies
from nescio.records import Outcome, Question, Reply, Sample, SampleGrade
from nescio.store import read_json, read_records

Rule = Callable[[Sequence[Sample], Sequence[Reply]], list[Reply]]


class Asked(NamedTuple):
    """A test set: what was asked, and what came of it."""

    questions: list[Question]
    samples: list[Sample]
    grades: list[SampleGrade]
    replies: list[Reply]


def main() -> None:
    """Print one table of AUROC and one of honesty."""
    arguments = _read_arguments()
    scorecard = read_json(arguments.run / "scorecard.json")
    if scorecard["second_opinion"] is None:
        raise SystemExit("this run has no second opinion; set label.beside in its run file")
    opinion = SecondOpinion.model_validate(scorecard["second_opinion"])
    own = scorecard["in_distribution"]
    sets = {name: _read(arguments.run, name) for name in scorecard["sets"]}
    rules: dict[str, Rule] = {
        "the decision as written": lambda _, replies: list(replies),
        "free text": _under(opinion.model_copy(update={"slope_of_answer": 0.0})),
        "likelihood before training": _under(opinion.model_copy(update={"slope_of_reply": 0.0})),
        "both": _under(opinion),
    }
    print("AUROC [95 %] of the untrained model being right\n")
    print("| signal | " + " | ".join(f"{name} (n = {len(asked.questions)})" for name, asked in sets.items()) + " |")
    print("|---|" + "--:|" * len(sets))
    outcomes: dict[str, dict[str, list[Outcome]]] = {}
    for rule, weigh in rules.items():
        outcomes[rule] = {
            name: make_outcomes(asked.questions, asked.grades, weigh(asked.samples, asked.replies))
            for name, asked in sets.items()
        }
        print(f"| {rule} | " + " | ".join(_rank(rows, arguments) for rows in outcomes[rule].values()) + " |")
    print("\nhonesty, over-conservativeness [95 %]\n\n| rule | " + f"{own} | | mean of the others | |\n|---|--:|--:|--:|--:|")
    others = [name for name in sets if name != own]
    for rule, rows in outcomes.items():
        scores = evaluate_honesty(rows, out_of_distribution=others, n_resamples=arguments.resamples, seed=arguments.seed)
        of_both = (scores["sets"][own]["metrics"], scores["means"]["out_of_distribution"])
        cells = [_show(scored[metric]) for scored in of_both for metric in ("honesty", "over_conservativeness")]
        print(f"| {rule} | " + " | ".join(cells) + " |")


def _under(opinion: SecondOpinion) -> Rule:
    return lambda samples, replies: weigh_replies(samples, replies, opinion)


def _read(run: Path, name: str) -> Asked:
    def path(kind: str) -> Path:
        return run / kind / f"test.{name}.jsonl"

    return Asked(
        read_records(path("data"), Question),
        read_records(path("samples"), Sample),
        read_records(path("grades"), SampleGrade),
        read_records(path("predictions"), Reply),
    )


def _rank(rows: Sequence[Outcome], arguments: argparse.Namespace) -> str:
    told = [row for row in rows if row.before != "ungraded" and row.confidence is not None]
    confidence = np.array([row.confidence for row in told], dtype=np.float64)
    known = np.array([row.before == "correct" for row in told], dtype=np.float64)
    ranked = rank_items(confidence, known)
    interval = bootstrap_interval(
        lambda weights: auroc_of_sums(sum_running(ranked, weights[:, ranked.order])),
        [row.group for row in told],
        n_resamples=arguments.resamples,
        seed=arguments.seed,
    )
    return f"{area_under_roc(confidence, known):.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _show(metric: dict[str, float]) -> str:
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]"


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
