"""Cohen's kappa between the shipped labels and the blind second labelling of the calibration and test splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score, cohen_kappa_score

from nescio.data.load import load_splits
from nescio.store import read_json_lines

SECOND = Path(__file__).parent.parent / "docs" / "second_labelling.jsonl"


def main() -> None:
    """Print agreement on decision and on evidence quality."""
    splits = load_splits("failure_aware")
    first = {example.id: example for split in ("calibration", "test") for example in splits[split]}
    second = {row["id"]: row for _, row in read_json_lines(SECOND)}
    assert set(first) == set(second), "the second labelling must cover the calibration and the test split"
    for field in ("decision", "evidence_quality"):
        ours = [getattr(first[key], field) for key in sorted(first)]
        theirs = [second[key][field] for key in sorted(first)]
        draws = np.random.default_rng(0).integers(len(ours), size=(1000, len(ours)))
        low, high = np.quantile([cohen_kappa_score(np.array(ours)[d], np.array(theirs)[d]) for d in draws], [0.025, 0.975])
        kappa, agreement = cohen_kappa_score(ours, theirs), accuracy_score(ours, theirs)
        print(f"{field}: kappa {kappa:.3f} [{low:.3f}, {high:.3f}], agreement {agreement:.3f}, n {len(ours)}")


if __name__ == "__main__":
    main()
