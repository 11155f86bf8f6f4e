"""The forms of values in history events, each with its schema in the OpenAPI document."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from output_mock.contract.failures import Cause
from output_mock.contract.payloads import payload, payloads
from output_mock.contract.run_start import ActivityOptions, Memo
from output_mock.contract.schemas import JsonSchema, flag, many, number, record, ref, shape, text
from output_mock.javascript_json import null_if_undefined


class Form(NamedTuple):
    """How to write a value in an event, and the schema of the result."""

    schema: JsonSchema
    write: Callable[[Any], Any]
    # Whether its size counts towards the limit of the history (`engine.history_limits`).
    is_sized: bool = False


def request_id(run_id: str, event_id: int) -> str:
    """The id of the request that caused an event. The same event always has the same id."""
    digest = hashlib.md5(f"{run_id}/{event_id}".encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


def _as_it_is(value: Any) -> Any:
    return value


def _long(value: int) -> dict[str, Any]:
    """A 64-bit number as protobuf.js prints it."""
    return {"low": value, "high": 0, "unsigned": False}


def _duration(length: int) -> dict[str, Any]:
    """A duration in nanoseconds as protobuf.js prints it, without zeros."""
    seconds, nanos = divmod(length, 1_000_000_000)
    printed: dict[str, Any] = {}
    if seconds:
        printed["seconds"] = str(seconds)
    if nanos:
        printed["nanos"] = nanos
    return printed


def _short_failure(failure: Cause) -> dict[str, Any]:
    return {"message": failure.message, "stackTrace": failure.stack or "", "type": None}


def _retry_policy(options: ActivityOptions) -> dict[str, Any]:
    backoff = int(options.backoff) if float(options.backoff).is_integer() else options.backoff
    return {
        "initialInterval": _duration(options.initial_interval),
        "backoffCoefficient": backoff,
        "maximumInterval": _duration(options.maximum_interval),
        "maximumAttempts": options.maximum_attempts,
        "nonRetryableErrorTypes": list(options.non_retryable),
    }


def _memo(memo: Memo) -> dict[str, Any]:
    return {"fields": memo.fields()}


# The number of an event has two forms, depending on the attribute.
EVENT_ID = Form(text(pattern="^[0-9]+$"), str)
LONG = Form(ref("Long"), _long)
NUMBER = Form(number(), _as_it_is)
FLAG = Form(flag(), _as_it_is)
TEXT = Form(text(), _as_it_is)
RUN_ID = Form(ref("RunId"), _as_it_is)
# Durations and points in time, in nanoseconds.
DURATION = Form(ref("Duration"), _duration)
TASK_QUEUE = Form(ref("TaskQueue"), lambda name: {"name": name, "kind": "TASK_QUEUE_KIND_NORMAL"})
TYPE = Form(shape({"name": text()}), lambda name: {"name": name})
# The ids of a workflow and of its run.
EXECUTION = Form(
    shape({"workflowId": text(), "runId": ref("RunId")}),
    lambda ids: {"workflowId": ids[0], "runId": ids[1]},
)
BUILD = Form(shape({"buildId": text()}), lambda build: {"buildId": build})
# Argument values in order: as JSON where the server unwraps them, otherwise wrapped.
VALUES = Form(many({}), lambda values: [null_if_undefined(value) for value in values], is_sized=True)
VALUE = VALUES._replace(write=lambda value: [null_if_undefined(value)])
PAYLOADS = Form(ref("Payloads"), lambda values: {"payloads": payloads(values)}, is_sized=True)
PAYLOAD = PAYLOADS._replace(write=lambda value: {"payloads": [payload(value)]})
FAILURE = Form(ref("Failure"), Cause.proto, is_sized=True)
# The shortened failure of a step.
SHORT_FAILURE = Form(ref("StepFailure"), _short_failure, is_sized=True)
MEMO = Form(record(), _memo)
RETRY_POLICY = Form(record(), _retry_policy)
# Values that are written unchanged.
OBJECT = Form(record(), _as_it_is)
LIST = Form(many({}), _as_it_is)
UPDATE_META = Form(
    shape({"updateId": text(), "identity": text()}), lambda meta: {"updateId": meta[0], "identity": meta[1]}
)
