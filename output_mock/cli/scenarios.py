"""What `record` and `replay` have in common: which scenarios are played, and with what."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from output_mock.cli.connection import Option

if TYPE_CHECKING:
    from output_mock.recording.player import ByHand
    from output_mock.recording.scenario import Scenario


# How many names a line lists.
_LISTED = 8


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


def _command(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A command that can be split into words."""
    try:
        words = None if value is None else shlex.split(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no command: {error}", context, parameter) from None
    if words == []:
        raise click.BadParameter("this is no command: it is empty", context, parameter)
    return value


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
            problems.append(
                f"{file}: {other.file} is called {scenario.name!r}, too; "
                "rename one, or move it to another folder"
            )
    if problems:
        for problem in problems:
            click.echo(problem, err=True)
        raise CouldNotBePlayed("nothing was sent; correct these files first")
    for name in only:
        if name not in found:
            raise CouldNotBePlayed(f"there is no scenario {name!r}; there are {', '.join(sorted(found))}")
    wanted = [one for one in found.values() if not only or one.name in only]
    played = [one for one in wanted if one.server == server or only]
    return played, [one for one in wanted if one not in played]


def done_by(command: str | None) -> ByHand:
    """What does by hand what a scenario says: a command, or else whoever sits at the terminal.

    Raises `NobodyThere` where neither does it.
    """

    def do(words: str, variables: Mapping[str, Any]) -> None:
        from output_mock.recording.comparison import printable
        from output_mock.recording.player import NobodyThere

        known = {name: str(value) for name, value in variables.items() if name != "token"}
        if command is not None:
            given = {f"SCENARIO_{name.upper()}": value for name, value in known.items()}
            try:
                ended = subprocess.run(
                    [*shlex.split(command), words], env={**os.environ, **given}, check=False
                )
            except OSError as error:
                raise NobodyThere(f"{command} cannot be run: {error.strerror}") from None
            except ValueError:
                raise NobodyThere(
                    f"{command} cannot be run: a variable has characters that no environment can hold"
                ) from None
            if ended.returncode:
                raise NobodyThere(f"{command} ended with status {ended.returncode}; it was to do: {words}")
            return
        listed = "".join(f"\n  {name}: {printable(value)}" for name, value in known.items())
        click.echo(f"By hand: {words}{listed}", err=True)
        try:
            click.prompt(
                "Press Enter when it is done", default="", show_default=False, prompt_suffix=" ", err=True
            )
        except click.Abort:
            if not sys.stdin.isatty():
                raise NobodyThere(f"nobody is there to do it; give a command with --hand: {words}") from None
            raise

    return do


def tell_left_out(others: list[Scenario]) -> None:
    """Say which scenarios are not played, as they need another server."""
    for server in sorted({str(one.server) for one in others if one.server is not None}):
        names = some_of([one.name for one in others if one.server == server])
        click.echo(f"left out, as they need a server {server!r} (--server {server}): {names}", err=True)
    plain = [one.name for one in others if one.server is None]
    if plain:
        click.echo(f"left out, as they need no such server: {some_of(plain)}", err=True)


def check_variables(given: Mapping[str, str], played: list[Scenario]) -> None:
    """Raise `CouldNotBePlayed` for a variable of the command that no scenario has."""
    from output_mock.suggestions import listed

    known = sorted({name for one in played for name in one.variables or {}})
    for name in given:
        if name not in known:
            hint = listed("; there are", name, known) if known else ""
            raise CouldNotBePlayed(f"--var {name}: no scenario has a variable {name!r}{hint}")


def some_of(names: list[str]) -> str:
    """Names in a line, and of many names how many more there are."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


only_option: Option = click.option(
    "--only", metavar="NAME", multiple=True, help="Only this scenario. May be given several times."
)
server_option: Option = click.option(
    "--server", metavar="KIND", help="Only the scenarios for this kind of server."
)
var_option: Option = click.option(
    "--var",
    "variables",
    metavar="NAME=VALUE",
    multiple=True,
    callback=named_values,
    help="A value for {{NAME}}. May be given several times.",
)
hand_option: Option = click.option(
    "--hand",
    metavar="COMMAND",
    callback=_command,
    help="Run this for what is done by hand. It gets the words, and each variable as SCENARIO_NAME.",
)
