"""Streams that are cut."""

from __future__ import annotations

from typing import ClassVar

from output_mock.contract.schemas import number
from output_mock.http.faults.kind import AffectedRequest, Effect, Options, OptionSchemas
from output_mock.http.response import WSGIResponse


class CutStream(Effect):
    """A history stream is cut after this many events (`cut_after`). Other calls are not affected, nor are
    streams that end before that.
    """

    options: ClassVar[OptionSchemas] = {
        "cut_after": number(
            "After how many events a history stream is cut. A client that resumes loses nothing.",
            minimum=0,
            maximum=10**6,
        )
    }
    only: ClassVar[tuple[str, str] | None] = ("a stream that is cut", "history_stream")
    affects_all: bool = False

    def __init__(self, options: Options) -> None:
        self.events: int = options["cut_after"]
        if self.events < 0:
            raise ValueError(f"cut_after must be 0 events or more, not {self.events}")

    def words(self) -> str:
        return f"cut the stream after {self.events} events"

    def before(self, request: AffectedRequest) -> None:
        request.cut_after = self.events

    def has_affected(self, request: AffectedRequest, response: WSGIResponse) -> bool:
        return response.stream is not None and request.method != "HEAD"
