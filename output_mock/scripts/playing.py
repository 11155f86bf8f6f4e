"""Run a script, on either engine: check its input and output against schemas, and translate its
exceptions.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from pathlib import Path
from typing import Any, Literal

from output_mock.contract import failures
from output_mock.contract.failures import Cause
from output_mock.javascript_json import as_json, null_if_undefined
from output_mock.places import was_raised
from output_mock.scripts.definition import WorkflowDefinition
from output_mock.sdk.context import Context, ContinueAsNew, SignalTimeout
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import FATAL_NAMES, Application, ChildFailure, Failure, StepFailure, invalid
from output_mock.sdk.values import named_json

How = Literal["completes", "fails", "stops", "continues"]
# The folder of this package: lines in it do not help the author of a script.
_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"


async def play(
    definition: WorkflowDefinition, context: Context, given: Any, *, only_checked: bool = False
) -> Any:
    """Run the script, with the schemas of its input and output. With `only_checked` they change nothing."""
    if definition.input_schema is None:
        given = as_json(given)
    else:
        checked, issues = definition.input_schema.safe_parse(given)
        if issues:
            raise invalid(f'Workflow "{definition.name}" input', issues)
        given = as_json(given) if only_checked else checked
    output = await definition.script(context, null_if_undefined(given))
    output = named_json(output, "the output of workflow {!r}", definition.name)
    if definition.output_schema is not None:
        checked, issues = definition.output_schema.safe_parse(output)
        if issues:
            raise invalid(f'Workflow "{definition.name}" output', issues)
        output = output if only_checked else checked
    return output


class Mistaken(Exception):
    """Wraps an exception of a script that is not a scripted failure."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error: BaseException = error


def ending_of(main: asyncio.Task[Any], definition: WorkflowDefinition, *, stopped: bool) -> tuple[How, Any]:
    """How a finished script has ended, and with what: its output, the failure, or the next run's input.

    `stopped` says whether the run was asked to stop. Raises `Mistaken` if the script has a mistake.
    """
    if main.cancelled():
        return ("stops", None) if stopped else ("fails", failures.stopped())
    error = main.exception()
    if error is None:
        return "completes", main.result()
    if isinstance(error, ContinueAsNew):
        what = "the input that workflow {!r} continues with"
        try:
            return "continues", named_json(error.input, what, definition.name)
        except TypeError as problem:
            raise Mistaken(problem) from error
    cause = cause_of(error, definition)
    if cause is None:
        raise Mistaken(error) from error
    return ("stops", None) if stopped and cause.is_cancellation() else ("fails", cause)


def cause_of_update(name: str, error: BaseException, definition: WorkflowDefinition) -> Cause | None:
    """The failure of an update whose handler raised this; None for a mistake in the script."""
    if isinstance(error, Failure):
        where = f"update {name} ({definition.path})"
        return Application(error, where=where, non_retryable=not error.retryable, detailed=False)
    return cause_of(error, definition)


def cause_of(error: BaseException, definition: WorkflowDefinition) -> Cause | None:
    """The chain of failures for an exception of a script; None for a mistake in the script."""
    if isinstance(error, (StepFailure, ChildFailure)):
        return error.chain
    if isinstance(error, SignalTimeout):
        error = Failure(str(error), name="TimeoutError", retryable=False)
    if isinstance(error, Failure):
        where = f"fn ({definition.path})"
        # The SDK wraps its own fatal errors, and leaves the failures of Temporal as they are.
        detailed = error.name in FATAL_NAMES or bool(error.properties) or not error.is_error
        return Application(error, where=where, non_retryable=not error.retryable, detailed=detailed)
    inner = getattr(error, "exceptions", None)  # an ExceptionGroup of asyncio.TaskGroup
    if inner and not isinstance(error, Exception):
        return None
    for one in inner or ():
        cause = cause_of(one, definition)
        if cause is not None:
            return cause
    return None


# Errors that refuse an update only if the validator itself raises them with `raise`.
_MISTAKES = (ArithmeticError, AttributeError, ImportError, LookupError, NameError, RecursionError, TypeError)


def is_mistake(error: Exception) -> bool:
    """Whether a validator raised this by mistake, and not to refuse an update."""
    if isinstance(error, ScriptError):
        return True
    return isinstance(error, _MISTAKES) and error.__traceback__ is not None and not was_raised(error)


def describe(error: BaseException, definition: WorkflowDefinition, workflow_id: str) -> ScriptError:
    """The `ScriptError` for a mistake in the script of `definition`, with its place and message."""
    if isinstance(error, ScriptError):
        return error
    script = inspect.unwrap(definition.script)
    code = getattr(script, "__code__", None)
    source = code.co_filename if code is not None else ""
    # The innermost line of the script's own file, or of the test's file for a workflow that calls have
    # scripted.
    place = elsewhere = None
    traceback = error.__traceback__
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if not filename.startswith(_PACKAGE):
            elsewhere = f"{filename}, line {traceback.tb_lineno}"
            if filename == source:
                place = elsewhere
        traceback = traceback.tb_next
    if place is None and code is not None and not source.startswith(_PACKAGE):
        place = f"{source}, line {code.co_firstlineno}"
    place = place or elsewhere or getattr(getattr(script, "__self__", None), "place", None)
    message = str(error)
    hint = ""
    if "'coroutine' object" in message:
        hint = ". Was `await` forgotten?"
    elif isinstance(error, RuntimeError) and "different loop" in message:
        hint = (
            ". The script awaits a future of another event loop; scripts can only await what their own loop "
            "makes: ctx.step, ctx.child, ctx.wait_for_signal, ctx.condition and asyncio's primitives"
        )
    text = f"the script of workflow {definition.name!r} raised {type(error).__name__}: {message}{hint}"
    mistake = ScriptError(f"{text} ({place})" if place else text, workflow_id=workflow_id)
    mistake.__cause__ = error
    return mistake
