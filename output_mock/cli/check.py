"""`output-mock check`: everything that is wrong with script files, each where it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from output_mock.places import Mistake
    from output_mock.scripts.file_error import ScriptFileError
    from output_mock.scripts.script import Scripted


def _length(context: click.Context, _: click.Parameter, value: str) -> int:
    from output_mock.durations import nanoseconds

    try:
        return nanoseconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--execution-timeout",
    metavar="LENGTH",
    callback=_length,
    default="24h",
    show_default=True,
    help="How long a run may take. Waits, pauses and steps that take longer get a warning.",
)
@click.pass_context
def check(context: click.Context, files: tuple[str, ...], execution_timeout: int) -> None:
    """Check script files, Python or YAML.

    Prints every mistake as file:line:column: message. The exit status is 1 if there are any; a warning
    is no mistake. Files that are served together are checked together: children may be in any of them.
    """
    loaded, problems = loaded_files(files)
    mistakes = all_mistakes(loaded, problems) or _in_a_world(loaded)
    for mistake in mistakes or _warnings(loaded, execution_timeout):
        click.echo(str(mistake))
    if mistakes:
        context.exit(1)
    for file, scripts in loaded.items():
        names = [name for script in scripts for name in script.names]
        click.echo(f"{file}: ok, {counted(len(names))}{': ' if names else ''}{', '.join(names)}")


def _warnings(loaded: dict[str, list[Scripted]], execution_timeout: int) -> list[Mistake]:
    """What takes longer in the files than a run may take; 0 is for ever."""
    from output_mock.scripts.long_waits import in_python, in_yaml

    if not execution_timeout:
        return []
    found = [in_yaml(scripts, execution_timeout) for scripts in loaded.values()]
    found += [in_python(Path(file), execution_timeout) for file in loaded if file.endswith(".py")]
    return sorted((one for some in found for one in some), key=lambda one: (one.file, one.line, one.column))


def counted(number: int) -> str:
    """A number of workflows, in words."""
    return f"{number} workflow{'' if number == 1 else 's'}"


def loaded_files(files: tuple[str, ...]) -> tuple[dict[str, list[Scripted]], list[ScriptFileError]]:
    """What each of the files scripts, and what is wrong with those that cannot be loaded."""
    from output_mock.cli.reading import ended_by_ctrl_c, told_when_slow
    from output_mock.scripts.file_error import ScriptFileError
    from output_mock.scripts.loading import load_file

    loaded: dict[str, list[Scripted]] = {}
    problems: list[ScriptFileError] = []
    for file in files:
        try:
            with ended_by_ctrl_c(), told_when_slow(file, lambda text: click.echo(text, err=True)):
                loaded[file] = load_file(file)
        except ScriptFileError as error:
            problems.append(error)
    return loaded, problems


def all_mistakes(loaded: dict[str, list[Scripted]], problems: Sequence[ScriptFileError]) -> list[Mistake]:
    """What is wrong with the files, and which workflows they mention that are in none; in order."""
    mistakes = [mistake for problem in problems for mistake in problem.mistakes]
    mentions = [script.mentions() for found in loaded.values() for script in found]
    mentions += [problem.mentions for problem in problems if problem.mentions is not None]
    if all(problem.mentions is not None for problem in problems):
        # Otherwise what is missing may be in a file that could not be read.
        known = {name for one in mentions for name in one.called}
        mistakes += [mistake for one in mentions for mistake in one.loose_ends(known)]
    return sorted(mistakes, key=lambda one: (one.file, one.line, one.column))


def _in_a_world(loaded: dict[str, list[Scripted]]) -> list[Mistake]:
    """What shows only when the files are loaded together, such as names that two of them use."""
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
