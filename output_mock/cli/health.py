"""`output-mock health`: is a server up? For health checks, and for whoever waits for one that starts."""

from __future__ import annotations

import time

import click

from output_mock.cli import values
from output_mock.cli.serve import serve
from output_mock.durations import Duration, nanoseconds
from output_mock.health import health_problem

# How many seconds an answer may take, and how long to wait between two tries.
_PATIENCE = 3.0
_PAUSE = 0.1


def _length(context: click.Context, _: click.Parameter, value: str) -> Duration:
    try:
        return nanoseconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("url", required=False, metavar="[URL]")
@click.option(
    "--wait",
    metavar="DURATION",
    callback=_length,
    default="0s",
    show_default=True,
    help="How long to try again as long as nothing answers.",
)
@click.pass_context
def health(context: click.Context, /, url: str | None, wait: int) -> None:
    """Ask whether a server is up: the one at URL, or the one that `serve` starts here.

    That one is where environment variables and the configuration file say. The exit status is 0 if it answers
    GET /health as it should, and 1 if it does not.
    """
    base = _served_here(context) if url is None else url
    ends = time.monotonic() + wait / 1e9
    while (problem := health_problem(base, _PATIENCE)) is not None:
        if time.monotonic() >= ends:
            raise click.ClickException(f"{base.rstrip('/')}/health: {problem}")
        time.sleep(_PAUSE)
    click.echo(f"{base.rstrip('/')} is up")


def _served_here(context: click.Context) -> str:
    """Where `serve` listens when it is given no options."""
    # Whatever else is wrong with the settings, `serve` itself has told.
    options = serve.make_context("serve", [], parent=context.find_root(), resilient_parsing=True).params
    host, port = options["host"] or "", options["port"]
    if host in ("", "0.0.0.0", "::", "localhost"):
        host = "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{values.usual_port() if port is None else port}"
