"""The process that `bench_wsgi.py` measures: one application under one of the servers.

Takes the name of the server (`waitress` or `cheroot`) and the port. Servers with a command line of their own
are given `app`, or `asgi` where they cannot do with WSGI.
"""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from typing import Any

from output_mock import Context, OutputMock, Script
from output_mock.server import Server

# One more than the streams that are open at once, and what is asked beside them.
THREADS = 1100
script = Script()


@script.workflow("sum")
async def add(ctx: Context, given: Any) -> Any:
    return {"total": await ctx.step("add", given, returns=lambda given: given["a"] + given["b"])}


@script.workflow("wait")
async def wait(ctx: Context, given: Any) -> Any:
    await ctx.step("draft", given, returns="text")
    return await ctx.wait_for_signal("approve", timeout="24h")


app = OutputMock(scripts=[script]).app


def asgi() -> Any:
    """The application for an ASGI server."""
    return importlib.import_module("a2wsgi").WSGIMiddleware(app, workers=THREADS)


def waitress(port: int) -> None:
    server = Server(app, port=port)
    signal.signal(signal.SIGTERM, lambda *_: server.close())
    server.run()


def cheroot(port: int) -> None:
    found = importlib.import_module("cheroot.wsgi")
    server = found.Server(
        ("127.0.0.1", port), app, numthreads=THREADS, request_queue_size=1024, shutdown_timeout=1
    )

    def stop() -> None:
        # It would wait for streams for ever.
        app.wake_all_waiters()
        server.stop()

    stopping = threading.Thread(target=stop, daemon=True)
    signal.signal(signal.SIGTERM, lambda *_: stopping.start())
    server.safe_start()
    stopping.join()


if __name__ == "__main__":
    {"waitress": waitress, "cheroot": cheroot}[sys.argv[1]](int(sys.argv[2]))
