"""`output-mock replay`: send recordings to a server again, and show what is different."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
    some_of,
    tell_left_out,
    var_option,
)

if TYPE_CHECKING:
    from output_mock.recording.replaying import Compared
    from output_mock.recording.scenario import Scenario
    from output_mock.recording.transport import Transport

# How many differences of an answer are printed.
_SHOWN = 8


def _other_side(context: click.Context, parameter: click.Parameter, value: str) -> Path | Transport:
    """A folder of recordings, or the way to the server at a URL."""
    if value.startswith(("http://", "https://")):
        return base_url(context, parameter, value)
    path = Path(value)
    if not path.exists():
        raise click.BadParameter(
            f"{value!r} is neither a URL nor an existing folder; write a URL like 'http://localhost:3001'",
            context,
            parameter,
        )
    return path


@click.command(cls=Configured)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("other", metavar="URL|DIR", callback=_other_side)
@token_option
@only_option
@server_option
@var_option
@hand_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--all", "show_all", is_flag=True, help=f"Print all differences of an answer, not the first {_SHOWN}."
)
@click.pass_context
def replay(
    context: click.Context,
    folder: Path,
    other: Path | Transport,
    token: str | None,
    only: tuple[str, ...],
    server: str | None,
    variables: dict[str, str],
    hand: str | None,
    as_json: bool,
    show_all: bool,
) -> None:
    """Send the recordings in DIR to the server at URL again, and say what differs, field by field.

    DIR may be a single recording. If you give another folder instead of the URL, the recordings in both are
    compared, and nothing is sent. The exit status is 0 if everything is the same, 1 if something differs,
    and 2 if nothing could be compared.
    """
    wanted, others = scenarios((folder,), only, server)
    for recording in wanted:
        if recording.recorded is None:
            raise CouldNotBePlayed(
                f"{recording.file}: this is a scenario, not a recording; record it with 'output-mock record'"
            )
    if isinstance(other, Path):
        wanted, compare = _with(wanted + others, other, only)
    else:
        tell_left_out(others)
        compare = _on(other, wanted, token, variables, hand)
    if not wanted:
        raise CouldNotBePlayed("there is no recording to replay")
    check_variables(variables, wanted)
    same = total = 0
    different: dict[str, list[dict[str, Any]]] = {}
    for recording in wanted:
        compared = list(compare(recording))
        good = sum(one.is_same for one in compared)
        same, total = same + good, total + len(compared)
        if good < len(compared):
            different[recording.name] = [one.json() for one in compared if not one.is_same]
        if not as_json:
            click.echo(
                f"{'same' if good == len(compared) else 'DIFF'} {recording.name} {good}/{len(compared)}"
            )
            for one in compared:
                _show(one, show_all)
    if as_json:
        click.echo(json.dumps({"same": same, "total": total, "different": different}, indent=1))
    else:
        click.echo(f"{same} of {total} answers are the same")
    if same < total:
        context.exit(1)


_Compare = Callable[["Scenario"], "Iterator[Compared]"]


def _on(
    transport: Transport,
    recordings: list[Scenario],
    token: str | None,
    variables: dict[str, str],
    hand: str | None,
) -> _Compare:
    """Compares recordings with the answers of a server."""
    from output_mock.recording import versions
    from output_mock.recording.player import NobodyThere, Player
    from output_mock.recording.replaying import replay as replayed

    try:
        found = versions.of_api(transport, token)
    except versions.NoServer as error:
        raise CouldNotBePlayed(str(error)) from None
    _tell_versions({str((one.recorded or {}).get("api")) for one in recordings}, found)
    player = Player(transport, token=token, variables=variables, by_hand=done_by(hand))

    def compare(recording: Scenario) -> Iterator[Compared]:
        try:
            yield from replayed(recording, player)
        except NobodyThere as error:
            raise CouldNotBePlayed(f"{recording.name}: {error}") from None

    return compare


def _tell_versions(recorded: set[str], found: str | None) -> None:
    """Tell which recordings come from another version of the server than the one that answers."""
    from output_mock.contract.versions import UnknownVersionError, number_of, resolved

    for api in sorted(recorded):
        try:
            then, now = resolved(api, "api"), resolved(found, "api")
        except UnknownVersionError:
            continue
        if found is not None and number_of(then)[:2] != number_of(now)[:2]:
            click.echo(
                f"recorded with API {api}, but this server is API {found}; 'output-mock versions {api} "
                f"{found}' says what that changes",
                err=True,
            )


def _with(recordings: list[Scenario], folder: Path, only: tuple[str, ...]) -> tuple[list[Scenario], _Compare]:
    """The recordings that another folder has, too, and a function that compares them with those."""
    from output_mock.recording.replaying import between

    found, more = scenarios((folder,), (), None)
    theirs = {one.name: one for one in found + more}
    both = [one for one in recordings if one.name in theirs]
    missing = [one.name for one in recordings if one.name not in theirs]
    if missing:
        click.echo(f"not in {folder}: {some_of(missing)}", err=True)
    more_there = sorted(theirs.keys() - {one.name for one in recordings}) if not only else []
    if more_there:
        click.echo(f"only in {folder}: {some_of(more_there)}", err=True)

    def compare(recording: Scenario) -> Iterator[Compared]:
        other = theirs[recording.name]
        if other.recorded is None:
            raise CouldNotBePlayed(f"{other.file}: this is a scenario, not a recording")
        try:
            yield from between(recording, other)
        except ValueError as error:
            raise CouldNotBePlayed(str(error)) from None

    return both, compare


def _show(compared: Compared, show_all: bool) -> None:
    if compared.is_same:
        return
    click.echo(f"  step {compared.number + 1}: {compared.step.request}")
    shown = compared.differences if show_all else compared.differences[:_SHOWN]
    for difference in shown:
        click.echo(f"    {difference}")
    if len(shown) < len(compared.differences):
        click.echo(f"    … and {len(compared.differences) - len(shown)} more; --all shows them")
