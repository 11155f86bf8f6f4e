"""The parameters and headers that the operations of the document reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from output_mock.contract.headers import CORS, REQUEST_ID, STREAM, deprecation
from output_mock.contract.operations import Operation
from output_mock.contract.requests import PATH_PARAMETERS, Field
from output_mock.contract.schemas import JsonSchema, text

DEPRECATION = tuple(deprecation(""))
_ABOUT = {
    "Access-Control-Allow-Origin": "Any page may call the API.",
    "Access-Control-Allow-Methods": "Without PATCH, though stopping a run needs it.",
    "Access-Control-Allow-Headers": "What a page may send.",
    "Deprecation": "Name the run in the path instead.",
    "Sunset": "From then on it may be gone.",
    "Link": "What to use instead. The braces are really there.",
    "Cache-Control": "A stream must arrive as it was sent.",
    "X-Accel-Buffering": "Tells a proxy not to hold the stream back.",
}


def _constants(headers: Mapping[str, str]) -> JsonSchema:
    return {
        name: {"description": _ABOUT[name], "required": True, "schema": text(const=value)}
        for name, value in headers.items()
    }


def headers(operations: Sequence[Operation]) -> JsonSchema:
    """All headers. A link header is named after the verb of its target path."""
    found: JsonSchema = {
        REQUEST_ID: {
            "description": "The request's `Rndr-Id` or `X-Request-ID`, if it is valid, else a new UUID.",
            "required": True,
            "schema": text(pattern="^[A-Za-z0-9_-]{1,128}$"),
        },
        **_constants(CORS),
    }
    for operation in operations:
        for endpoint in operation.endpoints:
            if endpoint.successor:
                constants = _constants(deprecation(endpoint.successor))
                found[f"Link.{endpoint.successor}"] = constants.pop("Link")
                found |= constants
    # A 400 may also mean that the server rejected the body unread, before it set any of these.
    unsure = {
        f"{name}.maybe": {key: value for key, value in header.items() if key != "required"}
        for name, header in found.items()
    }
    return {
        **found,
        **unsure,
        "ETag": {"description": "A fingerprint of the body.", "schema": text(minLength=3)},
        "Retry-After": {
            "description": "Seconds until it is worth another try.",
            "required": True,
            "schema": {"type": "integer", "minimum": 0},
        },
        **_constants(STREAM),
    }


def parameters(operations: Sequence[Operation]) -> JsonSchema:
    """All parameters of paths, queries and headers."""
    found: JsonSchema = {
        name: {"name": name, "in": "path", "required": True, "description": about, "schema": schema}
        for name, (about, schema) in PATH_PARAMETERS.items()
    }
    for operation in operations:
        fields = () if operation.query is None else operation.query.fields
        found |= {field.name: _parameter("query", field) for field in fields if field.documented}
        found |= {field.name: _parameter("header", field) for field in operation.headers}
    return found


def _parameter(place: str, field: Field) -> JsonSchema:
    return {"name": field.name, "in": place, "description": field.about, "schema": field.schema}
