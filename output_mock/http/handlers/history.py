"""What happened in a run, in pages and as a stream."""

from __future__ import annotations

import re
from collections.abc import Generator
from functools import partial

from output_mock.contract import headers
from output_mock.contract.errors import ServiceError, WorkflowNotFoundError
from output_mock.contract.reply import STREAM_TYPE, Reply
from output_mock.contract.requests import LAST_EVENT_ID
from output_mock.durations import MILLISECOND
from output_mock.engine.run import Run
from output_mock.http import pages, stream
from output_mock.http.api_request import ApiRequest
from output_mock.http.server_hooks import WHEN_GONE

# Temporal answers a long poll this long before its time is over (long_poll_tokens).
_TO_ANSWER = 1000 * MILLISECOND
# The server behind the API cannot answer in fewer milliseconds (long_poll_of_a_moment).
_SHORTEST_POLL = 3
# A UUID as Temporal's server reads one: also in braces, as a URN, or without dashes.
_UUID = re.compile(
    r"(?:urn:uuid:|\{)?([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})\}?", re.IGNORECASE
)


def history(request: ApiRequest) -> Reply:
    """`/history` (history_paging, history_long_poll)."""
    world, parameters = request.world, request.parameters
    token, poll = parameters.get("pageToken"), parameters.get("longPollTimeoutMs")
    try:
        run = _run_of(request)
    except (ServiceError, WorkflowNotFoundError) as problem:
        if token is not None and poll is None:
            pages.check(token, parameters["runId"])
            if isinstance(problem, WorkflowNotFoundError):
                problem.message = f'Run "{parameters["runId"]}" not found for workflow "{request.id}"'
        raise
    show = request.view.history
    with world.clock.lock:
        place = pages.first_place(run, show(run)) if token is None else pages.place_of(run, show(run), token)
    if poll is not None and poll < _SHORTEST_POLL:
        with world.clock.lock:
            nothing = pages.empty_page(run, request.view, token)
        world.poll(run)
        return Reply(nothing)
    moved = True
    if poll is not None and place.read is None and place.running:
        # A poll has read up to where the previous poll has looked.
        first = 0 if token is None else place.end
        moved = _moved(request, run, first, poll)
        with world.clock.lock:
            place = pages.Place(first, len(show(run).batches), run.running)
    with world.clock.lock:
        page = pages.page(
            run,
            request.view,
            place,
            parameters["pageSize"],
            with_workflow=token is None or poll is not None,
            include_payloads=_with_payloads(request),
            live=poll is not None,
        )
    # Who asks without waiting, or has waited in vain, asks again: it tells what stands now, and the next
    # thing may happen after it. Or a run would need a poll for each few seconds it takes.
    if run.running and (poll is None or not moved):
        world.poll(run)
    return Reply(page)


def _moved(request: ApiRequest, run: Run, first: int, poll: int) -> bool:
    """Wait until a run has more than `first` batches, or has closed, in a poll of `poll` milliseconds."""
    world, show = request.world, request.view.history
    length = max(0, min(poll * MILLISECOND, world.history_max_waiting) - _TO_ANSWER)
    return world.wait(
        run,
        lambda: len(show(run).batches) > first or not run.running,
        until=world.clock.nanoseconds() + length,
        wall=length / 1e9,
    )


def history_stream(request: ApiRequest) -> Reply:
    """`/history/stream` (stream_completed, stream_live, stream_chain)."""
    world, environ, view = request.world, request.environ, request.view
    after = request.parameters.get("lastEventId")
    header = request.header("HTTP_LAST_EVENT_ID")
    if after is None and header is not None:
        parsed, issues = LAST_EVENT_ID.rule.safe_parse(header.split(",")[-1].strip())
        after = None if issues else parsed
    run = _run_of(request)
    with world.clock.lock:
        world.clock.run_due()
        if not run.running and after is not None and after >= len(view.history(run)):
            return Reply(status=204, content_type=None)
    frames: Generator[bytes, None, None] = stream.nothing()
    if request.method != "HEAD":
        client = stream.Client(run)
        if WHEN_GONE in environ:
            environ[WHEN_GONE](client.leave)
        frames = stream.frames(
            world,
            run,
            client,
            request.api.renderings,
            view,
            after=after or 0,
            include_payloads=_with_payloads(request),
            cut_after=request.cut_after,
            not_cut=request.not_cut,
        )
    busy = request.while_busy(frames, partial(stream.last_frame, run, view))
    return Reply(content_type=STREAM_TYPE, headers=dict(headers.STREAM), stream=busy)


def _with_payloads(request: ApiRequest) -> bool:
    return bool(request.parameters["includePayloads"] == "true")


def _run_of(request: ApiRequest) -> Run:
    """The run that the path or the query names, or else the latest one."""
    run_id = request.parameters.get("runId")
    if not run_id:
        return request.world.find(request.id)
    uuid = _UUID.fullmatch(run_id)
    if uuid is None:
        raise ServiceError("Failed to describe workflow", status=400, workflow_id=request.id)
    digits = uuid.group(1).replace("-", "")
    try:
        return request.world.find(
            request.id, f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        )
    except WorkflowNotFoundError:
        # Messages repeat it as it was sent (run_ids_in_capitals).
        raise WorkflowNotFoundError.unknown(request.id, run_id) from None
