"""How a version of the API shows what the engine, which is always the newest, does."""

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
    """A run, as far as its history is concerned."""

    @property
    def info(self) -> StartInfo:
        """With what it began."""

    @property
    def history(self) -> History:
        """What has happened since."""


class View:
    """The newest version's view, which changes nothing. An older version overrides what it shows otherwise.

    Where an operation is given it is None for what belongs to none: a 404 of the router, an `OPTIONS`, a 401.
    """

    # Which operations there are, in the order in which their paths are tried.
    operations: Sequence[Operation] = OPERATIONS

    def request(self, operation: Operation, query: dict[str, Any], body: Any) -> tuple[dict[str, Any], Any]:
        """The parameters and the body of a request, turned forth before they are validated."""
        return query, body

    def reply(self, operation: Operation | None, reply: Reply) -> Reply:
        """An answer, turned back before it becomes bytes. Errors, too."""
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
        """The data of a frame of a stream that is no event: `workflow`, `done`, `server_error`."""
        return data


NEWEST = View()
