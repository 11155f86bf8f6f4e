"""The trace tree of a run and its children, built in the same way as the real SDK builds it.

The real SDK notes the beginning and the end of every run, step, call and request under an id. When the root
run has ended, it merges the notes with the same id into a node. Temporal numbers the steps, and starts
again at 1 in a child. So a step of a child and a step of its parent may become one node. A retry adds the
same node again to its parent's children (both in remote_trace). Clients see these trees unchanged, and so
this module keeps them like this.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from output_mock.contract import events
from output_mock.contract.run_start import INTERNAL
from output_mock.contract.versions import NEXT
from output_mock.durations import MILLISECOND
from output_mock.engine.run_facts import facts_of
from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.failures import Application
from output_mock.traces import errors

if TYPE_CHECKING:
    from output_mock.engine.attempts import Attempt
    from output_mock.engine.run import Run, RunWorld
    from output_mock.sdk.trace_nodes import TraceNode

# The output of a run that continues as new. The next run has its own trace.
CONTINUED = "<<continued_as_new>>"
# The output of a root whose end was not noted.
_UNFINISHED = (
    "<<Workflow did not finish yet. If this workflows is supposed to have been completed already, "
    "this can indicate it timed out or was interrupted.>>"
)
_START, _END, _ERROR, _ATTRIBUTE = range(4)
# A tree with more runs is cut.
_MOST_RUNS = 10_000


class Entry(NamedTuple):
    """A note about one moment."""

    time: int
    action: int
    id: str
    details: Any = UNDEFINED
    kind: str = ""
    name: str = ""
    parent: str | None = None
    # The number of the history event that caused it.
    order: int = 0


def trace_tree(run: Run, *, with_children: bool = True) -> dict[str, Any]:
    """The current trace of a root run, in the format of the real SDK.

    Take the lock of the run's world first. Every node has `id`, `kind`, `name`, `startedAt`, `endedAt`
    (milliseconds since 1970; null while it runs), `input`, `output` or `error` if there is one, `children`
    and `attributes`. Without children, it only has what the run itself did.
    """
    if run.trace_tree is not None:
        return run.trace_tree
    noted: list[Entry] = []
    taken: set[str] = set()
    for one in _with_children(run) if with_children else (run,):
        # At the same time, entries of the parent come first, then the order of the history.
        noted += sorted(_entries(one, run, taken), key=lambda entry: (entry.time, entry.order))
    noted.sort(key=lambda entry: entry.time)
    tree = _built(noted, run.run_id)
    run.world.deployment.trace(tree, partial(facts_of, run))
    return tree


def _with_children(run: Run) -> Iterator[Run]:
    """A run and all its descendants, in the order in which they began."""
    world, seen, queue = run.world, {run.run_id}, [run]
    for one in queue:
        yield one
        for child in _children(world, one):
            if child.run_id not in seen and len(seen) < _MOST_RUNS:
                seen.add(child.run_id)
                queue.append(child)


def _children(world: RunWorld, run: Run) -> Iterator[Run]:
    if run.info.parent is not None and run.next_run_id is not None and run.status == "continued_as_new":
        # A child that continues as new is still a child. The next run of a root has its own trace.
        begun = world.begun_as(run.workflow_id, run.next_run_id)
        if begun is not None:
            yield begun
    for event in run.history.events[_replayed(run) :]:
        if isinstance(event, events.ChildWorkflowExecutionStarted):
            begun = world.begun_as(event.workflow_id, event.run_id)
            if begun is not None:
                yield begun


def _replayed(run: Run) -> int:
    """How many events a reset run copied from the earlier run; 0 for any other run."""
    for number in range(len(run.history.events), 0, -1):
        event = run.history.events[number - 1]
        if isinstance(event, events.WorkflowTaskFailed) and event.new_run_id == run.run_id:
            return number
    return 0


def _entries(run: Run, root: Run, taken: set[str]) -> Iterator[Entry]:
    """The notes of one run. A reset run does not note its start or the replayed part again."""
    parent = None if run is root or run.info.parent is None else run.info.parent.run_id
    attempts: dict[str, list[Attempt]] = {}
    for attempt in run.attempts:
        attempts.setdefault(attempt.activity_id, []).append(attempt)
    steps: dict[int, _Step] = {}
    begun: dict[int, int] = {}
    replayed = _replayed(run)
    started = replayed > 0
    for number, event in enumerate(run.history.events, 1):
        if isinstance(event, events.WorkflowTaskStarted) and not started:
            started = True
            given = run.info.arguments()[0]
            yield Entry(event.time, _START, run.run_id, given, "workflow", run.info.workflow_type, parent)
        elif isinstance(event, events.ActivityTaskScheduled):
            steps[number] = _Step(event.activity_id, event.activity_type, event.input, number)
        elif isinstance(event, events.ActivityTaskStarted):
            begun[event.scheduled] = event.time
        elif isinstance(event, _STEP_ENDS):
            step = steps.pop(event.scheduled)
            if number <= replayed:
                continue
            noted = attempts.get(step.id, [])
            for attempt in noted:
                yield from _attempt(run, step, attempt, taken)
            if isinstance(event, events.ActivityTaskCompleted) and (
                not noted or noted[-1].failure is not None
            ):
                yield _begins(run, begun[event.scheduled], step)
                yield Entry(event.time, _END, step.id, event.result, order=number)
    under_way = {one.activity_id: one for one in run.open_steps()} if run.running else {}
    for step in steps.values():
        for attempt in attempts.get(step.id, ()):
            yield from _attempt(run, step, attempt, taken)
        activity = under_way.get(step.id)
        if activity is not None and activity.started_at:
            yield _begins(run, activity.started_at, step)
    if not run.running:
        yield from _end(run)


class _Step(NamedTuple):
    """A scheduled step: Temporal's number for it, `workflow#step`, its input."""

    id: str
    name: str
    input: Any
    # The number of the event that scheduled it.
    scheduled: int


_STEP_ENDS = (events.ActivityTaskCompleted, events.ActivityTaskFailed, events.ActivityTaskTimedOut)


def _begins(run: Run, time: int, step: _Step) -> Entry:
    if step.name.startswith(INTERNAL):
        kind = "internal_step"
    else:
        kind = "evaluator" if step.name in run.evaluators else "step"
    return Entry(time, _START, step.id, step.input, kind, step.name, run.run_id, step.scheduled)


def _attempt(run: Run, step: _Step, attempt: Attempt, taken: set[str]) -> Iterator[Entry]:
    yield _begins(run, attempt.began, step)
    yield from _inside(run, attempt, taken)
    failure = attempt.failure
    if not attempt.ended:
        return
    if failure is None:
        yield Entry(attempt.ended, _END, attempt.activity_id, attempt.result)
    elif isinstance(failure, Application):
        # The end of a step that timed out is not noted.
        yield Entry(attempt.ended, _ERROR, attempt.activity_id, errors.of_step(failure))


def _inside(run: Run, attempt: Attempt, taken: set[str]) -> Iterator[Entry]:
    """The calls of an attempt, in order.

    The last call of a failed attempt gets its error, unless the call has its own error. If the attempt
    timed out, the last call has no end.
    """
    if not attempt.ended:
        return
    timed_out = attempt.failure is not None and not isinstance(attempt.failure, Application)
    nodes = attempt.nodes
    if run.world.deployment.sdk == NEXT:
        nodes = [node.in_next or node for node in nodes]
    left = attempt.ended - attempt.began - sum(node.takes or 0 for node in nodes)
    free = [node for node in nodes if node.takes is None]
    share = max(0, left) // len(free) if free else 0
    time = attempt.began
    for position, node in enumerate(nodes, 1):
        end = min(attempt.ended, time + (share if node.takes is None else node.takes))
        name = _node_id(run, attempt, position, node, time, taken)
        yield Entry(time, _START, name, node.input, node.kind, node.name, attempt.activity_id)
        error: Any = UNDEFINED
        if node.failure is not None:
            error = errors.of_failure(node.failure)
        elif isinstance(attempt.failure, Application) and position == len(nodes):
            error = errors.of_step(attempt.failure)
        open_end = timed_out and position == len(nodes)
        for kind, details in node.attributes.items():
            if node.request:
                shown = {"type": kind, "url": details["url"], "requestId": name, **details}
                yield Entry(time, _ATTRIBUTE, name, shown)
            elif error is UNDEFINED and not open_end:
                yield Entry(time, _ATTRIBUTE, name, {"type": kind, **details})
        if error is not UNDEFINED:
            yield Entry(end, _ERROR, name, error)
        elif not open_end:
            yield Entry(end, _END, name, node.output)
        time = end


def _node_id(run: Run, attempt: Attempt, position: int, node: TraceNode, time: int, taken: set[str]) -> str:
    """A request has a UUID. All other ids come from the millisecond in which the call began.

    Real calls hardly ever begin in the same one. If they do here, the next free millisecond is used.
    """
    if node.request:
        words = f"{run.run_id} {attempt.activity_id} {attempt.began} {attempt.ended} {position}"
        return str(uuid.UUID(bytes=hashlib.sha256(words.encode()).digest()[:16], version=4))
    stamp = time // MILLISECOND
    while (name := f"{node.name}-{stamp}") in taken:
        stamp += 1
    taken.add(name)
    return name


def _end(run: Run) -> Iterator[Entry]:
    status, time, order = run.status, run.close_time, len(run.history)
    if status == "completed":
        yield Entry(time, _END, run.run_id, run.result, order=order)
    elif status == "continued_as_new":
        yield Entry(time, _END, run.run_id, CONTINUED, order=order)
    elif status == "failed" and run.failure is not None:
        yield Entry(time, _ERROR, run.run_id, errors.of_run(run.failure), order=order)
    elif status == "cancelled":
        yield Entry(time, _ERROR, run.run_id, errors.of_cancelled(), order=order)
    # The worker does not know that a run was terminated or timed out.


def _built(noted: list[Entry], root_id: str) -> dict[str, Any]:
    nodes: dict[str, dict[str, Any]] = {}
    # The parents of each node, and the nodes whose children may be out of order.
    above: dict[str, set[str]] = {}
    disordered: set[str] = set()

    def node_of(id: str) -> dict[str, Any]:
        found = nodes.get(id)
        if found is None:
            found = nodes[id] = {
                "id": id,
                "kind": "",
                "name": "",
                "startedAt": 0,
                "endedAt": None,
                "input": UNDEFINED,
                "output": UNDEFINED,
                "error": UNDEFINED,
                "children": [],
                "attributes": {},
            }
        return found

    for entry in noted:
        node, milliseconds = node_of(entry.id), entry.time // MILLISECOND
        if entry.action == _START:
            node.update(kind=entry.kind, name=entry.name, startedAt=milliseconds, input=entry.details)
            # A node that begins again has another time: check its old and its new position.
            disordered |= above.get(entry.id, set())
            if entry.parent is not None:
                children = node_of(entry.parent)["children"]
                if children and children[-1]["startedAt"] > milliseconds:
                    disordered.add(entry.parent)
                children.append(node)
                above.setdefault(entry.id, set()).add(entry.parent)
                if entry.parent in disordered:
                    disordered.discard(entry.parent)
                    children.sort(key=lambda child: child["startedAt"])
        elif entry.action == _ATTRIBUTE:
            node["attributes"][entry.details["type"]] = entry.details
        else:
            node["output" if entry.action == _END else "error"] = entry.details
            node["endedAt"] = milliseconds
    # The root is the node of the first entry without a parent. A reset run has no beginning, so its root is
    # the node that ended first.
    root = node_of(next((one.id for one in noted if one.action != _START or one.parent is None), root_id))
    if not root["endedAt"]:
        root["output"] = _UNFINISHED
    for node in nodes.values():
        for key in ("input", "output", "error"):
            if node[key] is UNDEFINED:
                del node[key]
    return root
