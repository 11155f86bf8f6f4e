"""Past runs, made from their traces, so that you can build a front end with real data.

A trace says when each step began and ended, with its input and output. From that, this module makes a
closed run with an ordinary history, which serves status, result, input, history and stream. What a trace
lacks (workflow tasks, signals, timers) is missing or stands in its usual place.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from output_mock.contract import events, failures
from output_mock.contract.errors import TraceFileDownloadError
from output_mock.contract.failures import Cause
from output_mock.contract.run_start import Memo, ParentInfo, StartInfo, WorkflowDetails
from output_mock.durations import MILLISECOND
from output_mock.engine.run import Run
from output_mock.engine.trace_places import ObjectPlace, object_key
from output_mock.engine.trace_storage import TraceSource
from output_mock.javascript_json import UNDEFINED, as_json
from output_mock.scripts.definition import NAME, WorkflowDefinition
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import Application, ChildFailure, Failure, StepFailure
from output_mock.traces.reading import NoTrace, failed, named, own_children, read_trace
from output_mock.traces.tree import CONTINUED

if TYPE_CHECKING:
    from output_mock.engine.world import World
    from output_mock.sdk.context import Context

_STEPS = frozenset({"step", "evaluator", "internal_step"})
_OWN_WORDS = frozenset({"message", "name", "cause", "stack", "retryable", "self"})


class PastTraces:
    """The trace files of past runs, served in place of their S3 objects."""

    def __init__(self, below: TraceSource | None) -> None:
        self._below = below
        self.files: dict[str, Path] = {}

    def fetch(self, place: ObjectPlace) -> IO[bytes]:
        """The file with this key, or else the object in S3."""
        path = self.files.get(place.key)
        if path is not None:
            try:
                return path.open("rb")
            except OSError:
                pass
        if self._below is not None:
            return self._below.fetch(place)
        raise TraceFileDownloadError("S3 GetObject failure")


class PastFile(NamedTuple):
    """A file that holds the trace of a run."""

    path: Path
    tree: dict[str, Any]
    workflow_id: str
    run_id: str
    # The start of the run, in nanoseconds since 1970.
    start: int


class PastFiles(NamedTuple):
    """The traces in a folder, oldest first, and the problems of its other files."""

    files: list[PastFile]
    problems: list[NoTrace]


def read_past(folder: Path) -> PastFiles:
    """The traces in a folder and its subfolders. If two have the same run, the first counts.

    Raises `NoTrace` if there are none.
    """
    files: dict[str, PastFile] = {}
    problems: list[NoTrace] = []
    for path in sorted(path for path in folder.rglob("*.json") if path.is_file()):
        try:
            file = _file(path)
        except NoTrace as problem:
            problems.append(problem)
            continue
        if file.run_id in files:
            problems.append(NoTrace(f"{path}: {files[file.run_id].path} has the run {file.run_id}, too"))
        else:
            files[file.run_id] = file
    if not files:
        told = f"; {problems[0]}" if problems else ""
        raise NoTrace(
            f"{folder}: there are no traces in it, which are files like "
            f"{folder}/runs/WORKFLOW/TIME_ID.json{told}"
        )
    return PastFiles(sorted(files.values(), key=lambda file: file.start), problems)


def load_past(world: World, files: Sequence[PastFile]) -> list[Run]:
    """Add the runs of these traces to a world, as if they had run there, and return them.

    A request for the trace log of such a run returns the content of the file.
    """
    traces = world.traces
    kept = PastTraces(traces.source)
    bucket = traces.bucket or "traces"
    runs = []
    with world.clock.lock:
        chains: dict[str, Run] = {}
        for file in files:
            key = object_key(file.tree["name"], file.workflow_id, file.start)
            while key in kept.files:
                # Two recorded servers had a run with this id at that time.
                key = f"again/{key}"
            kept.files[key] = file.path
            before = chains.get(file.workflow_id)
            follows = before is not None and before.status == "continued_as_new"
            url = f"https://{bucket}.s3.amazonaws.com/{quote(key)}"
            run = _made(world, file, url, before if follows else None)
            chains[file.workflow_id] = run
            runs.append(run)
        world.traces = replace(traces, keys=True, source=kept)
    return runs


def _file(path: Path) -> PastFile:
    tree = read_trace(path)
    if tree["kind"] != "workflow":
        raise NoTrace(f"{path}: a trace begins with a workflow, not with a {tree['kind']}")
    queue = [tree]
    while queue:
        node = queue.pop()
        if node["kind"] == "workflow" and not NAME.fullmatch(node["name"]):
            raise NoTrace(f"{path}: {node['name']!r} is not a valid workflow name")
        queue += node.get("children", [])
    workflow_id, started = named(path)
    if not _is_text(workflow_id):
        raise NoTrace(f"{str(path)!a}: its name is not UTF-8, so it cannot be a workflow id")
    start = round(tree["startedAt"]) * MILLISECOND
    if started is not None:
        try:
            start = (
                round(datetime.fromisoformat(started.replace("Z", "+00:00")).timestamp() * 1000) * MILLISECOND
            )
        except ValueError:
            raise NoTrace(f"{path}: {started} is not a time") from None
    return PastFile(path, tree, workflow_id, _run_id(tree["id"], str(path)), start)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _made(world: World, file: PastFile, url: str, before: Run | None) -> Run:
    tree, run_id = file.tree, file.run_id
    trace = {"local": str(file.path.absolute()), "remote": url}
    memo = Memo((file.workflow_id, tree["name"], run_id, file.start), None, trace)
    made = _Past(world, tree, file.workflow_id, run_id, file.start, memo)
    if before is not None:
        before.next_run_id, before.following = run_id, made.run
        made.run.info.first_run_id = before.info.first_run_id
        made.run.info.first = before.info.first or before.info
        made.run.info.continued_run_id = before.run_id
    return made.written()


def _run_id(id: str, where: str) -> str:
    """The id of a run. In older traces, it is not a UUID."""
    try:
        return str(uuid.UUID(id))
    except ValueError:
        return str(uuid.UUID(bytes=hashlib.sha256(f"{where} {id}".encode()).digest()[:16], version=4))


async def _gone(ctx: Context, given: Any) -> Any:
    raise ScriptError(
        "this run was loaded from a trace, so it has no script that could run it again",
        workflow_id=ctx.info.workflow_id,
    )


class _Moment(NamedTuple):
    """The beginning or the end of a node's child."""

    time: int
    begins: bool
    node: dict[str, Any]
    # The number of attempts.
    attempt: int


class _Past:
    """One run, made from its node."""

    def __init__(
        self, world: World, node: dict[str, Any], workflow_id: str, run_id: str, start: int, memo: Memo
    ) -> None:
        self.world, self.node = world, node
        catalog = world.catalog()
        definition = WorkflowDefinition(node["name"], _gone)
        info = StartInfo(
            world.namespace,
            workflow_id,
            run_id,
            run_id,
            node["name"],
            catalog.name,
            as_json(node["input"]) if "input" in node else UNDEFINED,
            start,
            world.execution_timeout,
            start + world.execution_timeout,
        )
        self.run = Run(world, catalog, definition, info, run_id)
        self.run.start_time = start
        self._memo = self.run.memo = Memo(memo.trace_info, definition.options, memo.trace)
        self.run.began = True
        self.run.trace_tree = node
        self._details = self.run.details = WorkflowDetails(info, run_id, _nanoseconds(node["startedAt"]))
        # The events of everything in progress, by node id; and the runs of children.
        self._begun: dict[int, tuple[int, Any]] = {}
        self._failed: dict[str, Cause] = {}
        self._task = 0

    def written(self) -> Run:
        """Make the run with its history, and add it to the world."""
        run, node = self.run, self.node
        log, info = run.history, run.info
        log.append(
            events.WorkflowExecutionStarted(info.start, info), events.WorkflowTaskScheduled(info.start, False)
        )
        self._task = 2
        begun = max(info.start, _nanoseconds(node["startedAt"]))
        self.world._enter(run)
        moments = _moments(own_children(node))
        self._begin_together(begun, [], ("payloadVersion", "traceInfo"), ("activityOptions", "trace"))
        last = begun
        while moments:
            moment = moments.pop(0)
            last = max(last, moment.time)
            if moment.begins:
                together = [moment]
                while moments and moments[0].begins and moments[0].time == moment.time:
                    together.append(moments.pop(0))
                self._begin_together(last, together)
            else:
                self._over(last, moment)
        self._end(last)
        return run

    def _begin_together(self, now: int, begin: Sequence[_Moment], *told: tuple[str, ...]) -> None:
        """A workflow task that writes fields of the memo, and starts steps and children."""
        log = self.run.history
        completed = self._completed(now)
        batch: list[events.Event] = [completed]
        number = len(log) + 1
        batch += [events.WorkflowPropertiesModified(now, number, self._memo, names) for names in told]
        for moment in begin:
            batch.append(self._begin(moment, now, number, len(log) + len(batch) + 1))
        log.append(*batch)
        for moment in begin:
            if moment.node["kind"] == "workflow":
                self._begin_child(moment, now)

    def _completed(self, now: int) -> events.Event:
        log = self.run.history
        if not self._task:
            log.append(events.WorkflowTaskScheduled(now, True))
            self._task = len(log)
        log.append(events.WorkflowTaskStarted(now, self._task, True))
        scheduled, self._task = self._task, 0
        return events.WorkflowTaskCompleted(now, scheduled, len(log))

    def _begin(self, moment: _Moment, now: int, completed: int, event_id: int) -> events.Event:
        node, run = moment.node, self.run
        given = as_json(node["input"]) if "input" in node else UNDEFINED
        if node["kind"] == "workflow":
            workflow_id = f"{run.workflow_id}-{_run_id(node['id'], run.run_id)}"
            self._begun[id(node)] = (event_id, workflow_id)
            return events.StartChildWorkflowExecutionInitiated(
                now,
                workflow_id=workflow_id,
                workflow_type=node["name"],
                given=given,
                invocation={},
                close_policy=1,
                task_completed=completed,
                memo=self._memo,
            )
        self._begun[id(node)] = (event_id, None)
        options = run.definition.options
        if node["kind"] == "evaluator":
            run.evaluators |= {node["name"]}
        return events.ActivityTaskScheduled(
            now,
            activity_id=node["id"],
            activity_type=node["name"],
            memo=self._memo,
            details=self._details,
            input=given,
            task_completed=completed,
            options=options,
        )

    def _begin_child(self, moment: _Moment, now: int) -> None:
        node, run = moment.node, self.run
        initiated, workflow_id = self._begun[id(node)]
        child_id = _run_id(node["id"], run.run_id)
        assert run.memo is not None
        if child_id in self.world._runs:
            child_id = _run_id(f"{node['id']} again", workflow_id)
        child = _Past(self.world, node, workflow_id, child_id, now, run.memo)
        root = run.info.parent
        child.run.info.parent = ParentInfo(
            *(run.workflow_id, run.run_id, initiated),
            run.workflow_id if root is None else root.root_workflow_id,
            run.run_id if root is None else root.root_run_id,
        )
        child.run.info.memo = run.memo
        child.run.info.timeout = child.run.info.expiration = 0
        child.written()
        started = len(run.history) + 1
        run.history.append(
            events.ChildWorkflowExecutionStarted(now, workflow_id, child_id, node["name"], initiated, None)
        )
        self._begun[id(node)] = (initiated, (started, child.run))

    def _over(self, now: int, moment: _Moment) -> None:
        node, log = moment.node, self.run.history
        if node["kind"] == "workflow":
            batch = [self._child_over(node, now)]
        else:
            batch = list(self._step_over(moment, now))
        if not self._task:
            batch.append(events.WorkflowTaskScheduled(now, True))
            self._task = len(log) + len(batch)
        log.append(*batch)

    def _step_over(self, moment: _Moment, now: int) -> tuple[events.Event, ...]:
        node, log = moment.node, self.run.history
        scheduled, _ = self._begun[id(node)]
        started = len(log) + 1
        error = _failure(node["error"]) if "error" in node else None
        last = None if error is None else self._application(error, node["name"])
        began = events.ActivityTaskStarted(
            _nanoseconds(node["startedAt"]),
            scheduled,
            moment.attempt,
            last_failure=last if moment.attempt > 1 else None,
            is_answered=True,
        )
        if not failed(node, self.node):
            result = as_json(node["output"]) if "output" in node else UNDEFINED
            return began, events.ActivityTaskCompleted(now, result, scheduled, started)
        assert last is not None
        assert error is not None
        state = failures.NON_RETRYABLE if last.non_retryable else failures.MAXIMUM_ATTEMPTS
        chain = failures.activity_failure(node["name"], node["id"], scheduled, started, state, last)
        self._failed[node["name"]] = chain
        outcome = StepFailure(error, chain)
        return began, events.ActivityTaskFailed(now, last, scheduled, started, state, outcome)

    def _child_over(self, node: dict[str, Any], now: int) -> events.Event:
        initiated, (started, child) = self._begun[id(node)]
        about = (child.workflow_id, child.run_id, node["name"], initiated, started)
        if child.status == "completed":
            return events.ChildWorkflowExecutionCompleted(now, *about, child.result)
        cause = failures.as_seen_by_parent(child.status, child.failure or failures.cancelled())
        chain = failures.child_failure(
            *(child.status, self.world.namespace, child.workflow_id, child.run_id, node["name"]),
            *(initiated, started, cause),
        )
        self._failed[node["name"]] = chain
        outcome = ChildFailure(child.status, chain)
        if child.status == "failed":
            return events.ChildWorkflowExecutionFailed(now, *about, outcome, cause)
        if child.status == "cancelled":
            return events.ChildWorkflowExecutionCanceled(now, *about, outcome)
        return events.ChildWorkflowExecutionTerminated(now, *about, outcome)

    def _application(self, failure: Failure, step: str) -> Application:
        where = f"fn ({self.run.definition.path.rpartition('/')[0]}/steps.js:{step.rpartition('#')[2]})"
        return Application(failure, where=where, non_retryable=not failure.retryable)

    def _end(self, last: int) -> None:
        run, node, log = self.run, self.node, self.run.history
        now = max(last, _nanoseconds(node.get("endedAt") or 0))
        if not node.get("endedAt"):
            # If the worker did not note the end, it did not know of it.
            run.failure = failures.terminated("The trace has no end.")
            reason = "The trace has no end."
            log.append(events.WorkflowExecutionTerminated(now, reason, failures.IDENTITY, False))
            run.close("terminated", now)
            return
        error = node.get("error")
        stopped = isinstance(error, dict) and error.get("name") == "CancelledFailure"
        if stopped:
            batch: list[events.Event] = [events.WorkflowExecutionCancelRequested(now, None)]
            if not self._task:
                batch.append(events.WorkflowTaskScheduled(now, True))
                self._task = len(log) + 2
            log.append(*batch)
        completed = self._completed(now)
        number = len(log) + 1
        if "error" in node:
            if stopped:
                run.failure = failures.cancelled()
                log.append(completed, events.WorkflowExecutionCanceled(now, number))
                run.close("cancelled", now)
                return
            run.failure = self._why(error)
            log.append(completed, events.WorkflowExecutionFailed(now, run.failure, number))
            run.close("failed", now)
        elif node.get("output") == CONTINUED:
            following = _run_id("the next run", run.run_id)
            log.append(completed, events.WorkflowExecutionContinuedAsNew(now, following, UNDEFINED, number))
            run.close("continued_as_new", now)
        else:
            run.result = as_json(node["output"]) if "output" in node else UNDEFINED
            log.append(completed, events.WorkflowExecutionCompleted(now, run.result, number))
            run.close("completed", now)

    def _why(self, error: Any) -> Cause:
        """The failure of the run: the failure of a step or child, or its own."""
        if isinstance(error, dict):
            about = error.get("activityType") or error.get("workflowType")
            if isinstance(about, str) and about in self._failed:
                return self._failed[about]
        return self._application(_failure(error), "workflow")


def _moments(children: list[dict[str, Any]]) -> list[_Moment]:
    """When the children of a node begin and end, in order. Every attempt appears separately."""
    attempts: dict[tuple[str, str, str], int] = {}
    nodes: dict[tuple[str, str, str], dict[str, Any]] = {}
    for child in children:
        if child["kind"] in _STEPS or child["kind"] == "workflow":
            key = (child["kind"], child["id"], child["name"])
            attempts[key] = attempts.get(key, 0) + 1
            nodes[key] = child
    found = []
    for key, node in nodes.items():
        found.append(_Moment(_nanoseconds(node["startedAt"]), True, node, attempts[key]))
        if node.get("endedAt"):
            end = max(node["startedAt"], node["endedAt"])
            found.append(_Moment(_nanoseconds(end), False, node, attempts[key]))
    # If a child begins and ends at the same time, its beginning comes first. Otherwise ends come before
    # beginnings.
    order = {id(moment.node): number for number, moment in enumerate(found)}
    return sorted(found, key=lambda moment: (moment.time, order[id(moment.node)], not moment.begins))


def _nanoseconds(milliseconds: float) -> int:
    return round(milliseconds) * MILLISECOND


def _failure(error: Any) -> Failure:
    """The failure behind an error in a trace."""
    if not isinstance(error, dict):
        return Failure.value(error)
    properties = {
        key: value
        for key, value in error.items()
        if key not in _OWN_WORDS and re.fullmatch(r"[A-Za-z_]\w*", key)
    }
    cause = error.get("cause")
    return Failure(
        str(error.get("message", "")),
        str(error.get("name", "Error")),
        cause=_failure(cause) if isinstance(cause, dict) else None,
        **properties,
    )
