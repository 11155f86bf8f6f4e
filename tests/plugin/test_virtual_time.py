"""Clients whose own waiting moves the fake's clock."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import math
import pickle
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from random import Random
from types import ModuleType
from typing import Any

import httpx
import pytest
import requests

from output_mock import Context, OutputMock

_wall = time.monotonic
CLIENT = """
import datetime as dt
import time
from datetime import date, datetime, timezone
from time import monotonic, sleep

import requests


def poll(url, *, every, patience):
    deadline, polls = monotonic() + patience, 0
    while requests.get(f"{url}/status").json()["status"] == "running":
        polls += 1
        if monotonic() >= deadline:
            raise TimeoutError(f"after {polls} polls")
        sleep(every)
    return polls


def nap(seconds):
    sleep(seconds)


def clocks():
    return {
        "time": time.time(),
        "time_ns": time.time_ns() / 1e9,
        "now": datetime.now(timezone.utc).timestamp(),
        "local now": datetime.now().timestamp(),
        "utcnow": dt.datetime.utcnow().replace(tzinfo=timezone.utc).timestamp(),
        "today": datetime.today().timestamp(),
    }


def today():
    return date.today(), dt.date.today()


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
"""


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A module of a client program, `app.client`."""
    module: Any = ModuleType("app.client")
    exec(compile(CLIENT, "app/client.py", "exec"), module.__dict__)
    sys.modules["app.client"] = module
    yield module
    del sys.modules["app.client"]


@pytest.fixture
def manual() -> Iterator[OutputMock]:
    """A fake on a clock that only waiting clients move, with a run `w` of 45 minutes."""
    mock = OutputMock(clock="manual")
    mock.workflow("report").takes("45m").returns("done")
    mock.begin_with("report", workflow_id="w")
    with mock.in_process():
        yield mock
    mock.close()


def test_a_loop_that_polls_for_45_minutes_ends_at_once_and_makes_every_poll(
    manual: OutputMock, client: Any
) -> None:
    begun = _wall()
    with manual.virtual_time():
        assert client.poll(f"{manual.url}/workflow/w", every=5, patience=3600) == 45 * 60 / 5
    assert len(manual.calls(route="status")) == 45 * 60 / 5 + 1
    assert _wall() - begun < 30


def test_a_client_deadline_passes_in_virtual_time(manual: OutputMock, client: Any) -> None:
    with manual.virtual_time("app"), pytest.raises(TimeoutError, match="after 121 polls"):
        client.poll(f"{manual.url}/workflow/w", every=5, patience=600)
    assert (manual.clock.now() - datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)).seconds == 600


def test_all_clocks_of_the_client_agree_with_the_fakes(manual: OutputMock, client: Any) -> None:
    before = time.monotonic()
    with manual.virtual_time():
        manual.clock.advance("90m")
        assert set(client.clocks().values()) == {manual.clock.now().timestamp()}
        assert client.today() == (datetime.date(2026, 1, 1),) * 2
        assert 5400 <= client.monotonic() - before < 5430
        assert isinstance(client.datetime.now(), datetime.datetime)
        assert isinstance(client.datetime(2026, 1, 1), client.datetime)
        assert issubclass(datetime.datetime, client.datetime)


# It is deprecated from Python 3.12 on, and still has to be right.
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_nothing_is_left_behind(manual: OutputMock, client: Any) -> None:
    names = (time.sleep, time.monotonic, time.time, datetime.datetime, datetime.date)
    real = [getattr(datetime.datetime, name) for name in ("now", "utcnow", "today")]
    loop_time = asyncio.BaseEventLoop.time
    with manual.virtual_time():
        assert (time.sleep, time.monotonic, time.time, datetime.datetime, datetime.date) == names
        assert client.sleep is time.sleep
        taken = datetime.datetime.now
        assert taken(datetime.timezone.utc) == manual.clock.now()
    assert asyncio.BaseEventLoop.time is loop_time
    assert [getattr(datetime.datetime, name) for name in ("now", "utcnow", "today")] == real
    assert time.sleep.__self__ is time
    begun = _wall()
    client.nap(0.01)
    assert _wall() - begun >= 0.01
    for now in (taken(), client.datetime.now(), datetime.datetime.today()):
        assert abs(now.timestamp() - time.time()) < 60
    assert abs(client.clocks()["utcnow"] - time.time()) < 60
    assert datetime.date.today() != datetime.date(2026, 1, 1)


def test_a_time_of_none_means_now(manual: OutputMock) -> None:
    with manual.virtual_time():
        for function in (time.localtime, time.gmtime, time.ctime):
            assert function(None) == function() == function(time.time())
        with pytest.raises(TypeError):
            time.strftime("%Y", None)  # type: ignore[arg-type]


@dataclasses.dataclass
class Stamp:
    """Stores time functions when this module is imported."""

    at: datetime.datetime = dataclasses.field(default_factory=datetime.datetime.now)
    day: datetime.date = dataclasses.field(default_factory=datetime.date.today)


class Earlier(datetime.datetime):
    """A class that is defined before virtual time begins."""


def test_time_functions_stored_earlier_return_the_fakes_time(manual: OutputMock) -> None:
    with manual.virtual_time():
        now = manual.clock.now().replace(tzinfo=None)
        assert Stamp() == Stamp(now, now.date())
        assert Earlier.now() == Earlier.today() == now
        assert type(Earlier.now()) is Earlier
        with pytest.raises(TypeError):
            datetime.datetime.now("UTC")  # type: ignore[arg-type]
    assert Stamp().at.year > 2025
    assert Earlier.now() > Earlier(2026, 1, 2)


def test_time_functions_stored_by_a_module_that_replaces_another_return_the_fakes_time(
    manual: OutputMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stamps", ModuleType("stamps"))
    with manual.virtual_time():
        pass
    module = ModuleType("stamps")
    module.now = datetime.datetime.now  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stamps", module)
    with manual.virtual_time():
        assert module.now() == manual.clock.now().replace(tzinfo=None)


def test_time_values_have_the_usual_types_and_relations(manual: OutputMock) -> None:
    with manual.virtual_time():
        now = datetime.datetime.now()
        assert type(now) is datetime.datetime
        assert type(datetime.date.today()) is datetime.date
        assert pickle.loads(pickle.dumps(now)) == now
        assert pickle.loads(pickle.dumps(time.sleep)) is time.sleep
        assert time.strftime("%Y-%m-%d") == "2026-01-01"
        assert (time.localtime().tm_year, time.gmtime().tm_year) == (2026, 2026)
        assert "2026" in time.ctime()
        assert "2026" in time.asctime()
        assert time.clock_gettime(time.CLOCK_REALTIME) == time.time()


def test_modules_that_are_not_listed_keep_wall_clock_time(manual: OutputMock, client: Any) -> None:
    with manual.virtual_time("app.client"):
        before, begun = manual.clock.now(), _wall()
        time.sleep(0.01)
        assert _wall() - begun >= 0.01
        assert manual.clock.now() == before
        assert abs(time.time() - manual.clock.now().timestamp()) > 3600
        assert abs(datetime.datetime.now().timestamp() - time.time()) < 60
        assert datetime.date.today() != datetime.date(2026, 1, 1)
        client.nap(10)
        assert (manual.clock.now() - before).total_seconds() == 10


def test_a_module_name_does_not_match_as_a_prefix(manual: OutputMock, client: Any) -> None:
    with manual.virtual_time("app.cli"):
        before = manual.clock.now()
        client.nap(0.001)
        assert manual.clock.now() == before


def test_time_passes_for_code_that_only_polls(manual: OutputMock, client: Any) -> None:
    with manual.virtual_time():
        client.spin(3)
    assert manual.clock.now().second >= 3


@pytest.mark.parametrize(
    "length",
    [
        -1,
        -0.5,
        math.nan,
        math.inf,
        1e300,
        10**30,
        Decimal(1),
        Fraction(1),
        "1",
        None,
        datetime.timedelta(1),
        1j,
    ],
    ids=repr,
)
def test_an_invalid_sleep_is_refused_as_by_python(manual: OutputMock, length: Any) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)) as expected:
        time.sleep(length)
    with manual.virtual_time(), pytest.raises(expected.type, match=re.escape(str(expected.value))):
        time.sleep(length)


class OfFloat(float):
    """As numpy's `float64` is."""


class OfIndex:
    """A whole number, as numpy's `int64` is."""

    def __index__(self) -> int:
        return 2

    def __repr__(self) -> str:
        return "index"

    def __mul__(self, factor: int) -> int:
        return 2 * factor


@pytest.mark.parametrize("length", [True, 2, 2.5, OfFloat(2.5), OfIndex()], ids=repr)
def test_a_sleep_takes_its_length_in_any_type_that_python_accepts(manual: OutputMock, length: Any) -> None:
    with manual.virtual_time():
        began = time.monotonic_ns()
        time.sleep(length)
        assert time.monotonic_ns() - began == length * 10**9


CLOCKS = pytest.mark.parametrize(
    "clock", [time.monotonic, time.time, time.perf_counter], ids=lambda one: one.__name__
)


def tokens_in(seconds: float, clock: Callable[[], float]) -> Iterator[float]:
    """How long a client sleeps that may send a request each 0.15 s, counted as a token bucket does."""
    tokens, last = 1.0, clock()
    end = last + seconds
    while last < end:
        now = clock()
        tokens, last = tokens + (now - last) / 0.15, now
        if tokens >= 1:
            tokens -= 1
        else:
            yield (1 - tokens) * 0.15


# After so many sleeps, another rule lets time pass for code that only reads the clock.
FEW = 1000


@CLOCKS
def test_a_sleep_for_the_rest_of_a_period_moves_the_clock_however_short_it_is(
    manual: OutputMock, clock: Callable[[], float]
) -> None:
    with manual.virtual_time():
        began = time.monotonic_ns()
        time.sleep(1e-17)
        assert time.monotonic_ns() > began
        for sleeps, length in enumerate(tokens_in(3, clock)):
            time.sleep(length)
            assert sleeps < FEW


@CLOCKS
def test_a_loop_that_sleeps_for_what_is_left_ends_after_a_few_sleeps(
    manual: OutputMock, clock: Callable[[], float]
) -> None:
    random = Random(1)
    with manual.virtual_time():
        for _ in range(50):
            sleeps, end = 0, clock() + 10 * random.random()
            while (left := end - clock()) > 0:
                time.sleep(min(left, random.random()))
                sleeps += 1
                assert sleeps < FEW


@pytest.mark.parametrize(
    ("years", "error", "words"),
    [
        (2, ValueError, "the end of this sleep would come .* but the clock ends with the year 2998"),
        (2_000, OverflowError, "timestamp too large"),
    ],
)
def test_a_sleep_beyond_the_end_of_the_clock_is_refused(
    years: int, error: type[Exception], words: str
) -> None:
    late = OutputMock(clock="manual", start=datetime.datetime(2998, 1, 1, tzinfo=datetime.timezone.utc))
    with late.virtual_time(), pytest.raises(error, match=words):
        time.sleep(years * 365 * 86_400)


def test_a_script_cannot_sleep_on_its_own_clock(manual: OutputMock, client: Any) -> None:
    @manual.workflow("sleeps")
    async def sleeps(ctx: Context, input: Any) -> None:
        client.nap(5)

    with manual.virtual_time():
        requests.post(f"{manual.url}/workflow/run", json={"workflowName": "sleeps"})
    assert "sleep" in manual.script_errors[0].message or "clock" in manual.script_errors[0].message


def test_only_one_fake_at_a_time_can_control_virtual_time() -> None:
    one, other = OutputMock(), OutputMock()
    with (
        one.virtual_time(),
        pytest.raises(RuntimeError, match="is already on for another fake"),
        other.virtual_time(),
    ):
        pass
    with (
        pytest.raises(ValueError, match="does not work with a real clock"),
        OutputMock(clock="real").virtual_time(),
    ):
        pass
    with other.virtual_time():
        pass


def test_threads_that_sleep_at_the_same_time_sleep_together(manual: OutputMock, client: Any) -> None:
    with manual.virtual_time(), ThreadPoolExecutor(4) as pool:
        before = manual.clock.now()
        barrier = threading.Barrier(4)

        def nap() -> None:
            barrier.wait()
            client.nap(60)

        for future in [pool.submit(nap) for _ in range(4)]:
            future.result(timeout=30)
        # In sequence it would take four minutes.
        assert 60 <= (manual.clock.now() - before).total_seconds() <= 180


def test_a_sleeping_thread_does_not_block_a_run_that_another_thread_waits_for(
    manual: OutputMock, client: Any
) -> None:
    with manual.virtual_time(), ThreadPoolExecutor(1) as pool:
        polling = pool.submit(client.poll, f"{manual.url}/workflow/w", every=30, patience=3600)
        assert polling.result(timeout=60) == 90


def test_waiting_for_a_run_waits_in_virtual_time(manual: OutputMock) -> None:
    with manual.virtual_time():
        answer = requests.post(
            f"{manual.url}/workflow/run", json={"workflowName": "report", "timeout": 10**7}
        )
        assert answer.json()["output"] == "done"
        assert (manual.clock.now().hour, manual.clock.now().minute) == (0, 45)
        late = requests.post(f"{manual.url}/workflow/run", json={"workflowName": "report", "timeout": 1000})
        assert late.status_code == 408
    assert manual.clock.now().second == 1


def test_a_long_poll_waits_in_virtual_time(manual: OutputMock) -> None:
    @manual.workflow("review")
    async def review(ctx: Context, input: Any) -> None:
        await ctx.wait_for_signal("never")

    manual.begin_with("review", workflow_id="r")
    begun, before = _wall(), manual.clock.now()
    with manual.virtual_time():
        url = f"{manual.url}/workflow/r/history?longPollTimeoutMs=10000"
        page = requests.get(url).json()
        following = f"&runId={page['runId']}&pageToken={_quoted(page['nextPageToken'])}"
        assert requests.get(url + following).json()["events"] == []
    assert (manual.clock.now() - before).total_seconds() == 9
    assert _wall() - begun < 5


def _quoted(token: str) -> str:
    return token.replace("+", "%2B").replace("=", "%3D")


# asyncio


async def poll(url: str, every: float) -> int:
    polls = 0
    async with httpx.AsyncClient(base_url=url) as client:
        while (await client.get("/workflow/w/status")).json()["status"] == "running":
            polls += 1
            await asyncio.sleep(every)
    return polls


def test_an_async_loop_that_polls_for_45_minutes_ends_at_once(manual: OutputMock) -> None:
    begun = _wall()
    with manual.virtual_time():
        assert asyncio.run(poll(manual.url, 30)) == 90
    assert _wall() - begun < 30


def test_asyncio_timeouts_pass_in_virtual_time(manual: OutputMock) -> None:
    async def impatient() -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(poll(manual.url, 30), timeout=605)
        return loop.time() - begun

    with manual.virtual_time():
        assert asyncio.run(impatient()) == pytest.approx(605, abs=0.01)
    assert len(manual.calls) == 21


@pytest.mark.parametrize("name", ["loop.time", "time.monotonic", "time.time"])
def test_an_async_loop_that_sleeps_for_what_is_left_ends_after_a_few_sleeps(
    manual: OutputMock, name: str
) -> None:
    async def sleeps() -> None:
        clock = {
            "loop.time": asyncio.get_running_loop().time,
            "time.monotonic": time.monotonic,
            "time.time": time.time,
        }[name]
        random = Random(1)
        for _ in range(50):
            sleeps, end = 0, clock() + 10 * random.random()
            while (left := end - clock()) > 0:
                await asyncio.sleep(min(left, random.random()))
                sleeps += 1
                assert sleeps < FEW
        for sleeps, length in enumerate(tokens_in(3, clock)):
            await asyncio.sleep(length)
            assert sleeps < FEW

    with manual.virtual_time():
        asyncio.run(sleeps())


def test_tasks_that_sleep_at_the_same_time_sleep_together_and_wake_in_order(manual: OutputMock) -> None:
    order: list[tuple[float, float]] = []

    async def nap(seconds: float) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(seconds)
        order.append((seconds, round(loop.time() - begun, 3)))

    async def naps() -> None:
        await asyncio.gather(nap(30), nap(10), nap(20), nap(0.5))

    with manual.virtual_time():
        before = manual.clock.now()
        asyncio.run(naps())
        assert (manual.clock.now() - before).total_seconds() == pytest.approx(30, abs=0.001)
    assert order == [(0.5, 0.5), (10, 10), (20, 20), (30, 30)]


def test_a_stream_gets_its_events_on_time_while_another_task_sleeps(manual: OutputMock) -> None:
    @manual.workflow("steps")
    async def steps(ctx: Context, input: Any) -> None:
        for number in range(3):
            await ctx.step(f"s{number}", returns=number, takes="10m")

    seen: list[tuple[int, str]] = []

    async def follow(url: str) -> None:
        begun = manual.clock.now()
        async with httpx.AsyncClient(base_url=url) as client:
            await client.post("/workflow/start", json={"workflowName": "steps", "workflowId": "s"})

            async def tick() -> None:
                while True:
                    await asyncio.sleep(240)
                    seen.append((round((manual.clock.now() - begun).total_seconds()), "tick"))

            ticking = asyncio.create_task(tick())
            async with client.stream("GET", "/workflow/s/history/stream") as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("event: "):
                        seen.append((round((manual.clock.now() - begun).total_seconds()), line[7:]))
            ticking.cancel()

    with manual.virtual_time():
        asyncio.run(follow(manual.url))
    assert [moment for moment, name in seen if name == "history"][-1] == 1800
    assert (600, "history") in seen
    assert (1200, "history") in seen
    ticks = [moment for moment, name in seen if name == "tick"]
    assert ticks[:7] == [240, 480, 720, 960, 1200, 1440, 1680]


def test_a_client_over_a_socket_sleeps_in_virtual_time_and_does_not_time_out() -> None:
    import aiohttp

    mock = OutputMock(clock="manual")
    mock.workflow("report").takes("20m").returns("done")
    mock.begin_with("report", workflow_id="w")

    async def poll_by_aiohttp(url: str) -> int:
        polls = 0
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{url}/workflow/w/status") as answer:
                    if (await answer.json())["status"] != "running":
                        return polls
                polls += 1
                await asyncio.sleep(60)

    with mock.serve() as url, mock.virtual_time():
        assert asyncio.run(poll_by_aiohttp(url)) == 20
    mock.close()


@pytest.mark.parametrize("way", ["in process", "over a socket"])
def test_a_silent_stream_gets_its_keepalives_on_time_and_does_not_time_out(way: str) -> None:
    mock = OutputMock(clock="manual")
    mock.workflow("report").takes("2m").returns("done")
    mock.begin_with("report", workflow_id="w")
    comments: list[int] = []

    async def follow(url: str) -> None:
        begun = mock.clock.now()
        async with (
            httpx.AsyncClient(base_url=url, timeout=20) as client,
            client.stream("GET", "/workflow/w/history/stream") as stream,
        ):
            async for line in stream.aiter_lines():
                if line.startswith(":"):
                    comments.append(round((mock.clock.now() - begun).total_seconds()))

    with mock.in_process() if way == "in process" else mock.serve() as url, mock.virtual_time():
        asyncio.run(follow(url if way == "over a socket" else mock.url))
    mock.close()
    assert comments == [15, 30, 45, 60, 75, 90, 105]
