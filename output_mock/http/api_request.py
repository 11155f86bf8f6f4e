"""A request to the API: what the client has sent, and what was parsed from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from output_mock.contract.errors import OutputError
from output_mock.contract.view import View
from output_mock.engine.world import World
from output_mock.http.api import Api
from output_mock.http.response import WSGIResponse
from output_mock.http.responses import cors
from output_mock.http.routes import Route
from output_mock.http.server_hooks import GIVE_UP, RESET
from output_mock.http.trace_log import Trouble
from output_mock.javascript_json import UNDEFINED

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class ApiRequest:
    """A request to the API of a world."""

    def __init__(self, environ: WSGIEnvironment, api: Api) -> None:
        self.environ = environ
        self.api = api
        self.world: World = api.world
        self.view: View = api.view
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str
        self.raw_query: str
        self.path, self.raw_query = _target(environ)
        # The query and the body as they were sent; the body is UNDEFINED when there is none.
        self.query: dict[str, Any] = {}
        self.body: Any = UNDEFINED
        self.route: Route | None = None
        self.workflow_id: str | None = None
        # The validated arguments of the operation: parameters, fields of the body, run.
        self.parameters: dict[str, Any] = {}
        self.fields: dict[str, Any] = {}
        self.run_id: str | None = None
        # Why no script matches this request.
        self.unmatched_reason: str | None = None
        # Faults that only the operation can apply: after how many events the stream is cut, and what to call
        # if it ends before that; what is wrong with S3, and whether that was the answer.
        self.cut_after: int | None = None
        self.not_cut: Callable[[], object] = lambda: None
        self.s3: Trouble | None = None
        self.s3_failed: bool = False
        # Whether Temporal is away, and whether that was the answer.
        self.temporal_away: bool = False
        self.temporal_failed: bool = False
        # The response, once it exists, and whether the client gets less than that.
        self.response: WSGIResponse | None = None
        self.lost: bool = False

    @property
    def id(self) -> str:
        """The workflow id of the path, or the catalog's name."""
        assert self.route is not None
        return self.route.id

    @property
    def message(self) -> str:
        """The name of the signal, query or update that it sends."""
        assert self.route is not None
        return self.route.operation.signal or self.route.name or ""

    def header(self, name: str) -> str | None:
        """The header of that name, in WSGI's form: `HTTP_IF_NONE_MATCH`."""
        value: str | None = self.environ.get(name)
        return value

    def cors(self) -> dict[str, str]:
        """The headers that let a page read the answer."""
        return cors(self.api.cors_origins, self.environ.get("HTTP_ORIGIN"))

    def end_in_reset(self) -> None:
        """Let the connection end in a TCP reset, if the server can do that."""
        function = self.environ.get(RESET)
        if function is not None:
            function()

    def while_busy(
        self, frames: Generator[bytes, None, None], last_frame: Callable[[OutputError], bytes]
    ) -> Iterator[bytes]:
        """The frames of a stream.

        The request counts as being answered only while a frame is made. `last_frame` is what the server
        sends if the thread that makes them never returns.
        """
        function = self.environ.get(GIVE_UP)
        give_up = None if function is None else lambda error: function(error, last_frame(error))
        return self.api.under_way.while_busy(frames, give_up)

    def workflow(self) -> str | None:
        """The name of the workflow that it is about; None if there is none."""
        if self.workflow_id is not None:
            named = self.world.name_of(self.workflow_id)
            if named is not None:
                return named
        if self._begins():
            name = self.body.get("workflowName")
            return name if isinstance(name, str) else None
        return None

    def aim(self, route: Route | None) -> None:
        """Note its route, and the workflow id in its path or body."""
        self.route = route
        if route is None:
            return
        self.workflow_id = route.id or None
        if self._begins():
            named = self.body.get("workflowId")
            self.workflow_id = named if isinstance(named, str) else None

    def _begins(self) -> bool:
        return self.route is not None and self.route.operation.begins and isinstance(self.body, dict)


def _target(environ: WSGIEnvironment) -> tuple[str, str]:
    """The path and the query as they were sent, as far as the server tells."""
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if target.startswith("http"):
        target = re.sub(r"^https?://[^/]*", "", target) or "/"
    if not target:
        query: str = environ.get("QUERY_STRING", "")
        path = quote(environ.get("PATH_INFO", "/").encode("latin-1"), safe="/:@!$&'()*+,;=~")
        target = f"{path}?{query}" if query else path
    path, _, query = target.partition("#")[0].partition("?")
    # A test client that gets the query separately has a target without one.
    return path, query or environ.get("QUERY_STRING", "")
