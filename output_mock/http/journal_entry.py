"""Turns a finished request into an entry of the journal."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from output_mock.http.api_request import ApiRequest
from output_mock.http.journal import Call, RequestHeaders
from output_mock.javascript_json import UNDEFINED

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def call_of(request: ApiRequest, number: int) -> Call:
    """The request as the call of that number."""
    route, response = request.route, request.response
    return Call(
        number,
        request.world.clock.nanoseconds(),
        request.method,
        request.path,
        request.query,
        None if route is None else route.operation.name,
        request.workflow(),
        request.workflow_id,
        None if route is None else request.message or None,
        None if request.body is UNDEFINED else request.body,
        RequestHeaders(_headers(request.environ)),
        0 if response is None else response.status,
        None if response is None or response.stream is not None else response.body,
        request.lost,
        request.unmatched_reason,
    )


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    """The headers of a request, named as in WSGI."""
    found = {_header_name(key): value for key, value in environ.items() if key.startswith("HTTP_")}
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        # These do not begin with HTTP_, but are headers, too.
        if environ.get(key):
            found[_header_name(key)] = environ[key]
    return found


@functools.lru_cache(maxsize=1000)
def _header_name(key: str) -> str:
    return key.removeprefix("HTTP_").replace("_", "-").title()
