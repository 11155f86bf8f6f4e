"""An application that never responds blocks its caller for a limited time only."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from output_mock import Context, OutputMock
from output_mock.callbacks import application, limit

URL = "https://app.example/review"


@pytest.fixture
def mock(monkeypatch: pytest.MonkeyPatch) -> Any:
    def soon(call: Callable[[], Any], seconds: float) -> Any:
        return limit.limited(call, 0.1)

    monkeypatch.setattr(application, "limited", soon)
    made = OutputMock()

    @made.workflow("tell")
    async def tell(ctx: Context, input: Any) -> Any:
        return await ctx.send_http_request(URL, method="POST", payload=input)

    yield made
    made.close()


def _application(mock: OutputMock, handler: Callable[[], object]) -> None:
    app = Flask(__name__)

    @app.post("/review")
    def review() -> Any:
        try:
            handler()
        except Exception:
            return {"caught": True}
        return {}

    mock.application("https://app.example", app)


def _run(mock: OutputMock, **fields: Any) -> Any:
    answer = mock.app.test_client().post(
        "/workflow/run", json={"workflowName": "tell", "input": {}, **fields}
    )
    return answer.get_json()


def _never(mock: OutputMock) -> None:
    threading.Event().wait()


def _polls(mock: OutputMock) -> None:
    client = mock.app.test_client()
    while client.get("/workflow/a/status").get_json()["status"] != "completed":
        pass


def _sleeps_between(mock: OutputMock) -> None:
    while True:
        time.sleep(0.01)


@pytest.mark.parametrize("handler", [_never, _polls, _sleeps_between])
def test_a_handler_that_never_returns_times_out_and_the_error_names_its_line(
    mock: OutputMock, handler: Callable[[OutputMock], None]
) -> None:
    _application(mock, lambda: handler(mock))
    failed = f"POST {URL} The operation was aborted due to timeout"
    assert _run(mock, workflowId="a")["error"]["message"] == failed
    _is_told_where(mock)


def test_an_application_that_is_stopped_twice_is_reported_at_its_first_place() -> None:
    call = limit._Call(0.1)

    def first() -> None:
        call.stop(sys._getframe())

    def on_the_way_out() -> None:
        call.stop(sys._getframe())

    for stopped in (first, on_the_way_out):
        with pytest.raises(limit.Stopped):
            stopped()
    assert call.stack is not None
    assert "in first" in call.stack
    assert "in on_the_way_out" not in call.stack


def test_a_caller_in_another_thread_does_not_wait_forever_either(mock: OutputMock) -> None:
    ended = threading.Event()
    _application(mock, ended.wait)
    with ThreadPoolExecutor(1) as beside:
        try:
            answer = beside.submit(_run, mock).result(60)
        finally:
            ended.set()
    assert answer["error"]["message"].endswith("aborted due to timeout")
    _is_told_where(mock)


def test_only_the_application_that_does_not_respond_is_stopped(mock: OutputMock) -> None:
    """The first handler runs the workflow again, and that request never gets a response. This uses up the
    whole timeout of the first request on the clock, but the first handler continues.
    """
    answers = [lambda: inner.append(_run(mock)), threading.Event().wait]
    inner: list[Any] = []
    _application(mock, lambda: answers.pop(0)())
    failed = "aborted due to timeout"
    assert _run(mock)["error"]["message"].endswith(failed)
    assert inner[0]["error"]["message"].endswith(failed)
    assert [callback.status for callback in mock.callbacks] == [200, 0]


def test_an_application_in_a_debugger_is_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []
    ended = threading.Event()
    is_debugged = limit._is_debugged

    def look(thread: int) -> bool:
        looked.append(is_debugged(thread))
        if len(looked) == 3:
            ended.set()
        return looked[-1]

    monkeypatch.setattr(limit, "_is_debugged", look)
    debugger: dict[str, Any] = {"__name__": "pdb", "ended": ended}
    exec("def interact():\n    return ended.wait(60)", debugger)
    assert limit.limited(debugger["interact"], 0.01)
    assert all(looked)
    looked.clear()
    ended.clear()
    with ThreadPoolExecutor(1) as beside:
        assert beside.submit(limit.limited, debugger["interact"], 0.01).result(60)
    assert all(looked)


def _is_told_where(mock: OutputMock) -> None:
    (callback,) = mock.callbacks
    assert callback.problem is not None
    assert callback.problem.startswith(f"{URL} was not answered in 30 s of real time")
    assert "in review" in callback.problem
