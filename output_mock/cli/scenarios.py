"""What `record` and `replay` have in common: which scenarios are sent, and with which variables."""

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
    """There is no scenario, or no server. The message says what is missing, and what to do."""

    exit_code = 2


def named_values(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """The variables that NAME=VALUE set."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(
                f"{value!r} does not set a variable; write NAME=VALUE", context, parameter
            )
        found[name] = text
    return found


def _command(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A command that can be split into words."""
    try:
        words = None if value is None else shlex.split(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a command: {error}", context, parameter) from None
    if words == []:
        raise click.BadParameter("the command is empty", context, parameter)
    return value


def scenarios(
    paths: tuple[Path, ...], only: tuple[str, ...], server: str | None
) -> tuple[list[Scenario], list[Scenario]]:
    """The chosen scenarios of files and folders, and those that are left out as they need another server.

    Raises `CouldNotBePlayed` for files that are not scenarios, and for names that none of them has.
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
                f"{file}: {other.file} has the same name, {scenario.name!r}; rename one, or move it to "
                f"another folder"
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
    """A function that carries out the manual steps of a scenario: by a command, or by asking at the terminal.

    Raises `NobodyThere` if there is neither.
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
                    f"{command} cannot be run: a variable has characters that an environment variable "
                    f"cannot have"
                ) from None
            if ended.returncode:
                raise NobodyThere(
                    f"{command} ended with status {ended.returncode}; it should have done: {words}"
                )
            return
        listed = "".join(f"\n  {name}: {printable(value)}" for name, value in known.items())
        click.echo(f"Do this by hand: {words}{listed}", err=True)
        try:
            click.prompt(
                "Press Enter when you have done it",
                default="",
                show_default=False,
                prompt_suffix=" ",
                err=True,
            )
        except click.Abort:
            if not sys.stdin.isatty():
                raise NobodyThere(
                    f"somebody has to do this by hand, but there is no terminal to ask at; "
                    f"give a command with --hand: {words}"
                ) from None
            raise

    return do


def tell_left_out(others: list[Scenario]) -> None:
    """Tell which scenarios are left out because they need another server."""
    for server in sorted({str(one.server) for one in others if one.server is not None}):
        names = some_of([one.name for one in others if one.server == server])
        click.echo(f"left out, as they need a server {server!r} (--server {server}): {names}", err=True)
    plain = [one.name for one in others if one.server is None]
    if plain:
        click.echo(f"left out, as they need no such server: {some_of(plain)}", err=True)


def check_variables(given: Mapping[str, str], played: list[Scenario]) -> None:
    """Raise `CouldNotBePlayed` for a variable on the command line that no scenario has."""
    from output_mock.suggestions import listed

    known = sorted({name for one in played for name in one.variables or {}})
    for name in given:
        if name not in known:
            hint = listed("; there are", name, known) if known else ""
            raise CouldNotBePlayed(f"--var {name}: no scenario has a variable {name!r}{hint}")


def some_of(names: list[str]) -> str:
    """Names in one line; if there are many, the first ones and how many more."""
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
    help="Run this command for steps that are done by hand. It gets the step's words as its argument, and "
    "each variable as SCENARIO_NAME.",
)
