"""Batches for training: several rows in one sequence behind their common prompt prefix, or padded side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nescio.train.rows import IGNORED, TrainingRow


def collate_shared_prefix(rows: Sequence[TrainingRow], *, config: Any, dtype: Any) -> dict[str, Any]:
    """Lay rows end to end behind the prompt prefix they share; no padding, no token computed twice.

    Every row sees the prefix and itself, never another row, and its positions go on from the prefix: the loss and its
    gradient are those of the separate rows, as the prefix's keys and values do not depend on what follows.

    Args:
        rows: The batch.
        config: The model's configuration (for layers with a sliding window).
        dtype: Of the additive attention mask.

    Returns:
        `input_ids`, `position_ids`, `labels`, `loss_weights` of shape (1, tokens) and `attention_mask` of shape
        (1, 1, tokens, tokens), or one such mask a kind of layer where the model mixes full and sliding attention.
    """
    import torch

    prefix = _shared_prompt(rows)
    ids, positions = list(rows[0].input_ids[:prefix]), list(range(prefix))
    owner = [0] * prefix
    labels, weights = [IGNORED] * prefix, [0.0] * prefix
    for number, row in enumerate(rows, start=1):
        rest = row.input_ids[prefix:]
        ids += rest
        positions += range(prefix, len(row.input_ids))
        owner += [number] * len(rest)
        labels += [IGNORED] * (row.prompt_length - prefix) + list(row.input_ids[row.prompt_length :])
        weights += [0.0] * (row.prompt_length - prefix) + list(row.weights)
    owners, places = torch.tensor(owner), torch.tensor(positions)
    visible = (owners[:, None] == owners[None]) | (owners[None] == 0)
    visible &= torch.ones_like(visible).tril()
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": places[None],
        "labels": torch.tensor([labels]),
        "loss_weights": torch.tensor([weights]),
        "attention_mask": _masks(visible, places, config=config, dtype=dtype),
    }


def collate_padded(rows: Sequence[TrainingRow], *, pad_token_id: int) -> dict[str, Any]:
    """Rows side by side, padded on the right: shape (rows, longest). For models that take no mask of their own."""
    import torch

    width = max(len(row.input_ids) for row in rows)
    batch: dict[str, list[list[Any]]] = {"input_ids": [], "attention_mask": [], "labels": [], "loss_weights": []}
    for row in rows:
        pad = width - len(row.input_ids)
        completion = list(row.input_ids[row.prompt_length :])
        batch["input_ids"].append([*row.input_ids, *[pad_token_id] * pad])
        batch["attention_mask"].append([1] * len(row.input_ids) + [0] * pad)
        batch["labels"].append([IGNORED] * row.prompt_length + completion + [IGNORED] * pad)
        batch["loss_weights"].append([0.0] * row.prompt_length + list(row.weights) + [0.0] * pad)
    return {key: torch.tensor(value) for key, value in batch.items()}


def _shared_prompt(rows: Sequence[TrainingRow]) -> int:
    """Length of the prompt prefix that all rows share; each row keeps at least one prompt token of its own."""
    limit = min(row.prompt_length for row in rows) - 1
    first = rows[0].input_ids
    for place in range(limit):
        if any(row.input_ids[place] != first[place] for row in rows):
            return place
    return limit


def _masks(visible: Any, positions: Any, *, config: Any, dtype: Any) -> Any:
    import torch

    def additive(allowed: Any) -> Any:
        return torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)[None, None]

    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if window is None or (kinds and "sliding_attention" not in kinds):
        return additive(visible)
    near = visible & (positions[:, None] - positions[None] < window)
    if len(kinds) > 1:
        return {"full_attention": additive(visible), "sliding_attention": additive(near)}
    return additive(near)
