"""The JSON Schema of scenarios and recordings. Finds mistakes and their places."""

from __future__ import annotations

import base64
import binascii
import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from output_mock.durations import nanoseconds
from output_mock.recording.variables import NONCE, TOKEN, names_in
from output_mock.suggestions import listed, nearest

Path = tuple[str | int, ...]
_NO_VALUE = "; save it from an earlier answer, or set it under 'variables'"
_LENGTHS = ("wait", "within", "every", "timeout")
# How deep the JSON of a request may be nested. The code that reads it is recursive.
_DEEPEST = 200


def schema() -> dict[str, Any]:
    """The JSON Schema of scenarios and recordings."""
    text = (pathlib.Path(__file__).parent / "scenario.schema.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def mistakes(scenario: Any) -> list[tuple[Path, str]]:
    """The mistakes in the JSON value of a scenario: the place of each, and a message."""
    too_deep = list(_too_deep(scenario))
    if too_deep:
        return too_deep
    found = [_of_schema(error) for error in _validator().iter_errors(scenario)]
    return sorted(
        found or [*_lengths(scenario), *_bodies(scenario), *_saved_too_late(scenario), *_unknown(scenario)],
        key=_order,
    )


def _order(mistake: tuple[Path, str]) -> list[tuple[bool, Any]]:
    return [(isinstance(part, str), part) for part in mistake[0]]


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, ValidationError, validators

    def pattern(validator: Any, expression: str, value: Any, schema: Any) -> Iterator[ValidationError]:
        # The end of a string in JSON Schema. Python's `$` also matches before a final line end.
        if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", expression), value):
            yield ValidationError(f"{value!r} does not match {expression!r}")

    extend: Any = validators.extend  # type: ignore[attr-defined, unused-ignore]
    document = schema()
    return extend(Draft202012Validator, {"pattern": pattern})(_with_targets(document, document["$defs"]))


def _with_targets(part: Any, definitions: Mapping[str, Any]) -> Any:
    """A part of the schema with what its references name. Following them took a third of the time."""
    if isinstance(part, list):
        return [_with_targets(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    whole = {name: _with_targets(item, definitions) for name, item in part.items() if name != "$defs"}
    target = whole.pop("$ref", None)
    if target is None:
        return whole
    return {**_with_targets(definitions[target.removeprefix("#/$defs/")], definitions), **whole}


def _too_deep(scenario: Any) -> Iterator[tuple[Path, str]]:
    """The parts of a scenario that are nested too deep. Answers have no limit."""
    if not isinstance(scenario, dict):
        return
    steps = scenario.get("steps")
    parts: list[tuple[Path, Any]] = [((name,), item) for name, item in scenario.items() if name != "steps"]
    for number, step in enumerate(steps if isinstance(steps, list) else ()):
        if isinstance(step, dict):
            parts += ((("steps", number, name), item) for name, item in step.items() if name != "answer")
    for path, part in parts:
        level, depth = [part], 0
        while level := [
            item
            for each in level
            if isinstance(each, (dict, list))
            for item in (each.values() if isinstance(each, dict) else each)
        ]:
            depth += 1
            if depth == _DEEPEST:
                yield path, f"this is nested deeper than {_DEEPEST} levels"
                break


def _of_schema(error: Any) -> tuple[Path, str]:
    """A schema error: its place, and a message."""
    place: Path = tuple(error.absolute_path)
    kind, limit, value = error.validator, error.validator_value, error.instance
    if kind == "additionalProperties" and limit is False:
        known = sorted(error.schema.get("properties", {}))
        unknown = next(name for name in value if name not in known)
        return (*place, unknown), f"there is no {unknown!r} here{listed('; there may be', unknown, known)}"
    if kind == "required" and "request" in limit:
        return place, "a step needs 'request', 'wait' or 'by_hand'"
    if kind == "required":
        return place, f"{next(name for name in limit if name not in value)!r} is missing"
    if kind == "not":
        first, second = limit["required"]
        return (*place, second), f"a request can have only one body, not {first!r} and {second!r}"
    if kind == "pattern" and place[-1:] == ("request",):
        return place, f"{value!r} is not a request; write it like 'GET /workflow/{{{{id}}}}/status'"
    message = str(error.message)
    return place, message if len(message) < 300 else f"{message[:300]}…"


def _steps(scenario: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for number, step in enumerate(scenario["steps"]):
        yield ("steps", number), step


def _lengths(scenario: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for path, step in _steps(scenario):
        for name in _LENGTHS:
            if name in step:
                try:
                    nanoseconds(step[name])
                except ValueError as error:
                    yield (*path, name), str(error)


def _bodies(scenario: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for path, step in _steps(scenario):
        try:
            base64.b64decode(step.get("base64", ""), validate=True)
        except (binascii.Error, ValueError) as error:
            yield (*path, "base64"), f"this is not base 64: {error}"
        try:
            json.dumps(step.get("json"), allow_nan=False)
        except ValueError:
            yield (*path, "json"), "JSON has no NaN and no infinite numbers"


def _saved_too_late(scenario: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Steps that save a value too late."""
    for path, step in _steps(scenario):
        if step.get("meanwhile") and "save" in step:
            yield (*path, "save"), "the answer comes after all other steps; leave out 'save' or 'meanwhile'"


def _unknown(scenario: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Variables that a step uses before they have a value."""
    known = {TOKEN, NONCE, *scenario.get("variables", {})}
    for path, step in _steps(scenario):
        for part in ("request", "headers", "json", "text"):
            for name in names_in(step.get(part)):
                if name not in known:
                    hint = (
                        nearest(name, sorted(known))
                        or "; save it from an earlier answer, or set it under 'variables'"
                    )
                    yield (*path, part), f"{{{{{name}}}}} has no value here{hint}"
        known |= step.get("save", {}).keys()
