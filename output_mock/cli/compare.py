"""`output-mock compare`: send the same random requests to two servers, and show which answers differ."""

from __future__ import annotations

import json
import secrets
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from output_mock.cli.configured import Configured
from output_mock.cli.connection import base_url, token_option
from output_mock.cli.script_files import ScriptPath, loaded_files
from output_mock.cli.signals import ending_signals

if TYPE_CHECKING:
    from output_mock.comparing.vocabulary import Workflow
    from output_mock.recording.transport import Transport


class CouldNotBeCompared(click.ClickException):
    """The two servers cannot be compared. The message says why, and what to do."""

    exit_code = 2


def _length(context: click.Context, parameter: click.Parameter, value: str) -> float:
    from output_mock.durations import SECOND, nanoseconds

    try:
        return nanoseconds(value) / SECOND
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


@click.command(cls=Configured)
@click.argument("first", metavar="URL1", callback=base_url)
@click.argument("second", metavar="URL2", callback=base_url)
@click.option(
    "--script",
    "scripts",
    metavar="SCRIPT",
    type=ScriptPath(),
    multiple=True,
    required=True,
    help="A script, or a folder of scripts, whose workflows both servers offer. May be given several times.",
)
@click.option(
    "--seconds",
    metavar="N",
    type=click.FloatRange(min=1),
    default=600,
    show_default=True,
    help="How long to look for differences.",
)
@click.option(
    "--sequences",
    "most",
    metavar="N",
    type=click.IntRange(min=1),
    help="Stop after this many sequences of requests.",
)
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(min=0),
    help="The seed, to send the same sequences again. Default: random.",
)
@click.option(
    "-o",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("differences"),
    show_default=True,
    help="The folder for the recordings. Kinds of differences that are in it already are only counted.",
)
@token_option
@click.option(
    "--at-once",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="How many sequences to send at the same time.",
)
@click.option(
    "--settle",
    metavar="LENGTH",
    callback=_length,
    default="500ms",
    show_default=True,
    help="How long to wait after a request that changes a run. Slow servers need more.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def compare(
    context: click.Context,
    first: Transport,
    second: Transport,
    scripts: tuple[str, ...],
    seconds: float,
    most: int | None,
    seed: int | None,
    folder: Path,
    token: str | None,
    at_once: int,
    settle: float,
    as_json: bool,
) -> None:
    """Send the same random requests to the servers at URL1 and URL2, and show where their answers differ.

    Both must offer the workflows of SCRIPT, and be on the real clock. For each kind of difference, the
    command looks for the shortest sequence of requests that shows it, and writes it to DIR as a recording of
    URL1: 'output-mock replay DIR URL2' shows it again. What even one server does not answer the same way
    each time is ignored. Ctrl-C ends the search with the report.

    The workflows that are started are terminated again. This needs the extra output-mock[contract].

    The exit status is 0 if nothing differs, 1 if something differs, and 2 if the servers could not be
    compared.
    """
    try:
        from hypothesis.configuration import set_hypothesis_home_dir
    except ModuleNotFoundError:
        raise CouldNotBeCompared("this needs Hypothesis; install output-mock[contract]") from None
    from output_mock.comparing.pair import Pair, ServerGone
    from output_mock.comparing.search import Plan, Search
    from output_mock.comparing.sequences import sequences
    from output_mock.comparing.writing import Writer

    with ExitStack() as stack:
        # Hypothesis would leave a folder in the current directory.
        set_hypothesis_home_dir(stack.enter_context(tempfile.TemporaryDirectory(prefix="output-mock-")))
        stack.callback(set_hypothesis_home_dir, None)
        workflows = _workflows(scripts)
        api = _version(first, token)
        _version(second, token)
        for server in (first, second):
            _check_offers(server, workflows, token)
        pair = stack.enter_context(closing(Pair(first, second, token)))
        plan = Plan(seconds, secrets.randbelow(10**6) if seed is None else seed, at_once, most)
        writer = Writer(folder, api, token)
        search = Search(
            pair, sequences(workflows, settle), plan, writer, lambda line: click.echo(line, err=True)
        )
        report = search.report
        try:
            with ending_signals(_interrupt):
                search.run()
        except KeyboardInterrupt:
            report.problem = "it was interrupted; the report shows what was found before"
        except ServerGone as gone:
            report.is_cut_short, report.problem = True, f"it ended early: {gone}"
        except OSError as error:
            report.is_cut_short = True
            report.problem = f"it ended early: {error.filename or folder} cannot be written: {error.strerror}"
    if as_json:
        click.echo(json.dumps(report.json(), indent=1))
    else:
        for line in report.lines():
            click.echo(line)
    if report.kinds:
        context.exit(1)
    if not report.answers or report.is_cut_short:
        context.exit(2)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _workflows(scripts: tuple[str, ...]) -> list[Workflow]:
    """The vocabulary of the workflows of scripts. Raises `CouldNotBeCompared`."""
    from output_mock.comparing.vocabulary import rehearsed

    loaded, problems = loaded_files(scripts)
    if problems:
        raise CouldNotBeCompared(str(problems[0]))
    try:
        return rehearsed([script for found in loaded.values() for script in found])
    except ValueError as error:
        raise CouldNotBeCompared(str(error)) from None


def _version(server: Transport, token: str | None) -> str | None:
    from output_mock.recording import versions

    try:
        return versions.of_api(server, token)
    except versions.NoServer as error:
        raise CouldNotBeCompared(str(error)) from None


def _check_offers(server: Transport, workflows: list[Workflow], token: str | None) -> None:
    """Raise `CouldNotBeCompared` unless a server offers all of these workflows."""
    from output_mock.recording.player import Player
    from output_mock.recording.scenario import from_json

    asked = from_json({"name": "catalog", "steps": [{"request": "GET /workflow/catalog"}]})
    (played,) = Player(server, token=token).play(asked)
    body = played.answer.get("json")
    offered = body.get("workflows") if isinstance(body, dict) else None
    if not isinstance(offered, list):
        raise CouldNotBeCompared(
            f"{server.url}/workflow/catalog answers {played.answer.get('status', 'nothing')}; "
            "is its worker running?"
        )
    there = {one.get("name") for one in offered if isinstance(one, dict)}
    missing = [one.name for one in workflows if one.name not in there]
    if missing:
        raise CouldNotBeCompared(
            f"{server.url} does not offer {', '.join(missing[:5])}; start it with the same script, with "
            "'output-mock serve SCRIPT --clock real' or 'output-mock worker SCRIPT'"
        )
