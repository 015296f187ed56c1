"""The smallest whole run: a random model, a handful of made-up rows, all seven stages in seconds."""

import json
from pathlib import Path

from nescio.config import parse_run_config
from nescio.records import Example
from nescio.store import write_records

SIZES = {"train": 6, "calibration": 4, "test": 4}
"""Groups of two a split."""


class Recorder:
    """A front end that remembers what it was told."""

    def __init__(self):
        self.begun, self.notes = [], {}

    def begin(self, stage, note):
        """Note the stage."""
        self.begun.append(stage)

    def advance(self, stage, done, total, note):
        """Check that the numbers make sense."""
        assert 0 < done <= total

    def end(self, stage, note):
        """Note what was said."""
        self.notes[stage] = note

    @property
    def skipped(self):
        """Stages that said that nothing had to be done."""
        return [stage for stage, note in self.notes.items() if note == "unchanged, skipped"]


def make_row(split, number, side, **fields):
    """One of two twins: side a can be answered."""
    decision = "correct" if side == "a" else ("uncertain", "refuse")[number % 2]
    defaults = {
        "id": f"{split}-{number}-{side}",
        "group": f"{split}-{number}",
        "pattern": ("future_event", "false_premise", "needs_tools")[number % 3],
        "question": f"How many apples did the {split} guest number {number} eat on the {side} side?",
        "context": None if number % 2 else f"Guest {number} of {split} ate {number} apples.",
        "decision": decision,
        "answer": f"{number} apples.",
        "justification": "It is on record.",
        "evidence_quality": "high",
        "answers": (f"{number} apples",) if decision == "correct" else (),
    }
    return Example.model_validate({**defaults, **fields})


def make_data(folder):
    """Three clean splits; returns their folder."""
    for split, groups in SIZES.items():
        rows = [make_row(split, number, side) for number in range(groups) for side in ("a", "b")]
        write_records(Path(folder) / f"{split}.jsonl", rows)
    return Path(folder)


def small_content(model, data, out):
    """What the run file says: three optimiser steps, short answers, few resamples."""
    return {
        "name": "small",
        "out": str(out),
        "model": {"name": str(model), "dtype": "float32", "device": "cpu"},
        "data": {"folder": str(data)},
        "train": {"epochs": 1, "gradient_accumulation_steps": 1, "learning_rate": 0.05, "save_steps": 1},
        "predict": {"batch_size": 4, "max_answer_chars": 20, "max_justification_chars": 20},
        "evaluate": {"resamples": 50},
    }


def small_config(model, data, out, **sections):
    """The run file, with keys of some sections replaced."""
    content = small_content(model, data, out)
    for section, values in sections.items():
        content[section] = content.get(section, {}) | values if isinstance(values, dict) else values
    return parse_run_config(content)


def read_scorecard(folder):
    """The numbers of a run."""
    return json.loads((Path(folder) / "scorecard.json").read_text(encoding="utf-8"))
