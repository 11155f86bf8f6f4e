"""The command `output-mock compare`, on fakes over sockets."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from output_mock import OutputMock
from tests.cli.commands import one_line, run
from tests.comparing.broken import Answer, Broken

SCRIPT = """\
from output_mock import Script

script = Script()
script.workflow("hello").returns("hi")
"""


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    path = tmp_path / "hello.py"
    path.write_text(SCRIPT)
    return path


def test_compare_writes_differences_that_replay_reproduces_and_nothing_else(
    hello: Path, tmp_path: Path
) -> None:
    def lost_status(method: str, path: str, value: Any, answer: Answer) -> Answer:
        lost = isinstance(value, dict) and "startedAt" in value and path.endswith("/status")
        return (*answer[:2], json.dumps(value | {"startedAt": None}).encode()) if lost else answer

    mock = OutputMock("auto", scripts=[hello])
    other = OutputMock("auto", scripts=[hello])
    other.app.wsgi_app = Broken(other.app.wsgi_app, lost_status)  # type: ignore[method-assign]
    mock.world.patience = other.world.patience = 0.0
    folder = tmp_path / "run"
    folder.mkdir()
    with mock.serve() as first, other.serve() as second:
        words = [
            first,
            second,
            "--script",
            hello,
            "--seed",
            "3",
            "--sequences",
            "8",
            "--settle",
            "0s",
            "--at-once",
            "1",
        ]
        ended = run("compare", *words, "--json", cwd=folder)
        assert ended.returncode == 1, ended.stderr
        report = json.loads(ended.stdout)
        assert report["seed"] == 3
        assert {kind["difference"] for kind in report["kinds"]} == {"body/startedAt"}
        files = {kind["file"] for kind in report["kinds"]}
        assert {f"{one}" for one in folder.rglob("*.json")} == {str(folder / one) for one in files}
        assert [one.name for one in folder.iterdir()] == ["differences"]
        assert run("replay", folder / "differences", second).returncode == 1
    assert all(run.status != "running" for run in mock.runs.values())
    mock.close()
    other.close()


def test_ctrl_c_ends_compare_with_a_report(hello: Path, tmp_path: Path) -> None:
    pressed: list[str] = []

    def impatient(method: str, path: str, value: Any, answer: Answer) -> Answer:
        if path == "/workflow/start" and not pressed:
            pressed.append(path)
            os.kill(os.getpid(), signal.SIGINT)
        return answer

    mock = OutputMock("auto", scripts=[hello])
    mock.app.wsgi_app = Broken(mock.app.wsgi_app, impatient)  # type: ignore[method-assign]
    with mock.serve() as url:
        ended = run("compare", url, url, "--script", hello, cwd=tmp_path)
    assert ended.stdout.startswith("it was interrupted; the report shows what was found before\n")
    assert ended.returncode == 2
    mock.close()


def test_a_failure_to_start_comparing_is_reported_in_one_line(hello: Path, tmp_path: Path) -> None:
    mock = OutputMock("auto")
    mock.workflow("other").returns(1)
    with mock.serve() as url:
        words = one_line(run("compare", url, url, "--script", hello, cwd=tmp_path))
        assert f"{url} does not offer hello; start it with the same script" in words
        gone = run("compare", url, "http://127.0.0.1:9", "--script", hello, cwd=tmp_path)
    assert gone.returncode == 2
    assert "http://127.0.0.1:9: no server answers there" in one_line(gone)
    missing = run("compare", url, url, "--script", tmp_path / "none.py", cwd=tmp_path)
    assert missing.returncode == 2
    assert "there is no such file" in one_line(missing)
    mock.close()
