"""One Markdown table over several runs of the same config with different seeds.

    python benchmarks/seeds_table.py runs/quickstart runs/quickstart-1 runs/quickstart-2

Per metric and system: the mean over seeds and each seed's 95 % interval pooled as the mean of its ends. Per pair: how
many seeds have a paired interval clear of zero, and in which direction.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from nescio.store import read_json

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


def mean_cell(metrics: list[dict[str, Any]], *, sign: str = "") -> str:
    """Mean value with the mean interval, or a dash."""
    known = [m for m in metrics if m["value"] is not None and m["low"] is not None]
    if not known:
        return "-"
    value, low, high = (sum(m[key] for m in known) / len(known) for key in ("value", "low", "high"))
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def clear_of_zero(metrics: list[dict[str, Any]]) -> str:
    """How many seeds show a change."""
    up = sum(m["low"] is not None and m["low"] > 0 for m in metrics)
    down = sum(m["high"] is not None and m["high"] < 0 for m in metrics)
    return f"up in {up}, down in {down} of {len(metrics)}"


def main() -> None:
    """Print the table."""
    cards = [read_json(Path(folder) / "scorecard.json") for folder in sys.argv[1:]]
    systems, pairs = list(cards[0]["systems"]), list(cards[0]["paired"])
    print("| metric | " + " | ".join([*systems, *(f"{pair}, clear of zero" for pair in pairs)]) + " |")
    print("|---|" + "--:|" * (len(systems) + len(pairs)))
    for metric, title in METRICS.items():
        cells = [mean_cell([card["systems"][system][metric] for card in cards]) for system in systems]
        for pair in pairs:
            differences = [card["paired"][pair][metric] for card in cards]
            cells.append(f"{mean_cell(differences, sign='+')}, {clear_of_zero(differences)}")
        print(f"| {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
