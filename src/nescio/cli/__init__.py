"""The `nescio` command: one word of the line, one command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

import nescio
from nescio.cli.compare import compare
from nescio.cli.confidence import confidence
from nescio.cli.data import app as data_app
from nescio.cli.grade import grade
from nescio.cli.label import label
from nescio.cli.libraries import keep_freed_memory, quieten_libraries
from nescio.cli.sample import sample
from nescio.cli.serve import serve
from nescio.cli.show import RunProgress, print_scorecard
from nescio.data.load import SHIPPED
from nescio.errors import NescioError

app = typer.Typer(
    help="Teach a language model to know what it does not know.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(data_app, name="data")
app.command()(sample)
app.command()(grade)
app.command()(label)
app.command()(confidence)
app.command()(compare)
app.command()(serve)

RunFile = Annotated[Path, typer.Argument(help="YAML run file, for example configs/quickstart.yaml.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override a setting: section.key=value.")]


@app.command()
def run(config: RunFile, overrides: Overrides = None) -> None:
    """Run the whole line; finished stages are skipped."""
    folder = _run_until("report", config, overrides)
    print_scorecard(folder / "scorecard.json")
    typer.echo(f"report:  {folder / 'report' / 'index.html'}")
    if (folder / "adapter").is_dir():
        typer.echo(f"adapter: {folder / 'adapter'}")


@app.command()
def train(
    config: RunFile,
    overrides: Overrides = None,
    *,
    objective: Annotated[
        str | None, typer.Option(help="Of confidence: correctness, p_ik, conftuner, verbalised or joint (docs/confidence.md).")
    ] = None,
) -> None:
    """Fine-tune the adapter."""
    chosen = [] if objective is None else [f"confidence.objective={objective}"]
    typer.echo(_run_until("train", config, [*(overrides or ()), *chosen]) / "adapter")


@app.command()
def predict(config: RunFile, overrides: Overrides = None) -> None:
    """Let every system answer the calibration and the test split."""
    typer.echo(_run_until("predict", config, overrides) / "predictions")


@app.command()
def calibrate(
    config: RunFile,
    overrides: Overrides = None,
    *,
    max_risk: Annotated[float | None, typer.Option(help="Promise at most this share of wrong answers among those given.")] = None,
    confidence: Annotated[float | None, typer.Option(help="How sure the promise is; 0.95 in run files.")] = None,
    cost_wrong: Annotated[
        float | None, typer.Option(help="What a wrong answer costs where a right one earns 1: the threshold that this demands.")
    ] = None,
    abstain_reward: Annotated[float, typer.Option(help="With --cost-wrong: what not answering earns.")] = 0.0,
) -> None:
    """Fit the calibrators on the calibration split, and find the threshold that keeps a promise about errors."""
    from nescio.cli.threshold import print_costs, print_promises
    from nescio.store import read_json

    wanted = {"max_risk": max_risk, "level": confidence}
    chosen = [f"calibrate.{name}={value}" for name, value in wanted.items() if value is not None]
    folder = _run_until("calibrate", config, [*(overrides or ()), *chosen])
    if (folder / "thresholds.json").is_file() and read_json(folder / "config.json")["calibrate"].get("max_risk") is not None:
        print_promises(folder / "thresholds.json")
    if cost_wrong is not None:
        print_costs(cost_wrong, abstain_reward)
    typer.echo(folder / "calibrate.json")


@app.command()
def evaluate(
    config: Annotated[Path | None, typer.Argument(help="YAML run file; or give --predictions.")] = None,
    overrides: Overrides = None,
    *,
    predictions: Annotated[Path | None, typer.Option(help="Score predictions of any system (JSONL, docs/metrics.md).")] = None,
    data: Annotated[str, typer.Option(help="With --predictions: a folder of splits, or a JSONL file of examples.")] = SHIPPED,
    split: Annotated[str, typer.Option(help="With --predictions: the split, where data is a folder.")] = "test",
    out: Annotated[Path | None, typer.Option(help="With --predictions: where the scorecard goes.")] = None,
) -> None:
    """Score every system of a run, or predictions that any other system made."""
    if (config is None) == (predictions is None):
        raise typer.BadParameter("give either a run file or --predictions FILE.jsonl")
    if config is not None:
        scorecard = _run_until("evaluate", config, overrides) / "scorecard.json"
    else:
        from nescio.pipeline import score_predictions

        assert predictions is not None
        scorecard = score_predictions(predictions, data=data, split=split, out=out or predictions.with_suffix(".scorecard.json"))
    print_scorecard(scorecard)
    typer.echo(scorecard)


@app.command()
def report(
    config: Annotated[Path | None, typer.Argument(help="YAML run file; or --newest.")] = None,
    overrides: Overrides = None,
    *,
    newest: Annotated[bool, typer.Option("--newest", help="Only print the path of the newest report below runs/.")] = False,
) -> None:
    """Write the page for people, and print its path."""
    if newest or config is None:
        from nescio.pipeline import newest_report

        typer.echo(newest_report())
    else:
        typer.echo(_run_until("report", config, overrides) / "report" / "index.html")


def _version(value: bool) -> None:
    if value:
        typer.echo(nescio.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Teach a language model to know what it does not know."""


def _run_until(stage: str, config: Path, overrides: list[str] | None) -> Path:
    from nescio.config import load_run_config
    from nescio.pipeline import run_line
    from nescio.train.processes import is_helper

    resolved = load_run_config(config, overrides or ())
    quieten_libraries()
    keep_freed_memory()
    console = Console(stderr=True)
    if is_helper():  # of a distributed launch: the first process does the talking
        run_line(resolved, until=stage)
        raise typer.Exit
    try:
        with RunProgress(console) as progress:
            return run_line(resolved, until=stage, progress=progress)
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here")
        raise typer.Exit(130) from None


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; what a user can mend is one line and exit code 2."""
    try:
        return app(args=arguments)
    except NescioError as error:
        # A Text, because brackets in a message are not markup.
        line = Text.assemble(("error:", "bold red"), " ", " ".join(str(error).splitlines()))
        Console(stderr=True, soft_wrap=True, highlight=False).print(line)
        sys.exit(2)
