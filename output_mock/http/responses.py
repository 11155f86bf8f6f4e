"""Responses: JSON as the real server prints it, its headers, its ETag."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from output_mock.contract.errors import OutputError
from output_mock.contract.headers import CORS
from output_mock.contract.reply import JSON_TYPE, TEXT_TYPE, Reply
from output_mock.http.response import PHRASES, WSGIResponse
from output_mock.javascript_json import UNDEFINED, to_bytes

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> WSGIResponse:
    """`value` as a JSON body."""
    return WSGIResponse(status, {"Content-Type": JSON_TYPE, **(headers or {})}, to_bytes(value))


def no_content() -> WSGIResponse:
    """`204`, which has no body and no type of one."""
    return WSGIResponse(204, {})


def error_body(problem: OutputError) -> dict[str, Any]:
    """The body of an error."""
    body: dict[str, Any] = {"error": problem.name, "message": problem.message}
    if problem.workflow_id is not None:
        body["workflowId"] = problem.workflow_id
    return body


def error_reply(problem: OutputError) -> Reply:
    """The reply for an error of the API."""
    headers = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
    return Reply(error_body(problem), problem.status, headers=headers)


def text_reply(status: int) -> Reply:
    """A status with its phrase as the body: `OK`, `Not Found`."""
    return Reply(PHRASES[status], status, content_type=TEXT_TYPE)


def body_bytes(reply: Reply) -> bytes:
    """The body of a reply that is not a stream."""
    if reply.body is UNDEFINED:
        return b""
    if reply.is_text:
        text: str = reply.body
        try:
            return text.encode()
        except UnicodeEncodeError:
            # Node sends U+FFFD for half of a character.
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    return to_bytes(reply.body)


def response_of(reply: Reply) -> WSGIResponse:
    """A reply as a WSGI response, with its own headers."""
    headers = reply.headers
    if reply.content_type is not None:
        headers["Content-Type"] = reply.content_type
    body = body_bytes(reply) if reply.stream is None else b""
    return WSGIResponse(reply.status, headers, body, reply.stream)


def is_header(name: object, value: object) -> bool:
    """Whether a header with this name and value can be sent."""
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and _TOKEN.fullmatch(name) is not None
        and value.isascii()
        and (value.isprintable() or not value)
    )


def cors(origins: Collection[str] | None, asking: str | None) -> dict[str, str]:
    """The headers that let a page of the origin `asking` read an answer: any (None), or one of these."""
    if origins is None:
        return CORS
    if asking not in origins or asking is None:
        return {"Vary": "Origin"}
    return {**CORS, "Access-Control-Allow-Origin": asking, "Vary": "Origin"}


def etag(body: bytes) -> str:
    """The weak ETag that Express makes for a body."""
    return validator(len(body), hashlib.sha1(body, usedforsecurity=False).digest())


def validator(size: int, digest: bytes) -> str:
    """The same, for a body whose size and SHA-1 are known."""
    return f'W/"{size:x}-{base64.b64encode(digest).decode()[:27]}"'


def fresh(validator: str, if_none_match: str | None, cache_control: str | None) -> bool:
    """Whether the client has this body already, and does not demand it again."""
    if not if_none_match or (cache_control and re.search(r"(?:^|,)\s*?no-cache\s*?(?:,|$)", cache_control)):
        return False
    if if_none_match.strip() == "*":
        return True
    bare = validator.removeprefix("W/")
    return any(tag.strip().removeprefix("W/") == bare for tag in if_none_match.split(","))


def request_id(render_id: str | None, own: str | None) -> str:
    """The request id of an answer: the platform's, the client's, or a new one (health)."""
    for candidate in (render_id, own):
        if candidate is not None and _REQUEST_ID.fullmatch(candidate):
            return candidate
    return str(uuid.uuid4())
