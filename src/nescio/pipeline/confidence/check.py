"""What a confidence run cannot be, told before its first stage."""

from __future__ import annotations

from nescio.config import ConfidenceConfig
from nescio.errors import ConfigError, describe_unknown
from nescio.pipeline.confidence.estimate import OF_ENTROPIES, OF_GREEDY
from nescio.pipeline.confidence.files import answers_in_one_pass, files_of
from nescio.pipeline.line import check_model_name, check_trained_with, read_trained_config

OF_READING = ("objective", "form", "query", "layer", "encoder")
"""Settings of training that an adapter must be read by."""


def check_confidence_config(config: ConfidenceConfig) -> None:
    """Refuse before the first stage what a later one would stumble over, perhaps after an hour.

    Raises:
        ConfigError: A setting that cannot be, with what to set instead.
    """
    from nescio.confidence.asked import ASKED
    from nescio.confidence.estimators import ESTIMATORS
    from nescio.data.load import load_splits

    stated = config.confidence
    for name in config.questions.in_distribution:
        if name not in config.questions.test:
            raise ConfigError(describe_unknown("set in questions.in_distribution", name, config.questions.test))
    for place, name in enumerate(stated.estimators):
        known = (*ESTIMATORS, *ASKED, *OF_ENTROPIES)
        if name not in known:
            raise ConfigError(describe_unknown("estimator", name, known))
        if name in stated.estimators[:place]:
            raise ConfigError(f"estimator '{name}' is named twice in confidence.estimators; name it once")
        if answers_in_one_pass(stated) and name not in OF_GREEDY:
            raise ConfigError(
                f"estimator '{name}' looks at stored answers, but this run answers anew, as it states its confidence; "
                f"leave it out, or take of {', '.join(OF_GREEDY)}"
            )
    if stated.in_one_pass and (stated.objective != "correctness" or stated.form != "probe"):
        raise ConfigError(
            "confidence.in_one_pass is for form: probe, as an adapter changes the answers; take it, or objective: joint"
        )
    if stated.adapter is not None:
        _check_adapter(config, stated.adapter)
    if config.sample.model is not None:
        if answers_in_one_pass(stated):
            raise ConfigError(
                "sample.model is for a judge of another model's answers, but this run answers by itself; leave it out"
            )
        check_model_name(config.sample.model.name)
    if stated.mix is not None:
        if stated.objective != "joint":
            raise ConfigError(f"confidence.mix is for the objective 'joint' alone, not for '{stated.objective}'; leave it out")
        load_splits(stated.mix)


def _check_adapter(config: ConfidenceConfig, source: str) -> None:
    """Refuse an adapter that cannot be what the run file says."""
    stated = config.confidence
    if stated.objective in ("none", "joint"):
        raise ConfigError(f"confidence.adapter judges given answers, which '{stated.objective}' does not; leave one of them out")
    wanted = {"model.name": config.model.name, **{f"confidence.{name}": getattr(stated, name) for name in OF_READING}}
    check_trained_with(source, read_trained_config(source, files_of(stated)), wanted)
