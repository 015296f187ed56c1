"""What a mask costs a token: llguidance against xgrammar, on the reply's schema and the same replies.

Both walk the tokens of the same hand-written replies: before each token the mask of allowed tokens is filled, then the token is
taken. Building the tokenizer's tables and compiling the schema are timed apart, as they are paid once a process.

    pip install -c constraints.txt -e '.[dev,bench]'
    python benchmarks/grammar_speed.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nescio.data.load import load_splits
from nescio.models.load import DEFAULT_MODEL, load_tokenizer, resolve_model
from nescio.models.prompt import render_completion, reply_schema

MAX_CHARS = 200


class Costs(NamedTuple):
    """Of one library in one round."""

    prepare_ms: float
    """Tables of the tokenizer, once."""
    compile_ms: float
    """The schema, once."""
    mask_us: list[float]
    """Filling the mask and taking the token, a token."""
    walked: int
    """Replies that were allowed to their end."""


def measure_llguidance(tokenizer: Any, replies: Sequence[Sequence[int]]) -> Costs:
    """As nescio uses it."""
    import llguidance
    import llguidance.hf
    import numpy as np

    started = time.perf_counter()
    tables = llguidance.hf.from_tokenizer(tokenizer, n_vocab=len(tokenizer))
    prepared = time.perf_counter()
    schema = _schema() | {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
    llguidance.LLMatcher(tables, grammar)
    compiled = time.perf_counter()
    mask = np.zeros((1, (len(tokenizer) + 31) // 32), dtype=np.int32)

    def begin() -> Callable[[int], bool]:
        matcher = llguidance.LLMatcher(tables, grammar)

        def take(token: int) -> bool:
            matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
            return bool(matcher.consume_token(token))

        return take

    return _walk(begin, replies, prepare=prepared - started, compiling=compiled - prepared)


def measure_xgrammar(tokenizer: Any, replies: Sequence[Sequence[int]]) -> Costs:
    """With its cache for the schema's compilation, as its documentation shows."""
    import xgrammar

    started = time.perf_counter()
    tables = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=len(tokenizer))
    prepared = time.perf_counter()
    compiler = xgrammar.GrammarCompiler(tables)
    grammar = compiler.compile_json_schema(json.dumps(_schema()), any_whitespace=False, separators=(", ", ": "))
    compiled = time.perf_counter()
    mask = xgrammar.allocate_token_bitmask(1, len(tokenizer))

    def begin() -> Callable[[int], bool]:
        matcher = xgrammar.GrammarMatcher(grammar)

        def take(token: int) -> bool:
            matcher.fill_next_token_bitmask(mask)
            return bool(matcher.accept_token(token))

        return take

    return _walk(begin, replies, prepare=prepared - started, compiling=compiled - prepared)


def _schema() -> dict[str, Any]:
    return reply_schema(max_answer_chars=MAX_CHARS, max_justification_chars=MAX_CHARS)


def _walk(
    begin: Callable[[], Callable[[int], bool]], replies: Sequence[Sequence[int]], *, prepare: float, compiling: float
) -> Costs:
    costs: list[float] = []
    walked = 0
    for reply in replies:
        take = begin()
        allowed = True
        for token in reply:
            started = time.perf_counter()
            allowed = allowed and take(token)
            costs.append((time.perf_counter() - started) * 1e6)
        walked += allowed
    return Costs(prepare * 1e3, compiling * 1e3, costs, walked)


def main() -> None:
    """Measure in alternating rounds and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    tokenizer = load_tokenizer(resolve_model(args.model))
    examples = load_splits("failure_aware")["calibration"]
    replies = [tokenizer(render_completion(example), add_special_tokens=False)["input_ids"] for example in examples]
    contenders = {"llguidance": measure_llguidance, "xgrammar": measure_xgrammar}
    rounds: dict[str, list[Costs]] = {name: [] for name in contenders}
    for _ in range(args.rounds):
        for name, contender in contenders.items():
            rounds[name].append(contender(tokenizer, replies))
    tokens = sum(map(len, replies))
    print(f"{len(replies)} replies of {tokens} tokens, {args.rounds} alternating rounds; the best round of each")
    for name, costs in rounds.items():
        best = min(costs, key=lambda cost: sum(cost.mask_us))
        mean, worst = statistics.mean(best.mask_us), statistics.quantiles(best.mask_us, n=100)[98]
        print(
            f"{name:<11} tables {min(c.prepare_ms for c in costs):6.0f} ms   schema {min(c.compile_ms for c in costs):6.0f} ms   "
            f"mask and token {mean:6.1f} us, 99 of 100 below {worst:6.1f} us   {best.walked} of {len(replies)} replies allowed"
        )


if __name__ == "__main__":
    main()
