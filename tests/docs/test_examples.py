"""Every example in the documentation works as described."""

from __future__ import annotations

import http.client
import re
import shlex
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from jsonschema import Draft202012Validator

from output_mock import OutputMock
from output_mock.cli.serve import serve
from output_mock.cli.verify import verify
from output_mock.control.front import Front
from output_mock.control.worlds import Worlds
from output_mock.durations import SECOND
from output_mock.http import trace_log
from output_mock.scripts.demo import script as demonstration
from output_mock.scripts.loading import load_file
from output_mock.scripts.yaml.language import document
from output_mock.sdk.options import activity_options
from output_mock.server import running
from output_mock.traces.drawing import drawn
from pytest_output import plugin, settings
from tests.cli.commands import one_line, run
from tests.docs.pages import EVERYTHING, PAGES, ROOT, blocks, everywhere, page

README = page("README.md")
# Code below a link to a file must be in that file.
QUOTED = [
    (path, file, code)
    for path, text in PAGES.items()
    for file, code in re.findall(
        r"^\[`[\w/.]+`\]\(([\w/.]+)\):\n\n```python\n(.*?)```", text, re.DOTALL | re.MULTILINE
    )
]
_quotes = {code for _, _, code in QUOTED}
OWN = [(path, number, code) for path, number, code in everywhere("python") if code not in _quotes]
PYTHON = [one for one in OWN if "\ndef test_" not in one[2]]
# Tests, with the report of failing ones.
SUITES = [
    (code, report)
    for text in PAGES.values()
    for code, report in re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, re.DOTALL)
    if "\ndef test_" in code and code not in _quotes
]
YAML = everywhere("yaml")
WITH_CURL = [path for path in PAGES if blocks(path, "console")]


def name(example: tuple[str, int, str]) -> str:
    return f"{example[0]}-{example[1]}"


def curl(command: str, port: int) -> str:
    """Send the requests of curl lines without curl. Supports `-s`, `-X`, `-H`, `-d` and a URL."""
    words = shlex.split(command)
    assert words[:2] == ["curl", "-s"], command
    method, headers, body, target = None, {}, None, ""
    rest = iter(words[2:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(rest)
        else:
            url = urllib.parse.urlsplit(word)
            assert url.netloc == "127.0.0.1:3001", command
            target = url.path + (f"?{url.query}" if url.query else "")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method or ("POST" if body else "GET"), target, body, headers)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def as_pattern(expected: str) -> str:
    """`…` stands for anything."""
    return ".*?".join(re.escape(part) for part in expected.split("…"))


@pytest.mark.parametrize("path", WITH_CURL)
def test_every_curl_example_gets_the_documented_response(path: str) -> None:
    def make(options: Mapping[str, Any]) -> OutputMock:
        return OutputMock(options.get("clock", "auto"), options.get("seed", 0), scripts=[demonstration])

    worlds = Worlds(make({}), make)
    with running(Front(worlds)) as url:
        port = urllib.parse.urlsplit(url).port
        assert port is not None
        for block in blocks(path, "console"):
            for exchange in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, expected = exchange.strip().partition("\n")
                answer = curl(command, port)
                assert re.fullmatch(as_pattern(expected), answer, re.DOTALL), (
                    f"{command}\nshown: {expected}\nanswer: {answer}"
                )
    worlds.close()


@pytest.mark.parametrize("example", PYTHON, ids=name)
def test_the_python_examples_run_and_their_assertions_hold(
    example: tuple[str, int, str], tmp_path: Path
) -> None:
    file = tmp_path / "example.py"
    file.write_text(example[2])
    exec(compile(example[2], str(file), "exec"), {"__name__": "example"})  # the example as a module


def test_the_documented_trace_is_that_of_the_example() -> None:
    (shown,) = re.findall(
        r"```text\n\$ output-mock trace s\n(.*?)```", page("docs/guides/traces.md"), re.DOTALL
    )
    (code,) = [code for path, _, code in PYTHON if path == "docs/guides/traces.md"]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "example.py", "exec"), names)
    lines = drawn(names["mock"].runs["s"].trace, width=100)
    assert "\n".join(click.unstyle(line) for line in lines) == shown.rstrip()


def test_code_that_is_quoted_from_a_file_matches_the_file() -> None:
    assert len(QUOTED) >= 5
    for path, file, code in QUOTED:
        text = (ROOT / path).parent.joinpath(file).read_text()
        for piece in code.strip().split("\n\n\n"):
            assert f"\n\n{piece}\n" in text, f"{file} has not what {path} shows:\n{piece}"


def test_the_documented_tests_pass_or_fail_as_shown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{f"test_{number}": code for number, (code, _) in enumerate(SUITES)})
    pytester.makeini(blocks("docs/start/python-tests.md", "ini")[0])
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    reports = [report for _, report in SUITES if report]
    # A test that runs against each version passes several times.
    outcomes = result.parseoutcomes()
    assert outcomes.pop("passed") >= len(SUITES) - len(reports)
    assert outcomes == {"failed": len(reports)}
    for report in reports:
        pattern = as_pattern(report)
        assert re.search(pattern, result.stdout.str(), re.DOTALL), f"{report}\n{result.stdout.str()}"


def test_the_fixtures_marker_and_options_are_documented(pytestconfig: pytest.Config) -> None:
    told = re.findall(r"^\| `([^`(=]+)", page("docs/reference/pytest.md"), re.MULTILINE)
    assert set(settings.NAMES) <= set(told)
    assert {name for name in vars(plugin) if name.startswith("output_")} <= set(told)
    assert {"--output-url", "--output-token", "--output-seed"} <= set(told)
    ini = re.findall(r"^\| `\w+` \| `(output_\w+)` \|", page("docs/reference/pytest.md"), re.MULTILINE)
    assert {f"output_{name}" for name in settings.NAMES} - set(ini) == {"output_start"}
    for name in ini:
        pytestconfig.getini(name)


def test_the_documented_script_file_can_be_served(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text(next(code for path, _, code in PYTHON if path == "docs/guides/serve.md"))
    mock = OutputMock(scripts=[file])
    mock.clock.run_due()
    assert [run.output for run in mock.runs.values()] == [{"summary": "short"}]


@pytest.mark.parametrize("example", YAML, ids=name)
def test_the_yaml_examples_are_valid_scripts(example: tuple[str, int, str], tmp_path: Path) -> None:
    file = tmp_path / "workflows.yaml"
    code = example[2]
    file.write_text(code)
    (script,) = load_file(file)
    assert script.mentions().loose_ends(script.mentions().called) == []
    assert Draft202012Validator(document()).is_valid(yaml.safe_load(code))


def test_the_yaml_example_does_what_its_text_says(tmp_path: Path) -> None:
    file = tmp_path / "workflows.yaml"
    file.write_text(blocks("docs/guides/scripts-yaml.md", "yaml")[1])
    mock = OutputMock(scripts=[file])
    client = mock.app.test_client()

    def run(name: str, input: object) -> Any:
        return client.post("/workflow/run", json={"workflowName": name, "input": input}).json

    assert run("summarize_url", {"url": "https://good.example"})["output"] == {"summary": "short"}
    assert run("summarize_url", {"url": "https://bad.example"})["error"]["message"] == "no such page"
    slow = {"workflowName": "summarize_url", "workflowId": "slow", "input": {"url": "u", "words": 2000}}
    client.post("/workflow/start", json=slow)
    mock.clock.advance("45m")
    assert mock.runs["slow"].output == {"summary": "2000 words about u"}
    for workflow_id in ("first", "second"):
        started = {"workflowName": "pipeline_v1", "workflowId": workflow_id, "input": {"topic": "bees"}}
        client.post("/workflow/start", json=started)
        while client.post(f"/workflow/{workflow_id}/query/getProgress").json["stage"] != "review":
            pass
        threshold = {"payload": {"threshold": 0.5}}
        answer = client.post(f"/workflow/{workflow_id}/update/setThreshold", json=threshold)
        assert answer.json == {"before": 0.8, "now": 0.5}
        client.post(f"/workflow/{workflow_id}/signal/approve", json={"payload": {"by": "ana"}})
        mock.clock.advance("1m")
    assert [mock.runs["first"].status, mock.runs["first"].error["message"]] == ["failed", "busy"]
    assert mock.runs["second"].output == {"url": "https://example.com/1", "by": "ana"}
    assert mock.script_errors == []


def test_the_settings_in_the_documented_configuration_file_exist(tmp_path: Path) -> None:
    (file,) = blocks("docs/reference/environment.md", "toml")
    (tmp_path / "output-mock.toml").write_text(file)
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "hello.yaml").write_text("workflows: [{name: hello, returns: 1}]\n")
    assert run("check", cwd=tmp_path).stdout == "workflows/hello.yaml: ok, 1 workflow: hello\n"
    # The file is read before anything else.
    assert "'--port': 'x' is not a port" in one_line(run("serve", "--port", "x", cwd=tmp_path))
    assert "'x' is neither a number nor 'auto'" in one_line(run("verify", "-n", "x", cwd=tmp_path))


def test_the_two_commands_of_the_readme_exist_in_the_package() -> None:
    commands = blocks("README.md", "sh")
    assert len(commands) == 2
    project = (ROOT / "pyproject.toml").read_text()
    assert "output-mock serve" in commands[0]
    assert 'output-mock = "output_mock.__main__:main"' in project
    assert ".[dev]" in commands[1]
    assert re.search(r"^dev = \[", project, re.MULTILINE)


def test_the_documented_numbers_match_the_code() -> None:
    text = " ".join(EVERYTHING.split()) + " ".join((ROOT / "CHANGELOG.md").read_text().split())
    verify_options = {option.name: option.default for option in verify.params}
    serve_options = {option.name: option.default for option in serve.params}
    hours = OutputMock().world.execution_timeout / (3600 * SECOND)
    expected = {
        r"It makes ([\d,]+) requests at most": verify_options["max_requests"],
        r"takes (\w+) minutes at most": verify_options["max_seconds"] / 60,
        r"how many calls each world keeps \((\d+)\)": serve_options["journal"],
        r"how many worlds there may be \((\d+)\)": serve_options["worlds"],
        r"A step is tried (\w+) times": activity_options(where="").maximum_attempts,
        r"A run has an execution timeout, (\d+) hours": hours,
        r"\((\d+) MB, streamed\)": trace_log._HUGE / 1024**2,
    }
    words = {"three": 3, "ten": 10}
    for pattern, number in expected.items():
        said = re.findall(pattern, text)
        assert said, pattern
        for word in said:
            assert words.get(word) == number or word.replace(",", "") == f"{number:g}", pattern


def test_the_documented_numbers_of_the_suite_are_consistent() -> None:
    numbers = set(re.findall(r"all (\d+) of (\d+) pass", " ".join(EVERYTHING.split())))
    (shown,) = re.findall(r"^ +(\d+) +1 +0$", EVERYTHING, re.MULTILINE)
    total = str(int(shown) + 1)
    assert numbers == {(total, total)}
    assert re.findall(r"in (\d+) checks", " ".join((ROOT / "CHANGELOG.md").read_text().split())) == [total]
