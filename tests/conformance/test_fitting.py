"""`fits` and `errors` of the suite agree with the `jsonschema` package."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from output_contract.conformity import NEWEST, response_problems
from output_contract.fitting import Fitting

TREE = {
    "type": "object",
    "required": ["value"],
    "properties": {
        "value": {"type": "integer"},
        "under": {"type": "array", "items": {"$ref": "#/parts/tree"}},
    },
    "additionalProperties": False,
}
SCHEMAS: list[Any] = [
    True,
    False,
    {},
    {"$ref": "#/parts/tree"},
    *({"type": name} for name in ("string", "object", "array", "boolean", "integer", "number", "null")),
    {"type": ["string", "null"]},
    *({"const": value} for value in ("a", "", 1, 1.0, 0, True, False, None, [1], {"a": True})),
    {"enum": ["a", 1, None]},
    {"enum": [False, [True]]},
    {"required": ["a", "b"]},
    {"properties": {"a": {"const": 1}, "b": False}, "patternProperties": {"^c": {"type": "null"}}},
    {"properties": {"a": True}, "additionalProperties": {"$ref": "#/parts/tree"}},
    {"dependentSchemas": {"a": {"required": ["b"]}}},
    {"items": {"type": "string", "minLength": 1}, "minItems": 1},
    {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
    {"items": False},
    {"allOf": [{"type": "integer"}, {"minimum": 1}]},
    {
        "allOf": [
            {"maxProperties": 1},
            {"if": {"required": ["a"], "properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}},
            {"if": {"required": ["a"], "properties": {"a": {"enum": [True, "x"]}}}, "then": False},
            {"if": {"required": ["c"], "properties": {"c": {"const": None}}}, "then": {"required": ["d"]}},
        ]
    },
    {"allOf": [{"if": {"required": ["a"], "properties": {"b": {"const": 2}}}, "then": False}]},
    {"allOf": [{"if": {"required": ["a"], "properties": {"a": True}}, "then": False}]},
    {"allOf": [{"if": {"required": ["a"], "properties": {"a": {"const": [1]}}}, "then": False}]},
    {"allOf": [{"if": {"required": ["a"], "properties": {"a": {"type": "boolean"}}}, "then": False}]},
    {"allOf": [{"if": {"required": ["a"], "properties": {"a": {"const": 1}}}, "then": True, "else": False}]},
    {
        "allOf": [
            {"if": {"required": ["a"], "properties": {"a": {"const": 1}}}, "then": True, "minProperties": 2}
        ]
    },
    {
        "allOf": [
            {"if": {"required": ["a"], "properties": {"a": {"const": 1}}, "minProperties": 2}, "then": False}
        ]
    },
    {"allOf": [{"if": {"required": ["a"], "properties": {"a": {"const": 1}, "b": False}}, "then": False}]},
    {"anyOf": [{"type": "string"}, {"minimum": 1, "type": "number"}]},
    {"oneOf": [{"type": "integer"}, {"minimum": 1}]},
    {"if": {"type": "object", "required": ["a"]}, "then": {"required": ["b"]}, "else": {"type": "array"}},
    {"if": {"const": 1}, "then": False},
    {"if": {"const": 1}, "else": False},
    {"if": {"type": "string"}},
    {"then": False, "else": False},
    {"not": {"$ref": "#/parts/tree"}},
    {"type": "string", "pattern": "^a+$", "maxLength": 2},
    {"pattern": "a"},
    {"type": "string", "format": "date-time"},
    {"properties": {"a": {"const": 1}}, "additionalProperties": True},
]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 1.0, 1.5, -1, "", "a", "1", "aaa", [], {}),
    *([1], [True], [""], ["a"], [1, "a"], [1, 1], [1, "a", 2], [[]], [None]),
    *(
        {"a": 1},
        {"a": True},
        {"a": 1, "b": 2},
        {"a": [1]},
        {"b": None},
        {"c": None},
        {"cc": 1},
        {"d": {"value": 1}},
    ),
    {"value": 1, "under": [{"value": 2.0, "under": []}]},
    {"value": 1, "under": [{"value": 2, "under": [{"value": True}]}]},
    {"value": 1, "more": 1},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_a_value_fits_a_schema_when_jsonschema_says_so(schema: Any) -> None:
    document = {"parts": {"tree": TREE, "tried": schema}}
    fitting = Fitting(document, lambda node: (TREE, "/parts/tree"))
    of_the_library = Draft202012Validator({**document, "$ref": "#/parts/tried"})
    for value in VALUES:
        problems = [(error.json_path, error.message) for error in of_the_library.iter_errors(value)]
        assert fitting.fits(schema, value) is (not problems), value
        assert [(error.json_path, error.message) for error in fitting.errors(schema, value)] == problems


def test_the_problems_of_an_event_are_those_of_jsonschema() -> None:
    pointer = "/components/schemas/HistoryEvent"
    event = {"eventId": 1, "eventTypeName": "TIMER_FIRED", "eventType": "x", "timerFiredEventAttributes": {}}
    validator = Draft202012Validator({**NEWEST.value, "$ref": f"#{pointer}"})
    problems = [f"body{error.json_path[1:]}: {error.message}" for error in validator.iter_errors(event)]
    assert NEWEST.schema_problems(pointer, event) == problems


@pytest.mark.parametrize("events", [5, {}, [5], ["text", None], [{"eventId": 1, "a": 5}]])
def test_a_history_without_readable_events_is_a_problem(events: Any) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    body = json.dumps({"workflow": {}, "runId": "r", "events": events}).encode()
    problems = response_problems("GET", "/workflow/w/runs/r/history", 200, headers, body)
    assert [one for one in problems if one.startswith("  body.events")]


def test_threads_that_compile_the_same_schema_agree() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in range(50):
                properties = {f"p{number}": {"type": "string"} for number in range(50)}
                schema = {"properties": properties, "required": ["missing"]}
                fitting = Fitting({"tried": schema}, lambda node: (node, ""))
                assert not any(pool.map(fitting.fits, [schema] * 4, [{}] * 4))
    finally:
        sys.setswitchinterval(interval)


def test_a_schema_that_could_not_be_compiled_is_not_taken_for_one_that_demands_nothing() -> None:
    schema = {"minimum": 5, "$ref": "#/missing"}
    fitting = Fitting({"tried": schema}, lambda node: {}[node["$ref"]])
    for _ in range(2):
        with pytest.raises(KeyError, match="missing"):
            fitting.fits(schema, 1)
