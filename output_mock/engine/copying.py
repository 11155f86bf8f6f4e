"""Copies of a whole world, which is what a snapshot of it is.

A coroutine cannot be copied. So the script of a run that goes on is led once more through what its history
holds, as a reset does it (`replay.py`), until it stands where the other one stands; what no history holds
(the attempts of steps, signals that are on their way, what is due when) is copied beside it. What a run that
has ended holds is shared with its copy: nothing of it changes any more.

What a copy cannot hold: requests that wait at the moment (they go on waiting for the other world), variables
that scripts share with one another or with their test, and what handlers of queries have changed. A script
that does something else when it is played once more cannot be copied at all.
"""

from __future__ import annotations

import copy
import heapq
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

from output_mock.engine.clock import Clock, Timer
from output_mock.engine.deadlines import Deadlines
from output_mock.engine.errors import ScriptError
from output_mock.engine.history import History
from output_mock.engine.history_limits import Measured
from output_mock.engine.ids import Ids
from output_mock.engine.instance import UPDATE, Activity, Child, Job, Update, WorkflowTimer
from output_mock.engine.replay import Replay
from output_mock.engine.run import Arrival, Backoff, Family, Run
from output_mock.engine.watchdog import Watchdog
from output_mock.engine.world import Catalog, World
from output_mock.scripts.definition import CatalogDefinition

# What a replay does not know of a step, a timer and a child.
_COPIED = {
    Activity: (
        *("scheduled", "scheduled_at", "started_at", "attempt", "last_failure", "due", "cancel_requested"),
        *("closed", "result"),
    ),
    WorkflowTimer: ("started", "due", "closed"),
    Child: ("workflow_id", "workflow_type", "initiated", "started", "cancel_requested", "closed"),
}


def copy_of(world: World) -> World:
    """A world that stands where this one stands, and goes on by itself.

    Raises `ScriptError` when a script does not do again what it did.
    """
    with world.clock.lock:
        return _Copying(world).copied()


class _Copying:
    """One world being copied: what of the one stands for what of the other."""

    def __init__(self, world: World) -> None:
        self._old = world
        self._new = World.__new__(World)
        self._runs: dict[Run, Run] = {}
        self._families: dict[Family, Family] = {}
        self._catalogs: dict[Catalog, Catalog] = {}
        # Steps, timers, children, pauses, signals on their way.
        self._things: dict[Any, Any] = {}
        self._timers: dict[Timer, Timer] = {}
        # Steps that are due at once, or wait for nothing but a worker, by run.
        self._steps: dict[Run, list[Activity]] = {}

    def copied(self) -> World:
        old, new = self._old, self._new
        new.__dict__.update(old.__dict__)
        new.clock = self._clock()
        new.ids = Ids(0)
        new.deadlines = Deadlines(new.clock)
        new.watchdog = new.clock.lock.watchdog = Watchdog(old.watchdog.limit)
        new.script_errors = list(old.script_errors)
        new.outlasting = dict(old.outlasting)
        new.answers_given = dict(old.answers_given)
        new.virtual = None
        new.catalogs = {name: self._catalog(catalog) for name, catalog in old.catalogs.items()}
        for run in old._runs.values():
            self._runs[run] = self._run(run)
        new._runs = {run_id: self._runs[run] for run_id, run in old._runs.items()}
        new._latest = {workflow_id: self._runs[run] for workflow_id, run in old._latest.items()}
        new._open = {self._runs[run]: None for run in old._open}
        new._closed = {self._runs[run]: None for run in old._closed}
        new._leaving = OrderedDict((self._runs[run], size) for run, size in old._leaving.items())
        new.played = {name: set(signals) for name, signals in old.played.items()}
        for catalog, copied in self._catalogs.items():
            copied.run = self._runs[catalog.run]
        for run, other in self._runs.items():
            other.family = self._family(run)
            other.parent = None if run.parent is None else self._runs[run.parent]
            other.following = None if run.following is None else self._runs.get(run.following)
            other.stays_for = None if run.stays_for is None else self._runs.get(run.stays_for)
            other.staying = [self._runs[one] for one in run.staying or () if one.stays_for is run] or None
        for callback in chain(old.clock._ready, *(catalog.waiting for catalog in self._catalogs)):
            if isinstance(callback, partial):
                steps = [arg for arg in callback.args if isinstance(arg, Activity) and not arg.closed]
                self._steps.setdefault(callback.func.__self__, []).extend(steps)  # type: ignore[attr-defined]
        for run in old._open:
            self._play(run, self._runs[run])
        for run, other in self._runs.items():
            if run.child is not None:
                other.child = self._things.get(run.child, run.child)
        # Replaying has asked for ids that were given long ago.
        new.ids.random.setstate(old.ids.random.getstate())
        self._what_is_due()
        return new

    # The pieces

    def _clock(self) -> Clock:
        old = self._old.clock
        new = Clock(old.mode)
        new._now, new._sequence = old._now, old._sequence
        return new

    def _catalog(self, catalog: Catalog) -> Catalog:
        new = Catalog(catalog.name, self._new)
        new.workflows, new.names = dict(catalog.workflows), dict(catalog.names)
        new.worker, new.returns = catalog.worker, catalog.returns
        self._catalogs[catalog] = new
        return new

    def _run(self, run: Run) -> Run:
        new = Run.__new__(Run)
        new.__dict__.update(run.__dict__)
        new.world, new.catalog = self._new, self._catalogs[run.catalog]
        new.waiters = None
        new.attempts = list(run.attempts)
        new.queries = ()
        if not run.running:
            return new
        new.info = copy.copy(run.info)
        new.history, new.measured = History(), Measured()
        new.history.events, new.history.batches = list(run.history.events), list(run.history.batches)
        first = new.history.events[0]
        new.history.events[0] = (*first[:2], new.info, *first[3:])
        new.jobs, new.work, new.children, new.instance = [], {}, (), None
        if isinstance(run.definition, CatalogDefinition):
            new.info.catalog = new.catalog.as_json
            new.definition = CatalogDefinition(new.catalog.as_json)
        return new

    def _family(self, run: Run) -> Family:
        old = run.family
        new = self._families.get(old)
        if new is None:
            new = self._families[old] = copy.copy(old)
            new.first = None if old.first is None else self._runs[old.first]
        return new

    def _play(self, run: Run, new: Run) -> None:
        """Lead the script of a run to where the other one stands, and take over what no history holds."""
        replay = Replay(new)
        replay.play()
        if run.instance is None:
            new.instance = None
        for child in run.children:
            self._take_over(child, next(one for one in new.children if one.initiated == child.initiated))
            if child.run is not None:
                self._things[child].run = self._runs[child.run]
        open_now = {**replay.activities, **replay.timers}
        for thing in [*run.work, *self._steps.get(run, ())]:
            if isinstance(thing, Activity):
                self._take_over(thing, open_now[thing.scheduled])
            elif isinstance(thing, WorkflowTimer):
                self._take_over(thing, open_now[thing.started])
            elif thing not in self._things:
                self._things[thing] = copy.copy(thing)
        new.work = {self._things[thing]: None for thing in run.work}
        new.jobs = self._jobs(run, new.jobs)

    def _take_over(self, thing: Any, new: Any) -> None:
        for name in _COPIED[type(thing)]:
            setattr(new, name, getattr(thing, name))
        self._things[thing] = new

    def _jobs(self, run: Run, replayed: list[Job]) -> list[Job]:
        """What the script has not heard yet. Updates are in no history before they are accepted."""
        rest = iter(replayed)
        jobs: list[Job] = []
        for kind, subject, detail in run.jobs:
            if kind == UPDATE:
                update = Update(subject.update_id, subject.name, subject.payload)
                update.admitted = subject.admitted
                jobs.append((UPDATE, update, None))
                continue
            job = next(rest, None)
            if job is None or job[0] != kind:
                raise ScriptError(
                    f"the run {run.run_id} of {run.workflow_id!r} cannot be copied: what it has yet to hear "
                    "is not in its history",
                    workflow_id=run.workflow_id,
                )
            jobs.append((kind, job[1], detail))
        return jobs

    # What is due

    def _what_is_due(self) -> None:
        old, new = self._old.clock, self._new.clock
        new._ready.extend(filter(None, map(self._callback, old._ready)))
        for heap, copied in ((old._work, new._work), (old._guards, new._guards)):
            for when, number, timer in heap:
                callback = None if timer.callback is None else self._callback(timer.callback)
                if callback is not None:
                    other = self._timers[timer] = Timer(new, when, callback, timer.guard)
                    copied.append((when, number, other))
            heapq.heapify(copied)
        for thing, other in self._things.items():
            if isinstance(thing, (Activity, WorkflowTimer, Arrival, Backoff)):
                other.timer = None if thing.timer is None else self._timers.get(thing.timer)
        self._new.deadlines.take_over(self._old.deadlines, self._runs, self._timers)
        for catalog, new_catalog in self._catalogs.items():
            if catalog.returning is not None:
                new_catalog.returning = self._timers.get(catalog.returning)
            new_catalog.waiting = list(filter(None, map(self._callback, catalog.waiting)))

    def _callback(self, callback: Callable[[], None]) -> Callable[[], None] | None:
        """What a callback is in the copy; None when it is for nobody there."""
        function, args = (callback.func, callback.args) if isinstance(callback, partial) else (callback, ())
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        new: Any
        if isinstance(owner, Run):
            new = self._runs.get(owner)
            if new is None:
                # It has gone.
                return None
            if not new.running and name != "trace_settled":
                return None
        elif isinstance(owner, Catalog):
            new = self._catalogs[owner]
        elif isinstance(owner, Deadlines):
            new = self._new.deadlines
        else:
            # A request that waits.
            return None
        given = [self._things.get(arg, arg) for arg in args]
        if any(isinstance(arg, (Activity, WorkflowTimer, Backoff, Arrival)) for arg in args) and given == [
            *args
        ]:
            # It is closed, and nothing comes of it.
            return None
        method: Callable[..., None] = getattr(new, name)
        return partial(method, *given) if given else method
