"""Every example of the README does what the README says."""

from __future__ import annotations

import http.client
import re
import shlex
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from output_mock import OutputMock
from output_mock.control.front import Front
from output_mock.control.worlds import Worlds
from output_mock.scripts.demo import script as demonstration
from output_mock.server import running

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
CONSOLE = [code for language, code in BLOCKS if language == "console"]


def curl(command: str, port: int) -> str:
    """Do what the README's curl lines ask for, without curl: `-s`, `-X`, `-H`, `-d` and a URL."""
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
    """The README's `…` stands for anything."""
    return ".*?".join(re.escape(part) for part in expected.split("…"))


def test_every_curl_line_gets_the_answer_that_is_shown() -> None:
    def make(options: Mapping[str, Any]) -> OutputMock:
        return OutputMock(options.get("clock", "auto"), options.get("seed", 0), scripts=[demonstration])

    seen = 0
    worlds = Worlds(make({}), make)
    with running(Front(worlds)) as url:
        port = urllib.parse.urlsplit(url).port
        assert port is not None
        for block in CONSOLE:
            for exchange in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, expected = exchange.strip().partition("\n")
                answer = curl(command, port)
                assert re.fullmatch(as_pattern(expected), answer, re.DOTALL), (
                    f"{command}\nREADME: {expected}\nanswer: {answer}"
                )
                seen += 1
    worlds.close()
    assert seen >= 36


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_the_python_examples_run_and_their_assertions_hold(code: str, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(code)
    exec(compile(code, str(file), "exec"), {"__name__": "example"})  # the example as a module


def test_the_script_file_that_is_shown_can_be_served(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text(next(code for code in PYTHON if "script = Script()" in code))
    mock = OutputMock(scripts=[file])
    mock.clock.run_due()
    assert [run.output for run in mock.runs.values()] == [{"summary": "short"}]


def test_the_two_commands_name_what_the_package_offers() -> None:
    commands = [code for language, code in BLOCKS if language == "sh"]
    assert len(commands) == 2
    project = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert "output-mock serve" in commands[0]
    assert 'output-mock = "output_mock.cli:main"' in project
    assert ".[dev]" in commands[1]
    assert re.search(r"^dev = \[", project, re.MULTILINE)
