"""Whether something arrives, or may yet arrive, at the sockets and pipes that are waited for.

When both ends of a connection belong to this process, only this process can send anything, so waiting at one
end means waiting for the code at the other end, not for the socket. What was sent and not read yet counts as
under way. What comes from outside counts as under way until it has arrived.
"""

from __future__ import annotations

import _socket
import os
import select
import socket
import stat
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

# The class that pytest-socket does not patch.
_Socket = _socket.socket
_INTERNET = (socket.AF_INET, socket.AF_INET6)
# Where Linux's `struct tcp_info` has the numbers of bytes that were received, that wait to be sent (until
# the other end has confirmed earlier ones), and that were sent, counting repeats.
_RECEIVED, _UNSENT, _SENT, _SENT_AGAIN = 128, 144, 200, 208


class End(NamedTuple):
    """One end of a connection, or a listening socket: what kind it is, its own address and its peer's."""

    family: int
    kind: int
    listens: bool
    address: Any
    peer: Any
    # The numbers of bytes sent, still to be sent, and received; None where the system does not tell.
    sent: int | None
    unsent: int
    received: int | None


def readable(fd: int) -> bool:
    """Whether something is there to be read, or the connection has ended."""
    return any_ready([fd], [])


def writable(fd: int) -> bool:
    """Whether something can be written."""
    return any_ready([], [fd])


def any_ready(reading: Iterable[int], writing: Iterable[int]) -> bool:
    """Whether one of these can be read, or one of those written."""
    with suppress(OSError, ValueError):
        if not hasattr(select, "poll"):
            return any(select.select(list(reading), list(writing), [], 0))
        poll, flags = select.poll(), dict.fromkeys(reading, select.POLLIN)
        for fd in writing:
            flags[fd] = flags.get(fd, 0) | select.POLLOUT
        for fd, awaited in flags.items():
            poll.register(fd, awaited)
        return bool(poll.poll(0))
    return True


def end(fd: int) -> End | None:
    """What is known about a socket; None for a file that is not a socket."""
    try:
        if sys.platform != "win32" and not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return None
        default = _socket.getdefaulttimeout()
        # Making a socket object would change the file's mode.
        if default is not None:
            _socket.setdefaulttimeout(None)
        try:
            own = _Socket(fileno=fd)
        finally:
            if default is not None:
                _socket.setdefaulttimeout(default)
    except OSError:
        return None
    try:
        listens = False
        with suppress(OSError):
            listens = bool(own.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        address = peer = None
        with suppress(OSError):
            address = own.getsockname()
        with suppress(OSError):
            peer = own.getpeername()
        sent = received = None
        unsent = 0
        if sys.platform == "linux" and peer is not None and own.family in _INTERNET:
            with suppress(OSError, struct.error):
                info = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                (received,) = struct.unpack_from("=Q", info, _RECEIVED)
                (unsent,) = struct.unpack_from("=I", info, _UNSENT)
                once, again = struct.unpack_from("=QQ", info, _SENT)
                sent = once - again
        return End(own.family, own.type, listens, _plain(address), _plain(peer), sent, unsent, received)
    finally:
        own.detach()


def _plain(address: Any) -> Any:
    """An address without the IPv6 scope, and as IPv4 if it is a mapped one."""
    if isinstance(address, tuple) and len(address) >= 2:
        host = str(address[0]).removeprefix("::ffff:")
        return host, address[1]
    return address


class OwnSockets:
    """The sockets of this process, listed at most once."""

    def __init__(self) -> None:
        self._ends: dict[tuple[Any, Any], End] | None = None
        self._listening: set[Any] = set()

    def is_within(self, one: End) -> bool:
        """Whether the other end belongs to this process, too, or will once it is accepted."""
        if one.family == getattr(socket, "AF_UNIX", None):
            return self._is_within_unix(one)
        if one.peer is None:
            return False
        ends = self._look()
        return (one.peer, one.address) in ends or any(
            port == one.peer[1] and host in (one.peer[0], "0.0.0.0", "::") for host, port in self._listening
        )

    def in_flight(self, one: End) -> bool:
        """Whether something is on its way to this end, or from it."""
        other = self._look().get((one.peer, one.address))
        if other is None:
            return False
        if other.unsent and one.received is not None:
            return True
        return _lost(one.sent, other.received) or _lost(other.sent, one.received)

    def _is_within_unix(self, one: End) -> bool:
        self._look()
        return one.peer in self._listening or one.peer in ("", b"")

    def _look(self) -> dict[tuple[Any, Any], End]:
        if self._ends is None:
            self._ends = {}
            for fd in _open_files():
                found = end(fd)
                if found is None:
                    continue
                if found.listens:
                    self._listening.add(found.address)
                elif found.peer is not None:
                    self._ends[found.address, found.peer] = found
        return self._ends


def _lost(sent: int | None, received: int | None) -> bool:
    return sent is not None and received is not None and sent > received


def _open_files() -> list[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return [int(name) for name in os.listdir(folder) if name.isdigit()]
    return list(range(1024))
