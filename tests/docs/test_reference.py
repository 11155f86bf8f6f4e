"""The reference lists everything that a user can type, as the code defines it."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
from _pytest.fixtures import getfixturemarker

from output_mock.cli import command
from output_mock.cli.configured import CONFIG_VARIABLE, PREFIX, variables_of
from output_mock.control.openapi import document as control_document
from output_mock.http.trace_log import Trouble
from output_mock.recording.checking import schema as scenario_schema
from output_mock.scripts.yaml.expressions import NAMES, Expression
from output_mock.scripts.yaml.functions import FILTERS, TESTS
from output_mock.scripts.yaml.language import ACTIONS, FILE, NODES, SHAPES
from pytest_output import plugin
from tests.docs.pages import ROOT, page
from tests.docs.reference import PAGES, TABLES, overview, up_to_date

GENERATED = sorted({one.page for one in TABLES.values()})


@pytest.mark.parametrize("name", GENERATED)
def test_the_generated_tables_are_up_to_date(name: str) -> None:
    assert (PAGES / name).read_text() == up_to_date(name), "run python -m tests.docs.reference"


def test_the_overview_for_language_models_is_up_to_date() -> None:
    assert (ROOT / "llms.txt").read_text() == overview(), "run python -m tests.docs.reference"


def test_every_generated_table_is_on_its_page() -> None:
    for name, table in TABLES.items():
        assert f"<!-- table: {name} -->\n" in (PAGES / table.page).read_text()


def first_column(path: str, heading: str) -> list[str]:
    """The code in the first column of the table below a heading."""
    section = page(path).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)


def variables(folder: Path) -> set[str]:
    """The environment variables that the code of a folder names in quotes."""
    found = set()
    beginning = r"(?:OUTPUT|TEMPORAL|NODE)_"
    for file in folder.rglob("*.py"):
        text = file.read_text()
        # Parsing takes long, and most files name none.
        for node in ast.walk(ast.parse(text)) if re.search(beginning, text) else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(re.findall(rf"^{beginning}[A-Z0-9_]*[A-Z0-9]$", node.value))
    for file in folder.rglob("*.ts"):
        # Read by a function, or as a key of the environment.
        found.update(re.findall(r'(?:variable\(|\benv\[)"([A-Z0-9_]+)"', file.read_text()))
    return found


def test_exactly_the_existing_environment_variables_are_documented() -> None:
    told = set(re.findall(r"^\| `([A-Z0-9_]+)", page("docs/reference/environment.md"), re.MULTILINE))
    named = variables(ROOT / "output_mock") | variables(ROOT / "pytest_output")
    named |= variables(ROOT / "contract_tests")
    named = {name for name in named if not name.startswith(PREFIX)} | {
        CONFIG_VARIABLE,
        *variables_of(command),
    }
    assert told == named


def test_every_filter_test_and_name_of_expressions_is_documented() -> None:
    path = "docs/reference/expressions.md"
    assert {one.partition("(")[0] for one in first_column(path, "Filters")} == set(FILTERS)
    assert {one.removeprefix("is ").partition("(")[0] for one in first_column(path, "Tests")} == set(TESTS)
    assert set(first_column(path, "Names")) == set(NAMES)


def test_every_documented_expression_has_the_documented_value() -> None:
    rows = re.findall(
        r"\| (?:`|<code>)\{\{ (.+?) \}\}(?:`|</code>) \| `(.+?)` \|$",
        page("docs/reference/expressions.md"),
        re.MULTILINE,
    )
    assert len(rows) >= len(FILTERS)
    for expression, shown in rows:
        assert Expression(html.unescape(expression)).value({}) == json.loads(shown), expression


def test_every_key_of_yaml_scripts_is_documented() -> None:
    told = page("docs/reference/yaml.md")
    for shape in (FILE, *SHAPES, *ACTIONS.values(), *NODES.values()):
        for key in shape.keys:
            assert f"| `{key}` |" in told, f"{shape.name}: {key}"


def test_every_command_is_documented() -> None:
    headings = re.findall(r"^## (\w+)$", page("docs/reference/command-line.md"), re.MULTILINE)
    assert headings == sorted(command.commands)


def test_every_kind_of_s3_trouble_is_documented() -> None:
    assert first_column("docs/reference/faults.md", "Values of `s3`") == list(get_args(Trouble))


def told_options(path: str, heading: str) -> set[str]:
    """The options in the first column of the tables below a heading."""
    section = page(path).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| (?:`|<code>)(--?[a-z][a-z0-9-]*)", section, re.MULTILINE))


def test_exactly_the_existing_options_of_every_command_are_documented() -> None:
    for name, one in command.commands.items():
        options = [param for param in one.params if isinstance(param, click.Option) and not param.hidden]
        told = told_options("docs/reference/command-line.md", name)
        for option in options:
            assert told & set(option.opts), f"{name} {option.opts}"
        assert told <= {opt for option in options for opt in option.opts}, name


def test_every_fixture_marker_and_option_of_the_plugin_is_documented(pytestconfig: pytest.Config) -> None:
    """Compares with what pytest itself knows of the plugin: fixtures, ini options, command line options."""
    fixtures = {name for name, value in vars(plugin).items() if getfixturemarker(value) and name[0] != "_"}
    parser = pytestconfig._parser
    ini = {name for name in parser._inidict if name.startswith("output_")}
    (group,) = [one for one in parser._groups if one.name == "output"]
    options = {name for option in group.options for name in option.names()}
    assert (len(fixtures) > 3, len(ini) > 8, len(options) > 2) == (True, True, True)
    text = page("docs/reference/pytest.md")
    for name in fixtures | ini:
        assert f"| `{name}`" in text, name
    for name in options:
        assert f"| `{name}=" in text, name


def test_every_control_plane_operation_and_its_parameters_are_documented() -> None:
    rows = re.findall(
        r"^\| `(\w+ /__mock__[^`]*)` \| (.*) \|$", page("docs/reference/control-plane.md"), re.MULTILINE
    )
    told = dict(rows)
    document = control_document()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path == "/__mock__/openapi.json":
                continue
            columns = told.pop(f"{method.upper()} {path}")
            for one in operation["parameters"]:
                assert one["in"] == "path" or f"`{one['name']}`" in columns, (path, one)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for field in content["schema"].get("properties", ()):
                    assert f"`{field}`" in columns, (path, field)
    assert told == {}


def test_every_key_of_scenarios_is_documented() -> None:
    text = page("docs/reference/scenarios.md")

    def keys(schema: object) -> Iterator[str]:
        if isinstance(schema, dict):
            yield from schema.get("properties", {})
        values = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
        for value in values:
            yield from keys(value)

    for key in keys(scenario_schema()):
        assert re.search(rf"(?<!\w){re.escape(key)}(?!\w)", text), key
