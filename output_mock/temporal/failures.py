"""Converts chains of failures between the engine's form and Temporal's.

The engine builds the failures that a worker sends, link by link as the TypeScript SDK's worker would:
clients of the API see the same error from both engines.
"""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from temporalio.api.failure.v1 import Failure as Proto
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from output_mock.contract.failures import Cause
from output_mock.javascript_json import parse
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import Application, ChildFailure, Failure, StepFailure

# The TypeScript client's class for each kind of failure; results show its name if there is no other one.
_KINDS = {
    "applicationFailureInfo": "ApplicationFailure",
    "timeoutFailureInfo": "TimeoutFailure",
    "canceledFailureInfo": "CancelledFailure",
    "terminatedFailureInfo": "TerminatedFailure",
    "serverFailureInfo": "ServerFailure",
    "activityFailureInfo": "ActivityFailure",
    "childWorkflowExecutionFailureInfo": "ChildWorkflowFailure",
}
# How a child has ended, by the failure that its parent gets.
_STATUSES = {
    "CancelledFailure": "cancelled",
    "TerminatedFailure": "terminated",
    "TimeoutFailure": "timed_out",
}


class Sent(ApplicationError):
    """An exception that is sent as exactly this chain of failures.

    The SDK treats it as benign, as scripted failures need not be logged.
    """

    def __init__(self, failure: Proto) -> None:
        super().__init__(failure.message, category=ApplicationErrorCategory.BENIGN)
        self._proto = failure

    @classmethod
    def of(cls, cause: Cause) -> Sent:
        """The exception for a chain in the engine's form."""
        return cls(to_proto(cause))

    @property
    def failure(self) -> Proto:
        """The failure that is sent."""
        return self._proto


def to_proto(cause: Cause) -> Proto:
    """A chain in Temporal's form."""
    return ParseDict(cause.proto(), Proto())


def from_proto(proto: Proto) -> Cause:
    """The chain for a failure from Temporal."""
    return _cause(MessageToDict(proto))


def _cause(said: dict[str, Any]) -> Cause:
    name = next((key for key in _KINDS if key in said), None)
    info = {} if name is None else {name: said[name]}
    return Cause(
        said.get("message", ""),
        "TemporalFailure" if name is None else _KINDS[name],
        type=said.get("applicationFailureInfo", {}).get("type"),
        info=info,
        cause=_cause(said["cause"]) if "cause" in said else None,
        stack=said.get("stackTrace"),
        source=said.get("source"),
    )


def step_failure(proto: Proto) -> StepFailure:
    """The error that `ctx.step` raises when a step has finally failed."""
    chain = from_proto(proto)
    below = chain.cause or chain
    if below.kind == "TimeoutFailure":
        return StepFailure(Failure(below.message, name="TimeoutFailure"), chain)
    return StepFailure(_failure(below), chain)


def child_failure(proto: Proto) -> ChildFailure:
    """The error that `ctx.child` raises when a child did not complete."""
    chain = from_proto(proto)
    kind = chain.cause.kind if chain.cause is not None else chain.kind
    return ChildFailure(_STATUSES.get(kind, "failed"), chain)


def _failure(link: Cause) -> Failure:
    """The scripted failure from which an application failure was made."""
    info = link.info.get("applicationFailureInfo", {})
    name, error = info.get("type", ""), _details(info)
    if not name and not isinstance(error, dict):
        return Failure.value(error if error is not None else link.message)
    properties = error if isinstance(error, dict) else {}
    inner = (
        link.cause.cause if link.cause is not None and link.cause.kind == "TemporalFailure" else link.cause
    )
    cause = None if inner is None else _cause_failure(inner, properties.get("cause"))
    retryable = not info.get("nonRetryable", False)
    failure = Failure(link.message, name or "Error", cause=cause, retryable=retryable)
    failure.properties = {
        key: value for key, value in properties.items() if key not in ("message", "name", "cause")
    }
    return failure


def _cause_failure(link: Cause, said: Any) -> Failure:
    name = link.type or (said.get("name") if isinstance(said, dict) else None) or "Error"
    return Failure(link.message, name)


def _details(info: dict[str, Any]) -> Any:
    """The serialised error in the details; None if there is none."""
    for one in info.get("details", {}).get("payloads", ()):
        try:
            detail = parse(base64.b64decode(one.get("data", "")).decode())
        except ValueError:
            continue
        if isinstance(detail, dict) and "error" in detail:
            return detail["error"]
    return None


def mistaken(error: ScriptError, where: str) -> Application:
    """The failure of a run whose script has a mistake, as in the fake."""
    failure = Failure(error.message, name=error.name, retryable=False)
    return Application(failure, where=where, non_retryable=True)


def saying(message: str) -> Cause:
    """An error with just this message: the answer to a query or update that cannot be handled."""
    return Cause(message, "ApplicationFailure", info={"applicationFailureInfo": {"type": "Error"}})
