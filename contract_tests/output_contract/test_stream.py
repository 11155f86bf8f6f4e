"""The live stream of a run's events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_contract.checks import check
from output_contract.client import Client, Frame
from output_contract.events import must_be_same
from output_contract.test_history import BOTH_ENDS, CLOSING


def _frames(api: Client, path: str, **options: Any) -> list[Frame]:
    with api.stream(path, **options) as stream:
        assert stream.status == 200, f"a stream, and no {stream.status}"
        assert stream.headers["content-type"].startswith("text/event-stream")
        return [frame for frame in stream if frame.event]


def _events(frames: list[Frame]) -> list[dict[str, Any]]:
    return [event for frame in frames if frame.event == "history" for event in frame.data]


@BOTH_ENDS
@check("stream.closed", "stream_completed, stream_failed", since="0.9.0")
def test_the_stream_of_a_closed_run_has_its_whole_history(api: Client, role: str) -> None:
    done = api.finished(role)
    events = api.walk(done.base)
    for base in (done.base, done.pinned):
        frames = _frames(api, f"{base}/history/stream?includePayloads=true")
        assert [frame.event for frame in (frames[0], frames[-1])] == ["workflow", "done"]
        must_be_same(_events(frames), events)
        assert frames[0].data["closed"] is True
        assert (frames[0].data["runId"], frames[0].data["status"]) == (done.run_id, done.result["status"])
        assert frames[0].data["historyLength"] == len(events)
        assert frames[-1].data == {"reason": CLOSING[done.result["status"]]}


@check("stream.payloads", "stream_completed: includePayloads", since="0.9.0")
def test_payloads_are_included_only_on_request(api: Client) -> None:
    done = api.finished("succeeds")
    bare = _events(_frames(api, f"{done.base}/history/stream"))
    must_be_same(bare, api.walk(done.base, includePayloads="false"))


@check("stream.ids", "stream_completed: id", since="0.9.0")
def test_a_history_frame_has_the_id_of_its_last_event(api: Client) -> None:
    for frame in _frames(api, f"{api.finished('succeeds').base}/history/stream"):
        if frame.event == "history":
            assert frame.id == frame.data[-1]["eventId"]
        else:
            assert frame.id is None


@check("stream.resumes", "stream_completed: lastEventId, Last-Event-ID", since="0.9.0")
def test_a_stream_resumed_after_any_event_gives_the_rest(api: Client, examples: settings) -> None:
    done = api.finished("succeeds")
    events = api.walk(done.base)

    @examples
    @given(st.integers(1, len(events) - 1), st.booleans(), st.booleans())
    def gives_the_rest(after: int, in_a_header: bool, pinned: bool) -> None:
        path = f"{done.pinned if pinned else done.base}/history/stream?includePayloads=true"
        if in_a_header:
            frames = _frames(api, path, headers={"Last-Event-ID": str(after)})
        else:
            frames = _frames(api, f"{path}&lastEventId={after}")
        must_be_same(_events(frames), events[after:])
        assert frames[-1].event == "done"

    gives_the_rest()


@check("stream.nothing-left", "stream_completed: 204", since="0.9.0")
def test_after_the_last_event_of_a_closed_run_there_is_no_content(api: Client) -> None:
    done = api.finished("succeeds")
    last = len(api.walk(done.base))
    for after in (last, last + 80):
        api.get(f"{done.base}/history/stream?lastEventId={after}").must_be_text(204, "")
    api.get(f"{done.base}/history/stream", headers={"Last-Event-ID": str(last)}).must_be_text(204, "")


@pytest.mark.parametrize("text", ["0", "x", "-1", "1.5"])
@check("stream.last-event", "stream_completed: 400 ValidationError", since="0.9.0")
def test_last_event_id_is_a_positive_integer(api: Client, text: str) -> None:
    done = api.finished("succeeds")
    answer = api.get(f"{done.base}/history/stream?lastEventId={text}").must_be(400, "ValidationError")
    assert [issue["path"] for issue in answer.json["issues"]] == [["lastEventId"]]


@check("stream.wrong-flag", "stream_completed: includePayloads=1", since="0.9.0")
def test_include_payloads_is_true_or_false(api: Client) -> None:
    done = api.finished("succeeds")
    api.get(f"{done.base}/history/stream?includePayloads=1").must_be(400, "ValidationError")


@check("stream.joined-header", "stream_completed: Last-Event-ID 3, 6", "observed", since="0.9.0")
def test_the_last_number_in_last_event_id_counts(api: Client) -> None:
    done = api.finished("succeeds")
    events = api.walk(done.base, includePayloads="false")
    path = f"{done.base}/history/stream"
    must_be_same(_events(_frames(api, path, headers={"Last-Event-ID": "3, 6"})), events[6:])
    must_be_same(_events(_frames(api, path, headers={"Last-Event-ID": "x"})), events)


@check("stream.live", "stream_live", since="0.9.0")
def test_the_stream_of_a_running_run_has_each_event_once_and_ends_with_it(api: Client) -> None:
    begun = api.start("conf_timer", {"ms": 1500})
    frames = _frames(api, f"{begun.base}/history/stream?includePayloads=true")
    events = _events(frames)
    assert frames[0].data["closed"] is False
    must_be_same(events, api.walk(begun.base))
    assert frames[-1].data == {"reason": "WORKFLOW_EXECUTION_COMPLETED"}
    api.get(f"{begun.base}/status").must_be(200, status="completed")


@check("stream.follows", "stream_live, approval", since="0.9.0")
def test_an_open_stream_sends_new_events(api: Client) -> None:
    work, begun = api.waiting()
    with api.stream(f"{begun.base}/history/stream?includePayloads=true") as stream:
        frames = iter(stream)
        seen = [next(frames), next(frames)]
        api.approve(work, begun)
        seen += [frame for frame in frames if frame.event]
    must_be_same(_events(seen), api.walk(begun.base))
    assert seen[-1].event == "done"


@check("stream.terminated", "terminate, stream_live", since="0.9.0")
def test_a_stream_ends_when_its_run_is_terminated(api: Client) -> None:
    _, begun = api.waiting()
    with api.stream(f"{begun.pinned}/history/stream") as stream:
        frames = iter(stream)
        next(frames)
        api.post(f"{begun.base}/terminate", {}).must_be(200)
        last = [frame for frame in frames if frame.event][-1]
    assert last.data == {"reason": "WORKFLOW_EXECUTION_TERMINATED"}


@check("stream.chain", "stream_chain: newRunId", since="0.9.0")
def test_the_stream_of_a_run_that_continued_as_new_names_the_next_run(api: Client) -> None:
    begun = api.start_and_end("conf_chain", {"value": 0, "limit": 2})
    last = api.get(f"{begun.base}/status").must_be(200).json["runId"]
    frames = _frames(api, f"{begun.pinned}/history/stream")
    assert frames[-1].data == {"reason": "WORKFLOW_EXECUTION_CONTINUED_AS_NEW", "newRunId": last}


@check("stream.headers", "stream_completed: headers", "recommended", since="0.9.0")
def test_a_stream_has_headers_against_buffering_and_caching(api: Client) -> None:
    answer = api.get(f"{api.finished('succeeds').base}/history/stream", all_headers=True)
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
