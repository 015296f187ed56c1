"""The smallest honesty run: a random model that has opinions, a few questions of every kind, all eight stages in seconds."""

import hashlib
from pathlib import Path

from nescio.config import parse_run_config
from nescio.models.load import load_model
from nescio.models.tiny import make_tiny_model
from nescio.records import Question
from nescio.store import write_records

ANYTHING, NOTHING = "re:.", "zanzibar"
"""Gold answers: one that every answer gives, and one that the random model never writes."""


def make_question(name, **fields):
    """A question that is no near-duplicate of any other; of which a test names only what it is about."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    defaults = {"id": name, "group": name, "question": f"What is {digest[:9]} {digest[9:20]}?", "source": "made up"}
    return Question.model_validate({**defaults, **fields})


def make_questions(split, *, known=4, unknown=4, invented=2, choices=2):
    """Questions of a split; the model knows the first ones, whatever it says."""
    made = [make_question(f"{split}-known-{n}", answers=[ANYTHING], obscurity=n / 10) for n in range(known)]
    made += [make_question(f"{split}-unknown-{n}", answers=[NOTHING], obscurity=0.5 + n / 10) for n in range(unknown)]
    made += [make_question(f"{split}-invented-{n}", answerable=False) for n in range(invented)]
    return made + [make_question(f"{split}-choice-{n}", choices=["red", "green", "blue"], choice=n % 3) for n in range(choices)]


def make_world(root):
    """A model and three files of questions; returns their folder."""
    root = Path(root)
    make_opinionated_model(root / "model")
    for split in ("train", "calibration", "own", "far"):
        write_records(root / f"{split}.jsonl", make_questions(split))
    return root


def make_opinionated_model(folder):
    """A tiny model whose weights are scaled up until its answers depend on the question."""
    import torch

    loaded = load_model(str(make_tiny_model(folder)), dtype="float32", device="cpu")
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if weight.dim() == 2:
                weight.mul_(16 if "embed" in name else 12)
    loaded.model.save_pretrained(folder)


def honesty_content(world, out):
    """What the run file says: few samples, short answers, few steps, few resamples."""
    return {
        "name": Path(out).name,
        "out": str(out),
        "model": {"name": str(world / "model"), "dtype": "float32", "device": "cpu"},
        "questions": {
            "root": str(world),
            "train": [{"source": "{root}/train.jsonl"}],
            "calibration": [{"source": "{root}/calibration.jsonl"}],
            "test": {"own": {"source": "{root}/own.jsonl"}, "far": {"source": "{root}/far.jsonl"}},
            "in_distribution": "own",
        },
        "sample": {"n": 3, "max_new_tokens": 6, "shots": 1, "batch_questions": 4, "store": str(world / "samples")},
        "label": {"recipe": "decision"},
        "train": {"epochs": 1, "gradient_accumulation_steps": 1, "learning_rate": 0.01, "save_steps": 1, "max_length": 2048},
        "predict": {"max_new_tokens": 8, "max_answer_chars": 12, "threshold": "calibrated"},
        "evaluate": {"resamples": 20},
    }


def honesty_config(world, out, **sections):
    """The run file, with keys of some sections replaced."""
    content = honesty_content(world, out)
    for section, values in sections.items():
        content[section] = content.get(section, {}) | values if isinstance(values, dict) else values
    return parse_run_config(content)
