"""The worlds of a server: separate fakes, by name."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from output_mock.control.names import NAME, NAME_WORDS
from output_mock.control.problems import Conflict, Full, InvalidRequest, NotFound
from output_mock.engine.errors import Ending
from output_mock.http.request_counts import RequestCounts
from output_mock.http.tokens import bare, fingerprint
from output_mock.real_time import monotonic

if TYPE_CHECKING:
    from output_mock.engine.world import World
    from output_mock.http.app import OutputApp
    from output_mock.mock import OutputMock
    from output_mock.state.snapshot import Snapshot

# The name of the default world.
DEFAULT = "default"
MOST_WORLDS = 100
# How many tokens a world may have.
MOST_TOKENS = 100
# Makes the fake of a world from its name, `world`, and its options: `clock`, `seed`, …
Make = Callable[[Mapping[str, Any]], "OutputMock"]
# At least how often, in seconds, to look for worlds that were idle for too long.
_LOOK = 30.0


class KeptState(Protocol):
    """The state file of the worlds (`saver.Saver`)."""

    @property
    def path(self) -> str:
        """Its path."""

    # When the file was written last.
    written: datetime | None

    def trouble(self) -> str | None:
        """Why it cannot be written; None if it can."""


class WorldEntry:
    """A world, under a name."""

    def __init__(
        self, name: str, mock: OutputMock, options: Mapping[str, Any], marks: Iterable[bytes] = ()
    ) -> None:
        self.name = name
        self.options: dict[str, Any] = dict(options)
        # The fingerprints of its tokens.
        self.marks: frozenset[bytes] = frozenset(marks)
        self.snapshots: dict[str, Snapshot] = {}
        self.used: float = monotonic()
        # Whether a request for its name has made it, and the control plane has not changed anything.
        self.disposable = False
        # How many requests are on their way to it.
        self.visits = 0
        # How many requests its control plane is answering, and has answered.
        self.controlling: int = 0
        self.controlled: int = 0
        self.hold(mock)

    def hold(self, mock: OutputMock) -> None:
        """Let this fake answer from now on."""
        mock.app.api.tokens = self.marks
        self.mock = mock
        # The runs that were read from traces.
        self._first_runs = len(mock.world.workflow_ids())

    @property
    def empty(self) -> bool:
        """Whether a request for its name has made it, and nothing has happened in it."""
        return (
            self.disposable
            and not self.visits
            and not self.app.answering
            and not self.world.played
            and len(self.world.workflow_ids()) <= self._first_runs
        )

    @property
    def app(self) -> OutputApp:
        """The API of the world."""
        return self.mock.app

    @property
    def world(self) -> World:
        """The world itself."""
        return self.mock.world


class Worlds:
    """Worlds by name.

    Takes the default one, what makes others (None: there are none), how many there may be, and after how
    many seconds without a request a world is gone (None: it stays; the default one always does). `on_new`
    is told each fake that comes, `on_end` the name of each world that is deleted. Close it in the end.
    """

    def __init__(
        self,
        first: OutputMock,
        make: Make | None = None,
        *,
        most: int = MOST_WORLDS,
        idle: float | None = None,
        on_new: Callable[[OutputMock], None] | None = None,
        on_end: Callable[[str], None] | None = None,
    ) -> None:
        self.default: WorldEntry = WorldEntry(DEFAULT, first, {})
        # The name of the world for each token, by the token's fingerprint.
        self._tokens: dict[bytes, WorldEntry] = {}
        self._make = make
        self._most = most
        self._idle = idle
        self._on_new = on_new
        self._on_end = on_end
        self._held: dict[str, WorldEntry] = {DEFAULT: self.default}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._sweeper: threading.Thread | None = None
        # The state file, if the worlds should outlast the process.
        self.saver: KeptState | None = None
        # The request counts of deleted worlds.
        self.gone: RequestCounts = RequestCounts()

    def __iter__(self) -> Any:
        return iter(list(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)

    def find(self, name: str) -> WorldEntry:
        """The world of that name, without counting as use. Raises `NotFound`."""
        entry = self._held.get(name)
        if entry is None:
            raise NotFound.named("world", name, list(self._held), listed="worlds")
        return entry

    def get(self, name: str) -> WorldEntry:
        """The world of that name; this counts as use. Raises `NotFound`."""
        entry = self.find(name)
        entry.used = monotonic()
        return entry

    def by_token(self, authorization: str | None) -> WorldEntry | None:
        """The world of the token in an `Authorization` header; None if there is none."""
        if not authorization or not self._tokens:
            return None
        entry = self._tokens.get(fingerprint(bare(authorization)))
        if entry is not None:
            entry.used = monotonic()
        return entry

    @contextmanager
    def controlled(self, entry: WorldEntry) -> Iterator[None]:
        """Note that a world's control plane answers a request, which may change the world, while the block
        runs.
        """
        with self._lock:
            entry.controlling += 1
        try:
            yield
        finally:
            with self._lock:
                entry.controlling -= 1
                entry.controlled += 1

    @contextmanager
    def visited(self, name: str, may_make: Callable[[], object]) -> Iterator[WorldEntry]:
        """The world of that name, which is kept at least while the block runs.

        If there is none yet it is made as the server itself was, unless `may_make` raises. Raises
        `InvalidRequest` for a name that cannot be, and `Full`.
        """
        with self._lock:
            entry = self._held.get(name)
            if entry is None:
                may_make()
                entry = self.make(name)
                entry.disposable = True
            entry.visits += 1
            entry.used = monotonic()
        try:
            yield entry
        finally:
            with self._lock:
                entry.visits -= 1

    def make(
        self, name: str, options: Mapping[str, Any] | None = None, tokens: Sequence[str] = ()
    ) -> WorldEntry:
        """A new world. If there is no room, it replaces an empty one. Requests with one of the `tokens` are
        for it.

        Raises `InvalidRequest`, `Conflict` for a name or token that is taken, and `Full`.
        """
        _check_name(name)
        with self._lock:
            if name in self._held:
                raise Conflict(f"world {name!r} exists already; wipe it, or delete it first")
            if self._make is None:
                raise Full("this server has only one world")
            marks = set(map(fingerprint, tokens))
            if not self._tokens.keys().isdisjoint(marks):
                raise Conflict("one of the tokens belongs to another world already; choose another token")
            if len(self._held) >= self._most:
                self._make_room()
            return self._hold(name, options or {}, marks)

    def make_again(self, name: str, options: Mapping[str, Any], marks: Iterable[bytes]) -> WorldEntry:
        """A world that another process had: made anew, or the default one as it is.

        `marks` are the fingerprints of the tokens that lead to it. Raises `InvalidRequest` for a name that
        cannot be, `ValueError` for such options, and `Full` when this server makes no worlds.
        """
        _check_name(name)
        with self._lock:
            if name == DEFAULT:
                return self.default
            if self._make is None:
                raise Full("this server has only one world")
            return self._hold(name, options, marks)

    def _hold(self, name: str, options: Mapping[str, Any], marks: Iterable[bytes]) -> WorldEntry:
        entry = WorldEntry(name, self._new(name, options), options, marks)
        self._held[name] = entry
        self._tokens |= dict.fromkeys(entry.marks, entry)
        if self._idle is not None and self._sweeper is None:
            self._sweeper = threading.Thread(target=self._sweep, name="output-mock-worlds", daemon=True)
            self._sweeper.start()
        return entry

    def _make_room(self) -> None:
        empty = [entry for entry in self._held.values() if entry.empty]
        if not empty:
            raise Full(
                f"there are {self._most} worlds, which is the limit; delete one "
                "(DELETE /__mock__/worlds/NAME), or serve with a larger --worlds or a --world-ttl"
            )
        self.delete(min(empty, key=lambda entry: entry.used))

    def _new(self, name: str, options: Mapping[str, Any]) -> OutputMock:
        assert self._make is not None
        mock = self._make({**options, "world": name})
        if self._on_new is not None:
            self._on_new(mock)
        return mock

    def wipe(self, entry: WorldEntry) -> None:
        """Reset a world: no runs, calls, faults or snapshots; scripts, clock and seed as at its start."""
        if self._make is None:
            raise Conflict("this server cannot reset its world")
        with self._lock:
            old = entry.mock
            entry.hold(self._new(entry.name, entry.options))
            entry.snapshots = {}
        self._end(old, Ending.WIPED)

    def delete(self, entry: WorldEntry) -> None:
        """Delete a world. Raises `Conflict` for the default one."""
        if entry is self.default:
            raise Conflict("the default world cannot be deleted; wipe it instead")
        with self._lock:
            if self._held.get(entry.name) is entry:
                del self._held[entry.name]
            for mark in entry.marks:
                self._tokens.pop(mark, None)
        self._end(entry.mock, Ending.DELETED)
        if self._on_end is not None:
            self._on_end(entry.name)

    def _end(self, mock: OutputMock, ending: Ending) -> None:
        mock.end(ending)
        self.gone.include(mock.app.counts)

    def wake_all_waiters(self) -> None:
        """Wake all requests that wait for something, in all worlds."""
        for entry in self:
            entry.app.wake_all_waiters()

    def close(self) -> None:
        """Stop looking for idle worlds."""
        self._closing.set()
        if self._sweeper is not None:
            self._sweeper.join()

    def _sweep(self) -> None:
        idle = self._idle
        assert idle is not None
        while not self._closing.wait(min(_LOOK, idle / 4)):
            for entry in self:
                if entry is not self.default and not self._in_use(entry, monotonic() - idle):
                    self.delete(entry)

    def _in_use(self, entry: WorldEntry, since: float) -> bool:
        return entry.used > since or entry.visits > 0 or entry.app.answering


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name) or set(name) == {"."}:
        raise InvalidRequest(f"{name[:100]!r} is not a valid world name; {NAME_WORDS}")
