"""Masks replace the token and values that change every time. Masking is idempotent."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from output_mock.recording.masks import Masks
from tests.conftest import no_hang
from tests.fidelity.recorded import FURTHER, RECORDINGS
from tests.recording.samples import TIME, UUID, sample

FIELDS = [
    "data",
    "runId",
    "workflowId",
    "startedAt",
    "seconds",
    "identity",
    "stack",
    "output",
    "nextPageToken",
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.sampled_from([UUID, TIME, f"x {UUID}", "1795479336", "V1StGXR8_Z5jdHi6B-myT", "eyJhIjoxfQ=="]),
    st.builds(lambda value: base64.b64encode(json.dumps(value).encode()).decode(), st.text() | st.integers()),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values, st.sampled_from([{}, {"rid": UUID}, {"id": "V1StGXR8_Z5jdHi6B-myT", "n": 1795479336}]))
def test_masking_is_idempotent(value: Any, variables: dict[str, Any]) -> None:
    masks = Masks(variables)
    masked = masks.value(value)
    assert masks.value(masked) == masked


@pytest.mark.parametrize("name", [*RECORDINGS, *FURTHER])
def test_a_response_generated_from_a_recorded_one_masks_to_the_same(name: str) -> None:
    """Every mask names what it stands for, so only values that change every time are lost."""
    for step in (RECORDINGS | FURTHER)[name].steps:
        if step.answer is not None:
            made_up = sample(step.answer)
            again = Masks({}).answer(made_up)
            for part in ("json", "stream", "text"):
                assert sample(again.get(part)) == made_up.get(part)


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ({"runId": UUID}, {"runId": "<uuid>"}),
        ({"eventTime": TIME}, {"eventTime": "<time>"}),
        ({"startedAt": 1795479336327}, {"startedAt": "<ms>"}),
        ({"startedAt": None}, {"startedAt": None}),
        ({"seconds": "1795479336", "nanos": 5}, {"seconds": "<epoch>", "nanos": "<nanos>"}),
        ({"seconds": "1795479336"}, {"seconds": "<epoch>", "nanos": "<nanos>"}),
        ({"seconds": "60", "nanos": 5}, {"seconds": "60", "nanos": 5}),
        ({"firstWorkflowTaskBackoff": {}}, {"firstWorkflowTaskBackoff": {}}),
        ({"firstWorkflowTaskBackoff": {"nanos": 5}}, {"firstWorkflowTaskBackoff": "<backoff>"}),
        ({"data": "eyJhIjoxfQ=="}, {"data": {"<payload>": {"a": 1}}}),
        ({"data": "no base 64"}, {"data": "no base 64"}),
        ({"workflowId": "V1StGXR8_Z5jdHi6B-myT"}, {"workflowId": "<id>"}),
        ({"workflowId": "order-7"}, {"workflowId": "order-7"}),
        ({"nextPageToken": "dG9rZW4="}, {"nextPageToken": "<token>"}),
        ({"nextPageToken": None}, {"nextPageToken": None}),
        ({"stack": "Error\n at x"}, {"stack": "<stack>"}),
        ({"stack": {"data": "WyJhIl0="}}, {"stack": {"data": {"<payload>": ["a"]}}}),
        (
            {"path": "/app/dist/workflows/sum/workflow.js"},
            {"path": "<folder>/dist/workflows/sum/workflow.js"},
        ),
        ({"path": "/sum/dist/x.js"}, {"path": "/sum/dist/x.js"}),
        (
            {"local": "/app/logs/runs/sum/2026-11-24-00-15-36-327Z_V1S.json"},
            {"local": "<folder>/sum/<time>_<id>.json"},
        ),
        (
            {"remote": "https://b.s3.example.com/sum/2026/11/24/2026-11-24-00-15-36-327Z_V1S.json"},
            {"remote": "https://b.s3.example.com/sum/<date>/<time>_<id>.json"},
        ),
    ],
)
def test_values_that_change_every_time_are_masked(value: Any, masked: Any) -> None:
    assert Masks({}).value(value) == masked


def test_values_of_variables_are_masked_longest_first() -> None:
    masks = Masks({"id": "parent-id", "child": "parent-id-child"})
    assert masks.text("parent-id-child of parent-id") == "{{child}} of {{id}}"


def test_of_two_variables_with_the_same_value_the_first_is_used() -> None:
    assert Masks({"rid": UUID, "latest": UUID}).value([UUID]) == ["{{rid}}"]


def test_a_short_variable_value_does_not_mask_other_texts() -> None:
    assert Masks({"n": "bees"}).text("bees") == "bees"


tokens = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.~+/=", min_size=8, max_size=30)


@given(tokens, json_values)
def test_a_recording_never_contains_the_token(token: str, value: Any) -> None:
    assume(token not in "{{token}}" and "token" not in token)
    payload = base64.b64encode(json.dumps({"echo": token}).encode()).decode()
    answer = {
        "status": 200,
        "headers": {"www-authenticate": f"Basic {token}", "x-echo": token, "set-cookie": ["a=1", token]},
        "json": {"a": [value, token, f"Basic {token}", {token: 1}], "data": payload},
    }
    assert token not in json.dumps(Masks({}, token).answer(answer))
    raw = {"status": 200, "headers": {}, "base64": base64.b64encode(b"\xff" + token.encode()).decode()}
    assert token.encode() not in base64.b64decode(Masks({}, token).answer(raw)["base64"])


def test_a_short_token_is_masked_as_a_word() -> None:
    assert Masks({}, "abc").text("Basic abc, abcd") == "Basic {{token}}, abcd"


@pytest.mark.parametrize(
    ("token", "written", "kept"),
    [
        ("s3cret-token", "Basic s3cret-token", "Basic {{token}}"),
        ("s3cret-token", {"a": ["s3cret-token", 1]}, {"a": ["{{token}}", 1]}),
        ("token", "Basic {{token}} token", "Basic {{token}} {{token}}"),
        ("id", "GET /workflow/{{id}}/x", "GET /workflow/{{id}}/x"),
        (None, "Basic s3cret-token", "Basic s3cret-token"),
    ],
)
def test_a_literal_token_in_a_scenario_becomes_a_variable(token: str | None, written: Any, kept: Any) -> None:
    assert Masks({}, token).sent(written) == kept


def test_an_unknown_cookie_is_masked() -> None:
    masked = Masks({}).answer({"status": 200, "headers": {"set-cookie": "session=1"}, "text": ""})
    assert masked["headers"] == {"set-cookie": "[redacted]"}


def test_a_meaningful_etag_is_kept() -> None:
    def etag(body: Any) -> Any:
        answer = {"status": 200, "headers": {"etag": 'W/"2-x"'}, "json": body}
        return Masks({}).answer(answer)["headers"]["etag"]

    assert etag("OK") == 'W/"2-x"'
    assert etag({"runId": UUID}) == "<etag>"


TOKEN = 's3cret/t"ken\\=='


@pytest.mark.parametrize(
    "form",
    [TOKEN, quote(TOKEN, safe=""), json.dumps(TOKEN)[1:-1], base64.b64encode(TOKEN.encode()).decode()],
    ids=["as it is", "in an address", "in JSON", "in base 64"],
)
def test_a_token_is_masked_in_any_encoding(form: str) -> None:
    answer = {
        "status": 200,
        "headers": {f"x-{form.lower()}": "1", "x-echo": form},
        "json": {"text": f"a {form} b", f"{form}-{UUID}": 1, f"{form}-{UUID[::-1]}": 2},
        "broken_off": f"BadStatusLine: {form}",
    }
    masked = Masks({}, TOKEN).answer(answer)
    assert form.lower() not in str(masked).lower()
    assert form not in str(Masks({}, TOKEN).sent({"until": {"a": form}}))


@pytest.mark.parametrize("piece", ["/a/2026-01-01-01-01-01-001Z_", "https://a/b/2026/01/01/2-1Z_"])
def test_masking_a_long_text_of_paths_takes_linear_work(piece: str) -> None:
    with no_hang():
        assert Masks({}).text(piece * 100_000) == piece * 100_000
