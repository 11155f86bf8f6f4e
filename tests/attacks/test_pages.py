"""A web page cannot use the control plane of a server on the same machine unless it is allowed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from output_mock.control.access import Access
from output_mock.control.openapi import document
from output_mock.http.origins import origin
from tests.attacks.raw import RawAnswer, send
from tests.client import Client
from tests.conftest import eventually, in_another_thread
from tests.control.served import served, worlds_of
from tests.control.test_worlds import names

MINE = "http://localhost:5173"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with served(worlds_of(), access=Access(origins=[MINE, "chrome-extension://abcdef"])) as client:
        yield client


def ask(client: Client, first_line: str, *headers: str, body: bytes = b"") -> RawAnswer:
    return send(client.url, first_line, "Host: 127.0.0.1:3001", *headers, body=body)


FOREIGN = [
    ["Origin: https://evil.example"],
    ["Origin: null"],
    ["Origin:"],
    ["Origin: "],
    ["Origin: *"],
    ["Origin: file://"],
    # Another port of the same machine is another origin, though of the same site.
    ["Origin: http://127.0.0.1:8000"],
    ["Origin: http://127.0.0.1"],
    ["Origin: http://localhost:3001"],
    ["Origin: https://127.0.0.1:3001"],
    ["Origin: http://127.0.0.1:3001.evil.example"],
    ["Origin: http://evil.example@127.0.0.1:3001"],
    ["Origin: http://127.0.0.1:3001/"],
    ["Origin: http://127.0.0.1:3001", "Origin: https://evil.example"],
    [f"Origin: {MINE}, https://evil.example"],
    [f"Origin: {MINE}.evil.example"],
    [f"Origin: {MINE}0"],
    [f"Origin: {MINE.upper()}"],
    ["Sec-Fetch-Site: cross-site"],
    ["Sec-Fetch-Site: same-site"],
    ["Sec-Fetch-Site: Cross-Site"],
    ["Sec-Fetch-Site: "],
    ["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
    [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-User: ?1",
        "Sec-Fetch-Dest: document",
    ],
    ["Sec-Fetch-Site: cross-site", "Origin: http://127.0.0.1:3001"],
    ["Sec-Fetch-Site: same-site", "Origin: http://127.0.0.1:3001"],
    ["Sec-Fetch-Site: same-origin", "Origin: https://evil.example"],
    ["Sec-Fetch-Site: cross-site", f"Referer: {MINE}/"],
    # Browsers do not send the site to addresses of other machines.
    ["Referer: https://evil.example/page"],
    ["Referer: http://127.0.0.1:8000/"],
    ["Referer: https://evil.example/", "Origin: null"],
]


@pytest.mark.parametrize("headers", FOREIGN, ids=" | ".join)
def test_a_forbidden_page_is_refused(client: Client, headers: list[str]) -> None:
    client.start("approval", workflowId="kept")
    for first_line, body in (
        ("POST /__mock__/world/wipe", b""),
        ("POST /__mock__/world/wipe", b"x=1"),
        ("POST /__mock__/worlds/default/wipe", b"{}"),
        ("POST /w/default/__mock__/world/wipe", b""),
        ("DELETE /__mock__/calls", b""),
        ("GET /__mock__/calls", b""),
        ("HEAD /__mock__/calls", b""),
        ("GET /__mock__/openapi.json", b""),
        ("OPTIONS /__mock__/world/wipe", b""),
        ("BREW /__mock__/nothing", b""),
    ):
        refused = ask(client, first_line, *headers, "Content-Type: text/plain", body=body)
        assert refused.status == 403
        assert "access-control-allow-origin" not in refused.headers
        if not first_line.startswith("HEAD"):
            assert refused.json["error"] == "ForbiddenError"
            assert "--allow-origin" in refused.json["message"]
    assert client.get("/workflow/kept/status").json["status"] == "running"
    client.control("POST", "/world/wipe", expect=200)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Sec-Fetch-Site: none"],
        ["Sec-Fetch-Site: same-origin"],
        ["Origin: http://127.0.0.1:3001"],
        ["Origin: http://127.0.0.1:3001", "Sec-Fetch-Site: same-origin"],
        ["Referer: http://127.0.0.1:3001/__mock__/openapi.json"],
        ["Referer: nonsense"],
    ],
    ids=" | ".join,
)
def test_requests_without_origin_and_from_the_servers_own_pages_are_accepted(
    client: Client, headers: list[str]
) -> None:
    assert ask(client, "GET /__mock__/calls", *headers).status == 200
    assert ask(client, "POST /__mock__/world/wipe", *headers).status == 200


def test_the_default_port_of_an_origin_may_be_left_out(client: Client) -> None:
    for host, page in (("localhost", "http://localhost"), ("localhost:80", "http://localhost")):
        assert send(client.url, "GET /__mock__/clock", f"Host: {host}", f"Origin: {page}").status == 200
    assert (
        send(client.url, "GET /__mock__/clock", "Host: localhost", "Origin: https://localhost").status == 403
    )


def test_a_forbidden_page_cannot_do_any_operation(client: Client) -> None:
    client.start("approval", workflowId="kept")
    before = client.control("GET", "/world").json
    for path, item in document()["paths"].items():
        target = path.replace("{name}", "x").replace("{workflowId}", "kept").replace("{id}", "1")
        for method in item:
            assert ask(client, f"{method.upper()} {target}", "Origin: https://evil.example").status == 403
    assert {**client.control("GET", "/world").json, "idle": 0} == {**before, "idle": 0}
    client.control("POST", "/world/wipe", expect=200)


# Allowed pages


@pytest.mark.parametrize("page", [MINE, "chrome-extension://abcdef"])
def test_an_allowed_page_may_read_every_response(client: Client, page: str) -> None:
    for first_line, status in (
        ("GET /__mock__/clock", 200),
        ("POST /__mock__/world/wipe", 200),
        ("DELETE /__mock__/calls", 204),
        ("GET /__mock__/nothing", 404),
        ("POST /__mock__/clock/advance", 400),
    ):
        for site in ([], ["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"]):
            answer = ask(client, first_line, f"Origin: {page}", *site)
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == page
            assert answer.headers["vary"] == "Origin"
            assert "access-control-allow-credentials" not in answer.headers


def test_an_allowed_page_gets_its_preflight_responses() -> None:
    with served(worlds_of(), control_token="t", access=Access(origins=[MINE])) as client:
        preflight = [
            "Access-Control-Request-Method: PUT",
            "Access-Control-Request-Headers: authorization,content-type",
        ]
        for target in ("/__mock__/workflows/x", "/w/default/__mock__/workflows/x"):
            answer = ask(client, f"OPTIONS {target}", f"Origin: {MINE}", *preflight)
            assert (answer.status, answer.body) == (204, b"")
            assert answer.headers["access-control-allow-origin"] == MINE
            for method in ("PUT", "POST", "DELETE", "PATCH"):
                assert method in answer.headers["access-control-allow-methods"]
            for header in ("Authorization", "Content-Type"):
                assert header in answer.headers["access-control-allow-headers"]
            assert ask(client, f"OPTIONS {target}", "Origin: https://evil.example", *preflight).status == 403
        # An allowed page still needs the token, but it can read the refusal.
        refused = ask(client, "GET /__mock__/clock", f"Origin: {MINE}")
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, MINE)
        assert ask(client, "GET /__mock__/clock", f"Origin: {MINE}", "Authorization: Bearer t").status == 200


def test_responses_vary_by_origin(client: Client) -> None:
    assert ask(client, "GET /__mock__/clock").headers["vary"] == "Origin"
    assert ask(client, "GET /__mock__/clock", "Origin: https://evil.example").headers["vary"] == "Origin"


def test_an_allowed_page_still_needs_an_allowed_host(client: Client) -> None:
    assert send(client.url, "GET /__mock__/clock", "Host: evil.example", f"Origin: {MINE}").status == 403


def test_no_upgrade_request_bypasses_the_origin_check(client: Client) -> None:
    upgrade = ["Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    for page, status in (("https://evil.example", 403), ("http://localhost", 200)):
        origin = f"Origin: {page}"
        answer = send(client.url, "GET /__mock__/calls", *upgrade, origin, half_close=True)
        assert answer.status == status


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("HTTP://LocalHost:5173", MINE),
        ("http://localhost:80", "http://localhost"),
        ("https://app.test:443", "https://app.test"),
        ("https://app.test:80", "https://app.test:80"),
        ("http://[::1]:5173", "http://[::1]:5173"),
    ],
)
def test_an_origin_is_compared_as_browsers_write_it(written: str, compared: str) -> None:
    assert origin(written) == compared


@pytest.mark.parametrize(
    "written",
    [
        "",
        "*",
        "null",
        "localhost:5173",
        "localhost",
        "http://",
        "http://a/",
        "http://a/b",
        "http://u@a",
        "http://a:x",
    ],
)
def test_an_invalid_allowed_origin_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="http://localhost:5173"):
        origin(written)


# Worlds


@pytest.mark.parametrize(
    "headers", [["Origin: https://evil.example"], ["Sec-Fetch-Site: same-site"]], ids=str
)
def test_a_forbidden_page_creates_no_world(client: Client, headers: list[str]) -> None:
    for first_line in ("GET /w/made/health", "GET /w/made/workflow/runs", "POST /w/made/workflow/run"):
        refused = ask(client, first_line, *headers)
        assert (refused.status, refused.json["error"]) == (403, "ForbiddenError")
    assert names(client) == ["default"]
    # The API of an existing world answers every page, as the real server does.
    client.of("made").get("/health")
    assert ask(client, "GET /w/made/workflow/runs", *headers).headers["access-control-allow-origin"] == "*"
    assert ask(client, "GET /w/mine/workflow/runs", f"Origin: {MINE}").status == 200
    for name in ("made", "mine"):
        client.control("DELETE", f"/worlds/{name}", expect=204)


def test_implicitly_created_worlds_are_evicted_for_new_ones() -> None:
    with served(worlds_of(most=5)) as client:
        client.control("POST", "/worlds", {"name": "made"}, expect=201)
        client.of("ran").run("echo", 1, workflowId="mine")
        client.of("changed").control("POST", "/faults", {"status": 503}, expect=201)
        client.of("looked").get("/workflow/runs")
        for number in range(20):
            client.of(f"new-{number}").get("/health")
        assert names(client) == ["default", "made", "ran", "changed", "new-19"]
        client.control("POST", "/worlds", {"name": "last"}, expect=201)
        assert names(client) == ["default", "made", "ran", "changed", "last"]
        client.control("POST", "/worlds", {"name": "more"}, expect=503)
        assert client.of("ran").get("/workflow/mine/status").json["status"] == "completed"


def test_the_least_recently_used_world_is_evicted_first() -> None:
    with served(worlds_of(most=3)) as client:
        for name in ("one", "two", "one", "three"):
            client.of(name).get("/health")
        assert names(client) == ["default", "one", "three"]


def test_a_world_with_a_waiting_client_is_not_evicted() -> None:
    with served(worlds_of(most=2)) as client:
        waited = client.of("waited")
        with in_another_thread(
            lambda: waited.control("GET", "/calls/wait", count=1, timeout="20s").status
        ) as status:
            eventually(lambda: "waited" in names(client))
            client.control("POST", "/worlds", {"name": "other"}, expect=503)
            assert waited.get("/workflow/runs").status == 200
        assert status == [200]


def test_a_refused_token_leaves_all_worlds_unchanged() -> None:
    with served(worlds_of(most=3)) as client:
        client.control("POST", "/worlds", {"name": "one", "tokens": ["t"]}, expect=201)
        client.of("two").get("/health")
        client.control("POST", "/worlds", {"name": "three", "tokens": ["t"]}, expect=409)
        assert names(client) == ["default", "one", "two"]
