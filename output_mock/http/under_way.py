"""Which requests are being answered at the moment."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import get_ident

from flask import Response

# Whether this thread, or the task that has called it, is one of those that `busy` counts.
_counted: ContextVar[bool] = ContextVar("counted", default=False)

GiveUp = Callable[[Response], object]


class UnderWay:
    """The requests to an application that are being answered, or are on their way to be."""

    def __init__(self) -> None:
        self._requests: set[object] = set()
        # What gives up the request that a thread answers, by the thread's number.
        self._given_up_by: dict[int, GiveUp] = {}

    def __len__(self) -> int:
        return len(self._requests)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A request is being answered while the block runs.

        Who hands it on to another thread begins the block before, and it is still one request there.
        """
        if _counted.get():
            yield
            return
        request = object()
        self._requests.add(request)
        counted = _counted.set(True)
        try:
            yield
        finally:
            _counted.reset(counted)
            self._requests.discard(request)

    @contextmanager
    def answering(self, give_up: GiveUp | None) -> Iterator[None]:
        """This thread answers a request while the block runs; `give_up` answers it from another thread."""
        with self.busy():
            if give_up is None:
                yield
                return
            thread_id = get_ident()
            self._given_up_by[thread_id] = give_up
            try:
                yield
            finally:
                self._given_up_by.pop(thread_id, None)

    def while_busy(
        self, frames: Generator[bytes, None, None], give_up: GiveUp | None = None
    ) -> Iterator[bytes]:
        """The frames of a stream, whose client may take its time between them."""
        try:
            while True:
                with self.answering(give_up):
                    frame = next(frames, None)
                if frame is None:
                    return
                yield frame
        finally:
            frames.close()

    def give_up(self, thread_id: int, response: Response) -> None:
        """Answer the request of a thread that does not come back with this, if the server can do that."""
        function = self._given_up_by.get(thread_id)
        if function is not None:
            function(response)
