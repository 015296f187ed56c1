"""The model card of an adapter: README.md in the format of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from nescio.report.headline import (
    HEADLINE_METRICS,
    MetricName,
    describe_failures,
    describe_result,
    order_systems,
    show_interval,
    show_setting,
    show_system,
    show_value,
)
from nescio.store import write_text

TAGS = ("lora", "calibration", "abstention", "selective-prediction", "uncertainty", "nescio")


def write_model_card(
    path: str | Path,
    *,
    name: str,
    base_model: str,
    scorecard: Mapping[str, Any],
    training: Mapping[str, Any],
    dataset: str,
    dataset_description: str = "",
    dataset_ids: Sequence[str] = (),
    languages: Sequence[str] = ("en",),
    license_id: str = "apache-2.0",
    tags: Sequence[str] = TAGS,
    adapter: str | None = None,
) -> Path:
    """Write the card of a PEFT adapter.

    Args:
        path: The file, usually README.md beside the adapter's weights.
        name: The adapter's name; title of the card.
        base_model: Hub id (or path) of the model that the adapter sits on.
        scorecard: As in the report; the metrics of `tuned` go into `model-index`, undefined ones only into the table.
        training: What the reader should know of the training: settings, seed, versions, commit.
        dataset: Name of the data.
        dataset_description: One or two sentences on the data.
        dataset_ids: Hub ids of data sets, where there are any.
        languages: ISO 639-1 codes.
        license_id: The hub's name of the licence.
        tags: For search on the hub.
        adapter: What to load: a hub id or a folder; `name` where None.

    Raises:
        StoreError: The path cannot be written.
    """
    front: dict[str, Any] = {
        "base_model": base_model,
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "license": license_id,
        "language": list(languages),
        "tags": list(tags),
    }
    if dataset_ids:
        front["datasets"] = list(dataset_ids)
    results = _list_results(scorecard, dataset=dataset)
    if results:
        front["model-index"] = [{"name": name, "results": results}]
    sections = (
        _describe_model(name, scorecard),
        _INTENDED_USE,
        _describe_loading(base_model, adapter or name),
        _describe_training(training, dataset=dataset, description=dataset_description),
        _describe_evaluation(scorecard),
        _LIMITS,
    )
    header = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)
    write_text(path, f"---\n{header}---\n\n" + "\n\n".join(section.strip() for section in sections) + "\n")
    return Path(path)


def _list_results(scorecard: Mapping[str, Any], *, dataset: str) -> list[dict[str, Any]]:
    """The `results` of a model-index; the hub takes numbers only, so undefined metrics stay out."""
    tuned = scorecard["systems"].get("tuned", {})
    metrics = [
        {"type": metric.key, "name": metric.label, "value": round(float(tuned[metric.key]["value"]), 4)}
        for metric in HEADLINE_METRICS
        if (tuned.get(metric.key) or {}).get("value") is not None
    ]
    if not metrics:
        return []
    task = {"type": "text-generation", "name": "Deciding whether to answer"}
    kind = dataset.lower().replace(" ", "-")
    return [{"task": task, "dataset": {"type": kind, "name": dataset, "split": "test"}, "metrics": metrics}]


def _describe_model(name: str, scorecard: Mapping[str, Any]) -> str:
    warnings = describe_failures(scorecard)
    warning = f"\n\nNot every item could be scored. {' '.join(warnings)}" if warnings else ""
    return f"""
# {name}

A LoRA adapter that teaches its base model to decide, for each question, between three ways to react, and to say how sure
it is:

- `correct`: answer;
- `uncertain`: say what is known and what is open;
- `refuse`: decline, and say why.

{describe_result(scorecard)}{warning}
"""


_INTENDED_USE = """
## Intended use

Research on calibration and abstention, and as a first filter in front of a system that can look things up: answer what is
`correct`, hand on the rest. The confidence is the probability that answering would be right. It means what it says only
after calibration, and only on questions like those it was calibrated on.
"""


def _describe_loading(base_model: str, adapter: str) -> str:
    return f"""
## How to load

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({base_model!r})
model = AutoModelForCausalLM.from_pretrained({base_model!r})
model = PeftModel.from_pretrained(model, {adapter!r})
```

The adapter was trained on nescio's prompt and its structured reply. Ask through nescio, or build the same prompt: with
another prompt neither the decisions nor the confidence are those measured below.
"""


def _describe_training(training: Mapping[str, Any], *, dataset: str, description: str) -> str:
    text = f"## Training data\n\n{dataset}. {description}".strip()
    text += "\n\nCalibration was fitted on a split of its own; the test split was seen by neither training nor calibration."
    if not training:
        return text
    rows = "\n".join(f"| {_cell(key.replace('_', ' '))} | {_cell(show_setting(value))} |" for key, value in training.items())
    return f"{text}\n\n| setting | value |\n|---|---|\n{rows}"


def _describe_evaluation(scorecard: Mapping[str, Any]) -> str:
    systems = scorecard["systems"]
    names = order_systems(systems)
    head = "| metric | " + " | ".join(show_system(name) for name in names) + " |"
    rule = "|---|" + "---|" * len(names)
    lines = [_describe_metric(metric, [systems[name].get(metric.key) for name in names]) for metric in HEADLINE_METRICS]
    return "\n".join(
        (
            "## Evaluation",
            "",
            "On the test split. Brackets hold 95 % intervals; ↑ more is better, ↓ less is better.",
            "",
            head,
            rule,
            *lines,
        )
    )


def _describe_metric(metric: MetricName, values: Sequence[Mapping[str, Any] | None]) -> str:
    cells = []
    for value in values:
        interval = show_interval(value, percent=metric.percent)
        cells.append(_cell(show_value(value, percent=metric.percent) + (f" ({interval})" if interval else "")))
    arrow = "↑" if metric.higher_is_better else "↓"
    return f"| {metric.label} {arrow} | " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    """Text that cannot break out of a Markdown table's cell."""
    return " ".join(text.split()).replace("|", "\\|")


_LIMITS = """
## Limits

- The test questions are of the same kinds as the training questions. How well the decisions carry over to other kinds, and
  to other languages, was not measured.
- The adapter changes when the model answers far more than what it knows: a small base model stays a small base model.
- Intervals cover the choice of test questions, not another training run with another seed.
- A refusal is no safety mechanism: nobody attacked the model to get round it.
"""
