"""`nescio serve`: a run behind an OpenAI-compatible server."""

from __future__ import annotations

import getpass
import hashlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nescio.errors import ConfigError, NescioError

if TYPE_CHECKING:
    from nescio.serve.app import ServerState


def serve(
    run: Annotated[Path | None, typer.Argument(help="Folder of a finished run of structured decisions.")] = None,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
    policy: Annotated[Path | None, typer.Option(help="YAML file of a policy; read again on SIGHUP (docs/serve.md).")] = None,
    max_rows: Annotated[int, typer.Option(help="Questions in one pass through the model.", min=1)] = 32,
    max_in_flight: Annotated[int, typer.Option(help="Requests at once; one more is told to come again.", min=1)] = 256,
    max_prompt_tokens: Annotated[int, typer.Option(help="Longest prompt, with its context.", min=64)] = 1024,
    timeout: Annotated[float, typer.Option(help="Seconds after which a request is given up.", min=0.1)] = 120.0,
    hash_key: Annotated[bool, typer.Option("--hash-key", help="Only print the digest of an API key, for a policy file.")] = False,
) -> None:
    """Serve a run over HTTP, as OpenAI's clients expect it."""
    if hash_key:
        typer.echo(hashlib.sha256(_read_key().encode()).hexdigest())
        return
    if run is None:
        raise ConfigError("which run? give the folder of a finished one, for example runs/quickstart")
    import uvicorn

    from nescio.serve.app import make_app
    from nescio.serve.decider import EmbeddedDecider
    from nescio.serve.policy import Policy, load_policy
    from nescio.serve.served_run import read_run

    rules = load_policy(policy) if policy else Policy()
    decider = EmbeddedDecider(read_run(run), max_rows=max_rows, max_prompt_tokens=max_prompt_tokens)
    app = make_app(decider, rules, max_in_flight=max_in_flight, timeout_seconds=timeout)
    if policy:
        _reload_on_hangup(app.state.server, policy)
    typer.echo(f"{decider.run.id} at http://{host}:{port}/v1", err=True)
    try:
        uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=int(timeout) + 1)
    finally:
        decider.close(seconds=timeout)


def _read_key() -> str:
    return getpass.getpass("API key: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _reload_on_hangup(state: ServerState, path: Path) -> None:
    """Take a changed policy without dropping a request; a mistaken one is told, and the old one stays."""
    from nescio.serve.policy import load_policy

    def reload(*_: object) -> None:
        try:
            state.policy = load_policy(path)
        except NescioError as error:
            typer.echo(f"policy not changed: {error}", err=True)
        else:
            typer.echo(f"policy read again from {path}", err=True)

    signal.signal(signal.SIGHUP, reload)
