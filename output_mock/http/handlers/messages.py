"""Signals, queries and updates (approval, feedback, fact_update_answers)."""

from __future__ import annotations

from typing import Any

from output_mock.contract.reply import Reply
from output_mock.http.api_request import ApiRequest
from output_mock.http.responses import text_reply
from output_mock.javascript_json import UNDEFINED


def signal(request: ApiRequest) -> Reply:
    """`/signal/NAME`."""
    world = request.world
    world.signal(request.id, request.message, _payload(request))
    world.let_signal_arrive()
    return text_reply(200)


def feedback(request: ApiRequest) -> Reply:
    """`/feedback`: a signal with a fixed name."""
    return signal(request)


def query(request: ApiRequest) -> Reply:
    """`/query/NAME`: what the handler returned; no body at all when that is undefined."""
    world = request.world
    reply = Reply(world.query(request.id, request.message, _payload(request)))
    run = world.find(request.id)
    # It shows the current state; the next thing may happen after it.
    if run.running:
        world.poll(run)
    return reply


def update(request: ApiRequest) -> Reply:
    """`/update/NAME`: what the handler returned; no body at all when that is undefined."""
    return Reply(request.world.update(request.id, request.message, _payload(request)))


def _payload(request: ApiRequest) -> Any:
    return request.fields.get("payload", UNDEFINED)
