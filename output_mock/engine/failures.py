"""How things fail: the failures that scripts throw, and the chains that Temporal makes of them.

A `Failure` is what a script says. A `Cause` is one link of the chain that a real deployment keeps in
its history: an activity failure around an application failure around the error itself, and so on
(recordings run_fails_*, child_workflow, stop_default, terminate, timed_out).
"""

from __future__ import annotations

import re
from typing import Any

from output_mock.engine.payloads import payloads, plain
from output_mock.javascript_json import NotJSONError, as_json, stringify
from output_mock.zod import prettify

# Who the events say did something; the recordings' own workers are not compared.
IDENTITY = "1@worker"
FATAL_NAMES = frozenset({"FatalError", "ValidationError"})
NON_ERROR = (
    " [A non-Error value was thrown from your code. We recommend throwing Error objects so that we can "
    "provide a stack trace]"
)
_RETRY_STATES = {
    1: "RETRY_STATE_IN_PROGRESS",
    2: "RETRY_STATE_NON_RETRYABLE_FAILURE",
    3: "RETRY_STATE_TIMEOUT",
    4: "RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED",
    5: "RETRY_STATE_RETRY_POLICY_NOT_SET",
    7: "RETRY_STATE_CANCEL_REQUESTED",
}
NON_RETRYABLE, TIMEOUT, MAXIMUM_ATTEMPTS, NO_POLICY, CANCEL_REQUESTED = 2, 3, 4, 5, 7


class Failure(Exception):
    """A scripted failure: of a step (`ctx.step(…, fails=Failure("rate limited"))`) or, raised, of a run.

    Takes the error's `message`, its class `name` (`"FatalError"` and `"ValidationError"` are never
    retried), an optional `cause` (another `Failure`), whether it may be retried (`retryable`; by
    default everything but the fatal names), and further properties of the error as keywords.
    """

    def __init__(
        self,
        message: str = "",
        name: str = "Error",
        *,
        cause: Failure | None = None,
        retryable: bool | None = None,
        **properties: Any,
    ) -> None:
        super().__init__(message)
        if not isinstance(message, str):
            raise TypeError(f"the message of a Failure is text, not {message!r}")
        self.message = message
        self.name = name
        self.cause = cause
        self.retryable: bool = name not in FATAL_NAMES if retryable is None else retryable
        try:
            self.properties: Any = as_json(properties)
        except NotJSONError as error:
            raise TypeError(f"the properties of a Failure travel as JSON, but one {error}") from None
        self.thrown: Any = None
        self.is_error = True

    @classmethod
    def value(cls, thrown: Any) -> Failure:
        """Code that threw something that is no error: `throw "just a string"` (run_fails_string)."""
        thrown = as_json(thrown)
        failure = cls(thrown if isinstance(thrown, str) else stringify(plain(thrown)), "")
        failure.thrown = plain(thrown)
        failure.is_error = False
        return failure

    def serialised(self) -> Any:
        """The error as the real SDK serialises it: message, cause, own properties, name."""
        if not self.is_error:
            return self.thrown
        error: dict[str, Any] = {"message": self.message}
        if self.cause is not None:
            error["cause"] = self.cause.serialised()
        if self.name in FATAL_NAMES:
            # The SDK's own classes declare their name, other errors inherit it.
            error["name"] = self.name
        error.update(_shown(self.properties))
        error["name"] = self.name
        return error

    def __repr__(self) -> str:
        return f"Failure({self.message!r}, name={self.name!r})"


# What the SDK keeps out of a serialised error, at any depth.
_SECRET = re.compile(
    r"(authorization|authentication|cookie|key|token|password|secret|credentials?)$"
    r"|^(request|response|request_?body|request_?body_?values|(request_?|response_?)?headers)$",
    re.IGNORECASE,
)


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items() if not _SECRET.search(key)}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return value


class Cause:
    """One link of a chain of failures, as Temporal keeps it."""

    __slots__ = ("cause", "info", "kind", "message", "source", "stack", "type")

    def __init__(
        self,
        message: str,
        kind: str,
        *,
        type: str | None = None,
        info: dict[str, Any] | None = None,
        cause: Cause | None = None,
        stack: str | None = None,
        source: str | None = "TypeScriptSDK",
    ) -> None:
        self.message: str = message
        # The class that the TypeScript client rebuilds: what a result names when nothing else does.
        self.kind: str = kind
        self.type: str | None = type
        self.info: dict[str, Any] = info or {}
        self.cause: Cause | None = cause
        self.stack: str | None = stack
        self.source: str | None = source

    def proto(self) -> dict[str, Any]:
        """The failure as the history shows it."""
        proto: dict[str, Any] = {"message": self.message} if self.message else {}
        if self.source is not None:
            proto["source"] = self.source
        if self.stack is not None:
            proto["stackTrace"] = self.stack
        if self.cause is not None:
            proto["cause"] = self.cause.proto()
        for key, value in self.info.items():
            proto[key] = value
        return proto

    def chain(self) -> list[Cause]:
        """This link and those below it, outermost first; what is below a timeout does not count."""
        links: list[Cause] = []
        link: Cause | None = self
        while link is not None:
            links.append(link)
            link = None if link.kind == "TimeoutFailure" else link.cause
        return links

    def root(self) -> Cause:
        """The innermost link."""
        return self.chain()[-1]

    def activity_type(self) -> str | None:
        """The step that failed, as `workflow#step`, or None when no step did."""
        for link in self.chain():
            info = link.info.get("activityFailureInfo")
            if info is not None:
                return str(info["activityType"]["name"])
        return None

    def embedded(self) -> dict[str, Any] | None:
        """The serialised error that the SDK put into the details of an application failure."""
        for link in self.chain():
            if isinstance(link, Application) and isinstance(link.error, dict):
                return link.error
        return None

    def is_cancellation(self) -> bool:
        """Whether this is a run, step or child that was cancelled."""
        return self.kind == "CancelledFailure" or (
            self.kind in ("ActivityFailure", "ChildWorkflowFailure")
            and self.cause is not None
            and self.cause.is_cancellation()
        )


class Application(Cause):
    """An application failure: the error that user code threw, with its serialised form in the details."""

    __slots__ = ("error", "non_retryable")

    def __init__(self, failure: Failure, *, where: str, non_retryable: bool, detailed: bool = True) -> None:
        stack = f"{failure.name}: {failure.message}\n    at {where}" if failure.is_error else ""
        info: dict[str, Any] = {}
        if failure.is_error:
            info["type"] = failure.name
        if non_retryable:
            info["nonRetryable"] = True
        self.error: Any | None = failure.serialised() if detailed else None
        if detailed:
            info["details"] = {"payloads": payloads([{"error": self.error}])}
        cause = _plain(failure, where) if detailed else None
        if cause is None and failure.cause is not None:
            inner = failure.cause
            cause = Application(inner, where=where, non_retryable=not inner.retryable, detailed=False)
        super().__init__(
            failure.message or failure.name,
            "ApplicationFailure",
            type=failure.name if failure.is_error else None,
            info={"applicationFailureInfo": info},
            cause=cause,
            stack=stack or None,
        )
        self.non_retryable: bool = non_retryable

    def activity_event(self) -> dict[str, Any]:
        """The short form that an ACTIVITY_TASK_FAILED event shows."""
        return {"message": self.message, "stackTrace": self.stack or "", "type": None}


def _plain(failure: Failure, where: str) -> Cause:
    """The error itself, below the application failure that was made from it."""
    if not failure.is_error:
        return Cause(failure.message + NON_ERROR, "TemporalFailure")
    return Cause(
        failure.message,
        "TemporalFailure",
        cause=None if failure.cause is None else _plain(failure.cause, where),
        stack=f"{failure.name}: {failure.message}\n    at {where}",
    )


def activity_failure(
    activity_type: str, activity_id: str, scheduled: int, started: int, retry_state: int, cause: Cause
) -> Cause:
    """What awaiting a step throws that failed or timed out."""
    timed_out = cause.kind == "TimeoutFailure"
    info: dict[str, Any] = {"scheduledEventId": str(scheduled), "startedEventId": str(started)}
    if not timed_out:
        info["identity"] = IDENTITY
    info |= {
        "activityType": {"name": activity_type},
        "activityId": activity_id,
        "retryState": _RETRY_STATES[retry_state],
    }
    message = "Activity task timed out" if timed_out else "Activity task failed"
    return Cause(message, "ActivityFailure", info={"activityFailureInfo": info}, cause=cause, source=None)


def step_timeout(kind: str, words: str, cause: Cause | None) -> Cause:
    """A step that took longer than it may, after whatever had failed before."""
    info = {"timeoutFailureInfo": {"timeoutType": f"TIMEOUT_TYPE_{kind}"}}
    return Cause(words, "TimeoutFailure", info=info, cause=cause, source="Server")


# What a parent is told of a child that ended otherwise than by failing: the words, and the child's own
# failure, which says less than the child's result does.
_CHILD_WORDS = {
    "cancelled": "Child Workflow execution cancelled",
    "terminated": "Child Workflow execution terminated",
    "timed_out": "Child Workflow execution timed out",
}


def child_failure(
    status: str,
    namespace: str,
    workflow_id: str,
    run_id: str,
    workflow_type: str,
    initiated: int,
    started: int,
    cause: Cause,
    *,
    retry_state: int = NO_POLICY,
) -> Cause:
    """ "Child Workflow execution failed": what awaiting a failed child throws."""
    info = {
        "namespace": namespace,
        "workflowExecution": {"workflowId": workflow_id, "runId": run_id},
        "workflowType": {"name": workflow_type},
        "initiatedEventId": str(initiated),
        "startedEventId": str(started),
        "retryState": _RETRY_STATES[NO_POLICY if status == "failed" else NON_RETRYABLE],
    }
    return Cause(
        _CHILD_WORDS.get(status, "Child Workflow execution failed"),
        "ChildWorkflowFailure",
        info={"childWorkflowExecutionFailureInfo": info},
        cause=cause,
        source=None,
    )


def as_seen_by_parent(status: str, failure: Cause) -> Cause:
    """A child's failure as its parent is told of it."""
    if status == "cancelled":
        return Cause("", "CancelledFailure", info={"canceledFailureInfo": {}}, source=None)
    if status == "terminated":
        return Cause("Terminated", "TerminatedFailure", info={"terminatedFailureInfo": {}}, source=None)
    if status == "timed_out":
        info = {"timeoutFailureInfo": {"timeoutType": "TIMEOUT_TYPE_START_TO_CLOSE"}}
        return Cause("", "TimeoutFailure", info=info, source=None)
    return failure


def terminated(reason: str | None) -> Cause:
    """A run that was terminated."""
    return Cause(reason or "Workflow execution terminated", "TerminatedFailure", source=None)


def timed_out() -> Cause:
    """A run that reached its execution timeout."""
    return Cause("Workflow execution timed out", "TimeoutFailure", source=None)


def cancelled() -> Cause:
    """A run that was cancelled."""
    return Cause("Workflow canceled", "CancelledFailure", source=None)


def stopped() -> Cause:
    """What a script is told, and passes on, when its run is asked to stop."""
    words = "Workflow cancelled"
    stack = f"CancelledFailure: {words}"
    return Cause(words, "CancelledFailure", info={"canceledFailureInfo": {}}, stack=stack)


class StepFailure(Exception):
    """What `await ctx.step(…)` raises when the step has failed for good.

    `failure` is the scripted `Failure` of the last attempt, `name` and `message` are its name and message.
    """

    def __init__(self, failure: Failure, cause: Cause) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.name: str = failure.name
        self.message: str = failure.message
        self.chain = cause


class ChildFailure(Exception):
    """What `await ctx.child(…)` raises when the child did not complete.

    `status` is the child's status; `message` is the text of the innermost failure.
    """

    def __init__(self, status: str, cause: Cause) -> None:
        super().__init__(cause.root().message)
        self.status = status
        self.message: str = cause.root().message
        self.chain = cause


def invalid(what: str, issues: list[Any]) -> Failure:
    """That `what` does not fit its schema, in the words of the SDK (run_input_invalid)."""
    return Failure(f"{what} validation failed: {prettify(issues)}", name="ValidationError")
