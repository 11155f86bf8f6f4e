"""Applies faults to calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from output_mock.contract.reply import Reply
from output_mock.http import temporal_away
from output_mock.http.api_request import ApiRequest
from output_mock.http.faults import AppliedFault
from output_mock.http.faults.body import damaged
from output_mock.http.faults.delays import sleep
from output_mock.http.faults.kind import DamagedBody
from output_mock.http.response import WSGIResponse
from output_mock.patience import give_up, patience


def choose(request: ApiRequest) -> AppliedFault | None:
    """Choose what affects a request, whose route is known; None for nothing."""
    return request.api.faults.take(
        {
            "method": request.method,
            "route": None if request.route is None else request.route.operation.name,
            "workflow": request.workflow(),
            "workflow_id": request.workflow_id,
            "token": request.header("HTTP_AUTHORIZATION"),
        },
        request.world.clock.nanoseconds(),
    )


def respond(
    request: ApiRequest,
    applied: AppliedFault,
    answer: Callable[[], WSGIResponse],
    finish: Callable[[Reply], WSGIResponse],
) -> WSGIResponse:
    """The response to a request with a fault.

    `answer` makes the normal response, and `finish` the one with the fault's own reply.

    Raises `Dropped` and `TimedOut` if there is none.
    """
    fault = applied.fault
    if fault is None:
        response = request.response = answer()
        _delay(request, applied)
        return response
    for effect in fault.effects:
        effect.before(request)
    if request.cut_after is not None:
        request.not_cut = partial(request.api.faults.give_back, fault)
    replies = (effect.reply(request, applied.wait) for effect in fault.effects)
    reply = next((reply for reply in replies if reply is not None), None)
    response = request.response = answer() if reply is None else finish(reply)
    _delay(request, applied, temporal_away.TRIES if _waited(request) else 0)
    if fault.condition is not None:
        fault.condition.has_affected(request.world, applied.wait)
    for effect in fault.effects:
        effect.after(request, response)
    damages = any(effect.damages for effect in fault.effects)
    if damages and response.body and request.method != "HEAD":
        body = DamagedBody(response.body)
        for effect in fault.effects:
            effect.damage(body)
        return damaged(request, response, body)
    if not fault.affects_any_call and not any(one.has_affected(request, response) for one in fault.effects):
        request.api.faults.give_back(fault)
    return response


def _waited(request: ApiRequest) -> bool:
    """Whether the server has tried to reach Temporal; whether it is ready it knows already."""
    route = request.route
    return request.temporal_failed and route is not None and route.operation.name != "ready"


def _delay(request: ApiRequest, applied: AppliedFault, more: int = 0) -> None:
    """Delay an answer, `more` nanoseconds longer than the applied says, for a client that may not wait that
    long.
    """
    virtual, wall, world = applied.delay + more, applied.wall, request.world
    if world.clock.mode == "real":
        virtual, wall = 0, wall + virtual
    waits = patience()
    late = waits is not None and virtual + wall > waits * 1e9
    if waits is not None and late:
        limit = round(waits * 1e9)
        virtual = min(virtual, limit)
        wall = min(wall, limit - virtual)
    if virtual:
        world.be_late(virtual)
    if wall:
        sleep(world, wall / 1e9)
    if late:
        raise give_up()
