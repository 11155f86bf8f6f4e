"""Limits the requests of a verification, and keeps track of what it must clean up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

# The default limits of `output-mock verify`.
MOST_REQUESTS = 6000
MOST_SECONDS = 600


class Spent(Exception):
    """No requests or seconds are left."""


class Bounds:
    """A number of requests and a point in real time. After either, no request is sent.

    With a folder, each process has a file there whose size is its number of requests, so that another
    process knows how many are left.
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
        """Count a request if more than `kept` are left. Returns how many seconds are left.

        Raises `Spent`.
        """
        left = self.until - time.time()
        if left <= 0:
            raise Spent("the time is up; --max-seconds gives more")
        if not self.take_to_end(kept):
            raise Spent("the other requests are needed to end runs; --max-requests allows more")
        return left

    def take_to_end(self, kept: int = 0) -> bool:
        """Count a request that ends a run, which may take longer. Returns whether one was left."""
        if self.made + kept >= self.requests:
            return False
        self.made += 1
        if self._file is not None:
            with self._file.open("ab") as file:
                file.write(b".")
        return True


def requests_made(folder: Path) -> int:
    """The number of requests of all processes that count in this folder."""
    return sum(file.stat().st_size for file in folder.glob("*.requests"))


class Ledger:
    """The runs that were started, and which of them have ended.

    With a folder, each process writes a file there, so that another process can end the runs that a killed
    process left.
    """

    def __init__(self, folder: Path | None = None, writer: str = "main") -> None:
        self._file = None if folder is None else folder / f"{writer}.runs"
        self._open: dict[str, None] = {}

    def begun(self, workflow_id: str) -> None:
        """Note that a run with this id is about to start."""
        if workflow_id not in self._open:
            self._open[workflow_id] = None
            self._write(f"+{workflow_id}")

    def ended(self, workflow_id: str) -> None:
        """Note that the latest run of this id has closed."""
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
    """The ids whose latest run may still be running, from all ledgers in a folder."""
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
    """Whether `attempt()` was true within a number of real seconds. Tries at least once."""
    limit = time.monotonic() + within
    pause = 0.02
    while not attempt():
        if time.monotonic() > limit:
            return False
        time.sleep(pause)
        pause = min(pause * 1.6, 0.5)
    return True
