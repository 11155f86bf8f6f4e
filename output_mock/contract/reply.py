"""The response of an operation, before it becomes bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from output_mock.javascript_json import UNDEFINED

JSON_TYPE = "application/json; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
STREAM_TYPE = "text/event-stream; charset=utf-8"
# The code that builds the HTTP response sets these.
_OF_EVERY_ANSWER = ("x-request-id", "x-powered-by", "date")
_SET_LATER = {"etag": "ETag", "content-length": "Content-Length"}


class Reply:
    """A status, headers and a body: any JSON value, or text, or `UNDEFINED` for an empty one.

    A `stream` is an iterator of bytes in the place of the body.
    """

    __slots__ = ("body", "content_type", "headers", "is_text", "status", "stream")

    def __init__(
        self,
        body: Any = UNDEFINED,
        status: int = 200,
        *,
        content_type: str | None = JSON_TYPE,
        headers: dict[str, str] | None = None,
        stream: Any = None,
    ) -> None:
        self.body: Any = body
        self.status: int = status
        self.content_type = content_type
        self.is_text: bool = content_type == TEXT_TYPE
        self.headers: dict[str, str] = {} if headers is None else headers
        self.stream: Any = stream

    def override(self, headers: Mapping[str, str]) -> None:
        """Set these headers. They replace headers with the same name, in upper or lower case."""
        for name, value in headers.items():
            if name.lower() == "content-type":
                self.content_type = value
                continue
            if name.lower() in _OF_EVERY_ANSWER:
                continue
            name = _SET_LATER.get(name.lower(), name)
            for known in [known for known in self.headers if known.lower() == name.lower()]:
                del self.headers[known]
            self.headers[name] = value
