"""A closed fake releases everything that it held: addresses, sockets, threads, files, memory."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from output_mock import Context, OutputMock
from tests.conftest import eventually

OPEN_FILES = Path("/proc/self/fd")


def fake(clock: Any) -> OutputMock:
    """A fake with a run that waits for a signal, and one that sleeps."""
    mock = OutputMock(clock)

    @mock.workflow("approval")
    async def approval(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("approve")

    mock.workflow("report").takes("1h").returns(1)
    mock.begin_with("approval", workflow_id="a")
    mock.begin_with("report", workflow_id="r")
    return mock


def not_opened(mock: OutputMock) -> None:
    mock.clock.now()


def left_open_in_process(mock: OutputMock) -> Any:
    place = mock.in_process()
    ask(place.__enter__())
    return place


def served(mock: OutputMock) -> None:
    with mock.serve() as url:
        ask(url)


def left_open_on_a_socket(mock: OutputMock) -> Any:
    place = mock.serve()
    ask(place.__enter__())
    return place


SESSION = requests.Session()
# Responses may outlive the fake.
KEPT: list[Any] = []


def ask(url: str) -> None:
    KEPT.append(SESSION.get(f"{url}/workflow/a/status", timeout=30))
    # A stream that is never read to its end.
    stream = SESSION.get(f"{url}/workflow/a/history/stream", stream=True, timeout=30)
    assert next(stream.iter_content(None)).startswith(b"event: workflow")
    KEPT.append(stream)


def threads() -> int:
    """The number of threads, without the watchdog that all fakes share."""
    return sum(thread.name != "output-mock-watchdog" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("use", "number", "clock"),
    [
        (not_opened, 100, "auto"),
        (not_opened, 100, "real"),
        # More than the number of addresses for fakes in process.
        (left_open_in_process, 255, "auto"),
        (left_open_in_process, 20, "real"),
        (served, 20, "auto"),
        (served, 20, "real"),
        (left_open_on_a_socket, 20, "auto"),
        (left_open_on_a_socket, 20, "real"),
    ],
)
def test_closed_fakes_leave_nothing_behind(use: Callable[[OutputMock], Any], number: int, clock: Any) -> None:
    KEPT.clear()
    gc.collect()
    threads_before, files_before = threads(), open_files()
    worlds = []
    for _ in range(number):
        mock = fake(clock)
        worlds.append(weakref.ref(mock.world))
        KEPT.append(use(mock))
        mock.close()
    del mock
    KEPT[:] = [one for one in KEPT if isinstance(one, requests.Response)]

    def gone() -> bool:
        gc.collect()
        return not any(world() is not None for world in worlds)

    eventually(gone)
    eventually(lambda: threads() <= threads_before)
    KEPT.clear()
    SESSION.close()
    gc.collect()
    assert open_files() <= files_before


def open_files() -> int:
    return len(os.listdir(OPEN_FILES)) if OPEN_FILES.exists() else 0


def test_a_closed_fake_is_unreachable_from_every_client(mock: OutputMock) -> None:
    with mock.in_process() as url, mock.serve() as served_at:
        assert httpx.get(f"{url}/health").status_code == 200
        mock.close()
        for address in (url, served_at):
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{address}/health")
        with OutputMock().in_process() as next_one:
            assert next_one == url
    assert len(mock.calls) == 1
