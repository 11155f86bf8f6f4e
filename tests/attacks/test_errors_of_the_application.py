"""An internal error of the application is a logged 500; no connection is dropped silently."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from output_mock import OutputMock
from output_mock.http.faults import Dropped
from output_mock.patience import TimedOut
from output_mock.server import running
from tests.attacks.raw import send
from tests.client import Client

FULL = OSError(28, "No space left on device")
LATE = OverflowError("timestamp out of range for platform time_t")


class Application:
    """Returns the given response, or raises the given error."""

    def __init__(self, body: Callable[[], Iterator[bytes]], error: Exception | None = None) -> None:
        self._body, self._error = body, error

    def wake_all_waiters(self) -> None:
        pass

    def __call__(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        if self._error is not None:
            raise self._error
        start_response("200 OK", [])
        return self._body()


def failing(*pieces: bytes, error: Exception) -> Callable[[], Iterator[bytes]]:
    def body() -> Iterator[bytes]:
        yield from pieces
        raise error

    return body


@pytest.mark.parametrize(
    "error", [FULL, PermissionError(13, "Permission denied"), TimeoutError("late"), LATE]
)
@pytest.mark.parametrize("within", ["the call", "the body"])
def test_an_internal_error_is_a_logged_500(
    caplog: pytest.LogCaptureFixture, error: Exception, within: str
) -> None:
    application = Application(failing(error=error), error if within == "the call" else None)
    with running(application) as url, caplog.at_level(logging.ERROR):
        answer = send(url, "GET /x", "Host: localhost")
        assert answer.status == 500
        assert send(url, "GET /x", "Host: localhost").status == 500
    assert "Exception while serving /x" in caplog.text
    assert str(error) in caplog.text


def test_an_error_in_the_middle_of_a_stream_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with running(Application(failing(b"one", error=FULL))) as url, caplog.at_level(logging.ERROR):
        assert b"one" in send(url, "GET /x", "Host: localhost").body
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize("error", [Dropped(), TimedOut("late")])
def test_a_connection_that_a_fault_closes_is_not_logged_as_an_error(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    with (
        running(Application(failing(error=error), error)) as url,
        pytest.raises((ConnectionError, IndexError)),
    ):
        send(url, "GET /x", "Host: localhost")
    assert caplog.text == ""


@pytest.mark.parametrize(
    "body",
    [
        "input[{}]=1",
        "{}=1",
        "input[a][{}][]=1",
        "input[{}][{}]=1",
        "workflowName[{}]=x",
        "input[%D9%A3]=1",
        "input[01]=1&input[1]=2&input[99]=3&input[100]=4",
    ],
)
def test_a_form_with_a_key_of_5000_digits_is_refused(client: Client, body: str) -> None:
    answer = client.post(
        "/workflow/run",
        data=body.replace("{}", "9" * 5000),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status, answer.json["error"]) == (400, "ValidationError")


def test_a_key_of_5000_digits_is_not_a_list_index(mock: OutputMock, client: Client) -> None:
    mock.workflow("echo").returns(lambda given: given)
    digits = "9" * 5000
    answer = client.post(
        "/workflow/run",
        data=f"workflowName=echo&input[{digits}]=1&input[0]=2",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.json["output"] == {digits: "1", "0": "2"}
