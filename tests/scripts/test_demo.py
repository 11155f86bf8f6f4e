"""The demo catalog works as new users see it first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from output_mock import OutputMock
from output_mock.contract.versions.numbers import known
from output_mock.scripts.demo import script


@pytest.fixture
def mock() -> Iterator[OutputMock]:
    mock = OutputMock(scripts=[script])
    yield mock
    mock.close()


def post(mock: OutputMock, path: str, body: Any = None) -> Any:
    answer = mock.app.test_client().post(path, json=body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json(silent=True)


def get(mock: OutputMock, path: str) -> Any:
    return mock.app.test_client().get(path).get_json()


def stage(mock: OutputMock, workflow_id: str) -> str:
    name: str = post(mock, f"/workflow/{workflow_id}/query/getProgress")["stage"]
    return name


def until_reviewed(mock: OutputMock, workflow_id: str) -> None:
    for _ in range(20):
        get(mock, f"/workflow/{workflow_id}/status")
        if stage(mock, workflow_id) == "review":
            return
    raise AssertionError(f"{workflow_id} is never reviewed: {stage(mock, workflow_id)}")


def step_names(mock: OutputMock, workflow_id: str) -> list[str]:
    attributes = [
        event.get("activityTaskScheduledEventAttributes") for event in mock.runs[workflow_id].history
    ]
    names = [one["activityType"]["name"] for one in attributes if one is not None]
    return [name.partition("#")[2] for name in names if not name.startswith("__internal")]


def test_every_workflow_has_a_description_and_an_output_schema(mock: OutputMock) -> None:
    workflows = {one["name"]: one for one in get(mock, "/workflow/catalog")["workflows"]}
    assert list(workflows) == ["summarize_url", "content_pipeline", "publish", "report", "always_fails"]
    assert all(one["description"] and one["outputSchema"] for one in workflows.values())
    assert workflows["content_pipeline"]["aliases"] == ["pipeline_v1"]


def test_summarize_url_returns_at_once_and_fills_in_defaults(mock: OutputMock) -> None:
    result = post(
        mock, "/workflow/run", {"workflowName": "summarize_url", "input": {"url": "https://a.example"}}
    )
    assert result["status"] == "completed"
    assert result["output"] == {
        "url": "https://a.example",
        "summary": "What https://a.example says, in 50 words.",
    }


def test_summarize_url_refuses_an_input_without_url(mock: OutputMock) -> None:
    result = post(mock, "/workflow/run", {"workflowName": "summarize_url", "input": {}})
    assert (result["status"], result["error"]["name"]) == ("failed", "ValidationError")


def test_an_approved_post_is_published(mock: OutputMock) -> None:
    start = {"workflowName": "content_pipeline", "workflowId": "post", "input": {"topic": "Green tea"}}
    post(mock, "/workflow/start", start)
    assert stage(mock, "post") == "research"
    until_reviewed(mock, "post")
    assert get(mock, "/workflow/post/status")["status"] == "running"
    post(mock, "/workflow/post/signal/approve", {"payload": {"by": "Ada"}})
    stream = mock.app.test_client().get("/workflow/post/history/stream").get_data(as_text=True)
    assert stream.rstrip().endswith('event: done\ndata: {"reason":"WORKFLOW_EXECUTION_COMPLETED"}')
    result = get(mock, "/workflow/post/result")
    assert result["output"] == {
        "url": "https://blog.example/green-tea",
        "approvedBy": "Ada",
        "score": 0.85,
    }
    assert stage(mock, "post") == "done"
    assert step_names(mock, "post") == ["research", "draft", "quality"]
    assert {run["workflowType"] for run in get(mock, "/workflow/runs")["runs"]} >= {"publish"}


def test_the_draft_is_tried_twice(mock: OutputMock) -> None:
    post(mock, "/workflow/start", {"workflowName": "pipeline_v1", "workflowId": "p", "input": {"topic": "T"}})
    until_reviewed(mock, "p")
    started = [event.get("activityTaskStartedEventAttributes") for event in mock.runs["p"].history]
    assert max(one["attempt"] for one in started if one is not None) == 2


def test_a_higher_threshold_leads_to_a_revision(mock: OutputMock) -> None:
    start = {"workflowName": "content_pipeline", "workflowId": "strict", "input": {"topic": "T"}}
    post(mock, "/workflow/start", start)
    changed = post(mock, "/workflow/strict/update/setThreshold", {"payload": {"threshold": 0.9}})
    assert changed == {"before": 0.8, "threshold": 0.9}
    until_reviewed(mock, "strict")
    assert step_names(mock, "strict") == ["research", "draft", "quality", "revise", "quality"]


@pytest.mark.parametrize("threshold", [None, "high", 2, -0.1])
def test_a_threshold_that_is_invalid_is_refused(mock: OutputMock, threshold: Any) -> None:
    start = {"workflowName": "content_pipeline", "workflowId": "p", "input": {"topic": "T"}}
    post(mock, "/workflow/start", start)
    answer = mock.app.test_client().post(
        "/workflow/p/update/setThreshold", json={"payload": {"threshold": threshold}}
    )
    assert (answer.status_code, answer.get_json()["error"]) == (500, "WorkflowUpdateFailedError")
    assert post(mock, "/workflow/p/query/getProgress")["threshold"] == 0.8


def test_a_post_without_approval_fails_after_eight_hours() -> None:
    mock = OutputMock(clock="manual", scripts=[script])
    start = {"workflowName": "content_pipeline", "workflowId": "p", "input": {"topic": "T"}}
    post(mock, "/workflow/start", start)
    mock.clock.advance("9h")
    assert mock.runs["p"].status == "failed"
    assert (mock.runs["p"].error or {})["message"] == "no signal 'approve' within 8h"
    mock.close()


def test_the_report_takes_45_minutes(mock: OutputMock) -> None:
    started = mock.clock.now()
    post(mock, "/workflow/start", {"workflowName": "report", "workflowId": "r", "input": {}})
    seen = [get(mock, "/workflow/r/status")["status"]]
    while seen[-1] == "running" and len(seen) < 10:
        seen.append(get(mock, "/workflow/r/status")["status"])
    assert (seen[0], seen[-1]) == ("running", "completed")
    assert (mock.clock.now() - started).total_seconds() == 45 * 60
    assert get(mock, "/workflow/r/result")["output"] == {"pages": 12, "title": "The quarter in numbers"}


def test_the_always_fails_workflow_fails_without_a_second_attempt(mock: OutputMock) -> None:
    result = post(mock, "/workflow/run", {"workflowName": "always_fails"})
    assert result["status"] == "failed"
    assert result["error"] == {
        "activityType": "always_fails#charge_card",
        "name": "FatalError",
        "message": "the card was declined",
        "code": "declined",
    }


@pytest.mark.parametrize("version", known("api"))
def test_optional_inputs_can_be_left_out_on_every_version(version: str) -> None:
    # Workers before 0.11 validate with a schema, but do not fill in its defaults.
    mock = OutputMock("manual", api_version=version, scripts=[script])
    mock.begin_with("summarize_url", {"url": "u"}, workflow_id="summarize_url")
    mock.begin_with("report", {}, workflow_id="report")
    mock.begin_with("publish", {"title": "t", "text": ""}, workflow_id="publish")
    mock.clock.advance("1h")
    assert mock.runs["summarize_url"].output == {"url": "u", "summary": "What u says, in 50 words."}
    assert mock.runs["report"].output == {"pages": 12, "title": "The quarter in numbers"}
    assert mock.runs["publish"].output == {"url": "https://blog.example/t"}
    mock.close()


def test_the_demo_scripts_have_no_mistakes(mock: OutputMock) -> None:
    for name in ("summarize_url", "content_pipeline", "publish", "report", "always_fails"):
        given = {"url": "u", "topic": "t", "title": "t", "text": "x"}
        mock.app.test_client().post("/workflow/run", json={"workflowName": name, "input": given})
    assert mock.script_errors == []
