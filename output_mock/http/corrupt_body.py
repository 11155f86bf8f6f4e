"""Answers whose bodies arrive damaged: broken off, dribbled, no JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from flask import Response

from output_mock.http import delays
from output_mock.http.faults import Dropped, Fault

if TYPE_CHECKING:
    from output_mock.engine.world import World

# A body that dribbles comes in at most so many pieces.
_PIECES = 20


def corrupted(answer: Response, fault: Fault, world: World, reset: Callable[[], object]) -> Response:
    """The answer as it arrives with this fault; `reset` makes the end of the connection a reset.

    Its headers still promise what they did. Only for an answer that is no stream.
    """
    body = answer.get_data()
    if fault.malformed and body:
        body = broken(body)
        answer.set_data(body)
    if fault.drop != "body" and not fault.dribble:
        return answer
    whole = len(body)
    broken_off = fault.drop == "body"
    sent = body[: whole // 2] if broken_off else body
    pause = fault.dribble / 1e9 / _PIECES

    def pieces() -> Iterator[bytes]:
        size = max(1, -(-len(sent) // _PIECES)) if pause else max(1, len(sent))
        for begin in range(0, len(sent), size):
            if pause:
                delays.sleep(world, pause)
            yield sent[begin : begin + size]
        if broken_off:
            if fault.reset:
                reset()
            raise Dropped

    headers = answer.headers.copy()
    headers["Content-Length"] = str(whole)
    return Response(pieces(), answer.status_code, headers, direct_passthrough=True)


def broken(body: bytes) -> bytes:
    """About the same, and no JSON."""
    half = body[: len(body) // 2]
    return half if half.startswith((b"{", b"[")) else b"{" + body
