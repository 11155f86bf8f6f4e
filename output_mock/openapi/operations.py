"""The operations of the document, built from the records of `contract.operations`."""

from __future__ import annotations

import re

from output_mock.contract.headers import CORS, REQUEST_ID, STREAM
from output_mock.contract.operations import Endpoint, Operation, Success, errors_of
from output_mock.contract.requests import Body, Field
from output_mock.contract.schemas import JsonSchema, ref
from output_mock.openapi.components import DEPRECATION
from output_mock.openapi.errors import error_ref

_TITLES = {
    400: "The request is not understood.",
    404: "There is no such thing.",
    408: "The wait is over.",
    409: "Not as things stand.",
    413: "The body is too large.",
    415: "The body cannot be unpacked.",
    424: "Something else has to happen first.",
    500: "It went wrong on the server's side.",
    503: "Nobody is there to do it. Try again.",
}


def built_operation(operation: Operation, endpoint: Endpoint, responses: JsonSchema) -> JsonSchema:
    """One operation on one path; the errors that it shares with others are added to `responses`."""
    successor = endpoint.successor
    described: JsonSchema = {}
    for success in operation.successes:
        described[str(success.status)] = _success(operation, success, successor)
    if not operation.open:
        described["401"] = ref("Unauthorized", "responses")
    for status, names in errors_of(operation, endpoint).items():
        shared = ".".join((str(status), *names, *filter(None, [successor])))
        responses[shared] = _failure(status, names, successor)
        described[str(status)] = ref(shared, "responses")
    parameters = [ref(name, "parameters") for name in _parameters(operation, endpoint)]
    return {
        "operationId": endpoint.id,
        "tags": [operation.tag],
        "summary": endpoint.summary,
        **({"description": endpoint.about} if endpoint.about else {}),
        **({"deprecated": True} if successor else {}),
        **({"security": []} if operation.open else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _request_body(operation.body)} if operation.body else {}),
        "responses": dict(sorted(described.items())),
    }


def _parameters(operation: Operation, endpoint: Endpoint) -> list[str]:
    query = () if operation.query is None else operation.query.fields
    return [
        *re.findall(r"\{(\w+)\}", endpoint.path),
        # A path that names the run leaves nothing for the query to name.
        *(
            field.name
            for field in query
            if field.documented and not (endpoint.pinned and field.name == "runId")
        ),
        *(field.name for field in operation.headers),
    ]


def body_schema(body: Body) -> JsonSchema:
    """The schema of a body: open, because keys that the server does not know are ignored."""
    return {
        "type": "object",
        "required": [field.name for field in body.fields if field.required],
        "properties": {field.name: _property(field) for field in body.fields},
    }


def _property(field: Field) -> JsonSchema:
    return {**field.schema, "description": field.about}


def _request_body(body: Body) -> JsonSchema:
    # Where no key is needed, no body is. A form does as well, which only the introduction tells: generated
    # clients would have two ways to send one thing, or send it in the wrong one.
    return {"required": body.required, "content": {"application/json": {"schema": ref(body.name)}}}


def _success(operation: Operation, success: Success, successor: str) -> JsonSchema:
    names = (
        REQUEST_ID,
        *(() if operation.open else CORS),
        *(DEPRECATION if successor else ()),
        *{"text/event-stream": tuple(STREAM), "": ()}.get(success.media_type, ("ETag",)),
    )
    return {
        **response(success.about, success.media_type, success.schema, dict(success.extensions)),
        "headers": header_refs(names, successor),
    }


def _failure(status: int, names: tuple[str, ...], successor: str) -> JsonSchema:
    """The answer of a status that stands for one of several errors."""
    headers: JsonSchema = {}
    if status not in (413, 415):  # a body that is refused unread gets no headers
        every = (REQUEST_ID, *CORS, *(DEPRECATION if successor else ()))
        headers = header_refs(every, successor, sure="SyntaxError" not in names)
    if status == 503:
        headers["Retry-After"] = ref("Retry-After", "headers")
    headers["ETag"] = ref("ETag", "headers")
    return {**response(_TITLES[status], "application/json", error_ref(*names)), "headers": headers}


def response(
    about: str,
    media_type: str = "",
    schema: JsonSchema | None = None,
    extensions: JsonSchema | None = None,
) -> JsonSchema:
    """An answer of this kind, without its headers."""
    content = {media_type: {"schema": schema, **(extensions or {})}}
    return {"description": about, **({"content": content} if media_type else {})}


def header_refs(names: tuple[str, ...], successor: str, *, sure: bool = True) -> JsonSchema:
    """The headers of an answer; without `sure` they may all be missing."""
    components = {name: f"Link.{successor}" if name == "Link" else name for name in names}
    return {name: ref(key if sure else f"{key}.maybe", "headers") for name, key in components.items()}
