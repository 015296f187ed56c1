"""Linear layers with weights laid out for the processor: the same products in bfloat16, sooner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def packed_linear_layers(model: Any) -> Iterator[int]:
    """Within, the plain bfloat16 linear layers of a model on the processor use oneDNN's own layout of their weights.

    PyTorch lays weights out anew in every product; done once, products with few rows take about half the time, and those
    with a hundred rows four fifths. Costs a second copy of the weights. Inference only. Other devices and dtypes, and
    builds of PyTorch without oneDNN, are left as they are.

    Yields:
        The number of layers changed.
    """
    import torch

    layers = [module for module in model.modules() if type(module) is torch.nn.Linear and "forward" not in module.__dict__]
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        layers = []
    changed = [layer for layer in layers if layer.weight.device.type == "cpu" and layer.weight.dtype == torch.bfloat16]
    try:
        for layer in changed:
            layer.forward = _packed_forward(layer)
        yield len(changed)
    finally:
        for layer in changed:
            layer.__dict__.pop("forward", None)


def _packed_forward(layer: Any) -> Any:
    import torch

    weight, bias = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None), layer.bias

    def forward(x: Any) -> Any:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    return forward
