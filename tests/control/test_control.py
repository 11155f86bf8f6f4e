"""The control plane: over HTTP, a program in any language can do what a Python test can."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from openapi_spec_validator import validate

from output_mock import Context, Failure, OutputMock
from output_mock.control.operations import OPERATIONS
from output_mock.control.worlds import Worlds
from tests.client import Client
from tests.conftest import eventually, in_another_thread
from tests.control.control_document import DOCUMENT
from tests.control.served import served, worlds_of

HELLO = {"workflows": [{"name": "hello", "returns": {"text": "hi {{ input.name }}"}}]}
HELLO_YAML = "workflows:\n  - name: hello\n    returns: {text: 'hi {{ input.name }}'}\n"
YAML = {"Content-Type": "application/yaml"}


@pytest.fixture
def client() -> Iterator[Client]:
    with served(worlds_of()) as client:
        yield client


def begin(client: Client, workflow: str = "approval", workflow_id: str = "a") -> None:
    client.start(workflow, {"topic": "bees"}, workflowId=workflow_id)


# The document


def test_the_document_is_valid_and_served(client: Client) -> None:
    validate(DOCUMENT)
    assert client.control("GET", "/openapi.json").json == DOCUMENT


def test_each_operation_has_a_unique_name_and_path() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


def test_the_version_is_reported(client: Client) -> None:
    answer = client.control("GET", "/version").json
    assert answer["name"] == "output-mock"
    assert answer["version"][0].isdigit()
    assert (answer["keepRuns"], answer["runsGone"]) == (None, 0)


# Workflows


def test_workflows_are_listed_with_their_catalog_entry(client: Client) -> None:
    listed = client.control("GET", "/workflows").json["workflows"]
    assert [one["name"] for one in listed] == ["echo", "slow", "approval"]
    assert {one["language"] for one in listed} == {"python"}
    assert client.control("GET", "/workflows/echo").json["script"] is None


@pytest.mark.parametrize("language", ["json", "yaml"])
def test_an_added_workflow_can_be_run_and_read(client: Client, language: str) -> None:
    if language == "json":
        client.control("POST", "/workflows", HELLO, expect=201)
    else:
        client.control("POST", "/workflows", data=HELLO_YAML, headers=YAML, expect=201)
    assert client.run("hello", {"name": "ana"})["output"] == {"text": "hi ana"}
    assert client.control("GET", "/workflows/hello").json["script"] == HELLO["workflows"][0]


def test_the_script_that_is_read_from_a_workflow_can_be_sent_back(client: Client) -> None:
    client.control("POST", "/workflows", HELLO, expect=201)
    read = client.control("GET", "/workflows/hello").json["script"]
    client.control("PUT", "/workflows/hello", {**read, "returns": 2}, expect=200)
    assert client.run("hello")["output"] == 2


def test_adding_an_existing_workflow_is_a_conflict_and_changes_nothing(client: Client) -> None:
    more = {"workflows": [{"name": "new", "returns": 1}, {"name": "echo", "returns": 1}]}
    answer = client.control("POST", "/workflows", more, expect=409)
    assert "'echo'" in answer.json["message"]
    client.control("GET", "/workflows/new", expect=404)


def test_replacing_a_workflow_does_not_change_its_running_runs(client: Client) -> None:
    begin(client)
    client.control("PUT", "/workflows/approval", {"returns": "at once"}, expect=200)
    assert client.run("approval")["output"] == "at once"
    client.control("POST", "/clock/advance", {"by": "10m"})
    client.post("/workflow/a/signal/approve", {"payload": {"by": "ana"}})
    assert client.until_closed("a") == "completed"
    assert client.get("/workflow/a/result").json["output"] == {"draft": "text", "by": "ana"}


def test_a_single_workflow_can_be_sent_as_yaml_with_or_without_the_file_structure(client: Client) -> None:
    client.control("PUT", "/workflows/hello", data=HELLO_YAML, headers=YAML, expect=201)
    client.control("PUT", "/workflows/hello", data="name: hello\nreturns: 3", headers=YAML, expect=200)
    assert client.run("hello")["output"] == 3


def test_the_trace_of_a_running_run_can_be_read(client: Client) -> None:
    script = {"steps": [{"step": "s", "returns": 1, "trace": [{"llm": "g", "model": "m"}]}, {"sleep": "1h"}]}
    client.control("PUT", "/workflows/traced", script, expect=201)
    client.control("PUT", "/workflows/untraced", {"returns": 1, "traced": False}, expect=201)
    client.start("traced", workflowId="t")
    assert "has not begun" in client.control("GET", "/runs/t/trace", expect=404).json["message"]
    client.control("POST", "/clock/advance", {"by": "1s"})
    tree = client.control("GET", "/runs/t/trace").json
    assert tree["endedAt"] is None
    assert tree["children"][-1]["children"][0]["kind"] == "llm"
    client.run("untraced", workflowId="u")
    assert "is not traced" in client.control("GET", "/runs/u/trace", expect=404).json["message"]


def test_s3_trouble_is_a_fault(client: Client) -> None:
    client.run("echo", workflowId="e")
    client.control("POST", "/faults", {"s3": "denied"}, expect=201)
    assert client.get("/workflow/e/trace-log").json["error"] == "TraceFileDownloadError"
    assert client.get("/workflow/e/trace-log").status == 200
    client.control("POST", "/faults", {"s3": "denied", "route": "run"}, expect=400)


def test_replacing_all_workflows_leaves_no_others(client: Client) -> None:
    body = {**HELLO, "begin_with": [{"workflow": "hello", "input": {"name": "x"}, "workflow_id": "first"}]}
    client.control("PUT", "/workflows", body, expect=200)
    assert [one["name"] for one in client.control("GET", "/workflows").json["workflows"]] == ["hello"]
    assert client.post("/workflow/run", {"workflowName": "echo"}).status == 424
    assert client.until_closed("first") == "completed"


def test_a_removed_workflow_cannot_be_run(client: Client) -> None:
    client.control("DELETE", "/workflows/echo", expect=204)
    assert client.post("/workflow/run", {"workflowName": "echo"}).status == 424
    assert client.control("DELETE", "/workflows/slwo", expect=404).json["nearest"] == "slow"
    client.control("DELETE", "/workflows/slow", catalog="remote", expect=404)


def test_every_mistake_of_a_json_script_is_reported_with_its_pointer(client: Client) -> None:
    body = {
        "workflows": [
            {"name": "a", "retuns": 1},
            {"name": "b", "steps": [{"step": "x", "takes": "soon"}, {"child": "nobody"}]},
        ]
    }
    answer = client.control("POST", "/workflows", body, expect=400).json
    assert answer["error"] == "InvalidScriptError"
    places = [mistake["at"] for mistake in answer["mistakes"]]
    assert places[0] == "/workflows/0/retuns"
    assert "/workflows/1/steps/0/takes" in places


def test_every_mistake_of_a_yaml_script_is_reported_with_its_line(client: Client) -> None:
    text = "workflows:\n  - name: a\n    retuns: 1\n  - name: b c\n    returns: 1\n"
    answer = client.control("POST", "/workflows", data=text, headers=YAML, expect=400).json
    places = [(mistake["line"], mistake["column"]) for mistake in answer["mistakes"]]
    assert places == sorted(places)
    assert {(3, 5), (4, 11)} <= set(places)


def test_an_unknown_child_workflow_is_a_mistake(client: Client) -> None:
    def body(child: str) -> Any:
        return {"workflows": [{"name": "parent", "steps": [{"child": child}], "returns": 1}]}

    answer = client.control("POST", "/workflows", body("ehco"), expect=400).json
    assert answer["mistakes"][0]["at"] == "/workflows/0/steps/0/child"
    assert "echo" in answer["message"]
    client.control("POST", "/workflows", body("echo"), expect=201)


def test_mistakes_in_a_single_workflow_have_pointers_relative_to_it(client: Client) -> None:
    answer = client.control("PUT", "/workflows/a", {"retuns": 1}, expect=400).json
    assert answer["mistakes"][0]["at"] == "/retuns"
    client.control("PUT", "/workflows/a", {"name": "b", "returns": 1}, expect=400)


def test_python_scripts_are_refused_over_http(client: Client) -> None:
    headers = {"Content-Type": "text/x-python"}
    client.control("POST", "/workflows", data="import os", headers=headers, expect=415)
    evil = {"workflows": [{"name": "a", "returns": "{{ input.__class__.__mro__ }}"}]}
    client.control("POST", "/workflows", evil, expect=201)
    answer = client.post("/workflow/run", {"workflowName": "a", "input": {}})
    assert (answer.status, answer.json["error"]) == (500, "ScriptError")
    assert "input has no '__class__'; it is empty (/workflows/0/returns)" in answer.json["message"]


# Catalogs


def test_a_worker_can_be_stopped_and_started(client: Client) -> None:
    client.control("PUT", "/catalogs/main", {"worker": False}, expect=200)
    begin(client, "echo")
    assert client.get("/workflow/a/status").json["status"] == "running"
    assert client.control("GET", "/runs/a").json["progress"].startswith("waiting for a worker")
    client.control("PUT", "/catalogs/main", {"worker": True})
    assert client.until_closed("a") == "completed"


def test_a_worker_that_is_stopped_for_a_time_returns_by_itself(client: Client) -> None:
    shown = client.control("PUT", "/catalogs/main", {"awayFor": "30s"}).json
    assert (shown["worker"], shown["workerReturns"]) == (False, "2026-01-01T00:00:30.000Z")
    assert client.run("echo", 5)["output"] == 5
    assert client.control("GET", "/clock").json["now"] == "2026-01-01T00:00:30.000Z"
    assert client.control("GET", "/catalogs").json["catalogs"][0]["worker"] is True


def test_waiting_for_a_retry_whose_worker_is_down_does_not_spin() -> None:
    mock = OutputMock()
    mock.world.patience = 0.1

    @mock.workflow("flaky")
    async def flaky(ctx: Context, given: Any) -> Any:
        ctx.on_update("set", lambda payload: payload)
        return await ctx.step("a", fails=[Failure("once")], returns=1)

    with served(Worlds(mock)) as client:
        client.start("flaky", workflowId="a")
        client.control("POST", "/clock/advance", {"by": "1s"})
        client.control("PUT", "/catalogs/main", {"worker": False})
        client.control("POST", "/clock/advance", {"by": "1h"})
        assert client.post("/workflow/a/update/set").json["error"] == "StalledError"
        client.control("PUT", "/catalogs/main", {"worker": True})
        assert client.until_closed("a") == "completed"


def test_a_new_catalog_can_be_made_and_filled(client: Client) -> None:
    client.control("PUT", "/catalogs/remote", expect=201)
    client.control("PUT", "/workflows/far", {"catalogs": "remote", "returns": 1}, expect=201)
    assert client.run("far", catalog="remote")["output"] == 1
    client.control("PUT", "/catalogs/a%2Fb", expect=400)


# Runs


def test_runs_are_listed_with_their_progress(client: Client) -> None:
    begin(client, "approval", "a")
    client.run("echo", 1, workflowId="b")
    listed = client.control("GET", "/runs").json
    assert [(run["workflowId"], run["status"]) for run in listed["runs"]] == [
        ("a", "running"),
        ("b", "completed"),
    ]
    assert client.control("GET", "/runs", workflow="echo").json["count"] == 1
    assert client.control("GET", "/runs", status="running").json["runs"][0]["workflowId"] == "a"
    assert client.control("GET", "/runs", workflowId="b", limit=1).json["count"] == 1
    assert client.control("GET", "/runs", status="runing", expect=400).json["nearest"] == "running"


def test_a_run_is_shown_in_full_and_reading_it_moves_no_time(client: Client) -> None:
    begin(client)
    for _ in range(5):
        shown = client.control("GET", "/runs/a", history=True).json
    assert shown["input"] == {"topic": "bees"}
    assert shown["history"][0]["eventTypeName"] == "WORKFLOW_EXECUTION_STARTED"
    assert client.control("GET", "/clock").json["now"] == "2026-01-01T00:00:00.000Z"
    assert client.control("GET", "/runs/a", runId=shown["runId"]).json["runId"] == shown["runId"]
    client.control("GET", "/runs/a", runId="other", expect=404)


def test_advancing_a_run_goes_to_its_next_event(client: Client) -> None:
    begin(client)
    client.control("POST", "/runs/a/advance", expect=200)
    shown = client.control("GET", "/runs/a").json
    assert [(step["name"], step["attempt"]) for step in shown["waitsFor"]["steps"]] == [("draft", 1)]
    assert client.control("POST", "/runs/a/advance", expect=200).json["waitsFor"]["signals"] == ["approve"]
    refused = client.control("POST", "/runs/a/advance", expect=409).json
    assert "waiting for signal 'approve'" in refused["message"]
    failed = client.control("POST", "/runs/a/advance", timeouts=True, expect=200).json
    assert failed["status"] != "running"
    client.control("POST", "/runs/a/advance", expect=409)


def test_a_waiting_step_can_be_completed_manually(client: Client) -> None:
    begin(client)
    client.control("POST", "/runs/a/complete", {"step": "draft", "output": "by hand"}, expect=200)
    client.control("POST", "/runs/a/signal", {"name": "approve", "payload": {"by": "ana"}}, expect=200)
    assert client.get("/workflow/a/result").json["output"] == {"draft": "by hand", "by": "ana"}
    assert client.control("GET", "/clock").json["now"] == "2026-01-01T00:00:00.000Z"
    names = client.kinds("a")
    assert names.count("ACTIVITY_TASK_COMPLETED") == 2  # with the one of the trace's destinations
    assert "MARKER" not in "".join(names)


def test_a_step_that_is_failed_manually_is_not_retried(client: Client) -> None:
    begin(client)
    body = {"step": "draft", "message": "no ink", "name": "InkError", "properties": {"level": 0}}
    shown = client.control("POST", "/runs/a/fail", body, expect=200).json
    assert shown["status"] == "failed"
    error = client.get("/workflow/a/result").json["error"]
    assert error["message"] == "no ink"
    assert client.control("GET", "/runs/a").json["error"]["message"] == "no ink"


def test_a_run_can_be_completed_and_failed_manually(client: Client) -> None:
    begin(client, "approval", "a")
    begin(client, "approval", "b")
    client.control("POST", "/runs/a/complete", {"output": [1]}, expect=200)
    client.control("POST", "/runs/b/fail", {"message": "enough"}, expect=200)
    assert client.get("/workflow/a/result").json["output"] == [1]
    failed = client.get("/workflow/b/result").json
    assert (failed["status"], failed["error"]["message"]) == ("failed", "enough")
    assert client.kinds("a")[-3:] == [
        "WORKFLOW_TASK_STARTED",
        "WORKFLOW_TASK_COMPLETED",
        "WORKFLOW_EXECUTION_COMPLETED",
    ]
    client.control("POST", "/runs/a/complete", expect=409)
    client.control("POST", "/runs/a/fail", expect=409)


def test_a_run_that_never_began_can_be_ended_manually(client: Client) -> None:
    client.control("PUT", "/catalogs/main", {"worker": False})
    begin(client)
    client.control("POST", "/runs/a/complete", {"output": 1}, expect=200)
    assert client.get("/workflow/a/status").json["status"] == "completed"


def test_a_step_whose_worker_is_down_can_be_completed_manually(client: Client) -> None:
    client.control("PUT", "/workflows/two", {"steps": [{"step": "one"}, {"step": "two"}], "returns": "ok"})
    begin(client, "two", "t")
    client.control("GET", "/runs/t")
    begin(client)
    client.get("/workflow/a/status")
    client.control("PUT", "/catalogs/main", {"worker": False})
    client.control("POST", "/clock/advance", {"by": "1h"})
    assert [one["name"] for one in client.control("GET", "/runs/a").json["waitsFor"]["steps"]] == ["draft"]
    client.control("POST", "/runs/a/complete", {"step": "draft", "output": 1}, expect=200)
    client.control("PUT", "/catalogs/main", {"worker": True})
    shown = client.control("GET", "/runs/a").json
    assert shown["waitsFor"] == {"steps": [], "signals": ["approve"]}
    assert client.until_closed("t") == "completed"


def test_a_reset_after_a_manually_completed_step_keeps_its_result(client: Client) -> None:
    begin(client)
    client.control("POST", "/runs/a/complete", {"step": "draft", "output": "by hand"})
    assert client.post("/workflow/a/reset", {"stepName": "draft"}).status == 200
    client.control("POST", "/runs/a/signal", {"name": "approve", "payload": {"by": "bo"}})
    assert client.get("/workflow/a/result").json["output"] == {"draft": "by hand", "by": "bo"}


def test_an_unknown_run_or_step_names_the_nearest(client: Client) -> None:
    begin(client, "approval", "order-17")
    assert client.control("GET", "/runs/order-71", expect=404).json["nearest"] == "order-17"
    body = {"step": "drafts"}
    client.control("POST", "/clock/advance", {"by": 0})
    answer = client.control("POST", "/runs/order-17/complete", body, expect=404)
    assert answer.json["nearest"] == "draft"
    client.control("GET", "/runs/main", expect=404)


def test_a_signal_can_be_scheduled(client: Client) -> None:
    begin(client)
    later = {"name": "approve", "payload": {"by": "ana"}, "after": "2h"}
    client.control("POST", "/runs/a/signal", later, expect=200)
    assert client.until_closed("a") == "completed"
    assert client.control("GET", "/clock").json["now"] == "2026-01-01T02:00:00.000Z"
    client.control("POST", "/runs/a/signal", later, expect=409)


# The clock


def test_the_clock_can_be_read_and_advanced(client: Client) -> None:
    begin(client)
    client.get("/workflow/a/status")
    clock = client.control("GET", "/clock").json
    assert (clock["mode"], clock["nextDue"]) == ("auto", "2026-01-01T00:10:00.000Z")
    clock = client.control("POST", "/clock/advance", {"by": "10m"}).json
    assert clock["now"] == "2026-01-01T00:10:00.000Z"
    assert client.control("POST", "/clock/advance", {"by": 1.5}).json["milliseconds"] % 60_000 == 1500


def test_a_manual_clock_moves_only_when_advanced(client: Client) -> None:
    client.control("PUT", "/clock", {"mode": "manual"}, expect=200)
    begin(client, "slow")
    for _ in range(3):
        assert client.get("/workflow/a/status").json["status"] == "running"
    client.control("POST", "/clock/advance", {"by": "45m"})
    assert client.get("/workflow/a/status").json["status"] == "completed"


def test_a_client_that_waits_continues_when_the_clock_becomes_auto(client: Client) -> None:
    client.control("PUT", "/clock", {"mode": "manual"})
    with in_another_thread(lambda: client.run("slow", timeout=3_600_000)) as outcome:
        time.sleep(0.1)
        assert outcome == []
        client.control("PUT", "/clock", {"mode": "auto"})
    assert outcome[0]["output"] == "done"


def test_a_real_clock_cannot_be_advanced_and_stays_real(client: Client) -> None:
    client.control("POST", "/worlds", {"name": "real", "clock": "real"}, expect=201)
    real = client.of("real")
    real.control("POST", "/clock/advance", {"by": "1s"}, expect=409)
    real.control("PUT", "/clock", {"mode": "auto"}, expect=409)
    real.start("slow", workflowId="a")
    real.control("POST", "/runs/a/advance", expect=409)
    client.control("PUT", "/clock", {"mode": "real"}, expect=409)


# Calls


def test_calls_are_listed_filtered_and_counted(client: Client) -> None:
    client.run("echo", {"n": 1}, workflowId="a")
    client.post("/workflow/run", {"workflowName": "ehco"})
    client.post("/workflow/a/signal/go", {"payload": {}})
    calls = client.control("GET", "/calls").json
    assert [call["route"] for call in calls["calls"]] == ["run", "run", "signal"]
    first = calls["calls"][0]
    assert (first["workflow"], first["body"]["input"], first["answer"]["output"]) == (
        "echo",
        {"n": 1},
        {"n": 1},
    )
    missed = client.control("GET", "/calls", missed=True).json["calls"]
    assert "did you mean 'echo'?" in missed[0]["unmatched"]
    assert client.control("GET", "/calls/count", missed=False).json == {"count": 2}
    assert client.control("GET", "/calls/count", route="run", status=200).json == {"count": 1}
    assert client.control("GET", "/calls/count", name="go", workflowId="a").json == {"count": 1}
    assert client.control("GET", "/calls", since=2).json["calls"][0]["number"] == 3
    assert client.control("GET", "/calls", limit=1).json["count"] == 3
    assert client.control("GET", "/calls", route="rnu", expect=400).json["nearest"] == "run"
    client.control("DELETE", "/calls", expect=204)
    assert client.control("GET", "/calls").json == {"calls": [], "count": 0}


def test_a_client_can_wait_for_calls_of_other_clients(client: Client) -> None:
    def two_calls() -> None:
        time.sleep(0.1)
        client.run("echo")
        client.run("echo")

    with in_another_thread(two_calls):
        found = client.control("GET", "/calls/wait", route="run", count=2, timeout="20s", expect=200).json
    assert found["count"] == 2


def test_a_wait_for_calls_that_times_out_reports_the_calls_that_were_made(client: Client) -> None:
    client.run("echo")
    answer = client.control("GET", "/calls/wait", route="start", timeout="50ms", expect=408).json
    assert "POST /workflow/run -> 200" in answer["message"]
    client.control("GET", "/calls/wait", timeout="2m", expect=400)


def test_a_client_that_waits_for_calls_does_not_keep_the_server_from_ending() -> None:
    worlds = worlds_of()
    journal = worlds.default.mock.app.calls
    with ExitStack() as stack, served(worlds) as client:
        ask = partial(client.unchecked, "GET", "/__mock__/calls/wait?count=1000&timeout=60s")
        answers = stack.enter_context(in_another_thread(ask))
        eventually(lambda: journal._waiting)
    assert answers[0].status == 503
    assert "the server stops" in answers[0].json["message"]


# Invalid requests


@pytest.mark.parametrize(
    ("method", "path", "listed"),
    [
        ("GET", "/runs/zzz", "runs"),
        ("GET", "/workflows/zzz", "workflows"),
        ("DELETE", "/faults/zzz", "faults"),
        ("POST", "/snapshots/zzz/restore", "snapshots"),
        ("DELETE", "/worlds/zzz", "worlds"),
    ],
)
def test_a_404_names_the_list_to_look_in(client: Client, method: str, path: str, listed: str) -> None:
    message = client.control(method, path, expect=404).json["message"]
    assert f"GET /__mock__/{listed} lists" in message
    client.control("GET", f"/{listed}", expect=200)


@pytest.mark.parametrize(
    ("method", "path", "status", "nearest"),
    [
        ("GET", "/cloc", 404, "/clock"),
        ("GET", "", 404, None),
        ("GET", "/", 404, None),
        ("PATCH", "/clock", 405, None),
        ("POST", "/openapi.json", 405, None),
        ("DELETE", "/version", 405, None),
    ],
)
def test_an_unknown_resource_is_reported_with_the_nearest_one(
    client: Client, method: str, path: str, status: int, nearest: str | None
) -> None:
    answer = client.control(method, path, expect=status)
    assert answer.json.get("nearest") == nearest
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is missing"),
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"NaN", "not JSON"),
        (b"[" * 50_000, "nested too deep"),
        (b"5", "is not of type 'object'"),
        (b'{"bye": "1h"}', "did you mean 'by'?"),
        (b'{"by": "soon"}', "'soon' is not a duration; write it like '500ms'"),
        (b'{"by": "2 hours"}', "'2 hours' is not a duration; write it like '500ms'"),
        (b'{"by": -1}', "less than the minimum"),
        (b'{"by": 1e300}', "greater than the maximum"),
        (b'{"by": "99999999999999999w"}', "longer than a century"),
        (b'{"by": true}', "not valid under any"),
    ],
)
def test_an_invalid_body_is_refused_with_a_reason(client: Client, body: bytes, words: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.control("POST", "/clock/advance", data=body, headers=headers, expect=400)
    assert words in answer.json["message"]


def test_bodies_of_wrong_type_encoding_or_size_are_refused(client: Client) -> None:
    def advance(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.control("POST", "/clock/advance", data=b'{"by": "1s"}', headers=named).status

    assert advance(Content_Type="text/plain") == 415
    assert advance(Content_Type="application/yaml") == 415
    assert advance() == 415
    assert advance(Content_Type="application/json", Content_Encoding="gzip") == 415
    large = b" " * (2 * 1024 * 1024 + 1)
    headers = {"Content-Type": "application/json"}
    client.control("POST", "/clock/advance", data=large, headers=headers, expect=413)
    client.control("POST", "/world/wipe", data=b"{}", headers=headers, expect=400)


def test_query_parameters_are_checked(client: Client) -> None:
    assert "did you mean 'limit'?" in client.control("GET", "/calls", limti=1, expect=400).json["message"]
    client.control("GET", "/calls", limit="many", expect=400)
    client.control("GET", "/calls", limit=0, expect=400)
    client.control("GET", "/calls?limit=1&limit=2", expect=400)
    client.control("GET", "/clock", x=1, expect=400)
    client.control("GET", "/runs/%ff", expect=400)
    client.control("GET", "/runs/%zz", expect=400)


def test_head_requests_are_supported(client: Client) -> None:
    assert client.control("HEAD", "/clock").body == b""


# The token


def test_every_control_operation_requires_the_configured_token() -> None:
    with served(worlds_of(), control_token="s3cret") as client:
        client.control("GET", "/clock", expect=200)
        for operation in OPERATIONS:
            path = operation.path.replace("{name}", "x").replace("{workflowId}", "x").replace("{id}", "1")
            for given in ("Bearer wrong", "Basic s3cret", "s3cret", "Bearer", "Bearer s3cret2", "Bearer é"):
                headers = {"Authorization": given.encode().decode("latin-1")}
                refused = client.control(operation.method, path, headers=headers, expect=401)
                assert refused.json["error"] == "UnauthorizedError"
            assert "Bearer" in refused.headers["www-authenticate"]
        client.control("GET", "/openapi.json", headers={"Authorization": ""}, expect=401)
        # The API has its own token, or none.
        assert client.run("echo", 1)["output"] == 1


def test_the_control_plane_can_do_what_a_python_test_can(client: Client) -> None:
    """The flow of the first example of docs/guides/scripts-python.md, without Python."""
    client.control("PUT", "/workflows/report", {"takes": "45m", "returns": {"pages": "{{ input.n }}"}})
    client.control("POST", "/faults", {"status": 503, "route": "start"})
    start = {"workflowName": "report", "workflowId": "report-1", "input": {"n": 3}}
    assert client.post("/workflow/start", start).status == 503
    assert client.post("/workflow/start", start).status == 200
    assert client.control("GET", "/runs/report-1").json["status"] == "running"
    client.control("POST", "/clock/advance", {"by": "45m"})
    shown = client.control("GET", "/runs/report-1").json
    assert (shown["status"], shown["output"]) == ("completed", {"pages": 3})
    calls = client.control("GET", "/calls", route="start", status=200).json
    assert calls["calls"][0]["body"]["input"] == {"n": 3}
    assert json.dumps(calls)
