"""The errors of the control plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from output_mock.contract.errors import OutputError
from output_mock.engine.errors import WaitEndedError, WorldBusyError, WorldStuckError
from output_mock.http.response import WSGIResponse
from output_mock.http.responses import json_response
from output_mock.places import Mistake
from output_mock.suggestions import closest, nearest


class Problem(Exception):
    """An error answer: `{"error": name, "message": …}`, with `nearest` and `mistakes` where they help."""

    status = 400
    name = "InvalidRequestError"

    def __init__(
        self,
        message: str,
        *,
        nearest: str | None = None,
        mistakes: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.nearest = nearest
        self.mistakes: list[Mapping[str, Any]] = list(mistakes)
        self.headers: dict[str, str] = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The answer's body."""
        body: dict[str, Any] = {"error": self.name, "message": self.message}
        if self.nearest is not None:
            body["nearest"] = self.nearest
        if self.mistakes:
            body["mistakes"] = self.mistakes
        return body


class InvalidRequest(Problem):
    """The body, the query or the path is wrong."""


class InvalidScript(Problem):
    """The script has mistakes; `mistakes` lists all of them."""

    name = "InvalidScriptError"

    @classmethod
    def of(cls, mistakes: Sequence[Mistake]) -> InvalidScript:
        """The problem of a script with these mistakes: a file's have lines, those of JSON a JSON pointer."""
        listed = [
            {"message": one.message, "line": one.line, "column": one.column}
            if one.line
            else {"message": one.message, "at": one.file}
            for one in mistakes
        ]
        text = f"the script has {len(listed)} mistakes; the first: " if len(listed) > 1 else ""
        return cls(f"{text}{mistakes[0].message}", mistakes=listed)


class Unauthorized(Problem):
    """The control plane asks for a token, and the request does not send it."""

    status = 401
    name = "UnauthorizedError"

    def __init__(self) -> None:
        super().__init__(
            "the control plane needs a token; send the one of --control-token, or else the one of "
            "--auth-token, as 'Authorization: Bearer TOKEN'",
            headers={"WWW-Authenticate": 'Bearer realm="output-mock control plane"'},
        )


class Forbidden(Problem):
    """The request is for a host, or comes from a web page, that may not use the control plane."""

    status = 403
    name = "ForbiddenError"


class NotFound(Problem):
    """There is no such thing, or no such path."""

    status = 404
    name = "NotFoundError"

    @classmethod
    def named(cls, what: str, name: str, known: Sequence[str], *, listed: str, more: str = "") -> NotFound:
        """There is no `what` of that name. The message suggests the nearest of the known ones; `listed` is
        the path, after `/__mock__/`, that lists them. `more` is added to the message.
        """
        known = list(known)[:1000]
        hint = nearest(name, known) or f"; GET /__mock__/{listed} lists what exists"
        return cls(f"there is no {what} {name!r}{hint}{more}", nearest=closest(name, known))


class MethodNotAllowed(Problem):
    """The path exists, but not with this method."""

    status = 405
    name = "MethodNotAllowedError"


class WaitedInVain(Problem):
    """What the request waited for did not come in time."""

    status = 408
    name = "TimeoutError"


class Conflict(Problem):
    """It is not possible in the current state."""

    status = 409
    name = "ConflictError"


class TooLarge(Problem):
    """The body is too large."""

    status = 413
    name = "PayloadTooLargeError"


class UnsupportedMediaType(Problem):
    """The body has a content type that is not accepted here."""

    status = 415
    name = "UnsupportedMediaTypeError"


class AssertionFailed(Problem):
    """The calls that were expected were not made, or others were."""

    status = 422
    name = "AssertionFailedError"


class Full(Problem):
    """There are as many worlds as `--worlds` allows."""

    status = 503
    name = "NoRoomError"


CLASSES: tuple[type[Problem], ...] = (
    InvalidRequest,
    InvalidScript,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    WaitedInVain,
    Conflict,
    TooLarge,
    UnsupportedMediaType,
    AssertionFailed,
    Full,
)
# The errors of a world that cannot do anything at the moment. They keep their own statuses.
UNAVAILABLE: dict[type[OutputError], tuple[int, ...]] = {
    WorldStuckError: (503,),
    WorldBusyError: (503,),
    WaitEndedError: (410, 503),
}


def refused(error: Problem | OutputError | RecursionError) -> WSGIResponse:
    """The answer when something cannot be done.

    Everything else that the engine refuses, such as to run a wrong script, is a `Conflict`.
    """
    if isinstance(error, RecursionError):
        error = InvalidRequest("the body is nested too deep")
    elif isinstance(error, (WorldStuckError, WorldBusyError, WaitEndedError)):
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return json_response({"error": error.name, "message": error.message}, error.status, headers)
    elif isinstance(error, OutputError):
        error = Conflict(error.message)
    return json_response(error.body(), error.status, error.headers)
