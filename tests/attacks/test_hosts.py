"""DNS rebinding: a page whose host name resolves to this machine cannot use the control plane."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import Client as WsgiClient

from output_mock.control.access import Access, host_name
from output_mock.control.front import Front
from output_mock.control.openapi import document
from output_mock.http.server_hooks import LOCAL_ADDRESS
from output_mock.server import running
from tests.attacks.raw import send
from tests.client import Client
from tests.control.served import served, worlds_of
from tests.control.test_worlds import names


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with served(worlds_of(), access=Access(["fakes.test", "192.0.2.7", "2001:db8::7"])) as client:
        yield client


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:3001", "127.0.0.1:1", "127.9.8.7:80", "localhost", "LocalHost:3001"),
        *("localhost.", "localhost.:3001", "app.localhost", "a.b.localhost:5", "[::1]", "[::1]:3001"),
        *("[0:0:0:0:0:0:0:1]:3001", "[::ffff:127.0.0.1]"),
        *(
            "fakes.test",
            "FAKES.test:3001",
            "fakes.test.",
            "192.0.2.7:80",
            "[2001:db8::7]:80",
            "[2001:DB8:0::7]",
        ),
    ],
)
def test_the_control_plane_accepts_allowed_hosts(client: Client, host: str) -> None:
    for path in ("/__mock__/clock", "/w/default/__mock__/clock"):
        assert send(client.url, f"GET {path}", f"Host: {host}").status == 200


NOT_MEANT = [
    *(
        "evil.example",
        "evil.example:3001",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evillocalhost",
    ),
    *("localhost.com", "fakes.test.evil.example", "evilfakes.test", "a.fakes.test", "fakes.tes", "fakes"),
    # Other ways to write the loopback address, which browsers never send.
    *("2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.01", "127.0.0.1.", "0", "0.0.0.0", "[::]"),
    *(
        "[127.0.0.1]",
        "::1",
        "[::1",
        "[::1%25eth0]",
        "[::1%lo]",
        "[fe80::1%25lo]:3001",
        "[::1]evil",
        "[]",
        "[::1].x",
    ),
    *(
        "localhost@evil.example",
        "evil.example@localhost",
        "user:pass@127.0.0.1",
        "localhost/x",
        "localhost\\x",
    ),
    *(
        "localhost, evil.example",
        "localhost evil.example",
        "localhost;",
        "localhost#",
        "localhost?",
        "%6c%6fcalhost",
    ),
    *(
        "localhost..",
        ".localhost",
        "a..localhost",
        ".",
        ":",
        ":3001",
        "localhost:x",
        "localhost:80:80",
        "localhost:-1",
    ),
    *("localhost:999999", "l\xf6calhost", "198.51.100.1", "[2001:db8::8]", "localhost:3001@evil.example"),
]


@pytest.mark.parametrize("host", NOT_MEANT)
def test_the_control_plane_refuses_other_hosts(client: Client, host: str) -> None:
    for first_line in (
        "GET /__mock__/calls",
        "POST /__mock__/world/wipe",
        "GET /w/default/__mock__/openapi.json",
    ):
        refused = send(client.url, first_line, f"Host: {host}")
        assert refused.status == 403, refused.body
        assert refused.json["error"] == "ForbiddenError"
        assert "--allow-host NAME" in refused.json["message"] or host == ""
        assert "access-control-allow-origin" not in refused.headers


def test_a_request_that_names_no_host_is_refused(client: Client) -> None:
    for headers in ([], ["Host:"], ["Host: "]):
        refused = send(client.url, "PUT /__mock__/workflows/x", *headers)
        assert (refused.status, refused.json["error"]) == (403, "ForbiddenError")
        assert "send a Host header" in refused.json["message"]


def test_a_request_that_names_two_hosts_is_refused(client: Client) -> None:
    for hosts in (("localhost", "evil.example"), ("evil.example", "localhost"), ("localhost", "localhost")):
        refused = send(client.url, "GET /__mock__/clock", *(f"Host: {host}" for host in hosts))
        assert refused.status in (400, 403)


@pytest.mark.parametrize("prefix", ["", "/w/default"])
def test_a_target_and_a_header_with_different_hosts_are_refused(client: Client, prefix: str) -> None:
    for target, host, status in (
        ("http://evil.example", "localhost", 403),
        ("http://localhost", "evil.example", 403),
        ("http://localhost@evil.example", "localhost", 403),
        ("http://evil.example:80", "127.0.0.1:3001", 403),
        ("HTTP://evil.example", "127.0.0.1:3001", 403),
        ("http://localhost:3001", "127.0.0.1:3001", 200),
    ):
        assert send(client.url, f"GET {target}{prefix}/__mock__/clock", f"Host: {host}").status == status


@pytest.mark.parametrize(
    "header",
    [
        *(
            "X-Forwarded-Host: localhost",
            "Forwarded: host=localhost",
            "X-Host: localhost",
            "X-Original-Host: localhost",
        ),
        *("X-HTTP-Host-Override: localhost", "X_Host: localhost", "X-Forwarded-Server: localhost"),
    ],
)
def test_no_other_header_replaces_the_host(client: Client, header: str) -> None:
    assert send(client.url, "GET /__mock__/clock", "Host: evil.example", header).status == 403
    # And no other header changes an allowed host.
    foreign = header.replace("localhost", "evil.example")
    assert send(client.url, "GET /__mock__/clock", "Host: localhost", foreign).status == 200


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/__mock__",
            "/__mock__/",
            "/__mock__/clock",
            "/__mock__//clock",
            "/__mock__/nothing",
            "/__mock__?x",
            "/__mock__#",
        ),
        *("/w/default/__mock__", "/w/default/__mock__/clock", "/w/new/__mock__/clock", "/w/new/__mock__?"),
        *(
            "/%5f%5fmock__/clock",
            "//__mock__/clock",
            "/w//__mock__/clock",
            "/w/../__mock__/clock",
            "/./__mock__/clock",
        ),
        *("/w/a%2f..%2f/__mock__/clock", "/w/new%3f/__mock__/clock", "/__MOCK__/clock", "/__mock__;x/clock"),
    ],
)
def test_no_spelling_of_the_path_bypasses_the_host_check(client: Client, path: str) -> None:
    answer = send(client.url, f"GET {path}", "Host: evil.example")
    assert answer.status in (400, 403, 404), answer.body
    assert b"mode" not in answer.body
    assert names(client) == ["default"]


def test_every_control_operation_is_refused_for_a_forbidden_host(client: Client) -> None:
    client.start("approval", workflowId="kept")
    before = client.control("GET", "/world").json
    for path, item in document()["paths"].items():
        for method in item:
            for prefix in ("", "/w/default"):
                target = prefix + path.replace("{name}", "x").replace("{workflowId}", "kept").replace(
                    "{id}", "1"
                )
                answer = send(client.url, f"{method.upper()} {target}", "Host: evil.example")
                assert answer.status == 403, (method, target)
    after = client.control("GET", "/world").json
    assert {**before, "idle": 0} == {**after, "idle": 0}


def test_a_request_for_a_forbidden_host_creates_no_world(client: Client) -> None:
    for path in ("/w/made/health", "/w/made/workflow/runs", "/w/made/__mock__/clock"):
        refused = send(client.url, f"GET {path}", "Host: evil.example")
        assert (refused.status, refused.json["error"]) == (403, "ForbiddenError")
    assert names(client) == ["default"]


def test_the_api_accepts_every_host_as_the_real_server_does(client: Client) -> None:
    for path in ("/health", "/workflow/runs", "/w/default/workflow/runs"):
        assert send(client.url, f"GET {path}", "Host: evil.example").status == 200


def test_the_local_address_of_a_connection_is_an_allowed_host() -> None:
    for own, host, status in (
        ("192.0.2.9", "192.0.2.9:3001", 200),
        ("192.0.2.9", "192.0.2.10:3001", 403),
        ("::ffff:192.0.2.9", "192.0.2.9", 200),
        ("fe80::1%eth0", "[fe80::1]:3001", 200),
        ("192.0.2.9", "evil.example", 403),
    ):
        client = WsgiClient(Front(worlds_of()))
        overrides = {LOCAL_ADDRESS: lambda own=own: own, "HTTP_HOST": host}
        assert client.get("/__mock__/clock", environ_overrides=overrides).status_code == status


def test_the_server_passes_on_the_local_address_of_a_connection() -> None:
    class Application:
        def wake_all_waiters(self) -> None:
            pass

        def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            return [environ[LOCAL_ADDRESS]().encode()]

    with running(Application(), "127.0.0.3") as url:
        assert send(url, "GET /", "Host: x").body == b"127.0.0.3"


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("Fakes.Test.", "fakes.test"),
        ("[::1]", "::1"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("b\xfccher.test", "xn--bcher-kva.test"),
        ("output_mock", "output_mock"),
    ],
)
def test_hosts_match_in_any_spelling(written: str, compared: str) -> None:
    assert host_name(written) == compared


@pytest.mark.parametrize(
    "written", ["", "*", "http://fakes.test", "fakes.test:3001", "a b", "a/b", "a@b", "*.test", "a..b"]
)
def test_an_invalid_allowed_host_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a host; write a name or an IP address"):
        host_name(written)
