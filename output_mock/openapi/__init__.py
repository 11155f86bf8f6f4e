"""The OpenAPI 3.1 document of the API.

It describes what the recorded server *does*. Every schema is as narrow as the recordings allow: a client of
the real server can handle every response that fits. `DIFFERENCES` lists where the document that the real
server publishes disagrees.

OpenAPI 3.1 schemas are JSON Schema 2020-12, so any validator of that draft can use the parts of
`document()` directly. Two extensions say what OpenAPI cannot: `x-sse-events` (the schema of each kind of
server-sent event) and `x-may-be-empty` (a JSON answer whose body may be missing altogether).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from output_mock.contract import results
from output_mock.contract.headers import REQUEST_ID
from output_mock.contract.operations import OPERATIONS, Operation
from output_mock.contract.schemas import JsonSchema, text
from output_mock.contract.versions import Deployment
from output_mock.openapi.components import headers, parameters
from output_mock.openapi.differences import DIFFERENCES
from output_mock.openapi.errors import error_schemas
from output_mock.openapi.events import event_schemas
from output_mock.openapi.operations import body_schema, built_operation, header_refs, response

__all__ = ["DIFFERENCES", "document", "document_of"]

_DEFAULT_SERVER = "http://localhost:3001"

_INFO = {
    "title": "Output API",
    # The version of the real API, not of this package.
    "version": "0.11.0",
    "description": (
        "Runs AI workflows on Temporal, as answered by output-mock.\n\n"
        "Paths match whatever their case, and with or without a slash at the end. Wherever there is a GET "
        "there is a HEAD. Everything else is a 404 in plain text, also a known path with another method; "
        "OPTIONS is a 200 everywhere. A body counts only as `application/json` or "
        "`application/x-www-form-urlencoded`: one of another type is as good as none. One that cannot be "
        "read is refused before the token is looked at.\n\n"
        "Beyond the answers below, any operation on a workflow may say what only a fake says, as JSON with "
        "`error` and `message`: 503 `WorldStuckError` or `WorldBusyError` (its world is held by a script, or "
        "busy), 410 `WaitEndedError` (its world was wiped, restored or deleted, or the fake was closed), and "
        "503 `WaitEndedError` (the server stops)."
    ),
}

_TAGS = [
    {"name": "start", "description": "Begin a workflow."},
    {"name": "read", "description": "Find out about runs."},
    {"name": "messages", "description": "Talk to a workflow while it runs."},
    {"name": "end", "description": "Stop, terminate and reset runs."},
    {"name": "history", "description": "What happened in a run, event by event."},
    {"name": "catalog", "description": "Which workflows there are."},
    {"name": "server", "description": "The server itself."},
]

_TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": (
        "Needed in production only. The token as it is, or `Basic ` and the token as it is: no base64, no "
        "user name. `Bearer` and a lower-case `basic` are refused."
    ),
}


def document(server_url: str | None = None, operations: Sequence[Operation] = OPERATIONS) -> dict[str, Any]:
    """Return the OpenAPI document as plain JSON values: a fresh copy that you can change.

    `server_url` is the server address in the document; the default is the real server's address in
    development. `operations` are the operations that it describes.
    """
    responses: JsonSchema = {
        "Unauthorized": {
            **response(
                "No token, or a wrong one. Production only.", "text/plain", text(const="Unauthorized")
            ),
            "headers": header_refs((REQUEST_ID, "ETag"), ""),
        }
    }
    paths: JsonSchema = {}
    for described in operations:
        for endpoint in described.endpoints:
            method = described.method.lower()
            paths.setdefault(endpoint.path, {})[method] = built_operation(described, endpoint, responses)
    built = {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": _INFO,
        "servers": [{"url": server_url or _DEFAULT_SERVER}],
        "tags": _TAGS,
        # The empty one comes first: outside production, no token is required.
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": _TOKEN},
            "parameters": parameters(operations),
            "headers": headers(operations),
            "responses": dict(sorted(responses.items())),
            "schemas": _schemas(operations),
        },
    }
    # Several places share the parts above; the caller's copy must not share them.
    fresh: dict[str, Any] = json.loads(json.dumps(built))
    return fresh


def _schemas(operations: Sequence[Operation]) -> JsonSchema:
    bodies = {operation.body.name: operation.body for operation in operations if operation.body}
    return {
        **{name: body_schema(body) for name, body in bodies.items()},
        **results.SHAPES,
        **event_schemas(),
        **error_schemas(),
    }


def document_of(deployment: Deployment, server_url: str | None = None) -> dict[str, Any]:
    """The document of a server and workers of the given versions, see `document`."""
    described = document(server_url, [one for one in OPERATIONS if deployment.has(one.name)])
    described["info"]["version"] = deployment.api
    deployment.document(described)
    return described
