"""Finds out which versions a deployment runs, by what it answers; no answer says it in words.

What tells them apart was measured on servers and workers of 0.8, 0.9, 0.10 and 0.11. Nothing is started.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from output_mock.recording.answers import Answer
from output_mock.recording.transport import Transport

_TIMEOUT = 30.0


@dataclass(frozen=True)
class Versions:
    """The versions of a deployment, such as `0.11`; None where nothing tells."""

    api: str | None
    sdk: str | None = None


class NoServer(RuntimeError):
    """Nobody answers as an Output API does; the message says what did happen."""


def found(transport: Transport, token: str | None = None) -> Versions:
    """The version of the API server that answers there. Raises `NoServer`."""
    asked = _Asked(transport, token)
    health = asked.get("/health")
    if health.status != 200 or health.body.strip() != b"OK":
        raise NoServer(
            f"{transport.url}/health answers {health.status}, and not 200 OK as an Output API does"
        )
    # Before 0.11 the parameter is not looked at.
    poll = asked.get(f"{asked.nowhere}/history?longPollTimeoutMs=x")
    if poll.status == 401:
        raise NoServer(f"{transport.url} answers 401; give the right --token")
    if poll.status == 400:
        return Versions("0.11")
    if asked.knows(f"{asked.nowhere}/input"):
        return Versions("0.10")
    if asked.knows(f"{asked.nowhere}/history/stream"):
        return Versions("0.9")
    return Versions("0.8" if poll.status == 404 else None)


def found_in(answers: Iterable[Answer]) -> str | None:
    """The version of the SDK of the workers, from answers to a scenario; None where nothing tells."""
    older = False
    for answer in answers:
        body = answer.json()
        if not isinstance(body, dict) or "status" not in body or "output" not in body:
            continue
        if body.get("v") == "2":
            return "0.11"
        older = older or "errorDetails" in body
    return None if not older else "0.10 or before"


class _Asked:
    """Asks a server for what is not there."""

    def __init__(self, transport: Transport, token: str | None) -> None:
        self._transport = transport
        self._headers = [] if token is None else [("Authorization", f"Basic {token}")]
        self.nowhere = f"/workflow/output-mock-{secrets.token_hex(6)}"

    def get(self, path: str) -> Answer:
        """The answer. Raises `NoServer`."""
        try:
            reply = self._transport.send("GET", path, self._headers, None, _TIMEOUT)
            try:
                body = b"".join(reply.pieces)
            finally:
                reply.close()
        except (OSError, http.client.HTTPException) as error:
            raise NoServer(
                f"{self._transport.url}: nothing answers there ({error}); is it running?"
            ) from None
        return Answer(reply.status, tuple(reply.headers), body)

    def knows(self, path: str) -> bool:
        """Whether there is such a route; one that is not there has an answer that is no JSON."""
        body: Any = None
        try:
            body = json.loads(self.get(path).body)
        except (ValueError, RecursionError):
            pass
        return isinstance(body, dict) and body.get("error") == "WorkflowNotFoundError"
