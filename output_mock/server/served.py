"""What a server reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

Stage = Literal["answered", "stream begins", "stream ends"]


class Served(NamedTuple):
    """What the server has done: answered a request, or begun or ended a stream, after this many seconds."""

    stage: Stage
    method: str
    target: str
    status: int
    seconds: float


OnServed = Callable[[Served], None]
