"""Scripts that block are interrupted, and no others."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from output_mock import Context, OutputMock
from output_mock.durations import MILLISECOND
from output_mock.engine.watchdog import ScriptBlockedError, Watchdog
from tests.client import HANG_GUARD
from tests.conftest import eventually, no_hang

HERE = Path(__file__)


def place(mark: str) -> str:
    """The line of `# <mark>` in this file."""
    lines = HERE.read_text().splitlines()
    return f"{HERE}, line {next(i for i, line in enumerate(lines, 1) if line.endswith(f'# <{mark}>'))}"


# --- what is broken off ----------------------------------------------------------------------------------


async def computes(ctx: Context, input: Any) -> None:
    [None for _ in itertools.repeat(None) if False]  # <computes>


async def awaits_what_is_there(ctx: Context, input: Any) -> None:
    while True:
        await asyncio.sleep(0)


async def catches_every_error(ctx: Context, input: Any) -> None:
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


async def catches_every_error_at_every_level(ctx: Context, input: Any) -> None:
    def work() -> None:
        while True:
            try:
                while True:
                    pass
            except BaseException as error:
                kept.append(error)

    kept: list[BaseException] = []
    while True:
        try:
            while True:
                with contextlib.suppress(BaseException):
                    work()
        except BaseException:
            pass


async def reads_a_socket(ctx: Context, input: Any) -> None:
    one, other = socket.socketpair()
    with one, other:
        one.recv(1)  # <reads_a_socket>


async def waits_whatever_comes(ctx: Context, input: Any) -> None:
    lock = threading.Lock()
    lock.acquire()
    while True:
        with contextlib.suppress(BaseException):
            lock.acquire()


async def reads_a_pipe(ctx: Context, input: Any) -> None:
    reading, writing = os.pipe()
    try:
        os.read(reading, 1)  # <reads_a_pipe>
    finally:
        os.close(reading)
        os.close(writing)


async def waits_for_a_lock(ctx: Context, input: Any) -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()  # <waits_for_a_lock>


async def waits_again_and_again(ctx: Context, input: Any) -> None:
    while True:
        threading.Event().wait(0.01)


@pytest.mark.parametrize(
    "script",
    [
        computes,
        # It may be interrupted when it has made a coroutine and does not await it yet.
        pytest.param(
            awaits_what_is_there,
            marks=pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited:RuntimeWarning"),
        ),
        catches_every_error,
        catches_every_error_at_every_level,
        reads_a_socket,
        waits_whatever_comes,
        reads_a_pipe,
        waits_for_a_lock,
        waits_again_and_again,
    ],
)
def test_a_script_that_blocks_its_thread_is_interrupted(
    script: Callable[[Context, Any], Coroutine[Any, Any, None]],
) -> None:
    with contextlib.closing(OutputMock(script_limit="200ms")) as mock:
        mock.workflow("stuck")(script)
        mock.workflow("fine").returns(1)
        client, traced_by = mock.app.test_client(), sys.gettrace()
        answer = client.post("/workflow/run", json={"workflowName": "stuck"})
        assert (answer.status_code, answer.json["error"]) == (500, "ScriptError")
        message = answer.json["message"]
        assert "workflow 'stuck'" in message
        assert "blocked for more than 200ms without awaiting anything" in message
        assert str(HERE) in message
        if f"# <{script.__name__}>\n" in HERE.read_text():
            assert place(script.__name__) in message
        assert sys.gettrace() is traced_by, "a debugger and coverage go on"
        answer = client.post("/workflow/run", json={"workflowName": "fine"})
        assert answer.json["output"] == 1, "the world goes on"


def test_reading_standard_input_is_refused_at_once() -> None:
    mock = OutputMock()

    @mock.workflow("asks")
    async def asks(ctx: Context, given: Any) -> Any:
        return input("name? ")

    answer = mock.app.test_client().post("/workflow/run", json={"workflowName": "asks"})
    assert "the script called input" in answer.json["message"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_opening_a_named_pipe_is_refused_and_a_file_is_not(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("text")
    mock = OutputMock()

    @mock.workflow("opens")
    async def opens(ctx: Context, name: str) -> str:
        return (tmp_path / name).read_text()

    client = mock.app.test_client()
    answer = client.post("/workflow/run", json={"workflowName": "opens", "input": "pipe"})
    assert "which is a pipe" in answer.json["message"]
    answer = client.post("/workflow/run", json={"workflowName": "opens", "input": "file"})
    assert answer.json["output"] == "text"


def test_cleanup_of_an_ended_run_is_watched() -> None:
    mock = OutputMock(script_limit="50ms")

    @mock.workflow("clings")
    async def clings(ctx: Context, input: Any) -> None:
        try:
            await ctx.wait_for_signal("go")
        finally:
            while True:
                pass

    client = mock.app.test_client()
    client.post("/workflow/start", json={"workflowName": "clings", "workflowId": "wf"})
    client.get("/workflow/wf/status")
    assert client.post("/workflow/wf/terminate", json={}).status_code == 200
    assert mock.runs["wf"].status == "terminated"


# --- what is not -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_thread", [True, False])
def test_garbage_collection_does_not_count_as_script_time(own_thread: bool) -> None:
    held = [[index] for index in range(250_000)]
    mock = OutputMock(script_limit="100ms")
    collected = []

    def collect(used: Callable[[], float]) -> None:
        # Longer than the limit in total, while no single collection is.
        while sum(collected) < 0.2:
            began = used()
            gc.collect()
            collected.append(used() - began)

    @mock.workflow("collects")
    async def collects(ctx: Context, input: Any) -> int:
        if own_thread:
            collect(time.thread_time)
        else:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(collect, time.thread_time)
        return len(held)

    answer = mock.app.test_client().post("/workflow/run", json={"workflowName": "collects"})
    assert answer.json["output"] == 250_000


STOPPED = """
import sys, time
from output_mock import OutputMock

mock = OutputMock(script_limit="300ms")

@mock.workflow("computes")
async def computes(ctx, input):
    print("computing", flush=True)
    began = time.thread_time()
    while time.thread_time() - began < 0.1:
        pass
    return "done"

client = mock.app.test_client()
for _ in range(3):
    answer = client.post("/workflow/run", json={"workflowName": "computes"})
    print(answer.json.get("output") or answer.json, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system cannot stop a process")
def test_a_script_is_not_interrupted_because_its_process_was_stopped() -> None:
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == "computing\n"
            process.send_signal(signal.SIGSTOP)
            time.sleep(1)
            process.send_signal(signal.SIGCONT)
            assert process.stdout.readline() == "done\n"


@pytest.mark.skipif(
    not hasattr(os, "SCHED_IDLE"), reason="the system has no threads that everybody else precedes"
)
def test_a_script_is_not_interrupted_because_its_thread_gets_no_core() -> None:
    core = min(os.sched_getaffinity(0))

    async def compresses(ctx: Context, input: Any) -> int:
        os.sched_setaffinity(0, {core})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        # Without the interpreter lock, so that the thread that watches is on time.
        return len(zlib.compress(bytes(2_000_000)))

    busy = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"]
    with subprocess.Popen(busy) as process, contextlib.closing(OutputMock(script_limit="200ms")) as mock:
        mock.workflow("compresses")(compresses)
        # A thread of its own, which ends with its core and its rank.
        with ThreadPoolExecutor(1) as pool:
            post = mock.app.test_client().post
            answer = pool.submit(post, "/workflow/run", json={"workflowName": "compresses"}).result()
        process.kill()
    assert answer.json.get("message") is None


def looked_at(looks: Callable[[Watchdog, Future[None]], None]) -> ScriptBlockedError | None:
    """Sample a script that waits; the future is done when the script has ended."""
    watchdog = Watchdog(1000 * MILLISECOND)
    begun, over = threading.Event(), threading.Event()

    def script() -> None:
        begun.set()
        while not over.is_set():
            over.wait(0.001)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(watchdog.run, script, strict=False)
        try:
            assert begun.wait(HANG_GUARD)
            looks(watchdog, running)
        finally:
            over.set()
        running.exception()
    return watchdog.refusal


def test_a_thread_is_not_watched_after_an_error_at_the_end_of_its_script(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watchdog = Watchdog()

    def interrupted(_: Watchdog) -> None:
        raise KeyboardInterrupt

    def script() -> None:
        watchdog.broken = True

    monkeypatch.setattr(Watchdog, "_give_back", interrupted)
    with pytest.raises(KeyboardInterrupt):
        watchdog.run(script, strict=True)
    assert watchdog.running == 0
    assert watchdog.described() is None


def test_only_timely_samples_count_for_a_waiting_script() -> None:
    def late(watchdog: Watchdog, running: Future[None]) -> None:
        for _ in range(100):
            watchdog.look(5.0, on_time=False)

    def on_time(watchdog: Watchdog, running: Future[None]) -> None:
        while not running.done():
            watchdog.look(0.25, on_time=True)

    assert looked_at(late) is None
    assert "blocked for more than 1s" in str(looked_at(on_time))


def test_impossible_cpu_time_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspended machine may count the whole night as CPU time of the thread."""
    night = iter(range(0, 10**9, 30_000))
    monkeypatch.setattr("output_mock.engine.watchdog._cpu", lambda thread_id: float(next(night)))

    def wakes_up(watchdog: Watchdog, running: Future[None]) -> None:
        for _ in range(3):
            watchdog.look(30_000, on_time=False)

    assert looked_at(wakes_up) is None


# --- the limit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["0s", 0, "soon", -1])
def test_an_impossible_limit_is_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match=r"2s|duration"):
        OutputMock(script_limit=limit)


TRACED = """
import os, sys, threading, time
from output_mock import OutputMock

sys.settrace(lambda frame, event, arg: None)
threading.settrace(lambda frame, event, arg: None)
mock = OutputMock(script_limit="100ms")
reading, writing = os.pipe()

@mock.workflow("reads")
async def reads(ctx, input):
    os.read(reading, 1)

answers = []

def ask():
    answer = mock.app.test_client().post("/workflow/run", json={"workflowName": "reads"})
    answers.append(answer.json["message"])

asking = threading.Thread(target=ask)
asking.start()
while not mock.world.watchdog.broken:
    time.sleep(0.01)
for _ in range(100):
    mock.clock.now()
    time.sleep(0.001)
os.write(writing, b"x")
asking.join()
print(answers)
"""


def test_a_blocking_script_does_not_stop_a_traced_program() -> None:
    """Under a debugger or coverage, Python 3.11 starts no function while an asynchronous error is pending."""
    done = subprocess.run(
        [sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=HANG_GUARD, check=False
    )
    assert "blocked for more than 100ms" in done.stdout, done.stderr


def test_a_script_that_begins_as_the_watchdog_ends_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("output_mock.engine.watchdog._IDLE", 0.0)
    mock = OutputMock(script_limit="100ms")
    mock.workflow("quick").returns(1)
    mock.workflow("computes")(computes)
    client = mock.app.test_client()
    for pause in (0.0, 0.01, 0.02):
        # The watchdog finds nothing to watch, and checks for the last time.
        client.post("/workflow/run", json={"workflowName": "quick"})
        time.sleep(pause)
        with no_hang():
            answer = client.post("/workflow/run", json={"workflowName": "computes"})
        assert "blocked for more than 100ms" in answer.json["message"]
    mock.close()


def test_the_watchdog_continues_after_an_internal_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look, errors = Watchdog.look, iter([OSError("no such clock"), GeneratorExit()])

    def looks(watchdog: Watchdog, passed: float, *, on_time: bool) -> None:
        error = next(errors, None)
        if error is not None:
            raise error
        look(watchdog, passed, on_time=on_time)

    monkeypatch.setattr(Watchdog, "look", looks)
    mock = OutputMock(script_limit="100ms")
    mock.workflow("computes")(computes)
    with no_hang():
        answer = mock.app.test_client().post("/workflow/run", json={"workflowName": "computes"})
    assert "blocked for more than 100ms" in answer.json["message"]
    told = [record.getMessage() for record in caplog.records if record.name == "output_mock.engine"]
    assert len(told) == 2
    assert "an error occurred while watching scripts; watching continues: OSError: no such clock" in told
    mock.close()


def test_the_watching_continues_when_the_thread_that_watches_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    # An error that nobody has told of: it is told once for each thread that watches.
    look, errors, died = Watchdog.look, iter([OSError("this one is its end")]), []

    def looks(watchdog: Watchdog, passed: float, *, on_time: bool) -> None:
        error = next(errors, None)
        if error is not None:
            raise error
        look(watchdog, passed, on_time=on_time)

    def cannot_tell(*_: object, **__: object) -> None:
        raise GeneratorExit

    monkeypatch.setattr(Watchdog, "look", looks)
    monkeypatch.setattr("output_mock.engine.watchdog._log.warning", cannot_tell)
    monkeypatch.setattr(threading, "excepthook", lambda told: died.append(told.exc_type))
    mock = OutputMock(script_limit="100ms")
    mock.workflow("computes")(computes)
    with no_hang():
        answer = mock.app.test_client().post("/workflow/run", json={"workflowName": "computes"})
    assert "blocked for more than 100ms" in answer.json["message"]
    eventually(lambda: died == [GeneratorExit])
    mock.close()


def test_the_watchdog_does_not_keep_closed_worlds_alive() -> None:
    mock = OutputMock(script_limit="20ms")
    mock.workflow("computes")(computes)
    mock.app.test_client().post("/workflow/run", json={"workflowName": "computes"})
    world = weakref.ref(mock.world)
    mock.close()
    del mock

    def gone() -> bool:
        gc.collect()
        return world() is None

    eventually(gone)
    assert any(thread.name == "output-mock-watchdog" for thread in threading.enumerate())


AT_THE_END = """
import os, sys
from output_mock import OutputMock

mock = OutputMock()
mock.workflow("quick").returns(1)
mock.app.test_client().post("/workflow/run", json={"workflowName": "quick"})

class Late:
    def __del__(self, opened=os.open, closed=os.close):
        closed(opened("/dev/null", 0))

from output_mock.engine import watchdog

watchdog.late = Late()
# A surviving reference keeps the module, whose names are then removed one by one.
sys.addaudithook(lambda event, arguments, module=watchdog: None)
"""


def test_opening_a_file_at_interpreter_shutdown_is_no_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_END], capture_output=True, text=True, timeout=HANG_GUARD, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
