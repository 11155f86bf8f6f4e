"""The schemas of a history's events."""

from __future__ import annotations

from output_mock.contract.schemas import JsonSchema, ref, shape, text, when

# A word for each kind of value that event attributes hold. Event ids come in two forms, by the field.
_VALUES: dict[str, JsonSchema] = {
    "id": {"type": "string", "pattern": "^[0-9]+$"},
    "long": ref("Long"),
    "int": {"type": "integer"},
    "flag": {"type": "boolean"},
    "text": {"type": "string"},
    "run": ref("RunId"),
    "time": ref("Duration"),
    "queue": ref("TaskQueue"),
    "type": shape({"name": text()}),
    "execution": shape({"workflowId": text(), "runId": ref("RunId")}),
    "version": shape({"buildId": text()}),
    "update": shape({"updateId": text(), "identity": text()}),
    "values": {"type": "array"},
    "payloads": ref("Payloads"),
    "failure": ref("Failure"),
    "step_failure": ref("StepFailure"),
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


def _attributes(fields: str) -> JsonSchema:
    """The schema that a line of `_EVENTS` stands for."""
    properties: JsonSchema = {}
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


def _history_event() -> JsonSchema:
    rules = []
    for (number, name), fields in _EVENTS.items():
        key = _attributes_key(name)
        # A name of its own for each recorded kind, so that generated clients have types for them.
        schema = ref(key[0].upper() + key[1:]) if fields else {"type": "object"}
        then = {"required": [key], "properties": {"eventTypeName": {"const": name}, key: schema}}
        rules.append(when("eventType", [number], then))
    return {
        "description": "One event of a run's history, with exactly one object of attributes.",
        "type": "object",
        "required": ["eventId", "eventType", "eventTypeName", "eventTime"],
        "properties": {
            "eventId": text("A number from 1, as text.", pattern="^[1-9][0-9]*$"),
            "eventType": {"type": "integer", "minimum": 1, "maximum": 60},
            "eventTypeName": text("Temporal's name of the type.", pattern="^[A-Z]+(_[A-Z]+)+$"),
            "eventTime": ref("IsoTime"),
        },
        "patternProperties": {"^[a-z][A-Za-z]*EventAttributes$": {"type": "object"}},
        "additionalProperties": False,
        # The four properties above and one more.
        "minProperties": 5,
        "maxProperties": 5,
        "allOf": rules,
    }


def event_schemas() -> JsonSchema:
    schemas: JsonSchema = {"HistoryEvent": _history_event()}
    for (_, name), fields in _EVENTS.items():
        if fields:
            key = _attributes_key(name)
            schemas[key[0].upper() + key[1:]] = _attributes(fields)
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
        },
        "StepFailure": shape(
            {"message": text(), "stackTrace": text(), "type": {"type": ["string", "null"]}},
            about="The shortened failure of a step.",
        ),
    }
