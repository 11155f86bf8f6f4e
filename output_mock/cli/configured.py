"""Commands whose options may also come from environment variables and from a configuration file.

Each option and argument of such a command has a key in the file and a variable, which are derived from its
name. The command line wins over a variable, and a variable wins over the file.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from output_mock.cli.script_files import STDIN, ScriptPath
from output_mock.suggestions import closest, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PREFIX = "OUTPUT_MOCK_"
# The variable that names the file, for all commands.
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
# The command whose variables do not contain the command's name.
_MAIN = "serve"
# The files that are looked up in the current folder, and where in them the tables of commands are.
_OWN_FILE, _PROJECT_FILE, _PROJECT_TABLE = "output-mock.toml", "pyproject.toml", ("tool", "output-mock")
# Variables that Kubernetes sets for a service whose name begins with output-mock.
_SERVICE_LINK = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_FOUND = "output_mock.configuration"


def key_of(param: click.Parameter) -> str:
    """The key of an option or argument in a file, such as `world-ttl`."""
    longest = max(param.opts, key=len)
    name = longest[2:] if longest.startswith("--") else param.name or ""
    return name.replace("_", "-")


def variable_of(command: str, param: click.Parameter) -> str:
    """The variable for an option or argument of a command: `OUTPUT_MOCK_WORLD_TTL`, and with the name of any
    command but `serve`, `OUTPUT_MOCK_VERIFY_REPORT`.
    """
    words = [key_of(param)] if command == _MAIN else [command, key_of(param)]
    return PREFIX + "_".join(words).replace("-", "_").upper()


class Configured(click.Command):
    """A command that also takes its values from environment variables and from a configuration file."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        for param in self.settable():
            # The variables of the real containers come second, so that one meant for the fake wins.
            others = [param.envvar] if isinstance(param.envvar, str) else list(param.envvar or ())
            param.envvar = [variable_of(self.name or "", param), *others]
        self.params.append(
            click.Option(
                ["--config"],
                metavar="FILE",
                type=click.Path(exists=True, dir_okay=False),
                envvar=CONFIG_VARIABLE,
                is_eager=True,
                expose_value=False,
                callback=_read_configuration,
                show_default=f"{_OWN_FILE} or pyproject.toml, if there is one here",
                help=f"A TOML file with values for the options of this command, in its table [{self.name}].",
            )
        )

    def settable(self) -> list[click.Parameter]:
        """The options and arguments that have a variable and a key."""
        return [param for param in self.params if param.expose_value]

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Say how else values can be given."""
        sample = variable_of(self.name or "", self.settable()[-1])
        formatter.write_paragraph()
        formatter.write_text(
            f"You can also set each option with an environment variable, such as {sample}, or in the table "
            f"[{self.name}] of {_OWN_FILE}. The command line wins over variables, and variables win over "
            f"the file."
        )

    def invoke(self, context: click.Context) -> Any:
        """Run the command, and warn about variables that look like a mistake."""
        for warning in _unknown_variables(context.find_root()):
            click.echo(f"warning: {warning}", err=True)
        return super().invoke(context)


def commands_of(group: click.Command) -> dict[str, Configured]:
    """The `Configured` commands of a group, by name; also works for a single command."""
    commands: Mapping[str, click.Command] = getattr(group, "commands", {group.name or "": group})
    return {name: one for name, one in commands.items() if isinstance(one, Configured)}


def variables_of(group: click.Command) -> dict[str, tuple[Configured, click.Parameter]]:
    """What each variable sets, in all commands of a group."""
    return {
        variable_of(name, param): (one, param)
        for name, one in commands_of(group).items()
        for param in one.settable()
    }


def _unknown_variables(root: click.Context) -> list[str]:
    known = [CONFIG_VARIABLE, *variables_of(root.command)]
    return [
        f"output-mock has no variable {name}, so it has no effect{nearest(name, known)}"
        for name in os.environ
        if name.startswith(PREFIX) and name not in known and not _SERVICE_LINK.fullmatch(name)
    ]


def variable_used(context: click.Context, param: click.Parameter) -> str | None:
    """The environment variable that a value comes from; None if it comes from elsewhere."""
    if context.get_parameter_source(param.name or "") is not ParameterSource.ENVIRONMENT:
        return None
    names = [param.envvar] if isinstance(param.envvar, str) else list(param.envvar or ())
    return next((name for name in names if os.environ.get(name)), None)


def source_of(context: click.Context, param: click.Parameter) -> str:
    """Where the value of a parameter comes from, for a message: an option, a variable, or a key of a file."""
    if (variable := variable_used(context, param)) is not None:
        return f"'{variable}'"
    if context.get_parameter_source(param.name or "") is ParameterSource.DEFAULT_MAP:
        return f"'{key_of(param)}' of {context.meta[_FOUND]}"
    return f"'{param.opts[0]}'" if isinstance(param, click.Option) else f"'{param.human_readable_name}'"


def configuration_of(context: click.Context) -> str | None:
    """The table of a file that has values for this command, in words; None when there is none."""
    found: str | None = context.meta.get(_FOUND)
    return found if context.default_map else None


def _read_configuration(context: click.Context, param: click.Parameter, value: str | None) -> None:
    """Give the context the values that the file has for this command."""
    if value is not None:
        path = Path(value)
        tables = _parsed(path)
        below = _PROJECT_TABLE if path.name == _PROJECT_FILE else ()
        context.default_map = _values(context, path, tables, below)
        return
    for path, below in ((Path(_OWN_FILE), ()), (Path(_PROJECT_FILE), _PROJECT_TABLE)):
        if path.is_file() and (not below or "output-mock" in path.read_text("utf-8", "replace")):
            tables = _parsed(path)
            if not below or _PROJECT_TABLE[1] in tables.get(_PROJECT_TABLE[0], {}):
                context.default_map = _values(context, path, tables, below)
                return


def _parsed(path: Path) -> dict[str, Any]:
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise click.ClickException(f"{path}: the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{path}: the file is not UTF-8, as TOML must be") from None
    except tomllib.TOMLDecodeError as error:
        raise click.ClickException(f"{path}: the file is not valid TOML: {error}") from None
    return tables


def _values(
    context: click.Context, path: Path, tables: Mapping[str, Any], below: tuple[str, ...]
) -> dict[str, Any]:
    """The values in the table of this command, by the names of parameters."""
    for name in below:
        tables = tables.get(name, {})
        if not isinstance(tables, dict):
            raise _wrong(
                context, path, f"[{'.'.join(below)}] must be a table; write [{'.'.join(below)}.serve]"
            )
    command = context.command
    assert isinstance(command, Configured)
    known = commands_of(context.find_root().command)
    for name, value in tables.items():
        table = ".".join((*below, name))
        if name not in known:
            serve = known.get(_MAIN)
            keys = [] if serve is None else [key_of(one) for one in serve.settable()]
            hint = (
                f"; write it below [{'.'.join((*below, _MAIN))}]"
                if name in keys
                else nearest(name, list(known))
            )
            raise _wrong(context, path, f"no command has settings in a table {table!r}{hint}")
        if not isinstance(value, dict):
            raise _wrong(context, path, f"{table!r} must be a table; write [{table}], and its settings below")
    table = f"[{'.'.join((*below, command.name or ''))}]"
    context.meta[_FOUND] = f"{table} in {path}"
    by_key = {key_of(param): param for param in command.settable()}
    found: dict[str, Any] = {}
    for key, value in tables.get(command.name or "", {}).items():
        if key not in by_key:
            meant = closest(key, list(by_key))
            hint = f"; did you mean {meant!r}?" if meant else f"; see 'output-mock {command.name} --help'"
            raise _wrong(context, path, f"{table} has no setting {key!r}{hint}")
        param = by_key[key]
        found[param.name or ""] = _fitting(context, path, f"{key!r} of {table}", param, value)
    return found


def _fitting(context: click.Context, path: Path, what: str, param: click.Parameter, value: Any) -> Any:
    """A value of the file, converted for the parameter. Paths are relative to the folder of the file."""
    if isinstance(param, click.Option) and param.is_flag:
        if not isinstance(value, bool):
            raise _wrong(context, path, f"{what} must be true or false, not {value!r}")
        return value
    several = param.nargs == -1 or getattr(param, "multiple", False)
    values = value if several and isinstance(value, list) else [value]
    for one in values:
        if isinstance(one, bool) or not isinstance(one, (str, int, float)):
            form = "a text or a number" + (", or a list of these" if several else "")
            raise _wrong(context, path, f"{what} must be {form}, not {one!r}")
    if isinstance(param.type, (click.Path, ScriptPath)):
        values = [one if one == STDIN else os.path.join(os.path.dirname(path), str(one)) for one in values]
    return values if several else values[0]


def _wrong(context: click.Context, path: Path, problem: str) -> click.UsageError:
    return click.UsageError(f"{path}: {problem}", context)
