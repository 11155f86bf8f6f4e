"""A world: a complete fake with its catalogs, its runs and its clock.

A world has one lock, the clock's. Methods take it themselves, and release it while they wait.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from output_mock.callbacks.sending import Callbacks
from output_mock.contract import errors
from output_mock.contract.run_start import ParentInfo, StartInfo
from output_mock.contract.versions import NEWEST, Deployment
from output_mock.durations import MILLISECOND
from output_mock.engine import children, machines
from output_mock.engine.catalog import Catalog
from output_mock.engine.clock import Clock, Mode
from output_mock.engine.commands import Child, Query, Update
from output_mock.engine.deadlines import Deadlines
from output_mock.engine.errors import Ending, StalledError
from output_mock.engine.ids import Ids
from output_mock.engine.instance import Instance
from output_mock.engine.kept_runs import KeptRuns
from output_mock.engine.latency import Latency, latency_of
from output_mock.engine.machines import HOW
from output_mock.engine.outgoing import Outgoing
from output_mock.engine.outlasting import Noted
from output_mock.engine.pending import Work
from output_mock.engine.replay import reset_point, reset_run, script_again
from output_mock.engine.run import Run
from output_mock.engine.trace_storage import Traces
from output_mock.engine.waiting import PassesTime, Waiting
from output_mock.engine.watchdog import LIMIT as SCRIPT_LIMIT
from output_mock.engine.watchdog import ScriptBlockedError, Watchdog
from output_mock.javascript_json import UNDEFINED, as_json
from output_mock.scripts.definition import CatalogDefinition
from output_mock.scripts.parts import parts_of
from output_mock.sdk.errors import ScriptError

if TYPE_CHECKING:
    from output_mock.scripts.definition import WorkflowDefinition

# A workflow that continues as new within a second has to wait for the rest of that second
# (continue_as_new).
_CONTINUE_INTERVAL = 1_000_000_000
# Node treats a longer timeout as one millisecond (run_timeout_beyond_32_bits).
_LONGEST_TIMEOUT = (2**31 - 1) * MILLISECOND
# How deep children may nest.
_DEEPEST_CHILD = 100
# How many further runs a client's run may cause within a second of the clock.
MOST_DESCENDANTS = 2_000
# Temporal accepts ids and names of at most this many bytes.
_LONGEST_ID = 1000
# Characters that UTF-8 cannot encode, so that they cannot be sent to Temporal (half_characters).
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
# What the real server writes if the request has no reason (terminate_pinned_no_body).
_NO_REASON = "terminated by user via frontend"
# How many seconds closing a world waits for its lock. Then it continues without the lock.
_SOON = 0.1
# How many mistakes in scripts are kept, at least.
_KEPT_ERRORS = 1_000
# From this number of leftovers of closed runs or removed workflows on, the world looks for them.
_SWEEP_AT = 1_000
_RESET_POINTS_KEPT = 259_200_000_000_000  # three days


class Ended(NamedTuple):
    """The end of a run that a caller waited for."""

    # The latest run of its workflow id, which has the reported status, and the last run of its chain.
    reported: Run
    outcome: Run


class World(Waiting):
    """The whole state of one fake."""

    # How to do each kind of pending work for a run.
    how = HOW

    def __init__(
        self,
        *,
        clock: Mode | Clock = "auto",
        start: datetime | None = None,
        seed: int = 0,
        catalog: str = "main",
        execution_timeout: int = 24 * 3600 * 1_000_000_000,
        max_waiting: int = 300_000 * MILLISECOND,
        history_max_waiting: int = 15_000 * MILLISECOND,
        list_lag: int = 0,
        script_limit: int = SCRIPT_LIMIT,
        patience: float = 10.0,
        traces: Traces | None = None,
        namespace: str = "default",
        kept_runs: KeptRuns | None = None,
        callbacks: Callbacks | None = None,
        deployment: Deployment = NEWEST,
    ) -> None:
        # Which versions it imitates. The engine itself is the newest version.
        self.deployment: Deployment = deployment
        self.clock: Clock = clock if isinstance(clock, Clock) else Clock(clock, start=start)
        self.seed = seed
        self.ids: Ids = Ids(seed)
        self.latency: Latency = latency_of(self.clock.mode)
        self.execution_timeout = execution_timeout
        self.max_waiting = max_waiting
        self.history_max_waiting = history_max_waiting
        # The delay until lists show that a run has started or ended.
        self.list_lag = list_lag
        # How long, in real time, a request waits for something that only another request can cause.
        self.patience = patience
        self.traces: Traces = traces or Traces()
        self.namespace = namespace
        self.default_catalog = catalog
        self.catalogs: dict[str, Catalog] = {}
        self.script_errors: list[ScriptError] = []
        # Waits and pauses that outlast their run. The key is place and kind. The value is the message, and
        # whether it is the timeout of a wait.
        self.outlasting: Noted = {}
        self.watchdog: Watchdog = Watchdog(script_limit)
        self.clock.lock.watchdog = self.watchdog
        self.deadlines: Deadlines = Deadlines(self.clock)
        # Where requests of workflows go, and the requests in progress.
        self.callbacks: Callbacks = Callbacks() if callbacks is None else callbacks
        self.outgoing: Outgoing = Outgoing(self.clock, self.callbacks)
        self.clock.outgoing = self.outgoing
        # How many answers each scripted sequence has given in this world.
        self.answers_given: dict[object, int] = {}
        self._most_answers = _SWEEP_AT
        # Lets waiting code continue while virtual time is on.
        self.virtual: PassesTime | None = None
        # How many requests wait because they are delayed on purpose.
        self._late = 0
        self._latest: dict[str, Run] = {}
        self._runs: dict[str, Run] = {}
        self._open: dict[Run, None] = {}
        # The closed runs, in the order in which they closed.
        self._closed: dict[Run, None] = {}
        # How many of them to keep, and for how many worlds.
        self.kept_runs: KeptRuns = KeptRuns() if kept_runs is None else kept_runs
        # The runs to remove, oldest first, each with the number of runs to remove together with it, itself
        # included; and the total of these numbers.
        self._leaving: OrderedDict[Run, int] = OrderedDict()
        self.closed_runs: int = 0
        # The workflows of removed runs, each with the signals that they received: name, place, and delay.
        self.played: dict[str, set[tuple[str, str, int]]] = {}
        self.kept_runs.add(self)
        # How many runs have ever started, and how many have closed.
        self.entered: int = 0
        self.ended: int = 0
        # The runs in the pause after continuing as new, when everything due was last played.
        self._paused: set[Run] = set()
        # The runs that have changed since they were last saved; None if nothing saves them.
        self.changed: set[Run] | None = None

    # Catalogs

    def catalog(self, name: str | None = None) -> Catalog:
        """The catalog of that name (default: the world's own). Creates it if it does not exist."""
        name = name or self.default_catalog
        with self.clock.lock:
            catalog = self.catalogs.get(name)
            if catalog is None:
                catalog = self.catalogs[name] = Catalog(name, self.clock)
                definition = CatalogDefinition(catalog.as_json)
                catalog.run = self._begin(catalog, definition, name, UNDEFINED, timeout=0)
                catalog.run.info.catalog = catalog.as_json
            return catalog

    def known_catalog(self, name: str | None) -> Catalog:
        """The catalog of that name. Raises `CatalogNotAvailableError` if it does not exist."""
        name = self.default_catalog if name is None else name
        catalog = self.catalogs.get(name)
        if catalog is None:
            raise errors.CatalogNotAvailableError(name, self.catalogs)
        return catalog

    def _check_no_run(self, catalog: str | None, workflow_name: str) -> None:
        """A run whose id is used as a catalog has no workflows (catalog_that_is_a_run).

        Raises `UnsupportedWorkflowError` when `catalog` is the id of one.
        """
        deployment = self.deployment
        if catalog in self._latest and catalog not in self.catalogs and not deployment.asks_the_catalog:
            raise errors.UnsupportedWorkflowError(workflow_name, catalog)

    # Starting

    def start(
        self,
        workflow_name: str,
        input: Any = UNDEFINED,
        *,
        workflow_id: str | None = None,
        catalog: str | None = None,
    ) -> Run:
        """Start a run and return it. It only has its first events so far.

        Raises `CatalogNotAvailableError`, `UnsupportedWorkflowError`,
        `WorkflowExecutionAlreadyStartedError` and `MissingWorkflowIdError`.
        """
        input = as_json(input)
        with self.clock.lock:
            self._check_no_run(catalog, workflow_name)
            queue = self.known_catalog(catalog)
            if self.deployment.asks_the_catalog and not queue.worker:
                raise errors.ServiceError("Failed to query Workflow", status=409)
            name = queue.names.get(workflow_name)
            if self.deployment.finds_no_workflow:
                refusal = errors.UnsupportedWorkflowError(workflow_name, queue.name)
                refusal.unmatched_reason = (
                    f"a server of {self.deployment.api} finds no workflows of workers of "
                    f"{self.deployment.sdk}, as these do not write the names where the server looks for them"
                )
                raise refusal
            if name is None:
                raise errors.UnsupportedWorkflowError(workflow_name, queue.name, queue.names)
            if workflow_id is None:
                workflow_id = self.ids.workflow_id()
            elif not workflow_id:
                raise errors.MissingWorkflowIdError
            elif len(workflow_id.encode("utf-8", "replace")) > _LONGEST_ID:
                raise errors.ServiceError("Failed to start Workflow", status=400)
            elif _HALF_CHARACTER.search(workflow_id):
                raise errors.ServiceError("Failed to start Workflow")
            latest = self._latest.get(workflow_id)
            if latest is not None and latest.running:
                raise errors.WorkflowExecutionAlreadyStartedError(workflow_id)
            return self._begin(
                queue, queue.workflows[name], workflow_id, input, timeout=self.execution_timeout
            )

    def _begin(
        self, catalog: Catalog, definition: WorkflowDefinition, workflow_id: str, input: Any, *, timeout: int
    ) -> Run:
        now = self.clock.nanoseconds()
        run_id = self.ids.run_id(now)
        info = StartInfo(
            self.namespace,
            workflow_id,
            run_id,
            run_id,
            definition.name,
            catalog.name,
            input,
            now,
            timeout,
            self.clock.last(now + timeout) if timeout else 0,
        )
        run = Run(self, catalog, definition, info, run_id)
        self._enter(run)
        run.begin()
        return run

    def start_child(self, parent: Run, child: Child[Run], about: ParentInfo) -> Run:
        """Start the run of a child workflow. The parent's run calls this and holds the lock.

        Raises `ScriptError` if children start children without end.
        """
        now = self.clock.nanoseconds()
        self._count(parent, now)
        run_id = self.ids.run_id(now)
        info = StartInfo(
            self.namespace,
            child.workflow_id,
            run_id,
            run_id,
            child.workflow_type,
            parent.info.task_queue,
            child.input,
            now,
            0,
            0,
        )
        info.parent = about
        info.memo = child.memo
        info.invocation = child.invocation.get("activityOptions")
        run = Run(self, parent.catalog, parent.catalog.workflows[child.workflow_type], info, run_id)
        run.family, run.depth = parent.family, parent.depth + 1
        self._enter(run)
        run.begin()
        return run

    def resolve_child(self, parent: Run, name: str) -> str:
        """The workflow that a parent means.

        Raises `LookupError` that lists the known workflows, and `RecursionError` if children start children
        without end. No time has to pass between them, so nothing else would stop them.
        """
        if parent.depth >= _DEEPEST_CHILD:
            raise RecursionError(
                f"children are nested {_DEEPEST_CHILD} deep; does workflow {name!r} run itself without end?"
            )
        return parent.catalog.child(name)

    def continue_as_new(self, run: Run, run_id: str, input: Any) -> None:
        """Begin the next run of a chain. The run that ends calls this and holds the lock."""
        now = self.clock.nanoseconds()
        endless: ScriptError | None = None
        try:
            self._count(run, now)
        except ScriptError as error:
            endless = error
        old = run.info
        backoff = max(0, _CONTINUE_INTERVAL - (now - run.start_time - old.backoff))
        first = old.reset_points[:3] if old.reset_points is not None else (run.run_id, 4, now)
        info = StartInfo(
            old.namespace,
            old.workflow_id,
            run_id,
            old.first_run_id,
            old.workflow_type,
            old.task_queue,
            input,
            now,
            old.timeout,
            old.expiration,
        )
        info.continued_run_id = run.run_id
        info.backoff = backoff
        info.reset_points = (*first, now + _RESET_POINTS_KEPT)
        # The step options from the parent's call are not passed on.
        info.parent, info.memo = old.parent, old.memo
        info.first = old.first or old
        following = Run(self, run.catalog, run.definition, info, run_id)
        following.family, following.depth = run.family, run.depth
        following.parent, following.child = run.parent, run.child
        if following.child is not None:
            following.child.run = following
        if run.family.first is run:
            run.family.first = following
        run.following, run.parent, run.child = following, None, None
        self._enter(following)
        following.begin()
        if endless is not None:
            following.end_endless(endless)

    def _count(self, run: Run, now: int) -> None:
        """Count a run that another run starts. Raises `ScriptError` if there are too many.

        No time has to pass between them. So nothing else would stop them, and they would block this world.
        """
        family = run.family
        if now - family.burst_began > _CONTINUE_INTERVAL:
            family.burst_began, family.burst, family.endless = now, 0, None
        family.burst += 1
        if family.burst > MOST_DESCENDANTS:
            if family.endless is None:
                family.endless = ScriptError(
                    f"workflow {family.workflow!r} has started {MOST_DESCENDANTS} runs within a "
                    f"second of the clock, the last of them by {run.definition.name!r}; do its children have "
                    "children without end? Let time pass between them (ctx.sleep, or takes)",
                    workflow_id=family.workflow_id,
                )
            raise family.endless

    def _enter(self, run: Run) -> None:
        info, before = run.info, self._latest.get(run.workflow_id)
        if before is not None and info.run_id == run.run_id:
            # Real runs with the same id never start in the same millisecond, but on a virtual clock they
            # may.
            info.trace_start = max(info.start, before.info.trace_start + MILLISECOND)
        self.entered += 1
        run.number = self.entered
        self._latest[run.workflow_id] = run
        self._runs[run.run_id] = run
        self._open[run] = None

    def closed(self, run: Run) -> None:
        """Record that a run has closed. Lists show it among the closed runs from now on."""
        if run in self._open:
            del self._open[run]
            self._closed[run] = None
            self.ended += 1
            run.ended = self.ended
            if len(self.answers_given) > self._most_answers:
                self._forget_answers()
            if run.parent is not None and run.parent.running and run.status != "continued_as_new":
                run.stay_with(run.parent)
                return
            self._may_leave(run)
            self.kept_runs.make_room(self)

    def note(self, error: ScriptError) -> None:
        """Keep a mistake in a script, and drop the oldest ones if there are too many."""
        self.script_errors.append(error)
        if len(self.script_errors) > 2 * _KEPT_ERRORS:
            del self.script_errors[:_KEPT_ERRORS]

    def _forget_answers(self) -> None:
        """Forget the counts of answers of workflows that are no longer offered."""
        offered = {
            part.whose
            for catalog in self.catalogs.values()
            for definition in catalog.workflows.values()
            for part in parts_of(definition)
        }
        self.answers_given = {whose: n for whose, n in self.answers_given.items() if whose in offered}
        self._most_answers = max(_SWEEP_AT, 2 * len(self.answers_given))

    def _may_leave(self, run: Run) -> None:
        self._leaving[run] = size = sum(1 for _ in run.with_those_that_stay())
        self.closed_runs += size

    def let_leave(self) -> None:
        """Find out again which closed runs may be removed."""
        self._leaving, self.closed_runs = OrderedDict(), 0
        for run in self._closed:
            if run.stays_for is None:
                self._may_leave(run)

    def stay_with(self, parent: Run, run: Run) -> None:
        """Keep a closed run for as long as the running `parent` stays."""
        self.closed_runs -= self._leaving.pop(run, 0)
        run.stay_with(parent)

    @property
    def open_runs(self) -> int:
        """How many runs have not ended, without catalogs."""
        return sum(not isinstance(run.definition, CatalogDefinition) for run in self._open.copy())

    @property
    def may_forget(self) -> int:
        """How many closed runs may be removed, each with the runs that it keeps."""
        return len(self._leaving)

    def forget_oldest(self) -> int:
        """Remove the oldest closed run that may go. Returns how many runs this removed.

        Hold the lock. A reader that already has one of these runs can continue to read it.
        """
        oldest, size = self._leaving.popitem(last=False)
        self.closed_runs -= size
        for run in oldest.with_those_that_stay():
            run.changed()
            del self._closed[run], self._runs[run.run_id]
            if self._latest.get(run.workflow_id) is run:
                del self._latest[run.workflow_id]
            played = self.played.setdefault(run.info.workflow_type, set())
            played.update((signal.name, signal.place, signal.after) for signal in run.sent)
            self.traces.forget(run)
        return size

    def begin(self, run: Run, kind: int, subject: Any, now: int) -> None:
        """Start what a command of a run asks for; see `machines.begin`."""
        machines.begin(run, kind, subject, now)

    def child_closed(self, parent: Run, child: Child[Run], run: Run) -> None:
        """Tell a running parent that its child has ended."""
        children.close(parent, child, run)

    def after(self, delay: int, work: Work) -> None:
        """Schedule this work after `delay` nanoseconds. If 0, it is next in the queue."""
        if delay:
            self.clock.call_at(self.clock.nanoseconds() + delay, work)
        else:
            self.clock.call_soon(work)

    # Finding

    def find(self, workflow_id: str, run_id: str | None = None) -> Run:
        """The latest run of a workflow id, or the run with that run id.

        Raises `WorkflowNotFoundError`.
        """
        with self.clock.lock:
            if run_id is None:
                run = self._latest.get(workflow_id)
            else:
                run = self._runs.get(run_id.lower())
                if run is not None and run.workflow_id != workflow_id:
                    run = None
            if run is None:
                raise errors.WorkflowNotFoundError.unknown(workflow_id, run_id)
            return run

    def has(self, run: Run) -> bool:
        """Whether a run still exists. Hold the lock."""
        return self._runs.get(run.run_id) is run

    def begun_as(self, workflow_id: str, run_id: str) -> Run | None:
        """The run with that id. If it was removed, the run that replaced it; None if there is neither. Hold
        the lock.
        """
        run = self._runs.get(run_id)
        if run is None:
            run = self._latest.get(workflow_id)
            if run is not None and run.info.first_run_id != run_id:
                return None
        return run

    def parent_of(self, run: Run) -> Run | None:
        """The parent of a run; None if it has no parent, or if the parent was removed."""
        about = run.info.parent
        return None if about is None else self.begun_as(about.workflow_id, about.run_id)

    def runs(self, workflow_type: str | None = None, catalog: str | None = None) -> Iterator[Run]:
        """Runs as lists show them: running ones, newest first, then closed ones, latest first."""
        for run in chain(reversed(self._open), reversed(self._closed)):
            if workflow_type is not None and run.info.workflow_type != workflow_type:
                continue
            if catalog is not None and run.info.task_queue != catalog:
                continue
            yield run

    def name_of(self, workflow_id: str) -> str | None:
        """The name of the workflow with this id; None for an unknown id and for a catalog."""
        run = self._latest.get(workflow_id)
        return None if run is None or isinstance(run.definition, CatalogDefinition) else run.definition.name

    def workflow_ids(self, limit: int | None = None) -> list[str]:
        """All workflow ids, in the order of their first start, without catalogs.

        `limit` is the largest number to return. Ids of removed runs are missing.
        """
        # Without the lock, because a script may hold it for a long time.
        there = (
            workflow_id
            for workflow_id, run in self._latest.copy().items()
            if not isinstance(run.definition, CatalogDefinition)
        )
        return list(islice(there, limit))

    def list_runs(
        self, *, workflow_type: str | None = None, catalog: str | None = None, limit: int = 100
    ) -> list[Run]:
        """At most `limit` runs, as `/workflow/runs` lists them (runs, routing)."""
        listed: list[Run] = []
        with self.clock.lock:
            for run in self.runs(workflow_type, catalog):
                if self.is_late(run.start_time):
                    continue
                listed.append(run)
                if len(listed) >= limit:
                    break
        return listed

    def is_late(self, moment: int) -> bool:
        """Whether lists do not show yet what happened at that time, in nanoseconds since 1970."""
        return self.list_lag > 0 and moment + self.list_lag > self.clock.nanoseconds()

    def poll_list(self) -> None:
        """Note that a client lists the runs and may do so again. On an `auto` clock, advance to the next
        event, or to the time when lists show the latest changes.
        """
        with self.clock.lock:
            if self.clock.mode == "auto" and (late := min(self._late_changes(), default=None)):
                self.clock.jump(late + self.list_lag)
                return
        self.poll()

    def _late_changes(self) -> Iterator[int]:
        """When the runs were started and closed that lists do not show yet.

        Runs are kept in the order of their last change, so only the newest ones are looked at.
        """
        for run in reversed(self._open):
            if not self.is_late(run.start_time):
                break
            yield run.start_time
        for run in reversed(self._closed):
            if not self.is_late(run.close_time):
                break
            yield run.close_time
            if self.is_late(run.start_time):
                yield run.start_time

    # Messages

    def signal(self, workflow_id: str, name: str, payload: Any = UNDEFINED, *, after: int = 0) -> None:
        """Send a signal to the latest run, now or `after` a number of nanoseconds.

        Raises `WorkflowNotFoundError`, also when the run is closed.
        """
        payload = as_json(payload)
        if len(name.encode("utf-8", "replace")) > _LONGEST_ID:
            raise errors.ServiceError("Failed to signal Workflow", status=400)
        with self.clock.lock:
            self._catch_up()
            run = self._running(workflow_id)
            if after:
                run.expect_signal(name, payload, after)
                return
            if not run.signal(name, payload):
                # As the real server reports a history that is full (`history_limits`).
                raise errors.ServiceError("Failed to signal Workflow", status=400)
            self._catch_up()
        self.outgoing.carry_out()

    def query(self, workflow_id: str, name: str, payload: Any = UNDEFINED) -> Any:
        """Query the latest run, even if it is closed. Returns JSON, or `UNDEFINED` for an empty answer.

        Raises `WorkflowNotFoundError`, `QueryNotRegisteredError`, `ScriptError`, and `ServiceError` if no
        worker can answer.
        """
        question = Query(name, None if payload is UNDEFINED else payload)
        with self.clock.lock:
            self._catch_up()
            run = self.find(workflow_id)
            if run.unplayable is not None:
                raise run.unplayable
            if not run.catalog.worker:
                raise errors.ServiceError("Failed to query Workflow", status=409 if run.began else 500)
            waits = run.running and (run.task_scheduled > 0 or not run.began)
            if waits:
                # As on the real server, the workflow task that is due answers a query.
                run.queries = (*run.queries, question)
        if waits:
            self.wait(run, lambda: question.answered or not run.running, until=None)
        with self.clock.lock:
            if not question.answered:
                if not run.began:
                    # The run closed before its first workflow task, so a worker has nothing to replay.
                    raise errors.ServiceError("Failed to query Workflow", status=409)
                if run.script_error is not None:
                    raise run.script_error
                instance = run.instance or (
                    script_again(run) if run.answers else Instance(run, run.definition)
                )
                question.ask(instance.query)
        if question.error is not None:
            raise question.error
        return question.answer

    def update(self, workflow_id: str, name: str, payload: Any = UNDEFINED) -> Any:
        """Send an update to the latest run and wait for its answer.

        Raises `WorkflowNotFoundError` for a closed run, `WorkflowUpdateFailedError` if the update is
        rejected or fails, and `StalledError` if nothing can complete it.
        """
        payload = as_json(payload)
        run, update = self._send_update(workflow_id, name, payload)
        while update is None:
            self._wait_for_update(run, name, run.takes_update)
            run, update = self._send_update(workflow_id, name, payload)
        sent = update
        self._wait_for_update(run, name, lambda: sent.done or sent.rejected is not None)
        if update.rejected is not None:
            unmatched_reason = None if update.mistake is None else update.mistake.message
            if update.unknown:
                unmatched_reason = (
                    f"the script of {run.info.workflow_type!r} has no handler for update {name!r}"
                )
            raise errors.WorkflowUpdateFailedError(update.rejected, unmatched_reason=unmatched_reason)
        if update.failure is not None:
            raise errors.WorkflowUpdateFailedError(update.failure.root().message)
        if update.done:
            return update.result
        if run.script_error is not None:
            raise run.script_error
        if update.lost:
            raise errors.ServiceError("Workflow Update failed", status=409)
        if update.accepted:
            raise errors.WorkflowUpdateFailedError("the workflow completed before the update did")
        raise errors.WorkflowNotFoundError.completed(workflow_id)

    def _send_update(self, workflow_id: str, name: str, payload: Any) -> tuple[Run, Update | None]:
        """Send an update to the latest run. Returns None while too many updates wait for their answers:
        Temporal then refuses the update, and the server tries again.
        """
        with self.clock.lock:
            self._catch_up()
            run = self._running(workflow_id)
            if run.unplayable is not None:
                raise run.unplayable
            if not run.takes_update():
                return run, None
            update = Update(self.ids.uuid4(), name, payload)
            run.update(update)
            return run, update

    def _wait_for_update(self, run: Run, name: str, done: Callable[[], bool]) -> None:
        if not self.wait(run, lambda: done() or not run.running, until=None):
            raise StalledError(
                f"update {name!r} of workflow {run.workflow_id!r} did not end within "
                f"{self.patience:g} s; it may wait for a signal, another request, or time on the clock",
                workflow_id=run.workflow_id,
            )

    def stop(self, workflow_id: str, run_id: str | None = None) -> Run:
        """Ask a run to stop, and return it. Does nothing if it is closed (stop_default)."""
        with self.clock.lock:
            self._catch_up()
            run = self.find(workflow_id, run_id)
            run.request_cancel()
            self._catch_up()
        self.outgoing.carry_out()
        return run

    def terminate(self, workflow_id: str, reason: str | None = None, run_id: str | None = None) -> Run:
        """End a run at once, and return it. Raises `WorkflowNotFoundError` when it is closed."""
        with self.clock.lock:
            self._catch_up()
            run = self._running(workflow_id, run_id)
            if reason and _HALF_CHARACTER.search(reason):
                raise errors.ServiceError("Failed to terminate Workflow")
            run.terminate(reason or _NO_REASON, detailed=True)
            self._catch_up()
        self.outgoing.carry_out()
        return run

    def reset(
        self, workflow_id: str, step_name: str, reason: str | None = None, run_id: str | None = None
    ) -> Run:
        """Reset: begin a new run that repeats this run up to the end of a step (reset).

        Returns the new run. Raises `WorkflowNotFoundError`, `StepNotFoundError`, `StepNotCompletedError`.
        """
        with self.clock.lock:
            self._catch_up()
            run = self.find(workflow_id, run_id)
            event_id = reset_point(run, step_name)
            if reason and _HALF_CHARACTER.search(reason):
                raise errors.OutputError(
                    "13 INTERNAL: grpc: error unmarshalling request: string field contains invalid UTF-8"
                )
            words = reason or f'Reset to re-run from after step "{step_name}"'
            following, under_way = reset_run(run, event_id, words)
            latest = self._latest[workflow_id]
            if latest.running:
                if latest.child is not None:
                    # Callers that wait for it now wait for the new run (child_reset).
                    following.parent, following.child = latest.parent, latest.child
                    latest.child.run = following
                    latest.parent = latest.child = None
                latest.terminate(words, identity="history-resetter")
            self._enter(following)
            machines.resume(following, under_way)
            self._catch_up()
        self.outgoing.carry_out()
        return following

    def send_worker_away(self, length: int, catalog: str | None = None) -> None:
        """Take the worker of a catalog (default: the world's own) away for a number of nanoseconds.

        Raises `CatalogNotAvailableError` when there is no such catalog.
        """
        self.known_catalog(catalog).send_worker_away(length)

    def set_clock_mode(self, mode: Mode) -> None:
        """Change the clock between `auto` and `manual`. Raises `ValueError` for any other change."""
        with self.clock.lock:
            self.clock.set_mode(mode)
            for run in self._open:
                run.wake()

    # By hand

    def do_what_is_due(self) -> None:
        """Do everything that is due now, including requests of workflows. Time stands still."""
        if self.clock.lock.is_mine() or self.clock.closed:
            return
        with self.clock.lock:
            self._catch_up()
        self.outgoing.carry_out()

    def play_what_is_due(self, *, most: int = 10_000) -> None:
        """Do everything that is due now, even if no client has polled. Time stands still.

        Every run that no client has polled gets its first workflow task, and so do its children and the run
        that continues it. Doing this again begins no further run of the same chain, as its script may use
        what a test has taken away since. A script may run for ever while no time passes. So there is a limit
        for the work beyond what is due already, and nothing happens after a script that was aborted.
        """
        with self.clock.lock:
            if self.clock.closed:
                return
            latency, self.latency = self.latency, Latency()
            left = most + 10 * len(self._open)
            seen = {id(error) for error in self.script_errors}

            def go_on() -> bool:
                nonlocal left
                left -= 1
                return left >= 0 and not any(
                    isinstance(error.__cause__, ScriptBlockedError)
                    for error in self.script_errors
                    if id(error) not in seen
                )

            try:
                # Some runs may continue as new. Those begin, too, but not the runs that continue them.
                for _ in range(2):
                    for run in list(self._open):
                        if run in self._paused and run.is_paused():
                            continue
                        if not go_on():
                            return
                        run.hurry_to_script()
                    self.clock.run_due(go_on)
                for run in self._open:
                    if run.instance is not None:
                        run.instance.loop.tell_unheard()
            finally:
                self.latency = latency
                self._paused = {run for run in self._open if run.is_paused()}

    def _running(self, workflow_id: str, run_id: str | None = None) -> Run:
        run = self.find(workflow_id, run_id)
        if not run.running:
            raise errors.WorkflowNotFoundError.completed(workflow_id)
        return run

    def _catch_up(self) -> None:
        """Do everything that is due now."""
        self.clock.run_due()

    def wait_for_result(self, run: Run, timeout: int | None = None) -> Ended:
        """Wait for a run that `/workflow/run` started, and return how it ended.

        `timeout` is in milliseconds; the default is the world's. Raises `WorkflowExecutionTimedOutError` if
        it passes first, and `ScriptError` if the script has a mistake.
        """
        length = self.max_waiting if timeout is None else timeout * MILLISECOND
        if length > _LONGEST_TIMEOUT:
            length = MILLISECOND
        until = self.clock.last(run.start_time + length)
        if not self.wait(run, lambda: not run.latest().running, until=until, guards=True):
            if self.clock.nanoseconds() < until:
                raise StalledError(
                    f"workflow {run.workflow_id!r} did not end within {self.patience:g} s of real time, as "
                    f"the {self.clock.mode} clock does not move by itself; advance it from another thread, "
                    f"or use /workflow/start",
                    workflow_id=run.workflow_id,
                )
            raise errors.WorkflowExecutionTimedOutError(run.workflow_id)
        with self.clock.lock:
            outcome = run.latest()
            if outcome.script_error is not None:
                raise outcome.script_error
            # It may have been removed since.
            return Ended(self._latest.get(run.workflow_id, outcome), outcome)

    def closed_run(self, workflow_id: str, run_id: str | None = None) -> Run:
        """A closed run. Raises `WorkflowNotCompletedError` while it runs, and `ScriptError` if the script
        has a mistake.
        """
        with self.clock.lock:
            run = self.find(workflow_id, run_id)
            if run.running:
                raise errors.WorkflowNotCompletedError
            if run.script_error is not None:
                raise run.script_error
            return run

    # Ending

    def wake_all_waiters(self, ending: Ending = Ending.STOPPED) -> None:
        """End all waits in this world with the error of this ending. The world itself continues. Does not
        wait for any script.
        """
        lock = self.clock.lock
        lock.wake_all_waiters(ending)
        self._wake()
        if lock.acquire(timeout=_SOON):
            # Now every thread that is about to wait has seen it.
            try:
                self._wake()
            finally:
                lock.release()

    def _wake(self) -> None:
        for run in self._open.copy():
            run.wake()
        self.outgoing.wake_all_waiters()

    def close(
        self,
        ending: Ending = Ending.CLOSED,
        on_stuck: Callable[[int], object] = lambda thread_id: None,
    ) -> None:
        """Stop all work in this world, and end all waits. You may call this more than once.

        If a script holds the lock and computes, it is aborted. If it blocks, its thread stays until its
        call returns. Before that, `on_stuck` is called with the id of the thread.
        """
        lock = self.clock.lock
        if self.clock.closed:
            return
        if lock.ended is None:
            lock.ended = ending
        self.kept_runs.remove(self)
        self.clock.closed = True
        self.wake_all_waiters(ending)
        if lock.acquire(timeout=_SOON):
            try:
                self._end()
            finally:
                lock.release()
            return
        if self.watchdog.running:
            on_stuck(self.watchdog.thread_id)
        self.watchdog.limit = 1
        threading.Thread(target=self._end_later, name="output-mock-close", daemon=True).start()

    def _end_later(self) -> None:
        self.clock.lock.acquire()
        try:
            self._end()
        finally:
            self.clock.lock.release()

    def _end(self) -> None:
        self._wake()
        for run in self._open:
            if run.instance is not None:
                run.instance.drop_script()
        self.clock.close()

    def resume(self) -> None:
        """Continue in place of the world that this one is a copy of."""
        self.kept_runs.add(self)
        self.clock.resume()
