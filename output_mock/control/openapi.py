"""The document that describes the control plane, in OpenAPI 3.1, made of the operations themselves."""

from __future__ import annotations

import json
import re
from typing import Any

from output_mock.contract.schemas import JsonSchema, many, number, ref, shape, text
from output_mock.control.operation import ControlOperation
from output_mock.control.operations import OPERATIONS, SCHEMAS
from output_mock.control.problems import CLASSES, UNAVAILABLE
from output_mock.version import version

# The errors that every operation has.
_ALWAYS = (401, 403, 404, 405, 410, 503)
_WITH_BODY = (400, 413, 415)
# Status, name and meaning of each error.
_ERRORS = [
    (status, error.name, (error.__doc__ or "").strip().partition("\n")[0])
    for error, statuses in ({one: (one.status,) for one in CLASSES} | UNAVAILABLE).items()
    for status in statuses
]


def document() -> dict[str, Any]:
    """The document, as JSON."""
    paths: dict[str, Any] = {
        "/__mock__/openapi.json": {
            "get": {
                "operationId": "getDocument",
                "summary": "This document.",
                "responses": {
                    "200": _content("The document.", {"type": "object"}),
                    "401": {"$ref": "#/components/responses/401"},
                    "403": {"$ref": "#/components/responses/403"},
                },
            }
        }
    }
    for operation in OPERATIONS:
        paths.setdefault(f"/__mock__{operation.path}", {})[operation.method.lower()] = _described(operation)
    built = {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "output-mock: control plane",
            "version": version(),
            "description": (
                "Scripts, clock, runs, faults, calls and worlds of a served fake. Put `/w/NAME` before a "
                "path to ask another world than the default one; operations about all worlds are not there "
                "then. "
                "With a control token, or else an auth token, every request brings it as "
                "`Authorization: Bearer TOKEN`. Hosts and web pages that are not meant get a 403."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:3001"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**SCHEMAS, "Error": _error()},
            "responses": {
                str(status): _failure(status) for status in sorted({status for status, _, _ in _ERRORS})
            },
        },
    }
    # The pieces above are shared; the caller's copy must not be.
    fresh: dict[str, Any] = json.loads(json.dumps(built))
    return fresh


def _error() -> JsonSchema:
    mistake = shape(
        {
            "message": text(),
            "at": text("Where it is in JSON: a JSON pointer."),
            "line": number("Where it is in the text of a YAML file."),
            "column": number(),
        },
        optional=("at", "line", "column"),
    )
    return shape(
        {
            "error": text("What kind of error it is.", enum=sorted({name for _, name, _ in _ERRORS})),
            "message": text("What is wrong, and what to do, for people."),
            "nearest": text("What was probably meant."),
            "mistakes": many(mistake, description="Everything that is wrong with a script."),
        },
        optional=("nearest", "mistakes"),
        about="Why it could not be done.",
    )


def _failure(status: int) -> JsonSchema:
    about = " ".join(dict.fromkeys(about for known, _, about in _ERRORS if known == status))
    return _content(about, ref("Error"))


def _content(about: str, schema: JsonSchema, media_type: str = "application/json") -> JsonSchema:
    return {"description": about, "content": {media_type.partition(";")[0]: {"schema": schema}}}


def _described(operation: ControlOperation) -> JsonSchema:
    errors = {*operation.errors, *_ALWAYS, 400}
    described: JsonSchema = {"operationId": operation.name, "summary": operation.about, "parameters": []}
    for name in re.findall(r"\{(\w+)\}", operation.path):
        described["parameters"].append(
            {"name": name, "in": "path", "required": True, "schema": text(minLength=1)}
        )
    for name, schema in operation.query.items():
        described["parameters"].append({"name": name, "in": "query", "schema": schema})
    if operation.body is not None:
        errors |= set(_WITH_BODY)
        content: JsonSchema = {"application/json": {"schema": operation.body}}
        if operation.yaml:
            content["application/yaml"] = {"schema": text("The text of a YAML file.")}
        described["requestBody"] = {"required": operation.body_required, "content": content}
    else:
        errors.add(413)
    described["responses"] = {
        **{
            str(status): {"description": "It is done."}
            if schema is None
            else _content("It is done.", schema, operation.media_type)
            for status, schema in operation.answers.items()
        },
        **{str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(errors)},
    }
    if operation.for_all:
        described["x-all-worlds"] = True
    return described
