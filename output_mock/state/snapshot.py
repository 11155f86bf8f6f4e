"""Snapshots: save the whole state of a world, and return to it later.

A snapshot holds a record of the world, of its faults with their random state, and of its journal.
`engine/records.py` says what a record cannot hold. Unchanged parts are shared with the world and with other
snapshots, so many snapshots of a world with many closed runs take little more memory than one. You can
restore a snapshot any number of times: each time makes a new world from the record, and ends all waits in
the world before. On a real clock, time continues in between: work that is overdue happens at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from output_mock.engine.errors import Ending
from output_mock.engine.record_restoring import check_playable, world_of
from output_mock.engine.record_taking import record_of
from output_mock.engine.records import WorldRecord
from output_mock.http.app import OutputApp
from output_mock.mock import OutputMock


class Snapshot(NamedTuple):
    """The whole state of a world at one time."""

    world: WorldRecord
    # The time of the snapshot, on the world's clock.
    now: int
    # The number of workflow ids that were started.
    ids: int
    faults: Any
    calls: Any
    request_ids: Any

    @classmethod
    def of(cls, app: OutputApp) -> Snapshot:
        """Take a snapshot of an application's world.

        Raises `ScriptError` if a script cannot be replayed.
        """
        world = app.world
        with world.clock.lock:
            record = record_of(world)
            now, ids = world.clock.nanoseconds(), len(world.workflow_ids())
            faults, calls = app.faults.state(), app.calls.sized()
            request_ids = app.request_ids_state()
            check_playable(record, world)
        return cls(record, now, ids, faults, calls, request_ids)

    def restore(self, mock: OutputMock) -> None:
        """Let a fake continue from here. If it raises `ScriptError`, the fake is unchanged."""
        app, old = mock.app, mock.world
        new = world_of(self.world, old)
        mock.world = app.world = new
        app.faults.restore(self.faults)
        app.calls.replace(self.calls)
        app.set_request_ids_state(self.request_ids)
        new.resume()
        old.close(Ending.RESTORED, on_stuck=lambda thread_id: app.give_up(thread_id, Ending.RESTORED))
        app.calls.wake_all_waiters(Ending.RESTORED)
