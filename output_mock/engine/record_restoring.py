"""Makes a world from a record (`records`)."""

from __future__ import annotations

import copy
import heapq
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import Any

from output_mock.contract.events import WorkflowExecutionStarted
from output_mock.contract.history import History
from output_mock.engine.catalog import Catalog
from output_mock.engine.clock import Clock, Timer
from output_mock.engine.commands import UPDATE, Job, Update
from output_mock.engine.deadlines import Deadlines
from output_mock.engine.history_limits import Measured
from output_mock.engine.ids import Ids
from output_mock.engine.latency import latency_of
from output_mock.engine.on_the_way import ContinueAsNewBackoff, IncomingSignal
from output_mock.engine.outgoing import Outgoing
from output_mock.engine.pending import Kind, Work
from output_mock.engine.record_taking import record_of
from output_mock.engine.records import (
    CatalogRecord,
    FamilyState,
    NextWork,
    Pause,
    RunRecord,
    StepState,
    Subject,
    UnderWay,
    UpdateState,
    WorldRecord,
)
from output_mock.engine.replay import Replay
from output_mock.engine.run import Family, Run
from output_mock.engine.watchdog import Watchdog
from output_mock.engine.world import World
from output_mock.scripts.definition import CatalogDefinition
from output_mock.sdk.errors import ScriptError


def copy_of(world: World) -> World:
    """A copy of a world, which continues separately.

    Raises `ScriptError` if a script behaves differently when it is replayed.
    """
    return world_of(record_of(world), world)


def check_playable(record: WorldRecord, like: World) -> None:
    """Raise `ScriptError` if the script of an open run behaves differently when it is replayed."""
    open_runs = tuple(run for run in record.runs if not run.ended)
    world_of(record._replace(runs=open_runs, ready=()), like).close()


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
        # The runs of each chain, by the id of its first one, and the families of open runs.
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
        new.outgoing = clock.outgoing = Outgoing(clock, new.callbacks)
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
        # Replaying has consumed ids that were given long ago.
        new.ids.random.setstate(record.random)
        self._what_is_due(runs)
        return new

    def _catalog(self, record: CatalogRecord) -> Catalog:
        catalog = Catalog(record.name, self._new.clock)
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
        """The family of an open run, as in the newest record."""
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
        # That one was removed, but a later one of the chain exists.
        later = (
            other
            for other in self._chains.get(run.info.first_run_id, ())
            if other.number > run.number and other.info.continued_run_id is not None
        )
        return next(later, None)

    def _let_stay(self, runs: Iterable[RunRecord]) -> None:
        """Restore which closed runs may be removed, together with the runs for which they stay."""
        new = self._new
        for one in sorted(runs, key=lambda one: one.ended):
            other = None if one.stays_for is None else self._runs.get(one.stays_for)
            if other is not None:
                self._runs[one.values["run_id"]].stay_with(other)
        new.let_leave()

    # Scripts

    def _go_on(self, under_way: UnderWay, run: Run) -> None:
        """Bring a run's script to where it was, and restore what the history does not contain."""
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
        """What the script has not been told yet. Updates are not in the history before they are accepted."""
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
        """Keep a run as it is, whose script cannot be replayed."""
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
        """Connect a run to its parent, which has to hear of its end."""
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
        """Schedule the workflow tasks of runs whose script has come back, as they could not be done
        meanwhile.
        """
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
        f"the run {run.run_id} of {run.workflow_id!r} cannot continue from where it was: {why}; has its "
        f"script changed?",
        workflow_id=run.workflow_id,
    )
