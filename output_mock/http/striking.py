"""What becomes of a call that a fault strikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response

from output_mock.contract.reply import Reply
from output_mock.durations import SECOND
from output_mock.http import corrupt_body, delays
from output_mock.http.api_request import ApiRequest
from output_mock.http.faults import Dropped, Strike, TimedOut
from output_mock.http.responses import cors
from output_mock.http.server_hooks import PATIENCE, RESET


def strike(request: ApiRequest) -> Strike | None:
    """What strikes a request, of which the route is known; None when nothing does."""
    strike = request.api.faults.take(
        {
            "method": request.method,
            "route": None if request.route is None else request.route.operation.name,
            "workflow": request.workflow(),
            "workflow_id": request.workflow_id,
            "token": request.header("HTTP_AUTHORIZATION"),
        },
        request.world.clock.nanoseconds(),
    )
    if strike is not None and strike.fault is not None:
        request.cut_after, request.s3 = strike.fault.cut_after, strike.fault.s3
    return strike


def struck(
    request: ApiRequest,
    strike: Strike,
    answer: Callable[[], Response],
    finish: Callable[[Reply], Response],
) -> Response:
    """The response to a request that something goes wrong with.

    `answer` makes the one that it would get, and `finish` one of the fault's own reply.

    Raises `Dropped` and `TimedOut` when there is none.
    """
    fault, world = strike.fault, request.world
    if fault is not None and fault.drop == "request":
        _drop(request, reset=fault.reset)
    if fault is not None and fault.worker_away:
        world.send_worker_away(fault.worker_away)
    if fault is not None and fault.status is not None:
        response = finish(
            fault.reply(strike.wait, cors=cors(request.api.cors_origins, request.header("HTTP_ORIGIN")))
        )
    else:
        response = answer()
    request.response = response
    _delay(request, strike)
    if fault is None:
        return response
    if fault.limit is not None and world.clock.mode == "auto":
        # Nobody really waits on such a clock, so what the client is told to wait has passed.
        world.let_pass(strike.wait * SECOND)
    if fault.drop == "answer":
        _drop(request, reset=fault.reset)
    if fault.spoils and not response.is_streamed and request.method != "HEAD" and response.get_data():
        request.lost = fault.drop == "body"
        return corrupt_body.corrupted(response, fault, world, lambda: _reset(request))
    cut = fault.cut_after is not None and response.is_streamed and request.method != "HEAD"
    if not (cut or request.s3_failed or fault.strikes_anything):
        request.api.faults.give_back(fault)
    return response


def _drop(request: ApiRequest, *, reset: bool) -> None:
    if reset:
        _reset(request)
    raise Dropped


def _reset(request: ApiRequest) -> None:
    """Have the connection end in a reset, if the server can do that."""
    function = request.environ.get(RESET)
    if function is not None:
        function()


def _delay(request: ApiRequest, strike: Strike) -> None:
    """Let an answer be late, for a client that may not wait so long."""
    virtual, wall, world = strike.delay, strike.wall, request.world
    if world.clock.mode == "real":
        virtual, wall = 0, wall + virtual
    patience: Any = request.environ.get(PATIENCE)
    late = patience is not None and virtual + wall > float(patience) * 1e9
    if late:
        limit = round(float(patience) * 1e9)
        virtual = min(virtual, limit)
        wall = min(wall, limit - virtual)
    if virtual:
        world.be_late(virtual)
    if wall:
        delays.sleep(world, wall / 1e9)
    if late:
        raise TimedOut(f"no answer within {float(patience):g} s")
