"""A run's history: its events, in the same batches as on the real server."""

from __future__ import annotations

from output_mock.contract.events import Event


class History:
    """Events and where their batches end.

    `batches[i]` is the number of events up to the end of batch `i`.
    """

    __slots__ = ("batches", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.batches: list[int] = []

    def append(self, *batch: Event) -> None:
        """Append events as one batch."""
        self.events += batch
        self.batches.append(len(self.events))

    def copied_to(self, event_id: int) -> History:
        """A new history that begins with the events up to and including `event_id`."""
        copy = History()
        copy.events = self.events[:event_id]
        copy.batches = [end for end in self.batches if end < event_id] + [event_id]
        return copy

    def __len__(self) -> int:
        return len(self.events)
