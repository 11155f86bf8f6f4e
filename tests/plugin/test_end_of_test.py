"""Which problems fail a test at teardown, and which do not.

One inner pytest runs all of these suites at once. Each test here checks the report of one inner test.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.inner_pytest import only_plugins

SUITES = Path(__file__).parent / "suites"
# Written next to the inner tests: the pytest reports of each, as JSON.
_RECORDER = """
import json, os

def write(said):
    with open(os.environ["SAID"], "a", encoding="utf-8") as file:
        file.write(json.dumps(said) + "\\n")

def pytest_runtest_logreport(report):
    write({
        "name": report.nodeid.rpartition("::")[2],
        "when": report.when,
        "outcome": "xfailed" if hasattr(report, "wasxfail") and report.skipped else report.outcome,
        "text": report.longreprtext,
        "sections": dict(report.sections),
    })

def pytest_warning_recorded(warning_message, nodeid):
    name = nodeid.rpartition("::")[2]
    write({"name": "warnings", "when": name, "text": str(warning_message.message)})
"""
_INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
filterwarnings = error
python_files = suite_*.py
"""
Said = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Said]:
    """The result of each inner test: outcome, text and sections of each phase."""
    folder = tmp_path_factory.mktemp("suites")
    for suite in SUITES.glob("*.*"):
        (folder / suite.name).write_text(suite.read_text())
    (folder / "conftest.py").write_text(_RECORDER)
    (folder / "pytest.ini").write_text(_INI)
    reports = folder / "said.jsonl"
    # Pytest's own tracebacks take longer to make than these tests to run, and none of them is looked at.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=native"]
    environ = {**os.environ, **only_plugins("pytest_asyncio.plugin"), "SAID": str(reports)}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert "INTERNALERROR" not in done.stdout + done.stderr, done.stdout
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for line in reports.read_text().splitlines():
        report = json.loads(line)
        found.setdefault(report["name"], {})[report["when"]] = report
    return found


def outcomes(said: Said) -> str:
    """`passed` for a test whose three phases passed, otherwise the phase that did not: `teardown failed`."""
    others = [f"{when} {phase['outcome']}" for when, phase in said.items() if phase["outcome"] != "passed"]
    return ", ".join(others) or "passed"


def names(prefix: str) -> list[str]:
    """The inner tests whose name begins with the prefix."""
    text = "".join(suite.read_text() for suite in sorted(SUITES.glob("suite_*.py")))
    return [
        name
        for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE)
        if name.startswith(prefix)
    ]


def expected_of(name: str) -> str:
    """The pattern of the expected report, from the docstring of an inner test.

    `…` matches any text, HERE the number of the line that ends with `# here`.
    """
    text = next(text for suite in SUITES.glob("suite_*.py") if f"def {name}(" in (text := suite.read_text()))
    before, _, code = text.partition(f"def {name}(")
    expected = code.split('"""')[1]
    if "HERE" in expected:
        line = (before + code.partition("# here")[0]).count("\n") + 1
        expected = expected.replace("HERE", str(line))
    return ".*".join(map(re.escape, expected.split("…")))


@pytest.mark.parametrize("name", names("test_passes"))
def test_a_correct_test_passes(said: Mapping[str, Said], name: str) -> None:
    assert outcomes(said[name]) == "passed", said[name]


@pytest.mark.parametrize("name", names("test_fails"))
def test_unnoticed_problems_fail_the_test_at_teardown(said: Mapping[str, Said], name: str) -> None:
    assert outcomes(said[name]) == "teardown failed", said[name]
    pattern = expected_of(name)
    assert re.search(pattern, said[name]["teardown"]["text"], re.DOTALL), said[name]["teardown"]["text"]


def test_a_script_with_a_wrong_name_is_not_reported_as_one_to_remove(said: Mapping[str, Said]) -> None:
    name = "test_fails_for_a_wrong_name_and_blames_it_for_what_was_not_played"
    assert "take it out" not in said[name]["teardown"]["text"]


@pytest.mark.parametrize("name", names("test_failed"))
def test_a_failed_test_is_not_reported_twice(said: Mapping[str, Said], name: str) -> None:
    assert outcomes(said[name]) == "call failed"


@pytest.mark.parametrize("name", names("test_xfails"))
def test_xfail_covers_problems_found_at_teardown(said: Mapping[str, Said], name: str) -> None:
    assert outcomes(said[name]) == "call xfailed"


def test_expected_problems_pass_without_assertions(said: Mapping[str, Said]) -> None:
    foreseen = {name: outcomes(phases) for name, phases in said.items() if name.startswith("test_expected[")}
    assert set(foreseen.values()) == {"passed"}, foreseen


def test_a_skipped_test_is_not_checked(said: Mapping[str, Said]) -> None:
    assert outcomes(said["test_skips"]) == "call skipped"


def test_a_failure_report_lists_unused_scripts_but_not_a_whole_catalog(
    said: Mapping[str, Said],
) -> None:
    listed = said["test_reports"]["call"]["sections"]["output_mock: scripted but never used"]
    assert re.findall(r"workflow '(\w+)'", listed) == ["c"]


def test_a_failure_report_has_the_tests_own_calls_of_a_modules_fake(said: Mapping[str, Said]) -> None:
    sections = said["test_failed_before_its_modules_fake_could_complain"]["call"]["sections"]
    (calls,) = (
        text for title, text in sections.items() if title.startswith("output_mock: calls of the fake")
    )
    assert re.fullmatch(
        r"#\d+ POST /workflow/start -> 424 .*\n +no workflow 'ordr' in catalog 'main'.*", calls
    )
    (runs,) = (text for title, text in sections.items() if title.startswith("output_mock: runs of the fake"))
    assert "(order): about to continue" in runs


def test_a_failure_report_says_nothing_about_a_modules_fake_without_calls(said: Mapping[str, Said]) -> None:
    sections = said["test_failed_without_calls_of_its_modules_fake"]["call"]["sections"]
    assert not any("of the fake" in title for title in sections)


def test_an_unknown_setting_is_an_error(said: Mapping[str, Said]) -> None:
    assert "unused must be one of error, all, report, not 'sometimes'" in said["test_wrong"]["setup"]["text"]


@pytest.mark.parametrize("name", names("test_unreached"))
def test_a_failure_report_explains_why_nothing_reached_the_fake(said: Mapping[str, Said], name: str) -> None:
    why = "why no other calls" if name == "test_unreached_by_one_of_two_clients" else "why no calls"
    hint = said[name]["call"]["sections"][f"output_mock: {why}"]
    url = r"http://127\.0\.0\.\d+:\d+"
    pattern = expected_of(name).replace("URL:", f"{url}:").replace("at\\ URL", f"at\\ {url}")
    assert re.search(pattern.replace("IMPORTED", url), hint, re.DOTALL), hint


@pytest.mark.parametrize("name", ["test_reached", "test_reached_but_dropped"])
def test_a_failure_report_omits_the_explanation_when_a_call_reached_the_fake(
    said: Mapping[str, Said], name: str
) -> None:
    sections = said[name]["call"]["sections"]
    assert "output_mock: calls" in sections
    assert not any("why no" in title for title in sections)


def test_a_timeout_that_never_expires_is_only_a_warning(said: Mapping[str, Said]) -> None:
    (name,) = said["warnings"]
    assert outcomes(said[name]) == "passed"
    assert re.search(
        r"a timeout of 1d never passes, .*suite_ends.py, line \d+\)$", said["warnings"][name]["text"]
    )
