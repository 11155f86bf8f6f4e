"""Access control, if the server requires a token."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_contract.checks import check
from output_contract.client import Client

NO_TOKEN = (
    "the server does not ask for a token, or you gave none: set OUTPUT_API_AUTH_TOKEN and "
    "NODE_ENV=production there, and give --token"
)
OPEN = (
    "you gave a token, but the server does not ask for one, so anybody may use it: set OUTPUT_API_AUTH_TOKEN "
    "and NODE_ENV=production there"
)
_SOMETHING = "/workflow/runs?limit=1"
# If only one of these is open, it is a gap. If all are open, the server has no access control.
_PROBES = (_SOMETHING, "/workflow/catalog", "/workflow/{id}/status", "/nope")
# Every kind of request that needs the token: method, path, body.
_GUARDED: list[tuple[str, str, Any]] = [
    ("GET", _SOMETHING, None),
    ("GET", "/workflow/catalog", None),
    ("GET", "/workflow/{id}/status", None),
    ("GET", "/workflow/{id}/history/stream", None),
    ("POST", "/workflow/{id}/signal/x", {}),
    ("POST", "/workflow/{id}/query/x", {}),
    ("PATCH", "/workflow/{id}/stop", None),
    ("POST", "/workflow/{id}/terminate", {}),
    ("POST", "/workflow/{id}/reset", {"stepName": "x"}),
    ("POST", "/workflow/run", {"workflowName": "x"}),
    ("POST", "/workflow/start", {"workflowName": "x"}),
    ("POST", "/workflow/start", {}),
    ("POST", "/heartbeat", None),
    ("GET", "/nope", None),
]


@pytest.fixture
def guarded(api: Client) -> Client:
    """A client with the token of a server that requires one."""
    if api.server.token is None:
        pytest.skip(NO_TOKEN)
    found = api.server.found
    if "guarded" not in found:
        paths = [path.replace("{id}", api.server.new_id()) for path in _PROBES]
        found["guarded"] = any(api.get(path, token=False).status == 401 for path in paths)
    if not found["guarded"]:
        pytest.skip(OPEN)
    return api


def _with(api: Client, authorization: str | None, path: str = _SOMETHING) -> Any:
    headers = {} if authorization is None else {"Authorization": authorization}
    return api.get(path, token=False, headers=headers)


@pytest.mark.parametrize("request_", _GUARDED, ids=[f"{one[0]} {one[1]}" for one in _GUARDED])
@check("auth.guarded", "production_auth: 401")
def test_every_operation_needs_the_token(guarded: Client, request_: tuple[str, str, Any]) -> None:
    method, path, body = request_
    path = path.replace("{id}", guarded.server.new_id())
    answer = guarded.ask(method, path, *([] if body is None else [body]), token=False)
    answer.must_be_text(401, "Unauthorized")


@check("auth.wrong", "production_auth: Basic wrong")
def test_a_wrong_token_is_refused(guarded: Client) -> None:
    token = guarded.server.token or ""
    for wrong in {"wrong", f"{token}x", token[:-1], token.swapcase(), ""} - {token}:
        _with(guarded, f"Basic {wrong}").must_be_text(401, "Unauthorized")


@check("auth.basic", "production_auth: Basic s3cret-token")
def test_basic_and_the_plain_token_is_accepted(guarded: Client) -> None:
    _with(guarded, f"Basic {guarded.server.token}").must_be(200)


@check("auth.bare", "production_auth: s3cret-token", "recommended")
def test_the_token_alone_is_accepted(guarded: Client) -> None:
    _with(guarded, guarded.server.token).must_be(200)


@pytest.mark.parametrize("scheme", ["Bearer", "basic"])
@check("auth.other-schemes", "production_auth: Bearer, basic", "observed")
def test_no_other_scheme_is_accepted(guarded: Client, scheme: str) -> None:
    _with(guarded, f"{scheme} {guarded.server.token}").must_be_text(401, "Unauthorized")


@check("auth.open", "production_auth: /health, /ready")
def test_health_and_ready_need_no_token(guarded: Client) -> None:
    for path in ("/health", "/ready", "/HEALTH", "/health/"):
        _with(guarded, None, path).must_be_text(200, "OK")


@check("auth.options", "production_auth: OPTIONS", "observed")
def test_options_requests_need_the_token_too(guarded: Client) -> None:
    guarded.ask("OPTIONS", "/workflow/run", token=False).must_be_text(401, "Unauthorized")


@check("auth.health-post", "production_auth: POST /health", "observed")
def test_a_post_to_health_needs_no_token_and_is_not_found(guarded: Client) -> None:
    guarded.post("/health", token=False).must_be_text(404, "Not Found")


@check("auth.broken-body", "production_auth: {bad", "observed")
def test_the_body_is_parsed_before_the_token_is_checked(guarded: Client) -> None:
    headers = {"Content-Type": "application/json"}
    guarded.post("/workflow/run", data="{bad", headers=headers, token=False).must_be(400, "SyntaxError")


@check("auth.headers", "production_auth: headers", "recommended")
def test_a_401_has_the_documented_headers(guarded: Client) -> None:
    guarded.get(_SOMETHING, token=False, all_headers=True).must_be(401)


@check("auth.any-token", "production_auth: 401")
def test_no_other_token_is_accepted(guarded: Client, examples: settings) -> None:
    token = guarded.server.token or ""
    printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)

    @examples
    @given(printable.filter(lambda text: text != token), st.sampled_from(["Basic ", "", "Bearer "]))
    def is_refused(other: str, scheme: str) -> None:
        _with(guarded, f"{scheme}{other}").must_be_text(401, "Unauthorized")

    is_refused()
