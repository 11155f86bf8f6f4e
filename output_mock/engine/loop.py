"""The asyncio event loop that a script runs on: deterministic, one for each run, driven by hand.

It has no selector and no thread. `run_until_idle` runs what is ready and returns; time comes from the
world's clock, and a timer is a command of the workflow, as in Temporal's own Python SDK. What would
leave the world (a socket, a subprocess, a thread pool) raises and says so.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import events, tasks
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, Protocol, TypeVar, cast

T = TypeVar("T")
Outer = tuple[asyncio.AbstractEventLoop | None, "asyncio.Task[Any] | None"]


class TimerHost(Protocol):
    """Who turns the loop's timers into timers of the workflow."""

    def now(self) -> int: ...
    def start_timer(self, delay: int, fire: Callable[[], None], *, guard: bool) -> Callable[[], None]: ...


class ForeignAwaitError(RuntimeError, AttributeError):
    """A script reached for something outside of its deterministic loop."""


class Handle:
    """A callback that is to run; the part of `asyncio.Handle` that tasks and scripts use."""

    __slots__ = ("args", "callback", "context", "stop_timer", "when_")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context
        self.stop_timer: Callable[[], None] | None = None
        self.when_ = 0.0

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback = None
            self.args = ()
            if self.stop_timer is not None:
                self.stop_timer()
                self.stop_timer = None

    def cancelled(self) -> bool:
        return self.callback is None

    def when(self) -> float:
        return self.when_


# How asyncio itself names the callbacks of its timeouts, across versions 3.10 to 3.14. They guard
# a wait, where every other timer is a piece of work.
_TIMEOUT_CALLBACKS = frozenset({"_on_timeout", "_release_waiter"})


class ScriptLoop:
    """An event loop for one run's script: what tasks and futures need of a loop, and nothing else."""

    __slots__ = ("_host", "_live", "_ready", "closing")

    def __init__(self, host: TimerHost) -> None:
        self._host = host
        self._ready: list[Handle] = []
        self._live: list[asyncio.Task[Any]] = []
        self.closing = False

    def as_loop(self) -> asyncio.AbstractEventLoop:
        """This loop, as asyncio's annotations want it."""
        return cast(asyncio.AbstractEventLoop, self)

    # What tasks, futures and scripts ask of a loop

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, context)
        if not self.closing:
            self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle:
        handle = Handle(callback, args, context)
        if delay <= 0:
            self._ready.append(handle)
            return handle
        length = round(delay * 1_000_000_000)
        guard = getattr(callback, "__name__", "") in _TIMEOUT_CALLBACKS
        handle.when_ = self.time() + delay
        handle.stop_timer = self._host.start_timer(length, lambda: self._fire(handle), guard=guard)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle:
        return self.call_later(when - self.time(), callback, *args, context=context)

    def _fire(self, handle: Handle) -> None:
        handle.stop_timer = None
        if handle.callback is not None:
            self._ready.append(handle)

    def time(self) -> float:
        return self._host.now() / 1_000_000_000

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self.as_loop())

    def create_task(self, coro: Coroutine[Any, Any, T] | Awaitable[T], **kwargs: Any) -> asyncio.Task[T]:
        if not asyncio.iscoroutine(coro):
            coro = _wait_for(coro)
        if kwargs.get("context", ...) is None:
            del kwargs["context"]
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self.as_loop(), **kwargs)
        # The script may be closed while the task is pending, and its author did nothing wrong.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        if len(self._live) > 64:
            self._live = [other for other in self._live if not other.done()]
        self._live.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return asyncio._get_running_loop() is self.as_loop()

    def is_closed(self) -> bool:
        return self.closing

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An exception that nobody retrieved: the task that raised it was not awaited either."""

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """See `call_exception_handler`."""

    # What drives it

    def run_until_idle(self) -> None:
        """Run callbacks until none is ready. Call it between `enter` and `leave`."""
        ready = self._ready
        while ready:
            self._ready = []
            for handle in ready:
                callback = handle.callback
                if callback is not None:
                    if handle.context is None:
                        callback(*handle.args)
                    else:
                        handle.context.run(callback, *handle.args)
            ready = self._ready

    def enter(self) -> Outer:
        """Make this the running loop of the thread, also inside of another loop's task.

        A test that is itself a coroutine may call the fake in process. Returns what `leave` takes.
        """
        outer = asyncio._get_running_loop()
        task = None
        if outer is not None:
            task = asyncio.current_task(outer)
            if task is not None:
                tasks._leave_task(outer, task)
        events._set_running_loop(self.as_loop())
        return outer, task

    def leave(self, outer: Outer) -> None:
        """Put back the loop that was running before `enter`."""
        loop, task = outer
        events._set_running_loop(loop)
        if loop is not None and task is not None:
            tasks._enter_task(loop, task)

    def close(self) -> None:
        """End every task that is still there, without letting it do anything more."""
        self.closing = True
        self._ready = []
        live, self._live = self._live, []
        for task in live:
            if not task.done():
                outer = self.enter()
                try:
                    task.get_coro().close()
                except BaseException:
                    # Whatever a script does on its way out has no consequence any more.
                    pass
                finally:
                    self.leave(outer)

    def __getattr__(self, name: str) -> NoReturn:
        """Whatever else a loop can do leaves the world: sockets, threads, subprocesses, signals."""
        raise ForeignAwaitError(
            f"a script cannot use {name} of an event loop: it runs on the fake's own, where only ctx.step, "
            "ctx.child, ctx.wait_for_signal, ctx.condition, sleeps and asyncio's own primitives can be "
            "awaited. Give the value to ctx.step(…, returns=…) instead"
        )


async def _wait_for(awaitable: Awaitable[T]) -> T:
    return await awaitable
