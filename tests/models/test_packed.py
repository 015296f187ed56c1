"""Packed layers compute what plain ones do, and go away."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nescio.models.packed import packed_linear_layers
from nescio.models.tiny import ARCHITECTURES


def hidden_and_logits(model: Any) -> Any:
    """What a forward pass makes of a few tokens."""
    with torch.inference_mode():
        return model(torch.tensor([[5, 6, 7, 8]])).logits


@pytest.fixture
def make_bfloat16(tiny_model: Callable[[str], Any]) -> Callable[[str], Any]:
    """A copy of a tiny model in bfloat16."""
    import copy

    return lambda architecture: copy.deepcopy(tiny_model(architecture).model).bfloat16()


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of PyTorch has no oneDNN")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_agree_to_rounding(make_bfloat16: Callable[[str], Any], architecture: str) -> None:
    """All linear layers are packed, the head too, and the logits are those of the plain layers to bfloat16's precision."""
    model = make_bfloat16(architecture)
    plain = hidden_and_logits(model)
    with packed_linear_layers(model) as changed:
        packed = hidden_and_logits(model)

    assert changed == 2 * 7 + 1
    torch.testing.assert_close(packed, plain, rtol=0.02, atol=0.02 * plain.abs().max().item())


def test_layers_are_plain_again_after_an_error(make_bfloat16: Callable[[str], Any]) -> None:
    """Nothing of the packing stays, whatever happens within."""
    model = make_bfloat16("llama")
    with pytest.raises(RuntimeError, match="stop"), packed_linear_layers(model):
        raise RuntimeError("stop")

    assert not any("forward" in module.__dict__ for module in model.modules())


def test_float32_is_left_alone(tiny_model: Callable[[str], Any]) -> None:
    """There is nothing to gain, and nothing changes."""
    with packed_linear_layers(tiny_model("llama").model) as changed:
        assert changed == 0
