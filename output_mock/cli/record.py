"""`output-mock record`: what a server answers to scenarios, written into files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from output_mock.recording.scenario import Scenario
    from output_mock.recording.transport import Transport


class CouldNotBePlayed(click.ClickException):
    """There is no scenario, or no server; the message says which, and what to do."""

    exit_code = 2


def named_values(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """The variables that NAME=VALUE set."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{value!r} sets no variable; write NAME=VALUE", context, parameter)
        found[name] = text
    return found


def base_url(context: click.Context, parameter: click.Parameter, value: str) -> Transport:
    """The way to the server at a URL."""
    from output_mock.recording.transport import SocketTransport

    if "@" in value.partition("://")[2].partition("/")[0]:
        raise click.BadParameter(
            "a URL has no user in it here; give the token with --token", context, parameter
        )
    try:
        return SocketTransport(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def scenarios(
    paths: tuple[Path, ...], only: tuple[str, ...], server: str | None
) -> tuple[list[Scenario], list[Scenario]]:
    """The scenarios of files and folders that are to be played, and those that need another server.

    Raises `CouldNotBePlayed` for files that are none, and for names that none of them has.
    """
    from output_mock.recording.files import found_in, read
    from output_mock.recording.scenario import ScenarioError

    problems: list[str] = []
    found: dict[str, Scenario] = {}
    try:
        files = list(found_in(paths))
    except ScenarioError as error:
        raise CouldNotBePlayed(str(error)) from None
    for file in files:
        try:
            scenario = read(file)
        except ScenarioError as error:
            problems.append(str(error))
            continue
        other = found.setdefault(scenario.name, scenario)
        if other is not scenario:
            problems.append(f"{file}: {other.file} is called {scenario.name!r}, too")
    if problems:
        for problem in problems:
            click.echo(problem, err=True)
        raise CouldNotBePlayed("nothing was sent, as these files are no scenarios")
    for name in only:
        if name not in found:
            raise CouldNotBePlayed(f"there is no scenario {name!r}; there are {', '.join(sorted(found))}")
    wanted = [one for one in found.values() if not only or one.name in only]
    played = [one for one in wanted if one.server == server or only]
    return played, [one for one in wanted if one not in played]


def by_hand(words: str, variables: Any) -> None:
    """Have whoever sits at the terminal do something, and wait until it is done."""
    known = ", ".join(f"{name}={value}" for name, value in variables.items() if name != "token")
    click.echo(f"By hand: {words}\n  ({known})", err=True)
    click.prompt("Press Enter when it is done", default="", show_default=False, prompt_suffix=" ", err=True)


def left_out(others: list[Scenario]) -> None:
    """Say which scenarios are not played, as they need another server."""
    for server in sorted({str(one.server) for one in others if one.server is not None}):
        names = ", ".join(one.name for one in others if one.server == server)
        click.echo(f"left out, as they need a server {server!r} (--server {server}): {names}", err=True)
    plain = ", ".join(one.name for one in others if one.server is None)
    if plain:
        click.echo(f"left out, as they need no such server: {plain}", err=True)


@click.command()
@click.argument("url", metavar="URL", callback=base_url)
@click.argument("paths", metavar="SCENARIO...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that the recordings are written into, each as NAME.json.",
)
@click.option(
    "--token",
    metavar="T",
    envvar="OUTPUT_API_AUTH_TOKEN",
    show_envvar=True,
    help="The token that the server asks for. No recording has it.",
)
@click.option("--only", metavar="NAME", multiple=True, help="Only this scenario. May be given several times.")
@click.option("--server", metavar="KIND", help="Play the scenarios that need such a server, and no others.")
@click.option(
    "--var",
    "variables",
    metavar="NAME=VALUE",
    multiple=True,
    callback=named_values,
    help="A value for {{NAME}}. May be given several times.",
)
@click.option(
    "--times",
    metavar="N",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Play each scenario so often and mark what is not stable, which replay leaves out.",
)
@click.option("--api-version", metavar="V", help="The version of the API server, such as 0.11.0.")
@click.option("--sdk-version", metavar="V", help="The version of the SDK that the worker runs on.")
@click.option("--temporal-version", metavar="V", help="The version of the Temporal server.")
@click.pass_context
def record(
    context: click.Context,
    url: Transport,
    paths: tuple[Path, ...],
    folder: Path,
    token: str | None,
    only: tuple[str, ...],
    server: str | None,
    variables: dict[str, str],
    times: int,
    api_version: str | None,
    sdk_version: str | None,
    temporal_version: str | None,
) -> None:
    """Play scenarios to the server at URL and write what it answers into DIR.

    SCENARIO is a file or a folder of them; a recording is a scenario, too, and is made anew. Ends with status
    1 when something did not go as a scenario has it; all recordings are written nevertheless.
    """
    from output_mock.recording import versions
    from output_mock.recording.files import write
    from output_mock.recording.player import NobodyThere, Player
    from output_mock.recording.recorder import record as recorded

    wanted, others = scenarios(paths, only, server)
    left_out(others)
    if not wanted:
        raise CouldNotBePlayed("there is no scenario to play")
    try:
        api = versions.found(url, token).api
    except versions.NoServer as error:
        raise CouldNotBePlayed(str(error)) from None
    _warn_unless_same("the API server", api, api_version)
    api = api_version or api
    if api is None:
        raise CouldNotBePlayed("nothing tells the version of the API server; say it with --api-version")
    player = Player(url, token=token, variables=variables, by_hand=by_hand)
    failed = False
    for scenario in wanted:
        try:
            made = recorded(scenario, player, {}, times=times)
        except NobodyThere as error:
            raise CouldNotBePlayed(f"{scenario.name}: {error}") from None
        sdk = versions.found_in(made.raw)
        _warn_unless_same("the SDK", sdk, sdk_version)
        told: dict[str, Any] = {"api": api, "sdk": sdk_version or sdk}
        if temporal_version is not None:
            told["temporal"] = temporal_version
        recording = made.recording.with_versions(told)
        try:
            path = write(recording, folder)
        except OSError as error:
            raise CouldNotBePlayed(
                f"{error.filename or folder} cannot be written: {error.strerror}"
            ) from None
        unstable = sum(bool(step.unstable) for step in recording.steps)
        words = f"{recording.exchanges} requests" + (f", {unstable} with unstable places" if unstable else "")
        click.echo(f"{path}: {words}")
        for warning in made.warnings:
            failed = True
            click.echo(f"{scenario.name}: {warning}", err=True)
    if failed:
        context.exit(1)


def _warn_unless_same(what: str, found: str | None, said: str | None) -> None:
    if found is None or said is None or said == found or said.startswith(f"{found}."):
        return
    click.echo(f"warning: {what} answers as {found} does, and you say that it is {said}", err=True)
