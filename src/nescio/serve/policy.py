"""What a server does with a confidence: answer, or one of the things that are done below the threshold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nescio.confidence.thresholds import threshold_for_costs
from nescio.errors import ConfigError
from nescio.models.prompt import REFUSAL
from nescio.records import Decision
from nescio.store import explain_validation, translate_os_errors

Below = Literal["hedge", "refuse"]
"""`hedge`: the model says what is open; `refuse`: a fixed sentence."""
Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Costs(_Strict):
    """Worth of what can happen, with a right answer worth 1."""

    wrong: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """What a wrong answer costs."""
    abstain: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """What it is worth not to answer."""


class Rule(_Strict):
    """From which confidence on to answer, and what to do below; what is not given is taken from the rule above this one."""

    threshold: Threshold | Literal["guaranteed"] | None = None
    """Answer iff the calibrated confidence is at least so much; `guaranteed`: the threshold that the run promises a risk for,
    of the raw confidence. With neither this nor `costs`, the model's own decision stands."""
    costs: Costs | None = None
    """Answer iff answering is worth more than not to (docs/calibration.md)."""
    below: Below | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Rule:
        if self.threshold is not None and self.costs is not None:
            raise ValueError("give a threshold or costs, not both")
        return self

    def over(self, other: Rule) -> Rule:
        """This rule, with what it leaves open taken from another one."""
        decided = self.threshold is not None or self.costs is not None
        return Rule(
            threshold=self.threshold if decided else other.threshold,
            costs=self.costs if decided else other.costs,
            below=self.below or other.below,
        )

    @property
    def least_confidence(self) -> float | None:
        """The calibrated confidence from which on to answer; None where something else decides."""
        if self.costs is not None:
            return threshold_for_costs(self.costs.abstain, self.costs.wrong)
        return None if self.threshold == "guaranteed" else self.threshold


class ApiKey(_Strict):
    """Somebody who may ask."""

    name: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the key, in hexadecimal: `nescio serve --hash-key` makes it."""
    rule: Rule = Rule()


class Policy(_Strict):
    """A server's policy, as its YAML file has it."""

    rule: Rule = Rule()
    refusal: str = REFUSAL
    """Said where a question is refused."""
    keys: tuple[ApiKey, ...] = ()
    """Without any, everybody may ask."""

    @model_validator(mode="after")
    def _names_differ(self) -> Policy:
        names = [key.name for key in self.keys]
        if len(set(names)) < len(names):
            raise ValueError("two keys have one name; give each its own")
        return self


class Verdict(BaseModel):
    """What becomes of a question."""

    model_config = ConfigDict(frozen=True)

    action: Literal["answer", "hedge", "refuse"]
    threshold: float | None
    """The least confidence that is answered; None where the model's own decision stands, or nothing can be promised."""
    decided_by: Literal["model", "threshold", "costs", "guaranteed"]


def judge(rule: Rule, *, decision: Decision, confidence: float | None, raw: float | None, guaranteed: float | None) -> Verdict:
    """Apply a rule to what the model says.

    Args:
        rule: The request's, over its key's, over the policy's.
        decision: The model's own.
        confidence: Calibrated; None where there is none: then nothing is answered.
        raw: The same before calibration.
        guaranteed: The run's threshold of raw confidence; None where it has none: then nothing is answered by it.
    """
    below: Below = rule.below or "hedge"
    if rule.threshold == "guaranteed":
        answers = guaranteed is not None and raw is not None and raw >= guaranteed
        return Verdict(action="answer" if answers else below, threshold=guaranteed, decided_by="guaranteed")
    least = rule.least_confidence
    if least is None:
        if decision == "correct":
            return Verdict(action="answer", threshold=None, decided_by="model")
        return Verdict(
            action="refuse" if decision == "refuse" and below == "hedge" else below, threshold=None, decided_by="model"
        )
    answers = confidence is not None and not math.isnan(confidence) and confidence >= least
    return Verdict(action="answer" if answers else below, threshold=least, decided_by="costs" if rule.costs else "threshold")


def load_policy(path: str | Path) -> Policy:
    """Read a policy file.

    Raises:
        ConfigError: It is no YAML, or a key is unknown, missing or of the wrong kind.
        StoreError: It cannot be read.
    """
    with translate_os_errors(f"reading {path}"):
        text = Path(path).read_text(encoding="utf-8")
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"policy '{path}' is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"policy '{path}' is no mapping; write keys such as `rule:`")
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"policy '{path}': {explain_validation(error)}") from error
