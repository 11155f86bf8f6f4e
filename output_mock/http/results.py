"""What the API says about a run: its status, its input, and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from output_mock.contract.closed_runs import Closed
from output_mock.contract.iso_time import iso
from output_mock.engine.run_facts import facts_of
from output_mock.javascript_json import UNDEFINED

if TYPE_CHECKING:
    from output_mock.engine.run import Run


def status(run: Run) -> dict[str, Any]:
    """`/status`: epoch milliseconds, and `""` while it runs (start_and_poll)."""
    return {
        "workflowId": run.workflow_id,
        "runId": run.run_id,
        "status": run.status,
        "startedAt": run.start_time // 1_000_000,
        "completedAt": "" if run.running else run.close_time // 1_000_000,
    }


def given_input(run: Run, *, first: bool = False) -> dict[str, Any]:
    """`/input`: the key is missing when no input was sent (feedback).

    With `first`, of the first run of its chain, which may have gone.
    """
    info = run.info
    answer: dict[str, Any] = {
        "workflowId": run.workflow_id,
        "runId": info.first_run_id if first else run.run_id,
    }
    given = ((first and info.first) or info).arguments()[0]
    if given is not UNDEFINED:
        answer["input"] = given
    return answer


def listed(run: Run, *, late: bool = False) -> dict[str, Any]:
    """One entry of `/workflow/runs` (runs). A list that is `late` shows a run as running that has ended."""
    running = run.running or late
    return {
        "workflowId": run.workflow_id,
        "runId": run.run_id,
        "workflowType": run.info.workflow_type,
        "status": "running" if running else run.status,
        "startedAt": iso(run.start_time),
        "completedAt": None if running else iso(run.close_time),
    }


def described(run: Run) -> dict[str, Any]:
    """The `workflow` part of `/history` (history_paging)."""
    return {
        "workflowId": run.workflow_id,
        "runId": run.run_id,
        "status": run.status,
        "startTime": iso(run.start_time),
        "closeTime": None if run.running else iso(run.close_time),
        "historyLength": len(run.history),
        "taskQueue": run.info.task_queue,
    }


def result(
    run: Run, *, run_id: str | None = None, outcome: Run | None = None, given: Any = None
) -> dict[str, Any]:
    """`/result`, and the answer of `/workflow/run`; see `closed`."""
    outcome = outcome or run
    held = closed(run, run_id=run_id, outcome=outcome, given=given)
    return run.world.deployment.result(held, lambda: facts_of(outcome))


def closed(run: Run, *, run_id: str | None = None, outcome: Run | None = None, given: Any = None) -> Closed:
    """What Temporal knows about a run, for its result.

    Takes the run that is reported and, for `/workflow/run`, the id of the chain's first run, the run
    whose outcome it is, and the input that was sent.
    """
    outcome = outcome or run
    return Closed(
        run.workflow_id,
        run_id or run.run_id,
        run.status,
        run.info.input if run_id is None else given,
        outcome.result,
        outcome.failure,
        versioned=run.memo is not None,
        trace=None if run.memo is None else run.memo.trace,
    )
