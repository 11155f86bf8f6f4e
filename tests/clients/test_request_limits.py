"""What Node, Express and its body parsers refuse before the API sees it, served and in process.

The values were measured with Node 20, Express 5.3, body-parser 2.4 and qs 6.17.
"""

from __future__ import annotations

import copy
import gzip
import pickle
import socket
import sys
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import brotli
import httpx
import pytest
import requests

from output_mock import OutputMock
from output_mock.http import bodies
from output_mock.http.journal import RequestHeaders

REFUSED = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"
# The target and the headers count together; these are `/x`, `Host`, `a` and the name of the last one.
REST = len("/x") + len("Host") + len("a") + len("X-Long")


@pytest.fixture(params=["in_process", "serve"])
def url(request: pytest.FixtureRequest, mock: OutputMock) -> Iterator[str]:
    with getattr(mock, request.param)() as found:
        yield found
    mock.close()


def raw(url: str, data: bytes) -> bytes:
    """Everything received until the connection ends."""
    parts = urlsplit(url)
    received = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(data)
        while piece := connection.recv(65536):
            received += piece
    return received


def head(size: int) -> bytes:
    """A request whose head has that many characters by Node's count."""
    long = b"a" * (size - REST - len("Connectionclose"))
    return b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Long:   " + long + b"\r\n\r\n"


def test_the_server_refuses_a_head_of_16_kib_like_node(mock: OutputMock) -> None:
    with mock.serve() as url:
        assert raw(url, head(16383)).startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert raw(url, head(16384)) == REFUSED
        assert raw(url, b"GET /" + b"x" * 16384 + b" HTTP/1.1\r\nHost: a\r\n\r\n") == REFUSED
        # Without waiting for the end of the head.
        assert raw(url, head(20000).removesuffix(b"\r\n\r\n")) == REFUSED
        # Many short headers may be larger in total, because blanks and line ends do not count.
        many = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + b"A: b\r\n" * 5000 + b"\r\n"
        assert len(many) > 16384
        assert raw(url, many).startswith(b"HTTP/1.1 404")
    mock.close()


@pytest.mark.parametrize("package", [requests, httpx], ids=lambda package: str(package.__name__))
def test_a_request_head_that_is_too_large_gets_431(url: str, mock: OutputMock, package: Any) -> None:
    for answer in (
        package.get(f"{url}/x", headers={"X-Long": "a" * 16384}),
        package.get(f"{url}/{'x' * 16384}"),
    ):
        assert answer.status_code == 431
        assert (answer.content, dict(answer.headers)) == (b"", {next(iter(answer.headers)): "close"})
    assert len(mock.calls) == 0, "the API does not hear of it"
    assert package.get(f"{url}/health").status_code == 200


def post(url: str, body: bytes, kind: str = "application/json", encoding: str | None = None) -> Any:
    headers = {"Content-Type": kind}
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    return requests.post(f"{url}/workflow/run", data=body, headers=headers, timeout=30)


WHOLE = b'{"workflowName": "echo", "input": 7}'
ENCODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_a_compressed_body_is_read(url: str, mock: OutputMock, encoding: str) -> None:
    mock.workflow("echo").returns(lambda input: input)
    compress = ENCODERS[encoding]
    assert post(url, compress(WHOLE), encoding=encoding.upper()).json()["output"] == 7
    # Truncated, and too large once it is complete.
    cut = post(url, compress(WHOLE)[:-3], encoding=encoding)
    assert (cut.status_code, cut.json()["message"]) == (400, "unexpected end of file")
    large = post(url, compress(b'{"a": "' + b"x" * bodies.LIMIT + b'"}'), encoding=encoding)
    assert (large.status_code, large.json()["error"]) == (413, "PayloadTooLargeError")
    words = "Decompression failed" if encoding == "br" else "incorrect header check"
    wrong = post(url, b"x" * 40, encoding=encoding)
    assert (wrong.status_code, wrong.json()["error"], wrong.json()["message"]) == (400, "Error", words)


def test_concatenated_gzip_members_are_one_body(url: str, mock: OutputMock) -> None:
    mock.workflow("echo").returns(lambda input: input)
    halves = gzip.compress(WHOLE[:9]) + gzip.compress(WHOLE[9:])
    assert post(url, halves, encoding="gzip").json()["output"] == 7
    assert post(url, halves + b"\0\0", encoding="gzip").json()["output"] == 7
    assert post(url, halves + b"junk", encoding="gzip").json()["message"] == "incorrect header check"


def test_without_brotli_the_error_says_what_to_install(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    answer = post(url, brotli.compress(WHOLE), encoding="br")
    assert answer.status_code == 415
    assert "output-mock[brotli]" in answer.json()["message"]


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("part", ["[b]", "[]", "[1]", "%5Bb%5D"])
def test_a_form_is_refused_when_it_is_nested_deeper_than_32(url: str, mock: OutputMock, part: str) -> None:
    mock.workflow("echo").returns(lambda input: 1)
    body = "workflowName=echo&input{}=1"
    assert post(url, body.format(part * 32).encode(), FORM).status_code == 200
    deep = post(url, body.format(part * 33).encode(), FORM)
    assert deep.status_code == 400
    assert deep.json() == {"error": "BadRequestError", "message": "The input exceeded the depth"}
    # The limit of fields is checked before that.
    many = "&".join(["a=1"] * 1001) + "&a" + part * 33
    assert post(url, many.encode(), FORM).json()["message"] == "too many parameters"


# Headers of a call


def test_the_headers_of_a_call_are_looked_up_case_insensitively(url: str, mock: OutputMock) -> None:
    requests.get(f"{url}/health", headers={"X-Me": "1", "ETAG": "2"}, timeout=30)
    headers = mock.calls.one().headers
    assert headers["x-me"] == headers["X-ME"] == headers.get("X-me") == "1"
    assert "etag" in headers
    assert "x-you" not in headers
    assert headers.get("x-you") is None
    with pytest.raises(KeyError, match="x-you"):
        headers["x-you"]


def test_the_headers_of_a_call_compare_case_insensitively() -> None:
    headers = RequestHeaders([("X-Me", "1"), ("Accept", "*/*")])
    assert headers == {"x-me": "1", "ACCEPT": "*/*"}
    assert headers != {"X-Me": "2", "Accept": "*/*"}
    assert headers != {"X-Me": "1"}
    assert dict(headers) == {"X-Me": "1", "Accept": "*/*"}
    for same in (pickle.loads(pickle.dumps(headers)), copy.deepcopy(headers)):
        assert same == headers
        assert same["accept"] == "*/*"
