"""TypeScript types of JSON Schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]
# What a `$ref` is called in TypeScript.
Names = Callable[[str], str]

_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")


def pascal(name: str) -> str:
    """A name as TypeScript writes those of types: `query_when` becomes `QueryWhen`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))


def comment(text: str, indent: str = "") -> str:
    """A documentation comment with its line end; nothing for no text."""
    if not text:
        return ""
    words = " ".join(text.split()).replace("*/", "* /")
    return f"{indent}/** {words} */\n"


def declaration(name: str, schema: Schema, names: Names) -> str:
    """The exported type of this name."""
    about = comment(str(schema.get("description", "")))
    written = type_of(schema, names)
    if written.startswith("{\n"):
        return f"{about}export interface {name} {written}\n"
    return f"{about}export type {name} = {written};\n"


def type_of(schema: Schema, names: Names, indent: str = "") -> str:
    """The type of the values that fit a schema.

    What TypeScript cannot express (patterns, limits, which keys exclude each other), the server checks.
    Raises `ValueError` for a keyword that would be lost silently.
    """
    if unknown := set(schema) - _OF_TYPES - _OF_PEOPLE - _OF_THE_SERVER:
        raise ValueError(f"a schema has {sorted(unknown)}, for which there is no TypeScript type: {schema}")
    if "$ref" in schema:
        return names(schema["$ref"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(one, names, indent) for one in schema["anyOf"]))
    kind = schema.get("type")
    if kind is None:
        return "unknown"
    if kind == "array":
        items = type_of(schema.get("items", {}), names, indent)
        return f"Array<{items}>" if re.search(r"[^\w]", items) else f"{items}[]"
    if kind == "object":
        return _object(schema, names, indent)
    return _PLAIN[kind]


_OF_TYPES = frozenset(
    ["$ref", "const", "enum", "anyOf", "type", "items", "properties", "required", "additionalProperties"]
)
_OF_PEOPLE = frozenset(["description", "default", "x-script"])
_LIMITS = ("minimum", "maximum", "exclusiveMinimum")
_OF_THE_SERVER = frozenset(
    [
        "allOf",
        "pattern",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "maxProperties",
        "propertyNames",
        *_LIMITS,
    ]
)


def _object(schema: Schema, names: Names, indent: str) -> str:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    if not properties:
        others = schema.get("additionalProperties", {})
        return f"Record<string, {'never' if others is False else type_of(others, names, indent)}>"
    lines = []
    for name, value in properties.items():
        key = name if _IDENTIFIER.fullmatch(name) else json.dumps(name)
        sign = "" if name in schema.get("required", ()) else "?"
        lines.append(comment(str(value.get("description", "")), f"{indent}  "))
        lines.append(f"{indent}  {key}{sign}: {type_of(value, names, indent + '  ')};\n")
    return f"{{\n{''.join(lines)}{indent}}}"
