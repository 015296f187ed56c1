"""`nescio data build-known` and `build-unknown`: sets of what the model at hand knows, and of what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nescio.cli.sample import make_bar, make_engine, make_prompt
from nescio.config import SampleConfig, SourceConfig

if TYPE_CHECKING:
    from nescio.pipeline.known import KnowledgeSet, Probe

_DEFAULTS = SampleConfig()

Source = Annotated[str, typer.Argument(help="`facts`, a JSONL file of questions, a setting, or an id of the hub.")]
Out = Annotated[Path, typer.Option(help="JSONL file of questions to write.")]
Setting = Annotated[str | None, typer.Option(help="Read the file or folder as this data set was published.")]
Split = Annotated[str | None, typer.Option(help="One split only.")]
Language = Annotated[str | None, typer.Option(help="Questions in this language only.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Ask at most so many questions, drawn by a hash of their ids.")]
Model = Annotated[str, typer.Option(help="Alias, hub id, folder, GGUF file; a server's name for it.")]
Number = Annotated[int, typer.Option("--n", min=1, help="Drawn answers a question, beside the greedy one.")]
Temperature = Annotated[float, typer.Option(help="Of the drawn answers.")]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Of an answer.")]
Style = Annotated[str, typer.Option(help="chat: by the chat template; plain: as text to go on from.")]
Shots = Annotated[int, typer.Option(min=0, help="Worked examples before each question.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the draws.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Rows in flight; requests at once to a server.")]
Store = Annotated[Path | None, typer.Option(help="Folder of all samples; default: NESCIO_SAMPLES, else runs/samples.")]
BaseUrl = Annotated[str | None, typer.Option(help="Ask an OpenAI-compatible server, e.g. http://localhost:8000/v1.")]


def build_known(
    source: Source,
    *,
    out: Out,
    share: Annotated[float, typer.Option(help="Least share of right answers, beside a right greedy one.")] = 0.9,
    setting: Setting = None,
    split: Split = None,
    language: Language = None,
    limit: Limit = None,
    model: Model = "smollm2-135m",
    n: Number = _DEFAULTS.n,
    temperature: Temperature = _DEFAULTS.temperature,
    max_new_tokens: MaxNewTokens = _DEFAULTS.max_new_tokens,
    style: Style = _DEFAULTS.style,
    shots: Shots = _DEFAULTS.shots,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
    batch_size: BatchSize = _DEFAULTS.batch_size,
    store: Store = None,
    base_url: BaseUrl = None,
) -> None:
    """Keep the questions that a model knows (as PKQA): the test of over-conservativeness."""
    from nescio.pipeline.known import check_share, select_known

    check_share(share)
    probes = _probe(
        SourceConfig(source=source, setting=setting, split=split, language=language, limit=limit),
        model=model,
        n=n,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        style=style,
        shots=shots,
        seed=seed,
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        store=store,
        base_url=base_url,
    )
    _write(select_known(probes, model=model, share=share), out)


def build_unknown(
    source: Source,
    *,
    out: Out,
    setting: Setting = None,
    split: Split = None,
    language: Language = None,
    limit: Limit = None,
    model: Model = "smollm2-135m",
    n: Number = _DEFAULTS.n,
    temperature: Temperature = _DEFAULTS.temperature,
    max_new_tokens: MaxNewTokens = _DEFAULTS.max_new_tokens,
    style: Style = _DEFAULTS.style,
    shots: Shots = _DEFAULTS.shots,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
    batch_size: BatchSize = _DEFAULTS.batch_size,
    store: Store = None,
    base_url: BaseUrl = None,
) -> None:
    """Keep the questions that a model does not know, and invented ones (as PUQA): the test of prudence."""
    from nescio.metrics import wilson_interval
    from nescio.pipeline.known import select_unknown

    probes = _probe(
        SourceConfig(source=source, setting=setting, split=split, language=language, limit=limit),
        model=model,
        n=n,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        style=style,
        shots=shots,
        seed=seed,
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        store=store,
        base_url=base_url,
    )
    _write(select_unknown(probes, model=model), out)
    typer.echo(f"none of {n} answers right: at 95 %, at most {wilson_interval(0, n).high:.0%} of them would be", err=True)


def _probe(
    source: SourceConfig,
    *,
    model: str,
    n: int,
    temperature: float,
    max_new_tokens: int,
    style: str,
    shots: int,
    seed: int,
    dtype: str,
    device: str,
    batch_size: int,
    store: Path | None,
    base_url: str | None,
) -> list[Probe]:
    from nescio.cli.sample import check_temperature
    from nescio.data.questions.source import load_source
    from nescio.models.engine import DrawSettings
    from nescio.pipeline.known import probe_knowledge

    check_temperature(temperature)
    prompt = make_prompt(style, shots, None, "letters")
    questions = load_source(source, root=".")
    engine = make_engine("torch", model, dtype=dtype, device=device, batch_size=batch_size, base_url=base_url)
    with make_bar() as bar:
        task = bar.add_task("ask", total=len(questions))
        return probe_knowledge(
            questions,
            engine,
            n=n,
            settings=DrawSettings(temperature=temperature, max_new_tokens=max_new_tokens, seed=seed),
            prompt=prompt,
            store=store,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _write(found: KnowledgeSet, out: Path) -> None:
    from nescio.store import write_records

    write_records(out, found.questions)
    table = Table(show_header=False)
    for name, count in found.counts.items():
        table.add_row(Text(name), str(count))
    Console().print(table)
    typer.echo(str(out))
