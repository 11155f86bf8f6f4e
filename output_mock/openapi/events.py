"""The schemas of a history's events."""

from __future__ import annotations

from output_mock.contract.events import KINDS, Event, attributes_key, kinds_in_order
from output_mock.contract.events import schema as attributes_schema
from output_mock.contract.schemas import JsonSchema, depending, record, ref, shape, text, when


def _attributes_name(kind: type[Event]) -> str:
    return kind.key[0].upper() + kind.key[1:]


def _history_event() -> JsonSchema:
    shown = {
        "eventId": text("A number from 1, as text.", pattern="^[1-9][0-9]*$"),
        "eventType": {"type": "integer", "minimum": 1, "maximum": 60},
        "eventTypeName": text("Temporal's name of the type.", pattern="^[A-Z]+(_[A-Z]+)+$"),
        "eventTime": ref("IsoTime"),
    }
    # Exactly one of the attributes. There may be kinds of events that the recordings lack.
    one_more: JsonSchema = {
        "properties": dict.fromkeys(shown, True),
        "patternProperties": {"^[a-z][A-Za-z]*EventAttributes$": {"type": "object"}},
        "additionalProperties": False,
        "minProperties": len(shown) + 1,
        "maxProperties": len(shown) + 1,
    }
    attributes: JsonSchema = {}
    rules = []
    for number, name, kind in kinds_in_order():
        key = attributes_key(name)
        # A separate name for each kind that runs have, so that generated clients get types for them.
        attributes[key] = record() if kind is None else ref(_attributes_name(kind))
        then = {"required": [key], "properties": {"eventTypeName": {"const": name}}}
        rules.append(when("eventType", [number], then))
    return {
        "description": "One event of a run's history, with exactly one object of attributes.",
        "type": "object",
        "required": [*shown],
        "properties": {**shown, **attributes},
        **depending("eventType", one_more, *rules),
    }


def event_schemas() -> JsonSchema:
    schemas: JsonSchema = {"HistoryEvent": _history_event()}
    for kind in KINDS.values():
        # Further attributes are allowed; payloads only appear on request.
        schemas[_attributes_name(kind)] = attributes_schema(kind)
    return {
        **schemas,
        "Long": shape(
            {"low": {"type": "integer"}, "high": {"type": "integer"}, "unsigned": {"type": "boolean"}},
            about="A 64-bit number in two halves.",
        ),
        "Duration": shape(
            {"seconds": text(pattern="^-?[0-9]+$"), "nanos": {"type": "integer"}},
            optional=("seconds", "nanos"),
            about="A length or a point of time. What is zero is left out, so none at all is an empty object.",
        ),
        "TaskQueue": shape(
            {
                "name": text(),
                "kind": text(enum=["TASK_QUEUE_KIND_NORMAL", "TASK_QUEUE_KIND_STICKY"]),
                "normalName": text("The queue that a worker's own, sticky queue belongs to."),
            },
            optional=("normalName",),
        ),
        "Payload": shape(
            {
                "metadata": {
                    "type": "object",
                    "required": ["encoding"],
                    "additionalProperties": {"type": "string"},
                },
                "data": text("The value, as base64 of its encoding."),
            },
            optional=("data",),
            about="A value in Temporal's own wrapping.",
        ),
        "Payloads": shape({"payloads": {"type": "array", "items": ref("Payload")}}, optional=("payloads",)),
        "Failure": {
            "description": "A failure in Temporal's own form; further keys tell its kind.",
            "type": "object",
            "properties": {
                "message": text(),
                "source": text(),
                "stackTrace": text(),
                "cause": ref("Failure"),
            },
            "additionalProperties": True,
        },
        "StepFailure": shape(
            {"message": text(), "stackTrace": text(), "type": {"type": ["string", "null"]}},
            about="The shortened failure of a step.",
        ),
    }
