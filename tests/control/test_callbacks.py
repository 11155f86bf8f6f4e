"""Requests that workflows send, over the control plane and between processes."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from output_mock import Context, Script
from tests.client import Client
from tests.control.served import served, worlds_of

URL = "https://app.example/review"
script = Script()
script.workflow("ask").calls_back(URL, timeout="1m")


@script.workflow("ask_there")
async def ask_there(ctx: Context, url: str) -> Any:
    return await ctx.send_post_request_and_await_webhook(url, headers={"Authorization": "Bearer very-secret"})


script.workflow("slow").takes("20s").returns("done")


@pytest.fixture
def client() -> Iterator[Client]:
    with served(worlds_of(script)) as client:
        yield client


def test_responses_and_faults_can_be_scripted_and_requests_listed(client: Client) -> None:
    answer = {"url": URL, "status": 500, "times": 1}
    made = client.control("POST", "/callbacks/answers", answer, expect=201).json
    assert made == {"url": URL, "method": None, "status": 500, "left": 1, "answered": 0, "fails": None}
    client.control("POST", "/callbacks/answers", {"url": URL, "json": {"ok": True}}, expect=201)
    assert client.run("ask")["error"]["message"] == f"POST {URL} 500"
    client.control("POST", "/callbacks/faults", {"drop": "request"}, expect=204)
    assert client.run("ask")["error"]["message"].endswith("other side closed")
    workflow_id = client.start("ask", {"a": 1})["workflowId"]
    found = client.control("GET", f"/callbacks/wait?workflowId={workflow_id}").json["callbacks"]
    assert [(one["status"], one["body"]["payload"], one["attempt"]) for one in found] == [(200, {"a": 1}, 1)]
    everything = client.control("GET", "/callbacks?limit=2").json
    assert (everything["count"], [one["number"] for one in everything["callbacks"]]) == (3, [2, 3])
    left = client.control("GET", "/callbacks/answers").json["answers"]
    assert [(one["left"], one["answered"]) for one in left] == [(0, 1), (None, 1)]
    client.control("DELETE", "/callbacks/answers", expect=204)
    client.control("DELETE", "/callbacks", expect=204)
    assert "ECONNREFUSED" in client.run("ask")["error"]["message"]
    missed = client.control("GET", "/callbacks?missed=true").json["callbacks"]
    assert "--callback-host app.example" in missed[0]["unmatched"]


@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        ("answers", {"url": "app.example"}, "is not a URL"),
        ("answers", {"url": URL, "json": 1, "body": "x"}, "json or body"),
        ("faults", {}, "needs exactly one of 'drop', 'delay'"),
        ("faults", {"drop": "request", "reorder": True}, "needs exactly one of 'drop', 'delay'"),
        ("faults", {"drop": "request", "late": "answer"}, "'late' needs a"),
    ],
)
def test_invalid_callback_requests_are_refused(client: Client, path: str, body: Any, problem: str) -> None:
    assert problem in client.control("POST", f"/callbacks/{path}", body, expect=400).text


class Application(BaseHTTPRequestHandler):
    """Runs a workflow of twenty seconds from inside its handler, and then sends feedback."""

    api = ""

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        done = self._post("/workflow/run", {"workflowName": "slow"})
        self._post(f"/workflow/{question['workflowId']}/feedback", {"payload": {"slow": done["output"]}})
        self.send_response(204)
        self.end_headers()

    def _post(self, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.api + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text != b"OK" else None

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_an_external_application_can_call_the_fake_from_its_handler(client: Client) -> None:
    """The fake cannot tell where the request comes from; the clock moves after a second of real time."""
    handler = type("Handler", (Application,), {"api": client.url})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/review"
        assert client.run("ask_there", url)["output"] == {"slow": "done"}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    (shown,) = client.control("GET", "/callbacks").json["callbacks"]
    assert shown["headers"]["authorization"] == "Bearer [redacted]"
