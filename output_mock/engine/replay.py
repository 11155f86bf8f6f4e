"""Reset: replay the script of a run in a new run, up to a point in the old history."""

from __future__ import annotations

from typing import Any

from output_mock.contract import events
from output_mock.contract.errors import StepNotCompletedError, StepNotFoundError
from output_mock.contract.run_start import WorkflowDetails
from output_mock.engine import commands
from output_mock.engine.commands import Activity, Child, Command, Job, Update, WorkflowTimer
from output_mock.engine.instance import Instance
from output_mock.engine.run import Run
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.values import copy_for_script

# The events of a workflow task's commands, in the order in which a script gave them.
_COMMANDS = {
    commands.MEMO: events.WorkflowPropertiesModified,
    commands.STEP: events.ActivityTaskScheduled,
    commands.CANCEL_STEP: events.ActivityTaskCancelRequested,
    commands.TIMER: events.TimerStarted,
    commands.CANCEL_TIMER: events.TimerCanceled,
    commands.CHILD: events.StartChildWorkflowExecutionInitiated,
    commands.CANCEL_CHILD: events.RequestCancelExternalWorkflowExecutionInitiated,
    commands.ACCEPT: events.WorkflowExecutionUpdateAccepted,
    commands.FINISH: events.WorkflowExecutionUpdateCompleted,
}
_COMMAND_EVENTS = tuple(_COMMANDS.values())
# The events that end a run together with a workflow task.
_ENDINGS = (
    events.WorkflowExecutionCompleted,
    events.WorkflowExecutionFailed,
    events.WorkflowExecutionCanceled,
    events.WorkflowExecutionContinuedAsNew,
)


def reset_point(run: Run, step_name: str) -> int:
    """The workflow task completion to reset to: the first one after this step last completed.

    Raises `StepNotFoundError` and `StepNotCompletedError` (reset).
    """
    suffix = f"#{step_name}"
    scheduled = 0
    for event_id, event in enumerate(run.history.events, 1):
        if isinstance(event, events.ActivityTaskScheduled) and event.activity_type.endswith(suffix):
            scheduled = event_id
    if not scheduled:
        raise StepNotFoundError(step_name)
    completed = 0
    for event_id, event in enumerate(run.history.events, 1):
        if isinstance(event, events.ActivityTaskCompleted) and event.scheduled == scheduled:
            completed = event_id
        elif completed and isinstance(event, events.WorkflowTaskCompleted):
            return event_id
    raise StepNotCompletedError(step_name)


def reset_run(base: Run, event_id: int, reason: str) -> tuple[Run, list[Activity | WorkflowTimer]]:
    """A run that begins with `base`'s history before `event_id`, and its work in progress.

    Pass both to `machines.resume`. Raises `ScriptError` if the script does not repeat what it did.
    """
    world = base.world
    now = world.clock.nanoseconds()
    run_id = world.ids.uuid4()
    run = Run(world, base.catalog, base.definition, base.info, run_id)
    run.history = base.history.copied_to(event_id - 1)
    run.start_time = now
    run.evaluators = base.evaluators
    replay = Replay(run)
    replay.play()
    last = run.history.events[-1]
    assert isinstance(last, events.WorkflowTaskStarted)
    batch: list[events.Event] = [
        events.WorkflowTaskFailed(now, last.scheduled, len(run.history), reason, base.run_id, run_id)
    ]
    for event in base.history.events[event_id:]:
        if isinstance(event, events.WorkflowExecutionSignaled):
            batch.append(events.WorkflowExecutionSignaled(now, event.signal_name, event.input))
            run.jobs.append((commands.SIGNAL, event.signal_name, copy_for_script(event.input)))
        elif isinstance(event, events.WorkflowExecutionUpdateAccepted):
            update = Update(event.update_id, event.update_name, event.given)
            # The event that admits it. Its acceptance will refer to this event.
            update.admitted = len(run.history) + len(batch) + 1
            batch.append(
                events.WorkflowExecutionUpdateAdmitted(now, update.update_id, update.name, update.payload)
            )
            run.jobs.append((commands.UPDATE, update, None))
    run.history.append(*batch, events.WorkflowTaskScheduled(now, False))
    return run, [*replay.activities.values(), *replay.timers.values()]


def script_again(run: Run) -> Instance:
    """Replay the script of a closed run to its end, so that it answers queries again.

    Raises `ScriptError` if the script does not repeat what it did.
    """
    again = Run.__new__(Run)
    again.__dict__.update(run.__dict__)
    again.jobs, again.children, again.details = [], (), None
    ids = run.world.ids.random
    before = ids.getstate()
    try:
        Replay(again).play()
    finally:
        # The replay asks for ids that the first run already received.
        ids.setstate(before)
    assert again.instance is not None
    again.instance.drop_script()
    run.instance = again.instance
    return again.instance


class Replay:
    """Feeds the events of a history to the script, and matches the script's commands to them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.events: list[events.Event] = run.history.events
        self.activities: dict[int, Activity] = {}
        self.timers: dict[int, WorkflowTimer] = {}
        self.children: dict[int, Child[Run]] = {}
        self.updates: dict[int, Update] = {}

    def play(self) -> None:
        run, written = self.run, self.events
        run.instance = Instance(run, run.definition)
        run.instance.replaying = True
        position = 0
        while position < len(written):
            event = written[position]
            if isinstance(event, events.WorkflowTaskStarted):
                following = written[position + 1] if position + 1 < len(written) else None
                if isinstance(following, events.WorkflowTaskCompleted):
                    position = self._task(position)
                    continue
            else:
                self._job(event, position + 1)
            position += 1
        run.instance.replaying = False

    def _job(self, event: events.Event, event_id: int) -> None:
        job = self._job_of(event, event_id)
        if job is not None:
            self.run.jobs.append(job)

    def _job_of(self, event: events.Event, event_id: int) -> Job | None:
        """What a script receives for an event, or None."""
        run = self.run
        match event:
            case events.WorkflowExecutionSignaled():
                return (commands.SIGNAL, event.signal_name, copy_for_script(event.input))
            case events.ActivityTaskCompleted():
                return self._step_closed(event.scheduled, event.result)
            case events.ActivityTaskCanceled():
                return self._step_closed(event.scheduled, None)
            case events.ActivityTaskFailed() | events.ActivityTaskTimedOut():
                return self._step_closed(event.scheduled, event.outcome)
            case events.TimerFired():
                timer = self.timers.pop(event.started)
                timer.closed = True
                return (commands.TIMER_FIRED, timer, None)
            case events.WorkflowExecutionCancelRequested():
                run.cancel_requested = True
                return (commands.STOP, None, None)
            case events.ChildWorkflowExecutionStarted():
                child = self.children[event.initiated]
                child.run = run.world.begun_as(event.workflow_id, event.run_id)
                child.started = event_id
                return (commands.CHILD_STARTED, child, None)
            case events.ChildWorkflowExecutionCompleted():
                return self._child_closed(event.initiated, event.result)
            case events.OfFailedChild():
                return self._child_closed(event.initiated, event.outcome)
        return None

    def _step_closed(self, scheduled: int, outcome: Any) -> Job:
        activity = self.activities.pop(scheduled)
        activity.closed = True
        activity.result = outcome
        return (commands.STEP_CLOSED, activity, outcome)

    def _child_closed(self, initiated: int, outcome: Any) -> Job:
        child = self.children.pop(initiated)
        child.closed = True
        return (commands.CHILD_CLOSED, child, outcome)

    def _task(self, position: int) -> int:
        """Replay a workflow task. Returns the position after its commands."""
        run, history = self.run, self.events
        assert run.instance is not None
        began = run.instance.replayed_at = history[position].time
        run.instance.task_started = position + 1
        if run.details is None:
            run.details = WorkflowDetails(run.info, run.run_id, began)
        end = position + 2
        while end < len(history) and isinstance(history[end], _COMMAND_EVENTS):
            end += 1
        written = history[position + 2 : end]
        # Do not compare the script's last action: something else may have ended the run.
        last = end < len(history) and isinstance(history[end], _ENDINGS)
        jobs, run.jobs = run.jobs, []
        for offset, event in enumerate(written):
            if isinstance(event, events.WorkflowExecutionUpdateAccepted):
                update = Update(event.update_id, event.update_name, event.given)
                update.admitted = event.admitted
                self.updates[position + 3 + offset] = update
                jobs.append((commands.UPDATE, update, None))
        given = run.instance.activate(jobs)
        if last:
            return end
        if [_COMMANDS.get(kind) for kind, _ in given] != [type(event) for event in written] or any(
            isinstance(event, events.ActivityTaskScheduled) and subject.activity_type != event.activity_type
            for (_, subject), event in zip(given, written, strict=True)
        ):
            raise ScriptError(
                f"the script of workflow {run.definition.name!r} behaved differently when it was replayed; "
                f"make it depend on its input, steps and signals only (ctx.random "
                "and ctx.now instead of random and datetime), and let its runs end before you change it",
                workflow_id=run.workflow_id,
            )
        for offset, (command, event) in enumerate(zip(given, written, strict=True)):
            self._match(command, event, position + 3 + offset)
        run.began = True
        return end

    def _match(self, command: Command, event: events.Event, event_id: int) -> None:
        kind, subject = command
        if kind == commands.MEMO:
            self.run.memo = subject[0]
        elif kind == commands.STEP:
            subject.scheduled, subject.scheduled_at = event_id, event.time
            self.activities[event_id] = subject
        elif kind == commands.TIMER:
            subject.started, subject.due = event_id, event.time + subject.length
            self.timers[event_id] = subject
        elif kind == commands.CANCEL_TIMER:
            self.timers.pop(subject.started, None)
        elif kind == commands.CANCEL_STEP:
            subject.cancel_requested = event_id
        elif isinstance(event, events.StartChildWorkflowExecutionInitiated):
            subject.initiated = event_id
            subject.workflow_id, subject.workflow_type = event.workflow_id, event.workflow_type
            self.children[event_id] = subject
            self.run.children = (*self.run.children, subject)
        elif kind == commands.ACCEPT:
            subject.accepted = event_id
        elif kind == commands.FINISH:
            subject.done = True
