"""Which requests reach which operation, and the answers for unknown paths."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_contract.checks import case, check
from output_contract.client import Client
from output_mock.contract.operations import OPERATIONS

UNKNOWN_RUN = "00000000-0000-4000-8000-000000000000"
# The versions of the API that introduced some of them.
SINCE = {"input": "0.10.0", "history/stream": "0.9.0"}


def _operations(prefix: str) -> list[tuple[str, str, Any]]:
    """The operations below a path: method, rest of the path, and a body if one is needed."""
    found: list[tuple[str, str, Any]] = []
    for operation in OPERATIONS:
        fields = () if operation.body is None else operation.body.fields
        for endpoint in operation.endpoints:
            what = re.sub(r"\{(\w)\w*\}", r"\1", endpoint.path.removeprefix(prefix))
            if endpoint.path.startswith(prefix) and not what.startswith("runs/"):
                found.append(
                    (operation.method, what, {one.name: "x" for one in fields if one.required} or None)
                )
    return found


ON_A_WORKFLOW = _operations("/workflow/{id}/")
ON_A_RUN = _operations("/workflow/{id}/runs/{rid}/")


def _ask(api: Client, method: str, path: str, body: Any) -> Any:
    return api.ask(method, path, *([] if body is None else [body]))


def _cases(operations: list[tuple[str, str, Any]]) -> list[Any]:
    return [case(one, id=f"{one[0]} {one[1]}", since=SINCE.get(one[1])) for one in operations]


@check("routing.unknown-path", "health, unknown_workflow: Not Found")
def test_an_unknown_path_is_a_404_in_plain_text(api: Client) -> None:
    for path in ("/", f"/{api.server.new_id()}", "/workflow", f"/workflow/{api.server.new_id()}"):
        answer = api.get(path).must_be_text(404, "Not Found")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@check("routing.empty-id", "routing: GET /workflow//status")
def test_an_empty_id_is_not_found(api: Client) -> None:
    api.get("/workflow//status").must_be_text(404, "Not Found")


@check("routing.any-case", "routing: GET /Workflow/Catalog; health: GET /HEALTH", "recommended")
def test_paths_match_in_any_case(api: Client) -> None:
    api.get("/HEALTH").must_be_text(200, "OK")
    api.get("/Workflow/RUNS?limit=1").must_be(200)


@check("routing.trailing-slash", "routing: GET /workflow/runs/; health: GET /health/", "recommended")
def test_a_trailing_slash_does_not_matter(api: Client) -> None:
    api.get("/health/").must_be_text(200, "OK")
    api.get("/workflow/runs/?limit=1").must_be(200)


@check("routing.unknown-query", "routing: GET /workflow/catalog?x=1")
def test_unknown_query_parameters_are_ignored(api: Client) -> None:
    answer = api.get("/workflow/runs?limit=1&x=1&x=2&__proto__=3").must_be(200)
    assert len(answer.json["runs"]) <= 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/heartbeat"),
        ("POST", "/health"),
        ("PUT", "/workflow/run"),
        ("GET", "/workflow/run"),
        ("DELETE", "/workflow/none/stop"),
        ("POST", "/workflow/none/stop"),
        ("PATCH", "/workflow/none/terminate"),
    ],
)
@check("routing.wrong-method", "health, routing, unknown_workflow: Not Found", "observed")
def test_a_known_path_with_another_method_is_a_404(api: Client, method: str, path: str) -> None:
    api.ask(method, path).must_be_text(404, "Not Found")


@check("routing.head", "routing: HEAD /workflow/catalog", "recommended")
def test_head_is_get_without_the_body(api: Client) -> None:
    path = f"/workflow/runs?workflowType={api.server.new_id()}"
    got, head = api.get(path).must_be(200), api.ask("HEAD", path).must_be(200)
    assert head.body == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.headers.get("content-length", str(len(got.body))) == str(len(got.body))


@check("routing.bad-escape", "workflow_id: GET /workflow/%E0%A4%A/status")
def test_an_invalid_percent_escape_is_refused(api: Client) -> None:
    answer = api.get("/workflow/%E0%A4%A/status").must_be(400, "URIError")
    assert answer.json["message"] == "Failed to decode param '%E0%A4%A'"


@check("routing.escaped-id", "workflow_id: GET /workflow/rec%20id%2F…/status")
def test_an_id_in_a_path_is_percent_decoded(api: Client) -> None:
    name = api.server.new_id()
    answer = api.get(f"/workflow/{name}%20a%2Fb%3F%C3%A9%F0%9F%98%80/status")
    answer.must_be(404, "WorkflowNotFoundError", workflowId=f"{name} a/b?é😀")


@check("routing.literal-first", "routing: GET /workflow/catalog/status", "observed")
def test_an_id_may_be_a_word_of_the_api(api: Client) -> None:
    api.get("/workflow/catalog/status").must_be(404, "WorkflowNotFoundError", workflowId="catalog")
    api.post("/workflow/run/signal/x").must_be(404, "WorkflowNotFoundError", workflowId="run")


@pytest.mark.parametrize("operation", _cases(ON_A_WORKFLOW))
@check("routing.unknown-workflow", "unknown_workflow: 404 WorkflowNotFoundError")
def test_an_unknown_workflow_is_not_found(api: Client, operation: tuple[str, str, Any]) -> None:
    method, what, body = operation
    unknown = api.server.new_id()
    answer = _ask(api, method, f"/workflow/{unknown}/{what}", body)
    answer.must_be(404, "WorkflowNotFoundError", workflowId=unknown)
    assert unknown in answer.json["message"], "the message names the id"


@pytest.mark.parametrize("operation", _cases(ON_A_RUN))
@check("routing.unknown-run", "unknown_workflow: runs/00000000-…")
def test_an_unknown_run_of_an_unknown_workflow_is_not_found(
    api: Client, operation: tuple[str, str, Any]
) -> None:
    method, what, body = operation
    unknown = api.server.new_id()
    answer = _ask(api, method, f"/workflow/{unknown}/runs/{UNKNOWN_RUN}/{what}", body)
    if what == "reset":
        # The operation that passes on Temporal's error.
        answer.must_be(500, "Error")
    else:
        answer.must_be(404, "WorkflowNotFoundError", workflowId=unknown)


@pytest.mark.parametrize("operation", _cases(ON_A_RUN))
@check("routing.unknown-run-of-a-workflow", "known_workflow_unknown_run")
def test_an_unknown_run_of_a_known_workflow_is_not_found(
    api: Client, operation: tuple[str, str, Any]
) -> None:
    method, what, body = operation
    done = api.finished("succeeds")
    answer = _ask(api, method, f"{done.base}/runs/{UNKNOWN_RUN}/{what}", body)
    if what == "reset":
        answer.must_be(500, "Error")
    else:
        answer.must_be(404, "WorkflowNotFoundError", workflowId=done.id)


@pytest.mark.parametrize("operation", _cases(ON_A_RUN))
@check("routing.malformed-run", "unknown_workflow: runs/xyz")
def test_a_run_id_is_a_uuid(api: Client, operation: tuple[str, str, Any]) -> None:
    method, what, body = operation
    answer = _ask(api, method, f"/workflow/{api.server.new_id()}/runs/xyz/{what}", body)
    (issue,) = answer.must_be(400, "ValidationError").json["issues"]
    assert (issue["code"], issue["format"], issue["path"]) == ("invalid_format", "uuid", [])


_TEXT = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="/?#")
_PIECES = st.text(_TEXT, min_size=1, max_size=12)


@check("routing.any-path", "unknown_workflow, routing, further/fact_http_ids")
def test_no_path_causes_an_unexpected_answer(api: Client, examples: settings) -> None:
    """Every request about something unknown gets a documented answer, and no 5xx."""
    from urllib.parse import quote

    unknown = api.server.new_id()

    @examples
    @given(st.sampled_from(ON_A_WORKFLOW), _PIECES, st.sampled_from(["", "/", "/x"]), st.booleans())
    def is_answered(operation: tuple[str, str, Any], piece: str, end: str, inside: bool) -> None:
        method, what, body = operation
        odd = quote(piece, safe="")
        path = f"/workflow/{unknown}{odd}/{what}{end}" if inside else f"/workflow/{unknown}/{odd}/{what}{end}"
        answer = _ask(api, method, path, body)
        assert answer.status in (200, 204, 400, 404), f"{method} {path}"

    is_answered()
