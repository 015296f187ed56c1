"""How well refusals are detected: precision and recall on the hand-labelled replies, by language, with Wilson intervals.

    python benchmarks/refusal_accuracy.py
    python benchmarks/refusal_accuracy.py --part build --errors

Each cell is the share, its 95 % interval and its counts. The replies of one part are written apart from one another, so each
counts as a draw of its own. A share without a denominator is n/a.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from nescio.grade.refusal import detect_refusal

REPLIES = Path(__file__).parents[1] / "tests/grade/refusal_replies.jsonl"
STATES = ("refused", "answered")
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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=Path, default=REPLIES)
    parser.add_argument("--part", default="held_out")
    parser.add_argument("--by", default="language", choices=["language", "kind"])
    parser.add_argument("--errors", action="store_true", help="list the replies whose state is wrong")
    arguments = parser.parse_args()
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
