"""Fixtures that many tests share."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A pytest that runs inside of another one forgets what it has imported; these would be there twice.
import output_mock.in_process.httpx_client
import output_mock.in_process.requests_client  # noqa: F401
import pytest_output.fakes  # noqa: F401
from output_mock import OutputMock
from tests.client import HANG_GUARD, Client, connected
from tests.inner_pytest import only_plugins

# Keep what is compiled, also where the environment says otherwise: the workers, and the
# hundreds of processes that tests start, would each compile the whole package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same examples every time, on machines of any speed. `--hypothesis-profile=explore` tries new ones.
SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("explore", deadline=None, suppress_health_check=SLOW_IS_FINE, print_blob=True)
settings.register_profile("repeatable", settings.get_profile("explore"), derandomize=True, database=None)
settings.load_profile("repeatable")
# Hypothesis also tries the constants of all modules that were imported so far, which other tests decide.
with suppress(ImportError):
    from hypothesis.internal.conjecture import providers

    providers.is_local_module_file = lambda path: False


# Files whose tests share something costly, such as a Temporal or an import: one worker runs all of a file.
# Marks of xdist, such as `xdist_group`, do not reach it with pytest 9.2.
KEPT_TOGETHER = {
    "tests/agents/test_mcp.py",
    "tests/examples/test_desk.py",
    "tests/plugin/test_end_of_test.py",
    "tests/temporal/test_temporal.py",
}


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Use all cores for whole folders, unless the command line says otherwise; one process for less."""
    option = config.option
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    # Coverage has to know beforehand; give it `-n` too.
    has_cov = config.pluginmanager.hasplugin("_cov")
    if is_worker or has_cov or option.usepdb or not config.pluginmanager.hasplugin("xdist"):
        return
    folders_only = all(Path(argument).is_dir() for argument in config.args)
    if option.numprocesses is None and option.dist == "no" and not option.tx and folders_only:
        cores = config.hook.pytest_xdist_auto_num_workers(config=config)
        # Tests spend half of their time waiting for servers, other processes and the clock.
        option.numprocesses = cores + 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute tests one by one, starting with the files that must stay together."""
    if config.option.dist != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file in KEPT_TOGETHER else nodeid

    return Scheduling(config, log)


# Not from `gc.get_freeze_count`, which counts hundreds of thousands of objects one by one.
_frozen = False
_unfreeze = gc.unfreeze


def _unfreeze_and_remember() -> None:
    global _frozen
    _frozen = False
    _unfreeze()


gc.unfreeze = _unfreeze_and_remember


def pytest_collection_finish() -> None:
    """Leave out of what is excluded below what the imports of all tests have thrown away."""
    gc.collect()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Exclude long-lived objects from garbage collection: all modules, and thousands of tests.

    Virtual time must see all objects, so it ends the exclusion. What is garbage when the next test excludes
    them again waits for the end after that: to collect it each time costs 20 s in all.
    """
    global _frozen
    if not _frozen:
        gc.freeze()
        _frozen = True


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> Iterator[None]:
    """Make the programs that tests start interruptible.

    A shell starts background jobs with SIGINT ignored, and every child process inherits that.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def _without_work_that_nobody_needs() -> Iterator[None]:
    """Skip loading certificates in clients: no test needs them."""
    with pytest.MonkeyPatch.context() as patch:
        # httpx reads all authorities of the world for each client.
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", os.devnull)
        yield


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """Restore signal handlers after each test. A leftover one could end later tests or block interrupts."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    after = [signal.getsignal(number) for number in numbers]
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    assert after == before


Connect = Callable[[OutputMock], Client]


# For tests of what may differ between the two transports. Other tests use the faster one.
BOTH_TRANSPORTS = pytest.mark.parametrize("transport", ["in_process", "socket"])


@pytest.fixture
def transport() -> str:
    """How the client reaches the fake."""
    return "in_process"


@pytest.fixture
def connect(transport: str) -> Iterator[Connect]:
    """Makes clients: `connect(OutputMock(clock="manual"))`."""
    with ExitStack() as stack:
        yield lambda mock: stack.enter_context(connected(mock, transport))


@pytest.fixture
def mock() -> OutputMock:
    """A fresh fake on its `auto` clock."""
    return OutputMock(seed=7)


@pytest.fixture
def client(mock: OutputMock, connect: Connect) -> Client:
    """A client of `mock`."""
    return connect(mock)


def eventually(check: Callable[[], Any], *, seconds: float = HANG_GUARD) -> Any:
    """Wait until `check()` is true because of another thread, and return its value."""
    limit = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.002)
    return found


@contextmanager
def no_hang() -> Iterator[None]:
    """Fail a block that hangs. The limit is so long that the speed of the machine does not matter."""

    def hangs(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(int(HANG_GUARD))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def until_received(connection: socket.socket, text: bytes) -> bytes:
    """Receive on a connection up to the piece that completes `text`."""
    received = b""
    while text not in received:
        piece = connection.recv(65536)
        assert piece, f"the connection has ended after {received!r}"
        received += piece
    return received


def somebody_waits(mock: OutputMock, workflow_id: str) -> int:
    """The number of requests that wait for the next event of a run."""
    return len(mock.world.find(workflow_id).waiters or ())


@contextmanager
def in_another_thread(work: Callable[[], Any], *, limit: float = HANG_GUARD) -> Iterator[list[Any]]:
    """Run `work` in a thread during the block; afterwards the list holds its return value.

    Its exceptions are raised at the end of the block. If it has not ended `limit` seconds after that, an
    error is raised.
    """
    outcome: list[Any] = []
    problems: list[BaseException] = []

    def collect() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    try:
        yield outcome
    finally:
        thread.join(limit)
    assert not thread.is_alive(), "it still waits"
    for problem in problems:
        raise problem


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Runs inner pytests with this plugin and pytest-asyncio."""
    for name, value in only_plugins("pytest_asyncio.plugin").items():
        monkeypatch.setenv(name, value)
    return pytester


# Runs the code of a test file in an inner pytest: `suite("def test_it(…): …", "-x")`.
Suite = Callable[..., pytest.RunResult]


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    """Runs the code of a test file together with the other files of `pytester`."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error")

    def run(code: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(code)
        return pytester.runpytest("-p", "no:randomly", "-p", "no:cacheprovider", *arguments)

    return run
