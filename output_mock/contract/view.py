"""How a version of the API shows the engine, which always behaves like the newest version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from output_mock.contract.events import Event
from output_mock.contract.history import History
from output_mock.contract.operations import OPERATIONS, Operation
from output_mock.contract.rendering import render
from output_mock.contract.reply import Reply
from output_mock.contract.run_start import StartInfo


class HasHistory(Protocol):
    """A run that has a history."""

    @property
    def info(self) -> StartInfo:
        """The start of the run."""

    @property
    def history(self) -> History:
        """The events of the run."""


class View:
    """The view of the newest version, which changes nothing. Older versions override the differences.

    Where a method takes an operation, None means a response without one: a 404 of the router, an `OPTIONS`,
    a 401.
    """

    # The operations, in the order in which the router tries their paths.
    operations: Sequence[Operation] = OPERATIONS

    def request(self, operation: Operation, query: dict[str, Any], body: Any) -> tuple[dict[str, Any], Any]:
        """Convert the parameters and the body of a request, before validation."""
        return query, body

    def reply(self, operation: Operation | None, reply: Reply) -> Reply:
        """Convert a response, also an error, before it becomes bytes."""
        return reply

    def history(self, run: HasHistory) -> History:
        """The events of a run and their batches, before they are paged and rendered.

        Take the lock of the run's world first.
        """
        return run.history

    def event(
        self, run: HasHistory, event_id: int, event: Event, *, include_payloads: bool
    ) -> dict[str, Any]:
        """An event of that history, by its number there, as JSON in a page or in a stream."""
        return render(run.info, event_id, event, include_payloads=include_payloads)

    def frame(self, name: str, data: Any) -> Any:
        """The data of a stream frame that is not a history event: `workflow`, `done`, `server_error`."""
        return data


NEWEST = View()
