"""A client of a fake: of its control plane, and of its API."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from output_mock.recording.transport import Transport
from output_mock.version import NAME

# How long an answer may take, in seconds. The control plane moves a clock for ten at most.
_PATIENCE = 30.0


class RefusedError(Exception):
    """The fake has refused something, or there is no fake. The text says why, and what to do."""


class FakeClient:
    """Sends requests to the fake at `transport.url`, with its token if it asks for one."""

    def __init__(self, transport: Transport, token: str | None = None) -> None:
        self._transport = transport
        self._token = token

    @property
    def url(self) -> str:
        """The URL of the API."""
        return self._transport.url

    def check(self) -> None:
        """Raise `RefusedError` unless there is a fake: runs on a real deployment cost money."""
        try:
            told = self.control("GET", "/version")
        except RefusedError as error:
            raise RefusedError(f"{self.url} is not a fake with a control plane: {error}") from None
        if not isinstance(told, dict) or told.get("name") != NAME:
            raise RefusedError(
                f"{self.url} is not a fake with a control plane: it does not say that it is one"
            )

    def control(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        text: str | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the control plane, and return its answer: a JSON value, or None for no body.

        Takes a path below `/__mock__`, and a body as a JSON value, or as the `text` of a YAML file. None
        values in the query are left out. Raises `RefusedError`, with all mistakes of a script.
        """
        listed = {
            name: json.dumps(value) if isinstance(value, bool) else value
            for name, value in (query or {}).items()
            if value is not None
        }
        asked = f"/__mock__{path}" + (f"?{urlencode(listed)}" if listed else "")
        kind = "application/json" if text is None else "application/yaml"
        data = text.encode() if text is not None else None if body is None else json.dumps(body).encode()
        status, answer = self._sent(method, asked, data, kind, f"Bearer {self._token}")
        if status >= 400:
            raise RefusedError(_told(answer, status, f"{method} {asked}"))
        return answer

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API, and return its answer. Raises `RefusedError` for an error."""
        data = None if body is None else json.dumps(body).encode()
        status, answer = self._sent(method, path, data, "application/json", f"Basic {self._token}")
        if status >= 400:
            raise RefusedError(_told(answer, status, f"{method} {path}"))
        return answer

    def _sent(
        self, method: str, path: str, data: bytes | None, kind: str, authorization: str
    ) -> tuple[int, Any]:
        headers = [("Accept", "application/json")]
        if data is not None:
            headers.append(("Content-Type", kind))
        if self._token is not None:
            headers.append(("Authorization", authorization))
        try:
            reply = self._transport.send(method, path, headers, data, _PATIENCE)
            try:
                content = b"".join(reply.pieces)
            finally:
                reply.close()
        except (OSError, http.client.HTTPException) as error:
            words = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise RefusedError(f"{self.url} does not answer: {words}") from None
        try:
            return reply.status, json.loads(content) if content else None
        except ValueError:
            return reply.status, content.decode("utf-8", "replace")


def _told(answer: Any, status: int, asked: str) -> str:
    if not isinstance(answer, dict) or "message" not in answer:
        return f"{asked} was answered with {status}: {str(answer)[:300]}"
    lines = [f"{answer.get('error')}: {answer['message']}"]
    mistakes = answer.get("mistakes") or []
    if len(mistakes) > 1:
        lines += [f"  {_place(one)}: {one['message']}" for one in mistakes]
    return "\n".join(lines)


def _place(mistake: Mapping[str, Any]) -> str:
    return mistake["at"] if "at" in mistake else f"line {mistake['line']}, column {mistake['column']}"
