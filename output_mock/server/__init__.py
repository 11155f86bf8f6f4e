"""The fake on a real socket: waitress, with threads that are started when needed.

A request that waits (a stream, a long poll, a run) holds a thread while it does, so there are as many
threads as requests that are being answered. Idle connections have none.
"""

from output_mock.server.open_files import allow_many_connections
from output_mock.server.served import OnServed, Served, Stage
from output_mock.server.serving import Application, Server, running

__all__ = [
    "Application",
    "OnServed",
    "Served",
    "Server",
    "Stage",
    "allow_many_connections",
    "running",
]
