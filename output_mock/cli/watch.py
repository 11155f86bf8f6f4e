"""Loads scripts again that change while they are served."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from output_mock.cli.reading import read_within_limit
from output_mock.cli.script_files import STDIN, all_mistakes, counted, script_files
from output_mock.contract.errors import OutputError

if TYPE_CHECKING:
    from output_mock.mock import OutputMock
    from output_mock.scripts.script import Scripted

# How often, in seconds, the files are looked at.
_LOOK = 0.25
_Stamp = tuple[int, int, int] | None


class Watcher:
    """Watches the files and folders that a served fake was loaded from.

    From `begin` on, a file that has changed, or is new in a folder, is loaded again, and its workflows
    replace its old ones, in the first world and in others (looked up each time, by name). A file with
    mistakes changes nothing; its mistakes are reported. Runs of `begin_with` are not started again. For a
    Python script, only its own file is watched, not what it imports.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = [path for path in paths if path != STDIN]
        self._others: Callable[[], Mapping[str, OutputMock]] = dict
        self._stamps = {file: _stamp(file) for file in script_files(self._paths)}
        self._seen = dict(self._stamps)
        self._loaded: dict[str, list[Scripted]] = {}
        self._tell: Callable[[str], None] = print
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="output-mock-watch", daemon=True)

    def begin(
        self,
        mock: OutputMock,
        loaded: dict[str, list[Scripted]],
        tell: Callable[[str], None],
        others: Callable[[], Mapping[str, OutputMock]] = dict,
    ) -> None:
        """Begin to watch, given the first world, the workflows of each file so far, a function that reports,
        and the other worlds that have the workflows of the files.
        """
        self._mock, self._loaded, self._tell, self._others = mock, loaded, tell, others
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()
        self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._closing.wait(_LOOK):
            with suppress(OSError):
                for file in script_files(self._paths):
                    # A new file in a folder was never loaded.
                    self._stamps.setdefault(file, None)
            for file in self._stamps:
                self._look_at(file)

    def _look_at(self, file: str) -> None:
        stamp = _stamp(file)
        # Editors write in several steps, and some move the file away first: wait until it no longer changes.
        settled, self._seen[file] = stamp == self._seen.get(file), stamp
        if settled and stamp != self._stamps[file]:
            self._stamps[file] = stamp
            self._take_up(file)

    def _take_up(self, file: str) -> None:
        from output_mock.scripts.file_error import ScriptFileError
        from output_mock.scripts.script import replace

        kept = "its old workflows are still served"
        try:
            new = read_within_limit(file)
            mistakes = all_mistakes({**self._loaded, file: new}, ())
            if mistakes:
                raise ScriptFileError.of(mistakes)
            replace(self._mock.world, self._loaded.get(file, []), new)
        except ScriptFileError as error:
            for mistake in error.mistakes:
                self._tell(str(mistake))
            self._tell(f"{file}: not loaded; {kept}")
        except (ValueError, OutputError) as error:
            self._tell(f"{file}: {error}")
            self._tell(f"{file}: not loaded; {kept}")
        else:
            # Worlds that are made from now on get the new text, earlier ones had the old one.
            old, self._loaded[file] = self._loaded.get(file, []), new
            self._take_up_elsewhere(file, old, new)
            number = len({name for script in new for name in script.names})
            self._tell(f"{file}: loaded, {counted(number)}")

    def _take_up_elsewhere(self, file: str, old: list[Scripted], new: list[Scripted]) -> None:
        from output_mock.scripts.script import replace

        for name, mock in self._others().items():
            try:
                replace(mock.world, old, new)
            except (ValueError, OutputError) as error:
                self._tell(f"{file}: not loaded in world {name}: {error}")


def _stamp(file: str) -> _Stamp:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
