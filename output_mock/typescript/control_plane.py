"""The module `control-plane.ts`: types and methods for all operations of the control plane."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from output_mock.control.openapi import document
from output_mock.scripts.yaml.language import document as script_document
from output_mock.typescript.types import Schema, comment, declaration, pascal, type_of

# What each `x-script` of a body is in TypeScript. The name of a workflow is in the path.
_SCRIPTS = {"file": "ScriptFile", "workflow": 'Omit<WorkflowScript, "name"> & { name?: string }'}


class _Method(NamedTuple):
    """A method of the client, and the types that are only its own."""

    types: str
    text: str
    for_all: bool


def module() -> str:
    """The text of the module."""
    described = document()
    methods = list(_methods(described))
    schemas: Mapping[str, Schema] = described["components"]["schemas"]
    parts = [
        'import { Connection } from "./connection.js";\n',
        "// Scripts of workflows, as in YAML files\n",
        *_script_types(),
        "// What the control plane takes and answers\n",
        *(declaration(_component(name), schema, _component) for name, schema in schemas.items()),
        *(method.types for method in methods if method.types),
        _class("WorldClient", "Connection", [one for one in methods if not one.for_all], _OF_A_WORLD),
        _class("ServerClient", "WorldClient", [one for one in methods if one.for_all], _OF_A_SERVER),
    ]
    return "\n".join(parts)


def _component(path: str) -> str:
    name = path.rpartition("/")[2]
    # One of JavaScript's own has that name.
    return "Problem" if name == "Error" else name


def _script_name(path: str) -> str:
    return f"{pascal(path.rpartition('/')[2])}Script"


def _script_types() -> Iterator[str]:
    schema = dict(script_document())
    definitions: Mapping[str, Schema] = schema.pop("$defs")
    for name in ("$schema", "title"):
        del schema[name]
    yield declaration("ScriptFile", schema, _script_name)
    for name, definition in definitions.items():
        yield declaration(_script_name(name), definition, _script_name)


def _methods(described: Mapping[str, Any]) -> Iterator[_Method]:
    components = described["components"]["schemas"]
    for path, item in described["paths"].items():
        for verb, operation in item.items():
            yield _method(path.removeprefix("/__mock__"), verb.upper(), operation, components)


def _method(path: str, verb: str, operation: Mapping[str, Any], components: Mapping[str, Schema]) -> _Method:
    name, types = operation["operationId"], []

    def named(schema: Schema, ending: str) -> str:
        """The type of a schema: a component's name, or a type that the operation alone has."""
        same = next((one for one, known in components.items() if known == schema), None)
        if same is not None:
            return _component(same)
        if "$ref" in schema or not schema.get("properties"):
            return type_of(schema, _component)
        own = f"{pascal(name)}{ending}"
        types.append(declaration(own, schema, _component))
        return own

    listed = operation.get("parameters", ())
    parameters = [f"{one['name']}: string" for one in listed if one["in"] == "path"]
    sent = []
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]
        schema = content["application/json"]["schema"]
        body = _SCRIPTS[schema["x-script"]] if "x-script" in schema else named(schema, "Body")
        if "application/yaml" in content:
            body += " | string"
        parameters.append(f"body: {body}" if operation["requestBody"]["required"] else f"body: {body} = {{}}")
        sent.append("body")
    query = {one["name"]: one["schema"] for one in listed if one["in"] == "query"}
    if query:
        parameters.append(f"query: {named({'type': 'object', 'properties': query}, 'Query')} = {{}}")
        sent.append("query")
    answers = [value for status, value in operation["responses"].items() if status.startswith("2")]
    content = next((one["content"] for one in answers if "content" in one), {})
    # Whatever is no JSON is text.
    send = "send" if "application/json" in content or not content else "sendForText"
    answer = named(next(iter(content.values()))["schema"], "Answer") if content else "void"
    template = re.sub(r"\{(\w+)\}", r"${encodeURIComponent(\1)}", path)
    more = f", {{ {', '.join(sent)} }}" if sent else ""
    text = (
        f"{comment(operation['summary'], '  ')}  {name}({', '.join(parameters)}): Promise<{answer}> {{\n"
        f'    return this.{send}("{verb}", `{template}`{more});\n  }}\n'
    )
    return _Method("\n".join(types), text, operation.get("x-all-worlds", False))


def _class(name: str, base: str, methods: list[_Method], about: str) -> str:
    body = "\n".join(method.text for method in methods)
    return f"{comment(about)}export class {name} extends {base} {{\n{body}}}\n"


_OF_A_WORLD = (
    "All operations on one world. The URL is the world's, `http://127.0.0.1:3001/w/NAME`. "
    "The server's own URL is that of its default world."
)
_OF_A_SERVER = "All operations of a server: those on its worlds, and those on its default world."
