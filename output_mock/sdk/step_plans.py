"""What a step does when it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from output_mock.contract.versions.fatal_errors import never_retried
from output_mock.sdk.failures import FATAL_NAMES, Application, Failure, invalid
from output_mock.sdk.trace_nodes import TraceNode
from output_mock.sdk.values import copy_for_script, named_json
from output_mock.zod import Schema

Fails = Failure | str | Sequence[Failure | str | None] | None
# What happens inside a step, for the trace: nodes, or a function of the step's input that returns some.
Inside = Sequence[TraceNode] | Callable[[Any], Sequence[TraceNode]]


class StepPlan:
    """What a step does when it is run: how long it takes, how often it fails, what it returns.

    Evaluated for each attempt, so that a function given as `returns` sees the step's input.
    """

    __slots__ = ("fails", "input_schema", "kind", "name", "output_schema", "returns", "takes", "trace")

    def __init__(self, name: str, returns: Any, fails: Fails, takes: int, kind: str = "Step") -> None:
        self.name: str = name
        self.returns: Any = returns
        self.fails: Failure | list[Failure | None] | None = None if fails is None else _failures(fails, name)
        self.takes: int = takes
        self.kind: str = kind
        self.input_schema: Mapping[str, Any] | None = None
        self.output_schema: Mapping[str, Any] | None = None
        self.trace: Inside = ()

    def failure(self, attempt: int) -> Failure | None:
        """How attempt number `attempt` (from 1) fails, or None if it succeeds."""
        fails = self.fails
        if fails is None or isinstance(fails, Failure):
            return fails
        return fails[attempt - 1] if attempt <= len(fails) else None

    def perform(
        self,
        schema: Callable[[Mapping[str, Any], str], Schema],
        given: Any,
        attempt: int,
        *,
        only_checked: bool = False,
    ) -> Any:
        """What attempt number `attempt` (from 1) returns for this input; `schema` compiles schemas.

        With `only_checked` they change nothing, as before SDK 0.11.0.

        Raises the `Failure` that it fails with, and whatever a function given as `returns` raises.
        """
        if self.input_schema is not None:
            compiled = schema(self.input_schema, f"input_schema of step {self.name!r}")
            checked, issues = compiled.safe_parse(given)
            if issues:
                raise invalid(f'{self.kind} "{self.name}" input', issues)
            given = given if only_checked else checked
        failure = self.failure(attempt)
        if failure is not None:
            raise failure
        result = self.returns
        if callable(result):
            result = result(copy_for_script(given))
        result = named_json(result, "the result of step {!r}", self.name)
        if self.output_schema is not None:
            compiled = schema(self.output_schema, f"output_schema of step {self.name!r}")
            checked, issues = compiled.safe_parse(result)
            if issues:
                raise invalid(f'{self.kind} "{self.name}" output', issues)
            result = result if only_checked else checked
        return result

    def where(self, workflow_path: str) -> str:
        """The place that stack traces name."""
        return f"fn ({workflow_path.rpartition('/')[0]}/steps.js:{self.name})"

    def cause(
        self, failure: Failure, workflow_path: str, non_retryable: Sequence[str], *, by_name: bool = False
    ) -> Application:
        """The failure of an attempt, as the server gets it; failures with `non_retryable` names end the step.

        With `by_name` this also holds for the SDK's own errors, as before SDK 0.11.0.
        """
        fatal = not failure.retryable
        if by_name:
            fatal = fatal and failure.name not in FATAL_NAMES
            non_retryable = never_retried(non_retryable)
        cause = Application(
            failure,
            where=self.where(workflow_path),
            non_retryable=fatal or failure.name in non_retryable,
        )
        if by_name and not fatal:
            # The server knows the names; the error does not.
            cause.info["applicationFailureInfo"].pop("nonRetryable", None)
        return cause


def _failures(fails: Fails, step: str) -> Failure | list[Failure | None]:
    """`fails` with text turned into failures. Raises `TypeError` for anything else."""
    if isinstance(fails, str):
        return Failure(fails)
    if isinstance(fails, Failure):
        return fails
    if not isinstance(fails, Sequence):
        raise TypeError(
            f"step {step!r}: fails is a Failure, text, or a list of those and None, not {fails!r}"
        )
    found: list[Failure | None] = []
    for one in fails:
        if isinstance(one, str):
            one = Failure(one)
        if one is not None and not isinstance(one, Failure):
            raise TypeError(f"step {step!r}: fails has {one!r}, which is not a Failure, text or None")
        found.append(one)
    return found
