"""How many requests a verification may send, and what it has to clean up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

# What `output-mock verify` may do at most, unless it is told otherwise.
MOST_REQUESTS = 6000
MOST_SECONDS = 600


class Spent(Exception):
    """No requests or seconds are left."""


class Bounds:
    """A number of requests and a point in real time after which no further request is made.

    With a folder, the number of requests that were made is the size of a file there, one for each process, so
    that another process knows what is left of them.
    """

    def __init__(
        self,
        requests: int = MOST_REQUESTS,
        until: float | None = None,
        folder: Path | None = None,
        writer: str = "main",
    ) -> None:
        self.requests = requests
        self.until = time.time() + MOST_SECONDS if until is None else until
        self.made = 0
        self._file = None if folder is None else folder / f"{writer}.requests"

    def take(self, kept: int = 0) -> float:
        """Count a request, when more than `kept` are left; returns how many seconds are left.

        Raises `Spent`.
        """
        left = self.until - time.time()
        if left <= 0:
            raise Spent("the time is up; --max-seconds gives more")
        if not self.take_to_end(kept):
            raise Spent("the other requests are needed to end runs; --max-requests allows more")
        return left

    def take_to_end(self, kept: int = 0) -> bool:
        """Count a request that ends a run, which may take longer; returns whether there was one left."""
        if self.made + kept >= self.requests:
            return False
        self.made += 1
        if self._file is not None:
            with self._file.open("ab") as file:
                file.write(b".")
        return True


def requests_made(folder: Path) -> int:
    """How many requests all processes have made that count in a folder."""
    return sum(file.stat().st_size for file in folder.glob("*.requests"))


class Ledger:
    """Which runs have been begun, and which of them are known to have ended.

    With a folder it is kept in files there, one for each process that begins runs, so that another process
    can end what one that was killed has left.
    """

    def __init__(self, folder: Path | None = None, writer: str = "main") -> None:
        self._file = None if folder is None else folder / f"{writer}.runs"
        self._open: dict[str, None] = {}

    def begun(self, workflow_id: str) -> None:
        """A run of this id is about to begin."""
        if workflow_id not in self._open:
            self._open[workflow_id] = None
            self._write(f"+{workflow_id}")

    def ended(self, workflow_id: str) -> None:
        """The latest run of this id has closed."""
        if self._open.pop(workflow_id, 0) is None:
            self._write(f"-{workflow_id}")

    @property
    def open(self) -> list[str]:
        """The ids whose latest run may still be running."""
        return list(self._open)

    def _write(self, line: str) -> None:
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{line.encode('unicode_escape').decode()}\n")


def left_open(folder: Path) -> Iterator[str]:
    """The ids whose latest run may still be running, by all ledgers in a folder."""
    for file in sorted(folder.glob("*.runs")):
        ids: dict[str, None] = {}
        for line in file.read_text(encoding="utf-8").splitlines():
            sign, workflow_id = line[:1], line[1:].encode().decode("unicode_escape")
            if sign == "+":
                ids[workflow_id] = None
            else:
                ids.pop(workflow_id, None)
        yield from ids


def eventually(attempt: Callable[[], bool], within: float) -> bool:
    """Whether `attempt()` was true within so many seconds of real time; it is made at least once."""
    limit = time.monotonic() + within
    pause = 0.02
    while not attempt():
        if time.monotonic() > limit:
            return False
        time.sleep(pause)
        pause = min(pause * 1.6, 0.5)
    return True
