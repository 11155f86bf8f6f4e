"""Runs: see where each stands, and advance or end one by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from output_mock.contract.errors import OutputError, WorkflowNotFoundError
from output_mock.contract.iso_time import iso
from output_mock.contract.schemas import (
    DURATION,
    JsonSchema,
    fields,
    flag,
    many,
    number,
    or_null,
    ref,
    shape,
    text,
)
from output_mock.control.names import LONGEST_ID
from output_mock.control.operation import (
    ANYTHING,
    TIME,
    ControlOperation,
    ControlRequest,
    ControlResponse,
    duration,
)
from output_mock.control.problems import Conflict, InvalidRequest, NotFound
from output_mock.engine import steps
from output_mock.engine.commands import Activity
from output_mock.engine.progress import progress
from output_mock.engine.run import Run
from output_mock.engine.world import World
from output_mock.http import results
from output_mock.javascript_json import UNDEFINED, null_if_undefined
from output_mock.mock import RunView
from output_mock.scripts.definition import CatalogDefinition
from output_mock.sdk.failures import Failure

STATUSES = ["running", "completed", "failed", "cancelled", "terminated", "timed_out", "continued_as_new"]
_RUN: JsonSchema = {
    "workflowId": text(),
    "runId": text(),
    "workflow": text("The name of the workflow."),
    "catalog": text(),
    "status": text(enum=STATUSES),
    "progress": text("Where it stands, in words: what it waits for, or how it has ended."),
    "startedAt": TIME,
    "closedAt": or_null(TIME),
    "waitsFor": shape(
        {
            "steps": many(
                shape(
                    {
                        "name": text(),
                        "input": ANYTHING,
                        "attempt": number("The number of this attempt, or of the next one."),
                        "due": or_null(TIME),
                    },
                    about="A step that is under way or will be tried again; `due` is when that happens.",
                )
            ),
            "signals": many(text()),
        },
        about="The steps that are open, and the signals that the script waits for.",
    ),
}
SCHEMAS = {
    "TraceNode": shape(
        {
            "id": text(),
            "kind": text(
                "workflow, step, evaluator, internal_step, llm, http, or another word that a step uses."
            ),
            "name": text(),
            "startedAt": number("Milliseconds since 1970."),
            "endedAt": or_null(number("Milliseconds since 1970; null while it is under way.")),
            "input": ANYTHING,
            "output": ANYTHING,
            "error": ANYTHING,
            "children": many(ref("TraceNode")),
            "attributes": {"type": "object"},
        },
        optional=("input", "output", "error"),
        about="Something that was done, with the parts that it consists of.",
    ),
    "Run": shape(_RUN, about="A run, and where it stands."),
    "RunInFull": shape(
        {
            **_RUN,
            "input": ANYTHING,
            "output": ANYTHING,
            "error": or_null({"type": "object"}),
            "history": many({"type": "object"}),
        },
        optional=("history", "input"),
        about="A run with its input and output. `input` is missing when none was sent.",
    ),
}


# Which run


def _find(request: ControlRequest) -> tuple[World, Run]:
    world, workflow_id = request.entry.world, request.path["workflowId"]
    try:
        run = world.find(workflow_id, request.query.get("runId"))
    except WorkflowNotFoundError:
        run_id = request.query.get("runId")
        if run_id is not None and world.name_of(workflow_id) is not None:
            raise NotFound(
                f"workflow {workflow_id!r} has no run {run_id!r}; GET /__mock__/runs lists the runs"
                f"{world.kept_runs.told()}"
            ) from None
        raise _no_run(world, workflow_id) from None
    if isinstance(run.definition, CatalogDefinition):
        raise _no_run(world, workflow_id)
    return world, run


def _no_run(world: World, workflow_id: str) -> NotFound:
    known = world.workflow_ids(limit=1000)
    return NotFound.named(
        "run of workflow id", workflow_id, known, listed="runs", more=world.kept_runs.told()
    )


def _changing(request: ControlRequest, change: Callable[[World, Run], None]) -> ControlResponse:
    """The run after a change. Only a running one can be changed."""
    world, run = _find(request)
    with world.clock.lock:
        world.clock.run_due()
        if not run.running:
            raise Conflict(f"run {run.run_id} of {run.workflow_id!r} has ended: {progress(run)}")
        change(world, run)
        world.clock.run_due()
        return ControlResponse(200, described(run))


# What is said of one


def described(run: Run) -> dict[str, Any]:
    """A run, as lists show it. Call it with the world's lock held."""
    return {
        "workflowId": run.workflow_id,
        "runId": run.run_id,
        "workflow": run.info.workflow_type,
        "catalog": run.info.task_queue,
        "status": run.status,
        "progress": progress(run),
        "startedAt": iso(run.start_time),
        "closedAt": None if run.running else iso(run.close_time),
        "waitsFor": {
            "steps": [_step(step) for step in run.open_steps()],
            "signals": _awaited(run),
        },
    }


def _awaited(run: Run) -> list[str]:
    if not run.running or run.instance is None:
        return []
    return [name for name, _ in run.instance.awaited_signals()]


def _step(step: Activity) -> dict[str, Any]:
    return {
        "name": step.plan.name,
        "input": null_if_undefined(step.input),
        "attempt": step.attempt,
        "due": iso(step.due) if step.due else None,
    }


def _in_full(run: Run, *, history: bool) -> dict[str, Any]:
    shown = described(run)
    given = results.given_input(run)
    if "input" in given:
        shown["input"] = given["input"]
    view = RunView(run)
    shown["output"], shown["error"] = view.output, view.error
    if history:
        shown["history"] = view.history
    return shown


# Operations


def list_runs(request: ControlRequest) -> ControlResponse:
    """The runs that match."""
    world, query = request.entry.world, request.query
    limit = query.get("limit", 100)
    found: list[dict[str, Any]] = []
    with world.clock.lock:
        for run in world.runs(query.get("workflow"), query.get("catalog")):
            if isinstance(run.definition, CatalogDefinition):
                continue
            if query.get("status") not in (None, run.status):
                continue
            if query.get("workflowId") not in (None, run.workflow_id):
                continue
            found.append(described(run))
            if len(found) >= limit:
                break
    return ControlResponse(200, {"runs": found, "count": len(found)})


def show(request: ControlRequest) -> ControlResponse:
    """One run, in full."""
    world, run = _find(request)
    with world.clock.lock:
        return ControlResponse(200, _in_full(run, history=request.query.get("history", False)))


def trace(request: ControlRequest) -> ControlResponse:
    """The trace of a run, as it stands."""
    _, run = _find(request)
    tree = RunView(run).trace
    if tree is None:
        raise NotFound(f"run {run.run_id} of {run.workflow_id!r} has no trace: {_untraced(run)}")
    return ControlResponse(200, tree)


def _untraced(run: Run) -> str:
    return "it has not begun" if run.memo is None else "its workflow is not traced"


def advance(request: ControlRequest) -> ControlResponse:
    """Let the next thing happen."""
    world, run = _find(request)
    try:
        moved = world.advance_run(run, guards=request.query.get("timeouts", False))
    except RuntimeError as error:
        raise Conflict(str(error)) from None
    with world.clock.lock:
        if not moved:
            raise Conflict(
                f"nothing will happen in {run.workflow_id!r} by itself: {progress(run.latest())}. Send it "
                f"what it waits for, or let a timeout pass with ?timeouts=true"
            )
        return ControlResponse(200, described(run.latest()))


def complete(request: ControlRequest) -> ControlResponse:
    """Complete the run, or one of its steps."""
    body = request.body or {}
    output = body.get("output")

    def change(world: World, run: Run) -> None:
        if "step" in body:
            steps.complete(run, _open_step(run, body["step"]), output)
        else:
            run.complete(output)

    return _changing(request, change)


def fail(request: ControlRequest) -> ControlResponse:
    """Fail the run, or one of its steps."""
    body = request.body or {}
    failure = Failure(
        body.get("message", "failed by hand"), body.get("name", "FatalError"), **_properties(body)
    )

    def change(world: World, run: Run) -> None:
        if "step" in body:
            steps.fail(run, _open_step(run, body["step"]), failure)
        else:
            run.fail(failure)

    return _changing(request, change)


def _properties(body: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = body.get("properties") or {}
    taken = [name for name in properties if name in ("message", "name", "cause", "retryable", "self")]
    if taken:
        raise InvalidRequest(f"the property {taken[0]!r} of an error cannot be set here; leave it out")
    return properties


def _open_step(run: Run, name: str) -> Activity:
    steps = run.open_steps()
    found = [step for step in steps if step.plan.name == name]
    if not found:
        raise NotFound.named(
            "open step", name, [step.plan.name for step in steps], listed=f"runs/{quote(run.workflow_id)}"
        )
    return found[0]


def signal(request: ControlRequest) -> ControlResponse:
    """Send a signal, now or later."""
    world, run = _find(request)
    body = request.body
    after = duration(body.get("after", 0))
    try:
        world.signal(run.workflow_id, body["name"], body.get("payload", UNDEFINED), after=after)
    except WorkflowNotFoundError:
        raise Conflict(f"the run of {run.workflow_id!r} has ended: {progress(run)}") from None
    except (OutputError, ValueError) as error:
        raise InvalidRequest(str(error)) from None
    with world.clock.lock:
        return ControlResponse(200, described(run.latest()))


_PINNED = {"runId": text("The run id. Default: the latest run of the workflow id.", maxLength=LONGEST_ID)}
_STEP = text(
    "The name of an open step. Without it, the request is about the run itself.", maxLength=LONGEST_ID
)
OPERATIONS = [
    ControlOperation(
        "listRuns",
        "GET",
        "/runs",
        "List runs, open ones first, with what each is waiting for.",
        list_runs,
        {200: shape({"runs": many(ref("Run")), "count": number()})},
        query={
            "workflow": text("The name of the workflow.", maxLength=LONGEST_ID),
            "catalog": text("The catalog of the workflow.", maxLength=LONGEST_ID),
            "workflowId": text("The workflow id.", maxLength=LONGEST_ID),
            "status": text("The status.", enum=STATUSES),
            "limit": number("How many at most.", minimum=1, maximum=1000, default=100),
        },
    ),
    ControlOperation(
        "getRun",
        "GET",
        "/runs/{workflowId}",
        "Show a run with its input and output, and with `history=true` its history. Looking does not move "
        "the clock.",
        show,
        {200: ref("RunInFull")},
        errors=(404,),
        query={**_PINNED, "history": flag("Whether to show its history.")},
    ),
    ControlOperation(
        "getTrace",
        "GET",
        "/runs/{workflowId}/trace",
        "Show the trace of a run so far, wherever traces are kept. For a child, its own part.",
        trace,
        {200: ref("TraceNode")},
        errors=(404,),
        query=_PINNED,
    ),
    ControlOperation(
        "advanceRun",
        "POST",
        "/runs/{workflowId}/advance",
        "Move the clock to the next thing that this run does by itself. 409 if there is none.",
        advance,
        {200: ref("Run")},
        errors=(404, 409),
        query={**_PINNED, "timeouts": flag("Whether a timeout counts as the next thing, too.")},
    ),
    ControlOperation(
        "completeRun",
        "POST",
        "/runs/{workflowId}/complete",
        "Complete an open step, or the whole run, whatever the script says.",
        complete,
        {200: ref("Run")},
        errors=(404, 409),
        query=_PINNED,
        body=fields({"step": _STEP, "output": ANYTHING}),
        body_required=False,
    ),
    ControlOperation(
        "failRun",
        "POST",
        "/runs/{workflowId}/fail",
        "Fail an open step, without another attempt, or the whole run.",
        fail,
        {200: ref("Run")},
        errors=(404, 409),
        query=_PINNED,
        body=fields(
            {
                "step": _STEP,
                "message": text("What went wrong.", maxLength=100_000),
                "name": text("The class of the error.", maxLength=200, default="FatalError"),
                "properties": {"type": "object", "description": "Further properties of the error."},
            }
        ),
        body_required=False,
    ),
    ControlOperation(
        "signalRun",
        "POST",
        "/runs/{workflowId}/signal",
        "Send a signal to the latest run, now or after some time on the clock.",
        signal,
        {200: ref("Run")},
        errors=(404, 409),
        body=fields(
            {
                "name": text("The signal.", minLength=1, maxLength=LONGEST_ID),
                "payload": {"type": "object"},
                "after": DURATION,
            },
            "name",
        ),
    ),
]
