"""An error instead of the real answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar
from wsgiref.util import is_hop_by_hop

from output_mock.contract import errors
from output_mock.contract.reply import TEXT_TYPE, Reply
from output_mock.contract.schemas import number, text
from output_mock.http import responses
from output_mock.http.faults.kind import AffectedRequest, Effect, Options, OptionSchemas
from output_mock.javascript_json import as_json

# The real server's bodies for these; other error statuses come from proxies in front of it.
_REAL: dict[int, errors.OutputError] = {
    404: errors.WorkflowNotFoundError("workflow not found"),
    408: errors.WorkflowExecutionTimedOutError(""),
    424: errors.WorkflowNotCompletedError(),
    500: errors.OutputError("Internal Server Error"),
    503: errors.CatalogNotAvailableError(),
}


class ErrorAnswer(Effect):
    """An error `status`, with `body` (any JSON, or text), `headers`, and `retry_after` seconds."""

    options: ClassVar[OptionSchemas] = {
        "status": number(
            "The status of the answer that is sent instead of the real one.", minimum=200, maximum=599
        ),
        "body": {
            "description": "The body of that answer: any JSON, or text. Default: the real server's "
            "body for this status."
        },
        "headers": {
            "description": "Additional headers of that answer.",
            "type": "object",
            "maxProperties": 50,
            "additionalProperties": text(maxLength=4000),
        },
        "retry_after": number("`Retry-After` of that answer, in seconds.", minimum=0, maximum=86_400),
    }
    needs = "body, headers and retry_after need a status; give one, too"

    def __init__(self, options: Options) -> None:
        self.status: int = options["status"]
        self.body: Any = options.get("body")
        self.headers: dict[str, str] = dict(options.get("headers") or {})
        self.retry_after: int | None = options.get("retry_after")
        if not 100 < self.status < 600:
            raise ValueError(f"{self.status} is not an HTTP status")
        if self._has_no_body() and self.body is not None:
            raise ValueError(f"an answer with status {self.status} cannot have a body")
        if self.retry_after is not None and self.retry_after < 0:
            raise ValueError(f"Retry-After must be 0 seconds or more, not {self.retry_after}")
        for name, value in self.headers.items():
            if not responses.is_header(name, value):
                raise ValueError(f"{name!r}: {value!r} cannot be a header")
            if is_hop_by_hop(name):
                raise ValueError(f"the server itself sets the header {name!r}; leave it out")

    def _has_no_body(self) -> bool:
        return self.status < 200 or self.status in (204, 205, 304)

    def words(self) -> str:
        return f"answer {self.status}"

    def reply(self, request: AffectedRequest, wait: int) -> Reply:
        status = self.status
        real = _REAL.get(status)
        if isinstance(self.body, str):
            reply = Reply(self.body, status, content_type=TEXT_TYPE)
        elif self.body is not None:
            reply = Reply(as_json(self.body), status)
        elif real is not None:
            reply = responses.error_reply(real)
            reply.headers.update(request.cors())
        elif self._has_no_body():
            reply = Reply(status=status, content_type=None)
        else:
            phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else str(status)
            reply = Reply(phrase, status, content_type=TEXT_TYPE)
        if wait or self.retry_after is not None:
            reply.headers["Retry-After"] = str(wait)
        reply.override(self.headers)
        return reply
