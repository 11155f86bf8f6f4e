"""The headers of the API's responses (health, stop_default, terminate, reset, stream_completed)."""

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
    """The headers of a deprecated path without a run id; they point to the path with one."""
    return {
        "Deprecation": "true",
        "Sunset": "Thu, 16 Jul 2026 00:00:00 GMT",
        # The real server sends these braces.
        "Link": f'</workflow/{{id}}/runs/{{rid}}/{verb}>; rel="successor-version"',
    }
