"""How large a request's target and headers may be together: Node's limit, measured with Node 20."""

from __future__ import annotations

from collections.abc import Iterable

# From this many characters on. Node counts the target, the names, and the values without the blanks before
# them; not the method, nor what lies between.
LIMIT = 16 * 1024
STATUS = 431
# All that Node answers, and then it closes the connection.
HEADERS = (("Connection", "close"),)


def too_large(target: str, headers: Iterable[tuple[str, str]]) -> bool:
    """Whether Node refuses a request with this target and these headers."""
    return len(target) + sum(len(name) + len(value) for name, value in headers) >= LIMIT
