"""A fake that returns a few different responses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

Answer = tuple[str, list[tuple[str, str]], bytes]
Fault = Callable[[str, str, Any, Answer], Answer]


class Broken:
    """A WSGI application. A function changes its JSON responses.

    `fault` gets the method, the path, the JSON body of the response, and the response.
    """

    def __init__(self, app: Any, fault: Fault) -> None:
        self._app = app
        self._fault = fault

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        begun: list[Any] = []
        pieces = self._app(environ, lambda status, headers, exc_info=None: begun.append((status, headers)))
        if "event-stream" in str(begun):
            start_response(*begun[0])
            return pieces  # type: ignore[no-any-return]
        body = b"".join(pieces)
        getattr(pieces, "close", lambda: None)()
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        answer = (*begun[0], body)
        status, headers, body = self._fault(environ["REQUEST_METHOD"], environ["PATH_INFO"], value, answer)
        headers = [(name, text) for name, text in headers if name.lower() not in ("etag", "content-length")]
        start_response(status, headers)
        return [body]
