"""Compares candidate WSGI servers under the same application, as a Markdown table.

`pytest tests/benchmarks/bench_wsgi.py -s` measures the installed ones (`pip install cheroot gunicorn granian
uvicorn a2wsgi`), and lists the missing ones. Each runs in a separate process, with enough threads for a
thousand streams, and has one second to finish its work when it is stopped.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from output_mock.server import allow_many_connections
from tests.benchmarks.bench_server import PATIENCE, RUN_IT, Started, Streams, load, process, status_of
from tests.benchmarks.compared import THREADS

ROUNDS = 3
SECONDS = 1.5
STREAMS = (256, 1000)
APP = "tests.benchmarks.compared"


class Candidate(NamedTuple):
    """A server: the modules that it needs, and the command after `python -m`; `PORT` becomes the port."""

    name: str
    needs: list[str]
    command: str


CANDIDATES = [
    Candidate("waitress, as used here", ["waitress"], f"{APP} waitress PORT"),
    Candidate("cheroot", ["cheroot"], f"{APP} cheroot PORT"),
    Candidate(
        "gunicorn gthread",
        ["gunicorn"],
        f"gunicorn -k gthread --threads {THREADS} --worker-connections 2000 --graceful-timeout 1 "
        f"-b 127.0.0.1:PORT {APP}:app",
    ),
    Candidate(
        "granian, WSGI",
        ["granian"],
        f"granian --interface wsgi --blocking-threads {THREADS} --backpressure 2000 --workers-kill-timeout 1 "
        f"--host 127.0.0.1 --port PORT {APP}:app",
    ),
    Candidate(
        "uvicorn with a2wsgi",
        ["uvicorn", "a2wsgi"],
        "uvicorn --factory --no-access-log --timeout-graceful-shutdown 1 --host 127.0.0.1 --port PORT "
        f"{APP}:asgi",
    ),
]
HEAD = [
    "server",
    "ready after",
    "idle memory",
    "runs/s, 1 client",
    "runs/s, 8 clients",
    "status, no stream",
    *(f"{number} streams" for number in STREAMS),
    "end with 1,000 streams",
]


@contextmanager
def served(candidate: Candidate) -> Iterator[Started]:
    """The server in a separate process. Its child processes end with it."""
    with process([sys.executable, "-m", *candidate.command.split()]) as server:
        every = list(processes(server.process.pid))
        try:
            yield server
        finally:
            for one in reversed(every):
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)


def processes(parent: int) -> Iterator[int]:
    """A process and its child processes."""
    yield parent
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            yield from processes(int(path.parent.name))


def memory(server: Started) -> float:
    """Memory in megabytes. Memory that its processes share counts once."""
    kilobytes = 0
    for one in processes(server.process.pid):
        text = Path(f"/proc/{one}/smaps_rollup").read_text()
        kilobytes += int(re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE).group(1))  # type: ignore[union-attr]
    return kilobytes / 1000


def rates(candidates: list[Candidate]) -> dict[str, list[str]]:
    """For each server: start-up time, memory, and runs per second with one client and with eight.

    Measured in turns, so that what else the machine does strikes all of them.
    """
    found: dict[str, list[list[float]]] = {one.name: [] for one in candidates}
    for _ in range(ROUNDS):
        for candidate in candidates:
            with served(candidate) as server:
                time.sleep(0.5)
                idle = memory(server)
                figures = [load(server.port, RUN_IT, clients, SECONDS)[0] for clients in (1, 8)]
                found[candidate.name].append([server.seconds, idle, *figures])
    shown = {}
    for name, rows in found.items():
        ready, idle, one, eight = (statistics.median(column) for column in zip(*rows, strict=True))
        shown[name] = [f"{ready:.1f} s", f"{idle:.0f} MB", f"{one:.0f}", f"{eight:.0f}"]
    return shown


def streaming(candidate: Candidate) -> list[str]:
    """The time of a status request with that many streams, and the seconds to stop with the most of them."""
    shown = []
    with served(candidate) as server, ExitStack() as stack:
        for number in range(max(STREAMS)):
            server.ask("POST", "/workflow/start", {"workflowName": "wait", "workflowId": f"run-{number}"})
        shown.append(f"{status_of(server) * 1000:.1f} ms")
        are_open = 0
        for number in STREAMS:
            more = Streams(server, number - are_open)
            stack.callback(more.close)
            more.until(lambda received: b"event: history" in received)
            shown.append(f"{status_of(server) * 1000:.1f} ms")
            are_open = number
        begun = time.perf_counter()
        server.process.send_signal(signal.SIGTERM)
        try:
            server.process.wait(PATIENCE)
            shown.append(f"{time.perf_counter() - begun:.1f} s")
        except subprocess.TimeoutExpired:
            shown.append(f"over {PATIENCE:.0f} s")
    return shown


def test_every_server_runs_workflows_and_holds_a_thousand_streams() -> None:
    """Prints the table; a server that refuses a request or loses a stream fails."""
    allow_many_connections()
    missing = {
        one.name: [module for module in one.needs if importlib.util.find_spec(module) is None]
        for one in CANDIDATES
    }
    there = [one for one in CANDIDATES if not missing[one.name]]
    alone = rates(there)
    print("\n|", " | ".join(HEAD), "|")
    print("|---" * len(HEAD) + "|")
    for candidate in there:
        print(
            "|", " | ".join([candidate.name, *alone[candidate.name], *streaming(candidate)]), "|", flush=True
        )
    for name, modules in missing.items():
        if modules:
            print(f"\n{name} was skipped: there is no {' and no '.join(modules)} here")
