"""One Markdown table over several runs of the same config with different seeds.

    python benchmarks/seeds_table.py runs/quickstart runs/quickstart-1 runs/quickstart-2

A cell is the mean over the runs with a 95 % interval of a two-stage bootstrap: each resample draws as many runs as there
are, with replacement, and takes the mean of their values on one resample of the groups, the same for all runs and systems.
So the interval holds both the chance of the questions and that of training. A difference is bold where its interval is clear
of zero. With --each, each run's own value stands below where they differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nescio.calibrate import Calibration
from nescio.data.load import load_examples
from nescio.evaluate import gather_outcomes
from nescio.metrics import percentile_interval
from nescio.metrics.scorecard import Scores, score_outcomes
from nescio.records import Grade, Prediction
from nescio.store import read_json, read_records

METRICS = {
    "decision_accuracy": "decision accuracy ↑",
    "macro_f1": "macro F1 ↑",
    "auroc": "AUROC of confidence ↑",
    "false_confidence_rate": "false confidence ↓",
    "hallucination_rate": "hallucination ↓",
    "over_refusal_rate": "over-refusal ↓",
    "answer_accuracy": "answer accuracy ↑",
    "twin_accuracy": "twin accuracy ↑",
    "ece": "ECE ↓",
    "ece_debiased": "debiased ECE ↓",
    "brier": "Brier ↓",
}
SYSTEMS = ("base", "few_shot", "tuned")
N_RESAMPLES = 1000
"""As in every scorecard."""


def score_run(folder: Path) -> dict[str, Scores]:
    """Every metric of every system of a run, with its resamples; equal seeds of the bootstrap pair runs and systems."""
    examples = load_examples(folder / "data/test.jsonl")
    calibrations = read_json(folder / "calibrate.json")
    scores = {}
    for system in SYSTEMS:
        predictions = read_records(folder / "predictions" / f"{system}.test.jsonl", Prediction)
        grades = read_records(folder / "grades" / f"{system}.test.jsonl", Grade)
        calibrator = Calibration.model_validate(calibrations[system]).calibrator
        outcomes = gather_outcomes(examples, predictions, grades, calibrator=calibrator)
        scores[system] = score_outcomes(outcomes, n_resamples=N_RESAMPLES, seed=0)
    return scores


def describe(values: list[float], resampled: list[np.ndarray], *, each: bool, difference: bool = False) -> str:
    """Mean over runs, interval, and each run's value if asked."""
    drawn = np.random.default_rng(0).integers(len(values), size=(N_RESAMPLES, len(values)))
    means = np.stack(resampled, axis=1)[np.arange(N_RESAMPLES)[:, None], drawn].mean(axis=1)
    low, high, _ = percentile_interval(means)
    sign = "+" if difference else ""
    text = f"{np.mean(values):{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
    if difference and (low > 0 or high < 0):
        text = f"**{text}**"
    if each and len(set(values)) > 1:
        text += "<br>" + ", ".join(f"{value:{sign}.3f}" for value in values)
    return text


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--each", action="store_true", help="Add each run's own value.")
    args = parser.parse_args()
    runs = [score_run(folder) for folder in args.runs]
    columns = ["base", "few-shot", "tuned", "tuned − base", "tuned − few-shot"]
    print("| | " + " | ".join(columns) + " |\n|---|" + "--:|" * len(columns))
    for metric, title in METRICS.items():
        cells = [
            describe([r[s].value[metric] for r in runs], [r[s].resampled[metric] for r in runs], each=args.each) for s in SYSTEMS
        ]
        for other in SYSTEMS[:2]:
            values = [r["tuned"].value[metric] - r[other].value[metric] for r in runs]
            resampled = [r["tuned"].resampled[metric] - r[other].resampled[metric] for r in runs]
            cells.append(describe(values, resampled, each=args.each, difference=True))
        print(f"| {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
