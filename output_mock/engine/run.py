"""The server's side of a run: its history, its status, and what is under way.

Call every method with the world's lock held. Events are written in the batches of the real server: what has
happened together with the workflow task that it causes, a workflow task's completion together with the
commands that it carried (history_paging).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from output_mock.contract import events, failures
from output_mock.contract.failures import Cause
from output_mock.contract.history import History
from output_mock.contract.run_start import Memo, ParentInfo, StartInfo, WorkflowDetails
from output_mock.engine import payload_limits
from output_mock.engine.attempts import Attempt
from output_mock.engine.command_events import EVENT_OF
from output_mock.engine.commands import (
    ACCEPT,
    CANCEL,
    COMPLETE,
    DESTINATIONS,
    FAIL,
    FINISH,
    MEMO,
    SIGNAL,
    STEP,
    STOP,
    UPDATE,
    Activity,
    Child,
    Command,
    Job,
    Query,
    Travelling,
    Update,
    WorkflowTimer,
)
from output_mock.engine.history_limits import ALWAYS_ROOM, Measured
from output_mock.engine.instance import Instance
from output_mock.engine.on_the_way import ContinueAsNewBackoff, IncomingSignal
from output_mock.engine.outlasting import note_signal, note_wait
from output_mock.engine.pending import Kind, Work
from output_mock.javascript_json import UNDEFINED
from output_mock.scripts.playing import describe
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import Application, Failure
from output_mock.sdk.values import copy_for_script

if TYPE_CHECKING:
    from output_mock.contract.versions import Deployment
    from output_mock.contract.versions.history_view import HistoryView
    from output_mock.engine.clock import Clock
    from output_mock.engine.deadlines import Deadlines
    from output_mock.engine.ids import Ids
    from output_mock.engine.latency import Latency
    from output_mock.engine.outlasting import Noted
    from output_mock.engine.records import RunRecord, UnderWay
    from output_mock.engine.watchdog import Watchdog
    from output_mock.scripts.definition import ScheduledSignal, WorkflowDefinition

# How many updates may wait for their answers (`tests/fidelity/test_waits.py`).
_MOST_UPDATES = 10
# The worker is not told of these ends, so no trace is written (remote_trace_terminated).
_NOT_BY_ITS_WORKER = frozenset({"terminated", "timed_out"})


class TraceWriter(Protocol):
    """Writes the traces of root runs to a place where they can be read at once. Called with the world's lock
    held.
    """

    def changed(self, run: Run) -> None:
        """Note that the trace of this open root run has an error."""

    def ended(self, run: Run) -> None:
        """Note that this root run has ended, in any way."""

    def forget(self, run: Run) -> None:
        """Delete the trace of this root run, which was removed (`--keep-runs`)."""


class TraceUploader(Protocol):
    """Uploads the traces of root runs. Called with the world's lock held."""

    def ended(self, run: Run) -> None:
        """Note that this root run ended `upload_delay` ago, so that its trace is complete."""

    def forget(self, run: Run) -> None:
        """Delete the trace of this root run, which was removed (`--keep-runs`)."""


class RunTraces(Protocol):
    """What a run needs of the trace storage."""

    @property
    def writer(self) -> TraceWriter | None: ...
    @property
    def uploader(self) -> TraceUploader | None: ...
    @property
    def upload_delay(self) -> int: ...
    def destinations(self, workflow_type: str, workflow_id: str, start: int) -> dict[str, str]: ...


class RunCatalog(Protocol):
    """What a run needs of the catalog that offers its workflow."""

    @property
    def name(self) -> str: ...
    # Whether there is a worker, and when an absent one comes back.
    @property
    def worker(self) -> bool: ...
    @property
    def returns(self) -> int | None: ...
    @property
    def waiting(self) -> Sequence[Work]: ...
    @property
    def workflows(self) -> Mapping[str, WorkflowDefinition]: ...
    def child(self, name: str) -> str: ...
    def when_worker_returns(self, work: Work) -> None: ...


class RunRequests(Protocol):
    """What carries out the requests that steps send."""

    def made(self, run: Run, activity: Activity) -> Travelling: ...
    def ask(self, request: Any) -> None: ...


class RunWorld(Protocol):
    """What a run needs of its world."""

    @property
    def clock(self) -> Clock: ...
    @property
    def deadlines(self) -> Deadlines: ...
    @property
    def outgoing(self) -> RunRequests: ...
    @property
    def deployment(self) -> Deployment: ...
    @property
    def ids(self) -> Ids: ...
    @property
    def latency(self) -> Latency: ...
    @property
    def traces(self) -> RunTraces: ...
    @property
    def watchdog(self) -> Watchdog: ...
    @property
    def seed(self) -> int: ...
    @property
    def execution_timeout(self) -> int: ...
    @property
    def answers_given(self) -> dict[object, int]: ...
    @property
    def script_errors(self) -> list[ScriptError]: ...
    @property
    def outlasting(self) -> Noted: ...
    @property
    def changed(self) -> set[Run] | None: ...
    @property
    def how(self) -> Mapping[Kind, Callable[[Any, Any], None]]: ...
    def begin(self, run: Run, kind: int, subject: Any, now: int) -> None: ...
    def child_closed(self, parent: Run, child: Child[Run], run: Run) -> None: ...
    def after(self, delay: int, work: Work) -> None: ...
    def note(self, error: ScriptError) -> None: ...
    def resolve_child(self, parent: Run, name: str) -> str: ...
    def start_child(self, parent: Run, child: Child[Run], about: ParentInfo) -> Run: ...
    def continue_as_new(self, run: Run, run_id: str, input: Any) -> None: ...
    def closed(self, run: Run) -> None: ...
    def stay_with(self, parent: Run, run: Run) -> None: ...
    def has(self, run: Run) -> bool: ...
    def begun_as(self, workflow_id: str, run_id: str) -> Run | None: ...


class Family:
    """All runs that a run of a client has led to."""

    __slots__ = ("burst", "burst_began", "endless", "first", "run_id", "workflow", "workflow_id")

    def __init__(self, first: Run) -> None:
        # The run that a client has started, or the run that continues it; None once that has ended.
        self.first: Run | None = first
        self.workflow: str = first.definition.name
        self.workflow_id: str = first.workflow_id
        self.run_id: str = first.run_id
        # How many runs of it have come about since when, and the mistake that it was when they were too many.
        self.burst: int = 0
        self.burst_began: int = 0
        self.endless: ScriptError | None = None


class Run:
    """One run of a workflow id."""

    status: str = "running"
    running: bool = True
    close_time: int = 0
    # The worker's side; None before the first workflow task, and after the end if queries have no handler.
    instance: Instance | None = None
    # The memo is there once the first workflow task is done; until then a result is a legacy one.
    memo: Memo | None = None
    began: bool = False
    result: Any = UNDEFINED
    failure: Cause | None = None
    script_error: ScriptError | None = None
    next_run_id: str | None = None
    # What its trace shows and its history does not: attempts, and which steps are evaluators.
    attempts: list[Attempt]
    evaluators: frozenset[str] = frozenset()
    # Whether its worker has uploaded its trace.
    uploaded: bool = False
    # The trace of a run of the past, which was made from it.
    trace_tree: dict[str, Any] | None = None
    details: WorkflowDetails | None = None
    # The number of the WORKFLOW_TASK_SCHEDULED event that is due; 0 when none is.
    task_scheduled: int = 0
    # Whether the workflow task that is due is written only if an update is accepted.
    speculative: bool = False
    cancel_requested: bool = False
    children: tuple[Child[Run], ...] = ()
    # Queries that wait for the workflow task that is due.
    queries: tuple[Query, ...] = ()
    # The updates that it was sent; those that are answered are dropped when another one comes.
    updates: tuple[Update, ...] = ()
    # Its parent, while both are open, and how many ancestors it has.
    parent: Run | None = None
    child: Child[Run] | None = None
    depth: int = 0
    # The run that continues it, or a later one of the chain.
    following: Run | None = None
    # Once it is closed: the run for which it is kept, and the runs that are kept for this one.
    stays_for: Run | None = None
    staying: list[Run] | None = None
    # When it reaches its execution timeout; 0 for none.
    deadline: int = 0
    # Which one it was to begin in its world, and which one to close, from 1; 0 as long as it is open.
    number: int = 0
    ended: int = 0
    # Whether its script answers queries, even after it has closed.
    answers: bool = False
    # Why its script cannot continue the run: it is not the script that has run it so far.
    unplayable: ScriptError | None = None
    # What was under way for the script then.
    left_over: UnderWay | None = None
    # Its record, if one was made and the run has not changed since.
    record: RunRecord | None = None
    # Its history as an older version shows it.
    older_history: HistoryView | None = None
    waiters: list[threading.Event] | None = None
    # The scheduled signals that were sent, and those that were not due yet when it ended, with the remaining
    # nanoseconds.
    sent: tuple[ScheduledSignal, ...] = ()
    unsent: tuple[tuple[ScheduledSignal, int], ...] = ()

    def __init__(
        self,
        world: RunWorld,
        catalog: RunCatalog,
        definition: WorkflowDefinition,
        info: StartInfo,
        run_id: str,
    ) -> None:
        self.world: RunWorld = world
        self.catalog: RunCatalog = catalog
        self.definition = definition
        self.info = info
        self.run_id = run_id
        self.history: History = History()
        self.measured: Measured = Measured()
        self.family: Family = Family(self)
        self.start_time: int = world.clock.nanoseconds()
        self.jobs: list[Job] = []
        self.attempts = []
        # What is under way for this run and will happen by itself: steps, timers, pauses.
        self.work: dict[Activity | WorkflowTimer | ContinueAsNewBackoff | IncomingSignal, None] = {}

    @property
    def workflow_id(self) -> str:
        return self.info.workflow_id

    def changed(self) -> None:
        """Note that the run has changed, so that its record must be made again."""
        self.record = None
        if self.world.changed is not None:
            self.world.changed.add(self)

    # How long it may take

    def ends_by(self) -> int:
        """When it reaches its execution timeout, or an ancestor does; 0 for never."""
        run, deadline = self, self.deadline
        while run.parent is not None and run.child is not None and not run.child.detached:
            run = run.parent
            if run.deadline and (not deadline or run.deadline < deadline):
                deadline = run.deadline
        return deadline

    def _left(self) -> int | None:
        """How many nanoseconds it may still take; None for no limit."""
        deadline = self.ends_by()
        return deadline - self.world.clock.nanoseconds() if deadline else None

    def note_if_outlasting(self, what: str, length: int, *, is_timeout: bool) -> None:
        """Note for the author of the script that something takes so many nanoseconds, if that is too long."""
        left = self._left()
        if left is not None and length >= left:
            note_wait(self.world.outlasting, self.definition, what, length, left, is_timeout=is_timeout)

    def child_type(self, name: str) -> str:
        """The workflow that its script runs as a child; see `World.resolve_child`."""
        return self.world.resolve_child(self, name)

    # Beginning

    def begin(self) -> None:
        """Write the first events and schedule the first workflow task."""
        self.changed()
        info, now = self.info, self.start_time
        if info.expiration:
            self.deadline = info.expiration
            self.world.deadlines.add(self)
        if not info.backoff:
            started = events.WorkflowExecutionStarted(now, info)
            scheduled = events.WorkflowTaskScheduled(now, False)
            if info.parent is None:
                self.history.append(started, scheduled)
            else:
                self.history.append(started)
                self.history.append(scheduled)
            self.task_scheduled = 2
            self.enqueue_task()
            try:
                for signal in self.definition.signals:
                    self.expect_signal(signal.name, signal.payload, signal.after, signal)
            except ValueError as error:
                self.fail_as_mistaken(error)
            return
        self.history.append(events.WorkflowExecutionStarted(now, info))
        pause = ContinueAsNewBackoff(self.world.clock.last(now + info.backoff))
        self.work[pause] = None
        pause.timer = self.world.clock.call_at(pause.due, Work(self, "first task after a pause", pause))

    def end_pause(self, pause: ContinueAsNewBackoff) -> None:
        self.work.pop(pause, None)
        self.changed()
        if self.running and not self.task_scheduled:
            self.write(self.world.clock.nanoseconds())

    # Workflow tasks

    def _has_no_room(self, more: int) -> bool:
        """Whether the history has no room for this many more events; then the run is ended instead."""
        if len(self.history.events) + more < ALWAYS_ROOM:
            return False
        reason = self.measured.exceeded(self.history, more)
        if reason is not None:
            self.terminate(reason, identity="history-service")
        return reason is not None

    def write(self, now: int, *happened: events.Event) -> bool:
        """Write what has happened, and schedule a workflow task unless one is due already.

        Returns False if there is no room for it, and the run has ended instead.
        """
        if self._has_no_room(len(happened) + (not self.task_scheduled)):
            return False
        self.changed()
        history = self.history
        written = history.events
        written += happened
        if not self.task_scheduled and not (
            happened and type(happened[0]) is not events.WorkflowExecutionCancelRequested and self.is_paused()
        ):
            written.append(events.WorkflowTaskScheduled(now, self.details is not None))
            self.task_scheduled = len(written)
            self.enqueue_task()
        history.batches.append(len(written))
        if self.waiters:
            self.wake()
        return True

    def is_paused(self) -> bool:
        """Whether the first workflow task of a continued run is not due yet."""
        return bool(self.info.backoff) and any(isinstance(thing, ContinueAsNewBackoff) for thing in self.work)

    def enqueue_task(self) -> None:
        world = self.world
        delay = world.latency.task if self.began else world.latency.first_task
        if delay:
            world.after(delay, Work(self, "workflow task"))
        else:
            world.clock.call_soon(Work(self, "workflow task"))

    def run_task(self, _about: None = None) -> None:
        """Let the worker do the workflow task that is due, and execute its commands."""
        if not self.running or not (self.task_scheduled or self.speculative) or self.unplayable is not None:
            return
        self.changed()
        if not self.catalog.worker:
            self.catalog.when_worker_returns(Work(self, "workflow task"))
            return
        if self._has_no_room(1):
            return
        now = self.world.clock.nanoseconds()
        if self.instance is None:
            self.instance = Instance(self, self.definition)
        if self.details is None:
            self.details = WorkflowDetails(self.info, self.run_id, now)
        scheduled, self.task_scheduled = self.task_scheduled, 0
        speculative, self.speculative = not scheduled, False
        if not speculative:
            self.history.append(events.WorkflowTaskStarted(now, scheduled, True))
        # A speculative task has events only if it has a result.
        self.instance.task_started = len(self.history) + (2 if speculative else 0)
        jobs, self.jobs = self.jobs, []
        try:
            commands = self.instance.activate(jobs)
        except ScriptError as error:
            commands = [(FAIL, self._mistaken(error))]
        if not self.running:
            # Its own script has ended the run, through the fake.
            return
        if speculative and not commands:
            # Every update was refused, so nothing of the task is kept (approval).
            self.wake()
            return
        if speculative:
            scheduled = len(self.history) + 1
            self.history.append(
                events.WorkflowTaskScheduled(now, True), events.WorkflowTaskStarted(now, scheduled, True)
            )
        self.began = True
        completed = events.WorkflowTaskCompleted(now, scheduled, len(self.history))
        self._apply_commands(commands, [completed], now)

    def hurry_to_script(self) -> None:
        """Do now what has to come before a script begins: the pause of a continued run, and what a worker
        on a real clock takes some milliseconds for.
        """
        if not self.running or not self.catalog.worker or (self.instance and self.instance.main):
            return
        for thing in list(self.work):
            if isinstance(thing, ContinueAsNewBackoff):
                self.forget(thing)
                self.end_pause(thing)
        self.run_task()
        destinations = None if self.instance is None else self.instance.destinations
        if destinations is not None and not destinations.closed:
            Work(self, "step ends", destinations)()

    def _apply_commands(self, commands: list[Command], batch: list[events.Event], now: int) -> None:
        """Write a workflow task's batch, then start what its commands ask for."""
        try:
            payload_limits.check(commands)
        except payload_limits.Oversized as refused:
            self._refuse_task(refused.reason, commands, now)
            return
        first = len(self.history.events)
        completed = first + len(batch)
        closing: Command | None = None
        for command in commands:
            kind, subject = command
            write = EVENT_OF.get(kind)
            if write is None:
                closing = command
                break
            batch.append(write(subject, first + len(batch) + 1, now, completed, self))
            if kind == STEP and subject.plan.kind == "Evaluator":
                self.evaluators |= {subject.activity_type}
        if self._has_no_room(len(batch) + (closing is not None)):
            return
        if closing is not None:
            self._finish(closing, batch, completed, now)
            return
        written = self.history
        written.events += batch
        written.batches.append(len(written.events))
        for kind, subject in commands:
            if kind != MEMO:
                self.world.begin(self, kind, subject, now)
        if self.queries:
            self._answer()
        if self.waiters:
            self.wake()

    def _refuse_task(self, reason: str, commands: list[Command], now: int) -> None:
        """End the run, as the real server does when a workflow task gives what it does not take."""
        for kind, subject in commands:
            if kind in (ACCEPT, FINISH):
                subject.lost = True
        written = self.history.events
        begun = written[-1]
        assert isinstance(begun, events.WorkflowTaskStarted)
        if any(kind == FINISH for kind, _ in commands):
            written[-1] = events.WorkflowTaskStarted(begun.time, begun.scheduled, False)
        started = len(written)
        written.append(events.WorkflowTaskFailed(now, begun.scheduled, started, reason, None, None))
        self.terminate(reason, identity="history-service")

    def _answer(self) -> None:
        """Answer the queries that have waited for a workflow task."""
        assert self.instance is not None
        questions, self.queries = self.queries, ()
        for question in questions:
            question.ask(self.instance.query)

    def forget(self, thing: Activity | WorkflowTimer | ContinueAsNewBackoff) -> None:
        self.work.pop(thing, None)
        if thing.timer is not None:
            thing.timer.cancel()
            thing.timer = None

    def note_attempt(self, activity: Activity, now: int, cause: Cause | None, result: Any) -> None:
        """Remember what the trace will show of an attempt."""
        if self.memo is None or self.memo.trace_info is None:
            return
        began = activity.started_at or now
        attempt = Attempt(activity.activity_id, began, now, cause, result, activity.inside)
        self.attempts.append(attempt)
        if cause is not None or any(node.failure is not None for node in activity.inside):
            self._trace_changed()

    def _trace_changed(self) -> None:
        """Note that the trace which contains this run has an error, or that its root run has ended."""
        writer = self.world.traces.writer
        if writer is not None and self.memo is not None and self.memo.trace_info is not None:
            workflow_id, _, run_id, _ = self.memo.trace_info
            root = self.world.begun_as(workflow_id, run_id)
            if root is not None:
                writer.changed(root)

    def trace_settled(self) -> None:
        """Note that enough time has passed since the run's end, so that its trace is complete."""
        self.changed()
        if self.world.traces.uploader is not None and self.world.has(self):
            self.uploaded = True
            self.world.traces.uploader.ended(self)

    def script_is_wrong(self, error: BaseException) -> None:
        """Fail the run because a function that the script gave to a step raised an error."""
        cause = self._mistaken(describe(error, self.definition, self.workflow_id))
        now = self.world.clock.nanoseconds()
        self._finish((FAIL, cause), [], len(self.history), now)

    def end_endless(self, error: ScriptError) -> None:
        """End this run, and its root run with all its children, as they would run without end."""
        for run in (self.family.first, self):
            if run is not None and run.running:
                run.fail_as_mistaken(error)

    def fail_as_mistaken(self, error: BaseException) -> None:
        """End the run because of a mistake outside its running script."""
        self._end_by_hand((FAIL, self._mistaken(describe(error, self.definition, self.workflow_id))))

    def _mistaken(self, error: ScriptError) -> Cause:
        """Note a mistake in the script, and return what the run fails with."""
        self.script_error = error
        if not any(error is other for other in self.world.script_errors[-1:]):
            self.world.note(error)
        failure = Failure(error.message, name=error.name, retryable=False)
        return Application(failure, where=f"fn ({self.definition.path})", non_retryable=True)

    # Messages

    def signal(self, name: str, payload: Any) -> bool:
        """Write a signal and tell the worker. Returns False if the history has no room for it."""
        now = self.world.clock.nanoseconds()
        self.jobs.append((SIGNAL, name, copy_for_script(payload)))
        return self.write(now, events.WorkflowExecutionSignaled(now, name, payload))

    def expect_signal(
        self, name: str, payload: Any, after: int, scheduled: ScheduledSignal | None = None
    ) -> None:
        """Let a signal arrive after this many nanoseconds, unless the run has closed by then.

        `scheduled` is its entry in the workflow's definition, if there is one. Raises `ValueError` when the
        clock ends before.
        """
        self.changed()
        due = self.world.clock.due_in(after, f"signal {name!r}")
        self._note_if_too_late(name, after, None if scheduled is None else scheduled.place)
        arrival = IncomingSignal(name, payload, due, scheduled)
        self.work[arrival] = None
        arrival.timer = self.world.clock.call_at(due, Work(self, "signal arrives", arrival))

    def _note_if_too_late(self, name: str, after: int, place: str | None) -> None:
        left = self._left()
        if left is not None and after >= left:
            timeout = self.world.execution_timeout
            note_signal(
                self.world.outlasting, self.definition, name, after, left, timeout=timeout, place=place
            )

    def take_signal(self, arrival: IncomingSignal) -> None:
        self.work.pop(arrival, None)
        if self.running:
            if arrival.scheduled is not None:
                self.sent += (arrival.scheduled,)
            self.signal(arrival.name, arrival.payload)

    def update(self, update: Update) -> None:
        """Tell the worker of an update; it is written when it is accepted."""
        self.changed()
        self.updates = (*self.open_updates(), update)
        self.jobs.append((UPDATE, update, None))
        if not self.task_scheduled and not self.speculative:
            self.speculative = True
            self.enqueue_task()

    def takes_update(self) -> bool:
        """Whether another update may wait for its answer."""
        return len(self.open_updates()) < _MOST_UPDATES

    def open_updates(self) -> tuple[Update, ...]:
        """The updates that are not answered yet."""
        return tuple(one for one in self.updates if not one.done and one.rejected is None)

    def request_cancel(self, by: events.Requester | None = None) -> None:
        """Ask the run to stop. Further requests have no effect."""
        if not self.running or self.cancel_requested:
            return
        self.cancel_requested = True
        now = self.world.clock.nanoseconds()
        self.jobs.append((STOP, None, None))
        self.write(now, events.WorkflowExecutionCancelRequested(now, by))

    # By hand

    def open_steps(self) -> list[Activity]:
        """The steps that the script waits for, oldest first."""
        return sorted(
            {
                thing
                for thing in (*self.work, *self._unheard())
                if isinstance(thing, Activity) and thing.plan is not DESTINATIONS and not thing.closed
            },
            key=lambda step: step.scheduled,
        )

    def _unheard(self) -> list[Any]:
        """What waits for the worker to come back."""
        return [work.about for work in self.catalog.waiting if work.run is self]

    def complete(self, output: Any) -> None:
        """End the run with this output, whatever its script does."""
        self._end_by_hand((COMPLETE, output))

    def fail(self, failure: Failure) -> None:
        """End the run with this failure, whatever its script does."""
        where = f"fn ({self.definition.path})"
        self._end_by_hand((FAIL, Application(failure, where=where, non_retryable=not failure.retryable)))

    def _end_by_hand(self, closing: Command) -> None:
        now = self.world.clock.nanoseconds()
        if not self.began and not self.task_scheduled:
            # The first task of a run that continues another one is not due yet.
            self.history.append(events.WorkflowTaskScheduled(now, False))
            self.task_scheduled = len(self.history)
        if self.details is None:
            self.details = WorkflowDetails(self.info, self.run_id, now)
        scheduled = self.task_scheduled
        if not scheduled:
            self.history.append(events.WorkflowTaskScheduled(now, True))
            scheduled = len(self.history)
        self.task_scheduled, self.began = 0, True
        self.history.append(events.WorkflowTaskStarted(now, scheduled, True))
        started = len(self.history)
        completed = events.WorkflowTaskCompleted(now, scheduled, started)
        self._finish(closing, [completed], started + 1, now)

    # Ending

    def _finish(self, closing: Command, batch: list[events.Event], completed: int, now: int) -> None:
        """Close the run as its script has decided."""
        kind, subject = closing
        if kind == COMPLETE:
            self.result = subject
            self.history.append(*batch, events.WorkflowExecutionCompleted(now, subject, completed))
            self.close("completed", now)
        elif kind == FAIL:
            self.failure = subject
            self.history.append(*batch, events.WorkflowExecutionFailed(now, subject, completed))
            self.close("failed", now)
        elif kind == CANCEL:
            self.failure = failures.cancelled()
            self.history.append(*batch, events.WorkflowExecutionCanceled(now, completed))
            self.close("cancelled", now)
        else:
            self.next_run_id = self.world.ids.uuid4()
            self.history.append(
                *batch,
                events.WorkflowExecutionContinuedAsNew(now, self.next_run_id, subject, completed),
            )
            on_the_way = [thing for thing in self.work if isinstance(thing, IncomingSignal)]
            self.close("continued_as_new", now)
            self.world.continue_as_new(self, self.next_run_id, subject)
            for arrival in on_the_way:
                left = arrival.due - now
                self.latest().expect_signal(arrival.name, arrival.payload, left, arrival.scheduled)

    def terminate(
        self, reason: str | None, *, identity: str = failures.IDENTITY, detailed: bool = False
    ) -> None:
        """End the run at once, without its script."""
        if not self.running:
            return
        now = self.world.clock.nanoseconds()
        self.failure = failures.terminated(reason)
        self.history.append(events.WorkflowExecutionTerminated(now, reason, identity, detailed))
        self.close("terminated", now)

    def time_out(self) -> None:
        """The run has reached its execution timeout."""
        if not self.running:
            return
        self.failure = failures.timed_out()
        now = self.world.clock.nanoseconds()
        self.history.append(events.WorkflowExecutionTimedOut(now))
        self.close("timed_out", now)

    def close(self, status: str, now: int) -> None:
        """Close the run after its last event: release everything that only an open run needs."""
        self.changed()
        self.status = status
        self.running = False
        self.close_time = now
        for thing in self.work:
            if thing.timer is not None:
                thing.timer.cancel()
            if isinstance(thing, Activity) and thing.started_at:
                # It continues, and nothing will be told of its end.
                self.note_attempt(thing, 0, None, UNDEFINED)
            elif isinstance(thing, IncomingSignal) and thing.scheduled and status != "continued_as_new":
                self.unsent += ((thing.scheduled, thing.due - now),)
        self.work = {}
        if self.deadline:
            self.world.deadlines.forget(self)
        self.jobs = []
        self.task_scheduled = 0
        traces = self.world.traces
        if traces.writer or traces.uploader:
            self._trace_ended(status)
        if self.instance is not None:
            self.instance.drop_script()
            self.answers = bool(self.instance.queries)
            if not self.answers:
                self.instance = None
        self.world.closed(self)
        children, self.children = self.children, ()
        for child in children:
            if child.run is None or child.closed:
                continue
            run = child.run.latest()
            if child.detached:
                run.changed()
                run.parent = run.child = None
            else:
                run.terminate("by parent close policy", identity="history-service")
        if status != "continued_as_new":
            if self.family.first is self:
                self.family.first = None
            parent, begun_as = self.parent, self.child
            self.parent = self.child = None
            if parent is not None and begun_as is not None:
                self.world.child_closed(parent, begun_as, self)
        self.wake()

    @property
    def worker_heard(self) -> bool:
        """Whether it has ended and its worker knows, so that it uploads a trace (remote_trace_terminated)."""
        return not self.running and self.status not in _NOT_BY_ITS_WORKER

    def _trace_ended(self, status: str) -> None:
        """Store the trace that ends with this run, or that contains a child's failure."""
        if self.memo is None or self.memo.trace_info is None:
            return
        writer, root = self.world.traces.writer, self.memo.trace_info[2] == self.run_id
        if root and writer is not None:
            writer.ended(self)
        elif status in ("failed", "cancelled"):
            self._trace_changed()
        if root and self.world.traces.uploader is not None and self.worker_heard:
            self.world.after(self.world.traces.upload_delay, Work(self, "trace is complete"))

    def latest(self) -> Run:
        """The run that continues this one, or itself."""
        run = self
        while run.following is not None:
            run = run.following
        if run is not self:
            # Those in between need not stay for this one.
            self.following = run
        return run

    # Staying

    def stay_with(self, parent: Run) -> None:
        """Keep this closed run as long as `parent`."""
        self.stays_for = parent
        if parent.staying is None:
            parent.staying = []
        parent.staying.append(self)

    def with_those_that_stay(self) -> Iterator[Run]:
        """This run, and all closed ones that are kept for it, directly or not."""
        waiting = [self]
        while waiting:
            run = waiting.pop()
            yield run
            # A child that a reset run has adopted is kept for that one instead.
            waiting += [other for other in run.staying or () if other.stays_for is run]

    # Waiting

    def watch(self) -> threading.Event:
        """An event that is set when something is written. Give it back with `unwatch`."""
        waiter = threading.Event()
        self.waiters = [*(self.waiters or ()), waiter]
        return waiter

    def unwatch(self, waiter: threading.Event) -> None:
        """Stop waiting with `waiter`."""
        self.waiters = [other for other in self.waiters or () if other is not waiter] or None

    def waiting_requests(self) -> int:
        """How many requests wait for this run and have got nothing yet."""
        return sum(not waiter.is_set() for waiter in self.waiters or ())

    def wake(self) -> None:
        """Wake everything that waits for this run, after something was written."""
        if self.waiters:
            for waiter in self.waiters:
                waiter.set()

    def next_due(self, *, guards: bool) -> int | None:
        """When something of this run or its children happens next by itself; None if nothing will.

        With `guards`, timeouts of waits count too, and so does the execution timeout.
        """
        due: int | None = None
        if not self.catalog.worker:
            due = self.catalog.returns
        for thing in self.work:
            if (guards or not thing.is_timeout) and (due is None or thing.due < due):
                due = thing.due
        for child in self.children:
            if child.run is not None and not child.closed:
                other = child.run.latest().next_due(guards=guards)
                if other is not None and (due is None or other < due):
                    due = other
        if guards and self.deadline and (due is None or self.deadline < due):
            due = self.deadline
        return due
