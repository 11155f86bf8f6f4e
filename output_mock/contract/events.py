"""The kinds of history events: Temporal's number and name for each, and its attributes.

This is the only table of events. The engine creates instances of these classes. Replay and traces read
their fields, `rendering` writes what clients see, the state file stores their fields, and the OpenAPI
document takes its schemas from here. To add an attribute, add a line to a class.

A class lists its attributes in the order in which the server writes them, as the recordings named at the
class show. `shown` is a field that clients see. `derived` is computed from other fields or from the start
of the run. `hidden` is a field that only the fake uses. The arguments of a class have the same order, after
`time` (nanoseconds since 1970). All are required, and for type checkers all fields are read-only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Protocol, TypeVar

from output_mock.contract.failures import IDENTITY, Cause
from output_mock.contract.payloads import payload
from output_mock.contract.run_start import ActivityOptions, Memo, StartInfo, WorkflowDetails
from output_mock.contract.schemas import JsonSchema
from output_mock.contract.wire_forms import (
    BUILD,
    DURATION,
    EVENT_ID,
    EXECUTION,
    FAILURE,
    FLAG,
    LIST,
    LONG,
    MEMO,
    NUMBER,
    OBJECT,
    PAYLOAD,
    PAYLOADS,
    RETRY_POLICY,
    RUN_ID,
    SHORT_FAILURE,
    TASK_QUEUE,
    TEXT,
    TYPE,
    UPDATE_META,
    VALUE,
    VALUES,
    Form,
    request_id,
)
from output_mock.javascript_json import UNDEFINED

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_options: Any) -> Callable[[Any], Any]:
        """Only type checkers use this; `typing` has it since Python 3.11."""
        return lambda decorator: decorator


T = TypeVar("T")
NAMESPACE_ID = "6f1c2d0e-7a58-4c3b-9d24-0b5e8f6a1c90"
_STICKY_QUEUE = "1@worker-output-mock"
_BUILD = "output-mock"
_FOREVER = 2**63
# The attributes that the server omits unless a client asks for payloads.
_PAYLOAD_KEYS = frozenset({"input", "result", "failure", "details", "lastCompletionResult", "lastFailure"})

# From this number of events on, the server suggests that a run continues as new (many_events).
EVENTS_TO_CONTINUE = 4096

# The types of fields. The state file has a form for each of them.
Json = Any
Length = Annotated[int, "nanoseconds"]


class StepThrew(Protocol):
    """What awaiting a failed step raises (`sdk.failures.StepFailure`)."""

    chain: Cause


class ChildThrew(Protocol):
    """What awaiting a failed child raises (`sdk.failures.ChildFailure`)."""

    status: str
    chain: Cause


class Requester(NamedTuple):
    """The parent that asks a child to stop, and the event in the parent's history that asks."""

    workflow_id: str
    run_id: str
    initiated_id: int


# Takes the start of the run, the number of the event, and the event.
Of = Callable[[StartInfo, int, Any], Any]


class _Absent:
    """The type of `ABSENT`."""


# The value of an attribute that an event lacks.
ABSENT = _Absent()


class Attribute(NamedTuple):
    """An attribute of a kind of event, as clients see it."""

    key: str
    form: Form
    # The value as it is written, or `ABSENT` if the event lacks the attribute.
    of: Of
    # Whether some events of the kind lack it.
    is_optional: bool
    # Whether the server omits it unless a client asks for payloads.
    is_payload: bool
    # Whether it comes before or after the others: -1, 0 or 1.
    rank: int = 0


def shown(key: str, form: Form, *, optional: bool = False, first: bool = False, sized: bool = True) -> Any:
    """A field that clients see, under this key and in this form.

    If `optional`, the server omits it when it is None. `first` puts it before the attributes that several
    kinds share. Payloads and failures count towards the size of a history. Set `sized` to false if another
    event already counts them.
    """
    return dataclasses.field(
        metadata={
            "key": key,
            "form": form,
            "optional": optional,
            "first": first,
            "sized": sized and form.is_sized,
        }
    )


def hidden(*, sized: bool = False) -> Any:
    """A field that clients do not see, except as part of a `derived` attribute."""
    return dataclasses.field(metadata={"sized": sized})


class _Derived(NamedTuple):
    key: str
    form: Form
    of: Any
    optional: bool
    last: bool


def derived(key: str, form: Form, of: Any, *, optional: bool = False, last: bool = False) -> _Derived:
    """An attribute without a field: a constant, or a function of the run's start, the event's number and
    the event. If `optional`, the server omits it when the function returns `ABSENT`. `last` puts it
    after the attributes that a kind adds to those that it shares with others.
    """
    return _Derived(key, form, of, optional, last)


@dataclass_transform(eq_default=False, frozen_default=True, field_specifiers=(shown, hidden))
def _with_fields(kind: type[T]) -> type[T]:
    attributes: dict[str, Attribute] = {one.key: one for one in getattr(kind.__base__, "attributes", ())}
    for name, line in list(vars(kind).items()):
        if isinstance(line, _Derived):
            attributes[line.key] = _attribute_of_derived(line)
            delattr(kind, name)
        elif isinstance(line, dataclasses.Field) and "key" in line.metadata:
            attributes[line.metadata["key"]] = _attribute_of_field(name, line)
    made: Any = dataclasses.dataclass(eq=False, slots=True)(kind)
    made.attributes = tuple(sorted(attributes.values(), key=lambda one: one.rank))
    made.without_payloads = tuple(one for one in made.attributes if not one.is_payload)
    made.sized = tuple(one.name for one in dataclasses.fields(made) if one.metadata.get("sized"))
    return made  # type: ignore[no-any-return]


def _attribute_of_derived(line: _Derived) -> Attribute:
    key, form, of, optional, last = line
    write = form.write

    def found(info: StartInfo, event_id: int, event: Any) -> Any:
        value = of(info, event_id, event)
        return ABSENT if value is ABSENT else write(value)

    def constant(_info: StartInfo, _event_id: int, _event: Any) -> Any:
        return write(of)

    return Attribute(
        key, form, found if callable(of) else constant, optional, key in _PAYLOAD_KEYS, int(last)
    )


def _attribute_of_field(name: str, line: dataclasses.Field[Any]) -> Attribute:
    key, form, optional = line.metadata["key"], line.metadata["form"], line.metadata["optional"]
    read, write = attrgetter(name), form.write

    def found(_info: StartInfo, _event_id: int, event: Any) -> Any:
        value = read(event)
        return ABSENT if optional and value is None else write(value)

    return Attribute(key, form, found, optional, key in _PAYLOAD_KEYS, -line.metadata["first"])


@_with_fields
class Event:
    """An event in a run, at a `time` in nanoseconds since 1970."""

    number: ClassVar[int]
    # Temporal's name for the kind, and the key that holds an event's attributes.
    name: ClassVar[str]
    key: ClassVar[str]
    attributes: ClassVar[tuple[Attribute, ...]] = ()
    # The attributes that every client sees.
    without_payloads: ClassVar[tuple[Attribute, ...]] = ()
    # The fields whose size counts towards the limit of the history.
    sized: ClassVar[tuple[str, ...]] = ()

    time: int


# The kinds by Temporal's numbers.
KINDS: dict[int, type[Event]] = {}
# The kinds that no run of the fake has.
OTHER_KINDS = {
    8: "WORKFLOW_TASK_TIMED_OUT",
    30: "START_CHILD_WORKFLOW_EXECUTION_FAILED",
    40: "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
    42: "WORKFLOW_EXECUTION_UPDATE_REJECTED",
}
E_ = TypeVar("E_", bound=Event)


@dataclass_transform(eq_default=False, frozen_default=True, field_specifiers=(shown, hidden))
def _kind(number: int) -> Callable[[type[E_]], type[E_]]:
    """Register a class as the kind with this number. Its name is Temporal's own."""

    def declared(kind: type[E_]) -> type[E_]:
        made = _with_fields(kind)
        made.number = number
        made.name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).upper()
        made.key = attributes_key(made.name)
        KINDS[number] = made
        return made

    return declared


def attributes_key(name: str) -> str:
    """The key that holds the attributes of an event of this kind."""
    first, *rest = name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest) + "EventAttributes"


def schema(kind: type[Event]) -> JsonSchema:
    """The schema of a kind's attributes. It allows further attributes."""
    return {
        "type": "object",
        "required": [one.key for one in kind.attributes if not (one.is_optional or one.is_payload)],
        "properties": {one.key: one.form.schema for one in kind.attributes},
    }


# Functions that several kinds share


def _task_queue(info: StartInfo, _id: int, _event: Any) -> str:
    return info.task_queue


def _namespace(info: StartInfo, _id: int, _event: Any) -> str:
    return info.namespace


def _request(info: StartInfo, event_id: int, _event: Any) -> str:
    return request_id(info.run_id, event_id)


def _nothing(_info: StartInfo, _id: int, _event: Any) -> dict[str, Any]:
    return {}


def _empty_list(_info: StartInfo, _id: int, _event: Any) -> list[Any]:
    return []


def _given(value: Any) -> Any:
    """The value, unless it is None."""
    return ABSENT if value is None else value


# Runs


def _if_child(of: Callable[[Any], Any]) -> Of:
    return lambda _info, _id, event: ABSENT if event.info.parent is None else of(event.info)


def _if_continued(of: Callable[[Any], Any]) -> Of:
    return lambda _info, _id, event: ABSENT if event.info.continued_run_id is None else of(event.info)


def _memo_at_start(_info: StartInfo, _id: int, event: Any) -> Any:
    began: StartInfo = event.info
    if began.catalog is not None:
        return {"fields": _catalog_memo(began.catalog())}
    return ABSENT if began.memo is None else {"fields": began.memo.fields()}


def _catalog_memo(catalog: dict[str, Any]) -> dict[str, Any]:
    """The memo of a catalog's run: the names of its workflows, and a fingerprint of all of it."""
    digest = hashlib.sha256(json.dumps(catalog, sort_keys=True, default=repr).encode()).hexdigest()
    return {"workflowNames": payload(catalog["workflowNames"]), "hash": payload(digest)}


def _reset_points(_info: StartInfo, _id: int, event: Any) -> Any:
    if event.info.reset_points is None:
        return ABSENT
    run_id, task_id, created, expires = event.info.reset_points
    point = {
        "runId": run_id,
        "firstWorkflowTaskCompletedId": str(task_id),
        "createTime": DURATION.write(created),
        "expireTime": DURATION.write(expires),
        "resettable": True,
        "buildId": _BUILD,
    }
    return {"points": [point]}


def _in_whole_milliseconds(moment: int) -> int:
    """The nearest millisecond, in nanoseconds: Temporal rounds when a run expires, and no other time."""
    return (moment + 500_000) // 1_000_000 * 1_000_000


@_kind(1)
class WorkflowExecutionStarted(Event):
    """The run has started (run_completes, continue_as_new, child_workflow)."""

    info: StartInfo = hidden(sized=True)

    _completion_callbacks = derived("completionCallbacks", LIST, _empty_list)
    _workflow_type = derived("workflowType", TYPE, lambda _info, _id, event: event.info.workflow_type)
    _parent_namespace = derived(
        "parentWorkflowNamespace", TEXT, _if_child(lambda began: began.namespace), optional=True
    )
    _parent_execution = derived(
        "parentWorkflowExecution",
        EXECUTION,
        _if_child(lambda began: (began.parent.workflow_id, began.parent.run_id)),
        optional=True,
    )
    _parent_initiated = derived(
        "parentInitiatedEventId",
        LONG,
        _if_child(lambda began: began.parent.initiated_id),
        optional=True,
    )
    _task_queue = derived("taskQueue", TASK_QUEUE, lambda _info, _id, event: event.info.task_queue)
    _input = derived("input", VALUES, lambda _info, _id, event: event.info.arguments())
    _execution_timeout = derived(
        "workflowExecutionTimeout",
        DURATION,
        lambda _info, _id, event: event.info.timeout or ABSENT,
        optional=True,
    )
    _run_timeout = derived(
        "workflowRunTimeout",
        DURATION,
        lambda _info, _id, event: (
            ABSENT if not event.info.timeout and event.info.parent is None else event.info.timeout
        ),
        optional=True,
    )
    _task_timeout = derived(
        "workflowTaskTimeout", DURATION, lambda _info, _id, event: event.info.task_timeout
    )
    _continued_run_id = derived(
        "continuedExecutionRunId", RUN_ID, _if_continued(lambda began: began.continued_run_id), optional=True
    )
    _initiator = derived("initiator", NUMBER, _if_continued(lambda began: 1), optional=True)
    _original_run_id = derived("originalExecutionRunId", RUN_ID, lambda _info, _id, event: event.info.run_id)
    _identity = derived(
        "identity",
        TEXT,
        lambda _info, _id, event: (
            IDENTITY if event.info.continued_run_id is None and event.info.parent is None else ABSENT
        ),
        optional=True,
    )
    _first_run_id = derived("firstExecutionRunId", RUN_ID, lambda _info, _id, event: event.info.first_run_id)
    _attempt = derived("attempt", NUMBER, 1)
    _expiration = derived(
        "workflowExecutionExpirationTime",
        DURATION,
        lambda _info, _id, event: _in_whole_milliseconds(event.info.expiration) or ABSENT,
        optional=True,
    )
    _backoff = derived(
        "firstWorkflowTaskBackoff",
        DURATION,
        lambda _info, _id, event: (
            ABSENT
            if event.info.continued_run_id is not None and not event.info.backoff
            else event.info.backoff
        ),
        optional=True,
    )
    _memo = derived("memo", OBJECT, _memo_at_start, optional=True)
    _reset_points = derived("prevAutoResetPoints", OBJECT, _reset_points, optional=True)
    _header = derived(
        "header",
        OBJECT,
        lambda _info, _id, event: {} if event.info.continued_run_id is None else ABSENT,
        optional=True,
    )
    _parent_namespace_id = derived(
        "parentWorkflowNamespaceId", TEXT, _if_child(lambda began: NAMESPACE_ID), optional=True
    )
    _workflow_id = derived("workflowId", TEXT, lambda _info, _id, event: event.info.workflow_id)
    _root_execution = derived(
        "rootWorkflowExecution",
        EXECUTION,
        _if_child(lambda began: (began.parent.root_workflow_id, began.parent.root_run_id)),
        optional=True,
    )


@_kind(2)
class WorkflowExecutionCompleted(Event):
    """The run has completed (run_completes)."""

    result: Json = shown("result", VALUE)
    task_completed: int = shown("workflowTaskCompletedEventId", LONG)


@_kind(3)
class WorkflowExecutionFailed(Event):
    """The run has failed (run_fails_*)."""

    failure: Cause = shown("failure", FAILURE)
    _retry_state = derived("retryState", NUMBER, 5)
    task_completed: int = shown("workflowTaskCompletedEventId", LONG)


@_kind(4)
class WorkflowExecutionTimedOut(Event):
    """The run has reached its execution timeout (timed_out)."""

    _retry_state = derived("retryState", NUMBER, 3)


@_kind(20)
class WorkflowExecutionCancelRequested(Event):
    """A client or parent has asked the run to stop (stop_default)."""

    by: Requester | None = hidden()

    _initiated = derived(
        "externalInitiatedEventId",
        LONG,
        lambda _info, _id, event: ABSENT if event.by is None else event.by.initiated_id,
        optional=True,
    )
    _execution = derived(
        "externalWorkflowExecution",
        EXECUTION,
        lambda _info, _id, event: _given(event.by),
        optional=True,
    )
    _identity = derived("identity", TEXT, IDENTITY)


@_kind(21)
class WorkflowExecutionCanceled(Event):
    """The run has stopped (stop_default)."""

    task_completed: int = shown("workflowTaskCompletedEventId", LONG)


@_kind(26)
class WorkflowExecutionSignaled(Event):
    """The run has received a signal (approval)."""

    signal_name: str = shown("signalName", TEXT)
    input: Json = shown("input", PAYLOAD)
    _identity = derived("identity", TEXT, IDENTITY)
    _header = derived("header", OBJECT, _nothing)
    _request_id = derived("requestId", TEXT, _request)


@_kind(27)
class WorkflowExecutionTerminated(Event):
    """A client has terminated the run (terminate, reset)."""

    reason: str | None = shown("reason", TEXT, optional=True)
    _details = derived(
        "details", OBJECT, lambda _info, _id, event: {} if event.has_details else ABSENT, optional=True
    )
    identity: str = shown("identity", TEXT)
    has_details: bool = hidden()


@_kind(28)
class WorkflowExecutionContinuedAsNew(Event):
    """The run has continued as new (continue_as_new)."""

    new_run_id: str = shown("newExecutionRunId", RUN_ID)
    _workflow_type = derived("workflowType", TYPE, lambda info, _id, _event: info.workflow_type)
    _task_queue = derived("taskQueue", TASK_QUEUE, _task_queue)
    input: Json = shown("input", PAYLOAD)
    _run_timeout = derived("workflowRunTimeout", DURATION, lambda info, _id, _event: info.timeout)
    _task_timeout = derived("workflowTaskTimeout", DURATION, lambda info, _id, _event: info.task_timeout)
    task_completed: int = shown("workflowTaskCompletedEventId", LONG)
    _memo = derived("memo", MEMO, lambda info, _id, _event: _given(info.memo), optional=True)
    _inherits_build = derived("inheritBuildId", FLAG, True)


@_kind(46)
class WorkflowPropertiesModified(Event):
    """The worker has added fields to the run's memo (run_completes, untraced)."""

    task_completed: int = shown("workflowTaskCompletedEventId", LONG)
    memo: Memo = hidden()
    # The fields that this event adds; the memo also keeps the earlier ones.
    names: tuple[str, ...] = hidden()
    _upserted = derived(
        "upsertedMemo",
        OBJECT,
        lambda _info, _id, event: {
            "fields": {name: value for name, value in event.memo.fields().items() if name in event.names}
        },
    )


# Workflow tasks


@_kind(5)
class WorkflowTaskScheduled(Event):
    """The worker has a task for the run (run_completes)."""

    is_sticky: bool = hidden()

    _task_queue = derived(
        "taskQueue",
        TASK_QUEUE._replace(write=OBJECT.write),
        lambda info, _id, event: (
            {"name": _STICKY_QUEUE, "kind": "TASK_QUEUE_KIND_STICKY", "normalName": info.task_queue}
            if event.is_sticky
            else TASK_QUEUE.write(info.task_queue)
        ),
    )
    _timeout = derived("startToCloseTimeout", DURATION, lambda info, _id, _event: info.task_timeout)
    _attempt = derived("attempt", NUMBER, 1)


@_kind(6)
class WorkflowTaskStarted(Event):
    """The worker has begun its task (run_completes).

    A task that keeps failing, which no run of the fake has, names no worker (options_backwards).
    """

    _reasons = derived(
        "suggestContinueAsNewReasons",
        LIST,
        # 2 means that the history has many events.
        lambda _info, event_id, _event: [2] if event_id > EVENTS_TO_CONTINUE else [],
    )
    scheduled: int = shown("scheduledEventId", EVENT_ID)
    _identity = derived("identity", TEXT, IDENTITY, optional=True)
    _request_id = derived("requestId", TEXT, _request)
    _suggested = derived(
        "suggestContinueAsNew",
        FLAG,
        lambda _info, event_id, _event: True if event_id > EVENTS_TO_CONTINUE else ABSENT,
        optional=True,
    )
    _history_size = derived("historySizeBytes", LONG, lambda _info, event_id, _event: event_id * 140)
    # Whether the server has accepted the worker's answer (too_big_update).
    is_answered: bool = hidden()
    _worker = derived(
        "workerVersion",
        BUILD,
        lambda _info, _id, event: _BUILD if event.is_answered else ABSENT,
        optional=True,
    )


@_kind(7)
class WorkflowTaskCompleted(Event):
    """The worker has completed its task; the events of its commands follow (run_completes)."""

    scheduled: int = shown("scheduledEventId", EVENT_ID)
    started: int = shown("startedEventId", EVENT_ID)
    _identity = derived("identity", TEXT, IDENTITY)
    _worker = derived("workerVersion", BUILD, _BUILD)
    # The worker names its SDK with the first task.
    _sdk = derived(
        "sdkMetadata",
        OBJECT,
        lambda _info, _id, event: (
            {"coreUsedFlags": [1, 2, 3], "sdkName": "output-mock"} if event.scheduled == 2 else {}
        ),
    )
    _metering = derived("meteringMetadata", OBJECT, _nothing)


_RESET, _LARGE_MESSAGE = 20, 17
# The number of each cause, by the words that a reason begins with.
_CAUSES = {
    "BadScheduleActivityAttributes": 2,
    "BadFailWorkflowExecutionAttributes": 8,
    "BadContinueAsNewAttributes": 11,
    "BadStartChildExecutionAttributes": 16,
    "GrpcMessageTooLarge": _LARGE_MESSAGE,
    "BadUpdateWorkflowExecutionMessage": 30,
}


@_kind(9)
class WorkflowTaskFailed(Event):
    """The run was reset to before this task (reset), or the server rejected the task's result (too_big_*)."""

    scheduled: int = shown("scheduledEventId", EVENT_ID)
    started: int = shown("startedEventId", EVENT_ID)
    _cause = derived("cause", NUMBER, lambda _info, _id, event: _cause_of(event))
    reason: str = hidden()
    _failure = derived(
        "failure",
        FAILURE._replace(write=OBJECT.write),
        lambda _info, _id, event: _failure_of(event),
        optional=True,
    )
    _identity = derived(
        "identity",
        TEXT,
        lambda _info, _id, event: (
            "history-service" if _cause_of(event) in (_RESET, _LARGE_MESSAGE) else IDENTITY
        ),
    )
    base_run_id: str | None = shown("baseRunId", RUN_ID, optional=True)
    new_run_id: str | None = shown("newRunId", RUN_ID, optional=True)


def _failure_of(event: WorkflowTaskFailed) -> Any:
    if _cause_of(event) == _LARGE_MESSAGE:
        return ABSENT
    kind = "serverFailureInfo" if event.base_run_id is None else "resetWorkflowFailureInfo"
    return {"message": event.reason, kind: {}}


def _cause_of(event: WorkflowTaskFailed) -> int:
    return _RESET if event.base_run_id is not None else _CAUSES[event.reason.partition(":")[0]]


# Steps


def step_timeouts(info: StartInfo, options: ActivityOptions) -> tuple[int, int]:
    """How long a step may take in all (0: no limit), and how long one attempt may take."""
    whole = options.schedule_to_close or info.timeout
    return whole, min(options.start_to_close, whole or options.start_to_close)


def _schedule_to_start(info: StartInfo, _id: int, event: Any) -> int:
    options: ActivityOptions = event.options
    whole, _ = step_timeouts(info, options)
    return min(options.schedule_to_start or whole, whole or _FOREVER)


def _heartbeat(info: StartInfo, _id: int, event: Any) -> int:
    options: ActivityOptions = event.options
    return min(options.heartbeat, step_timeouts(info, options)[1])


def _if_given(value: Json) -> Any:
    return ABSENT if value is UNDEFINED else value


@_kind(10)
class ActivityTaskScheduled(Event):
    """The script has called a step (run_completes, timed_out)."""

    activity_id: str = shown("activityId", TEXT)
    activity_type: str = shown("activityType", TYPE)
    _task_queue = derived("taskQueue", TASK_QUEUE, _task_queue)
    # What the step learns about its run.
    memo: Memo = hidden()
    details: WorkflowDetails = hidden()
    _header = derived(
        "header",
        OBJECT,
        lambda _info, _id, event: {
            "fields": {**event.memo.fields(), "workflowDetails": payload(event.details.as_json())}
        },
    )
    # A step that is called without an argument has no input, rather than null (nothing_given).
    input: Json = hidden(sized=True)
    _shown_input = derived("input", VALUE, lambda _info, _id, event: _if_given(event.input), optional=True)
    _schedule_to_close = derived(
        "scheduleToCloseTimeout", DURATION, lambda info, _id, event: step_timeouts(info, event.options)[0]
    )
    _schedule_to_start = derived("scheduleToStartTimeout", DURATION, _schedule_to_start)
    _start_to_close = derived(
        "startToCloseTimeout", DURATION, lambda info, _id, event: step_timeouts(info, event.options)[1]
    )
    _heartbeat = derived("heartbeatTimeout", DURATION, _heartbeat)
    task_completed: int = shown("workflowTaskCompletedEventId", LONG)
    options: ActivityOptions = shown("retryPolicy", RETRY_POLICY)
    _uses_build = derived("useWorkflowBuildId", FLAG, True)
    _priority = derived(
        "priority", OBJECT, lambda _info, _id, event: _given(event.options.priority), optional=True
    )
    _step_name = derived("stepName", TEXT, lambda _info, _id, event: event.activity_type.rpartition("#")[2])


@_kind(11)
class ActivityTaskStarted(Event):
    """The last attempt of a step has begun. The server writes this once the attempt has ended
    (run_retries_then_completes)."""

    scheduled: int = shown("scheduledEventId", EVENT_ID)
    _identity = derived("identity", TEXT, IDENTITY)
    _request_id = derived("requestId", TEXT, _request)
    attempt: int = shown("attempt", NUMBER)
    last_failure: Cause | None = shown("lastFailure", FAILURE, optional=True, sized=False)
    # Whether its worker has answered. Only the answer says which worker it was.
    is_answered: bool = hidden()
    _worker = derived(
        "workerVersion",
        BUILD,
        lambda _info, _id, event: _BUILD if event.is_answered else ABSENT,
        optional=True,
    )


@_kind(12)
class ActivityTaskCompleted(Event):
    """A step has completed (run_completes)."""

    result: Json = shown("result", VALUE)
    scheduled: int = shown("scheduledEventId", EVENT_ID)
    started: int = shown("startedEventId", EVENT_ID)
    _identity = derived("identity", TEXT, IDENTITY)


@_kind(13)
class ActivityTaskFailed(Event):
    """A step has failed for good (run_fails_*)."""

    failure: Cause = shown("failure", SHORT_FAILURE)
    scheduled: int = shown("scheduledEventId", EVENT_ID)
    started: int = shown("startedEventId", EVENT_ID)
    _identity = derived("identity", TEXT, IDENTITY)
    retry_state: int = shown("retryState", NUMBER)
    outcome: StepThrew = hidden()


@_kind(14)
class ActivityTaskTimedOut(Event):
    """A step has exceeded its time limit, for one attempt or for all of them."""

    failure: Cause = shown("failure", FAILURE)
    scheduled: int = shown("scheduledEventId", EVENT_ID)
    started: int = shown("startedEventId", EVENT_ID)
    retry_state: int = shown("retryState", NUMBER)
    outcome: StepThrew = hidden()


@_kind(15)
class ActivityTaskCancelRequested(Event):
    """The script has stopped waiting for a step."""

    scheduled: int = shown("scheduledEventId", EVENT_ID)
    task_completed: int = shown("workflowTaskCompletedEventId", LONG)


@_kind(16)
class ActivityTaskCanceled(Event):
    """A step was cancelled while it waited for its next attempt (backoff_cancelled)."""

    _details = derived("details", PAYLOAD, "ACTIVITY_ID_NOT_STARTED")
    cancel_requested: int = shown("latestCancelRequestedEventId", LONG)
    scheduled: int = shown("scheduledEventId", EVENT_ID)
    _identity = derived("identity", TEXT, IDENTITY)


# Timers


@_kind(17)
class TimerStarted(Event):
    """The script has started a timer (start_and_poll)."""

    timer_id: str = shown("timerId", TEXT)
    length: Length = shown("startToFireTimeout", DURATION)
    task_completed: int = shown("workflowTaskCompletedEventId", LONG)


@_kind(18)
class TimerFired(Event):
    """A timer has fired (start_and_poll)."""

    timer_id: str = shown("timerId", TEXT)
    started: int = shown("startedEventId", EVENT_ID)


@_kind(19)
class TimerCanceled(Event):
    """The script has stopped waiting for a timer."""

    timer_id: str = shown("timerId", TEXT)
    started: int = shown("startedEventId", EVENT_ID)
    task_completed: int = shown("workflowTaskCompletedEventId", LONG)
    _identity = derived("identity", TEXT, IDENTITY)


# Children


@_kind(29)
class StartChildWorkflowExecutionInitiated(Event):
    """The script has called a child workflow (child_workflow)."""

    _namespace = derived("namespace", TEXT, _namespace)
    workflow_id: str = shown("workflowId", TEXT)
    workflow_type: str = shown("workflowType", TYPE)
    _task_queue = derived("taskQueue", TASK_QUEUE, _task_queue)
    given: Json = hidden(sized=True)
    # The options that the parent gave in its call.
    invocation: dict[str, Any] = hidden()
    _input = derived("input", PAYLOADS, lambda _info, _id, event: [event.given, event.invocation])
    _run_timeout = derived("workflowRunTimeout", DURATION, 0)
    _task_timeout = derived("workflowTaskTimeout", DURATION, 10_000_000_000)
    close_policy: int = shown("parentClosePolicy", NUMBER)
    task_completed: int = shown("workflowTaskCompletedEventId", LONG)
    _reuse_policy = derived("workflowIdReusePolicy", NUMBER, 1)
    _header = derived("header", OBJECT, _nothing)
    memo: Memo = shown("memo", MEMO)
    _namespace_id = derived("namespaceId", TEXT, NAMESPACE_ID)
    _inherits_build = derived("inheritBuildId", FLAG, True)


@_with_fields
class OfChild(Event):
    """Base of the events about a child."""

    _namespace = derived("namespace", TEXT, _namespace)
    workflow_id: str = hidden()
    run_id: str = hidden()
    workflow_type: str = hidden()
    initiated: int = hidden()
    started: int | None = hidden()
    _namespace_id = derived("namespaceId", TEXT, NAMESPACE_ID, last=True)


def _child_execution(_info: StartInfo, _id: int, event: Any) -> tuple[str, str]:
    return event.workflow_id, event.run_id


@_kind(31)
class ChildWorkflowExecutionStarted(OfChild):
    """A child has started (child_workflow); `started` is None."""

    initiated: int = shown("initiatedEventId", LONG)
    _execution = derived("workflowExecution", EXECUTION, _child_execution)
    workflow_type: str = shown("workflowType", TYPE)
    _header = derived("header", OBJECT, _nothing)


@_with_fields
class OfClosedChild(OfChild):
    """Base of the events that close a child; `started` is the event that started it."""

    _execution = derived("workflowExecution", EXECUTION, _child_execution)
    workflow_type: str = shown("workflowType", TYPE)
    initiated: int = shown("initiatedEventId", LONG)
    started: int = shown("startedEventId", EVENT_ID)


@_kind(32)
class ChildWorkflowExecutionCompleted(OfClosedChild):
    """A child has completed (child_workflow)."""

    result: Json = shown("result", PAYLOAD, first=True)


@_with_fields
class OfFailedChild(OfClosedChild):
    """Base of the events of a child that did not complete, with the error that awaiting it raises."""

    outcome: ChildThrew = hidden()


@_kind(33)
class ChildWorkflowExecutionFailed(OfFailedChild):
    """A child has failed (child_workflow)."""

    failure: Cause = shown("failure", FAILURE, first=True)
    _retry_state = derived("retryState", NUMBER, 5)


@_kind(34)
class ChildWorkflowExecutionCanceled(OfFailedChild):
    """A child has stopped."""


@_kind(35)
class ChildWorkflowExecutionTimedOut(OfFailedChild):
    """A child has reached its execution timeout."""

    _retry_state = derived("retryState", NUMBER, 3)


@_kind(36)
class ChildWorkflowExecutionTerminated(OfFailedChild):
    """A client has terminated a child."""


@_kind(22)
class RequestCancelExternalWorkflowExecutionInitiated(Event):
    """The script has asked a child to stop."""

    task_completed: int = shown("workflowTaskCompletedEventId", LONG)
    _namespace = derived("namespace", TEXT, _namespace)
    workflow_id: str = hidden()
    run_id: str = hidden()
    _execution = derived(
        "workflowExecution", EXECUTION, lambda _info, _id, event: (event.workflow_id, event.run_id)
    )
    _only_children = derived("childWorkflowOnly", FLAG, True)
    _namespace_id = derived("namespaceId", TEXT, NAMESPACE_ID)


@_kind(24)
class ExternalWorkflowExecutionCancelRequested(Event):
    """A child has received the request to stop."""

    initiated: int = shown("initiatedEventId", LONG)
    _namespace = derived("namespace", TEXT, _namespace)
    workflow_id: str = hidden()
    run_id: str = hidden()
    _execution = derived(
        "workflowExecution", EXECUTION, lambda _info, _id, event: (event.workflow_id, event.run_id)
    )
    _namespace_id = derived("namespaceId", TEXT, NAMESPACE_ID)


# Updates


def _update_request(_info: StartInfo, _id: int, event: Any) -> dict[str, Any]:
    return {
        "meta": {"updateId": event.update_id, "identity": IDENTITY},
        "input": {"header": {}, "name": event.update_name, "args": {"payloads": [payload(event.given)]}},
    }


@_kind(41)
class WorkflowExecutionUpdateAccepted(Event):
    """The script has accepted an update (approval)."""

    update_id: str = shown("protocolInstanceId", TEXT)
    _request_message = derived(
        "acceptedRequestMessageId", TEXT, lambda _info, _id, event: f"{event.update_id}/request"
    )
    sequencing: int = shown("acceptedRequestSequencingEventId", LONG)
    update_name: str = hidden()
    given: Json = hidden(sized=True)
    # The event that copied it from the history of another run; 0 if none did.
    admitted: int = hidden()
    _request = derived(
        "acceptedRequest",
        OBJECT,
        lambda info, event_id, event: ABSENT if event.admitted else _update_request(info, event_id, event),
        optional=True,
    )


@_kind(43)
class WorkflowExecutionUpdateCompleted(Event):
    """An update has completed or failed (approval)."""

    update_id: str = hidden()
    _meta = derived("meta", UPDATE_META, lambda _info, _id, event: (event.update_id, IDENTITY))
    result: Json = hidden(sized=True)
    # None if it did not fail.
    failure: Cause | None = hidden()
    _outcome = derived(
        "outcome",
        OBJECT,
        lambda _info, _id, event: (
            {"success": {"payloads": [payload(event.result)]}}
            if event.failure is None
            else {"failure": event.failure.proto()}
        ),
    )
    accepted: int = shown("acceptedEventId", LONG)


@_kind(47)
class WorkflowExecutionUpdateAdmitted(Event):
    """A reset has copied this update from the earlier run."""

    update_id: str = hidden()
    update_name: str = hidden()
    given: Json = hidden(sized=True)
    _request = derived("request", OBJECT, _update_request)
    _origin = derived("origin", NUMBER, 1)


def kinds_in_order() -> Iterator[tuple[int, str, type[Event] | None]]:
    """Number, name and class of every documented kind of Temporal's, sorted by number."""
    for number in sorted({*KINDS, *OTHER_KINDS}):
        kind = KINDS.get(number)
        yield number, OTHER_KINDS[number] if kind is None else kind.name, kind
