"""Writes what has changed in the worlds of a server to its state file, about twice a second.

A thread of its own looks at one world after another. It holds a world's lock only while it takes the records
of what has changed, and writes them without. A run that has not changed since is not written again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from output_mock.control.restoring import Restored, restore
from output_mock.control.worlds import WorldEntry, Worlds
from output_mock.engine.record_taking import record_of
from output_mock.engine.records import RunRecord, WorldRecord
from output_mock.engine.run import Run
from output_mock.engine.world import World
from output_mock.http import tokens
from output_mock.real_time import monotonic, time_ns
from output_mock.state import json_runs
from output_mock.state.database import Changes, StateFile, StateFileError, StoredRun, StoredWorld, opened
from output_mock.state.scripts import Definitions, definition_json
from output_mock.state.worlds import history_json, to_bytes, world_body

# How often, in seconds, it looks for changes. If the process is killed, at most a second may be missing.
INTERVAL = 0.4
# How many seconds it waits for worlds in which a script is running.
_PATIENCE = 0.2


class _Kept:
    """What the file has of a world."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.world: World | None = None
        # How many events of each open run the file has, by the run's number.
        self.written: dict[int, int] = {}
        self.body: bytes = b""
        # When it was checked last, how many requests it and its control plane had had then, and whether one
        # was being answered.
        self.looked: float = float("-inf")
        self.asked: int = -1
        self.controlled: int = -1
        self.busy: bool = True

    def is_idle(self, entry: WorldEntry) -> bool:
        """Whether the world has had no requests since, and nothing has happened in it."""
        world, app = entry.world, entry.app
        return (
            self.world is world
            and not world.changed
            and not self.busy
            and entry.used < self.looked
            and app.asked == self.asked
            and entry.controlled == self.controlled
        )


class _Taken:
    """What has changed in a world, taken while its lock was held."""

    def __init__(
        self,
        kept: _Kept,
        entry: WorldEntry,
        world: World,
        record: WorldRecord,
        runs: Iterable[Run],
        faults: Any,
        request_ids: Any,
    ) -> None:
        self.kept = kept
        self.entry = entry
        self.world = world
        self.record = record
        self.runs = list(runs)
        self.faults = faults
        self.request_ids = request_ids
        # What the file has of it once it is written.
        self.written: dict[int, int] = {}
        self.body: bytes = b""


def begun(path: Path, worlds: Worlds, tell: Callable[[str], None]) -> Saver:
    """Restore these worlds from a state file, and write to it from now on.

    Raises `StateFileError` for a file that cannot be used. `tell` gets messages about what is different.
    """
    file = opened(path)
    try:
        tokens.use_key(file.fingerprint_key())
        saver = Saver(file, worlds, restore(file, worlds, tell), tell)
        worlds.saver = saver
        saver.start()
    except BaseException as error:
        file.close()
        if isinstance(error, (OSError, sqlite3.Error)):
            raise StateFileError(f"cannot write the state file {path}: {error}") from None
        raise
    return saver


class Saver:
    """Keeps a state file up to date with some worlds, from `start` until `close`.

    Takes the results of `restore`. `tell` gets a message, once, if the state cannot be written, and another
    one when it can be again.
    """

    def __init__(
        self,
        file: StateFile,
        worlds: Worlds,
        restored: tuple[Definitions, set[int], list[Restored]],
        tell: Callable[[str], None],
    ) -> None:
        self._file = file
        self._worlds = worlds
        self._tell = tell
        self._definitions, self._workflows, again = restored
        self._kept: dict[WorldEntry, _Kept] = {}
        self._last = 0
        for one in again:
            kept = self._kept[one.entry] = _Kept(one.number)
            kept.world, kept.written = one.world, one.written
            self._last = max(self._last, one.number)
        # Up to when the file has everything; why it could not be written since then.
        self.written: datetime | None = None
        self.problem: str | None = None
        self._told_missing = False
        # The worlds that a script blocked at the last check.
        self._kept_back: list[str] = []
        self._now = threading.Event()
        self._stopping = False
        self._saving = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="output-mock-state", daemon=True)

    @property
    def path(self) -> str:
        """The name of the state file."""
        return str(self._file.path)

    def start(self) -> None:
        """Begin. Raises `OSError` or `sqlite3.Error` when the file cannot be written."""
        self.save()
        self._thread.start()

    def hurry(self) -> None:
        """Write what has changed now."""
        self._now.set()

    def close(self, seconds: float) -> None:
        """Write the last changes, and close the file, within this many seconds."""
        self._stopping = True
        self._now.set()
        self._thread.join(seconds)
        self.tell_missing()

    def tell_missing(self) -> None:
        """Report, once, at the end, what is missing in the file, and why."""
        if self._told_missing:
            return
        self._told_missing = True
        since = "it began" if self.written is None else f"{self.written:%H:%M:%S} UTC"
        missing = f"what has happened since {since} is not in {self.path}"
        if self.problem is not None:
            self._tell(f"{missing}: {self.problem}")
        elif self._kept_back:
            names = ", ".join(map(repr, self._kept_back))
            self._tell(f"{missing}, in the world {names}, because a script blocks it")
        elif self._stopping and self._thread.is_alive():
            self._tell(f"{missing}, because there was too much to write before the end")

    def trouble(self) -> str | None:
        """Why the file is not up to date; None if it is, except for the last second."""
        if self.problem is not None or not self._kept_back:
            return self.problem
        names = ", ".join(map(repr, self._kept_back))
        return f"a script blocks the world {names}, so its changes are not written"

    def _run(self) -> None:
        while not self._stopping:
            self._now.wait(INTERVAL)
            self._now.clear()
            self._try()
        self._try()
        with suppress(sqlite3.Error):
            self._file.close()

    def _try(self) -> None:
        try:
            self.save()
        except Exception as error:
            # Report every error: users rely on the file.
            problem = f"{type(error).__name__}: {error}"
            if self.problem is None:
                self._tell(
                    f"the state cannot be written to {self.path}: {problem}. The server continues, but "
                    f"changes are lost if it ends before the file can be written again. To save a world "
                    f"elsewhere, use a snapshot (POST, then GET /__mock__/snapshots/NAME)"
                )
            self.problem = problem
            return
        if self.problem is not None:
            self.problem = None
            self._tell(f"the state is written to {self.path} again")

    def save(self) -> None:
        """Write what has changed. Raises `OSError` or `sqlite3.Error` if that fails."""
        with self._saving:
            self._save()

    def _save(self) -> None:
        began = time_ns()
        changes = Changes()
        taken: list[_Taken] = []
        kept_back: list[str] = []
        try:
            helds = list(self._worlds)
            busy = [entry for entry in helds if not self._take(entry, 0.0, taken)]
            # A script may block a world for a while. Worlds that were blocked at the last check do not delay
            # the others.
            end = monotonic() + _PATIENCE
            for entry in busy:
                left = 0.0 if entry.name in self._kept_back else max(0.0, end - monotonic())
                if not self._take(entry, left, taken):
                    kept_back.append(entry.name)
            gone = self._kept.keys() - set(helds)
            changes.gone_worlds = [self._kept[entry].number for entry in gone]
            for one in taken:
                self._note(one, changes)
            workflows = self._note_workflows(changes)
            if changes:
                self._file.write(changes)
        except BaseException:
            for one in taken:
                self._give_back(one)
            raise
        for one in taken:
            kept = one.kept
            kept.world, kept.body = one.world, one.body
            kept.written = one.written
        for entry in gone:
            del self._kept[entry]
        self._workflows = workflows
        self._kept_back = kept_back
        if not kept_back:
            self.written = datetime.fromtimestamp(began / 1e9, tz=timezone.utc)

    # Taking

    def _take(self, entry: WorldEntry, patience: float, taken: list[_Taken]) -> bool:
        """Add what has changed in a world to `taken`. Returns whether it could be looked at, with so many
        seconds of patience.
        """
        kept = self._kept.get(entry)
        if kept is None:
            if entry.disposable and entry.empty:
                return True
            self._last += 1
            kept = self._kept[entry] = _Kept(self._last)
        world = entry.world
        if kept.is_idle(entry) and not self._stopping:
            return True
        lock = world.clock.lock
        if not lock.acquire(timeout=patience):
            return False
        try:
            if entry.world is not world or world.clock.closed:
                # Another world has just replaced it.
                return entry.world is world
            app = entry.app
            kept.looked, kept.asked, kept.controlled = monotonic(), app.asked, entry.controlled
            kept.busy = app.answering or entry.controlling > 0
            runs: Iterable[Run]
            if kept.world is world and world.changed is not None:
                runs = world.changed
            else:
                runs = world._runs.values()
            runs = [run for run in runs if run.trace_tree is None]
            world.changed = set()
            record = record_of(world, [run for run in runs if run.run_id in world._runs])
            faults, request_ids = app.faults.state(), app.request_ids_state()
            taken.append(_Taken(kept, entry, world, record, runs, faults, request_ids))
            return True
        finally:
            lock.release()

    def _give_back(self, taken: _Taken) -> None:
        """Note that what was taken could not be written, and still has to be."""
        kept, world = taken.kept, taken.world
        kept.busy = True
        if kept.world is world and world.changed is not None:
            world.changed.update(taken.runs)

    # Writing down

    def _note(self, taken: _Taken, changes: Changes) -> None:
        kept, entry, number = taken.kept, taken.entry, taken.kept.number
        fresh = kept.world is not taken.world
        taken.written = {} if fresh else dict(kept.written)
        if fresh and kept.world is not None:
            changes.emptied.append(number)
        there = {record.number for record in taken.record.runs}
        for run in taken.runs:
            if run.number not in there:
                changes.gone_runs.append((number, run.number))
                taken.written.pop(run.number, None)
        for record in taken.record.runs:
            self._note_run(number, record, taken.written, changes)
        body = world_body(
            taken.record,
            entry.options,
            sorted(entry.marks),
            taken.faults,
            taken.request_ids,
            self._definitions,
        )
        taken.body = to_bytes(body)
        if taken.body != kept.body or fresh:
            changes.worlds.append(StoredWorld(number, entry.name, taken.body))

    def _note_run(self, world: int, record: RunRecord, written: dict[int, int], changes: Changes) -> None:
        body = to_bytes(json_runs.run_json(record, self._definitions.key_of))
        before = written.get(record.number)
        if record.ended:
            written.pop(record.number, None)
            if before is None:
                history = to_bytes(history_json(record))
                changes.whole_runs.append((world, StoredRun(record.number, body, (history,))))
                return
        else:
            written[record.number] = record.length
        changes.runs.append((world, record.number, body))
        first = before or 0
        length = len(record.history.events) if record.ended else record.length
        if length > first:
            changes.events.append((world, record.number, first, to_bytes(history_json(record, first))))

    def _note_workflows(self, changes: Changes) -> set[int]:
        """Returns the numbers of the workflows that the file has once it is written."""
        there = dict(self._definitions)
        for key in there.keys() - self._workflows:
            changes.workflows.append((key, to_bytes(definition_json(there[key]))))
        changes.gone_workflows = list(self._workflows - there.keys())
        return set(there)
