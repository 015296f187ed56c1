"""Tiny models that are tuned anew in each test, and rows to tune them on."""

import pytest
import torch

from nescio.models.load import load_model
from nescio.models.tiny import ARCHITECTURES, make_tiny_model
from nescio.records import Example

DECISIONS = ("correct", "refuse", "uncertain", "correct")


@pytest.fixture(scope="session")
def trainable_folders(tmp_path_factory):
    """A folder of random weights for each architecture."""
    root = tmp_path_factory.mktemp("trainable")
    return {name: make_tiny_model(root / name, architecture=name) for name in ARCHITECTURES}


@pytest.fixture
def load_tiny(trainable_folders):
    """Load a fresh tiny model in float32, as training changes it in place."""

    def load(architecture="llama", *, opinionated=False):
        loaded = load_model(str(trainable_folders[architecture]), dtype="float32", device="cpu")
        if opinionated:
            # Fresh weights hardly attend to anything: a wrong mask or position would not show in the loss.
            with torch.no_grad():
                for name, weight in loaded.model.named_parameters():
                    if weight.dim() == 2:
                        weight.mul_(4 if "embed" in name else 8)
        return loaded

    return load


@pytest.fixture(scope="session")
def examples():
    """Eight examples of different length, with and without context."""
    return [
        Example(
            id=f"apple-{number}",
            group=f"apple-{number // 2}",
            pattern="incomplete_context",
            question=f"How many {'ripe ' * number}apples did person {number} eat?",
            context=f"Person {number} ate {number} apples." if number % 3 else None,
            decision=DECISIONS[number % 4],
            answer=f"{number} apples{', all of them ripe' * (number % 2)}.",
            justification="The text says so." if number % 4 in (0, 3) else "The text is silent.",
            evidence_quality=("high", "medium", "low")[number % 3],
            answers=(f"{number} apples",) if DECISIONS[number % 4] == "correct" else (),
        )
        for number in range(8)
    ]
