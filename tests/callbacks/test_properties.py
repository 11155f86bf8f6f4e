"""Properties of callbacks: whatever the application does, nothing hangs and histories stay valid."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from output_mock import Context, OutputMock, RunView, StepFailure
from tests.engine.test_properties import check_history

URL = "https://app.example/review"
# The actions of a handler, and its response: a status, or an error that it raises.
Handling = tuple[Sequence[str], int | None]
DOES = (
    *("feedback", "feedback", "look", "stop", "terminate", "query", "list"),
    *("start asks", "start tells", "run slow", "run tells", "advance"),
)
handlings = st.lists(
    st.tuples(st.lists(st.sampled_from(DOES), max_size=3), st.sampled_from([200, 200, 200, 204, 500, None])),
    min_size=1,
    max_size=6,
)
ASKED = ("run asks", "start asks", "run tells", "start slow", "advance", "look", "signal", "stop")
FAULTS = ("drop_next", "duplicate_next", "reorder_next", "late", "too late")
# At greater depth, applications only respond.
DEEPEST = 4


class World:
    """A fake, an application that follows instructions, and a client."""

    def __init__(self, clock: Any, handlings: Sequence[Handling]) -> None:
        self.mock = OutputMock(clock, max_waiting="2m")
        self.mock.world.patience = 0.2
        self._handlings = handlings
        self._depth = self._answered = 0
        self._define()
        self.mock.application("https://app.example", self._application)

    def _define(self) -> None:
        mock = self.mock

        @mock.workflow("asks")
        async def asks(ctx: Context, input: Any) -> Any:
            ctx.on_query("stage", lambda payload: "asking")
            answers = []
            for _ in range(2):
                try:
                    answers.append(await ctx.send_post_request_and_await_webhook(URL, timeout="5m"))
                except (StepFailure, asyncio.TimeoutError) as failure:
                    answers.append(type(failure).__name__)
            return answers

        @mock.workflow("tells")
        async def tells(ctx: Context, input: Any) -> Any:
            return await ctx.send_http_request(
                URL,
                method="POST",
                payload={"workflowId": ctx.info.workflow_id},
                response_options={"includeBody": True},
            )

        mock.workflow("slow").takes("50s").returns("slow")

    def ask(self, method: str, path: str, body: Any = None) -> int:
        answer = self.mock.app.test_client().open(path, method=method, json=body)
        return int(answer.status_code)

    def do(self, what: str, workflow_id: str) -> None:
        verb, _, workflow = what.partition(" ")
        match verb:
            case "run" | "start":
                self.ask("POST", f"/workflow/{verb}", {"workflowName": workflow})
            case "feedback" | "signal":
                self.ask("POST", f"/workflow/{workflow_id}/feedback", {"payload": {"n": 1}})
            case "look":
                self.ask("GET", f"/workflow/{workflow_id}/status")
            case "stop":
                self.ask("PATCH", f"/workflow/{workflow_id}/stop")
            case "terminate":
                run = self.mock.runs[workflow_id]
                self.ask("POST", f"/workflow/{workflow_id}/runs/{run.run_id}/terminate", {})
            case "query":
                self.ask("POST", f"/workflow/{workflow_id}/query/stage", {})
            case "list":
                self.ask("GET", "/workflow/runs")
            case "advance":
                self.mock.clock.advance("1m")

    def _application(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        question = json.loads(environ["wsgi.input"].read())
        actions, status = self._handlings[self._answered % len(self._handlings)]
        self._answered += 1
        self._depth += 1
        try:
            for action in actions if self._depth <= DEEPEST and self._answered < 40 else ():
                self.do(action, question["workflowId"])
        finally:
            self._depth -= 1
        if status is None:
            raise RuntimeError("broken")
        start_response(f"{status} x", [("Content-Type", "application/json")])
        return [] if status == 204 else [b'{"ok":true}']


@given(
    clock=st.sampled_from(["auto", "auto", "manual"]),
    handlings=handlings,
    asked=st.lists(st.sampled_from(ASKED), min_size=1, max_size=5),
    faults=st.lists(st.sampled_from(FAULTS), max_size=2),
)
@example("auto", [(["run slow", "feedback"], 200)], ["run asks"], [])
@example("auto", [([], 200), (["start asks"], 200)], ["run asks"], [])
@example("auto", [(["advance", "stop"], 500)], ["run asks", "run asks"], ["reorder_next"])
@settings(max_examples=40)
def test_every_request_gets_a_response_and_histories_stay_valid(
    clock: str, handlings: list[Handling], asked: list[str], faults: list[str]
) -> None:
    world = World(clock, handlings)
    mock = world.mock
    last = mock.clock.now() + timedelta(hours=24)
    for fault in faults:
        if "late" in fault:
            mock.callbacks.delay_next("20s" if fault == "late" else "45s")
        else:
            getattr(mock.callbacks, fault)()
    try:
        for number, what in enumerate(asked):
            known = list(mock.runs)
            world.do(what, known[number % len(known)] if known else "nobody")
        # All work ends by itself: requests time out, and handlers start nothing new.
        while any(run.status == "running" for run in mock.runs.values()):
            assert mock.clock.now() < last
            mock.clock.advance("1m")
        mock.clock.advance("1m")
        assert not any(one.under_way for one in mock.callbacks.so_far)
        assert mock.script_errors == []
        for run in mock.world.list_runs(limit=1000):
            if run.info.workflow_type != "$catalog":
                assert not run.running, RunView(run).progress
                check_history(RunView(run).history, run.status)
    finally:
        mock.close()


def test_a_restored_snapshot_repeats_unfinished_callbacks() -> None:
    from output_mock.state.snapshot import Snapshot

    mock = OutputMock()
    mock.workflow("ask").calls_back(URL)
    taken: list[Snapshot] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if not taken:
            taken.append(Snapshot.of(mock.app))
        question = json.loads(environ["wsgi.input"].read())
        mock.signal(question["workflowId"], "resume", {"n": len(mock.callbacks.so_far)})
        start_response("200 OK", [])
        return []

    mock.application("https://app.example", application)
    client = mock.app.test_client()
    body = {"workflowName": "ask", "workflowId": "a", "input": {}}
    assert client.post("/workflow/run", json=body).get_json()["output"] == {"n": 1}
    taken[0].restore(mock)
    assert mock.runs["a"].status == "running"
    assert client.get("/workflow/a/status").get_json()["status"] == "running"
    client.get("/workflow/a/status")
    assert client.get("/workflow/a/result").get_json()["output"] == {"n": 2}
    mock.close()


@pytest.mark.parametrize("version", ["0.9", "0.10"])
def test_before_0_10_headers_are_sent_unchanged_and_the_whole_response_is_returned(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORD", "open-sesame")
    mock = OutputMock(api_version=version)

    @mock.workflow("tell")
    async def tell(ctx: Context, input: Any) -> Any:
        return await ctx.send_http_request(URL, headers={"X-Word": "$WORD"})

    mock.callbacks.respond(URL, json={"a": 1}, headers={"set-cookie": "a=b"})
    client = mock.app.test_client()
    output = client.post("/workflow/run", json={"workflowName": "tell"}).get_json()["output"]
    sent = dict(mock.callbacks.one().headers)["x-word"]
    run = mock.runs[mock.callbacks.one().workflow_id]
    (scheduled,) = [
        event
        for event in run.history
        if "sendHttpRequest" in json.dumps(event) and "input" in json.dumps(event)
    ][:1]
    (given,) = scheduled["activityTaskScheduledEventAttributes"]["input"]
    bare = {"url": URL, "status": 200, "statusText": "OK", "ok": True}
    if version == "0.9":
        headers = {"content-type": "application/json", "set-cookie": "a=b"}
        assert (output, sent) == ({**bare, "headers": headers, "body": {"a": 1}}, "$WORD")
        assert "responseOptions" not in given
    else:
        assert (output, sent) == (bare, "open-sesame")
        assert given["responseOptions"] == {}
    mock.close()
