"""Snapshots: a restored world continues as if nothing had happened since the snapshot."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_mock import Context, Failure, Fault, OutputMock
from output_mock.control.worlds import WorldEntry
from output_mock.engine.clock import Mode
from output_mock.engine.record_restoring import copy_of
from output_mock.sdk.errors import ScriptError
from output_mock.state.snapshot import Snapshot
from tests.client import Client
from tests.conftest import in_another_thread
from tests.control.served import served, worlds_of
from tests.engine.test_properties import Answer, Session, programs, requests


class Rewinding(Session):
    """A fake with a snapshot to restore."""

    def __init__(self, clock: Any, programs: Any) -> None:
        super().__init__(clock, programs)
        self.entry = WorldEntry("one", self.mock, {})

    def heard_of(self, requests: list[tuple[Any, ...]]) -> list[Answer]:
        """The responses to these requests, and the histories of all runs at the end."""
        self.heard = []
        self.closed = {}
        for request in requests:
            self.do(request)
        self.mock.clock.advance("3d")
        return [*self.heard, [self.history(run) for run in self.runs()]]  # type: ignore[list-item]


@settings(max_examples=25)
@given(
    programs=programs,
    before=requests,
    between=requests,
    after=requests,
    clock=st.sampled_from(["auto", "manual"]),
)
def test_after_a_restore_the_same_requests_get_the_same_responses(
    programs: Any, before: Any, between: Any, after: Any, clock: str
) -> None:
    session = Rewinding(clock, programs)
    for request in before:
        session.do(request)
    snapshot = Snapshot.of(session.entry.app)
    expected = session.heard_of(after)
    snapshot.restore(session.entry.mock)
    # Requests after a restore do not change the snapshot.
    session.heard_of(between)
    snapshot.restore(session.entry.mock)
    assert session.heard_of(after) == expected
    session.mock.close()


@settings(max_examples=15)
@given(programs=programs, before=requests, clock=st.sampled_from(["auto", "manual"]))
def test_taking_a_snapshot_changes_nothing(programs: Any, before: Any, clock: str) -> None:
    heard = []
    for interrupted in (False, True):
        session = Rewinding(clock, programs)
        for request in before:
            session.do(request)
            if interrupted:
                Snapshot.of(session.entry.app)
        heard.append(session.heard_of(before))
        session.mock.close()
    assert heard[0] == heard[1]


def a_mock(clock: Mode = "auto") -> OutputMock:
    mock = OutputMock(clock, seed=5)

    @mock.workflow("everything")
    async def everything(ctx: Context, given: Any) -> Any:
        ctx.on_query("when", lambda payload: began)
        ctx.on_update("wait", lambda payload: ctx.wait_for_signal("inner"))
        began = ctx.now().isoformat()
        dice = ctx.random.random()
        flaky = await ctx.step("flaky", fails=[Failure("a"), Failure("b")], returns="third time")
        await ctx.child("child")
        decision = await ctx.wait_for_signal("go", timeout="1h")
        return {"dice": dice, "again": ctx.random.random(), "flaky": flaky, "decision": decision}

    @mock.workflow("child")
    async def child(ctx: Context, given: Any) -> Any:
        await ctx.step("grow", takes="1m")

    mock.workflow("turns").returns(1).then.returns(2).then.returns(3)
    mock.workflow("told").takes("2h").returns(1)
    return mock


@pytest.mark.parametrize("minutes", [0, 0.05, 0.2, 0.5, 1, 3, 30])
def test_a_run_continues_from_its_state_in_the_snapshot(minutes: float) -> None:
    mock = a_mock("manual")
    mock.world.start("everything", workflow_id="a")
    mock.clock.advance(minutes * 60)

    def the_rest(world: Any) -> Any:
        mock.world = world
        mock.clock.advance("10m")
        world.signal("a", "go", {"by": "ana"})
        mock.clock.advance("10m")
        return mock.runs["a"].history, world.query("a", "when"), mock.runs["a"].output

    copies = [copy_of(mock.world), copy_of(mock.world)]
    first = the_rest(mock.world)
    assert first[2]["decision"] == {"by": "ana"}
    assert [the_rest(world) for world in copies] == [first, first]


def test_a_copy_of_a_world_is_independent_of_it() -> None:
    mock = a_mock()
    mock.world.start("everything", workflow_id="a")
    mock.clock.advance("3m")
    other = copy_of(mock.world)
    mock.world.terminate("a")
    mock.clock.advance("1h")
    assert other.find("a").running
    assert other.clock.nanoseconds() < mock.clock.nanoseconds()
    other.start("turns", workflow_id="b")
    assert "b" not in mock.runs
    assert [catalog.run.running for catalog in other.catalogs.values()] == [True]
    mock.workflow("added").returns(1)
    assert "added" not in other.query("main", "get")["workflowNames"]


def test_scripted_answers_and_ids_continue_where_they_were() -> None:
    mock = a_mock()
    first = mock.world.start("turns")
    mock.clock.advance(0)
    assert mock.runs[first.workflow_id].output == 1
    entry = WorldEntry("one", mock, {})
    snapshot = Snapshot.of(entry.app)
    for _ in range(2):
        run = mock.world.start("turns")
        mock.clock.advance(0)
        assert mock.runs[run.workflow_id].output == 2
        snapshot.restore(entry.mock)
    assert run.run_id not in [one.run_id for one in mock.runs.values()]


def test_a_restore_resets_faults_randomness_and_calls() -> None:
    mock = a_mock()
    entry = WorldEntry("one", mock, {})
    mock.faults.add(Fault(status=503, probability=0.5))
    mock.faults.add(Fault(status=500, after=3, times=2))
    client = mock.app.test_client()

    def statuses() -> list[int]:
        return [client.get("/workflow/runs").status_code for _ in range(12)]

    client.get("/health")
    snapshot = Snapshot.of(entry.app)
    first = statuses()
    assert len({*first}) == 3
    mock.faults.clear()
    snapshot.restore(entry.mock)
    assert (statuses(), len(mock.calls)) == (first, 13)
    assert [call.number for call in mock.calls] == list(range(1, 14))


def test_an_update_that_waits_continues_in_the_copy() -> None:
    with served(worlds_of(a_mock())) as client:
        client.start("everything", workflowId="a")
        client.control("POST", "/clock/advance", {"by": "3m"})
        waiting = client.of("default")
        with in_another_thread(lambda: waiting.unchecked("POST", "/workflow/a/update/wait")) as answers:
            time.sleep(0.1)
            client.control("POST", "/snapshots", {"name": "s"}, expect=201)
            client.control("POST", "/snapshots/s/restore", expect=200)
        # Waiting requests have been woken.
        assert (answers[0].status, answers[0].json["error"]) == (410, "WaitEndedError")
        client.post("/workflow/a/signal/inner", {"payload": {"n": 1}})
        assert "WORKFLOW_EXECUTION_UPDATE_COMPLETED" in client.kinds("a")


def test_a_run_on_a_real_clock_continues_by_itself() -> None:
    with served(worlds_of()) as client:
        client.control("POST", "/worlds", {"name": "real", "clock": "real"})
        real = client.of("real")
        real.control("PUT", "/workflows/quick", {"takes": "300ms", "returns": "done"})
        real.start("quick", workflowId="a")
        real.control("POST", "/snapshots", {"name": "s"}, expect=201)
        for _ in range(2):
            real.control("POST", "/snapshots/s/restore", expect=200)
            assert real.get("/workflow/a/status").json["status"] in ("running", "completed")
            time.sleep(0.6)
            assert real.get("/workflow/a/result").json["output"] == "done"


def test_a_nondeterministic_script_cannot_be_copied_and_nothing_is_lost() -> None:
    mock = OutputMock()
    played: list[int] = []

    @mock.workflow("fickle")
    async def fickle(ctx: Context, given: Any) -> Any:
        played.append(1)
        if len(played) == 1:
            await ctx.step("first")
        return await ctx.wait_for_signal("go")

    mock.world.start("fickle", workflow_id="a")
    mock.clock.advance(0)
    with pytest.raises(ScriptError, match="behaved differently when it was replayed"):
        copy_of(mock.world)
    mock.signal("a", "go", {"n": 1})
    assert mock.runs["a"].output == {"n": 1}


def test_children_of_removed_workflows_can_be_copied() -> None:
    mock = a_mock()
    mock.world.start("everything", workflow_id="a")
    mock.clock.advance("31s")
    mock.world.catalog().remove("child")
    mock.world = copy_of(mock.world)
    mock.clock.advance("2m")
    mock.signal("a", "go", {"n": 1})
    assert mock.runs["a"].output["decision"] == {"n": 1}


# Over HTTP


@pytest.fixture
def client() -> Any:
    with served(worlds_of()) as client:
        yield client


def test_snapshots_have_names_and_their_number_is_limited(client: Client) -> None:
    first = client.control("POST", "/snapshots", expect=201).json
    assert (first["name"], first["runs"]) == ("snapshot-1", 0)
    client.run("echo", workflowId="a")
    client.control("POST", "/snapshots", {"name": "later"}, expect=201)
    listed = client.control("GET", "/snapshots").json["snapshots"]
    assert [(one["name"], one["runs"], one["calls"]) for one in listed] == [
        ("snapshot-1", 0, 0),
        ("later", 1, 1),
    ]
    assert client.control("POST", "/snapshots/lather/restore", expect=404).json["nearest"] == "later"
    client.control("POST", "/snapshots/snapshot-1/restore", expect=200)
    assert client.get("/workflow/a/status").status == 404
    client.control("POST", "/snapshots/later/restore", expect=200)
    assert client.get("/workflow/a/status").status == 200
    client.control("DELETE", "/snapshots/later", expect=204)
    client.control("DELETE", "/snapshots/later", expect=404)
    for _ in range(19):
        client.control("POST", "/snapshots", expect=201)
    client.control("POST", "/snapshots", expect=409)
    client.control("POST", "/snapshots", {"name": "a/b"}, expect=400)


def test_a_restore_resets_workflows(client: Client) -> None:
    client.control("POST", "/snapshots", {"name": "s"})
    client.control("PUT", "/workflows/echo", {"returns": "changed"})
    client.control("POST", "/snapshots/s/restore")
    assert client.run("echo", 1)["output"] == 1
