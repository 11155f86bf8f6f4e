"""A run's history: its events, in the batches that the real server writes them in, and what they refer to.

While a run goes on an event is a small tuple, `(type, time, …)`. What the API shows of it is made by
`rendering.render` when somebody asks, which also says what each kind of event holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from output_mock.contract.payloads import payload

Event = tuple[Any, ...]

# Temporal's numbers for the kinds of event that a run can have.
STARTED = 1
COMPLETED = 2
FAILED = 3
TIMED_OUT = 4
TASK_SCHEDULED = 5
TASK_STARTED = 6
TASK_COMPLETED = 7
TASK_FAILED = 9
STEP_SCHEDULED = 10
STEP_STARTED = 11
STEP_COMPLETED = 12
STEP_FAILED = 13
STEP_TIMED_OUT = 14
STEP_CANCEL_REQUESTED = 15
STEP_CANCELED = 16
TIMER_STARTED = 17
TIMER_FIRED = 18
TIMER_CANCELED = 19
CANCEL_REQUESTED = 20
CANCELED = 21
CHILD_CANCEL_INITIATED = 22
CHILD_CANCEL_REQUESTED = 24
SIGNALED = 26
TERMINATED = 27
CONTINUED_AS_NEW = 28
CHILD_INITIATED = 29
CHILD_START_FAILED = 30
CHILD_STARTED = 31
CHILD_COMPLETED = 32
CHILD_FAILED = 33
CHILD_CANCELED = 34
CHILD_TIMED_OUT = 35
CHILD_TERMINATED = 36
UPDATE_ACCEPTED = 41
UPDATE_COMPLETED = 43
PROPERTIES_MODIFIED = 46
UPDATE_ADMITTED = 47

NAMES = {
    STARTED: "WORKFLOW_EXECUTION_STARTED",
    COMPLETED: "WORKFLOW_EXECUTION_COMPLETED",
    FAILED: "WORKFLOW_EXECUTION_FAILED",
    TIMED_OUT: "WORKFLOW_EXECUTION_TIMED_OUT",
    TASK_SCHEDULED: "WORKFLOW_TASK_SCHEDULED",
    TASK_STARTED: "WORKFLOW_TASK_STARTED",
    TASK_COMPLETED: "WORKFLOW_TASK_COMPLETED",
    TASK_FAILED: "WORKFLOW_TASK_FAILED",
    STEP_SCHEDULED: "ACTIVITY_TASK_SCHEDULED",
    STEP_STARTED: "ACTIVITY_TASK_STARTED",
    STEP_COMPLETED: "ACTIVITY_TASK_COMPLETED",
    STEP_FAILED: "ACTIVITY_TASK_FAILED",
    STEP_TIMED_OUT: "ACTIVITY_TASK_TIMED_OUT",
    STEP_CANCEL_REQUESTED: "ACTIVITY_TASK_CANCEL_REQUESTED",
    STEP_CANCELED: "ACTIVITY_TASK_CANCELED",
    TIMER_STARTED: "TIMER_STARTED",
    TIMER_FIRED: "TIMER_FIRED",
    TIMER_CANCELED: "TIMER_CANCELED",
    CANCEL_REQUESTED: "WORKFLOW_EXECUTION_CANCEL_REQUESTED",
    CANCELED: "WORKFLOW_EXECUTION_CANCELED",
    CHILD_CANCEL_INITIATED: "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED",
    CHILD_CANCEL_REQUESTED: "EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED",
    SIGNALED: "WORKFLOW_EXECUTION_SIGNALED",
    TERMINATED: "WORKFLOW_EXECUTION_TERMINATED",
    CONTINUED_AS_NEW: "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
    CHILD_INITIATED: "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
    CHILD_START_FAILED: "START_CHILD_WORKFLOW_EXECUTION_FAILED",
    CHILD_STARTED: "CHILD_WORKFLOW_EXECUTION_STARTED",
    CHILD_COMPLETED: "CHILD_WORKFLOW_EXECUTION_COMPLETED",
    CHILD_FAILED: "CHILD_WORKFLOW_EXECUTION_FAILED",
    CHILD_CANCELED: "CHILD_WORKFLOW_EXECUTION_CANCELED",
    CHILD_TIMED_OUT: "CHILD_WORKFLOW_EXECUTION_TIMED_OUT",
    CHILD_TERMINATED: "CHILD_WORKFLOW_EXECUTION_TERMINATED",
    UPDATE_ACCEPTED: "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
    UPDATE_COMPLETED: "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
    PROPERTIES_MODIFIED: "WORKFLOW_PROPERTIES_MODIFIED",
    UPDATE_ADMITTED: "WORKFLOW_EXECUTION_UPDATE_ADMITTED",
}


class History:
    """Events and where their batches end.

    `batches[i]` is the number of events up to the end of batch `i`.
    """

    __slots__ = ("batches", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.batches: list[int] = []

    def append(self, *batch: Event) -> None:
        """Write events at once, as one batch."""
        self.events += batch
        self.batches.append(len(self.events))

    def copied_to(self, event_id: int) -> History:
        """A new history that begins with the events up to and including `event_id`."""
        copy = History()
        copy.events = self.events[:event_id]
        copy.batches = [end for end in self.batches if end < event_id] + [event_id]
        return copy

    def __len__(self) -> int:
        return len(self.events)


class Memo:
    """What a run knows about its trace and its steps' options; sent with every step and child."""

    __slots__ = ("options", "trace", "trace_info")

    def __init__(
        self,
        trace_info: tuple[str, str, str, int] | None = None,
        options: ActivityOptions | None = None,
        trace: dict[str, str] | None = None,
    ) -> None:
        self.trace_info: tuple[str, str, str, int] | None = trace_info
        self.options: ActivityOptions | None = options
        self.trace: dict[str, str] | None = trace

    def trace_info_json(self) -> dict[str, Any]:
        """The run that the trace belongs to."""
        assert self.trace_info is not None
        workflow_id, workflow_type, run_id, start = self.trace_info
        return {
            "workflowId": workflow_id,
            "workflowType": workflow_type,
            "runId": run_id,
            "startTime": start // 1_000_000,
        }

    def fields(self) -> dict[str, Any]:
        """The memo's fields as payloads."""
        fields = {"payloadVersion": payload("2")}
        if self.trace_info is not None:
            fields["traceInfo"] = payload(self.trace_info_json())
        if self.options is not None:
            fields["activityOptions"] = payload(self.options.as_json())
        if self.trace is not None:
            fields["trace"] = payload(self.trace)
        return fields


class ActivityOptions:
    """How steps are run: timeouts and the retry policy, durations in nanoseconds.

    `text` keeps durations as they were written, because that is how the memo shows them.
    """

    __slots__ = (
        "backoff",
        "heartbeat",
        "initial_interval",
        "maximum_attempts",
        "maximum_interval",
        "non_retryable",
        "priority",
        "schedule_to_close",
        "schedule_to_start",
        "start_to_close",
        "text",
    )

    def __init__(
        self,
        *,
        start_to_close: int,
        heartbeat: int,
        schedule_to_close: int | None,
        schedule_to_start: int | None,
        initial_interval: int,
        backoff: float,
        maximum_interval: int,
        maximum_attempts: int,
        non_retryable: tuple[str, ...],
        priority: dict[str, Any] | None,
        text: dict[str, Any],
    ) -> None:
        self.start_to_close: int = start_to_close
        self.heartbeat: int = heartbeat
        self.schedule_to_close: int | None = schedule_to_close
        self.schedule_to_start: int | None = schedule_to_start
        self.initial_interval: int = initial_interval
        self.backoff: float = backoff
        self.maximum_interval: int = maximum_interval
        self.maximum_attempts: int = maximum_attempts
        self.non_retryable: tuple[str, ...] = non_retryable
        self.priority: dict[str, Any] | None = priority
        self.text: dict[str, Any] = text

    def as_json(self) -> dict[str, Any]:
        """The options as the SDK keeps them in the memo."""
        return self.text

    def interval(self, attempt: int) -> int:
        """How long to wait after failed attempt number `attempt`, in nanoseconds."""
        try:
            interval = self.initial_interval * self.backoff ** (attempt - 1)
        except OverflowError:
            return self.maximum_interval
        return int(min(interval, self.maximum_interval))


class StartInfo:
    """With what a run began: everything that its first event shows. Times are nanoseconds."""

    continued_run_id: str | None = None
    # With what the first run of its chain began; None for that one itself.
    first: StartInfo | None = None
    # How long the first workflow task of a continued run is held back.
    backoff = 0
    reset_points: tuple[str, int, int, int] | None = None
    parent: ParentInfo | None = None
    memo: Memo | None = None
    # The step options that a parent gave when it called this child.
    invocation: dict[str, Any] | None = None
    # Of the run that holds a catalog: what the catalog holds at the moment.
    catalog: Callable[[], dict[str, Any]] | None = None
    # Which of a scripted sequence of answers this run was given, and its place; a reset is given the same.
    answer: Any = None
    turn: int | None = None

    def __init__(
        self,
        namespace: str,
        workflow_id: str,
        run_id: str,
        first_run_id: str,
        workflow_type: str,
        task_queue: str,
        input: Any,
        start: int,
        timeout: int,
        expiration: int,
    ) -> None:
        self.namespace = namespace
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.first_run_id = first_run_id
        self.workflow_type = workflow_type
        self.task_queue = task_queue
        self.input = input
        self.start = start
        # When it started, for the name of its trace: that differs from its predecessor's in any case.
        self.trace_start = start
        # Of the execution and of the run; 0 when there is none.
        self.timeout = timeout
        self.expiration = expiration

    def arguments(self) -> list[Any]:
        """What the workflow function was called with; a child is told how it was called as well."""
        if self.catalog is not None:
            return [self.catalog()]
        if self.parent is None or self.continued_run_id is not None:
            return [self.input]
        return [self.input, {"activityOptions": self.invocation} if self.invocation else {}]

    @property
    def task_timeout(self) -> int:
        """How long one workflow task may take: ten seconds, or less when the run may not take that."""
        return min(10_000_000_000, self.timeout or 10_000_000_000)


class ParentInfo:
    """Whose child a run is, and which run is the root of the family."""

    __slots__ = ("initiated_id", "root_run_id", "root_workflow_id", "run_id", "workflow_id")

    def __init__(
        self, workflow_id: str, run_id: str, initiated_id: int, root_workflow_id: str, root_run_id: str
    ) -> None:
        self.workflow_id: str = workflow_id
        self.run_id: str = run_id
        self.initiated_id: int = initiated_id
        self.root_workflow_id: str = root_workflow_id
        self.root_run_id: str = root_run_id


class WorkflowDetails:
    """What a run tells its steps about itself, in a header of every one of them (run_completes)."""

    __slots__ = ("info", "run_id", "run_start")

    def __init__(self, info: StartInfo, run_id: str, run_start: int) -> None:
        self.info: StartInfo = info
        self.run_id: str = run_id
        self.run_start: int = run_start

    def as_json(self) -> dict[str, Any]:
        """The details as the SDK sends them."""
        info = self.info
        details: dict[str, Any] = {"attempt": 1}
        if info.continued_run_id is not None:
            details["continuedFromExecutionRunId"] = info.continued_run_id
        details["firstExecutionRunId"] = info.first_run_id
        if info.parent is not None:
            parent = info.parent
            details["parent"] = {
                "workflowId": parent.workflow_id,
                "runId": parent.run_id,
                "namespace": info.namespace,
            }
            details["root"] = {"workflowId": parent.root_workflow_id, "runId": parent.root_run_id}
        details |= {
            "runId": self.run_id,
            "runStartTime": self.run_start // 1_000_000,
            "startTime": info.start // 1_000_000,
            "workflowId": info.workflow_id,
            "workflowType": info.workflow_type,
        }
        return details
