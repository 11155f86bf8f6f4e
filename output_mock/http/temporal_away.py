"""The answers of a server that cannot reach Temporal, as measured: it tries for 20 seconds."""

from __future__ import annotations

from output_mock.contract.errors import OutputError, ServiceError
from output_mock.durations import SECOND
from output_mock.http.api_request import ApiRequest

# How long the server tries, in nanoseconds.
TRIES = 20 * SECOND
_DESCRIBING = "Failed to describe workflow"
_WORDS = {
    "runs": "Failed to list workflows",
    "catalog": "Failed to query Workflow",
    "query": "Failed to query Workflow",
    "signal": "Failed to signal Workflow",
    "feedback": "Failed to signal Workflow",
    "update": "Workflow Update failed",
    "stop": "Failed to cancel workflow",
    "terminate": "Failed to terminate Workflow",
    **dict.fromkeys(("run", "start", "status", "result", "trace_log", "reset"), _DESCRIBING),
    **dict.fromkeys(("input", "history", "history_stream"), _DESCRIBING),
}
_WITH_ID = ("input", "history", "history_stream")
_UNAVAILABLE = (
    "14 UNAVAILABLE: No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:7233. "
    "Resolution note: "
)


def check(request: ApiRequest) -> None:
    """Check whether a request needs Temporal, which cannot be reached. Raises the answer's error if so."""
    if not request.temporal_away or request.route is None:
        return
    name = request.route.operation.name
    if name not in _WORDS:
        return
    request.temporal_failed = True
    if name == "reset" and request.run_id is not None:
        raise OutputError(_UNAVAILABLE)
    raise ServiceError(_WORDS[name], workflow_id=request.id if name in _WITH_ID else None)
