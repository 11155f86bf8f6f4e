"""Which operation a request line means, decided as the real server's router decides it.

Paths match without regard to case, with or without a trailing slash, in this order; ids are
percent-decoded after they have been matched, so an id may hold a slash (workflow_id, routing).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

# (method, path, operation), in the order in which the real server tries them.
ROUTES: Sequence[tuple[str, str, str]] = (
    ("GET", "/health", "health"),
    ("GET", "/ready", "ready"),
    ("POST", "/workflow/run", "run"),
    ("POST", "/workflow/start", "start"),
    ("GET", "/workflow/{id}/status", "status"),
    ("GET", "/workflow/{id}/runs/{rid}/status", "status"),
    ("PATCH", "/workflow/{id}/runs/{rid}/stop", "stop"),
    ("PATCH", "/workflow/{id}/stop", "stop"),
    ("POST", "/workflow/{id}/runs/{rid}/terminate", "terminate"),
    ("POST", "/workflow/{id}/terminate", "terminate"),
    ("POST", "/workflow/{id}/runs/{rid}/reset", "reset"),
    ("POST", "/workflow/{id}/reset", "reset"),
    ("GET", "/workflow/{id}/result", "result"),
    ("GET", "/workflow/{id}/runs/{rid}/result", "result"),
    ("GET", "/workflow/{id}/input", "input"),
    ("GET", "/workflow/{id}/runs/{rid}/input", "input"),
    ("GET", "/workflow/{id}/trace-log", "trace_log"),
    ("GET", "/workflow/{id}/runs/{rid}/trace-log", "trace_log"),
    ("GET", "/workflow/{id}/history", "history"),
    ("GET", "/workflow/{id}/runs/{rid}/history", "history"),
    ("GET", "/workflow/{id}/history/stream", "history_stream"),
    ("GET", "/workflow/{id}/runs/{rid}/history/stream", "history_stream"),
    ("GET", "/workflow/catalog/{id}", "catalog"),
    ("GET", "/workflow/catalog", "catalog"),
    ("GET", "/workflow/runs", "runs"),
    ("POST", "/workflow/{id}/feedback", "feedback"),
    ("POST", "/workflow/{id}/signal/{name}", "signal"),
    ("POST", "/workflow/{id}/query/{name}", "query"),
    ("POST", "/workflow/{id}/update/{name}", "update"),
    ("POST", "/heartbeat", "heartbeat"),
)

# The names of all operations.
OPERATIONS = tuple(dict.fromkeys(operation for _, _, operation in ROUTES))


class Route(NamedTuple):
    """An operation and the ids of its path."""

    operation: str
    id: str | None = None
    rid: str | None = None
    name: str | None = None


class BadEscapeError(Exception):
    """An id in the path that cannot be percent-decoded."""

    def __init__(self, text: str) -> None:
        super().__init__(f"Failed to decode param '{text}'")
        self.message: str = f"Failed to decode param '{text}'"


def in_regex(path: str) -> str:
    """What fits a path such as `/workflow/{id}/status`, with its names as groups."""
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))


_PATTERNS = [
    (method, re.compile(f"{in_regex(path)}/?", re.IGNORECASE), operation)
    for method, path, operation in ROUTES
]
_FIXED = {(method, path): Route(operation) for method, path, operation in ROUTES if "{" not in path}
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def match(method: str, path: str) -> Route | None:
    """The route for a method (HEAD counts as GET) and a raw, still escaped path; None when there is none.

    Raises `BadEscapeError` when the first path that fits has an id that cannot be decoded.
    """
    if method == "HEAD":
        method = "GET"
    fixed = _FIXED.get((method, path))
    if fixed is not None:
        return fixed
    problem: BadEscapeError | None = None
    for allowed, pattern, operation in _PATTERNS:
        found = pattern.fullmatch(path)
        if found is None:
            continue
        try:
            ids = {name: unescaped(text) for name, text in found.groupdict().items()}
        except BadEscapeError as error:
            problem = problem or error
            continue
        if allowed == method and problem is None:
            return Route(operation, **ids)
    if problem is not None:
        raise problem
    return None


def unescaped(text: str) -> str:
    """A part of a path with its percent-escapes decoded. Raises `BadEscapeError`."""
    if "%" not in text:
        return text
    if _ESCAPE.search(text):
        raise BadEscapeError(text)
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise BadEscapeError(text) from None
