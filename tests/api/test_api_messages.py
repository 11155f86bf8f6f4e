"""Signals, queries and updates: what a script receives, and what the sender gets back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from output_mock import UNDEFINED, Context, Failure, OutputMock
from tests.client import Answer, Client
from tests.conftest import eventually, in_another_thread, somebody_waits


@pytest.fixture
def mock() -> OutputMock:
    mock = OutputMock(seed=7)
    # Seconds until a waiting request gives up. Long, so that a test ends only when it is woken.
    mock.world.patience = 600.0

    @mock.workflow("approval")
    async def approval(ctx: Context, input: Any) -> Any:
        state: dict[str, Any] = {"stage": "draft", "threshold": 0.8, "by": None}

        def broken_query(payload: Any) -> Any:
            raise Failure("query handler broke")

        def approve(payload: Any) -> None:
            state["by"] = (payload or {}).get("by", "unknown")

        def set_threshold(payload: Any) -> Any:
            before, state["threshold"] = state["threshold"], payload["to"]
            return before

        def check_threshold(payload: Any) -> None:
            if not isinstance((payload or {}).get("to"), (int, float)):
                raise ValueError("the threshold has to be a number")

        def broken_update(payload: Any) -> None:
            raise Failure("update handler broke", name="UpdateError")

        async def wait_for_approval(payload: Any) -> Any:
            await ctx.condition(lambda: state["by"] is not None)
            return {"by": state["by"]}

        async def publish(payload: Any) -> Any:
            return await ctx.step("publish", payload, takes="10m", returns=lambda given: {"published": given})

        async def sleepy(payload: Any) -> Any:
            await asyncio.sleep(3600)
            return "awake"

        ctx.on_query("stage", lambda payload: state["stage"])
        ctx.on_query("echo", lambda payload: payload)
        ctx.on_query("nothing", lambda payload: UNDEFINED)
        ctx.on_query("broken", broken_query)
        ctx.on_signal("approve", approve)
        ctx.on_update("set", set_threshold, validator=check_threshold)
        ctx.on_update("broken", broken_update)
        ctx.on_update("nothing", lambda payload: UNDEFINED)
        ctx.on_update("echo", lambda payload: payload)
        ctx.on_update("wait", wait_for_approval)
        ctx.on_update("publish", publish)
        ctx.on_update("sleepy", sleepy)
        state["stage"] = "review"
        await ctx.condition(lambda: state["by"] is not None)
        state["stage"] = "done"
        return state

    return mock


@pytest.fixture
def approval(client: Client) -> str:
    """The id of a run that waits to be approved."""
    client.start("approval", workflowId="a")
    assert client.post("/workflow/a/query/stage").json == "review"
    return "a"


def approve(client: Client, by: str = "ana") -> None:
    assert client.post("/workflow/a/signal/approve", {"payload": {"by": by}}).text == "OK"
    assert client.until_closed("a") == "completed"


def output(client: Client, workflow_id: str = "a") -> Any:
    return client.get(f"/workflow/{workflow_id}/result").json["output"]


# --- signals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"json": {}}, {"data": b"", "headers": {"Content-Type": "application/json"}}]
)
def test_a_signal_needs_no_payload(client: Client, approval: str, options: dict[str, Any]) -> None:
    assert client.post("/workflow/a/signal/approve", **options).text == "OK"
    client.until_closed("a")
    assert output(client)["by"] == "unknown"


def test_signals_before_the_first_workflow_task_are_kept_in_order(mock: OutputMock, client: Client) -> None:
    @mock.workflow("collects")
    async def collects(ctx: Context, input: Any) -> Any:
        return [(await ctx.wait_for_signal("item"))["n"] for _ in range(3)]

    client.start("collects", workflowId="c")
    for n in range(3):
        client.post("/workflow/c/signal/item", {"payload": {"n": n}})
    client.until_closed("c")
    assert output(client, "c") == [0, 1, 2]


def test_signals_sent_before_the_handler_is_set_reach_it_later(mock: OutputMock, client: Client) -> None:
    @mock.workflow("late")
    async def late(ctx: Context, input: Any) -> Any:
        seen: list[Any] = []
        await ctx.step("first", takes="10m")
        ctx.on_signal("item", lambda payload: seen.append(payload["n"]))
        await ctx.condition(lambda: len(seen) == 4)
        return seen

    client.start("late", workflowId="l")
    client.get("/workflow/l/status")
    for n in range(3):
        client.post("/workflow/l/signal/item", {"payload": {"n": n}})
    eventually(lambda: client.kinds("l").count("ACTIVITY_TASK_COMPLETED") == 2)
    client.post("/workflow/l/signal/item", {"payload": {"n": 3}})
    client.until_closed("l")
    assert output(client, "l") == [0, 1, 2, 3]


def test_a_wait_ignores_signals_of_other_names(mock: OutputMock, client: Client) -> None:
    @mock.workflow("two")
    async def two(ctx: Context, input: Any) -> Any:
        first = await ctx.wait_for_signal("first")
        return [first, await ctx.wait_for_signal("second")]

    client.start("two", workflowId="t")
    client.post("/workflow/t/signal/second", {"payload": {"n": 2}})
    client.post("/workflow/t/signal/first", {"payload": {"n": 1}})
    client.until_closed("t")
    assert output(client, "t") == [{"n": 1}, {"n": 2}]


def test_a_signal_handler_may_be_a_coroutine_function(mock: OutputMock, client: Client) -> None:
    @mock.workflow("coroutine")
    async def coroutine(ctx: Context, input: Any) -> Any:
        done: list[Any] = []

        async def handler(payload: Any) -> None:
            done.append(await ctx.step("handle", payload, returns=lambda given: given))

        ctx.on_signal("go", handler)
        await ctx.condition(lambda: bool(done))
        return done

    client.start("coroutine", workflowId="c")
    client.post("/workflow/c/signal/go", {"payload": {"n": 1}})
    client.until_closed("c")
    assert output(client, "c") == [{"n": 1}]


def test_a_signal_handler_that_fails_fails_the_run(mock: OutputMock, client: Client) -> None:
    @mock.workflow("fragile")
    async def fragile(ctx: Context, input: Any) -> Any:
        def handler(payload: Any) -> None:
            raise Failure("cannot take it", name="FatalError")

        ctx.on_signal("go", handler)
        await ctx.condition(lambda: False)

    client.start("fragile", workflowId="f")
    client.post("/workflow/f/signal/go", {"payload": {}})
    assert client.until_closed("f") == "failed"
    assert client.get("/workflow/f/result").json["error"]["message"] == "cannot take it"


@pytest.mark.parametrize("operation", ["signal/approve", "feedback", "update/set"])
def test_a_closed_run_refuses_signals_and_updates(client: Client, approval: str, operation: str) -> None:
    approve(client)
    before = client.events("a")
    answer = client.post(f"/workflow/a/{operation}", {"payload": {"to": 1}})
    assert (answer.status, answer.json) == (
        404,
        {
            "error": "WorkflowNotFoundError",
            "message": "workflow execution already completed",
            "workflowId": "a",
        },
    )
    assert client.events("a") == before


def test_a_script_that_changes_a_payload_does_not_change_the_history(
    mock: OutputMock, client: Client
) -> None:
    @mock.workflow("rude")
    async def rude(ctx: Context, input: Any) -> Any:
        input["list"].append("changed")
        payload = await ctx.wait_for_signal("go")
        payload["list"].append("changed")
        return payload

    sent = {"list": [1]}
    client.start("rude", sent, workflowId="r")
    client.post("/workflow/r/signal/go", {"payload": sent})
    client.until_closed("r")
    assert client.get("/workflow/r/input").json["input"] == sent
    assert "changed" not in str(client.events("r")[:-1])
    assert output(client, "r") == {"list": [1, "changed"]}


# --- queries ---------------------------------------------------------------------------------------------


def test_a_query_handler_gets_none_when_there_is_no_payload(client: Client, approval: str) -> None:
    for answer in (client.post("/workflow/a/query/echo"), client.post("/workflow/a/query/echo", {})):
        assert (answer.status, answer.text) == (200, "null")


def test_a_query_that_returns_nothing_has_an_empty_body(client: Client, approval: str) -> None:
    answer = client.post("/workflow/a/query/nothing")
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_a_query_whose_handler_fails_reports_its_message(client: Client, approval: str) -> None:
    answer = client.post("/workflow/a/query/broken")
    assert (answer.status, answer.json) == (
        500,
        {"error": "QueryNotRegisteredError", "message": "query handler broke"},
    )


def test_queries_add_nothing_to_the_history(client: Client, approval: str) -> None:
    before = client.events("a")
    for name in ("stage", "echo", "nothing", "broken", "unknown"):
        client.post(f"/workflow/a/query/{name}")
    assert client.events("a") == before


def test_a_closed_run_answers_queries_with_its_final_state(client: Client, approval: str) -> None:
    approve(client)
    assert client.post("/workflow/a/query/stage").json == "done"
    assert client.post("/workflow/a/query/broken").json["message"] == "query handler broke"
    assert client.post("/workflow/a/query/unknown").status == 500


@pytest.mark.parametrize("end", ["terminate", "stop"])
def test_a_terminated_run_answers_queries_with_its_last_state(
    client: Client, approval: str, end: str
) -> None:
    client.request("PATCH" if end == "stop" else "POST", f"/workflow/a/{end}")
    assert client.until_closed("a") in ("terminated", "cancelled")
    assert client.post("/workflow/a/query/stage").json == "review"


def test_a_query_waits_for_the_first_workflow_task(client: Client) -> None:
    client.start("approval", workflowId="a")
    assert client.post("/workflow/a/query/stage").json == "review"


def test_an_unknown_query_names_the_built_in_queries(mock: OutputMock, client: Client) -> None:
    mock.workflow("plain").returns(1)
    client.run("plain", workflowId="p")
    assert (
        client.post("/workflow/p/query/x")
        .json["message"]
        .endswith("[__stack_trace __enhanced_stack_trace __temporal_workflow_metadata]")
    )


def test_a_query_sees_the_effect_of_the_signal_before_it(mock: OutputMock, client: Client) -> None:
    @mock.workflow("counter")
    async def counter(ctx: Context, input: Any) -> Any:
        count = [0]

        def add(payload: Any) -> None:
            count[0] += payload["n"]

        ctx.on_signal("add", add)
        ctx.on_query("count", lambda payload: count[0])
        await ctx.condition(lambda: False)

    client.start("counter", workflowId="c")
    for n in range(1, 6):
        client.post("/workflow/c/signal/add", {"payload": {"n": 1}})
        assert client.post("/workflow/c/query/count").json == n


# --- updates ---------------------------------------------------------------------------------------------


def updates(client: Client) -> list[str]:
    return [kind for kind in client.kinds("a") if "UPDATE" in kind]


def test_an_update_that_returns_nothing_has_an_empty_body(client: Client, approval: str) -> None:
    answer = client.post("/workflow/a/update/nothing")
    assert (answer.status, answer.text) == (200, "")


def test_an_update_needs_no_payload(client: Client, approval: str) -> None:
    assert client.post("/workflow/a/update/echo").text == "null"


FAILED = {"error": "WorkflowUpdateFailedError", "message": "Workflow Update failed"}


def test_an_update_that_fails_is_kept_in_the_history_and_the_run_continues(
    client: Client, approval: str
) -> None:
    answer = client.post("/workflow/a/update/broken")
    assert (answer.status, answer.json) == (500, FAILED)
    completed = next(e for e in client.events("a") if e["eventTypeName"].endswith("UPDATE_COMPLETED"))
    outcome = completed["workflowExecutionUpdateCompletedEventAttributes"]["outcome"]
    assert outcome["failure"]["message"] == "update handler broke"
    assert client.get("/workflow/a/status").json["status"] == "running"


def test_an_update_that_sleeps_takes_no_real_time(client: Client, approval: str) -> None:
    assert client.post("/workflow/a/update/sleepy").json == "awake"


def test_an_update_waits_for_a_signal_that_comes_later(
    mock: OutputMock, client: Client, approval: str
) -> None:
    with in_another_thread(lambda: client.post("/workflow/a/update/wait")) as answers:
        eventually(lambda: "WORKFLOW_EXECUTION_UPDATE_ACCEPTED" in client.kinds("a"))
        assert "WORKFLOW_EXECUTION_UPDATE_COMPLETED" not in client.kinds("a")
        client.post("/workflow/a/signal/approve", {"payload": {"by": "cy"}})
    assert (answers[0].status, answers[0].json) == (200, {"by": "cy"})
    assert client.until_closed("a") == "completed"


def test_concurrent_updates_are_all_answered(mock: OutputMock, client: Client, approval: str) -> None:
    def wait() -> Answer:
        return client.post("/workflow/a/update/wait")

    with in_another_thread(wait) as first, in_another_thread(wait) as second:
        eventually(lambda: somebody_waits(mock, "a") == 2)
        assert client.post("/workflow/a/update/set", {"payload": {"to": 2}}).json == 0.8
        client.post("/workflow/a/signal/approve", {"payload": {"by": "cy"}})
    assert first[0].json == second[0].json == {"by": "cy"}


def test_an_update_fails_when_its_run_ends_first(mock: OutputMock, client: Client, approval: str) -> None:
    with in_another_thread(lambda: client.post("/workflow/a/update/wait")) as answers:
        eventually(lambda: "WORKFLOW_EXECUTION_UPDATE_ACCEPTED" in client.kinds("a"))
        client.post("/workflow/a/terminate")
    assert answers[0].status == 500
    assert answers[0].json["error"] == "WorkflowUpdateFailedError"


def test_an_update_that_waits_for_something_that_never_happens_is_reported(
    mock: OutputMock, client: Client, approval: str
) -> None:
    mock.world.patience = 0.01
    answer = client.post("/workflow/a/update/wait")
    assert (answer.status, answer.json["error"]) == (500, "StalledError")
    assert "'wait' of workflow 'a' did not end within 0.01 s" in answer.json["message"]


def test_an_update_sent_before_the_first_workflow_task_is_answered(client: Client) -> None:
    client.start("approval", workflowId="a")
    assert client.post("/workflow/a/update/set", {"payload": {"to": 1}}).json == 0.8


def test_messages_go_to_the_latest_run(mock: OutputMock, client: Client, approval: str) -> None:
    approve(client)
    client.start("approval", workflowId="a")
    assert client.post("/workflow/a/query/stage").json == "review"
    client.post("/workflow/a/update/set", {"payload": {"to": 5}})
    approve(client, "di")
    assert output(client) == {"stage": "done", "threshold": 5, "by": "di"}
