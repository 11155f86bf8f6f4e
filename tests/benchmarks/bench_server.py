"""Compares `output-mock serve` with WireMock and pytest-httpserver, and loads it with a thousand streams.

`pytest tests/benchmarks/bench_server.py -s` shows the figures; see `bench_speed.py` for how to read them.
WireMock comes with npm and needs Java. `OUTPUT_MOCK_WIREMOCK` may name its jar.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from output_mock.server import allow_many_connections
from tests.benchmarks.bench_speed import RUN, show

PATIENCE = 30.0
SCRIPT = """
from output_mock import Script

script = Script()


@script.workflow("sum")
async def add(ctx, given):
    return {"total": await ctx.step("add", given, returns=lambda given: given["a"] + given["b"])}


@script.workflow("wait")
async def wait(ctx, given):
    await ctx.step("draft", given, returns="text")
    return await ctx.wait_for_signal("approve", timeout="24h")
"""
RESULT = {"v": "2", "workflowId": "a", "runId": "b", "status": "completed", "input": RUN["input"]}
CANNED = {**RESULT, "output": {"total": 3}, "trace": {"local": "trace.json"}, "error": None}
HTTPSERVER = f"""
import sys, threading
from pytest_httpserver import HTTPServer

server = HTTPServer(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
server.expect_request("/health").respond_with_data("OK")
server.expect_request("/workflow/run", method="POST", json={RUN!r}).respond_with_json({CANNED!r})
server.start()
threading.Event().wait()
"""
# What a stream ends with.
LAST = b"event: done\n"


class Started(NamedTuple):
    """A server's process: its port, and how many seconds it took to get ready."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float

    def memory(self) -> int:
        """Bytes in memory (RSS)."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            return text


def a_free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def process(command: list[str]) -> Iterator[Started]:
    """A ready server in a separate process. `PORT` in the command becomes its port."""
    port = a_free_port()
    words = [word.replace("PORT", str(port)) for word in command]
    begun = time.perf_counter()
    # Who has installed it has it compiled; a folder in which it is developed need not be.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        while not healthy(port):
            assert server.poll() is None, f"{words} has ended"
            assert time.perf_counter() - begun < PATIENCE, f"{words} does not answer"
            time.sleep(0.002)
        yield Started(server, port, time.perf_counter() - begun)
    finally:
        server.kill()
        server.wait()


def healthy(port: int) -> bool:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that serves two workflows."""
    script = tmp_path_factory.mktemp("ours") / "workflows.py"
    script.write_text(SCRIPT)
    return [sys.executable, "-m", "output_mock", "serve", str(script), "--port", "PORT"]


@pytest.fixture(scope="module")
def httpserver(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that has pytest-httpserver answer one request with constant JSON."""
    pytest.importorskip("pytest_httpserver")
    program = tmp_path_factory.mktemp("httpserver") / "serve.py"
    program.write_text(HTTPSERVER)
    return [sys.executable, str(program), "PORT"]


@pytest.fixture(scope="module")
def wiremock(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that has WireMock answer one request with constant JSON."""
    folder = tmp_path_factory.mktemp("wiremock")
    java = shutil.which("java")
    if java is None:
        pytest.skip("there is no java here, which WireMock needs")
    jar = os.environ.get("OUTPUT_MOCK_WIREMOCK") or fetched(folder)
    mappings = folder / "mappings"
    mappings.mkdir()
    json_type = {"Content-Type": "application/json; charset=utf-8"}
    stubs = [
        ({"method": "GET", "urlPath": "/health"}, {"status": 200, "body": "OK"}),
        (
            {
                "method": "POST",
                "urlPath": "/workflow/run",
                "bodyPatterns": [{"equalToJson": json.dumps(RUN)}],
            },
            {"status": 200, "headers": json_type, "jsonBody": CANNED},
        ),
    ]
    for number, (request, response) in enumerate(stubs):
        stub = {"request": request, "response": response}
        (mappings / f"{number}.json").write_text(json.dumps(stub))
    options = ["--port", "PORT", "--bind-address", "127.0.0.1", "--root-dir", str(folder)]
    return [java, "-jar", jar, *options, "--no-request-journal", "--disable-banner"]


def fetched(folder: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm here, from which WireMock comes")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), "wiremock@3"]
    done = subprocess.run(install, capture_output=True, text=True, timeout=120, check=False)
    jars = list(folder.glob("node_modules/wiremock/**/*.jar"))
    if done.returncode or not jars:
        pytest.skip(f"npm does not get WireMock: {done.stderr.strip()[-200:]}")
    return str(jars[0])


# Load


def request_of(method: str, path: str, body: Any = None) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    data = b""
    if body is not None:
        data = json.dumps(body).encode()
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


RUN_IT = request_of("POST", "/workflow/run", RUN)


class Client:
    """A connection that repeats the same request as soon as the last one was answered."""

    def __init__(self, port: int, request: bytes) -> None:
        self.port = port
        self.request = request
        self.taken: list[float] = []
        self._length = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
        self._received = b""
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self) -> None:
        self._begun = time.perf_counter()
        self.socket.sendall(self.request)

    def receive(self) -> bool:
        """Receive; returns whether the response is complete."""
        piece = self.socket.recv(65536)
        self._received += piece
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not piece:
            assert found, "the connection has ended"
            # A server that keeps no connection.
            self.socket.close()
            self.connect()
        elif not found:
            return False
        elif (length := self._length.search(head)) is None:
            if not body.endswith(b"0\r\n\r\n"):
                return False
        elif len(body) < int(length.group(1)) or b"onnection: close" in head:
            return False
        assert b" 200 " in head[:15], head
        self.taken.append(time.perf_counter() - self._begun)
        self._received = b""
        return True


def load(port: int, request: bytes, clients: int, seconds: float) -> tuple[float, float]:
    """Requests per second of that many clients that never pause, and their median duration in seconds."""
    every = [Client(port, request) for _ in range(clients)]
    with selectors.DefaultSelector() as selector:
        begun = time.perf_counter()
        for client in every:
            client.send()
            selector.register(client.socket, selectors.EVENT_READ, client)
        while time.perf_counter() - begun < seconds:
            for key, _ in selector.select(PATIENCE):
                if key.data.receive():
                    if key.data.socket is not key.fileobj:
                        selector.unregister(key.fileobj)
                        selector.register(key.data.socket, selectors.EVENT_READ, key.data)
                    key.data.send()
        lasted = time.perf_counter() - begun
    for client in every:
        client.socket.close()
    taken = [one for client in every for one in client.taken]
    return len(taken) / lasted, statistics.median(taken)


# Beside others


def test_it_is_ready_much_sooner_than_wiremock(ours: list[str], wiremock: list[str]) -> None:
    ready(ours)
    rounds = [(ready(ours), ready(wiremock)) for _ in range(5)]
    one, other = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(one / other for one, other in rounds)
    show("ready, against WireMock", ratio, 0.2, f"{one:.2f} s against {other:.2f} s")


def ready(command: list[str]) -> float:
    with process(command) as server:
        return server.seconds


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="memory cannot be seen here")
def test_it_takes_much_less_memory_than_wiremock(ours: list[str], wiremock: list[str]) -> None:
    with process(ours) as one, process(wiremock) as other:
        time.sleep(1)
        mine, its = one.memory(), other.memory()
    show("idle memory, against WireMock", mine / its, 0.5, f"{mine / 1e6:.0f} MB against {its / 1e6:.0f} MB")


def test_running_a_workflow_is_as_fast_as_a_stub_of_wiremock(ours: list[str], wiremock: list[str]) -> None:
    with process(ours) as one, process(wiremock) as other:
        show("the first runs, one client", *against(one, other, clients=1, seconds=0.7, rounds=1))
        # Java is slow until it has compiled what is used.
        load(other.port, RUN_IT, 8, 4)
        # The target is 1 here too, and one Python process has not reached it.
        print_only("runs, one client", *against(one, other, clients=1))
        print_only("runs, eight clients", *against(one, other, clients=8))


def test_running_a_workflow_is_faster_than_a_stub_of_pytest_httpserver(
    ours: list[str], httpserver: list[str]
) -> None:
    with process(ours) as one, process(httpserver) as other:
        show("runs, one client, against pytest-httpserver", *against(one, other, clients=1, rounds=3))
        show("runs, eight clients, against pytest-httpserver", *against(one, other, clients=8, rounds=3))


def against(
    one: Started, other: Started, *, clients: int, seconds: float = 1.0, rounds: int = 5
) -> tuple[float, float, str]:
    """The ratio between the times of a run on two servers, measured alternately."""
    pairs = [
        (load(one.port, RUN_IT, clients, seconds), load(other.port, RUN_IT, clients, seconds))
        for _ in range(rounds)
    ]
    mine = statistics.median(pair[0][0] for pair in pairs)
    its = statistics.median(pair[1][0] for pair in pairs)
    ratio = statistics.median(pair[0][1] / pair[1][1] for pair in pairs)
    return ratio, 1.0, f"{mine:.0f} a second against {its:.0f}"


def print_only(name: str, ratio: float, _: float, details: str) -> None:
    """Print a ratio that has no target."""
    print(f"\n{name}: {ratio:.2f} ({details})")


# Streams


class Streams:
    """Open streams, one for each run, and the data received on them."""

    def __init__(self, server: Started, number: int) -> None:
        self.received = [b""] * number
        self._selector = selectors.DefaultSelector()
        self._open = ExitStack()
        self._open.callback(self._selector.close)
        for one in range(number):
            opened = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
            self._open.callback(opened.close)
            opened.sendall(request_of("GET", f"/workflow/run-{one}/history/stream"))
            self._selector.register(opened, selectors.EVENT_READ, one)

    def until(self, seen: Callable[[bytes], bool]) -> None:
        """Receive until the condition holds for each stream."""
        missing = {one for one, received in enumerate(self.received) if not seen(received)}
        begun = time.perf_counter()
        while missing:
            assert time.perf_counter() - begun < PATIENCE, f"{len(missing)} streams have not got all"
            for key, _ in self._selector.select(1):
                piece = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not piece:
                    self._selector.unregister(key.fileobj)
                self.received[key.data] += piece
                if seen(self.received[key.data]):
                    missing.discard(key.data)

    def close(self) -> None:
        self._open.close()


def status_of(server: Started) -> float:
    """The median seconds of a status request."""
    taken = []
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as connection:
        for _ in range(300):
            begun = time.perf_counter()
            connection.request("GET", "/workflow/run-0/status")
            connection.getresponse().read()
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


@pytest.mark.parametrize("number", [256, 1000])
def test_open_streams_leave_the_rest_as_it_is_and_get_every_event(ours: list[str], number: int) -> None:
    allow_many_connections()
    with process(ours) as server:
        for one in range(number):
            server.ask("POST", "/workflow/start", {"workflowName": "wait", "workflowId": f"run-{one}"})
        unloaded = status_of(server)
        with closing(Streams(server, number)) as streams:
            streams.until(lambda received: b"event: history" in received)
            loaded = status_of(server)
            show(f"status, {number} streams open", loaded / unloaded, 5, "against none")
            for one in range(number):
                server.ask("POST", f"/workflow/run-{one}/signal/approve", {"payload": {"number": one}})
            streams.until(lambda received: LAST in received)
        for one, received in enumerate(streams.received):
            page = json.loads(server.ask("GET", f"/workflow/run-{one}/history?pageSize=50"))
            wanted = [int(event["eventId"]) for event in page["events"]]
            assert streamed(received) == wanted == list(range(1, len(wanted) + 1))


def streamed(received: bytes) -> list[int]:
    """The ids of the events received on a stream, in order."""
    frames = re.findall(rb"event: history\ndata: (.*)\n", received)
    return [int(event["eventId"]) for frame in frames for event in json.loads(frame)]


def test_a_server_with_a_thousand_streams_stops_at_once(ours: list[str]) -> None:
    allow_many_connections()
    number = 1000
    with process(ours) as server:
        for one in range(number):
            server.ask("POST", "/workflow/start", {"workflowName": "wait", "workflowId": f"run-{one}"})
        with closing(Streams(server, number)) as streams:
            streams.until(lambda received: b"event: history" in received)
            begun = time.perf_counter()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(PATIENCE) == 0
            took = time.perf_counter() - begun
    # A second on a machine where it is ready in a third of one.
    show("the end with 1000 streams, against being ready", took / server.seconds, 3, f"{took:.2f} s")
