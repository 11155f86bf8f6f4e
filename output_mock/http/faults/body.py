"""Bodies that arrive damaged: cut off, in small pieces, or as broken JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from output_mock.contract.schemas import DURATION, flag
from output_mock.durations import SECOND, format_duration, nanoseconds
from output_mock.http.faults.delays import LONGEST_ON_THE_WALL, sleep
from output_mock.http.faults.kind import AffectedRequest, DamagedBody, Dropped, Effect, Options, OptionSchemas
from output_mock.http.response import WSGIResponse

# The largest number of pieces of a body that arrives slowly.
_PIECES = 20


class MalformedBody(Effect):
    """The body is broken JSON (`malformed`)."""

    options: ClassVar[OptionSchemas] = {"malformed": flag("Whether the body of the answer is broken JSON.")}
    affects_all = False
    damages = True

    def words(self) -> str:
        return "break the JSON of the answer"

    def damage(self, body: DamagedBody) -> None:
        half = body.content[: len(body.content) // 2]
        body.content = half if half.startswith((b"{", b"[")) else b"{" + body.content


class DribbledBody(Effect):
    """The body comes in small pieces over a duration of real time (`dribble`)."""

    options: ClassVar[OptionSchemas] = {
        "dribble": {
            **DURATION,
            "description": "How long, in real time, the body takes to arrive, in small pieces.",
        }
    }
    affects_all = False
    damages = True

    def __init__(self, options: Options) -> None:
        self.length: int = nanoseconds(options["dribble"])
        if self.length > LONGEST_ON_THE_WALL * SECOND:
            raise ValueError(f"a body may take an hour at most to arrive, not {format_duration(self.length)}")

    @property
    def is_nothing(self) -> bool:
        return not self.length

    def words(self) -> str:
        return f"send the body slowly, over {format_duration(self.length)}"

    def damage(self, body: DamagedBody) -> None:
        body.length = self.length


def damaged(request: AffectedRequest, response: WSGIResponse, body: DamagedBody) -> WSGIResponse:
    """The response with this body. Its headers stay as they were."""
    response.body = body.content
    if not body.is_broken_off and not body.length:
        return response
    whole = len(body.content)
    sent = body.content[: whole // 2] if body.is_broken_off else body.content
    pause = body.length / 1e9 / _PIECES

    def pieces() -> Iterator[bytes]:
        size = max(1, -(-len(sent) // _PIECES)) if pause else max(1, len(sent))
        for begin in range(0, len(sent), size):
            if pause:
                sleep(request.world, pause)
            yield sent[begin : begin + size]
        if body.is_broken_off:
            if body.reset:
                request.end_in_reset()
            raise Dropped

    request.lost = body.is_broken_off
    headers = {**response.headers, "Content-Length": str(whole)}
    return WSGIResponse(response.status, headers, stream=pieces())
