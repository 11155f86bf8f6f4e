"""What each attempt of a step will do, as its workflow works it out beforehand."""

from __future__ import annotations

from typing import Any, NamedTuple

from output_mock.contract.run_start import ActivityOptions
from output_mock.javascript_json import UNDEFINED
from output_mock.scripts.definition import WorkflowDefinition
from output_mock.sdk.failures import Failure
from output_mock.sdk.step_plans import StepPlan


class StepOutcomes(NamedTuple):
    """What a step does: how many nanoseconds an attempt takes, and how each ends; the last one stays.

    An outcome is JSON: `{"returns": …}`, `{}` for nothing at all, or `{"fails": …}` with the failure in
    Temporal's JSON form.
    """

    takes: int
    outcomes: list[dict[str, Any]]

    def of(self, attempt: int) -> dict[str, Any]:
        """The outcome of attempt number `attempt`, from 1."""
        return self.outcomes[min(attempt, len(self.outcomes)) - 1]


def precomputed_outcomes(
    definition: WorkflowDefinition, plan: StepPlan, given: Any, options: ActivityOptions
) -> StepOutcomes:
    """What each attempt of a step will do. Raises what a function given as `returns` raises."""
    scripted = len(plan.fails) + 1 if isinstance(plan.fails, list) else 1
    outcomes: list[dict[str, Any]] = []
    for attempt in range(1, min(scripted, options.maximum_attempts) + 1):
        try:
            result = plan.perform(definition.step_schema, given, attempt)
        except Failure as failure:
            outcomes.append({"fails": plan.cause(failure, definition.path, options.non_retryable).proto()})
        else:
            outcomes.append({} if result is UNDEFINED else {"returns": result})
    return StepOutcomes(plan.takes, outcomes)
