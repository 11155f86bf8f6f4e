"""The errors of the API: one class for each error of the real server.

The real server puts the `name` of a class into `error` and sends the HTTP `status`. The recordings named in
each class show both.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from output_mock.contract.go_text import go_quoted
from output_mock.suggestions import listed


class OutputError(Exception):
    """An error response of the API: `{"error": name, "message": …}`."""

    name = "Error"
    status = 500
    # Why no script matches the request, and the closest match. None if this error is an ordinary response.
    # For the author of a test; never part of a response body.
    unmatched_reason: str | None = None
    # After how many seconds the client may try again; None if not stated.
    retry_after: int | None = None

    def __init__(self, message: str, *, workflow_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.workflow_id = workflow_id


class WorkflowNotFoundError(OutputError):
    """The workflow id or run does not exist, or the run is closed (unknown_workflow, approval)."""

    name = "WorkflowNotFoundError"
    status = 404

    @classmethod
    def unknown(cls, workflow_id: str, run_id: str | None = None) -> WorkflowNotFoundError:
        """No run was ever started under this workflow id or run id (workflow_ids_in_messages)."""
        if run_id is None:
            # A message that ends in a space gets lost between Temporal and the API
            # (workflow_ids_that_end_in_a_space).
            message = "" if workflow_id.endswith(" ") else f"workflow not found for ID: {workflow_id}"
            return cls(message, workflow_id=workflow_id)
        return cls(
            f'workflow execution not found for workflow ID {go_quoted(workflow_id)} and run ID "{run_id}"',
            workflow_id=workflow_id,
        )

    @classmethod
    def completed(cls, workflow_id: str) -> WorkflowNotFoundError:
        """A message, stop or reset for a run that is closed."""
        return cls("workflow execution already completed", workflow_id=workflow_id)


class WorkflowExecutionAlreadyStartedError(OutputError):
    """The workflow id belongs to a running run (workflow_id)."""

    name = "WorkflowExecutionAlreadyStartedError"

    def __init__(self, workflow_id: str) -> None:
        super().__init__("Workflow execution already started", workflow_id=workflow_id)


class MissingWorkflowIdError(OutputError):
    """An empty `workflowId` (workflow_id)."""

    name = "TypeError"

    def __init__(self) -> None:
        super().__init__("Missing WorkflowOptions.workflowId")


class UnsupportedWorkflowError(OutputError):
    """The catalog knows no such workflow (body_validation)."""

    name = "UnsupportedWorkflowError"
    status = 424

    def __init__(self, workflow_name: str, catalog: str, known: Collection[str] = ()) -> None:
        super().__init__(f"Workflow {workflow_name} is not supported in the task queue {catalog}.")
        instead = listed("; there is", workflow_name, known)
        self.unmatched_reason: str | None = f"no workflow {workflow_name!r} in catalog {catalog!r}{instead}"


class CatalogNotAvailableError(OutputError):
    """There is no such catalog (body_validation); comes with `Retry-After`."""

    name = "CatalogNotAvailableError"
    status = 503
    retry_after: int | None = 3

    def __init__(self, name: str | None = None, known: Collection[str] = ()) -> None:
        super().__init__(
            "Catalog workflow is unavailable. This is likely due the worker not running or still starting. "
            "Retry in a few seconds."
        )
        if name is not None:
            self.unmatched_reason: str | None = f"no catalog {name!r}{listed('; there is', name, known)}"


class WorkflowNotCompletedError(OutputError):
    """A request for the result or trace of a run that is still running (start_and_poll)."""

    name = "WorkflowNotCompletedError"
    status = 424

    def __init__(self) -> None:
        super().__init__("Workflow execution is not complete.")


class WorkflowExecutionTimedOutError(OutputError):
    """`/workflow/run` reached its timeout; the run continues (run_times_out_waiting)."""

    name = "WorkflowExecutionTimedOutError"
    status = 408

    def __init__(self, workflow_id: str) -> None:
        super().__init__(
            "Workflow execution exceeded timeout for synchronous execution.", workflow_id=workflow_id
        )


class QueryNotRegisteredError(OutputError):
    """An unknown query, or a query whose handler threw an error (approval)."""

    name = "QueryNotRegisteredError"

    @classmethod
    def unknown(cls, name: str, known: Collection[str], built_in: Collection[str]) -> QueryNotRegisteredError:
        """A query that the script does not define."""
        registered = " ".join((*built_in, *known))
        error = cls(f"Workflow did not register a handler for {name}. Registered queries: [{registered}]")
        error.unmatched_reason = f"the script answers no query {name!r}{listed('; there is', name, known)}"
        return error


class WorkflowUpdateFailedError(OutputError):
    """An update that failed, that its validator rejected, or that is unknown (approval)."""

    name = "WorkflowUpdateFailedError"

    def __init__(self, reason: str = "", *, unmatched_reason: str | None = None) -> None:
        super().__init__("Workflow Update failed")
        self.reason = reason
        self.unmatched_reason: str | None = unmatched_reason


class StepNotFoundError(OutputError):
    """A reset to a step that never ran (reset)."""

    name = "StepNotFoundError"
    status = 404

    def __init__(self, step_name: str) -> None:
        super().__init__(f'Step "{step_name}" was not found in the workflow history.')


class StepNotCompletedError(OutputError):
    """A reset to a step that has not completed."""

    name = "StepNotCompletedError"
    status = 409

    def __init__(self, step_name: str) -> None:
        super().__init__(f'Step "{step_name}" has not completed. Cannot reset to an incomplete step.')


class TraceNotAvailableError(OutputError):
    """The run wrote no trace (untraced, worker_down)."""

    name = "TraceNotAvailableError"
    status = 404

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f'No trace available for workflow "{workflow_id}".', workflow_id=workflow_id)


class TraceFileDownloadError(OutputError):
    """The server could not download a remote trace (remote_trace_no_credentials,
    remote_trace_terminated)."""

    name = "TraceFileDownloadError"


class TraceFileParseError(OutputError):
    """A remote trace is not valid JSON (remote_trace_corrupt)."""

    name = "TraceFileParseError"

    def __init__(self) -> None:
        super().__init__("Invalid trace file")


class InvalidTraceFileUrl(OutputError):
    """The URL of a remote trace is not an S3 URL.

    Not recorded. The real server's code raises these errors when it parses the URL.
    """

    name = "InvalidTraceFileUrl"


class InvalidPageTokenError(OutputError):
    """A page token that the server did not issue (history_paging)."""

    name = "InvalidPageTokenError"
    status = 400

    def __init__(self) -> None:
        super().__init__("Invalid pageToken. Use the nextPageToken value returned by the previous page.")


class ServiceError(OutputError):
    """Temporal refused the request: there is no worker, or it cannot read an id (worker_down,
    history_paging)."""

    name = "ServiceError"

    def __init__(self, message: str, *, status: int = 500, workflow_id: str | None = None) -> None:
        super().__init__(message, workflow_id=workflow_id)
        self.status = status


class UnreadableBodyError(OutputError):
    """A body that the server rejects without reading it, before any other check (raw_bodies)."""

    def __init__(self, name: str, status: int, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.status = status
        self.unmatched_reason: str | None = message

    @classmethod
    def no_json(cls, message: str) -> UnreadableBodyError:
        """The body is not JSON, or is JSON but neither an object nor an array."""
        return cls("SyntaxError", 400, message)

    @classmethod
    def too_large(cls, message: str = "request entity too large") -> UnreadableBodyError:
        """The body is larger than the server's limit."""
        return cls("PayloadTooLargeError", 413, message)

    @classmethod
    def unsupported(cls, message: str) -> UnreadableBodyError:
        """The body has a charset or an encoding that the server does not support."""
        return cls("UnsupportedMediaTypeError", 415, message)

    @classmethod
    def not_unpacked(cls, message: str) -> UnreadableBodyError:
        """The body does not match its `Content-Encoding`."""
        return cls("Error", 400, message)


class BadEscapeError(OutputError):
    """The server cannot percent-decode a part of the path (workflow_id)."""

    name = "URIError"
    status = 400

    def __init__(self, text: str) -> None:
        super().__init__(f"Failed to decode param '{text}'")
        self.unmatched_reason: str | None = self.message


class NestedTooDeepError(OutputError):
    """The real server's error for JSON that is nested too deeply."""

    name = "RangeError"

    def __init__(self) -> None:
        super().__init__("Maximum call stack size exceeded")
        self.unmatched_reason: str | None = "the body is nested too deep"


class ErrorShape(NamedTuple):
    """What an error body holds besides name and message, and when the server sends it."""

    # Whether the body names the workflow: always, never, or sometimes (None).
    names_workflow: bool | None
    about: str


SHAPES: dict[str, ErrorShape] = {
    name: ErrorShape(*shape)
    for name, shape in {
        "SyntaxError": (False, "The body is not JSON, or it is neither an object nor an array."),
        "URIError": (False, "A percent-escape in the path cannot be decoded."),
        "InvalidPageTokenError": (False, "The page token has the right form, but it belongs to no page."),
        "PayloadTooLargeError": (False, "The body is larger than 2 MiB."),
        "UnsupportedMediaTypeError": (False, "The body has an unknown Content-Encoding."),
        "WorkflowNotFoundError": (
            True,
            "There is no such workflow or run, or the run is closed and accepts no messages.",
        ),
        "StepNotFoundError": (False, "The history has no step of this name."),
        "StepNotCompletedError": (None, "The step to reset to has not completed."),
        "TraceNotAvailableError": (True, "The run has no trace."),
        "WorkflowExecutionTimedOutError": (
            True,
            "The request has waited for as long as it said. The run continues.",
        ),
        "UnsupportedWorkflowError": (False, "The catalog has no workflow of this name."),
        "WorkflowNotCompletedError": (False, "The run is still running."),
        "WorkflowExecutionAlreadyStartedError": (
            True,
            "This workflow id belongs to a run that is still running.",
        ),
        "QueryNotRegisteredError": (False, "The workflow has no such query, or its handler failed."),
        "WorkflowUpdateFailedError": (
            False,
            "The workflow has no such update, or its validator or handler refused it.",
        ),
        "TraceFileDownloadError": (
            False,
            "The remote trace cannot be fetched: there is no such object, or the server has no AWS keys.",
        ),
        "TraceFileParseError": (False, "The remote trace is not JSON."),
        "InvalidTraceFileUrl": (False, "The URL of the remote trace is not a URL of S3."),
        "CatalogNotAvailableError": (False, "No worker serves this catalog, or none serves it yet."),
        "TypeError": (False, "The workflow id is an empty string."),
        "Error": (
            False,
            "The body cannot be decompressed; or Temporal refused, and the message is Temporal's.",
        ),
        "RangeError": (False, "The body is nested too deep."),
        "ServiceError": (None, "Temporal could not do it, for example because no worker answers the query."),
        "ScriptError": (
            None,
            "Of the fake alone: the script of the workflow is wrong; the message says where.",
        ),
        "StalledError": (None, "Of the fake alone: it waits for what only another request can bring."),
    }.items()
}
