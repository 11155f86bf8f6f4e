"""A WSGI application in this process, to check instead of a server."""

from __future__ import annotations

from output_mock.recording.transport import Application


class Target:
    """A WSGI application to check instead of a server, and the token that it requires.

    As a pytest plugin, it tells the plugin of the suite what to check.
    """

    def __init__(self, app: Application, token: str | None = None) -> None:
        self.app = app
        self.token = token
