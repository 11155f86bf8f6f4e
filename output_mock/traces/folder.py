"""Traces as files, as workers write them for local tracing: `runs/WORKFLOW/TIME_ID.json`."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from output_mock.engine.trace_places import file_name, safe_name
from output_mock.javascript_json import to_bytes
from output_mock.real_time import monotonic
from output_mock.traces.tree import trace_tree

if TYPE_CHECKING:
    from output_mock.engine.run import Run

_log = logging.getLogger("output_mock.traces")
# The shortest time between two writes of a run's file, in real seconds. Its end is always written.
_PAUSE = 1.0


class Folder:
    """Writes the traces of runs into a folder, and creates it.

    Like a real worker, it writes a run's file when something in the run fails and when the run ends. So a
    terminated run has a file only if something failed before, and that file shows no end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Running runs with a file: the time of the last write, and whether there are changes since.
        self._begun: WeakKeyDictionary[Run, tuple[float, bool]] = WeakKeyDictionary()

    def make(self) -> None:
        """Create the folder. Raises `OSError` if it is not writable."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder):
            pass

    def changed(self, run: Run) -> None:
        """Write the current trace of a root run, unless it was written a moment ago."""
        written, _ = self._begun.get(run, (None, False))
        now = monotonic()
        if written is not None and now - written < _PAUSE:
            # Thousands of failures must not cause thousands of writes, each longer than the one before.
            self._begun[run] = (written, True)
            return
        self._begun[run] = (now, False)
        self._write(run)

    def ended(self, run: Run) -> None:
        """Write the final trace of a run."""
        _, more = self._begun.pop(run, (0.0, False))
        if more or run.worker_heard:
            self._write(run)

    def forget(self, run: Run) -> None:
        """Remove the file of a removed run."""
        with contextlib.suppress(OSError):
            self._path(run).unlink()

    def _path(self, run: Run) -> Path:
        info = run.info
        name = safe_name(file_name(info.workflow_id, info.trace_start))
        return self.folder / safe_name(info.workflow_type) / name

    def _write(self, run: Run) -> None:
        """Write a file. Log errors, because they must not affect the run."""
        path = self._path(run)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, to_bytes(trace_tree(run)))
        except (OSError, ValueError) as error:
            _log.warning("the trace of run %s cannot be written to %s: %s", run.run_id, path, error)


def _replace(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that no reader sees half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
