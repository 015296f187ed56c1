"""Run many sequences through one model at once, on plain PyTorch, without a token of padding.

Rows of any length advance together: their pending tokens are laid end to end in one sequence, so that the linear layers
see real tokens only, while attention looks each row up in its own cache. A prefix that all rows share (system turn, worked
examples) is computed once and read by all. A row can go back to an earlier length, so that one prompt serves several
continuations, one after the other, or fork, and write them side by side. Rows come and go at any step: a finished row's
place is filled by the next. Tokens are drawn, and given tokens looked up, for all rows in one go.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from nescio.errors import ModelError

ATTENTION = "nescio_ragged"
LARGEST_READ = 8192
"""Tokens that the programs started in one step read together, each counted as long as the longest: bounds time and memory."""


class Feed(NamedTuple):
    """What a row wants next: cut back to `keep` tokens (prefix not counted; None keeps all), then read `tokens`.

    What it is sent back depends on what it asks for: the float32 logits after its last token, shape (vocabulary,); with `draws` a
    `Drawn` for each; with `targets` the log-probability of each, shape (targets,); with `features` the float32 hidden states of
    its last token, shape (hidden,).
    """

    tokens: Sequence[int]
    keep: int | None = None
    forks: Sequence[RowProgram] = ()
    """Programs that go on from a copy of the row as it is before this feed; their first feed may cut it back too."""
    draws: Sequence[Chance | None] = ()
    """Sources of chance, each of which picks a token from the distribution after the last token; None picks the likeliest."""
    temperature: float = 1.0
    """Of the distribution that chance picks from."""
    forbidden: Sequence[int] = ()
    """Tokens that are not picked."""
    targets: Sequence[int] = ()
    """The token whose log-probability is wanted behind each token read, as many as those."""
    features: bool = False


class Chance(Protocol):
    """A source of random numbers, such as a generator of NumPy's."""

    def random(self, size: int) -> Any:
        """Numbers in [0, 1), shape (size,)."""
        ...


class Drawn(NamedTuple):
    """A token picked from a distribution."""

    token: int
    log_probability: float
    """Natural logarithm, at temperature 1 whatever the temperature of the draw; NaN where the logits are no numbers."""


RowProgram: TypeAlias = Generator[Feed, Any, None]
"""A row as a coroutine: it yields a Feed and is sent what that asks for."""


class TorchEngine:
    """A model with the key-value store of up to `max_rows` rows behind one shared prefix."""

    def __init__(
        self, model: Any, *, prefix: Sequence[int] = (), max_rows: int = 32, slots: int = 64, feature_layer: int = -1
    ) -> None:
        """Compute the prefix once.

        Args:
            model: A causal language model of transformers.
            prefix: Tokens that all rows begin with.
            max_rows: Rows in flight.
            slots: Tokens that a row is expected to read at most; more are taken at some cost.
            feature_layer: Whose hidden states `features` are: 0 is the embedding, -1 the last layer.

        Raises:
            ModelError: The model's attention cannot be replaced (no support for transformers' attention interface).
        """
        self.model = model
        self.max_rows = max_rows
        self.prefix_length = 0
        self._feature_layer = feature_layer
        self._spoiled = False
        with _ragged_attention(model):
            self._store = _Store(max_rows, max(slots, len(prefix)))
            if prefix:
                self._forward([Feed(list(prefix))], lengths=[0])
                self._store.freeze_prefix(len(prefix))
                self.prefix_length = len(prefix)

    def run(self, programs: Iterable[RowProgram | None], *, rows_each: int = 1, eager: bool = False) -> Iterator[int]:
        """Run row programs to their end.

        Args:
            programs: Started while there is room for them. None where none is there yet: it is asked again later.
            rows_each: Rows that a program is expected to hold with its forks. Forks beyond that make the batch larger than
                `max_rows`; they never wait.
            eager: Whether to look for new programs after every step, and not only when some have ended.

        Yields:
            The position of each program in `programs`, when it and all its forks have ended.
        """
        queue = _Queue(enumerate(programs))
        rows: list[_Row] = []
        while True:
            yield from self._fill(rows, queue, rows_each=rows_each)
            if not rows:
                return
            ended: list[int] = []
            with _ragged_attention(self.model):  # only while the caller waits: between results the model is its own again
                while not ended:
                    ended = self._step(rows)
                    if eager and self._has_room(rows) and queue.first() is not None:
                        break
            yield from ended

    def _fill(self, rows: list[_Row], queue: _Queue, *, rows_each: int) -> Iterator[int]:
        """Start programs while there is room; yields those that end without asking for anything.

        Places are refilled a quarter at a time: long first reads cost less together than one in every step. But attention
        lays the reads of a step out to the longest of them, so that few long ones are started at once.
        """
        if not self._has_room(rows):
            return
        room, started, longest = max(1, (self.max_rows - len(rows)) // rows_each), 0, 0
        while room > started and (first := queue.first()) is not None:
            longest = max(longest, len(first.feed.tokens) if first.feed else 0)
            if started and longest * (started + 1) > LARGEST_READ:
                return
            queue.drop_first()
            if first.feed is None:
                yield first.number
            else:
                rows.append(_Row(first.number, first.program, first.feed))
                self._fork(rows, [len(rows) - 1])
                started += 1

    def _has_room(self, rows: Sequence[_Row]) -> bool:
        return len(rows) <= self.max_rows * 3 // 4

    def _step(self, rows: list[_Row]) -> list[int]:
        """Feed every row its pending tokens; drops the rows that end and returns the positions that are then done with."""
        for row in rows:
            if row.feed.keep is not None:
                row.length = row.feed.keep
        if self._spoiled:
            self._store.clear_behind([row.length for row in rows])
            self._spoiled = False
        answers = self._forward([row.feed for row in rows], lengths=[row.length for row in rows])
        ended, going_on = [], []
        for place, row in enumerate(list(rows)):
            row.length += len(row.feed.tokens)
            try:
                row.feed = row.program.send(answers[place])
            except StopIteration:
                ended.append(place)
            else:
                going_on.append(place)
        self._fork(rows, going_on)
        touched = [rows[place].index for place in ended]
        self._close_gaps(rows, set(ended))
        alive = {row.index for row in rows}
        return [index for index in dict.fromkeys(touched) if index not in alive]

    def _fork(self, rows: list[_Row], places: Iterable[int]) -> None:
        """Start what the feeds of these rows fork into, and what those fork into, as copies behind the last row."""
        forked: list[tuple[int, int]] = []
        for place in places:
            waiting = list(rows[place].feed.forks)
            while waiting:
                fork = waiting.pop(0)
                if first := next(fork, None):
                    forked.append((place, len(rows)))
                    rows.append(_Row(rows[place].index, fork, first, rows[place].length))
                    waiting += first.forks
        self._store.move(forked, lengths=[rows[target].length for _, target in forked])

    def _close_gaps(self, rows: list[_Row], ended: set[int]) -> None:
        """Drop the rows that ended and move the last ones into their places, so that rows stay side by side."""
        left = len(rows) - len(ended)
        moves = list(
            zip([p for p in range(left, len(rows)) if p not in ended], sorted(p for p in ended if p < left), strict=True)
        )
        self._store.move(moves, lengths=[rows[source].length for source, _ in moves])
        for source, target in moves:
            rows[target] = rows[source]
        del rows[left:]

    def _forward(self, feeds: Sequence[Feed], *, lengths: list[int]) -> list[Any]:
        """One pass over the pending tokens of all rows; what each feed asked for, in their order."""
        import torch

        device = self.model.device
        counts = [len(feed.tokens) for feed in feeds]
        if not all(counts):
            raise ValueError("a row must feed at least one token a step")
        if any(feed.targets and (feed.draws or len(feed.targets) != len(feed.tokens)) for feed in feeds):
            raise ValueError("a feed with targets has one for each of its tokens, and no draws")
        if any(feed.features and (feed.draws or feed.targets) for feed in feeds):
            raise ValueError("a feed asks for features, or for draws or targets")
        flat = torch.tensor([token for feed in feeds for token in feed.tokens], device=device)
        positions = torch.tensor([n + i for n, c in zip(lengths, counts, strict=True) for i in range(c)], device=device)
        self._store.begin(counts, positions)
        _ACTIVE_STORES.append(self._store)
        try:
            with torch.inference_mode():
                out = self.model(
                    input_ids=flat[None],
                    position_ids=(positions + self.prefix_length)[None],
                    past_key_values=self._store,
                    use_cache=True,
                    logits_to_keep=torch.tensor(_wanted_places(feeds), device=device),
                    output_hidden_states=any(feed.features for feed in feeds),
                )
                logits = out.logits[0].float()
                self._spoiled |= bool(logits[:, -1].isnan().any())
                answers = _answer_feeds(feeds, logits)
                for number, end in enumerate(accumulate(counts)):
                    if feeds[number].features:
                        answers[number] = out.hidden_states[self._feature_layer][0, end - 1].float()
                return answers
        finally:
            _ACTIVE_STORES.pop()


def _wanted_places(feeds: Sequence[Feed]) -> list[int]:
    """Where in the flat sequence logits are wanted: behind every token of a feed with targets, else behind its last."""
    places: list[int] = []
    start = 0
    for feed in feeds:
        end = start + len(feed.tokens)
        places += range(start, end) if feed.targets else [end - 1]
        start = end
    return places


def _answer_feeds(feeds: Sequence[Feed], logits: Any) -> list[Any]:
    """Turn logits, shape (wanted places, vocabulary), into what each feed asked for."""
    starts, place = [], 0
    for feed in feeds:
        starts.append(place)
        place += len(feed.targets) or 1
    drawing = [number for number, feed in enumerate(feeds) if feed.draws]
    for number in drawing:
        if feeds[number].forbidden:
            logits[starts[number], list(feeds[number].forbidden)] = float("-inf")
    drawn = iter(draw_tokens(logits[[starts[n] for n in drawing]], [feeds[n] for n in drawing]) if drawing else ())
    answers: list[Any] = []
    for feed, start in zip(feeds, starts, strict=True):
        if feed.draws:
            answers.append(next(drawn))
        elif feed.targets:
            rows = logits[start : start + len(feed.targets)]
            answers.append(rows.log_softmax(-1).gather(1, rows.new_tensor(feed.targets).long()[:, None])[:, 0])
        else:
            answers.append(logits[start])
    return answers


_BLOCK = 256
"""Tokens of the vocabulary whose weights are summed before one block is picked, and then one of its tokens."""


def draw_tokens(logits: Any, feeds: Sequence[Feed]) -> list[list[Drawn]]:
    """Pick tokens at random: no sort, one pass over the vocabulary for all draws of a row, few random numbers.

    First a block of the vocabulary is picked by the sum of its weights, then a token in it, both by the Gumbel-max trick:
    the largest of logarithm plus Gumbel noise. Inverting the distribution function would need less noise, but rounding
    errors add up along it and would pick another of the many unlikely tokens; here they matter only near a tie.

    Args:
        logits: Shape (rows, vocabulary), float32.
        feeds: Of each row; only `draws` and `temperature` are read.

    Returns:
        A token for each draw of each row.

    References:
        Maddison, Tarlow and Minka: A* Sampling (NeurIPS 2014), section 2.
    """
    import torch

    owner = torch.tensor([row for row, feed in enumerate(feeds) for _ in feed.draws], device=logits.device)
    sources = [source for feed in feeds for source in feed.draws]
    top, likeliest = logits.max(-1)
    below = logits - top[:, None]
    weights = below.exp()
    tokens, normalisers = likeliest[owner], weights.sum(-1).log()
    if any(source is not None for source in sources):
        temperatures = logits.new_tensor([feed.temperature for feed in feeds])
        scaled = below
        if bool((temperatures != 1).any()):
            scaled = below / temperatures[:, None]
            weights = scaled.exp()
        noise = torch.from_numpy(_gumbel_noise(sources, -(-logits.shape[1] // _BLOCK) + _BLOCK)).to(logits.device)
        in_block, of_block = noise[:, -_BLOCK:], noise[:, :-_BLOCK]
        block = (_cut_into_blocks(weights, 0.0).sum(-1).log()[owner] + of_block).argmax(-1)
        place = (_cut_into_blocks(scaled, float("-inf"))[owner, block] + in_block).argmax(-1)
        random = torch.tensor([source is not None for source in sources], device=logits.device)
        tokens = torch.where(random, block * _BLOCK + place, tokens)
    log_probabilities = below[owner, tokens] - normalisers[owner]
    drawn = map(Drawn, tokens.tolist(), log_probabilities.tolist())
    return [[next(drawn) for _ in feed.draws] for feed in feeds]


def _cut_into_blocks(values: Any, filler: float) -> Any:
    """Of shape (rows, vocabulary) to (rows, blocks, block); a view where the vocabulary is made of whole blocks."""
    import torch

    missing = -values.shape[1] % _BLOCK
    whole = torch.nn.functional.pad(values, (0, missing), value=filler) if missing else values
    return whole.view(len(values), -1, _BLOCK)


def _gumbel_noise(sources: Sequence[Chance | None], size: int) -> Any:
    """Shape (sources, size), float32; zero where there is no source."""
    noise = np.zeros((len(sources), size), dtype=np.float32)
    for row, source in zip(noise, sources, strict=True):
        if source is not None:
            row[:] = gumbel(source, size)
    return noise


def gumbel(source: Chance, size: int) -> Any:
    """Gumbel noise, shape (size,), float64."""
    with np.errstate(divide="ignore"):  # a number of exactly 0 gives minus infinity, which never wins
        return -np.log(-np.log(source.random(size)))


class _Waiting(NamedTuple):
    """A program that is about to start."""

    number: int
    program: RowProgram
    feed: Feed | None
    """What it wants first; None where it ends without asking for anything."""


@dataclass
class _Queue:
    """Programs that wait for a place; the first of them has said what it wants to read."""

    programs: Iterator[tuple[int, RowProgram | None]]
    _first: _Waiting | None = None

    def first(self) -> _Waiting | None:
        """The next to start; None where there is none left."""
        if self._first is None:
            index, program = next(self.programs, (-1, None))
            self._first = None if program is None else _Waiting(index, program, next(program, None))
        return self._first

    def drop_first(self) -> None:
        """Let the next one move up."""
        self._first = None


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

    def move(self, moves: Sequence[tuple[int, int]], *, lengths: Sequence[int]) -> None:
        """Copy rows to other places, all at once: none of the targets is a source. Targets may be new places."""
        import torch

        if not moves:
            return
        sources, targets = ([move[side] for move in moves] for side in (0, 1))
        length = max(lengths)
        with torch.inference_mode():  # the store was made in this mode and can only be changed in it
            while max(targets) >= self.max_rows:
                self.max_rows *= 2
                for number, layer in list(self.layers.items()):
                    self._grow(number, layer.values)
            for layer in self.layers.values():
                layer.keys[targets, :, :, :length] = layer.keys[sources, :, :, :length]
                layer.values[targets, :, :length] = layer.values[sources, :, :length]

    def clear_behind(self, lengths: Sequence[int]) -> None:
        """Forget the values that no row holds any more; rows beyond `lengths` hold none.

        Attention gives them no weight, but no weight times NaN is NaN: what one row left would spoil the next in its place.
        """
        import torch

        with torch.inference_mode():
            for layer in self.layers.values():
                layer.values[len(lengths) :] = 0
                for place, length in enumerate(lengths):
                    layer.values[place, :, length:] = 0

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


def common_prefix(rows: Sequence[Sequence[int]]) -> list[int]:
    """The longest beginning that all rows share, at least one token short of every row.

    Examples:
        >>> common_prefix([[1, 2, 3], [1, 2, 4, 5]])
        [1, 2]
    """
    shortest = min(len(row) for row in rows) - 1
    for place in range(shortest):
        if any(row[place] != rows[0][place] for row in rows):
            return list(rows[0][:place])
    return list(rows[0][:shortest])


def window_of(model: Any) -> int:
    """The most tokens that a model can read; a huge number where its configuration does not say."""
    config = model.config.get_text_config()
    return int(getattr(config, "max_position_embeddings", 0) or 1 << 30)
