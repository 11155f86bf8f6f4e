"""`output-mock verify` reports in one line which proxy fault makes checks fail."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import brotli
import pytest
from click.testing import CliRunner, Result

from output_contract import causes, evidence
from output_contract.exchange import RecordedExchange
from output_contract.pack import script
from output_contract.verdict import Outcome, Verdict
from output_mock import OutputMock
from output_mock.cli.verify import verify
from tests.conformance.fronts import Front, Passing, in_front_of

Ask = Callable[[], None]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A served fake with the pack."""
    mock = OutputMock("real", scripts=[script])
    try:
        with mock.serve() as url:
            yield url
    finally:
        mock.close()


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(
        verify, list(arguments), env={"OUTPUT_API_AUTH_TOKEN": ""}, catch_exceptions=False
    )


def reported(folder: Path, url: str, *only: str, patience: float = 20) -> dict[str, Any]:
    """The verdict on a server, as `verdict.json` has it."""
    areas = [word for area in only for word in ("--only", area)]
    run(url, *areas, "--examples", "3", "--patience", str(patience), "--report", str(folder))
    verdict: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return verdict


# --- proxies ----------------------------------------------------------------------------------------------


def strips_request_ids(passing: Passing, ask: Ask) -> None:
    ask()
    passing.answer_without("x-request-id")


def strips_retry_after(passing: Passing, ask: Ask) -> None:
    ask()
    passing.answer_without("retry-after")


def _compressing(coding: str, compress: Callable[[bytes], bytes]) -> Front:
    def front(passing: Passing, ask: Ask) -> None:
        ask()
        passing.pieces = iter((compress(passing.whole()),))
        passing.answer_headers.append(("Content-Encoding", coding))

    return front


def adds_cors(passing: Passing, ask: Ask) -> None:
    ask()
    if passing.path.startswith("/health"):
        passing.answer_headers.append(("Access-Control-Allow-Origin", "*"))


def doubles_cors(passing: Passing, ask: Ask) -> None:
    ask()
    if not passing.path.startswith(("/health", "/ready")):
        passing.answer_headers.append(("Access-Control-Allow-Origin", "*"))


def drops_the_charset(passing: Passing, ask: Ask) -> None:
    ask()
    passing.answer_headers = [
        (name, value.replace("; charset=utf-8", "")) for name, value in passing.answer_headers
    ]


def takes_small_bodies(passing: Passing, ask: Ask) -> None:
    if len(passing.body) > 1024 * 1024:
        passing.say(413, "<html><head><title>413 Request Entity Too Large</title></head></html>")
    else:
        ask()


def knows_no_patch(passing: Passing, ask: Ask) -> None:
    if passing.method == "PATCH":
        passing.say(405, "<html><h1>no</h1></html>")
    else:
        ask()


def has_error_pages(passing: Passing, ask: Ask) -> None:
    ask()
    if passing.status == 404:
        passing.say(404, "<!DOCTYPE html><title>Not here</title>")


def loses_the_upstream(passing: Passing, ask: Ask) -> None:
    if passing.path.endswith("/query/getProgress") or "/signal/" in passing.path:
        passing.say(502, "Bad Gateway", "text/plain")
    else:
        ask()


def decodes_slashes(passing: Passing, ask: Ask) -> None:
    passing.path = passing.path.replace("%2F", "/")
    ask()


def decodes_twice(passing: Passing, ask: Ask) -> None:
    passing.path = passing.path.replace("%", "%25")
    ask()


def refuses_slashes(passing: Passing, ask: Ask) -> None:
    if "%2F" in passing.path:
        passing.say(404, "<html><title>404 Not Found</title></html>")
    else:
        ask()


def strips_etags(passing: Passing, ask: Ask) -> None:
    ask()
    passing.answer_without("etag")


def strips_stream_headers(passing: Passing, ask: Ask) -> None:
    ask()
    passing.answer_without("x-accel-buffering")


def forwards_no_last_event_id(passing: Passing, ask: Ask) -> None:
    passing.without("last-event-id")
    ask()


def forwards_no_validators(passing: Passing, ask: Ask) -> None:
    passing.without("if-none-match")
    ask()


def forwards_no_content_type(passing: Passing, ask: Ask) -> None:
    passing.without("content-type")
    ask()


def knows_no_head(passing: Passing, ask: Ask) -> None:
    if passing.method == "HEAD":
        passing.say(405, "")
    else:
        ask()


def caches_silently(passing: Passing, ask: Ask) -> None:
    ask()
    if passing.path.startswith("/workflow/runs?limit=0"):
        passing.answer_without("x-request-id")
        passing.answer_headers.append(("X-Request-ID", "0d9d0a6e-1b4e-4f0e-9d0c-2f9f6f1d7a11"))


def mints_request_ids(passing: Passing, ask: Ask) -> None:
    passing.without("x-request-id", "rndr-id")
    ask()


def allows_few_requests(passing: Passing, ask: Ask) -> None:
    if "/signal/" in passing.path:
        passing.say(429, "slow down", "text/plain", Retry_After="1")
    else:
        ask()


def caches(passing: Passing, ask: Ask) -> None:
    ask()
    if passing.path == "/health":
        passing.answer_without("x-request-id")
        passing.answer_headers += [("Age", "12"), ("X-Request-ID", "0d9d0a6e-1b4e-4f0e-9d0c-2f9f6f1d7a11")]


def adds_slashes(passing: Passing, ask: Ask) -> None:
    if (
        passing.method == "GET"
        and not passing.path.partition("?")[0].endswith("/")
        and "/workflow/runs?" not in passing.path
    ):
        passing.say(
            301, "", Location=passing.path.replace("?", "/?") if "?" in passing.path else f"{passing.path}/"
        )
    else:
        ask()


def asks_for_a_login(passing: Passing, ask: Ask) -> None:
    if passing.path.startswith("/health"):
        passing.say(302, "", Location="https://sso.example/login?to=/health")
    else:
        ask()


def cuts_answers_off(passing: Passing, ask: Ask) -> None:
    ask()
    if passing.path.startswith("/health"):
        passing.answer_headers.append(("Content-Length", "100"))


FRONTS: dict[str, tuple[Front, str, str]] = {
    "removes a header": (strips_request_ids, "system", "removes the header X-Request-ID: none of "),
    "removes a header that few answers have": (
        strips_retry_after,
        "validation.unknown-catalog",
        "removes the header Retry-After: none of ",
    ),
    "gzip": (_compressing("gzip", gzip.compress), "catalog", "compresses answers (gzip) for a client"),
    "deflate": (
        _compressing("deflate", zlib.compress),
        "catalog",
        "compresses answers (deflate) for a client",
    ),
    "adds a header": (adds_cors, "system.cors-not-on-health", "adds the header Access-Control-Allow-Origin"),
    "doubles a header": (
        doubles_cors,
        "system.headers",
        "changes the header Access-Control-Allow-Origin, or sends",
    ),
    "changes the type": (
        drops_the_charset,
        "catalog",
        "another Content-Type than the API's: it is 'application/json'",
    ),
    "small bodies": (
        takes_small_bodies,
        "limits.body",
        "answers 413 with a page of its own: “413 Request Entity Too",
    ),
    "no patch": (knows_no_patch, "stop.stops", "answers 405 with a page of its own: Method Not Allowed"),
    "error pages": (
        has_error_pages,
        "routing.unknown-workflow",
        "answers 404 with a page of its own: “Not here”",
    ),
    "no upstream": (
        loses_the_upstream,
        "messages.signal",
        "answers 502 with an answer that does not look like the API's",
    ),
    "decodes slashes": (decodes_slashes, "routing.escaped-id", "rewrites paths"),
    "decodes twice": (decodes_twice, "routing.escaped-id", "rewrites paths"),
    "refuses slashes": (refuses_slashes, "routing.escaped-id", "refuses paths with escapes (404 "),
    "removes ETags": (strips_etags, "system.etag", "removes the header ETag: none of "),
    "removes a header of streams": (
        strips_stream_headers,
        "stream.headers",
        "removes the header X-Accel-Buffering: none of ",
    ),
    "no Last-Event-ID": (
        forwards_no_last_event_id,
        "stream.joined-header",
        "removes the header Last-Event-ID from requests",
    ),
    "no If-None-Match": (
        forwards_no_validators,
        "system.etag",
        "removes the header If-None-Match from requests",
    ),
    "no Content-Type": (
        forwards_no_content_type,
        "reset",
        "removes the header Content-Type from requests",
    ),
    "no Content-Type of what is not JSON": (
        forwards_no_content_type,
        "validation.no-json",
        "removes the header Content-Type from requests",
    ),
    "no HEAD": (
        knows_no_head,
        "routing.head",
        "answers 405 with an answer that does not look like the API's",
    ),
    "silent cache": (
        caches_silently,
        "system.request-id",
        "from a cache (the same X-Request-ID comes more than",
    ),
    "brotli": (
        _compressing("br", lambda body: bytes(brotli.compress(body))),
        "catalog.unknown",
        "compresses answers (br) for a client",
    ),
    "own request ids": (mints_request_ids, "system.request-id-echoed", "puts its own X-Request-ID in place"),
    "rate limit": (allows_few_requests, "messages.signal", "limits the rate of requests (429)"),
    "cache": (caches, "system.request-id-echoed", "answers from a cache"),
    "slashes": (adds_slashes, "routing.any-case", "redirects to another spelling of the path"),
    "login": (
        asks_for_a_login,
        "system.health",
        "A login answers in place of the API: it redirects to https://sso.example/login",
    ),
    "cut off": (
        cuts_answers_off,
        "system.health",
        "Answers break off: the body ends too early, 98 bytes are missing",
    ),
}


@pytest.mark.parametrize("name", FRONTS)
def test_a_proxy_fault_is_reported_as_the_one_cause_of_all_failures(
    server: str, tmp_path: Path, name: str
) -> None:
    front, only, words = FRONTS[name]
    with in_front_of(server, front) as url:
        verdict = reported(tmp_path, url, only)
    failed = [check["id"] for check in verdict["checks"] if check["status"] == "failed"]
    assert failed, "the proxy does harm"
    (cause,) = verdict["causes"]
    assert words in cause["seen"]
    assert sorted(cause["checks"]) == sorted(failed), "all of them hang on it"


def test_a_transparent_proxy_is_not_a_cause(server: str, tmp_path: Path) -> None:
    with in_front_of(server, lambda _, ask: ask()) as url:
        verdict = reported(tmp_path, url, "system", "catalog")
    assert (verdict["verdict"], verdict["causes"], verdict["notes"]) == ("conforms", [], [])


def test_a_proxy_that_removes_a_header_does_not_stop_the_other_checks(server: str, tmp_path: Path) -> None:
    def front(passing: Passing, ask: Ask) -> None:
        strips_request_ids(passing, ask)
        if passing.path == "/ready":
            passing.say(200, "Fine", "text/plain; charset=utf-8")

    with in_front_of(server, front) as url:
        verdict = reported(tmp_path, url, "system.health", "system.ready", "system.heartbeat")
    (cause,) = verdict["causes"]
    assert sorted(cause["checks"]) == ["system.health", "system.heartbeat"], (
        "the third fails for its own reason"
    )


def test_a_compressed_body_is_shown_decompressed(server: str) -> None:
    with in_front_of(server, _compressing("gzip", gzip.compress)) as url:
        result = run(url, "--only", "catalog.unknown")
    assert '{"error": "WorkflowNotFoundError"' in result.output
    assert "�" not in result.output


def test_an_unreadable_compression_is_reported_in_one_line(server: str) -> None:
    with in_front_of(server, _compressing("zstd", bytes)) as url:
        result = run(url)
    assert result.exit_code == 2
    assert (
        f"what stands in front of {url} compresses answers with zstd, which cannot be read" in result.output
    )


def test_a_stream_with_an_unreadable_compression_is_reported(server: str, tmp_path: Path) -> None:
    zstd = _compressing("zstd", bytes)

    def front(passing: Passing, ask: Ask) -> None:
        (zstd if "/stream" in passing.path else lambda _, ask: ask())(passing, ask)

    with in_front_of(server, front) as url:
        verdict = reported(tmp_path, url, "stream.closed")
    (cause,) = verdict["causes"]
    assert "compresses answers (zstd)" in cause["seen"]


def test_a_body_that_is_not_text_is_not_shown_as_such(server: str) -> None:
    def front(passing: Passing, ask: Ask) -> None:
        ask()
        if passing.path.startswith("/workflow/catalog"):
            passing.pieces = iter((gzip.compress(passing.whole()),))

    with in_front_of(server, front) as url:
        result = run(url, "--only", "catalog.unknown")
    assert "bytes that are not text, beginning with 1f 8b 08" in result.output


def test_a_proxy_that_buffers_streams_is_detected_early(server: str, tmp_path: Path) -> None:
    def front(passing: Passing, ask: Ask) -> None:
        ask()
        passing.whole()

    with in_front_of(server, front) as url:
        verdict = reported(tmp_path, url, "stream.follows", "stream.terminated", "stream.closed", patience=10)
    (cause,) = verdict["causes"]
    assert "holds live streams back: while a run goes on, its stream brings nothing" in cause["seen"]
    assert "streams of closed runs come at once" in cause["seen"]
    assert "proxy_buffering off" in cause["advice"]
    assert sorted(cause["checks"]) == ["stream.follows", "stream.terminated"]


def test_a_request_without_a_response_is_described_in_words(server: str) -> None:
    def front(passing: Passing, ask: Ask) -> None:
        if passing.path == "/ready":
            raise ConnectionError
        ask()

    with in_front_of(server, front) as url:
        result = run(url, "--only", "system.ready")
    assert "found    no answer: the connection was closed without an answer" in result.output
    assert "answer   none: the connection was closed without an answer" in result.output


def test_a_server_that_stops_responding_is_reported_and_gets_no_more_requests(server: str) -> None:
    asked = []

    def front(passing: Passing, ask: Ask) -> None:
        asked.append(passing.path)
        if passing.path.startswith("/workflow/catalog/verify-") or "gone" in asked:
            asked.append("gone")
            raise ConnectionError
        ask()

    with in_front_of(server, front) as url:
        result = run(url, "--only", "catalog.unknown", "--only", "runs")
    assert result.exit_code == 1
    assert "problem: the server stopped answering while it was checked" in result.output
    # One more request than the lost one, to see whether the server still responds.
    assert asked.count("gone") == 2


def test_http_1_0_is_reported(server: str) -> None:
    with in_front_of(server, lambda _, ask: ask(), http_version="HTTP/1.0") as url:
        result = run(url, "--only", "system.health")
    assert result.exit_code == 0, result.output
    assert "note: All answers come in HTTP/1.0" in result.output


def test_each_cause_is_reported_in_one_line_with_one_example(server: str) -> None:
    with in_front_of(server, strips_request_ids) as url:
        result = run(url, "--only", "system", "--examples", "3")
    lines = result.output.splitlines()
    assert len([line for line in lines if line.startswith("✗ system")]) == 1
    assert [
        line for line in lines if line.startswith("  33 checks: Something in front of the server removes")
    ]


def test_failures_with_the_same_message_are_grouped() -> None:
    verdict = Verdict("http://a")
    for number in range(4):
        failure = {"expected": f"expected 200, got 500: verify-{number}a-{number} broke"}
        verdict.add(Outcome(f"run.alias[{number}]", "required", "s", "failed", failure=failure))
    verdict.add(Outcome("run.child", "required", "s", "failed", failure={"expected": "something else"}))
    (cause,) = verdict.causes
    assert (
        cause.seen
        == "All of these checks failed for the same reason: expected 200, got 500: verify-0a-0 broke"
    )
    assert len(cause.checks) == 4


def test_a_header_that_only_some_responses_lack_is_not_reported_as_removed() -> None:
    outcome = Outcome(
        "run.alias", "required", "s", "failed", failure={"evidence": [["header removed", "x-request-id"]]}
    )
    (cause,) = causes.find([outcome], {"answers": 9, "has x-request-id": 7})
    assert cause.seen == "Some answers lack the header X-Request-ID; 7 of 9 answers have it."
    assert cause.advice == ""


@pytest.mark.parametrize(
    "answer",
    [
        (404, "application/json; charset=utf-8", b'{"error": "X", "message": "m", "workflowId": "a"}'),
        (404, "text/plain; charset=utf-8", b"Not Found"),
        (401, "text/plain; charset=utf-8", b"Unauthorized"),
        (200, "application/json; charset=utf-8", b"[]"),
    ],
)
def test_a_response_of_the_api_is_no_evidence_of_a_proxy(answer: tuple[int, str, bytes]) -> None:
    status, kind, body = answer
    exchange = RecordedExchange(
        "GET", "/workflow/a/status?x=1", [], None, status, {"content-type": kind}, body
    )
    assert evidence.evidence_of(exchange) == []


# --- no Output API at all ---------------------------------------------------------------------------------


@contextmanager
def answering(front: Front) -> Iterator[str]:
    """A web server that is not an Output API."""
    with in_front_of("http://127.0.0.1:9", front) as url:
        yield url


def _page(status: int, page: str, **headers: str) -> Front:
    return lambda passing, _: passing.say(status, page, **headers)


def _json(status: int, text: str) -> Front:
    return lambda passing, _: passing.say(status, text, "application/json")


ELSEWHERE: dict[str, tuple[Front, str]] = {
    "a web server": (
        _page(404, "<html><head><title>404 Not Found</title></head></html>", Server="nginx/1.24.0"),
        "there is no Output API at {url}: GET /workflow/runs?limit=1 is answered 404 with a page of "
        "HTML by nginx/1.24.0, “404 Not Found”",
    ),
    "one page for every path": (
        _page(200, "<!doctype html><title>Shop</title>"),
        "no Output API at {url}",
    ),
    "another API": (_json(404, '{"detail": "Not Found"}'), 'is answered 404: {"detail": "Not Found"}'),
    "an API that answers anything": (_json(200, "[]"), "no Output API at {url}"),
    "nothing to say": (
        lambda passing, _: passing.say(200, "", "text/plain"),
        "is answered 200 without a body",
    ),
    "https": (
        lambda passing, _: passing.say(301, "", Location=f"https://output.example{passing.path}"),
        "{url} redirects to https; give https://output.example",
    ),
    "elsewhere": (
        lambda passing, _: passing.say(308, "", Location=f"http://new.example/base{passing.path}"),
        "{url} redirects to another URL (308); give that one: http://new.example/base",
    ),
    "sign-in": (
        lambda passing, _: passing.say(302, "", Location="/oauth2/start?rd=/workflow/runs"),
        "a login answers at {url} in place of the API: it redirects to /oauth2/start",
    ),
    "a form": (_page(200, '<html><form><input type="password"></form>'), "a login answers at {url}"),
    "basic auth": (
        _page(401, "<html>no</html>", WWW_Authenticate='Basic realm="staff"'),
        'a login answers at {url} in place of the API: it asks for Basic realm="staff"',
    ),
    "no upstream": (
        _page(502, "<html>Bad Gateway</html>"),
        "{url} answers 502: the server behind it is not up",
    ),
    "wants TLS": (
        _page(400, "<title>400 The plain HTTP request was sent to HTTPS port</title>"),
        "{url} demands https",
    ),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_server_that_is_not_an_output_api_is_reported_in_one_line(name: str) -> None:
    front, words = ELSEWHERE[name]
    asked = []

    def counted(passing: Passing, ask: Ask) -> None:
        asked.append(passing.path)
        front(passing, ask)

    with answering(counted) as url:
        result = run(url)
    assert result.exit_code == 2
    assert words.replace("{url}", url) in result.output
    assert len(result.output.splitlines()) == 1
    assert len(asked) < 10


@pytest.mark.parametrize("base", ["/api", "/output"])
def test_an_api_under_a_base_path_is_found(server: str, base: str) -> None:
    def front(passing: Passing, ask: Ask) -> None:
        if passing.path.startswith(f"{base}/"):
            passing.path = passing.path.removeprefix(base)
            ask()
        else:
            passing.say(404, "<title>none</title>")

    with in_front_of(server, front) as url:
        assert f"is not at {url}, but at {url}{base}; give this URL" in run(url).output
        assert f"is not at {url}{base}/workflow, but at {url}{base}; " in run(f"{url}{base}/workflow").output
        assert run(f"{url}{base}", "--only", "system.health").exit_code == 0


@contextmanager
def saying(words: bytes | None) -> Iterator[int]:
    """A port that does not speak HTTP. With None it sends nothing and keeps the connection open."""
    over = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.settimeout(0.05)

        def serve() -> None:
            connections = []
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                connections.append(connection)
                if words is not None:
                    connection.sendall(words)
                    connection.close()
            for connection in connections:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            thread.join()


def test_a_port_of_another_service_is_reported() -> None:
    with saying(b"SSH-2.0-OpenSSH_9.6\r\n") as port:
        result = run(f"http://127.0.0.1:{port}")
        assert result.exit_code == 2
        assert "what answers there does not speak HTTP" in result.output
        assert (
            f"no server answers at https://127.0.0.1:{port} with https"
            in run(f"https://127.0.0.1:{port}").output
        )


def test_a_port_that_accepts_connections_but_never_responds_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("output_contract.preflight._PATIENCE", 0.2)
    with saying(None) as port:
        result = run(f"http://127.0.0.1:{port}")
    assert result.exit_code == 2
    assert "something accepts connections at" in result.output


def test_an_unknown_host_is_reported() -> None:
    assert "the name of the host is not known" in run("http://nowhere.invalid").output
