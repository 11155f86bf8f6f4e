"""The distinct recorded responses of a version, each with its schema in the document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from output_contract.conformity import Document
from output_mock.recording.files import read
from tests.fidelity.recorded import FOLDER
from tests.recording.samples import sample


class Answer(NamedTuple):
    """The body of a response, or the data of a frame of a stream."""

    schema: str
    value: Any
    file: str


def answers(version: str, document: Document) -> list[Answer]:
    """The responses in the folder of `version`, without duplicates."""
    found: dict[tuple[str, str], Answer] = {}
    for path in sorted((FOLDER / version).rglob("*.json")):
        for step in read(path).steps:
            if step.answer is None or "status" not in step.answer:
                continue
            method, _, asked = (step.request or "").partition(" ")
            for reference, value in _bodies(document, method, asked, sample(step.answer)):
                schema = reference.rpartition("/")[2]
                found.setdefault((schema, json.dumps(value)), Answer(schema, value, path.name))
    return [*found.values()]


def _bodies(document: Document, method: str, path: str, answer: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    operation = document.find_operation(method, path.split("?")[0])
    if operation is None:
        return
    template, verb, _ = operation
    described = document.value["paths"][template][verb]["responses"].get(str(answer["status"]))
    if described is None:
        return
    content = document.resolve(described)[0].get("content", {})
    if "stream" in answer:
        kinds = content["text/event-stream"]["x-sse-events"]
        for frame in answer["stream"]:
            if "event" in frame:
                yield kinds[frame["event"]]["$ref"], frame["data"]
    elif "json" in answer and "application/json" in content:
        schema = content["application/json"]["schema"]
        # A query or an update may return any JSON.
        if schema:
            yield schema["$ref"], answer["json"]


def of_each_form(everything: list[Answer]) -> list[Answer]:
    """One of the responses that differ only in texts and numbers."""
    return [*{f"{one.schema} {_form(one.value)}": one for one in everything}.values()]


def _form(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_form(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted({_form(item) for item in value})) + "]"
    return type(value).__name__
