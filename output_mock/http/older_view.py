"""Shows what the engine does, which is the newest version, as older versions would show it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from output_mock.contract.events import Event
from output_mock.contract.history import History
from output_mock.contract.operations import OPERATIONS, Operation
from output_mock.contract.reply import Reply
from output_mock.contract.versions import Deployment
from output_mock.contract.versions.history_view import HistoryView, Numbering
from output_mock.contract.view import NEWEST, HasHistory, View
from output_mock.engine.run_facts import facts_of

if TYPE_CHECKING:
    from output_mock.engine.run import Run


class OlderView(View):
    """The view of an older deployment: changes every answer and every event back."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self.operations: Sequence[Operation] = [one for one in OPERATIONS if deployment.has(one.name)]

    def request(self, operation: Operation, query: dict[str, Any], body: Any) -> tuple[dict[str, Any], Any]:
        self._deployment.query(operation.name, query)
        return query, body

    def reply(self, operation: Operation | None, reply: Reply) -> Reply:
        self._deployment.answer(None if operation is None else operation.name, reply)
        return reply

    def history(self, run: HasHistory) -> History:
        return _view(cast("Run", run))

    def event(
        self, run: HasHistory, event_id: int, event: Event, *, include_payloads: bool
    ) -> dict[str, Any]:
        shown = cast("Run", run)
        # Streams show events without the world's lock; the view grows, and looks at other runs.
        with shown.world.clock.lock:
            return _view(shown).render(event_id, event, include_payloads=include_payloads)


def view_of(deployment: Deployment) -> View:
    """The view of a deployment."""
    return NEWEST if deployment.is_newest else OlderView(deployment)


def _view(run: Run) -> HistoryView:
    """The view of a run's history, up to date. Called with the lock of its world held."""
    if run.older_history is None:
        run.older_history = HistoryView(
            run.info, run.history, run.world.deployment, partial(facts_of, run), partial(_numbering, run)
        )
    run.older_history.refresh()
    return run.older_history


def _numbering(run: Run, workflow_id: str, run_id: str) -> Numbering | None:
    other = run.world.begun_as(workflow_id, run_id)
    return None if other is None else _view(other).number
