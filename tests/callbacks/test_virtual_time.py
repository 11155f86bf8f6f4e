"""In virtual time, an application that a workflow calls sleeps on the fake's clock."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
import requests

from output_mock import OutputMock

URL = "https://app.example/review"


@pytest.mark.output(sleep="virtual")
def test_a_handler_and_a_client_sleep_on_the_same_clock(output_mock: OutputMock) -> None:
    output_mock.workflow("ask").takes("10m").calls_back(URL).returns(lambda input, feedback: feedback)
    told: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        began = time.monotonic()
        time.sleep(12)
        told.append(time.monotonic() - began)
        workflow_id = output_mock.callbacks.so_far[0].workflow_id
        answer = requests.post(
            f"{output_mock.url}/workflow/{workflow_id}/feedback", json={"payload": {"n": 1}}, timeout=5
        )
        assert answer.status_code == 200
        start_response("200 OK", [])
        return []

    output_mock.application("https://app.example", application)
    url = output_mock.url
    begun = requests.post(f"{url}/workflow/start", json={"workflowName": "ask"}, timeout=5).json()
    workflow = f"{url}/workflow/{begun['workflowId']}"
    began, polls = time.monotonic(), 0
    while requests.get(f"{workflow}/status", timeout=5).json()["status"] == "running":
        polls += 1
        time.sleep(60)
    assert told == [12.0]
    assert 600 < time.monotonic() - began < 800
    assert requests.get(f"{workflow}/result", timeout=5).json()["output"] == {"n": 1}


@pytest.mark.output(sleep="virtual")
def test_an_asgi_handler_sleeps_on_its_loop(output_mock: OutputMock) -> None:
    output_mock.workflow("ask").calls_back(URL)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await asyncio.sleep(20)
        workflow_id = output_mock.callbacks.so_far[0].workflow_id
        async with httpx.AsyncClient(base_url=output_mock.url) as client:
            await client.post(f"/workflow/{workflow_id}/feedback", json={"payload": {"n": 1}})
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    output_mock.application("https://app.example", application)
    began = time.monotonic()
    answer = requests.post(f"{output_mock.url}/workflow/run", json={"workflowName": "ask"}, timeout=90)
    assert answer.json()["output"] == {"n": 1}
    assert time.monotonic() - began == pytest.approx(20)
