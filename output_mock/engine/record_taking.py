"""Makes the record of a world (`records`)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from output_mock.engine.catalog import Catalog
from output_mock.engine.commands import UPDATE, Activity, Child, WorkflowTimer
from output_mock.engine.on_the_way import ContinueAsNewBackoff, IncomingSignal
from output_mock.engine.pending import Work
from output_mock.engine.records import (
    RUN_VALUES,
    CatalogRecord,
    ChildState,
    Coming,
    DueWork,
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
from output_mock.engine.run import Run
from output_mock.engine.world import World


def record_of(world: World, runs: Iterable[Run] | None = None) -> WorldRecord:
    """The current state of a world, with these of its runs (default: all)."""
    with world.clock.lock:
        return _Recording(world, world._runs.values() if runs is None else runs).recorded()


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
                if call is None:
                    continue
                due = DueWork(number, when, timer.is_timeout, call.kind, call.subject)
                if work.kind == "request takes too long":
                    # Its answer would be lost, so it is sent again.
                    due = DueWork(number, clock._now, False, "request is sent", call.subject)
                new[work.run].append(due)

    def _next_calls(self, callbacks: Iterable[Callable[[], None]]) -> tuple[NextWork, ...]:
        """The work among these callbacks; the others are waiting requests."""
        return tuple(
            call for work in callbacks if isinstance(work, Work) and (call := self._call(work)) is not None
        )

    def _call(self, work: Work) -> NextWork | None:
        """A piece of work as data; None if it has no effect any more."""
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
