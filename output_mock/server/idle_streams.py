"""Idle streams, which cost nothing while they are open."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol


class Stream(Protocol):
    """The connection of a stream (`channel.Channel`)."""

    # Whether the kernel watches it.
    is_idle: bool
    watched: bool

    @property
    def silent(self) -> bool:
        """Whether it is watched, and only waits for something from the client."""

    def fileno(self) -> int:
        """The number of its file descriptor."""


class IdleStreams:
    """The connections with silent streams.

    Waitress asks each of its sockets in each turn what to wait for, and a request takes several turns: with
    a thousand open streams, that took longer than the request itself. So the kernel (`epoll`) watches idle
    ones, and they cost nothing until something happens to them. For waitress this is one socket.

    The server's thread does everything except `add` and `wake`, which any thread may call.
    """

    accepting = False

    def __init__(
        self,
        map: dict[int, Any],
        wake: Callable[[], object],
        look: Callable[[Any, int], object],
    ) -> None:
        self._map = map
        # Wakes the server's thread to handle what has happened to a socket.
        self._wake = wake
        self._look = look
        self._kernel = select.epoll()
        self._idle: dict[int, Stream] = {}
        # Connections that become idle as soon as they are silent, and connections that are no longer idle.
        self._candidates: deque[Stream] = deque()
        self._woken: deque[Stream] = deque()

    def add(self, channel: Stream) -> None:
        """Let the kernel watch it as soon as it is silent."""
        self._candidates.append(channel)

    def wake(self, channel: Stream) -> None:
        """Note that it is no longer silent."""
        if channel.is_idle:
            self._woken.append(channel)
            self._wake()

    def others(self) -> dict[int, Any]:
        """The sockets that a turn has to check."""
        while self._woken:
            self._leave(self._woken.popleft())
        for _ in range(len(self._candidates)):
            self._consider(self._candidates.popleft())
        if not self._idle:
            return self._map
        found = {number: self._map[number] for number in self._map.keys() - self._idle.keys()}
        found[self._kernel.fileno()] = self
        return found

    def _consider(self, channel: Stream) -> None:
        if channel.is_idle:
            # It was added for one request, and again for the next one.
            return
        if channel.silent:
            number = channel.fileno()
            self._kernel.register(number, select.EPOLLIN | select.EPOLLPRI)
            self._idle[number] = channel
            channel.is_idle = True
            # From now on it is woken, but something may have happened just before.
            if channel.silent:
                return
        if not self._leave(channel) and channel.watched:
            self._candidates.append(channel)

    def _leave(self, channel: Stream) -> bool:
        """Put it back among the others. Returns whether it was idle; it may be silent again soon."""
        if not channel.is_idle:
            return False
        self.remove(channel)
        if channel.watched:
            self._candidates.append(channel)
        return True

    def remove(self, channel: Stream) -> None:
        """Remove a connection that is no longer idle."""
        if channel.is_idle:
            channel.is_idle = False
            number = channel.fileno()
            self._kernel.unregister(number)
            del self._idle[number]

    def close(self) -> None:
        """Release the kernel's resources, when no connection is left."""
        self._kernel.close()

    # What waitress asks a socket for

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        for number, flags in self._kernel.poll(0):
            channel = self._idle.get(number)
            if channel is not None:
                self._look(channel, flags)
                if not channel.silent:
                    self._leave(channel)
