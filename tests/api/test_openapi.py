"""The OpenAPI document is valid and complete, and every recorded exchange of the real server matches it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator

from output_contract.conformity import DOCUMENT, check_response, find_operation, resolve, schema_problems
from output_mock.contract.errors import SHAPES
from output_mock.contract.operations import NAMES, OPERATIONS, ROUTES, errors_of
from output_mock.http.handlers import HANDLERS
from output_mock.openapi import DIFFERENCES, document
from tests.fidelity.recorded import RECORDINGS
from tests.recording.samples import sample, stream_text


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def references(node: Any) -> Iterator[str]:
    """Every `$ref` at any depth. The mapping of a discriminator only repeats them."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


@functools.cache
def recorded() -> list[Any]:
    exchanges = []
    for recording in RECORDINGS.values():
        for number, step in enumerate(recording.steps):
            if step.answer is not None:
                method, _, path = (step.request or "").partition(" ")
                request = {**step.written, "method": method, "path": path}
                response = sample(step.answer)
                if "stream" in response:
                    response["text"] = stream_text(response.pop("stream"))
                exchanges.append(pytest.param(request, response, id=f"{recording.name}-{number}"))
    return exchanges


# --- the document by itself ------------------------------------------------------------------------------


def test_the_openapi_validator_accepts_the_document() -> None:
    openapi_spec_validator.validate(document())


def test_the_document_has_each_endpoint_with_its_parameters() -> None:
    described = {(method.upper(), path): operation for method, path, operation in operations()}
    assert [*described] == [(method, path) for method, path, _ in ROUTES]
    for operation in OPERATIONS:
        taken = {field.name for field in operation.query.fields} if operation.query else set()
        for endpoint in operation.endpoints:
            nodes = described[operation.method, endpoint.path].get("parameters", [])
            parameters = [resolve(node)[0] for node in nodes]
            in_path = [p["name"] for p in parameters if p["in"] == "path"]
            assert in_path == re.findall(r"\{(\w+)\}", endpoint.path)
            assert all(p.get("required", False) == (p["in"] == "path") for p in parameters)
            # The stream also accepts a run id in its query, which the real document does not mention.
            hidden = {"runId"} if endpoint.pinned or operation.name == "history_stream" else set()
            assert {p["name"] for p in parameters if p["in"] == "query"} == taken - hidden


def test_each_operation_has_a_function_of_the_same_name() -> None:
    assert set(HANDLERS) == set(NAMES)


def test_each_error_of_an_operation_has_a_schema() -> None:
    for operation in OPERATIONS:
        for endpoint in operation.endpoints:
            for names in errors_of(operation, endpoint).values():
                assert set(names) <= {*SHAPES, "ValidationError"}


def test_every_reference_resolves_and_every_component_is_used() -> None:
    used = set(references(DOCUMENT))
    for reference in used:
        assert isinstance(resolve({"$ref": reference})[0], dict)
    declared = {
        f"#/components/{kind}/{name}"
        for kind, parts in DOCUMENT["components"].items()
        for name in parts
        if kind != "securitySchemes"
    }
    assert used == declared


def test_every_schema_is_a_json_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_operations_have_names_and_belong_to_groups() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+([A-Z][a-z]+)+", name) for name in names)
    groups = {tag["name"] for tag in DOCUMENT["tags"]}
    assert {tag for _, _, operation in operations() for tag in operation["tags"]} == groups
    assert all(operation["summary"] for _, _, operation in operations())


def test_deprecated_operations_are_marked() -> None:
    deprecated = {path for _, path, operation in operations() if operation.get("deprecated")}
    assert deprecated == {f"/workflow/{{id}}/{verb}" for verb in ("stop", "terminate", "reset")}


def test_only_health_and_readiness_need_no_token() -> None:
    open_paths = {path for _, path, operation in operations() if "401" not in operation["responses"]}
    assert open_paths == {path for _, path, operation in operations() if operation.get("security") == []}
    assert open_paths == {"/health", "/ready"}


def test_every_operation_but_the_system_ones_documents_server_errors() -> None:
    safe = {path for _, path, operation in operations() if "500" not in operation["responses"]}
    assert safe == {"/health", "/ready", "/heartbeat"}


def test_each_call_returns_a_new_document() -> None:
    changed = document()
    changed["paths"].clear()
    changed["components"]["schemas"]["RunId"]["pattern"] = "."
    assert document() == DOCUMENT


def test_no_object_is_shared_within_the_document() -> None:
    seen: set[int] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict | list):
            assert id(node) not in seen
            seen.add(id(node))
            for value in node.values() if isinstance(node, dict) else node:
                walk(value)

    walk(DOCUMENT)


def test_the_document_names_the_given_server() -> None:
    assert document("http://127.0.0.1:8080")["servers"] == [{"url": "http://127.0.0.1:8080"}]
    assert document()["servers"] == [{"url": "http://localhost:3001"}]


@pytest.mark.parametrize(("place", "text"), DIFFERENCES, ids=[place for place, _ in DIFFERENCES])
def test_each_difference_names_the_recordings_that_show_it(place: str, text: str) -> None:
    shown = re.findall(r"\(((?:`\w+`(?:, )?)+)\)", text)
    names = [name for group in shown for name in re.findall(r"\w+", group)]
    assert names
    assert [name for name in names if name not in RECORDINGS] == []


# --- the document and the recordings ---------------------------------------------------------------------


def body_of(response: dict[str, Any]) -> bytes:
    if "text" in response:
        return str(response["text"]).encode()
    return json.dumps(response["json"]).encode()


def test_every_recorded_response_matches_the_document() -> None:
    for exchange in recorded():
        request_, response = exchange.values
        check_response(
            request_["method"], request_["path"], response["status"], response["headers"], body_of(response)
        )


def request_problems(request: dict[str, Any]) -> list[str]:
    """The problems of a request according to the document."""
    run_id = "01a20ae8-a83a-708a-8339-012cb8bed38f"
    path = request["path"].replace("{{tok}}", "dG9rZW4=")
    url = urlsplit(re.sub(r"\{\{\w+\}\}", run_id, path))
    found = find_operation(request["method"], url.path)
    assert found
    template, method, in_path = found
    operation = DOCUMENT["paths"][template][method]
    given = {**in_path, **dict(parse_qsl(url.query, keep_blank_values=True)), **request.get("headers", {})}
    problems = []
    for node in operation.get("parameters", []):
        parameter, pointer = resolve(node)
        if parameter["name"] in given:
            value: Any = given[parameter["name"]]
            kind = parameter["schema"]["type"]
            if kind == "integer" and re.fullmatch("[0-9]+", value):
                value = int(value)
            if kind == "boolean" and value in ("true", "false"):
                value = value == "true"
            problems += schema_problems(f"{pointer}/schema", value)
    body = operation.get("requestBody")
    if body and "json" in request:
        schema = body["content"]["application/json"]["schema"]
        problems += schema_problems(schema["$ref"].removeprefix("#"), request["json"])
    elif body and body["required"]:
        problems.append("there is no body")
    return problems


def is_about_the_request(request: dict[str, Any], response: dict[str, Any]) -> bool:
    """Whether a request was accepted or refused because of its form."""
    found = find_operation(request["method"], request["path"].split("?")[0])
    error = response["json"].get("error") if isinstance(response.get("json"), dict) else None
    broken = error in ("URIError", "SyntaxError", "InvalidPageTokenError", "ServiceError")
    return bool(found) and response["status"] != 401 and not broken and not {"text", "repeat"} & set(request)


def test_the_document_accepts_and_refuses_the_same_requests_as_the_server() -> None:
    for exchange in recorded():
        request_, response = exchange.values
        if not is_about_the_request(request_, response):
            continue
        problems = request_problems(request_)
        answer = response["json"] if isinstance(response.get("json"), dict) else {}
        if answer.get("error") == "TypeError":
            assert problems == ["body.workflowId: '' should be non-empty"], exchange.id
        elif answer.get("error") != "ValidationError":
            # The server is lenient here, but clients should not rely on it.
            lenient = ["body.timeout: '5000' is not of type 'integer'"]
            assert problems in ([], lenient), exchange.id
        elif [issue["code"] for issue in answer["issues"]] != ["custom"]:
            # OpenAPI cannot express a rule between two parameters.
            assert problems, exchange.id


# --- what does not fit is refused ------------------------------------------------------------------------

Answer = dict[str, Any]


def answer(scenario: str, number: int) -> Answer:
    """The arguments for `check_response` of a recorded exchange, with the body as a JSON value or text."""
    (request, response) = next(p.values for p in recorded() if p.id == f"{scenario}-{number}")
    return {
        "method": request["method"],
        "path": request["path"],
        "status": response["status"],
        "headers": dict(response["headers"]),
        "body": response["text"] if "text" in response else json.loads(json.dumps(response["json"])),
    }


def check(given: Answer) -> None:
    body = given["body"]
    if not isinstance(body, bytes):
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    check_response(given["method"], given["path"], given["status"], given["headers"], body)


def put(*path: Any) -> Callable[[Answer], None]:
    """Set the last item at the path that the others make up. `None` removes what is there."""

    def change(given: Answer) -> None:
        *parents, key, value = path
        node: Any = given
        for parent in parents:
            node = node[parent]
        if value is None:
            del node[key]
        else:
            node[key] = value

    return change


def edit(old: str, new: str) -> Callable[[Answer], None]:
    def change(given: Answer) -> None:
        assert old in given["body"]
        given["body"] = given["body"].replace(old, new, 1)

    return change


STATUS = ("start_and_poll", 1)
RESULT = ("run_fails_error", 0)
HISTORY = ("history_paging", 1)
STREAM = ("stream_completed", 1)
FIRST_EVENT = ("body", "events", 0)
STARTED = "workflowExecutionStartedEventAttributes"


# An exchange, a change of its response, and the beginning of the expected problem.
MISFITS: list[tuple[tuple[str, int], Callable[[Answer], None], str]] = [
    # Statuses.
    (STATUS, put("status", 418), "status: 418 is not listed, only 200, 400, 401, 404, 500"),
    (STATUS, put("path", "/workflow/x/nothing"), "status: 200 is not listed"),
    (("health", 4), put("status", 404), "status: 404 is not listed, only 200, 401"),
    # Headers.
    (STATUS, put("headers", "x-request-id", None), "header x-request-id: is missing"),
    (STATUS, put("headers", "x-request-id", "no good!"), "header x-request-id: 'no good!' does not match"),
    (STATUS, put("headers", "access-control-allow-origin", None), "header access-control-allow-origin: is"),
    (STATUS, put("headers", "deprecation", "true"), "header deprecation: should not be there"),
    (STATUS, put("headers", "content-type", None), "header content-type: is None, not 'application/json;"),
    (STATUS, put("headers", "content-type", "application/json"), "header content-type: is 'application/j"),
    (("health", 0), put("headers", "access-control-allow-origin", "*"), "header access-control-allow-orig"),
    (("health", 2), put("headers", "content-type", "text/html"), "header content-type: should not be there"),
    (("stop_default", 2), put("headers", "link", None), "header link: is missing"),
    (
        ("stop_default", 2),
        put("headers", "link", "</reset>"),
        "header link: '</workflow/{id}/runs/{rid}/stop>",
    ),
    (("reset", 4), put("headers", "sunset", None), "header sunset: is missing"),
    (("raw_bodies", 0), put("headers", "x-request-id", "id"), "header x-request-id: should not be there"),
    (("runs", 2), put("headers", "x-request-id", None), "header x-request-id: is missing"),
    (("body_validation", 17), put("headers", "retry-after", None), "header retry-after: is missing"),
    (("body_validation", 17), put("headers", "retry-after", "soon"), "header retry-after: 'soon' is not of"),
    (STREAM, put("headers", "x-accel-buffering", None), "header x-accel-buffering: is missing"),
    # Bodies of any kind.
    (STATUS, put("body", "{"), "body: is not JSON"),
    (STATUS, put("body", '{"a": NaN}'), "body: is not JSON: NaN is no JSON"),
    (STATUS, put("body", ""), "body: is not JSON"),
    (STATUS, put("body", b"\xff"), "body: is not UTF-8"),
    (STATUS, put("method", "HEAD"), "body: should be empty"),
    (("health", 0), put("body", "ok"), "body: is 'ok', not 'OK'"),
    (("health", 7), put("body", "not found"), "body: is 'not found', not 'Not Found'"),
    (("health", 2), put("body", "OK"), "body: should be empty, but is b'OK'"),
    # Runs.
    (STATUS, put("body", "extra", 1), "body: Additional properties are not allowed ('extra' was unexpected)"),
    (STATUS, put("body", "runId", None), "body: 'runId' is a required property"),
    (STATUS, put("body", "runId", "run-1"), "body.runId: 'run-1' does not match"),
    (STATUS, put("body", "status", "done"), "body.status: 'done' is not one of"),
    (STATUS, put("body", "status", "completed"), "body.completedAt: '' is not of type 'integer'"),
    (STATUS, put("body", "completedAt", 5), "body.completedAt: '' was expected"),
    (("runs", 11), put("body", "runs", 0, "startedAt", "today"), "body.runs[0].startedAt: 'today' does not"),
    # Results.
    (RESULT, put("body", "v", "3"), "body.v: '2' was expected"),
    (RESULT, put("body", "error", "name", None), "body.error: 'name' is a required property"),
    (RESULT, put("body", "output", 1), "body.output: 1 is not of type 'null'"),
    (RESULT, put("body", "status", "completed"), "body.error: "),
    (RESULT, put("body", "trace", "elsewhere", "x"), "body.trace: Additional properties"),
    (("worker_down", 12), put("body", "errorDetails", "cause", "stack", ""), "body.errorDetails.cause: Addi"),
    (
        ("remote_trace", 2),
        put("body", "data", "children", 0, "kind", 5),
        "body.data.children[0].kind: 5 is not of type 'string'",
    ),
    # Errors.
    (("unknown_workflow", 0), put("body", "error", "NotFound"), "body.error: 'WorkflowNotFoundError' was"),
    (("unknown_workflow", 0), put("body", "workflowId", None), "body: 'workflowId' is a required property"),
    (
        ("reset", 2),
        put("body", "error", "NotFound"),
        "body.error: 'NotFound' is not one of ['WorkflowNotFound",
    ),
    (("runs", 2), put("body", "issues", []), "body.issues: [] "),
    (("runs", 2), put("body", "issues", 0, "code", "huge"), "body.issues[0].code: 'huge' is not one of"),
    (("runs", 2), put("body", "issues", 0, "maximum", None), "body.issues[0]: 'maximum' is a required"),
    # Histories.
    (HISTORY, put(*FIRST_EVENT, "eventId", 1), "body.events[0].eventId: 1 is not of type 'string'"),
    (HISTORY, put(*FIRST_EVENT, "eventType", 61), "body.events[0].eventType: 61 is greater than"),
    (
        HISTORY,
        put(*FIRST_EVENT, "eventTypeName", "STARTED_NOW"),
        "body.events[0].eventTypeName: 'WORKFLOW_EX",
    ),
    (HISTORY, put(*FIRST_EVENT, STARTED, None), f"body.events[0]: '{STARTED}' is a required property"),
    (HISTORY, put(*FIRST_EVENT, "otherEventAttributes", {}), "body.events[0]: "),
    (HISTORY, put(*FIRST_EVENT, STARTED, "attempt", None), f"body.events[0].{STARTED}: 'attempt' is a requ"),
    (HISTORY, put(*FIRST_EVENT, STARTED, "input", [1]), f"event 1: {STARTED}.input is there without"),
    (HISTORY, put("body", "nextPageToken", "?"), "body.nextPageToken: '?' does not match"),
    (HISTORY, put("body", "workflow", "closeTime", 5), "body.workflow.closeTime: 5 is not of type"),
    # Streams.
    (STREAM, edit('"closed":true', '"closed":false'), "frame 1 (workflow): body.closed: True was expected"),
    (STREAM, edit("event: workflow", "event: begin"), "frame 1 (begin): is of no known kind"),
    (STREAM, edit("event: done", "event: workflow"), "frame 3 (workflow): `workflow` comes first"),
    (
        STREAM,
        edit("event: workflow", "event: done"),
        "frame 1 (done): `workflow` comes first, and only there",
    ),
    (STREAM, edit('data: {"reason"', 'data: {reason"'), "frame 3 (done): its data are not JSON"),
    (STREAM, edit('WORKFLOW_EXECUTION_COMPLETED"}', 'END"}'), "frame 3 (done): body.reason: 'END' is not"),
    (STREAM, edit("id: 19\n", ""), "frame 2 (history): its id is None, not that of its last event, 19"),
    (STREAM, edit('"eventId":"3"', '"eventId":"4"'), "frame 2 (history): the events [1, 2, 4, 4,"),
    (STREAM, edit("event: done", "id: 20\nevent: done"), "frame 3 (done): has an id"),
    (STREAM, edit('COMPLETED"}\n\n', 'COMPLETED"}'), "body: the last frame is cut off"),
    (
        STREAM,
        edit(
            'COMPLETED"}\n\n', 'COMPLETED"}\n\nevent: done\ndata: {"reason":"WORKFLOW_EXECUTION_FAILED"}\n\n'
        ),
        "frame 4 (done): comes after the end",
    ),
    (
        STREAM,
        edit(f'"{STARTED}":{{', f'"{STARTED}":{{"input":[],'),
        f"event 1: {STARTED}.input is there without includePayloads=true",
    ),
    (
        ("stream_chain", 2),
        edit(',"newRunId"', ',"other"'),
        "frame 3 (done): body: Additional properties are not allowed ('other' was unexpected)",
    ),
]


@pytest.mark.parametrize(("exchange", "change", "message"), MISFITS, ids=[case[2] for case in MISFITS])
def test_a_response_that_violates_the_document_is_refused_with_its_place(
    exchange: tuple[str, int], change: Callable[[Answer], None], message: str
) -> None:
    given = answer(*exchange)
    check(given)
    change(given)
    # A valid item is not checked again; an invalid one must not be mistaken for it.
    for _ in range(2):
        with pytest.raises(AssertionError) as raised:
            check(given)
    first, *problems = str(raised.value).splitlines()
    assert first == f"{given['method']} {given['path']} answered {given['status']}:"
    assert any(problem.strip().startswith(message) for problem in problems), "\n".join(problems)


@pytest.mark.parametrize("kind", [1, 1.0, True, 5, 99, "1", None, [], {}], ids=repr)
def test_validating_an_event_against_its_own_type_finds_the_same_errors(kind: Any) -> None:
    """The shortened schema finds the same errors as a validator that uses the whole one."""
    pages = (param.values[1].get("json") for param in recorded() if param.id.startswith("run_completes-"))
    event = next(page["events"][0] for page in pages if isinstance(page, dict) and "events" in page)
    event = {**event, "eventType": kind}
    pointer = "/components/schemas/HistoryEvent"
    whole = Draft202012Validator({**DOCUMENT, "$ref": f"#{pointer}"})
    found = [line.partition(": ")[2] for line in schema_problems(pointer, event)]
    assert found == [error.message for error in whole.iter_errors(event)]
    assert (found == []) is (kind == 1 and kind is not True)


def test_header_names_may_have_any_case() -> None:
    given = answer(*STATUS)
    given["headers"] = {name.title(): value for name, value in given["headers"].items()}
    check(given)


def test_paths_may_have_any_case_and_a_slash_at_the_end() -> None:
    given = answer(*STATUS)
    given["path"] = "/WORKFLOW/x/Status/?y=1"
    check(given)


def test_a_keepalive_in_a_stream_is_not_a_frame() -> None:
    given = answer(*STREAM)
    edit("event: done", ": keepalive\n\nevent: done")(given)
    check(given)


def test_a_stream_may_end_with_an_error() -> None:
    given = answer(*STREAM)
    run_id = re.search(r'"runId":"([^"]+)"', given["body"])
    assert run_id
    error = {"error": "ServiceError", "message": "gone", "workflowId": "x", "runId": run_id.group(1)}
    head, _, _ = given["body"].partition("event: done")
    given["body"] = f"{head}event: server_error\ndata: {json.dumps(error)}\n\n"
    check(given)


@pytest.mark.parametrize("path", ["/nope", "/workflow/x/stop", "/workflow/run"])
def test_every_operation_refuses_an_unreadable_body(path: str) -> None:
    given = answer("raw_bodies", 0)
    check({**given, "path": path})


@pytest.mark.parametrize("path", ["/nope", "/workflow/run"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
def test_a_missing_token_is_reported_before_an_unknown_path(path: str, method: str) -> None:
    given = answer("production_auth", 2)
    check({**given, "path": path, "method": method})
