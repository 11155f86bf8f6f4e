"""Workflows call an application in the test's process, which can call the fake from its handler."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests
from flask import Flask, jsonify, request

from output_mock import Context, OutputMock, Script, StepFailure

URL = "https://app.example/review"


@pytest.fixture
def jumping() -> Iterable[OutputMock]:
    """A fake on the auto clock."""
    made = OutputMock(keep_runs=None)
    made.load(WORKFLOWS)
    with made.in_process():
        yield made
    made.close()


@pytest.fixture(params=["auto", "manual", "real"])
def mock(request: pytest.FixtureRequest) -> Iterable[OutputMock]:
    made = OutputMock(request.param)
    made.load(WORKFLOWS)
    with made.in_process():
        yield made
    made.close()


WORKFLOWS = Script()


@WORKFLOWS.workflow("publish")
async def publish(ctx: Context, input: Any) -> Any:
    return await ctx.send_post_request_and_await_webhook(URL, payload=input)


@WORKFLOWS.workflow("tell")
async def tell(ctx: Context, input: Any) -> Any:
    try:
        return await ctx.send_http_request(URL, method="POST", payload=input)
    except StepFailure as failure:
        return {"failed": failure.message}


@WORKFLOWS.workflow("slow")
async def slow(ctx: Context, input: Any) -> Any:
    return await ctx.step(
        "think", input, takes="2m" if ctx.info.workflow_id != "quick" else 0, returns="thought"
    )


def run(mock: OutputMock, workflow: str, **fields: Any) -> Any:
    """Run a workflow. On a manual clock, another thread advances the time."""
    over = threading.Event()

    def advance() -> None:
        while not over.wait(0.002):
            mock.clock.advance("1s")

    beside = threading.Thread(target=advance)
    if mock.clock.mode == "manual":
        beside.start()
    try:
        answer = requests.post(
            f"{mock.url}/workflow/run", json={"workflowName": workflow, **fields}, timeout=60
        )
        return answer.json()
    finally:
        over.set()
        if beside.ident is not None:
            beside.join()


def application(handler: Callable[[dict[str, Any]], Any]) -> Flask:
    app = Flask(__name__)

    @app.post("/review")
    def review() -> Any:
        return jsonify(handler(request.get_json()))

    return app


def test_feedback_sent_from_inside_the_handler_ends_the_wait(mock: OutputMock) -> None:
    def review(question: dict[str, Any]) -> Any:
        url = f"{mock.url}/workflow/{question['workflowId']}"
        assert requests.get(f"{url}/status", timeout=5).json()["status"] == "running"
        answer = requests.post(f"{url}/feedback", json={"payload": {"yes": question["payload"]}}, timeout=5)
        assert answer.status_code == 200
        return {"received": True}

    mock.application("https://app.example", application(review))
    assert run(mock, "publish", input={"n": 1})["output"] == {"yes": {"n": 1}}
    assert mock.callbacks(URL).one().payload == {"n": 1}


def test_a_handler_can_start_run_signal_and_stop_other_runs(mock: OutputMock) -> None:
    def review(question: dict[str, Any]) -> Any:
        def post(path: str, **body: Any) -> Any:
            answer = requests.post(f"{mock.url}/workflow/{path}", json=body, timeout=5)
            assert answer.status_code == 200, answer.text
            return answer.json() if answer.text != "OK" else None

        own = question["workflowId"]
        if question.get("payload") == "inner":
            post(f"{own}/feedback", payload={"inner": True})
            return {}
        inner = post("run", workflowName="publish", input="inner")
        other = post("start", workflowName="slow")["workflowId"]
        requests.patch(f"{mock.url}/workflow/{other}/stop", timeout=5)
        third = post("start", workflowName="publish", input="third", workflowId="third")["workflowId"]
        requests.post(f"{mock.url}/workflow/{third}/terminate", json={}, timeout=5)
        post(f"{own}/feedback", payload={"inner": inner["output"]})
        return {}

    mock.application("https://app.example", application(review))
    assert run(mock, "publish", input="outer")["output"] == {"inner": {"inner": True}}
    assert [call.payload for call in mock.callbacks.sent] == ["outer", "inner"]


def test_the_clock_stops_while_the_application_works_and_moves_while_it_waits(
    jumping: OutputMock,
) -> None:
    mock = jumping
    times = []

    def review(question: dict[str, Any]) -> Any:
        # Reading the status moves no time.
        times.append(mock.clock.now())
        for _ in range(3):
            requests.get(f"{mock.url}/workflow/mine/status", timeout=5)
        times.append(mock.clock.now())
        # A run of two minutes takes longer than the timeout of a request.
        done = requests.post(f"{mock.url}/workflow/run", json={"workflowName": "slow"}, timeout=5).json()
        times.append(mock.clock.now())
        return done

    mock.application("https://app.example", application(review))
    body = {"workflowName": "tell", "workflowId": "mine", "input": {}}
    told = requests.post(f"{mock.url}/workflow/run", json=body, timeout=5).json()
    looked, still, later = (time.timestamp() for time in times)
    assert still == looked
    assert later - still == pytest.approx(120, abs=1)
    assert told["output"] == {"failed": f"POST {URL} The operation was aborted due to timeout"}
    assert mock.callbacks.one().status == 200


def test_endless_recursion_between_application_and_workflow_is_reported(jumping: OutputMock) -> None:
    deepest = []

    def review(question: dict[str, Any]) -> Any:
        answer = requests.post(
            f"{jumping.url}/workflow/run", json={"workflowName": "tell", "input": {}}, timeout=60
        )
        output = answer.json()["output"]
        deepest.append(output)
        return {}

    jumping.application("https://app.example", application(review))
    assert run(jumping, "tell", input={})["output"]["ok"]
    assert deepest[0]["failed"].startswith("requests are nested 60 deep; does the application run")
    assert len(deepest) == 60


def test_a_client_that_polls_during_a_callback_moves_no_time(jumping: OutputMock) -> None:
    mock, url = jumping, jumping.url
    inside, go_on = threading.Event(), threading.Event()

    def review(question: dict[str, Any]) -> Any:
        inside.set()
        assert go_on.wait(10)
        return {}

    mock.application("https://app.example", application(review))
    with ThreadPoolExecutor() as pool:
        told = pool.submit(
            lambda: requests.post(
                f"{url}/workflow/run", json={"workflowName": "tell", "input": {}}, timeout=20
            ).json()
        )
        assert inside.wait(10)
        requests.post(
            f"{url}/workflow/start", json={"workflowName": "slow", "workflowId": "other"}, timeout=5
        )
        before = mock.clock.now()
        for _ in range(5):
            assert requests.get(f"{url}/workflow/other/status", timeout=5).json()["status"] == "running"
        waits = pool.submit(lambda: mock.clock.advance("1h"))
        assert mock.clock.now() == before
        go_on.set()
        assert told.result(10)["output"]["ok"]
        waits.result(10)
    assert (mock.clock.now() - before).total_seconds() >= 3600
    assert mock.runs["other"].status == "completed"


def test_an_asgi_application_runs_on_its_own_event_loop(jumping: OutputMock) -> None:
    mock = jumping

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = (await receive())["body"]
        async with httpx.AsyncClient(base_url=mock.url) as client:
            done = await client.post("/workflow/run", json={"workflowName": "slow", "workflowId": "quick"})
            assert done.json()["output"] == "thought"
            own = json.loads(body)["workflowId"]
            await client.post(f"/workflow/{own}/feedback", json={"payload": {"by": "asgi"}})
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    mock.application("https://app.example", app)
    assert run(mock, "publish")["output"] == {"by": "asgi"}


def test_an_asgi_application_that_blocks_its_own_loop_is_not_waited_for(jumping: OutputMock) -> None:
    """On a real server its event loop could not answer the second request before the first, either."""
    inner: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await receive()
        inner.append(run(jumping, "tell", input={})["output"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    jumping.application("https://app.example", app)
    outer = run(jumping, "tell", input={})["output"]
    assert inner == [{"failed": f"POST {URL} The operation was aborted due to timeout"}]
    assert outer["failed"].endswith("aborted due to timeout")


def test_an_exception_in_the_application_fails_the_attempt_and_is_recorded(mock: OutputMock) -> None:
    def review(question: dict[str, Any]) -> Any:
        raise ValueError("no room")

    app = application(review)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    mock.application("https://app.example", app)
    assert run(mock, "tell", input={})["output"] == {"failed": f"POST {URL} 500"}
    problem = mock.callbacks.one().problem
    assert problem is not None
    assert problem.strip().endswith("ValueError: no room")


def test_a_thousand_workflows_in_eight_threads_lose_no_callback(jumping: OutputMock) -> None:
    mock = jumping

    def review(question: dict[str, Any]) -> Any:
        mock.signal(question["workflowId"], "resume", {"n": question["payload"]})
        return {}

    mock.application("https://app.example", application(review))
    client = mock.app.test_client

    def one(number: int) -> Any:
        body = {"workflowName": "publish", "input": number}
        return client().post("/workflow/run", json=body).get_json()["output"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(1000)))
    assert answers == [{"n": number} for number in range(1000)]
    assert sorted(call.payload for call in mock.callbacks.sent) == list(range(1000))


def test_a_second_callback_does_not_see_earlier_feedback(jumping: OutputMock) -> None:
    """The SDK keeps the handler of the first request, which consumes feedback that comes too early."""
    mock = jumping

    @mock.workflow("twice")
    async def twice(ctx: Context, input: Any) -> Any:
        first = await ctx.send_post_request_and_await_webhook(URL)
        try:
            second = await ctx.send_post_request_and_await_webhook(URL, timeout="1m")
        except asyncio.TimeoutError:
            second = None
        return [first, second]

    def review(question: dict[str, Any]) -> Any:
        mock.signal(question["workflowId"], "resume", {"n": len(mock.callbacks)})
        return {}

    mock.application("https://app.example", application(review))
    assert run(mock, "twice")["output"] == [{"n": 1}, None]
