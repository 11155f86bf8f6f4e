"""Secrets of a request are available to a Python test and masked everywhere else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from output_mock import OutputMock, report
from output_mock.expected import started
from output_mock.masking import MASK, is_secret, masked, masked_body, masked_header, masked_text
from output_mock.sdk import failures
from tests.attacks.raw import send
from tests.conftest import Suite
from tests.control.served import served, worlds_of

TOKEN = "hunter2-hunter2"
SECRET_HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "Proxy-Authorization": f"Basic {TOKEN}",
    "Cookie": f"session={TOKEN}",
    "X-Api-Key": TOKEN,
    "Api-Key": TOKEN,
    "apikey": TOKEN,
    "X-Auth-Token": TOKEN,
    "X-Amz-Security-Token": TOKEN,
    "X-Goog-Api-Key": TOKEN,
    "X-Secret": TOKEN,
    "X-Password": TOKEN,
    "X-Credentials": TOKEN,
    "X-Hub-Signature": TOKEN,
    "X-Session-Id": TOKEN,
    "Set-Cookie": f"a={TOKEN}",
    "Referer": f"https://app.test/?token={TOKEN}",
    "X-Callback": f"https://user:{TOKEN}@app.test/",
    "X-Note": f"sent with Bearer {TOKEN}",
}
SECRET_INPUT = {
    "password": TOKEN,
    "nested": [{"apiKey": TOKEN}, {"clientSecret": {"deep": [TOKEN]}}],
    "access_token": TOKEN,
    "url": f"https://bucket.test/x?X-Amz-Signature={TOKEN}&a=b",
    "json": json.dumps({"password": TOKEN, "again": json.dumps({"token": TOKEN})}),
    "pin": 1,
}
QUERY = f"token={TOKEN}&api_key={TOKEN}&access%5Ftoken={TOKEN}&limit=3"


def requests(client: Any) -> None:
    body = {"workflowName": "echo", "workflowId": "w", "input": SECRET_INPUT}
    assert client.unchecked("POST", f"/workflow/run?{QUERY}", body, headers=SECRET_HEADERS).status == 200
    client.unchecked("GET", f"/workflow/runs?{QUERY}", headers=SECRET_HEADERS)
    # The reason why no script matches a request quotes what was sent.
    client.unchecked("POST", "/workflow/run", {"workflowName": 5, "password": TOKEN})
    client.unchecked(
        "POST", "/workflow/none/signal/go", {"payload": {"password": TOKEN}}, headers=SECRET_HEADERS
    )


def test_the_control_plane_masks_secrets_in_calls() -> None:
    with served(worlds_of()) as client:
        requests(client)
        listed = client.control("GET", "/calls", expect=200)
        assert TOKEN not in listed.text
        first, second = listed.json["calls"][:2]
        assert first["headers"]["Authorization"] == f"Bearer {MASK}"
        assert first["headers"]["Proxy-Authorization"] == f"Basic {MASK}"
        assert first["body"]["input"]["password"] == first["answer"]["output"]["password"] == MASK
        assert first["body"]["input"]["url"] == f"https://bucket.test/x?X-Amz-Signature={MASK}&a=b"
        assert (second["query"]["limit"], second["query"]["token"]) == ("3", MASK)
        for query in ({"count": 1, "timeout": "0s"}, {"count": 90, "timeout": "0s"}):
            assert TOKEN not in client.control("GET", "/calls/wait", **query).text
        # Traces and failures quote what was sent.
        fetch = {"step": "fetch", "fails": "no {{ input.url }}", "trace": [{"http": "GET {{ input.url }}"}]}
        client.control("PUT", "/workflows/fetch", {"steps": [fetch], "returns": 1})
        client.start("fetch", {"url": f"https://bucket.test/?token={TOKEN}"}, workflowId="f")
        client.until_closed("f")
        assert "timeline of f" in (report := client.control("GET", "/report", expect=200).text)
        assert TOKEN not in report
        for wanted in ({}, {"password": "other"}, {**SECRET_INPUT, "pin": 2}):
            body = {"expected": [{"call": "started", "input": wanted}]}
            told = client.control("POST", "/calls/assert", body, expect=422).text
            assert TOKEN not in told
            assert "the nearest is" in told
        client.control("POST", "/snapshots", {"name": "s"}, expect=201)
        client.control("POST", "/snapshots/s/restore", expect=200)
        assert TOKEN not in client.control("GET", "/calls").text
        assert TOKEN not in client.control("GET", "/snapshots").text


def test_values_that_are_not_secret_are_not_masked() -> None:
    sent = {
        "workflowName": "echo",
        "input": {
            "author": "ana",
            "tokens": 12,
            "usage": {"inputTokens": 3, "totalTokens": 5},
            "pageToken": "abc",
            "nextPageToken": "def",
            "keyboard": "x",
            "text": "a=b & c = d, it's \"quoted\": 'and' more @home",
            "password": "",
            "token": None,
            "hasCookie": False,
            "url": "https://example.com/?q=1#x",
        },
    }
    with served(worlds_of()) as client:
        client.post("/workflow/run", sent, headers={"Accept": "a=b", "Origin": "http://a.test"})
        call = client.control("GET", "/calls").json["calls"][0]
    assert call["body"] == sent
    assert call["answer"]["output"] == sent["input"]
    assert (call["headers"]["Accept"], call["headers"]["Origin"]) == ("a=b", "http://a.test")


@pytest.fixture
def asked(mock: OutputMock, client: Any) -> OutputMock:
    mock.workflow("echo").returns(lambda given: given)
    requests(client)
    return mock


def test_a_python_test_sees_calls_unmasked(asked: OutputMock) -> None:
    call = asked.calls[0]
    assert call.headers["authorization"] == call.headers["Authorization"] == f"Bearer {TOKEN}"
    assert call.headers["COOKIE"] == f"session={TOKEN}"
    assert "x-api-key" in call.headers
    assert call.headers.get("x-none") is None
    with pytest.raises(KeyError, match="X-None"):
        call.headers["X-None"]
    assert call.json["input"] == SECRET_INPUT
    assert TOKEN.encode() in (call.answer or b"")
    assert asked.calls[1].query["token"] == TOKEN


def test_no_view_of_calls_shows_secrets(asked: OutputMock) -> None:
    for call in asked.calls:
        for shown in (str(call), repr(call), repr(call.headers), repr(call.masked()), f"{call.headers}"):
            assert TOKEN not in shown
    for shown in (
        repr(asked.calls),
        *(text for _, text in report.sections(asked, lambda place: True)),
        report.complaint(asked, lambda place: True, strict=True, unused="all") or "",
    ):
        assert TOKEN not in shown
    for expected, told in (
        (started("echo", {**SECRET_INPUT, "password": "another"}), "input.password is not what was expected"),
        (
            started("echo", dict(list(SECRET_INPUT.items())[1:])),
            f'input.password is "{MASK}", which was not expected',
        ),
        (started("other"), "workflow"),
    ):
        with pytest.raises(AssertionError, match=re.escape(told)) as raised:
            asked.assert_called(expected)
        assert TOKEN not in str(raised.value)


def test_the_report_of_a_failed_test_masks_secrets(suite: Suite) -> None:
    result = suite(
        f"""
        import requests

        def test_it(output_mock):
            output_mock.workflow("echo").when({{"password": "x"}}).returns(1)
            requests.post(
                output_mock.url + "/workflow/run?token={TOKEN}",
                json={{"workflowName": "echo", "input": {{"password": "hunter2" + "-hunter2"}}}},
                headers={{"Authorization": "Bearer " + "hunter2-" + "hunter2"}},
            )
            calls = output_mock.calls
            assert calls == []
        """,
    )
    result.assert_outcomes(failed=1)
    shown = "\n".join(
        line for line in result.outlines if "requests.post(" not in line and "?token=" not in line
    )
    assert TOKEN not in shown
    assert MASK in shown


def test_every_secret_name_is_masked_in_failures_too() -> None:
    for name in (
        "authorization",
        "authentication",
        "cookie",
        "key",
        "token",
        "password",
        "secret",
        "credential",
    ):
        for written in (name, name.upper(), f"x-{name}", f"my_{name}", f"the{name.capitalize()}"):
            assert failures._SECRET.search(written)
            assert is_secret(written)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/workflow/runs?token=abc&limit=3", f"/workflow/runs?token={MASK}&limit=3"),
        ("/a?x=1;api%5Fkey=abc", f"/a?x=1;api%5Fkey={MASK}"),
        ("https://u:p@host/x", f"https://{MASK}@host/x"),
        ('{"password": "a\\"b", "x": 1}', f'{{"password": "{MASK}", "x": 1}}'),
        ("{'password': 'a', 'pin_token': 12}", f"{{'password': '{MASK}', 'pin_token': '{MASK}'}}"),
        ('{"a": "{\\"token\\": \\"b c\\"}"}', f'{{"a": "{{\\"token\\": \\"{MASK}\\"}}"}}'),
        ('cut off: {"password": "abc', f'cut off: {{"password": "{MASK}"'),
        ("Bearer abcdefgh", f"Bearer {MASK}"),
        ("nothing = here", "nothing = here"),
    ],
)
def test_secrets_in_a_text_are_masked(text: str, shown: str) -> None:
    assert masked_text(text) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Basic abc", f"Basic {MASK}"),
        ("authorization", "abc", MASK),
        ("Authorization", "Basic", MASK),
        ("Authorization", "abc def", MASK),
        ("Cookie", "a=b; c=d", MASK),
        ("X-Request-Id", "abc", "abc"),
    ],
)
def test_only_the_scheme_of_credentials_is_shown(name: str, value: str, shown: str) -> None:
    assert masked_header(name, value) == shown


def test_a_body_without_secrets_is_unchanged() -> None:
    for body in (b'{"a":  1.0}', b"\xff\xfe", b"OK", b"", b'{"a": "\\ud800"}'):
        assert masked_body(body) == body


def test_masking_handles_deep_values_and_does_not_change_the_original() -> None:
    deep: Any = {"password": "x"}
    for _ in range(5000):
        deep = {"a": [deep]}
    found = masked(deep)
    for _ in range(5000):
        found, deep = found["a"][0], deep["a"][0]
    assert (found, deep) == ({"password": MASK}, {"password": "x"})


def test_a_refused_call_does_not_reveal_the_secrets_in_its_target() -> None:
    with served(worlds_of()) as client:
        send(client.url, f"GET /workflow/runs?{QUERY}", "Host: localhost", f"Authorization: Bearer {TOKEN}")
        assert TOKEN not in client.control("GET", "/calls").text
