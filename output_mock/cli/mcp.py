"""`output-mock mcp`: tools for agents, over standard input and output."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from output_mock.cli.configured import Configured
from output_mock.cli.connection import base_url, sendable_token
from output_mock.cli.script_files import ScriptPath, sound_files

if TYPE_CHECKING:
    from output_mock.engine.clock import Mode
    from output_mock.recording.transport import Transport


def _transport(context: click.Context, parameter: click.Parameter, value: str | None) -> Transport | None:
    return None if value is None else base_url(context, parameter, value)


@click.command(cls=Configured)
@click.argument("scripts", nargs=-1, type=ScriptPath(), metavar="[SCRIPT]...")
@click.option(
    "--url",
    metavar="URL",
    callback=_transport,
    help="The URL of a running fake, or of one of its worlds. Default: start a new fake.",
)
@click.option(
    "--token",
    metavar="T",
    callback=sendable_token,
    help="The token of the control plane and the API of --url, if it needs one.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="The port of the new fake. Default: a free one."
)
@click.option(
    "--clock",
    type=click.Choice(["auto", "manual", "real"]),
    default="auto",
    show_default=True,
    help="How time passes in the new fake.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="The seed of the new fake."
)
def mcp(
    scripts: tuple[str, ...], url: Transport | None, token: str | None, port: int, clock: Mode, seed: int
) -> None:
    """Give an agent tools for a fake, by the Model Context Protocol, on standard input and output.

    The agent scripts workflows in YAML, starts and advances runs, sends signals, and looks at runs, calls and
    near misses. Its own fake has the scripts that you name, and listens on 127.0.0.1 only. This needs the
    extra output-mock[mcp].
    """
    try:
        from output_mock.agents.tools import agent_server
    except ImportError as problem:
        raise click.ClickException(
            f"it needs the MCP SDK ({problem}); run: pip install 'output-mock[mcp]'"
        ) from None
    from output_mock.agents.fake_client import FakeClient, RefusedError
    from output_mock.agents.own_fake import own_fake
    from output_mock.recording.transport import SocketTransport

    with ExitStack() as stack:
        if url is None:
            loaded = [script for found in sound_files(scripts).values() for script in found]
            try:
                served = stack.enter_context(own_fake(loaded, port=port, clock=clock, seed=seed))
            except OSError as problem:
                raise click.ClickException(
                    f"cannot listen on port {port} of 127.0.0.1: {problem.strerror}"
                ) from None
            url, token = SocketTransport(served), None
        elif scripts:
            raise click.UsageError("scripts are for a new fake; leave them out, or leave --url out")
        fake = FakeClient(url, token)
        try:
            fake.check()
        except RefusedError as problem:
            raise click.ClickException(str(problem)) from None
        click.echo(f"tools for the fake at {fake.url}", err=True)
        agent_server(fake).run("stdio")
