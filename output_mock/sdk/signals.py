"""The signals of a run, as both engines deliver them to its script."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from output_mock.durations import format_duration
from output_mock.sdk.context import Handler, SignalTimeout


class Signals:
    """What has come and nobody has read, who waits for a signal, and who handles it."""

    __slots__ = ("_unread", "_waits", "handlers")

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self._unread: dict[str, list[Any]] = {}
        self._waits: dict[str, list[asyncio.Future[Any]]] = {}

    def deliver(self, name: str, payload: Any) -> Handler | None:
        """Give a signal to whoever waits for it, or keep it. Returns the handler, if one has to be called."""
        handler = self.handlers.get(name)
        if handler is not None:
            return handler
        waits = self._waits.get(name)
        while waits:
            future = waits.pop(0)
            if not future.done():
                future.set_result(payload)
                return None
        self.keep(name, payload)
        return None

    def keep(self, name: str, payload: Any) -> None:
        """Keep a signal until somebody reads it."""
        self._unread.setdefault(name, []).append(payload)

    def handle(self, name: str, handler: Handler) -> Sequence[Any]:
        """From now on a handler takes these signals. Returns those that it has to be called for at once."""
        self.handlers[name] = handler
        return self._unread.pop(name, ())

    def kept(self, name: str) -> list[Any]:
        """The payloads that nobody has read, the oldest first. Who takes one takes it out of the list."""
        return self._unread.get(name, [])

    def wait(self, name: str, future: asyncio.Future[Any]) -> None:
        """Have a future resolved with the next signal of this name."""
        self._waits.setdefault(name, []).append(future)

    def awaited(self) -> Iterator[tuple[str, asyncio.Future[Any]]]:
        """The names of signals that somebody waits for, and what they wait with."""
        for name, waits in self._waits.items():
            for future in waits:
                if not future.done():
                    yield name, future

    def unread(self) -> list[str]:
        """The names of signals that have come and that nobody has read."""
        return [name for name, payloads in self._unread.items() if payloads]


def timed_out(name: str, timeout: int | None) -> SignalTimeout:
    """That no such signal has come in time."""
    return SignalTimeout(f"no signal {name!r} within {format_duration(timeout or 0)}")


def set_first(future: asyncio.Future[Any], payload: Any) -> None:
    """The handler of who waits for one signal only; all that come later are ignored."""
    if not future.done():
        future.set_result(payload)


def check_predicate(predicate: Callable[[], bool]) -> None:
    """Raise `TypeError` for what `ctx.condition` cannot ask."""
    if inspect.iscoroutinefunction(predicate):
        raise TypeError("ctx.condition takes a plain function, not a coroutine function, which cannot wait")
