"""How well refusals are detected: precision and recall on the hand-labelled replies, by language, with Wilson intervals.

    python benchmarks/refusal_accuracy.py
    python benchmarks/refusal_accuracy.py --part build --errors
    python benchmarks/refusal_accuracy.py --failure-aware
    python benchmarks/refusal_accuracy.py --gold-answers NQ-open.dev.jsonl

Each cell is the share, its 95 % interval and its counts; every reply counts as a draw of its own. A share without a
denominator is n/a. The last two commands check texts that were written for another purpose: what careful assistants say in
the failure-aware set, and short gold answers, none of which should read as a refusal.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from nescio.data.load import load_splits
from nescio.grade.refusal import RefusalState, detect_refusal
from nescio.records import DECISIONS

REPLIES = Path(__file__).parents[1] / "tests/grade/refusal_replies.jsonl"
STATES: tuple[RefusalState, ...] = ("refused", "answered")
COLUMNS = ("replies", *(f"{metric} of `{state}`" for state in STATES for metric in ("precision", "recall")), "state right")
Row = dict[str, Any]


def read_replies(path: Path, part: str) -> list[Row]:
    """The labelled replies of a part, each with the detected `state` and `reason`."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    chosen = [row for row in rows if row["part"] == part]
    return [row | detect_refusal(row["reply"])._asdict() for row in chosen]


def describe_share(hits: int, n: int) -> str:
    """Share with Wilson's 95 % interval (Wilson 1927) and counts."""
    if not n:
        return "n/a"
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return f"{hits / n:.3f} [{interval.low:.3f}, {interval.high:.3f}] ({hits}/{n})"


def describe_group(rows: Sequence[Row]) -> list[str]:
    """The cells of one line of the table."""
    cells = [str(len(rows))]
    for state in STATES:
        hits = sum(row["label"] == row["state"] == state for row in rows)
        cells.append(describe_share(hits, sum(row["state"] == state for row in rows)))
        cells.append(describe_share(hits, sum(row["label"] == state for row in rows)))
    return [*cells, describe_share(sum(row["label"] == row["state"] for row in rows), len(rows))]


def print_failure_aware() -> None:
    """Count the states of the model replies in the failure-aware set, by right decision."""
    replies = [example for split in load_splits("failure_aware").values() for example in split]
    for decision in DECISIONS:
        states = Counter(detect_refusal(example.answer).state for example in replies if example.decision == decision)
        print(f"{decision}: " + ", ".join(f"{state} {describe_share(states[state], states.total())}" for state in STATES))


def print_gold_answers(path: Path) -> None:
    """Count the states of the gold answers (`answer`) in a JSONL file, and list those that do not count as answers."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    judged = {answer: detect_refusal(answer) for row in rows for answer in row["answer"]}
    states = Counter(refusal.state for refusal in judged.values())
    print(", ".join(f"{state} {describe_share(states[state], states.total())}" for state in STATES))
    for answer, refusal in judged.items():
        if refusal.state != "answered":
            print(f"{answer!r} is {refusal.state} ({refusal.reason})")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=Path, default=REPLIES)
    parser.add_argument("--part", default="held_out")
    parser.add_argument("--by", default="language", choices=["language", "kind"])
    parser.add_argument("--errors", action="store_true", help="list the replies whose state is wrong")
    parser.add_argument("--failure-aware", action="store_true")
    parser.add_argument("--gold-answers", type=Path)
    arguments = parser.parse_args()
    if arguments.failure_aware:
        return print_failure_aware()
    if arguments.gold_answers:
        return print_gold_answers(arguments.gold_answers)
    return print_corpus(arguments)


def print_corpus(arguments: argparse.Namespace) -> None:
    """Print the table of the labelled replies."""
    started = time.perf_counter()
    rows = read_replies(arguments.replies, arguments.part)
    seconds = time.perf_counter() - started
    print(f"| {arguments.by} | " + " | ".join(COLUMNS) + " |\n|---|--:" + "|---" * (len(COLUMNS) - 1) + "|")
    groups = [("all", rows)]
    groups += [(g, [r for r in rows if r[arguments.by] == g]) for g in dict.fromkeys(row[arguments.by] for row in rows)]
    for name, group in groups:
        print(f"| {name} | " + " | ".join(describe_group(group)) + " |")
    print(f"\n{1000 * seconds / max(len(rows), 1):.2f} ms a reply, the reading of the phrases included")
    if arguments.errors:
        for row in rows:
            if row["label"] != row["state"]:
                print(f"{row['id']} ({row['kind']}): {row['reply']!r} is {row['label']}, not {row['state']} ({row['reason']})")


if __name__ == "__main__":
    main()
