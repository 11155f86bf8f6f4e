"""The headers of the API's answers (health, stop_default, terminate, reset, stream_completed)."""

from __future__ import annotations

REQUEST_ID = "X-Request-ID"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Origin, X-Requested-With, Content-Type, Accept, Authorization, Last-Event-ID"
    ),
}
STREAM = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


def deprecation(verb: str) -> dict[str, str]:
    """Those of a path that names no run; the one of this verb that names one is to be used instead."""
    return {
        "Deprecation": "true",
        "Sunset": "Thu, 16 Jul 2026 00:00:00 GMT",
        # The braces are really there.
        "Link": f'</workflow/{{id}}/runs/{{rid}}/{verb}>; rel="successor-version"',
    }
