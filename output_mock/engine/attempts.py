"""What a run remembers of the attempts of its steps, for its trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from output_mock.contract.failures import Cause
from output_mock.sdk.trace_nodes import TraceNode


class Attempt(NamedTuple):
    """An attempt of a step that the history does not describe completely: it failed, or did
    something inside.
    """

    activity_id: str
    # Begin and end, in nanoseconds since 1970; the end is 0 if its run ended first.
    began: int
    ended: int
    # How it failed; None if it succeeded.
    failure: Cause | None
    result: Any
    # What happened inside.
    nodes: Sequence[TraceNode]
