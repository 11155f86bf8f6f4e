"""Counts the requests that are being answered at the moment."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from threading import get_ident

from output_mock.contract.errors import OutputError

# Whether `busy` counts this thread, or the task that has called it.
_counted: ContextVar[bool] = ContextVar("counted", default=False)

GiveUp = Callable[[OutputError], object]


class _Block:
    """A counted block inside another one. It is a class because a generator takes twice as long."""

    __slots__ = ("_counted", "_give_up", "_given_up_by", "_requests", "_thread_id")

    def __init__(self, requests: set[object], given_up_by: dict[int, GiveUp], give_up: GiveUp | None) -> None:
        self._requests = requests
        self._given_up_by = given_up_by
        self._give_up = give_up
        self._counted: Token[bool] | None = None

    def __enter__(self) -> None:
        if not _counted.get():
            self._requests.add(self)
            self._counted = _counted.set(True)
        if self._give_up is not None:
            self._thread_id = get_ident()
            self._given_up_by[self._thread_id] = self._give_up

    def __exit__(self, *_: object) -> None:
        if self._give_up is not None:
            self._given_up_by.pop(self._thread_id, None)
        if self._counted is not None:
            _counted.reset(self._counted)
            self._requests.discard(self)


class UnderWay:
    """The requests to an application that are being answered, or are about to be."""

    def __init__(self) -> None:
        self._requests: set[object] = set()
        # The functions that give up the request that a thread answers, by the thread's number.
        self._given_up_by: dict[int, GiveUp] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def busy(self) -> AbstractContextManager[None]:
        """Count a request as being answered while the block runs.

        To pass a request to another thread, begin the block before; it still counts as one request there.
        """
        return _Block(self._requests, self._given_up_by, None)

    def answering(self, give_up: GiveUp | None) -> AbstractContextManager[None]:
        """Note that this thread answers a request while the block runs; `give_up` answers it from another
        thread.
        """
        return _Block(self._requests, self._given_up_by, give_up)

    def while_busy(
        self, frames: Generator[bytes, None, None], give_up: GiveUp | None = None
    ) -> Iterator[bytes]:
        """The frames of a stream; the time between them does not count."""
        try:
            while True:
                with self.answering(give_up):
                    frame = next(frames, None)
                if frame is None:
                    return
                yield frame
        finally:
            frames.close()

    def give_up(self, thread_id: int, error: OutputError) -> None:
        """Answer the request of a thread that never returns with this, if the server can do that."""
        function = self._given_up_by.get(thread_id)
        if function is not None:
            function(error)
