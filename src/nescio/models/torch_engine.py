"""Run many sequences through one model at once, on plain PyTorch, without a token of padding.

Rows of any length advance together: their pending tokens are laid end to end in one sequence, so that the linear layers
see real tokens only, while attention looks each row up in its own cache. A prefix that all rows share (system turn, worked
examples) is computed once and read by all. A row can go back to an earlier length, so that one prompt serves several
continuations. Rows come and go at any step: a finished row's place is filled by the next.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nescio.errors import ModelError

ATTENTION = "nescio_ragged"


class Feed(NamedTuple):
    """What a row wants next: cut back to `keep` tokens (prefix not counted; None keeps all), then read `tokens`."""

    tokens: Sequence[int]
    keep: int | None = None


RowProgram = Generator[Feed, Any, None]
"""A row as a coroutine: it yields a Feed and is sent the float32 logits, shape (vocabulary,), after its last token."""


class TorchEngine:
    """A model with the key-value store of up to `max_rows` rows behind one shared prefix."""

    def __init__(self, model: Any, *, prefix: Sequence[int] = (), max_rows: int = 32) -> None:
        """Compute the prefix once.

        Raises:
            ModelError: The model's attention cannot be replaced (no support for transformers' attention interface).
        """
        self.model = model
        self.max_rows = max_rows
        self.prefix_length = 0
        self._lengths: list[int] = []
        with _ragged_attention(model):
            self._store = _Store(max_rows)
            if prefix:
                self._forward([list(prefix)], lengths=[0])
                self._store.freeze_prefix(len(prefix))
                self.prefix_length = len(prefix)

    def run(self, programs: Iterable[RowProgram]) -> Iterator[int]:
        """Run row programs to their end, at most `max_rows` at a time.

        Yields:
            The position of each program in `programs`, as it ends.
        """
        queue = enumerate(programs)
        rows: list[_Row] = []
        while True:
            yield from self._fill(rows, queue)
            if not rows:
                return
            ended: list[int] = []
            with _ragged_attention(self.model):  # only while the caller waits: between results the model is its own again
                while not ended:
                    ended = self._step(rows)
            yield from ended

    def _fill(self, rows: list[_Row], queue: Iterator[tuple[int, RowProgram]]) -> Iterator[int]:
        """Start programs while there is room; yields those that end without asking for anything."""
        while len(rows) < self.max_rows:
            index, program = next(queue, (-1, None))
            if program is None:
                return
            feed = next(program, None)
            if feed is None:
                yield index
            else:
                rows.append(_Row(index, program, feed))

    def _step(self, rows: list[_Row]) -> list[int]:
        """Feed every row its pending tokens; drops the rows that end and returns their positions."""
        for row in rows:
            if row.feed.keep is not None:
                row.length = row.feed.keep
        logits = self._forward([list(row.feed.tokens) for row in rows], lengths=[row.length for row in rows])
        ended = []
        for place, row in enumerate(rows):
            row.length += len(row.feed.tokens)
            try:
                row.feed = row.program.send(logits[place])
            except StopIteration:
                ended.append(place)
        positions = [rows[place].index for place in ended]
        for place in reversed(ended):  # the last row moves into the freed place, so that rows stay side by side
            last = rows.pop()
            if place < len(rows):
                self._store.move(len(rows), place, length=last.length)
                rows[place] = last
        return positions

    def _forward(self, tokens: list[list[int]], *, lengths: list[int]) -> Any:
        """One pass over the pending tokens of all rows; float32 logits after the last token of each, shape (rows, vocabulary)."""
        import torch

        device = self.model.device
        counts = [len(chunk) for chunk in tokens]
        if not all(counts):
            raise ValueError("a row must feed at least one token a step")
        flat = torch.tensor([token for chunk in tokens for token in chunk], device=device)
        positions = torch.tensor([n + i for n, c in zip(lengths, counts, strict=True) for i in range(c)], device=device)
        self._store.begin(counts, positions)
        last = torch.tensor(counts, device=device).cumsum(0) - 1
        _ACTIVE_STORES.append(self._store)
        try:
            with torch.inference_mode():
                out = self.model(
                    input_ids=flat[None],
                    position_ids=(positions + self.prefix_length)[None],
                    past_key_values=self._store,
                    use_cache=True,
                    logits_to_keep=last,
                )
        finally:
            _ACTIVE_STORES.pop()
        return out.logits[0].float()


@dataclass
class _Row:
    index: int
    program: RowProgram
    feed: Feed
    length: int = 0


@dataclass
class _Layer:
    """Keys and values of one layer; rows: (rows, kv heads, slots, head size), prefix: (kv heads, tokens, head size)."""

    keys: Any
    values: Any
    prefix_keys: Any = None
    prefix_values: Any = None


@dataclass
class _Store:
    """Stands where transformers expects a cache: takes each layer's new keys and values to the rows they belong to."""

    max_rows: int
    layers: dict[int, _Layer] = field(default_factory=dict)
    prefix_length: int = 0
    is_compileable: bool = False

    def begin(self, counts: list[int], positions: Any) -> None:
        """Tell which row and slot each token of the coming pass belongs to."""
        import torch

        device = positions.device
        self.rows = len(counts)
        self.width = int(positions.max()) + 1
        self.longest = max(counts)
        self.positions = positions
        count = torch.tensor(counts, device=device)
        self.row_of_token = torch.repeat_interleave(torch.arange(self.rows, device=device), count)
        self.rank_in_row = torch.arange(len(positions), device=device) - torch.repeat_interleave(count.cumsum(0) - count, count)
        padded = torch.zeros(self.rows, self.longest, dtype=torch.long, device=device)
        padded[self.row_of_token, self.rank_in_row] = positions
        self.query_positions = padded
        slots = torch.arange(self.width, device=device)
        self.visible = slots[None, None] <= padded[:, :, None]
        self._windowed: dict[int, Any] = {}

    def visible_within(self, window: int | None) -> tuple[Any, Any]:
        """Which slots (rows, queries, slots) and which prefix tokens (rows, queries, prefix) each query may see."""
        import torch

        if window is None:
            return self.visible, None
        if window not in self._windowed:
            device = self.positions.device
            slots = torch.arange(self.width, device=device)
            near = slots[None, None] > self.query_positions[:, :, None] - window
            prefix = torch.arange(self.prefix_length, device=device) - self.prefix_length
            near_prefix = prefix[None, None] > self.query_positions[:, :, None] - window
            self._windowed[window] = (self.visible & near, near_prefix)
        result: tuple[Any, Any] = self._windowed[window]
        return result

    def update(self, key: Any, value: Any, layer_idx: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Write new keys and values, shape (1, kv heads, tokens, head size); attention reads them from the store."""
        layer = self.layers.get(layer_idx)
        if layer is None or layer.keys.shape[2] < self.width:
            layer = self._grow(layer_idx, key)
        layer.keys[self.row_of_token, :, self.positions] = key[0].transpose(0, 1)
        layer.values[self.row_of_token, :, self.positions] = value[0].transpose(0, 1)
        return key, value

    def _grow(self, layer_idx: int, like: Any) -> _Layer:
        old = self.layers.get(layer_idx)
        slots = max(64, int(self.width * 1.25))
        shape = (self.max_rows, like.shape[1], slots, like.shape[3])
        new = _Layer(like.new_zeros(shape), like.new_zeros(shape))
        if old is not None:
            new.keys[:, :, : old.keys.shape[2]] = old.keys
            new.values[:, :, : old.values.shape[2]] = old.values
            new.prefix_keys, new.prefix_values = old.prefix_keys, old.prefix_values
        self.layers[layer_idx] = new
        return new

    def freeze_prefix(self, length: int) -> None:
        """Make what row 0 has read the prefix of all rows."""
        for layer in self.layers.values():
            layer.prefix_keys = layer.keys[0, :, :length].clone()
            layer.prefix_values = layer.values[0, :, :length].clone()
        self.prefix_length = length

    def move(self, source: int, target: int, *, length: int) -> None:
        """Copy a row to another place."""
        import torch

        with torch.inference_mode():  # the store was made in this mode and can only be changed in it
            for layer in self.layers.values():
                layer.keys[target, :, :length] = layer.keys[source, :, :length]
                layer.values[target, :, :length] = layer.values[source, :, :length]

    def get_seq_length(self, *_: Any) -> int:
        """Asked by some models; positions are always given, so that the answer does not matter."""
        return 0


_ACTIVE_STORES: list[_Store] = []
"""The store of the forward pass under way; transformers does not hand the cache on to the attention function."""


def _attend(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, *, scaling: float, **options: Any
) -> tuple[Any, None]:
    """Attention of ragged rows: softmax over the shared prefix and the row's own slots together.

    Args:
        module: The attention layer.
        query: Shape (1, heads, tokens, head size).
        key: Already in the store.
        value: Already in the store.
        attention_mask: Unused; each row sees its own past.
        scaling: Factor on the dot products.
        options: `sliding_window` is honoured; `softcap` and `s_aux` are refused.

    Returns:
        Shape (1, tokens, heads, head size), and None for the weights.
    """
    import torch

    for unsupported in ("softcap", "s_aux"):
        if options.get(unsupported) is not None:
            raise ModelError(f"models whose attention uses '{unsupported}' are not supported by the embedded engine")
    store = _ACTIVE_STORES[-1]
    layer = store.layers[module.layer_idx]
    heads, size = query.shape[1], query.shape[3]
    kv_heads = layer.keys.shape[1]
    group = heads // kv_heads
    # Queries that share a key head lie side by side: (rows, kv heads, group * queries, head size).
    tokens = query[0].transpose(0, 1)
    padded = tokens.new_zeros(store.rows, store.longest, heads, size)
    padded[store.row_of_token, store.rank_in_row] = tokens
    grouped = padded.view(store.rows, store.longest, kv_heads, group, size).permute(0, 2, 3, 1, 4)
    grouped = grouped.reshape(store.rows, kv_heads, group * store.longest, size) * scaling

    visible, visible_prefix = store.visible_within(options.get("sliding_window"))
    keys = layer.keys[: store.rows, :, : store.width]
    values = layer.values[: store.rows, :, : store.width]
    own = torch.matmul(grouped, keys.transpose(2, 3)).float()
    own = own.view(store.rows, kv_heads, group, store.longest, store.width)
    own = own.masked_fill(~visible[:, None, None], float("-inf")).view(store.rows, kv_heads, group * store.longest, store.width)
    if layer.prefix_keys is None:
        mixed = torch.matmul(own.softmax(-1).to(values.dtype), values)
    else:
        mixed = _attend_with_prefix(store, layer, grouped, own=own, values=values, visible_prefix=visible_prefix)
    mixed = mixed.view(store.rows, kv_heads, group, store.longest, size).permute(0, 3, 1, 2, 4)
    mixed = mixed.reshape(store.rows, store.longest, heads, size)
    return mixed[store.row_of_token, store.rank_in_row][None], None


def _attend_with_prefix(store: _Store, layer: _Layer, grouped: Any, *, own: Any, values: Any, visible_prefix: Any) -> Any:
    import torch

    rows, kv_heads, queries, size = grouped.shape
    # All rows ask the one prefix together, in one product per key head.
    asked = grouped.transpose(0, 1).reshape(kv_heads, rows * queries, size)
    shared = torch.matmul(asked, layer.prefix_keys.transpose(1, 2)).float()
    shared = shared.view(kv_heads, rows, queries, store.prefix_length).transpose(0, 1)
    if visible_prefix is not None:
        hidden = ~visible_prefix[:, None, None]
        shared = shared.reshape(rows, kv_heads, -1, store.longest, store.prefix_length).masked_fill(hidden, float("-inf"))
        shared = shared.view(rows, kv_heads, queries, -1)
    weights = torch.cat([shared, own], dim=-1).softmax(-1).to(values.dtype)
    from_prefix, from_own = weights.split([store.prefix_length, store.width], dim=-1)
    folded = from_prefix.transpose(0, 1).reshape(kv_heads, rows * queries, store.prefix_length)
    mixed = torch.matmul(folded, layer.prefix_values).view(kv_heads, rows, queries, size).transpose(0, 1)
    return mixed + torch.matmul(from_own, values)


@contextmanager
def _ragged_attention(model: Any) -> Iterator[None]:
    """Let the model attend by rows, and give it its own attention back afterwards."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attend)
    before = model.config._attn_implementation
    refusal = f"{type(model).__name__} does not let its attention be replaced; it cannot be run here"
    try:
        model.set_attn_implementation(ATTENTION)
    except (ValueError, AttributeError) as error:
        raise ModelError(refusal) from error
    try:
        if model.config.get_text_config()._attn_implementation != ATTENTION:  # some models only warn and go on as before
            raise ModelError(refusal)
        yield
    finally:
        model.set_attn_implementation(before)
