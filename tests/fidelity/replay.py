"""Plays recorded exchanges against a fake and compares what it answers with what was recorded.

What may differ from one run to the next (ids, clocks, paths, page tokens, stack traces, the names of
machines) is masked on both sides; everything else has to be the same: status, the headers in `HEADERS`,
and the body down to every key of every history event.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.fidelity.moments import moments
from tests.fidelity.played_clock import PlayedClock

HEADERS = (
    "content-type",
    "retry-after",
    "deprecation",
    "sunset",
    "link",
    "cache-control",
    "x-accel-buffering",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "x-request-id",
)
# Scenarios whose events interleave by chance: their histories are compared as bags of events.
UNORDERED = {
    "parallel_steps",
    "child_workflow",
    "fact_chain_query_backoff",
    "fact_reset_parallel_running",
    "fact_signals_burst",
    "fact_signals_during",
    "fact_signals_early",
    "fact_signals_late",
    "fact_signals_unknown",
    "fact_stop_signal_while_cleaning",
    "fact_terminate_while_cleaning",
    "fact_tree_all_one_fails",
    "fact_tree_reset",
    "fact_tree_reset_after",
    "fact_tree_settled",
    "fact_tree_two_plus_step",
}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_REMOTE_TRACE = re.compile(r"(https://[^/]+)/([^/]+)/\d{4}/\d\d/\d\d/[\d-]+Z_.*\.json$", re.DOTALL)
_LOCAL_TRACE = re.compile(r"^.*/([^/]+)/\d{4}(-\d\d){5}-\d{3}Z_.*\.json$", re.DOTALL)
_CHILD = re.compile(r"^<id>-[A-Za-z0-9_-]{10,}$")
_NUMERIC_TIME = {"startedAt", "completedAt", "endedAt", "startTime", "runStartTime"}
_MASKED = {
    "identity",
    "requestId",
    "historySizeBytes",
    "workerVersion",
    "sdkMetadata",
    "meteringMetadata",
    "nanos",
    "stack",
    "stackTrace",
    "workflowExecutionExpirationTime",
    "pageToken",
    "cronSchedule",
    "buildId",
    "updateId",
    "acceptedRequestMessageId",
    "protocolInstanceId",
    "acceptedRequest",
}
# What an event is numbered with, which in a bag of events means nothing.
_NUMBERING = {
    "eventId",
    "scheduledEventId",
    "startedEventId",
    "workflowTaskCompletedEventId",
    "initiatedEventId",
    "originalScheduledEventId",
    "activityId",
    "taskQueue",
}

Sent = dict[str, Any]
# Sends (method, path, headers, body) and returns {"status", "headers", "json" or "text"}.
Send = Callable[[str, str, dict[str, str], "bytes | None"], Sent]


# Does what a recording says was done to the server by hand; gets its words, and what was saved so far.
ByHand = Callable[[str, dict[str, Any]], None]
# How long the client that was recorded paused, in seconds, before it asked again, and how often it did.
_PAUSE = 0.05
_ASKED = 400


def _nothing(words: str, played: dict[str, Any]) -> None:
    raise AssertionError(f"nobody does what was done by hand: {words}")


def replay(
    send: Send, clock: PlayedClock, recording: dict[str, Any], by_hand: ByHand = _nothing
) -> Iterator[tuple[str, list[str]]]:
    """Play a recording; yields for each exchange its request line and how its answer differs.

    Lets as much time pass on the clock between two requests as there was when they were recorded.
    """
    played: dict[str, Any] = {}
    recorded: dict[str, Any] = {}
    unordered = recording["name"] in UNORDERED
    # How much later the clock is than the one of the server that was recorded.
    later: int | None = None
    for exchange, moment in zip(recording["exchanges"], moments(recording), strict=True):
        if "request" not in exchange:
            clock.let_pass(exchange.get("sleep", 0))
            if "note" in exchange:
                by_hand(exchange["note"], played)
            continue
        if moment is not None:
            if later is not None:
                clock.reach(moment + later)
            later = clock.nanoseconds() - moment
        request = exchange["request"]
        got = _answered(send, clock, exchange, played)
        for name, path in exchange.get("save", {}).items():
            for saved, answer in ((played, got), (recorded, exchange["response"])):
                found = _dig(answer.get("json"), path)
                if found is not None:
                    saved[name] = found
        compare = exchange.get("compare")
        yield (
            f"{request['method']} {request['path']}",
            differences(
                normal(exchange["response"], recorded.values(), unordered=unordered, compare=compare),
                normal(got, played.values(), unordered=unordered, compare=compare),
            ),
        )


def _answered(send: Send, clock: PlayedClock, exchange: dict[str, Any], played: dict[str, Any]) -> Sent:
    """Send the request of an exchange; again and again when it waits for a certain answer."""
    for _ in range(_ASKED):
        got = send(*_filled(exchange["request"], played))
        if "until" not in exchange:
            break
        path, accepted = exchange["until"]
        if _dig(got.get("json"), path) in accepted:
            break
        clock.let_pass(_PAUSE)
    return got


def _filled(request: dict[str, Any], played: dict[str, Any]) -> tuple[str, str, dict[str, str], bytes | None]:
    headers, body = dict(_fill(request.get("headers", {}), played)), None
    if "json" in request:
        body = json.dumps(_fill(request["json"], played)).encode()
        headers.setdefault("Content-Type", "application/json")
    elif "text" in request:
        body = _fill(request["text"], played).encode()
    elif "repeat" in request:
        char, times, before, after = request["repeat"]
        body = (before + char * times + after).encode()
        headers.setdefault("Content-Type", "application/json")
    return request["method"], _fill(request["path"], played), headers, body


def _fill(value: Any, played: dict[str, Any]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{\{([\w.]+)\}\}", lambda found: str(played.get(found.group(1), "")), value)
    if isinstance(value, dict):
        return {key: _fill(item, played) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, played) for item in value]
    return value


def _dig(value: Any, path: str) -> Any:
    """What is at a path such as `runs.0.status`, or None."""
    try:
        for part in path.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (KeyError, TypeError, IndexError):
        return None
    return value


# --- masking ---------------------------------------------------------------------------------------------


def normal(answer: Sent, names: Iterable[Any], *, unordered: bool, compare: str | None) -> dict[str, Any]:
    """An answer without what may differ from one run to the next."""
    names = sorted((str(name) for name in names if len(str(name)) > 5), key=len, reverse=True)
    headers = {name: answer["headers"][name] for name in HEADERS if name in answer["headers"]}
    body = answer["json"] if "json" in answer else answer.get("text")
    if isinstance(body, str) and "text/event-stream" in headers.get("content-type", ""):
        body = _parse_stream(body)
    if isinstance(body, dict) and isinstance(body.get("runs"), list) and len(body["runs"]) > 1:
        body = {"runs": sorted({tuple(sorted(run)) for run in body["runs"]})}  # whatever else has run before
    body = _mask(body, names)
    if compare == "first_event" and isinstance(body, dict):  # how much has happened by then is chance
        body = {"runId": body.get("runId"), "first": body.get("events", [None])[:1]}
    if unordered and isinstance(body, dict) and isinstance(body.get("events"), list):
        body = _unordered(body)
    return {
        "status": answer["status"],
        "headers": {name: _mask_text(value, names) for name, value in headers.items()},
        "body": body,
    }


def _mask_text(text: str, names: list[str]) -> str:
    for name in names:
        text = text.replace(name, "<id>")
    text = _UUID.sub("<uuid>", text)
    text = _TIME.sub("<time>", text)
    text = _REMOTE_TRACE.sub(r"\1/\2/<date>/<time>_<id>.json", text)
    text = _LOCAL_TRACE.sub(r"<folder>/\1/<time>_<id>.json", text)
    return _CHILD.sub("<id>-<child>", text)


def _mask(value: Any, names: list[str], key: str = "") -> Any:
    if key in _MASKED:
        return None if value is None else f"<{key}>"
    if key in _NUMERIC_TIME and isinstance(value, (int, float)):
        return "<ms>"
    if isinstance(value, str):
        return _mask_field(value, names, key)
    if isinstance(value, dict):
        if value.get("kind") == "TASK_QUEUE_KIND_STICKY":
            value = {**value, "name": "<sticky>"}
        if value.get("error") == "SyntaxError":
            value = {**value, "message": "<the JSON parser's words>"}
        if value.get("status") == "running" and "historyLength" in value:
            value = {**value, "historyLength": "<n>"}
        return {name: _mask(item, names, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_mask(item, names) for item in value]
    return value


def _mask_field(text: str, names: list[str], key: str) -> Any:
    if key == "seconds" and len(text) >= 9:
        return "<epoch>"
    if key == "nextPageToken":
        return "<token>"
    if key == "workflowId" and re.fullmatch(r"[A-Za-z0-9_-]{21}", text):
        return "<id>"
    if key == "data":  # a Temporal payload: base64 of JSON
        try:
            return _mask(json.loads(base64.b64decode(text)), names, "payload")
        except ValueError:
            return text
    return _mask_text(text, names)


def _parse_stream(text: str) -> dict[str, Any]:
    """A stream as its events, however they were cut into frames, and its other frames."""
    frames: list[dict[str, Any]] = []
    events: list[Any] = []
    for block in text.split("\n\n"):
        lines = (line for line in block.splitlines() if ": " in line and not line.startswith(":"))
        fields = dict(line.split(": ", 1) for line in lines)
        if "event" not in fields:
            continue
        data = json.loads(fields.get("data", "null"))
        if fields["event"] == "history":
            events += data
        else:
            frames.append({"event": fields["event"], "data": data})
    return {"frames": frames, "events": events}


def _unordered(body: dict[str, Any]) -> dict[str, Any]:
    """A history as a bag of events; the number of workflow tasks depends on how events fall together."""
    kept = [_unnumbered(event) for event in body["events"] if "WORKFLOW_TASK" not in event["eventTypeName"]]
    body = {**body, "events": sorted(kept, key=lambda event: json.dumps(event, sort_keys=True))}
    if isinstance(body.get("workflow"), dict):
        body["workflow"]["historyLength"] = "<n>"
    for frame in body.get("frames", []):
        if frame["event"] == "workflow":
            frame["data"]["historyLength"] = "<n>"
    return body


def _unnumbered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unnumbered(item) for key, item in value.items() if key not in _NUMBERING}
    return [_unnumbered(item) for item in value] if isinstance(value, list) else value


# --- comparing -------------------------------------------------------------------------------------------


def differences(want: Any, got: Any, where: str = "") -> list[str]:
    """Where `got` is not what was recorded, a line each."""
    numbers = isinstance(want, (int, float)) and isinstance(got, (int, float))
    if type(want) is not type(got) and not numbers:
        return [f"{where}: recorded {_short(want)}, got {_short(got)}"]
    if isinstance(want, dict):
        found = []
        for key in want.keys() | got.keys():
            if key not in got:
                found.append(f"{where}.{key}: recorded {_short(want[key])}, missing")
            elif key not in want:
                found.append(f"{where}.{key}: not recorded, got {_short(got[key])}")
            else:
                found += differences(want[key], got[key], f"{where}.{key}")
        return sorted(found)
    if isinstance(want, list):
        if len(want) != len(got):
            sides = f"{_short(_outline(want))} / {_short(_outline(got))}"
            return [f"{where}: recorded {len(want)} items, got {len(got)}: {sides}"]
        pairs = enumerate(zip(want, got, strict=True))
        return [line for at, (one, other) in pairs for line in differences(one, other, f"{where}[{at}]")]
    return [] if want == got else [f"{where}: recorded {_short(want)}, got {_short(got)}"]


def _outline(items: list[Any]) -> list[Any]:
    return [item.get("eventTypeName", "?") if isinstance(item, dict) else item for item in items]


def _short(value: Any) -> str:
    return json.dumps(value)[:700]
