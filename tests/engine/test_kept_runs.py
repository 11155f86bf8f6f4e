"""Only a limited number of closed runs is kept, and references to removed runs do no harm."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_mock import Failure, OutputMock, Script
from output_mock.contract.errors import OutputError
from output_mock.control.worlds import Worlds
from output_mock.engine.kept_runs import KeptRuns
from output_mock.engine.run import Run
from output_mock.engine.trace_storage import Traces
from output_mock.engine.world import World
from output_mock.traces.folder import Folder
from tests.client import Client
from tests.conftest import no_hang
from tests.control.served import served

script = Script()
script.workflow("echo").returns(lambda given: given)


@script.workflow("waiting")
async def waiting(ctx: Any, given: Any) -> Any:
    return await ctx.wait_for_signal("end")


@script.workflow("parent")
async def parent(ctx: Any, given: Any) -> Any:
    for number in range(given["children"]):
        await ctx.child("echo", number)
    await ctx.step("born", returns=None)
    await ctx.wait_for_signal("end")
    return "grown"


@script.workflow("chain")
async def chain(ctx: Any, given: Any) -> Any:
    if given["left"]:
        ctx.continue_as_new({"left": given["left"] - 1})
    await ctx.step("last", returns=None)
    await ctx.wait_for_signal("end")


@script.workflow("parent_of_chain")
async def parent_of_chain(ctx: Any, given: Any) -> Any:
    return await ctx.child("chain", given)


def fake(keep_runs: int | KeptRuns | None, **options: Any) -> OutputMock:
    return OutputMock(scripts=[script], keep_runs=keep_runs, **options)


def run(mock: OutputMock, workflow: str, given: Any = None, **about: Any) -> str:
    """Run a workflow to its end, and return its workflow id."""
    started = mock.world.start(workflow, given, **about)
    mock.world.wait_for_result(started)
    return started.workflow_id


def grow(mock: OutputMock, above: Run) -> None:
    """Run the children of a `parent` until it waits for its signal."""
    mock.world.wait(above, lambda: bool(above.instance and above.instance.awaited_signals()), until=None)


def closed(mock: OutputMock) -> list[str]:
    return [one.workflow_id for one in mock.world.runs() if not one.running]


def test_the_oldest_closed_runs_are_removed_first_and_running_ones_are_kept() -> None:
    mock = fake(3)
    going_on = mock.world.start("waiting", workflow_id="going-on")
    ids = [run(mock, "echo", n, workflow_id=f"run-{n}") for n in range(10)]
    assert closed(mock) == ["run-9", "run-8", "run-7"]
    assert going_on.running
    assert list(mock.runs) == ["going-on", *ids[-3:]]
    # The time of closing counts, not that of the start.
    mock.signal("going-on", "end", {})
    mock.world.poll()
    assert closed(mock) == ["going-on", "run-9", "run-8"]
    assert mock.world.kept_runs.gone == 8


def test_a_removed_run_is_as_unknown_as_one_that_never_existed() -> None:
    mock = fake(1)
    started = mock.world.start("echo", 1, workflow_id="first")
    mock.world.wait_for_result(started)
    run(mock, "echo", 2)
    client = Client(mock)
    pinned = f"/workflow/first/runs/{started.run_id}"
    for path in ("status", "result", "input", "trace-log", "history", "history/stream"):
        answer = client.get(f"/workflow/first/{path}")
        unknown = client.get(f"/workflow/never/{path}")
        assert (answer.status, answer.text) == (404, unknown.text.replace("never", "first")), path
        assert client.get(f"{pinned}/{path}").status == 404, path
    for method, path, body in [
        ("POST", "signal/x", {}),
        ("POST", "query/x", {}),
        ("POST", "update/x", {}),
        ("PATCH", "stop", {}),
        ("POST", "terminate", {}),
        ("POST", "reset", {"stepName": "x"}),
    ]:
        assert client.request(method, f"/workflow/first/{path}", body).status == 404, path
    # Its id can be reused, like that of a closed run.
    assert run(mock, "echo", 3, workflow_id="first") == "first"
    assert client.get("/workflow/first/result").json["output"] == 3


def test_the_control_plane_reports_removed_runs_and_what_to_do() -> None:
    worlds = Worlds(fake(KeptRuns(2)))
    with served(worlds) as client:
        before = client.control("GET", "/version").json
        assert (before["keepRuns"], before["runsGone"]) == (2, 0)
        assert "--keep-runs" not in client.control("GET", "/runs/run-0").json["message"]
        for n in range(5):
            client.run("echo", n, workflowId=f"run-{n}")
        answer = client.control("GET", "/runs/run-0")
        assert answer.status == 404
        for words in ("has removed 3", "--keep-runs 2", "larger --keep-runs"):
            assert words in answer.json["message"]
        assert client.control("GET", "/version").json["runsGone"] == 3
        listed = client.control("GET", "/runs").json["runs"]
        assert [one["workflowId"] for one in listed] == ["run-4", "run-3"]


def test_children_are_kept_while_their_parent_runs_and_removed_with_it() -> None:
    mock = fake(2)
    above = mock.world.start("parent", {"children": 5}, workflow_id="above")
    grow(mock, above)
    for n in range(4):
        run(mock, "echo", n, workflow_id=f"other-{n}")
    children = [one for one in mock.world.runs() if one.info.parent is not None]
    # They do not cause the removal of others that have closed since.
    assert len(children) == 5
    assert {"other-2", "other-3"} <= set(mock.runs)
    mock.signal("above", "end", {})
    mock.world.wait(above, lambda: not above.running, until=None)
    # A run that has just closed stays, however many children it has.
    assert set(closed(mock)) == {one.workflow_id for one in (above, *children)}
    run(mock, "echo", workflow_id="last")
    assert set(mock.runs) == {"last"}


def test_an_endless_chain_keeps_its_last_runs_and_its_first_input() -> None:
    mock = fake(5)
    first = mock.world.start("chain", {"left": 50}, workflow_id="chain")
    mock.world.wait(first, lambda: first.latest().info.input == {"left": 0}, until=None)
    assert len(list(mock.world.runs())) == 1 + 1 + 5  # the catalog, the one that runs, five closed ones
    client = Client(mock)
    given = client.get("/workflow/chain/input").json
    assert given == {"workflowId": "chain", "runId": first.run_id, "input": {"left": 50}}
    assert client.get("/workflow/chain/status").json["status"] == "running"
    mock.signal("chain", "end", {})
    mock.world.poll()
    assert client.get("/workflow/chain/result").json["status"] == "completed"


def test_the_memory_of_an_awaited_chain_does_not_grow() -> None:
    mock = fake(1)
    first = mock.world.start("chain", {"left": 40}, workflow_id="chain")
    seen: list[weakref.ref[Any]] = []

    def noted() -> bool:
        if not seen or seen[-1]() is not first.latest():
            seen.append(weakref.ref(first.latest()))
        return first.latest().info.input == {"left": 0}

    mock.world.wait(first, noted, until=None)
    gc.collect()
    assert len(seen) >= 40
    assert sum(one() is not None for one in seen) <= 3


def test_a_child_that_continues_as_new_forever_keeps_only_its_last_run() -> None:
    mock = fake(3)
    above = mock.world.start("parent_of_chain", {"left": 30}, workflow_id="above")
    mock.world.wait(above, lambda: _runs_of(mock, "chain")[0].info.input == {"left": 0}, until=None)
    assert len(_runs_of(mock, "chain")) == 4
    assert mock.runs["above"].trace is not None
    mock.world.terminate("above")
    assert not any(one.running for one in _runs_of(mock, "chain"))


def _runs_of(mock: OutputMock, workflow: str) -> list[Any]:
    return list(mock.world.runs(workflow))


def test_a_run_whose_base_was_removed_can_be_reset_but_a_removed_run_cannot() -> None:
    mock = fake(1)
    above = mock.world.start("parent", {"children": 2}, workflow_id="above")
    grow(mock, above)
    again = mock.world.reset("above", "born")
    for n in range(3):
        run(mock, "echo", n)
    with pytest.raises(OutputError, match="not found"):
        mock.world.reset("above", "born", run_id=above.run_id)
    once_more = mock.world.reset("above", "born")
    assert again.status == "terminated"
    assert once_more.running
    mock.signal("above", "end", {})
    assert mock.world.wait_for_result(once_more).outcome.result == "grown"


def test_streams_and_waiters_of_a_removed_run_finish() -> None:
    mock = fake(1)
    client = Client(mock)
    mock.world.start("waiting", workflow_id="read")
    with client.stream("/workflow/read/history/stream") as stream:
        frames = iter(stream)
        assert next(frames).event == "workflow"
        mock.signal("read", "end", {})
        mock.world.poll()
        for n in range(3):
            run(mock, "echo", n)
        assert "read" not in mock.runs
        rest = list(frames)
    assert rest[-1].event == "done"
    assert rest[-1].data == {"reason": "WORKFLOW_EXECUTION_COMPLETED"}


def test_a_page_token_of_a_removed_run_is_a_404() -> None:
    mock = fake(1)
    client = Client(mock)
    client.run("echo", 1, workflowId="paged")
    page = client.get("/workflow/paged/history?pageSize=2").json
    client.run("echo", 2)
    rest = client.get(
        f"/workflow/paged/history?pageSize=2&runId={page['runId']}&pageToken={page['nextPageToken']}"
    )
    assert (rest.status, rest.json["error"]) == (404, "WorkflowNotFoundError")


def test_removed_runs_leave_nothing_in_memory() -> None:
    mock = fake(2, auth_token=None)
    mock.app.calls.most = 0
    long_lived = mock.world.start("waiting", workflow_id="front-of-every-queue")
    gone: set[weakref.ref[Any]] = set()
    for n in range(200):
        grow(mock, mock.world.start("parent", {"children": 2}, workflow_id=f"above-{n}"))
        gone |= {weakref.ref(one) for one in mock.world.runs() if one.workflow_id.startswith(f"above-{n}")}
        mock.world.terminate(f"above-{n}")
    for n in range(3):
        run(mock, "echo", n)
    gc.collect()
    assert long_lived.running
    assert len(gone) == 600
    # The queue of deadlines is cleaned up now and then.
    assert sum(one() is not None for one in gone) <= 110


def test_runs_that_end_while_their_worker_is_down_leave_nothing_in_memory() -> None:
    mock = fake(2)
    mock.world.catalog().set_worker(False)
    gone = []
    for n in range(3000):
        gone.append(weakref.ref(mock.world.start("echo", n, workflow_id=f"run-{n}")))
        mock.world.poll()
        mock.world.terminate(f"run-{n}")
    gc.collect()
    assert sum(one() is not None for one in gone) < 1500


def test_a_busy_world_does_not_remove_the_runs_of_another_world() -> None:
    kept = KeptRuns(10)
    quiet, busy = fake(kept), fake(kept)
    mine = [run(quiet, "echo", n) for n in range(4)]
    for n in range(50):
        run(busy, "echo", n)
    assert list(quiet.runs) == mine
    assert len(closed(busy)) == 6
    assert (kept.total, kept.gone) == (10, 44)
    # The runs of a closed world no longer count.
    busy.close()
    assert kept.total == 4


def test_removing_runs_does_not_wait_for_a_stuck_world() -> None:
    kept = KeptRuns(4)
    stuck, other = fake(kept), fake(kept)
    for n in range(4):
        run(stuck, "echo", n)
    holds, wake_all_waiters = threading.Event(), threading.Event()

    def hold() -> None:
        with stuck.world.clock.lock:
            holds.set()
            wake_all_waiters.wait(60)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    holds.wait(60)
    try:
        with no_hang():
            for n in range(6):
                run(other, "echo", n)
    finally:
        wake_all_waiters.set()
        thread.join()
    # Meanwhile only its last run fits, and it catches up later.
    assert len(closed(stuck)) == 4
    assert len(closed(other)) <= 1
    run(other, "echo")
    assert kept.total == 4


def test_restoring_a_snapshot_restores_removed_runs_and_their_count(tmp_path: Path) -> None:
    made = itertools.count()

    def make(given: Mapping[str, Any]) -> OutputMock:
        return fake(kept, seed=next(made))

    kept = KeptRuns(3)
    worlds = Worlds(make({}), make)
    with served(worlds) as client:
        for n in range(3):
            client.run("echo", n, workflowId=f"old-{n}")
        client.control("POST", "/snapshots", {"name": "s"})
        for n in range(5):
            client.run("echo", n, workflowId=f"new-{n}")
        client.control("POST", "/snapshots/s/restore")
        listed = [one["workflowId"] for one in client.control("GET", "/runs").json["runs"]]
        assert listed == ["old-2", "old-1", "old-0"]
        client.run("echo", 9, workflowId="next")
        listed = [one["workflowId"] for one in client.control("GET", "/runs").json["runs"]]
        assert listed == ["next", "old-2", "old-1"]
        assert kept.total == 3


def test_removing_a_run_removes_its_trace(tmp_path: Path) -> None:
    mock = fake(2, traces=Traces(folder=str(tmp_path), writer=Folder(tmp_path)))
    for n in range(5):
        run(mock, "echo", n, workflow_id=f"run-{n}")
    names = sorted(path.name.rpartition("_")[2] for path in tmp_path.rglob("*.json"))
    assert names == ["run-3.json", "run-4.json"]


def test_scripts_that_removed_runs_used_count_as_used() -> None:
    mock = fake(1)
    mock.workflow("told").receives("word", after="1s").returns(1)
    run(mock, "told")
    for n in range(3):
        run(mock, "echo", n)
    texts = [str(one) for one in mock.unused]
    assert not any("told" in text for text in texts), texts
    assert any("waiting" in text for text in texts)


def test_the_oldest_run_is_found_without_scanning_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a run looks at the same number of runs, however many are kept."""
    looked: list[int] = []

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def with_those_that_stay(self: Any) -> Any:
            for one in original(self):
                looked.append(1)
                yield one

        return with_those_that_stay

    monkeypatch.setattr(Run, "with_those_that_stay", counted(Run.with_those_that_stay))
    costs = []
    for kept in (10, 1000):
        mock = fake(kept)
        for n in range(kept):
            run(mock, "echo", n)
        looked.clear()
        for n in range(20):
            run(mock, "echo", n)
        costs.append(len(looked))
    assert costs[0] == costs[1] == 2 * 20


@settings(max_examples=40, deadline=None)
@given(
    keep=st.integers(1, 6),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["echo", "parent", "chain", "end", "stop", "reset", "fail"]), st.integers(0, 3)
        ),
        max_size=40,
    ),
)
def test_running_runs_and_their_children_are_never_removed(keep: int, steps: list[tuple[str, int]]) -> None:
    mock = fake(keep)
    mock.workflow("fail").fails(Failure("no"))
    world = mock.world
    for number, (what, which) in enumerate(steps):
        running = [one.workflow_id for one in world.runs() if one.running and one.workflow_id != "main"]
        chosen = running[which % len(running)] if running else "none"
        try:
            if what in ("echo", "fail"):
                run(mock, what, 1)
            elif what == "parent":
                world.start("parent", {"children": which}, workflow_id=f"parent-{number}")
            elif what == "chain":
                world.start("chain", {"left": which}, workflow_id=f"chain-{number}")
            elif what == "end":
                world.signal(chosen, "end", {})
            elif what == "stop":
                world.stop(chosen)
            elif what == "reset":
                world.reset(chosen, "born")
        except OutputError:
            pass
        world.let_pass(2_000_000_000)
        _check(world, keep)


def _check(world: World, keep: int) -> None:
    there = list(world.runs())
    assert {one.run_id for one in there} == set(world._runs)
    free = [one for one in there if not one.running and not _stays(one)]
    assert len(free) == world.closed_runs == sum(world._leaving.values())
    assert len(free) <= keep or world.may_forget == 1
    for one in there:
        assert world._latest[one.workflow_id].running or not one.running
        if one.running:
            for child in one.children:
                assert child.run is None or world._runs[child.run.latest().run_id] is child.run.latest()


def _stays(run: Any) -> bool:
    while run.stays_for is not None:
        run = run.stays_for
    return bool(run.running)
