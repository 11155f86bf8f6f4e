"""The installed packages import exactly the dependencies that the metadata declare."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import waitress.channel
import waitress.parser
import waitress.server
import waitress.task

ROOT = Path(__file__).parents[1]
OWN = {"output_mock", "pytest_output", "output_contract"}
# Python 3.10 does not have `tomllib` yet, and it is imported there from another package.
STDLIB = sys.stdlib_module_names | {"tomllib"}
# Used only if the test program has imported them: the clients depend on anyio and h11, and the others are
# looked up in `sys.modules` or imported by their callers.
BROUGHT_BY_THE_TEST = {"anyio", "h11", "httpx", "httpx2", "freezegun", "time_machine"}
# Dependencies of declared packages.
BROUGHT_BY = {
    "botocore": "boto3",
    "markupsafe": "jinja2",
    "pluggy": "pytest",
    "_pytest": "pytest",
    "xdist": "pytest-xdist",
}


def sources() -> Iterator[Path]:
    for folder in ("output_mock", "pytest_output", "contract_tests/output_contract"):
        yield from (ROOT / folder).rglob("*.py")


def is_for_types(condition: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(condition, "id", ""), getattr(condition, "attr", ""))


def imports(statements: Iterable[ast.AST]) -> Iterator[str]:
    """The modules that statements import at run time, not only for types."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            if statement.module and not statement.level:
                yield statement.module
        elif isinstance(statement, ast.If) and is_for_types(statement.test):
            yield from imports(statement.orelse)
        elif not isinstance(statement, ast.expr):
            yield from imports(ast.iter_child_nodes(statement))


@cache
def imported() -> dict[str, set[str]]:
    """Each third-party package that is imported at run time, and the files that import it."""
    found: dict[str, set[str]] = {}
    for path in sources():
        for name in imports([ast.parse(path.read_text())]):
            top = name.partition(".")[0]
            if top not in OWN and top not in STDLIB:
                found.setdefault(top, set()).add(str(path.relative_to(ROOT)))
    return found


@cache
def distributed() -> dict[str, set[str]]:
    """Each package that declared dependencies bring, and the names of these dependencies.

    Python 3.10's own `packages_distributions` does not know distributions that list no packages.
    """
    found: dict[str, set[str]] = {}
    for name in declared():
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        for file in files:
            if file.suffix in (".py", ".so"):
                found.setdefault(file.parts[0].partition(".")[0], set()).add(name)
    return found


def declared() -> set[str]:
    """The names of the dependencies, including those of all extras except `dev`."""
    wanted = [one for one in requires("output-mock") or [] if not re.search(r"extra == .dev.", one)]
    return {re.match(r"[\w.-]+", one)[0].lower() for one in wanted}  # type: ignore[index]


def test_every_imported_package_is_declared() -> None:
    names = declared()
    missing = {
        package: files
        for package, files in imported().items()
        if package not in BROUGHT_BY_THE_TEST
        and BROUGHT_BY.get(package) not in names
        and not names & distributed().get(package, {package})
    }
    assert not missing


# What only an extra brings may be imported here, and in nothing that a server or `check` needs.
PLACES_OF_EXTRAS = re.compile(
    r"pytest_output/|contract_tests/"
    r"|output_mock/(agents/|comparing/|cli/compare\.py|temporal/|traces/s3\.py|stored_traces\.py|in_process/requests_client\.py)"
    # They work without it.
    r"|output_mock/http/(bodies|trace_log)\.py"
)


def test_a_server_does_not_import_optional_dependencies() -> None:
    plain = {
        re.match(r"[\w.-]+", one)[0].lower() for one in requires("output-mock") or [] if "extra ==" not in one
    }  # type: ignore[index]
    elsewhere = {
        package: sorted(file for file in files if not PLACES_OF_EXTRAS.match(file))
        for package, files in imported().items()
        if not plain & distributed().get(package, {package})
        and package not in BROUGHT_BY_THE_TEST | set(BROUGHT_BY)
    }
    assert {"pytest", "requests", "urllib3"} <= set(elsewhere)
    assert {package: files for package, files in elsewhere.items() if files} == {}


def test_every_declared_dependency_is_imported() -> None:
    used = {name for package in imported() for name in distributed().get(package, {package})}
    # moto's server needs the one, and `verify -n` the other.
    assert declared() - used - {"flask-cors", "pytest-xdist", "mkdocs-material", "output-mock"} == set()


def test_waitress_has_the_internals_that_the_server_uses() -> None:
    """Waitress does not guarantee these internals, so its version has an upper bound."""
    for place, names in {
        waitress.channel.HTTPChannel: (
            "parser_class task_class error_task_class write_soon handle_close del_channel readable writable"
        ),
        waitress.parser.HTTPRequestParser: "received header_plus headers_finished completed error",
        waitress.server.TcpWSGIServer: "channel_class pull_trigger del_channel add_task",
        waitress.task.ThreadedTaskDispatcher: "add_task queue_logger logger",
        waitress.task.Task: "service build_response_header wrote_header close_on_finish content_length",
    }.items():
        for name in names.split():
            assert hasattr(place, name), f"{place.__name__} has no {name}"
    declares = [one for one in requires("output-mock") or [] if one.startswith("waitress")]
    assert any("<" in one for one in declares), "the next version may be otherwise"


def test_the_package_for_the_pytest_plugin_list_requires_this_version() -> None:
    told = (ROOT / "packages" / "pytest-output-mock" / "pyproject.toml").read_text()
    version = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert re.findall(r'^version = "(.*)"$', told, re.MULTILINE) == version
    assert f'dependencies = ["output-mock[pytest]=={version[0]}"]' in told


def test_readme_links_on_the_package_index_point_to_the_repository() -> None:
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))
    text = (ROOT / "README.md").read_text()
    assert "](docs/index.md)" in text
    repository = hook["repository_of"](
        {"GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "a/b", "GITHUB_SHA": "c0ffee"}
    )
    assert repository == "https://git.example/a/b"
    there = hook["with_absolute_links"](text, f"{repository}/blob/c0ffee")
    assert "[All pages](https://git.example/a/b/blob/c0ffee/docs/index.md)" in there
    # A build elsewhere does not know the repository.
    assert hook["repository_of"]({}) is None
    for shown in (there, hook["with_absolute_links"](text, None)):
        assert re.findall(r"\]\((?!https?://)[^)]*\)", shown) == []
