"""How a version of the API shows what the engine, which is always the newest, does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from output_mock.contract.history import History
from output_mock.contract.operations import OPERATIONS, Operation
from output_mock.contract.reply import Reply


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

    def history(self, history: History) -> History:
        """The events of a run and their batches, before they are paged and rendered."""
        return history

    def event(self, rendered: dict[str, Any]) -> dict[str, Any]:
        """An event of a history, as JSON, in a page or in a stream."""
        return rendered

    def frame(self, name: str, data: Any) -> Any:
        """The data of a frame of a stream that is no event: `workflow`, `done`, `server_error`."""
        return data


NEWEST = View()
