"""What a server tells of what it has done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

Stage = Literal["answered", "stream begins", "stream ends"]


class Served(NamedTuple):
    """What the server has done: answered a request, begun a stream or ended one, after so many seconds."""

    stage: Stage
    method: str
    target: str
    status: int
    seconds: float


OnServed = Callable[[Served], None]
