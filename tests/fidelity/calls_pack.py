"""The workflows with which `tests/recordings/*/calls` was recorded, and the application that they call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from output_mock import UNDEFINED, Context, OutputMock, Script, StepFailure
from tests.fidelity.played_clock import PlayedClock

script = Script(catalogs=["main", "remote"], namespace="conf")
URL = "http://app.example:8055"


def _arguments(input: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": input.get("url", UNDEFINED),
        "payload": input.get("payload", UNDEFINED),
        "headers": input.get("headers"),
    }


@script.workflow("more_calls", description="Sends one request", input_schema={}, output_schema={})
async def calls(ctx: Context, input: dict[str, Any]) -> Any:
    return await ctx.send_http_request(
        **_arguments(input),
        method=input.get("method", "GET"),
        response_options=input.get("responseOptions"),
    )


async def _ask(ctx: Context, input: dict[str, Any]) -> dict[str, Any]:
    answer = await ctx.send_post_request_and_await_webhook(**_arguments(input))
    return {} if answer is None else {"answer": answer}


@script.workflow(
    "more_asks",
    description="Sends a request and waits for the answer to come by feedback",
    input_schema={},
    output_schema={},
)
async def asks(ctx: Context, input: dict[str, Any]) -> Any:
    answer = await _ask(ctx, input)
    return {**answer, "kind": "object" if answer else "undefined"}


@script.workflow(
    "more_insists", description="Asks again itself when its request fails", input_schema={}, output_schema={}
)
async def insists(ctx: Context, input: dict[str, Any]) -> Any:
    failed: list[str] = []
    for _ in range(3):
        try:
            return {"failed": failed, **await _ask(ctx, input)}
        except StepFailure as failure:
            failed.append(failure.message)
            await ctx.sleep("200ms")
    return {"failed": failed}


@script.workflow(
    "calls_twice",
    description="Asks two questions, one after the other or both at once",
    input_schema={},
    output_schema={},
)
async def twice(ctx: Context, input: dict[str, Any]) -> Any:
    questions = (input["first"], input["second"])
    if input.get("together"):
        answers = await asyncio.gather(*(_ask(ctx, question) for question in questions))
    else:
        answers = [await _ask(ctx, question) for question in questions]
    return {"answers": [answer.get("answer") for answer in answers]}


@script.workflow(
    "calls_together", description="Sends requests in parallel", input_schema={}, output_schema={}
)
async def together(ctx: Context, input: dict[str, Any]) -> Any:
    return await asyncio.gather(*(calls(ctx, request) for request in input["requests"]))


@script.workflow(
    "calls_parent", description="Has a child that sends the request", input_schema={}, output_schema={}
)
async def parent(ctx: Context, input: dict[str, Any]) -> Any:
    if "asks" in input:
        return {"got": await ctx.child("more_asks", input["asks"])}
    return {"got": await ctx.child("more_calls", input["calls"])}


class CalledApplication:
    """An application that behaves as the path says.

    Takes the fake whose workflows call it, its clock, and the date of its responses.
    """

    def __init__(self, mock: OutputMock, clock: PlayedClock, date: str) -> None:
        self._mock = mock
        self._clock = clock
        token = mock.app.api.auth_token
        self._date = date
        self._headers = {} if token is None else {"Authorization": f"Basic {token}"}
        self._seen: dict[str, int] = {}
        mock.application(URL, self)
        respond = mock.callbacks.respond
        respond("http://app.example:8056/*", fails="refused")
        respond("http://nobody.example/*", fails="unknown_host")
        respond(f"{URL}/hang_up", fails="reset")
        for slow in ("inside_slow", "stops", "terminates"):
            mock.callbacks.delay_next("1.5s", None, url=f"{URL}/{slow}", late="answer")

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
    ) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        status, answer, headers = self._answer(environ["PATH_INFO"], environ, body)
        if answer:
            headers = {"Content-Type": "application/json", **headers}
        common = {"Server": "BaseHTTP/0.6 Python/3.11.7", "Date": self._date, **headers}
        common["Content-Length"] = str(len(answer))
        start_response(status, list(common.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer]

    def _feedback(self, body: bytes, payload: Any) -> None:
        """Send feedback now, from inside the handler."""
        self._ask("POST", f"/workflow/{json.loads(body)['workflowId']}/feedback", {"payload": payload})

    def _ask(self, method: str, path: str, json: dict[str, Any]) -> Any:
        answer = self._mock.app.test_client().open(path, method=method, json=json, headers=self._headers)
        assert answer.status_code == 200
        return answer.get_json()

    def _run(self, workflow: str, path: str) -> Any:
        return self._ask(
            "POST", "/workflow/run", {"workflowName": workflow, "input": {"url": f"{URL}/{path}"}}
        )

    def _feedback_later(self, body: bytes, payload: Any, after: str) -> None:
        self._mock.signal(json.loads(body)["workflowId"], "resume", payload, after=after)

    def _answer(self, path: str, environ: dict[str, Any], body: bytes) -> tuple[str, bytes, dict[str, str]]:
        ok = b'{"ok":true}'
        match path.split("/")[1:]:
            case ["later"]:
                self._feedback_later(body, {"by": "later"}, "700ms")
            case ["nothing_later"]:
                self._feedback_later(body, UNDEFINED, "700ms")
            case ["inside" | "inside_slow"]:
                self._feedback(body, {"by": "inside"})
            case ["inside_twice"]:
                self._feedback(body, {"by": "first"})
                self._feedback(body, {"by": "second"})
            case ["runs_another"]:
                ran = self._run("more_calls", "empty")
                return "200 OK", json.dumps({"ran": ran["status"], "output": ran["output"]}).encode(), {}
            case ["runs_another_and_answers"]:
                self._feedback(body, {"ran": self._run("more_asks", "inside")["output"]})
            case ["stops"]:
                self._ask("PATCH", f"/workflow/{json.loads(body)['workflowId']}/stop", {})
            case ["terminates"]:
                path = f"/workflow/{json.loads(body)['workflowId']}/terminate"
                self._ask("POST", path, {"reason": "enough"})
            case ["slow"]:
                self._clock.let_pass(40)
            case ["twice500"]:
                workflow_id = json.loads(body)["workflowId"]
                self._seen[workflow_id] = number = self._seen.get(workflow_id, 0) + 1
                if number <= 2:
                    return "500 Internal Server Error", b'{"error":"busy"}', {}
                self._feedback_later(body, {"by": "third"}, "500ms")
            case ["status", status]:
                return f"{status} {HTTPStatus(int(status)).phrase}", b'{"status":1}', {}
            case ["redirect"]:
                return "302 Found", b"", {"Location": "/seen"}
            case ["redirect307"]:
                return "307 Temporary Redirect", b"", {"Location": "/seen"}
            case ["redirect_loop"]:
                return "302 Found", b"", {"Location": "/redirect_loop"}
            case ["not_json"]:
                return "200 OK", b"not json", {}
            case ["text"]:
                return "200 OK", b"plain words", {"Content-Type": "text/plain; charset=utf-8"}
            case ["bytes"]:
                return "200 OK", bytes(range(8)), {"Content-Type": "application/octet-stream"}
            case ["empty"]:
                return "204 No Content", b"", {}
            case ["problem"]:
                return "200 OK", b'{"a":1}', {"Content-Type": "application/problem+json"}
            case ["cut"]:
                pass
            case ["secrets"]:
                secrets = {"X-Api-Key": "k", "Set-Cookie": "a=b", "Authorization": "z"}
                return "200 OK", ok, {**secrets, "X-Other": "o", "X-Csrf-Token": "t"}
            case _:
                return "200 OK", self._seen_request(path, environ, body), {"X-Seen": "yes"}
        return "200 OK", ok, {}

    def _seen_request(self, path: str, environ: dict[str, Any], body: bytes) -> bytes:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name == "CONTENT_TYPE"
        }
        if body or environ["REQUEST_METHOD"] in ("POST", "PUT", "PATCH"):
            headers["content-length"] = environ["CONTENT_LENGTH"]
        if environ["QUERY_STRING"]:
            path += f"?{environ['QUERY_STRING']}"
        seen = {"method": environ["REQUEST_METHOD"], "path": path, "headers": headers, "body": body.decode()}
        return json.dumps(seen).encode()
