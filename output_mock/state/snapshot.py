"""Snapshots: the whole state of a world at one time, and going back to it.

A snapshot is a record of the world (`engine/records.py`, which says what that cannot hold), of its faults
with the chance that they go by, and of its journal. It shares with the world, and with other snapshots, what
has not changed: many snapshots of a world with many closed runs take little more than one. Restoring makes a
world of the record, so it can be done again and again; whoever waits for something of the world before stops
waiting. On a real clock time goes on in between: what has fallen due since then happens at once.
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
    # When it was taken, on the world's clock.
    now: int
    # How many workflow ids were started.
    ids: int
    faults: Any
    calls: Any
    request_ids: Any

    @classmethod
    def of(cls, app: OutputApp) -> Snapshot:
        """The state of an application's world as it is.

        Raises `ScriptError` when a script cannot be played once more.
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
        """Have a fake go on from here. Raises `ScriptError`, and leaves it as it is then."""
        app, old = mock.app, mock.world
        new = world_of(self.world, old)
        mock.world = app.world = new
        app.faults.restore(self.faults)
        app.calls.replace(self.calls)
        app.set_request_ids_state(self.request_ids)
        new.resume()
        old.close(Ending.RESTORED, on_stuck=lambda thread_id: app.give_up(thread_id, Ending.RESTORED))
        app.calls.wake_all_waiters(Ending.RESTORED)
