"""Questions a second of log-likelihood scoring, five-shot ARC-Challenge: nescio and lm-evaluation-harness.

lm-evaluation-harness builds the prompts: a task of its own from local files, its first five worked examples out of ARC's
validation part. nescio gets the same (context, continuation) pairs, with the options of a question together. Both score with
the same weights in the same process, in turn for several rounds, tokenisation included; lm-evaluation-harness at the best of
several batch sizes, which a trial picks. That both split every pair into the same tokens and come to the same
log-likelihoods is checked: in float32 they must agree to 0.001.

In the form `texts` the options' texts follow the question, as in the harness's own task arc_challenge; in the form `letters`
the options are listed and their letters follow, as in MMLU, where the harness reads all options of a question off one pass.

    python benchmarks/loglikelihood_speed.py --limit 500 --rounds 3 --data ../shared/data
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.load import DEFAULT_MODEL, LoadedModel, load_model
from nescio.models.prompt import encode_text
from nescio.models.torch_sampler import TorchSampler
from side_by_side import describe_machine, show_spread, spread

TOLERANCE = 1e-3
"""How far log-likelihoods in float32 may lie apart."""
QUESTION = "Question: {{question}}\nAnswer:"
LISTED = "Question: {{question}}\n{% for t in texts %}{{ labels[loop.index0] }}. {{ t }}\n{% endfor %}Answer:"
FORMS = {
    "texts": {"doc_to_text": QUESTION, "doc_to_choice": "{{texts}}"},
    "letters": {"doc_to_text": LISTED, "doc_to_choice": "{{labels}}"},
}

Scorer = Callable[[Sequence[Sequence[Any]]], list[list[float]]]
"""Log-likelihoods of the options of each question, from the harness's instances of each."""


class Timed(NamedTuple):
    """One round."""

    seconds: float
    log_likelihoods: list[list[float]]


def write_task(data: Path, folder: Path, *, form: str, shots: int, limit: int) -> str:
    """Write questions of ARC-Challenge, drawn evenly, as a task of lm-evaluation-harness; returns its name."""
    source = data / "arc-challenge" / "arc_challenge.json"
    if not source.is_file():
        raise SystemExit(f"no ARC-Challenge at {source}; name the folder that holds arc-challenge/ with --data")
    splits = json.loads(source.read_text(encoding="utf-8"))
    for split, chosen in (("dev", splits["dev"]), ("test", splits["test"][:: max(1, len(splits["test"]) // limit)][:limit])):
        rows = [
            {
                "question": row["question"],
                "labels": list(row["choices"]),
                "texts": list(row["choices"].values()),
                "target": list(row["choices"]).index(row["answer"]),
            }
            for row in chosen
        ]
        (folder / f"{split}.json").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    name = f"local_arc_challenge_{form}"
    files = {"validation": str(folder / "dev.json"), "test": str(folder / "test.json")}
    task = {
        "task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
        "output_type": "multiple_choice", "validation_split": "validation", "test_split": "test", "fewshot_split": "validation",
        "fewshot_config": {"sampler": "first_n"}, "num_fewshot": shots, "doc_to_target": "target", **FORMS[form],
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }  # fmt: skip
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    return name


def build_instances(data: Path, *, form: str, shots: int, limit: int) -> tuple[list[list[Any]], list[int]]:
    """The harness's request list, the instances of each question together; and the right options."""
    import datasets
    from lm_eval.tasks import TaskManager

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as temporary:
        name = write_task(data, Path(temporary), form=form, shots=shots, limit=limit)
        task = TaskManager(include_path=temporary, include_defaults=False).load([name])["tasks"][name]
        task.build_all_requests()
        by_question: dict[int, list[Any]] = {}
        for instance in task.instances:
            by_question.setdefault(instance.doc_id, []).append(instance)
    questions = list(by_question.values())
    return questions, [int(instances[0].doc["target"]) for instances in questions]


def make_request(number: int, instances: Sequence[Any]) -> SampleRequest:
    """One question of the harness as one of nescio's."""
    contexts = {instance.args[0] for instance in instances}
    if len(contexts) != 1:
        raise SystemExit(f"question {number} has {len(contexts)} contexts; only tasks with one context a question are compared")
    return SampleRequest(str(number), text=contexts.pop(), options=tuple(instance.args[1] for instance in instances))


def score_with_nescio(loaded: LoadedModel, rows: int) -> Scorer:
    """TorchSampler's requests with options."""

    def score(questions: Sequence[Sequence[Any]]) -> list[list[float]]:
        requests = [make_request(number, instances) for number, instances in enumerate(questions)]
        samples = TorchSampler(loaded, max_rows=rows).draw(requests, DrawSettings())
        failed = [sample for sample in samples if sample.failure]
        if failed:
            raise SystemExit(f"{len(failed)} questions failed, the first: {failed[0].failure}")
        return [list(sample.option_log_likelihoods) for sample in samples]

    return score


def score_with_harness(harness: Any, batch_size: int) -> Scorer:
    """Its own `loglikelihood`."""

    def score(questions: Sequence[Sequence[Any]]) -> list[list[float]]:
        harness.batch_size_per_gpu = batch_size
        flat = harness.loglikelihood([instance for instances in questions for instance in instances], disable_tqdm=True)
        values = iter(float(value) for value, _ in flat)
        return [[next(values) for _ in instances] for instances in questions]

    return score


def count_split_differences(loaded: LoadedModel, harness: Any, questions: Sequence[Sequence[Any]]) -> int:
    """Pairs of context and continuation that the two split into different tokens."""
    different = 0
    for instances in questions:
        for instance in instances:
            context, continuation = instance.args
            prompt = encode_text(loaded.tokenizer, context)
            ours = (prompt, encode_text(loaded.tokenizer, context + continuation)[len(prompt) :])
            different += ours != tuple(harness._encode_pair(context, continuation))
    return different


def measure(scorer: Scorer, questions: Sequence[Sequence[Any]]) -> Timed:
    """Seconds of one pass, and what came out."""
    started = time.perf_counter()
    log_likelihoods = scorer(questions)
    return Timed(time.perf_counter() - started, log_likelihoods)


def run_setting(
    loaded: LoadedModel, questions: Sequence[Sequence[Any]], answers: Sequence[int], args: argparse.Namespace
) -> dict[str, Any]:
    """Time both in turn; one line of the table."""
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=1)
    part = questions[:: max(1, len(questions) // args.trial)][: args.trial]
    tried = {size: measure(score_with_harness(harness, size), part).seconds for size in args.batch_sizes}
    batch_size = min(tried, key=lambda size: tried[size])
    told = ", ".join(f"batch {size} {seconds:.1f} s" for size, seconds in tried.items())
    print(f"  trial of lm-eval on {len(part)} questions: {told}", flush=True)
    scorers = {"nescio": score_with_nescio(loaded, args.nescio_rows), "lm-eval": score_with_harness(harness, batch_size)}
    runs: dict[str, list[Timed]] = {name: [] for name in scorers}
    for number in range(args.rounds):
        for name, scorer in scorers.items():
            runs[name].append(measure(scorer, questions))
            rate = len(questions) / runs[name][-1].seconds
            print(f"  round {number + 1}: {name:<8} {rate:7.2f} questions/s", flush=True)
    ours, theirs = (runs[name][0].log_likelihoods for name in ("nescio", "lm-eval"))
    apart = [abs(a - b) for own, other in zip(ours, theirs, strict=True) for a, b in zip(own, other, strict=True)]
    rates = {name: [len(questions) / timed.seconds for timed in run] for name, run in runs.items()}
    ratios = [a / b for a, b in zip(rates["nescio"], rates["lm-eval"], strict=True)]
    return {
        "batch_size": batch_size,
        "nescio": spread(rates["nescio"]),
        "lm-eval": spread(rates["lm-eval"]),
        "nescio_times_as_fast": spread(ratios),
        "pairs_split_differently": count_split_differences(loaded, harness, questions),
        "largest_difference": max(apart),
        "same_choice": float(np.mean([np.argmax(a) == np.argmax(b) for a, b in zip(ours, theirs, strict=True)])),
        "accuracy": {
            name: float(np.mean([np.argmax(own) == answer for own, answer in zip(found, answers, strict=True)]))
            for name, found in (("nescio", ours), ("lm-eval", theirs))
        },
    }


def print_table(lines: Sequence[dict[str, Any]]) -> None:
    """As Markdown."""
    print("\n| form, dtype | nescio, questions/s (min-max) | lm-eval (min-max) | batch | nescio so many times as fast (min-max) "
          "| largest difference | same choice | accuracy, nescio / lm-eval | pairs split differently |")  # fmt: skip
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for line in lines:
        told = [show_spread(line[name]) for name in ("nescio", "lm-eval")]
        print(
            f"| {line['form']}, {line['dtype']} | {told[0]} | {told[1]} | {line['batch_size']} | "
            f"{show_spread(line['nescio_times_as_fast'])} | {line['largest_difference']:.5f} | "
            f"{line['same_choice']:.3f} | {line['accuracy']['nescio']:.3f} / {line['accuracy']['lm-eval']:.3f} | "
            f"{line['pairs_split_differently']} |"
        )


def main() -> None:
    """Measure, compare and print; ends with an error where float32 does not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="Folder that holds arc-challenge/.")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    parser.add_argument("--limit", type=int, default=500, help="Questions of the test part.")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 8, 16], help="That lm-eval tries.")
    parser.add_argument("--trial", type=int, default=16, help="Questions of the trial that picks its batch size.")
    parser.add_argument("--nescio-rows", type=int, default=128)
    parser.add_argument("--json", type=Path, help="Write the table there too.")
    args = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"
    logging.disable(logging.WARNING)  # lm-eval warns that it is given a loaded model, which is meant
    machine = describe_machine("torch", "transformers", "lm_eval")
    print(f"{args.limit} questions of ARC-Challenge, {args.shots}-shot, {args.model}, {machine}")
    lines: list[dict[str, Any]] = []
    for form in args.forms:
        questions, answers = build_instances(args.data, form=form, shots=args.shots, limit=args.limit)
        for dtype in args.dtypes:
            print(f"{form}, {dtype}", flush=True)
            lines.append(
                {"form": form, "dtype": dtype, **run_setting(load_model(args.model, dtype=dtype), questions, answers, args)}
            )
            if args.json:
                args.json.write_text(json.dumps({"machine": machine, "model": args.model, "lines": lines}, indent=1) + "\n")
    print_table(lines)
    worst = max((line["largest_difference"] for line in lines if line["dtype"] == "float32"), default=0.0)
    if worst > TOLERANCE:
        raise SystemExit(f"log-likelihoods in float32 lie up to {worst:.5f} apart, more than {TOLERANCE}")


if __name__ == "__main__":
    main()
