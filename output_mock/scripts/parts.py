"""The parts of a scripted workflow that some runs use and others do not: `when`s and answers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from output_mock.sdk.values import short

if TYPE_CHECKING:
    from output_mock.scripts.definition import WorkflowDefinition


class Part(NamedTuple):
    """The answers to one kind of input."""

    # The key by which a world counts given answers.
    whose: object
    # The kind of input: `when({"topic": "bees"})`; None for all inputs that match nothing else.
    match: str | None
    # For each answer, where it is written.
    answers: Sequence[str]


def matching(match: Any) -> str:
    """A match in the form in which it is written: `when({"topic": "bees"})`."""
    return f"when({short(match) if not callable(match) else getattr(match, '__name__', match)})"


def parts_of(definition: WorkflowDefinition) -> Sequence[Part]:
    """The parts of a workflow. A function has none, but there may be some in addition to it."""
    owners = dict.fromkeys((getattr(definition.script, "__self__", None), definition.builder))
    return [part for owner in owners for part in getattr(owner, "parts", ())]


def place_of(definition: WorkflowDefinition) -> str:
    """File and line of a workflow's function, or of the call or YAML entry that scripts it."""
    code = getattr(inspect.unwrap(definition.script), "__code__", None)
    if code is None or inspect.ismethod(definition.script):
        return definition.place
    return f"{code.co_filename}, line {code.co_firstlineno}"
