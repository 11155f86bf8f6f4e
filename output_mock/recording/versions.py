"""Detects the versions of a deployment from its answers, as no answer names them.

The differences were measured on servers and workers of 0.8, 0.9, 0.10 and 0.11. No runs are started.
"""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from output_mock.recording.answers import Answer
from output_mock.recording.transport import Transport
from output_mock.recording.variables import at

_TIMEOUT = 30.0


class NoServer(RuntimeError):
    """There is no answer of an Output API. The message says what happened instead."""


def of_api(transport: Transport, token: str | None = None) -> str | None:
    """The version of the API server, such as `0.11`; None if unknown.

    Raises `NoServer`.
    """
    asked = _Asked(transport, token)
    health = asked.get("/health")
    if health.status != 200 or health.body.strip() != b"OK":
        raise NoServer(
            f"{transport.url}/health answers {health.status}, and not 200 OK as an Output API does"
        )
    return api_of(asked.error)


# Answers about an unknown workflow, the newest first: each version has an answer that earlier ones do not
# have.
_NEW_ANSWERS = (
    ("0.11", "/history?longPollTimeoutMs=0", "ValidationError"),
    ("0.10", "/input", "WorkflowNotFoundError"),
    ("0.9", "/history/stream", "WorkflowNotFoundError"),
    ("0.8", "/status", "WorkflowNotFoundError"),
)


def api_of(error: Callable[[str], str | None]) -> str | None:
    """The version of an API server by the names of the errors that it answers with; None where nothing tells.

    `error` takes a path below that of a workflow which is not there, asks for it, and returns the name of the
    error, or None for any other answer.
    """
    return next((version for version, path, name in _NEW_ANSWERS if error(path) == name), None)


def of_sdk(answers: Iterable[Answer]) -> tuple[str, ...]:
    """The possible versions of the workers' SDK, from these answers; empty if unknown."""
    possible: set[str] = set(_SDKS)
    for answer in answers:
        body = answer.json()
        if isinstance(body, dict):
            possible &= _told_by(body)
    return () if possible == set(_SDKS) else tuple(one for one in _SDKS if one in possible)


_SDKS = ("0.8", "0.9", "0.10", "0.11")


def _told_by(body: dict[str, Any]) -> set[str]:
    """The versions of the SDK that can have led to this answer."""
    destinations = at(body, "trace.destinations")
    if body.get("v") == "2" and "status" in body:
        return {"0.11"}
    if isinstance(destinations, dict) and "errorDetails" in body:
        # Before 0.10, missing ones are null.
        return {"0.8", "0.9"} if None in destinations.values() else {"0.8", "0.9", "0.10"}
    events = body.get("events")
    kinds = [at(event, "eventTypeName") for event in events] if isinstance(events, list) else []
    return {"0.11"} if "WORKFLOW_PROPERTIES_MODIFIED" in kinds else set(_SDKS)


class _Asked:
    """Asks a server about unknown things."""

    def __init__(self, transport: Transport, token: str | None) -> None:
        self._transport = transport
        self._headers = [] if token is None else [("Authorization", f"Basic {token}")]
        self._nowhere = f"/workflow/output-mock-{secrets.token_hex(6)}"

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
                f"{self._transport.url}: no server answers there ({error}); is it running?"
            ) from None
        return Answer(reply.status, tuple(reply.headers), body)

    def error(self, path: str) -> str | None:
        """The name of the error for a path below that of an unknown workflow."""
        answer = self.get(f"{self._nowhere}{path}")
        if answer.status == 401:
            raise NoServer(f"{self._transport.url} answers 401; give the right --token")
        name = at(answer.json(), "error")
        return name if isinstance(name, str) else None
