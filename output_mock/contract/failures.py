"""Chains of failures, as Temporal stores them.

A `Cause` is one link: an activity failure around an application failure around the error itself, and so on
(recordings run_fails_*, child_workflow, stop_default, terminate, timed_out).
"""

from __future__ import annotations

from typing import Any

# The identities in events. Comparisons with recordings ignore them.
IDENTITY = "1@worker"
_RETRY_STATES = {
    1: "RETRY_STATE_IN_PROGRESS",
    2: "RETRY_STATE_NON_RETRYABLE_FAILURE",
    3: "RETRY_STATE_TIMEOUT",
    4: "RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED",
    5: "RETRY_STATE_RETRY_POLICY_NOT_SET",
    7: "RETRY_STATE_CANCEL_REQUESTED",
}
NON_RETRYABLE, TIMEOUT, MAXIMUM_ATTEMPTS, NO_POLICY, CANCEL_REQUESTED = 2, 3, 4, 5, 7


class Cause:
    """One link of a chain of failures, as Temporal stores it."""

    __slots__ = ("cause", "error", "info", "kind", "message", "source", "stack", "type")

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
        # The class that the TypeScript client builds. A result names it if it has no other name.
        self.kind: str = kind
        self.type: str | None = type
        self.info: dict[str, Any] = info or {}
        self.cause: Cause | None = cause
        self.stack: str | None = stack
        self.source: str | None = source
        # The error that user code threw, serialised.
        self.error: Any | None = None

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
        """This link and the links below it, outermost first, without links below a timeout."""
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
        """The step that failed, as `workflow#step`, or None if no step failed."""
        for link in self.chain():
            info = link.info.get("activityFailureInfo")
            if info is not None:
                return str(info["activityType"]["name"])
        return None

    def embedded(self) -> dict[str, Any] | None:
        """The serialised error that the SDK put into the details of an application failure."""
        for link in self.chain():
            if isinstance(link.error, dict):
                return link.error
        return None

    def is_cancellation(self) -> bool:
        """Whether this is a run, step or child that was cancelled."""
        return self.kind == "CancelledFailure" or (
            self.kind in ("ActivityFailure", "ChildWorkflowFailure")
            and self.cause is not None
            and self.cause.is_cancellation()
        )


class ApplicationFailure(Cause):
    """A failure that user code threw."""

    __slots__ = ("non_retryable",)

    non_retryable: bool


def activity_failure(
    activity_type: str, activity_id: str, scheduled: int, started: int, retry_state: int, cause: Cause
) -> Cause:
    """What awaiting a step throws if it failed or timed out."""
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
    """A step that exceeded its time limit. Its `cause` is the failure before that, if any."""
    info = {"timeoutFailureInfo": {"timeoutType": f"TIMEOUT_TYPE_{kind}"}}
    return Cause(words, "TimeoutFailure", info=info, cause=cause, source="Server")


def server_failure(words: str, *, stack: str | None = None) -> Cause:
    """The failure of a step if the server rejects its worker's answer (too_big_step_result)."""
    info = {"serverFailureInfo": {"nonRetryable": True}}
    return Cause(words, "ServerFailure", info=info, stack=stack, source=None)


# What a parent learns about a child that was stopped, terminated or timed out: the message, and the child's
# own failure, which says less than the child's result.
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
    """A child's failure as its parent sees it."""
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
    """The failure that a script receives, and rethrows, when its run is asked to stop."""
    words = "Workflow cancelled"
    stack = f"CancelledFailure: {words}"
    return Cause(words, "CancelledFailure", info={"canceledFailureInfo": {}}, stack=stack)
