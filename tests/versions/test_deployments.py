"""The known versions, and how servers and workers of different versions behave together."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from output_mock import Context, Failure, OutputMock
from output_mock.contract.versions import CHANGES, KNOWN, UnknownVersionError, deployment, number_of
from output_mock.openapi import document_of
from output_mock.traces import llm
from tests.cli.commands import run as command

PAIRS = [(api, sdk) for api in KNOWN for sdk in KNOWN]
RUN = "/workflow/run"


def ran(mock: OutputMock, workflow: str = "one", input: Any = None) -> dict[str, Any]:
    answer = mock.app.test_client().post(RUN, json={"workflowName": workflow, "input": input})
    found: dict[str, Any] = answer.json
    return found


# Known versions


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ((None, None), ("0.11.0", "0.11.0")),
        (("0.9", None), ("0.9.2", "0.9.2")),
        (("v0.9.2", None), ("0.9.2", "0.9.2")),
        (("0.10", "0.11"), ("0.10.0", "0.11.0")),
        ((None, "0.8"), ("0.11.0", "0.8.0")),
        (("0.10.0", "next"), ("0.10.0", "next")),
    ],
)
def test_a_version_means_the_newest_matching_one(asked: Any, meant: tuple[str, str]) -> None:
    mock = OutputMock(api_version=asked[0], sdk_version=asked[1])
    assert (mock.world.deployment.api, mock.world.deployment.sdk) == meant


@pytest.mark.parametrize("wrong", ["0.7", "0.9.1", "0.12", "1", "", "latest", "0.9.2.1", "next", 0.9])
def test_a_version_that_was_never_measured_is_refused_with_the_known_ones(wrong: Any) -> None:
    with pytest.raises(UnknownVersionError) as error:
        OutputMock(api_version=wrong)
    assert repr(wrong) in str(error.value)
    assert isinstance(wrong, float) or all(one in str(error.value) for one in KNOWN)


def test_changes_are_listed_once_and_newest_first() -> None:
    assert [number_of(change.since) for change in CHANGES] == sorted(
        (number_of(change.since) for change in CHANGES), reverse=True
    )
    assert len({change.id for change in CHANGES}) == len(CHANGES)
    assert all(change.says.endswith(".") for change in CHANGES)


def test_the_command_lists_the_changes_between_two_versions() -> None:
    listed = command("versions")
    assert [line.split()[0] for line in listed.stdout.splitlines()[:5]] == [*KNOWN, "next"]
    told = " ".join(command("versions", "0.9", "0.10").stdout.split())
    assert "From 0.9.2 to 0.10.0" in told
    assert "`GET /workflow/{id}/input`" in told
    assert "longPollTimeoutMs" not in told
    assert "longPollTimeoutMs" in command("versions", "0.10").stdout
    assert "the way back" in command("versions", "0.11", "0.9").stdout
    assert "Nothing" in command("versions", "0.9", "0.9.2").stdout
    refused = command("versions", "0.7")
    assert refused.returncode == 2
    assert "0.8.0" in refused.stderr


# Documents


@functools.cache
def check_schema(text: str) -> None:
    """Raise an error if this is not a valid schema. The versions have most of their schemas in common."""
    Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("pair", PAIRS)
def test_the_document_of_every_version_pair_matches_its_server(pair: tuple[str, str]) -> None:
    described = deployment(*pair)
    document = document_of(described)
    paths = document["paths"]
    assert ("/workflow/{id}/history/stream" in paths) == described.has("history_stream")
    assert ("/workflow/{id}/input" in paths) == described.has("input")
    for schema in document["components"]["schemas"].values():
        check_schema(json.dumps(schema))
    references = json.dumps(document).split('"$ref": "#/')[1:]
    for reference in {one.partition('"')[0] for one in references}:
        found: Any = document
        for part in reference.split("/"):
            found = found[part]


def test_the_command_prints_the_document_of_a_version() -> None:
    paths = json.loads(command("openapi", "--api-version", "0.8").stdout)["paths"]
    assert not [path for path in paths if path.endswith(("/stream", "/input"))]
    assert command("openapi", "--api-version", "0.7").returncode == 2


# Pairs of different versions


def test_a_server_before_0_11_silently_loses_results_of_newer_workers() -> None:
    mock = OutputMock(api_version="0.10", sdk_version="0.11")
    mock.workflow("one").returns({"total": 3})
    result = ran(mock)
    assert result["status"] == "completed"
    assert "output" not in result
    assert "trace" not in result
    client = mock.app.test_client()
    assert client.get(f"/workflow/{result['workflowId']}/trace-log").status_code == 404
    # The script itself has the full result.
    assert mock.runs[result["workflowId"]].output == {"total": 3}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"output": 1, "trace": {"destinations": {"local": "/x.json"}}}, 1),
        ({"total": 3}, "lost"),
        ([1], "lost"),
        ("text", "lost"),
        (5, "lost"),
        (True, "lost"),
        (0, None),
        ("", None),
        (False, None),
        (None, None),
    ],
)
def test_a_server_of_0_10_shows_the_keys_of_the_value_from_a_newer_worker(value: Any, shown: Any) -> None:
    mock = OutputMock(api_version="0.10", sdk_version="0.11")
    mock.workflow("one").returns(value)
    assert ran(mock, input=1).get("output", "lost") == shown


@pytest.mark.parametrize("api", ["0.9", "0.10", "0.11"])
def test_a_server_from_0_9_2_on_finds_no_workflows_of_0_8_workers(api: str) -> None:
    mock = OutputMock(api_version=api, sdk_version="0.8")
    mock.workflow("one", aliases=["uno"]).returns(1)
    client = mock.app.test_client()
    for name in ("one", "uno", "two"):
        answer = client.post("/workflow/start", json={"workflowName": name})
        assert (answer.status_code, answer.json["error"]) == (424, "UnsupportedWorkflowError")
    assert "of 0.8.0" in (mock.calls[0].unmatched_reason or "")
    assert client.get("/ready").status_code == 200
    catalog = client.get("/workflow/catalog").json
    assert [one["name"] for one in catalog["workflows"]] == ["one"]
    assert "workflowNames" not in catalog


def test_a_newer_server_maps_older_results_to_newer_statuses() -> None:
    mock = OutputMock(api_version="0.11", sdk_version="0.10", execution_timeout="1m")

    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        await ctx.wait_for_signal("never")

    result = ran(mock, "waits")
    assert (result["status"], result["error"]) == ("timed_out", "Workflow execution timed out")
    older = OutputMock(api_version="0.10", execution_timeout="1m")
    older.workflow("waits")(waits)
    assert ran(older, "waits")["status"] == "failed"


# Behaviour of older workers


def test_schema_defaults_reach_scripts_from_0_11_on() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number", "default": 5}}}
    seen = {}
    for sdk in KNOWN:
        mock = OutputMock(api_version=sdk)

        @mock.workflow("one", input_schema=schema)
        async def one(ctx: Context, input: Any) -> Any:
            step = await ctx.step("look", {}, input_schema=schema, returns=lambda given: given)
            return [input, step]

        seen[sdk] = ran(mock, input={})["output"]
    assert seen == {"0.11.0": [{"a": 5}, {"a": 5}]} | {sdk: [{}, {}] for sdk in KNOWN[1:]}


@pytest.mark.parametrize(("sdk", "attempts"), [("0.11", 1), ("0.10", 2), ("0.8", 2)])
def test_an_unlisted_fatal_error_is_retried_before_0_11(sdk: str, attempts: int) -> None:
    mock = OutputMock(api_version=sdk)
    options = {"retry": {"maximumAttempts": 2, "nonRetryableErrorTypes": ["BusyError"]}}

    @mock.workflow("one", options=options)
    async def one(ctx: Context, input: Any) -> Any:
        await ctx.step("break", fails=Failure("broken", name="FatalError"))

    ran(mock)
    (run,) = mock.runs.values()
    (begun,) = (
        event["activityTaskStartedEventAttributes"]
        for event in run.history
        if event["eventTypeName"] == "ACTIVITY_TASK_STARTED"
        and event["activityTaskStartedEventAttributes"]["scheduledEventId"] != run.history[4]["eventId"]
        and event["activityTaskStartedEventAttributes"]["scheduledEventId"] != run.history[5]["eventId"]
    )
    assert begun["attempt"] == attempts


def test_llm_calls_of_next_workers_are_traced_in_the_new_format() -> None:
    attributes = {}
    for sdk in ("0.11", "next"):
        mock = OutputMock(sdk_version=sdk)
        call = llm(model="m", usage={"input": 10, "output": 2}, price={"input": 1, "output": 2})

        @mock.workflow("one")
        async def one(ctx: Context, input: Any, call: Any = call) -> Any:
            await ctx.step("ask", trace=[call])

        ran(mock)
        (run,) = mock.runs.values()
        assert run.trace is not None
        attributes[sdk] = set(run.trace["children"][-1]["children"][0]["attributes"])
    assert attributes["0.11"] == {"llm:usage"}
    assert {"llm:generation:usage", "llm:generation:cost"} <= attributes["next"]


# Everything else


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if not deployment(*pair).finds_no_workflow])
def test_faults_calls_and_etags_are_as_on_every_version(pair: tuple[str, str]) -> None:
    mock = OutputMock(api_version=pair[0], sdk_version=pair[1])
    mock.workflow("one").returns(1)
    mock.fail_next(503, route="run")
    client = mock.app.test_client()
    answers = [client.post(RUN, json={"workflowName": "one"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 200]
    assert [call.answer for call in mock.calls(route="run")][1] == answers[1].get_data()
    status = client.get(f"/workflow/{answers[1].json['workflowId']}/status")
    tag = {"If-None-Match": status.headers["ETag"]}
    assert client.get(f"/workflow/{answers[1].json['workflowId']}/status", headers=tag).status_code == 304


def test_a_route_of_a_later_version_is_a_plain_404_that_the_fake_reports() -> None:
    mock = OutputMock(api_version="0.9")
    mock.workflow("one").returns(1)
    workflow_id = ran(mock)["workflowId"]
    answer = mock.app.test_client().get(f"/workflow/{workflow_id}/input")
    assert (answer.status_code, answer.get_data(as_text=True)) == (404, "Not Found")
    assert mock.calls[-1].unmatched_reason is not None


def test_a_fault_for_a_route_that_the_version_lacks_is_reported() -> None:
    mock = OutputMock(api_version="0.8", clock="manual")
    mock.faults.preset("flaky")
    mock.fail_next(route="start")
    assert mock.script_warnings == []
    mock.cut_next_stream(after=3)
    (text,) = mock.script_warnings
    assert "affects no call: API 0.8.0 has no route 'history_stream'" in text
    assert "test_deployments.py, line" in text
