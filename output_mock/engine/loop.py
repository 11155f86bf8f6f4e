"""The asyncio event loop that a script runs on: deterministic, one for each run, driven by hand.

It has no selector and no thread. `run_until_idle` runs what is ready and returns; time comes from the
world's clock, and a timer is a command of the workflow, as in Temporal's own Python SDK. What would
leave the world (a socket, a subprocess, a thread pool) raises and says so.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from asyncio import events, tasks
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, Protocol, TypeVar

from output_mock.engine.watchdog import refuse

T = TypeVar("T")
# How many tasks of one script may be under way at a time.
MOST_TASKS = 100_000
Outer = tuple[asyncio.AbstractEventLoop, "asyncio.Task[Any] | None"]
_get_running_loop: Callable[[], Any] = events._get_running_loop
_set_running_loop: Callable[[Any], None] = events._set_running_loop


class TimerHost(Protocol):
    """Turns the loop's timers into timers of the workflow, and gets errors of tasks that are
    never awaited.
    """

    def now(self) -> int: ...
    def start_timer(
        self, delay: int, fire: Callable[[], None], *, is_timeout: bool
    ) -> Callable[[], None]: ...
    def lost(self, error: BaseException) -> None: ...


class ForeignAwaitError(RuntimeError, AttributeError):
    """A script used something outside its deterministic loop."""


class Handle:
    """A queued callback: the part of `asyncio.Handle` that tasks and scripts use."""

    __slots__ = ("args", "callback", "context")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args: tuple[Any, ...] = args
        self.context: contextvars.Context | None = context

    def cancel(self) -> None:
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        return self.callback is None


class TimerHandle(Handle):
    """A callback that is due at a time. Its timer is one of the workflow's."""

    __slots__ = ("_when", "stop_timer")

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        super().__init__(callback, args, context)
        self._when = when
        self.stop_timer: Callable[[], None] | None = None

    def cancel(self) -> None:
        if self.callback is not None and self.stop_timer is not None:
            self.stop_timer()
            self.stop_timer = None
        super().cancel()

    def when(self) -> float:
        return self._when


# The names of asyncio's own callbacks for timeouts, in Python 3.10 to 3.14. They guard a wait, while all
# other timers are work.
_TIMEOUT_CALLBACKS = frozenset({"_on_timeout", "_release_waiter"})


class ScriptLoop:
    """An event loop for a run's script, with only what tasks and futures need of a loop."""

    __slots__ = ("_failed", "_live", "_ready", "_turn", "closing", "host")

    def __init__(self, host: TimerHost) -> None:
        self.host: TimerHost | None = host
        self._ready: list[Handle] = []
        # The callbacks of the current turn.
        self._turn: list[Handle] = []
        # In the order in which they began.
        self._live: dict[asyncio.Task[Any], None] = {}
        # Failed tasks, as long as they are referenced, so that their error may still be read.
        self._failed: list[weakref.ref[asyncio.Task[Any]]] = []
        self.closing: bool = False

    # What tasks, futures and scripts need of a loop

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
        if delay <= 0:
            return self.call_soon(callback, *args, context=context)
        handle = TimerHandle(self.time() + delay, callback, args, context)
        is_timeout = getattr(callback, "__name__", "") in _TIMEOUT_CALLBACKS
        length = round(delay * 1_000_000_000)
        assert self.host is not None
        handle.stop_timer = self.host.start_timer(length, lambda: self._fire(handle), is_timeout=is_timeout)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Handle:
        return self.call_later(when - self.time(), callback, *args, context=context)

    def _fire(self, handle: TimerHandle) -> None:
        handle.stop_timer = None
        if handle.callback is not None:
            self._ready.append(handle)

    def time(self) -> float:
        assert self.host is not None
        return self.host.now() / 1_000_000_000

    def create_future(self: Any) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def begin(self: Any, script: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """The task of the script itself."""
        task: asyncio.Task[T] = asyncio.Task(script, loop=self, name="script")
        self._keep(task)
        return task

    def _keep(self, task: asyncio.Task[Any]) -> None:
        """Keep a task until it ends. Others that hold it may still read its error then."""
        # The script may be closed while the task is pending, which is not the author's mistake.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._live[task] = None
        task.add_done_callback(self._let_go)

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._live.pop(task, None)
        if _is_unheard(task):
            self._failed.append(weakref.ref(task))

    def tell_unheard(self) -> None:
        """Tell the host of errors that the script has not awaited, as it will not run any further."""
        failed, self._failed = self._failed, []
        for reference in failed:
            task = reference()
            if task is not None and self.host is not None and _is_unheard(task):
                error = task.exception()
                assert error is not None
                self.host.lost(error)

    def create_task(
        self: Any, coro: Coroutine[Any, Any, T] | Awaitable[T], *, context: Any = None, **kwargs: Any
    ) -> asyncio.Task[T]:
        if not asyncio.iscoroutine(coro):
            coro = _wait_for(coro)
        if len(self._live) >= MOST_TASKS:
            coro.close()
            # The run fails because of it, so nothing else needs to run.
            self._ready = []
            self._turn.clear()
            refuse(
                f"has {MOST_TASKS:,} open tasks, and starts another one; do its tasks start tasks without "
                "end? Await some of them first"
            )
        if context is not None:
            kwargs["context"] = context
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, **kwargs)
        self._keep(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return _get_running_loop() is self

    def is_closed(self) -> bool:
        return self.closing

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report the error of a task that was never awaited, and cannot be any more."""
        error = context.get("exception")
        if error is not None and self.host is not None:
            self.host.lost(error)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """See `call_exception_handler`."""

    # What drives it

    def run_until_idle(self) -> None:
        """Run callbacks until none is ready. Call it between `enter` and `leave`."""
        handle: Handle | None
        callback: Callable[..., object] | None
        ready = self._ready
        while ready:
            self._ready = []
            self._turn = ready
            for handle in ready:
                callback = handle.callback
                if callback is not None:
                    if handle.context is None:
                        callback(*handle.args)
                    else:
                        handle.context.run(callback, *handle.args)
            ready = self._ready
        # Drop the references, as otherwise a failed task would stay, and its error would not be reported.
        # From Python 3.12 on, the error itself keeps this frame, with its variables.
        self._turn = ready
        handle = callback = None

    def enter(self) -> Outer | None:
        """Make this the running loop of the thread, even inside another loop's task.

        A test that is itself a coroutine may call the fake in process. Returns what `leave` takes.
        """
        outer = _get_running_loop()
        if outer is None:
            _set_running_loop(self)
            return None
        task = asyncio.current_task(outer)
        if task is not None:
            tasks._leave_task(outer, task)
        _set_running_loop(self)
        return outer, task

    def leave(self, outer: Outer | None) -> None:
        """Restore the loop that was running before `enter`."""
        if outer is None:
            _set_running_loop(None)
            return
        loop, task = outer
        _set_running_loop(loop)
        if task is not None:
            tasks._enter_task(loop, task)

    def cancel_all(self) -> None:
        """Cancel every task that is still there."""
        for task in self._live:
            task.cancel()

    def is_alive(self) -> bool:
        """Whether there is an open task, which may do something when it is closed."""
        return any(not task.done() for task in self._live)

    def close(self) -> None:
        """End every task that is still there, without letting it do anything more."""
        self.closing = True
        self._ready = []
        live, self._live = list(self._live), {}
        for task in live:
            if not task.done():
                outer = self.enter()
                try:
                    task.get_coro().close()
                except BaseException:
                    # What a script does while it is closed has no effect any more.
                    pass
                finally:
                    self.leave(outer)

    def __getattr__(self, name: str) -> NoReturn:
        """Everything else that a loop can do leaves the fake: sockets, threads, subprocesses, signals."""
        raise ForeignAwaitError(
            f"a script cannot use {name} of an event loop: it runs on the fake's own loop, where only "
            f"ctx.step, "
            "ctx.child, ctx.wait_for_signal, ctx.condition, sleeps and asyncio's own primitives can be "
            "awaited. Give the value to ctx.step(…, returns=…) instead"
        )


def _is_unheard(task: asyncio.Task[Any]) -> bool:
    """Whether a task has failed, and was not awaited, and its error was not read."""
    return task._log_traceback


async def _wait_for(awaitable: Awaitable[T]) -> T:
    return await awaitable
