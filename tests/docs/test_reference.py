"""The reference has everything that a user can type, as the code has it."""

from __future__ import annotations

import ast
import html
import json
import re
from pathlib import Path
from typing import get_args

import pytest

from output_mock.cli import command
from output_mock.cli.configured import CONFIG_VARIABLE, PREFIX, variables_of
from output_mock.http.trace_log import Trouble
from output_mock.scripts.yaml.expressions import NAMES, Expression
from output_mock.scripts.yaml.functions import FILTERS, TESTS
from output_mock.scripts.yaml.language import ACTIONS, FILE, NODES, SHAPES
from tests.docs.pages import ROOT, page
from tests.docs.reference import PAGES, TABLES, up_to_date

GENERATED = sorted({one.page for one in TABLES.values()})


@pytest.mark.parametrize("name", GENERATED)
def test_the_tables_are_what_the_code_says(name: str) -> None:
    assert (PAGES / name).read_text() == up_to_date(name), "run python -m tests.docs.reference"


def test_every_table_stands_on_its_page() -> None:
    for name, table in TABLES.items():
        assert f"<!-- table: {name} -->\n" in (PAGES / table.page).read_text()


def first_column(path: str, heading: str) -> list[str]:
    """The code in the first column of the table below a heading."""
    section = page(path).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)


def variables(folder: Path) -> set[str]:
    """The environment variables that the code of a folder names in quotes."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(re.findall(r"^(?:OUTPUT|TEMPORAL|NODE)_[A-Z0-9_]*[A-Z0-9]$", node.value))
    for file in folder.rglob("*.ts"):
        # Read by a function, or as a key of the environment.
        found.update(re.findall(r'(?:variable\(|\benv\[)"([A-Z0-9_]+)"', file.read_text()))
    return found


def test_every_environment_variable_is_told_and_exists() -> None:
    told = set(re.findall(r"^\| `([A-Z0-9_]+)", page("docs/reference/environment.md"), re.MULTILINE))
    named = variables(ROOT / "output_mock") | variables(ROOT / "pytest_output")
    named |= variables(ROOT / "contract_tests")
    named = {name for name in named if not name.startswith(PREFIX)} | {
        CONFIG_VARIABLE,
        *variables_of(command),
    }
    assert told == named


def test_every_filter_test_and_name_of_expressions_is_told() -> None:
    path = "docs/reference/expressions.md"
    assert {one.partition("(")[0] for one in first_column(path, "Filters")} == set(FILTERS)
    assert {one.removeprefix("is ").partition("(")[0] for one in first_column(path, "Tests")} == set(TESTS)
    assert set(first_column(path, "Names")) == set(NAMES)


def test_every_example_of_an_expression_gives_the_value_that_is_shown() -> None:
    rows = re.findall(
        r"\| (?:`|<code>)\{\{ (.+?) \}\}(?:`|</code>) \| `(.+?)` \|$",
        page("docs/reference/expressions.md"),
        re.MULTILINE,
    )
    assert len(rows) >= len(FILTERS)
    for expression, shown in rows:
        assert Expression(html.unescape(expression)).value({}) == json.loads(shown), expression


def test_every_key_of_yaml_scripts_is_told() -> None:
    told = page("docs/reference/yaml.md")
    for shape in (FILE, *SHAPES, *ACTIONS.values(), *NODES.values()):
        for key in shape.keys:
            assert f"| `{key}` |" in told, f"{shape.name}: {key}"


def test_every_command_is_told() -> None:
    headings = re.findall(r"^## (\w+)$", page("docs/reference/command-line.md"), re.MULTILINE)
    assert headings == sorted(command.commands)


def test_every_trouble_with_s3_is_told() -> None:
    assert first_column("docs/reference/faults.md", "Values of `s3`") == list(get_args(Trouble))
