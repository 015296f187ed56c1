"""LoRA layers without the detours: the same numbers as PEFT's forward pass, in fewer and smaller operations."""

from __future__ import annotations

from functools import cache
from types import MethodType
from typing import Any


def speed_up_lora(model: Any) -> int:
    """Give the plain LoRA linear layers of a PEFT model a leaner forward and backward pass.

    PEFT casts each layer's whole input to the adapter's float32 and adds two full-width results. Here the adapter's small
    matrices are cast to the layer's dtype instead, and both products are added in place. In float32 the results agree to
    rounding. Layers with dropout, bias, DoRA or several active adapters keep PEFT's own pass.

    Returns:
        The number of layers changed.
    """
    from peft.tuners.lora import Linear

    layers = [module for module in model.modules() if type(module) is Linear and _is_plain(module)]
    for layer in layers:
        layer.forward = MethodType(_forward, layer)
    return len(layers)


def linear_modules(model: Any) -> list[str]:
    """Names of the linear layers within the blocks of a model: what PEFT's "all-linear" means, spelt out."""
    import torch

    layers = model.get_decoder().layers
    return sorted({name.split(".")[-1] for name, module in layers.named_modules() if isinstance(module, torch.nn.Linear)})


def _is_plain(layer: Any) -> bool:
    import torch

    names = list(layer.lora_A)
    if len(names) != 1 or layer.use_dora.get(names[0], False) or layer.lora_bias.get(names[0], False):
        return False
    return type(layer.base_layer) is torch.nn.Linear and isinstance(layer.lora_dropout[names[0]], torch.nn.Identity)


def _forward(layer: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    names = list(layer.lora_A)
    alone = len(names) == 1 and list(layer.active_adapters) == names
    if layer.disable_adapters or layer.merged or args or kwargs or not alone:
        return type(layer).forward(layer, x, *args, **kwargs)
    name = names[0]
    base, down, up = layer.base_layer, layer.lora_A[name].weight, layer.lora_B[name].weight
    return _lora_function().apply(x, base.weight, base.bias, down, up, layer.scaling[name])


@cache
def _lora_function() -> Any:
    """The product of a layer and its adapter with a backward pass of its own; made on first use, as it needs torch."""
    import torch

    class LoraLinear(torch.autograd.Function):  # type: ignore[misc] # untyped library
        @staticmethod
        def forward(  # noqa: PLR0917 - torch passes the arguments by position
            ctx: Any, x: Any, weight: Any, bias: Any, down: Any, up: Any, scaling: float
        ) -> Any:
            flat = x.reshape(-1, x.shape[-1])
            small_down, small_up = down.to(x.dtype), (up * scaling).to(x.dtype)
            hidden = flat @ small_down.T
            out = torch.nn.functional.linear(flat, weight, bias).addmm_(hidden, small_up.T)
            ctx.save_for_backward(flat, weight, small_down, small_up, hidden)
            ctx.scaling = scaling
            return out.view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            flat, weight, small_down, small_up, hidden = ctx.saved_tensors
            g = gradient.reshape(-1, gradient.shape[-1])
            g_hidden = g @ small_up
            g_x = (g @ weight).addmm_(g_hidden, small_down) if ctx.needs_input_grad[0] else None
            g_down = (g_hidden.T @ flat).float()
            g_up = (g.T @ hidden).float() * ctx.scaling
            shape = (*gradient.shape[:-1], flat.shape[-1])
            return (None if g_x is None else g_x.view(shape), None, None, g_down, g_up, None)

    return LoraLinear
