"""Transports whose responses a test defines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from output_mock.javascript_json import to_bytes
from output_mock.recording.player import Played, Player
from output_mock.recording.scenario import Scenario, from_json
from output_mock.recording.transport import Headers, Reply

JSON = [("Content-Type", "application/json; charset=utf-8")]
STREAM = [("Content-Type", "text/event-stream; charset=utf-8")]


class Sent(NamedTuple):
    """A sent request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None
    timeout: float


def reply(status: int, headers: Headers, *pieces: bytes | Exception) -> Reply:
    """A response whose body comes in pieces. A piece that is an error is raised."""

    def body() -> Iterator[bytes]:
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    return Reply(status, headers, body(), lambda: None)


def json_reply(value: Any, status: int = 200) -> Reply:
    """A response in JSON."""
    return reply(status, JSON, to_bytes(value))


class Answering:
    """A transport that returns these responses in order, and the last one forever.

    It records the requests. A response may be an error, or a function of the request.
    """

    url = "http://answering.invalid"

    def __init__(self, *answers: Callable[[Sent], Reply] | Exception) -> None:
        self._answers = list(answers)
        self.sent: list[Sent] = []

    def send(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None,
        timeout: float,
        idle: float | None = None,
    ) -> Reply:
        self.sent.append(Sent(method, path, dict(headers), body, timeout))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(self.sent[-1])


class CountedPace:
    """A pace whose time passes only while the player waits."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.moments: list[int] = []

    def now(self) -> float:
        return self.passed

    def wait(self, seconds: float) -> None:
        self.passed += seconds

    def reach(self, moment: int) -> None:
        self.moments.append(moment)


def scenario(*steps: Mapping[str, Any], **fields: Any) -> Scenario:
    """A scenario of these steps."""
    return from_json({"name": "test", "steps": [dict(step) for step in steps], **fields}, "test.json")


def played(
    transport: Any, *steps: Mapping[str, Any], variables: Mapping[str, Any] | None = None, **options: Any
) -> list[Played]:
    """Play a scenario of these steps, with these variables."""
    wanted = scenario(*steps, variables=variables or {})
    return list(Player(transport, pace=CountedPace(), **options).play(wanted))
