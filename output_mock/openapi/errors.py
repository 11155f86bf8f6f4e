"""The schemas of errors."""

from __future__ import annotations

from output_mock.contract.errors import SHAPES
from output_mock.contract.schemas import JsonSchema, ref, shape, text


def _error(name: str, names_workflow: bool | None, about: str) -> JsonSchema:
    properties: JsonSchema = {
        "error": {"type": "string", "const": name},
        "message": text("What went wrong, for people."),
    }
    if names_workflow is not False:
        properties["workflowId"] = text("The workflow that it went wrong with.")
    return shape(properties, optional=("workflowId",) if names_workflow is None else (), about=about)


def _validation_error() -> JsonSchema:
    return shape(
        {
            "error": {"type": "string", "const": "ValidationError"},
            "message": {"type": "string", "const": "Invalid Payload"},
            "issues": {"type": "array", "minItems": 1, "items": ref("Issue")},
        },
        about="The body, the query or the run id in the path breaks its rules; `issues` says which.",
    )


def _issue() -> JsonSchema:
    def kind(code: str, optional: tuple[str, ...] = (), **more: JsonSchema) -> JsonSchema:
        place: JsonSchema = {"type": "array", "items": {"type": ["string", "integer"]}}
        properties: JsonSchema = {"code": {"type": "string", "const": code}, "path": place, "message": text()}
        return shape({**properties, **more}, optional=optional)

    limits: JsonSchema = {
        "origin": text(),
        "inclusive": {"type": "boolean"},
        "note": text("Only where a whole number is beyond what a double holds exactly."),
    }
    return {
        "description": "One broken rule, in the shape of zod 4. `path` is empty for the value as a whole.",
        "oneOf": [
            kind(
                "invalid_type",
                ("received", "format"),
                expected=text("The type that was wanted."),
                received=text("Only `NaN`, for text where a number was wanted."),
                format=text("Only `safeint`, for a fraction where a whole number was wanted."),
            ),
            kind("too_small", ("note",), **limits, minimum={"type": "number"}),
            kind("too_big", ("note",), **limits, maximum={"type": "number"}),
            kind("invalid_format", origin=text(), format=text(), pattern=text()),
            kind("invalid_value", values={"type": "array"}),
            kind(
                "invalid_union", errors={"type": "array", "items": {"type": "array", "items": ref("Issue")}}
            ),
            kind("custom"),
        ],
    }


def error_schemas() -> JsonSchema:
    schemas = {name: _error(name, *error) for name, error in SHAPES.items()}
    return {"ValidationError": _validation_error(), "Issue": _issue(), **schemas}
