"""The operations of the API, in the order in which the real server tries their paths.

Routing, validation, the headers of deprecated paths and the OpenAPI document read this table. So does
everything that names operations: faults, calls and the control plane. `output_mock.http.handlers` has the
handler of each operation, by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from output_mock.contract import requests
from output_mock.contract.requests import Body, Field, Query
from output_mock.contract.schemas import JsonSchema, ref, text

Errors = Mapping[int, tuple[str, ...]]


class Success(NamedTuple):
    """A response that is not one of the API's errors."""

    status: int
    about: str
    media_type: str = ""
    schema: JsonSchema | None = None
    # Extensions, for what OpenAPI cannot express.
    extensions: Mapping[str, Any] = MappingProxyType({})


class Endpoint(NamedTuple):
    """A path of an operation, with the facts that hold for this path only."""

    path: str
    # The operation's id in the OpenAPI document.
    id: str
    summary: str
    about: str = ""
    # The possible errors, besides those that follow from method, path and body; see `errors_of`.
    errors: Errors = MappingProxyType({})
    # If deprecated: the verb of the path with a run id that replaces it. Otherwise empty.
    successor: str = ""

    @property
    def pinned(self) -> bool:
        """Whether the path contains a run id."""
        return "{rid}" in self.path


class Operation(NamedTuple):
    """An operation of the API."""

    # The name that faults, calls and handlers use.
    name: str
    method: str
    tag: str
    endpoints: Sequence[Endpoint]
    successes: Sequence[Success]
    body: Body | None = None
    query: Query | None = None
    headers: Sequence[Field] = ()
    # Whether it needs no token, and has no CORS headers.
    open: bool = False
    # The name of the signal that this operation sends.
    signal: str | None = None

    @property
    def begins(self) -> bool:
        """Whether its body names the workflow."""
        return self.body is not None and "workflowName" in self.body.names


def errors_of(operation: Operation, endpoint: Endpoint) -> dict[int, tuple[str, ...]]:
    """The names of the possible errors, by status."""
    errors = dict(endpoint.errors)
    bad_request: list[str] = []
    if operation.method in ("POST", "PATCH"):
        bad_request += ["SyntaxError", "Error"]
        errors |= {413: ("PayloadTooLargeError",), 415: ("UnsupportedMediaTypeError",)}
    if "{id}" in endpoint.path:
        bad_request.append("URIError")
        errors.setdefault(404, ("WorkflowNotFoundError",))
    if operation.body or operation.query or endpoint.pinned:
        bad_request.append("ValidationError")
    bad_request += errors.get(400, ())
    if bad_request:
        errors[400] = tuple(bad_request)
    if operation.body:
        errors[500] = (*errors.get(500, ()), "RangeError")
    if endpoint.path.startswith("/workflow"):
        errors[500] = (*errors.get(500, ()), "ServiceError", "Error")
    return errors


def _json(schema: str, about: str) -> tuple[Success, ...]:
    return (Success(200, about, "application/json", ref(schema)),)


def _ok(about: str) -> tuple[Success, ...]:
    return (Success(200, about, "text/plain", text(const="OK")),)


_STREAM = (
    Success(
        200,
        "Server-sent events, with a comment every 15 seconds to keep the line open.",
        "text/event-stream",
        text(),
        {
            "x-sse-events": {
                "workflow": ref("StreamWorkflow"),
                "history": ref("StreamHistory"),
                "done": ref("StreamDone"),
                "server_error": ref("StreamError"),
            }
        },
    ),
    Success(204, "The run is closed, and no event is left after that one."),
)
_RETURNED = (Success(200, "What the handler returned.", "application/json", {}, {"x-may-be-empty": True}),)
_KEPT = _ok("It is in the history.")

# Not recorded. Any operation of the real server can pass on these errors of Temporal. Its document lists
# them at the same operations as here, so clients generated from either document accept both servers.
_LOST: Errors = {404: ("WorkflowNotFoundError",)}
_REFUSED: Errors = {409: ("ServiceError",)}
_START_ERRORS: dict[int, tuple[str, ...]] = {
    400: ("ServiceError",),
    **_LOST,
    424: ("UnsupportedWorkflowError",),
    500: ("WorkflowExecutionAlreadyStartedError", "TypeError"),
    503: ("CatalogNotAvailableError",),
}
_TRACE_ERRORS = {
    404: ("WorkflowNotFoundError", "TraceNotAvailableError"),
    424: ("WorkflowNotCompletedError",),
    500: ("TraceFileDownloadError", "TraceFileParseError", "InvalidTraceFileUrl", "ScriptError"),
}
_NOT_CLOSED = {424: ("WorkflowNotCompletedError",), 500: ("ScriptError",)}
_RESET_ERRORS = {
    404: ("WorkflowNotFoundError", "StepNotFoundError"),
    409: ("StepNotCompletedError",),
    500: ("ScriptError",),
}
_LATEST = "Acts on the latest run. Deprecated: name the run in the path instead."
_FOLLOW = "Ends with the run. What goes wrong before the first frame is an ordinary error."

# If two paths match equally well, the first wins. The workflows come before the catalogs, so
# `/workflow/catalog/status` asks for the status of the workflow with the id `catalog` (routing).
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "health",
        "GET",
        "server",
        [Endpoint("/health", "getHealth", "Whether the server is up")],
        _ok("It is."),
        open=True,
    ),
    Operation(
        "ready",
        "GET",
        "server",
        [Endpoint("/ready", "getReadiness", "Whether the server can work")],
        (*_ok("It can."), Success(503, "It cannot.", "text/plain", text())),
        open=True,
    ),
    Operation(
        "run",
        "POST",
        "start",
        [
            Endpoint(
                "/workflow/run",
                "runWorkflow",
                "Run a workflow and wait for its end",
                "A workflow that fails is a 200 with the status `failed`, also when its schema refuses the "
                "input. If the wait is over first, the run goes on and the error names its workflow. `runId` "
                "is the first run, even when the workflow has continued as new.",
                errors={
                    **_START_ERRORS,
                    408: ("WorkflowExecutionTimedOutError",),
                    500: (*_START_ERRORS[500], "ScriptError", "StalledError"),
                },
            )
        ],
        _json("WorkflowResultResponse", "How the run ended."),
        body=requests.RUN,
    ),
    Operation(
        "start",
        "POST",
        "start",
        [Endpoint("/workflow/start", "startWorkflow", "Start a workflow and leave it", errors=_START_ERRORS)],
        _json("StartResponse", "It has started."),
        body=requests.START,
    ),
    Operation(
        "status",
        "GET",
        "read",
        [
            Endpoint("/workflow/{id}/status", "getStatus", "How the latest run stands"),
            Endpoint("/workflow/{id}/runs/{rid}/status", "getRunStatus", "How this run stands"),
        ],
        _json("StatusResponse", "How the run stands."),
    ),
    Operation(
        "stop",
        "PATCH",
        "end",
        [
            Endpoint(
                "/workflow/{id}/runs/{rid}/stop",
                "stopRun",
                "Ask this run to stop",
                "The run sees a cancellation. It may clean up first, and may even complete.",
                errors=_REFUSED,
            ),
            Endpoint(
                "/workflow/{id}/stop",
                "stopWorkflow",
                "Ask the latest run to stop",
                _LATEST,
                errors=_REFUSED,
                successor="stop",
            ),
        ],
        _json("StopResponse", "It has been asked, or was closed already."),
    ),
    Operation(
        "terminate",
        "POST",
        "end",
        [
            Endpoint(
                "/workflow/{id}/runs/{rid}/terminate",
                "terminateRun",
                "End this run at once",
                "The run gets no chance to clean up.",
                errors=_REFUSED,
            ),
            Endpoint(
                "/workflow/{id}/terminate",
                "terminateWorkflow",
                "End the latest run at once",
                _LATEST,
                errors=_REFUSED,
                successor="terminate",
            ),
        ],
        _json("TerminateResponse", "It has ended."),
        body=requests.TERMINATE,
    ),
    Operation(
        "reset",
        "POST",
        "end",
        [
            Endpoint(
                "/workflow/{id}/runs/{rid}/reset",
                "resetRun",
                "Go back to the end of a step of this run",
                "A new run replays this one up to there and carries on. This one is ended if it still runs. "
                "Unlike everywhere else, an unknown run is a 500.",
                errors={**_RESET_ERRORS, 404: ("StepNotFoundError",)},
            ),
            Endpoint(
                "/workflow/{id}/reset",
                "resetWorkflow",
                "Go back to the end of a step of the latest run",
                _LATEST,
                errors=_RESET_ERRORS,
                successor="reset",
            ),
        ],
        _json("ResetResponse", "A new run has begun."),
        body=requests.RESET,
    ),
    Operation(
        "result",
        "GET",
        "read",
        [
            Endpoint("/workflow/{id}/result", "getResult", "How the latest run ended", errors=_NOT_CLOSED),
            Endpoint(
                "/workflow/{id}/runs/{rid}/result",
                "getRunResult",
                "How this run ended",
                errors=_NOT_CLOSED,
            ),
        ],
        _json("WorkflowResultResponse", "How the run ended."),
    ),
    Operation(
        "input",
        "GET",
        "read",
        [
            Endpoint(
                "/workflow/{id}/input",
                "getInput",
                "What the workflow was started with",
                "The first run's input, even when the workflow has continued as new.",
            ),
            Endpoint("/workflow/{id}/runs/{rid}/input", "getRunInput", "What this run was started with"),
        ],
        _json("InputResponse", "The input."),
    ),
    Operation(
        "trace_log",
        "GET",
        "read",
        [
            Endpoint(
                "/workflow/{id}/trace-log",
                "getTraceLog",
                "The trace of the latest run",
                errors=_TRACE_ERRORS,
            ),
            Endpoint(
                "/workflow/{id}/runs/{rid}/trace-log",
                "getRunTraceLog",
                "The trace of this run",
                errors=_TRACE_ERRORS,
            ),
        ],
        _json("TraceResponse", "The trace itself if it lies in S3, else the path of its file."),
    ),
    Operation(
        "history",
        "GET",
        "history",
        [
            Endpoint(
                "/workflow/{id}/history",
                "getHistory",
                "The latest run's events, page by page",
                errors={400: ("InvalidPageTokenError", "ServiceError")},
            ),
            Endpoint(
                "/workflow/{id}/runs/{rid}/history",
                "getRunHistory",
                "This run's events, page by page",
                errors={400: ("InvalidPageTokenError",)},
            ),
        ],
        _json("HistoryResponse", "A page of events."),
        query=requests.HISTORY,
    ),
    Operation(
        "history_stream",
        "GET",
        "history",
        [
            Endpoint(
                "/workflow/{id}/history/stream",
                "streamHistory",
                "The latest run's events as they come",
                _FOLLOW,
            ),
            Endpoint(
                "/workflow/{id}/runs/{rid}/history/stream",
                "streamRunHistory",
                "This run's events as they come",
                _FOLLOW,
            ),
        ],
        _STREAM,
        query=requests.STREAM,
        headers=[requests.LAST_EVENT_ID],
    ),
    Operation(
        "catalog",
        "GET",
        "catalog",
        [
            Endpoint(
                "/workflow/catalog/{id}",
                "getCatalog",
                "The workflows of a catalog",
                errors={409: ("ServiceError",), 500: ("QueryNotRegisteredError",)},
            ),
            Endpoint(
                "/workflow/catalog",
                "getDefaultCatalog",
                "The workflows of the server's own catalog",
                errors={404: ("WorkflowNotFoundError",), 409: ("ServiceError",)},
            ),
        ],
        _json("CatalogResponse", "The catalog."),
    ),
    Operation(
        "runs",
        "GET",
        "read",
        [
            Endpoint(
                "/workflow/runs",
                "listRuns",
                "The latest runs",
                "A catalog is itself a run, of the type `$catalog`.",
            )
        ],
        _json("RunsResponse", "Runs, newest first."),
        query=requests.RUNS,
    ),
    Operation(
        "feedback",
        "POST",
        "messages",
        [Endpoint("/workflow/{id}/feedback", "sendFeedback", "Send the signal `resume`")],
        _KEPT,
        body=requests.MESSAGE,
        signal="resume",
    ),
    Operation(
        "signal",
        "POST",
        "messages",
        [
            Endpoint(
                "/workflow/{id}/signal/{signal}",
                "signalWorkflow",
                "Tell the latest run something",
                errors={400: ("ServiceError",)},
            )
        ],
        _KEPT,
        body=requests.MESSAGE,
    ),
    Operation(
        "query",
        "POST",
        "messages",
        [
            Endpoint(
                "/workflow/{id}/query/{query}",
                "queryWorkflow",
                "Ask the latest run something",
                "A closed run answers too. The body is empty if the handler returned nothing.",
                errors={409: ("ServiceError",), 500: ("QueryNotRegisteredError", "ScriptError")},
            )
        ],
        _RETURNED,
        body=requests.MESSAGE,
    ),
    Operation(
        "update",
        "POST",
        "messages",
        [
            Endpoint(
                "/workflow/{id}/update/{update}",
                "updateWorkflow",
                "Change something in the latest run and wait for its answer",
                "The body is empty if the handler returned nothing.",
                errors={
                    409: ("ServiceError",),
                    500: ("WorkflowUpdateFailedError", "ScriptError", "StalledError"),
                },
            )
        ],
        _RETURNED,
        body=requests.MESSAGE,
    ),
    Operation(
        "heartbeat",
        "POST",
        "server",
        [Endpoint("/heartbeat", "sendHeartbeat", "Do nothing")],
        [Success(204, "Nothing was done.")],
    ),
)

# Their names.
NAMES: tuple[str, ...] = tuple(operation.name for operation in OPERATIONS)
# Method, path and name of each endpoint, in order.
ROUTES: tuple[tuple[str, str, str], ...] = tuple(
    (operation.method, endpoint.path, operation.name)
    for operation in OPERATIONS
    for endpoint in operation.endpoints
)
