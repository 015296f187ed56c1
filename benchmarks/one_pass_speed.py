"""What a confidence costs beside the greedy answer: read in the same pass by a probe, or estimated from ten drawn answers.

The same test questions of a finished run, five worked examples before each, computed once for all. In turn, for several rounds:
greedy answers alone; greedy answers with the probe's confidence, in one pass; greedy answers with ten drawn ones, and semantic
entropy. What the second and third take more than the first, in time and in tokens through the model, is what confidence costs.

    python benchmarks/one_pass_speed.py runs/confidence-probe --limit 200 --rounds 3
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nescio.confidence.estimators import estimate_confidences
from nescio.config import ConfidenceConfig
from nescio.models.engine import DrawSettings, SampleRequest
from nescio.models.load import load_model
from nescio.models.torch_sampler import TorchSampler
from nescio.pipeline.asking import make_prompt_settings
from nescio.predict_confidence import answer_and_state
from nescio.records import Question, Sample
from nescio.sample import render_request
from nescio.store import read_json, read_records
from nescio.train.head import load_head
from nescio.train.objectives import choose_form
from side_by_side import describe_machine, show_spread, spread

DRAWN = 10


def main() -> None:
    """Print seconds and tokens a question."""
    arguments = _read_arguments()
    config = ConfidenceConfig.model_validate(read_json(arguments.run / "config.json"))
    questions = read_questions(arguments.run, config, limit=arguments.limit)
    loaded = load_model(config.model.name, dtype=config.model.dtype, device=config.model.device)
    load_head(loaded.model, arguments.run / "adapter")
    prompt, settings = make_prompt_settings(config.sample), DrawSettings(max_new_tokens=config.sample.max_new_tokens)
    form = choose_form("correctness", form="probe")
    tokens: dict[str, float] = {}

    def requests(*indices: int) -> list[SampleRequest]:
        return [render_request(question, prompt, indices=indices) for question in questions]

    def answer() -> None:
        TorchSampler(loaded).draw(requests(0), settings)

    def answer_with_probe() -> None:
        _, stated = answer_and_state(loaded, requests(0), form, settings, batch_size=128)
        tokens["probe, one pass"] = stated.tokens / len(questions)

    def answer_and_draw() -> None:
        samples = TorchSampler(loaded).draw(requests(*range(DRAWN + 1)), settings)
        estimate_confidences(samples, questions=questions, methods=["semantic_entropy"])
        tokens["semantic entropy"] = _count_drawn(samples) / len(questions)

    found = time_in_turn(
        {"greedy answer": answer, "probe, one pass": answer_with_probe, "semantic entropy": answer_and_draw},
        rounds=arguments.rounds,
    )
    print(f"{len(questions)} questions, {config.model.name}, {loaded.model.dtype}, {describe_machine('torch', 'transformers')}\n")
    print("| | seconds a question (min-max) | more than the answer alone | tokens more |\n|---|--:|--:|--:|")
    alone = np.array(found["greedy answer"]) / len(questions)
    for name, seconds in found.items():
        each = np.array(seconds) / len(questions)
        more = "" if name == "greedy answer" else show_spread(spread((1000 * (each - alone)).tolist())) + " ms"
        print(f"| {name} | {np.median(each):.4f} ({each.min():.4f}-{each.max():.4f}) | {more} | {tokens.get(name, 0):.1f} |")


def read_questions(folder: Path, config: ConfidenceConfig, *, limit: int) -> list[Question]:
    """Test questions in distribution, as many from each set."""
    sets = config.questions.in_distribution
    each = -(-limit // len(sets))
    return [question for name in sets for question in read_records(folder / "data" / f"test.{name}.jsonl", Question)[:each]]


def time_in_turn(contenders: dict[str, Callable[[], None]], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of each in each round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(rounds + 1):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _count_drawn(samples: Sequence[Sample]) -> int:
    return sum(len(one.log_probabilities) for one in samples if one.index > 0 and one.failure is None)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path, help="folder of a finished run with form: probe")
    parser.add_argument("--limit", type=int, default=200, help="questions")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
