"""A run that is to stand beside others, and where runs are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nescio.report.honesty.content import check_kind, list_out_of_distribution, order_sets
from nescio.report.honesty.headline import HONESTY_METRICS, OUT, find_mean, find_metrics, show_set

BY_NAME = {metric.key: metric for metric in HONESTY_METRICS}
TABLE_METRICS = tuple(BY_NAME[key] for key in ("prudence", "over_conservativeness", "honesty", "accuracy"))


@dataclass(frozen=True)
class ComparedRun:
    """A run that is to stand beside others.

    Raises:
        ConfigError: Its scorecard is not one of honesty.
    """

    name: str
    scorecard: Mapping[str, Any]
    """Of kind `honesty`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Summary of the run file: `name`, `model.name`, `label.recipe`, `seed`."""
    differences: Mapping[str, Any] | None = None
    """This run minus the reference on the same questions, paired: `sets` and `means` as in the scorecard."""

    def __post_init__(self) -> None:
        check_kind(self.scorecard, name=self.name)

    @property
    def own(self) -> str:
        """The set in distribution."""
        return order_sets(self.scorecard)[0]

    @property
    def recipe(self) -> str:
        """How its labels were made; its name where that is not said."""
        return str((self.settings.get("label") or {}).get("recipe") or self.name)

    def metrics_of(self, place: str) -> Mapping[str, Any]:
        """Metrics of a set, or of the mean out of distribution; empty where the run has none there."""
        return find_metrics(self.scorecard, place)

    def differences_of(self, place: str) -> Mapping[str, Any]:
        """Differences to the reference on a set, or of the mean out of distribution; empty where there are none."""
        return find_metrics(self.differences or {}, place)


def list_places(runs: Sequence[ComparedRun]) -> list[tuple[str, str]]:
    """Where runs are compared, with a title each: in distribution, the mean of the other sets, then every other set."""
    away = dict.fromkeys(name for run in runs for name in list_out_of_distribution(run.scorecard))
    own = dict.fromkeys(name for run in runs for name in run.scorecard["sets"] if name not in away)
    places = [(name, f"In distribution: {show_set(name)}") for name in own]
    if any(find_mean(run.scorecard) for run in runs):
        places.append((OUT, "Out of distribution: mean over the sets"))
    return places + [(name, f"Out of distribution: {show_set(name)}") for name in away]
