"""Two servers that get the same requests at the same time."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote

from output_mock.recording.player import Pace, Played, Player, RealTime
from output_mock.recording.scenario import Scenario
from output_mock.recording.transport import Headers, Reply, Transport

# How many seconds it may take to end the runs that a sequence has left.
_ENDING = 10.0
# How many of them are ended at the end, and how many at a time.
_MOST_ENDED, _ENDED_AT_ONCE = 64, 16


class ServerGone(RuntimeError):
    """A server does not answer any more. The message says which one."""


class Sides(NamedTuple):
    """What both servers answered to a scenario, the answers by the numbers of their steps."""

    first: dict[int, Played]
    second: dict[int, Played]


class _Counted:
    """A transport that counts what it sends, and stops sending at the end."""

    def __init__(self, transport: Transport) -> None:
        self.url = transport.url
        self.sent = 0
        self.over = threading.Event()
        self._transport = transport
        self._lock = threading.Lock()

    def send_anyway(self, method: str, path: str, headers: Headers, timeout: float) -> Reply:
        """Send a request without a body, even after the end."""
        return self._transport.send(method, path, headers, None, timeout)

    def send(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None,
        timeout: float,
        idle: float | None = None,
    ) -> Reply:
        if self.over.is_set():
            raise ConnectionAbortedError("it is over")
        with self._lock:
            self.sent += 1
        return self._transport.send(method, path, headers, body, timeout, idle)


class Interruptible(RealTime):
    """Real time, in which waits end early at the end of the search."""

    def __init__(self, over: threading.Event) -> None:
        self._over = over

    def wait(self, seconds: float) -> None:
        self._over.wait(seconds)


class Pair:
    """Two servers.

    `token` goes along with every request to either of them; `pace` makes the time that a scenario is played
    in, given what says that it is over.
    """

    def __init__(
        self,
        first: Transport,
        second: Transport,
        token: str | None = None,
        pace: Callable[[threading.Event], Pace] = Interruptible,
    ) -> None:
        self._pace = pace
        self.transports: tuple[_Counted, _Counted] = (_Counted(first), _Counted(second))
        self.token: str | None = token
        # The workflows that were begun and not ended again, by server.
        self._open: tuple[set[str], set[str]] = (set(), set())
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """How many requests were sent to both together."""
        return sum(one.sent for one in self.transports)

    def play(self, scenarios: Sequence[Scenario], times: int = 1) -> list[list[Sides]]:
        """Play scenarios to both, all at once, each so many times; what came of each, each time.

        Raises `ServerGone`. Ctrl-C is heard while it waits.
        """
        jobs = [
            (number, side, time)
            for number in range(len(scenarios))
            for time in range(times)
            for side in (0, 1)
        ]
        answers: dict[tuple[int, int, int], dict[int, Played]] = {}

        def work(job: tuple[int, int, int]) -> None:
            answers[job] = self._on(job[1], scenarios[job[0]])

        _at_once(work, jobs)
        self._check()
        return [
            [Sides(answers[number, 0, time], answers[number, 1, time]) for time in range(times)]
            for number in range(len(scenarios))
        ]

    def _on(self, side: int, scenario: Scenario) -> dict[int, Played]:
        transport = self.transports[side]
        player = Player(transport, token=self.token, pace=self._pace(transport.over))
        found: dict[int, Played] = {}
        begun: set[str] = set()
        for played in player.play(scenario):
            found[played.number] = played
            begun |= set(_begun(played))
            with self._lock:
                self._open[side].update(begun)
        self._end(side, begun)
        return found

    def close(self) -> None:
        """Send nothing more of what is being played, and end what it has begun."""
        for one in self.transports:
            one.over.set()
        left = [(side, begun) for side in (0, 1) for begun in list(self._open[side])]
        for start in range(0, min(len(left), _MOST_ENDED), _ENDED_AT_ONCE):
            _at_once(lambda job: self._end(job[0], {job[1]}), left[start : start + _ENDED_AT_ONCE])

    def _end(self, side: int, begun: set[str]) -> None:
        """Terminate workflows; one that has ended by itself answers 404, which is as good."""
        headers = [] if self.token is None else [("Authorization", f"Basic {self.token}")]
        for workflow_id in begun:
            path = f"/workflow/{quote(workflow_id, safe='')}/terminate"
            with suppress(OSError, http.client.HTTPException, UnicodeError):
                self.transports[side].send_anyway("POST", path, headers, _ENDING).close()
            with self._lock:
                self._open[side].discard(workflow_id)

    def _check(self) -> None:
        for one in self.transports:
            try:
                one.send("GET", "/health", [], None, 30.0).close()
            except (OSError, http.client.HTTPException) as error:
                raise ServerGone(f"{one.url} does not answer any more: {error}") from None


def _begun(played: Played) -> Iterator[str]:
    """The id of the workflow that a request has begun."""
    if played.raw is not None and played.step.path in ("/workflow/start", "/workflow/run"):
        body = played.raw.json()
        found = body.get("workflowId") if isinstance(body, dict) else None
        if isinstance(found, str):
            yield found


def _at_once(work: Callable[[Any], None], jobs: Sequence[Any]) -> None:
    """Do each job in a thread of its own; raises the first error of any."""
    errors: list[BaseException] = []

    def careful(job: Any) -> None:
        try:
            work(job)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=careful, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.5)
    if errors:
        raise errors[0]
