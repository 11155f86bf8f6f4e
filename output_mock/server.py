"""The fake on a real socket."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from waitress.server import BaseWSGIServer, create_server

if TYPE_CHECKING:
    from output_mock.http.app import OutputApp

# A stream holds a thread while it is open, so there are more threads than cores would ask for.
THREADS = 64


class Server:
    """A waitress server for one application.

    Takes the host and port to bind; port 0 takes a free one. Raises `OSError` when it cannot be bound.
    """

    def __init__(
        self, app: OutputApp, host: str = "127.0.0.1", port: int = 0, *, threads: int = THREADS
    ) -> None:
        self.app = app
        self.host = host
        bound = _bound(host, port)
        self.port: int = bound.getsockname()[1]
        server = create_server(
            app,
            sockets=[bound],
            threads=threads,
            # Answers go out as they are written, which is what a stream needs.
            send_bytes=1,
            ident=None,
            connection_limit=10_000,
            channel_request_lookahead=0,
            clear_untrusted_proxy_headers=False,
        )
        assert isinstance(server, BaseWSGIServer)
        self._server = server

    @property
    def url(self) -> str:
        """Where it can be reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def run(self) -> None:
        """Serve until `close` is called."""
        try:
            self._server.run()
        finally:
            self._server.task_dispatcher.shutdown(timeout=1)

    def close(self) -> None:
        """Let go of streams and of the socket; may be called from any thread and from a signal handler."""
        self.app.world.close()
        self._server.close()
        self._server.pull_trigger()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
