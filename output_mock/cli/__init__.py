"""The commands of `output-mock`: serve a fake, check scripts, verify and record servers, print documents."""

from __future__ import annotations

import json
import os
import sys

import click

from output_mock.cli.check import check
from output_mock.cli.client import client
from output_mock.cli.compare import compare
from output_mock.cli.configured import source_of
from output_mock.cli.health import health
from output_mock.cli.mcp import mcp
from output_mock.cli.pack import pack
from output_mock.cli.record import record
from output_mock.cli.replay import replay
from output_mock.cli.serve import serve
from output_mock.cli.trace import trace
from output_mock.cli.verify import verify
from output_mock.cli.versions import version_options, versions
from output_mock.cli.worker import worker
from output_mock.contract.versions import deployment
from output_mock.version import NAME, version


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    click.echo(f"{NAME} {version()}")
    context.exit()


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
@click.pass_context
def command(context: click.Context) -> None:
    """A faithful in-memory fake of the Output API."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command()
@click.option("--control", is_flag=True, help="Print the document of the control plane instead.")
@version_options
def openapi(control: bool, api_version: str | None, sdk_version: str | None) -> None:
    """Print the API's OpenAPI document as JSON."""
    if control:
        from output_mock.control.openapi import document

        click.echo(json.dumps(document(), indent=2))
        return
    from output_mock.openapi import document_of

    click.echo(json.dumps(document_of(deployment(api_version, sdk_version)), indent=2))


@command.command()
@click.argument("what", type=click.Choice(["script", "scenario"]), default="script")
def schema(what: str) -> None:
    """Print the JSON Schema of YAML scripts, or of the scenarios of `record`, for editors."""
    if what == "scenario":
        from output_mock.recording.checking import schema as document
    else:
        from output_mock.scripts.yaml.language import document

    click.echo(json.dumps(document(), indent=2))


command.add_command(serve)
command.add_command(check)
command.add_command(health)
command.add_command(trace)
command.add_command(worker)
command.add_command(verify)
command.add_command(record)
command.add_command(replay)
command.add_command(compare)
command.add_command(pack)
command.add_command(client)
command.add_command(mcp)
command.add_command(versions)


def main() -> None:
    """Run the command line and end the process.

    The exit status is 0; 2 for a wrong command or setting; 1 for anything else that went wrong. One line on
    stderr then says what went wrong, and what to do.
    """
    status = 1
    try:
        status = command.main(prog_name=NAME, standalone_mode=False) or 0
    except click.ClickException as problem:
        status = problem.exit_code
        click.echo(_line(problem), err=True)
    except (KeyboardInterrupt, click.Abort):
        # The exit status that shells give to a command that Ctrl-C has ended.
        status = 130
    except BrokenPipeError:
        # The reader of the output has closed the pipe; otherwise Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)


def _line(problem: click.ClickException) -> str:
    """An error in one line that names the command and the source of a wrong value."""
    context = getattr(problem, "ctx", None)
    called = next((word for word in sys.argv[1:] if word in command.commands), "serve")
    path = context.command_path if context is not None else f"{NAME} {called}"
    if isinstance(problem, click.BadParameter) and problem.param is not None and context is not None:
        problem.param_hint = source_of(context, problem.param)
    text = " ".join(problem.format_message().split()).rstrip(".")
    if isinstance(problem, click.UsageError):
        text += f"; see '{path} --help'"
    return f"{path}: {text}"
