"""Script files that never finish loading, are no regular files, or exit the program are reported."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from output_mock import OutputMock
from output_mock.scripts.file_error import ScriptFileError
from output_mock.scripts.loading import load_file
from tests.cli.forked import Forked
from tests.cli.test_cli import ENVIRONMENT, Serve, one_line, run, serve, until  # noqa: F401
from tests.cli.test_watch import Watched, watch  # noqa: F401
from tests.conftest import no_hang

GOOD = "from output_mock import Script\nscript = Script()\nscript.workflow('w').returns({})\n"
ENDLESS = {
    "spins": "while True:\n    pass\n",
    "catches everything": (
        "import os\ndef over():\n    return os.path.exists(__file__ + '.over')\n"
        "while not over():\n    try:\n        while not over(): pass\n    except BaseException: pass\n"
    ),
    "waits for ever": "import threading\nthreading.Event().wait()\n",
    "is blocked": "import os\nos.read(os.pipe()[0], 1)\n",
}
ENDING = {
    "KeyboardInterrupt": "raise KeyboardInterrupt\n",
    "SystemExit": "raise SystemExit(3)\n",
    "GeneratorExit": "raise GeneratorExit\n",
    "CancelledError": "import asyncio\nraise asyncio.CancelledError\n",
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_script_file_is_reported_by_watch(
    watch: Callable[..., Watched],  # noqa: F811
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("output_mock.cli.reading.LIMIT", 0.5)
    fake = watch(a__py=GOOD.format("'old'"), b__yaml="workflows: [{name: v, returns: 1}]")
    fake.write("a.py", GOOD.format("'never'") + ENDLESS[kind])
    try:
        with no_hang():
            fake.until_told("a.py: not loaded; its old workflows are still served")
            assert (
                "a.py:1:1: loading takes too long and was stopped: after 0.5 s it is still at "
                in fake.told[0]
            )
            assert fake.client.run("w")["output"] == "old"
            fake.write("b.yaml", "workflows: [{name: v, returns: 2}]")
            fake.until_told("b.yaml: loaded")
            fake.write("a.py", GOOD.format("'new'"))
            fake.until_told("a.py: loaded")
            assert fake.client.run("w")["output"] == "new"
    finally:
        # Files whose loading cannot be stopped would keep this process busy until its end.
        (tmp_path / "a.py.over").touch()


def test_the_line_where_a_script_file_hangs_is_reported(
    watch: Callable[..., Watched],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("output_mock.cli.reading.LIMIT", 0.5)
    fake = watch(a__py=GOOD.format(1))
    fake.write("a.py", GOOD.format(1) + "import time\nwhile True: time.sleep(0.01)\n")
    fake.until_told("not loaded")
    assert "it is still at line 5" in fake.told[0]


@pytest.mark.parametrize("kind", ENDING)
def test_a_script_file_that_exits_the_program_is_reported(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(GOOD.format(1) + ENDING[kind])
    with pytest.raises(ScriptFileError, match=rf"a\.py, line [45]: it .*{kind}"):
        load_file(file)
    ended = run("check", file)
    assert ended.returncode == 1
    assert f"{file}:" in ended.stdout
    assert kind in ended.stdout


@pytest.mark.parametrize("kind", ENDING)
def test_watch_keeps_the_old_version_of_a_script_that_exits_the_program(
    watch: Callable[..., Watched],  # noqa: F811
    kind: str,
) -> None:
    fake = watch(a__py=GOOD.format("'old'"))
    fake.write("a.py", GOOD.format("'new'") + ENDING[kind])
    fake.until_told("a.py: not loaded")
    assert kind in fake.told[0]
    assert fake.client.run("w")["output"] == "old"
    fake.write("a.py", GOOD.format("'new'"))
    fake.until_told("a.py: loaded")


def test_ctrl_c_while_a_file_is_read_ends_the_process(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass\n")
    with no_hang(), pytest.raises(KeyboardInterrupt):
        load_file(file)


# Paths that are no files


def no_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Paths that are not regular files, and the error message of each."""
    os.mkfifo(folder / "pipe.yaml")
    (folder / "folder.py").mkdir()
    listening = socket.socket(socket.AF_UNIX)
    # The path may be too long for a socket; a link to a short one is not.
    short = Path("/tmp") / f"output-mock-{os.getpid()}.sock"
    short.unlink(missing_ok=True)
    listening.bind(str(short))
    listening.close()
    for name, target in {
        "zero.yaml": Path("/dev/zero"),
        "zero.py": Path("/dev/zero"),
        "link.py": folder / "pipe.yaml",
        "socket.yaml": short,
        "loop.yaml": folder / "loop.yaml",
    }.items():
        (folder / name).symlink_to(target)
    with (folder / "huge.yaml").open("wb") as file:
        file.truncate(3_000_000_000)
    with (folder / "huge.py").open("wb") as file:
        file.truncate(3_000_000_000)
    return {
        "pipe.yaml": (folder / "pipe.yaml", "it is a pipe"),
        "link.py": (folder / "link.py", "it is a pipe"),
        "zero.yaml": (folder / "zero.yaml", "it is a device"),
        "zero.py": (folder / "zero.py", "it is a device"),
        "socket.yaml": (folder / "socket.yaml", "it is a socket"),
        "folder.py": (folder / "folder.py", "folder"),
        "loop.yaml": (folder / "loop.yaml", "the file cannot be read"),
        "huge.yaml": (folder / "huge.yaml", "it has 3000.0 MB, and a script has 10 MB at most"),
        "huge.py": (folder / "huge.py", "it has 3000.0 MB, and a script has 10 MB at most"),
    }


NAMES = [
    *("pipe.yaml", "link.py", "zero.yaml", "zero.py", "socket.yaml", "folder.py"),
    *("loop.yaml", "huge.yaml", "huge.py"),
]


# The command loads all scripts of a folder.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "folder.py"])
def test_a_script_path_that_is_no_file_is_refused_at_the_start(name: str, tmp_path: Path) -> None:
    path, words = no_files(tmp_path)[name]
    with no_hang():
        assert words in run("check", path).stdout
        assert words in one_line(run("serve", path, "--port", "0"))
        with pytest.raises(ScriptFileError, match=words.replace(".", r"\.")):
            OutputMock(scripts=[path])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "loop.yaml"])
def test_a_watched_script_that_is_no_longer_a_file_is_reported_and_the_old_version_stays(
    watch: Callable[..., Watched],  # noqa: F811
    name: str,
    tmp_path: Path,
) -> None:
    fake = watch(
        a__yaml="workflows: [{name: w, returns: old}]", b__py=GOOD.format("'old'").replace("'w'", "'v'")
    )
    inside = tmp_path / "inside"
    inside.mkdir()
    path, words = no_files(inside)[name]
    file = tmp_path / ("a.yaml" if name.endswith("yaml") else "b.py")
    file.unlink()
    path.rename(file)
    with no_hang():
        fake.until_told("not loaded")
        assert words in fake.told[0]
        assert {fake.client.run("w")["output"], fake.client.run("v")["output"]} == {"old"}


# Errors that scripts raise at run time


SCRIPT = """
import asyncio
from output_mock import Script
script = Script()
script.workflow("fine").returns(1)
ERROR = {error}

def raises(*_):
    raise ERROR

@script.workflow("body")
async def body(ctx, input):
    raises()

@script.workflow("task")
async def task(ctx, input):
    await asyncio.create_task(in_a_task())

async def in_a_task():
    raises()

@script.workflow("step")
async def step(ctx, input):
    await ctx.step("fetch", input, returns=raises)

@script.workflow("condition")
async def condition(ctx, input):
    await ctx.condition(raises)

@script.workflow("handlers")
async def handlers(ctx, input):
    ctx.on_query("ask", raises)
    ctx.on_update("change", raises)
    ctx.on_update("checked", lambda payload: 1, validator=raises)
    ctx.on_signal("tell", raises)
    await ctx.wait_for_signal("go")

script.workflow("when").when(raises).returns(1)
script.workflow("returns").returns(raises)
"""


@pytest.mark.parametrize("clock", ["auto", "real"])
@pytest.mark.parametrize("error", ["KeyboardInterrupt()", "SystemExit(3)", "GeneratorExit()"])
def test_a_script_that_exits_the_program_ends_only_its_run(
    serve: Serve,  # noqa: F811
    tmp_path: Path,
    error: str,
    clock: str,
) -> None:
    (tmp_path / "a.py").write_text(SCRIPT.replace("{error}", error))
    fake = serve("a.py", "--clock", clock)
    name = error.partition("(")[0]
    for workflow in ("body", "task", "step", "condition", "when", "returns"):
        answer = fake.ask("POST", "/workflow/run", {"workflowName": workflow})
        assert (answer.status, answer.json["error"]) == (500, "ScriptError"), (workflow, answer.json)
        assert name in answer.json["message"], workflow
        assert "a.py, line " in answer.json["message"], workflow
    for kind in ("query/ask", "update/change", "update/checked", "signal/tell"):
        workflow_id = kind.replace("/", "-")
        fake.ask("POST", "/workflow/start", {"workflowName": "handlers", "workflowId": workflow_id})
        until(lambda id=workflow_id: fake.ask("GET", f"/workflow/{id}/status").json["status"] == "running")
        until(lambda id=workflow_id: "signal" in fake.ask("GET", f"/__mock__/runs/{id}").json["progress"])
        answer = fake.ask("POST", f"/workflow/{workflow_id}/{kind}", {"payload": {}})
        assert answer.status == (200 if kind.startswith("signal") else 500), (kind, answer)
        errors = fake.ask("GET", "/__mock__/world").json["scriptErrors"]
        assert name in errors[-1], kind
    answer = fake.ask("POST", "/workflow/run", {"workflowName": "fine"})
    assert answer.json["output"] == 1
    assert fake.stop() == 0


@pytest.mark.parametrize("kind", ["waits for ever", "catches everything"])
def test_serve_reports_an_endless_script_file_and_ends_on_ctrl_c(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(ENDLESS[kind])
    log = tmp_path / "stderr.txt"
    log.touch()
    process = Forked(["serve", "a.py", "--port", "0"], ENVIRONMENT, tmp_path, log)
    try:
        until(lambda: "a.py: still being read after 5 s, at line " in log.read_text())
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
        assert process.wait(0) == 130
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait(60)
        process.stdout.close()
