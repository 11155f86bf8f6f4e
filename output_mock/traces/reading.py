"""Reads traces from the files of a worker or the answers of a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from output_mock.durations import MILLISECOND
from output_mock.engine.clock import LATEST
from output_mock.javascript_json import JSONSyntaxError, parse, stringify

_NAME = re.compile(r"(\d{4})-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d{3})Z_(.+)\.json", re.DOTALL)
# The largest file or answer to read as a trace, in bytes.
MOST_BYTES = 100 * 1024 * 1024
# How deep the JSON may be nested. Each child workflow adds two levels.
_MOST_LEVELS = 400
# Times after the year 2999 are invalid. In milliseconds since 1970.
_LATEST = LATEST // MILLISECOND


_SURROGATE = re.compile("[\ud800-\udfff]")


class NoTrace(ValueError):
    """The input is not a trace. The message says where, and what is wrong."""


class Named(NamedTuple):
    """The facts in the name of a trace file."""

    workflow_id: str
    # The start of the run, as ISO 8601; None if the name does not have it.
    started: str | None


def read_trace(path: Path) -> dict[str, Any]:
    """The trace in a file. Raises `NoTrace` if the file is unreadable or holds no trace."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise NoTrace(f"{path}: cannot be read: {error.strerror}") from None
    return checked(answered(parsed(content, str(path))), str(path))


def parsed(content: bytes, where: str) -> Any:
    """Parse JSON. Raises `NoTrace` if it is invalid or too large."""
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
    """The trace in a trace-log answer. Any other value is taken as the trace itself."""
    if isinstance(body, dict) and body.get("source") == "remote":
        return body.get("data")
    return body


def checked(tree: Any, where: str) -> dict[str, Any]:
    """Check that a tree has all parts of a trace. Raises `NoTrace`, which says `where` one is missing."""
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
    """The children that belong to a node itself.

    A child's step may appear among its parent's children (remote_trace). This leaves it out.
    """
    children = node.get("children", [])
    below = [one for one in children if one["kind"] == "workflow"]
    others = [step for child in below for step in child.get("children", [])]
    return [one for one in children if one not in others]


def failed(node: dict[str, Any], above: dict[str, Any] | None) -> bool:
    """Whether a node below the node `above` has failed for good.

    A node that was retried may have both an error and an output. So may a child's step that shares its
    number with a successful step of the parent (remote_trace). There, the error of the child decides.
    """
    if "error" not in node or "output" not in node:
        return "error" in node
    error = None if above is None else above.get("error")
    return isinstance(error, dict) and error.get("activityType") == node["name"]


def named(path: Path) -> Named:
    """The facts in a file name like `2026-01-01-00-00-00-000Z_my-id.json`; else, only an id."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return Named(path.stem, None)
    year, month, day, hour, minute, second, milli, workflow_id = found.groups()
    return Named(workflow_id, f"{year}-{month}-{day}T{hour}:{minute}:{second}.{milli}Z")
