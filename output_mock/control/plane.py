"""Answers requests to the control plane: checks route, query and body, and runs the operation."""

from __future__ import annotations

import re

from werkzeug.wrappers import Request

from output_mock.contract.errors import BadEscapeError
from output_mock.contract.reply import JSON_TYPE
from output_mock.control.openapi import document
from output_mock.control.operation import ControlOperation, ControlRequest
from output_mock.control.operations import OPERATIONS
from output_mock.control.problems import InvalidRequest, MethodNotAllowed, NotFound
from output_mock.control.reading import read_body, read_query
from output_mock.control.worlds import WorldEntry, Worlds
from output_mock.http.response import WSGIResponse
from output_mock.http.responses import json_response, no_content
from output_mock.http.routes import in_regex, unescaped
from output_mock.suggestions import closest

_PATTERNS = [(re.compile(in_regex(operation.path)), operation) for operation in OPERATIONS]


class Plane:
    """The control plane of some worlds."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds

    def answer(self, request: Request, path: str, entry: WorldEntry, *, scoped: bool) -> WSGIResponse:
        """Answer a request for the raw `path` below `/__mock__` of a world. `scoped`: it named the world.

        Raises `Problem`, or `OutputError` when the engine refuses; see `problems.refused`.
        """
        raw, _, query = path.partition("?")
        method = "GET" if request.method == "HEAD" else request.method
        if raw == "/openapi.json" and method == "GET":
            return json_response(document())
        operation, names = _route(method, raw, scoped)
        parameters = read_query(operation, query)
        body, yaml = read_body(operation, request)
        if operation.method != "GET" and not operation.for_all:
            entry.disposable = False
        reply = operation.do(ControlRequest(self._worlds, entry, names, parameters, body, yaml))
        if reply.value is None:
            return no_content()
        if operation.media_type != JSON_TYPE:
            return WSGIResponse(reply.status, {"Content-Type": operation.media_type}, reply.value.encode())
        return json_response(reply.value, reply.status)


def _route(method: str, raw: str, scoped: bool) -> tuple[ControlOperation, dict[str, str]]:
    allowed: list[str] = ["GET"] if raw == "/openapi.json" else []
    for pattern, operation in _PATTERNS:
        found = pattern.fullmatch(raw)
        if found is None or (scoped and operation.for_all):
            continue
        if operation.method == method:
            return operation, {name: _decoded(part) for name, part in found.groupdict().items()}
        allowed.append(operation.method)
    if allowed:
        listed = ", ".join(dict.fromkeys(allowed))
        raise MethodNotAllowed(
            f"there is no {method[:20]} /__mock__{raw[:200]}; there is {listed}", headers={"Allow": listed}
        )
    known = [operation.path for operation in OPERATIONS if not (scoped and operation.for_all)]
    meant = closest(raw[:200], known)
    words = f"; did you mean /__mock__{meant}?" if meant else "; /__mock__/openapi.json has all that there is"
    raise NotFound(f"there is nothing at /__mock__{raw[:200]}{words}", nearest=meant)


def _decoded(part: str) -> str:
    try:
        return unescaped(part)
    except BadEscapeError:
        raise InvalidRequest(f"{part[:200]!r} in the path cannot be decoded") from None
