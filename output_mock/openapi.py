"""The document that describes the API, in OpenAPI 3.1.

It says what the recorded server *does*, so every schema is as narrow as the recordings allow: a response that
fits this document would have surprised no client of the real server. `DIFFERENCES` lists where that disagrees
with the document that the real server publishes.

OpenAPI 3.1 schemas are JSON Schema 2020-12, so any validator of that draft can use the parts of
`document()` directly. Two extensions say what OpenAPI cannot: `x-sse-events` (the schema of each kind of
server-sent event) and `x-may-be-empty` (a JSON answer whose body may be missing altogether).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DIFFERENCES", "document"]

Node = dict[str, Any]

_DEFAULT_SERVER = "http://localhost:3001"

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# What the server takes for a run id is wider than what it mints: capitals and the two degenerate UUIDs pass.
_UUID_ACCEPTED = (
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    "|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$"
)
_NAME = "^[A-Za-z0-9_.@-]+$"  # of catalogs and workflow types, where they filter or route
_BASE64 = "^[A-Za-z0-9+/]+={0,2}$"

_CLOSED_STATUSES = ["completed", "failed", "cancelled", "terminated", "timed_out", "continued_as_new"]
_STATUSES = ["running", *_CLOSED_STATUSES]


# --- small pieces ----------------------------------------------------------------------------------------


def _ref(name: str, kind: str = "schemas") -> Node:
    return {"$ref": f"#/components/{kind}/{name}"}


def _shape(properties: Node, *, optional: tuple[str, ...] = (), about: str = "") -> Node:
    """An object with exactly these properties, all of them required but the optional ones."""
    described = {"description": about} if about else {}
    required = [name for name in properties if name not in optional]
    return {
        **described,
        "type": "object",
        **({"required": required} if required else {}),
        "properties": properties,
        "additionalProperties": False,
    }


def _text(about: str = "", **keywords: Any) -> Node:
    return {"type": "string", **keywords, **({"description": about} if about else {})}


def _or_null(schema: Node) -> Node:
    return {"anyOf": [schema, {"type": "null"}]}


def _when(name: str, values: list[str] | list[int], then: Node) -> Node:
    """If the property `name` has one of `values`, the object must also fit `then`."""
    test: Node = {"const": values[0]} if len(values) == 1 else {"enum": values}
    return {"if": {"required": [name], "properties": {name: test}}, "then": then}


def _while_running(name: str, running: Node, closed: Node) -> list[Node]:
    """What the property `name` holds while the run runs, and what afterwards."""
    return [
        _when("status", ["running"], {"properties": {name: running}}),
        _when("status", _CLOSED_STATUSES, {"properties": {name: closed}}),
    ]


# --- errors ----------------------------------------------------------------------------------------------

# When each error is answered, and whether its body names the workflow: always, never, or sometimes (None).
_ERRORS: dict[str, tuple[bool | None, str]] = {
    "SyntaxError": (False, "The body is no JSON, or JSON that is neither an object nor an array."),
    "URIError": (False, "A percent-escape in the path cannot be decoded."),
    "InvalidPageTokenError": (False, "The page token has the right form but no page belongs to it."),
    "PayloadTooLargeError": (False, "The body is larger than 2 MiB."),
    "UnsupportedMediaTypeError": (False, "The body has an unknown Content-Encoding."),
    "WorkflowNotFoundError": (True, "No such workflow or run, or the run is closed and takes no messages."),
    "StepNotFoundError": (False, "The history holds no step of that name."),
    "StepNotCompletedError": (None, "The step to reset to has not completed."),
    "TraceNotAvailableError": (True, "The run was not traced, or has written no trace."),
    "WorkflowExecutionTimedOutError": (True, "The wait is over; the run itself goes on."),
    "UnsupportedWorkflowError": (False, "The catalog has no workflow of that name."),
    "WorkflowNotCompletedError": (False, "The run is still running."),
    "WorkflowExecutionAlreadyStartedError": (True, "A running workflow has that id."),
    "QueryNotRegisteredError": (False, "The workflow has no such query, or its handler raised."),
    "WorkflowUpdateFailedError": (False, "No such update, or its validator or handler refused."),
    "TraceFileDownloadError": (False, "The remote trace cannot be fetched: no such object, or no AWS keys."),
    "TraceFileParseError": (False, "The remote trace is no JSON."),
    "InvalidTraceFileUrl": (False, "The URL of the remote trace is none of S3."),
    "CatalogNotAvailableError": (False, "No worker serves that catalog (yet)."),
    "TypeError": (False, "The workflow id is an empty string."),
    "Error": (False, "The body cannot be unpacked, or Temporal refused: the API passes its words on."),
    "RangeError": (False, "The body is nested too deep."),
    "ServiceError": (None, "Temporal could not do it, e.g. because no worker answers the query."),
    "ScriptError": (None, "Of the fake alone: the script of the workflow is wrong; the message says where."),
    "StalledError": (None, "Of the fake alone: it waits for what only another request can bring."),
}


def _error(name: str, names_workflow: bool | None, about: str) -> Node:
    properties: Node = {
        "error": {"type": "string", "const": name},
        "message": _text("What went wrong, for people."),
    }
    if names_workflow is not False:
        properties["workflowId"] = _text("The workflow that it went wrong with.")
    return _shape(properties, optional=("workflowId",) if names_workflow is None else (), about=about)


def _validation_error() -> Node:
    return _shape(
        {
            "error": {"type": "string", "const": "ValidationError"},
            "message": {"type": "string", "const": "Invalid Payload"},
            "issues": {"type": "array", "minItems": 1, "items": _ref("Issue")},
        },
        about="The body, the query or the run id in the path breaks its rules; `issues` says which.",
    )


def _issue() -> Node:
    def kind(code: str, optional: tuple[str, ...] = (), **more: Node) -> Node:
        place: Node = {"type": "array", "items": {"type": ["string", "integer"]}}
        properties: Node = {"code": {"type": "string", "const": code}, "path": place, "message": _text()}
        return _shape({**properties, **more}, optional=optional)

    limits: Node = {
        "origin": _text(),
        "inclusive": {"type": "boolean"},
        "note": _text("Only where a whole number is beyond what a double holds exactly."),
    }
    return {
        "description": "One broken rule, in the shape of zod 4. `path` is empty for the value as a whole.",
        "oneOf": [
            kind(
                "invalid_type",
                ("received", "format"),
                expected=_text("The type that was wanted."),
                received=_text("Only `NaN`, for text where a number was wanted."),
                format=_text("Only `safeint`, for a fraction where a whole number was wanted."),
            ),
            kind("too_small", ("note",), **limits, minimum={"type": "number"}),
            kind("too_big", ("note",), **limits, maximum={"type": "number"}),
            kind("invalid_format", origin=_text(), format=_text(), pattern=_text()),
            kind("invalid_value", values={"type": "array"}),
            kind(
                "invalid_union", errors={"type": "array", "items": {"type": "array", "items": _ref("Issue")}}
            ),
            kind("custom"),
        ],
    }


def _error_schemas() -> Node:
    schemas = {name: _error(name, *rest) for name, rest in _ERRORS.items()}
    return {"ValidationError": _validation_error(), "Issue": _issue(), **schemas}


# --- history events --------------------------------------------------------------------------------------

# A word for each kind of value that event attributes hold. Event ids come in two forms, by the field.
_VALUES: dict[str, Node] = {
    "id": {"type": "string", "pattern": "^[0-9]+$"},
    "long": _ref("Long"),
    "int": {"type": "integer"},
    "flag": {"type": "boolean"},
    "text": {"type": "string"},
    "run": _ref("RunId"),
    "time": _ref("Duration"),
    "queue": _ref("TaskQueue"),
    "type": _shape({"name": _text()}),
    "execution": _shape({"workflowId": _text(), "runId": _ref("RunId")}),
    "version": _shape({"buildId": _text()}),
    "update": _shape({"updateId": _text(), "identity": _text()}),
    "values": {"type": "array"},
    "payloads": _ref("Payloads"),
    "failure": _ref("Failure"),
    "step_failure": _ref("StepFailure"),
    "object": {"type": "object"},
    "list": {"type": "array"},
}

# The attributes of each type of event that was recorded: `name:kind`, with `?` before what may be missing.
# Other attributes may come along; payloads (values, payloads, failures) only when they are asked for.
_EVENTS: dict[tuple[int, str], str] = {
    (1, "WORKFLOW_EXECUTION_STARTED"): """
        workflowId:text workflowType:type taskQueue:queue ?input:values attempt:int completionCallbacks:list
        originalExecutionRunId:run firstExecutionRunId:run ?continuedExecutionRunId:run ?initiator:int
        ?workflowExecutionTimeout:time ?workflowRunTimeout:time workflowTaskTimeout:time ?memo:object
        ?firstWorkflowTaskBackoff:time ?workflowExecutionExpirationTime:time ?identity:text ?header:object
        ?prevAutoResetPoints:object""",
    (2, "WORKFLOW_EXECUTION_COMPLETED"): "?result:values workflowTaskCompletedEventId:long",
    (3, "WORKFLOW_EXECUTION_FAILED"): "?failure:failure retryState:int workflowTaskCompletedEventId:long",
    (4, "WORKFLOW_EXECUTION_TIMED_OUT"): "retryState:int",
    (5, "WORKFLOW_TASK_SCHEDULED"): "taskQueue:queue startToCloseTimeout:time attempt:int",
    (6, "WORKFLOW_TASK_STARTED"): """
        scheduledEventId:id identity:text requestId:text historySizeBytes:long workerVersion:version
        suggestContinueAsNewReasons:list""",
    (7, "WORKFLOW_TASK_COMPLETED"): """
        scheduledEventId:id startedEventId:id identity:text workerVersion:version sdkMetadata:object
        meteringMetadata:object""",
    (9, "WORKFLOW_TASK_FAILED"): """
        scheduledEventId:id startedEventId:id identity:text cause:int ?failure:failure ?baseRunId:run
        ?newRunId:run""",
    (10, "ACTIVITY_TASK_SCHEDULED"): """
        activityId:text activityType:type stepName:text taskQueue:queue ?input:values header:object
        scheduleToCloseTimeout:time scheduleToStartTimeout:time startToCloseTimeout:time heartbeatTimeout:time
        retryPolicy:object useWorkflowBuildId:flag workflowTaskCompletedEventId:long""",
    (11, "ACTIVITY_TASK_STARTED"): """
        scheduledEventId:id identity:text requestId:text attempt:int ?workerVersion:version
        ?lastFailure:failure""",
    (12, "ACTIVITY_TASK_COMPLETED"): "scheduledEventId:id startedEventId:id identity:text ?result:values",
    (13, "ACTIVITY_TASK_FAILED"): """
        scheduledEventId:id startedEventId:id identity:text retryState:int ?failure:step_failure""",
    (17, "TIMER_STARTED"): "timerId:text startToFireTimeout:time workflowTaskCompletedEventId:long",
    (18, "TIMER_FIRED"): "timerId:text startedEventId:id",
    (20, "WORKFLOW_EXECUTION_CANCEL_REQUESTED"): "identity:text",
    (21, "WORKFLOW_EXECUTION_CANCELED"): "workflowTaskCompletedEventId:long",
    (26, "WORKFLOW_EXECUTION_SIGNALED"): """
        signalName:text identity:text requestId:text header:object ?input:payloads""",
    (27, "WORKFLOW_EXECUTION_TERMINATED"): "?reason:text identity:text ?details:object",
    (28, "WORKFLOW_EXECUTION_CONTINUED_AS_NEW"): """
        newExecutionRunId:run workflowType:type taskQueue:queue ?input:payloads workflowRunTimeout:time
        workflowTaskTimeout:time inheritBuildId:flag workflowTaskCompletedEventId:long""",
    (29, "START_CHILD_WORKFLOW_EXECUTION_INITIATED"): """
        namespace:text namespaceId:text workflowId:text workflowType:type taskQueue:queue ?input:payloads
        workflowRunTimeout:time workflowTaskTimeout:time parentClosePolicy:int workflowIdReusePolicy:int
        header:object memo:object inheritBuildId:flag workflowTaskCompletedEventId:long""",
    (31, "CHILD_WORKFLOW_EXECUTION_STARTED"): """
        namespace:text namespaceId:text workflowExecution:execution workflowType:type header:object
        initiatedEventId:long""",
    (32, "CHILD_WORKFLOW_EXECUTION_COMPLETED"): """
        namespace:text namespaceId:text workflowExecution:execution workflowType:type initiatedEventId:long
        startedEventId:id ?result:payloads""",
    (33, "CHILD_WORKFLOW_EXECUTION_FAILED"): """
        namespace:text namespaceId:text workflowExecution:execution workflowType:type initiatedEventId:long
        startedEventId:id retryState:int ?failure:failure""",
    (41, "WORKFLOW_EXECUTION_UPDATE_ACCEPTED"): """
        protocolInstanceId:text acceptedRequestMessageId:text acceptedRequestSequencingEventId:long
        ?acceptedRequest:object""",
    (43, "WORKFLOW_EXECUTION_UPDATE_COMPLETED"): "meta:update outcome:object acceptedEventId:long",
    (46, "WORKFLOW_PROPERTIES_MODIFIED"): "upsertedMemo:object workflowTaskCompletedEventId:long",
    (14, "ACTIVITY_TASK_TIMED_OUT"): "scheduledEventId:id startedEventId:id retryState:int ?failure:failure",
    (15, "ACTIVITY_TASK_CANCEL_REQUESTED"): "scheduledEventId:id workflowTaskCompletedEventId:long",
    (19, "TIMER_CANCELED"): "timerId:text startedEventId:id identity:text workflowTaskCompletedEventId:long",
    (22, "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED"): """
        namespace:text namespaceId:text workflowExecution:execution childWorkflowOnly:flag
        workflowTaskCompletedEventId:long""",
    (24, "EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED"): """
        namespace:text namespaceId:text workflowExecution:execution initiatedEventId:long""",
    (34, "CHILD_WORKFLOW_EXECUTION_CANCELED"): """
        namespace:text namespaceId:text workflowExecution:execution workflowType:type initiatedEventId:long
        startedEventId:id""",
    (36, "CHILD_WORKFLOW_EXECUTION_TERMINATED"): """
        namespace:text namespaceId:text workflowExecution:execution workflowType:type initiatedEventId:long
        startedEventId:id""",
    (47, "WORKFLOW_EXECUTION_UPDATE_ADMITTED"): "request:object origin:int",
    # Not recorded: only the number and the name belong together.
    (8, "WORKFLOW_TASK_TIMED_OUT"): "",
    (16, "ACTIVITY_TASK_CANCELED"): "",
    (30, "START_CHILD_WORKFLOW_EXECUTION_FAILED"): "",
    (35, "CHILD_WORKFLOW_EXECUTION_TIMED_OUT"): "",
    (40, "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"): "",
    (42, "WORKFLOW_EXECUTION_UPDATE_REJECTED"): "",
}


def _attributes(fields: str) -> Node:
    """The schema that a line of `_EVENTS` stands for."""
    properties: Node = {}
    required = []
    for word in fields.split():
        name, kind = word.removeprefix("?").split(":")
        properties[name] = _VALUES[kind]
        if not word.startswith("?"):
            required.append(name)
    return {"type": "object", "required": required, "properties": properties}


def _attributes_key(event_name: str) -> str:
    first, *rest = event_name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest) + "EventAttributes"


def _history_event() -> Node:
    rules = []
    for (number, name), fields in _EVENTS.items():
        key = _attributes_key(name)
        # A name of its own for each recorded kind, so that generated clients have types for them.
        schema = _ref(key[0].upper() + key[1:]) if fields else {"type": "object"}
        then = {"required": [key], "properties": {"eventTypeName": {"const": name}, key: schema}}
        rules.append(_when("eventType", [number], then))
    return {
        "description": "One event of a run's history, with exactly one object of attributes.",
        "type": "object",
        "required": ["eventId", "eventType", "eventTypeName", "eventTime"],
        "properties": {
            "eventId": _text("A number from 1, as text.", pattern="^[1-9][0-9]*$"),
            "eventType": {"type": "integer", "minimum": 1, "maximum": 60},
            "eventTypeName": _text("Temporal's name of the type.", pattern="^[A-Z]+(_[A-Z]+)+$"),
            "eventTime": _ref("IsoTime"),
        },
        "patternProperties": {"^[a-z][A-Za-z]*EventAttributes$": {"type": "object"}},
        "additionalProperties": False,
        # The four properties above and one more.
        "minProperties": 5,
        "maxProperties": 5,
        "allOf": rules,
    }


def _event_schemas() -> Node:
    schemas: Node = {"HistoryEvent": _history_event()}
    for (_, name), fields in _EVENTS.items():
        if fields:
            key = _attributes_key(name)
            schemas[key[0].upper() + key[1:]] = _attributes(fields)
    return {
        **schemas,
        "Long": _shape(
            {"low": {"type": "integer"}, "high": {"type": "integer"}, "unsigned": {"type": "boolean"}},
            about="A 64-bit number in two halves.",
        ),
        "Duration": _shape(
            {"seconds": _text(pattern="^-?[0-9]+$"), "nanos": {"type": "integer"}},
            optional=("seconds", "nanos"),
            about="A length or a point of time. What is zero is left out, so none at all is an empty object.",
        ),
        "TaskQueue": _shape(
            {
                "name": _text(),
                "kind": _text(enum=["TASK_QUEUE_KIND_NORMAL", "TASK_QUEUE_KIND_STICKY"]),
                "normalName": _text("The queue that a worker's own, sticky queue belongs to."),
            },
            optional=("normalName",),
        ),
        "Payload": _shape(
            {
                "metadata": {
                    "type": "object",
                    "required": ["encoding"],
                    "additionalProperties": {"type": "string"},
                },
                "data": _text("The value, as base64 of its encoding."),
            },
            optional=("data",),
            about="A value in Temporal's own wrapping.",
        ),
        "Payloads": _shape({"payloads": {"type": "array", "items": _ref("Payload")}}, optional=("payloads",)),
        "Failure": {
            "description": "A failure in Temporal's own form; further keys tell its kind.",
            "type": "object",
            "properties": {
                "message": _text(),
                "source": _text(),
                "stackTrace": _text(),
                "cause": _ref("Failure"),
            },
        },
        "StepFailure": _shape(
            {"message": _text(), "stackTrace": _text(), "type": {"type": ["string", "null"]}},
            about="The shortened failure of a step.",
        ),
    }


# --- bodies of answers -----------------------------------------------------------------------------------


def _execution(**more: Node) -> Node:
    """What a history and a stream say about the run as a whole."""
    return _shape(
        {
            "workflowId": _text(),
            "runId": _ref("RunId"),
            "status": _text(enum=_STATUSES),
            "startTime": _ref("IsoTime"),
            "closeTime": _or_null(_ref("IsoTime")),
            "historyLength": {"type": "integer", "minimum": 1},
            "taskQueue": _text(),
            **more,
        }
    )


def _history_schemas() -> Node:
    close_time = _while_running("closeTime", {"type": "null"}, {"type": "string"})
    closed = _while_running("closed", {"const": False}, {"const": True})
    ends = ["COMPLETED", "FAILED", "TIMED_OUT", "CANCELED", "TERMINATED", "CONTINUED_AS_NEW"]
    done = {
        "reason": _text("The event that closed the run.", enum=[f"WORKFLOW_EXECUTION_{end}" for end in ends]),
        "newRunId": _ref("RunId"),
    }
    return {
        "WorkflowExecution": {**_execution(), "allOf": close_time, "description": "The run of a history."},
        "HistoryResponse": _shape(
            {
                "workflow": _or_null(_ref("WorkflowExecution")),
                "events": {"type": "array", "items": _ref("HistoryEvent")},
                "runId": _ref("RunId"),
                "nextPageToken": {
                    "type": ["string", "null"],
                    "pattern": _BASE64,
                    "description": "Where the next page begins; null after the last one.",
                },
            },
            about="A page of a history. `workflow` is null on all pages but the first, unless long-polling.",
        ),
        "StreamWorkflow": {
            **_execution(closed={"type": "boolean"}),
            "allOf": [*close_time, *closed],
            "description": "The first frame of a stream: the run as it stands.",
        },
        "StreamHistory": {
            "description": "Events that have come since the frame before; its `id` is that of the last one.",
            "type": "array",
            "minItems": 1,
            "items": _ref("HistoryEvent"),
        },
        "StreamDone": {
            **_shape(done, optional=("newRunId",)),
            "allOf": [_when("reason", ["WORKFLOW_EXECUTION_CONTINUED_AS_NEW"], {"required": ["newRunId"]})],
            "description": "The last frame of a stream. `newRunId` is the run that carries on, if one does.",
        },
        "StreamError": _shape(
            {"error": _text(), "message": _text(), "workflowId": _text(), "runId": _ref("RunId")},
            about="The last frame of a stream that broke after it had begun.",
        ),
    }


def _result_schemas() -> Node:
    common: Node = {
        "workflowId": _text(),
        "runId": _ref("RunId"),
        "status": _text(enum=_CLOSED_STATUSES),
        "input": {"description": "The input as it was sent; null if none was."},
        "output": {"description": "What the workflow returned; null if it did not complete."},
    }
    result = {
        "v": {"type": "string", "const": "2"},
        **common,
        "trace": _or_null(_ref("TraceDestinations")),
        "error": _or_null(_ref("WorkflowError")),
    }
    nothing, something = {"type": "null"}, {"type": "object"}
    details = {
        "message": {"type": ["string", "null"]},
        "name": {"type": ["string", "null"]},
        "retryable": {"type": ["boolean", "null"]},
        "activityId": {"type": ["string", "null"]},
        "cause": _or_null(_ref("LegacyCause")),
    }
    legacy = {
        **common,
        "trace": _or_null(_shape({"destinations": _ref("TraceDestinations")}, optional=("destinations",))),
        "error": {"type": ["string", "null"]},
        "errorDetails": _or_null(_shape(details)),
    }
    return {
        "WorkflowError": {
            "description": "Why a run did not complete. An error's own properties come along.",
            "type": "object",
            "required": ["name", "message"],
            "properties": {
                "activityType": _text("`workflow#step`, if it was a step that failed."),
                "name": _text("The error's class."),
                "message": _text(),
                "cause": {"description": "What the error says caused it: an error like it, or any value."},
            },
        },
        "TraceDestinations": _shape(
            {
                "local": _text("The file's path on the worker's machine.", pattern="\\.json$"),
                "remote": _text("The file's address in S3.", format="uri", pattern="^https?://.+\\.json$"),
            },
            optional=("local", "remote"),
            about="Where the run's trace is kept.",
        ),
        "WorkflowResult": {
            **_shape(result, about="How a run ended. A workflow that failed is an answer like any other."),
            "allOf": [
                _when("status", ["completed"], {"properties": {"error": nothing}}),
                _when("status", ["continued_as_new"], {"properties": {"error": nothing, "output": nothing}}),
                _when(
                    "status",
                    ["failed", "cancelled", "terminated", "timed_out"],
                    {"properties": {"error": something, "output": nothing}},
                ),
            ],
        },
        "LegacyCause": _shape(
            {"name": _text(), "message": _text(), "cause": _ref("LegacyCause")}, optional=("cause",)
        ),
        "LegacyWorkflowResult": {
            **_shape(
                legacy,
                # Here an input that was not sent is left out, as `…/input` leaves it out (feedback).
                optional=("input",),
                about="The result of a run that closed before its first workflow task: no `v`.",
            ),
            "deprecated": True,
        },
        "WorkflowResultResponse": {"oneOf": [_ref("WorkflowResult"), _ref("LegacyWorkflowResult")]},
    }


def _run_schemas() -> Node:
    epoch: Node = {"type": "integer", "minimum": 0, "description": "Milliseconds since 1970."}
    ids: Node = {"workflowId": _text(), "runId": _ref("RunId")}
    status = {
        **ids,
        "status": _text(enum=[*_STATUSES, "unspecified"]),
        "startedAt": epoch,
        "completedAt": {"description": "Empty while the run runs.", "anyOf": [epoch, _text(const="")]},
    }
    info = {
        **ids,
        "workflowType": _text("The workflow's real name, never an alias."),
        "status": _text(enum=_STATUSES),
        "startedAt": _ref("IsoTime"),
        "completedAt": _or_null(_ref("IsoTime")),
    }
    return {
        "StartResponse": _shape(ids, about="The run that has been started."),
        "StopResponse": _shape(ids, about="The run that has been asked to stop."),
        "TerminateResponse": _shape(
            {"terminated": {"type": "boolean", "const": True}, **ids}, about="The run that has been ended."
        ),
        "ResetResponse": _shape(ids, about="`runId` is the new run."),
        "InputResponse": _shape(
            {**ids, "input": {"description": "The input as it was sent; missing if none was."}},
            optional=("input",),
        ),
        "StatusResponse": {
            **_shape(status),
            "allOf": _while_running("completedAt", {"const": ""}, {"type": "integer"}),
        },
        "RunInfo": {
            **_shape(info),
            "allOf": _while_running("completedAt", {"type": "null"}, {"type": "string"}),
        },
        "RunsResponse": _shape(
            {
                "runs": {"type": "array", "items": _ref("RunInfo"), "description": "Newest first."},
                "count": {"type": "integer", "minimum": 0, "description": "How many this answer holds."},
            }
        ),
    }


def _catalog_schemas() -> Node:
    schema = _or_null({"type": "object", "description": "A JSON Schema."})
    workflow = {
        "name": _text(),
        "description": _text(),
        "inputSchema": schema,
        "outputSchema": schema,
        "path": _text("The workflow's file on the worker's machine."),
        "activities": {"type": "array", "items": {"type": "object"}},
        "aliases": {"type": "array", "items": _text(), "description": "Other names for it."},
    }
    names: Node = {
        "description": "Every name and alias, with the real name that it stands for.",
        "type": "object",
        "additionalProperties": {"type": "string"},
    }
    return {
        "Workflow": _shape(workflow, optional=("description",)),
        "CatalogResponse": _shape(
            {"workflows": {"type": "array", "items": _ref("Workflow")}, "workflowNames": names}
        ),
    }


def _trace_schemas() -> Node:
    instant: Node = {"type": "integer", "description": "Milliseconds since 1970."}
    node = {
        "id": _text("A workflow's run id, or a step's number within its run."),
        "kind": _text(
            "`workflow`, `step`, `evaluator`, `llm`, `http`, `internal_step`, or a word of the step's own."
        ),
        "name": _text(),
        "startedAt": instant,
        "endedAt": _or_null(instant),
        "input": {},
        "output": {},
        "error": {
            "description": "An object, or whatever the step has thrown. A step that was retried may have an "
            "output as well."
        },
        "children": {"type": "array", "items": _ref("TraceNode")},
        "attributes": {"type": "object"},
    }
    source = {"remote": _text(const="remote"), "local": _text(const="local")}
    path = _text("The file's path on the worker's machine.", pattern="\\.json$")
    return {
        "TraceNode": _shape(
            node,
            optional=("input", "output", "error"),
            about="A piece of work, with the pieces that it is made of.",
        ),
        "RemoteTrace": _shape(
            {"source": source["remote"], "runId": _ref("RunId"), "data": _ref("TraceNode")}
        ),
        "LocalTrace": _shape({"source": source["local"], "runId": _ref("RunId"), "localPath": path}),
        "TraceResponse": {"oneOf": [_ref("RemoteTrace"), _ref("LocalTrace")]},
    }


# --- bodies of requests ----------------------------------------------------------------------------------


def _request_schemas() -> Node:
    def body(properties: Node, *required: str) -> Node:
        # Open, because keys that the server does not know are ignored.
        return {"type": "object", "required": list(required), "properties": properties}

    start: Node = {
        "workflowName": _text("The workflow's name, or an alias.", examples=["summarize_url"]),
        "input": {"description": "Any JSON; may be left out.", "examples": [{"url": "https://a.example"}]},
        "workflowId": _text("An id that no running workflow has; made up if missing.", minLength=1),
        "catalog": _text("Which catalog to look in; the server's own if missing.", pattern=_NAME),
        "taskQueue": _text("The old name of `catalog`, which wins over it.", pattern=_NAME, deprecated=True),
    }
    timeout: Node = {
        "type": "integer",
        "minimum": 250,
        "default": 300000,
        "description": "How many milliseconds to wait. Digits in a string are understood too.",
    }
    reason = _text("Kept in the history.")
    step = _text("The step to begin again after.")
    payload: Node = {"type": "object", "description": "What the handler is given."}
    return {
        "StartRequest": body(start, "workflowName"),
        "RunRequest": body({**start, "timeout": timeout}, "workflowName"),
        "TerminateRequest": body({"reason": reason}),
        "ResetRequest": body({"stepName": step, "reason": reason}, "stepName"),
        "MessageRequest": body({"payload": payload}),
    }


def _schemas() -> Node:
    time = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$"
    return {
        "RunId": _text(format="uuid", pattern=f"^{_UUID}$"),
        "IsoTime": _text("UTC, to the millisecond.", format="date-time", pattern=time),
        **_request_schemas(),
        **_run_schemas(),
        **_result_schemas(),
        **_catalog_schemas(),
        **_trace_schemas(),
        **_history_schemas(),
        **_event_schemas(),
        **_error_schemas(),
    }


# --- headers ---------------------------------------------------------------------------------------------

_CORS = ("Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers")
_DEPRECATION = ("Deprecation", "Sunset", "Link")


def _headers() -> Node:
    def constant(value: str, about: str) -> Node:
        return {"description": about, "required": True, "schema": _text(const=value)}

    headers: Node = {
        "X-Request-ID": {
            "description": "The request's `Rndr-Id` or `X-Request-ID`, if it is valid, else a new UUID.",
            "required": True,
            "schema": _text(pattern="^[A-Za-z0-9_-]{1,128}$"),
        },
        "Access-Control-Allow-Origin": constant("*", "Any page may call the API."),
        "Access-Control-Allow-Methods": constant(
            "GET, POST, PUT, DELETE, OPTIONS", "Without PATCH, though stopping a run needs it."
        ),
        "Access-Control-Allow-Headers": constant(
            "Origin, X-Requested-With, Content-Type, Accept, Authorization, Last-Event-ID",
            "What a page may send.",
        ),
        "Deprecation": constant("true", "Name the run in the path instead."),
        "Sunset": constant("Thu, 16 Jul 2026 00:00:00 GMT", "From then on it may be gone."),
    }
    for verb in ("stop", "terminate", "reset"):
        link = f'</workflow/{{id}}/runs/{{rid}}/{verb}>; rel="successor-version"'
        headers[f"Link.{verb}"] = constant(link, "What to use instead. The braces are really there.")
    # A 400 may also mean that the body was refused unread, before any of these was set.
    unsure = {
        f"{name}.maybe": {key: value for key, value in header.items() if key != "required"}
        for name, header in headers.items()
    }
    return {
        **headers,
        **unsure,
        "ETag": {"description": "A fingerprint of the body.", "schema": _text(minLength=3)},
        "Retry-After": {
            "description": "Seconds until it is worth another try.",
            "required": True,
            "schema": {"type": "integer", "minimum": 0},
        },
        "Cache-Control": constant("no-cache, no-transform", "A stream must arrive as it was sent."),
        "X-Accel-Buffering": constant("no", "Tells a proxy not to hold the stream back."),
    }


# --- parameters ------------------------------------------------------------------------------------------


def _parameters() -> Node:
    def path(name: str, about: str, schema: Node | None = None) -> Node:
        return {
            "name": name,
            "in": "path",
            "required": True,
            "description": about,
            "schema": schema or _text(),
        }

    def query(name: str, about: str, schema: Node) -> Node:
        return {"name": name, "in": "query", "description": about, "schema": schema}

    number: Node = {"type": "integer", "minimum": 1}
    return {
        "id": path("id", "The workflow's id, or the catalog's name."),
        "rid": path("rid", "One of the workflow's runs.", _text(format="uuid", pattern=_UUID_ACCEPTED)),
        "signal": path("signal", "Any name; a signal that nobody waits for is kept."),
        "query": path("query", "A query that the workflow has a handler for."),
        "update": path("update", "An update that the workflow has a handler for."),
        "workflowType": query("workflowType", "Only runs of this workflow.", _text(pattern=_NAME)),
        "catalog": query("catalog", "Only runs of this catalog.", _text(pattern=_NAME)),
        "limit": query("limit", "At most so many.", {**number, "maximum": 1000, "default": 100}),
        "runId": query("runId", "One of its runs, a UUID. Has to come with a page token.", _text()),
        "pageSize": query(
            "pageSize",
            "How many batches to return: groups of events that were written at once.",
            {**number, "maximum": 50, "default": 20},
        ),
        "pageToken": query(
            "pageToken",
            "`nextPageToken` of the page before; an empty one is as good as none.",
            _text(pattern=f"^$|{_BASE64}"),
        ),
        "includePayloads": query(
            "includePayloads",
            "With inputs, results and failures. Only `true` and `false` are understood.",
            {"type": "boolean", "default": False},
        ),
        "longPollTimeoutMs": query(
            "longPollTimeoutMs",
            "At the end of a running run's history, wait so long for more (15000 at most).",
            number,
        ),
        "lastEventId": query("lastEventId", "Begin after this event.", number),
        "Last-Event-ID": {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The same, as browsers send it; its last number counts.",
            "schema": _text(),
        },
    }


# --- operations ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Operation:
    """What sets an operation apart; `_build` adds what follows from its method, its path and its body."""

    id: str
    tag: str
    summary: str
    answers: Node
    about: str = ""
    query: tuple[str, ...] = ()
    body: str = ""
    errors: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    # The verb of the pinned operation that replaces this one.
    successor: str = ""
    # Answered without a token and before CORS comes into play.
    open: bool = False


def _answer(
    about: str, media_type: str = "", schema: Node | None = None, extensions: Node | None = None
) -> Node:
    content = {media_type: {"schema": schema, **(extensions or {})}}
    return {"description": about, **({"content": content} if media_type else {})}


def _json(schema: str, about: str) -> Node:
    return {"200": _answer(about, "application/json", _ref(schema))}


def _ok(about: str) -> Node:
    return {"200": _answer(about, "text/plain", _text(const="OK"))}


def _stream() -> Node:
    frames = {
        "workflow": _ref("StreamWorkflow"),
        "history": _ref("StreamHistory"),
        "done": _ref("StreamDone"),
        "server_error": _ref("StreamError"),
    }
    about = "Server-sent events, with a comment every 15 seconds to keep the line open."
    return {
        "200": _answer(about, "text/event-stream", _text(), {"x-sse-events": frames}),
        "204": _answer("The run is closed, and no event is left after that one."),
    }


_START_ERRORS = {
    400: ("ServiceError",),
    424: ("UnsupportedWorkflowError",),
    500: ("WorkflowExecutionAlreadyStartedError", "TypeError"),
    503: ("CatalogNotAvailableError",),
}
_TRACE_ERRORS = {
    404: ("WorkflowNotFoundError", "TraceNotAvailableError"),
    424: ("WorkflowNotCompletedError",),
    500: ("TraceFileDownloadError", "TraceFileParseError", "InvalidTraceFileUrl", "ScriptError"),
}


def _operations() -> dict[tuple[str, str], _Operation]:
    status = _json("StatusResponse", "How the run stands.")
    result = _json("WorkflowResultResponse", "How the run ended.")
    given = _json("InputResponse", "The input.")
    trace = _json("TraceResponse", "The trace itself if it lies in S3, else the path of its file.")
    stopped = _json("StopResponse", "It has been asked, or was closed already.")
    terminated = _json("TerminateResponse", "It has ended.")
    reset = _json("ResetResponse", "A new run has begun.")
    page = _json("HistoryResponse", "A page of events.")
    catalog = _json("CatalogResponse", "The catalog.")
    kept = _ok("It is in the history.")
    any_or_none = {"x-may-be-empty": True}
    returned = {"200": _answer("What the handler returned.", "application/json", {}, any_or_none)}
    readiness = {**_ok("It can."), "503": _answer("It cannot.", "text/plain", _text())}

    not_closed = {424: ("WorkflowNotCompletedError",), 500: ("ScriptError",)}
    reset_errors = {
        404: ("WorkflowNotFoundError", "StepNotFoundError"),
        409: ("StepNotCompletedError",),
        500: ("ScriptError",),
    }
    latest = "Acts on the latest run. Deprecated: name the run in the path instead."
    pages = ("pageSize", "pageToken", "includePayloads", "longPollTimeoutMs")
    rest = ("includePayloads", "lastEventId", "Last-Event-ID")
    follow = "Ends with the run. What goes wrong before the first frame is an ordinary error."

    # Of two templates that fit a path equally well the first one wins, so `/workflow/catalog/status` asks for
    # the status of a workflow whose id is `catalog`: the catalogs come last.
    return {
        ("get", "/health"): _Operation(
            "getHealth", "server", "Whether the server is up", _ok("It is."), open=True
        ),
        ("get", "/ready"): _Operation(
            "getReadiness", "server", "Whether the server can work", readiness, open=True
        ),
        ("post", "/workflow/run"): _Operation(
            "runWorkflow",
            "start",
            "Run a workflow and wait for its end",
            result,
            "A workflow that fails is a 200 with the status `failed`, also when its schema refuses the "
            "input. If the wait is over first, the run goes on and the error names its workflow. `runId` is "
            "the first run, even when the workflow has continued as new.",
            body="RunRequest",
            errors={
                **_START_ERRORS,
                408: ("WorkflowExecutionTimedOutError",),
                500: (*_START_ERRORS[500], "ScriptError", "StalledError"),
            },
        ),
        ("post", "/workflow/start"): _Operation(
            "startWorkflow",
            "start",
            "Start a workflow and leave it",
            _json("StartResponse", "It has started."),
            body="StartRequest",
            errors=_START_ERRORS,
        ),
        ("get", "/workflow/{id}/status"): _Operation(
            "getStatus", "read", "How the latest run stands", status
        ),
        ("get", "/workflow/{id}/runs/{rid}/status"): _Operation(
            "getRunStatus", "read", "How this run stands", status
        ),
        ("patch", "/workflow/{id}/runs/{rid}/stop"): _Operation(
            "stopRun",
            "end",
            "Ask this run to stop",
            stopped,
            "The run sees a cancellation. It may clean up first, and may even complete.",
        ),
        ("patch", "/workflow/{id}/stop"): _Operation(
            "stopWorkflow", "end", "Ask the latest run to stop", stopped, latest, successor="stop"
        ),
        ("post", "/workflow/{id}/runs/{rid}/terminate"): _Operation(
            "terminateRun",
            "end",
            "End this run at once",
            terminated,
            "The run gets no chance to clean up.",
            body="TerminateRequest",
        ),
        ("post", "/workflow/{id}/terminate"): _Operation(
            "terminateWorkflow",
            "end",
            "End the latest run at once",
            terminated,
            latest,
            body="TerminateRequest",
            successor="terminate",
        ),
        ("post", "/workflow/{id}/runs/{rid}/reset"): _Operation(
            "resetRun",
            "end",
            "Go back to the end of a step of this run",
            reset,
            "A new run replays this one up to there and carries on. This one is ended if it still runs. "
            "Unlike everywhere else, an unknown run is a 500.",
            body="ResetRequest",
            errors={**reset_errors, 404: ("StepNotFoundError",)},
        ),
        ("post", "/workflow/{id}/reset"): _Operation(
            "resetWorkflow",
            "end",
            "Go back to the end of a step of the latest run",
            reset,
            latest,
            body="ResetRequest",
            errors=reset_errors,
            successor="reset",
        ),
        ("get", "/workflow/{id}/result"): _Operation(
            "getResult", "read", "How the latest run ended", result, errors=not_closed
        ),
        ("get", "/workflow/{id}/runs/{rid}/result"): _Operation(
            "getRunResult", "read", "How this run ended", result, errors=not_closed
        ),
        ("get", "/workflow/{id}/input"): _Operation(
            "getInput",
            "read",
            "What the workflow was started with",
            given,
            "The first run's input, even when the workflow has continued as new.",
        ),
        ("get", "/workflow/{id}/runs/{rid}/input"): _Operation(
            "getRunInput", "read", "What this run was started with", given
        ),
        ("get", "/workflow/{id}/trace-log"): _Operation(
            "getTraceLog", "read", "The trace of the latest run", trace, errors=_TRACE_ERRORS
        ),
        ("get", "/workflow/{id}/runs/{rid}/trace-log"): _Operation(
            "getRunTraceLog", "read", "The trace of this run", trace, errors=_TRACE_ERRORS
        ),
        ("get", "/workflow/{id}/history"): _Operation(
            "getHistory",
            "history",
            "The latest run's events, page by page",
            page,
            query=("runId", *pages),
            errors={400: ("InvalidPageTokenError", "ServiceError")},
        ),
        ("get", "/workflow/{id}/runs/{rid}/history"): _Operation(
            "getRunHistory",
            "history",
            "This run's events, page by page",
            page,
            query=pages,
            errors={400: ("InvalidPageTokenError",)},
        ),
        ("get", "/workflow/{id}/history/stream"): _Operation(
            "streamHistory", "history", "The latest run's events as they come", _stream(), follow, rest
        ),
        ("get", "/workflow/{id}/runs/{rid}/history/stream"): _Operation(
            "streamRunHistory", "history", "This run's events as they come", _stream(), follow, rest
        ),
        ("get", "/workflow/catalog/{id}"): _Operation(
            "getCatalog",
            "catalog",
            "The workflows of a catalog",
            catalog,
            errors={409: ("ServiceError",), 500: ("QueryNotRegisteredError",)},
        ),
        ("get", "/workflow/catalog"): _Operation(
            "getDefaultCatalog",
            "catalog",
            "The workflows of the server's own catalog",
            catalog,
            errors={404: ("WorkflowNotFoundError",), 409: ("ServiceError",)},
        ),
        ("get", "/workflow/runs"): _Operation(
            "listRuns",
            "read",
            "The latest runs",
            _json("RunsResponse", "Runs, newest first."),
            "A catalog is itself a run, of the type `$catalog`.",
            ("workflowType", "catalog", "limit"),
        ),
        ("post", "/workflow/{id}/feedback"): _Operation(
            "sendFeedback", "messages", "Send the signal `resume`", kept, body="MessageRequest"
        ),
        ("post", "/workflow/{id}/signal/{signal}"): _Operation(
            "signalWorkflow",
            "messages",
            "Tell the latest run something",
            kept,
            body="MessageRequest",
            errors={400: ("ServiceError",)},
        ),
        ("post", "/workflow/{id}/query/{query}"): _Operation(
            "queryWorkflow",
            "messages",
            "Ask the latest run something",
            returned,
            "A closed run answers too. The body is empty if the handler returned nothing.",
            body="MessageRequest",
            errors={409: ("ServiceError",), 500: ("QueryNotRegisteredError", "ScriptError")},
        ),
        ("post", "/workflow/{id}/update/{update}"): _Operation(
            "updateWorkflow",
            "messages",
            "Change something in the latest run and wait for its answer",
            returned,
            "The body is empty if the handler returned nothing.",
            body="MessageRequest",
            errors={500: ("WorkflowUpdateFailedError", "ScriptError", "StalledError")},
        ),
        ("post", "/heartbeat"): _Operation(
            "sendHeartbeat", "server", "Do nothing", {"204": _answer("Nothing was done.")}
        ),
    }


_TITLES = {
    400: "The request is not understood.",
    404: "There is no such thing.",
    408: "The wait is over.",
    409: "Not as things stand.",
    413: "The body is too large.",
    415: "The body cannot be unpacked.",
    424: "Something else has to happen first.",
    500: "It went wrong on the server's side.",
    503: "Nobody is there to do it. Try again.",
}


def _errors_of(method: str, path: str, operation: _Operation) -> dict[int, tuple[str, ...]]:
    """The errors that an operation names, and those that come with its method, its path and its body."""
    errors = dict(operation.errors)
    bad_request: list[str] = []
    if method in ("post", "patch"):
        bad_request += ["SyntaxError", "Error"]
        errors |= {413: ("PayloadTooLargeError",), 415: ("UnsupportedMediaTypeError",)}
    if "{id}" in path:
        bad_request.append("URIError")
        errors.setdefault(404, ("WorkflowNotFoundError",))
    if operation.body or operation.query or "{rid}" in path:
        bad_request.append("ValidationError")
    bad_request += errors.get(400, ())
    if bad_request:
        errors[400] = tuple(bad_request)
    if operation.body:
        errors[500] = (*errors.get(500, ()), "RangeError")
    if path.startswith("/workflow"):
        errors[500] = (*errors.get(500, ()), "ServiceError", "Error")
    return errors


def _header_refs(names: tuple[str, ...], successor: str, *, sure: bool = True) -> Node:
    components = {name: f"Link.{successor}" if name == "Link" else name for name in names}
    return {name: _ref(key if sure else f"{key}.maybe", "headers") for name, key in components.items()}


def _failure(status: int, names: tuple[str, ...], successor: str) -> Node:
    """The answer of a status that stands for one of several errors."""
    mapping = {name: _ref(name)["$ref"] for name in names}
    several: Node = {
        "oneOf": [_ref(name) for name in names],
        "discriminator": {"propertyName": "error", "mapping": mapping},
    }
    headers: Node = {}
    if status not in (413, 415):  # a body that is refused unread gets no headers
        contract = ("X-Request-ID", *_CORS, *(_DEPRECATION if successor else ()))
        headers = _header_refs(contract, successor, sure="SyntaxError" not in names)
    if status == 503:
        headers["Retry-After"] = _ref("Retry-After", "headers")
    headers["ETag"] = _ref("ETag", "headers")
    schema = _ref(names[0]) if len(names) == 1 else several
    return {**_answer(_TITLES[status], "application/json", schema), "headers": headers}


def _build(method: str, path: str, operation: _Operation, schemas: Node, responses: Node) -> Node:
    """One operation of the document; the errors that it shares with others are added to `responses`."""
    contract = (
        "X-Request-ID",
        *(() if operation.open else _CORS),
        *(_DEPRECATION if operation.successor else ()),
    )
    by_media_type = {"text/event-stream": ("Cache-Control", "X-Accel-Buffering"), "": ()}
    answers: Node = {}
    for status, answer in operation.answers.items():
        media_type = next(iter(answer.get("content", {"": None})))
        headers = (*contract, *by_media_type.get(media_type, ("ETag",)))
        answers[status] = {**answer, "headers": _header_refs(headers, operation.successor)}
    if not operation.open:
        answers["401"] = _ref("Unauthorized", "responses")
    for number, names in _errors_of(method, path, operation).items():
        shared = ".".join((str(number), *names, *filter(None, [operation.successor])))
        responses[shared] = _failure(number, names, operation.successor)
        answers[str(number)] = _ref(shared, "responses")

    in_path = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [_ref(name, "parameters") for name in (*in_path, *operation.query)]
    built: Node = {"operationId": operation.id, "tags": [operation.tag], "summary": operation.summary}
    if operation.about:
        built["description"] = operation.about
    if operation.successor:
        built["deprecated"] = True
    if operation.open:
        built["security"] = []
    if parameters:
        built["parameters"] = parameters
    if operation.body:
        schema = {"schema": _ref(operation.body)}
        built["requestBody"] = {
            # Where no key is needed, no body is.
            "required": bool(schemas[operation.body]["required"]),
            "content": {"application/json": schema, "application/x-www-form-urlencoded": schema},
        }
    return {**built, "responses": dict(sorted(answers.items()))}


# --- the document ----------------------------------------------------------------------------------------

_INFO = {
    "title": "Output API",
    # Of the API that is imitated, not of this package.
    "version": "0.11.0",
    "description": (
        "Runs AI workflows on Temporal, as answered by output-mock.\n\n"
        "Paths match whatever their case, and with or without a slash at the end. Wherever there is a GET "
        "there is a HEAD. Everything else is a 404 in plain text, also a known path with another method; "
        "OPTIONS is a 200 everywhere. A body counts only as `application/json` or "
        "`application/x-www-form-urlencoded`: one of another type is as good as none. One that cannot be "
        "read is refused before the token is looked at.\n\n"
        "Beyond the answers below, any operation on a workflow may say what only a fake says, as JSON with "
        "`error` and `message`: 503 `WorldStuckError` or `WorldBusyError` (its world is held by a script, or "
        "busy), 410 `WaitEndedError` (its world was wiped, restored or deleted, or the fake was closed), and "
        "503 `WaitEndedError` (the server stops)."
    ),
}

_TAGS = [
    {"name": "start", "description": "Begin a workflow."},
    {"name": "read", "description": "Find out about runs."},
    {"name": "messages", "description": "Talk to a workflow while it runs."},
    {"name": "end", "description": "Stop, terminate and reset runs."},
    {"name": "history", "description": "What happened in a run, event by event."},
    {"name": "catalog", "description": "Which workflows there are."},
    {"name": "server", "description": "The server itself."},
]

_TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": (
        "Needed in production only. The token as it is, or `Basic ` and the token as it is: no base64, no "
        "user name. `Bearer` and a lower-case `basic` are refused."
    ),
}


def document(server_url: str | None = None) -> dict[str, Any]:
    """Return the OpenAPI document as a fresh structure of plain JSON values, the caller's to change.

    `server_url` is the address to name in it; without one it names the real server's address in development.
    """
    schemas = _schemas()
    responses: Node = {
        "Unauthorized": {
            **_answer(
                "No token, or a wrong one. Production only.", "text/plain", _text(const="Unauthorized")
            ),
            "headers": _header_refs(("X-Request-ID", "ETag"), ""),
        }
    }
    paths: Node = {}
    for (method, path), operation in _operations().items():
        paths[path] = {method: _build(method, path, operation, schemas, responses)}
    built = {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": _INFO,
        "servers": [{"url": server_url or _DEFAULT_SERVER}],
        "tags": _TAGS,
        # The empty one first: outside production no token is asked for.
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": _TOKEN},
            "parameters": _parameters(),
            "headers": _headers(),
            "responses": dict(sorted(responses.items())),
            "schemas": schemas,
        },
    }
    # The pieces above are shared between the places that use them; the caller's copy must not be.
    fresh: dict[str, Any] = json.loads(json.dumps(built))
    return fresh


# --- where the real document is wrong ------------------------------------------------------------------

# What the real server's document says, where the recordings show otherwise. Quoted in the README.
DIFFERENCES: tuple[tuple[str, str], ...] = (
    (
        "every operation but /health and /ready",
        "Names neither the 401 nor how to avoid it: it declares HTTP Basic and asks for it nowhere. In "
        "production the answer is `401 Unauthorized` in plain text, and what is wanted is the bare token, "
        "with or without `Basic ` before it (`production_auth`).",
    ),
    (
        "every answer",
        "Names no headers. All answers carry `X-Request-ID`, all but those of /health and /ready and the 401 "
        "carry the three CORS headers (`health`), and the unpinned stop, terminate and reset carry "
        "`Deprecation`, `Sunset` and `Link` (`stop_default`, `terminate`, `reset`). The exception: a body "
        "that is refused unread gets none of them (`raw_bodies`).",
    ),
    (
        "every operation with a body",
        "Lacks `413` and `415`, and the `400 SyntaxError` where no other 400 is listed; form bodies are "
        "understood too (`raw_bodies`). A broken body is refused before the token is looked at "
        "(`production_auth`).",
    ),
    (
        "every path with a parameter",
        "Some list no 400. All have one: `URIError`, for a percent-escape that cannot be decoded "
        "(`workflow_id`).",
    ),
    (
        "error bodies",
        "One loose shape, nothing required, `workflowId` nullable. `error` and `message` are always there "
        "and `workflowId` comes with certain errors only, never null; `issues` always comes with a "
        "ValidationError, whose message is always `Invalid Payload` (`body_validation`, `unknown_workflow`). "
        "Ours has a closed schema for each error, and names those that each status can have.",
    ),
    (
        "answers of start, status, stop, terminate, reset, runs and history",
        "No key is required, and some `runId`s are nullable. All keys were there in every answer, and none "
        "of the run ids was null (`start_and_poll`, `runs`, `history_paging`).",
    ),
    (
        "POST /workflow/run and /workflow/start: request",
        "Requires `input`, which may be left out: the workflow then sees none (`run_values`, "
        "`run_input_invalid`).",
    ),
    (
        "POST /workflow/run: timeout",
        "Calls it a number with a default of 30 seconds. It is a whole number of milliseconds, 250 or more; "
        "fractions and less are a 400 (`body_validation`). The default is 300000 milliseconds.",
    ),
    (
        "POST /workflow/run and /workflow/start: 404",
        "Lists a 404. An unknown workflow is a 424 and an unknown catalog a 503 (`body_validation`).",
    ),
    (
        "POST /workflow/run and /workflow/start: 503",
        "Says that `Retry-After` may be set. It always was (`body_validation`).",
    ),
    (
        "catalog, taskQueue and workflowType",
        "Any string. Where they route or filter, only letters, digits and `_ . @ -` pass (`runs`, "
        "`body_validation`).",
    ),
    (
        "GET …/status: completedAt",
        "Always a number. While the run runs it is an empty string (`start_and_poll`, `worker_down`).",
    ),
    (
        "stop and terminate: 409",
        "Lists a 409 for closed runs. Stopping one is a 200, terminating one a 404 (`stop_default`).",
    ),
    (
        "POST /workflow/{id}/runs/{rid}/reset: 404",
        "An unknown run is a `500` with the error `Error` here, and a 404 everywhere else "
        "(`known_workflow_unknown_run`, `unknown_workflow`).",
    ),
    (
        "GET …/input: input",
        "Required, null if unavailable. The key is missing when no input was sent (`feedback`).",
    ),
    (
        "GET …/result",
        "Calls the result without `v` legacy. Current servers still answer it, for a run that closed before "
        "its first workflow task (`worker_down`).",
    ),
    (
        "GET …/trace-log: data",
        "An object of `workflowId`, `input`, `output` and `steps`. It is a tree of `id`, `kind`, `name`, "
        "`startedAt`, `endedAt`, `children` and `attributes`, with `input`, `output` and `error` where there "
        "are any (`remote_trace`).",
    ),
    (
        "GET …/history",
        "`workflow` and `events` are objects of any kind, and `workflow` is null after the first page. Both "
        "have a fixed form, and a long poll gets `workflow` on every page (`history_long_poll`). A page is "
        "`pageSize` batches, not events, and a `runId` that is no UUID is a `400 ServiceError` "
        "(`history_paging`).",
    ),
    (
        "GET …/history/stream",
        "Lacks the `204` for when nothing is left to come, the `Last-Event-ID` header, the minimum of "
        "`lastEventId`, which is 1, and the form of the frames; the first one has a `closed` that a page's "
        "`workflow` lacks (`stream_completed`, `stream_live`).",
    ),
    (
        "GET /workflow/catalog",
        "Lacks `workflowNames` and each workflow's `activities`; schemas are null where there are none "
        "(`routing`).",
    ),
    (
        "GET /workflow/catalog/{id}: 409",
        "Lacks the `409 ServiceError` of a catalog whose worker has gone (`worker_down`).",
    ),
    (
        "feedback, signal, query and update: request",
        "Requires a body. None is needed, and `payload` may be left out (`approval`, "
        "`approval_signal_without_body`).",
    ),
    ("feedback and signal: 200", "Gives no content. It is `OK` in plain text (`feedback`, `approval`)."),
    (
        "query and update: 200",
        "Gives no content. It is what the handler returned, any JSON; one that returns nothing is answered "
        "with a JSON content type and no body (`approval`).",
    ),
    (
        "query and update: 500",
        "Speaks of connection failures. An unknown query or update, and a handler that fails, is a 500 too "
        "(`approval`).",
    ),
)
