"""The socket on which the server listens, and the settings of waitress."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from waitress.adjustments import Adjustments

from output_mock.server.channel import Channel, Listener
from output_mock.server.open_files import most_connections
from output_mock.server.served import OnServed
from output_mock.server.workers import Workers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_LARGEST_BODY = 64 * 1024 * 1024
# How many bytes are read from a connection at once, as Node does.
_READ = 64 * 1024
# How many bytes of a stream may wait for a client that does not read.
_UNREAD = 256 * 1024


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `OSError` if the address is not available."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # For a name with IPv4 and IPv6 addresses (localhost), the one that every client tries.
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


class WaitressListener(Listener):
    """Waitress, with our own connections and threads."""

    channel_class: type[Channel] = Channel

    def __init__(
        self,
        app: WSGIApplication,
        map: dict[int, Any],
        listener: socket.socket,
        workers: Workers,
        on_served: OnServed | None,
    ) -> None:
        self.on_served = on_served
        adjustments = Adjustments(
            sockets=[listener],
            ident=None,
            connection_limit=most_connections(),
            clear_untrusted_proxy_headers=False,
            # A client that disconnects is not an error of this server.
            log_socket_errors=False,
            # Far more than the API accepts, and refused before it fills the disk.
            max_request_body_size=_LARGEST_BODY,
            # This much is buffered for a client that reads slowly; then its stream waits, too.
            outbuf_high_watermark=_UNREAD,
            # Enough for any head: unread data would make a closing connection end in a reset.
            recv_bytes=_READ,
        )
        super().__init__(
            app,
            map,
            _sock=listener,
            dispatcher=workers,
            adj=adjustments,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )

    def stop_listening(self) -> None:
        """Accept no more connections, but continue with the existing ones."""
        self.accepting = False
        self.del_channel()
        assert self.socket is not None
        self.socket.close()

    def close_trigger(self) -> None:
        """Close the trigger with which other threads wake the server's thread."""
        trigger: Any = self.trigger
        trigger.close()
