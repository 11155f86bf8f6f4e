"""How long `output-mock serve` takes to end after SIGTERM under several loads.

    python tests/benchmarks/bench_sigterm.py [--runs 200000] [--streams 1000] [--rounds 3]

Prints a table. A second is the target; nothing fails for missing it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

SCRIPT = """
import asyncio, os, re
from output_mock import Script

script = Script()
script.workflow("leaf").returns(1)
script.workflow("checked", input_schema={"type": "string", "pattern": "^(a|a)*$"}).returns(1)
reading, _ = os.pipe()


@script.workflow("many")
async def many(ctx, input):
    await asyncio.gather(*(ctx.child("leaf") for _ in range(input)))


@script.workflow("waits")
async def waits(ctx, input):
    await ctx.wait_for_signal("go")


@script.workflow("spins")
async def spins(ctx, input):
    while True:
        pass


@script.workflow("catches")
async def catches(ctx, input):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass


@script.workflow("blocks")
async def blocks(ctx, input):
    os.read(reading, 1)


@script.workflow("matches")
async def matches(ctx, input):
    re.match(r"(a|a)*$", "a" * 60 + "!")
"""
# How many children one workflow may have at once.
_CHILDREN = 1_900


class Server:
    """A server in a separate process."""

    def __init__(self, folder: Path, runs: int) -> None:
        (folder / "script.py").write_text(SCRIPT)
        command = [
            *(sys.executable, "-c", "from output_mock.cli import main; main()", "serve", "script.py"),
            *("--port", "0", "--script-limit", "1h", "--keep-runs", str(2 * runs + 1000)),
        ]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        found = re.search(r"http://[\d.]+:(\d+)", self.process.stdout.readline())
        assert found is not None
        self.port = int(found[1])

    def run(self, workflow: str, input: Any = None, world: str = "default") -> int:
        """`POST /workflow/run`; returns the status."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)) as connection:
            body = json.dumps({"workflowName": workflow, "input": input})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"/w/{world}/workflow/run", body, headers)
            return connection.getresponse().status

    def run_for_ever(self, workflow: str, input: Any = None) -> None:
        """Let a thread wait for a run that does not end, in a new world."""

        def run() -> None:
            with suppress(OSError, http.client.HTTPException):
                self.run(workflow, input, world=workflow)

        threading.Thread(target=run, daemon=True).start()

    def stop(self) -> tuple[float, int]:
        """Seconds from SIGTERM to the end, and the exit status."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(120)
        return time.monotonic() - began, status


def with_runs(server: Server, runs: int) -> None:
    while runs > 0:
        assert server.run("many", min(runs, _CHILDREN)) == 200
        runs -= _CHILDREN + 1


def with_streams(server: Server, number: int, stack: ExitStack) -> None:
    body = json.dumps({"workflowName": "waits", "workflowId": "w"}).encode()
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("POST", "/workflow/start", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
    for _ in range(number):
        one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
        one.sendall(b"GET /workflow/w/history/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert one.recv(65536).startswith(b"HTTP/1.1 200")


Prepare = Callable[[Server, ExitStack], None]


def cases(runs: int, streams: int) -> dict[str, Prepare]:
    """The loads of the server when it receives SIGTERM."""
    pattern = "a" * 60 + "!"
    one: dict[str, Prepare] = {
        "nothing": lambda server, stack: None,
        f"{runs:,} closed runs": lambda server, stack: with_runs(server, runs),
        f"{streams:,} open streams": lambda server, stack: with_streams(server, streams, stack),
        "a script that spins": lambda server, stack: server.run_for_ever("spins"),
        "one that catches everything": lambda server, stack: server.run_for_ever("catches"),
        "a script in os.read of a pipe": lambda server, stack: server.run_for_ever("blocks"),
        "a pattern of a schema": lambda server, stack: server.run_for_ever("checked", pattern),
        "a script's re without end": lambda server, stack: server.run_for_ever("matches"),
    }

    def everything(server: Server, stack: ExitStack) -> None:
        for prepare in one.values():
            prepare(server, stack)

    return {**one, "all of them at once": everything}


def measured(prepare: Prepare, runs: int) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = Server(Path(folder), runs)
        try:
            prepare(server, stack)
            time.sleep(1)
            return server.stop()
        finally:
            server.process.kill()
            server.process.wait()
            assert server.process.stdout is not None
            server.process.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200_000)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000), hard))
    print(f"{'SIGTERM to exit, with':34} {'seconds':>24}  exit status")
    for name, prepare in cases(options.runs, options.streams).items():
        found = [measured(prepare, options.runs) for _ in range(options.rounds)]
        seconds = " ".join(f"{one:7.2f}" for one, _ in found)
        print(f"{name:34} {seconds:>24}  {', '.join(str(status) for _, status in found)}", flush=True)


if __name__ == "__main__":
    main()
