"""Batches for training: several rows in one sequence behind their common prompt prefix, or padded side by side.

Both layouts carry, beside the model's inputs:

- `labels`: shape (rows of the layout, tokens), `IGNORED` where there is nothing to learn,
- `loss_weights`: of the same shape; the loss is the sum of weight times negative log-likelihood,
- `twins`: shape (pairs, 2, 2), row and column of the first token of both decisions of each pair of twins that are decided
  differently,
- `twin_weights`: shape (pairs,), the weights of both rows of each pair together,
- `rows`: how many rows there are, as the loss is a mean over rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from nescio.train.rows import IGNORED, TrainingRow

LOSS_INPUTS = ("labels", "loss_weights", "twins", "twin_weights", "rows")
"""What a batch holds for the loss; the rest is for the model."""


def collate_shared_prefix(
    rows: Sequence[TrainingRow], *, config: Any, dtype: Any, states: Sequence[Any] | None = None
) -> dict[str, Any]:
    """Lay rows end to end behind the prompt prefix they share; no padding, no token computed twice.

    Every row sees the prefix and itself, never another row, and its positions go on from the prefix: the loss and its
    gradient are those of the separate rows, as the prefix's keys and values do not depend on what follows.

    Args:
        rows: The batch.
        config: The model's configuration (for layers with a sliding window).
        dtype: Of the additive attention mask.
        states: What to feed in place of token ids: a vector for each token of each row, shape (at least its tokens, hidden).

    Returns:
        `input_ids` of shape (1, tokens), or `inputs_embeds` of shape (1, tokens, hidden) where states were given;
        `position_ids`, `labels`, `loss_weights`, `twins`, `twin_weights`; and `attention_mask` of shape (1, 1, tokens, tokens),
        or one such mask a kind of layer where the model mixes full and sliding attention.
    """
    import torch

    prefix = shared_prompt(rows)
    ids, positions = list(rows[0].input_ids[:prefix]), list(range(prefix))
    owner = [0] * prefix
    labels, weights = [IGNORED] * prefix, [0.0] * prefix
    decisions = []
    for number, row in enumerate(rows, start=1):
        decisions.append((0, len(ids) + row.decision_span[0] - prefix))
        ids += row.input_ids[prefix:]
        positions += range(prefix, len(row.input_ids))
        owner += [number] * (len(row.input_ids) - prefix)
        labels += _labels(row)[prefix:]
        weights += row.loss_weights()[prefix:]
    owners, places = torch.tensor(owner), torch.tensor(positions)
    visible = (owners[:, None] == owners[None]) | (owners[None] == 0)
    visible &= torch.ones_like(visible).tril()
    if states is None:
        inputs = {"input_ids": torch.tensor([ids])}
    else:
        own = [state[prefix : len(row.input_ids)] for row, state in zip(rows, states, strict=True)]
        inputs = {"inputs_embeds": torch.cat([states[0][:prefix], *own])[None]}
    return inputs | {
        "position_ids": places[None],
        "labels": torch.tensor([labels]),
        "loss_weights": torch.tensor([weights]) / len(rows),
        **_twins(rows, decisions),
        "rows": torch.tensor(len(rows)),
        "attention_mask": _masks(visible, places, config=config, dtype=dtype),
    }


def collate_padded(rows: Sequence[TrainingRow], *, pad_token_id: int) -> dict[str, Any]:
    """Rows side by side, padded on the right: shape (rows, longest). For models that take no mask of their own."""
    import torch

    width = max(len(row.input_ids) for row in rows)
    batch: dict[str, list[list[Any]]] = {"input_ids": [], "attention_mask": [], "labels": [], "loss_weights": []}
    for row in rows:
        pad = width - len(row.input_ids)
        batch["input_ids"].append([*row.input_ids, *[pad_token_id] * pad])
        batch["attention_mask"].append([1] * len(row.input_ids) + [0] * pad)
        batch["labels"].append(_labels(row) + [IGNORED] * pad)
        batch["loss_weights"].append([weight / len(rows) for weight in row.loss_weights()] + [0.0] * pad)
    tensors = {key: torch.tensor(value) for key, value in batch.items()}
    decisions = [(number, row.decision_span[0]) for number, row in enumerate(rows)]
    return tensors | _twins(rows, decisions) | {"rows": torch.tensor(len(rows))}


def shared_prompt(rows: Sequence[TrainingRow]) -> int:
    """Length of the prompt prefix that all rows share; each row keeps at least one prompt token of its own."""
    limit = min(row.prompt_length for row in rows) - 1
    first = rows[0].input_ids
    for place in range(limit):
        if any(row.input_ids[place] != first[place] for row in rows):
            return place
    return limit


def _labels(row: TrainingRow) -> list[int]:
    """The row's tokens where they carry loss: its completion, or what has a weight of its own."""
    learnt = [range(row.prompt_length, len(row.input_ids))] if row.whole else [range(*row.decision_span), range(*row.answer_span)]
    labels = [IGNORED] * len(row.input_ids)
    for place in (place for span in learnt for place in span if place < len(labels)):
        labels[place] = row.input_ids[place]
    return labels


def _twins(rows: Sequence[TrainingRow], decisions: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Pairs of neighbours in one group whose decisions differ, and the weights of these pairs."""
    import torch

    def label(row: TrainingRow) -> int:
        return row.input_ids[row.decision_span[0]]

    pairs = [
        (place, place + 1)
        for place, (row, other) in enumerate(pairwise(rows))
        if row.decides and other.decides
        if row.group and row.group == other.group and row.whole == other.whole and label(row) != label(other)
    ]
    spots = torch.tensor([(decisions[first], decisions[second]) for first, second in pairs], dtype=torch.long)
    weights = torch.tensor([rows[first].weight + rows[second].weight for first, second in pairs])
    return {"twins": spots.reshape(-1, 2, 2), "twin_weights": weights}


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
