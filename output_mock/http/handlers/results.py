"""The status of runs, their input, and how they ended."""

from __future__ import annotations

from typing import Any

from output_mock.contract.errors import WorkflowNotCompletedError, WorkflowNotFoundError
from output_mock.contract.reply import Reply
from output_mock.engine.run import Run
from output_mock.http import results
from output_mock.http.api_request import ApiRequest


def status(request: ApiRequest) -> Reply:
    """`/status` (start_and_poll)."""
    world = request.world
    run = world.find(request.id, request.run_id)
    with world.clock.lock:
        reply = Reply(results.status(run))
    # It shows the current state; the next thing may happen after it.
    if run.running:
        world.poll(run)
    return reply


def result(request: ApiRequest) -> Reply:
    """`/result` (start_and_poll)."""
    return Reply(result_of(request, request.world.find(request.id, request.run_id)))


def result_of(request: ApiRequest, run: Run) -> dict[str, Any]:
    """The result of a closed run.

    A poll of an open run is noted. Raises `WorkflowNotCompletedError`.
    """
    try:
        closed = request.world.closed_run(run.workflow_id, run.run_id)
    except WorkflowNotCompletedError:
        request.world.poll(run)
        raise
    with request.world.clock.lock:
        return results.result(closed)


def input(request: ApiRequest) -> Reply:
    """`/input` (feedback)."""
    try:
        run = request.world.find(request.id, request.run_id)
    except WorkflowNotFoundError as problem:
        if request.run_id is not None:
            problem.message = f'Run "{request.run_id}" not found for workflow "{request.id}"'
        raise
    return Reply(results.given_input(run, first=request.run_id is None))
