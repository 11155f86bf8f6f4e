"""Answers what is asked of the control plane: checks route, query and body, and has it done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import Request, Response

from output_mock.contract.errors import BadEscapeError, OutputError
from output_mock.contract.schemas import JsonSchema
from output_mock.control import calls, clock, faults, runs, snapshots, unplayed, workflows, world_operations
from output_mock.control.operations import (
    DURATION_PATTERN,
    NAME,
    NAME_WORDS,
    ControlOperation,
    ControlRequest,
    ControlResponse,
)
from output_mock.control.problems import (
    Busy,
    Conflict,
    Ended,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    Stopped,
    Stuck,
    TooLarge,
    UnsupportedMediaType,
)
from output_mock.control.worlds import WorldEntry, Worlds
from output_mock.durations import nanoseconds
from output_mock.engine.errors import WaitEndedError, WorldBusyError, WorldStuckError
from output_mock.http import query_strings
from output_mock.http.responses import json_response, no_content
from output_mock.http.routes import in_regex, unescaped
from output_mock.javascript_json import parse
from output_mock.suggestions import closest, nearest

_MODULES = (world_operations, workflows, runs, clock, faults, calls, unplayed, snapshots)
OPERATIONS: tuple[ControlOperation, ...] = tuple(
    operation for module in _MODULES for operation in module.OPERATIONS
)
# The schemas that the operations' answers refer to.
SCHEMAS: dict[str, JsonSchema] = {
    name: schema for module in _MODULES for name, schema in module.SCHEMAS.items()
}
_YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


_PATTERNS = [(re.compile(in_regex(operation.path)), operation) for operation in OPERATIONS]


class Plane:
    """The control plane of some worlds."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds

    def answer(self, request: Request, path: str, held: WorldEntry, *, scoped: bool) -> Response:
        """Answer a request for the raw `path` below `/__mock__` of a world. `scoped`: it named the world."""
        try:
            reply = self._reply(request, path, held, scoped)
        except Problem as problem:
            answer = json_response(problem.body(), problem.status, problem.headers)
        except RecursionError:
            answer = json_response(InvalidRequest("the body is nested too deep").body(), 400)
        except OutputError as error:
            answer = _refused(error)
        else:
            answer = no_content() if reply.value is None else json_response(reply.value, reply.status)
        return answer

    def _reply(self, request: Request, path: str, held: WorldEntry, scoped: bool) -> ControlResponse:
        raw, _, query = path.partition("?")
        method = "GET" if request.method == "HEAD" else request.method
        if raw == "/openapi.json" and method == "GET":
            from output_mock.control.openapi import document

            return ControlResponse(200, document())
        operation, names = _route(method, raw, scoped)
        parameters = _query(operation, query)
        body, yaml = _body(operation, request)
        if operation.method != "GET" and not operation.for_all:
            held.disposable = False
        return operation.do(ControlRequest(self._worlds, held, names, parameters, body, yaml))


def _refused(error: OutputError) -> Response:
    """The answer for what the engine says, such as that a script is wrong."""
    problem: Problem
    if isinstance(error, WorldBusyError):
        problem = Busy(error.message)
    elif isinstance(error, WorldStuckError):
        problem = Stuck(error.message)
    elif isinstance(error, WaitEndedError):
        problem = (Ended if error.status == Ended.status else Stopped)(error.message)
    else:
        problem = Conflict(error.message)
    return json_response(problem.body(), problem.status, problem.headers)


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
    raise NotFound(f"there is nothing on /__mock__{raw[:200]}{words}", nearest=meant)


def _decoded(part: str) -> str:
    try:
        return unescaped(part)
    except BadEscapeError:
        raise InvalidRequest(f"{part[:200]!r} in the path cannot be decoded") from None


# The query


def _query(operation: ControlOperation, raw: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, given in query_strings.parse(raw).items():
        if name not in operation.query:
            known = list(operation.query)
            there = f"; there are {', '.join(known)}" if known else "; there is none at all"
            raise InvalidRequest(
                f"there is no query parameter {name[:100]!r}{nearest(name[:100], known) or there}"
            )
        if isinstance(given, list):
            raise InvalidRequest(f"the query parameter {name!r} is there twice")
        found[name] = _converted(given, operation.query[name])
        check(found[name], operation.query[name], f"the query parameter {name!r}")
    return found


def _converted(given: str, schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "integer" and re.fullmatch(r"-?[0-9]{1,18}", given):
        return int(given)
    if kind == "boolean" and given in ("true", "false"):
        return given == "true"
    if kind is None and re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,9})?", given):
        # A duration in seconds.
        return float(given)
    return given


# The body


def _body(operation: ControlOperation, request: Request) -> tuple[Any, str | None]:
    length, most = request.content_length, operation.most_bytes
    if length is not None and length > most:
        raise TooLarge(f"a body has at most {most} bytes")
    data = request.stream.read(most + 1)
    if len(data) > most:
        raise TooLarge(f"a body has at most {most} bytes")
    if not data:
        if operation.body is not None and operation.body_required:
            raise InvalidRequest("there is no body; send JSON as application/json")
        return None, None
    if operation.body is None:
        raise InvalidRequest(f"{operation.method} {operation.path} takes no body")
    kind = request.mimetype
    if kind not in ("application/json", *(_YAML_TYPES if operation.yaml else ())):
        types = "application/json" + (" or application/yaml" if operation.yaml else "")
        raise UnsupportedMediaType(f"a body of type {kind[:100]!r} is not read; send {types}")
    if "Content-Encoding" in request.headers:
        raise UnsupportedMediaType("a body with a Content-Encoding is not read; send it as it is")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("the body is no UTF-8") from None
    if kind != "application/json":
        return None, text
    try:
        value = parse(text)
    except ValueError as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from None
    check(value, operation.body, "the body")
    return value, None


# By the schema's id: they belong to operations, and those stay.
_validators: dict[int, Any] = {}


def _validator(schema: JsonSchema) -> Any:
    found = _validators.get(id(schema))
    if found is None:
        import json

        from jsonschema import Draft202012Validator

        # Sorted, a property that there is not is told before one that is missing: it is most often that one.
        ordered = json.loads(json.dumps(schema, sort_keys=True))
        found = _validators[id(schema)] = Draft202012Validator(ordered)
    return found


def check(value: Any, schema: JsonSchema, what: str) -> None:
    """Raise `InvalidRequest`, which says what is wrong and where, unless the value fits."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator(schema).iter_errors(value))
    if error is None:
        return
    where = "/".join(str(part) for part in error.absolute_path)
    place = f"{what}, {where}" if where else what
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", ()))
        for name in error.instance:
            if name not in known:
                there = nearest(name[:100], known) or f"; it has {', '.join(known)}"
                raise InvalidRequest(
                    f"{place}: there is no {name[:100]!r}{there}", nearest=closest(name[:100], known)
                )
    if error.validator == "pattern":
        raise InvalidRequest(f"{place}: {_unlike_pattern(error.instance, error.validator_value)}")
    meant = None
    if error.validator == "enum" and isinstance(error.instance, str):
        meant = closest(error.instance[:100], [str(one) for one in error.validator_value])
    message = error.message if len(error.message) < 300 else f"{error.message[:300]} …"
    raise InvalidRequest(f"{place}: {message}", nearest=meant)


def _unlike_pattern(given: str, pattern: str) -> str:
    """What is wrong with text that a pattern does not fit, in words: few people read patterns."""
    given = given if len(given) < 100 else f"{given[:100]} …"
    if pattern == NAME:
        return f"{given!r} is not a name; {NAME_WORDS}"
    try:
        nanoseconds(given)
    except ValueError as error:
        if pattern == DURATION_PATTERN:
            return str(error)
    return f"{given!r} does not match {pattern!r}"
