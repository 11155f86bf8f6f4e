"""The schemas of errors."""

from __future__ import annotations

from output_mock.contract.errors import SHAPES
from output_mock.contract.schemas import JsonSchema, depending, many, ref, shape, text, when

_VALIDATION = "ValidationError"
_ABSENT = False


def _error() -> JsonSchema:
    """One schema for all errors, because clients have one class; `error_ref` narrows it."""
    names = {
        told: [name for name, one in SHAPES.items() if one.names_workflow is told] for told in (True, False)
    }
    problems = {"required": ["issues"], "properties": {"message": {"const": "Invalid Payload"}}}
    told = "\n".join(f"- `{name}`: {one.about}" for name, one in SHAPES.items())
    return {
        **shape(
            {
                "error": text("The error's name."),
                "message": text("What went wrong, for people."),
                "workflowId": text("The workflow that it went wrong with."),
                "issues": many(ref("Issue"), description="Of a `ValidationError` alone.", minItems=1),
            },
            optional=("workflowId", "issues"),
            about="What went wrong. The errors are:\n\n"
            f"- `{_VALIDATION}`: The body, the query or the run id in the path breaks its rules; `issues` "
            f"says which.\n{told}",
        ),
        **depending(
            "error",
            when("error", [_VALIDATION], problems),
            when("error", [*SHAPES], {"properties": {"issues": _ABSENT}}),
            when("error", names[True], {"required": ["workflowId"]}),
            when("error", [_VALIDATION, *names[False]], {"properties": {"workflowId": _ABSENT}}),
        ),
    }


def error_ref(*names: str) -> JsonSchema:
    """The schema of an error that has one of these names."""
    one: JsonSchema = {"const": names[0]} if len(names) == 1 else {"enum": [*names]}
    return {**ref("ErrorResponse"), "dependentSchemas": {"error": {"properties": {"error": one}}}}


# The properties of an issue besides `code`, `path` and `message`: required, and optional.
_ISSUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "invalid_type": (("expected",), ("received", "format")),
    "too_small": (("origin", "inclusive", "minimum"), ("note",)),
    "too_big": (("origin", "inclusive", "maximum"), ("note",)),
    "invalid_format": (("origin", "format", "pattern"), ()),
    "invalid_value": (("values",), ()),
    "invalid_union": (("errors",), ()),
    "custom": ((), ()),
}


def _issue() -> JsonSchema:
    common: JsonSchema = {
        "code": text(enum=[*_ISSUES]),
        "path": many({"type": ["string", "integer"]}, description="Empty for the value as a whole."),
        "message": text(),
    }
    more: JsonSchema = {
        "expected": text("The type that was wanted."),
        "received": text("Only `NaN`, for text where a number was wanted."),
        "origin": text("The type of the value."),
        "format": text(
            "`safeint`, for a fraction where a whole number was wanted; or the form that text misses."
        ),
        "inclusive": {"type": "boolean"},
        "minimum": {"type": "number"},
        "maximum": {"type": "number"},
        "note": text("Only where a whole number is beyond what a double holds exactly."),
        "pattern": text(),
        "values": many({}, description="The values that were wanted."),
        "errors": many(many(ref("Issue")), description="What each of several rules finds."),
    }
    rules = []
    for code, (always, sometimes) in _ISSUES.items():
        others = [name for name in more if name not in (*always, *sometimes)]
        then = {"required": [*always], "properties": dict.fromkeys(others, _ABSENT)}
        rules.append(when("code", [code], then))
    return {
        **shape(
            {**common, **more},
            optional=tuple(more),
            about="One broken rule, in the shape of zod 4; `code` says of which kind.",
        ),
        **depending("code", *rules),
    }


def error_schemas() -> JsonSchema:
    return {"ErrorResponse": _error(), "Issue": _issue()}
