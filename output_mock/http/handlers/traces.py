"""Traces: where they are, or what is in them (remote_trace, untraced)."""

from __future__ import annotations

from output_mock.contract.errors import TraceFileDownloadError, TraceNotAvailableError
from output_mock.contract.reply import Reply
from output_mock.engine.run import Run
from output_mock.engine.trace_places import object_place
from output_mock.http import trace_log as logs
from output_mock.http.api_request import ApiRequest
from output_mock.http.handlers.results import result_of
from output_mock.sdk.errors import ScriptError


def trace_log(request: ApiRequest) -> Reply:
    """`/trace-log`."""
    run = request.world.find(request.id, request.run_id)
    trace = request.world.deployment.places(result_of(request, run))
    if request.s3 is not None and trace:
        request.s3_failed = True
        return logs.failing(run.run_id, request.s3)
    if "remote" in trace:
        return _remote(request, run, trace["remote"])
    if "local" in trace:
        return Reply({"source": "local", "runId": run.run_id, "localPath": trace["local"]})
    raise TraceNotAvailableError(run.workflow_id)


def _remote(request: ApiRequest, run: Run, url: str) -> Reply:
    place, traces = object_place(url), request.world.traces
    if not traces.keys:
        raise TraceFileDownloadError("Missing AWS keys to authenticate")
    late = traces.uploader is not None and run.worker_heard and not run.uploaded
    if traces.source is None or late:
        # If the trace is only late, the next request should get it. Any other object under its key is older.
        request.world.poll_trace(run)
        raise TraceFileDownloadError("S3 GetObject failure")
    try:
        file = traces.source.fetch(place)
    except ScriptError as problem:
        problem.workflow_id = run.workflow_id
        raise
    return logs.trace_reply(run.run_id, file)
