"""The application of a server with a control plane: which world a request is for.

`/w/NAME/…` is for the world of that name, `/__mock__/…` for the control plane, and everything else for the
world that the request's token leads to, or for the default one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from werkzeug.wrappers import Request

from output_mock.contract.errors import OutputError
from output_mock.control.access import TARGET_HOST, Access
from output_mock.control.problems import InvalidRequest, Problem, Unauthorized, refused
from output_mock.control.worlds import WorldEntry, Worlds
from output_mock.http import tokens
from output_mock.http.response import WSGIResponse
from output_mock.http.responses import no_content
from output_mock.real_time import monotonic

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from output_mock.control.plane import Plane

PREFIX = "/w/"
CONTROL = "/__mock__"
_ABSOLUTE = re.compile(r"[A-Za-z]+://([^/?#]*)")


class Front:
    """A WSGI application for some worlds and their control plane. `access` decides who may use the control
    plane.

    The control plane asks for the `control_token`; without one, for the token that the API itself asks for,
    if any. With a control token, only the control plane makes worlds, and a request for a new name does not.
    With only a token of the API, a request that sends it makes one. Pages of other origins never make one.
    """

    def __init__(
        self, worlds: Worlds, *, control_token: str | None = None, access: Access | None = None
    ) -> None:
        self.worlds = worlds
        self._control_token = control_token
        self._auth_token: str | None = worlds.default.app.api.auth_token
        self._access = Access() if access is None else access
        self._made_plane: Plane | None = None

    def wake_all_waiters(self) -> None:
        """Wake all requests that wait for something, in all worlds."""
        self.worlds.wake_all_waiters()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if path.startswith((PREFIX, CONTROL)):
            answer = self._special(environ, path)
        else:
            entry = self.worlds.by_token(environ.get("HTTP_AUTHORIZATION")) or self.worlds.default
            entry.used = monotonic()
            answer = entry.mock.app.answer(environ)
        return answer(environ, start_response)

    def _special(self, environ: WSGIEnvironment, path: str) -> WSGIResponse:
        """Answer requests for the control plane, or for a world by its name."""
        target = _target(environ)
        try:
            if not path.startswith(PREFIX):
                entry = self.worlds.by_token(environ.get("HTTP_AUTHORIZATION")) or self.worlds.default
                if not _is_control(target):
                    return entry.mock.app.answer(environ)
                return self._control(environ, target, entry, scoped=False)
            name, rest = _parted(target)
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + PREFIX + name
            environ["PATH_INFO"] = unquote(rest.partition("?")[0], "latin-1")
            environ["RAW_URI"] = rest
            if _is_control(rest):
                return self._control(environ, rest, name, scoped=True)
            with self.worlds.visited(name, lambda: self._check_making(environ, name)) as entry:
                return entry.mock.app.answer(environ)
        except Problem as problem:
            return refused(problem)

    def _control(
        self, environ: WSGIEnvironment, target: str, world: WorldEntry | str, *, scoped: bool
    ) -> WSGIResponse:
        """Answer a request for the control plane of a world."""
        try:
            self._access.check(environ)
            if self._access.is_preflight(environ):
                answer = no_content()
            else:
                self._check_token(environ)
                answer = self._done(environ, target, world, scoped=scoped)
        except (Problem, OutputError, RecursionError) as problem:
            answer = refused(problem)
        answer.headers["Cache-Control"] = "no-store"
        answer.headers.update(self._access.headers(environ))
        return answer

    def _done(
        self, environ: WSGIEnvironment, target: str, world: WorldEntry | str, *, scoped: bool
    ) -> WSGIResponse:
        if self._made_plane is None:
            from output_mock.control.plane import Plane

            self._made_plane = Plane(self.worlds)
        path = target.removeprefix(CONTROL) or "/"
        plane = self._made_plane
        if isinstance(world, WorldEntry):
            with self.worlds.controlled(world):
                return plane.answer(Request(environ), path, world, scoped=scoped)
        may_make = functools.partial(self._check_making, environ, world)
        with self.worlds.visited(world, may_make) as entry, self.worlds.controlled(entry):
            return plane.answer(Request(environ), path, entry, scoped=scoped)

    def _check_making(self, environ: Mapping[str, Any], name: str) -> None:
        """Raise unless this request may make a world by asking for it."""
        if self._control_token is not None:
            # Only the control plane makes worlds.
            self.worlds.find(name)
        self._access.check(environ)
        if self._auth_token is not None and not self._brings(
            environ, self._auth_token, ("basic", "bearer", "")
        ):
            raise Unauthorized

    def _check_token(self, environ: Mapping[str, Any]) -> None:
        if self._control_token is not None:
            right = self._brings(environ, self._control_token, ("bearer",))
        else:
            # Clients of the API send its token in the form that the API takes.
            right = self._auth_token is None or self._brings(
                environ, self._auth_token, ("basic", "bearer", "")
            )
        if not right:
            raise Unauthorized

    def _brings(self, environ: Mapping[str, Any], token: str, schemes: tuple[str, ...]) -> bool:
        given: str = environ.get("HTTP_AUTHORIZATION", "")
        bare = tokens.bare(given)
        scheme = given[: len(given) - len(bare)].strip().lower()
        return tokens.same(bare.strip(), token) and scheme in schemes


def _is_control(target: str) -> bool:
    path = target.partition("?")[0]
    return path == CONTROL or path.startswith(f"{CONTROL}/")


def _target(environ: WSGIEnvironment) -> str:
    """Path and query as they were sent, as far as the server tells. Notes the host in the target."""
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"]
    absolute = _ABSOLUTE.match(target)
    if absolute is not None:
        environ[TARGET_HOST] = absolute[1]
        target = target[absolute.end() :]
    target = target.partition("#")[0] or "/"
    query = environ.get("QUERY_STRING", "")
    # A test client that gets the query separately has a target without one.
    return f"{target}?{query}" if query and "?" not in target else target


def _parted(target: str) -> tuple[str, str]:
    """The world's name, and the rest of the target."""
    path, mark, query = target.partition("?")
    parts = path.split("/", 3)
    if len(parts) < 3:
        raise InvalidRequest("the path of a world needs its name: /w/NAME/…")
    return unquote(parts[2]), f"/{parts[3] if len(parts) > 3 else ''}{mark}{query}"
