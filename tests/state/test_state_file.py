"""`serve --state FILE`: a restarted server has its state again, and no other file is changed."""

from __future__ import annotations

import http.client
import os
import random
import re
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from output_mock import OutputMock
from output_mock.control.front import Front
from output_mock.control.saver import begun
from output_mock.control.worlds import Worlds
from output_mock.state import database
from output_mock.state.database import Changes, StateFileError, opened
from tests.cli.commands import PATIENCE
from tests.cli.test_cli import Fake, Serve, serve, until
from tests.conftest import in_another_thread, no_hang
from tests.engine.test_properties import check_history

__all__ = ["serve"]

SCRIPT = """
from output_mock import Script, Failure

script = Script()
script.workflow("turns").returns(1).then.returns(2).then.returns(3)


@script.workflow("approval")
async def approval(ctx, given):
    ctx.on_query("stage", lambda payload: "asked")
    await ctx.step("draft", given, fails=[Failure("busy"), None], takes="1s")
    await ctx.child("turns")
    decision = await ctx.wait_for_signal("approve", timeout="12h")
    return {"by": decision["by"]}


@script.workflow("counts")
async def counts(ctx, given):
    seen = []
    ctx.on_signal("n", lambda payload: seen.append(payload["n"]))
    ctx.on_query("seen", lambda payload: seen)
    await ctx.condition(lambda: len(seen) >= 1000)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    return file


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def written(fake: Fake) -> datetime:
    """The time up to which everything in a server is saved."""
    return datetime.fromisoformat(
        fake.get("/__mock__/version").json["state"]["written"].replace("Z", "+00:00")
    )


def until_written(fake: Fake) -> None:
    """Wait until the effect of all requests so far is in the file."""
    now = datetime.now().astimezone()
    until(lambda: written(fake) >= now)


def killed(fake: Fake) -> None:
    until_written(fake)
    assert fake.stop(signal.SIGKILL) == -signal.SIGKILL


def stopped(fake: Fake) -> None:
    assert fake.stop(signal.SIGTERM) == 0


def interrupted(fake: Fake) -> None:
    assert fake.stop(signal.SIGINT) == 0


def whole_history(fake: Fake, workflow_id: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    query = ""
    while True:
        page = fake.get(f"/workflow/{workflow_id}/history{query}").json
        events += page["events"]
        if page["nextPageToken"] is None:
            return events
        query = f"?runId={page['runId']}&pageToken={page['nextPageToken']}"


@pytest.mark.parametrize("end", [killed, stopped, interrupted])
def test_a_restarted_server_continues_however_the_last_one_ended(
    serve: Serve, script: Path, state: Path, end: Callable[[Fake], None]
) -> None:
    fake = serve(script, "--state", state)
    fake.start("approval", "a", input={"topic": "bees"})
    for _ in range(8):
        fake.get("/workflow/a/status")
    assert fake.ask("PUT", "/__mock__/workflows/brought", {"returns": {"n": 1}}).status == 201
    assert fake.ask("POST", "/workflow/run", {"workflowName": "turns"}).json["output"] == 2
    assert fake.ask("POST", "/__mock__/faults", {"status": 503, "route": "catalog", "times": 2}).status == 201
    assert fake.get("/workflow/catalog").status == 503
    made = {"name": "theirs", "tokens": ["s3cret-of-theirs"], "clock": "manual"}
    assert fake.ask("POST", "/__mock__/worlds", made).status == 201
    theirs = {"Authorization": "Bearer s3cret-of-theirs"}
    assert (
        fake.ask("POST", "/workflow/start", {"workflowName": "turns", "workflowId": "t"}, **theirs).status
        == 200
    )
    assert fake.ask("POST", "/__mock__/clock/advance", {"by": "90s"}, **theirs).status == 200
    paths = (
        "/workflow/a/history",
        "/workflow/a/status",
        "/workflow/runs",
        "/__mock__/runs/a",
        "/__mock__/workflows",
    )
    before = [fake.get(path).json for path in paths]
    clock = fake.get("/__mock__/clock").json
    assert "waiting for signal 'approve'" in before[3]["progress"]
    end(fake)

    assert state.stat().st_mode & 0o777 == 0o600
    assert b"s3cret-of-theirs" not in state.read_bytes()
    again = serve(script, "--state", state)
    assert [again.get(path).json for path in paths] == before
    assert again.get("/__mock__/clock").json == clock
    assert [again.get("/workflow/catalog").status for _ in range(2)] == [503, 200]
    assert again.ask("POST", "/workflow/run", {"workflowName": "brought"}).json["output"] == {"n": 1}
    assert again.ask("POST", "/workflow/run", {"workflowName": "turns"}).json["output"] == 3
    assert again.get("/workflow/t/result", **theirs).json["output"] == 1
    assert again.get("/__mock__/clock", **theirs).json["now"] == "2026-01-01T00:01:30.000Z"
    assert again.get("/workflow/t/result").status == 404
    assert again.ask("POST", "/workflow/a/signal/approve", {"payload": {"by": "ana"}}).status == 200
    assert again.get("/workflow/a/status").json["status"] == "completed"
    assert again.get("/workflow/a/result").json["output"] == {"by": "ana"}
    check_history(again.get("/workflow/a/history").json["events"], "completed")
    end(again)
    last = serve(script, "--state", state)
    assert last.ask("POST", "/workflow/a/query/stage", {}).json == "asked"


def test_a_kill_at_any_moment_loses_no_saved_run_and_duplicates_none(
    serve: Serve, script: Path, state: Path
) -> None:
    chance = random.Random(8)
    answered: dict[str, list[tuple[float, int]]] = {}
    sent: dict[str, int] = {}
    for turn in range(4):
        fake = serve(script, "--state", state)
        over = threading.Event()

        def ask(client: int, fake: Fake = fake, turn: int = turn, over: threading.Event = over) -> None:
            name, number = f"{turn}-{client}-0", 0
            while not over.is_set():
                if number % 40 == 0:
                    name = f"{turn}-{client}-{number}"
                    sent[name] = 0
                    body = {"workflowName": "counts", "workflowId": name}
                    path = "/workflow/start"
                else:
                    sent[name] += 1
                    path, body = f"/workflow/{name}/signal/n", {"payload": {"n": sent[name]}}
                try:
                    if fake.ask("POST", path, body).status != 200:
                        return
                except (OSError, ValueError, http.client.HTTPException):
                    return
                answered.setdefault(name, []).append((time.time(), sent[name]))
                number += 1

        clients = [threading.Thread(target=ask, args=(client,)) for client in range(3)]
        with no_hang():
            for client in clients:
                client.start()
            time.sleep(chance.uniform(0.2, 1.5))
            until_written(fake)
            by = written(fake).timestamp()
            time.sleep(chance.uniform(0, 0.5))
            fake.process.kill()
            fake.process.wait(60.0)
            over.set()
            for client in clients:
                client.join()

        again = serve(script, "--state", state)
        there = {run["workflowId"] for run in again.get("/workflow/runs?limit=1000").json["runs"]}
        assert there <= {*sent, "main"}
        for name, answers in answered.items():
            certain = [number for when, number in answers if when < by]
            if not certain:
                continue
            seen = again.ask("POST", f"/workflow/{name}/query/seen", {}).json
            assert seen == list(range(1, len(seen) + 1)), name
            assert certain[-1] <= len(seen) <= sent[name]
            check_history(whole_history(again, name), "running")
        for name in list(answered):
            # A run that is missing now is lost.
            if name in there:
                seen = again.ask("POST", f"/workflow/{name}/query/seen", {}).json
                answered[name], sent[name] = [(0.0, len(seen))], len(seen)
            else:
                del answered[name]
        stopped(again)


def test_on_the_real_clock_time_passes_while_the_server_is_down(
    serve: Serve, tmp_path: Path, state: Path
) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("workflows:\n  - name: short\n    takes: 1s\n    returns: done\n")
    fake = serve(file, "--state", state, "--clock", "real")
    fake.start("short", "a")
    killed(fake)
    again = serve(file, "--state", state, "--clock", "real")
    until(lambda: again.get("/workflow/a/status").json["status"] == "completed")
    assert again.get("/workflow/a/result").json["output"] == "done"


# Scripts


CHANGED = SCRIPT.replace('await ctx.step("draft"', 'await ctx.step("other"')


@pytest.mark.parametrize("change", [CHANGED, SCRIPT.replace('"approval"', '"renamed"')])
def test_a_run_whose_script_changed_or_is_missing_waits_for_it(
    serve: Serve, script: Path, state: Path, change: str
) -> None:
    fake = serve(script, "--state", state)
    fake.start("approval", "a")
    for _ in range(8):
        fake.get("/workflow/a/status")
    before = fake.get("/workflow/a/history").json["events"]
    stopped(fake)

    script.write_text(change)
    other = serve(script, "--state", state)
    until(lambda: "the run 'a' cannot continue without its script" in other.log)
    assert other.get("/workflow/a/status").json["status"] == "running"
    assert other.get("/workflow/a/history").json["events"] == before
    assert other.get("/__mock__/runs/a").json["progress"].startswith("waiting for its script")
    assert other.ask("POST", "/workflow/a/query/stage", {}).json["error"] == "ScriptError"
    assert other.ask("POST", "/workflow/a/signal/approve", {"payload": {"by": "ana"}}).status == 200
    stopped(other)

    script.write_text(SCRIPT)
    again = serve(script, "--state", state)
    again.get("/workflow/a/status")
    assert again.get("/workflow/a/result").json["output"] == {"by": "ana"}
    events = again.get("/workflow/a/history").json["events"]
    assert events[: len(before)] == before
    check_history(events, "completed")


def test_a_run_that_waits_for_its_script_can_be_ended(serve: Serve, script: Path, state: Path) -> None:
    fake = serve(script, "--state", state)
    fake.start("approval", "a")
    fake.get("/workflow/a/status")
    stopped(fake)
    script.write_text(CHANGED)
    other = serve(script, "--state", state)
    assert other.ask("POST", "/workflow/a/terminate", {}).status == 200
    assert other.get("/workflow/a/status").json["status"] == "terminated"


def test_a_run_of_a_yaml_file_keeps_its_script_and_new_runs_use_the_current_file(
    serve: Serve, tmp_path: Path, state: Path
) -> None:
    file = tmp_path / "script.yaml"
    text = "workflows:\n  - name: w\n    steps:\n      - wait_for_signal: go\n    returns: {0}\n"
    file.write_text(text.format("old"))
    fake = serve(file, "--state", state)
    fake.start("w", "a")
    fake.get("/workflow/a/status")
    stopped(fake)
    file.write_text(text.format("new"))
    again = serve(file, "--state", state)
    again.start("w", "b")
    for name, output in (("a", "old"), ("b", "new")):
        assert again.ask("POST", f"/workflow/{name}/signal/go", {}).status == 200
        again.get(f"/workflow/{name}/status")
        assert again.get(f"/workflow/{name}/result").json["output"] == output


def test_removed_workflows_stay_removed_and_new_ones_of_the_script_are_added(
    serve: Serve, script: Path, state: Path
) -> None:
    fake = serve(script, "--state", state)
    assert fake.ask("DELETE", "/__mock__/workflows/turns").status == 204
    stopped(fake)
    script.write_text(SCRIPT + '\nscript.workflow("added").returns(5)\n')
    again = serve(script, "--state", state)
    names = {one["name"] for one in again.get("/__mock__/workflows").json["workflows"]}
    assert names == {"approval", "counts", "added"}


# Files that are refused


def is_a_link(state: Path) -> None:
    opened(state.with_name("other")).close()
    state.symlink_to(state.with_name("other"))


def is_a_folder(state: Path) -> None:
    state.mkdir()


def is_a_pipe(state: Path) -> None:
    os.mkfifo(state)


def is_a_text(state: Path) -> None:
    state.write_text("dear diary\n" * 100)


def is_another_database(state: Path) -> None:
    connection = sqlite3.connect(state)
    connection.execute("CREATE TABLE mine (what TEXT)")
    connection.commit()
    connection.close()


def is_of_another_version(state: Path) -> None:
    opened(state).close()
    connection = sqlite3.connect(state)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def can_be_written_by_others(state: Path) -> None:
    opened(state).close()
    state.chmod(0o666)


def has_lost_its_end(state: Path) -> None:
    filled(state)
    data = state.read_bytes()
    state.write_bytes(data[: len(data) // 2])


def has_other_bytes(state: Path) -> None:
    filled(state)
    data = bytearray(state.read_bytes())
    at = data.index(b'"workflowId":"a"')
    data[at + 14] = ord("b")
    state.write_bytes(data)


def filled(state: Path) -> None:
    mock = OutputMock()
    mock.workflow("w").returns("x" * 5000)
    saver = begun(state, Worlds(mock), lambda _: None)
    mock.world.start("w", workflow_id="a")
    mock.clock.advance(1)
    saver.close(60)
    mock.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (is_a_link, "is a link"),
        (is_a_folder, "directory"),
        (is_a_pipe, "is not a file"),
        (is_a_text, "is not a state file of output-mock; it is left as it is"),
        (is_another_database, "is not a state file of output-mock; it is left as it is"),
        (is_of_another_version, "its format is 99, this version reads 3"),
        (can_be_written_by_others, "chmod 600"),
        (has_lost_its_end, "is damaged"),
        (has_other_bytes, "is damaged"),
    ],
)
def test_a_damaged_state_file_is_refused_and_left_unchanged(
    state: Path, script: Path, spoil: Callable[[Path], None], words: str
) -> None:
    from tests.cli.commands import one_line, run

    spoil(state)
    before = (os.lstat(state), state.read_bytes() if state.is_file() else b"")
    ended = run("serve", script, "--port", "0", "--state", state)
    line = one_line(ended)
    assert ended.returncode != 0
    assert words in line
    assert str(state) in line
    after = (os.lstat(state), state.read_bytes() if state.is_file() else b"")
    assert after[1] == before[1]
    assert (after[0].st_ino, after[0].st_mode, after[0].st_mtime_ns) == (
        before[0].st_ino,
        before[0].st_mode,
        before[0].st_mtime_ns,
    )


def test_a_file_of_another_user_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(state).close()
    monkeypatch.setattr(database.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StateFileError, match="belongs to another user"):
        opened(state)


def test_two_servers_never_share_a_file(serve: Serve, script: Path, state: Path) -> None:
    from tests.cli.commands import one_line, run

    fake = serve(script, "--state", state)
    ended = run("serve", script, "--port", "0", "--state", state)
    assert "is in use by another process" in one_line(ended)
    assert fake.get("/__mock__/version").json["state"]["problem"] is None
    stopped(fake)
    stopped(serve(script, "--state", state))


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(script: Path, tmp_path: Path) -> None:
    from tests.cli.commands import one_line, run

    ended = run("serve", script, "--port", "0", "--state", tmp_path / "nowhere" / "state")
    assert re.search(r"cannot make .*nowhere/state: there is no folder .*nowhere; make it", one_line(ended))


def test_an_empty_or_readable_state_file_becomes_private(state: Path) -> None:
    state.touch(mode=0o644)
    opened(state).close()
    assert state.stat().st_mode & 0o777 == 0o600
    state.chmod(0o644)
    opened(state).close()
    assert state.stat().st_mode & 0o777 == 0o600


# A file that can no longer be written


def test_a_full_disk_is_reported_once_and_nothing_is_missing_afterwards(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mock = OutputMock()
    mock.workflow("w").returns(1)
    told: list[str] = []
    saver = begun(state, Worlds(mock), told.append)
    full = True
    write = database.StateFile._write

    def write_unless_full(self: Any, connection: Any, changes: Changes) -> None:
        write(self, connection, changes)
        if full:
            raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(database.StateFile, "_write", write_unless_full)
    mock.world.start("w", workflow_id="a")
    mock.clock.advance(1)
    saver.hurry()
    until(lambda: saver.problem is not None)
    for number in range(3):
        mock.world.start("w", workflow_id=f"b{number}")
        mock.clock.advance(1)
        saver.hurry()
        time.sleep(0.05)
    assert len(told) == 1
    assert "database or disk is full" in told[0]
    full = False
    saver.hurry()
    until(lambda: saver.problem is None)
    assert len(told) == 2
    saver.close(60)
    mock.close()
    again = OutputMock()
    again.workflow("w").returns(1)
    begun(state, Worlds(again), told.append).close(60)
    assert again.world.workflow_ids() == ["a", "b0", "b1", "b2"]
    assert all(again.runs[name].output == 1 for name in again.world.workflow_ids())
    again.close()


def test_a_stuck_world_that_cannot_be_saved_is_reported(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(
        "import os\nfrom output_mock import Script\nscript = Script()\n"
        '@script.workflow("stuck")\nasync def stuck(ctx, input):\n    os.read(os.pipe()[0], 1)\n'
    )
    fake = serve("stuck.py", "--state", "fake.state", "--script-limit", "24h")
    body = b'{"workflowName": "stuck"}'
    head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with closing(socket.create_connection((fake.host, fake.port), timeout=PATIENCE)) as connection:
        connection.sendall(f"POST /workflow/run HTTP/1.1\r\n{head}".encode() + body)
        until(lambda: "SCRIPT STUCK: the script of workflow 'stuck'" in fake.log)
        assert "stuck.py, line 6" in fake.log
        until(lambda: fake.get("/__mock__/version").json["state"]["problem"])
        assert fake.stop() == 0
    assert "is not in fake.state, in the world 'default', because a script blocks it" in fake.log


@pytest.mark.parametrize("world", ["", "/w/default", "/w/other"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/faults", {"status": 503}),
        ("PUT", "/workflows/late", {"returns": 1}),
        ("DELETE", "/workflows/w", None),
        ("PUT", "/clock", {"mode": "manual"}),
    ],
)
def test_changes_by_the_control_plane_are_saved_without_any_run(
    state: Path, monkeypatch: pytest.MonkeyPatch, world: str, method: str, path: str, body: Any
) -> None:
    mock = OutputMock()
    mock.workflow("w").returns(1)
    worlds = Worlds(mock, lambda options: OutputMock())
    client = Client(Front(worlds))
    if world == "/w/other":
        client.put(f"{world}/__mock__/workflows/w", json={"returns": 1})
    saver = begun(state, worlds, lambda _: None)
    client.get("/health")
    saver.save()
    saver.save()
    writes: list[Changes] = []
    write = database.StateFile.write
    monkeypatch.setattr(
        database.StateFile, "write", lambda self, changes: (writes.append(changes), write(self, changes))
    )
    assert client.open(f"{world}/__mock__{path}", method=method, json=body).status_code < 300
    saver.save()
    assert any(changes.worlds for changes in writes)
    saver.close(60)
    worlds.close()


def test_stuck_worlds_do_not_delay_saving_the_others(state: Path) -> None:
    mock = OutputMock()
    mock.workflow("w").returns(1)
    worlds = Worlds(mock, lambda options: OutputMock())
    saver = begun(state, worlds, lambda _: None)
    stuck = [worlds.make(f"stuck-{number}") for number in range(3)]
    for held in stuck:
        held.disposable = False
    patience: list[float] = []
    take = saver._take

    def noting(held: Any, seconds: float, found: Any) -> bool:
        patience.append(seconds)
        return take(held, seconds, found)

    saver._take = noting  # type: ignore[method-assign]
    with in_another_thread(lambda: [held.world.clock.lock.acquire() for held in stuck]):
        pass
    saver.save()
    # All worlds are tried before it waits for any, and stuck ones are not waited for again.
    assert patience[:4] == [0, 0, 0, 0]
    patience.clear()
    saver.save()
    assert not any(patience)
    assert "'stuck-0', 'stuck-1', 'stuck-2'" in str(saver.trouble())
    saver.close(60)
    mock.close()
