"""Requests of workflows, scripted in one line of Python, in YAML and over the control plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from output_mock import OutputMock
from output_mock.scripts.file_error import ScriptFileError
from output_mock.scripts.yaml import document

URL = "https://app.example/review"
FILE = """
callbacks:
  - {url: "https://app.example/busy", status: 503, times: 1}
  - {url: "https://app.example/*", json: {"received": true}}
workflows:
  - name: publish
    steps:
      - try:
          - send_http_request: https://app.example/busy
        catch:
          - step: note
            returns: "{{ error.message }}"
      - send_http_request: "https://app.example/{{ input.page }}"
        method: PUT
        payload: {n: 1}
        headers: {X-Own: "a {{ input.page }}"}
        include_body: true
        as: sent
      - send_post_request_and_await_webhook: https://app.example/review
        payload: "{{ input.page }}"
        timeout: 1m
        as: review
        on_timeout:
          - return: {late: true, noted: "{{ steps.note }}", sent: "{{ steps.sent.body }}"}
    returns: {by: "{{ steps.review.by }}"}
"""


def ask(mock: OutputMock, method: str, path: str, body: Any = None) -> Any:
    answer = mock.app.test_client().open(path, method=method, json=body)
    assert answer.status_code == 200, answer.text
    return answer.get_json(silent=True)


def run(mock: OutputMock, workflow: str, input: Any = None) -> Any:
    return ask(mock, "POST", "/workflow/run", {"workflowName": workflow, "input": input})


def test_a_yaml_file_can_send_requests_and_script_their_responses() -> None:
    mock = OutputMock()
    mock.load(document.read(FILE, "the file"))
    assert run(mock, "publish", {"page": "home"})["output"] == {
        "late": True,
        "noted": "GET https://app.example/busy 503",
        "sent": {"received": True},
    }
    _, put, question = mock.callbacks.sent
    assert (put.method, put.url, put.json) == ("PUT", "https://app.example/home", {"n": 1})
    assert ("x-own", "a home") in put.headers
    assert question.payload == "home"
    mock.close()


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("callbacks: [{status: 200}]", "a callback needs `url:`"),
        ("callbacks: [{url: app.example}]", "'app.example' is not a URL"),
        ("callbacks: [{url: 'http://a.b', fails: rfused}]", "did you mean 'refused'"),
        ("callbacks: [{url: 'http://a.b', fails: reset, status: 500}]", "cannot have both"),
        ("callbacks: [{url: 'http://a.b', method: get}]", "method is one of GET, HEAD, POST"),
    ],
)
def test_mistakes_in_yaml_callbacks_are_reported(written: str, problem: str) -> None:
    with pytest.raises(ScriptFileError, match=problem):
        document.read(f"{written}\nworkflows: [{{name: a, returns: 1}}]", "the file")


def test_a_workflow_calls_back_in_one_line() -> None:
    mock = OutputMock()
    mock.workflow("ask").calls_back(URL)
    mock.workflow("judge").calls_back(URL, payload=lambda input: input["text"]).returns(
        lambda input, feedback: {"text": input["text"], "yes": feedback["yes"]}
    )
    mock.workflow("give_up").calls_back(URL, timeout="1m").when({"now": True}).fails("no time")

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        question = mock.callbacks[-1]
        if question.payload != "silence":
            mock.signal(question.workflow_id, "resume", {"yes": question.payload})
        start_response("204 No Content", [])
        return []

    mock.application("https://app.example", application)
    assert run(mock, "ask", {"a": 1})["output"] == {"yes": {"a": 1}}
    assert run(mock, "judge", {"text": "t"})["output"] == {"text": "t", "yes": "t"}
    assert run(mock, "give_up", "silence")["error"]["message"] == "no signal 'resume' within 1m"
    assert run(mock, "give_up", {"now": True})["error"]["message"] == "no time"
    assert [one.payload for one in mock.callbacks(URL)] == [{"a": 1}, "t", "silence"]
    mock.close()


def test_a_failed_assertion_names_the_nearest_request() -> None:
    mock = OutputMock()
    mock.workflow("ask").calls_back(URL)
    mock.callbacks.respond(URL)
    client = mock.app.test_client()
    client.post("/workflow/start", json={"workflowName": "ask", "input": {"a": 1}, "workflowId": "one"})
    # Reading the callbacks sends what a real deployment would have sent by now.
    assert mock.callbacks.assert_called_back(URL, {"a": 1}, workflow_id="one", times=1).one().status == 200
    with pytest.raises(AssertionError, match=r"there is none; the nearest is #1 one: POST .* payload is"):
        mock.callbacks.assert_called_back(URL, {"a": 2})
    with pytest.raises(AssertionError, match=r"2 times .*, and there is 1\n  #1 one"):
        mock.callbacks.assert_called_back(URL, times=2)
    client.post("/workflow/start", json={"workflowName": "ask", "workflowId": "two"})
    with pytest.raises(AssertionError, match="expected one request of a workflow, but there are 2"):
        mock.callbacks.one()
    mock.close()


def test_a_wrong_url_is_reported_with_the_nearest_one_and_the_option_that_allows_it() -> None:
    mock = OutputMock()
    mock.workflow("ask").calls_back("https://app.example/reveiw")
    mock.callbacks.respond(URL)
    assert run(mock, "ask")["error"]["message"].endswith("ECONNREFUSED 127.0.0.1:443")
    reason = mock.callbacks.one().unmatched_reason
    assert reason is not None
    assert "nothing is at https://app.example/reveiw; the nearest is https://app.example/review" in reason
    assert "--callback-host app.example" in reason
    mock.close()


@pytest.mark.parametrize("kind", ["request", "answer"])
def test_a_lost_request_fails_the_attempt(kind: Any) -> None:
    mock = OutputMock()
    mock.workflow("ask").calls_back(URL)
    seen = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return []

    mock.application("https://app.example", application)
    mock.callbacks.drop_next(lose=kind)
    assert run(mock, "ask")["error"] == {
        "activityType": "__internal#sendHttpRequest",
        "message": f"POST {URL} SocketError: other side closed",
        "name": "FatalError",
    }
    assert seen == (["/review"] if kind == "answer" else [])
    mock.close()


def test_requests_can_be_delayed_duplicated_and_reordered() -> None:
    mock = OutputMock()
    mock.workflow("ask").calls_back(URL)
    came: list[tuple[Any, float]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        # Without reading the callbacks, which would send what is due.
        question = list(mock.callbacks._sent.values())[-1]
        came.append((question.payload, mock.clock.now().timestamp()))
        mock.signal(question.workflow_id, "resume", {"n": len(came)})
        start_response("200 OK", [])
        return []

    mock.application("https://app.example", application)

    def times() -> list[tuple[Any, float]]:
        begun = [mock.runs[one.workflow_id]._run.start_time / 1e9 for one in mock.callbacks.sent]
        return [(payload, round(when - begin, 1)) for (payload, when), begin in zip(came, begun, strict=True)]

    mock.callbacks.delay_next("20s")
    assert run(mock, "ask", "late")["output"] == {"n": 1}
    mock.callbacks.delay_next("40s")
    # By then the workflow has given up, but the application still gets the request.
    assert run(mock, "ask", "too late")["error"]["message"].endswith("aborted due to timeout")
    mock.clock.advance("1m")
    mock.callbacks.duplicate_next()
    assert run(mock, "ask", "twice")["output"] == {"n": 3}
    assert times() == [("late", 20.0), ("too late", 40.0), ("twice", 0.0), ("twice", 0.0)]
    came.clear()
    mock.callbacks.reorder_next()
    client = mock.app.test_client()
    client.post("/workflow/start", json={"workflowName": "ask", "input": "first", "workflowId": "first"})
    assert run(mock, "ask", "second")["output"] == {"n": 1}
    assert ask(mock, "GET", "/workflow/first/result")["output"] == {"n": 2}
    assert [payload for payload, _ in came] == ["second", "first"]
    mock.close()


def test_a_delayed_response_takes_virtual_time() -> None:
    mock = OutputMock()
    mock.workflow("ask").calls_back(URL)
    mock.callbacks.respond(URL, after="29s", times=1)
    mock.callbacks.respond(URL, after="30s")
    begin = mock.clock.now()
    client = mock.app.test_client()
    client.post("/workflow/start", json={"workflowName": "ask", "workflowId": "a"})
    while "waiting for signal" not in mock.runs["a"].progress:
        client.get("/workflow/a/status")
    assert (mock.clock.now() - begin).total_seconds() == 29
    assert run(mock, "ask")["error"]["message"] == f"POST {URL} The operation was aborted due to timeout"
    mock.close()


def test_hosts_outside_the_list_are_neither_resolved_nor_connected_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Audit events report each name and each connection, including those of C code."""
    import sys

    asked: list[tuple[str, Any]] = []
    watching = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if watching and event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect"):
            asked.append((event, args[0] if event != "socket.connect" else args[1]))

    sys.addaudithook(hook)
    mock = OutputMock()

    @mock.workflow("tell")
    async def tell(ctx: Any, url: str) -> Any:
        return await ctx.send_http_request(url)

    mock.callbacks.respond(
        "https://app.example/moved", status=302, headers={"location": "http://10.0.0.1/in"}
    )
    for url in (
        "http://evil.example/",
        "http://169.254.169.254/latest",
        "http://localhost.evil.example/",
        "http://127.0.0.1.nip.io/",
        "http://0x7f.1.evil.example/",
        "http://[fd00::1]/",
        "http://user@evil.example/",
        "https://app.example/moved",
        "http://0.0.0.0:1/",
    ):
        assert run(mock, "tell", url)["status"] == "failed", url
    watching = False
    assert asked == []
    mock.close()
