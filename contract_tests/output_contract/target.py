"""A WSGI application of this process that is checked in place of a server."""

from __future__ import annotations

from output_mock.recording.transport import Application


class Target:
    """A WSGI application of this process to check in place of a server, and the token that it asks for.

    As a plugin of pytest it tells the suite's own plugin what to check.
    """

    def __init__(self, app: Application, token: str | None = None) -> None:
        self.app = app
        self.token = token
