"""The client that tests talk to a fake with, in process or over a socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

from output_contract.conformity import check_response
from output_mock import OutputMock
from output_mock.in_process.mount import MountedApp
from output_mock.recording.transport import Headers, Reply, SocketTransport, Transport
from tests.control.control_document import problems

TERMINAL = {"completed", "failed", "cancelled", "terminated", "timed_out", "continued_as_new"}
UNSENT = object()
# Seconds until a hanging test is aborted. No result depends on it.
HANG_GUARD = 120.0
# Histories may be larger than those of a checked deployment.
_MOST_BYTES = 256 * 1024 * 1024
# The last event of a run, by its status.
CLOSING = {
    "completed": "WORKFLOW_EXECUTION_COMPLETED",
    "failed": "WORKFLOW_EXECUTION_FAILED",
    "cancelled": "WORKFLOW_EXECUTION_CANCELED",
    "terminated": "WORKFLOW_EXECUTION_TERMINATED",
    "timed_out": "WORKFLOW_EXECUTION_TIMED_OUT",
    "continued_as_new": "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
}


class Answer(NamedTuple):
    """A response. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Frame(NamedTuple):
    """A frame of a stream; a comment such as `: keepalive` is an event of that name with no data."""

    event: str
    id: str | None
    data: Any


class Stream:
    """A stream that is being read, frame by frame."""

    def __init__(self, answer: Answer, chunks: Iterator[bytes]) -> None:
        self.status, self.headers, _ = answer
        self._chunks = chunks
        self.body = b""

    def __iter__(self) -> Iterator[Frame]:
        pending = b""
        for chunk in self._chunks:
            pending += chunk
            while b"\n\n" in pending:
                block, _, pending = pending.partition(b"\n\n")
                self.body += block + b"\n\n"
                yield _frame(block.decode())
        assert not pending, f"the stream ended inside of a frame: {pending!r}"


def _frame(block: str) -> Frame:
    if block.startswith(": "):
        return Frame(block, None, None)
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    return Frame(fields["event"], fields.get("id"), json.loads(fields["data"]))


class _Mounted:
    """Sends requests to a fake as HTTP clients in the same process do."""

    def __init__(self, mock: OutputMock) -> None:
        self.url = "http://localhost"
        self._mounted = MountedApp(mock.app, self.url)

    def send(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None,
        timeout: float,
        idle: float | None = None,
    ) -> Reply:
        if body is not None:
            headers = [*headers, ("Content-Length", str(len(body)))]
        answer = self._mounted.ask(method, path, headers, body or b"")
        pieces = iter(answer.next_piece, None) if answer.body is None else iter([answer.body])
        return Reply(answer.status, answer.headers, pieces, answer.close)


class Client:
    """Sends requests to one fake and checks every response against its OpenAPI document.

    `Client(mock)` reaches a fake in this process, `Client(url)` a server over a socket. Paths are sent as
    they are written, percent-escapes included. With `world`, requests go to that world of the server; with
    `token`, requests to the control plane carry it.
    """

    def __init__(
        self, server: OutputMock | str, *, world: str | None = None, token: str | None = None
    ) -> None:
        self.url = server if isinstance(server, str) else None
        self._transport: Transport = (
            SocketTransport(server, most_bytes=_MOST_BYTES) if isinstance(server, str) else _Mounted(server)
        )
        self._prefix = "" if world is None else f"/w/{world}"
        self.token = token

    def of(self, world: str) -> Client:
        """The same client for another world of a served fake."""
        assert self.url is not None
        return Client(self.url, world=world, token=self.token)

    def open(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> tuple[Answer, Iterator[bytes], Callable[[], None]]:
        """Send a request; returns the response without a body, the body in pieces, and a close function."""
        reply = self._transport.send(method, self._prefix + path, headers, body, HANG_GUARD)
        answer = Answer(reply.status, {name.lower(): value for name, value in reply.headers}, b"")
        return answer, reply.pieces, reply.close

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str] | None = None) -> Iterator[Stream]:
        answer, chunks, close = self.open("GET", path, list((headers or {}).items()), None)
        stream = Stream(answer, chunks)
        try:
            yield stream
        finally:
            close()
        # The unread rest of a stream cannot be checked.
        if stream.body or answer.status != 200:
            check_response("GET", path, answer.status, answer.headers, stream.body)

    def unchecked(
        self,
        method: str,
        path: str,
        json: Any = UNSENT,
        *,
        data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request whose response need not be documented. A `json` body sets its content type."""
        sent = list((headers or {}).items())
        if json is not UNSENT:
            data = _dumps(json)
            if not any(name.lower() == "content-type" for name, _ in sent):
                sent.append(("Content-Type", "application/json"))
        body = data.encode() if isinstance(data, str) else data
        answer, chunks, close = self.open(method, path, sent, body)
        try:
            return answer._replace(body=b"".join(chunks))
        finally:
            close()

    def request(
        self,
        method: str,
        path: str,
        json: Any = UNSENT,
        *,
        data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request. The response must match the document."""
        answer = self.unchecked(method, path, json, data=data, headers=headers)
        if answer.status == 304:
            # The document does not describe a 304, which has no body.
            assert not answer.body, f"{method} {path}: a 304 has no body"
        else:
            check_response(method, path, answer.status, answer.headers, _as_documented(answer.body))
        return answer

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = UNSENT, **options: Any) -> Answer:
        return self.request("POST", path, json, **options)

    def patch(self, path: str, json: Any = UNSENT, **options: Any) -> Answer:
        return self.request("PATCH", path, json, **options)

    # Shortcuts

    def run(self, workflow: str, input: Any = UNSENT, **fields: Any) -> dict[str, Any]:
        """`POST /workflow/run`, which must return 200; returns the result."""
        return self._begin("/workflow/run", workflow, input, fields)

    def start(self, workflow: str, input: Any = UNSENT, **fields: Any) -> dict[str, Any]:
        """`POST /workflow/start`, which must return 200; returns the ids."""
        return self._begin("/workflow/start", workflow, input, fields)

    def _begin(self, path: str, workflow: str, input: Any, fields: dict[str, Any]) -> dict[str, Any]:
        body = {"workflowName": workflow, **fields}
        if input is not UNSENT:
            body["input"] = input
        answer = self.post(path, body)
        assert answer.status == 200, answer.text
        begun: dict[str, Any] = answer.json
        return begun

    def until_closed(self, workflow_id: str, *, polls: int = 200) -> str:
        """Poll the status until the run has closed; returns the last status."""
        for _ in range(polls):
            status: str = self.get(f"/workflow/{workflow_id}/status").json["status"]
            if status in TERMINAL:
                return status
        raise AssertionError(f"{workflow_id} is still {status} after {polls} polls")

    def events(self, workflow_id: str, run_id: str | None = None, **query: Any) -> list[dict[str, Any]]:
        """The whole history, page after page."""
        pinned = "" if run_id is None else f"/runs/{run_id}"
        base = f"/workflow/{workflow_id}{pinned}/history"
        query = {"pageSize": 50, "includePayloads": "true", **query}
        events: list[dict[str, Any]] = []
        while True:
            text = "&".join(f"{name}={_escaped(str(value))}" for name, value in query.items())
            page = self.get(f"{base}?{text}").json
            events += page["events"]
            if page["nextPageToken"] is None:
                return events
            query |= {"runId": page["runId"], "pageToken": page["nextPageToken"]}

    def kinds(self, workflow_id: str, run_id: str | None = None) -> list[str]:
        """The event type names of the history."""
        return [event["eventTypeName"] for event in self.events(workflow_id, run_id)]

    # The control plane

    def control(
        self,
        method: str,
        path: str,
        json: Any = UNSENT,
        *,
        data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        expect: int | None = None,
        **query: Any,
    ) -> Answer:
        """Send a request to the control plane, below `/__mock__`. `expect` is the expected status."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        target = f"/__mock__{path}"
        if query:
            pairs = (f"{name}={quote(_text(value), safe='')}" for name, value in query.items())
            target += "?" + "&".join(pairs)
        answer = self.unchecked(method, target, json, data=data, headers=sent)
        if method != "HEAD":
            wrong = problems(method, self._prefix + target, answer.status, answer.headers, answer.body)
            assert not wrong, f"{method} {target} answered {answer.status}: {wrong}"
        if expect is not None:
            assert answer.status == expect, answer.text
        return answer


def _as_documented(body: bytes) -> bytes:
    """A body as the real server could have sent it. The fake's own errors become ordinary ones."""
    if not body.startswith((b'{"error":"ScriptError",', b'{"error":"StalledError",')):
        return body
    error = json.loads(body)
    assert set(error) == {"error", "message", "workflowId"}
    return _dumps({"error": "Error", "message": error["message"]}).encode()


def _dumps(value: Any) -> str:
    return json.dumps(value)


def _escaped(text: str) -> str:
    return text.replace("+", "%2B").replace("=", "%3D")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def connected(mock: OutputMock, transport: str) -> Iterator[Client]:
    """A client of a fake, `in_process` or over a `socket`; closes the fake at the end."""
    try:
        if transport == "in_process":
            yield Client(mock)
        else:
            with mock.serve() as url:
                yield Client(url)
    finally:
        mock.close()
