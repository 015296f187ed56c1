"""What a report of an honesty run is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nescio.errors import ConfigError, DataError
from nescio.records import Outcome, Question, Sample, SampleGrade, Verdict


@dataclass(frozen=True, slots=True)
class GradedSample:
    """An answer drawn before training, with what the grader made of it."""

    index: int
    """0 is the greedy answer."""
    text: str
    verdict: Verdict


@dataclass(frozen=True)
class HonestyContent:
    """Everything that the page of an honesty run shows.

    Raises:
        ConfigError: The scorecard is of another kind of run.
        DataError: The sets of scorecard and outcomes differ, or an outcome belongs to no question.
    """

    title: str
    scorecard: Mapping[str, Any]
    """Of kind `honesty`: `sets`, `means`, `settings`, as written by the evaluation."""
    outcomes: Mapping[str, Sequence[Outcome]]
    """Of each set of the scorecard."""
    questions: Mapping[str, Question]
    """By id; every outcome has its question."""
    samples: Mapping[str, Sequence[GradedSample]] = field(default_factory=dict)
    """By question id, drawn before training; may be of some questions only."""
    replies: Mapping[str, str] = field(default_factory=dict)
    """What the trained model wrote, by question id; may be of some questions only."""
    loss_curve: Sequence[Mapping[str, Any]] = ()
    """Rows of `step`, `loss`; empty where nothing was trained."""
    label_counts: Mapping[str, Any] = field(default_factory=dict)
    """How many rows of which kind were learned."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Summary of the run file."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """Versions, commit, seed, seconds of each stage."""

    def __post_init__(self) -> None:
        check_kind(self.scorecard, name=self.title)
        if set(self.outcomes) != set(self.sets):
            raise DataError(f"the scorecard has the sets {self.sets}, the outcomes {sorted(self.outcomes)}; run evaluate again")
        for name, rows in self.outcomes.items():
            for row in rows:
                if row.question_id not in self.questions:
                    raise DataError(f"there is no question '{row.question_id}' for an outcome of '{name}'; give all questions")

    @property
    def sets(self) -> list[str]:
        """Names of the sets; those in distribution first."""
        return order_sets(self.scorecard)

    @property
    def away(self) -> list[str]:
        """Names of the sets out of distribution."""
        return list_out_of_distribution(self.scorecard)


def check_kind(scorecard: Mapping[str, Any], *, name: str) -> None:
    """Refuse a scorecard that holds no honesty.

    Raises:
        ConfigError: It is of another kind, or has no set.
    """
    kind = scorecard.get("kind", "decision")
    if kind != "honesty":
        raise ConfigError(f"run '{name}' has a scorecard of kind '{kind}', expected 'honesty'; give a run of a honesty run file")
    if not scorecard.get("sets"):
        raise ConfigError(f"the scorecard of run '{name}' has no question set; run evaluate with at least one")


def order_sets(scorecard: Mapping[str, Any]) -> list[str]:
    """Names of the sets, those in distribution first.

    `settings.out_of_distribution` names the others; where it is missing, all but the first set are.

    Examples:
        >>> order_sets({"sets": {"popqa": {}, "facts": {}}, "settings": {"out_of_distribution": ["popqa"]}})
        ['facts', 'popqa']
    """
    away = list_out_of_distribution(scorecard)
    return sorted(scorecard["sets"], key=lambda name: name in away)  # stable: otherwise as they stand


def list_out_of_distribution(scorecard: Mapping[str, Any]) -> list[str]:
    """Names of the sets that the model was not trained for."""
    names = list(scorecard["sets"])
    away = scorecard.get("settings", {}).get("out_of_distribution")
    return names[1:] if away is None else [name for name in names if name in away]


def pair_samples(samples: Iterable[Sample], grades: Iterable[SampleGrade]) -> dict[str, list[GradedSample]]:
    """Bring samples and their grades together, by question id and in the order of their index.

    A sample without a grade is `ungraded`; of a failed sample the failure is shown.
    """
    verdicts = {(grade.question_id, grade.index): grade.verdict for grade in grades}
    paired: dict[str, list[GradedSample]] = {}
    for sample in samples:
        verdict = verdicts.get((sample.question_id, sample.index), "ungraded")
        text = sample.text if sample.failure is None else f"(failed: {sample.failure})"
        paired.setdefault(sample.question_id, []).append(GradedSample(sample.index, text, verdict))
    for rows in paired.values():
        rows.sort(key=lambda row: row.index)
    return paired
