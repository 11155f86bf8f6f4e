"""The threads that answer requests."""

from __future__ import annotations

import threading
from typing import Any

from waitress.task import ThreadedTaskDispatcher


class Workers(ThreadedTaskDispatcher):
    """As many threads as requests that are being answered, up to a limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._started: list[threading.Thread] = []
        self._serving = 0
        self._closed = False
        self._warned = False

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or waits for a thread."""
        with self.lock:
            return bool(self.queue) or self._serving > 0

    def add_task(self, task: Any) -> None:
        """Queue `task` for a thread."""
        with self.lock:
            if self._closed:
                task.cancel()
                return
            self.queue.append(task)
            if len(self.queue) <= len(self._started) - self._serving:
                self.queue_cv.notify()
                return
            if len(self._started) >= self._limit:
                self._warn()
                return
            number = len(self._started) + 1
            thread = threading.Thread(target=self._work, name=f"output-mock-server-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # The machine cannot start more threads, so this is the limit.
                self._limit = max(1, len(self._started))
                self._warn()
                return
            self._started.append(thread)

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            self.queue_logger.warning(
                "all %d threads are answering requests (streams, most likely); others wait for one to end",
                self._limit,
            )

    def _work(self) -> None:
        while True:
            with self.lock:
                while not self.queue:
                    if self._closed:
                        self._started.remove(threading.current_thread())
                        return
                    self.queue_cv.wait()
                task: Any = self.queue.popleft()
                self._serving += 1
            try:
                task.service()
            except BaseException:
                # Whatever the error was, the thread continues with the next request.
                if not self._closed:
                    self.logger.exception("Exception when servicing %r", task)
            finally:
                with self.lock:
                    self._serving -= 1

    def close(self) -> None:
        """Start no more tasks; threads end after their current one."""
        with self.lock:
            self._closed = True
            waiting: list[Any] = list(self.queue)
            self.queue.clear()
            for task in waiting:
                task.cancel()
            self.queue_cv.notify_all()

    def join(self) -> None:
        """Wait for all threads to end."""
        for thread in list(self._started):
            thread.join()
