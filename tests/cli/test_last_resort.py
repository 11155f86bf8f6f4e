"""The process ends after a signal even when a script never releases the interpreter."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from output_mock.cli.last_resort import LastResort
from tests.cli.test_cli import PATIENCE, Serve, serve, until  # noqa: F401

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals end a process at once there")

SCRIPT = """
import re
from output_mock import Script
script = Script()
script.workflow("fine").returns(1)

@script.workflow("endless")
async def endless(ctx, input):
    open("begun", "w").close()
    re.match(r"(a|a)*$", "a" * 60 + "!")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_endless_regular_expression_does_not_keep_the_server_alive(
    serve: Serve,  # noqa: F811
    tmp_path: Path,
    number: int,
) -> None:
    (tmp_path / "a.py").write_text(SCRIPT)
    fake = serve("a.py")
    fake.start("endless", "wf")
    # On this clock a request lets the run begin after the response.
    with closing(fake.send("/workflow/wf/status")):
        until(lambda: (tmp_path / "begun").exists())
        # It was killed, so the exit status is not that of a regular end.
        assert fake.stop(number) == -signal.SIGKILL


def test_a_server_that_ends_in_time_is_not_killed(serve: Serve, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "a.py").write_text(SCRIPT)
    fake = serve("a.py")
    assert fake.ask("POST", "/workflow/run", {"workflowName": "fine"}).status == 200
    assert fake.stop() == 0


PROGRAM = """
import signal, sys
from output_mock.cli.last_resort import LastResort
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGUSR1, lambda *_: None)
last_resort = LastResort([signal.SIGTERM])
print(last_resort._process.pid, flush=True)
for line in sys.stdin:
    if line == "close\\n":
        last_resort.close()
    print(line, end="", flush=True)
"""


@pytest.fixture
def program() -> subprocess.Popen[str]:  # type: ignore[misc]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.helper = int(process.stdout.readline())  # type: ignore[attr-defined]
        yield process
        process.kill()


def said(program: subprocess.Popen[str], line: str) -> str:
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(line)
    program.stdin.flush()
    return program.stdout.readline()


def is_there(number: int) -> bool:
    return (
        Path(f"/proc/{number}").exists() and "\nState:\tZ" not in Path(f"/proc/{number}/status").read_text()
    )


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks for processes in /proc")


@needs_proc
@pytest.mark.parametrize("way", ["killed", "ended", "closed"])
def test_the_watchdog_process_ends_with_the_server(program: subprocess.Popen[str], way: str) -> None:
    assert program.stdin is not None
    if way == "killed":
        program.kill()
    elif way == "ended":
        program.stdin.close()
    else:
        assert said(program, "close\n") == "close\n"
    until(lambda: not is_there(program.helper))  # type: ignore[attr-defined]


def test_only_the_chosen_signals_kill_the_process(program: subprocess.Popen[str]) -> None:
    program.send_signal(signal.SIGUSR1)
    assert said(program, "a\n") == "a\n"
    assert program.poll() is None
    program.send_signal(signal.SIGTERM)
    assert program.wait(PATIENCE) == -signal.SIGKILL


def test_a_watchdog_process_that_cannot_start_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = signal.set_wakeup_fd(-1)
    try:
        LastResort([signal.SIGTERM]).close()
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.set_wakeup_fd(before)
