"""`output-mock compare`: the same random requests to two servers, and where they differ."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from output_mock.cli.check import loaded_files
from output_mock.cli.connection import base_url, token_option
from output_mock.cli.signals import ending_signals

if TYPE_CHECKING:
    from output_mock.comparing.vocabulary import Workflow
    from output_mock.recording.transport import Transport


class CouldNotBeCompared(click.ClickException):
    """The two servers cannot be compared; the message says why, and what to do."""

    exit_code = 2


def _length(context: click.Context, parameter: click.Parameter, value: str) -> float:
    from output_mock.durations import SECOND, nanoseconds

    try:
        return nanoseconds(value) / SECOND
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


@click.command()
@click.argument("first", metavar="URL1", callback=base_url)
@click.argument("second", metavar="URL2", callback=base_url)
@click.option(
    "--script",
    "scripts",
    metavar="SCRIPT",
    multiple=True,
    required=True,
    help="The Python or YAML script whose workflows both servers offer. May be given several times.",
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
    help="Stop after so many sequences of requests.",
)
@click.option(
    "--seed", metavar="N", type=click.IntRange(min=0), help="Draw the same sequences again. Default: others."
)
@click.option(
    "-o",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("differences"),
    show_default=True,
    help="The folder for what shows a difference. What is there already is not made smaller again.",
)
@token_option
@click.option(
    "--at-once",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="How many sequences are played at the same time.",
)
@click.option(
    "--settle",
    metavar="LENGTH",
    callback=_length,
    default="500ms",
    show_default=True,
    help="How long a run gets to rest after a request that changes it. Slow servers need more.",
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
    """Send the same random requests to the servers at URL1 and URL2, and say where their answers differ.

    Both have to offer the workflows of SCRIPT, on the real clock. Each kind of difference is made as small as
    possible and written to DIR as a recording of URL1, for 'output-mock replay DIR URL2' and 'output-mock
    record'. Answers that one server alone does not give twice are left out. Ctrl-C ends it with the report.

    The exit status is 0 if nothing differs, 1 if something does, and 2 if the servers could not be compared.
    """
    try:
        import hypothesis  # noqa: F401
    except ModuleNotFoundError:
        raise CouldNotBeCompared(
            "this needs hypothesis, which is not installed; install output-mock[contract]"
        ) from None
    from output_mock.comparing.pair import Pair, ServerGone
    from output_mock.comparing.search import Plan, Search
    from output_mock.comparing.sequences import sequences
    from output_mock.comparing.writing import Writer

    workflows = _workflows(scripts)
    api = _version(first, token)
    _version(second, token)
    for server in (first, second):
        _check_offers(server, workflows, token)
    pair = Pair(first, second, token)
    plan = Plan(seconds, secrets.randbelow(10**6) if seed is None else seed, at_once, most)
    search = Search(
        pair,
        sequences(workflows, settle),
        plan,
        Writer(folder, api, token),
        lambda line: click.echo(line, err=True),
    )
    report = search.report
    try:
        with ending_signals(_interrupt):
            search.run()
    except KeyboardInterrupt:
        report.problem = "it was interrupted; this is what was found before"
    except ServerGone as gone:
        report.problem = f"it ended early: {gone}"
    except OSError as error:
        report.problem = f"it ended early: {error.filename or folder} cannot be written: {error.strerror}"
    finally:
        pair.close()
    if as_json:
        click.echo(json.dumps(report.json(), indent=1))
    else:
        for line in report.lines():
            click.echo(line)
    if report.kinds:
        context.exit(1)
    if not report.answers or "early" in report.problem:
        context.exit(2)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _workflows(scripts: tuple[str, ...]) -> list[Workflow]:
    """What can be said to the workflows of scripts. Raises `CouldNotBeCompared`."""
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
