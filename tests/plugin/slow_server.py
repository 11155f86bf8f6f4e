"""A server whose responses take a while in real time. Imports little, as tests also run it as a process."""

from __future__ import annotations

import http.server
import threading
from typing import Any


def on_the_wall(seconds: float) -> None:
    """Take this long in real time, like code that waits for something outside the process."""
    threading.Event().wait(seconds)


class Slow(http.server.BaseHTTPRequestHandler):
    """Sends its response in two pieces, with a pause before each."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        on_the_wall(0.01)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        on_the_wall(0.01)
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    print(server.server_port, flush=True)
    server.serve_forever()
