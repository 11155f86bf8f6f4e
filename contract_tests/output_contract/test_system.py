"""Health, request ids, and the headers that all answers have."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from output_contract.checks import check
from output_contract.client import Client, Deviation

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CORS = ("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers")
_ID_TEXT = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
# Requests for every kind of answer that needs no workflow: method, path, body.
_KINDS: list[tuple[str, str, Any]] = [
    ("GET", "/workflow/runs?limit=1", None),
    ("GET", "/workflow/runs?limit=0", None),
    ("GET", "/workflow/{id}/status", None),
    ("PATCH", "/workflow/{id}/stop", None),
    ("POST", "/workflow/{id}/terminate", {}),
    ("POST", "/workflow/{id}/reset", {"stepName": "x"}),
    ("POST", "/workflow/start", {"workflowName": "{id}"}),
    ("POST", "/workflow/start", {}),
    ("POST", "/heartbeat", None),
    ("GET", "/{id}", None),
    ("OPTIONS", "/workflow/run", None),
]
_NAMES = [f"{method} {path}{'' if body is None else ' ' + str(body)}" for method, path, body in _KINDS]


def _ask(api: Client, method: str, path: str, body: Any, **options: Any) -> Any:
    unknown = api.server.new_id()
    if isinstance(body, dict):
        body = {name: unknown if value == "{id}" else value for name, value in body.items()}
    return api.ask(method, path.replace("{id}", unknown), *([] if body is None else [body]), **options)


@check("system.health", "health: GET /health")
def test_health_is_ok_in_plain_text(api: Client) -> None:
    api.get("/health").must_be_text(200, "OK")


@check("system.ready", "health: GET /ready")
def test_the_server_is_ready(api: Client) -> None:
    api.get("/ready").must_be_text(200, "OK")


@check("system.heartbeat", "health: POST /heartbeat")
def test_a_heartbeat_is_answered_204(api: Client) -> None:
    api.post("/heartbeat").must_be_text(204, "")


@check("system.health-head", "health: HEAD /health")
def test_health_answers_head_requests(api: Client) -> None:
    api.ask("HEAD", "/health").must_be_text(200, "")


@pytest.mark.parametrize("kind", _KINDS, ids=_NAMES)
@check("system.request-id", "health, unknown_workflow, body_validation: X-Request-ID")
def test_every_answer_has_its_own_request_id(api: Client, kind: tuple[str, str, Any]) -> None:
    first, second = (_ask(api, *kind).headers["x-request-id"] for _ in range(2))
    assert _UUID.fullmatch(first), "without an id in the request it is a new UUID"
    assert first != second


@check("system.request-id-echoed", "health: X-Request-ID")
def test_a_valid_request_id_is_echoed(api: Client, examples: settings) -> None:
    @examples
    @given(st.text(_ID_TEXT, min_size=1, max_size=128))
    def comes_back(sent: str) -> None:
        assert api.get("/health", headers={"X-Request-ID": sent}).headers["x-request-id"] == sent

    comes_back()


@check("system.request-id-replaced", "health: X-Request-ID")
def test_an_invalid_request_id_is_replaced(api: Client, examples: settings) -> None:
    valid = st.text(_ID_TEXT, max_size=20)
    invalid = st.sampled_from(sorted(set(string.punctuation) - set("_-")))

    # Characters that other servers accept in an id.
    @example("a", ".", "1")
    @example("a", ":", "1")
    @example("a", "/", "1")
    @example("a", "=", "")
    @example("{", "a", "}")
    @examples
    @given(valid, invalid, valid)
    def is_replaced(before: str, character: str, after: str) -> None:
        sent = before + character + after
        got = api.get("/health", headers={"X-Request-ID": sent}).headers["x-request-id"]
        assert _UUID.fullmatch(got), f"{sent!r} is no valid id, so there is a new one"

    is_replaced()


@check("system.request-id-length", "health: X-Request-ID")
def test_a_request_id_has_128_characters_at_most(api: Client) -> None:
    longest = "x" * 128
    assert api.get("/health", headers={"X-Request-ID": longest}).headers["x-request-id"] == longest
    assert (
        api.get("/health", headers={"X-Request-ID": f"{longest}x"}).headers["x-request-id"] != f"{longest}x"
    )


@check("system.request-id-render", "health: Rndr-Id", "observed")
def test_the_hosting_services_request_id_comes_first(api: Client) -> None:
    both = {"Rndr-Id": "render-1", "X-Request-ID": "other"}
    assert api.get("/health", headers=both).headers["x-request-id"] == "render-1"
    invalid = {"Rndr-Id": "no id!", "X-Request-ID": "other"}
    assert api.get("/health", headers=invalid).headers["x-request-id"] == "other"


@pytest.mark.parametrize("kind", _KINDS, ids=_NAMES)
@check("system.headers", "health, stop_default, terminate, reset: headers", "recommended")
def test_answers_have_the_documented_headers_and_no_others(api: Client, kind: tuple[str, str, Any]) -> None:
    answer = _ask(api, *kind, all_headers=True)
    assert all(name in answer.headers for name in _CORS), "any page may call the API"


@check("system.cors-not-on-health", "health: headers", "observed")
def test_health_has_no_cors_headers(api: Client) -> None:
    answer = api.get("/health", all_headers=True)
    assert not [name for name in _CORS if name in answer.headers]


@check("system.options", "health, routing: OPTIONS", "observed")
def test_options_requests_are_answered_on_any_path(api: Client) -> None:
    api.ask("OPTIONS", "/workflow/run").must_be_text(200, "OK")
    api.ask("OPTIONS", f"/{api.server.new_id()}").must_be_text(200, "OK")


@check("system.etag", "further/fact_http_caching", "recommended")
def test_an_etag_saves_sending_the_same_answer_again(api: Client) -> None:
    path = f"/workflow/runs?workflowType={api.server.new_id()}"
    answer = api.get(path).must_be(200)
    tag = answer.headers.get("etag")
    if not tag:
        raise Deviation("an answer with a body has an ETag", answer.exchange, ["header etag: is missing"])
    again = api.get(path, headers={"If-None-Match": tag})
    again.must_be_text(304, "")
