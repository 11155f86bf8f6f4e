"""Finds out which versions a deployment runs, by what it answers; no answer says it in words.

What tells them apart was measured on servers and workers of 0.8, 0.9, 0.10 and 0.11. Nothing is started.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Iterable
from typing import Any

from output_mock.recording.answers import Answer
from output_mock.recording.transport import Transport
from output_mock.recording.variables import at

_TIMEOUT = 30.0


class NoServer(RuntimeError):
    """Nobody answers as an Output API does; the message says what did happen."""


def of_api(transport: Transport, token: str | None = None) -> str | None:
    """The version of the API server that answers there, such as `0.11`; None where nothing tells.

    Raises `NoServer`.
    """
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
        return "0.11"
    if asked.knows(f"{asked.nowhere}/input"):
        return "0.10"
    if asked.knows(f"{asked.nowhere}/history/stream"):
        return "0.9"
    return "0.8" if poll.status == 404 else None


def of_sdk(answers: Iterable[Answer]) -> tuple[str, ...]:
    """The versions that the SDK of the workers can have, by these answers; none where nothing tells."""
    possible: set[str] = set(_SDKS)
    for answer in answers:
        body = answer.json()
        if isinstance(body, dict):
            possible &= _told_by(body)
    return () if possible == set(_SDKS) else tuple(one for one in _SDKS if one in possible)


_SDKS = ("0.8", "0.9", "0.10", "0.11")


def _told_by(body: dict[str, Any]) -> set[str]:
    """The versions of the SDK whose workers can have led to this answer."""
    destinations = at(body, "trace.destinations")
    if body.get("v") == "2" and "status" in body:
        return {"0.11"}
    if isinstance(destinations, dict) and "errorDetails" in body:
        # Before 0.10 those that are not there are null.
        return {"0.8", "0.9"} if None in destinations.values() else {"0.8", "0.9", "0.10"}
    events = body.get("events")
    kinds = [at(event, "eventTypeName") for event in events] if isinstance(events, list) else []
    return {"0.11"} if "WORKFLOW_PROPERTIES_MODIFIED" in kinds else set(_SDKS)


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
