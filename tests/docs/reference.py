"""Generates the tables of the reference from the code.

`python -m tests.docs.reference` writes each table between its two markers, `<!-- table: NAME -->` and
`<!-- end of table -->`. `test_reference.py` fails when a page is not up to date.
"""

from __future__ import annotations

import asyncio
import dataclasses
import html
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

import output_mock
from output_mock.agents.fake_client import FakeClient
from output_mock.callbacks.journal import Callback, CallbackList
from output_mock.callbacks.sending import Callbacks
from output_mock.cli import command as main
from output_mock.cli.configured import CONFIG_VARIABLE, Configured, variables_of
from output_mock.contract.errors import SHAPES, OutputError
from output_mock.contract.operations import OPERATIONS, errors_of
from output_mock.control import faults as control_faults
from output_mock.control import operations, problems
from output_mock.engine import errors as engine_errors
from output_mock.engine.clock import Clock
from output_mock.http.faults import PRESETS
from output_mock.openapi import DIFFERENCES
from output_mock.recording.transport import InProcessTransport
from output_mock.scripts.builder import Branch, WorkflowBuilder
from output_mock.scripts.yaml import kinds, language
from output_mock.sdk import errors as sdk_errors
from output_mock.sdk.context import Context
from output_mock.stored_traces import StoredTraces
from pytest_output import plugin, settings

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs"
_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(_cell(text) for text in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Text in a fixed-width font. Renderers disagree about a bar within backquotes in a table."""
    if "|" in text:
        return f"<code>{html.escape(text, quote=False).replace('|', '&#124;')}</code>"
    return f"`{text}`" if text else ""


def first_paragraph(owner: Any) -> str:
    """The first paragraph of an object's docstring."""
    return (inspect.getdoc(owner) or "").partition("\n\n")[0]


# pytest


def fixtures() -> str:
    """The fixtures of the plugin."""
    return table(
        ["fixture", "what it is"],
        (
            (code(name), first_paragraph(_function(value)))
            for name, value in vars(plugin).items()
            if name.startswith("output_")
        ),
    )


def _function(fixture: Any) -> Any:
    return inspect.unwrap(getattr(fixture, "__wrapped__", fixture))


def ini() -> str:
    """The arguments of the marker, and the ini options that set them for all tests."""
    return table(
        ["marker", "ini option", "what it sets"],
        (
            (code(name), code(f"output_{name}") if name in settings.INI else "", settings.ABOUT[name])
            for name in settings.NAMES
        ),
    )


def pytest_options() -> str:
    """The plugin's options on the command line."""

    class Collected:
        def __init__(self) -> None:
            self.rows: list[tuple[str, str]] = []

        def getgroup(self, *_: str) -> Collected:
            return self

        def addoption(self, name: str, *, metavar: str, help: str) -> None:
            self.rows.append((code(f"{name}={metavar}"), help))

        def addini(self, *_: Any, **__: Any) -> None: ...

    collected = Collected()
    settings.add_options(collected)  # type: ignore[arg-type]
    return table(["option", "what it does"], collected.rows)


# The command line


def commands() -> str:
    """All commands with their options."""
    context = click.Context(main, info_name="output-mock", **main.context_settings)
    return "\n".join(_command(main.commands[name], context) for name in main.list_commands(context))


def _command(command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=command.name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    about = inspect.cleandoc(command.help or "")
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    text = f"## {command.name}\n\n```text\n{usage}\n```\n\n{about}\n\n"
    if options:
        text += table(["option", "what it does", "default"], (_option(one, context) for one in options))
    return text


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    name = max(option.opts, key=len)
    if not (option.is_flag or option.count):
        name += f" {option.make_metavar(context)}"
    about = option.help or ""
    if option.multiple:
        about = re.sub(r" May be given (twice|several times)\.", "", about) + " Can be repeated."
    names = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    # Variables that are derived from options have their own table.
    for variable in names[isinstance(context.command, Configured) and option.expose_value :]:
        about += f" Environment: `{variable}`."
    if isinstance(option.show_default, str):
        default = option.show_default
    elif option.is_flag or option.default is None or not isinstance(option.default, (str, int, float)):
        default = ""
    else:
        default = code(str(option.default))
    if told := re.search(r" \[default: ([^\]]+)\]", about):
        about, default = about.replace(told[0], ""), told[1]
    return code(name), about, default


def variables() -> str:
    """The variables that set the options and arguments of commands."""
    rows = []
    for name, (configured, param) in variables_of(main).items():
        shown = max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name
        flag = isinstance(param, click.Option) and param.is_flag
        several = param.nargs == -1 or getattr(param, "multiple", False)
        apart = "" if not several else "paths, as in PATH" if param.type.envvar_list_splitter else "words"
        form = (
            "`true` or `false`" if flag else f"{apart}, separated by {'`:`' if 'PATH' in apart else 'spaces'}"
        )
        rows.append(
            (code(name), code(f"{configured.name} {shown}"), form if flag or several else "one value")
        )
    rows.append((code(CONFIG_VARIABLE), code("--config"), "the path of the file"))
    return table(["variable", "what it sets", "form"], rows)


# Python


def python_names() -> str:
    """The public names of `output_mock`."""
    names = [(name, getattr(output_mock, name)) for name in output_mock.__all__]
    return table(["name", "what it is"], ((code(name), _about(value)) for name, value in names))


def _about(value: Any) -> str:
    if inspect.isclass(value) or callable(value):
        return first_paragraph(value)
    return "JavaScript's `undefined`: a value that JSON leaves out."


def context() -> str:
    """The members of `ctx`."""
    return _members("ctx", vars(Context))


def mock() -> str:
    """The members of an `OutputMock`."""
    # The other members that it shares with `Script` are internal.
    own = {"workflow": output_mock.Script.workflow, **vars(output_mock.OutputMock)}
    made = f"OutputMock{_arguments(output_mock.OutputMock.__init__)}"
    first = table(
        ["", "what it does"], [(code(made), "Makes a fake. `help(OutputMock)` explains the arguments.")]
    )
    # For the plugin and the control plane.
    for name in ("reached_by", "end"):
        del own[name]
    return first + _members("mock", own).partition("| --- | --- |\n")[2]


def builder() -> str:
    """The methods of the script builder."""
    inherited = {**vars(Branch), **vars(WorkflowBuilder)}
    names = ("returns", "fails", "takes", "calls_back", "then", "when", "receives")
    return _members("…", {name: inherited[name] for name in names})


def script() -> str:
    """The members of a `Script`."""
    own = vars(output_mock.Script)
    names = {"workflow": output_mock.Script.workflow, "begin_with": output_mock.Script.begin_with}
    return _members("script", {**names, "add_catalog": own["add_catalog"]})


def clock() -> str:
    """The members of a clock for tests."""
    return _members("mock.clock", {name: vars(Clock)[name] for name in ("now", "advance", "set_mode")})


def run() -> str:
    """The attributes of a run."""
    return _members("run", vars(output_mock.RunView))


def call() -> str:
    """The attributes of a call."""
    return _named_fields(output_mock.Call, "call")


def _named_fields(kind: type[Any], name: str) -> str:
    about: list[str] = []
    rows = []
    for line in inspect.getsource(kind).splitlines():
        if comment := re.fullmatch(r"    # (.*)", line):
            about.append(comment[1])
        elif found := re.match(r"    (\w+): ", line):
            rows.append((code(f"{name}.{found[1]}"), " ".join(about)))
            about = []
    return table(["", "what it is"], rows)


def calls() -> str:
    """The members of a list of calls."""
    shown = {"__call__": "mock.calls", "one": "mock.calls.one"}
    return table(
        ["", "what it does"],
        (
            (
                code(name + _arguments(vars(output_mock.Calls)[member])),
                first_paragraph(vars(output_mock.Calls)[member]),
            )
            for member, name in shown.items()
        ),
    )


def callbacks() -> str:
    """The members of `mock.callbacks` for tests."""
    names = ("respond", "one", "assert_called_back", "clear")
    faults = ("drop_next", "delay_next", "duplicate_next", "reorder_next", "clear_faults")
    members = {name: vars(Callbacks)[name] for name in (*names, *faults)}
    called = f"mock.callbacks{_arguments(vars(CallbackList)['__call__'])}"
    first = table(["", "what it does"], [(code(called), first_paragraph(Callbacks.__call__))])
    return first + _members("mock.callbacks", members).partition("| --- | --- |\n")[2]


def callback() -> str:
    """The attributes of a request that a workflow sent."""
    return _named_fields(Callback, "callback")


def stored_traces() -> str:
    """The members of the fixture `output_traces`."""
    return _members("output_traces", vars(StoredTraces))


def _members(owner: str, members: Mapping[str, Any]) -> str:
    rows = []
    for member, value in members.items():
        if member.startswith("_") or not (callable(value) or isinstance(value, property)):
            continue
        # The names of recordings at the end are for developers of the fake.
        about = re.sub(r" \([a-z_]+\)\.$", ".", first_paragraph(value))
        shown = f"{owner}.{member}"
        if callable(value):
            shown += _arguments(value)
        rows.append((code(shown), about))
    return table(["", "what it does"], rows)


def _arguments(function: Callable[..., Any]) -> str:
    shown, keywords = [], False
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not keywords:
            keywords = True
            shown.append("*")
        text = parameter.name
        if parameter.kind is parameter.VAR_KEYWORD:
            text = f"**{text}"
        elif parameter.kind is parameter.VAR_POSITIONAL:
            text, keywords = f"*{text}", True
        elif parameter.default is not parameter.empty:
            text += f"={parameter.default!r}"
        shown.append(text.replace("=UNDEFINED", "=…").replace("=<UNDEFINED>", "=…"))
    return f"({', '.join(shown)})"


# YAML

_TYPES = {
    "Text": "text",
    "Flag": "`true` or `false`",
    "Value": "JSON, {{ }}",
    "Message": "text, {{ }}",
    "Literal": "JSON",
    "Condition": "an expression, {{ }}",
    "Items": "a list, {{ }}",
    "Names": "a name, or a list of names",
    "Map": "an object",
    "Settings": "an object, {{ }}",
    "Steps": "a list of [actions](#actions)",
    "Branches": "a list of [actions](#actions), or of lists of actions",
    "Inside": "a list of [trace entries](#trace-entries)",
    "JSONSchemaOf": "a JSON Schema",
    "SDKDuration": "milliseconds, or one number with one unit: `90m`",
    "Workflows": "a list of [workflows](#workflow)",
    "ScriptedCallbacks": "a list of [callbacks](#callback)",
    "Rethrow": "`true`",
}


def _type(kind: Any) -> str:
    if isinstance(kind, kinds.Choice):
        return f"one of {', '.join(map(code, kind.words))}"
    if isinstance(kind, kinds.ObjectType):
        return f"[{kind.name}](#{kind.name})"
    if isinstance(kind, kinds.Duration):
        return "a duration" if kind.fixed else "a duration, {{ }}"
    if isinstance(kind, language.Fails):
        one = "text, {{ }}, or a [failure](#failure)"
        return f"{one}; or a list of these and `null`" if kind.each else one
    if type(kind) is kinds.ListOf:
        item: Any = kind.kind
        one = f"[{item.name}](#{item.name})"
        return f"{one}, or a list of them" if kind.or_one else f"a list of {one}"
    if type(kind) is kinds.Map and isinstance(kind.kind, kinds.ObjectType):
        return f"an object: each name has {kind.kind.words} ([{kind.kind.name}](#{kind.kind.name}))"
    return _TYPES[type(kind).__name__]


def _keys(shape: kinds.ObjectType) -> str:
    return table(
        ["key", "value", "what it says"],
        (
            (code(name), _type(key.kind), f"{key.text}{' **Required.**' if key.required else ''}")
            for name, key in shape.keys.items()
        ),
    )


def yaml_keys() -> str:
    """Every key of YAML scripts."""
    parts = [f"## file\n\n{language.FILE.text}\n\n{_keys(language.FILE)}"]
    inner = (*language.ACTIONS.values(), *language.NODES.values())
    for shape in language.SHAPES:
        if shape not in inner:
            parts.append(f"## {shape.name}\n\n{shape.text}\n\n{_keys(shape)}")
    parts.append("## Actions\n\nAn action has exactly one of these keys, which says what it does.\n")
    parts += [f"### {shape.name}\n\n{shape.text}\n\n{_keys(shape)}" for shape in language.ACTIONS.values()]
    parts.append("## Trace entries\n\nWhat happens inside of a step, for its `trace`.\n")
    parts += [f"### {shape.name}\n\n{shape.text}\n\n{_keys(shape)}" for shape in language.NODES.values()]
    return "\n".join(parts)


# Faults


def faults() -> str:
    """The fields of a fault."""
    return table(
        ["over HTTP", "in Python", "what it does"],
        (
            (code(name), code(control_faults.PYTHON_NAMES[name]), _described(schema))
            for name, schema in control_faults.FIELDS.items()
        ),
    )


def _described(schema: Mapping[str, Any]) -> str:
    text = str(schema.get("description", ""))
    if "enum" in schema and len(schema["enum"]) < 12:
        text += f" One of {', '.join(code(one) for one in schema['enum'])}."
    return text


def presets() -> str:
    """The presets of faults."""
    return table(["preset", "what it does"], ((code(name), about) for name, (about, _) in PRESETS.items()))


# The control plane


def control() -> str:
    """The operations of the control plane."""
    return table(
        ["request", "what it does", "body", "query"],
        (
            (
                code(f"{one.method} /__mock__{one.path}"),
                one.about,
                ", ".join(code(name) for name in (one.body or {}).get("properties", ())),
                ", ".join(code(name) for name in one.query),
            )
            for one in operations.OPERATIONS
        ),
    )


def control_errors() -> str:
    """The errors of the control plane."""
    found: list[tuple[str, type[Exception], str]] = [
        (str(one.status), one, one.name) for one in problems.CLASSES
    ]
    found += [
        (str(status), one, one.name) for one, all_of in problems.UNAVAILABLE.items() for status in all_of
    ]
    return table(
        ["status", "`error`", "what it means"],
        sorted((status, code(name), first_paragraph(one)) for status, one, name in found),
    )


# Agents


def agent_tools() -> str:
    """The tools for agents."""
    # It takes longer to import than everything else here.
    from output_mock.agents.tools import agent_server

    # Lists all tools without a fake.
    listed = asyncio.run(
        agent_server(FakeClient(InProcessTransport(output_mock.OutputMock().app))).list_tools()
    )
    return table(
        ["tool", "what it does", "arguments"],
        (
            (
                code(one.name),
                one.description or "",
                ", ".join(code(name) for name in one.input_schema["properties"]),
            )
            for one in listed
        ),
    )


# Errors


def api_errors() -> str:
    """The errors of the API that the real server has as well."""
    statuses: dict[str, set[int]] = {}
    for operation in OPERATIONS:
        for endpoint in operation.endpoints:
            for status, names in errors_of(operation, endpoint).items():
                for name in names:
                    statuses.setdefault(name, set()).add(status)
    own = {one.name for one in own_errors()}
    rows = [
        (", ".join(str(status) for status in sorted(found)), code(name), _meaning(name))
        for name, found in statuses.items()
        if name not in own
    ]
    return table(["status", "`error`", "what it means"], sorted(rows))


def _meaning(name: str) -> str:
    if name in SHAPES:
        return SHAPES[name].about
    return "The body, the query or the path does not have the right form; `issues` says where, as zod does."


def own_errors() -> list[type[OutputError]]:
    """The errors that only the fake has."""
    return [
        value
        for module in (sdk_errors, engine_errors)
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, OutputError) and value.__module__ == module.__name__
    ]


def _statuses(error: type[OutputError]) -> tuple[int, ...]:
    return problems.UNAVAILABLE.get(error, (error.status,))


def fake_errors() -> str:
    """The errors that only the fake has."""
    return table(
        ["status", "`error`", "what it means"],
        sorted(
            (", ".join(map(str, _statuses(one))), code(one.name), first_paragraph(one))
            for one in own_errors()
        ),
    )


def layers() -> str:
    """The layers of `output_mock`, top first, as import-linter checks them."""
    written = (ROOT / "pyproject.toml").read_text()
    (told,) = re.findall(r"^layers = \[\n(.*?)^\]", written, re.DOTALL | re.MULTILINE)
    rows = []
    for number, layer in enumerate(re.findall(r'"([^"]+)"', told)):
        for name in layer.split(" | "):
            if name != "__main__":
                about = first_paragraph(importlib.import_module(f"output_mock.{name}"))
                rows.append((str(number), code(name), about))
    return table(["layer", "module", "what it is"], rows)


def differences() -> str:
    """Where the fake's OpenAPI document differs from the real server's."""
    return table(["where", "what the real document says, and what is right"], DIFFERENCES)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: its page, and the function that generates it."""

    page: str
    make: Callable[[], str]


TABLES = {
    make.__name__: Table(page, make)
    for page, makers in {
        "contribute/architecture.md": (layers,),
        "reference/pytest.md": (fixtures, ini, pytest_options),
        "reference/command-line.md": (commands,),
        "reference/environment.md": (variables,),
        "reference/python.md": (
            python_names,
            mock,
            builder,
            script,
            clock,
            run,
            call,
            calls,
            callbacks,
            callback,
            context,
            stored_traces,
        ),
        "reference/yaml.md": (yaml_keys,),
        "reference/faults.md": (faults, presets),
        "reference/control-plane.md": (control, control_errors),
        "guides/agents.md": (agent_tools,),
        "reference/errors.md": (api_errors, fake_errors),
        "reference/differences.md": (differences,),
    }.items()
    for make in makers
}


def up_to_date(page: str) -> str:
    """The text of a page of the reference with up-to-date tables.

    Raises `KeyError` if the page has an unknown table.
    """

    def written(found: re.Match[str]) -> str:
        return f"{found[1]}\n{TABLES[found[2]].make()}\n{found[3]}"

    return _MARKED.sub(written, (PAGES / page).read_text())


# For language models: https://llmstxt.org


def overview() -> str:
    """`llms.txt`: what the project is, and what each page of the documentation begins with."""
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    lines = [f"# output-mock\n\n> {_beginning('index.md')[1]}\n"]
    lines += [
        "The command is `output-mock`, the Python package `output_mock`. `output-mock mcp` gives agents "
        "tools for a fake (docs/guides/agents.md). README.md has the commands that install it.\n"
    ]
    for entry in site["nav"]:
        if isinstance(entry, dict):
            ((heading, pages),) = entry.items()
            lines.append(f"## {heading}\n")
            for name in pages:
                title, about = _beginning(name)
                lines.append(f"- [{title}](docs/{name}): {about}")
            lines.append("")
    return "\n".join(lines)


def _beginning(name: str) -> tuple[str, str]:
    """A page's title, and its first paragraph."""
    title, *rest = (PAGES / name).read_text().split("\n\n")
    words = " ".join(next(part for part in rest if re.match(r"[A-Za-z`*\[]", part)).split())
    bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", words).replace("**", "")
    return title.removeprefix("# "), bare


if __name__ == "__main__":
    (ROOT / "llms.txt").write_text(overview())
    for name in {one.page for one in TABLES.values()}:
        (PAGES / name).write_text(up_to_date(name))
