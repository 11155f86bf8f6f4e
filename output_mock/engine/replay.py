"""Resetting: a new run whose script is led through what another run has done already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from output_mock.contract import history
from output_mock.contract.errors import StepNotCompletedError, StepNotFoundError
from output_mock.contract.history import WorkflowDetails
from output_mock.engine import instance
from output_mock.engine.instance import Activity, Child, Command, Instance, Job, Update, WorkflowTimer
from output_mock.engine.run import Run
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.values import copy_for_script

if TYPE_CHECKING:
    from output_mock.engine.world import World

# The events that a workflow task's commands leave, in the order in which a script gave them.
_COMMANDS = {
    instance.MEMO: history.PROPERTIES_MODIFIED,
    instance.STEP: history.STEP_SCHEDULED,
    instance.CANCEL_STEP: history.STEP_CANCEL_REQUESTED,
    instance.TIMER: history.TIMER_STARTED,
    instance.CANCEL_TIMER: history.TIMER_CANCELED,
    instance.CHILD: history.CHILD_INITIATED,
    instance.CANCEL_CHILD: history.CHILD_CANCEL_INITIATED,
    instance.ACCEPT: history.UPDATE_ACCEPTED,
    instance.FINISH: history.UPDATE_COMPLETED,
}
_COMMAND_EVENTS = frozenset(_COMMANDS.values())
# The events that end a run together with a workflow task.
_ENDINGS = frozenset({history.COMPLETED, history.FAILED, history.CANCELED, history.CONTINUED_AS_NEW})


def reset_point(run: Run, step_name: str) -> int:
    """The workflow task completion to reset to: the first one after the last such step completed.

    Raises `StepNotFoundError` and `StepNotCompletedError` (reset).
    """
    events = run.history.events
    suffix = f"#{step_name}"
    scheduled = 0
    for event_id, event in enumerate(events, 1):
        if event[0] == history.STEP_SCHEDULED and event[4].endswith(suffix):
            scheduled = event_id
    if not scheduled:
        raise StepNotFoundError(step_name)
    completed = 0
    for event_id, event in enumerate(events, 1):
        if event[0] == history.STEP_COMPLETED and event[2] == scheduled:
            completed = event_id
        elif completed and event[0] == history.TASK_COMPLETED:
            return event_id
    raise StepNotCompletedError(step_name)


def reset_run(
    world: World, base: Run, event_id: int, reason: str
) -> tuple[Run, list[Activity | WorkflowTimer]]:
    """The run that begins with `base`'s history up to before `event_id`, and what is under way there.

    Hand both to `Run.go_on`. Raises `ScriptError` when the script does not do again what it did.
    """
    now = world.clock.nanoseconds()
    run_id = world.ids.uuid4()
    run = Run(world, base.catalog, base.definition, base.info, run_id)
    run.history = base.history.copied_to(event_id - 1)
    run.start_time = now
    limit = base.history.events[event_id - 1][1]
    run.attempts = [one for one in base.attempts if 0 < one.ended <= limit]
    run.evaluators = base.evaluators
    replay = Replay(run)
    replay.play()
    scheduled, started = run.history.events[-1][2], len(run.history)
    batch: list[history.Event] = [(history.TASK_FAILED, now, scheduled, started, reason, base.run_id, run_id)]
    for event in base.history.events[event_id:]:
        if event[0] == history.SIGNALED:
            _, _, name, payload = event
            batch.append((history.SIGNALED, now, name, payload))
            run.jobs.append((instance.SIGNAL, name, copy_for_script(payload)))
        elif event[0] == history.UPDATE_ACCEPTED:
            update = Update(event[2], event[4], event[5])
            # The event that it is admitted by, which its acceptance will refer to.
            update.admitted = len(run.history) + len(batch) + 1
            batch.append((history.UPDATE_ADMITTED, now, update.update_id, update.name, update.payload))
            run.jobs.append((instance.UPDATE, update, None))
    run.history.append(*batch, (history.TASK_SCHEDULED, now, False))
    return run, [*replay.activities.values(), *replay.timers.values()]


def script_again(run: Run) -> Instance:
    """The script of a run that has closed, led to where it ended, so that it answers queries again.

    Raises `ScriptError` when the script does not do again what it did.
    """
    again = Run.__new__(Run)
    again.__dict__.update(run.__dict__)
    again.jobs, again.children, again.details = [], (), None
    ids = run.world.ids.random
    before = ids.getstate()
    try:
        Replay(again).play()
    finally:
        # Playing asks for ids that were given long ago.
        ids.setstate(before)
    assert again.instance is not None
    again.instance.drop_script()
    run.instance = again.instance
    return again.instance


class Replay:
    """Feeds a run's script the events that its history holds, and matches its commands to them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.events: list[history.Event] = run.history.events
        self.activities: dict[int, Activity] = {}
        self.timers: dict[int, WorkflowTimer] = {}
        self.children: dict[int, Child] = {}
        self.updates: dict[int, Update] = {}

    def play(self) -> None:
        run, events = self.run, self.events
        run.instance = Instance(run, run.definition)
        run.instance.replaying = True
        position = 0
        while position < len(events):
            event = events[position]
            kind = event[0]
            if kind == history.TASK_STARTED:
                following = events[position + 1][0] if position + 1 < len(events) else None
                if following == history.TASK_COMPLETED:
                    position = self._task(position)
                    continue
            else:
                self._job(event, position + 1)
            position += 1
        run.instance.replaying = False

    def _job(self, event: history.Event, event_id: int) -> None:
        run, kind = self.run, event[0]
        job: Job | None = None
        if kind == history.SIGNALED:
            job = (instance.SIGNAL, event[2], copy_for_script(event[3]))
        elif kind == history.STEP_COMPLETED:
            job = self._step_closed(event[2], event[4])
        elif kind in (history.STEP_FAILED, history.STEP_TIMED_OUT):
            job = self._step_closed(event[2], event[6])
        elif kind == history.TIMER_FIRED:
            timer = self.timers.pop(event[3])
            timer.closed = True
            job = (instance.TIMER_FIRED, timer, None)
        elif kind == history.CANCEL_REQUESTED:
            run.cancel_requested = True
            job = (instance.STOP, None, None)
        elif kind == history.CHILD_STARTED:
            child = self.children[event[5]]
            child.run = run.world.begun_as(event[2], event[3])
            child.started = event_id
            job = (instance.CHILD_STARTED, child, None)
        elif kind == history.CHILD_COMPLETED:
            job = self._child_closed(event[5], event[7])
        elif kind in (
            history.CHILD_FAILED,
            history.CHILD_CANCELED,
            history.CHILD_TIMED_OUT,
            history.CHILD_TERMINATED,
        ):
            job = self._child_closed(event[5], event[8])
        if job is not None:
            run.jobs.append(job)

    def _step_closed(self, scheduled: int, outcome: Any) -> Job:
        activity = self.activities.pop(scheduled)
        activity.closed = True
        activity.result = outcome
        return (instance.STEP_CLOSED, activity, outcome)

    def _child_closed(self, initiated: int, outcome: Any) -> Job:
        child = self.children.pop(initiated)
        child.closed = True
        return (instance.CHILD_CLOSED, child, outcome)

    def _task(self, position: int) -> int:
        """Replay a workflow task; returns the position after the commands that it left."""
        run, events = self.run, self.events
        assert run.instance is not None
        began = run.instance.replayed_at = events[position][1]
        if run.details is None:
            run.details = WorkflowDetails(run.info, run.run_id, began)
        end = position + 2
        while end < len(events) and events[end][0] in _COMMAND_EVENTS:
            end += 1
        written = events[position + 2 : end]
        # What the script does at last is not compared: somebody else may have ended the run.
        last = end < len(events) and events[end][0] in _ENDINGS
        jobs, run.jobs = run.jobs, []
        for offset, event in enumerate(written):
            if event[0] == history.UPDATE_ACCEPTED:
                update = Update(event[2], event[4], event[5])
                update.admitted = event[6]
                self.updates[position + 3 + offset] = update
                jobs.append((instance.UPDATE, update, None))
        commands = run.instance.activate(jobs)
        if last:
            return end
        if [_COMMANDS.get(kind) for kind, _ in commands] != [event[0] for event in written] or any(
            kind == instance.STEP and subject.activity_type != event[4]
            for (kind, subject), event in zip(commands, written, strict=True)
        ):
            raise ScriptError(
                f"the script of workflow {run.definition.name!r} did something else when it was played again "
                "than it had done before; make it depend on its input, steps and signals only (ctx.random "
                "and ctx.now instead of random and datetime), and let its runs end before you change it",
                workflow_id=run.workflow_id,
            )
        for offset, (command, event) in enumerate(zip(commands, written, strict=True)):
            self._match(command, event, position + 3 + offset)
        run.began = True
        return end

    def _match(self, command: Command, event: history.Event, event_id: int) -> None:
        kind, subject = command
        if kind == instance.MEMO:
            self.run.memo = subject[0]
        elif kind == instance.STEP:
            subject.scheduled, subject.scheduled_at = event_id, event[1]
            self.activities[event_id] = subject
        elif kind == instance.TIMER:
            subject.started, subject.due = event_id, event[1] + subject.length
            self.timers[event_id] = subject
        elif kind == instance.CANCEL_TIMER:
            self.timers.pop(subject.started, None)
        elif kind == instance.CANCEL_STEP:
            subject.cancel_requested = event_id
        elif kind == instance.CHILD:
            subject.initiated, subject.workflow_id, subject.workflow_type = event_id, event[3], event[4]
            self.children[event_id] = subject
            self.run.children = (*self.run.children, subject)
        elif kind == instance.ACCEPT:
            subject.accepted = event_id
        elif kind == instance.FINISH:
            subject.done = True
