"""The state file: a SQLite database that only one process can open at a time.

A transaction writes only the changes. A file that is rewritten and renamed would be too slow with 100,000
runs. SQLite also prevents half-written state when a process is killed, and keeps a second process out.

If a file is damaged or not a state file, this module refuses it and leaves it unchanged.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

# The version of the format. Other versions are not read.
FORMAT = 3
_APPLICATION = int.from_bytes(b"OMst", "big")
_HEADER = 100
_MAGIC = b"SQLite format 3\0"
# The limits for the numbers of runs and of worlds. Together they form an id of 63 bits.
MOST_RUNS = 2**40
_MOST_WORLDS = 2**22
_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE workflows (id INTEGER PRIMARY KEY, body BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE worlds (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, body BLOB NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE runs (id INTEGER PRIMARY KEY, body BLOB NOT NULL, history BLOB, checksum INTEGER NOT NULL);
CREATE TABLE events (
    run INTEGER NOT NULL, first INTEGER NOT NULL, body BLOB NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (run, first)
) WITHOUT ROWID;
"""


class StateFileError(Exception):
    """The file cannot be the state file. The message says why, and what to do."""


class StoredWorld(NamedTuple):
    """A world as stored in the file."""

    id: int
    name: str
    body: bytes


class StoredRun(NamedTuple):
    """A run as stored in the file: its number in the world, its record, and its history in chunks."""

    number: int
    body: bytes
    history: Sequence[bytes]


class Changes:
    """The changes since the last write."""

    def __init__(self) -> None:
        self.workflows: list[tuple[int, bytes]] = []
        self.worlds: list[StoredWorld] = []
        # By the number of the world: runs with their histories; runs without; and new events, each with the
        # number of events before them.
        self.whole_runs: list[tuple[int, StoredRun]] = []
        self.runs: list[tuple[int, int, bytes]] = []
        self.events: list[tuple[int, int, int, bytes]] = []
        self.gone_runs: list[tuple[int, int]] = []
        # Worlds to write again from scratch, and removed worlds.
        self.emptied: list[int] = []
        self.gone_workflows: list[int] = []
        self.gone_worlds: list[int] = []

    def __bool__(self) -> bool:
        return any(self.__dict__.values())


class StateFile:
    """An open state file. Use `opened` to open one."""

    def __init__(self, path: Path, connection: sqlite3.Connection, identity: tuple[int, int]) -> None:
        self.path = path
        self._connection = connection
        self._identity = identity
        # How many closed runs were removed so far (`--keep-runs`). Each write stores it.
        self.runs_gone: Callable[[], int] = int

    # Reading

    def fingerprint_key(self) -> bytes:
        """The key for the fingerprints in the file."""
        row = self._all("SELECT value FROM about WHERE name = 'fingerprints'")
        if len(row) != 1 or not isinstance(row[0][0], bytes) or not 16 <= len(row[0][0]) <= 64:
            raise self._damaged("it has no key of its fingerprints")
        return row[0][0]

    def runs_gone_before(self) -> int:
        """The value of `runs_gone` at the last write."""
        for (found,) in self._all("SELECT value FROM about WHERE name = 'runs gone'"):
            if type(found) is not int or not 0 <= found < MOST_RUNS:
                raise self._damaged("it does not say how many runs have gone")
            return found
        return 0

    def workflows(self) -> dict[int, bytes]:
        """The workflows, by number."""
        rows = self._all("SELECT id, checksum, body FROM workflows")
        return {key: self._checked(checksum, body) for key, checksum, body in rows}

    def worlds(self) -> list[StoredWorld]:
        """The worlds."""
        rows = self._all("SELECT id, name, checksum, body FROM worlds ORDER BY id")
        if len({name for _, name, _, _ in rows}) < len(rows):
            raise self._damaged("it has two worlds of one name")
        for key, name, _, _ in rows:
            if not 0 < key < _MOST_WORLDS or not isinstance(name, str):
                raise self._damaged(f"it has a world with the number {key} and the name {name!r:.100}")
        return [StoredWorld(key, name, self._checked(checksum, body)) for key, name, checksum, body in rows]

    def runs(self, world: int) -> Iterator[StoredRun]:
        """The runs of a world, oldest first."""
        between = (world * MOST_RUNS, (world + 1) * MOST_RUNS)
        pieces: dict[int, list[bytes]] = {}
        query = "SELECT run, checksum, body FROM events WHERE run >= ? AND run < ? ORDER BY run, first"
        for run, checksum, body in self._all(query, between):
            pieces.setdefault(run, []).append(self._checked(checksum, body))
        query = "SELECT id, checksum, body, history FROM runs WHERE id >= ? AND id < ? ORDER BY id"
        for run, checksum, body, history in self._all(query, between):
            self._checked(checksum, body, *(() if history is None else (history,)))
            yield StoredRun(run % MOST_RUNS, body, pieces.get(run, ()) if history is None else (history,))

    def _all(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, parameters).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._damaged(str(error)) from None

    def _checked(self, checksum: Any, *bodies: Any) -> bytes:
        if not all(isinstance(body, bytes) for body in bodies) or _checksum(*bodies) != checksum:
            raise self._damaged("what it holds is not what was written")
        found: bytes = bodies[0]
        return found

    def _damaged(self, why: str) -> StateFileError:
        return damaged(self.path, why)

    # Writing

    def write(self, changes: Changes) -> None:
        """Write all of the changes, or none. Raises `OSError` or `sqlite3.Error`."""
        found = os.lstat(self.path)
        if (found.st_dev, found.st_ino) != self._identity:
            raise OSError(f"{self.path} is another file than the one that was opened")
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._write(connection, changes)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _write(self, connection: sqlite3.Connection, changes: Changes) -> None:
        connection.execute("REPLACE INTO about VALUES ('runs gone', ?)", (self.runs_gone(),))
        for world in (*changes.emptied, *changes.gone_worlds):
            between = (world * MOST_RUNS, (world + 1) * MOST_RUNS)
            connection.execute("DELETE FROM runs WHERE id >= ? AND id < ?", between)
            connection.execute("DELETE FROM events WHERE run >= ? AND run < ?", between)
        connection.executemany("DELETE FROM worlds WHERE id = ?", _rows(changes.gone_worlds))
        connection.executemany("DELETE FROM workflows WHERE id = ?", _rows(changes.gone_workflows))
        gone = [world * MOST_RUNS + number for world, number in changes.gone_runs]
        connection.executemany("DELETE FROM runs WHERE id = ?", _rows(gone))
        again = [world * MOST_RUNS + run.number for world, run in changes.whole_runs]
        connection.executemany("DELETE FROM events WHERE run = ?", _rows((*gone, *again)))
        connection.executemany(
            "REPLACE INTO workflows VALUES (?, ?, ?)",
            ((key, body, _checksum(body)) for key, body in changes.workflows),
        )
        connection.executemany(
            "REPLACE INTO worlds VALUES (?, ?, ?, ?)",
            ((world.id, world.name, world.body, _checksum(world.body)) for world in changes.worlds),
        )
        connection.executemany(
            "REPLACE INTO runs VALUES (?, ?, ?, ?)",
            (
                (
                    world * MOST_RUNS + run.number,
                    run.body,
                    run.history[0],
                    _checksum(run.body, run.history[0]),
                )
                for world, run in changes.whole_runs
            ),
        )
        connection.executemany(
            "REPLACE INTO runs VALUES (?, ?, NULL, ?)",
            ((world * MOST_RUNS + number, body, _checksum(body)) for world, number, body in changes.runs),
        )
        connection.executemany(
            "REPLACE INTO events VALUES (?, ?, ?, ?)",
            (
                (world * MOST_RUNS + number, first, body, _checksum(body))
                for world, number, first, body in changes.events
            ),
        )

    def close(self) -> None:
        """Close the file, so that other processes can open it."""
        self._connection.close()


def _rows(keys: Iterable[int]) -> Iterator[tuple[int]]:
    return ((key,) for key in keys)


def _checksum(*bodies: bytes) -> int:
    found = 0
    for body in bodies:
        found = zlib.crc32(body, found)
    return found


def damaged(path: Path, why: str) -> StateFileError:
    """The error for a damaged state file."""
    return StateFileError(
        f"the state file {path} is damaged: {why}; it is left as it is. To start with a new one, move it away"
    )


def opened(path: Path) -> StateFile:
    """Open the state file at this path. Creates it if it does not exist.

    Raises `StateFileError` if the file is something else, belongs to another user, or is in use.
    """
    try:
        if not _check(path):
            _make(path)
            _check(path)
    except FileNotFoundError:
        raise StateFileError(f"cannot make {path}: there is no folder {path.parent}; make it first") from None
    except OSError as error:
        raise StateFileError(f"cannot use {path} as the state file: {error.strerror or error}") from None
    return _connected(path)


def _check(path: Path) -> bool:
    """Whether the state file exists. Raises `StateFileError` if the path is something else."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(found.st_mode):
        raise StateFileError(f"{path} is a link; name the file itself, so that nobody can redirect the link")
    if not stat.S_ISREG(found.st_mode):
        raise StateFileError(f"{path} is not a file; name a file for the state, which need not exist yet")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise StateFileError(f"{path} belongs to another user; name a file of your own for the state")
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
        header = file.read(_HEADER)
    if not header:
        # An empty file, such as `mktemp` creates.
        return False
    application, version = (int.from_bytes(header[place : place + 4], "big") for place in (68, 60))
    if not header.startswith(_MAGIC) or application != _APPLICATION:
        raise StateFileError(
            f"{path} is not a state file of output-mock; it is left as it is. Name another file for the state"
        )
    if version != FORMAT:
        raise StateFileError(
            f"{path} is the state of another version of output-mock (its format is {version}, this version "
            f"reads {FORMAT}); it is left as it is. Use that version, or name another file"
        )
    if found.st_mode & 0o022:
        raise StateFileError(
            f"{path} can be written by other users, who could have changed the state; if you trust it, "
            f"make it yours with: chmod 600 {path}"
        )
    if found.st_mode & 0o077:
        os.chmod(path, 0o600)
    return True


def _make(path: Path) -> None:
    """Create a new state file. A process that is killed meanwhile leaves no file."""
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        connection = sqlite3.connect(beside, isolation_level=None)
        try:
            # A run takes two or three thousand bytes. Pages that hold several runs waste little space.
            connection.execute("PRAGMA page_size = 16384")
            connection.executescript(
                f"BEGIN; PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {FORMAT};"
                f"{_TABLES} COMMIT"
            )
            connection.execute("INSERT INTO about VALUES ('fingerprints', ?)", (secrets.token_bytes(32),))
        finally:
            connection.close()
        _put(beside, path)
    except sqlite3.Error as error:
        raise StateFileError(f"cannot make the state file {path}: {error}") from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)


def _put(beside: str, path: Path) -> None:
    """Give a new file its name, unless another process has created one meanwhile."""
    if not path.exists():
        try:
            os.link(beside, path)
            return
        except FileExistsError:
            return
        except OSError:
            # This file system does not support links.
            pass
    os.replace(beside, path)


def _connected(path: Path) -> StateFile:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN EXCLUSIVE")
        # Find out at the start whether the file is writable.
        connection.execute("REPLACE INTO about VALUES ('opened', datetime('now'))")
        connection.execute("ROLLBACK")
        found = os.lstat(path)
    except (sqlite3.Error, OSError) as error:
        connection.close()
        code = getattr(error, "sqlite_errorname", "")
        if "locked" in str(error):
            raise StateFileError(
                f"{path} is in use by another process; stop that server, or name another file"
            ) from None
        if code in ("SQLITE_READONLY", "SQLITE_FULL", "SQLITE_CANTOPEN") or isinstance(error, OSError):
            raise StateFileError(f"cannot write the state file {path}: {error}") from None
        raise damaged(path, str(error)) from None
    return StateFile(path, connection, (found.st_dev, found.st_ino))
