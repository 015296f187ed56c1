"""Items a second of structured prediction: nescio, transformers' generate with a grammar, outlines.

Same model, prompts, schema and dtype, greedy. transformers runs `generate` with llguidance as a logits processor, on rows
sorted by length, at the best of several batch sizes. Neither of the two peers reads the probabilities of whole labels, which
nescio does in the time shown. All write the reply alone; with `--forced` nescio writes the forced answers beside it, and
transformers in a second `generate`.

    python benchmarks/predict_speed.py --items 192 --batch-sizes 64
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from nescio.data.load import load_splits
from nescio.models.load import DEFAULT_MODEL, LoadedModel, load_model
from nescio.models.prompt import OPENING, TO_ANSWER, build_messages, encode_messages, reply_schema
from nescio.predict import predict
from nescio.records import DECISIONS, Example

MAX_CHARS = 200
MAX_NEW_TOKENS = 256


def run_nescio(loaded: LoadedModel, examples: Sequence[Example], batch_size: int, *, forced: bool) -> int:
    """Predict; returns the number of replies that parse."""
    predictions = predict(
        loaded,
        examples,
        batch_size=batch_size,
        max_answer_chars=MAX_CHARS,
        max_justification_chars=MAX_CHARS,
        force_answers=forced,
    )
    return sum(p.decision is not None for p in predictions)


def _schema() -> dict[str, Any]:
    return reply_schema(max_answer_chars=MAX_CHARS, max_justification_chars=MAX_CHARS)


def run_transformers(loaded: LoadedModel, examples: Sequence[Example], batch_size: int, *, forced: bool) -> int:
    """`generate` with llguidance masks; returns the number of replies that parse."""
    replies = _generate(loaded, [_prompt(loaded, example) for example in examples], batch_size, opening="")
    if forced:
        again = [_prompt(loaded, e) for e, r in zip(examples, replies, strict=True) if r is None or r["decision"] != "correct"]
        if again:
            _generate(loaded, again, batch_size, opening=OPENING + DECISIONS[0] + TO_ANSWER)
    return sum(reply is not None for reply in replies)


def _prompt(loaded: LoadedModel, example: Example) -> list[int]:
    return encode_messages(loaded.tokenizer, build_messages(example.question, example.context))


def _generate(loaded: LoadedModel, prompts: list[list[int]], batch_size: int, *, opening: str) -> list[dict[str, Any] | None]:
    import torch
    from transformers import LogitsProcessorList

    tokenizer = loaded.tokenizer
    start = tokenizer(opening, add_special_tokens=False)["input_ids"] if opening else []
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    replies: list[dict[str, Any] | None] = [None] * len(prompts)
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        rows = [prompts[i] + start for i in batch]
        width = max(map(len, rows))
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        out = loaded.model.generate(
            input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=MAX_NEW_TOKENS,
            pad_token_id=tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList([_grammar_processor(loaded, len(batch), width, start)]),
        )  # fmt: skip
        for i, row in zip(batch, out, strict=True):
            text = opening + tokenizer.decode(row[width:], skip_special_tokens=True)
            try:
                replies[i] = json.loads(text)
            except json.JSONDecodeError:  # the reply outgrew MAX_NEW_TOKENS
                replies[i] = None
    return replies


def _grammar_processor(loaded: LoadedModel, rows: int, width: int, start: list[int]) -> Any:
    import llguidance
    import llguidance.hf
    import llguidance.torch
    from transformers import LogitsProcessor

    vocabulary = loaded.model.get_output_embeddings().weight.shape[0]
    tokenizer = llguidance.hf.from_tokenizer(loaded.tokenizer, n_vocab=vocabulary)
    schema = _schema() | {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
    matchers = [llguidance.LLMatcher(tokenizer, grammar) for _ in range(rows)]
    for matcher in matchers:
        matcher.consume_tokens(start)
    bitmask = llguidance.torch.allocate_token_bitmask(rows, vocabulary)

    class Grammar(LogitsProcessor):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            for row, matcher in enumerate(matchers):
                if input_ids.shape[1] > width and not matcher.is_stopped():
                    matcher.consume_token(int(input_ids[row, -1]))
                llguidance.torch.fill_next_token_bitmask(matcher, bitmask, row)
            llguidance.torch.apply_token_bitmask_inplace(scores, bitmask)
            return scores

    return Grammar()


def run_outlines(loaded: LoadedModel, examples: Sequence[Example], batch_size: int) -> int:
    """Outlines' own constrained generation, in batches; returns the number of replies that parse."""
    import outlines

    model = outlines.from_transformers(loaded.model, loaded.tokenizer)
    generator = outlines.Generator(model, outlines.json_schema(json.dumps(_schema())))
    prompts = [loaded.tokenizer.decode(_prompt(loaded, example)) for example in examples]
    prompts.sort(key=len)
    replies: list[str] = []
    for first in range(0, len(prompts), batch_size):
        replies += generator.batch(prompts[first : first + batch_size], max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
    return sum(_parses(reply) for reply in replies)


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--adapter", help="Merge this adapter first: a tuned model writes short replies.")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--items", type=int, default=64)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--forced", action="store_true", help="Let nescio and transformers write the forced answers too.")
    parser.add_argument("--skip-outlines", action="store_true")
    args = parser.parse_args()
    if args.adapter:
        from nescio.models.load import load_adapted_model

        loaded = load_adapted_model(args.model, args.adapter, dtype=args.dtype)
    else:
        loaded = load_model(args.model, dtype=args.dtype)
    test = load_splits("failure_aware")["test"]
    examples = test[:: max(1, len(test) // args.items)][: args.items]
    contenders: dict[str, Callable[[int], int]] = {
        "nescio": lambda size: run_nescio(loaded, examples, size, forced=args.forced),
        "transformers": lambda size: run_transformers(loaded, examples, size, forced=args.forced),
    }
    if not args.skip_outlines:
        contenders["outlines"] = lambda size: run_outlines(loaded, examples, size)
    print(f"{len(examples)} items, {args.model}, {loaded.model.dtype}, {os.cpu_count()} cores, greedy")
    best: dict[str, float] = {}
    for name, contender in contenders.items():
        for size in args.batch_sizes:
            started = time.perf_counter()
            parsed = contender(size)
            rate = len(examples) / (time.perf_counter() - started)
            best[name] = max(best.get(name, 0.0), rate)
            print(f"{name:<14} batch {size:<4} {rate:6.2f} items/s   {parsed} of {len(examples)} replies parse", flush=True)
    for name in list(best)[1:]:
        print(f"nescio is {best['nescio'] / best[name]:.2f} times as fast as {name}")


if __name__ == "__main__":
    main()
