"""Traces as files, as workers keep them that trace locally: `runs/WORKFLOW/TIME_ID.json`."""

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
# How often, in seconds of the wall, the file of one run is written at most, but for its end.
_PAUSE = 1.0


class Folder:
    """Writes the traces of runs below a folder, which it makes.

    As a real worker does, it writes a run's file when something in it fails and when the run ends; so one
    that is terminated has a file only if something had failed, and that file says that it has no end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Runs that go on and have a file: when it was written, and whether there is more to write by now.
        self._begun: WeakKeyDictionary[Run, tuple[float, bool]] = WeakKeyDictionary()

    def make(self) -> None:
        """Make the folder. Raises `OSError` when nothing can be written there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder):
            pass

    def changed(self, run: Run) -> None:
        """Write the trace of a root run as it stands now, unless that was done just before."""
        written, _ = self._begun.get(run, (None, False))
        now = monotonic()
        if written is not None and now - written < _PAUSE:
            # Thousands of failures shall not be thousands of files, each longer than the one before.
            self._begun[run] = (written, True)
            return
        self._begun[run] = (now, False)
        self._write(run)

    def ended(self, run: Run) -> None:
        """Write what there is to write of a run that has ended."""
        _, more = self._begun.pop(run, (0.0, False))
        if more or run.worker_heard:
            self._write(run)

    def forget(self, run: Run) -> None:
        """Remove the file of a run that has gone."""
        with contextlib.suppress(OSError):
            self._path(run).unlink()

    def _path(self, run: Run) -> Path:
        info = run.info
        name = safe_name(file_name(info.workflow_id, info.trace_start))
        return self.folder / safe_name(info.workflow_type) / name

    def _write(self, run: Run) -> None:
        """Write a file. What goes wrong is logged: it is nothing that a run has to do with."""
        path = self._path(run)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, to_bytes(trace_tree(run)))
        except (OSError, ValueError) as error:
            _log.warning("the trace of run %s cannot be written to %s: %s", run.run_id, path, error)


def _replace(path: Path, content: bytes) -> None:
    """Write a file such that nobody ever reads half of it."""
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
