"""`output-mock check`: everything that is wrong with script files, each where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from output_mock.scripts.loading import ScriptFileError
    from output_mock.scripts.places import Mistake
    from output_mock.scripts.script import Scripted


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_context
def check(context: click.Context, files: tuple[str, ...]) -> None:
    """Say what is wrong with script files, Python or YAML.

    Prints every mistake as file:line:column: message, and ends with status 1 when there are any. Files that
    are served together are checked together: children may be in any of them.
    """
    loaded, problems = loaded_files(files)
    mistakes = all_mistakes(loaded, problems) or _in_a_world(loaded)
    for mistake in mistakes:
        click.echo(str(mistake))
    if mistakes:
        context.exit(1)
    for file, scripts in loaded.items():
        names = [name for script in scripts for name in script.names]
        click.echo(f"{file}: ok, {counted(len(names))}{': ' if names else ''}{', '.join(names)}")


def counted(number: int) -> str:
    """A number of workflows, in words."""
    return f"{number} workflow{'' if number == 1 else 's'}"


def loaded_files(files: tuple[str, ...]) -> tuple[dict[str, list[Scripted]], list[ScriptFileError]]:
    """What each of the files scripts, and what is wrong with those that cannot be loaded."""
    from output_mock.scripts.loading import ScriptFileError, load_file

    loaded: dict[str, list[Scripted]] = {}
    problems: list[ScriptFileError] = []
    for file in files:
        try:
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
    from output_mock.engine.errors import OutputError
    from output_mock.mock import OutputMock
    from output_mock.scripts.places import Mistake

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
