"""The scripts that a command is given: Python and YAML files, folders of them, or YAML on standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

import click
from click.types import StringParamType

if TYPE_CHECKING:
    from output_mock.places import Mistake
    from output_mock.scripts.file_error import ScriptFileError
    from output_mock.scripts.script import Scripted

# What stands for standard input, and how messages name it.
STDIN = "-"
STDIN_NAME = "<stdin>"


class ScriptPath(StringParamType):
    """The path of a script file or a folder, or `-`. Several in a variable are separated as in PATH."""

    name = "script"
    envvar_list_splitter: ClassVar[str | None] = os.path.pathsep


def script_files(paths: Iterable[str]) -> list[str]:
    """The script files of paths: for a folder, the scripts directly in it, sorted by name.

    Files whose names begin with `.` or `_` are left out: name Python files so that are only imported.
    """
    from output_mock.scripts.loading import ENDINGS

    found: list[str] = []
    for path in paths:
        if path == STDIN or not os.path.isdir(path):
            found.append(path)
            continue
        names = sorted(
            name for name in os.listdir(path) if name.endswith(ENDINGS) and not name.startswith((".", "_"))
        )
        found += [os.path.join(path, name) for name in names]
    return list(dict.fromkeys(found))


def loaded_files(paths: Sequence[str]) -> tuple[dict[str, list[Scripted]], list[ScriptFileError]]:
    """Load each of the files. Returns the loaded ones, and the mistakes in those that cannot be loaded."""
    from output_mock.cli.reading import ended_by_ctrl_c, told_when_slow
    from output_mock.places import Mistake
    from output_mock.scripts.file_error import ScriptFileError
    from output_mock.scripts.loading import load_file

    loaded: dict[str, list[Scripted]] = {}
    problems: list[ScriptFileError] = []
    for path in paths:
        try:
            files = script_files([path])
            if not files:
                problem = "there is no script in this folder; the name of a script ends in .py, .yaml or .yml"
                problems.append(ScriptFileError(f"{path}: {problem}", [Mistake(path, problem)]))
        except OSError as error:
            problem = f"the folder cannot be read: {error.strerror}"
            problems.append(ScriptFileError(f"{path}: {problem}", [Mistake(path, problem)]))
            continue
        for file in files:
            try:
                if file == STDIN:
                    loaded[STDIN_NAME] = _from_stdin()
                    continue
                with ended_by_ctrl_c(), told_when_slow(file, lambda text: click.echo(text, err=True)):
                    loaded[file] = load_file(file)
            except ScriptFileError as error:
                problems.append(error)
    return loaded, problems


def _from_stdin() -> list[Scripted]:
    """The YAML script on standard input."""
    from output_mock.scripts.loading import LARGEST, load_yaml

    data = sys.stdin.buffer.read(LARGEST + 1)
    return [load_yaml(data, STDIN_NAME)]


def all_mistakes(loaded: dict[str, list[Scripted]], problems: Sequence[ScriptFileError]) -> list[Mistake]:
    """All mistakes in the files, and the workflows that they mention but none of them has; in order."""
    mistakes = [mistake for problem in problems for mistake in problem.mistakes]
    mentions = [script.mentions() for found in loaded.values() for script in found]
    mentions += [problem.mentions for problem in problems if problem.mentions is not None]
    if all(problem.mentions is not None for problem in problems):
        # Otherwise a missing workflow may be in a file that could not be read.
        known = {name for one in mentions for name in one.called}
        mistakes += [mistake for one in mentions for mistake in one.loose_ends(known)]
    return sorted(mistakes, key=lambda one: (one.file, one.line, one.column))


def sound_files(paths: Sequence[str]) -> dict[str, list[Scripted]]:
    """Load each of the files. Raises `ClickException` if anything is wrong with one of them, with a line for
    each mistake.
    """
    loaded, problems = loaded_files(paths)
    mistakes = all_mistakes(loaded, problems)
    if not mistakes:
        return loaded
    if len(mistakes) == 1:
        raise click.ClickException(str(problems[0] if problems else mistakes[0]))
    for mistake in mistakes:
        click.echo(str(mistake), err=True)
    raise click.ClickException(f"there are {len(mistakes)} mistakes in the scripts, see above")


def counted(number: int) -> str:
    """A number of workflows, in words."""
    return f"{number} workflow{'' if number == 1 else 's'}"
