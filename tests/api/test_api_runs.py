"""Starting and reading runs: run, start, status, result, input, trace log, lists, catalogs."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from output_mock import UNDEFINED, Context, OutputMock
from tests.client import Client
from tests.conftest import Connect

NOBODY = "00000000-0000-4000-8000-000000000000"
NUMBERS = {
    "type": "object",
    "properties": {"a": {"type": "number"}, "b": {"type": "number", "default": 2}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.fixture
def mock() -> OutputMock:
    mock = OutputMock(seed=7)
    mock.workflow("echo", aliases=["mirror"]).returns(lambda input: input)
    mock.workflow("hour").takes("1h").returns("done")

    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("go")

    @mock.workflow("chain")
    async def chain(ctx: Context, input: Any) -> Any:
        if input["n"] < 3:
            ctx.continue_as_new({"n": input["n"] + 1})
        return input

    return mock


def catalog_entry(client: Client, name: str, path: str = "/workflow/catalog") -> dict[str, Any]:
    entries: list[dict[str, Any]] = client.get(path).json["workflows"]
    return next(entry for entry in entries if entry["name"] == name)


# --- run -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, True, 0, "", "x", [], {}, [[1, {"a": None}]], {"é": "🐝"}])
def test_any_json_can_be_input_and_output(client: Client, value: Any) -> None:
    result = client.run("echo", value)
    assert (result["input"], result["output"]) == (value, value)


def test_a_workflow_id_is_generated_when_the_request_has_none(client: Client) -> None:
    ids = [client.run("echo", 1)["workflowId"] for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{20}", one) for one in ids)


def test_run_waits_no_longer_than_its_timeout_and_the_run_continues(client: Client) -> None:
    answer = client.post("/workflow/run", {"workflowName": "hour", "workflowId": "h", "timeout": 250})
    assert (answer.status, answer.json) == (
        408,
        {
            "error": "WorkflowExecutionTimedOutError",
            "message": "Workflow execution exceeded timeout for synchronous execution.",
            "workflowId": "h",
        },
    )
    assert client.get("/workflow/h/status").json["status"] == "running"
    assert client.until_closed("h") == "completed"


def test_run_waits_five_minutes_by_default(mock: OutputMock, client: Client) -> None:
    mock.workflow("five").takes("5m").returns(1)
    mock.workflow("longer").takes("5m1ms").returns(1)
    assert client.run("five")["status"] == "completed"
    assert client.post("/workflow/run", {"workflowName": "longer"}).status == 408


def test_the_default_timeout_of_run_can_be_configured(connect: Connect) -> None:
    mock = OutputMock(max_waiting="2h")
    mock.workflow("hour").takes("1h").returns("done")
    assert connect(mock).run("hour")["output"] == "done"


def test_run_returns_408_at_once_for_a_workflow_that_waits_for_a_signal(client: Client) -> None:
    answer = client.post("/workflow/run", {"workflowName": "waits", "workflowId": "w"})
    assert answer.status == 408
    client.post("/workflow/w/signal/go", {"payload": {"by": "ana"}})
    assert client.get("/workflow/w/result").json["output"] == {"by": "ana"}


# --- start and status ------------------------------------------------------------------------------------


def test_start_returns_the_ids_before_the_run_begins(client: Client) -> None:
    started = client.start("hour", {"x": 1})
    assert set(started) == {"workflowId", "runId"}
    status = client.get(f"/workflow/{started['workflowId']}/status").json
    assert status == {
        **started,
        "status": "running",
        "startedAt": status["startedAt"],
        "completedAt": "",
    }
    assert isinstance(status["startedAt"], int)


def test_the_status_of_a_closed_run_has_its_completion_time(client: Client) -> None:
    result = client.run("hour", timeout=7_200_000)
    status = client.get(f"/workflow/{result['workflowId']}/status").json
    assert status["status"] == "completed"
    assert status["completedAt"] - status["startedAt"] == 3_600_000


def test_result_input_and_trace_of_a_running_run(client: Client) -> None:
    client.start("waits", {"x": 1}, workflowId="w")
    for path in ("result", "trace-log"):
        answer = client.get(f"/workflow/w/{path}")
        assert (answer.status, answer.json) == (
            424,
            {"error": "WorkflowNotCompletedError", "message": "Workflow execution is not complete."},
        )
    assert client.get("/workflow/w/input").json["input"] == {"x": 1}


def test_missing_input_is_left_out_of_the_response(client: Client) -> None:
    started = client.start("waits")
    assert client.get(f"/workflow/{started['workflowId']}/input").json == started
    started = client.start("waits", None)
    assert client.get(f"/workflow/{started['workflowId']}/input").json == {**started, "input": None}


# --- pinned and unpinned ---------------------------------------------------------------------------------


def test_unpinned_routes_act_on_the_latest_run_and_pinned_routes_on_theirs(client: Client) -> None:
    runs = [client.run("echo", n, workflowId="again")["runId"] for n in range(3)]
    assert len(set(runs)) == 3
    assert client.get("/workflow/again/status").json["runId"] == runs[2]
    assert client.get("/workflow/again/input").json["input"] == 2
    for n, run_id in enumerate(runs):
        for path in ("status", "result", "input", "trace-log"):
            assert client.get(f"/workflow/again/runs/{run_id}/{path}").json["runId"] == run_id
        assert client.get(f"/workflow/again/runs/{run_id}/result").json["output"] == n
        page = client.get(f"/workflow/again/runs/{run_id}/history").json
        assert (page["runId"], page["workflow"]["runId"]) == (run_id, run_id)


def test_a_run_id_may_be_written_in_capitals(client: Client) -> None:
    run_id = client.run("echo", 1, workflowId="one")["runId"]
    assert client.get(f"/workflow/one/runs/{run_id.upper()}/status").status == 200


def test_a_run_belongs_to_its_workflow_id(client: Client) -> None:
    run_id = client.run("echo", 1, workflowId="one")["runId"]
    client.run("echo", 1, workflowId="two")
    answer = client.get(f"/workflow/two/runs/{run_id}/status")
    assert (answer.status, answer.json) == (
        404,
        {
            "error": "WorkflowNotFoundError",
            "message": f'workflow execution not found for workflow ID "two" and run ID "{run_id}"',
            "workflowId": "two",
        },
    )


# --- ids -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/workflow/run", "/workflow/start"])
def test_a_run_cannot_use_the_id_of_a_running_run(client: Client, path: str) -> None:
    client.start("waits", workflowId="mine")
    answer = client.post(path, {"workflowName": "echo", "workflowId": "mine"})
    assert (answer.status, answer.json) == (
        500,
        {
            "error": "WorkflowExecutionAlreadyStartedError",
            "message": "Workflow execution already started",
            "workflowId": "mine",
        },
    )


def test_a_run_cannot_use_the_id_of_a_catalog(client: Client) -> None:
    answer = client.post("/workflow/start", {"workflowName": "echo", "workflowId": "main"})
    assert answer.json["error"] == "WorkflowExecutionAlreadyStartedError"


def test_runs_started_from_many_threads_have_unique_ids(client: Client) -> None:
    results: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda n=n: results.append(client.run("echo", n))) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result["output"] for result in results) == list(range(16))
    assert all(result["input"] == result["output"] for result in results)
    assert len({result["workflowId"] for result in results}) == 16
    assert len({result["runId"] for result in results}) == 16


# --- the trace -------------------------------------------------------------------------------------------


def test_the_trace_path_is_made_of_workflow_name_start_time_and_id(client: Client) -> None:
    result = client.run("echo", 1, workflowId="one")
    trace = result["trace"]["local"]
    assert re.fullmatch(r".*/logs/runs/echo/\d{4}(-\d\d){5}-\d{3}Z_one\.json", trace)
    answer = client.get("/workflow/one/trace-log").json
    assert answer == {"source": "local", "runId": result["runId"], "localPath": trace}


def test_a_failed_run_has_a_trace_too(mock: OutputMock, client: Client) -> None:
    mock.workflow("fails").fails("no")
    result = client.run("fails", workflowId="f")
    assert client.get("/workflow/f/trace-log").json["localPath"] == result["trace"]["local"]


# --- schemas ---------------------------------------------------------------------------------------------


@pytest.fixture
def strict(mock: OutputMock) -> list[Any]:
    seen: list[Any] = []

    @mock.workflow("strict", input_schema=NUMBERS, output_schema={"type": "number"})
    async def strict(ctx: Context, input: Any) -> Any:
        seen.append(input)
        return "no number" if input["a"] == 13 else input["a"] + input["b"]

    return seen


def test_a_workflow_gets_its_input_without_unknown_keys_and_with_defaults(
    client: Client, strict: list[Any]
) -> None:
    result = client.run("strict", {"a": 1, "c": 3})
    assert strict == [{"a": 1, "b": 2}]
    assert (result["input"], result["output"]) == ({"a": 1, "c": 3}, 3)


@pytest.mark.parametrize("input", [{"a": "x"}, {}, [], None, "x", 5, True])
def test_invalid_input_fails_the_run_and_is_echoed(client: Client, strict: list[Any], input: Any) -> None:
    result = client.run("strict", input)
    assert (result["status"], result["input"], result["output"]) == ("failed", input, None)
    assert result["error"]["name"] == "ValidationError"
    assert result["error"]["message"].startswith('Workflow "strict" input validation failed: ✖ Invalid input')
    assert strict == []


def test_missing_input_fails_validation_too(client: Client, strict: list[Any]) -> None:
    message = client.run("strict")["error"]["message"]
    assert message == (
        'Workflow "strict" input validation failed: ✖ Invalid input: expected object, received undefined'
    )


def test_steps_can_have_their_own_schemas(mock: OutputMock, client: Client) -> None:
    @mock.workflow("steps")
    async def steps(ctx: Context, input: Any) -> Any:
        number = {"type": "number"}
        return await ctx.step(
            "count", input, returns=lambda given: given, input_schema={}, output_schema=number
        )

    assert client.run("steps", 5)["output"] == 5
    error = client.run("steps", "x")["error"]
    assert (error["activityType"], error["name"]) == ("steps#count", "ValidationError")
    assert error["message"].startswith('Step "count" output validation failed: ')


# --- lists -----------------------------------------------------------------------------------------------


def listed(client: Client, query: str = "") -> list[str]:
    answer = client.get(f"/workflow/runs?{query}").json
    assert answer["count"] == len(answer["runs"])
    return [run["workflowId"] for run in answer["runs"]]


def test_a_list_has_the_fields_of_status_with_iso_times(client: Client) -> None:
    result = client.run("echo", 1, workflowId="one")
    (run,) = client.get("/workflow/runs?workflowType=echo").json["runs"]
    assert run == {
        "workflowId": "one",
        "runId": result["runId"],
        "workflowType": "echo",
        "status": "completed",
        "startedAt": "2026-01-01T00:00:00.000Z",
        "completedAt": "2026-01-01T00:00:00.000Z",
    }


def test_runs_are_listed_newest_first_and_running_ones_before_closed_ones(client: Client) -> None:
    for workflow_id in ("a", "b"):
        client.start("waits", workflowId=workflow_id)
    for workflow_id in ("c", "d"):
        client.run("echo", 1, workflowId=workflow_id)
    assert listed(client) == ["b", "a", "main", "d", "c"]
    client.post("/workflow/a/terminate")
    assert listed(client) == ["b", "main", "a", "d", "c"]


def test_a_running_run_has_no_completion_time(client: Client) -> None:
    client.start("waits", workflowId="a")
    (run,) = client.get("/workflow/runs?workflowType=waits").json["runs"]
    assert (run["status"], run["completedAt"]) == ("running", None)


def test_a_list_respects_its_limit(client: Client) -> None:
    for n in range(5):
        client.run("echo", n, workflowId=f"run{n}")
    assert listed(client, "limit=2&workflowType=echo") == ["run4", "run3"]
    assert listed(client, "limit=1") == ["main"]
    assert len(listed(client, "limit=1000")) == 6


def test_a_list_holds_a_hundred_by_default(mock: OutputMock, client: Client) -> None:
    for _ in range(101):
        mock.world.start("echo")
    assert len(listed(client)) == 100
    assert len(listed(client, "limit=1000")) == 102


def test_lists_are_filtered_by_type_and_catalog(mock: OutputMock, client: Client) -> None:
    mock.workflow("echo", catalog="other").returns(1)
    client.run("echo", 1, workflowId="here")
    client.run("echo", 1, workflowId="there", catalog="other")
    client.start("waits", workflowId="w")
    assert listed(client, "workflowType=echo") == ["there", "here"]
    assert listed(client, "catalog=other") == ["other", "there"]
    assert listed(client, "catalog=other&workflowType=echo") == ["there"]
    assert listed(client, "catalog=main&workflowType=waits") == ["w"]
    assert listed(client, "workflowType=none") == []
    assert listed(client, "catalog=none") == []


def test_a_list_is_filtered_by_real_names_not_aliases(client: Client) -> None:
    client.run("mirror", 1, workflowId="m")
    assert listed(client, "workflowType=mirror") == []
    assert listed(client, "workflowType=echo") == ["m"]


def test_every_run_of_an_id_is_listed(client: Client) -> None:
    client.run("chain", {"n": 0}, workflowId="c")
    runs = client.get("/workflow/runs?workflowType=chain").json["runs"]
    assert [run["status"] for run in runs] == ["completed", *["continued_as_new"] * 3]
    assert len({run["runId"] for run in runs}) == 4


# --- catalogs --------------------------------------------------------------------------------------------


def test_the_catalog_lists_workflows_as_the_scripts_describe_them(connect: Connect) -> None:
    mock = OutputMock()
    schema = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}
    mock.workflow(
        "described", description="Says hello", input_schema=schema, output_schema={}, aliases=["said"]
    ).returns(1)
    mock.workflow("bare").returns(1)
    client = connect(mock)
    catalog = client.get("/workflow/catalog").json
    assert catalog["workflowNames"] == {"described": "described", "said": "described", "bare": "bare"}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    assert catalog_entry(client, "described") == {
        "name": "described",
        "description": "Says hello",
        "inputSchema": {"$schema": dialect, **schema},
        "outputSchema": {"$schema": dialect},
        "path": "/app/dist/workflows/described/workflow.js",
        "activities": [],
        "aliases": ["said"],
    }
    bare = catalog_entry(client, "bare")
    assert (bare["inputSchema"], bare["outputSchema"], bare["aliases"]) == (None, None, [])
    assert "description" not in bare


def test_the_catalog_shows_a_workflow_that_was_added_later(mock: OutputMock, client: Client) -> None:
    assert "later" not in client.get("/workflow/catalog").json["workflowNames"]
    mock.workflow("later").returns(1)
    assert client.get("/workflow/catalog/main").json["workflowNames"]["later"] == "later"


def test_an_alias_starts_its_workflow(client: Client) -> None:
    client.run("mirror", 1, workflowId="m")
    started = client.events("m")[0]["workflowExecutionStartedEventAttributes"]
    assert started["workflowType"]["name"] == "echo"


@pytest.mark.parametrize("field", ["catalog", "taskQueue"])
def test_an_unknown_catalog_is_not_available_yet(client: Client, field: str) -> None:
    answer = client.post("/workflow/run", {"workflowName": "echo", field: "nope"})
    assert (answer.status, answer.json["error"]) == (503, "CatalogNotAvailableError")
    assert answer.headers["retry-after"] == "3"


@pytest.fixture
def several(connect: Connect) -> Client:
    mock = OutputMock()
    mock.workflow("where").returns("main")
    mock.workflow("only_main").returns(1)
    mock.workflow("where", catalog="other").returns("other")
    return connect(mock)


def test_each_catalog_has_its_own_workflows(several: Client) -> None:
    assert several.run("where")["output"] == "main"
    assert several.run("where", catalog="other")["output"] == "other"
    assert several.run("where", taskQueue="other")["output"] == "other"
    answer = several.post("/workflow/run", {"workflowName": "only_main", "catalog": "other"})
    assert answer.json["message"] == "Workflow only_main is not supported in the task queue other."
    assert list(several.get("/workflow/catalog/other").json["workflowNames"]) == ["where"]


def test_catalog_takes_precedence_over_task_queue(several: Client) -> None:
    assert several.run("where", catalog="main", taskQueue="other")["output"] == "main"


def test_a_run_reports_its_task_queue(several: Client) -> None:
    several.run("where", catalog="other", workflowId="w")
    assert several.get("/workflow/w/history").json["workflow"]["taskQueue"] == "other"


def test_an_unknown_catalog_is_an_unknown_workflow_id(client: Client) -> None:
    answer = client.get("/workflow/catalog/nope")
    assert (answer.status, answer.json["message"]) == (404, "workflow not found for ID: nope")


def test_the_catalog_is_itself_a_run(client: Client) -> None:
    assert client.get("/workflow/main/status").json["status"] == "running"
    started = client.events("main")[0]["workflowExecutionStartedEventAttributes"]
    assert started["workflowType"]["name"] == "$catalog"
    assert client.post("/workflow/main/query/ping").json == "pong"
    assert client.post("/workflow/main/query/get").json == client.get("/workflow/catalog").json


def test_the_default_catalog_can_be_named(connect: Connect) -> None:
    mock = OutputMock(catalog="production")
    mock.workflow("echo").returns(1)
    client = connect(mock)
    client.run("echo", workflowId="e")
    assert client.get("/workflow/e/history").json["workflow"]["taskQueue"] == "production"
    assert client.get("/workflow/catalog").json == client.get("/workflow/catalog/production").json
    assert client.get("/workflow/catalog/main").status == 404


# --- a worker that has gone ------------------------------------------------------------------------------


@pytest.fixture
def workerless(mock: OutputMock) -> OutputMock:
    mock.workflow("echo", catalog="away").returns(lambda input: input)
    mock.add_catalog("away", worker=False)
    return mock


def test_nothing_runs_while_the_worker_is_down(workerless: OutputMock, client: Client) -> None:
    client.start("echo", 5, workflowId="e", catalog="away")
    for _ in range(3):
        assert client.get("/workflow/e/status").json["status"] == "running"
    assert client.get("/workflow/e/history").json["workflow"]["historyLength"] == 2
    assert (
        client.post("/workflow/run", {"workflowName": "echo", "catalog": "away", "timeout": 250}).status
        == 408
    )


def test_a_run_continues_when_its_worker_returns(workerless: OutputMock, client: Client) -> None:
    client.start("echo", 5, workflowId="e", catalog="away")
    client.get("/workflow/e/status")
    workerless.add_catalog("away", worker=True)
    assert client.until_closed("e") == "completed"
    assert client.get("/workflow/e/result").json["output"] == 5


def test_nothing_is_lost_when_a_worker_goes_away(workerless: OutputMock, client: Client) -> None:
    @workerless.workflow("two_steps", catalog="away")
    async def two_steps(ctx: Context, input: Any) -> Any:
        first = await ctx.step("first", returns=1, takes="1m")
        await ctx.wait_for_signal("go")
        return [first, await ctx.step("second", returns=2, takes="1m")]

    workerless.add_catalog("away", worker=True)
    client.start("two_steps", workflowId="t", catalog="away")
    for _ in range(5):
        client.get("/workflow/t/status")
    before = client.kinds("t")
    assert "ACTIVITY_TASK_COMPLETED" in before
    workerless.add_catalog("away", worker=False)
    client.post("/workflow/t/signal/go", {"payload": {}})
    for _ in range(5):
        assert client.get("/workflow/t/status").json["status"] == "running"
    assert client.kinds("t")[: len(before)] == before
    workerless.add_catalog("away", worker=True)
    assert client.until_closed("t") == "completed"
    assert client.get("/workflow/t/result").json["output"] == [1, 2]


def test_queries_fail_while_the_worker_is_down(workerless: OutputMock, client: Client) -> None:
    client.start("echo", 5, workflowId="e", catalog="away")
    answer = client.post("/workflow/e/query/stage")
    assert (answer.status, answer.json) == (
        500,
        {"error": "ServiceError", "message": "Failed to query Workflow"},
    )
    answer = client.get("/workflow/catalog/away")
    assert (answer.status, answer.json["error"]) == (409, "ServiceError")


def test_messages_are_kept_while_the_worker_is_down(workerless: OutputMock, client: Client) -> None:
    @workerless.workflow("waits", catalog="away")
    async def waits(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("go")

    client.start("waits", workflowId="w", catalog="away")
    assert client.post("/workflow/w/signal/go", {"payload": {"n": 1}}).text == "OK"
    workerless.add_catalog("away", worker=True)
    assert client.until_closed("w") == "completed"
    assert client.get("/workflow/w/result").json["output"] == {"n": 1}


# --- results ---------------------------------------------------------------------------------------------


def test_a_workflow_that_returns_nothing_has_the_output_null(mock: OutputMock, client: Client) -> None:
    @mock.workflow("nothing")
    async def nothing(ctx: Context, input: Any) -> Any:
        await ctx.step("one")

    @mock.workflow("undefined")
    async def undefined(ctx: Context, input: Any) -> Any:
        return UNDEFINED

    for name in ("nothing", "undefined"):
        result = client.run(name)
        assert (result["status"], result["output"]) == ("completed", None)


def test_the_return_value_of_a_script_is_converted_to_json(mock: OutputMock, client: Client) -> None:
    mock.workflow("python").returns({"tuple": (1, 2), 3: True, "nan": float("nan"), "whole": 2.0})
    assert client.run("python")["output"] == {"tuple": [1, 2], "3": True, "nan": None, "whole": 2}
