"""The process that `bench_soak.py` soaks: fakes that follow each other on one server while things go wrong.

Prints the URL. `POST /next` puts a fresh fake in the place of the last one, `POST /calm` lets nothing go
wrong any more. Takes the seed of what goes wrong.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from output_mock import Context, OutputMock, Script
from output_mock.server import Server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


# One of so many calls has something go wrong with a later one.
SELDOM = 25
script = Script()


@script.workflow("sum")
async def add(ctx: Context, given: Any) -> Any:
    return {"total": await ctx.step("add", given, returns=lambda given: given["a"] + given["b"])}


@script.workflow("gather")
async def gather(ctx: Context, given: Any) -> Any:
    """Takes what signals bring, until one of them is the last."""
    taken: list[Any] = []
    ctx.on_query("taken", lambda payload: taken)
    await ctx.step("draft", given, returns="text")
    while not taken or not taken[-1].get("last"):
        taken.append(await ctx.wait_for_signal("item"))
    return {"taken": taken}


class Soaked:
    """One fake after another, and what goes wrong with them."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.calm = False
        self.mock = self._fresh()

    def _fresh(self) -> OutputMock:
        return OutputMock(scripts=[script], seed=self._chance.randrange(10**6))

    def next(self) -> None:
        self.mock.close()
        self.mock = self._fresh()
        self.calm = False

    def let_go(self) -> None:
        """Whoever waits stops waiting."""
        self.mock.world.let_go()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in ("/next", "/calm"):
            if path == "/next":
                self.next()
            else:
                self.calm = True
                self.mock.app.faults.clear()
            start_response("200 OK", [("Content-Length", "2")])
            return [b"OK"]
        if not self.calm:
            with self._lock:
                self._make_trouble()
        return self.mock.app(environ, start_response)

    def _make_trouble(self) -> None:
        chance, mock = self._chance, self.mock
        if chance.randrange(SELDOM):
            return
        kind = chance.randrange(4)
        if kind == 0:
            mock.fail_next(chance.choice([500, 503]), headers={"Retry-After": "1"})
        elif kind == 1:
            mock.drop_next(lose="request")
        elif kind == 2:
            mock.drop_next(lose="answer")
        else:
            mock.cut_next_stream(chance.randrange(1, 12))


if __name__ == "__main__":
    server = Server(Soaked(int(sys.argv[1])))
    print(server.url, flush=True)
    server.run()
