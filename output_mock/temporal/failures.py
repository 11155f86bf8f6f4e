"""Chains of failures, between the engine's form and Temporal's.

The failures that a worker sends are built by the engine, link for link as the TypeScript SDK's worker would
have sent them: a client of the API sees the same error whichever engine has played the script.
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

# What the TypeScript client makes of each kind of failure; results name it when nothing else does.
_KINDS = {
    "applicationFailureInfo": "ApplicationFailure",
    "timeoutFailureInfo": "TimeoutFailure",
    "canceledFailureInfo": "CancelledFailure",
    "terminatedFailureInfo": "TerminatedFailure",
    "serverFailureInfo": "ServerFailure",
    "activityFailureInfo": "ActivityFailure",
    "childWorkflowExecutionFailureInfo": "ChildWorkflowFailure",
}
# How a child has ended, by the failure that its parent is told of.
_STATUSES = {
    "CancelledFailure": "cancelled",
    "TerminatedFailure": "terminated",
    "TimeoutFailure": "timed_out",
}


class Sent(ApplicationError):
    """An exception that travels as exactly this chain of failures.

    To the SDK it is benign: that scripts fail as they say is nothing to log.
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
        """What travels."""
        return self._proto


def to_proto(cause: Cause) -> Proto:
    """A chain in Temporal's form."""
    return ParseDict(cause.proto(), Proto())


def from_proto(proto: Proto) -> Cause:
    """A chain that Temporal has handed over."""
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
    """What `ctx.step` raises, for a step that has failed for good."""
    chain = from_proto(proto)
    below = chain.cause or chain
    if below.kind == "TimeoutFailure":
        return StepFailure(Failure(below.message, name="TimeoutFailure"), chain)
    return StepFailure(_failure(below), chain)


def child_failure(proto: Proto) -> ChildFailure:
    """What `ctx.child` raises, for a child that did not complete."""
    chain = from_proto(proto)
    kind = chain.cause.kind if chain.cause is not None else chain.kind
    return ChildFailure(_STATUSES.get(kind, "failed"), chain)


def _failure(link: Cause) -> Failure:
    """The scripted failure that an application failure was made from."""
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
    """The serialised error that lies in the details, None without one."""
    for one in info.get("details", {}).get("payloads", ()):
        try:
            detail = parse(base64.b64decode(one.get("data", "")).decode())
        except ValueError:
            continue
        if isinstance(detail, dict) and "error" in detail:
            return detail["error"]
    return None


def mistaken(error: ScriptError, where: str) -> Application:
    """What a run fails with whose script is wrong; the fake says the same."""
    failure = Failure(error.message, name=error.name, retryable=False)
    return Application(failure, where=where, non_retryable=True)


def saying(message: str) -> Cause:
    """An error that says just this: the answer to a query or an update that cannot be served."""
    return Cause(message, "ApplicationFailure", info={"applicationFailureInfo": {"type": "Error"}})
