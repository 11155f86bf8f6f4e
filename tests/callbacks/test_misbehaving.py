"""Applications and servers with invalid or endless responses: requests end, and nothing else breaks."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from output_mock import Context, OutputMock
from output_mock.callbacks import network
from output_mock.callbacks.no_answer import NotSent, TookTooLong, TooLarge
from output_mock.callbacks.request import Request
from output_mock.control.callbacks import _described
from output_mock.engine import outgoing
from output_mock.masking import MASK

URL = "https://app.example/review"
START = "http.response.start"
BODY = "http.response.body"


def told(mock: OutputMock, answers: Any = None) -> Any:
    """The error message of a run whose workflow calls the application."""
    mock.workflow("tell").calls_back(URL)
    if answers is not None:
        mock.application("https://app.example", answers)
    made = mock.app.test_client().post("/workflow/run", json={"workflowName": "tell"}).get_json()
    error = made["error"]
    return error["message"] if isinstance(error, dict) else error


def wsgi(*started: Any, body: Any = ()) -> Callable[..., Any]:
    def application(environ: Any, start_response: Any) -> Any:
        start_response(*started)
        return body

    return application


def asgi(*messages: Any) -> Callable[..., Any]:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            for message in messages:
                await send(message)

    return application


@pytest.mark.parametrize(
    "application",
    [
        wsgi("abc", []),
        wsgi("99 Low", []),
        wsgi(200, []),
        wsgi("200 OK", None),
        wsgi("200 OK", [("name", b"value")]),
        wsgi("200 OK", [], body=["text"]),
        wsgi("200 OK", [], body=None),
        asgi(),
        asgi({"type": START}, {"type": BODY}),
        asgi({"type": START, "status": 200, "headers": [("name", "value")]}, {"type": BODY}),
        asgi({"type": START, "status": 200}, {"type": BODY, "body": "text"}),
    ],
)
def test_an_invalid_http_response_is_an_application_error(application: Any) -> None:
    mock = OutputMock()
    assert told(mock, application) == f"POST {URL} 500"
    assert "Traceback" in str(mock.callbacks.one().problem)
    mock.close()


def test_an_asgi_application_can_omit_headers() -> None:
    mock = OutputMock()
    told(mock, asgi({"type": START, "status": 200}, {"type": BODY}))
    assert mock.callbacks.one().status == 200
    mock.close()


class _Ended(BaseException):
    """Like the exception of `pytest.fail`: not an `Exception`."""


@pytest.mark.parametrize("clock", ["auto", "real"])
@pytest.mark.parametrize("error", [SystemExit(3), _Ended("no"), asyncio.CancelledError()])
def test_any_exception_in_the_application_fails_only_the_attempt(clock: Any, error: BaseException) -> None:
    def plain(environ: Any, start_response: Any) -> Any:
        raise error

    async def asynchronous(scope: Any, receive: Any, send: Any) -> None:
        raise error

    async def in_a_task(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.create_task(asynchronous(scope, receive, send))

    for application in (plain, asynchronous, in_a_task):
        mock = OutputMock(clock)
        assert told(mock, application) == f"POST {URL} 500"
        assert told(mock, application) == f"POST {URL} 500"
        assert [callback.status for callback in mock.callbacks] == [500, 500]
        mock.close()


def test_ctrl_c_in_the_application_reaches_the_test_and_ends_the_request() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        raise KeyboardInterrupt

    mock = OutputMock()
    with pytest.raises(KeyboardInterrupt):
        told(mock, application)
    assert [mock.runs[name].status for name in mock.runs] == ["failed"]
    mock.close()


def test_an_application_can_close_the_fake() -> None:
    mock = OutputMock()

    def application(environ: Any, start_response: Any) -> Any:
        mock.close()
        start_response("200 OK", [])
        return []

    mock.workflow("tell").calls_back(URL)
    mock.application("https://app.example", application)
    ended = mock.app.test_client().post("/workflow/run", json={"workflowName": "tell"})
    assert ended.status_code == 410
    mock.close()


def test_secrets_in_requests_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWER", "hidden-value")

    def application(environ: Any, start_response: Any) -> Any:
        raise ValueError(f"unknown reviewer {environ['HTTP_X_REVIEWER']}")

    for problem in (None, application):
        mock = OutputMock()

        @mock.workflow("ask")
        async def ask(ctx: Context, input: Any) -> Any:
            await ctx.send_http_request(f"{URL}?token=hidden-value", headers={"X-Reviewer": "$REVIEWER"})

        if problem is not None:
            mock.application("https://app.example", problem)
        mock.app.test_client().post("/workflow/run", json={"workflowName": "ask"})
        asked = mock.callbacks.one()
        assert dict(asked.headers)["x-reviewer"] == "hidden-value"
        shown = [str(asked), asked.problem, asked.unmatched_reason, str(_described(asked))]
        assert "hidden-value" not in str(shown)
        assert MASK in str(asked.problem if problem else asked.unmatched_reason)
        mock.close()


def test_an_endless_response_is_cut_off() -> None:
    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": START, "status": 200})
            while True:
                await send({"type": BODY, "body": b"x" * 65536, "more_body": True})

    for application in (wsgi("200 OK", [], body=itertools.repeat(b"x" * 65536)), endless):
        mock = OutputMock()
        assert told(mock, application) == f"POST {URL} SocketError: other side closed"
        assert mock.callbacks.one().problem == (
            "SocketError: other side closed (the answer is larger than 16 MiB)"
        )
        mock.close()


def test_a_thread_of_the_application_can_wait_for_the_clock(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such a thread has no context variables, so the fake cannot tell that it belongs to the request."""
    monkeypatch.setattr(outgoing, "LOOK_INSIDE", 0.05)
    monkeypatch.setattr(outgoing, "LOOK_OUTSIDE", 0.05)
    mock = OutputMock()

    @mock.workflow("slow")
    async def slow(ctx: Context, input: Any) -> Any:
        return await ctx.step("think", takes="10s", returns="thought")

    def application(environ: Any, start_response: Any) -> Any:
        def work() -> Any:
            client = mock.app.test_client()
            done = client.post("/workflow/run", json={"workflowName": "slow"}).get_json()["output"]
            mock.clock.advance("1s")
            return done

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(work).result(20) == "thought"
        mock.signal(mock.callbacks.so_far[0].workflow_id, "resume", {})
        start_response("200 OK", [])
        return []

    assert told(mock, application) is None
    assert "contextvars.copy_context().run" in caplog.text
    mock.close()


def test_applications_that_wait_for_the_fake_do_not_exhaust_its_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outgoing, "MOST_THREADS", 2)
    mock = OutputMock("real")
    both = threading.Barrier(2)

    def run(input: str) -> Any:
        body = {"workflowName": "ask", "input": input}
        return mock.app.test_client().post("/workflow/run", json=body).get_json()["output"]

    def application(environ: Any, start_response: Any) -> Any:
        asked = mock.callbacks.so_far
        question = next(one for one in asked if one.body == environ["wsgi.input"].getvalue())
        if question.payload != "inner":
            both.wait(10)
            assert run("inner") == "done"
        mock.signal(question.workflow_id, "resume", "done")
        start_response("200 OK", [])
        return []

    mock.workflow("ask").calls_back(URL)
    mock.application("https://app.example", application)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, ["first", "second"])) == ["done", "done"]
    mock.close()


@contextmanager
def server(sent: bytes, *, repeats: bool = False) -> Iterator[int]:
    """The port of a server on loopback that sends these bytes, once or endlessly."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            listening.settimeout(10)
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(10)
                connection.recv(65536)
                try:
                    connection.sendall(sent)
                    while repeats:
                        connection.sendall(sent)
                except OSError:
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(20)
        assert not thread.is_alive()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("sent", "repeats", "error"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", True, TookTooLong),
        (OK + b"\r\n" + b"x" * 65536, True, TooLarge),
        (OK + b"content-encoding: gzip\r\n\r\n" + gzip.compress(bytes(17 << 20), 1), False, TooLarge),
        (OK + b"content-encoding: gzip\r\n\r\nno", False, NotSent),
        (OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n", False, NotSent),
        (b"\r\n\r\n", False, NotSent),
    ],
)
def test_a_server_can_neither_stall_a_request_nor_fill_the_memory(
    sent: bytes, repeats: bool, error: type[Exception]
) -> None:
    with server(sent, repeats=repeats) as port:
        request = Request("GET", f"http://127.0.0.1:{port}/", (), b"")
        with pytest.raises(error):
            network.send(request, (), 0.3 if error is TookTooLong else 20)


def test_port_0_is_not_the_default_port() -> None:
    assert Request("GET", "http://localhost:0/", (), b"").port == 0
    assert Request("GET", "https://user:word@localhost/", (), b"").host == "localhost"
