"""What a script and its run exchange: the commands of a workflow task, and the jobs of the next one.

A command is a pair: its kind, and the step, timer, child or update that it is about. A job tells the script
what has happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from output_mock.contract.errors import OutputError
from output_mock.contract.failures import Cause
from output_mock.contract.run_start import ActivityOptions, Memo
from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.step_plans import StepPlan
from output_mock.sdk.trace_nodes import TraceNode

if TYPE_CHECKING:
    from output_mock.callbacks.faults import Delivery
    from output_mock.callbacks.sending import Sent
    from output_mock.engine.clock import Timer

# The run of a child.
R = TypeVar("R")
# The step that every traced run begins with.
DESTINATIONS = StepPlan("getTraceDestinations", None, None, 0, "Internal")


class Travelling(Protocol):
    """A request on its way."""

    @property
    def delivery(self) -> Delivery: ...


class Activity:
    """A step that the script has started."""

    # The number of its ACTIVITY_TASK_SCHEDULED event, and when that was.
    scheduled = 0
    scheduled_at = 0
    started_at = 0
    attempt = 1
    last_failure: Cause | None = None
    timer: Timer | None = None
    due = 0
    is_timeout = False
    # The event that asks the step to stop, once there is one.
    cancel_requested = 0
    closed = False
    # What it has returned.
    result: Any = None
    # The request that is under way, and what has come of the last one, for a step that sends one.
    request: Travelling | None = None
    sent: Sent | None = None
    # What the last attempt did inside.
    inside: Sequence[TraceNode] = ()

    def __init__(
        self,
        activity_id: str,
        activity_type: str,
        plan: StepPlan,
        input: Any,
        options: ActivityOptions,
        future: asyncio.Future[Any],
    ) -> None:
        self.activity_id = activity_id
        self.activity_type = activity_type
        self.plan = plan
        self.input = input
        self.options = options
        self.future = future


class WorkflowTimer:
    """A timer that the script has started."""

    # The number of its TIMER_STARTED event.
    started = 0
    timer: Timer | None = None
    due = 0
    closed = False

    def __init__(self, timer_id: str, length: int, fire: Callable[[], None], is_timeout: bool) -> None:
        self.timer_id = timer_id
        self.length = length
        self.fire = fire
        self.is_timeout = is_timeout


class Child(Generic[R]):
    """A child workflow that the script has started."""

    # The numbers of the events that initiated it, saw it start, and asked it to stop.
    initiated = 0
    started = 0
    cancel_requested = 0
    run: R | None = None
    closed = False

    def __init__(
        self,
        workflow_id: str,
        workflow_type: str,
        input: Any,
        invocation: dict[str, Any],
        detached: bool,
        memo: Memo,
        future: asyncio.Future[Any],
    ) -> None:
        self.workflow_id = workflow_id
        self.workflow_type = workflow_type
        self.input = input
        self.invocation = invocation
        self.detached = detached
        self.memo = memo
        self.future = future


class Update:
    """An update that a client has sent, and its outcome."""

    # The number of its WORKFLOW_EXECUTION_UPDATE_ACCEPTED event.
    accepted = 0
    # The event that has copied it from another run's history, for a run that was reset.
    admitted = 0
    rejected: str | None = None
    # Whether it was refused because there is no handler for its name.
    unknown = False
    # The mistake in the validator that refused it.
    mistake: ScriptError | None = None
    done = False
    # Whether the server has refused its answer.
    lost = False
    result: Any = UNDEFINED
    failure: Cause | None = None

    def __init__(self, update_id: str, name: str, payload: Any) -> None:
        self.update_id = update_id
        self.name = name
        self.payload = payload


class Query:
    """A question that a client asks, and its answer."""

    answered: bool = False
    answer: Any = UNDEFINED
    error: OutputError | None = None

    def __init__(self, name: str, payload: Any) -> None:
        self.name = name
        self.payload = payload

    def ask(self, ask: Callable[[str, Any], Any]) -> None:
        """Let the script answer, or keep the error with which it answers."""
        self.answered = True
        try:
            self.answer = ask(self.name, self.payload)
        except OutputError as error:
            self.error = error


# Commands, as the workflow task's batch writes them. A pair: what kind, and what it is about.
MEMO, STEP, CANCEL_STEP, TIMER, CANCEL_TIMER, CHILD, CANCEL_CHILD, ACCEPT, FINISH = range(9)
COMPLETE, FAIL, CANCEL, CONTINUE = range(9, 13)
Command = tuple[int, Any]
# Jobs, as what has happened reaches the script.
STEP_CLOSED, TIMER_FIRED, SIGNAL, UPDATE, STOP, CHILD_STARTED, CHILD_CLOSED = range(7)
Job = tuple[int, Any, Any]
