"""Connections that are dropped."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from output_mock.contract.schemas import flag, text
from output_mock.http.faults.kind import AffectedRequest, DamagedBody, Dropped, Effect, Options, OptionSchemas
from output_mock.http.response import WSGIResponse

Loss = Literal["request", "answer", "body"]
_LOST = {
    "request": "drop the request",
    "answer": "drop the answer",
    "body": "break off in the middle of the answer's body",
}


class DroppedConnection(Effect):
    """The connection is dropped. `drop` says what is lost: the request, only its answer, or half of the
    answer's body; with `reset` it ends in a TCP reset.
    """

    options: ClassVar[OptionSchemas] = {
        "drop": text(
            "What is lost when the connection is dropped: the request (nothing is done), the answer (all "
            "is done), or half of the answer's body.",
            enum=list(get_args(Loss)),
        ),
        "reset": flag("Whether the connection is dropped with a TCP reset."),
    }
    needs = "with reset, say what is lost: drop='request', 'answer' or 'body'"

    def __init__(self, options: Options) -> None:
        self.lost: Loss = options["drop"]
        self.reset: bool = options.get("reset", False)
        if self.lost not in get_args(Loss):
            raise ValueError(f"drop must be 'request', 'answer' or 'body', not {self.lost!r}")
        self.damages: bool = self.lost == "body"
        self.affects_all: bool = not self.damages

    def words(self) -> str:
        return f"{_LOST[self.lost]}{' with a reset' if self.reset else ''}"

    def before(self, request: AffectedRequest) -> None:
        if self.lost == "request":
            self._drop(request)

    def after(self, request: AffectedRequest, response: WSGIResponse) -> None:
        if self.lost == "answer":
            self._drop(request)

    def damage(self, body: DamagedBody) -> None:
        if self.damages:
            body.is_broken_off, body.reset = True, self.reset

    def _drop(self, request: AffectedRequest) -> None:
        if self.reset:
            request.end_in_reset()
        raise Dropped
