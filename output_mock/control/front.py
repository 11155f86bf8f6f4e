"""The application of a server with a control plane: which world a request is for.

`/w/NAME/…` is for the world of that name, `/__mock__/…` for the control plane, and everything else for the
world that the request's token leads to, or for the default one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from flask import Request, Response

from output_mock.control.problems import InvalidRequest, Problem
from output_mock.control.worlds import Held, Worlds
from output_mock.engine.wall import monotonic
from output_mock.http import answers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from output_mock.control.plane import Plane

PREFIX = "/w/"
CONTROL = "/__mock__"
_TOKEN = re.compile(r"(?:Basic|Bearer)\s+", re.IGNORECASE)


class Front:
    """A WSGI application for some worlds and their control plane, which may ask for a token.

    With a token, a world is only made by the control plane, and not by a request for a new name.
    """

    def __init__(self, worlds: Worlds, *, control_token: str | None = None) -> None:
        self.worlds = worlds
        self._control_token = control_token
        self._made_plane: Plane | None = None

    def let_go(self) -> None:
        """Whoever waits for something in any world stops waiting."""
        self.worlds.let_go()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if path.startswith((PREFIX, CONTROL)):
            answer = self._special(environ, path)
        else:
            held = self.worlds.default
            if self.worlds.tokens and "HTTP_AUTHORIZATION" in environ:
                held = self._by_token(environ) or held
            held.used = monotonic()
            answer = held.mock.app.answer(Request(environ))
        return answer(environ, start_response)

    def _special(self, environ: WSGIEnvironment, path: str) -> Response:
        target = _target(environ)
        try:
            if not path.startswith(PREFIX):
                held = self._by_token(environ) or self.worlds.default
                return self._plane_or_world(environ, target, held, scoped=False)
            name, rest = _parted(target)
            made = self._control_token is None
            held = self.worlds.get_or_make(name) if made else self.worlds.get(name)
        except Problem as problem:
            answer = answers.json_answer(problem.body(), problem.status)
            answer.headers.update(problem.headers)
            return answer
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + PREFIX + name
        environ["PATH_INFO"] = unquote(rest.partition("?")[0], "latin-1")
        environ["RAW_URI"] = rest
        return self._plane_or_world(environ, rest, held, scoped=True)

    def _plane_or_world(self, environ: WSGIEnvironment, target: str, held: Held, *, scoped: bool) -> Response:
        path = target.partition("?")[0]
        if path != CONTROL and not path.startswith(f"{CONTROL}/"):
            return held.mock.app.answer(Request(environ))
        if self._made_plane is None:
            from output_mock.control.plane import Plane

            self._made_plane = Plane(self.worlds, self._control_token)
        return self._made_plane.answer(
            Request(environ), target.removeprefix(CONTROL) or "/", held, scoped=scoped
        )

    def _by_token(self, environ: WSGIEnvironment) -> Held | None:
        given: str = environ.get("HTTP_AUTHORIZATION", "")
        held = self.worlds.tokens.get(_TOKEN.sub("", given, count=1))
        return None if held is None else self.worlds.get(held.name)


def _target(environ: WSGIEnvironment) -> str:
    """Path and query as they were sent, as far as the server tells."""
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"]
    target = re.sub(r"^[A-Za-z]+://[^/?#]*", "", target).partition("#")[0] or "/"
    query = environ.get("QUERY_STRING", "")
    # A test client that is given the query by itself has a target without one.
    return f"{target}?{query}" if query and "?" not in target else target


def _parted(target: str) -> tuple[str, str]:
    """The world's name, and the rest of the target."""
    path, mark, query = target.partition("?")
    parts = path.split("/", 3)
    if len(parts) < 3:
        raise InvalidRequest("a world is reached by /w/NAME/…")
    return unquote(parts[2]), f"/{parts[3] if len(parts) > 3 else ''}{mark}{query}"
