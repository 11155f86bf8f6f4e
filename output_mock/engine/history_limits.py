"""How large a history may become, and how large one is, in bytes as the real server counts them.

Measured on the real server (`tests/fidelity/test_history_limits.py`): before it writes anything, it looks
whether the history has more than 50 MiB already, or would have more than 51,200 events then. If so, it
terminates the run and writes nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from output_mock.contract.events import ActivityTaskScheduled
from output_mock.contract.failures import Cause
from output_mock.contract.run_start import StartInfo
from output_mock.javascript_json import UNDEFINED

if TYPE_CHECKING:
    from output_mock.contract.events import Event
    from output_mock.contract.history import History

MOST_EVENTS = 51_200
MOST_BYTES = 50 * 1024 * 1024
# The bytes of an event without its payloads, and what a step adds: its options and headers.
_BARE = 125
_STEP = 900
# The largest that an event can be on the real server, which takes no payload of more than 2 MiB.
_LARGEST = 2 * 1024 * 1024 + _BARE + _STEP

# There is always room for fewer events than this, however large they are.
ALWAYS_ROOM = MOST_BYTES // _LARGEST


class Measured:
    """Measures the size of a history as it grows: each event once, and only when it may matter."""

    __slots__ = ("_bytes", "_events")

    def __init__(self) -> None:
        self._events = 0
        self._bytes = 0

    def exceeded(self, written: History, more: int) -> str | None:
        """Why the real server ends a run instead of writing this many `more` events; None if it does not."""
        events = written.events
        length = len(events)
        if self._bytes + (length - self._events) * _LARGEST > MOST_BYTES:
            for event in events[self._events : length]:
                self._bytes += size_of(event)
            self._events = length
        if self._bytes > MOST_BYTES:
            return "Workflow history size exceeds limit."
        if length + more > MOST_EVENTS:
            return "Workflow history count exceeds limit."
        return None


def size_of(event: Event) -> int:
    """About how many bytes an event takes."""
    size = _BARE + _STEP if type(event) is ActivityTaskScheduled else _BARE
    for name in event.sized:
        size += length_of(getattr(event, name))
    return size


def length_of(value: Any) -> int:
    """About how many bytes the JSON of a value has."""
    if isinstance(value, StartInfo):
        value = value.input
    elif isinstance(value, Cause):
        return length_of_failure(value)
    if value is UNDEFINED or value is None:
        return 0
    if type(value) is str:
        return _length_of_text(value)
    size = 0
    # Not by recursion: a value may be nested as deep as Python can read it.
    todo = [value]
    while todo:
        value = todo.pop()
        kind = type(value)
        if kind is str:
            size += _length_of_text(value)
        elif kind is dict:
            size += 2
            for name, item in value.items():
                size += _length_of_text(name) + 2
                todo.append(item)
        elif kind is list:
            size += 2 + len(value)
            todo += value
        else:
            size += 5
    return size


def _length_of_text(text: str) -> int:
    return 2 + (len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")))


def length_of_failure(failure: Cause | None) -> int:
    """About how many bytes the words and stacks of a chain of failures take."""
    size = 0
    while failure is not None:
        size += _length_of_text(failure.message) + _length_of_text(failure.stack or "")
        failure = failure.cause
    return size
