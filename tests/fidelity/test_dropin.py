"""The fake as a replacement of the real container: its environment, and the requests of the official client.

The tests send the requests of the client's workflow commands, with the same headers and in the same order,
and check what the commands print or use. (The client's outputs were compared with those for a real
deployment; the recordings have the responses themselves.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import islice
from typing import Any
from urllib.parse import quote

import pytest

from output_contract.pack import script
from output_mock import OutputMock
from output_mock.cli.environment import execution_timeout, milliseconds, traces
from output_mock.engine.trace_storage import Traces
from tests.client import Answer, Client
from tests.conftest import Connect

TOKEN = "s3cret-token"
# Headers that the client's HTTP library adds.
HEADERS = {
    "Authorization": f"Basic {TOKEN}",
    "accept": "*/*",
    "accept-language": "*",
    "sec-fetch-mode": "cors",
    "user-agent": "node",
    "accept-encoding": "gzip, deflate",
}


class Cli:
    """Sends requests as the official client does."""

    def __init__(self, client: Client, token: str = TOKEN) -> None:
        self._client = client
        self._headers = {**HEADERS, "Authorization": f"Basic {token}"}

    def get(self, path: str) -> Answer:
        return self._client.get(path, headers=self._headers)

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        return self._client.post(path, body, headers={"content-type": "application/json", **self._headers})

    def patch(self, path: str) -> Answer:
        # Without a body, the library sends a length but no content type.
        return self._client.patch(path, data=b"", headers=self._headers)

    def start(self, workflow: str, input: Any) -> dict[str, Any]:
        answer = self.post("/workflow/start", {"workflowName": workflow, "input": input})
        assert answer.status == 200, answer.text
        started: dict[str, Any] = answer.json
        return started

    def pages(self, workflow_id: str, run_id: str | None = None) -> Iterator[dict[str, Any]]:
        """The pages that `monitor` gets: the first at once, the others by long poll."""
        base = f"/workflow/{workflow_id}/history?"
        query = "pageSize=50&includePayloads=false"
        run = "" if run_id is None else f"runId={run_id}&"
        token = ""
        while True:
            answer = self.get(f"{base}{run}{query}{token}")
            assert answer.status == 200, answer.text
            page = answer.json
            yield page
            run = f"runId={page['runId']}&"
            # If a page has no token, the last token is used again.
            if page["nextPageToken"] is not None:
                token = f"&pageToken={quote(page['nextPageToken'], safe='')}"
            query = "pageSize=50&includePayloads=false&longPollTimeoutMs=2500"


@pytest.fixture
def cli(connect: Connect) -> Cli:
    """The client of a fake that serves the recorded workflows and requires a token."""
    return Cli(connect(OutputMock(seed=7, auth_token=TOKEN, scripts=[script])))


# --- commands that ask once ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/workflow/catalog", "/workflow/catalog/main"])
def test_the_catalog_has_the_names_aliases_schemas_and_paths_that_list_needs(cli: Cli, path: str) -> None:
    workflows = {one["name"]: one for one in cli.get(path).json["workflows"]}
    assert workflows["conf_echo"]["aliases"] == ["conf_mirror"]
    entry = workflows["conf_sum"]
    assert entry["description"] == "Adds two numbers"
    assert list(entry["inputSchema"]["properties"]) == ["a", "b"]
    assert entry["outputSchema"]["required"] == ["total"]
    assert entry["path"].endswith("/workflows/sum/workflow.js")


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token_gets_a_401_that_is_not_json(connect: Connect, token: str) -> None:
    client = connect(OutputMock(auth_token=TOKEN, scripts=[script]))
    answer = Cli(client, token).get("/workflow/catalog")
    assert (answer.status, answer.text) == (401, "Unauthorized")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("command", ["run", "start"])
def test_run_gets_a_503_with_retry_after_while_the_catalog_is_missing(cli: Cli, command: str) -> None:
    body = {"workflowName": "conf_sum", "input": {"a": 1, "b": 2}, "catalog": "nope"}
    answer = cli.post(f"/workflow/{command}", body)
    assert answer.status == 503
    assert answer.headers["retry-after"] == "3"
    assert answer.json["error"] == "CatalogNotAvailableError"


@pytest.mark.parametrize(
    ("workflow", "input", "status", "error"),
    [
        ("conf_sum", {"a": 1, "b": 2}, "completed", None),
        ("conf_fail", {"mode": "cause"}, "failed", "QuotaError"),
        ("conf_sum", {"a": "x"}, "failed", "ValidationError"),
    ],
)
def test_run_and_result_return_the_same_result_and_status(
    cli: Cli, workflow: str, input: Any, status: str, error: str | None
) -> None:
    ran = cli.post("/workflow/run", {"workflowName": workflow, "input": input})
    assert (ran.status, ran.json["status"]) == (200, status)
    assert (ran.json["error"] or {}).get("name") == error
    assert cli.get(f"/workflow/{ran.json['workflowId']}/result").json == ran.json


@pytest.mark.parametrize(
    ("command", "path", "status", "error"),
    [
        ("run", "/workflow/run", 424, "UnsupportedWorkflowError"),
        ("status", "/workflow/nope/status", 404, "WorkflowNotFoundError"),
        ("result", "/workflow/nope/result", 404, "WorkflowNotFoundError"),
        ("input", "/workflow/nope/input", 404, "WorkflowNotFoundError"),
        ("monitor", "/workflow/nope/history?pageSize=50&includePayloads=false", 404, "WorkflowNotFoundError"),
        ("debug", "/workflow/nope/trace-log", 404, "WorkflowNotFoundError"),
        ("stop", "/workflow/nope/stop", 404, "WorkflowNotFoundError"),
        ("terminate", "/workflow/nope/terminate", 404, "WorkflowNotFoundError"),
        ("reset", "/workflow/nope/reset", 404, "WorkflowNotFoundError"),
        # The client sends ids as typed.
        ("status", "/workflow/a%b/status", 400, "URIError"),
        ("runs", "/workflow/runs?limit=1001", 400, "ValidationError"),
        ("runs", "/workflow/runs?limit=100&workflowType=a+b", 400, "ValidationError"),
    ],
)
def test_errors_have_the_name_and_message_that_the_client_prints(
    cli: Cli, command: str, path: str, status: int, error: str
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "run": {"workflowName": "nope", "input": {}},
        "terminate": {},
        "reset": {"stepName": "add"},
    }
    if command == "stop":
        answer = cli.patch(path)
    elif command in bodies:
        answer = cli.post(path, bodies[command])
    else:
        answer = cli.get(path)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert answer.json["message"]


def test_a_running_workflow_has_a_status_and_an_input_and_is_listed_but_has_no_result(cli: Cli) -> None:
    ids = cli.start("conf_approval", {"topic": "t"})
    base = f"/workflow/{ids['workflowId']}"
    status = cli.get(f"{base}/status").json
    assert (status["status"], status["completedAt"]) == ("running", "")
    assert isinstance(status["startedAt"], int)
    for path in (f"{base}/input", f"{base}/runs/{ids['runId']}/input"):
        assert cli.get(path).json["input"] == {"topic": "t"}
    for path in (f"{base}/result", f"{base}/trace-log"):
        answer = cli.get(path)
        assert (answer.status, answer.json["error"]) == (424, "WorkflowNotCompletedError")
    (run,) = cli.get("/workflow/runs?limit=100&workflowType=conf_approval&catalog=main").json["runs"]
    assert run == {
        "workflowId": ids["workflowId"],
        "runId": ids["runId"],
        "workflowType": "conf_approval",
        "status": "running",
        "startedAt": run["startedAt"],
        "completedAt": None,
    }


def test_stop_needs_no_body_and_can_be_repeated(cli: Cli) -> None:
    workflow_id = cli.start("conf_graceful", {"onStop": "cleanup"})["workflowId"]
    for _ in range(2):
        assert cli.patch(f"/workflow/{workflow_id}/stop").status == 200
    assert cli.get(f"/workflow/{workflow_id}/result").json["status"] == "cancelled"


@pytest.mark.parametrize("body", [{}, {"reason": "why"}])
def test_terminate_takes_an_optional_reason_and_works_once(cli: Cli, body: dict[str, str]) -> None:
    workflow_id = cli.start("conf_approval", {"topic": "t"})["workflowId"]
    answer = cli.post(f"/workflow/{workflow_id}/terminate", body)
    assert answer.json["terminated"] is True
    assert cli.get(f"/workflow/{workflow_id}/result").json["status"] == "terminated"
    assert cli.post(f"/workflow/{workflow_id}/terminate", body).status == 404


def test_reset_returns_the_new_run_and_distinguishes_unknown_and_unfinished_steps(cli: Cli) -> None:
    ids = cli.start("conf_approval", {"topic": "t"})
    path = f"/workflow/{ids['workflowId']}/reset"
    # A status request lets the first step run.
    list(islice(cli.pages(ids["workflowId"]), 3))
    answer = cli.post(path, {"stepName": "draft", "reason": "again"})
    assert answer.status == 200
    assert answer.json["runId"] != ids["runId"]
    assert cli.post(path, {"stepName": "nope"}).status == 404


# --- monitor ---------------------------------------------------------------------------------------------


def watched(
    cli: Cli, workflow_id: str, run_id: str | None = None, *, polls: int = 20
) -> tuple[list[dict[str, Any]], str]:
    """What `monitor` sees until the run ends: new events, and the final status."""
    seen: list[dict[str, Any]] = []
    last, status = 0, ""
    for page in islice(cli.pages(workflow_id, run_id), polls):
        # Events repeat when a token is used again.
        new = [event for event in page["events"] if int(event["eventId"]) > last]
        seen += new
        last = int(new[-1]["eventId"]) if new else last
        status = (page["workflow"] or {}).get("status", status)
        if status != "running" and page["nextPageToken"] is None:
            return seen, status
    raise AssertionError(f"still {status} after {polls} polls, with {seen}")


@pytest.mark.parametrize(
    ("workflow", "input", "status"),
    [
        ("conf_timer", {"ms": 3_600_000}, "completed"),
        ("conf_flaky", {"failures": 4}, "failed"),
    ],
)
def test_monitor_sees_every_event_once_and_then_the_end(
    cli: Cli, workflow: str, input: Any, status: str
) -> None:
    workflow_id = cli.start(workflow, input)["workflowId"]
    seen, ended = watched(cli, workflow_id)
    assert ended == status
    whole = cli.get(f"/workflow/{workflow_id}/history?pageSize=50&includePayloads=false").json
    assert seen == whole["events"]
    assert whole["workflow"]["closeTime"] is not None


def test_monitor_continues_with_the_run_named_in_the_last_event(cli: Cli) -> None:
    ids = cli.start("conf_chain", {"value": 1, "limit": 4})
    run_id, statuses, chain = ids["runId"], [], set()
    while run_id:
        seen, status = watched(cli, ids["workflowId"], run_id)
        statuses.append(status)
        chain.add(run_id)
        attributes = seen[-1].get("workflowExecutionContinuedAsNewEventAttributes", {})
        run_id = attributes.get("newExecutionRunId")
    assert statuses == ["continued_as_new", "continued_as_new", "completed"]
    assert len(chain) == 3


# --- debug and cost, and where traces go -----------------------------------------------------------------

# The environment of the real containers during the recordings.
S3 = {"OUTPUT_TRACE_REMOTE_ON": "true", "OUTPUT_TRACE_REMOTE_S3_BUCKET": "traces-bucket"}
KEYS = {"OUTPUT_AWS_ACCESS_KEY_ID": "key", "OUTPUT_AWS_SECRET_ACCESS_KEY": "secret"}
STAMP = r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{3}Z_%s\.json"


def traced(connect: Connect, environment: Mapping[str, str]) -> tuple[dict[str, Any], Answer]:
    """The result of a run on a server with this environment, and the trace log for `debug` and `cost`."""
    mock = OutputMock(seed=7, scripts=[script])
    mock.world.traces = traces(environment)
    client = connect(mock)
    result = client.run("conf_sum", {"a": 1, "b": 2}, workflowId="one")
    return result, client.get("/workflow/one/trace-log")


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "/app/logs/runs"),
        ({"OUTPUT_TRACE_LOCAL_ON": ""}, "/app/logs/runs"),
        ({"OUTPUT_TRACE_LOCAL_ON": "1"}, "/app/logs/runs"),
        ({"OUTPUT_TRACE_LOCAL_ON": "on", "OUTPUT_TRACE_HOST_PATH": "/home/me/logs"}, "/home/me/logs/runs"),
        ({"OUTPUT_TRACE_HOST_PATH": "./my/../logs/"}, "logs/runs"),
        ({"OUTPUT_TRACE_HOST_PATH": ""}, "/app/logs/runs"),
    ],
)
def test_a_local_trace_has_the_path_on_the_host(
    connect: Connect, environment: dict[str, str], folder: str
) -> None:
    result, log = traced(connect, environment)
    path = result["trace"].pop("local")
    assert re.fullmatch(f"{re.escape(folder)}/conf_sum/{STAMP % 'one'}", path)
    assert result["trace"] == {}
    assert log.json == {"source": "local", "runId": result["runId"], "localPath": path}


@pytest.mark.parametrize("value", ["false", "0", "off", "yes", "TRUE"])
def test_without_traces_the_trace_location_is_empty_and_no_trace_can_be_read(
    connect: Connect, value: str
) -> None:
    result, log = traced(connect, {"OUTPUT_TRACE_LOCAL_ON": value, "OUTPUT_TRACE_REMOTE_ON": value})
    # Not null, as for an untraced workflow.
    assert result["trace"] == {}
    assert (log.status, log.json["error"]) == (404, "TraceNotAvailableError")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "Missing AWS keys to authenticate"),
        ({"OUTPUT_AWS_ACCESS_KEY_ID": "key"}, "Missing AWS keys to authenticate"),
        ({**KEYS, "OUTPUT_AWS_SECRET_ACCESS_KEY": ""}, "Missing AWS keys to authenticate"),
        (KEYS, "S3 GetObject failure"),
    ],
)
@pytest.mark.parametrize("local", ["true", "false"])
def test_a_remote_trace_is_read_from_s3_even_when_there_is_a_local_one(
    connect: Connect, keys: dict[str, str], message: str, local: str
) -> None:
    result, log = traced(connect, {**S3, **keys, "OUTPUT_TRACE_LOCAL_ON": local})
    assert ("local" in result["trace"]) == (local == "true")
    assert re.fullmatch(
        rf"https://traces-bucket\.s3\.amazonaws\.com/conf_sum/\d{{4}}/\d\d/\d\d/{STAMP % 'one'}",
        result["trace"]["remote"],
    )
    assert log.status == 500
    assert log.json == {"error": "TraceFileDownloadError", "message": message}


def test_every_step_of_a_run_gets_the_trace_location(connect: Connect) -> None:
    mock = OutputMock(seed=7, scripts=[script])
    mock.world.traces = traces({**S3, "OUTPUT_TRACE_LOCAL_ON": "false"})
    client = connect(mock)
    trace = client.run("conf_sum", {"a": 1, "b": 2}, workflowId="one")["trace"]
    completed = [
        event["activityTaskCompletedEventAttributes"]["result"]
        for event in client.events("one")
        if event["eventTypeName"] == "ACTIVITY_TASK_COMPLETED"
    ]
    assert completed == [[trace], [3]]


def test_remote_traces_need_a_bucket() -> None:
    with pytest.raises(ValueError, match="OUTPUT_TRACE_REMOTE_S3_BUCKET"):
        traces({"OUTPUT_TRACE_REMOTE_ON": "true"})
    # A bucket alone does not enable traces.
    assert traces({"OUTPUT_TRACE_REMOTE_S3_BUCKET": "b"}) == Traces()


# --- lengths, as the real server reads them --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("24h", timedelta(hours=24)),
        ("90000", timedelta(seconds=90)),
        ("2 days", timedelta(days=2)),
        ("1.5hrs", timedelta(minutes=90)),
        (".5 m", timedelta(seconds=30)),
        ("10 Minutes", timedelta(minutes=10)),
        ("1w", timedelta(weeks=1)),
        ("1y", timedelta(days=365.25)),
        ("0", timedelta(0)),
    ],
)
def test_the_execution_timeout_is_parsed_as_on_the_real_server(text: str, length: timedelta) -> None:
    assert execution_timeout(text) == length


@pytest.mark.parametrize("text", ["soon", "1h30m", "-1h", "1  h", "1h ", "1 fortnight", "1000y"])
def test_an_invalid_duration_variable_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        execution_timeout(text)


@pytest.mark.parametrize(("text", "length"), [("300000", 300_000), ("1e3", 1000), (" 400.5 ", 400.5)])
def test_millisecond_variables_are_parsed_as_in_javascript(text: str, length: float) -> None:
    assert milliseconds(text) == timedelta(milliseconds=length)


@pytest.mark.parametrize("text", ["5m", "-1", "1_000", "Infinity", "nan", "1e99"])
def test_an_invalid_number_of_milliseconds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"millisecond|century"):
        milliseconds(text)
