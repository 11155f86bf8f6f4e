"""Which operation a request reaches, and the headers of every response."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from output_mock import Context, OutputMock
from output_mock.contract.operations import ROUTES
from tests.client import Client
from tests.conftest import BOTH_TRANSPORTS, Connect

NOBODY = "00000000-0000-4000-8000-000000000000"
GETS = [path for method, path, _ in ROUTES if method == "GET"]


@pytest.fixture
def mock() -> OutputMock:
    mock = OutputMock(seed=7)

    @mock.workflow("approval")
    async def approval(ctx: Context, input: object) -> object:
        ctx.on_query("stage", lambda payload: "waiting")
        ctx.on_update("set", lambda payload: "old")
        await ctx.step("draft", returns="text")
        return await ctx.wait_for_signal("approve")

    return mock


def filled(path: str, id: str = "wf", rid: str = NOBODY) -> str:
    return path.replace("{id}", id).replace("{rid}", rid).replace("{name}", "stage")


def body_for(operation: str) -> dict[str, object]:
    bodies: dict[str, dict[str, object]] = {
        "run": {"workflowName": "approval", "timeout": 250},
        "start": {"workflowName": "approval"},
        "reset": {"stepName": "draft"},
    }
    return bodies.get(operation, {})


# --- routes ----------------------------------------------------------------------------------------------


def upper(path: str) -> str:
    """The path in capitals, except for the names of its parameters."""
    return "/".join(part if part.startswith("{") else part.upper() for part in path.split("/"))


def test_every_operation_is_reached_regardless_of_case_and_trailing_slash(
    mock: OutputMock, client: Client
) -> None:
    for method, path, operation in ROUTES:
        for spelt in (path, upper(path), f"{path}/"):
            client.request(method, filled(spelt), body_for(operation))
            call = mock.calls()[-1]
            assert call.route == operation, (method, spelt)
            assert call.workflow_id == ("wf" if path.startswith("/workflow/{id}") else call.workflow_id)


@BOTH_TRANSPORTS
@pytest.mark.parametrize(
    "path", ["/health//", "//health", "/workflow//status", "/workflow/wf/status//", "//"]
)
def test_a_path_with_an_empty_segment_is_not_found(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status, answer.text) == (404, "Not Found")


def test_a_known_path_with_another_method_is_not_found(client: Client) -> None:
    known = {(method, path) for method, path, _ in ROUTES}
    for _, path, _ in ROUTES:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"):
            if (method, path) not in known:
                answer = client.request(method, filled(path))
                assert (answer.status, answer.text) == (404, "Not Found"), (method, path)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"])
def test_an_unknown_path_is_not_found_in_plain_text(client: Client, method: str) -> None:
    for path in (
        "/",
        "/nope",
        "/workflow",
        "/workflow/wf",
        "/workflow/wf/runs",
        f"/workflow/wf/runs/{NOBODY}",
    ):
        answer = client.request(method, path)
        assert answer.status == 404
        assert answer.text == ("" if method == "HEAD" else "Not Found")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@BOTH_TRANSPORTS
@pytest.mark.parametrize("path", [path for path in GETS if not path.endswith("/stream")])
def test_head_answers_as_get_does_without_a_body(client: Client, path: str) -> None:
    run_id = client.start("approval", workflowId="wf")["runId"]
    client.post("/workflow/wf/terminate")
    url = filled(path, rid=run_id).replace("/catalog/wf", "/catalog/main")
    status, headers, body = client.get(url)
    head = client.request("HEAD", url)
    assert body
    assert (head.status, head.body) == (status, b"")
    varying = {"x-request-id", "date"}
    assert {name: value for name, value in head.headers.items() if name not in varying} == {
        name: value for name, value in headers.items() if name not in varying
    }


@BOTH_TRANSPORTS
@pytest.mark.parametrize("path", [path for path in GETS if path.endswith("/stream")])
def test_head_of_a_stream_does_not_wait_for_its_end(client: Client, path: str) -> None:
    url = filled(path, "main", client.get("/workflow/main/status").json["runId"])
    head = client.request("HEAD", url)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"


@BOTH_TRANSPORTS
@pytest.mark.parametrize(
    "path", ["/", "/nope", "/health", "/workflow/run", "/workflow/wf/stop", "/workflow/%E0%A4%A/x"]
)
def test_options_requests_get_200_on_every_path(client: Client, path: str) -> None:
    answer = client.request("OPTIONS", path)
    assert (answer.status, answer.text) == (200, "OK")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_an_options_request_starts_no_run(mock: OutputMock, client: Client) -> None:
    client.request("OPTIONS", "/workflow/start", {"workflowName": "approval"})
    assert len(mock.runs) == 0


def test_health_and_ready_answer_in_plain_text(client: Client) -> None:
    for path in ("/health", "/ready"):
        answer = client.get(path)
        assert (answer.status, answer.text) == (200, "OK")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@BOTH_TRANSPORTS
def test_heartbeat_has_no_content(client: Client) -> None:
    answer = client.post("/heartbeat")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-type" not in answer.headers
    assert answer.headers["etag"] == 'W/"a-bAsFyilMr4Ra1hIU5PyoyFRunpI"'


def test_words_that_occur_in_routes_can_be_workflow_ids(client: Client) -> None:
    for word in ("catalog", "run", "start", "runs"):
        answer = client.get(f"/workflow/{word}/status")
        assert (answer.status, answer.json["workflowId"]) == (404, word)


def test_a_query_string_does_not_change_the_route(client: Client) -> None:
    assert client.get("/health?x=1&y").text == "OK"
    assert client.get("/workflow/catalog?x=%zz").status == 200


@BOTH_TRANSPORTS
def test_an_absolute_request_target_is_reduced_to_its_path(client: Client) -> None:
    assert client.get("http://output.example/health").text == "OK"
    assert client.get("http://output.example/workflow/none/status").json["workflowId"] == "none"


def test_a_catalog_query_to_another_workflow_fails(client: Client) -> None:
    client.start("approval", workflowId="wf")
    answer = client.get("/workflow/catalog/wf")
    assert (answer.status, answer.json["error"]) == (500, "QueryNotRegisteredError")
    assert answer.json["message"].startswith("Workflow did not register a handler for get.")


@pytest.mark.parametrize(
    ("path", "workflow_id"), [("/workflow/a%20b/status", "a b"), ("/workflow/%C3%A9/status?x=1", "é")]
)
def test_the_app_works_on_servers_that_do_not_pass_the_raw_target(
    mock: OutputMock, path: str, workflow_id: str
) -> None:
    environ = EnvironBuilder(path).get_environ()
    del environ["RAW_URI"], environ["REQUEST_URI"]
    chunks, status, _ = run_wsgi_app(mock.app, environ)
    assert status.startswith("404")
    assert json.loads(b"".join(chunks))["workflowId"] == workflow_id
    assert mock.calls()[0].path == path.partition("?")[0]


def test_the_query_string_argument_of_the_test_client_counts(mock: OutputMock) -> None:
    client = mock.app.test_client()
    assert client.get("/workflow/runs", query_string={"limit": "1"}).status_code == 200
    assert client.get("/workflow/runs", query_string={"limit": "0"}).status_code == 400
    assert [call.query for call in mock.calls()] == [{"limit": "1"}, {"limit": "0"}]


# --- ids in paths ----------------------------------------------------------------------------------------


@BOTH_TRANSPORTS
@pytest.mark.parametrize(
    ("escaped", "workflow_id"),
    [
        ("a%20b", "a b"),
        ("a%2Fb", "a/b"),
        ("a%2fb%3Fc", "a/b?c"),
        ("a+b", "a+b"),
        ("%C3%A9%F0%9F%90%9D", "é🐝"),
        ("%2E%2E", ".."),
        ("..", ".."),
        ("a;b=1", "a;b=1"),
        ("-begins-with-a-dash", "-begins-with-a-dash"),
        ("%25", "%"),
        ("%2525", "%25"),
        ("a%00b", "a\0b"),
    ],
)
def test_an_id_is_percent_decoded_once(client: Client, escaped: str, workflow_id: str) -> None:
    started = client.start("approval", workflowId=workflow_id)
    assert started["workflowId"] == workflow_id
    assert client.get(f"/workflow/{escaped}/status").json["workflowId"] == workflow_id
    pinned = f"/workflow/{escaped}/runs/{started['runId']}/history"
    assert client.get(pinned).json["workflow"]["workflowId"] == workflow_id


def test_ids_are_compared_with_their_case(client: Client) -> None:
    client.start("approval", workflowId="Mixed")
    assert client.get("/WORKFLOW/Mixed/STATUS").status == 200
    assert client.get("/workflow/mixed/status").status == 404


@BOTH_TRANSPORTS
@pytest.mark.parametrize("escaped", ["%", "%2", "%zz", "%E0%A4%A", "%ff", "%C3", "a%C0%AFb", "%ED%A0%80"])
def test_an_escape_that_cannot_be_decoded_is_a_uri_error(client: Client, escaped: str) -> None:
    answer = client.get(f"/workflow/{escaped}/status")
    assert (answer.status, answer.json) == (
        400,
        {"error": "URIError", "message": f"Failed to decode param '{escaped}'"},
    )


def test_a_bad_escape_in_an_unknown_path_is_not_found(client: Client) -> None:
    assert client.get("/%zz").status == 404
    assert client.get("/workflow/%zz").status == 404


def test_message_names_are_percent_decoded(mock: OutputMock, client: Client) -> None:
    @mock.workflow("spaced")
    async def spaced(ctx: Context, input: object) -> object:
        return await ctx.wait_for_signal("go on/now")

    client.start("spaced", workflowId="s")
    client.post("/workflow/s/signal/go%20on%2Fnow", {"payload": {"n": 1}})
    assert client.until_closed("s") == "completed"


@pytest.mark.parametrize("rid", ["xyz", "0", f"{NOBODY}0", "00000000-0000-0000-8000-000000000000"])
def test_a_run_id_that_is_not_a_uuid_is_refused(client: Client, rid: str) -> None:
    answer = client.get(f"/workflow/wf/runs/{rid}/status")
    assert (answer.status, answer.json["error"]) == (400, "ValidationError")
    (issue,) = answer.json["issues"]
    assert (issue["path"], issue["format"], issue["message"]) == ([], "uuid", "Invalid UUID")


# --- request ids -----------------------------------------------------------------------------------------

VALID = ["a", "my-id_1", "0", "x" * 128, "-", "_"]
INVALID = ["x" * 129, "bad id!", "a.b", "a/b", "caf\xe9", "a,b", "a\tb"]


@pytest.mark.parametrize("header", ["X-Request-ID", "Rndr-Id", "x-request-id"])
def test_a_valid_request_id_comes_back(client: Client, header: str) -> None:
    for given in VALID:
        assert client.get("/health", headers={header: given}).headers["x-request-id"] == given


@BOTH_TRANSPORTS
@pytest.mark.parametrize("given", INVALID)
@pytest.mark.parametrize("header", ["X-Request-ID", "Rndr-Id"])
def test_an_invalid_request_id_is_replaced(client: Client, header: str, given: str) -> None:
    answer = client.get("/health", headers={header: given})
    assert str(uuid.UUID(answer.headers["x-request-id"])) == answer.headers["x-request-id"]


def test_the_platforms_request_id_takes_precedence_over_the_clients(client: Client) -> None:
    both = {"Rndr-Id": "render-1", "X-Request-ID": "other"}
    assert client.get("/health", headers=both).headers["x-request-id"] == "render-1"


def test_an_invalid_platform_request_id_does_not_replace_the_clients(client: Client) -> None:
    both = {"Rndr-Id": "not valid", "X-Request-ID": "other"}
    assert client.get("/health", headers=both).headers["x-request-id"] == "other"


def test_every_response_has_a_new_request_id(client: Client) -> None:
    answers = [
        client.get("/health"),
        client.get("/nope"),
        client.get("/workflow/none/status"),
        client.get("/workflow/%zz/status"),
        client.post("/heartbeat"),
        client.request("OPTIONS", "/x"),
        client.post("/workflow/run", {}),
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one) for one in ids)


# --- what is sent along ----------------------------------------------------------------------------------

CORS = ("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers")


@pytest.mark.parametrize(
    "path", ["/workflow/catalog", "/nope", "/workflow/none/status", "/workflow/%zz/status"]
)
def test_answers_carry_cors_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["access-control-allow-origin"] == "*"
    assert set(CORS) <= set(headers)


@pytest.mark.parametrize("path", ["/health", "/ready", "/HEALTH", "/ready/"])
def test_health_and_ready_carry_no_cors_headers(client: Client, path: str) -> None:
    assert not set(CORS) & set(client.get(path).headers)


# --- deprecation -----------------------------------------------------------------------------------------

UNPINNED = [("PATCH", "stop"), ("POST", "terminate"), ("POST", "reset")]


@pytest.mark.parametrize(("method", "operation"), UNPINNED)
def test_unpinned_stop_terminate_and_reset_are_deprecated(
    client: Client, method: str, operation: str
) -> None:
    client.start("approval", workflowId="wf")
    client.get("/workflow/wf/status")
    client.get("/workflow/wf/history?longPollTimeoutMs=10")
    body = {"stepName": "draft"} if operation == "reset" else {}
    for workflow_id, status in (("wf", 200), ("none", 404)):
        answer = client.request(method, f"/workflow/{workflow_id}/{operation}", body)
        assert answer.status == status, answer.text
        assert answer.headers["deprecation"] == "true"
        assert answer.headers["sunset"] == "Thu, 16 Jul 2026 00:00:00 GMT"
        assert answer.headers["link"] == (
            f'</workflow/{{id}}/runs/{{rid}}/{operation}>; rel="successor-version"'
        )


@pytest.mark.parametrize(("method", "operation"), UNPINNED[1:])
def test_a_refused_request_to_a_deprecated_route_has_the_deprecation_header(
    client: Client, method: str, operation: str
) -> None:
    answer = client.request(method, f"/workflow/wf/{operation}", {"reason": 1, "stepName": 1})
    assert answer.status == 400
    assert answer.headers["deprecation"] == "true"


@pytest.mark.parametrize(("method", "operation"), UNPINNED)
def test_pinned_stop_terminate_and_reset_are_not_deprecated(
    client: Client, method: str, operation: str
) -> None:
    run_id = client.start("approval", workflowId="wf")["runId"]
    client.get("/workflow/wf/history?longPollTimeoutMs=10")
    answer = client.request(method, f"/workflow/wf/runs/{run_id}/{operation}", {"stepName": "draft"})
    assert answer.status == 200, answer.text
    assert not {"deprecation", "sunset", "link"} & set(answer.headers)


# --- ETag ------------------------------------------------------------------------------------------------


def test_the_etag_is_the_one_that_express_computes(client: Client) -> None:
    assert client.get("/health").headers["etag"] == 'W/"2-nOO9QiTIwXgNtWtBJezz8kv3SLc"'


@pytest.mark.parametrize("path", ["/health", "/nope", "/workflow/catalog", "/workflow/none/status"])
def test_every_body_has_an_etag_of_its_bytes(client: Client, path: str) -> None:
    answer = client.get(path)
    digest = base64.b64encode(hashlib.sha1(answer.body, usedforsecurity=False).digest()).decode()[:27]
    assert answer.headers["etag"] == f'W/"{len(answer.body):x}-{digest}"'


def with_etag(answer_etag: str) -> list[str]:
    strong = answer_etag.removeprefix("W/")
    return [answer_etag, strong, "*", f'"other", {answer_etag}', f'W/"x",{strong} , "y"']


@BOTH_TRANSPORTS
def test_a_body_with_the_same_etag_is_not_sent_again(client: Client) -> None:
    first = client.get("/workflow/catalog")
    for condition in with_etag(first.headers["etag"]):
        again = client.get("/workflow/catalog", headers={"If-None-Match": condition})
        assert (again.status, again.body) == (304, b""), condition
        assert again.headers["etag"] == first.headers["etag"]
        assert "content-type" not in again.headers
        assert again.headers["access-control-allow-origin"] == "*"
        assert "x-request-id" in again.headers


def test_head_requests_can_be_conditional_too(client: Client) -> None:
    etag = client.get("/workflow/catalog").headers["etag"]
    assert client.request("HEAD", "/workflow/catalog", headers={"If-None-Match": etag}).status == 304


@pytest.mark.parametrize("condition", ['"other"', "", "nOO9QiTIwXgNtWtBJezz8kv3SLc", 'W/"2-x"'])
def test_a_body_with_another_etag_is_sent(client: Client, condition: str) -> None:
    answer = client.get("/health", headers={"If-None-Match": condition})
    assert (answer.status, answer.text) == (200, "OK")


@pytest.mark.parametrize("control", ["no-cache", "max-age=0, no-cache", "no-cache, x"])
def test_no_cache_gets_the_body(client: Client, control: str) -> None:
    etag = client.get("/health").headers["etag"]
    answer = client.get("/health", headers={"If-None-Match": etag, "Cache-Control": control})
    assert answer.status == 200


def test_a_changed_body_is_sent_in_full(client: Client) -> None:
    client.start("approval", workflowId="wf")
    etag = client.get("/workflow/wf/status").headers["etag"]
    client.post("/workflow/wf/terminate")
    answer = client.get("/workflow/wf/status", headers={"If-None-Match": etag})
    assert (answer.status, answer.json["status"]) == (200, "terminated")


def test_errors_and_posts_never_get_a_304(client: Client) -> None:
    missing = client.get("/workflow/none/status")
    headers = {"If-None-Match": missing.headers["etag"]}
    assert client.get("/workflow/none/status", headers=headers).status == 404
    client.start("approval", workflowId="wf")
    asked = client.post("/workflow/wf/query/stage")
    headers = {"If-None-Match": asked.headers["etag"]}
    assert client.post("/workflow/wf/query/stage", headers=headers).status == 200


@BOTH_TRANSPORTS
def test_a_stream_has_no_etag_and_is_not_cached(client: Client) -> None:
    client.start("approval", workflowId="wf")
    client.post("/workflow/wf/terminate")
    with client.stream("/workflow/wf/history/stream", headers={"If-None-Match": "*"}) as stream:
        assert [frame.event for frame in stream] == ["workflow", "history", "done"]
        assert "etag" not in stream.headers
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"


# --- auth ------------------------------------------------------------------------------------------------

TOKEN = "s3cret-token"


@pytest.fixture
def guarded(connect: Connect) -> Client:
    mock = OutputMock(auth_token=TOKEN)
    mock.workflow("echo").returns(1)
    return connect(mock)


@BOTH_TRANSPORTS
@pytest.mark.parametrize("given", [f"Basic {TOKEN}", TOKEN, f"Basic\t{TOKEN}"])
def test_the_token_is_accepted_with_or_without_basic(guarded: Client, given: str) -> None:
    assert guarded.get("/workflow/catalog", headers={"Authorization": given}).status == 200


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Basic wrong",
        f"Bearer {TOKEN}",
        f"basic {TOKEN}",
        f"BASIC {TOKEN}",
        f"Basic{TOKEN}",
        "Basic ",
        f"Basic {TOKEN}x",
        f"Basic {TOKEN[:-1]}",
        f"Basic {base64.b64encode(TOKEN.encode()).decode()}",
    ],
)
def test_no_other_authorization_is_accepted(guarded: Client, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    answer = guarded.get("/workflow/catalog", headers=headers)
    assert (answer.status, answer.text) == (401, "Unauthorized")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert not set(CORS) & set(answer.headers)
    assert "www-authenticate" not in answer.headers


def test_every_operation_but_health_and_ready_requires_the_token(guarded: Client) -> None:
    for method, path, operation in ROUTES:
        wanted = 200 if operation in ("health", "ready") else 401
        assert guarded.request(method, filled(path), body_for(operation)).status == wanted, (method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("OPTIONS", "/workflow/run"),
        ("GET", "/nope"),
        ("PUT", "/workflow/run"),
        ("HEAD", "/workflow/catalog"),
        ("GET", "/workflow/%zz/status"),
    ],
)
def test_options_requests_and_unknown_paths_require_the_token_too(
    guarded: Client, method: str, path: str
) -> None:
    assert guarded.request(method, path).status == 401
    headers = {"Authorization": f"Basic {TOKEN}"}
    assert guarded.request(method, path, headers=headers).status != 401


@pytest.mark.parametrize("path", ["/health", "/ready", "/HEALTH", "/health/", "/Ready/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_and_ready_need_no_token_in_any_spelling(guarded: Client, method: str, path: str) -> None:
    assert guarded.request(method, path).status == 200


def test_a_body_is_parsed_before_the_token_is_checked(guarded: Client) -> None:
    json_type = {"Content-Type": "application/json"}
    assert guarded.post("/workflow/run", data="{bad", headers=json_type).json["error"] == "SyntaxError"
    assert guarded.post("/workflow/run", {"workflowName": "echo"}).status == 401


def test_an_unauthorized_request_has_no_effect(connect: Connect) -> None:
    mock = OutputMock(auth_token=TOKEN)
    mock.workflow("echo").returns(1)
    connect(mock).post("/workflow/run", {"workflowName": "echo"})
    assert len(mock.runs) == 0


def test_without_a_configured_token_every_request_is_accepted(client: Client) -> None:
    assert client.get("/workflow/catalog", headers={"Authorization": "Bearer whatever"}).status == 200
