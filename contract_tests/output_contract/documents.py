"""The OpenAPI document of each version that a deployment may have.

The document describes the newest version. What came with a version is taken out again for those before it, as
servers and workers of 0.8.0, 0.9.2 and 0.10.0 and half-upgraded pairs of them were seen to answer
(`tests/recordings/VERSION`).
"""

from __future__ import annotations

import functools
from typing import Any

from output_contract.conformity import NEWEST, Document
from output_contract.versions import NEWEST as NEWEST_VERSION
from output_contract.versions import Judged, numbers
from output_mock.openapi import document

_NULLABLE_TEXT = {"type": ["string", "null"]}


def document_of(judged: Judged) -> Document:
    """The document that answers of a deployment of these versions are held against."""
    if (judged.api, judged.sdk) == (NEWEST_VERSION, NEWEST_VERSION):
        return NEWEST
    return _made(judged.api, judged.sdk)


@functools.cache
def _made(api: str, sdk: str) -> Document:
    value = document()
    schemas = value["components"]["schemas"]

    def api_before(version: str) -> bool:
        return numbers(api) < numbers(version)

    def sdk_before(version: str) -> bool:
        return numbers(sdk) < numbers(version)

    if api_before("0.9.0"):
        _without_paths(value, "/history/stream")
        for header in _headers(value, "Access-Control-Allow-Headers"):
            header["schema"]["const"] = header["schema"]["const"].removesuffix(", Last-Event-ID")
    if api_before("0.9.2"):
        _unsupported_workflows_are_not_found(value)
    if sdk_before("0.9.2"):
        catalog = schemas["CatalogResponse"]
        catalog["required"].remove("workflowNames")
        del catalog["properties"]["workflowNames"]
    if api_before("0.10.0"):
        _without_paths(value, "/input")
    if api_before("0.11.0"):
        signaled = schemas["WorkflowExecutionSignaledEventAttributes"]
        signaled["required"].remove("requestId")
        del signaled["properties"]["requestId"]
    if api_before("0.11.0") or sdk_before("0.11.0"):
        schemas["WorkflowResultResponse"] = {"$ref": "#/components/schemas/LegacyWorkflowResult"}
        # A workflow that returned nothing has no output.
        schemas["LegacyWorkflowResult"]["required"].remove("output")
        if not sdk_before("0.11.0"):
            # The server does not read what newer workers return.
            schemas["LegacyWorkflowResult"]["required"].remove("trace")
    if sdk_before("0.10.0"):
        places = {"local": _NULLABLE_TEXT, "remote": _NULLABLE_TEXT}
        schemas["LegacyWorkflowResult"]["properties"]["trace"]["anyOf"][0] = {
            "type": "object",
            "properties": {
                "destinations": {
                    "type": "object",
                    "required": [*places],
                    "properties": places,
                    "additionalProperties": False,
                }
            },
            "additionalProperties": False,
        }
    return Document(value)


def _without_paths(value: dict[str, Any], end: str) -> None:
    value["paths"] = {path: item for path, item in value["paths"].items() if not path.endswith(end)}


def _headers(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A header as answers have it that always bring it, and as those that may."""
    return [header for key, header in value["components"]["headers"].items() if key.split(".")[0] == name]


def _unsupported_workflows_are_not_found(value: dict[str, Any]) -> None:
    """A 404 in place of the 424, and it does not name the id of the run that did not begin."""
    components = value["components"]
    components["schemas"]["UnsupportedWorkflowError"]["properties"]["error"]["const"] = (
        "WorkflowNotFoundError"
    )
    for path in ("/workflow/run", "/workflow/start"):
        responses = value["paths"][path]["post"]["responses"]
        responses["404"] = responses.pop("424")
