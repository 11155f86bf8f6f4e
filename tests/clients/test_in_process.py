"""Reaching a fake in process, with every supported client."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
import requests

from output_mock import Context, OutputMock
from output_mock.in_process.mount import MountedApp, app_for_url


class Answer:
    """The response of any of the clients."""

    def __init__(self, status: int, headers: Any, content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content


Ask = Callable[..., Answer]


def by_requests(method: str, url: str, **options: Any) -> Answer:
    answer = requests.request(method, url, **options)
    return Answer(answer.status_code, answer.headers, answer.content)


def by_httpx(method: str, url: str, **options: Any) -> Answer:
    answer = httpx.request(method, url, **_as_httpx(options))
    return Answer(answer.status_code, answer.headers, answer.content)


def by_async_httpx(method: str, url: str, **options: Any) -> Answer:
    async def ask() -> Answer:
        async with httpx.AsyncClient() as client:
            answer = await client.request(method, url, **_as_httpx(options))
            return Answer(answer.status_code, answer.headers, answer.content)

    return asyncio.run(ask())


def _as_httpx(options: dict[str, Any]) -> dict[str, Any]:
    return {"content" if name == "data" else name: value for name, value in options.items()}


CLIENTS = {"requests": by_requests, "httpx": by_httpx, "httpx.AsyncClient": by_async_httpx}


@pytest.fixture(params=CLIENTS)
def ask(request: pytest.FixtureRequest) -> Ask:
    """Sends a request with one of the clients: `ask("GET", url, json=…, headers=…, timeout=…)`."""
    client: Ask = CLIENTS[request.param]
    return client


@contextmanager
def opened(mock: OutputMock, url: str | None = None) -> Iterator[str]:
    try:
        with mock.in_process(url) as found:
            yield found
    finally:
        mock.close()


def test_a_request_arrives_as_it_was_sent(ask: Ask, mock: OutputMock) -> None:
    mock.workflow("echo").returns(lambda input: input)
    with opened(mock) as url:
        given = {"workflowName": "echo", "input": {"x": "é"}}
        answer = ask("POST", f"{url}/workflow/run?a=1&a=2", json=given, headers={"X-Test": "yes"})
    assert answer.status == 200
    assert '"output":{"x":"é"}'.encode() in answer.content
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["X-Powered-By"] == "Express"
    call = mock.calls.one()
    assert (call.method, call.path, call.json) == ("POST", "/workflow/run", given)
    assert call.headers["X-Test"] == "yes"


def test_paths_keep_their_percent_escapes(ask: Ask, mock: OutputMock) -> None:
    mock.workflow("echo").returns(1)
    mock.begin_with("echo", workflow_id="a/b c")
    with opened(mock) as url:
        assert ask("GET", f"{url}/workflow/a%2Fb%20c/status").status == 200
    assert mock.calls.one().path == "/workflow/a%2Fb%20c/status"


def test_a_request_body_can_be_an_iterator(ask: Ask, mock: OutputMock) -> None:
    mock.workflow("echo").returns(lambda input: input)
    pieces: Any = iter([b'{"workflowName": "echo",', b' "input": 1}'])
    if ask is by_async_httpx:

        async def later() -> AsyncIterator[bytes]:
            for piece in list(pieces):
                yield piece

        data: Any = later()
    else:
        data = pieces
    with opened(mock) as url:
        headers = {"Content-Type": "application/json"}
        answer = ask("POST", f"{url}/workflow/run", data=data, headers=headers)
    assert b'"output":1' in answer.content


def test_requests_sends_text_and_files(mock: OutputMock) -> None:
    mock.workflow("echo").returns(1)
    headers = {"Content-Type": "application/json"}
    text = '{"workflowName": "echo"}'
    with opened(mock) as url:
        for data in (text, io.BytesIO(text.encode())):
            assert requests.post(f"{url}/workflow/run", data=data, headers=headers).json()["output"] == 1


def test_responses_without_a_body_are_empty(ask: Ask, mock: OutputMock) -> None:
    mock.workflow("echo").returns(1)
    mock.begin_with("echo", workflow_id="w")
    with opened(mock) as url:
        head = ask("HEAD", f"{url}/workflow/w/status")
        assert (head.status, head.content) == (200, b"")
        assert ask("HEAD", f"{url}/workflow/w/history/stream").content == b""
        beat = ask("POST", f"{url}/heartbeat")
        assert (beat.status, beat.content) == (204, b"")
        tag = ask("GET", f"{url}/workflow/w/input").headers["ETag"]
        fresh = ask("GET", f"{url}/workflow/w/input", headers={"If-None-Match": tag})
        assert (fresh.status, fresh.content) == (304, b"")


def test_a_fake_can_have_any_url_and_intercepts_only_that(ask: Ask, mock: OutputMock) -> None:
    with opened(mock, "https://api.example:8443/output/"):
        assert ask("GET", "https://api.example:8443/output/health").content == b"OK"
        assert ask("GET", "https://API.example:8443/output/health").content == b"OK"
        for other in (
            "https://api.example/output/health",
            "http://api.example:8443/output/health",
            "https://api.example:8443/outputs/health",
            "https://other.example:8443/output/health",
            "https://api.example:notaport/output",
        ):
            assert app_for_url(other) is None
    assert [call.path for call in mock.calls] == ["/health", "/health"]


def test_fakes_that_are_open_together_have_different_urls(ask: Ask) -> None:
    one, other = OutputMock(), OutputMock()
    with opened(one) as first:
        with opened(other) as second:
            assert first != second
            assert (one.url, other.url) == (first, second)
            ask("GET", f"{first}/health")
            ask("GET", f"{second}/ready")
        assert [call.route for call in one.calls] == ["health"]
        assert [call.route for call in other.calls] == ["ready"]
        with opened(OutputMock()) as third:
            assert third == second


def test_a_fake_is_found_while_other_threads_close_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = MountedApp.answers
    with opened(OutputMock()) as url, ExitStack() as others:
        for _ in range(2):
            others.enter_context(opened(OutputMock()))

        def closing(mounted: MountedApp, asked: str) -> bool:
            others.close()
            return answers(mounted, asked)

        monkeypatch.setattr(MountedApp, "answers", closing)
        assert app_for_url(f"{url}/health") is not None


def test_a_closed_fake_refuses_connections_and_no_other_host_is_contacted(ask: Ask, mock: OutputMock) -> None:
    with opened(mock) as url:
        pass
    begun = time.monotonic()
    with pytest.raises((requests.ConnectionError, httpx.ConnectError)):
        ask("GET", f"{url}/health")
    assert time.monotonic() - begun < 5


def test_an_invalid_base_url_is_refused(mock: OutputMock) -> None:
    for url in ("nowhere", "ftp://a", "http://", "http://a?b=c"):
        with pytest.raises(ValueError, match="is not a base URL"), mock.in_process(url):
            pass
    with pytest.raises(RuntimeError, match="use serve\\(\\) or in_process\\(\\)"):
        _ = mock.url


# Streams that arrive event by event


@pytest.fixture
def waiting(mock: OutputMock) -> OutputMock:
    """A fake with a run `w` that waits for a signal."""

    @mock.workflow("review")
    async def review(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("approve")

    mock.begin_with("review", workflow_id="w")
    return mock


def names(lines: list[str]) -> list[str]:
    return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


def test_requests_gets_each_event_of_a_stream_when_it_happens(waiting: OutputMock) -> None:
    with opened(waiting) as url:
        with requests.get(f"{url}/workflow/w/history/stream", stream=True) as stream:
            lines = stream.iter_lines(decode_unicode=True)
            seen: list[str] = []
            while names(seen) != ["workflow", "history"]:
                seen.append(next(lines))
            assert waiting.runs["w"].status == "running"
            waiting.signal("w", "approve")
            seen += list(lines)
        assert names(seen)[-1] == "done"


@pytest.mark.parametrize("chunk", [1, 7, None])
def test_the_bytes_of_a_stream_are_the_same_in_pieces_of_any_size(
    waiting: OutputMock, chunk: int | None
) -> None:
    waiting.signal("w", "approve")
    with opened(waiting) as url:
        address = f"{url}/workflow/w/history/stream"
        whole = requests.get(address).content
        pieces = list(requests.get(address, stream=True).iter_content(chunk))
        raw = requests.get(address, stream=True).raw
        read = raw.read(11) + raw.read()
    assert b"".join(pieces) == whole == read
    if chunk:
        assert max(map(len, pieces)) <= chunk


def test_httpx_gets_each_event_of_a_stream_when_it_happens(waiting: OutputMock) -> None:
    with opened(waiting) as url, httpx.stream("GET", f"{url}/workflow/w/history/stream") as stream:
        lines = stream.iter_lines()
        seen: list[str] = []
        while names(seen) != ["workflow", "history"]:
            seen.append(next(lines))
        waiting.signal("w", "approve")
        assert names([*seen, *lines])[-1] == "done"


def test_an_async_stream_waits_without_holding_its_event_loop(waiting: OutputMock) -> None:
    async def follow(url: str) -> list[str]:
        seen: list[str] = []
        async with httpx.AsyncClient(base_url=url) as client:

            async def approve() -> None:
                while names(seen) != ["workflow", "history"]:
                    await asyncio.sleep(0)
                await client.post("/workflow/w/signal/approve")

            approving = asyncio.create_task(approve())
            async with client.stream("GET", "/workflow/w/history/stream") as stream:
                async for line in stream.aiter_lines():
                    seen.append(line)
            await approving
        return names(seen)

    with opened(waiting) as url:
        assert asyncio.run(follow(url))[-1] == "done"


def test_leaving_an_async_stream_releases_its_waiter(waiting: OutputMock) -> None:
    async def leave(url: str) -> None:
        async with httpx.AsyncClient(base_url=url) as client:
            async with client.stream("GET", "/workflow/w/history/stream") as stream:
                async for line in stream.aiter_lines():
                    if line == "event: history":
                        break
            async with client.stream("GET", "/workflow/w/history/stream") as stream:
                reading = asyncio.create_task(stream.aread())
                await asyncio.sleep(0.05)
                reading.cancel()

    with opened(waiting) as url:
        begun = time.monotonic()
        asyncio.run(leave(url))
        assert time.monotonic() - begun < 5
        assert waiting.world.waiting_requests() == 0


def test_requests_of_many_threads_reach_the_same_fake(mock: OutputMock) -> None:
    mock.workflow("echo").returns(lambda input: input)
    outputs: list[int] = []

    def work(number: int) -> None:
        body = {"workflowName": "echo", "input": number}
        outputs.append(requests.post(f"{url}/workflow/run", json=body).json()["output"])

    with opened(mock) as url:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(outputs) == list(range(20))
    assert sorted(call.number for call in mock.calls) == list(range(1, 21))
