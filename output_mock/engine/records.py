"""A world as a record: what of it is data, and a world made of that again.

Snapshots, the state file and snapshot files are made of records. A record shares with its world what does not
change any more: a run has the same record until something of it changes (`Run.changed`), so a hundred
snapshots of a world hold a closed run once.

A coroutine is no data. The script of a run that goes on is played again through what the run's history
holds, as a reset does it (`replay.py`), until it stands where it stood. What no history holds (the attempts
of steps, signals that are on their way, what is due when) is in the record.

A record does not hold requests that wait, variables that scripts share with one another or with their test,
and what handlers of queries have changed.
"""

from __future__ import annotations

import copy
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from output_mock.contract.events import WorkflowExecutionStarted
from output_mock.contract.failures import Cause
from output_mock.contract.history import History
from output_mock.engine.clock import Clock, Mode, Timer
from output_mock.engine.deadlines import Deadlines
from output_mock.engine.history_limits import Measured
from output_mock.engine.ids import Ids
from output_mock.engine.instance import UPDATE, Activity, Child, Job, Update, WorkflowTimer
from output_mock.engine.pending import Kind, Work
from output_mock.engine.replay import Replay
from output_mock.engine.run import ContinueAsNewBackoff, Family, IncomingSignal, Run
from output_mock.engine.watchdog import Watchdog
from output_mock.engine.world import Catalog, World, latency_of
from output_mock.scripts.definition import CatalogDefinition, ScheduledSignal, WorkflowDefinition
from output_mock.sdk.errors import ScriptError

# The attributes of a run that are data, and that a run which has none has a default for.
RUN_VALUES = (
    *(
        "info",
        "run_id",
        "start_time",
        "status",
        "running",
        "close_time",
        "memo",
        "began",
        "result",
        "failure",
    ),
    *("script_error", "next_run_id", "evaluators", "uploaded", "trace_tree", "details", "task_scheduled"),
    *("speculative", "cancel_requested", "deadline", "sent", "unsent", "answers", "depth"),
)


class Subject(NamedTuple):
    """What a call is about, or what is under way: a step, timer or child by the number of the event that has
    begun it, a pause or a signal on its way by its place among those of its run.
    """

    kind: str
    number: int


class DueWork(NamedTuple):
    """A piece of work for a run that is due at a time, in nanoseconds since 1970.

    Of what is due at the same time the piece with the lowest `number` comes first.
    """

    number: int
    when: int
    is_timeout: bool
    kind: Kind
    subject: Subject | None


class NextWork(NamedTuple):
    """A piece of work for a run that comes next, or once there is a worker again."""

    run_id: str
    kind: Kind
    subject: Subject | None


class StepState(NamedTuple):
    """What no history tells of a step that is under way."""

    scheduled: int
    scheduled_at: int
    started_at: int
    attempt: int
    last_failure: Cause | None
    due: int
    cancel_requested: int


class Pause(NamedTuple):
    """The pause before the first workflow task of a continued run."""

    due: int


class Coming(NamedTuple):
    """A signal that is on its way."""

    name: str
    payload: Any
    due: int
    scheduled: ScheduledSignal | None


class ChildState(NamedTuple):
    """A child that has not closed for its parent."""

    initiated: int
    cancel_requested: int


class UpdateState(NamedTuple):
    """An update that the script has not heard of yet."""

    update_id: str
    name: str
    payload: Any
    admitted: int


class UnderWay(NamedTuple):
    """What no history tells of a run that goes on."""

    # Whether a worker has begun with its script.
    begun: bool
    steps: tuple[StepState, ...]
    # When each timer fires, by the event that has started it.
    timers: tuple[tuple[int, int], ...]
    loose: tuple[Pause | Coming, ...]
    children: tuple[ChildState, ...]
    # In which order it was begun.
    work: tuple[Subject, ...]
    # What the script has not heard of yet: an update, or the kind of what the history tells.
    jobs: tuple[UpdateState | int, ...]
    calls: tuple[DueWork, ...]


class FamilyState(NamedTuple):
    """The runs that come of one that a client has started; see `run.Family`."""

    run_id: str
    workflow: str
    workflow_id: str
    burst: int
    burst_began: int


class RunRecord(NamedTuple):
    """A run. Nothing of a record changes."""

    number: int
    # Which one it was to close; 0 as long as it is open.
    ended: int
    definition: WorkflowDefinition
    catalog: str
    # Those of `RUN_VALUES` that are not the default.
    values: Mapping[str, Any]
    # A run that goes on appends to these lists: it has so many by now.
    history: History
    length: int
    batches: int
    attempts: tuple[Any, ...]
    # The other runs that come of the same one, as long as it goes on.
    family: FamilyState | None
    # Its parent, and the event there that has asked for it, as long as it goes on; the run that it stays for
    # once it has closed.
    parent: tuple[str, int] | None
    stays_for: str | None
    # None when it has closed.
    under_way: UnderWay | None


class CatalogRecord(NamedTuple):
    """A catalog."""

    name: str
    workflows: tuple[WorkflowDefinition, ...]
    worker: bool
    # When its worker comes back, and the number of the call that brings it.
    returns: int | None
    returning: int | None
    waiting: tuple[NextWork, ...]
    run_id: str
    withheld: frozenset[str]


class WorldRecord(NamedTuple):
    """A world, with all of its runs or with those that have changed."""

    mode: Mode
    now: int
    sequence: int
    seed: int
    namespace: str
    default_catalog: str
    random: Any
    entered: int
    ended: int
    catalogs: tuple[CatalogRecord, ...]
    script_errors: tuple[ScriptError, ...]
    outlasting: Mapping[tuple[str, str], tuple[str, bool]]
    answers_given: Mapping[object, int]
    played: Mapping[str, frozenset[tuple[str, str, int]]]
    ready: tuple[NextWork, ...]
    # When runs reach their execution timeout next, and the number of the call for that.
    deadline: tuple[int, int] | None
    runs: tuple[RunRecord, ...]


def copy_of(world: World) -> World:
    """A world that stands where this one stands, and goes on by itself.

    Raises `ScriptError` when a script does not do again what it did.
    """
    return world_of(record_of(world), world)


def record_of(world: World, runs: Iterable[Run] | None = None) -> WorldRecord:
    """What a world is at the moment, with these of its runs (default: all)."""
    with world.clock.lock:
        return _Recording(world, world._runs.values() if runs is None else runs).recorded()


def check_playable(record: WorldRecord, like: World) -> None:
    """Raise `ScriptError` when a script does not do again what it did in a run that goes on."""
    open_runs = tuple(run for run in record.runs if not run.ended)
    world_of(record._replace(runs=open_runs, ready=()), like).close()


class _Recording:
    def __init__(self, world: World, runs: Iterable[Run]) -> None:
        self._world = world
        self._runs = list(runs)
        # Runs of which there is no record yet, what is due for them, and the steps that this is about.
        self._new: dict[Run, list[DueWork]] = {run: [] for run in self._runs if run.record is None}
        self._steps: dict[Run, dict[int, Activity]] = {}

    def recorded(self) -> WorldRecord:
        world, clock = self._world, self._world.clock
        ready = self._next_calls(clock._ready)
        catalogs = tuple(self._catalog(catalog) for catalog in world.catalogs.values())
        if self._new:
            self._what_is_due()
        for run, calls in self._new.items():
            run.record = self._run(run, tuple(calls))
        ring = world.deadlines.timer
        deadline = None
        if ring is not None:
            number = next((number for _, number, timer in clock._guards if timer is ring), None)
            deadline = None if number is None else (ring.when, number)
        return WorldRecord(
            clock.mode,
            clock._now,
            clock._sequence,
            world.seed,
            world.namespace,
            world.default_catalog,
            world.ids.random.getstate(),
            world.entered,
            world.ended,
            catalogs,
            tuple(world.script_errors),
            dict(world.outlasting),
            dict(world.answers_given),
            {name: frozenset(signals) for name, signals in world.played.items()},
            ready,
            deadline,
            tuple(run.record for run in self._runs if run.record is not None),
        )

    def _catalog(self, catalog: Catalog) -> CatalogRecord:
        returning = None
        if catalog.returning is not None:
            work = self._world.clock._work
            returning = next((number for _, number, timer in work if timer is catalog.returning), None)
        return CatalogRecord(
            catalog.name,
            tuple(catalog.workflows.values()),
            catalog.worker,
            catalog.returns,
            returning,
            self._next_calls(catalog.waiting),
            catalog.run.run_id,
            frozenset(catalog.withheld),
        )

    # What is due

    def _what_is_due(self) -> None:
        clock, new = self._world.clock, self._new
        for when, number, timer in chain(clock._work, clock._guards):
            work = timer.callback
            if isinstance(work, Work) and work.run in new:
                call = self._call(work)
                if call is not None:
                    new[work.run].append(DueWork(number, when, timer.is_timeout, call.kind, call.subject))

    def _next_calls(self, callbacks: Iterable[Callable[[], None]]) -> tuple[NextWork, ...]:
        """The work among these callbacks; the others are requests that wait."""
        return tuple(
            call for work in callbacks if isinstance(work, Work) and (call := self._call(work)) is not None
        )

    def _call(self, work: Work) -> NextWork | None:
        """A piece of work as data; None when nothing comes of it any more."""
        run = work.run
        assert isinstance(run, Run)
        if not run.running and work.kind != "trace is complete":
            return None
        if work.about is None:
            return NextWork(run.run_id, work.kind, None)
        subject = self._subject(run, work.about)
        return None if subject is None else NextWork(run.run_id, work.kind, subject)

    def _subject(self, run: Run, thing: Any) -> Subject | None:
        if isinstance(thing, Activity):
            if thing.closed:
                return None
            self._steps.setdefault(run, {})[thing.scheduled] = thing
            return Subject("step", thing.scheduled)
        if isinstance(thing, WorkflowTimer):
            return None if thing.closed else Subject("timer", thing.started)
        if isinstance(thing, Child):
            return None if thing.closed else Subject("child", thing.initiated)
        loose = [other for other in run.work if isinstance(other, (IncomingSignal, ContinueAsNewBackoff))]
        return Subject("loose", loose.index(thing)) if thing in loose else None

    # Runs

    def _run(self, run: Run, calls: tuple[DueWork, ...]) -> RunRecord:
        values = {name: run.__dict__[name] for name in RUN_VALUES if name in run.__dict__}
        under_way = None
        if run.running:
            # The run that goes on may still be told more.
            values["info"] = copy.copy(run.info)
            under_way = self._under_way(run, calls)
        elif calls:
            under_way = UnderWay(False, (), (), (), (), (), (), calls)
        parent = None
        if run.parent is not None and run.child is not None:
            parent = run.parent.run_id, run.child.initiated
        return RunRecord(
            run.number,
            run.ended,
            run.definition,
            run.catalog.name,
            values,
            run.history,
            len(run.history.events),
            len(run.history.batches),
            tuple(run.attempts),
            _family(run) if run.running else None,
            parent,
            None if run.stays_for is None else run.stays_for.run_id,
            under_way,
        )

    def _under_way(self, run: Run, calls: tuple[DueWork, ...]) -> UnderWay:
        work = tuple(subject for thing in run.work if (subject := self._subject(run, thing)) is not None)
        loose = tuple(
            _loose(thing) for thing in run.work if isinstance(thing, (IncomingSignal, ContinueAsNewBackoff))
        )
        left_over: UnderWay | None = run.left_over
        if left_over is not None:
            # Its script has not come back so far: what was under way for it waits on.
            kept = [
                call for call in left_over.calls if call.subject is not None and call.subject.kind != "loose"
            ]
            return left_over._replace(loose=loose, work=(*left_over.work, *work), calls=(*kept, *calls))
        steps = self._steps.get(run, {})
        return UnderWay(
            run.instance is not None,
            tuple(
                StepState(
                    step.scheduled,
                    step.scheduled_at,
                    step.started_at,
                    step.attempt,
                    step.last_failure,
                    step.due,
                    step.cancel_requested,
                )
                for step in steps.values()
            ),
            tuple((thing.started, thing.due) for thing in run.work if isinstance(thing, WorkflowTimer)),
            loose,
            tuple(
                ChildState(child.initiated, int(child.cancel_requested))
                for child in run.children
                if not child.closed
            ),
            work,
            tuple(
                UpdateState(subject.update_id, subject.name, subject.payload, subject.admitted)
                if kind == UPDATE
                else kind
                for kind, subject, _ in run.jobs
            ),
            calls,
        )


def _family(run: Run) -> FamilyState:
    family = run.family
    return FamilyState(family.run_id, family.workflow, family.workflow_id, family.burst, family.burst_began)


def _loose(thing: IncomingSignal | ContinueAsNewBackoff) -> Pause | Coming:
    if isinstance(thing, ContinueAsNewBackoff):
        return Pause(thing.due)
    return Coming(thing.name, thing.payload, thing.due, thing.scheduled)


def world_of(
    record: WorldRecord, like: World, *, on_unplayable: Callable[[Run], None] | None = None
) -> World:
    """A world that stands where the recorded one stood; whatever no record holds is as in the world `like`.

    Its clock does not go on before `resume`. `on_unplayable` is told each run whose script does not do again
    what it did; the run then stays as it is, and waits for its script (`Run.unplayable`). Without it, such a
    script raises `ScriptError`.
    """
    return _Making(record, like, on_unplayable).made()


class _Making:
    def __init__(self, record: WorldRecord, like: World, on_unplayable: Callable[[Run], None] | None) -> None:
        self._record = record
        self._like = like
        self._on_unplayable = on_unplayable
        self._new = World.__new__(World)
        self._runs: dict[str, Run] = {}
        # The runs of each chain, by the id of its first one, and the families of those that go on.
        self._chains: dict[str, list[Run]] = {}
        self._families: dict[str, Family] = {}
        self._over = Family.__new__(Family)
        self._over.first = None
        # What was under way, by run, and then by what it is.
        self._things: dict[Run, dict[Subject, Any]] = {}

    def made(self) -> World:
        record, new = self._record, self._new
        new.__dict__.update(self._like.__dict__)
        new.clock = clock = Clock(record.mode)
        clock._now, clock._sequence = record.now, record.sequence
        new.seed, new.namespace, new.default_catalog = record.seed, record.namespace, record.default_catalog
        if record.mode != self._like.clock.mode:
            new.latency = latency_of(record.mode)
        new.ids = Ids(0)
        new.deadlines = Deadlines(clock)
        new.watchdog = clock.lock.watchdog = Watchdog(self._like.watchdog.limit)
        new.script_errors = list(record.script_errors)
        new.outlasting = dict(record.outlasting)
        new.answers_given = dict(record.answers_given)
        new.virtual, new.changed = None, None
        new.entered, new.ended = record.entered, record.ended
        new.played = {name: set(signals) for name, signals in record.played.items()}
        new.catalogs = {catalog.name: self._catalog(catalog) for catalog in record.catalogs}
        runs = sorted(record.runs, key=lambda one: one.number)
        for one in runs:
            self._runs[one.values["run_id"]] = self._run(one)
        self._index()
        for one in runs:
            self._relate(one, self._runs[one.values["run_id"]])
        for catalog in record.catalogs:
            new.catalogs[catalog.name].run = self._runs[catalog.run_id]
        for one in runs:
            if one.under_way is not None:
                self._go_on(one.under_way, self._runs[one.values["run_id"]])
        for one in runs:
            self._adopt(one, self._runs[one.values["run_id"]])
        self._let_stay(runs)
        # Playing has asked for ids that were given long ago.
        new.ids.random.setstate(record.random)
        self._what_is_due(runs)
        return new

    def _catalog(self, record: CatalogRecord) -> Catalog:
        catalog = Catalog(record.name, self._new)
        for definition in record.workflows:
            catalog.add(definition)
        catalog.worker, catalog.returns = record.worker, record.returns
        catalog.withheld = set(record.withheld)
        return catalog

    def _run(self, record: RunRecord) -> Run:
        run = Run.__new__(Run)
        run.__dict__.update(record.values)
        run.world, run.catalog = self._new, self._new.catalogs[record.catalog]
        run.definition, run.number, run.ended = record.definition, record.number, record.ended
        run.attempts, run.jobs, run.work = list(record.attempts), [], {}
        if record.family is None:
            run.family = self._over
            run.history = record.history
            run.record = record
            return run
        run.family = self._family(record.family, run)
        run.info = copy.copy(run.info)
        run.history, run.measured = History(), Measured()
        run.history.events = record.history.events[: record.length]
        run.history.batches = record.history.batches[: record.batches]
        run.history.events[0] = WorkflowExecutionStarted(run.history.events[0].time, run.info)
        if isinstance(run.definition, CatalogDefinition):
            run.info.catalog = run.catalog.as_json
            run.definition = CatalogDefinition(run.catalog.as_json)
        return run

    def _index(self) -> None:
        new, runs = self._new, self._runs
        new._runs = dict(runs)
        new._latest = {}
        for run in runs.values():
            new._latest[run.workflow_id] = run
            self._chains.setdefault(run.info.first_run_id, []).append(run)
        new._open = {run: None for run in runs.values() if run.running}
        closed = [run for run in runs.values() if not run.running]
        new._closed = dict.fromkeys(sorted(closed, key=lambda run: run.ended))

    def _family(self, state: FamilyState, run: Run) -> Family:
        """The family of a run that goes on. Those that a record was made of last know it best."""
        family = self._families.get(state.run_id)
        if family is None:
            family = self._families[state.run_id] = Family(run)
            family.first = None
            family.run_id, family.workflow, family.workflow_id = state[:3]
        if run.depth == 0:
            family.first = run
        burst = state.burst_began, state.burst
        family.burst_began, family.burst = max(burst, (family.burst_began, family.burst))
        return family

    def _relate(self, record: RunRecord, run: Run) -> None:
        if record.parent is not None:
            run.parent = self._runs.get(record.parent[0])
        if run.status == "continued_as_new":
            run.following = self._following(run)

    def _following(self, run: Run) -> Run | None:
        if run.next_run_id in self._runs:
            return self._runs[run.next_run_id]
        # That has gone; a later one of the chain is there.
        later = (
            other
            for other in self._chains.get(run.info.first_run_id, ())
            if other.number > run.number and other.info.continued_run_id is not None
        )
        return next(later, None)

    def _let_stay(self, runs: Iterable[RunRecord]) -> None:
        """Have closed runs go, when there are too many, together with those that they stay for."""
        new = self._new
        for one in sorted(runs, key=lambda one: one.ended):
            other = None if one.stays_for is None else self._runs.get(one.stays_for)
            if other is not None:
                self._runs[one.values["run_id"]].stay_with(other)
        new.let_leave()

    # Scripts

    def _go_on(self, under_way: UnderWay, run: Run) -> None:
        """Have a run's script stand where it stood, and take over what no history holds."""
        things = self._things[run] = {}
        if not run.running:
            return
        replay = Replay(run)
        try:
            replay.play()
            if not under_way.begun:
                run.instance = None
            self._take_over(under_way, run, replay, things)
        except ScriptError as error:
            if self._on_unplayable is None:
                raise
            self._leave(under_way, run, error)
        for number, one in enumerate(under_way.loose):
            things[Subject("loose", number)] = (
                ContinueAsNewBackoff(one.due)
                if isinstance(one, Pause)
                else IncomingSignal(one.name, one.payload, one.due, one.scheduled)
            )
        for subject in under_way.work:
            if subject in things:
                run.work[things[subject]] = None

    def _take_over(self, under_way: UnderWay, run: Run, replay: Replay, things: dict[Subject, Any]) -> None:
        try:
            for step in under_way.steps:
                activity = replay.activities[step.scheduled]
                for name, value in zip(StepState._fields, step, strict=True):
                    setattr(activity, name, value)
                things[Subject("step", step.scheduled)] = activity
            for started, due in under_way.timers:
                timer = replay.timers[started]
                timer.due = due
                things[Subject("timer", started)] = timer
            children = {child.initiated: child for child in run.children}
            for state in under_way.children:
                child = children[state.initiated]
                child.cancel_requested = state.cancel_requested
                things[Subject("child", state.initiated)] = child
        except KeyError as missing:
            raise _not_again(run, f"nothing began with event {missing}") from None
        run.jobs = self._jobs(under_way, run)

    def _jobs(self, under_way: UnderWay, run: Run) -> list[Job]:
        """What the script has not heard yet. Updates are in no history before they are accepted."""
        played = iter(run.jobs)
        jobs: list[Job] = []
        for kind in under_way.jobs:
            if isinstance(kind, UpdateState):
                update = Update(kind.update_id, kind.name, kind.payload)
                update.admitted = kind.admitted
                jobs.append((UPDATE, update, None))
                continue
            job = next(played, None)
            if job is None or job[0] != kind:
                raise _not_again(run, "what it has yet to hear is not in its history")
            jobs.append(job)
        # What has come since its script went.
        jobs += played
        return jobs

    def _leave(self, under_way: UnderWay, run: Run, error: ScriptError) -> None:
        """Keep a run as it is whose script cannot be played again."""
        assert self._on_unplayable is not None
        if run.instance is not None:
            run.instance.drop_script()
        run.instance, run.jobs, run.children = None, [], ()
        run.unplayable = error
        run.left_over = under_way._replace(
            work=tuple(subject for subject in under_way.work if subject.kind != "loose"), loose=()
        )
        self._on_unplayable(run)

    def _adopt(self, record: RunRecord, run: Run) -> None:
        """Have a run's parent hear of its end."""
        if record.parent is None or run.parent is None:
            return
        for child in run.parent.children:
            if child.initiated == record.parent[1]:
                run.child, child.run = child, run

    # What is due

    def _what_is_due(self, runs: Iterable[RunRecord]) -> None:
        record, new, clock = self._record, self._new, self._new.clock
        own: dict[Run, Timer] = {}
        for one in runs:
            run = self._runs[one.values["run_id"]]
            for call in () if one.under_way is None else one.under_way.calls:
                work = self._work(run, call.kind, call.subject)
                if work is None:
                    continue
                timer = Timer(clock, call.when, work, call.is_timeout)
                (clock._guards if call.is_timeout else clock._work).append((call.when, call.number, timer))
                if call.kind == "run times out":
                    own[run] = timer
                thing = None if call.subject is None else self._things[run].get(call.subject)
                if thing is not None and thing in run.work:
                    thing.timer = timer
        ring = None
        if record.deadline is not None:
            when, number = record.deadline
            ring = Timer(clock, when, new.deadlines.ring, True)
            clock._guards.append((when, number, ring))
        waiting = (run for run in new._open if run.deadline and run not in own)
        new.deadlines.take_over(deque(waiting), ring, own)
        for catalog in record.catalogs:
            other = new.catalogs[catalog.name]
            other.waiting = self._works(catalog.waiting)
            if catalog.returns is not None and catalog.returning is not None:
                other.returning = Timer(clock, catalog.returns, partial(other.set_worker, True), False)
                clock._work.append((catalog.returns, catalog.returning, other.returning))
        self._enqueue_tasks(runs)
        heapq.heapify(clock._work)
        heapq.heapify(clock._guards)
        clock._ready.extend(self._works(record.ready))

    def _enqueue_tasks(self, runs: Iterable[RunRecord]) -> None:
        """Ask for the workflow tasks of runs whose script has come back: nobody could do them meanwhile."""
        record = self._record
        asked = {
            call.run_id
            for call in chain(record.ready, *(catalog.waiting for catalog in record.catalogs))
            if call.kind == "workflow task"
        }
        for one in runs:
            run = self._runs[one.values["run_id"]]
            if not run.running or not (run.task_scheduled or run.speculative) or run.run_id in asked:
                continue
            calls = () if one.under_way is None else one.under_way.calls
            if not any(call.kind == "workflow task" for call in calls):
                self._new.clock.call_soon(Work(run, "workflow task"))

    def _works(self, calls: Iterable[NextWork]) -> list[Work]:
        found = []
        for call in calls:
            run = self._runs.get(call.run_id)
            work = None if run is None else self._work(run, call.kind, call.subject)
            if work is not None:
                found.append(work)
        return found

    def _work(self, run: Run, kind: Kind, subject: Subject | None) -> Work | None:
        if subject is None:
            return Work(run, kind)
        thing = self._things.get(run, {}).get(subject)
        return None if thing is None else Work(run, kind, thing)


def _not_again(run: Run, why: str) -> ScriptError:
    return ScriptError(
        f"the run {run.run_id} of {run.workflow_id!r} cannot go on from where it was: {why}; has its script "
        "changed?",
        workflow_id=run.workflow_id,
    )
