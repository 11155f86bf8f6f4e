"""What a server reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

Stage = Literal["answered", "stream begins", "stream ends"]


class Served(NamedTuple):
    """What the server has done: answered a request, or begun or ended a stream, after this many seconds.

    `unmatched` says what is wrong with a request that matches nothing, as the answer's header does.
    """

    stage: Stage
    method: str
    target: str
    status: int
    seconds: float
    unmatched: str | None = None


OnServed = Callable[[Served], None]
