"""Fakes to test against, and one client for both ways of reaching them: in process and over a socket."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

# A pytest that runs inside of another one forgets what it has imported; these would be there twice.
import output_mock.in_process.httpx_client
import output_mock.in_process.requests_client  # noqa: F401
import pytest_output.fakes  # noqa: F401
from output_contract.conformity import check_response
from output_mock import OutputMock
from output_mock.in_process.door import Door

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

TERMINAL = {"completed", "failed", "cancelled", "terminated", "timed_out", "continued_as_new"}
UNSENT = object()
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
    """What came back: header names are in lower case."""

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


class Client:
    """Sends requests to one fake and holds every answer against the OpenAPI document.

    Paths go out as they are written, percent-escapes and all. A subclass knows the way there.
    """

    def open(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> tuple[Answer, Iterator[bytes], Callable[[], None]]:
        """The answer without its body, the body in pieces, and what to call when that has been read."""
        raise NotImplementedError

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str] | None = None) -> Iterator[Stream]:
        answer, chunks, close = self.open("GET", path, list((headers or {}).items()), None)
        stream = Stream(answer, chunks)
        try:
            yield stream
        finally:
            close()
        # What an impatient reader has not read cannot be checked.
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
        """Send a request whose answer no document need foresee; a `json` body brings its type along."""
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
        """Send one request, whose answer has to be as documented."""
        answer = self.unchecked(method, path, json, data=data, headers=headers)
        if answer.status == 304:
            # The document describes what there is to get, not that one has got it already.
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

    # What many tests do

    def run(self, workflow: str, input: Any = UNSENT, **fields: Any) -> dict[str, Any]:
        """`POST /workflow/run`, which has to answer 200; returns the result."""
        return self._begin("/workflow/run", workflow, input, fields)

    def start(self, workflow: str, input: Any = UNSENT, **fields: Any) -> dict[str, Any]:
        """`POST /workflow/start`, which has to answer 200; returns the ids."""
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
        """Poll the status until the run has closed; returns what it was then."""
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
        """The names of the events of the history."""
        return [event["eventTypeName"] for event in self.events(workflow_id, run_id)]


def _as_documented(body: bytes) -> bytes:
    """A body as the real server could have sent it: the fake's own errors look like any other there."""
    if not body.startswith((b'{"error":"ScriptError",', b'{"error":"StalledError",')):
        return body
    error = json.loads(body)
    assert set(error) == {"error", "message", "workflowId"}
    return _dumps({"error": "Error", "message": error["message"]}).encode()


def _dumps(value: Any) -> str:
    return json.dumps(value)


def _escaped(text: str) -> str:
    return text.replace("+", "%2B").replace("=", "%3D")


class InProcessClient(Client):
    """Goes through the door that in-process clients go through."""

    def __init__(self, mock: OutputMock) -> None:
        self._door = Door(mock.app, "http://localhost")

    def open(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> tuple[Answer, Iterator[bytes], Callable[[], None]]:
        if body is not None:
            headers = [*headers, ("Content-Length", str(len(body)))]
        found = self._door.ask(method, path, headers, body or b"")
        answer = Answer(found.status, {name.lower(): value for name, value in found.headers}, b"")
        pieces = iter(found.next_piece, None) if found.body is None else iter([found.body])
        return answer, pieces, found.close


class SocketClient(Client):
    """Goes through a real server, one connection a request."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._address = parts.hostname, parts.port

    def open(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> tuple[Answer, Iterator[bytes], Callable[[], None]]:
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
        except BaseException:
            connection.close()
            raise

        def chunks() -> Iterator[bytes]:
            while piece := response.read1(65536):
                yield piece

        def close() -> None:
            response.close()
            connection.close()

        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, b"")
        return answer, chunks(), close


Connect = Callable[[OutputMock], Client]


@contextmanager
def connected(mock: OutputMock, transport: str) -> Iterator[Client]:
    """A client of a fake, by one of the two ways; the fake is closed at the end."""
    try:
        if transport == "in_process":
            yield InProcessClient(mock)
        else:
            with mock.serve() as url:
                yield SocketClient(url)
    finally:
        mock.close()


@pytest.fixture(params=["in_process", "socket"])
def transport(request: pytest.FixtureRequest) -> str:
    """How the client reaches the fake; a test that uses it runs both ways."""
    way: str = request.param
    return way


@pytest.fixture
def connect(transport: str) -> Iterator[Connect]:
    """Makes clients: `connect(OutputMock(clock="manual"))`."""
    with ExitStack() as stack:
        yield lambda mock: stack.enter_context(connected(mock, transport))


@pytest.fixture
def mock() -> OutputMock:
    """A fresh fake on its `auto` clock."""
    return OutputMock(seed=7)


@pytest.fixture
def client(mock: OutputMock, connect: Connect) -> Client:
    """A client of `mock`."""
    return connect(mock)


def eventually(check: Callable[[], Any], *, seconds: float = 10.0) -> Any:
    """What `check()` returns as soon as that is true; for what another thread brings about."""
    limit = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.002)
    return found


def until_received(connection: socket.socket, text: bytes) -> bytes:
    """What comes on a connection, up to the piece that completes `text`."""
    received = b""
    while text not in received:
        piece = connection.recv(65536)
        assert piece, f"the connection has ended after {received!r}"
        received += piece
    return received


def somebody_waits(mock: OutputMock, workflow_id: str) -> int:
    """How many wait for what comes next in the history of a run."""
    return len(mock.world.find(workflow_id).waiters or ())


@contextmanager
def in_another_thread(work: Callable[[], Any], *, limit: float = 30) -> Iterator[list[Any]]:
    """Do `work` in a thread while the block runs; afterwards the list holds what it returned.

    What it raises is raised at the end of the block; so is an error when it has not ended `limit` seconds
    after that.
    """
    outcome: list[Any] = []
    problems: list[BaseException] = []

    def collect() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    try:
        yield outcome
    finally:
        thread.join(limit)
    assert not thread.is_alive(), "it still waits"
    for problem in problems:
        raise problem


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Runs other pytests, without a plugin that takes five times as long to load as all the rest."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:schemathesis")
    return pytester


# A test file of somebody who uses the plugin, run in a pytest of its own: `suite("def test_it(…): …", "-x")`.
Suite = Callable[..., pytest.RunResult]


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    """Runs the code of a test file; other files of `pytester` are there too."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error")

    def run(code: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(code)
        return pytester.runpytest("-p", "no:randomly", "-p", "no:cacheprovider", *arguments)

    return run
