"""Finds the operation for a request line, as the real server's router does.

Paths match without regard to case, with or without a trailing slash, in the order of the operations; ids are
percent-decoded after they have been matched, so an id may contain a slash (workflow_id, routing).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from output_mock.contract.errors import BadEscapeError
from output_mock.contract.operations import Endpoint, Operation

_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Route(NamedTuple):
    """An operation, which of its endpoints was requested, and the ids in the path."""

    operation: Operation
    endpoint: Endpoint
    id: str = ""
    # The run, as it is written.
    rid: str | None = None
    # The name of the message.
    name: str | None = None


class Router:
    """Finds the operations of one version of the API."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.endpoints: list[tuple[Operation, Endpoint]] = [
            (operation, endpoint) for operation in operations for endpoint in operation.endpoints
        ]
        self._patterns = [
            (_pattern(endpoint.path), operation, endpoint) for operation, endpoint in self.endpoints
        ]
        self._fixed = {
            (operation.method, endpoint.path): Route(operation, endpoint)
            for operation, endpoint in self.endpoints
            if "{" not in endpoint.path
        }

    def match(self, method: str, path: str) -> Route | None:
        """The route for a method (HEAD counts as GET) and a raw, still escaped path; None when there is none.

        Raises `BadEscapeError` when the first path that fits has an id that cannot be decoded.
        """
        if method == "HEAD":
            method = "GET"
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed
        problem: BadEscapeError | None = None
        for pattern, operation, endpoint in self._patterns:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            try:
                ids = {name: unescaped(text) for name, text in found.groupdict().items()}
            except BadEscapeError as error:
                problem = problem or error
                continue
            if operation.method == method and problem is None:
                workflow_id, run_id = ids.pop("id", ""), ids.pop("rid", None)
                return Route(operation, endpoint, workflow_id, run_id, next(iter(ids.values()), None))
        if problem is not None:
            raise problem
        return None


@cache
def _pattern(path: str) -> re.Pattern[str]:
    # Every fake has all of them; they are few.
    return re.compile(f"{in_regex(path)}/?", re.IGNORECASE)


def in_regex(path: str) -> str:
    """What fits a path such as `/workflow/{id}/status`, with its names as groups."""
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))


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
