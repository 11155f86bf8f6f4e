"""`output-mock replay`: recordings, played again to any server, and what has become different."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from output_mock.cli.record import CouldNotBePlayed, base_url, by_hand, left_out, named_values, scenarios

if TYPE_CHECKING:
    from output_mock.recording.replaying import Compared
    from output_mock.recording.transport import Transport

# How many differences of an answer are printed.
_SHOWN = 8


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("url", metavar="URL", callback=base_url)
@click.option(
    "--token",
    metavar="T",
    envvar="OUTPUT_API_AUTH_TOKEN",
    show_envvar=True,
    help="The token that the server asks for.",
)
@click.option(
    "--only", metavar="NAME", multiple=True, help="Only this recording. May be given several times."
)
@click.option("--server", metavar="KIND", help="Play the recordings that need such a server, and no others.")
@click.option(
    "--var",
    "variables",
    metavar="NAME=VALUE",
    multiple=True,
    callback=named_values,
    help="A value for {{NAME}}. May be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--all", "show_all", is_flag=True, help=f"Print all differences of an answer, not {_SHOWN} of them."
)
@click.pass_context
def replay(
    context: click.Context,
    folder: Path,
    url: Transport,
    token: str | None,
    only: tuple[str, ...],
    server: str | None,
    variables: dict[str, str],
    as_json: bool,
    show_all: bool,
) -> None:
    """Play the recordings in DIR to the server at URL and say what differs, field by field.

    DIR may be a single recording. Ends with status 0 when all is the same, 1 when something differs, and 2
    when nothing could be played.
    """
    from output_mock.recording import versions
    from output_mock.recording.player import NobodyThere, Player
    from output_mock.recording.replaying import replay as replayed

    wanted, others = scenarios((folder,), only, server)
    left_out(others)
    if not wanted:
        raise CouldNotBePlayed("there is no recording to play")
    for recording in wanted:
        if recording.recorded is None:
            raise CouldNotBePlayed(
                f"{recording.file}: this is a scenario, and no recording; record it with 'output-mock record'"
            )
    try:
        versions.found(url, token)
    except versions.NoServer as error:
        raise CouldNotBePlayed(str(error)) from None
    player = Player(url, token=token, variables=variables, by_hand=by_hand)
    same = total = 0
    different: dict[str, list[dict[str, Any]]] = {}
    for recording in wanted:
        try:
            compared = list(replayed(recording, player))
        except NobodyThere as error:
            raise CouldNotBePlayed(f"{recording.name}: {error}") from None
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


def _show(compared: Compared, show_all: bool) -> None:
    if compared.is_same:
        return
    click.echo(f"  step {compared.number + 1}: {compared.step.request}")
    shown = compared.differences if show_all else compared.differences[:_SHOWN]
    for difference in shown:
        click.echo(f"    {difference}")
    if len(shown) < len(compared.differences):
        click.echo(f"    … and {len(compared.differences) - len(shown)} more; --all shows them")
