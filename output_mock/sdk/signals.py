"""The signals of a run, as both engines deliver them to its script."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from output_mock.durations import format_duration
from output_mock.sdk.context import Handler, SignalTimeout


class Signals:
    """The unread signals, what waits for signals, and their handlers."""

    __slots__ = ("_unread", "_waits", "handlers")

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self._unread: dict[str, list[Any]] = {}
        self._waits: dict[str, list[asyncio.Future[Any]]] = {}

    def deliver(self, name: str, payload: Any) -> Handler | None:
        """Give a signal to what waits for it, or keep it. Returns the handler, if one must be called."""
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
        """Keep a signal until it is read."""
        self._unread.setdefault(name, []).append(payload)

    def handle(self, name: str, handler: Handler) -> Sequence[Any]:
        """Set the handler of these signals. Returns the earlier signals for which to call it at once."""
        self.handlers[name] = handler
        return self._unread.pop(name, ())

    def kept(self, name: str) -> list[Any]:
        """The unread payloads, the oldest first. Remove the ones that you read from the list."""
        return self._unread.get(name, [])

    def wait(self, name: str, future: asyncio.Future[Any]) -> None:
        """Resolve a future with the next signal of this name."""
        self._waits.setdefault(name, []).append(future)

    def awaited(self) -> Iterator[tuple[str, asyncio.Future[Any]]]:
        """The names of awaited signals, and their futures."""
        for name, waits in self._waits.items():
            for future in waits:
                if not future.done():
                    yield name, future

    def unread(self) -> list[str]:
        """The names of unread signals."""
        return [name for name, payloads in self._unread.items() if payloads]


def timed_out(name: str, timeout: int | None) -> SignalTimeout:
    """The error for a signal that has not come in time."""
    return SignalTimeout(f"no signal {name!r} within {format_duration(timeout or 0)}")


def set_first(future: asyncio.Future[Any], payload: Any) -> None:
    """The handler for a wait for one signal; later ones are ignored."""
    if not future.done():
        future.set_result(payload)


def check_predicate(predicate: Callable[[], bool]) -> None:
    """Raise `TypeError` for a predicate that `ctx.condition` cannot call."""
    if inspect.iscoroutinefunction(predicate):
        raise TypeError("ctx.condition takes a plain function, not a coroutine function, which cannot wait")
