"""Properties that hold for any scripts and any requests in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from output_mock import ChildFailure, Context, Failure, OutputMock, StepFailure
from tests.client import CLOSING, Answer, Client, Frame

# --- scripts ---------------------------------------------------------------------------------------------
# A script is a list of operations, which `play` carries out in order.

Operation = tuple[Any, ...]
STEPS = st.sampled_from(["a", "a", "b"])
LENGTHS = st.sampled_from([0, 1, 90])

leaves = st.one_of(
    st.tuples(st.just("step"), STEPS, LENGTHS, st.integers(0, 3)),
    st.tuples(st.just("step"), STEPS, st.just(0), st.just(0)),
    st.tuples(st.just("step"), STEPS, st.just(90), st.just(0)),
    st.tuples(st.just("sleep"), LENGTHS),
    st.tuples(st.just("signal"), STEPS, st.sampled_from([None, 60])),
    st.tuples(st.just("condition"), st.integers(1, 2), st.sampled_from([None, 30])),
    st.tuples(st.just("child"), st.booleans()),
    st.tuples(st.just("fail")),
)
operations = st.recursive(
    st.lists(leaves, min_size=1, max_size=3),
    lambda inner: st.lists(
        st.one_of(
            leaves,
            st.tuples(st.just("parallel"), st.lists(inner, min_size=2, max_size=3)),
            st.tuples(st.just("cleanup"), inner, st.sampled_from(["raise", "swallow", "fail"])),
            st.tuples(st.just("limit"), inner, st.sampled_from([1, 45])),
        ),
        min_size=1,
        max_size=4,
    ),
    max_leaves=8,
)
scripts = st.tuples(operations, st.booleans())


def script(mock: OutputMock, name: str, program: tuple[list[Operation], bool], child: str | None) -> None:
    """Add a workflow that runs a program. Its second item says whether it continues as new."""
    operations, continues = program

    @mock.workflow(name, traced=name != "quiet")
    async def played(ctx: Context, input: Any) -> Any:
        state = {"notes": 0}

        def note(payload: Any) -> None:
            state["notes"] += 1

        def refuse(payload: Any) -> None:
            if payload and payload.get("bad"):
                raise ValueError("refused")

        async def work(payload: Any) -> Any:
            return await ctx.step("a", payload, returns=lambda given: given)

        def broken(payload: Any) -> Any:
            raise Failure("broken")

        ctx.on_signal("note", note)
        ctx.on_query("notes", lambda payload: state["notes"])
        ctx.on_query("broken", broken)
        ctx.on_update("set", lambda payload: payload, validator=refuse)
        ctx.on_update("work", work)
        ctx.on_update("broken", broken)
        await play(ctx, operations, state, child)
        left = (input or {}).get("left", 0)
        if continues and left:
            ctx.continue_as_new({"left": left - 1})
        return {"notes": state["notes"]}


def enough(state: dict[str, int], count: int) -> bool:
    return state["notes"] >= count


async def play(
    ctx: Context, operations: Sequence[Operation], state: dict[str, int], child: str | None
) -> None:
    for operation in operations:
        match operation:
            case ("step", name, takes, failures):
                fails = [Failure(f"attempt {n}") for n in range(failures)]
                await ctx.step(name, {"n": takes}, takes=takes, fails=fails, returns=lambda given: given)
            case ("sleep", length):
                await ctx.sleep(length)
            case ("signal", name, timeout):
                await ctx.wait_for_signal(name, timeout=timeout)
            case ("condition", count, timeout):
                await ctx.condition(partial(enough, state, count), timeout=timeout)
            case ("child", detached):
                if child is not None:
                    await ctx.child(child, {"left": 1}, detached=detached)
            case ("fail",):
                raise Failure("scripted", name="FatalError", code=5)
            case ("parallel", branches):
                await asyncio.gather(*(play(ctx, branch, state, child) for branch in branches))
            case ("cleanup", body, then):
                try:
                    await play(ctx, body, state, child)
                except asyncio.CancelledError:
                    await ctx.step("cleanup")
                    if then == "raise":
                        raise
                    if then == "fail":
                        raise Failure("cleanup", name="FatalError") from None
                except (StepFailure, ChildFailure):
                    await ctx.step("cleanup")
            case ("limit", body, length):
                try:
                    await asyncio.wait_for(play(ctx, body, state, child), length)
                except asyncio.TimeoutError:
                    pass
            case _:
                raise AssertionError(f"unknown operation {operation}")


# --- requests --------------------------------------------------------------------------------------------

WORKFLOWS = st.sampled_from(["parent", "child", "quiet"])
IDS = st.sampled_from(["x", "x", "x", "y"])
begin = st.tuples(st.sampled_from(["start", "start", "run"]), WORKFLOWS, IDS, st.integers(0, 2))
message = st.one_of(
    st.tuples(st.just("signal"), IDS, st.sampled_from(["a", "b", "note", "nobody"])),
    st.tuples(st.just("query"), IDS, st.sampled_from(["notes", "broken", "nothing"])),
    st.tuples(st.just("update"), IDS, st.sampled_from(["set", "work", "broken", "nothing"]), st.booleans()),
)
look = st.one_of(
    st.tuples(st.just("look"), IDS, st.sampled_from(["status", "result", "input", "trace-log", "history"])),
    st.tuples(st.just("list")),
)
end = st.one_of(
    st.tuples(st.sampled_from(["stop", "terminate"]), IDS, st.integers(0, 5)),
    st.tuples(st.just("reset"), IDS, st.sampled_from(["a", "a", "b", "cleanup"]), st.integers(0, 5)),
)
worker = st.tuples(st.just("worker"), st.booleans())
advance = st.tuples(st.just("advance"), st.sampled_from([0, 1, 45, 3600, 90_000]))
anything = st.lists(
    st.one_of(begin, message, message, look, end, advance, advance, worker), min_size=4, max_size=16
)
requests = st.builds(lambda first, rest: [first, *rest], begin, anything)
programs = st.fixed_dictionaries({"parent": scripts, "child": scripts, "quiet": scripts})

# What API.md knows that may go wrong on the server's side of these requests.
NAMED = {
    "WorkflowExecutionAlreadyStartedError",
    "QueryNotRegisteredError",
    "WorkflowUpdateFailedError",
    "ServiceError",
}


class Session:
    """A fake that gets one request after another, and the states that it has shown."""

    def __init__(self, clock: Any, programs: dict[str, tuple[list[Operation], bool]]) -> None:
        self.mock = OutputMock(clock, seed=3)
        # No other client sends anything here, so a request need not wait for one.
        self.mock.world.patience = 0.0
        script(self.mock, "quiet", programs["quiet"], None)
        script(self.mock, "child", programs["child"], "quiet")
        script(self.mock, "parent", programs["parent"], "child")
        self.client = Client(self.mock)
        self.heard: list[Answer] = []
        # The state of every run when it was first seen closed.
        self.closed: dict[str, list[dict[str, Any]]] = {}

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        answer = self.client.request(method, path, *([] if body is None else [body]))
        self.heard.append(answer)
        if answer.status >= 500:
            # The fake's own error: nobody advances the clock or restores the worker while a request waits.
            alone = self.mock.clock.mode == "manual" or not self.mock.world.catalog().worker
            assert answer.json["error"] in NAMED | ({"StalledError"} if alone else set()), answer.text
        return answer

    def do(self, request: tuple[Any, ...]) -> None:
        match request:
            case ("start" | "run" as operation, workflow, workflow_id, left):
                body = {"workflowName": workflow, "workflowId": workflow_id, "input": {"left": left}}
                self.ask("POST", f"/workflow/{operation}", body)
            case ("signal" | "query" as operation, workflow_id, name):
                self.ask("POST", f"/workflow/{workflow_id}/{operation}/{name}", {"payload": {"n": 1}})
            case ("update", workflow_id, name, bad):
                self.ask("POST", f"/workflow/{workflow_id}/update/{name}", {"payload": {"bad": bad}})
            case ("look", workflow_id, what):
                self.ask("GET", f"/workflow/{workflow_id}/{what}")
            case ("list",):
                self.ask("GET", "/workflow/runs")
            case ("stop" | "terminate" as operation, workflow_id, which):
                method = "PATCH" if operation == "stop" else "POST"
                self.ask(method, f"/workflow/{workflow_id}{self.pinned(workflow_id, which)}/{operation}")
            case ("reset", workflow_id, step, which):
                self.reset(workflow_id, self.pinned(workflow_id, which), step)
            case ("advance", seconds):
                self.mock.clock.advance(seconds)
            case ("worker", present):
                self.mock.add_catalog("main", worker=present)
            case _:
                raise AssertionError(f"unknown request {request}")
        for run in self.runs():
            if not run.running and run.run_id not in self.closed:
                self.closed[run.run_id] = self.history(run)

    def pinned(self, workflow_id: str, which: int) -> str:
        """The part of a path that pins a run of an id; empty for most numbers."""
        runs = [run for run in self.runs() if run.workflow_id == workflow_id]
        return f"/runs/{runs[which].run_id}" if which < len(runs) else ""

    def reset(self, workflow_id: str, pinned: str, step: str) -> None:
        """Reset, and check that the other runs of the id are unchanged."""
        self.mock.clock.advance(0)
        before = {run.run_id: (run.running, self.history(run)) for run in self.runs()}
        answer = self.ask("POST", f"/workflow/{workflow_id}{pinned}/reset", {"stepName": step})
        for run in self.runs():
            if run.workflow_id != workflow_id or run.run_id not in before:
                continue
            ran, events = before[run.run_id]
            if answer.status == 200 and ran:
                after = self.history(run)
                assert after[: len(events)] == events, "a reset rewrote a run"
                assert not run.running
                assert [event["eventTypeName"] for event in after[len(events) :]] == [
                    "WORKFLOW_EXECUTION_TERMINATED"
                ]
            else:
                assert self.history(run)[: len(events)] == events
                assert run.running == ran

    def runs(self) -> list[Any]:
        return [run for run in self.mock.world.list_runs(limit=1000) if run.info.workflow_type != "$catalog"]

    def history(self, run: Any) -> list[dict[str, Any]]:
        """The history from the engine. It needs no request, so no time passes."""
        from output_mock.mock import RunView

        return RunView(run).history


# --- laws ------------------------------------------------------------------------------------------------


def attributes(event: dict[str, Any]) -> dict[str, Any]:
    (found,) = [value for name, value in event.items() if name.endswith("EventAttributes")]
    assert isinstance(found, dict)
    return found


def number(value: Any) -> int:
    """An event id, in either of the two forms in which events refer to each other."""
    return int(value["low"]) if isinstance(value, dict) else int(value)


# Which fields of events refer to which types of earlier events.
POINTERS = {
    ("WORKFLOW_TASK_STARTED", "scheduledEventId"): {"WORKFLOW_TASK_SCHEDULED"},
    ("WORKFLOW_TASK_COMPLETED", "scheduledEventId"): {"WORKFLOW_TASK_SCHEDULED"},
    ("WORKFLOW_TASK_COMPLETED", "startedEventId"): {"WORKFLOW_TASK_STARTED"},
    ("WORKFLOW_TASK_FAILED", "startedEventId"): {"WORKFLOW_TASK_STARTED"},
    ("ACTIVITY_TASK_SCHEDULED", "workflowTaskCompletedEventId"): {"WORKFLOW_TASK_COMPLETED"},
    ("ACTIVITY_TASK_STARTED", "scheduledEventId"): {"ACTIVITY_TASK_SCHEDULED"},
    ("ACTIVITY_TASK_COMPLETED", "scheduledEventId"): {"ACTIVITY_TASK_SCHEDULED"},
    ("ACTIVITY_TASK_COMPLETED", "startedEventId"): {"ACTIVITY_TASK_STARTED"},
    ("ACTIVITY_TASK_FAILED", "scheduledEventId"): {"ACTIVITY_TASK_SCHEDULED"},
    ("ACTIVITY_TASK_FAILED", "startedEventId"): {"ACTIVITY_TASK_STARTED"},
    ("ACTIVITY_TASK_CANCEL_REQUESTED", "scheduledEventId"): {"ACTIVITY_TASK_SCHEDULED"},
    ("TIMER_STARTED", "workflowTaskCompletedEventId"): {"WORKFLOW_TASK_COMPLETED"},
    ("TIMER_FIRED", "startedEventId"): {"TIMER_STARTED"},
    ("TIMER_CANCELED", "startedEventId"): {"TIMER_STARTED"},
    ("CHILD_WORKFLOW_EXECUTION_STARTED", "initiatedEventId"): {"START_CHILD_WORKFLOW_EXECUTION_INITIATED"},
    ("CHILD_WORKFLOW_EXECUTION_COMPLETED", "initiatedEventId"): {"START_CHILD_WORKFLOW_EXECUTION_INITIATED"},
    ("CHILD_WORKFLOW_EXECUTION_FAILED", "initiatedEventId"): {"START_CHILD_WORKFLOW_EXECUTION_INITIATED"},
    ("WORKFLOW_EXECUTION_UPDATE_COMPLETED", "acceptedEventId"): {"WORKFLOW_EXECUTION_UPDATE_ACCEPTED"},
    ("WORKFLOW_EXECUTION_COMPLETED", "workflowTaskCompletedEventId"): {"WORKFLOW_TASK_COMPLETED"},
    ("WORKFLOW_EXECUTION_CANCELED", "workflowTaskCompletedEventId"): {"WORKFLOW_TASK_COMPLETED"},
    ("WORKFLOW_EXECUTION_CONTINUED_AS_NEW", "workflowTaskCompletedEventId"): {"WORKFLOW_TASK_COMPLETED"},
}
# Events that only one later event may refer to.
ONCE = {"WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED", "ACTIVITY_TASK_STARTED", "TIMER_FIRED"}


def check_history(events: list[dict[str, Any]], status: str) -> None:
    """Check the invariants of any history."""
    kinds = [event["eventTypeName"] for event in events]
    assert [event["eventId"] for event in events] == [str(n) for n in range(1, len(events) + 1)]
    assert kinds[0] == "WORKFLOW_EXECUTION_STARTED"
    assert kinds.count("WORKFLOW_EXECUTION_STARTED") == 1
    closings = [at for at, kind in enumerate(kinds) if kind in CLOSING.values()]
    if status == "running":
        assert closings == []
    else:
        assert closings == [len(events) - 1], "one closing event, and it is the last"
        assert kinds[-1] == CLOSING[status]
    used: set[tuple[str, int]] = set()
    for event in events:
        kind, fields = event["eventTypeName"], attributes(event)
        for name, value in fields.items():
            wanted = POINTERS.get((kind, name))
            if wanted is not None and not (kind.endswith("UPDATE_COMPLETED") and number(value) == 0):
                target = number(value)
                assert 0 < target < int(event["eventId"]), f"{kind} points forward"
                assert kinds[target - 1] in wanted, f"{kind}.{name} points to {kinds[target - 1]}"
        if kind in ONCE:
            used_by = (kind, number(fields.get("scheduledEventId") or fields.get("startedEventId")))
            assert used_by not in used, f"two {kind} for event {used_by[1]}"
            used.add(used_by)
    check_times(events, kinds)


def check_times(events: list[dict[str, Any]], kinds: list[str]) -> None:
    """Check that time moves forward, except for the start of a step, which is written when it ends."""
    begin = 0
    if "WORKFLOW_TASK_FAILED" in kinds:
        # Earlier events were copied from another run.
        begin = len(kinds) - 1 - kinds[::-1].index("WORKFLOW_TASK_FAILED")
    times = [
        event["eventTime"]
        for event, kind in zip(events[begin:], kinds[begin:], strict=True)
        if kind != "ACTIVITY_TASK_STARTED"
    ]
    assert times == sorted(times)


def milliseconds(iso: str) -> int:
    stamp = datetime.strptime(iso, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return round(stamp.timestamp() * 1000)


def check_agreement(session: Session, run: Any, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Check that all responses about a closed run agree; returns its history."""
    base = f"/workflow/{run.workflow_id}/runs/{run.run_id}"
    ask = session.ask
    status = ask("GET", f"{base}/status").json
    result = ask("GET", f"{base}/result").json
    page = ask("GET", f"{base}/history?pageSize=50&includePayloads=true").json
    events = session.client.events(run.workflow_id, run.run_id)
    assert page["events"] == events[: len(page["events"])]
    workflow, last = page["workflow"], attributes(events[-1])
    assert status["status"] == result["status"] == workflow["status"] == entry["status"] == run.status
    assert {status["runId"], result["runId"], workflow["runId"], entry["runId"]} == {run.run_id}
    assert entry["workflowType"] == attributes(events[0])["workflowType"]["name"]
    assert status["completedAt"] == milliseconds(workflow["closeTime"]) == milliseconds(entry["completedAt"])
    assert status["startedAt"] == milliseconds(workflow["startTime"]) == milliseconds(entry["startedAt"])
    assert workflow["closeTime"] == events[-1]["eventTime"]
    assert workflow["historyLength"] == len(events)
    assert result["input"] == ask("GET", f"{base}/input").json["input"] == attributes(events[0])["input"][0]
    if run.status == "completed":
        assert [result["output"]] == last["result"]
        assert result["error"] is None
    else:
        assert result["output"] is None
        assert (result["error"] is None) == (run.status == "continued_as_new")
    return events


def check_ways_to_read(session: Session, run: Any, events: list[dict[str, Any]], sizes: list[int]) -> None:
    """Check that pages of any size, the stream, and a stream resumed after any event agree."""
    client, base = session.client, f"/workflow/{run.workflow_id}/runs/{run.run_id}/history"
    for size in sizes:
        assert client.events(run.workflow_id, run.run_id, pageSize=size) == events
    for after in sorted({0, 1, len(events) // 2, len(events) - 1}):
        resume = f"&lastEventId={after}" if after else ""
        with client.stream(f"{base}/stream?includePayloads=true{resume}") as stream:
            frames: list[Frame] = list(stream)
        streamed = [event for frame in frames if frame.event == "history" for event in frame.data]
        assert streamed == events[after:]
        assert frames[0].event == "workflow"
        assert frames[-1].event == "done"
        assert frames[-1].data["reason"] == events[-1]["eventTypeName"]
    assert client.get(f"{base}/stream?lastEventId={len(events)}").status == 204


def check_all(session: Session, sizes: list[int]) -> None:
    runs, closed = session.runs(), [run for run in session.runs() if not run.running]
    listed = {run["runId"]: run for run in session.ask("GET", "/workflow/runs?limit=1000").json["runs"]}
    assert len({run.run_id for run in runs}) == len(runs)
    assert {run.run_id for run in runs} <= set(listed)
    latest = {run.workflow_id: run for run in runs if run is session.mock.world.find(run.workflow_id)}
    assert all(run is latest[run.workflow_id] for run in runs if run.running), "only the latest run may run"
    for run in runs:
        parent = run.info.parent
        if run.running and parent is not None and not run.child.detached:
            assert session.mock.world.find(parent.workflow_id).running, "a child has outlived its parent"
    for run in runs:
        check_history(session.history(run), run.status)
    for run in closed:
        if run.began:
            events = check_agreement(session, run, listed[run.run_id])
        else:
            events = session.client.events(run.workflow_id, run.run_id)
        check_ways_to_read(session, run, events, sizes)
        assert events == session.closed[run.run_id], "a closed run has changed"
    assert session.mock.script_errors == []


@given(
    clock=st.sampled_from(["auto", "auto", "manual"]),
    programs=programs,
    requests=requests,
    size=st.integers(1, 12),
)
@settings(max_examples=60)
def test_properties_hold_for_any_requests_to_any_scripts(
    clock: str, programs: dict[str, Any], requests: list[tuple[Any, ...]], size: int
) -> None:
    session = Session(clock, programs)
    try:
        for request in [*requests, ("worker", True)]:
            session.do(request)
        check_all(session, [size])
    finally:
        session.mock.close()


@given(programs=programs, requests=requests, clock=st.sampled_from(["auto", "manual"]))
@settings(max_examples=20)
def test_any_requests_to_any_scripts_give_the_same_bytes_again(
    clock: str, programs: dict[str, Any], requests: list[tuple[Any, ...]]
) -> None:
    heard = []
    for _ in range(2):
        session = Session(clock, programs)
        for request in requests:
            session.do(request)
        heard.append(session.heard)
        session.mock.close()
    assert heard[0] == heard[1]
