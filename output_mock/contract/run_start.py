"""How a run starts, and what it passes on to its steps and children."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from output_mock.contract.payloads import payload

# The step that asks where the trace of a run goes.
TRACE_DESTINATIONS = "__internal#getTraceDestinations"
# The step that sends a request for a workflow.
SEND_HTTP_REQUEST = "__internal#sendHttpRequest"
# The prefix of the types of the SDK's own steps.
INTERNAL = "__internal#"


class Memo:
    """A run's trace and step options. The run sends them with every step and child."""

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
    """Timeouts and the retry policy of steps. Durations are nanoseconds.

    `text` keeps durations as you wrote them, because the memo shows them like that.
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
        """The options as the SDK stores them in the memo."""
        return self.text

    def interval(self, attempt: int) -> int:
        """How long to wait after failed attempt number `attempt`, in nanoseconds."""
        try:
            interval = self.initial_interval * self.backoff ** (attempt - 1)
        except OverflowError:
            return self.maximum_interval
        return int(min(interval, self.maximum_interval))


class StartInfo:
    """The start of a run: everything that its first event shows. Times are nanoseconds."""

    continued_run_id: str | None = None
    # The start of the first run of its chain; None if this is the first.
    first: StartInfo | None = None
    # How long the first workflow task of a continued run is delayed.
    backoff = 0
    reset_points: tuple[str, int, int, int] | None = None
    parent: ParentInfo | None = None
    memo: Memo | None = None
    # The step options from the parent's call of this child.
    invocation: dict[str, Any] | None = None
    # If this run holds a catalog: what the catalog contains now.
    catalog: Callable[[], dict[str, Any]] | None = None
    # Which scripted answer this run received, and its position; a reset receives the same one.
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
        # The start time in the name of its trace, which always differs from its predecessor's.
        self.trace_start = start
        # The timeouts of the execution and of the run; 0 means none.
        self.timeout = timeout
        self.expiration = expiration

    def arguments(self) -> list[Any]:
        """The arguments of the workflow function. A child also receives the options of its call."""
        if self.catalog is not None:
            return [self.catalog()]
        if self.parent is None or self.continued_run_id is not None:
            return [self.input]
        return [self.input, {"activityOptions": self.invocation} if self.invocation else {}]

    @property
    def task_timeout(self) -> int:
        """How long one workflow task may take: ten seconds, or the run's timeout if that is shorter."""
        return min(10_000_000_000, self.timeout or 10_000_000_000)


class ParentInfo:
    """The parent of a run, and the root of its tree of runs."""

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
    """What a run tells each of its steps about itself, in a header (run_completes)."""

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
