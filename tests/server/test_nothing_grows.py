"""Everything that a server collects over time is limited."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from output_mock import Failure, OutputMock, Script
from output_mock.cli.log import _KEPT, RequestLog
from output_mock.cli.trace_storage import TraceStorage
from output_mock.control.worlds import Worlds
from tests.conftest import eventually
from tests.control.served import served


def run(mock: OutputMock, workflow: str, given: Any = None) -> None:
    started = mock.world.start(workflow, given)
    mock.world.wait(started, lambda: not started.latest().running, until=None)


def test_only_the_last_script_errors_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("output_mock.engine.world._KEPT_ERRORS", 100)
    mock = OutputMock(keep_runs=10)
    mock.workflow("wrong").returns(lambda given: given["missing"])
    for n in range(250):
        run(mock, "wrong", {"n": n})
    assert 100 <= len(mock.script_errors) <= 200


def test_answers_of_replaced_workflows_are_not_counted_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("output_mock.engine.world._SWEEP_AT", 100)
    mock = OutputMock(keep_runs=10)
    for n in range(250):
        script = Script()
        script.workflow("replaced").returns(n)
        mock.load(script)
        run(mock, "replaced")
    assert 1 <= len(mock.world.answers_given) <= 101


def test_the_number_of_kept_script_warnings_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("output_mock.engine.outlasting._MOST", 100)
    mock = OutputMock(keep_runs=10, execution_timeout="1h")

    @mock.workflow("late")
    async def late(ctx: Any, given: Any) -> Any:
        await ctx.step(f"step_{given}", takes="2h", returns=None, fails=[Failure("no", retryable=False)])

    for n in range(120):
        run(mock, "late", n)
    assert len(mock.script_warnings) == 100


def test_the_log_forgets_old_messages() -> None:
    read, write = os.pipe()
    with open(read, "rb") as reader, open(write, "w") as stream:
        log = RequestLog(stream)
        for n in range(_KEPT + 500):
            assert log._is_news(f"mistake {n}")
        assert not log._is_news(f"mistake {_KEPT + 499}")
        assert len(log._told) == _KEPT
        log.close()
        assert not reader.closed


def test_the_log_shows_each_mistake_once_after_the_oldest_were_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("output_mock.engine.world._KEPT_ERRORS", 100)
    read, write = os.pipe()
    os.set_blocking(read, False)
    with open(read, "rb"), open(write, "w") as stream:
        log = RequestLog(stream)
        mock = OutputMock(keep_runs=10)
        mock.workflow("wrong").returns(lambda given: given["missing"])
        log.follow(mock)
        for n in range(210):
            run(mock, "wrong", n)
        told = b""

        def all_told() -> bool:
            nonlocal told
            try:
                told += os.read(read, 2**16)
            except BlockingIOError:
                pass
            return log._followed[mock] is mock.script_errors[-1]

        eventually(all_told)
        log.close()


def test_deleting_a_world_deletes_its_trace_files(tmp_path: Path) -> None:
    keeping = TraceStorage({}, str(tmp_path))

    def make(given: Any) -> OutputMock:
        mock = OutputMock(traces=keeping.traces(given.get("world", "default")))
        mock.workflow("echo").returns(1)
        return mock

    worlds = Worlds(make({}), make, on_end=keeping.forget)
    with served(worlds) as client:
        client.run("echo", workflowId="stays")
        client.of("one").run("echo", workflowId="goes")
        assert len(list((tmp_path / "worlds" / "one").rglob("*.json"))) == 1
        client.control("DELETE", "/worlds/one", expect=204)
    assert not (tmp_path / "worlds" / "one").exists()
    assert len(list((tmp_path / "runs").rglob("*.json"))) == 1


def test_removing_runs_and_worlds_removes_their_objects_from_moto() -> None:
    pytest.importorskip("moto")
    keeping = TraceStorage({}, None, "moto")
    try:

        def make(given: Any) -> OutputMock:
            mock = OutputMock(keep_runs=2, traces=keeping.traces(given.get("world", "default")))
            mock.workflow("echo").returns(1)
            return mock

        worlds = Worlds(make({}), make, on_end=keeping.forget)
        with served(worlds) as client:
            for where in (client, client.of("one")):
                for n in range(5):
                    where.run("echo", workflowId=f"run-{n}")
                    where.get(f"/workflow/run-{n}/trace-log")
            first, other = keeping._bucket("default"), keeping._bucket("one")
            eventually(lambda: len(first.keys()) == 2 and len(other.keys()) == 2)
            client.control("DELETE", "/worlds/one", expect=204)
            eventually(lambda: other.name not in _buckets(first))
            assert "one" not in keeping._buckets
    finally:
        keeping.close()


def _buckets(bucket: Any) -> list[str]:
    return [one["Name"] for one in bucket.client.list_buckets()["Buckets"]]
