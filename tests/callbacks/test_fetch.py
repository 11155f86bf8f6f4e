"""Requests that workflows send, and their responses, behave as with `fetch` in the real SDK.

The expected values were measured with sdk/core 0.11.0 and Node, against a local server.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask, request

from output_mock.callbacks.request import normal
from output_mock.callbacks.sending import Callbacks, Sender, Sent
from output_mock.durations import SECOND

SENDER = Sender("post-1", "run-1", 1, 0)


class Server:
    """A server that responds according to the path, and records its requests."""

    def __init__(self) -> None:
        seen = self.seen = []  # type: list[tuple[str, list[tuple[str, str]], bytes]]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                seen.append((self.requestline, list(self.headers.items()), body))
                kind, _, number = self.path.strip("/").partition("/")
                status = int(number) if kind in ("status", "redirect") else 200
                sent = {"badjson": b"{x}", "text": b"words"}.get(kind, b'{"a": 1}\n')
                self.send_response(status)
                if kind == "redirect":
                    self.send_header("Location", "/ok")
                if kind == "loop":
                    self.send_header("Location", "/loop")
                self.send_header("Content-Type", "text/plain" if kind == "text" else "application/json")
                self.send_header("Set-Cookie", "a=b")
                self.send_header("X-Csrf-Token", "shown")
                sent = b"" if status in (204, 304) or kind in ("redirect", "loop") else sent
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(sent)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815

            def send_response(self, code: int, message: str | None = None) -> None:
                super().send_response(302 if self.path == "/loop" else code, message)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def callbacks() -> Iterator[Callbacks]:
    made = Callbacks(environ={"MY_TOKEN": "tok"})
    yield made
    made.close()


def send(callbacks: Callbacks, url: str, method: str = "GET", **options: Any) -> Sent:
    wanted = {"includeHeaders": "include_headers", "includeBody": "include_body"}
    response_options = {name: options.pop(option) for name, option in wanted.items() if option in options}
    given = {"method": method, "url": url, "responseOptions": response_options, **options}
    return callbacks.send(SENDER, given)


def words(sent: Sent) -> tuple[str, str]:
    assert sent.failure is not None
    return sent.failure.name, sent.failure.message


def test_headers_and_bodies_match_those_of_fetch(callbacks: Callbacks, server: Server) -> None:
    headers = {"X-Both": "$MY_TOKEN/$MY_TOKEN", "Authorization": "Bearer $MY_TOKEN"}
    send(callbacks, f"{server.url}/ok", "POST", payload={"a": 1, "b": "é"}, headers=headers)
    ((line, sent, body),) = server.seen
    assert line == "POST /ok HTTP/1.1"
    assert body == '{"a":1,"b":"é"}'.encode()
    assert sent == [
        ("host", server.url.removeprefix("http://")),
        ("connection", "keep-alive"),
        ("authorization", "Bearer tok"),
        ("content-type", "application/json; charset=UTF-8"),
        ("x-both", "tok/tok"),
        ("accept", "*/*"),
        ("accept-language", "*"),
        ("sec-fetch-mode", "cors"),
        ("user-agent", "undici"),
        ("accept-encoding", "gzip, deflate"),
        ("content-length", "16"),
    ]


@pytest.mark.parametrize(
    ("method", "payload", "body", "kind", "length"),
    [
        ("PUT", "hello", b"hello", "text/plain; charset=UTF-8", "5"),
        ("PATCH", 5, b"5", "text/plain; charset=UTF-8", "1"),
        ("POST", False, b"false", "text/plain; charset=UTF-8", "5"),
        ("POST", "", b"", "text/plain; charset=UTF-8", "0"),
        ("POST", [1, 2], b"[1,2]", "application/json; charset=UTF-8", "5"),
        ("POST", None, b"", None, "0"),
        ("DELETE", {"x": 1}, b'{"x":1}', "application/json; charset=UTF-8", "7"),
        ("GET", {"x": 1}, b"", None, None),
    ],
)
def test_the_content_type_of_a_request_matches_that_of_the_sdk(
    callbacks: Callbacks, server: Server, method: str, payload: Any, body: bytes, kind: str, length: str
) -> None:
    send(callbacks, f"{server.url}/ok", method, payload=payload)
    ((_, headers, sent),) = server.seen
    told = dict(headers)
    assert (sent, told.get("content-type"), told.get("content-length")) == (body, kind, length)


def test_the_output_of_a_request_step_masks_secret_headers(callbacks: Callbacks, server: Server) -> None:
    url = f"{server.url}/ok"
    short = {"url": url, "status": 200, "statusText": "OK", "ok": True}
    assert send(callbacks, url) == (short, None, 0)
    whole = send(callbacks, url, include_headers=True, include_body=True).output
    assert whole["body"] == {"a": 1}
    assert whole["headers"]["set-cookie"] == "[REDACTED]"
    assert whole["headers"]["x-csrf-token"] == "shown"
    assert send(callbacks, f"{server.url}/text", include_body=True).output["body"] == "words"


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [
        (301, "GET", b""),
        (302, "GET", b""),
        (303, "GET", b""),
        (307, "POST", b'{"a":1}'),
        (308, "POST", b'{"a":1}'),
    ],
)
def test_redirects_are_followed_as_fetch_follows_them(
    callbacks: Callbacks, server: Server, status: int, method: str, body: bytes
) -> None:
    sent = send(callbacks, f"{server.url}/redirect/{status}", "POST", payload={"a": 1})
    assert sent.output["url"] == f"{server.url}/ok"
    line, headers, received = server.seen[1]
    assert (line, received) == (f"{method} /ok HTTP/1.1", body)
    assert ("content-type" in dict(headers)) == bool(body)


@pytest.mark.parametrize("status", [304, 400, 404, 500, 503])
def test_an_error_status_is_a_fatal_error(callbacks: Callbacks, server: Server, status: int) -> None:
    url = f"{server.url}/status/{status}"
    assert words(send(callbacks, url, "POST")) == ("FatalError", f"POST {url} {status}")


def test_failure_messages_match_those_of_node(callbacks: Callbacks, server: Server) -> None:
    bad = send(callbacks, f"{server.url}/badjson", include_body=True)
    assert words(bad) == (
        "SyntaxError",
        "Expected property name or '}' in JSON at position 1 (line 1 column 2)",
    )
    loop = send(callbacks, f"{server.url}/loop")
    assert words(loop) == ("FatalError", f"GET {server.url}/loop Error: redirect count exceeded")
    assert len(server.seen) == 22
    missing = send(callbacks, server.url, headers={"A": "$NOPE"})
    assert words(missing) == ("FatalError", 'Missing environment variable "NOPE" while hydrating headers.')
    assert words(send(callbacks, server.url, headers={"A b": "x"}))[0] == "TypeError"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        refused = send(callbacks, f"http://127.0.0.1:{port}/x")
    assert words(refused)[1].endswith(f" Error: connect ECONNREFUSED 127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("http://h/é ü?q=ö", "http://h/%C3%A9%20%C3%BC?q=%C3%B6"),
        ("http://h/a/../b/./c", "http://h/b/c"),
        ("http://h", "http://h/"),
        ("http://H:80/x#frag", "http://h/x"),
        ("https://h:443/a%20b?x=%41", "https://h/a%20b?x=%41"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
    ],
)
def test_urls_are_normalised_as_by_fetch(written: str, sent: str) -> None:
    assert normal(written) == sent


# Forbidden hosts


HOSTS = ["app.example", "example.com", "8.8.8.8", "10.0.0.1", "[2001:db8::1]", "localhost.example", "0.0.0.0"]


@pytest.mark.parametrize("host", HOSTS)
def test_other_hosts_are_neither_resolved_nor_connected_to(
    callbacks: Callbacks, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"it was tried: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setattr(socket, "create_connection", never)
    monkeypatch.setattr(socket.socket, "connect", never)
    sent = send(callbacks, f"https://{host}/hook", "POST")
    assert words(sent)[1].startswith(f"POST https://{host}/hook Error: connect ECONNREFUSED ")
    (callback,) = callbacks.sent
    assert callback.unmatched_reason is not None
    assert "--callback-host" in callback.unmatched_reason


def test_a_redirect_to_a_host_that_is_not_allowed_is_not_followed(
    callbacks: Callbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    callbacks.respond("http://127.0.0.1/a", status=307, headers={"Location": "http://evil.example/steal"})
    sent = send(callbacks, "http://127.0.0.1/a", "POST", headers={"Authorization": "Basic $MY_TOKEN"})
    assert words(sent)[1] == "POST http://127.0.0.1/a Error: connect ECONNREFUSED 127.0.0.1:80"


def test_a_redirect_to_another_origin_drops_the_token(callbacks: Callbacks, server: Server) -> None:
    callbacks.respond("https://app.example/a", status=307, headers={"Location": f"{server.url}/ok"})
    send(callbacks, "https://app.example/a", "POST", headers={"Authorization": "Basic $MY_TOKEN"})
    ((_, headers, _),) = server.seen
    assert "authorization" not in dict(headers)


# Applications and scripted responses


def test_a_flask_application_is_called_without_a_socket(callbacks: Callbacks) -> None:
    app = Flask("app")

    @app.post("/hook/<name>")
    def hook(name: str) -> Any:
        return {"name": name, "json": request.json, "host": request.host, "root": request.script_root}

    callbacks.application("https://app.example/base", app)
    sent = send(callbacks, "https://app.example/base/hook/a%20b", "POST", payload={"n": 1}, include_body=True)
    assert sent.output["body"] == {"name": "a b", "json": {"n": 1}, "host": "app.example", "root": "/base"}
    assert words(send(callbacks, "https://app.example/based"))[1].endswith("ECONNREFUSED 127.0.0.1:443")


def test_an_exception_in_an_application_is_a_500_and_its_traceback_is_kept(callbacks: Callbacks) -> None:
    def broken(environ: Any, start_response: Any) -> Any:
        raise ValueError("the application is broken")

    async def broken_too(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("the application is broken")

    for application in (broken, broken_too):
        callbacks.application("https://app.example", application)
        sent = send(callbacks, "https://app.example/x", "POST")
        assert words(sent) == ("FatalError", "POST https://app.example/x 500")
        problem = callbacks.sent[-1].problem
        assert problem is not None
        assert "ValueError: the application is broken" in problem
        assert "in broken" in problem


def test_an_asgi_application_is_started_and_shut_down() -> None:
    told: list[str] = []
    both_are_there = asyncio.Event()
    under_way = 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal under_way
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                told.append(message["type"])
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        under_way += 1
        if under_way == 2:
            both_are_there.set()
        await both_are_there.wait()
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        await send({"type": "http.response.body", "body": body[1:]})

    callbacks = Callbacks()
    callbacks.application("https://app.example", application)
    results: list[Sent] = []

    def post() -> None:
        results.append(send(callbacks, "https://app.example/x", "POST", payload=[1], include_headers=True))

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [sent.output["headers"] for sent in results] == [{"x-a": "1"}] * 2
    assert told == ["lifespan.startup"]
    callbacks.close()
    assert told == ["lifespan.startup", "lifespan.shutdown"]


def test_an_application_that_is_neither_wsgi_nor_asgi_is_refused(callbacks: Callbacks) -> None:
    with pytest.raises(TypeError, match="an application must be a WSGI or ASGI callable, not 5"):
        callbacks.application("https://app.example", 5)  # type: ignore[arg-type]


def test_scripted_responses_are_used_in_order_and_the_unlimited_one_last(callbacks: Callbacks) -> None:
    url = "https://app.example/review"
    callbacks.respond(url, json={"ok": True})
    callbacks.respond(url, status=500, times=2)
    callbacks.respond(url, status=503, times=1, method="POST")
    outcomes = [send(callbacks, f"{url}?try={n}", "POST", include_body=True) for n in range(5)]
    assert [words(sent)[1][-3:] for sent in outcomes[:3]] == ["500", "500", "503"]
    assert [sent.output["body"] for sent in outcomes[3:]] == [{"ok": True}] * 2
    assert [one.status for one in callbacks(url)] == [500, 500, 503, 200, 200]


def test_a_response_after_30_virtual_seconds_is_a_timeout(callbacks: Callbacks) -> None:
    callbacks.respond("https://app.example/slow*", after="29s", times=1)
    callbacks.respond("https://app.example/slow*", after="31s", times=1)
    callbacks.respond("https://app.example/slow*", fails="timeout", times=1)
    callbacks.respond("https://app.example/slow*", fails="reset")
    slow, *late, cut = [send(callbacks, "https://app.example/slow/1") for _ in range(4)]
    assert (slow.failure, slow.takes) == (None, 29 * SECOND)
    for sent in late:
        assert words(sent)[1] == "GET https://app.example/slow/1 The operation was aborted due to timeout"
        assert sent.takes == 30 * SECOND
    assert words(cut)[1] == "GET https://app.example/slow/1 SocketError: other side closed"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "app.example"}, "is not a URL"),
        ({"method": "TRACE"}, "workflows send GET"),
        ({"status": 99}, "is not the status"),
        ({"times": 0}, "times must be a number"),
        ({"fails": "sometimes"}, "fails must be one of refused, reset, unknown_host, timeout"),
        ({"json": 1, "body": "x"}, "json or body"),
    ],
)
def test_an_invalid_scripted_response_is_refused(
    callbacks: Callbacks, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        callbacks.respond(**{"url": "https://app.example", **options})


def test_requests_are_recorded_and_a_missing_one_names_the_nearest_url(callbacks: Callbacks) -> None:
    callbacks.respond("https://app.example/review")
    payload = {"workflowId": "post-1", "payload": {"n": 1}}
    send(callbacks, "https://app.example/review?a=1", "POST", payload=payload)
    send(callbacks, "https://app.example/reveiw", "POST")
    first = callbacks("https://app.example/review", method="POST", workflow_id="post-1").one()
    assert (first.json, first.payload) == (payload, {"n": 1})
    assert len(callbacks("https://app.example/*")) == len(callbacks) == 2
    reason = callbacks.sent[1].unmatched_reason
    assert reason is not None
    assert reason.startswith(
        "nothing is at https://app.example/reveiw; the nearest is https://app.example/review."
    )
    with pytest.raises(AssertionError, match="there are 2\n  #1 post-1: POST"):
        callbacks.one()
    assert json.loads(callbacks.sent[0].body) == payload
