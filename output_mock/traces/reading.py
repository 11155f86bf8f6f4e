"""Traces that come from somewhere: files that a worker has written, answers of a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from output_mock.durations import MILLISECOND
from output_mock.engine.clock import LATEST
from output_mock.javascript_json import JSONSyntaxError, parse, stringify

_NAME = re.compile(r"(\d{4})-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d{3})Z_(.+)\.json", re.DOTALL)
# What the largest file or answer may have that is read for a trace: bytes.
MOST_BYTES = 100 * 1024 * 1024
# How deep its JSON may be nested: a child of a workflow is two levels below it.
_MOST_LEVELS = 400
# Times after the year 2999 are none, in milliseconds since 1970.
_LATEST = LATEST // MILLISECOND


_SURROGATE = re.compile("[\ud800-\udfff]")


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
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise NoTrace(f"{path}: cannot be read: {error.strerror}") from None
    return checked(answered(parsed(content, str(path))), str(path))


def parsed(content: bytes, where: str) -> Any:
    """The value of some JSON. Raises `NoTrace` for what is none, and for what is too large."""
    if len(content) > MOST_BYTES:
        raise NoTrace(f"{where}: it is too large; a trace may have at most {MOST_BYTES // 2**20} MB")
    try:
        return parse(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise NoTrace(f"{where}: cannot be read: it is not UTF-8") from None
    except JSONSyntaxError as error:
        raise NoTrace(
            f"{where}, line {error.line}, column {error.column}: this is not JSON: {error}"
        ) from None
    except RecursionError:
        raise NoTrace(f"{where}: it is nested too deep") from None


def answered(body: Any) -> Any:
    """The trace in the answer of a trace log; what is none is the trace itself."""
    if isinstance(body, dict) and body.get("source") == "remote":
        return body.get("data")
    return body


def checked(tree: Any, where: str) -> dict[str, Any]:
    """A tree that has what every trace has. Raises `NoTrace` that says `where` something is missing."""
    if _too_deep(tree):
        raise NoTrace(f"{where}: it is nested too deep, more than {_MOST_LEVELS} levels")
    queue = [(tree, "")]
    while queue:
        node, path = queue.pop()
        place = f"{where}{f', at {path}' if path else ''}"
        if not isinstance(node, dict):
            raise NoTrace(f"{place}: a node of a trace must be an object, not {stringify(node)[:60]}")
        for key in ("id", "kind", "name"):
            if not isinstance(node.get(key), str):
                raise NoTrace(f"{place}: a node of a trace needs {key!r} as text; is this a trace?")
            if _SURROGATE.search(node[key]):
                raise NoTrace(f"{place}: {key!r} contains half of a character, {ascii(node[key])[:60]}")
        for key in ("startedAt", "endedAt"):
            if not _is_time(node.get(key)) and not (key == "endedAt" and node.get(key) is None):
                raise NoTrace(f"{place}: a node of a trace needs {key!r} in milliseconds since 1970")
        children = node.get("children", [])
        if not isinstance(children, list):
            raise NoTrace(f"{place}: 'children' must be a list")
        queue += [(child, f"{path}.children[{index}]".lstrip(".")) for index, child in enumerate(children)]
    root: dict[str, Any] = tree
    return root


def _too_deep(tree: Any) -> bool:
    level = [tree]
    for _ in range(_MOST_LEVELS):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, (dict, list)):
                inner += value.values() if isinstance(value, dict) else value
        if not inner:
            return False
        level = inner
    return True


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
