"""Validation: which requests the server rejects, and how it explains this."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from output_contract.checks import check
from output_contract.client import Answer, Client

BOTH = pytest.mark.parametrize("operation", ["run", "start"])
_NAME_PATTERN = "/^[a-z0-9_.@-]+$/i"


def _no_string(given: str) -> dict[str, Any]:
    return {
        "code": "invalid_type",
        "expected": "string",
        "message": f"Invalid input: expected string, received {given}",
    }


_NO_NAME = {
    "code": "invalid_format",
    "format": "regex",
    "message": f"Invalid string: must match pattern {_NAME_PATTERN}",
    "origin": "string",
    "pattern": _NAME_PATTERN,
}
# A body for an unknown workflow, and the place and kind of its mistake.
WRONG: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "no-name": ({"workflowName": ...}, "workflowName", _no_string("undefined")),
    "name-null": ({"workflowName": None}, "workflowName", _no_string("null")),
    "name-number": ({"workflowName": 1}, "workflowName", _no_string("number")),
    "id-number": ({"workflowId": 5}, "workflowId", _no_string("number")),
    "catalog-space": ({"catalog": "bad catalog"}, "catalog", _NO_NAME),
    "catalog-empty": ({"catalog": ""}, "catalog", _NO_NAME),
    "queue-quote": ({"taskQueue": 'a"b'}, "taskQueue", _NO_NAME),
}
TIMEOUTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "short": (
        249,
        {
            "code": "too_small",
            "inclusive": True,
            "message": "Too small: expected number to be >=250",
            "minimum": 250,
            "origin": "number",
        },
    ),
    "text": (
        "abc",
        {
            "code": "invalid_type",
            "expected": "number",
            "message": "Invalid input: expected number, received NaN",
            "received": "NaN",
        },
    ),
    "fraction": (
        300.5,
        {
            "code": "invalid_type",
            "expected": "int",
            "format": "safeint",
            "message": "Invalid input: expected int, received number",
        },
    ),
}


def _wrong(api: Client, changes: dict[str, Any]) -> dict[str, Any]:
    body = {"workflowName": api.server.new_id(), **changes}
    return {name: value for name, value in body.items() if value is not ...}


def _issues(answer: Answer) -> list[dict[str, Any]]:
    issues: list[dict[str, Any]] = answer.must_be(400, "ValidationError", message="Invalid Payload").json[
        "issues"
    ]
    return issues


@BOTH
@pytest.mark.parametrize("case", WRONG)
@check("validation.body", "body_validation: 400 ValidationError")
def test_an_invalid_field_is_named(api: Client, operation: str, case: str) -> None:
    changes, field, _ = WRONG[case]
    (issue,) = _issues(api.post(f"/workflow/{operation}", _wrong(api, changes)))
    assert issue["path"] == [field]


@pytest.mark.parametrize("case", WRONG)
@check("validation.body-words", "body_validation: issues", "recommended")
def test_a_validation_issue_says_what_was_expected(api: Client, case: str) -> None:
    changes, field, expected = WRONG[case]
    (issue,) = _issues(api.post("/workflow/run", _wrong(api, changes)))
    assert issue == {**expected, "path": [field]}


@check("validation.every-issue", "body_validation: catalog and taskQueue")
def test_all_validation_issues_are_reported_at_once(api: Client) -> None:
    issues = _issues(api.post("/workflow/run", _wrong(api, {"taskQueue": 'a"b', "catalog": "x y"})))
    assert [issue["path"] for issue in issues] == [["catalog"], ["taskQueue"]]


@pytest.mark.parametrize("case", TIMEOUTS)
@check("validation.timeout", "body_validation: timeout")
def test_a_timeout_is_an_integer_of_at_least_250(api: Client, case: str) -> None:
    timeout, expected = TIMEOUTS[case]
    (issue,) = _issues(api.post("/workflow/run", _wrong(api, {"timeout": timeout})))
    assert issue == {**expected, "path": ["timeout"]}


@BOTH
@check("validation.no-body", "body_validation: no body, []")
def test_a_body_is_an_object(api: Client, operation: str) -> None:
    for answer in (api.post(f"/workflow/{operation}"), api.post(f"/workflow/{operation}", [])):
        (issue,) = _issues(answer)
        assert (issue["code"], issue["expected"], issue["path"]) == ("invalid_type", "object", [])


@pytest.mark.parametrize("text", ["{bad", "null", '"x"', "1", "{} {}", "[1,]"])
@check("validation.no-json", "raw_bodies: 400 SyntaxError")
def test_a_body_that_is_not_a_json_object_or_array_is_refused(api: Client, text: str) -> None:
    answer = api.post("/workflow/run", data=text, headers={"Content-Type": "application/json"})
    assert answer.must_be(400, "SyntaxError").json["message"]


@check("validation.empty-json", "raw_bodies: the empty body", "observed")
def test_an_empty_json_body_is_an_empty_object(api: Client) -> None:
    answer = api.post("/workflow/run", data="", headers={"Content-Type": "application/json"})
    (issue,) = _issues(answer)
    assert issue["path"] in (["workflowName"], [])


@pytest.mark.parametrize("media_type", ["text/plain", "application/vnd.api+json", None])
@check("validation.media-type", "raw_bodies: text/plain, application/vnd.api+json")
def test_a_body_of_another_media_type_is_ignored(api: Client, media_type: str | None) -> None:
    body = json.dumps({"workflowName": api.server.new_id()})
    headers = {} if media_type is None else {"Content-Type": media_type}
    (issue,) = _issues(api.post("/workflow/run", data=body, headers=headers))
    assert issue["path"] == []


@check("validation.charset", "raw_bodies: charset=utf-16", "observed")
def test_a_body_in_another_charset_than_declared_is_refused(api: Client) -> None:
    text = json.dumps({"workflowName": api.server.new_id()})
    headers = {"Content-Type": "application/json; charset=utf-16"}
    api.post("/workflow/run", data=text, headers=headers).must_be(400, "SyntaxError")


@check("validation.form", "raw_bodies: application/x-www-form-urlencoded", "recommended")
def test_a_form_body_is_accepted(api: Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    name = api.server.new_id()
    catalog = "" if api.server.catalog is None else f"&catalog={api.server.catalog}"
    answer = api.post("/workflow/start", data=f"workflowName={name}&input[a]=5{catalog}", headers=headers)
    assert answer.status in (api.unsupported[0], 503), answer.text


@BOTH
@check("validation.unknown-workflow", "body_validation: 424 UnsupportedWorkflowError")
def test_a_workflow_that_is_not_in_the_catalog_is_refused(api: Client, operation: str) -> None:
    api.server.need_catalog()
    name = api.server.new_id()
    answer = api.post(f"/workflow/{operation}", api.body(name, {}))
    assert name in answer.must_be(*api.unsupported).json["message"], "it names the workflow"


@BOTH
@pytest.mark.parametrize("field", ["catalog", "taskQueue"])
@check("validation.unknown-catalog", "body_validation: 503 CatalogNotAvailableError")
def test_an_unknown_catalog_is_a_503_with_retry_after(api: Client, operation: str, field: str) -> None:
    body = {"workflowName": api.server.new_id(), field: api.server.new_id()}
    answer = api.post(f"/workflow/{operation}", body).must_be(503, "CatalogNotAvailableError")
    assert int(answer.headers["retry-after"]) >= 1, "it says when to try again"


@check("validation.catalog-wins", "body_validation: taskQueue and catalog")
def test_catalog_takes_precedence_over_task_queue(api: Client) -> None:
    result = api.run("conf_sum", {"a": 1, "b": 2}, taskQueue=api.server.new_id(), catalog=_own_catalog(api))
    assert result["status"] == "completed"


def _own_catalog(api: Client) -> str:
    """The name of the catalog under test. The default catalog has the same name as its task queue."""
    if api.server.catalog is not None:
        return api.server.catalog
    done = api.finished("succeeds")
    queue: str = api.get(f"{done.base}/history?pageSize=1").must_be(200).json["workflow"]["taskQueue"]
    return queue


@check("validation.extra-keys", "body_validation: extra")
def test_unknown_keys_in_a_body_are_ignored(api: Client) -> None:
    assert api.run("conf_sum", {"a": 1, "b": 2}, extra="ignored")["status"] == "completed"


@check("validation.empty-id", "workflow_id: workflowId ''", "observed")
def test_an_empty_workflow_id_is_a_500(api: Client) -> None:
    api.server.need("conf_sum")
    body = api.body("conf_sum", {"a": 1, "b": 2}) | {"workflowId": ""}
    api.post("/workflow/run", body).must_be(500, "TypeError")


_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8"), max_size=8),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@check("validation.any-body", "body_validation, raw_bodies, further/fact_http_json")
def test_no_json_body_causes_an_unexpected_answer(api: Client, examples: settings) -> None:
    """Any body gets a documented answer, and no 5xx unless there is no catalog."""
    names = st.just(api.server.new_id()) | _JSON.filter(lambda value: not isinstance(value, str))
    fields = st.fixed_dictionaries(
        {"workflowName": names},
        optional={
            "input": _JSON,
            "workflowId": _JSON,
            "catalog": _JSON,
            "taskQueue": _JSON,
            "timeout": _JSON,
        },
    )

    @examples
    @given(st.sampled_from(["run", "start"]), fields | _JSON)
    def is_answered(operation: str, body: Any) -> None:
        answer = api.post(f"/workflow/{operation}", body)
        assert answer.status in (400, api.unsupported[0], 503), answer.text

    # Each field with each type that is not text, because random values may omit some.
    values: list[Any] = [[], {}, True, None]
    for field in ("workflowName", "workflowId", "catalog", "taskQueue", "timeout"):
        for value in values:
            is_answered = example("start", {"workflowName": api.server.new_id(), field: value})(is_answered)
    is_answered()


@check("validation.any-bytes", "raw_bodies, further/fact_http_json")
def test_no_body_of_any_bytes_causes_an_unexpected_answer(api: Client, examples: settings) -> None:
    texts = st.binary(max_size=40) | _JSON.map(lambda value: json.dumps(value)[:-1].encode())
    types = st.sampled_from(["application/json", "application/json; charset=utf-8", "text/plain"])

    @examples
    @given(texts, types, st.sampled_from(["run", "start"]))
    def is_answered(body: bytes, media_type: str, operation: str) -> None:
        answer = api.post(f"/workflow/{operation}", data=body, headers={"Content-Type": media_type})
        assert answer.status in (400, api.unsupported[0]), answer.text

    is_answered()


@check("validation.any-message", "approval, unknown_workflow, further/fact_http_json")
def test_no_message_body_causes_an_unexpected_answer(api: Client, examples: settings) -> None:
    operations = ["signal/s", "query/q", "update/u", "feedback", "terminate", "reset"]
    fields = st.fixed_dictionaries({}, optional={"payload": _JSON, "reason": _JSON, "stepName": _JSON})

    @examples
    @given(st.sampled_from(operations), fields | _JSON)
    def is_answered(operation: str, body: Any) -> None:
        answer = api.post(f"/workflow/{api.server.new_id()}/{operation}", body)
        assert answer.status in (400, 404), answer.text

    is_answered()
