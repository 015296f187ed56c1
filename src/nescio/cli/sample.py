"""`nescio sample`: let a model answer questions many times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nescio.config import SampleConfig
from nescio.errors import ConfigError, describe_unknown
from nescio.records import Question, Sample

if TYPE_CHECKING:
    from nescio.models.engine import DrawSettings, SamplingEngine
    from nescio.sample import Executor, PromptSettings

_DEFAULTS = SampleConfig()


def sample(
    questions: Annotated[Path, typer.Argument(help="JSONL file of questions, as `nescio data questions --out` writes them.")],
    *,
    out: Annotated[Path, typer.Option(help="JSONL file of samples to write.")],
    model: Annotated[str, typer.Option(help="Alias, hub id, folder, GGUF file; a server's name for it.")] = "smollm2-135m",
    n: Annotated[int, typer.Option("--n", min=0, help="Drawn answers a question, beside the greedy one.")] = _DEFAULTS.n,
    temperature: Annotated[float, typer.Option(help="Of the drawn answers.")] = _DEFAULTS.temperature,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of an answer.")] = _DEFAULTS.max_new_tokens,
    greedy: Annotated[bool, typer.Option(help="Whether to take the greedy answer too.")] = True,
    style: Annotated[str, typer.Option(help="chat: by the chat template; plain: as text to go on from.")] = _DEFAULTS.style,
    shots: Annotated[int, typer.Option(min=0, help="Worked examples before each question.")] = _DEFAULTS.shots,
    shots_from: Annotated[Path | None, typer.Option(help="Take them from this JSONL file of questions with answers.")] = None,
    options: Annotated[str, typer.Option(help="Multiple choice is answered by: letters or texts.")] = "letters",
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Rows in flight; requests at once to a server.")] = _DEFAULTS.batch_size,
    batch_questions: Annotated[
        int, typer.Option(min=1, help="Questions a batch: what a killed run loses at most.")
    ] = _DEFAULTS.batch_questions,
    store: Annotated[Path | None, typer.Option(help="Folder of all samples; default: NESCIO_SAMPLES, else runs/samples.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Ask an OpenAI-compatible server, e.g. http://localhost:8000/v1.")] = None,
    engine: Annotated[str, typer.Option(help="torch or vllm, where no server is named.")] = "torch",
    executor: Annotated[str, typer.Option(help="here, or ray: on the workers of a Ray cluster (docs/scale_out.md).")] = "here",
    workers: Annotated[int, typer.Option(min=1, help="With --executor ray: processes with a model of their own.")] = 2,
    adaptive: Annotated[
        bool, typer.Option("--adaptive", help="Stop early where more samples are not likely to change a label.")
    ] = False,
    border: Annotated[
        list[float] | None, typer.Option(help="With --adaptive: shares of right answers at which the label changes.")
    ] = None,
    rule: Annotated[str, typer.Option(help="With --adaptive: wilson, or exact (labels never differ).")] = "wilson",
    import_from: Annotated[Path | None, typer.Option("--import", help="Take samples that another tool drew, from JSONL.")] = None,
) -> None:
    """Draw answers to questions; what was drawn before is not drawn again."""
    from nescio.models.engine import DrawSettings
    from nescio.sample import sample_questions
    from nescio.store import read_records

    asked = read_records(questions, Question)
    if import_from is not None:
        _keep(_import(import_from, asked), len(asked), out)
        return
    check_temperature(temperature)
    prompt = make_prompt(style, shots, shots_from, options)
    source = make_engine(engine, model, dtype=dtype, device=device, batch_size=batch_size, base_url=base_url)
    settings = DrawSettings(temperature=temperature, max_new_tokens=max_new_tokens, seed=seed)
    remake = partial(make_engine, engine, model, dtype=dtype, device=device, batch_size=batch_size, base_url=base_url)
    run_batches = _make_executor(executor, workers, remake, settings, source)
    with make_bar() as bar:
        task = bar.add_task("sample", total=len(asked))

        def draw(some: Sequence[Question], upto: int) -> list[Sample]:
            return sample_questions(
                some,
                source,
                n=upto,
                greedy=greedy,
                settings=settings,
                prompt=prompt,
                store=store,
                executor=run_batches,
                batch_questions=batch_questions,
                on_progress=lambda done, _: bar.update(task, completed=done, total=len(some)),
            )

        drawn = _draw_adaptively(asked, draw, n, border or [0.1, 0.5], rule) if adaptive else draw(asked, n)
    _keep(drawn, len(asked), out)


def _import(path: Path, asked: Sequence[Question]) -> list[Sample]:
    from nescio.sample.imports import import_samples

    return import_samples(path, asked)


def _make_executor(
    executor: str, workers: int, remake: Callable[[], SamplingEngine], settings: DrawSettings, source: SamplingEngine
) -> Executor:
    from nescio.sample import draw_here

    if executor == "here":
        return draw_here(source, settings)
    if executor != "ray":
        raise ConfigError(describe_unknown("executor", executor, ("here", "ray")))
    from nescio.sample.ray_executor import draw_on_ray

    return draw_on_ray(remake, settings, workers=workers, identity=source.identify())


def _draw_adaptively(
    asked: Sequence[Question],
    draw: Callable[[Sequence[Question], int], list[Sample]],
    n: int,
    borders: Sequence[float],
    rule: str,
) -> list[Sample]:
    from nescio.grade import grade_samples
    from nescio.sample.adaptive import Rule, sample_adaptively

    rules: dict[str, Rule] = {name: name for name in get_args(Rule)}
    if rule not in rules:
        raise ConfigError(describe_unknown("rule", rule, rules))
    made = sample_adaptively(asked, draw, grade_samples, borders=borders, n=n, rule=rules[rule])
    typer.echo(f"{made.drawn} samples drawn, {made.saved} of {n * len(asked)} saved", err=True)
    return made.samples


def _keep(drawn: Sequence[Sample], n_questions: int, out: Path) -> None:
    from nescio.store import write_records

    write_records(out, drawn)
    _summarise(drawn, n_questions)
    typer.echo(str(out))


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that nothing can be drawn at.

    Raises:
        ConfigError: It is not above 0, or not finite.
    """
    if not 0 < temperature < float("inf"):
        raise ConfigError(f"--temperature must be above 0 and finite, got {temperature}; the greedy answer is drawn besides")


def make_prompt(style: str, shots: int, shots_from: Path | None, options: str) -> PromptSettings:
    """How questions are put, as options say it; `shots_from` is a file of worked examples.

    Raises:
        ConfigError: An option has an unknown value, or there are too few worked examples.
        DataError: The file of worked examples cannot be read.
    """
    from nescio.sample import PromptSettings
    from nescio.sample.prompts import SHOTS, OptionForm, Style
    from nescio.store import read_records

    styles: dict[str, Style] = {name: name for name in get_args(Style)}
    forms: dict[str, OptionForm] = {name: name for name in get_args(OptionForm)}
    if style not in styles:
        raise ConfigError(describe_unknown("style", style, styles))
    if options not in forms:
        raise ConfigError(describe_unknown("form of options", options, forms))
    examples = tuple(read_records(shots_from, Question)) if shots_from else SHOTS
    if shots > len(examples):
        raise ConfigError(f"--shots {shots}, but there are only {len(examples)} worked examples; give more by --shots-from")
    return PromptSettings(style=styles[style], options=forms[options], shots=examples[:shots])


def make_engine(engine: str, model: str, *, dtype: str, device: str, batch_size: int, base_url: str | None) -> SamplingEngine:
    """What answers: a server where one is named, else a model in this process by the engine `torch` or `vllm`.

    Raises:
        ConfigError: The engine is unknown.
        ModelError: The model cannot be loaded.
    """
    if base_url is not None:
        from nescio.models.openai_engine import OpenAIEngine

        return OpenAIEngine(base_url, model, concurrency=batch_size)
    if engine == "vllm":
        from nescio.models.vllm_engine import VLLMEngine

        return VLLMEngine(model)
    if engine != "torch":
        raise ConfigError(describe_unknown("engine", engine, ("torch", "vllm")))
    from nescio.cli.libraries import quieten_libraries
    from nescio.config import ModelConfig
    from nescio.models.load import load_model, pick_dtype
    from nescio.models.torch_sampler import TorchSampler
    from nescio.run_folder import identify_model

    quieten_libraries()
    pick_dtype(dtype)
    named = ModelConfig(name=model, dtype=dtype, device=device)
    load = partial(load_model, model, dtype=dtype, device=device)
    return TorchSampler(load, identity=identify_model(named), max_rows=batch_size)


def make_bar() -> Progress:
    """A bar with an estimate of the time left; nothing where the output is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console, disable=not console.is_terminal)


def _summarise(drawn: Sequence[Sample], n_questions: int) -> None:
    failed = [sample for sample in drawn if sample.failure is not None]
    cut = sum(not sample.ended for sample in drawn)
    note = f"{len(drawn)} samples of {n_questions} questions, {cut} cut off at their length limit"
    if failed:
        note += f", {len(failed)} failed (the first: {failed[0].failure}); the same command tries them again"
    typer.echo(note, err=True)
