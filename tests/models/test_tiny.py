"""Tiny models: every architecture, the same weights for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nescio.errors import ModelError
from nescio.models.load import load_model, load_tokenizer
from nescio.models.prompt import FALLBACK_CHAT_TEMPLATE
from nescio.models.tiny import ARCHITECTURES, make_tiny_model

CLASSES = {
    "llama": "LlamaForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gemma3": "Gemma3ForCausalLM",
    "ernie4_5": "Ernie4_5ForCausalLM",
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_loads_as_what_it_claims_to_be(tiny_folder: Callable[[str], Path], architecture: str) -> None:
    """The folder holds a model of the architecture with fewer than 50,000 weights."""
    model, _ = load_model(str(tiny_folder(architecture)), dtype="float32", device="cpu")

    assert type(model).__name__ == CLASSES[architecture]
    assert model.num_parameters() < 50_000


def test_gemma3_mixes_a_sliding_window_with_full_attention(tiny_folder: Callable[[str], Path]) -> None:
    """One layer sees 64 tokens, the other all."""
    config = load_model(str(tiny_folder("gemma3")), dtype="float32", device="cpu").model.config

    assert config.sliding_window == 64
    assert config.layer_types == ["sliding_attention", "full_attention"]


def test_the_seed_alone_decides_the_weights(tmp_path: Path) -> None:
    """The same seed gives the same file, another seed another one, and the caller's random numbers go on undisturbed."""
    import torch

    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    files = [make_tiny_model(tmp_path / name, seed=seed) / "model.safetensors" for name, seed in [("a", 0), ("b", 0), ("c", 1)]]

    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    assert torch.equal(torch.rand(3), expected)


def test_without_a_chat_template_the_tokenizer_is_like_a_base_models(tmp_path: Path) -> None:
    """Loading gives it the fallback."""
    folder = make_tiny_model(tmp_path / "base", chat_template=None)

    assert load_tokenizer(folder).chat_template == FALLBACK_CHAT_TEMPLATE


def test_any_text_survives_the_tokenizer(tiny_folder: Callable[[str], Path]) -> None:
    """One token a byte: nothing is unknown."""
    tokenizer = load_tokenizer(tiny_folder("llama"))
    text = ' {"decision": "refuse"}\n\t東京 😀 \x00'

    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_an_unknown_architecture_is_refused_with_the_nearest_known(tmp_path: Path) -> None:
    """A typo is answered with a name that exists, and nothing is written."""
    with pytest.raises(ModelError, match="Did you mean 'qwen3'"):
        make_tiny_model(tmp_path / "a", architecture="qwen")  # type: ignore[arg-type]

    assert not (tmp_path / "a").exists()
