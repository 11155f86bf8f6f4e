"""What a test of the suite says of itself: an id that never changes, a level, and what it stands on."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pytest

Level = Literal["required", "recommended", "observed"]
# What a client relies on; what a good server does besides; what the recorded one happens to do.
LEVELS: tuple[Level, ...] = ("required", "recommended", "observed")

# In the order of reports, with the words for people.
AREAS = {
    "system": "health, request ids, headers",
    "routing": "paths, methods, unknown ids",
    "validation": "what is refused, and how",
    "auth": "the token",
    "run": "run and wait",
    "start": "start and poll",
    "results": "results and errors",
    "messages": "signals, queries, updates",
    "stop": "stop and terminate",
    "reset": "reset",
    "history": "history, page by page",
    "stream": "the live stream",
    "traces": "the trace log",
    "catalog": "the catalog",
    "runs": "the list of runs",
    "limits": "sizes",
    "lifecycle": "random calls against a model",
}


class Check(NamedTuple):
    """A test as the report names it."""

    id: str
    level: Level
    source: str

    @property
    def area(self) -> str:
        """The part of the suite that it belongs to."""
        return self.id.partition(".")[0]


def check(id: str, source: str, level: Level = "required") -> pytest.MarkDecorator:
    """Mark a test of the suite.

    `id` is `area.what-it-checks` and never changes; `source` names the recordings (of `tests/recordings`) or
    the document that show that a true server does so.
    """
    return pytest.mark.contract(id=id, source=source, level=level)


def check_of(item: pytest.Item) -> Check | None:
    """What a test says of itself; None when it says nothing. A case of a test has its name in brackets."""
    marker = item.get_closest_marker("contract")
    if marker is None:
        return None
    _, bracket, case = item.name.partition("[")
    return Check(f"{marker.kwargs['id']}{bracket}{case}", marker.kwargs["level"], marker.kwargs["source"])
