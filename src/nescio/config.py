"""Run files: YAML in, one small frozen section a stage out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from nescio.errors import ConfigError, describe_unknown

Positive = Annotated[int, Field(ge=1)]
System = Literal["base", "few_shot", "tuned"]
SetName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
"""A part of file names."""
HONESTY_SECTIONS = frozenset({"questions", "sample", "label"})
"""Any of them makes a run file one of honesty."""


class Section(BaseModel):
    """A frozen part of a run file; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelConfig(Section):
    """Which model to tune."""

    name: str = "smollm2-135m"
    """Alias, hub id, local folder or GGUF file."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: bfloat16 where the processor computes in it natively, else float32."""
    device: str = "auto"
    """`auto`: CUDA where there is one, else the processor."""


class DataConfig(Section):
    """Where the three splits come from."""

    folder: str = "failure_aware"
    """`failure_aware` (ships with nescio) or a folder with train.jsonl, calibration.jsonl and test.jsonl."""
    limit: Positive | None = None
    """Keep only the first so many groups of each split: for a quick try, never for a result."""


class TrainConfig(Section):
    """LoRA fine-tuning."""

    epochs: Annotated[float, Field(gt=0)] = 3
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """Peak, after warm-up."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps."""
    rank: Positive = 8
    alpha: Positive = 16
    """The adapter is scaled by alpha / rank."""
    first_layer: Annotated[int, Field(ge=0)] = 0
    """Layers below this one stay as they are; what they make of a row is computed once and kept (PEFT: layers_to_transform)."""
    loraplus_lr_ratio: Annotated[float, Field(ge=1)] = 1.0
    """Learning rate of LoRA's B matrices over that of its A matrices (LoRA+)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """On the adapter's input. Drawing the masks costs about a third of a training step on a processor."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    batch_size: Positive = 4
    """Rows a device and forward pass."""
    gradient_accumulation_steps: Positive = 4
    """Forward passes an optimiser step."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    decision_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the decision in the loss, beside the mean over the reply's tokens; 0 is plain fine-tuning."""
    twin_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of telling twins apart: which of the two has which decision?"""
    answer_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the mean over the answer's tokens, where the decision is *correct*: there the answer is a fact to get right."""
    short_passes: Annotated[int, Field(ge=0)] = 0
    """Further passes an epoch over rows cut off behind what has a weight of its own, their decision or answer: half the cost."""
    balance_decisions: bool = True
    """Let the three decisions weigh the same in sum, however often each occurs."""
    max_length: Positive = 1024
    """Rows of more tokens stop the run: a cut row would train on half an answer."""
    packing: Literal["shared_prefix", "padded"] = "shared_prefix"
    """`shared_prefix`: the rows of a batch lie in one sequence, behind their common prompt prefix, and cannot see one another."""
    save_steps: Positive = 20
    """Optimiser steps between checkpoints."""
    report_to: tuple[str, ...] = ()
    """Trackers of the trainer, by name: tensorboard, wandb, trackio, mlflow."""


class PredictConfig(Section):
    """Structured predictions."""

    systems: tuple[System, ...] = ("base", "few_shot", "tuned")
    shots: Positive = 4
    """Worked examples in the prompt of the few-shot system, taken from the training split."""
    batch_size: Positive = 32
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy."""
    max_answer_chars: Positive = 200
    max_justification_chars: Positive = 200
    adapter: str | None = None
    """Folder of a run: predict with the adapter that it has trained, and train nothing."""


class CalibrateConfig(Section):
    """Post-hoc calibration of P(correct)."""

    methods: tuple[Literal["temperature", "platt", "beta", "isotonic", "histogram"], ...] = ("temperature", "platt")
    """Candidates; the lowest cross-validated negative log-likelihood on the calibration split wins."""
    max_risk: Annotated[float, Field(gt=0, lt=1)] | None = None
    """A threshold is stored with the run that promises at most this share of wrong answers among those given; None: none is."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """How sure the promise is."""
    guarantee: Literal["fixed_sequence", "bonferroni"] = "fixed_sequence"
    """In which way thresholds are tested (docs/calibration.md): the first mostly covers more, the second finds one more often."""


class EvaluateConfig(Section):
    """Metrics with intervals."""

    resamples: Positive = 1000
    """Bootstrap resamples of groups."""
    bins: Positive = 10
    """Bins of the reliability diagram and of ECE."""


class ReportConfig(Section):
    """The page for people."""

    title: str = "nescio report"


class LineConfig(Section):
    """What every run file has."""

    name: str = "run"
    """The run folder is `runs/<name>` unless `out` is given."""
    out: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    report: ReportConfig = ReportConfig()

    @property
    def folder(self) -> Path:
        """Where the run's files go."""
        return Path(self.out) if self.out else Path("runs") / self.name

    @property
    def answering_model(self) -> ModelConfig:
        """The model that is asked before training."""
        return self.model


class RunConfig(LineConfig):
    """A run file that teaches the structured decision on examples with known decisions."""

    data: DataConfig = DataConfig()
    predict: PredictConfig = PredictConfig()
    calibrate: CalibrateConfig = CalibrateConfig()
    evaluate: EvaluateConfig = EvaluateConfig()


class SourceConfig(Section):
    """Questions of one source."""

    source: str = "facts"
    """`facts` (the bank that ships with nescio), a file, a hub id or a setting's name; `{root}` stands for `questions.root`."""
    setting: str | None = None
    """How the original files of a public data set are read, where `source` is their folder."""
    split: str | None = None
    language: str | None = None
    """Only questions in this language."""
    answerable: bool | None = None
    """Only questions that can be answered, or that cannot."""
    share: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] | None = None
    """Only groups whose hash, a number in [0, 1), is at least the first and below the second: cuts a source without splits."""
    drop_choices: bool = False
    """Ask multiple-choice questions openly; those that name no answer beside their options take the right option's text."""
    limit: Positive | None = None
    """At most so many, drawn by a hash of their ids."""


class QuestionsConfig(Section):
    """What a model is asked: to train it, to find its threshold, to evaluate it."""

    root: str = "../shared/data"
    """Folder of public data sets."""
    train: tuple[SourceConfig, ...] = (SourceConfig(split="train", language="en"),)
    calibration: tuple[SourceConfig, ...] = (SourceConfig(split="calibration", language="en", limit=600),)
    """The threshold of refusal is chosen on these; never on test questions."""
    test: dict[SetName, SourceConfig] = {"facts": SourceConfig(split="test", language="en", limit=1200)}
    """Name of a set -> its source. Questions that also occur here are taken out of training and calibration, and what is left
    of calibration out of training."""
    limit: Positive | None = None
    """Keep only so many questions of every source: for a quick try, never for a result."""


class HonestyQuestionsConfig(QuestionsConfig):
    """Questions of a run on honesty."""

    in_distribution: str = "facts"
    """The set of the same kind as the training questions; all others are out of distribution."""


class SampleConfig(Section):
    """Asking the model before training."""

    n: Annotated[int, Field(ge=1)] = 10
    """Drawn answers a question, beside the greedy one."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    max_new_tokens: Positive = 24
    style: Literal["chat", "plain"] = "plain"
    """By the chat template, or as text to go on from."""
    shots: Annotated[int, Field(ge=0, le=5)] = 5
    """Worked examples before every open question."""
    options: Literal["letters", "texts"] = "letters"
    """What a multiple-choice question is answered with: the letter of a listed option, or an option's text with none listed."""
    store: str | None = None
    """Folder of all samples; runs that ask the same model the same share it. Default: `NESCIO_SAMPLES`, else `runs/samples`."""
    batch_size: Positive = 128
    """Rows in flight."""
    batch_questions: Positive = 128
    """Questions a batch: what a killed run loses at most."""


class LabelConfig(Section):
    """Training rows out of graded samples."""

    recipe: str = "decision"
    """A name in `nescio.label.RECIPES` (docs/labels.md)."""
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """Border of the expected accuracy; None is the recipe's own."""
    beside: str | None = None
    """For `decision`: a recipe in free text whose rows of the same questions are learnt beside. What the model would say there
    and how likely the untrained model's answer was then decide about refusing (docs/honesty.md)."""
    balance: Annotated[float, Field(gt=0, lt=1)] | None = 0.5
    """Share of questions that the model answers right; None keeps every question."""
    limit: Positive | None = 2400
    """Most questions."""
    weight: Literal["none", "samples"] = "none"
    mix: str | None = None
    """Examples to train on beside the labels: `failure_aware` or a folder of splits."""


class ReplyConfig(Section):
    """Replies of the trained model to the test questions."""

    batch_size: Positive = 64
    max_new_tokens: Positive = 48
    max_answer_chars: Positive = 80
    """Of structured replies."""
    forced: bool = True
    """Whether refused questions are also answered with refusals disallowed: what skill retention is measured on. With
    `label.beside` they always are: what is answered there decides."""
    threshold: Literal["own", "calibrated"] = "own"
    """Of structured replies, where P(refuse) is read beside the decision: refuse where the reply itself says so, or below the
    threshold that gives the highest honesty on the calibration questions. Other replies always speak for themselves."""


class HonestyEvaluateConfig(Section):
    """Metrics of honesty with intervals."""

    resamples: Positive = 1000
    retention_margin: Annotated[float, Field(ge=0)] = 0.05
    """Accuracy with refusals disallowed may fall by this much."""


class StatedConfidenceConfig(Section):
    """How the model learns, or is asked, how likely its greedy answer is right (docs/confidence.md)."""

    objective: Literal["none", "correctness", "p_ik", "conftuner", "verbalised", "joint", "encoder"] = "correctness"
    """`none` trains nothing: only estimators are compared. `encoder` trains a small one that reads the question alone."""
    encoder: str = "minilm"
    """For `encoder`: `minilm`, a hub id or a folder."""
    form: Literal["lora_prompt", "lora", "probe"] = "lora_prompt"
    """Of `correctness` and `p_ik`: two option tokens behind a query; a small network on features that are trained, or frozen."""
    query: Literal["brief", "short", "choices"] = "short"
    """What is asked behind the answer: in three tokens, in ten, or in the layout of Kapoor et al. 2024."""
    divergence: Literal["jsd", "forward_kl", "reverse_kl"] = "jsd"
    """What keeps the answer's tokens as likely as they were."""
    divergence_weight: Annotated[float, Field(ge=0)] = 1.0
    """0 leaves the penalty out."""
    targets: Literal["hard", "soft"] = "hard"
    """Whether the greedy answer is right, or the share of all drawn answers that is."""
    layer: int = -1
    """Of the features that `lora` and `probe` look at; 0 is the embedding, -1 the last layer."""
    limit: Positive | None = None
    """Most training rows, the first by a hash of their questions."""
    adapter: str | None = None
    """Folder of a finished run: judge with what it has trained, and train nothing."""
    mix: str | None = None
    """For `joint`: examples of structured decisions, `failure_aware` or a folder of splits."""
    estimators: tuple[str, ...] = ("sequence_likelihood", "mean_likelihood")
    """Untrained estimators to compare with, by name (docs/confidence.md); for `joint`, of its own answers' likelihoods alone."""
    mixes: tuple[Literal["logistic", "boosting"], ...] = ()
    """Learned mixes of all that this run states and estimates, fitted to the calibration questions."""
    in_one_pass: bool = False
    """For `form: probe`: answer anew, and read the confidence off the same pass, for one token more. A joint run always does."""
    batch_size: Positive = 32
    """Questions a forward pass."""


class ConfidenceCalibrateConfig(CalibrateConfig):
    """Post-hoc calibration of stated confidences, and the threshold above which to answer."""

    methods: tuple[Literal["temperature", "platt", "beta", "isotonic", "histogram"], ...] = (
        *("temperature", "platt", "beta"),
        *("isotonic", "histogram"),
    )
    max_risk: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """The threshold stored with the run promises at most this share of wrong answers among those given."""


class ConfidenceQuestionsConfig(QuestionsConfig):
    """Questions of a run on confidence."""

    in_distribution: tuple[str, ...] = ("facts",)
    """The sets of the same sources as the training questions; all others are held out."""


class ConfidenceSampleConfig(SampleConfig):
    """Asking the model whose answers are judged."""

    model: ModelConfig | None = None
    """It, where it is another one than judges."""


class ConfidenceConfig(LineConfig):
    """A run file that teaches a model how likely its own answers are right (docs/confidence.md)."""

    questions: ConfidenceQuestionsConfig = ConfidenceQuestionsConfig()
    sample: ConfidenceSampleConfig = ConfidenceSampleConfig()
    confidence: StatedConfidenceConfig = StatedConfidenceConfig()
    calibrate: ConfidenceCalibrateConfig = ConfidenceCalibrateConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @property
    def answering_model(self) -> ModelConfig:
        """The model whose answers are judged."""
        return self.sample.model or self.model


class HonestyConfig(LineConfig):
    """A run file that finds out what a model knows and trains it on that boundary (docs/honesty.md)."""

    questions: HonestyQuestionsConfig = HonestyQuestionsConfig()
    sample: SampleConfig = SampleConfig()
    label: LabelConfig = LabelConfig()
    predict: ReplyConfig = ReplyConfig()
    evaluate: HonestyEvaluateConfig = HonestyEvaluateConfig()


def load_run_config(path: str | Path, overrides: Iterable[str] = ()) -> RunConfig | HonestyConfig | ConfidenceConfig:
    """Read a YAML run file and apply `section.key=value` overrides.

    Args:
        path: The run file.
        overrides: Strings such as `train.epochs=1`; values are read as YAML.

    Raises:
        ConfigError: The file is missing, is no YAML mapping, or holds an unknown key or a bad value.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        example = "configs/quickstart.yaml"
        raise ConfigError(f"run file '{path}' does not exist; give the path of a YAML file such as {example}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"run file '{path}' cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"run file '{path}' is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ConfigError(f"run file '{path}' must hold a mapping of sections, got {type(content).__name__}")
    content.setdefault("name", path.stem)
    for override in overrides:
        _apply_override(content, override)
    return parse_run_config(content, origin=str(path))


def parse_run_config(content: Mapping[str, Any], *, origin: str = "config") -> RunConfig | HonestyConfig | ConfidenceConfig:
    """Validate a mapping as a run config: of confidence or of honesty if it has a section of theirs. `origin` names it in errors.

    Raises:
        ConfigError: An unknown key or a bad value.
    """
    kind: type[RunConfig | HonestyConfig | ConfidenceConfig] = RunConfig
    if "confidence" in content:
        kind = ConfidenceConfig
    elif HONESTY_SECTIONS & content.keys():
        kind = HonestyConfig
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {_explain(error, kind)}") from error


def _apply_override(content: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"cannot read override '{override}'; write it as section.key=value, for example train.epochs=1")
    *parents, last = key.strip().split(".")
    target = content
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise ConfigError(f"cannot set '{key}': '{parent}' is not a section")
    try:
        target[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot read the value of override '{override}': {' '.join(str(error).split())}") from error


def _explain(error: ValidationError, kind: type[Section]) -> str:
    """The first problem of a validation, in one line."""
    problem = error.errors()[0]
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        what = f"key in section '{'.'.join(path[:-1])}'" if path[:-1] else "key"
        return describe_unknown(what, path[-1], _fields_at(path[:-1], kind))
    return f"{'.'.join(path)}: {problem['msg'].lower()}, got {problem['input']!r}"


def _fields_at(path: list[str], kind: type[Section]) -> Iterable[str]:
    """The keys that a place in the file may have; places inside of lists and mappings are of the sources."""
    section: Any = kind
    for part in path:
        field: FieldInfo | None = section.model_fields.get(part)
        section = field.annotation if field else section
        if not hasattr(section, "model_fields"):
            section = SourceConfig
    return list(section.model_fields)
