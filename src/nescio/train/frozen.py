"""Layers below the first one that is trained: they never change, so that each row goes through them once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nescio.errors import TrainingError
from nescio.train.packing import LOSS_INPUTS, collate_shared_prefix
from nescio.train.rows import TrainingRow

LARGEST_STORE = 4 << 30
"""Bytes of hidden states that are kept at most; a training set that needs more is computed anew in every pass."""


def decoder_layers(model: Any) -> Any:
    """The blocks of a causal language model, in order.

    Raises:
        TrainingError: The model does not keep them where transformers' decoders do.
    """
    layers = getattr(model.get_decoder(), "layers", None)
    if layers is None:
        raise TrainingError(f"{type(model).__name__} has no list of layers to choose from; set train.first_layer=0")
    return layers


class FrozenLayers:
    """The hidden states of training rows in front of the first trained layer, kept from their first use on.

    A row's states do not depend on the rows beside it, and those of a beginning are the beginning of its states: one
    computation serves every pass, whole rows and short ones alike. Each row is computed on its own, though rows that share
    a prompt prefix could save it: rounding differs with the company, and a resumed run has other company than an undisturbed
    one.
    """

    def __init__(self, model: Any, rows: Sequence[TrainingRow], *, first_layer: int) -> None:
        """Compute nothing yet; states are made when they are asked for."""
        self._model = model
        self._rows = rows
        self._below, self._above = decoder_layers(model)[:first_layer], decoder_layers(model)[first_layer:]
        self._states: dict[int, Any] = {}
        tokens = sum(len(row.input_ids) for row in rows)
        self._keep = tokens * model.config.get_text_config().hidden_size * model.dtype.itemsize <= LARGEST_STORE

    def states(self, numbers: Sequence[int]) -> list[Any]:
        """Hidden states of rows by their number, each of shape (tokens of the whole row, hidden)."""
        fresh = {number: self._compute(self._rows[number]) for number in sorted(set(numbers) - self._states.keys())}
        if self._keep:
            self._states |= fresh
        return [fresh[number] if number in fresh else self._states[number] for number in numbers]

    @contextmanager
    def skipped(self) -> Iterator[None]:
        """Within, the model takes such states as `inputs_embeds` and runs its upper layers only."""
        with _pass_through(self._below, []):
            yield

    def _compute(self, row: TrainingRow) -> Any:
        import torch

        model = self._model
        captured: list[Any] = []
        batch = collate_shared_prefix([row], config=model.config, dtype=model.dtype)
        for unused in LOSS_INPUTS:
            del batch[unused]
        batch = torch.utils._pytree.tree_map(lambda tensor: tensor.to(model.device), batch)
        was_training = model.training
        model.eval()
        with torch.no_grad(), _restored(self._below), _pass_through(self._above, captured):
            model.get_decoder()(**batch, use_cache=False)
        model.train(was_training)
        return captured[0][0]


@contextmanager
def _pass_through(layers: Any, captured: list[Any]) -> Iterator[None]:
    """Let layers hand their input on as it is; the first of them shows it in `captured`."""

    def forward(hidden_states: Any, *_: Any, **__: Any) -> Any:
        if not captured:
            captured.append(hidden_states)
        return hidden_states

    for layer in layers:
        layer.forward = forward
    try:
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


@contextmanager
def _restored(layers: Any) -> Iterator[None]:
    """Give layers that are being skipped their own computation back for a while."""
    aside = [layer.__dict__.pop("forward", None) for layer in layers]
    try:
        yield
    finally:
        for layer, forward in zip(layers, aside, strict=True):
            if forward is not None:
                layer.forward = forward
