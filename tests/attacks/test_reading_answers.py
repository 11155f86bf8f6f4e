"""Which web pages may read responses of the API: all, as on the real server, or those of `--cors`."""

from __future__ import annotations

from typing import Any

import pytest

from output_mock import OutputMock
from tests.conftest import Connect

MINE = "http://localhost:5173"
HEADER = "access-control-allow-origin"


def test_every_page_may_read_responses_as_on_the_real_server(connect: Connect) -> None:
    client = connect(OutputMock())
    for headers in ({}, {"Origin": "https://evil.example"}):
        answer = client.get("/workflow/runs", headers=headers)
        assert (answer.headers[HEADER], answer.headers.get("vary")) == ("*", None)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/workflow/runs", None),
        ("GET", "/workflow/none/status", None),
        ("POST", "/workflow/run", {}),
        ("OPTIONS", "/workflow/run", None),
        ("GET", "/nothing", None),
        ("GET", "/workflow/struck/result", None),
    ],
)
def test_only_the_listed_pages_may_read_responses(
    connect: Connect, method: str, path: str, body: Any
) -> None:
    mock = OutputMock()
    mock.app.api.cors_origins = frozenset({MINE, "https://app.test"})
    mock.fail_next(404, times="always", workflow_id="struck")
    client = connect(mock)
    arguments = [] if body is None else [body]
    for page in (MINE, "https://app.test"):
        answer = client.unchecked(method, path, *arguments, headers={"Origin": page})
        assert (answer.headers[HEADER], answer.headers["vary"]) == (page, "Origin")
        assert "access-control-allow-headers" in answer.headers
    for headers in ({}, {"Origin": "null"}, {"Origin": f"{MINE}0"}, {"Origin": f"{MINE}, https://app.test"}):
        answer = client.unchecked(method, path, *arguments, headers=headers)
        assert HEADER not in answer.headers
        assert "access-control-allow-methods" not in answer.headers
        assert answer.headers["vary"] == "Origin"
