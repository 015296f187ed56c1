"""Run many sequences through one model at once, on plain PyTorch, without a token of padding.

Rows of any length advance together: their pending tokens are laid end to end in one sequence, so that the linear layers
see real tokens only, while attention looks each row up in its own cache. A prefix that all rows share (system turn, worked
examples) is computed once and read by all. A row can go back to an earlier length, so that one prompt serves several
continuations, one after the other, or fork, and write them side by side. Rows come and go at any step: a finished row's
place is filled by the next.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from nescio.errors import ModelError

ATTENTION = "nescio_ragged"


class Feed(NamedTuple):
    """What a row wants next: cut back to `keep` tokens (prefix not counted; None keeps all), then read `tokens`."""

    tokens: Sequence[int]
    keep: int | None = None
    fork: RowProgram | None = None
    """Another program that goes on from a copy of the row as it is before this feed; its first feed may cut it back too."""


RowProgram: TypeAlias = Generator[Feed, Any, None]
"""A row as a coroutine: it yields a Feed and is sent the float32 logits, shape (vocabulary,), after its last token."""


class TorchEngine:
    """A model with the key-value store of up to `max_rows` rows behind one shared prefix."""

    def __init__(self, model: Any, *, prefix: Sequence[int] = (), max_rows: int = 32, slots: int = 64) -> None:
        """Compute the prefix once.

        Args:
            model: A causal language model of transformers.
            prefix: Tokens that all rows begin with.
            max_rows: Rows in flight.
            slots: Tokens that a row is expected to read at most; more are taken at some cost.

        Raises:
            ModelError: The model's attention cannot be replaced (no support for transformers' attention interface).
        """
        self.model = model
        self.max_rows = max_rows
        self.prefix_length = 0
        with _ragged_attention(model):
            self._store = _Store(max_rows, max(slots, len(prefix)))
            if prefix:
                self._forward([list(prefix)], lengths=[0])
                self._store.freeze_prefix(len(prefix))
                self.prefix_length = len(prefix)

    def run(self, programs: Iterable[RowProgram]) -> Iterator[int]:
        """Run row programs to their end, at most `max_rows` at a time, their forks not counted.

        Yields:
            The position of each program in `programs`, when it and all its forks have ended.
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
        """Start programs while there is room; yields those that end without asking for anything.

        Places are refilled a quarter at a time: long first reads cost less together than one in every step.
        """
        if len(rows) > self.max_rows * 3 // 4:
            return
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
        """Feed every row its pending tokens; drops the rows that end and returns the positions that are then done with."""
        for row in rows:
            if row.feed.keep is not None:
                row.length = row.feed.keep
        logits = self._forward([list(row.feed.tokens) for row in rows], lengths=[row.length for row in rows])
        ended = []
        for place, row in enumerate(list(rows)):
            row.length += len(row.feed.tokens)
            try:
                row.feed = row.program.send(logits[place])
            except StopIteration:
                ended.append(place)
                continue
            if row.feed.fork and (first := next(row.feed.fork, None)):
                self._store.move(place, len(rows), length=row.length)
                rows.append(_Row(row.index, row.feed.fork, first, row.length))
        indices = [rows[place].index for place in ended]
        for place in reversed(ended):  # the last row moves into the freed place, so that rows stay side by side
            last = rows.pop()
            if place < len(rows):
                self._store.move(len(rows), place, length=last.length)
                rows[place] = last
        alive = {row.index for row in rows}
        return [index for index in dict.fromkeys(indices) if index not in alive]

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
    """Keys and values of one layer.

    Of rows: keys (rows, kv heads, head size, slots), the way products with queries read them fastest, and values (rows, kv
    heads, slots, head size). Of the prefix the same without rows.
    """

    keys: Any
    values: Any
    prefix_keys: Any = None
    prefix_values: Any = None


@dataclass
class _Plan:
    """Some queries of a pass, padded to (rows, longest) so that attention takes them together."""

    rows: Any
    """Which rows of the store: a slice or an index."""
    tokens: Any
    """Places of the queries in the flat sequence, shape (n,)."""
    row: Any
    """Row of each query in the padded layout, shape (n,)."""
    rank: Any
    """Column of each query in the padded layout, shape (n,)."""
    positions: Any
    """Slot of each query, shape (rows, longest)."""
    visible: Any
    """Which slots each query may see, shape (rows, longest, slots)."""
    windowed: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def visible_within(self, window: int | None, *, prefix_length: int) -> tuple[Any, Any]:
        """Which slots (rows, queries, slots) and which prefix tokens (rows, queries, prefix; None: all) each query may see."""
        import torch

        if window is None:
            return self.visible, None
        if window not in self.windowed:
            nearest = self.positions[:, :, None] - window
            slots = torch.arange(self.visible.shape[2], device=nearest.device)
            prefix = torch.arange(prefix_length, device=nearest.device) - prefix_length
            self.windowed[window] = (self.visible & (slots > nearest), prefix > nearest)
        return self.windowed[window]


@dataclass
class _Store:
    """Stands where transformers expects a cache: takes each layer's new keys and values to the rows they belong to."""

    max_rows: int
    """Grows when rows fork."""
    slots: int
    """Grows with the longest row."""
    layers: dict[int, _Layer] = field(default_factory=dict)
    prefix_length: int = 0
    is_compileable: bool = False

    def begin(self, counts: list[int], positions: Any) -> None:
        """Tell which row and slot each token of the coming pass belongs to."""
        import torch

        device = positions.device
        self.width = int(positions.max()) + 1
        self.positions = positions
        count = torch.tensor(counts, device=device)
        self.row_of_token = torch.repeat_interleave(torch.arange(len(counts), device=device), count)
        rank = torch.arange(len(positions), device=device) - torch.repeat_interleave(count.cumsum(0) - count, count)
        if min(counts) > 1 or max(counts) == 1:
            self.plans = [self._plan(rank >= 0, rank)]
        else:
            # A few rows read several tokens, the others one: padding all rows to the longest would multiply the work.
            last = rank == count[self.row_of_token] - 1
            self.plans = [self._plan(last, torch.zeros_like(rank)), self._plan(~last, rank)]

    def _plan(self, chosen: Any, rank: Any) -> _Plan:
        """Lay the chosen queries out row by row; `rank` is each token's place among its row's chosen ones."""
        import torch

        tokens = chosen.nonzero()[:, 0]
        present, row = self.row_of_token[tokens].unique_consecutive(return_inverse=True)
        contiguous = len(present) == int(present[-1]) + 1  # the first rows: a view of the store instead of a copy
        rows = slice(0, len(present)) if contiguous else present
        positions = self.positions.new_zeros(len(present), int(rank[tokens].max()) + 1)
        positions[row, rank[tokens]] = self.positions[tokens]
        slots = torch.arange(self.width, device=tokens.device)
        return _Plan(rows, tokens, row, rank[tokens], positions, slots[None, None] <= positions[:, :, None])

    def update(self, key: Any, value: Any, layer_idx: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Write new keys and values, shape (1, kv heads, tokens, head size); attention reads them from the store."""
        layer = self.layers.get(layer_idx)
        if layer is None or layer.keys.shape[3] < self.width:
            self.slots = max(self.slots, self.width if layer is None else int(self.width * 1.25))
            layer = self._grow(layer_idx, key)
        layer.keys[self.row_of_token, :, :, self.positions] = key[0].transpose(0, 1)
        layer.values[self.row_of_token, :, self.positions] = value[0].transpose(0, 1)
        return key, value

    def _grow(self, layer_idx: int, like: Any) -> _Layer:
        """Make room for `max_rows` rows of `slots` slots; `like` has shape (any, kv heads, any, head size)."""
        old = self.layers.get(layer_idx)
        heads, size, slots = like.shape[1], like.shape[3], self.slots
        new = _Layer(like.new_zeros(self.max_rows, heads, size, slots), like.new_zeros(self.max_rows, heads, slots, size))
        if old is not None:
            rows, before = old.values.shape[0], old.values.shape[2]
            new.keys[:rows, :, :, :before] = old.keys
            new.values[:rows, :, :before] = old.values
            new.prefix_keys, new.prefix_values = old.prefix_keys, old.prefix_values
        self.layers[layer_idx] = new
        return new

    def freeze_prefix(self, length: int) -> None:
        """Make what row 0 has read the prefix of all rows."""
        import torch

        for layer in self.layers.values():
            layer.prefix_keys = layer.keys[0, :, :, :length].clone(memory_format=torch.contiguous_format)
            layer.prefix_values = layer.values[0, :, :length].clone()
        self.prefix_length = length

    def move(self, source: int, target: int, *, length: int) -> None:
        """Copy a row to another place, which may be a new one."""
        import torch

        with torch.inference_mode():  # the store was made in this mode and can only be changed in it
            if target >= self.max_rows:
                self.max_rows *= 2
                for number, layer in list(self.layers.items()):
                    self._grow(number, layer.values)
            for layer in self.layers.values():
                layer.keys[target, :, :, :length] = layer.keys[source, :, :, :length]
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
    tokens = query[0].transpose(0, 1) * scaling
    mixed = torch.empty_like(tokens)
    for plan in store.plans:
        mixed[plan.tokens] = _attend_plan(store, store.layers[module.layer_idx], plan, tokens, options.get("sliding_window"))
    return mixed[None], None


def _attend_plan(store: _Store, layer: _Layer, plan: _Plan, tokens: Any, window: int | None) -> Any:
    """Mixed values of a plan's queries, shape (queries, heads, size); `tokens` are all scaled queries of the pass."""
    import torch

    (rows, longest), (heads, size), kv_heads = plan.positions.shape, tokens.shape[1:], layer.keys.shape[1]
    group = heads // kv_heads
    padded = tokens.new_zeros(rows, longest, heads, size)
    padded[plan.row, plan.rank] = tokens[plan.tokens]
    # Queries that share a key head lie side by side: (rows, kv heads, group * queries, head size).
    grouped = padded.view(rows, longest, kv_heads, group, size).permute(0, 2, 3, 1, 4).reshape(rows, kv_heads, -1, size)
    visible, visible_prefix = plan.visible_within(window, prefix_length=store.prefix_length)
    keys, values = layer.keys[plan.rows, :, :, : store.width], layer.values[plan.rows, :, : store.width]
    # Both parts go into one tensor of scores, as large tensors cost more to make than to fill.
    scores = torch.empty(rows, kv_heads, group, longest, store.prefix_length + store.width, device=tokens.device)
    shared, own = scores.split([store.prefix_length, store.width], dim=-1)
    own.copy_(torch.matmul(grouped, keys).view(own.shape)).masked_fill_(~visible[:, None, None], float("-inf"))
    if store.prefix_length:
        shared.copy_(_ask_prefix(layer, grouped).view(shared.shape))
        if visible_prefix is not None:
            shared.masked_fill_(~visible_prefix[:, None, None], float("-inf"))
    weights = scores.softmax(-1, dtype=torch.float32).to(values.dtype).view(rows, kv_heads, group * longest, -1)
    from_prefix, from_own = weights.split([store.prefix_length, store.width], dim=-1)
    mixed = torch.matmul(from_own, values)
    if store.prefix_length:
        mixed = mixed + _read_prefix(layer, from_prefix)
    mixed = mixed.view(rows, kv_heads, group, longest, size).permute(0, 3, 1, 2, 4).reshape(rows, longest, heads, size)
    return mixed[plan.row, plan.rank]


def _ask_prefix(layer: _Layer, grouped: Any) -> Any:
    """Dot products of all rows with the one prefix, in one product a key head: (rows, kv heads, queries, prefix)."""
    import torch

    rows, kv_heads, queries, size = grouped.shape
    asked = grouped.transpose(0, 1).reshape(kv_heads, rows * queries, size)
    return torch.matmul(asked, layer.prefix_keys).view(kv_heads, rows, queries, -1).transpose(0, 1).contiguous()


def _read_prefix(layer: _Layer, weights: Any) -> Any:
    """Values of the prefix under `weights` (rows, kv heads, queries, prefix)."""
    import torch

    rows, kv_heads, queries, prefix = weights.shape
    folded = weights.transpose(0, 1).reshape(kv_heads, rows * queries, prefix)
    return torch.matmul(folded, layer.prefix_values).view(kv_heads, rows, queries, -1).transpose(0, 1)


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
