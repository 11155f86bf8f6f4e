"""Writes values, failures and other small parts as JSON, and reads them again (see `state`)."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from typing import Any

from output_mock.contract.failures import Cause
from output_mock.javascript_json import UNDEFINED, as_json
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import Application, Failure
from output_mock.state.checked import (
    Unreadable,
    base_64,
    below,
    fields,
    flag,
    mapping,
    maybe,
    row,
    text,
)

STATUSES = (*("running", "completed", "failed", "cancelled", "terminated", "timed_out", "continued_as_new"),)


# Values


def value_json(value: Any) -> list[Any]:
    """A value that may be undefined."""
    return [] if value is UNDEFINED else [value]


def value(given: Any) -> Any:
    """Read what `value_json` has written."""
    if type(given) is not list or len(given) > 1:
        raise Unreadable("a value is a list of one, or of none where it is undefined")
    return as_json(given[0]) if given else UNDEFINED


def json_object(given: Any) -> dict[str, Any]:
    found: dict[str, Any] = as_json(mapping(given))
    return found


def random_json(state: Any) -> list[Any]:
    """The state of a random generator."""
    _, numbers, gauss = state
    packed = struct.pack(f"<{len(numbers)}I", *numbers)
    return [base64.b64encode(packed).decode(), gauss]


def random_state(given: Any) -> Any:
    """Read what `random_json` has written."""
    packed, _ = row(given, text, maybe(_number))
    try:
        numbers = struct.unpack("<625I", base_64(packed))
    except (struct.error, Unreadable):
        raise Unreadable("it is not the state of a source of chance") from None
    if numbers[-1] > 624:
        raise Unreadable("it is not the state of a source of chance")
    return 3, numbers, given[1]


def _number(given: Any) -> float:
    if type(given) not in (int, float):
        raise Unreadable("it is not a number")
    number: float = given
    return number


# Failures


def failure_json(failure: Failure) -> dict[str, Any]:
    """A failure as a script defined it."""
    return {
        "message": failure.message,
        "name": failure.name,
        "cause": None if failure.cause is None else failure_json(failure.cause),
        "retryable": failure.retryable,
        "properties": failure.properties,
        "thrown": failure.thrown,
        "isError": failure.is_error,
    }


def failure(given: Any) -> Failure:
    """Read what `failure_json` has written."""
    read = fields(given, _FAILURE)
    found = Failure(read["message"], read["name"], cause=read["cause"], retryable=read["retryable"])
    found.properties, found.thrown, found.is_error = read["properties"], read["thrown"], read["isError"]
    return found


_FAILURE: Mapping[str, Callable[[Any], Any]] = {
    "message": text,
    "name": text,
    "cause": lambda given: None if given is None else failure(given),
    "retryable": flag,
    "properties": json_object,
    "thrown": as_json,
    "isError": flag,
}


def cause_json(cause: Cause) -> dict[str, Any]:
    """A link of a chain of failures, with the links below it."""
    found: dict[str, Any] = {"message": cause.message, "kind": cause.kind}
    if cause.type is not None:
        found["type"] = cause.type
    if cause.info:
        found["info"] = cause.info
    if cause.stack is not None:
        found["stack"] = cause.stack
    if cause.source is not None:
        found["source"] = cause.source
    if cause.cause is not None:
        found["cause"] = cause_json(cause.cause)
    if isinstance(cause, Application):
        found["application"] = [value_json(cause.error), cause.non_retryable]
    return found


def cause(given: Any) -> Cause:
    """Read what `cause_json` has written."""
    read = fields(given, _CAUSE, optional=True)
    if "message" not in read or "kind" not in read:
        raise Unreadable("a failure has a message and a kind")
    application = read.get("application")
    found: Cause = Cause.__new__(Cause if application is None else Application)
    found.message, found.kind, found.type = read["message"], read["kind"], read.get("type")
    found.info, found.stack, found.source = read.get("info", {}), read.get("stack"), read.get("source")
    found.cause, found.error = read.get("cause"), None
    if isinstance(found, Application) and application is not None:
        found.error, found.non_retryable = application
    if found.kind == "ActivityFailure":
        with below("info"):
            info = mapping(found.info.get("activityFailureInfo"))
            text(mapping(info.get("activityType")).get("name"))
    return found


_CAUSE: Mapping[str, Callable[[Any], Any]] = {
    "message": text,
    "kind": text,
    "type": text,
    "info": json_object,
    "stack": text,
    "source": text,
    "cause": lambda given: cause(given),
    "application": lambda given: row(given, value, flag),
}


def script_error_json(error: ScriptError) -> list[Any]:
    return [error.message, error.workflow_id]


def script_error(given: Any) -> ScriptError:
    message, workflow_id = row(given, text, maybe(text))
    return ScriptError(message, workflow_id=workflow_id)
