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
    """One operation on one path. Adds the errors that operations share to `responses`."""
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
        # A path with a run id needs no run id in the query.
        *(
            field.name
            for field in query
            if field.documented and not (endpoint.pinned and field.name == "runId")
        ),
        *(field.name for field in operation.headers),
    ]


def body_schema(body: Body) -> JsonSchema:
    """The schema of a body. It allows any keys, because the server ignores unknown ones."""
    return {
        "type": "object",
        "required": [field.name for field in body.fields if field.required],
        "properties": {field.name: _property(field) for field in body.fields},
    }


def _property(field: Field) -> JsonSchema:
    return {**field.schema, "description": field.about}


def _request_body(body: Body) -> JsonSchema:
    # If no key is required, the body is optional. The server also accepts a form, which only the
    # introduction mentions: otherwise generated clients would offer two ways, or choose the wrong one.
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
    """The response for a status that several errors share."""
    headers: JsonSchema = {}
    if status not in (413, 415):  # a body that the server rejects unread gets no headers
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
    """A response of this kind, without its headers."""
    content = {media_type: {"schema": schema, **(extensions or {})}}
    return {"description": about, **({"content": content} if media_type else {})}


def header_refs(names: tuple[str, ...], successor: str, *, sure: bool = True) -> JsonSchema:
    """The headers of a response. Unless `sure`, all of them are optional."""
    components = {name: f"Link.{successor}" if name == "Link" else name for name in names}
    return {name: ref(key if sure else f"{key}.maybe", "headers") for name, key in components.items()}
