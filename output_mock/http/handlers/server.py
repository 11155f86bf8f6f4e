"""The server itself: whether it is up (health)."""

from __future__ import annotations

from output_mock.contract.reply import Reply
from output_mock.http.api_request import ApiRequest
from output_mock.http.responses import etag, text_reply


def health(request: ApiRequest) -> Reply:
    """`/health`."""
    return text_reply(200)


def ready(request: ApiRequest) -> Reply:
    """`/ready`."""
    return text_reply(200)


def heartbeat(request: ApiRequest) -> Reply:
    """`/heartbeat`, which does nothing (heartbeat_headers)."""
    # The tag is of the words that Express would send if this status had a body.
    return Reply(status=204, content_type=None, headers={"ETag": etag(b"No Content")})
