"""Traces that come from somewhere: files that a worker has written, answers of a server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from output_mock.durations import MILLISECOND
from output_mock.engine.clock import LATEST

_NAME = re.compile(r"(\d{4})-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d{3})Z_(.+)\.json", re.DOTALL)
# Times after the year 2999 are none, in milliseconds since 1970.
_LATEST = LATEST // MILLISECOND


class NoTrace(ValueError):
    """Something that was to be a trace is none. Says where, and what is wrong."""


class Named(NamedTuple):
    """What the name of a trace's file tells."""

    workflow_id: str
    # When the run had started, as ISO 8601; None when the name does not say.
    started: str | None


def read_trace(path: Path) -> dict[str, Any]:
    """The trace in a file. Raises `NoTrace` for one that cannot be read or holds none."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise NoTrace(f"{path}: cannot be read: {reason}") from None
    try:
        return checked(answered(json.loads(text)), str(path))
    except json.JSONDecodeError as error:
        raise NoTrace(
            f"{path}, line {error.lineno}, column {error.colno}: this is no JSON: {error.msg}"
        ) from None
    except RecursionError:
        raise NoTrace(f"{path}: it is nested too deep") from None


def answered(body: Any) -> Any:
    """The trace in the answer of a trace log; what is none is the trace itself."""
    if isinstance(body, dict) and body.get("source") == "remote":
        return body.get("data")
    return body


def checked(tree: Any, where: str) -> dict[str, Any]:
    """A tree that has what every trace has. Raises `NoTrace` that says `where` something is missing."""
    queue = [(tree, "")]
    while queue:
        node, path = queue.pop()
        place = f"{where}{f', at {path}' if path else ''}"
        if not isinstance(node, dict):
            raise NoTrace(f"{place}: a node of a trace is an object, not {json.dumps(node)[:60]}")
        for key in ("id", "kind", "name"):
            if not isinstance(node.get(key), str):
                raise NoTrace(f"{place}: a node of a trace has {key!r}, which is text; is this a trace?")
        for key in ("startedAt", "endedAt"):
            if not _is_time(node.get(key)) and not (key == "endedAt" and node.get(key) is None):
                raise NoTrace(f"{place}: a node of a trace has {key!r}, milliseconds since 1970")
        children = node.get("children", [])
        if not isinstance(children, list):
            raise NoTrace(f"{place}: 'children' is a list")
        queue += [(child, f"{path}.children[{index}]".lstrip(".")) for index, child in enumerate(children)]
    root: dict[str, Any] = tree
    return root


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _LATEST


def own_children(node: dict[str, Any]) -> list[dict[str, Any]]:
    """What was done for a node itself.

    A step of a child may stand among its parent's own (remote_trace), and is left out here.
    """
    children = node.get("children", [])
    below = [one for one in children if one["kind"] == "workflow"]
    others = [step for child in below for step in child.get("children", [])]
    return [one for one in children if one not in others]


def failed(node: dict[str, Any], above: dict[str, Any] | None) -> bool:
    """Whether a node, of the node `above` it, has failed for good.

    One that was tried again may have an error and an output. So may a child's step, though, whose number a
    step of its parent had that worked (remote_trace); there the child's own error tells.
    """
    if "error" not in node or "output" not in node:
        return "error" in node
    error = None if above is None else above.get("error")
    return isinstance(error, dict) and error.get("activityType") == node["name"]


def named(path: Path) -> Named:
    """What a file's name says: `2026-01-01-00-00-00-000Z_my-id.json`; any other is an id."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return Named(path.stem, None)
    year, month, day, hour, minute, second, milli, workflow_id = found.groups()
    return Named(workflow_id, f"{year}-{month}-{day}T{hour}:{minute}:{second}.{milli}Z")
