"""JSON Schemas of the response bodies, by the names that the operations use.

They are as narrow as the recordings allow: a client of the real server can handle every response that fits.
"""

from __future__ import annotations

from output_mock.contract.schemas import (
    UUID,
    JsonSchema,
    depending,
    flag,
    number,
    or_null,
    record,
    ref,
    shape,
    text,
    when,
)

CLOSED_STATUSES = ["completed", "failed", "cancelled", "terminated", "timed_out", "continued_as_new"]
STATUSES = ["running", *CLOSED_STATUSES]
_BASE64 = "^[A-Za-z0-9+/]+={0,2}$"
_TIME = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$"


def _while_running(name: str, running: JsonSchema, closed: JsonSchema) -> list[JsonSchema]:
    """The schema of the property `name` while the run is running, and afterwards."""
    return [
        when("status", ["running"], {"properties": {name: running}}),
        when("status", CLOSED_STATUSES, {"properties": {name: closed}}),
    ]


def _execution(**more: JsonSchema) -> JsonSchema:
    """The part of a history or a stream that describes the run as a whole."""
    return shape(
        {
            "workflowId": text(),
            "runId": ref("RunId"),
            "status": text(enum=STATUSES),
            "startTime": ref("IsoTime"),
            "closeTime": or_null(ref("IsoTime")),
            "historyLength": {"type": "integer", "minimum": 1},
            "taskQueue": text(),
            **more,
        }
    )


def _history() -> JsonSchema:
    close_time = _while_running("closeTime", {"type": "null"}, {"type": "string"})
    closed = _while_running("closed", {"const": False}, {"const": True})
    ends = ["COMPLETED", "FAILED", "TIMED_OUT", "CANCELED", "TERMINATED", "CONTINUED_AS_NEW"]
    done = {
        "reason": text("The event that closed the run.", enum=[f"WORKFLOW_EXECUTION_{end}" for end in ends]),
        "newRunId": ref("RunId"),
    }
    return {
        "WorkflowExecution": {
            **_execution(),
            **depending("status", *close_time),
            "description": "The run of a history.",
        },
        "HistoryResponse": shape(
            {
                "workflow": or_null(ref("WorkflowExecution")),
                "events": {"type": "array", "items": ref("HistoryEvent")},
                "runId": ref("RunId"),
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
            **depending("status", *close_time, *closed),
            "description": "The first frame of a stream: the run as it stands.",
        },
        "StreamHistory": {
            "description": "Events that have come since the frame before; its `id` is that of the last one.",
            "type": "array",
            "minItems": 1,
            "items": ref("HistoryEvent"),
        },
        "StreamDone": {
            **shape(done, optional=("newRunId",)),
            **depending(
                "reason", when("reason", ["WORKFLOW_EXECUTION_CONTINUED_AS_NEW"], {"required": ["newRunId"]})
            ),
            "description": "The last frame of a stream. `newRunId` is the run that carries on, if one does.",
        },
        "StreamError": shape(
            {"error": text(), "message": text(), "workflowId": text(), "runId": ref("RunId")},
            about="The last frame of a stream that broke after it had begun.",
        ),
    }


def _result() -> JsonSchema:
    common: JsonSchema = {
        "workflowId": text(),
        "runId": ref("RunId"),
        "status": text(enum=CLOSED_STATUSES),
        "input": {"description": "The input as it was sent; null if none was."},
        "output": {"description": "What the workflow returned; null if it did not complete."},
    }
    result = {
        "v": {"type": "string", "const": "2"},
        **common,
        "trace": or_null(ref("TraceDestinations")),
        "error": or_null(ref("WorkflowError")),
    }
    nothing, something = {"type": "null"}, {"type": "object"}
    details = {
        "message": {"type": ["string", "null"]},
        "name": {"type": ["string", "null"]},
        "retryable": {"type": ["boolean", "null"]},
        "activityId": {"type": ["string", "null"]},
        "cause": or_null(ref("LegacyCause")),
    }
    legacy = {
        # It never has one, see below. Generated clients use this to tell it from other results.
        "v": text(enum=["1"]),
        **common,
        "trace": or_null(shape({"destinations": ref("TraceDestinations")}, optional=("destinations",))),
        "error": {"type": ["string", "null"]},
        "errorDetails": or_null(shape(details)),
    }
    return {
        "WorkflowError": {
            "description": "Why a run did not complete. An error's own properties come along.",
            "type": "object",
            "required": ["name", "message"],
            "properties": {
                "activityType": text("`workflow#step`, if it was a step that failed."),
                "name": text("The error's class."),
                "message": text(),
                "cause": {"description": "What the error says caused it: an error like it, or any value."},
            },
            "additionalProperties": True,
        },
        "TraceDestinations": shape(
            {
                "local": text("The file's path on the worker's machine.", pattern="^.*\\.json$"),
                "remote": text("The file's address in S3.", format="uri", pattern="^https?://.+\\.json$"),
            },
            optional=("local", "remote"),
            about="Where the run's trace is kept.",
        ),
        "WorkflowResult": {
            **shape(result, about="How a run ended. A workflow that failed is an answer like any other."),
            **depending(
                "status",
                when("status", ["completed"], {"properties": {"error": nothing}}),
                when("status", ["continued_as_new"], {"properties": {"error": nothing, "output": nothing}}),
                when(
                    "status",
                    ["failed", "cancelled", "terminated", "timed_out"],
                    {"properties": {"error": something, "output": nothing}},
                ),
            ),
        },
        "LegacyCause": shape(
            {"name": text(), "message": text(), "cause": ref("LegacyCause")}, optional=("cause",)
        ),
        "LegacyWorkflowResult": {
            **shape(
                legacy,
                # The server omits an input that was not sent, here as in `…/input` (feedback).
                optional=("v", "input"),
                about="The result of a run that closed before its first workflow task: no `v`.",
            ),
            "dependentSchemas": {"v": False},
            "deprecated": True,
        },
        "WorkflowResultResponse": {"oneOf": [ref("WorkflowResult"), ref("LegacyWorkflowResult")]},
    }


def _run() -> JsonSchema:
    epoch = number("Milliseconds since 1970.", minimum=0, format="int64")
    ids: JsonSchema = {"workflowId": text(), "runId": ref("RunId")}
    status = {
        **ids,
        "status": text(enum=[*STATUSES, "unspecified"]),
        "startedAt": epoch,
        # Not a constant: some generated clients would then try no other schema.
        "completedAt": {"description": "Empty while the run runs.", "anyOf": [epoch, text(maxLength=0)]},
    }
    info = {
        **ids,
        "workflowType": text("The workflow's real name, never an alias."),
        "status": text(enum=STATUSES),
        "startedAt": ref("IsoTime"),
        "completedAt": or_null(ref("IsoTime")),
    }
    return {
        "StartResponse": shape(ids, about="The run that has been started."),
        "StopResponse": shape(ids, about="The run that has been asked to stop."),
        "TerminateResponse": {
            **shape({"terminated": flag(), **ids}, about="The run that has been ended."),
            # Some generators treat constants as strings.
            **depending("terminated", {"properties": {"terminated": {"const": True}}}),
        },
        "ResetResponse": shape(ids, about="`runId` is the new run."),
        "InputResponse": shape(
            {**ids, "input": {"description": "The input as it was sent; missing if none was."}},
            optional=("input",),
        ),
        "StatusResponse": {
            **shape(status),
            **depending("status", *_while_running("completedAt", {"const": ""}, {"type": "integer"})),
        },
        "RunInfo": {
            **shape(info),
            **depending("status", *_while_running("completedAt", {"type": "null"}, {"type": "string"})),
        },
        "RunsResponse": shape(
            {
                "runs": {"type": "array", "items": ref("RunInfo"), "description": "Newest first."},
                "count": {"type": "integer", "minimum": 0, "description": "How many this answer holds."},
            }
        ),
    }


def _catalog() -> JsonSchema:
    schema = or_null(record("A JSON Schema."))
    workflow = {
        "name": text(),
        "description": text(),
        "inputSchema": schema,
        "outputSchema": schema,
        "path": text("The workflow's file on the worker's machine."),
        "activities": {"type": "array", "items": record()},
        "aliases": {"type": "array", "items": text(), "description": "Other names for it."},
    }
    names: JsonSchema = {
        "description": "Every name and alias, with the real name that it stands for.",
        "type": "object",
        "additionalProperties": {"type": "string"},
    }
    return {
        "Workflow": shape(workflow, optional=("description",)),
        "CatalogResponse": shape(
            {"workflows": {"type": "array", "items": ref("Workflow")}, "workflowNames": names}
        ),
    }


def _trace() -> JsonSchema:
    instant = number("Milliseconds since 1970.", format="int64")
    node = {
        "id": text("A workflow's run id, or a step's number within its run."),
        "kind": text(
            "`workflow`, `step`, `evaluator`, `llm`, `http`, `internal_step`, or a word of the step's own."
        ),
        "name": text(),
        "startedAt": instant,
        "endedAt": or_null(instant),
        "input": {},
        "output": {},
        "error": {
            "description": "An object, or whatever the step has thrown. A step that was retried may have an "
            "output as well."
        },
        "children": {"type": "array", "items": ref("TraceNode")},
        "attributes": record(),
    }
    source = {"remote": text(const="remote"), "local": text(const="local")}
    path = text("The file's path on the worker's machine.", pattern="^.*\\.json$")
    return {
        "TraceNode": shape(
            node,
            optional=("input", "output", "error"),
            about="A piece of work, with the pieces that it is made of.",
        ),
        "RemoteTrace": shape({"source": source["remote"], "runId": ref("RunId"), "data": ref("TraceNode")}),
        "LocalTrace": shape({"source": source["local"], "runId": ref("RunId"), "localPath": path}),
        "TraceResponse": {"oneOf": [ref("RemoteTrace"), ref("LocalTrace")]},
    }


SHAPES: dict[str, JsonSchema] = {
    "RunId": text(format="uuid", pattern=f"^{UUID}$"),
    "IsoTime": text("UTC, to the millisecond.", format="date-time", pattern=_TIME),
    **_run(),
    **_result(),
    **_catalog(),
    **_trace(),
    **_history(),
}
