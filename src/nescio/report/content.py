"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nescio.errors import DataError
from nescio.records import Example, Grade, Prediction
from nescio.report.headline import order_systems


@dataclass(frozen=True)
class ReportContent:
    """Everything that the page shows; any subset of the three systems may be present.

    Raises:
        DataError: The systems of the parts differ, or the rows of a system do not match the examples one to one.
    """

    title: str
    scorecard: dict[str, Any]
    """`systems`, `paired`, `settings`; each metric is `{"value", "n", "low", "high"}`, with `reason` where a part is None."""
    examples: Sequence[Example]
    """The test split."""
    predictions: Mapping[str, Sequence[Prediction]]
    """Of each system, in the order of the examples."""
    grades: Mapping[str, Sequence[Grade]]
    """Of each system, in the order of the examples."""
    calibrated: Mapping[str, Sequence[float | None]]
    """Calibrated confidence of each system in [0, 1], in the order of the examples; None where there is none."""
    loss_curve: Sequence[Mapping[str, Any]]
    """Rows of `step`, `loss`, `learning_rate`; empty where nothing was trained."""
    settings: dict[str, Any]
    """Model and summary of the run file."""
    manifest: dict[str, Any]
    """Versions, commit, seed, seconds and peak memory of each stage."""

    def __post_init__(self) -> None:
        expected = self.systems
        parts = {"predictions": self.predictions, "grades": self.grades, "calibrated confidences": self.calibrated}
        for part, rows_by_system in parts.items():
            if (got := order_systems(rows_by_system)) != expected:
                raise DataError(f"the scorecard has the systems {expected}, the {part} have {got}; run evaluate again")
            for system, rows in rows_by_system.items():
                self._check_rows(rows, what=f"{part} of '{system}'")

    def _check_rows(self, rows: Sequence[Any], *, what: str) -> None:
        if len(rows) != len(self.examples):
            raise DataError(f"there are {len(rows)} {what} for {len(self.examples)} examples; run predict and evaluate again")
        for example, row in zip(self.examples, rows, strict=True):
            if isinstance(row, Prediction | Grade) and row.id != example.id:
                raise DataError(f"the {what} have '{row.id}' where the examples have '{example.id}'; bring them in one order")

    @property
    def systems(self) -> list[str]:
        """Names of the systems, in the order in which they are shown."""
        return order_systems(self.scorecard["systems"])

    @property
    def pairs(self) -> list[str]:
        """Names of the paired differences, in the order of the systems."""
        names = self.systems
        return sorted(
            self.scorecard.get("paired", {}),
            key=lambda pair: [names.index(name) for name in pair.split("-") if name in names],
        )

    @property
    def subject(self) -> str | None:
        """The system that the page is about: tuned, or the last one where nothing was tuned."""
        if "tuned" in self.systems:
            return "tuned"
        return self.systems[-1] if self.systems else None
