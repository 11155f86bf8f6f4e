"""`output-mock health`: is a server up? For health checks, and for whoever waits for one that starts."""

from __future__ import annotations

import time

import click

from output_mock.cli import values
from output_mock.durations import Duration, nanoseconds

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
    "--port",
    metavar="PORT",
    callback=values.port,
    envvar=["OUTPUT_MOCK_PORT", "OUTPUT_API_PORT"],
    show_envvar=True,
    show_default="3001; in production 3000",
    help="Without a URL: the port on this machine.",
)
@click.option(
    "--wait",
    metavar="DURATION",
    callback=_length,
    default="0s",
    show_default=True,
    help="How long to try again as long as nothing answers.",
)
def health(url: str | None, port: int | None, wait: int) -> None:
    """Ask whether a server is up: the one at URL, or the one that `serve` starts on this machine.

    The exit status is 0 if it answers GET /health as it should, and 1 if it does not.
    """
    base = f"http://127.0.0.1:{values.usual_port() if port is None else port}" if url is None else url
    ends = time.monotonic() + wait / 1e9
    while (problem := _problem(base)) is not None:
        if time.monotonic() >= ends:
            raise click.ClickException(f"{base.rstrip('/')}/health: {problem}")
        time.sleep(_PAUSE)
    click.echo(f"{base.rstrip('/')} is up")


def _problem(base: str) -> str | None:
    """Why the server is not up; None if it is."""
    import http.client
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"{base.rstrip('/')}/health", timeout=_PATIENCE):
            return None
    except urllib.error.HTTPError as error:
        return f"answered {error.code}; is it an Output API?"
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return (
            f"nothing answers there ({getattr(reason, 'strerror', None) or reason}); is the server running?"
        )
