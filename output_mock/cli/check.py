"""`output-mock check`: list everything that is wrong with script files, with its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from output_mock.cli.configured import Configured
from output_mock.cli.script_files import ScriptPath, all_mistakes, counted, loaded_files

if TYPE_CHECKING:
    from output_mock.places import Mistake
    from output_mock.scripts.script import Scripted


def _length(context: click.Context, _: click.Parameter, value: str) -> int:
    from output_mock.durations import nanoseconds

    try:
        return nanoseconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(cls=Configured)
@click.argument("scripts", nargs=-1, required=True, metavar="SCRIPT...", type=ScriptPath())
@click.option(
    "--execution-timeout",
    metavar="LENGTH",
    callback=_length,
    default="24h",
    show_default=True,
    help="How long a run may take (as for serve). Waits, pauses and steps that take longer get a warning.",
)
@click.pass_context
def check(context: click.Context, scripts: tuple[str, ...], execution_timeout: int) -> None:
    """Check scripts: Python and YAML files, folders of them, or YAML on standard input (-).

    Prints every mistake as file:line:column: message. The exit status is 1 if there are any; a warning
    is no mistake. Files that are served together are checked together: children may be in any of them.
    """
    loaded, problems = loaded_files(scripts)
    mistakes = all_mistakes(loaded, problems) or _in_a_world(loaded)
    for mistake in mistakes or _warnings(loaded, execution_timeout):
        click.echo(str(mistake))
    if mistakes:
        context.exit(1)
    for file, found in loaded.items():
        names = [name for script in found for name in script.names]
        click.echo(f"{file}: ok, {counted(len(names))}{': ' if names else ''}{', '.join(names)}")


def _warnings(loaded: dict[str, list[Scripted]], execution_timeout: int) -> list[Mistake]:
    """Warn about what takes longer than a run may take; 0 means no limit."""
    from output_mock.scripts.long_waits import in_python, in_yaml

    if not execution_timeout:
        return []
    found = [in_yaml(scripts, execution_timeout) for scripts in loaded.values()]
    found += [in_python(Path(file), execution_timeout) for file in loaded if file.endswith(".py")]
    return sorted((one for some in found for one in some), key=lambda one: (one.file, one.line, one.column))


def _in_a_world(loaded: dict[str, list[Scripted]]) -> list[Mistake]:
    """Mistakes that show only when the files are loaded together, such as a name that two of them use."""
    from output_mock.contract.errors import OutputError
    from output_mock.mock import OutputMock
    from output_mock.places import Mistake

    mock = OutputMock()
    mistakes: list[Mistake] = []
    for file, scripts in loaded.items():
        try:
            for script in scripts:
                mock.load(script)
        except (ValueError, OutputError) as error:
            mistakes.append(Mistake(file, str(error)))
    mock.close()
    return mistakes
