"""What the API shows of a history's events, as the real server renders them.

Each kind of event has a renderer; the recordings named in `_RENDERERS` show what it writes.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from output_mock.contract.failures import IDENTITY
from output_mock.contract.history import (
    CANCEL_REQUESTED,
    CANCELED,
    CHILD_CANCEL_INITIATED,
    CHILD_CANCEL_REQUESTED,
    CHILD_CANCELED,
    CHILD_COMPLETED,
    CHILD_FAILED,
    CHILD_INITIATED,
    CHILD_STARTED,
    CHILD_TERMINATED,
    CHILD_TIMED_OUT,
    COMPLETED,
    CONTINUED_AS_NEW,
    FAILED,
    NAMES,
    PROPERTIES_MODIFIED,
    SIGNALED,
    STARTED,
    STEP_CANCEL_REQUESTED,
    STEP_CANCELED,
    STEP_COMPLETED,
    STEP_FAILED,
    STEP_SCHEDULED,
    STEP_STARTED,
    STEP_TIMED_OUT,
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_SCHEDULED,
    TASK_STARTED,
    TERMINATED,
    TIMED_OUT,
    TIMER_CANCELED,
    TIMER_FIRED,
    TIMER_STARTED,
    UPDATE_ACCEPTED,
    UPDATE_ADMITTED,
    UPDATE_COMPLETED,
    ActivityOptions,
    Event,
    StartInfo,
)
from output_mock.contract.payloads import payload, payloads
from output_mock.sdk.values import null_if_undefined

if TYPE_CHECKING:
    from output_mock.contract.failures import Cause

NAMESPACE_ID = "6f1c2d0e-7a58-4c3b-9d24-0b5e8f6a1c90"
_STICKY_QUEUE = "1@worker-output-mock"
_WORKER_VERSION = {"buildId": "output-mock"}
# Fields that hold payloads; left out unless a reader asks for them.
_PAYLOAD_FIELDS = ("input", "result", "failure", "details", "lastCompletionResult", "lastFailure")


# Values as the history writes them


def iso(time: int) -> str:
    """A time in nanoseconds as ISO 8601 with milliseconds, in UTC."""
    return _iso_milliseconds(time // 1_000_000)


@functools.lru_cache(maxsize=1024)
def _iso_milliseconds(time: int) -> str:
    seconds, milliseconds = divmod(time, 1000)
    stamp = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def long(number: int) -> dict[str, Any]:
    """A 64-bit number as protobuf.js prints it."""
    return {"low": number, "high": 0, "unsigned": False}


def duration(length: int) -> dict[str, Any]:
    """A length in nanoseconds as protobuf.js prints it: zeros are left out."""
    seconds, nanos = divmod(length, 1_000_000_000)
    printed: dict[str, Any] = {}
    if seconds:
        printed["seconds"] = str(seconds)
    if nanos:
        printed["nanos"] = nanos
    return printed


def _queue(name: str) -> dict[str, Any]:
    return {"name": name, "kind": "TASK_QUEUE_KIND_NORMAL"}


def _request_id(run_id: str, event_id: int) -> str:
    digest = hashlib.md5(f"{run_id}/{event_id}".encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


# What each kind of event shows. A renderer takes the run's start, the event's number and the event.


def _started(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    began: StartInfo = event[2]
    shown: dict[str, Any] = {
        "completionCallbacks": [],
        "workflowType": {"name": began.workflow_type},
    }
    if began.parent is not None:
        shown["parentWorkflowNamespace"] = began.namespace
        shown["parentWorkflowNamespaceId"] = NAMESPACE_ID
        shown["parentWorkflowExecution"] = {
            "workflowId": began.parent.workflow_id,
            "runId": began.parent.run_id,
        }
        shown["parentInitiatedEventId"] = long(began.parent.initiated_id)
    shown["taskQueue"] = _queue(began.task_queue)
    shown["input"] = [null_if_undefined(value) for value in began.arguments()]
    if began.timeout:
        shown["workflowExecutionTimeout"] = duration(began.timeout)
    if began.timeout or began.parent is not None:
        shown["workflowRunTimeout"] = duration(began.timeout)
    shown["workflowTaskTimeout"] = duration(began.task_timeout)
    if began.continued_run_id is not None:
        shown["continuedExecutionRunId"] = began.continued_run_id
        shown["initiator"] = 1
    shown["originalExecutionRunId"] = began.run_id
    if began.continued_run_id is None and began.parent is None:
        shown["identity"] = IDENTITY
    shown["firstExecutionRunId"] = began.first_run_id
    shown["attempt"] = 1
    if began.expiration:
        shown["workflowExecutionExpirationTime"] = duration(began.expiration)
    if began.continued_run_id is None or began.backoff:
        shown["firstWorkflowTaskBackoff"] = duration(began.backoff)
    if began.catalog is not None:
        shown["memo"] = {"fields": _catalog_memo(began.catalog())}
    elif began.memo is not None:
        shown["memo"] = {"fields": began.memo.fields()}
    if began.reset_points is not None:
        run_id, task_id, created, expires = began.reset_points
        point = {
            "buildId": _WORKER_VERSION["buildId"],
            "runId": run_id,
            "firstWorkflowTaskCompletedId": str(task_id),
            "createTime": duration(created),
            "expireTime": duration(expires),
            "resettable": True,
        }
        shown["prevAutoResetPoints"] = {"points": [point]}
    if began.continued_run_id is None:
        shown["header"] = {}
    shown["workflowId"] = began.workflow_id
    if began.parent is not None:
        shown["rootWorkflowExecution"] = {
            "workflowId": began.parent.root_workflow_id,
            "runId": began.parent.root_run_id,
        }
    return shown


def _catalog_memo(catalog: dict[str, Any]) -> dict[str, Any]:
    """What a catalog's run tells in its memo: the names that it knows, and a fingerprint of it all."""
    digest = hashlib.sha256(json.dumps(catalog, sort_keys=True, default=repr).encode()).hexdigest()
    return {"workflowNames": payload(catalog["workflowNames"]), "hash": payload(digest)}


def _task_scheduled(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    queue: dict[str, Any] = _queue(info.task_queue)
    if event[2]:
        queue = {"name": _STICKY_QUEUE, "kind": "TASK_QUEUE_KIND_STICKY", "normalName": info.task_queue}
    return {
        "taskQueue": queue,
        "startToCloseTimeout": duration(info.task_timeout),
        "attempt": event[3] if len(event) > 3 else 1,
    }


def _task_started(info: StartInfo, event_id: int, event: Event) -> dict[str, Any]:
    return {
        "suggestContinueAsNewReasons": [],
        "scheduledEventId": str(event[2]),
        "identity": IDENTITY,
        "requestId": _request_id(info.run_id, event_id),
        "historySizeBytes": long(event_id * 140),
        "workerVersion": _WORKER_VERSION,
    }


def _task_completed(info: StartInfo, event_id: int, event: Event) -> dict[str, Any]:
    first = event[2] == 2
    return {
        "scheduledEventId": str(event[2]),
        "startedEventId": str(event[3]),
        "identity": IDENTITY,
        "workerVersion": _WORKER_VERSION,
        "sdkMetadata": {"coreUsedFlags": [1, 2, 3], "sdkName": "output-mock"} if first else {},
        "meteringMetadata": {},
    }


def _task_failed(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, scheduled, started, reason, base_run_id, new_run_id = event
    return {
        "scheduledEventId": str(scheduled),
        "startedEventId": str(started),
        "cause": 20,
        "failure": {"message": reason, "resetWorkflowFailureInfo": {}},
        "identity": "history-service",
        "baseRunId": base_run_id,
        "newRunId": new_run_id,
    }


def _properties_modified(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    # Each upsert holds the fields that it names, where the memo holds all that came before as well.
    _, _, task_completed, memo, names = event
    fields = memo.fields()
    return {
        "workflowTaskCompletedEventId": long(task_completed),
        "upsertedMemo": {"fields": {name: fields[name] for name in names if name in fields}},
    }


def _retry_policy(options: ActivityOptions) -> dict[str, Any]:
    backoff = int(options.backoff) if float(options.backoff).is_integer() else options.backoff
    return {
        "initialInterval": duration(options.initial_interval),
        "backoffCoefficient": backoff,
        "maximumInterval": duration(options.maximum_interval),
        "maximumAttempts": options.maximum_attempts,
        "nonRetryableErrorTypes": list(options.non_retryable),
    }


_FOREVER = 2**63


def _step_scheduled(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, task_completed, activity_id, activity_type, value, options, memo, details = event
    fields = memo.fields()
    fields["workflowDetails"] = payload(details.as_json())
    whole = options.schedule_to_close or info.timeout
    start_to_close = min(options.start_to_close, whole or options.start_to_close)
    return {
        "activityId": activity_id,
        "activityType": {"name": activity_type},
        "taskQueue": _queue(info.task_queue),
        "header": {"fields": fields},
        "input": [null_if_undefined(value)],
        "scheduleToCloseTimeout": duration(whole),
        "scheduleToStartTimeout": duration(min(options.schedule_to_start or whole, whole or _FOREVER)),
        "startToCloseTimeout": duration(start_to_close),
        "heartbeatTimeout": duration(min(options.heartbeat, start_to_close)),
        "workflowTaskCompletedEventId": long(task_completed),
        "retryPolicy": _retry_policy(options),
        "useWorkflowBuildId": True,
        **({} if options.priority is None else {"priority": options.priority}),
        "stepName": activity_type.rpartition("#")[2],
    }


def _step_started(info: StartInfo, event_id: int, event: Event) -> dict[str, Any]:
    _, _, scheduled, attempt, last_failure, answered = event
    shown: dict[str, Any] = {
        "scheduledEventId": str(scheduled),
        "identity": IDENTITY,
        "requestId": _request_id(info.run_id, event_id),
        "attempt": attempt,
    }
    if last_failure is not None:
        shown["lastFailure"] = last_failure.proto()
    if answered:
        # Which worker it was is known from its answer; one that ran out of time gave none.
        shown["workerVersion"] = _WORKER_VERSION
    return shown


def _step_completed(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, scheduled, started, result = event
    return {
        "result": [null_if_undefined(result)],
        "scheduledEventId": str(scheduled),
        "startedEventId": str(started),
        "identity": IDENTITY,
    }


def _step_failed(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, scheduled, started, failure, retry_state = event[:6]
    return {
        "failure": failure.activity_event(),
        "scheduledEventId": str(scheduled),
        "startedEventId": str(started),
        "identity": IDENTITY,
        "retryState": retry_state,
    }


def _step_timed_out(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, scheduled, started, failure, retry_state = event[:6]
    return {
        "failure": failure.proto(),
        "scheduledEventId": str(scheduled),
        "startedEventId": str(started),
        "retryState": retry_state,
    }


def _step_cancel_requested(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return {"scheduledEventId": str(event[3]), "workflowTaskCompletedEventId": long(event[2])}


def _step_canceled(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, scheduled, started, requested = event
    return {
        "latestCancelRequestedEventId": long(requested),
        "scheduledEventId": str(scheduled),
        "startedEventId": str(started),
        "identity": IDENTITY,
    }


def _timer_started(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, task_completed, timer_id, length = event
    return {
        "timerId": timer_id,
        "startToFireTimeout": duration(length),
        "workflowTaskCompletedEventId": long(task_completed),
    }


def _timer_fired(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return {"timerId": event[2], "startedEventId": str(event[3])}


def _timer_canceled(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, task_completed, timer_id, started = event
    return {
        "timerId": timer_id,
        "startedEventId": str(started),
        "workflowTaskCompletedEventId": long(task_completed),
        "identity": IDENTITY,
    }


def _cancel_requested(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if len(event) > 2:
        parent_workflow_id, parent_run_id, initiated = event[2:]
        shown["externalInitiatedEventId"] = long(initiated)
        shown["externalWorkflowExecution"] = {"workflowId": parent_workflow_id, "runId": parent_run_id}
    shown["identity"] = IDENTITY
    return shown


def _with_task(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return {"workflowTaskCompletedEventId": long(event[2])}


def _completed(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return {"result": [null_if_undefined(event[3])], "workflowTaskCompletedEventId": long(event[2])}


def _failed(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    failure: Cause = event[3]
    return {"failure": failure.proto(), "retryState": 5, "workflowTaskCompletedEventId": long(event[2])}


def _timed_out(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return {"retryState": 3}


def _terminated(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, reason, identity, detailed = event
    shown: dict[str, Any] = {}
    if reason is not None:
        shown["reason"] = reason
    if detailed:
        shown["details"] = {}
    shown["identity"] = identity
    return shown


def _signaled(info: StartInfo, event_id: int, event: Event) -> dict[str, Any]:
    return {
        "signalName": event[2],
        "input": {"payloads": [payload(event[3])]},
        "identity": IDENTITY,
        "header": {},
        "requestId": _request_id(info.run_id, event_id),
    }


def _continued(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, task_completed, new_run_id, value = event
    return {
        "newExecutionRunId": new_run_id,
        "workflowType": {"name": info.workflow_type},
        "taskQueue": _queue(info.task_queue),
        "input": {"payloads": [payload(value)]},
        "workflowRunTimeout": duration(info.timeout),
        "workflowTaskTimeout": duration(info.task_timeout),
        "workflowTaskCompletedEventId": long(task_completed),
        **({} if info.memo is None else {"memo": {"fields": info.memo.fields()}}),
        "inheritBuildId": True,
    }


def _child_initiated(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, task_completed, workflow_id, workflow_type, value, memo, policy, invocation = event
    return {
        "namespace": info.namespace,
        "workflowId": workflow_id,
        "workflowType": {"name": workflow_type},
        "taskQueue": _queue(info.task_queue),
        "input": {"payloads": payloads([value, invocation])},
        "workflowRunTimeout": {},
        "workflowTaskTimeout": duration(10_000_000_000),
        "parentClosePolicy": policy,
        "workflowTaskCompletedEventId": long(task_completed),
        "workflowIdReusePolicy": 1,
        "header": {},
        "memo": {"fields": memo.fields()},
        "namespaceId": NAMESPACE_ID,
        "inheritBuildId": True,
    }


def _child(info: StartInfo, event: Event) -> dict[str, Any]:
    workflow_id, run_id, workflow_type, initiated, started = event[2:7]
    shown: dict[str, Any] = {
        "namespace": info.namespace,
        "workflowExecution": {"workflowId": workflow_id, "runId": run_id},
        "workflowType": {"name": workflow_type},
        "initiatedEventId": long(initiated),
    }
    if started:
        shown["startedEventId"] = str(started)
    shown["namespaceId"] = NAMESPACE_ID
    return shown


def _child_started(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return {**_child(info, event), "header": {}}


def _child_completed(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return {"result": {"payloads": [payload(event[7])]}, **_child(info, event)}


def _child_failed(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return {"failure": event[7].proto(), **_child(info, event), "retryState": 5}


def _child_closed(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return _child(info, event)


def _child_timed_out(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return {**_child(info, event), "retryState": 3}


def _child_cancel_initiated(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, task_completed, workflow_id, run_id = event
    return {
        "workflowTaskCompletedEventId": long(task_completed),
        "namespace": info.namespace,
        "workflowExecution": {"workflowId": workflow_id, "runId": run_id},
        "childWorkflowOnly": True,
        "namespaceId": NAMESPACE_ID,
    }


def _child_cancel_requested(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, initiated, workflow_id, run_id = event
    return {
        "initiatedEventId": long(initiated),
        "namespace": info.namespace,
        "workflowExecution": {"workflowId": workflow_id, "runId": run_id},
        "namespaceId": NAMESPACE_ID,
    }


def _update_request(update_id: str, name: str, value: Any) -> dict[str, Any]:
    return {
        "meta": {"updateId": update_id, "identity": IDENTITY},
        "input": {"header": {}, "name": name, "args": {"payloads": [payload(value)]}},
    }


def _update_accepted(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, update_id, sequencing, name, value, admitted = event
    shown: dict[str, Any] = {
        "protocolInstanceId": update_id,
        "acceptedRequestMessageId": f"{update_id}/request",
        "acceptedRequestSequencingEventId": long(sequencing),
    }
    if not admitted:
        shown["acceptedRequest"] = _update_request(update_id, name, value)
    return shown


def _update_admitted(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    return {"request": _update_request(*event[2:]), "origin": 1}


def _update_completed(info: StartInfo, _id: int, event: Event) -> dict[str, Any]:
    _, _, update_id, accepted, result, failure = event
    outcome = (
        {"success": {"payloads": [payload(result)]}} if failure is None else {"failure": failure.proto()}
    )
    return {
        "meta": {"updateId": update_id, "identity": IDENTITY},
        "outcome": outcome,
        "acceptedEventId": long(accepted),
    }


_Renderer = Callable[[StartInfo, int, Event], dict[str, Any]]
_RENDERERS: dict[int, tuple[str, _Renderer]] = {
    STARTED: ("workflowExecutionStarted", _started),  # run_completes, continue_as_new
    COMPLETED: ("workflowExecutionCompleted", _completed),  # run_completes
    FAILED: ("workflowExecutionFailed", _failed),  # run_fails_*
    TIMED_OUT: ("workflowExecutionTimedOut", _timed_out),  # timed_out
    TASK_SCHEDULED: ("workflowTaskScheduled", _task_scheduled),  # run_completes
    TASK_STARTED: ("workflowTaskStarted", _task_started),  # run_completes
    TASK_COMPLETED: ("workflowTaskCompleted", _task_completed),  # run_completes
    TASK_FAILED: ("workflowTaskFailed", _task_failed),  # reset
    STEP_SCHEDULED: ("activityTaskScheduled", _step_scheduled),  # run_completes, timed_out
    STEP_STARTED: ("activityTaskStarted", _step_started),  # run_retries_then_completes
    STEP_COMPLETED: ("activityTaskCompleted", _step_completed),  # run_completes
    STEP_FAILED: ("activityTaskFailed", _step_failed),  # run_fails_*
    STEP_TIMED_OUT: ("activityTaskTimedOut", _step_timed_out),
    STEP_CANCEL_REQUESTED: ("activityTaskCancelRequested", _step_cancel_requested),
    STEP_CANCELED: ("activityTaskCanceled", _step_canceled),
    TIMER_STARTED: ("timerStarted", _timer_started),  # start_and_poll
    TIMER_FIRED: ("timerFired", _timer_fired),  # start_and_poll
    TIMER_CANCELED: ("timerCanceled", _timer_canceled),
    CANCEL_REQUESTED: ("workflowExecutionCancelRequested", _cancel_requested),  # stop_default
    CANCELED: ("workflowExecutionCanceled", _with_task),  # stop_default
    CHILD_CANCEL_INITIATED: ("requestCancelExternalWorkflowExecutionInitiated", _child_cancel_initiated),
    CHILD_CANCEL_REQUESTED: ("externalWorkflowExecutionCancelRequested", _child_cancel_requested),
    SIGNALED: ("workflowExecutionSignaled", _signaled),  # approval
    TERMINATED: ("workflowExecutionTerminated", _terminated),  # terminate, reset
    CONTINUED_AS_NEW: ("workflowExecutionContinuedAsNew", _continued),  # continue_as_new
    CHILD_INITIATED: ("startChildWorkflowExecutionInitiated", _child_initiated),  # child_workflow
    CHILD_STARTED: ("childWorkflowExecutionStarted", _child_started),  # child_workflow
    CHILD_COMPLETED: ("childWorkflowExecutionCompleted", _child_completed),  # child_workflow
    CHILD_FAILED: ("childWorkflowExecutionFailed", _child_failed),  # child_workflow
    CHILD_CANCELED: ("childWorkflowExecutionCanceled", _child_closed),
    CHILD_TIMED_OUT: ("childWorkflowExecutionTimedOut", _child_timed_out),
    CHILD_TERMINATED: ("childWorkflowExecutionTerminated", _child_closed),
    UPDATE_ACCEPTED: ("workflowExecutionUpdateAccepted", _update_accepted),  # approval
    UPDATE_COMPLETED: ("workflowExecutionUpdateCompleted", _update_completed),  # approval
    PROPERTIES_MODIFIED: ("workflowPropertiesModified", _properties_modified),  # run_completes, untraced
    UPDATE_ADMITTED: ("workflowExecutionUpdateAdmitted", _update_admitted),
}


def render(info: StartInfo, event_id: int, event: Event, *, include_payloads: bool) -> dict[str, Any]:
    """An event as `/history` shows it; fields that hold payloads only with `include_payloads`."""
    kind = event[0]
    name, renderer = _RENDERERS[kind]
    attributes = renderer(info, event_id, event)
    if not include_payloads:
        for field in _PAYLOAD_FIELDS:
            attributes.pop(field, None)
    return {
        "eventId": str(event_id),
        "eventType": kind,
        "eventTypeName": NAMES[kind],
        "eventTime": iso(event[1]),
        f"{name}EventAttributes": attributes,
    }
