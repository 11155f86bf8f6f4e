"""A scenario is sent as it is written, and each response is recorded as received."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from output_mock.recording.comparison import differences
from output_mock.recording.files import text_of
from output_mock.recording.player import NobodyThere, Player
from output_mock.recording.scenario import ScenarioError
from output_mock.recording.transport import Reply, SocketTransport
from tests.recording.answering import (
    JSON,
    STREAM,
    Answering,
    CountedPace,
    Sent,
    json_reply,
    played,
    reply,
    scenario,
)

GET = {"request": "GET /x"}


# --- requests --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "body", "content_type"),
    [
        ({}, None, None),
        ({"json": {"a": "{{name}}"}}, b'{"a": "ana"}', "application/json"),
        ({"json": None}, b"null", "application/json"),
        ({"text": "<{{name}}{{!name}}>"}, b"<ana{{name}}>", None),
        ({"text": ""}, b"", None),
        ({"base64": "/wA="}, b"\xff\x00", None),
        (
            {"repeat": {"text": "ab", "times": 3, "before": "<", "after": ">"}},
            b"<ababab>",
            "application/json",
        ),
        ({"text": "x", "headers": {"content-type": "text/x"}}, b"x", None),
    ],
)
def test_a_body_is_sent_as_it_is_written(step: Any, body: bytes | None, content_type: str | None) -> None:
    transport = Answering(lambda sent: json_reply({}))
    played(transport, {"request": "POST /x", **step}, variables={"name": "ana"})
    (sent,) = transport.sent
    assert (sent.body, sent.headers.get("Content-Type")) == (body, content_type)


@pytest.mark.parametrize(
    ("step", "authorization"),
    [
        ({}, "Basic s3cret"),
        ({"token": False}, None),
        ({"headers": {"authorization": "Basic wrong"}}, "Basic wrong"),
        ({"headers": {"authorization": "{{token}}"}}, "s3cret"),
    ],
)
def test_the_token_is_sent_unless_a_step_disables_it(step: Any, authorization: str | None) -> None:
    transport = Answering(lambda sent: json_reply({}))
    played(transport, {**GET, **step}, token="s3cret")
    (sent,) = transport.sent
    assert {name.lower(): value for name, value in sent.headers.items()}.get("authorization") == authorization


def test_a_value_saved_from_a_response_is_used_in_the_next_request() -> None:
    transport = Answering(
        lambda sent: reply(200, [*JSON, ("ETag", "e1")], b'{"runs": [{"id": "a/b"}]}'),
        lambda sent: json_reply({}),
    )
    first = {**GET, "save": {"id": "runs.0.id", "tag": {"header": "etag"}}}
    played(transport, first, {"request": "GET /{{id}}", "headers": {"If-None-Match": "{{tag}}"}})
    assert transport.sent[1].target == "/a%2Fb"
    assert transport.sent[1].headers == {"If-None-Match": "e1"}


def test_an_external_variable_overrides_that_of_the_scenario() -> None:
    transport = Answering(lambda sent: json_reply({}))
    wanted = scenario({"request": "GET /{{catalog}}/{{limit}}"}, variables={"catalog": "main", "limit": 1})
    list(Player(transport, variables={"catalog": "remote"}).play(wanted))
    assert transport.sent[0].target == "/remote/1"


def test_a_nonce_differs_each_time_and_is_masked_by_its_name() -> None:
    transport = Answering(lambda sent: json_reply({"echo": sent.target}))
    step = {"request": "GET /order-{{nonce}}"}
    (first,), (second,) = played(transport, step), played(transport, step)
    assert transport.sent[0].target != transport.sent[1].target
    assert first.answer["json"] == second.answer["json"] == {"echo": "/order-{{nonce}}"}


def test_a_request_with_a_missing_variable_is_not_sent() -> None:
    transport = Answering(lambda sent: json_reply({"error": "no"}, 424))
    started, status = played(transport, {**GET, "save": {"id": "workflowId"}}, {"request": "GET /{{id}}"})
    assert started.unsaved == ("id",)
    assert status.answer == {"skipped": "{{id}} has no value"}
    assert len(transport.sent) == 1


@pytest.mark.parametrize("step", [{"request": "GET /{{id}}"}, {"request": "POST /x", "text": "{{id}}"}])
def test_a_lone_surrogate_from_a_response_is_not_sent_but_reported(step: Any) -> None:
    transport = Answering(lambda sent: json_reply({"id": "\ud800"}))
    _, second = played(transport, {**GET, "save": {"id": "id"}}, step)
    assert second.answer == {"skipped": "half of a character cannot be sent"}
    assert len(transport.sent) == 1


@pytest.mark.parametrize("control", ["\x1b[2J", "\u009b2J", "\u202e"])
def test_control_characters_in_a_connection_error_are_escaped(control: str) -> None:
    (one,) = played(Answering(http.client.BadStatusLine(control + "x" * 100_000)), GET)
    assert one.answer["broken_off"].isprintable()
    assert len(one.answer["broken_off"]) < 1000


def test_null_in_a_response_does_not_change_the_variable() -> None:
    transport = Answering(
        lambda sent: json_reply({"token": "t1"}),
        lambda sent: json_reply({"token": None}),
        lambda sent: json_reply({}),
    )
    save = {**GET, "save": {"token_": "token"}}
    results = played(transport, save, save, {"request": "GET /{{token_}}"})
    assert transport.sent[2].target == "/t1"
    assert [one.unsaved for one in results] == [(), (), ()]


def test_a_header_that_cannot_be_sent_is_recorded_as_a_problem() -> None:
    step = {**GET, "headers": {"X": "{{bad}}"}}
    with listening(Silent) as url:
        for bad in ("a\r\nb", "\u2028", "\ud800"):
            (one,) = played(SocketTransport(url), step, variables={"bad": bad})
            assert one.answer["broken_off"].startswith("the request cannot be sent: ")


# --- waiting ---------------------------------------------------------------------------------------------


def test_until_repeats_the_request_until_one_of_the_values_comes() -> None:
    transport = Answering(
        lambda sent: json_reply({"status": "running"}),
        lambda sent: reply(500, [], b"not yet"),
        lambda sent: json_reply({"status": "failed"}),
    )
    (one,) = played(transport, {**GET, "until": {"status": ["completed", "failed"]}})
    assert one.answer["json"] == {"status": "failed"}
    assert "not_reached" not in one.answer
    assert len(transport.sent) == 3


def test_until_gives_up_at_its_timeout_and_keeps_the_last_response() -> None:
    transport = Answering(lambda sent: json_reply({"status": "running"}))
    (one,) = played(transport, {**GET, "until": {"status": "completed"}, "within": "2s", "every": "500ms"})
    assert one.answer["not_reached"] is True
    assert one.answer["json"] == {"status": "running"}
    assert len(transport.sent) == 5


def test_all_awaited_values_must_come_in_one_response() -> None:
    transport = Answering(
        lambda sent: json_reply({"a": 1, "b": 1}), lambda sent: json_reply({"a": 1, "b": 2})
    )
    (one,) = played(transport, {**GET, "until": {"a": 1, "b": 2}})
    assert one.answer["json"] == {"a": 1, "b": 2}


def test_a_wait_takes_its_time_and_sends_nothing() -> None:
    pace, transport = CountedPace(), Answering(lambda sent: json_reply({}))
    assert list(Player(transport, pace=pace).play(scenario({"wait": "1m30s"}, {"wait": 0.5}))) == []
    assert (pace.passed, transport.sent) == (90.5, [])


def test_a_manual_step_is_announced_with_the_variables() -> None:
    asked: list[Any] = []

    def by_hand(words: str, variables: Mapping[str, Any]) -> None:
        asked.append((words, variables["id"]))

    transport = Answering(lambda sent: json_reply({"workflowId": "w1"}))
    played(transport, {**GET, "save": {"id": "workflowId"}}, {"by_hand": "stop the worker"}, by_hand=by_hand)
    assert asked == [("stop the worker", "w1")]


def test_a_manual_step_needs_somebody_to_do_it() -> None:
    with pytest.raises(NobodyThere, match="stop the worker"):
        played(Answering(ConnectionRefusedError()), {"by_hand": "stop the worker"})


# --- answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "x"), "the connection was refused"),
        (ConnectionResetError(104, "x"), "the connection was closed"),
        (http.client.RemoteDisconnected("x"), "the connection was closed"),
        (TimeoutError("x"), "the answer took too long"),
        (http.client.BadStatusLine("x"), "BadStatusLine: x"),
    ],
)
def test_the_reason_for_a_missing_response_is_recorded(error: Exception, words: str) -> None:
    (one,) = played(Answering(error), GET)
    assert one.answer == {"broken_off": words}


def test_data_received_before_the_connection_closed_is_kept() -> None:
    (one,) = played(Answering(lambda sent: reply(200, [], b"abc", http.client.IncompleteRead(b""))), GET)
    assert one.answer == {
        "status": 200,
        "headers": {},
        "text": "abc",
        "broken_off": "the connection was closed",
    }


@pytest.mark.parametrize(
    ("headers", "body", "kept"),
    [
        (JSON, b'{"a": 1}', {"json": {"a": 1}}),
        (JSON, b"", {"text": ""}),
        (JSON, b"null", {"json": None}),
        (JSON, b"{bad", {"text": "{bad"}),
        (JSON, b'{"a": NaN}', {"text": '{"a": NaN}'}),
        (JSON, b"[1e999]", {"text": "[1e999]"}),
        (JSON, b"[12345678901234567890, 1.50]", {"json": [12345678901234567890, 1.5]}),
        (JSON, b'["\\ud800"]', {"json": ["\ud800"]}),
        (JSON, b"[" * 100_000 + b"]" * 100_000, {"text": "[" * 100_000 + "]" * 100_000}),
        ([], b"\xff", {"base64": "/w=="}),
        (STREAM, b"data: {bad\n\n", {"stream": [{"data": "{bad"}]}),
        ([], b"{}", {"text": "{}"}),
        (
            STREAM,
            b'id: 3\nevent: history\ndata: [1]\n\n: keepalive\n\nevent: done\ndata: {"reason": "x"}\n\n',
            {
                "stream": [
                    {"id": "3", "event": "history", "data": [1]},
                    {"comment": "keepalive"},
                    {"event": "done", "data": {"reason": "x"}},
                ]
            },
        ),
    ],
)
def test_a_body_is_recorded_according_to_its_type(headers: Any, body: bytes, kept: dict[str, Any]) -> None:
    (one,) = played(Answering(lambda sent: reply(200, headers, body)), GET)
    assert {name: value for name, value in one.answer.items() if name not in ("status", "headers")} == kept


def test_headers_keep_their_order_and_repeated_values() -> None:
    headers = [("B", "1"), ("Date", "now"), ("A", "2"), ("b", "3")]
    (one,) = played(Answering(lambda sent: reply(200, headers)), GET)
    assert list(one.answer["headers"].items()) == [("b", ["1", "3"]), ("a", "2")]


FRAMES = [b"event: a\ndata: 1\n\n: x\n\n", b"event: b\ndata: 2\n\nevent: c\n", b"data: 3\n\n"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_stream_is_read_up_to_the_given_number_of_frames(count: int) -> None:
    for pieces in (FRAMES, [b"".join(FRAMES)], [bytes([byte]) for byte in b"".join(FRAMES)]):
        transport = Answering(
            lambda sent, pieces=pieces: reply(200, STREAM, *pieces, AssertionError("it is read on"))
        )
        (one,) = played(transport, {**GET, "read": {"frames": count}})
        assert [frame["event"] for frame in one.answer["stream"] if "event" in frame] == list("abc"[:count])


@pytest.mark.parametrize(
    "stream",
    [
        b"\n\nevent: a\n\nevent: b\n\n",
        b"retry: 3\n\nevent: a\n\n",
        b"event: a\r\ndata: 1\r\n\r\nevent: b\r\n\r\n",
    ],
    ids=["blank lines", "only a retry", "other line ends"],
)
def test_unusual_frames_do_not_affect_when_reading_stops(stream: bytes) -> None:
    for pieces in ([stream], [bytes([byte]) for byte in stream]):
        (one,) = played(
            Answering(lambda sent, pieces=pieces: reply(200, STREAM, *pieces)), {**GET, "read": {"frames": 1}}
        )
        assert [frame.get("event") for frame in one.answer["stream"]] == ["a"]


def test_a_stream_that_ends_early_is_not_a_mistake() -> None:
    (one,) = played(Answering(lambda sent: reply(200, STREAM, *FRAMES)), {**GET, "read": {"frames": 9}})
    assert "broken_off" not in one.answer
    assert len(one.answer["stream"]) == 4


def test_a_stream_is_read_for_the_given_seconds() -> None:
    transport = Answering(lambda sent: reply(200, STREAM, FRAMES[0], TimeoutError()))
    (one,) = played(transport, {**GET, "read": {"seconds": 7}})
    assert transport.sent[0].timeout == 7
    assert "broken_off" not in one.answer
    assert one.answer["stream"] == [{"event": "a", "data": 1}, {"comment": "x"}]


# --- over a socket ---------------------------------------------------------------------------------------


class Silent(BaseHTTPRequestHandler):
    """A request handler that does not log."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server with this request handler."""
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_redirect_is_recorded_and_not_followed() -> None:
    asked: list[str] = []

    class Elsewhere(Silent):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

    with listening(Elsewhere) as elsewhere:

        class Redirecting(Silent):
            def do_GET(self) -> None:
                self.send_response(302)
                self.send_header("Location", f"{elsewhere}/there")
                self.send_header("Content-Length", "0")
                self.end_headers()

        with listening(Redirecting) as url:
            (one,) = played(SocketTransport(url), GET)
    assert one.answer["status"] == 302
    assert one.answer["headers"]["location"] == f"{elsewhere}/there"
    assert asked == []


def test_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with listening(Silent) as url:
        (one,) = played(SocketTransport(url), GET)
    assert one.answer["status"] == 200


def test_a_path_is_sent_as_it_is_written() -> None:
    seen: list[str] = []

    class Seeing(Silent):
        def do_GET(self) -> None:
            seen.append(self.path)
            super().do_GET()

    with listening(Seeing) as url:
        played(SocketTransport(url), {"request": "GET /a/../b//c%2f?x=%zz&y"})
    assert seen == ["/a/../b//c%2f?x=%zz&y"]


def test_lone_surrogates_can_be_written_and_shown() -> None:
    body = b'{"\\udc00": "\\ud800"}'
    (one,) = played(Answering(lambda sent: reply(200, JSON, body)), GET)
    recording = scenario(GET).with_answers({0: one.answer}, {"api": "0.11"})
    assert json.loads(text_of(recording).encode()) == recording.json()
    (difference,) = differences({**one.answer, "json": {"\udc00": "x"}}, one.answer)
    assert str(difference).encode().endswith(rb'recorded "x", got "\ud800"')


def test_the_response_to_a_background_request_comes_after_the_others() -> None:
    released = threading.Event()

    def slow(sent: Sent) -> Reply:
        assert released.wait(60)
        return json_reply({"slow": True})

    def fast(sent: Sent) -> Reply:
        released.set()
        return json_reply({"fast": True})

    class Both(Answering):
        def send(self, method: str, path: str, *rest: Any) -> Reply:
            return (slow if path == "/slow" else fast)(Sent(method, path, {}, None, 0.0))

    answers = played(Both(fast), {"request": "GET /slow", "meanwhile": True}, {"request": "GET /fast"})
    assert [(one.number, one.answer["json"]) for one in answers] == [(1, {"fast": True}), (0, {"slow": True})]


def test_a_background_request_cannot_save_variables() -> None:
    with pytest.raises(ScenarioError, match="step 1, save: the answer comes after all other steps"):
        scenario({"request": "GET /slow", "meanwhile": True, "save": {"id": "workflowId"}})
