"""Counts the requests of a fake: how many, with which status, and how long they took."""

from __future__ import annotations

import threading
from collections import Counter

# The route of requests for which there is no operation.
NO_ROUTE = "none"


class RequestCounts:
    """Counts of requests: by route and status, the seconds that their answers took by route, and those that
    no script matches.

    The status of a request whose answer was lost on the way is 0.
    """

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, int]] = Counter()
        self.seconds: dict[str, float] = {}
        self.unmatched: int = 0
        self._lock = threading.Lock()

    def add(self, route: str | None, status: int, seconds: float, *, unmatched: bool) -> None:
        """Count a request."""
        name = route or NO_ROUTE
        with self._lock:
            self.answered[name, status] += 1
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
            self.unmatched += unmatched

    def include(self, other: RequestCounts) -> None:
        """Add the counts of another one."""
        with self._lock, other._lock:
            self.answered.update(other.answered)
            for name, seconds in other.seconds.items():
                self.seconds[name] = self.seconds.get(name, 0.0) + seconds
            self.unmatched += other.unmatched
