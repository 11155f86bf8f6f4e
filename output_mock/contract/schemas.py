"""Building blocks for the JSON Schemas of responses, requests and the control plane."""

from __future__ import annotations

from typing import Any

JsonSchema = dict[str, Any]

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def ref(name: str, kind: str = "schemas") -> JsonSchema:
    """A reference to a component of the document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def shape(properties: JsonSchema, *, optional: tuple[str, ...] = (), about: str = "") -> JsonSchema:
    """An object with exactly these properties. All are required, except the optional ones."""
    required = [name for name in properties if name not in optional]
    return {
        **({"description": about} if about else {}),
        "type": "object",
        **({"required": required} if required else {}),
        "properties": properties,
        "additionalProperties": False,
    }


def text(about: str = "", **keywords: Any) -> JsonSchema:
    """Text."""
    return {"type": "string", **keywords, **({"description": about} if about else {})}


def number(about: str = "", **keywords: Any) -> JsonSchema:
    """A whole number."""
    return {"type": "integer", **keywords, **({"description": about} if about else {})}


def flag(about: str = "") -> JsonSchema:
    """True or false."""
    return {"type": "boolean", **({"description": about} if about else {})}


def many(schema: JsonSchema, **keywords: Any) -> JsonSchema:
    """A list."""
    return {"type": "array", "items": schema, **keywords}


def or_null(schema: JsonSchema) -> JsonSchema:
    """This schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def record(about: str = "") -> JsonSchema:
    """An object with any keys. Without `additionalProperties`, some generators allow no keys."""
    return {"type": "object", "additionalProperties": True, **({"description": about} if about else {})}


def depending(name: str, *rules: JsonSchema) -> JsonSchema:
    """Rules for objects with the property `name`. Add them to the schema of the object.

    Validators apply them. Client generators ignore them: they do not support `if`, and they treat an
    `allOf` as a base class or fail on it.
    """
    return {"dependentSchemas": {name: {"allOf": [*rules]}}}


def when(name: str, values: list[str] | list[int], then: JsonSchema) -> JsonSchema:
    """If the property `name` has one of `values`, the object must also fit `then`."""
    test: JsonSchema = {"const": values[0]} if len(values) == 1 else {"enum": values}
    return {"if": {"required": [name], "properties": {name: test}}, "then": then}


def fields(properties: JsonSchema, *required: str, about: str = "") -> JsonSchema:
    """A body with these properties. Only the required ones must be present."""
    return shape(properties, optional=tuple(set(properties) - set(required)), about=about)


DURATION_PATTERN = r"^\s*([0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d|w)\s*)+$"
DURATION: JsonSchema = {
    "description": "A duration, such as `500ms`, `10s`, `1h30m`, or a number of seconds; a century at most.",
    "anyOf": [
        {"type": "string", "pattern": DURATION_PATTERN, "maxLength": 40},
        {"type": "number", "minimum": 0, "maximum": 3_155_760_000},
    ],
}
