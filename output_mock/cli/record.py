"""`output-mock record`: send scenarios to a server, and write what it answers into files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from output_mock.cli.configured import Configured
from output_mock.cli.connection import base_url, token_option
from output_mock.cli.scenarios import (
    CouldNotBePlayed,
    check_variables,
    done_by,
    hand_option,
    only_option,
    scenarios,
    server_option,
    tell_left_out,
    var_option,
)

if TYPE_CHECKING:
    from output_mock.recording.transport import Transport


@click.command(cls=Configured)
@click.argument("url", metavar="URL", callback=base_url)
@click.argument("paths", metavar="SCENARIO...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the recordings. Each is a file NAME.json.",
)
@token_option
@only_option
@server_option
@var_option
@hand_option
@click.option(
    "--times",
    metavar="N",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Send each scenario this many times, and mark what changes. `replay` does not compare that.",
)
@click.option(
    "--api-version",
    metavar="V",
    help="The version of the API server, such as 0.11.0, to note in the recordings.",
)
@click.option(
    "--sdk-version", metavar="V", help="The version of the worker's SDK, to note in the recordings."
)
@click.option(
    "--temporal-version", metavar="V", help="The version of the Temporal server, to note in the recordings."
)
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
    hand: str | None,
    times: int,
    api_version: str | None,
    sdk_version: str | None,
    temporal_version: str | None,
) -> None:
    """Send scenarios to the server at URL, and write what it answers into DIR.

    SCENARIO is a file, or a folder of files. A recording is a scenario, too, and is recorded again. The exit
    status is 1 if something did not go as a scenario says; all recordings are written in any case.
    """
    from output_mock.recording import versions
    from output_mock.recording.comparison import printable
    from output_mock.recording.files import write
    from output_mock.recording.player import NobodyThere, Player
    from output_mock.recording.recorder import record as recorded

    wanted, others = scenarios(paths, only, server)
    tell_left_out(others)
    if not wanted:
        raise CouldNotBePlayed("there is no scenario to record")
    check_variables(variables, wanted)
    try:
        found = versions.of_api(url, token)
    except versions.NoServer as error:
        raise CouldNotBePlayed(str(error)) from None
    _warn_unless_one_of("the API server", () if found is None else (found,), api_version)
    api = api_version or found
    if api is None:
        raise CouldNotBePlayed("the version of the API server is unknown; give it with --api-version")
    player = Player(url, token=token, variables=variables, by_hand=done_by(hand))
    failed = False
    for scenario in wanted:
        try:
            made = recorded(scenario, player, {}, times=times)
        except NobodyThere as error:
            raise CouldNotBePlayed(f"{scenario.name}: {error}") from None
        sdk = versions.of_sdk(made.raw)
        _warn_unless_one_of(f"{scenario.name}: the SDK", sdk, sdk_version)
        told: dict[str, Any] = {"api": api, "sdk": sdk_version or (sdk[0] if len(sdk) == 1 else None)}
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
        words = f"{recording.exchanges} request{'' if recording.exchanges == 1 else 's'}"
        if unstable:
            words += f", {unstable} with unstable places"
        click.echo(f"{path}: {words}")
        for warning in made.warnings:
            failed = True
            click.echo(f"{scenario.name}: {printable(warning)}", err=True)
    if failed:
        context.exit(1)


def _warn_unless_one_of(what: str, found: tuple[str, ...], said: str | None) -> None:
    if found and said is not None and not f"{said}.".startswith(tuple(f"{one}." for one in found)):
        click.echo(
            f"warning: {what} answers like {' or '.join(found)}, but you say that it is {said}", err=True
        )
