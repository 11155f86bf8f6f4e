"""Says where two masked answers differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple

from output_mock.recording.masks import MASKED_FIELDS

# The headers that clients of the API use. All others depend on what is in front of the server.
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
Mode = Literal["exact", "unordered", "first_event"]
# The fields with numbers of events, which mean nothing in an unordered comparison.
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
_HALF = re.compile("[\ud800-\udfff]")
# Longer values are cut in a line.
_SHOWN = 300
# How many items of a list a line names.
_LISTED = 6


class Missing:
    """Marks what one of two answers does not have."""


MISSING = Missing()


class Difference(NamedTuple):
    """A place at which an answer differs, and the two values; `MISSING` if there is none."""

    path: tuple[str | int, ...]
    recorded: Any
    got: Any

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer."""
        return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in self.path)

    def __str__(self) -> str:
        parts = (f"[{part}]" if isinstance(part, int) else f".{printable(part)}" for part in self.path)
        place = "".join(parts)[1:]
        if isinstance(self.recorded, Missing):
            return f"{place}: not recorded, got {shown(self.got)}"
        if isinstance(self.got, Missing):
            return f"{place}: recorded {shown(self.recorded)}, missing"
        if isinstance(self.recorded, list) and isinstance(self.got, list):
            words = f"recorded {len(self.recorded)} items, got {len(self.got)}"
            return f"{place}: {words}{_not_in_both(self.recorded, self.got)}"
        return f"{place}: recorded {shown(self.recorded)}, got {shown(self.got)}"


def differences(
    recorded: Mapping[str, Any], got: Mapping[str, Any], mode: Mode = "exact", unstable: Iterable[str] = ()
) -> list[Difference]:
    """The differences between an answer and the recorded one, both masked.

    Leaves out everything at or below one of the `unstable` places.
    """
    found = _differences(comparable(recorded, mode), comparable(got, mode), ())
    left_out = frozenset(unstable)
    return [
        one for one in found if one.pointer not in left_out and left_out.isdisjoint(places_above(one.pointer))
    ]


def comparable(answer: Mapping[str, Any], mode: Mode) -> dict[str, Any]:
    """The parts of a masked answer that are compared: status, some headers, and the body by its meaning."""
    if "skipped" in answer:
        return {"skipped": answer["skipped"]}
    out: dict[str, Any] = {
        name: answer[name] for name in ("status", "not_reached", "broken_off") if name in answer
    }
    headers = answer.get("headers", {})
    out["headers"] = {name: headers[name] for name in HEADERS if name in headers}
    out["body"] = _body(answer, mode)
    return out


def _body(answer: Mapping[str, Any], mode: Mode) -> Any:
    if "stream" in answer:
        body: Any = _as_one(answer["stream"])
    else:
        body = next((answer[name] for name in ("json", "text", "base64") if name in answer), None)
    if not isinstance(body, dict):
        return body
    runs = body.get("runs")
    if isinstance(runs, list) and len(runs) > 1 and all(isinstance(run, dict) for run in runs):
        # Earlier runs do not matter.
        return {**body, "count": "<n>", "runs": sorted({tuple(sorted(run)) for run in runs})}
    if mode == "first_event":  # how much has happened by then is chance
        events = body.get("events", [None])
        return {"runId": body.get("runId"), "first": events[:1] if isinstance(events, list) else events}
    if mode == "unordered" and isinstance(body.get("events"), list):
        return _unordered(body)
    return body


def _as_one(frames: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A stream as its events, regardless of their frames, and its other frames."""
    others: list[dict[str, Any]] = []
    events: list[Any] = []
    for frame in frames:
        if "event" not in frame:
            continue
        data = frame.get("data")
        if frame["event"] == "history" and isinstance(data, list):
            events += data
        else:
            others.append({"event": frame["event"], "data": data})
    return {"frames": others, "events": events}


def _unordered(body: dict[str, Any]) -> dict[str, Any]:
    """A history as an unordered set of events; the number of workflow tasks depends on timing."""
    events = [event for event in body["events"] if "WORKFLOW_TASK" not in _kind(event)]
    bag = sorted(
        (_unnumbered(event) for event in events), key=lambda event: json.dumps(event, sort_keys=True)
    )
    body = {**body, "events": bag}
    if isinstance(body.get("workflow"), dict):
        body["workflow"] = {**body["workflow"], "historyLength": "<n>"}
    if isinstance(body.get("frames"), list):
        body["frames"] = [
            {**frame, "data": {**frame["data"], "historyLength": "<n>"}}
            if isinstance(frame, dict)
            and frame.get("event") == "workflow"
            and isinstance(frame.get("data"), dict)
            else frame
            for frame in body["frames"]
        ]
    return body


def _kind(event: Any) -> str:
    return str(event.get("eventTypeName", "?")) if isinstance(event, dict) else "?"


def _unnumbered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unnumbered(item) for key, item in value.items() if key not in _NUMBERING}
    return [_unnumbered(item) for item in value] if isinstance(value, list) else value


def _differences(recorded: Any, got: Any, path: tuple[str | int, ...]) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(got, dict):
        for key in sorted(recorded.keys() | got.keys()):
            if key not in got:
                yield Difference((*path, key), recorded[key], MISSING)
            elif key not in recorded:
                yield Difference((*path, key), MISSING, got[key])
            elif not _is_same_scalar(recorded[key], got[key]):
                yield from _differences(recorded[key], got[key], (*path, key))
    elif isinstance(recorded, (list, tuple)) and isinstance(got, (list, tuple)):
        if len(recorded) != len(got):
            yield Difference(path, recorded, got)
            yield from _differences_of_histories(recorded, got, path)
            return
        for position, (one, other) in enumerate(zip(recorded, got, strict=True)):
            if not _is_same_scalar(one, other):
                yield from _differences(one, other, (*path, position))
    elif not _equal(recorded, got) and not _is_masked(recorded, got, path):
        yield Difference(path, recorded, got)


def _is_same_scalar(recorded: Any, got: Any) -> bool:
    """Whether two values are the same text, number, truth value or null. Most are, and this is fast."""
    kind = type(recorded)
    return kind is type(got) and kind is not dict and kind is not list and bool(recorded == got)


def _differences_of_histories(
    recorded: Sequence[Any], got: Sequence[Any], path: tuple[str | int, ...]
) -> Iterator[Difference]:
    """How the events differ that two histories of unequal length have in common, but for their numbers."""
    before, after = ([_kind(event) for event in side] for side in (recorded, got))
    if "?" in before + after:
        return
    for first, second, length in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
        for offset in range(length):
            one, other = _unnumbered(recorded[first + offset]), _unnumbered(got[second + offset])
            yield from _differences(one, other, (*path, first + offset))


def _equal(recorded: Any, got: Any) -> bool:
    """Equality as in JSON: 1 and 1.0 are equal, 1 and true are not."""
    return recorded == got and isinstance(recorded, bool) == isinstance(got, bool)


def _is_masked(recorded: Any, got: Any, path: tuple[str | int, ...]) -> bool:
    """Whether a field was masked completely, so that only its presence is known."""
    name = path[-1] if path else None
    return name in MASKED_FIELDS and recorded == f"<{name}>" and got is not None


def places_above(pointer: str) -> Iterator[str]:
    """The JSON pointers to what a place is in, the widest first."""
    end = pointer.find("/", 1)
    while end != -1:
        yield pointer[:end]
        end = pointer.find("/", end + 1)


def _not_in_both(recorded: Sequence[Any], got: Sequence[Any]) -> str:
    """Which items only one of two lists has, in words: events by their kinds."""
    before, after = ([_name(item) for item in side] for side in (recorded, got))
    only_before: list[str] = []
    only_after: list[str] = []
    for what, first, end, others, last in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what != "equal":
            only_before += (f"[{number}] {before[number]}" for number in range(first, end))
            only_after += (f"[{number}] {after[number]}" for number in range(others, last))
    words = ""
    for title, items in (("only recorded", only_before), ("only got", only_after)):
        if items:
            more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
            words += f"; {title} {', '.join(items[:_LISTED])}{more}"
    return words


def _name(item: Any) -> str:
    """An item of a list in a line: an event by its kind."""
    kind = _kind(item)
    return shown(item) if kind == "?" else kind


def shown(value: Any) -> str:
    """A value as JSON, cut when it is long."""
    text = encodable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def printable(text: str) -> str:
    """A server's text, safe to print on a terminal."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def encodable(text: str) -> str:
    """A text of JSON that UTF-8 can hold: halves of characters are escaped."""
    return _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
