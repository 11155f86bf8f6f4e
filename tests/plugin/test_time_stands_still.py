"""Virtual time stops while code runs or waits for anything but time; what stops it for long is named."""

from __future__ import annotations

import asyncio
import functools
import http.server
import multiprocessing
import os
import queue
import sched
import select
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import aiohttp.web
import anyio
import anyio.to_thread
import httpx
import pytest
import requests
import trio
import waitress
from werkzeug.local import LocalProxy

from output_mock import Fault, OutputMock
from output_mock.server.channel import Channel
from output_mock.server.workers import Workers
from output_mock.virtual_time import StuckError, event_loops
from output_mock.virtual_time.threads import Threads
from tests.conftest import Suite
from tests.plugin import slow_server
from tests.plugin.slow_server import Slow, on_the_wall

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Elapsed = Callable[[], float]
VIRTUAL = pytest.mark.output(sleep="virtual", clock="manual")
pytestmark = VIRTUAL


@pytest.fixture
def elapsed(output_mock: OutputMock) -> Elapsed:
    """How many seconds have passed on the fake's clock."""
    began = output_mock.clock.nanoseconds()
    return lambda: (output_mock.clock.nanoseconds() - began) / 1e9


# Sleeping code


def sleeps_by_default(sleep: Callable[[float], None] = time.sleep) -> None:
    sleep(5)


def in_a_thread() -> None:
    thread = threading.Thread(target=time.sleep, args=(5,))
    thread.start()
    thread.join()


def in_an_executor() -> None:
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(time.sleep, 5) for _ in range(4)]:
            future.result()


def in_a_scheduler() -> None:
    scheduler = sched.scheduler()
    scheduler.enter(5, 1, lambda: None)
    scheduler.run()


@pytest.mark.parametrize(
    "sleeps",
    [sleeps_by_default, in_a_thread, in_an_executor, in_a_scheduler, functools.partial(time.sleep, 5)],
)
def test_a_sleep_function_that_was_passed_on_uses_virtual_time(
    elapsed: Elapsed, sleeps: Callable[[], None]
) -> None:
    sleeps()
    assert elapsed() == 5


@pytest.mark.asyncio
async def test_a_sleep_in_a_thread_pool_uses_virtual_time(elapsed: Elapsed) -> None:
    await asyncio.wait_for(asyncio.to_thread(time.sleep, 5), 60)
    with anyio.fail_after(60):
        await anyio.to_thread.run_sync(time.sleep, 5)
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, time.sleep, 5) for _ in range(3)))
    assert elapsed() == 15


@pytest.mark.asyncio
async def test_threads_take_turns_exactly(elapsed: Elapsed) -> None:
    lock, reentrant, condition = threading.Lock(), threading.RLock(), threading.Condition()
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        time.sleep(60)
        barrier.wait()
        for one in (lock, reentrant, condition):
            with one:  # type: ignore[attr-defined]
                time.sleep(5)
        lock.acquire()
        time.sleep(5)
        lock.release()

    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(2)))
    assert elapsed() == 60 + 25


# What stops virtual time


@pytest.mark.asyncio
async def test_deadlines_do_not_pass_while_a_thread_works(elapsed: Elapsed) -> None:
    with anyio.fail_after(0.001):
        await anyio.to_thread.run_sync(on_the_wall, 0.02)
    await asyncio.wait_for(asyncio.wait_for(asyncio.to_thread(on_the_wall, 0.02), 0.001), 0.002)
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    timer = threading.Timer(0.02, loop.call_soon_threadsafe, (future.set_result, 1))
    timer.start()
    assert await asyncio.wait_for(future, 0.001) == 1
    timer.join()
    await asyncio.wait_for(loop.getaddrinfo("localhost", 80), 0.0001)
    assert elapsed() == 0


@pytest.mark.asyncio
async def test_deadlines_do_not_pass_while_items_move_through_a_queue(elapsed: Elapsed) -> None:
    there: queue.Queue[int | None] = queue.Queue()
    back: queue.SimpleQueue[int] = queue.SimpleQueue()

    def counts() -> None:
        while (number := there.get()) is not None:
            on_the_wall(0.002)
            back.put(number + 1)

    thread = threading.Thread(target=counts)
    thread.start()
    for number in range(5):
        there.put(number)
        assert await asyncio.wait_for(asyncio.to_thread(back.get), 0.001) == number + 1
        await asyncio.sleep(10)
    there.put(None)
    thread.join()
    assert elapsed() == 50


@pytest.mark.asyncio
async def test_deadlines_do_not_pass_while_a_process_runs(elapsed: Elapsed) -> None:
    async def output(code: str) -> bytes:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
        return (await process.communicate())[0]

    assert await asyncio.wait_for(output("import time; time.sleep(0.05); print(5)"), 0.001) == b"5\n"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    assert await asyncio.wait_for(process.wait(), 0.001) == 0
    run = functools.partial(subprocess.run, [sys.executable, "-c", ""], check=True, timeout=60)
    await asyncio.wait_for(asyncio.to_thread(run), 0.001)
    assert elapsed() == 0


class Ends(NamedTuple):
    """A process that runs until it is told to end, which takes it a moment."""

    has_ended: Callable[[], bool]
    end: Callable[[], object]


def by_poll() -> Ends:
    code = "import sys, time; print(flush=True); sys.stdin.read(); time.sleep(0.1)"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()

    def has_ended() -> bool:
        return process.poll() is not None

    return Ends(has_ended, process.stdin.close)


def says_that_it_runs(told: Connection) -> None:
    told.send(None)
    told.recv()
    on_the_wall(0.1)


def by_is_alive() -> Ends:
    told, other = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=says_that_it_runs, args=(other,))
    process.start()
    other.close()
    told.recv()

    def has_ended() -> bool:
        return not process.is_alive()

    def end() -> None:
        told.send(None)
        told.close()

    return Ends(has_ended, end)


def sleeps_in_a_loop(seconds: float) -> None:
    asyncio.run(asyncio.sleep(seconds))


@pytest.mark.parametrize("sleeps", [time.sleep, sleeps_in_a_loop])
@pytest.mark.parametrize("process", [by_poll, by_is_alive])
def test_sleeps_do_not_pass_while_a_process_is_polled(
    elapsed: Elapsed, process: Callable[[], Ends], sleeps: Callable[[float], None]
) -> None:
    has_ended, end = process()
    assert not has_ended()
    end()
    sleeps(60)
    assert has_ended()
    assert elapsed() == 60


def test_a_process_that_is_polled_and_does_not_end_stops_virtual_time_for_a_while_only(suite: Suite) -> None:
    suite("""
        import subprocess, sys, time

        import pytest

        @pytest.mark.output(sleep="virtual", clock="manual", stuck_after=0.2)
        def test_it(output_mock):
            with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
                began = time.monotonic()
                for _ in range(100):
                    assert process.poll() is None
                    time.sleep(60)
                assert time.monotonic() - began == 6000
    """).assert_outcomes(passed=1)


@pytest.fixture
def local_server() -> Iterator[str]:
    """The URL of a server in a thread of this process."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def other_process() -> Iterator[str]:
    """The URL of a server in another process."""
    command = [sys.executable, "-m", slow_server.__name__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@pytest.fixture
def waitress_server() -> Iterator[str]:
    """The URL of a server of waitress in a thread of this process."""

    def slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        on_the_wall(0.01)
        start_response("200 OK", [("Content-Length", "2")])
        yield b"o"
        on_the_wall(0.01)
        yield b"k"

    sockets: dict[int, Any] = {}
    server: Any = waitress.create_server(slow, host="127.0.0.1", port=0, map=sockets)

    def end() -> None:
        for one in list(sockets.values()):
            one.close()

    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    server.trigger.pull_trigger(end)
    thread.join()
    server.task_dispatcher.shutdown()


async def by_aiohttp(url: str) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.001)) as session:
        for _ in range(3):
            async with session.get(url) as answer:
                assert await answer.text() == "ok"
            await asyncio.sleep(30)


async def by_httpx(url: str) -> None:
    async with httpx.AsyncClient(timeout=0.001) as client:
        for _ in range(3):
            assert (await client.get(url)).text == "ok"
            await asyncio.sleep(30)


async def by_requests_in_a_thread(url: str) -> None:
    with requests.Session() as session:
        for _ in range(3):
            answer = await asyncio.wait_for(asyncio.to_thread(session.get, url), 0.001)
            assert answer.text == "ok"
            await asyncio.sleep(30)


@pytest.mark.parametrize("client", [by_aiohttp, by_httpx, by_requests_in_a_thread])
@pytest.mark.parametrize("server", ["local_server", "waitress_server", "other_process"])
def test_deadlines_do_not_pass_while_a_server_responds(
    request: pytest.FixtureRequest, elapsed: Elapsed, client: Any, server: str
) -> None:
    asyncio.run(client(request.getfixturevalue(server)))
    assert elapsed() == 90


@pytest.mark.asyncio
async def test_deadlines_do_not_pass_while_a_server_responds_to_a_plain_socket(
    elapsed: Elapsed, other_process: str
) -> None:
    loop, url = asyncio.get_running_loop(), httpx.URL(other_process)
    with socket.socket() as plain:
        plain.setblocking(False)
        await asyncio.wait_for(loop.sock_connect(plain, (url.host, url.port)), 0.001)
        await loop.sock_sendall(plain, b"GET / HTTP/1.0\r\n\r\n")
        assert await asyncio.wait_for(loop.sock_recv(plain, 4), 0.001) == b"HTTP"
    assert elapsed() == 0


@pytest.mark.asyncio
async def test_a_sleeping_server_in_the_same_loop_takes_virtual_time(elapsed: Elapsed) -> None:
    ended = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await asyncio.sleep(1)
            await asyncio.to_thread(on_the_wall, 0.002)
            writer.write(line)
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for _ in range(5):
        writer.write(b"x\n")
        assert await asyncio.wait_for(reader.readline(), 1.001) == b"x\n"
        await asyncio.sleep(10)
    # No data comes from an idle connection, so the deadline passes at once.
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(reader.readline(), 100)
    writer.close()
    await writer.wait_closed()
    await ended.wait()
    server.close()
    assert elapsed() == 155


@pytest.mark.asyncio
async def test_data_on_the_tests_own_socket_arrives_in_time(elapsed: Elapsed) -> None:
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)

        def sends() -> None:
            on_the_wall(0.01)
            there.send(b"x")
            time.sleep(5)
            here.send(b"y")

        thread = threading.Thread(target=sends)
        thread.start()
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(here, 1), 0.001) == b"x"
        assert await asyncio.wait_for(asyncio.to_thread(there.recv, 1), 5.001) == b"y"
        thread.join()
    assert elapsed() == 5


@pytest.mark.asyncio
async def test_deadlines_do_not_pass_while_a_thread_pauses_longer(elapsed: Elapsed) -> None:
    loop, fed = asyncio.get_running_loop(), asyncio.Queue[int]()

    def feeds() -> None:
        on_the_wall(1.2)
        loop.call_soon_threadsafe(fed.put_nowait, 1)

    thread = threading.Thread(target=feeds)
    thread.start()
    assert await asyncio.wait_for(fed.get(), 1) == 1
    thread.join()
    assert elapsed() == 0


def test_a_timer_fires_in_its_turn_among_sleeps_that_are_shorter(elapsed: Elapsed) -> None:
    done = threading.Event()
    timer = threading.Timer(0.3, done.set)
    timer.start()
    while not done.is_set():
        time.sleep(0.1)
        assert elapsed() < 0.5
    timer.join()


# What does not stop virtual time


@pytest.mark.asyncio
async def test_a_pending_timer_does_not_stop_virtual_time(elapsed: Elapsed) -> None:
    timer = threading.Timer(3600, print)
    timer.start()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 5)
    timer.cancel()
    timer.join()
    assert elapsed() == 5


@pytest.mark.output(stuck_after="2m")
def test_the_timer_of_pytest_timeout_does_not_stop_virtual_time(elapsed: Elapsed) -> None:
    late: list[bool] = []

    def fails() -> None:
        late.append(True)

    fails.__module__ = "pytest_timeout"
    timer = threading.Timer(100, fails)
    timer.start()
    for _ in range(5):
        time.sleep(2)
    time.sleep(3600)
    timer.cancel()
    timer.join()
    assert (elapsed(), late) == (3610, [])


@pytest.mark.parametrize("wrap", [lambda beat: beat, functools.partial], ids=["function", "partial"])
@pytest.mark.output(stuck_after="1s")
def test_timers_that_start_each_other_do_not_stop_virtual_time(
    wrap: Callable[..., Callable[[], None]], elapsed: Elapsed
) -> None:
    beats: list[threading.Timer] = []

    def beat() -> None:
        beats.append(threading.Timer(0.02, wrap(beat)))
        beats[-1].start()

    beat()
    for _ in range(3):
        time.sleep(5)
    assert elapsed() == 15
    while beats[-1].is_alive():
        beats[-1].cancel()
        beats[-1].join()


@pytest.mark.asyncio
async def test_idle_threads_do_not_stop_virtual_time(elapsed: Elapsed) -> None:
    stop: queue.Queue[int] = queue.Queue()
    event = threading.Event()
    waits: list[Callable[[], object]] = [stop.get, event.wait, queue.SimpleQueue[int]().get]
    for wait in [*waits, functools.partial(event.wait, 300)]:
        threading.Thread(target=wait, daemon=True).start()
    with ThreadPoolExecutor(3) as pool:
        assert pool.submit(int).result() == 0
        await asyncio.sleep(3600)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)
    assert elapsed() == 7200
    stop.put(1)
    event.set()


def test_a_pool_of_processes_holds_up_time_only_while_it_works(elapsed: Elapsed) -> None:
    context = multiprocessing.get_context("spawn")

    async def in_time(pool: ProcessPoolExecutor) -> None:
        # In another process, this takes real time.
        work = asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0.02)
        await asyncio.wait_for(work, 0.001)
        await asyncio.sleep(5)

    with ProcessPoolExecutor(1, context) as executor, context.Pool(1) as pool:
        asyncio.run(in_time(executor))
        result = pool.apply_async(time.sleep, (0.02,))
        time.sleep(5)
        assert result.ready()
        time.sleep(5)
    assert elapsed() == 15


class Messages:
    """A queue of messages that keeps functions of a lock, as the one of websockets does."""

    def __init__(self) -> None:
        self.messages: queue.SimpleQueue[int] = queue.SimpleQueue()
        lock = threading.Lock()
        self.pause, self.resume = lock.acquire, lock.release

    def get(self) -> int:
        return self.messages.get(timeout=60)


def test_a_thread_that_waits_for_a_queue_is_idle_whatever_else_its_object_has(elapsed: Elapsed) -> None:
    messages = Messages()

    def sends() -> None:
        time.sleep(5)
        messages.messages.put(1)

    thread = threading.Thread(target=sends)
    thread.start()
    assert messages.get() == 1
    thread.join()
    assert elapsed() == 5


def test_a_thread_that_iterates_over_a_queue_is_idle_while_the_queue_is_empty(elapsed: Elapsed) -> None:
    given: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done: list[int] = []

    def works() -> None:
        for number in iter(given.get, None):
            on_the_wall(0.01)
            done.append(number)

    thread = threading.Thread(target=works)
    thread.start()
    for number in range(3):
        given.put(number)
        time.sleep(5)
        assert done[-1] == number
    given.put(None)
    thread.join()
    assert elapsed() == 15


def test_a_thread_of_trio_sleeps_while_trio_waits_for_it(elapsed: Elapsed) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            await trio.to_thread.run_sync(time.sleep, 5)
            await trio.to_thread.run_sync(on_the_wall, 0.01)
            await anyio.to_thread.run_sync(time.sleep, 5)

    trio.run(main)
    assert elapsed() == 10


class Datagrams(asyncio.DatagramProtocol):
    """Puts what it gets in a queue."""

    def __init__(self) -> None:
        self.received = asyncio.Queue[bytes]()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.put_nowait(data)


@pytest.mark.asyncio
async def test_datagrams_arrive_in_time_and_nobody_waits_for_an_answer_to_them(
    elapsed: Elapsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loops, "SILENCE", 0.05)
    loop = asyncio.get_running_loop()
    to, protocol = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    address = to.get_extra_info("sockname")
    sends, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
    for letter in (b"a", b"b"):
        sends.sendto(letter)
        assert await asyncio.wait_for(protocol.received.get(), 0.001) == letter
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(protocol.received.get(), 30)
    sends.close()
    to.close()
    await asyncio.sleep(0)
    assert elapsed() == 60


async def begun(code: str) -> asyncio.subprocess.Process:
    """A Python program that reads from a pipe and writes to one."""
    pipe = subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=pipe, stdout=pipe)


@pytest.mark.asyncio
async def test_an_idle_process_does_not_stop_virtual_time(elapsed: Elapsed) -> None:
    echo = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    process = await begun(echo)
    assert process.stdin is not None
    assert process.stdout is not None
    for line in (b"a\n", b"b\n"):
        process.stdin.write(line)
        assert await asyncio.wait_for(process.stdout.readline(), 0.001) == line
        await asyncio.sleep(30)
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 0.001) == 0
    assert elapsed() == 60


@pytest.mark.asyncio
async def test_a_process_that_has_answered_does_not_stop_virtual_time(
    elapsed: Elapsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loops, "SILENCE", 0.05)
    echo = "import sys, time\nfor line in sys.stdin: time.sleep(0.1); print(line, end='', flush=True)"
    process = await begun(echo)
    assert process.stdin is not None
    answers = asyncio.Queue[bytes]()

    async def reads(stream: asyncio.StreamReader) -> None:
        async for line in stream:
            await answers.put(line)

    assert process.stdout is not None
    reading = asyncio.create_task(reads(process.stdout))
    for line in (b"a\n", b"b\n"):
        process.stdin.write(line)
        assert await asyncio.wait_for(answers.get(), 0.001) == line
        await asyncio.sleep(30)
    process.stdin.close()
    await asyncio.gather(reading, process.wait())
    assert elapsed() == 60


@pytest.mark.asyncio
async def test_deadlines_do_not_pass_while_a_silent_process_works(
    elapsed: Elapsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loops, "SILENCE", 0.05)
    work = "import sys, time; print(1, flush=True); time.sleep(0.3); print(2)"
    process = await begun(work)
    assert await asyncio.wait_for(process.communicate(b"begin"), 0.001) == (b"1\n2\n", None)
    assert elapsed() == 0


@pytest.mark.asyncio
async def test_a_proxy_is_not_resolved_where_a_thread_waits(elapsed: Elapsed) -> None:
    resolved: list[object] = []
    stand_in, referred = LocalProxy(lambda: resolved.append(1)), {1}
    weak = weakref.proxy(referred)
    del referred
    held = threading.Lock()
    held.acquire()

    def waits(held: threading.Lock, stand_in: object, weak: object) -> None:
        held.acquire()

    thread = threading.Thread(target=waits, args=(held, stand_in, weak))
    thread.start()
    await asyncio.sleep(5)
    assert elapsed() == 5
    held.release()
    thread.join()
    assert not resolved


@pytest.mark.asyncio
async def test_a_polling_loop_continues(elapsed: Elapsed) -> None:
    done: list[int] = []
    asyncio.get_running_loop().call_later(0.02, done.append, 1)
    while not done:
        await asyncio.sleep(0)
    assert elapsed() >= 0.02


# Responses of the fake


@pytest.mark.output(sleep="virtual", clock="auto")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.asyncio
async def test_the_jump_that_a_poll_makes_does_not_make_it_late(output_server: OutputMock, host: str) -> None:
    output_server.workflow("report").takes("6h").returns(1)
    output_server.begin_with("report", workflow_id="r")
    url = output_server.url.replace("127.0.0.1", host)
    seen: list[str] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while not seen or seen[-1] == "running":
            async with session.get(f"{url}/workflow/r/status") as answer:
                seen.append((await answer.json())["status"])
    assert seen[-1] == "completed"


async def status_by_aiohttp(url: str) -> int:
    limit = aiohttp.ClientTimeout(total=0.001)
    async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as answer:
        return answer.status


async def status_by_requests_in_a_thread(url: str) -> int:
    answer = await asyncio.wait_for(asyncio.to_thread(requests.get, url), 0.001)
    return answer.status_code


@pytest.mark.parametrize("ask", [status_by_aiohttp, status_by_requests_in_a_thread])
@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        (Channel, "__init__"),
        (Channel, "received"),
        (Workers, "add_task"),
        (Workers, "_work"),
        (Channel, "service"),
    ],
)
def test_deadlines_do_not_pass_at_any_stage_of_a_request_to_the_fake(
    output_mock: OutputMock,
    elapsed: Elapsed,
    monkeypatch: pytest.MonkeyPatch,
    kind: type,
    stage: str,
    ask: Callable[[str], Coroutine[Any, Any, int]],
) -> None:
    real, held = getattr(kind, stage), threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        on_the_wall(0.02)
        held.set()
        return real(*args, **kwargs)

    monkeypatch.setattr(kind, stage, slow)
    output_mock.workflow("report").takes("4m").returns(1)
    output_mock.begin_with("report", workflow_id="r")
    run = functools.partial(
        output_mock.app.test_client().post, "/workflow/run", json={"workflowName": "report"}
    )

    async def poll(url: str) -> None:
        # This request waits in the fake, which is no reason for time to pass for others.
        waits = asyncio.create_task(asyncio.to_thread(run))
        for _ in range(3):
            assert await ask(f"{url}/workflow/r/status") == 200
            await asyncio.sleep(30)
        await waits

    with output_mock.serve() as url:
        asyncio.run(poll(url))
    assert held.is_set()
    assert elapsed() == 240


@pytest.mark.asyncio
async def test_a_response_that_a_fault_delays_is_late(output_server: OutputMock) -> None:
    output_server.faults.add(Fault(delay="10s", route="status"))
    output_server.workflow("report").takes("4m").returns(1)
    output_server.begin_with("report", workflow_id="r")

    async def poll(seconds: float) -> int:
        url, timeout = f"{output_server.url}/workflow/r/status", aiohttp.ClientTimeout(total=seconds)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            return answer.status

    with pytest.raises(asyncio.TimeoutError):
        await poll(5)
    assert await poll(11) == 200


def test_a_request_that_waits_for_a_run_lets_time_pass_over_a_socket(output_server: OutputMock) -> None:
    output_server.workflow("report").takes("4m").returns("done")
    answer = requests.post(f"{output_server.url}/workflow/run", json={"workflowName": "report"})
    assert answer.json()["output"] == "done"


# Stuck tests


def test_work_that_stops_virtual_time_for_too_long_is_named() -> None:
    event = threading.Event()

    async def waits() -> None:
        try:
            await asyncio.wait_for(asyncio.to_thread(event.wait), 60)
        finally:
            event.set()

    loop = asyncio.new_event_loop()
    with OutputMock().virtual_time(stuck_after="200ms"):
        task = loop.create_task(waits())
        with pytest.raises(StuckError, match=r"thread 'asyncio_0', in Event\.wait"):
            loop.run_until_complete(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_a_stuck_test_fails_even_if_it_catches_the_error(suite: Suite) -> None:
    outcome = suite("""
        import os, threading, time
        import pytest

        @pytest.mark.output(sleep="virtual", stuck_after="200ms")
        def test_it(output_mock):
            reading, writing = os.pipe()
            thread = threading.Thread(target=os.read, args=(reading, 1), name="reader")
            thread.start()
            try:
                time.sleep(60)
            except RuntimeError:
                pass
            os.write(writing, b"x")
            thread.join()
            os.close(reading), os.close(writing)
    """)
    outcome.assert_outcomes(passed=1, errors=1)
    outcome.stdout.fnmatch_lines(["*virtual time was held up*thread 'reader', in read*output_stuck_after*"])


def test_a_main_thread_that_holds_up_time_is_not_left_waiting_for_a_thread_that_sleeps(suite: Suite) -> None:
    outcome = suite("""
        import os, threading, time

        import pytest

        def sends(file):
            for letter in (b"a", b"b"):
                time.sleep(60)
                os.write(file, letter)

        @pytest.mark.output(sleep="virtual", stuck_after=0.2)
        def test_it(output_mock):
            reading, writing = os.pipe()
            thread = threading.Thread(target=sends, args=(writing,))
            thread.start()
            assert os.read(reading, 1) + os.read(reading, 1) == b"ab"
            thread.join()
            os.close(reading), os.close(writing)
    """)
    outcome.assert_outcomes(passed=1, errors=1)
    outcome.stdout.fnmatch_lines(["*virtual time was held up*thread 'MainThread', in test_it *"])


@pytest.mark.output(stuck_after="200ms")
@pytest.mark.parametrize(
    "wait",
    [
        lambda: threading.Event().wait(0.01),
        lambda: queue.Queue().get(timeout=0.01),
        lambda: queue.SimpleQueue().get(timeout=0.01),
        lambda: threading.Lock().acquire(timeout=0.01) and select.select([], [], [], 0.01),
    ],
    ids=["event", "queue", "simple queue", "select"],
)
def test_a_loop_that_waits_in_real_time_reaches_its_deadline(
    wait: Callable[[], Any], output_mock: OutputMock
) -> None:
    end = time.monotonic() + 0.3
    for _ in range(50_000):
        if time.monotonic() >= end:
            return
        with suppress(queue.Empty):
            wait()
    pytest.fail("the clock never moved")


@pytest.mark.output(stuck_after="200ms")
def test_the_clock_stands_still_when_the_machine_stops(output_mock: OutputMock, elapsed: Elapsed) -> None:
    for _ in range(100):
        time.monotonic()
    for _ in range(3):
        on_the_wall(0.5)
        assert (time.monotonic(), elapsed()) == (time.monotonic(), 0)


@pytest.mark.output(stuck_after="200ms")
def test_the_clock_stands_still_for_a_loop_that_waits_for_work_of_another_thread(elapsed: Elapsed) -> None:
    done = threading.Event()

    def work() -> None:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(1)"], check=True)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(0.01):
        assert time.monotonic()
    thread.join()
    assert elapsed() == 0


# Invalid arguments, and tests that sleep in real time


@pytest.mark.parametrize(
    ("sleep", "words"),
    [
        ('"virtuel"', "*there is no module 'virtuel'; did you mean 'virtual'?"),
        ('["no_such_module"]', "*there is no module 'no_such_module'*"),
    ],
)
def test_an_invalid_sleep_argument_is_refused(suite: Suite, sleep: str, words: str) -> None:
    outcome = suite(f"""
        import pytest

        @pytest.mark.output(sleep={sleep})
        def test_it(output_mock):
            pass
    """)
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines([words])


def test_an_invalid_output_sleep_in_the_ini_file_stops_the_session(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\noutput_sleep = virtuel")
    pytester.makepyfile("def test_it(output_mock): pass")
    outcome = pytester.runpytest()
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*output_sleep*did you mean 'virtual'*"])


def test_a_test_that_slept_in_real_time_learns_how_to_avoid_it(suite: Suite) -> None:
    outcome = suite("""
        import asyncio, time

        def test_waits(output_mock):
            time.sleep(0.7)
            asyncio.run(asyncio.sleep(0.4))

        def test_does_not(output_mock):
            time.sleep(0.01)
    """)
    outcome.assert_outcomes(passed=2)
    outcome.stdout.fnmatch_lines(["*::test_waits: *slept for 1.* s in real time*output_sleep = virtual*"])
    outcome.stdout.no_fnmatch_line("*::test_does_not: *")


@pytest.mark.parametrize("options", [[], ["--tb=no"], ["--show-capture=no"]], ids=str)
def test_a_failed_test_that_slept_in_real_time_says_so_once(suite: Suite, options: list[str]) -> None:
    outcome = suite(
        """
        import time

        def test_waits(output_mock):
            time.sleep(1.1)
            assert False
        """,
        *options,
    )
    outcome.assert_outcomes(failed=1)
    assert outcome.stdout.str().count("s in real time: ") == 1


# Threads of pytest-xdist


READS = """
def read(fd, ready):
    ready.set()
    return os.read(fd, 1)
"""


@pytest.mark.parametrize(("module", "is_seen"), [("execnet.gateway_base", False), ("somebodys.code", True)])
def test_threads_of_xdist_do_not_stop_virtual_time(module: str, is_seen: bool) -> None:
    """The thread may have been working for xdist when the test began, and only waits since then."""
    threads = Threads(10.0)
    read_end, write_end = os.pipe()
    names: dict[str, Any] = {"__name__": module, "os": os}
    exec(READS, names)
    ready = threading.Event()
    thread = threading.Thread(target=names["read"], args=(read_end, ready), name="hears")
    thread.start()
    try:
        ready.wait(60)
        found = [one.words for one in threads.look(set()).under_way if "'hears'" in one.words]
    finally:
        os.write(write_end, b"x")
        thread.join()
        os.close(read_end)
        os.close(write_end)
    assert bool(found) == is_seen, found
