"""Sampled answers a second: nescio, transformers' generate, its continuous batching, lm-polygraph.

Same weights, dtype, prompts, number of answers, temperature 1 without top-k or top-p, and the same stops, side by side in
one process, in turn for several rounds. transformers' `generate` runs on rows sorted by length at the best of several batch
sizes, which a trial picks; so does lm-polygraph, which draws the answers of a question one after the other. Both end a row
at any token that holds a line break, so that nothing is written in vain but for the padding until the batch's last row
ends. Continuous batching shares the blocks of a prompt among its answers.

Prompts are five-shot and zero-shot; answers run to their natural end (a line break, the end token, `--max-new-tokens`) or to
a fixed length without any stop. Whether the contenders draw from the same distribution is checked: mean length, accuracy by
nescio's grader with an interval over questions, and a permutation test of the answers' first words.

    python benchmarks/sampling_speed.py --limit 64 --rounds 3 --dtype bfloat16 --lm-polygraph
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nescio.grade.samples import grade_samples
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.load import DEFAULT_MODEL, LoadedModel, load_model
from nescio.models.prompt import encode_text
from nescio.models.torch_sampler import TorchSampler
from nescio.records import Question, Sample
from nescio.sample import PromptSettings, render_request
from nescio.store import read_records
from side_by_side import describe_machine, show_spread, spread

N_PERMUTATIONS = 999


class Answers(NamedTuple):
    """What a contender wrote to one question."""

    texts: tuple[str, ...]
    tokens: int
    """Written in all, each answer's stop counted and nothing behind it."""


@dataclass(frozen=True)
class Task:
    """One setting: what every contender is given."""

    name: str
    loaded: LoadedModel
    requests: tuple[SampleRequest, ...]
    n: int
    max_new_tokens: int
    stops: tuple[int, ...]
    """Tokens that end an answer; empty at a fixed length."""

    def part(self, size: int) -> Task:
        """The same with some of the questions, drawn evenly."""
        step = max(1, len(self.requests) // size)
        return Task(self.name, self.loaded, self.requests[::step][:size], self.n, self.max_new_tokens, self.stops)

    def prompts(self) -> list[list[int]]:
        """Tokens of each prompt, as nescio makes them."""
        return [encode_text(self.loaded.tokenizer, request.text) for request in self.requests]

    def end_tokens(self) -> list[int]:
        """For transformers; where nothing ends an answer no token at all, as None stands for the model's own end there."""
        return list(self.stops) or [-1]

    def cut(self, rows: Sequence[Sequence[int]]) -> Answers:
        """The answers in the tokens behind a prompt."""
        texts, tokens = [], 0
        for row in rows:
            end = next((place for place, token in enumerate(row) if token in self.stops), None)
            tokens += len(row) if end is None else end + 1
            written = row if end is None else row[: end + 1]
            texts.append(self.read(self.loaded.tokenizer.decode(written, skip_special_tokens=True)))
        return Answers(tuple(texts), tokens)

    def read(self, text: str) -> str:
        """The answer in a decoded text: what stands before the first line break."""
        return (text.split("\n", maxsplit=1)[0] if self.stops else text).strip()


Contender = Callable[[Task, int, int], list[Answers]]
"""Called with a task, a seed and a number of rows in flight."""


def run_nescio(task: Task, seed: int, rows: int) -> list[Answers]:
    """TorchSampler through the engines' protocol."""
    sampler = TorchSampler(task.loaded, max_rows=rows)
    stop: tuple[str, ...] = ("\n",)
    if not task.stops:
        # No setting of the sampler's lets a model write on behind its own end, and none is needed but for this comparison.
        sampler._end_tokens, stop = frozenset(), ()
    settings = DrawSettings(temperature=1.0, max_new_tokens=task.max_new_tokens, stop=stop, seed=seed)
    samples = sampler.draw(task.requests, settings)
    answers = []
    for place in range(len(task.requests)):
        own = samples[place * task.n : (place + 1) * task.n]
        answers.append(Answers(tuple(s.text for s in own), sum(len(s.log_probabilities) for s in own)))
    return answers


def run_generate(task: Task, seed: int, rows: int) -> list[Answers]:
    """`generate` on left-padded batches of prompts of like length, `num_return_sequences` answers each."""
    import torch

    torch.manual_seed(seed)
    pad = task.loaded.tokenizer.pad_token_id
    prompts = task.prompts()
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers: dict[int, Answers] = {}
    size = max(1, rows // task.n)
    for first in range(0, len(order), size):
        batch = order[first : first + size]
        width = max(len(prompts[i]) for i in batch)
        ids = torch.tensor([[pad] * (width - len(prompts[i])) + prompts[i] for i in batch])
        mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in batch])
        out = task.loaded.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=task.max_new_tokens, do_sample=True, temperature=1.0, top_k=0,
            top_p=1.0, num_return_sequences=task.n, pad_token_id=pad, eos_token_id=task.end_tokens(),
        )  # fmt: skip
        written = out[:, width:].tolist()
        for place, i in enumerate(batch):
            answers[i] = task.cut(written[place * task.n : (place + 1) * task.n])
    return [answers[i] for i in range(len(prompts))]


def run_generate_batch(task: Task, seed: int, rows: int) -> list[Answers]:
    """Continuous batching; `rows` bounds its blocks, as its own choice on a processor, most of the memory, takes minutes."""
    import torch
    from transformers import ContinuousBatchingConfig, GenerationConfig

    torch.manual_seed(seed)
    page = 32
    prompts = task.prompts()
    longest = max(map(len, prompts))
    a_row = -(-task.max_new_tokens // page) + 1  # of its own; the prompt's full blocks are shared
    blocks = rows * a_row + max(1, rows // task.n) * -(-longest // page)
    generation = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=task.max_new_tokens, num_return_sequences=task.n,
        eos_token_id=task.end_tokens(), pad_token_id=task.loaded.tokenizer.pad_token_id,
    )  # fmt: skip
    out = task.loaded.model.generate_batch(
        prompts,
        generation_config=generation,
        continuous_batching_config=ContinuousBatchingConfig(page_size=page, num_blocks=blocks, max_batch_tokens=max(256, rows)),
        warmup=False,
    )
    written = [answer.generated_tokens for answer in out.values()]
    if len(written) != len(prompts) * task.n:
        raise RuntimeError(f"generate_batch returned {len(written)} answers of {len(prompts) * task.n}")
    return [task.cut(written[first : first + task.n]) for first in range(0, len(written), task.n)]


def run_lm_polygraph(task: Task, seed: int, rows: int) -> list[Answers]:
    """lm-polygraph's sampling of texts with their log-likelihoods; it never ends an answer with its first token."""
    import torch
    from lm_polygraph.stat_calculators.sample import SamplingGenerationCalculator
    from lm_polygraph.utils.generation_parameters import GenerationParameters
    from lm_polygraph.utils.model import WhiteboxModel

    torch.manual_seed(seed)
    parameters = GenerationParameters(temperature=1.0, top_k=0, top_p=1.0, do_sample=True, allow_newlines=True)
    tokenizer = task.loaded.tokenizer
    model = WhiteboxModel(task.loaded.model, tokenizer, generation_parameters=parameters)
    draw = SamplingGenerationCalculator(samples_n=task.n)
    texts = [request.text for request in task.requests]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    answers: dict[int, Answers] = {}
    with _ending_at(task.loaded.model, task.end_tokens()), _padding_left(tokenizer):
        for first in range(0, len(order), rows):
            batch = order[first : first + rows]
            out = draw({}, [texts[i] for i in batch], model, max_new_tokens=task.max_new_tokens)
            for i, written in zip(batch, out["sample_tokens"], strict=True):
                answers[i] = task.cut(written)
    return [answers[i] for i in range(len(texts))]


@contextlib.contextmanager
def _ending_at(model: Any, stops: list[int]) -> Iterator[None]:
    before = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = stops
    try:
        yield
    finally:
        model.generation_config.eos_token_id = before


@contextlib.contextmanager
def _padding_left(tokenizer: Any) -> Iterator[None]:
    before = tokenizer.padding_side
    tokenizer.padding_side = "left"
    try:
        yield
    finally:
        tokenizer.padding_side = before


@dataclass
class Runs:
    """A contender's rounds of one task."""

    rows: int
    seconds: list[float] = field(default_factory=list)
    answers: list[list[Answers]] = field(default_factory=list)

    def rates(self) -> list[float]:
        """Samples a second, of each round."""
        return [sum(len(a.texts) for a in got) / s for got, s in zip(self.answers, self.seconds, strict=True)]

    def token_rates(self) -> list[float]:
        """Tokens a second, of each round."""
        return [sum(a.tokens for a in got) / s for got, s in zip(self.answers, self.seconds, strict=True)]

    def mean_tokens(self) -> float:
        """Tokens an answer."""
        every = [a for got in self.answers for a in got]
        return sum(a.tokens for a in every) / sum(len(a.texts) for a in every)

    def texts(self) -> list[list[str]]:
        """Of each question, the answers of all rounds."""
        return [[text for a in rounds for text in a.texts] for rounds in zip(*self.answers, strict=True)]


def time_contenders(
    task: Task, contenders: dict[str, Contender], *, rounds: int, nescio_rows: int, rows: Sequence[int], trial: int
) -> dict[str, Runs]:
    """Pick each peer's rows in flight in a trial, then run all in turn."""
    runs = {}
    for name, contender in contenders.items():
        run_once = task.part(trial)
        tried = {size: _seconds(contender, run_once, 0, size)[0] for size in ([nescio_rows] if name == "nescio" else rows)}
        runs[name] = Runs(min(tried, key=lambda size: tried[size]))
        told = ", ".join(f"{size} rows {seconds:.1f} s" for size, seconds in tried.items())
        print(f"  trial of {name} on {len(run_once.requests)} questions: {told}", flush=True)
    for number in range(rounds):
        for name, run in runs.items():
            seconds, answers = _seconds(contenders[name], task, number + 1, run.rows)
            run.seconds.append(seconds)
            run.answers.append(answers)
            print(f"  round {number + 1}: {name:<16} {run.rates()[-1]:8.1f} samples/s", flush=True)
    return runs


def _seconds(contender: Contender, task: Task, seed: int, rows: int) -> tuple[float, list[Answers]]:
    started = time.perf_counter()
    answers = contender(task, seed, rows)
    return time.perf_counter() - started, answers


def accuracy(questions: Sequence[Question], texts: Sequence[Sequence[str]]) -> Any:
    """Share of right answers to each question, shape (questions,)."""
    samples = [
        Sample(question_id=question.id, index=index, text=text)
        for question, own in zip(questions, texts, strict=True)
        for index, text in enumerate(own, start=1)
    ]
    right = np.array([grade.verdict == "correct" for grade in grade_samples(questions, samples)], dtype=float)
    return right.reshape(len(questions), -1).mean(1)


def compare_first_words(ours: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]], *, seed: int = 0) -> float:
    """The p-value of a permutation test: do the first words of two contenders' answers come from one distribution?

    First words, as long answers are all different and would tell nothing. The statistic is the squared difference of each
    word's share, summed over words and questions; which contender an answer is of is permuted within its question.
    """
    chance = np.random.default_rng(seed)
    observed, permuted = 0.0, np.zeros(N_PERMUTATIONS)
    for own, other in zip(ours, theirs, strict=True):
        names, codes = np.unique([" ".join(text.split()[:1]) for text in (*own, *other)], return_inverse=True)
        signs = np.concatenate([np.full(len(own), 1 / len(own)), np.full(len(other), -1 / len(other))])
        observed += float((np.bincount(codes, signs, minlength=len(names)) ** 2).sum())
        shuffled = chance.permuted(np.tile(signs, (N_PERMUTATIONS, 1)), axis=1)
        one_hot = np.eye(len(names))[codes]
        permuted += ((shuffled @ one_hot) ** 2).sum(1)
    return float((1 + (permuted >= observed - 1e-9).sum()) / (1 + N_PERMUTATIONS))


def summarise(task: Task, questions: Sequence[Question], runs: dict[str, Runs]) -> list[dict[str, Any]]:
    """One line of the table a contender."""
    ours = runs["nescio"]
    right = accuracy(questions, ours.texts())
    lines = []
    for name, run in runs.items():
        own_right = accuracy(questions, run.texts())
        difference = own_right - right
        ratios = [a / b for a, b in zip(ours.rates(), run.rates(), strict=True)]
        lines.append(
            {
                "setting": task.name, "contender": name, "rows": run.rows,
                "samples_per_second": spread(run.rates()), "tokens_per_second": spread(run.token_rates()),
                "nescio_times_as_fast": spread(ratios), "mean_tokens": run.mean_tokens(),
                "accuracy": float(own_right.mean()), "accuracy_difference": float(difference.mean()),
                "accuracy_difference_95": 1.96 * float(difference.std(ddof=1)) / len(difference) ** 0.5,
                "same_first_words_p": compare_first_words(ours.texts(), run.texts()) if run is not ours else None,
            }
        )  # fmt: skip
    return lines


def print_table(lines: Sequence[dict[str, Any]]) -> None:
    """As Markdown."""
    print("\n| setting | contender | rows | samples/s (min-max) | tokens/s | nescio is so many times as fast (min-max) "
          "| tokens an answer | accuracy | difference (95 %) | same first words, p |")  # fmt: skip
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for line in lines:
        p = line["same_first_words_p"]
        other = p is not None
        against = show_spread(line["nescio_times_as_fast"]) if other else ""
        apart = f"{line['accuracy_difference']:+.3f} ± {line['accuracy_difference_95']:.3f}" if other else ""
        print(
            f"| {line['setting']} | {line['contender']} | {line['rows']} | "
            f"{show_spread(line['samples_per_second'])} | {line['tokens_per_second']['median']:.0f} | "
            f"{against} | {line['mean_tokens']:.2f} | {line['accuracy']:.3f} | {apart} | {f'{p:.3f}' if other else ''} |"
        )


def build_tasks(loaded: LoadedModel, questions: Sequence[Question], args: argparse.Namespace) -> Iterator[Task]:
    """Every setting asked for."""
    tokenizer = loaded.tokenizer
    ends = [token for token in range(len(tokenizer)) if "\n" in tokenizer.decode([token])]
    named = loaded.model.generation_config.eos_token_id
    ends += [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    stops = tuple(sorted({token for token in ends if token is not None}))
    for shots in args.shots:
        prompt = PromptSettings(style="plain") if shots else PromptSettings(style="plain", shots=())
        requests = tuple(render_request(question, prompt, indices=range(1, args.n + 1)) for question in questions)
        if "natural" in args.lengths:
            yield Task(f"{shots}-shot, natural end", loaded, requests, args.n, args.max_new_tokens, stops)
        if "fixed" in args.lengths:
            yield Task(f"{shots}-shot, {args.fixed_tokens} tokens", loaded, requests, args.n, args.fixed_tokens, ())


def load_bank(path: Path | None, limit: int) -> list[Question]:
    """Questions of a JSONL file, or English ones of the facts bank, drawn evenly."""
    if path is None:
        from nescio.data.facts import build_facts

        return build_facts(languages=("en",), limit=limit)
    questions = read_records(path, Question)
    return questions[:: max(1, len(questions) // limit)][:limit]


def pick_contenders(args: argparse.Namespace) -> dict[str, Contender]:
    """Those asked for that can run here; says why one cannot."""
    contenders: dict[str, Contender] = {"nescio": run_nescio, "generate": run_generate}
    if not args.skip_generate_batch:
        contenders["generate_batch"] = run_generate_batch
    if args.lm_polygraph:
        try:
            from lm_polygraph.stat_calculators.sample import SamplingGenerationCalculator  # noqa: F401 - is it there?
        except ImportError as error:
            print(f"lm-polygraph is left out: {error}; pip install lm-polygraph==0.7.0")
        else:
            contenders["lm-polygraph"] = run_lm_polygraph
    return contenders


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--questions", type=Path, help="JSONL of questions; the facts bank, which has an extra, where not given.")
    parser.add_argument("--limit", type=int, default=64, help="Questions.")
    parser.add_argument("--n", type=int, default=10, help="Answers a question.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trial", type=int, default=16, help="Questions of the trial that picks the rows in flight.")
    parser.add_argument("--rows", type=int, nargs="+", default=[40, 80, 160], help="Rows in flight that peers try.")
    parser.add_argument("--nescio-rows", type=int, default=128)
    parser.add_argument("--shots", type=int, nargs="+", choices=[0, 5], default=[5, 0])
    parser.add_argument("--lengths", nargs="+", choices=["natural", "fixed"], default=["natural", "fixed"])
    parser.add_argument("--max-new-tokens", type=int, default=24, help="At natural ends.")
    parser.add_argument("--fixed-tokens", type=int, default=16)
    parser.add_argument("--skip-generate-batch", action="store_true")
    parser.add_argument("--lm-polygraph", action="store_true", help="Run lm-polygraph 0.7.0 too, where it is installed.")
    parser.add_argument("--json", type=Path, help="Write the table there too.")
    args = parser.parse_args()
    loaded = load_model(args.model, dtype=args.dtype)
    questions = load_bank(args.questions, args.limit)
    contenders = pick_contenders(args)
    machine = f"{loaded.model.dtype}, {loaded.model.device}, {describe_machine('torch', 'transformers')}"
    print(f"{len(questions)} questions x {args.n} answers, {args.model}, {machine}")
    lines: list[dict[str, Any]] = []
    for task in build_tasks(loaded, questions, args):
        print(task.name, flush=True)
        runs = time_contenders(
            task, contenders, rounds=args.rounds, nescio_rows=args.nescio_rows, rows=args.rows, trial=args.trial
        )
        lines += summarise(task, questions, runs)
        if args.json:
            args.json.write_text(json.dumps({"machine": machine, "model": args.model, "lines": lines}, indent=1) + "\n")
    print_table(lines)


if __name__ == "__main__":
    main()
