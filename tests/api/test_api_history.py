"""The history: events, pages, long polls that wake at once, and streams that follow a run."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from output_mock import Context, Failure, OutputMock
from output_mock.http import stream as stream_module
from tests.client import Client, Frame
from tests.conftest import BOTH_TRANSPORTS, eventually, in_another_thread, somebody_waits

ONE_STEP = [
    "WORKFLOW_EXECUTION_STARTED",
    "WORKFLOW_TASK_SCHEDULED",
    "WORKFLOW_TASK_STARTED",
    "WORKFLOW_TASK_COMPLETED",
    "WORKFLOW_PROPERTIES_MODIFIED",
    "ACTIVITY_TASK_SCHEDULED",
    "ACTIVITY_TASK_STARTED",
    "ACTIVITY_TASK_COMPLETED",
    "WORKFLOW_TASK_SCHEDULED",
    "WORKFLOW_TASK_STARTED",
    "WORKFLOW_TASK_COMPLETED",
    "WORKFLOW_PROPERTIES_MODIFIED",
    "ACTIVITY_TASK_SCHEDULED",
    "ACTIVITY_TASK_STARTED",
    "ACTIVITY_TASK_COMPLETED",
    "WORKFLOW_TASK_SCHEDULED",
    "WORKFLOW_TASK_STARTED",
    "WORKFLOW_TASK_COMPLETED",
    "WORKFLOW_EXECUTION_COMPLETED",
]
# Events that are written at once, and are never split between pages.
BATCHES = [2, 1, 3, 3, 1, 3, 3, 1, 2]


@pytest.fixture
def mock() -> OutputMock:
    mock = OutputMock(seed=7)

    @mock.workflow("one_step")
    async def one_step(ctx: Context, input: Any) -> Any:
        return await ctx.step("work", input, returns="done")

    @mock.workflow("approval")
    async def approval(ctx: Context, input: Any) -> Any:
        ctx.on_update("set", lambda payload: "old")
        await ctx.step("draft", returns="text")
        by = await ctx.wait_for_signal("approve")
        await ctx.step("publish", by)
        return by

    @mock.workflow("slow")
    async def slow(ctx: Context, input: Any) -> Any:
        for n in range(3):
            await ctx.sleep("1h")
            await ctx.step("tick", n)

    @mock.workflow("chain")
    async def chain(ctx: Context, input: Any) -> Any:
        if input["n"] < 1:
            ctx.continue_as_new({"n": input["n"] + 1})

    return mock


@pytest.fixture
def patient(mock: OutputMock) -> None:
    """Requests wait for up to ten minutes, so a test ends only when something wakes them."""
    mock.world.history_max_waiting = 600 * 10**9
    mock.world.patience = 600.0


def drained(client: Client, workflow_id: str) -> dict[str, Any]:
    """The whole history of a waiting run, read by a long poll; the page has a token."""
    page: dict[str, Any] = client.get(
        f"/workflow/{workflow_id}/history?pageSize=50&longPollTimeoutMs=10"
    ).json
    while page["events"]:
        page = client.get(
            f"/workflow/{workflow_id}/history?pageSize=50&longPollTimeoutMs=10"
            f"&runId={page['runId']}&pageToken={escaped(page['nextPageToken'])}"
        ).json
    return page


def escaped(token: str) -> str:
    return token.replace("+", "%2B").replace("=", "%3D")


# --- events ----------------------------------------------------------------------------------------------


def test_a_run_with_one_step_has_nineteen_events(client: Client) -> None:
    client.run("one_step", 1, workflowId="one")
    assert client.kinds("one") == ONE_STEP


def test_events_are_numbered_from_one(client: Client) -> None:
    client.run("one_step", 1, workflowId="one")
    assert [event["eventId"] for event in client.events("one")] == [str(n) for n in range(1, 20)]


def test_every_event_has_exactly_the_attributes_of_its_type(client: Client) -> None:
    client.run("one_step", 1, workflowId="one")
    for event in client.events("one"):
        words = event["eventTypeName"].lower().split("_")
        name = words[0] + "".join(word.title() for word in words[1:])
        assert set(event) == {"eventId", "eventType", "eventTypeName", "eventTime", f"{name}EventAttributes"}


@pytest.mark.parametrize(("microseconds", "milliseconds"), [(0, 0), (499, 0), (500, 1), (999, 1)])
def test_the_expiry_of_a_run_is_reported_to_the_nearest_millisecond(
    mock: OutputMock, client: Client, microseconds: int, milliseconds: int
) -> None:
    """Recordings mask it. The real server (0.11.0) was asked 24 times, and all were whole milliseconds."""
    began = mock.clock.nanoseconds()
    assert began % 1_000_000 == 0
    mock.clock.advance(timedelta(microseconds=microseconds))
    client.run("one_step", workflowId="x")
    told = client.events("x")[0]["workflowExecutionStartedEventAttributes"]["workflowExecutionExpirationTime"]
    expires = int(told["seconds"]) * 1_000_000_000 + told.get("nanos", 0)
    assert expires - began == (24 * 60 * 60 * 1000 + milliseconds) * 1_000_000


def test_payloads_are_included_only_on_request(client: Client) -> None:
    client.run("one_step", {"secret": "s3cret"}, workflowId="one")
    assert "s3cret" not in client.get("/workflow/one/history?pageSize=50").text
    assert "s3cret" not in client.get("/workflow/one/history?pageSize=50&includePayloads=false").text
    assert "s3cret" in client.get("/workflow/one/history?pageSize=50&includePayloads=true").text


def test_retries_leave_one_scheduled_and_one_started_event(mock: OutputMock, client: Client) -> None:
    @mock.workflow("flaky")
    async def flaky(ctx: Context, input: Any) -> Any:
        await ctx.step("wobble", fails=[Failure("one"), Failure("two"), None])

    client.run("flaky", workflowId="f")
    assert client.kinds("f") == ONE_STEP
    events = client.events("f")
    started = events[13]["activityTaskStartedEventAttributes"]
    assert started["attempt"] == 3
    assert started["lastFailure"]["message"] == "two"


def test_the_workflow_object_has_the_state_of_the_run(client: Client) -> None:
    started = client.start("approval", workflowId="a")
    client.get("/workflow/a/status")
    assert client.get("/workflow/a/history").json["workflow"] == {
        **started,
        "status": "running",
        "startTime": "2026-01-01T00:00:00.000Z",
        "closeTime": None,
        "historyLength": len(client.events("a")),
        "taskQueue": "main",
    }
    client.post("/workflow/a/terminate")
    workflow = client.get("/workflow/a/history").json["workflow"]
    assert (workflow["status"], workflow["closeTime"]) == ("terminated", "2026-01-01T00:00:00.000Z")


# --- pages -----------------------------------------------------------------------------------------------


def pages(client: Client, workflow_id: str, size: int) -> list[list[str]]:
    """The event types on each page of that size."""
    found = []
    page = client.get(f"/workflow/{workflow_id}/history?pageSize={size}").json
    while True:
        found.append([event["eventTypeName"] for event in page["events"]])
        if page["nextPageToken"] is None:
            return found
        token = escaped(page["nextPageToken"])
        page = client.get(
            f"/workflow/{workflow_id}/history?pageSize={size}&runId={page['runId']}&pageToken={token}"
        ).json
        assert page["workflow"] is None


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 9, 10, 50])
def test_pages_hold_whole_batches_and_together_make_the_history(client: Client, size: int) -> None:
    client.run("one_step", 1, workflowId="one")
    found = pages(client, "one", size)
    assert [kind for page in found for kind in page] == ONE_STEP
    # A full page always has a token, even if nothing follows. Then the last page is empty.
    sizes = [sum(BATCHES[at : at + size]) for at in range(0, len(BATCHES) + 1, size)]
    assert [len(page) for page in found] == sizes


def test_a_page_holds_twenty_batches_by_default(mock: OutputMock, client: Client) -> None:
    @mock.workflow("many")
    async def many(ctx: Context, input: Any) -> Any:
        for n in range(10):
            await ctx.step("work", n)

    client.run("many", workflowId="m")
    assert len(client.get("/workflow/m/history").json["events"]) == len(pages(client, "m", 20)[0])
    assert client.get("/workflow/m/history").json["nextPageToken"] is not None


def test_a_page_token_requires_the_id_of_its_run(client: Client) -> None:
    client.run("one_step", 1, workflowId="one")
    token = escaped(client.get("/workflow/one/history?pageSize=1").json["nextPageToken"])
    answer = client.get(f"/workflow/one/history?pageToken={token}")
    assert (answer.status, answer.json["issues"]) == (
        400,
        [{"code": "custom", "path": ["runId"], "message": "runId is required when using pageToken"}],
    )
    run_id = client.run("one_step", 1, workflowId="two")["runId"]
    answer = client.get(f"/workflow/two/history?runId={run_id}&pageToken={token}")
    assert (answer.status, answer.json["error"]) == (400, "InvalidPageTokenError")


def test_a_pinned_route_needs_no_run_id_in_the_query(client: Client) -> None:
    run_id = client.run("one_step", 1, workflowId="one")["runId"]
    token = escaped(client.get("/workflow/one/history?pageSize=1").json["nextPageToken"])
    page = client.get(f"/workflow/one/runs/{run_id}/history?pageSize=1&pageToken={token}").json
    assert [event["eventId"] for event in page["events"]] == ["3"]


def test_a_page_token_stays_with_its_run_when_a_later_run_begins(client: Client) -> None:
    run_id = client.run("one_step", 1, workflowId="one")["runId"]
    token = escaped(client.get("/workflow/one/history?pageSize=8").json["nextPageToken"])
    client.run("one_step", 2, workflowId="one")
    page = client.get(f"/workflow/one/history?runId={run_id}&pageToken={token}").json
    assert [event["eventId"] for event in page["events"]] == ["18", "19"]


def encoded(value: Any) -> str:
    return escaped(base64.b64encode(json.dumps(value).encode()).decode())


@pytest.mark.parametrize(
    "token",
    [
        "AAAA",
        "e30%3D",
        encoded([]),
        encoded(None),
        encoded({"run": 1, "batch": -1}),
        encoded("x"),
        "AA",
        encoded({"batch": 10**30}),
        "/" * 4096,
    ],
)
def test_a_made_up_page_token_is_refused(client: Client, token: str) -> None:
    run_id = client.run("one_step", 1, workflowId="one")["runId"]
    answer = client.get(f"/workflow/one/history?runId={run_id}&pageToken={token}")
    assert (answer.status, answer.json) == (
        400,
        {
            "error": "InvalidPageTokenError",
            "message": "Invalid pageToken. Use the nextPageToken value returned by the previous page.",
        },
    )


def test_a_page_token_that_is_too_short_means_the_first_page(client: Client) -> None:
    run_id = client.run("one_step", 1, workflowId="one")["runId"]
    page = client.get(f"/workflow/one/history?runId={run_id}&pageToken=A&pageSize=1").json
    assert [event["eventId"] for event in page["events"]] == ["1", "2"]


@pytest.mark.parametrize("token", ["%21%21", "A-_A", "a" * 4097, "=", "A%3D%3D%3D"])
def test_a_malformed_page_token_is_a_validation_error(client: Client, token: str) -> None:
    run_id = client.run("one_step", 1, workflowId="one")["runId"]
    answer = client.get(f"/workflow/one/history?runId={run_id}&pageToken={token}")
    assert (answer.status, answer.json["error"]) == (400, "ValidationError")
    assert {tuple(issue["path"]) for issue in answer.json["issues"]} == {("pageToken",)}


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("pageSize=0", "pageSize"),
        ("pageSize=51", "pageSize"),
        ("pageSize=2.5", "pageSize"),
        ("includePayloads=TRUE", "includePayloads"),
        ("includePayloads=", "includePayloads"),
        ("longPollTimeoutMs=0", "longPollTimeoutMs"),
        ("longPollTimeoutMs=-5", "longPollTimeoutMs"),
        ("longPollTimeoutMs=x", "longPollTimeoutMs"),
        ("runId=a&runId=b", "runId"),
    ],
)
def test_an_invalid_query_string_is_refused(client: Client, query: str, where: str) -> None:
    answer = client.get(f"/workflow/any/history?{query}")
    assert answer.status == 400
    assert [issue["path"] for issue in answer.json["issues"]] == [[where]]


def test_a_run_id_in_the_query_string_selects_the_run(client: Client) -> None:
    first = client.run("one_step", 1, workflowId="one")["runId"]
    client.run("one_step", 2, workflowId="one")
    assert client.get(f"/workflow/one/history?runId={first}").json["runId"] == first
    answer = client.get("/workflow/one/history?runId=notauuid")
    assert (answer.status, answer.json["error"]) == (400, "ServiceError")


def test_the_run_id_in_the_path_takes_precedence_over_the_query_string(client: Client) -> None:
    first = client.run("one_step", 1, workflowId="one")["runId"]
    second = client.run("one_step", 2, workflowId="one")["runId"]
    page = client.get(f"/workflow/one/runs/{first}/history?runId={second}").json
    assert page["runId"] == first


# --- long polls ------------------------------------------------------------------------------------------


def test_a_long_poll_of_a_running_run_returns_a_token_for_the_next_events(client: Client) -> None:
    client.start("approval", workflowId="a")
    page = drained(client, "a")
    assert page["nextPageToken"]
    assert page["workflow"]["status"] == "running"
    # Without a long poll the last page of a running run has no token.
    assert client.get("/workflow/a/history?pageSize=50").json["nextPageToken"] is None


def test_a_long_poll_without_new_events_returns_the_same_token(client: Client) -> None:
    client.start("approval", workflowId="a")
    page = drained(client, "a")
    again = client.get(
        f"/workflow/a/history?longPollTimeoutMs=5&runId={page['runId']}&pageToken={escaped(page['nextPageToken'])}"
    ).json
    assert again == page
    assert again["events"] == []


@BOTH_TRANSPORTS
@pytest.mark.usefixtures("patient")
def test_a_signal_from_another_thread_wakes_a_long_poll(mock: OutputMock, client: Client) -> None:
    client.start("approval", workflowId="a")
    page = drained(client, "a")
    poll = (
        f"/workflow/a/history?pageSize=50&longPollTimeoutMs=600000&runId={page['runId']}"
        f"&pageToken={escaped(page['nextPageToken'])}"
    )
    with in_another_thread(lambda: client.get(poll)) as answers:
        eventually(lambda: somebody_waits(mock, "a"))
        client.post("/workflow/a/signal/approve", {"payload": {"by": "ana"}})
    events = answers[0].json["events"]
    assert events[0]["eventTypeName"] == "WORKFLOW_EXECUTION_SIGNALED"
    assert int(events[0]["eventId"]) == page["workflow"]["historyLength"] + 1


def test_successive_long_polls_return_the_whole_history(mock: OutputMock, client: Client) -> None:
    client.start("slow", workflowId="s")
    events, page = [], client.get("/workflow/s/history?pageSize=50&longPollTimeoutMs=15000").json
    while True:
        events += page["events"]
        if page["nextPageToken"] is None:
            break
        page = client.get(
            f"/workflow/s/history?pageSize=50&longPollTimeoutMs=15000"
            f"&runId={page['runId']}&pageToken={escaped(page['nextPageToken'])}"
        ).json
    assert page["workflow"]["status"] == "completed"
    assert [event["eventId"] for event in events] == [event["eventId"] for event in client.events("s")]


def test_a_long_poll_of_a_closed_run_returns_at_once_without_a_token(client: Client) -> None:
    client.run("one_step", 1, workflowId="one")
    page = client.get("/workflow/one/history?pageSize=50&longPollTimeoutMs=15000").json
    assert (len(page["events"]), page["nextPageToken"]) == (19, None)


@BOTH_TRANSPORTS
@pytest.mark.usefixtures("patient")
def test_a_long_poll_ends_when_its_run_is_terminated(mock: OutputMock, client: Client) -> None:
    client.start("approval", workflowId="a")
    page = drained(client, "a")
    poll = (
        f"/workflow/a/history?longPollTimeoutMs=600000&runId={page['runId']}"
        f"&pageToken={escaped(page['nextPageToken'])}"
    )
    with in_another_thread(lambda: client.get(poll)) as answers:
        eventually(lambda: somebody_waits(mock, "a"))
        client.post("/workflow/a/terminate")
    page = answers[0].json
    assert [event["eventTypeName"] for event in page["events"]] == ["WORKFLOW_EXECUTION_TERMINATED"]
    assert (page["nextPageToken"], page["workflow"]["status"]) == (None, "terminated")


@BOTH_TRANSPORTS
@pytest.mark.usefixtures("patient")
def test_many_long_polls_of_one_run_all_wake(mock: OutputMock, client: Client) -> None:
    client.start("approval", workflowId="a")
    page = drained(client, "a")
    poll = (
        f"/workflow/a/history?longPollTimeoutMs=600000&runId={page['runId']}"
        f"&pageToken={escaped(page['nextPageToken'])}"
    )
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.get(poll).json), daemon=True) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: somebody_waits(mock, "a") == 8)
    client.post("/workflow/a/signal/approve", {"payload": {}})
    for thread in threads:
        thread.join(10)
    assert [answer["events"][0]["eventTypeName"] for answer in answers] == ["WORKFLOW_EXECUTION_SIGNALED"] * 8


def test_a_long_poll_waits_no_longer_than_the_servers_limit(mock: OutputMock, client: Client) -> None:
    mock.world.history_max_waiting = 5_000_000
    client.start("approval", workflowId="a")
    page = drained(client, "a")
    poll = f"/workflow/a/history?longPollTimeoutMs=900000&runId={page['runId']}"
    assert client.get(f"{poll}&pageToken={escaped(page['nextPageToken'])}").json["events"] == []


# --- streams ---------------------------------------------------------------------------------------------


def read(client: Client, path: str, headers: dict[str, str] | None = None) -> list[Frame]:
    with client.stream(path, headers=headers) as stream:
        assert stream.status == 200
        return list(stream)


def streamed(frames: list[Frame]) -> list[dict[str, Any]]:
    return [event for frame in frames if frame.event == "history" for event in frame.data]


@BOTH_TRANSPORTS
def test_the_stream_of_a_closed_run_is_its_history_between_a_workflow_and_a_done_event(
    client: Client,
) -> None:
    client.run("one_step", 1, workflowId="one")
    frames = read(client, "/workflow/one/history/stream?includePayloads=true")
    assert [frame.event for frame in frames] == ["workflow", "history", "done"]
    page = client.get("/workflow/one/history?pageSize=50&includePayloads=true").json
    assert frames[0].data == {**page["workflow"], "closed": True}
    assert frames[1].data == page["events"]
    assert frames[1].id == "19"
    assert frames[2].data == {"reason": "WORKFLOW_EXECUTION_COMPLETED"}


@pytest.mark.parametrize("after", range(1, 19))
def test_a_stream_resumes_after_any_event(client: Client, after: int) -> None:
    run_id = client.run("one_step", 1, workflowId="one")["runId"]
    rest = client.events("one", includePayloads="false")[after:]
    header = {"Last-Event-ID": str(after)}
    for path in ("/workflow/one/history/stream", f"/workflow/one/runs/{run_id}/history/stream"):
        assert streamed(read(client, f"{path}?lastEventId={after}")) == rest
        assert streamed(read(client, path, header)) == rest


@pytest.mark.parametrize(
    ("header", "first"),
    [
        ("3", "4"),
        ("1, 5", "6"),
        ("5,1", "2"),
        (" 7 ", "8"),
        ("x", "1"),
        ("-1", "1"),
        ("0", "1"),
        ("1.5", "1"),
        ("", "1"),
        ("5, x", "1"),
    ],
)
def test_the_last_number_in_last_event_id_counts_and_the_rest_is_ignored(
    client: Client, header: str, first: str
) -> None:
    client.run("one_step", 1, workflowId="one")
    events = streamed(read(client, "/workflow/one/history/stream", {"Last-Event-ID": header}))
    assert events[0]["eventId"] == first


def test_the_query_string_takes_precedence_over_the_header(client: Client) -> None:
    client.run("one_step", 1, workflowId="one")
    frames = read(client, "/workflow/one/history/stream?lastEventId=10", {"Last-Event-ID": "3"})
    assert streamed(frames)[0]["eventId"] == "11"


@BOTH_TRANSPORTS
@pytest.mark.parametrize("after", [19, 20, 1000])
def test_a_stream_resumed_after_the_last_event_has_no_content(client: Client, after: int) -> None:
    client.run("one_step", 1, workflowId="one")
    answer = client.get(f"/workflow/one/history/stream?lastEventId={after}")
    assert (answer.status, answer.body) == (204, b"")
    assert client.get("/workflow/one/history/stream", headers={"Last-Event-ID": str(after)}).status == 204


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5"])
def test_a_last_event_id_in_the_query_has_to_be_a_number(client: Client, value: str) -> None:
    client.run("one_step", 1, workflowId="one")
    answer = client.get(f"/workflow/one/history/stream?lastEventId={value}")
    assert [issue["path"] for issue in answer.json["issues"]] == [["lastEventId"]]


@BOTH_TRANSPORTS
def test_a_stream_follows_a_running_run_event_by_event(mock: OutputMock, client: Client) -> None:
    client.start("approval", workflowId="a")
    seen: list[Frame] = []

    def follow() -> None:
        with client.stream("/workflow/a/history/stream?includePayloads=true") as stream:
            for frame in stream:
                seen.append(frame)

    def last_kinds() -> list[str]:
        return [event["eventTypeName"] for event in streamed(list(seen))]

    with in_another_thread(follow):
        eventually(lambda: "ACTIVITY_TASK_COMPLETED" in last_kinds())
        eventually(lambda: somebody_waits(mock, "a"))
        before = len(streamed(list(seen)))
        client.post("/workflow/a/signal/other", {"payload": {}})
        eventually(lambda: len(streamed(list(seen))) > before)
        assert last_kinds()[before] == "WORKFLOW_EXECUTION_SIGNALED"
        client.post("/workflow/a/signal/approve", {"payload": {"by": "ana"}})
    assert [frame.event for frame in (seen[0], seen[-1])] == ["workflow", "done"]
    assert seen[0].data["closed"] is False
    assert seen[-1].data == {"reason": "WORKFLOW_EXECUTION_COMPLETED"}
    assert streamed(seen) == client.events("a")


@BOTH_TRANSPORTS
def test_a_stream_makes_time_pass_for_its_run(client: Client) -> None:
    client.start("slow", workflowId="s")
    frames = read(client, "/workflow/s/history/stream?includePayloads=true")
    assert streamed(frames) == client.events("s")
    assert len([frame for frame in frames if frame.event == "history"]) > 1
    assert all(frame.id == frame.data[-1]["eventId"] for frame in frames if frame.event == "history")


@BOTH_TRANSPORTS
def test_a_resumed_stream_continues_to_follow_its_run(mock: OutputMock, client: Client) -> None:
    client.start("approval", workflowId="a")
    length = drained(client, "a")["workflow"]["historyLength"]
    path = f"/workflow/a/history/stream?includePayloads=true&lastEventId={length}"
    with in_another_thread(lambda: read(client, path)) as outcome:
        eventually(lambda: somebody_waits(mock, "a"))
        client.post("/workflow/a/signal/approve", {"payload": {}})
    assert streamed(outcome[0]) == client.events("a")[length:]


@BOTH_TRANSPORTS
@pytest.mark.parametrize(
    ("close", "reason"),
    [
        (lambda client: client.post("/workflow/a/terminate"), "WORKFLOW_EXECUTION_TERMINATED"),
        (lambda client: client.patch("/workflow/a/stop"), "WORKFLOW_EXECUTION_CANCELED"),
    ],
)
def test_a_stream_ends_when_its_run_closes(
    mock: OutputMock, client: Client, close: Callable[[Client], Any], reason: str
) -> None:
    client.start("approval", workflowId="a")
    drained(client, "a")
    with in_another_thread(lambda: read(client, "/workflow/a/history/stream")) as outcome:
        eventually(lambda: somebody_waits(mock, "a"))
        close(client)
    assert outcome[0][-1] == Frame("done", None, {"reason": reason})


def test_the_stream_of_a_continued_run_names_the_next_run(client: Client) -> None:
    first = client.run("chain", {"n": 0}, workflowId="c")["runId"]
    latest = client.get("/workflow/c/status").json["runId"]
    frames = read(client, f"/workflow/c/runs/{first}/history/stream")
    assert frames[-1].data == {"reason": "WORKFLOW_EXECUTION_CONTINUED_AS_NEW", "newRunId": latest}
    assert read(client, "/workflow/c/history/stream")[-1].data == {"reason": "WORKFLOW_EXECUTION_COMPLETED"}


@BOTH_TRANSPORTS
def test_a_silent_stream_sends_keepalives(
    mock: OutputMock, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "KEEPALIVE", 0.01)
    client.start("approval", workflowId="a")
    length = drained(client, "a")["workflow"]["historyLength"]
    comments = 0
    with client.stream(f"/workflow/a/history/stream?lastEventId={length}") as stream:
        for frame in stream:
            if frame.event == ": keepalive":
                comments += 1
                if comments == 3:
                    client.post("/workflow/a/signal/approve", {"payload": {}})
    assert comments >= 3
    assert frame.data == {"reason": "WORKFLOW_EXECUTION_COMPLETED"}


@BOTH_TRANSPORTS
def test_a_client_that_disconnects_from_a_stream_does_no_harm(mock: OutputMock, client: Client) -> None:
    client.start("approval", workflowId="a")
    for _ in range(3):
        with client.stream("/workflow/a/history/stream") as stream:
            assert next(iter(stream)).event == "workflow"
    client.post("/workflow/a/signal/approve", {"payload": {}})
    assert client.until_closed("a") == "completed"


@BOTH_TRANSPORTS
def test_a_long_history_is_streamed_in_several_frames(mock: OutputMock, client: Client) -> None:
    @mock.workflow("many")
    async def many(ctx: Context, input: Any) -> Any:
        for n in range(40):
            await ctx.step("work", n)

    client.run("many", workflowId="m")
    frames = read(client, "/workflow/m/history/stream?includePayloads=true")
    assert len(frames) > 3
    assert streamed(frames) == client.events("m")


@BOTH_TRANSPORTS
def test_a_stream_of_an_unknown_run_is_not_found(client: Client) -> None:
    answer = client.get("/workflow/none/history/stream")
    assert (answer.status, answer.json["error"]) == (404, "WorkflowNotFoundError")


def test_open_streams_do_not_keep_a_server_from_stopping(mock: OutputMock) -> None:
    mock.world.start("approval", workflow_id="a")
    before = threading.enumerate()
    with mock.serve() as url:
        client = Client(url)
        with (
            client.stream("/workflow/a/history/stream") as first,
            client.stream("/workflow/a/history/stream") as second,
        ):
            frames = [next(iter(first)), next(iter(second))]
            begun = [thread for thread in threading.enumerate() if thread not in before]
            server_threads = [thread for thread in begun if thread.name == "output-mock-server"]
    assert [frame.event for frame in frames] == ["workflow", "workflow"]
    assert server_threads
    assert not any(thread.is_alive() for thread in server_threads)
