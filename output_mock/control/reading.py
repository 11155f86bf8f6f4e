"""Reads the query and the body of a request for its operation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Request

from output_mock.control.checking import check
from output_mock.control.operation import ControlOperation
from output_mock.control.problems import InvalidRequest, TooLarge, UnsupportedMediaType
from output_mock.http import query_strings
from output_mock.javascript_json import parse
from output_mock.suggestions import nearest

_YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


def read_query(operation: ControlOperation, raw: str) -> dict[str, Any]:
    """The parameters of a query string. Raises `InvalidRequest` for unknown or wrong ones."""
    found: dict[str, Any] = {}
    for name, given in query_strings.parse(raw).items():
        if name not in operation.query:
            known = list(operation.query)
            there = f"; there are {', '.join(known)}" if known else "; there is none at all"
            raise InvalidRequest(
                f"there is no query parameter {name[:100]!r}{nearest(name[:100], known) or there}"
            )
        if isinstance(given, list):
            raise InvalidRequest(f"the query parameter {name!r} is given twice")
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


def read_body(operation: ControlOperation, request: Request) -> tuple[Any, str | None]:
    """The value of a JSON body, or the text of a YAML body; None for the one that was not sent.

    Raises `InvalidRequest`, `TooLarge` and `UnsupportedMediaType` for what the operation does not take.
    """
    length, most = request.content_length, operation.most_bytes
    if length is not None and length > most:
        raise TooLarge(f"a body has at most {most} bytes")
    data = request.stream.read(most + 1)
    if len(data) > most:
        raise TooLarge(f"a body has at most {most} bytes")
    if not data:
        if operation.body is not None and operation.body_required:
            raise InvalidRequest("the body is missing; send JSON as application/json")
        return None, None
    if operation.body is None:
        raise InvalidRequest(f"{operation.method} {operation.path} takes no body")
    kind = request.mimetype
    if kind not in ("application/json", *(_YAML_TYPES if operation.yaml else ())):
        types = "application/json" + (" or application/yaml" if operation.yaml else "")
        raise UnsupportedMediaType(f"a body of type {kind[:100]!r} is not supported; send {types}")
    if "Content-Encoding" in request.headers:
        raise UnsupportedMediaType("a body with a Content-Encoding is not supported; send it without one")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not UTF-8") from None
    if kind != "application/json":
        return None, text
    try:
        value = parse(text)
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from None
    check(value, operation.body, "the body")
    return value, None
