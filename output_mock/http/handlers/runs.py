"""Start runs, end them, and list them."""

from __future__ import annotations

from output_mock.contract.errors import OutputError, WorkflowNotFoundError
from output_mock.contract.reply import Reply
from output_mock.engine.run import Run
from output_mock.http.api_request import ApiRequest
from output_mock.http.results import listed, result
from output_mock.javascript_json import UNDEFINED


def run(request: ApiRequest) -> Reply:
    """`/workflow/run`: wait for the result of a new run (run_completes, run_times_out_waiting)."""
    begun = _begun(request)
    ended = request.world.wait_for_result(begun, request.fields.get("timeout"))
    with request.world.clock.lock:
        return Reply(
            result(ended.reported, run_id=begun.run_id, outcome=ended.outcome, given=begun.info.input)
        )


def start(request: ApiRequest) -> Reply:
    """`/workflow/start` (start_and_poll)."""
    return _ids(_begun(request))


def _begun(request: ApiRequest) -> Run:
    fields = request.fields
    run = request.world.start(
        fields["workflowName"],
        fields.get("input", UNDEFINED),
        workflow_id=fields.get("workflowId"),
        catalog=fields.get("catalog", fields.get("taskQueue")),
    )
    request.workflow_id = run.workflow_id
    return run


def stop(request: ApiRequest) -> Reply:
    """`/stop` (stop_default)."""
    return _ids(request.world.stop(request.id, request.run_id))


def terminate(request: ApiRequest) -> Reply:
    """`/terminate` (terminate)."""
    run = request.world.terminate(request.id, request.fields.get("reason"), request.run_id)
    return Reply({"terminated": True, "workflowId": run.workflow_id, "runId": run.run_id})


def reset(request: ApiRequest) -> Reply:
    """`/reset`: start a run that continues from the end of a step (reset)."""
    fields = request.fields
    try:
        run = request.world.reset(request.id, fields["stepName"], fields.get("reason"), request.run_id)
    except WorkflowNotFoundError as problem:
        if request.run_id is None:
            raise
        # The real server forgets to map this one (unknown_workflow).
        raise OutputError(f"5 NOT_FOUND: {problem.message}") from None
    return _ids(run)


def runs(request: ApiRequest) -> Reply:
    """`/workflow/runs` (runs)."""
    world, parameters = request.world, request.parameters
    found = world.list_runs(
        workflow_type=parameters.get("workflowType"),
        catalog=parameters.get("catalog"),
        limit=parameters["limit"],
    )
    with world.clock.lock:
        entries = [listed(run, late=world.is_late(run.close_time)) for run in found]
    world.poll_list()
    return Reply({"runs": entries, "count": len(entries)})


def _ids(run: Run) -> Reply:
    return Reply({"workflowId": run.workflow_id, "runId": run.run_id})
