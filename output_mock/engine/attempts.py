"""What a run keeps of the attempts of its steps for its trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from output_mock.contract.failures import Cause
from output_mock.sdk.trace_nodes import TraceNode


class Attempt(NamedTuple):
    """An attempt of a step of which the history does not tell enough: it failed, or did something inside."""

    activity_id: str
    # From when to when, in nanoseconds since 1970; 0 when its run was over before it.
    began: int
    ended: int
    # How it failed; None when it worked.
    failure: Cause | None
    result: Any
    # What happened inside.
    nodes: Sequence[TraceNode]
