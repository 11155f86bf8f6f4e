"""The client of one test: sends requests, and checks every answer against the OpenAPI document."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from output_contract import results
from output_contract.bounds import eventually
from output_contract.coding import Undecodable, decoder
from output_contract.conformity import document_for
from output_contract.exchange import RecordedExchange
from output_contract.network_errors import explain
from output_contract.server import CLOSED, UNSENT, Role, Server
from output_mock.recording.transport import Reply

# How many seconds an answer may take, unless a test allows more.
PATIENCE = 30.0
# How many seconds it may take to end one run, the runs of one test, and the runs left at the end.
_ENDING_ONE, _ENDING_A_TESTS, _ENDING_ALL = 10.0, 20.0, 60.0
# How much to keep of the bodies of earlier answers.
_LARGE = 64 * 1024
# How many seconds a stream, which sends a comment every 15, may be silent; and the same after a comment.
_SILENCE, _SILENCE_AGAIN = 20.0, 3.0
# Problems with these do not stop the check of the rest of an answer.
_HEADER = re.compile("header (?!content-type: )")
# Most clients do not need these. Only separate tests check them.
_OPTIONAL_HEADERS = re.compile(
    r"header (access-control-|deprecation|sunset|link|cache-control|x-accel-buffering)"
)


class Deviation(AssertionError):
    """The server behaved differently from a real one; `exchange` shows how.

    `problems` are the places where the answer does not fit the OpenAPI document, if any.
    """

    def __init__(self, message: str, exchange: RecordedExchange, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.exchange = exchange
        self.problems = problems


class Answer:
    """An answer. Header names are in lower case."""

    def __init__(self, exchange: RecordedExchange) -> None:
        self.exchange = exchange
        self.status: int = exchange.status
        self.headers: dict[str, str] = exchange.answer_headers
        self.body: bytes = exchange.answer

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON. Raises `Deviation` if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Deviation(f"the body is JSON, not {self.text[:80]!r}: {error}", self.exchange) from None

    def must_be(self, code: int, name: str | None = None, /, **values: Any) -> Answer:
        """Raise `Deviation` unless the answer has this status, this `error` and these values in its body.
        Returns the answer itself.
        """
        __tracebackhide__ = True
        if self.status != code:
            wanted = f"{code} {name or ''}".strip()
            raise Deviation(f"expected {wanted}, got {self.status}: {self.text[:300]}", self.exchange)
        if name is not None:
            values = {"error": name, **values}
        body = self.json if values else {}
        for key, value in values.items():
            got = body.get(key, UNSENT) if isinstance(body, dict) else UNSENT
            if got != value:
                shown = "nothing" if got is UNSENT else repr(got)
                raise Deviation(f"expected {key!r} to be {value!r}, got {shown}", self.exchange)
        return self

    def must_be_text(self, status: int, text: str) -> Answer:
        """Raise `Deviation` unless it has this status and plain text. Returns the answer."""
        __tracebackhide__ = True
        self.must_be(status)
        if self.text != text:
            raise Deviation(f"expected the body {text!r}, got {self.text[:80]!r}", self.exchange)
        return self


class Frame(NamedTuple):
    """A frame of a stream. A comment has no event."""

    event: str
    id: str | None
    data: Any


class Stream:
    """Reads a stream frame by frame, for a limited number of seconds."""

    def __init__(self, exchange: RecordedExchange, pieces: Iterator[bytes], patience: float) -> None:
        self.exchange = exchange
        self._patience = patience
        self.status: int = exchange.status
        self.headers: dict[str, str] = exchange.answer_headers
        self._pieces = pieces

    def __iter__(self) -> Iterator[Frame]:
        pending = b""
        limit = time.monotonic() + self._patience
        for piece in self._pieces:
            # A stream with comments only would never end by itself.
            if time.monotonic() > limit:
                raise Deviation(f"expected the stream to end in {self._patience:.0f} seconds", self.exchange)
            self.exchange.answer += piece
            pending += piece
            while b"\n\n" in pending:
                block, _, pending = pending.partition(b"\n\n")
                yield self._frame(block.decode("utf-8", "replace"))
        if pending:
            raise Deviation(f"the stream ended inside a frame: {pending[-80:]!r}", self.exchange)

    def _frame(self, block: str) -> Frame:
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        fields = dict(line.partition(": ")[::2] for line in lines)
        if not fields:
            return Frame("", None, None)
        try:
            return Frame(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"]))
        except (KeyError, ValueError, RecursionError):
            raise Deviation(
                f"a frame has an event and JSON data, not {block[:200]!r}", self.exchange
            ) from None


@dataclass(frozen=True)
class Begun:
    """A run that was started."""

    id: str
    run_id: str

    @property
    def base(self) -> str:
        """The path of the workflow."""
        return f"/workflow/{quote(self.id, safe='')}"

    @property
    def pinned(self) -> str:
        """The path of the run."""
        return f"{self.base}/runs/{self.run_id}"


@dataclass(frozen=True)
class Finished(Begun):
    """A closed run: its role, and its result."""

    role: Role
    result: dict[str, Any]


class Client:
    """Sends the requests of one test.

    The client sends paths unchanged, including percent-escapes. If an answer does not fit the OpenAPI
    document, the test fails. Only the tests of the headers check the headers that few clients need.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.exchanges: list[RecordedExchange] = []
        # Problems with answers that did not stop the test. It fails at its end.
        self.noted: list[Deviation] = []
        # The workflow ids of the runs that this client has started.
        self._begun: dict[str, None] = {}
        # The ids for which no request was sent yet.
        self._unsent: list[str] = []

    # Requests

    def ask(
        self,
        method: str,
        path: str,
        json: Any = UNSENT,
        *,
        data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        token: bool = True,
        all_headers: bool = False,
        timeout: float = PATIENCE,
    ) -> Answer:
        """Send a request and return the answer. `json` also sets the content type, and `token=False` omits
        the token. Raises `Deviation` if there is no answer, or if it is not as documented.
        """
        __tracebackhide__ = True
        limit = time.monotonic() + timeout
        exchange, reply = self._send(method, path, json, data, headers, token, timeout)
        read = bytearray()
        try:
            for piece in self._decoded(exchange, reply):
                read += piece
                # Nothing else stops an application in this process that never answers.
                if time.monotonic() > limit:
                    raise Deviation(f"expected the answer to end within {timeout:.0f} seconds", exchange)
        except Deviation:
            raise
        except (OSError, http.client.HTTPException, AssertionError, Undecodable) as error:
            self._broke(exchange, error, timeout)
            raise Deviation(f"the answer cannot be read: {exchange.broken}", exchange) from error
        finally:
            exchange.answer = bytes(read)
            reply.close()
        # Even an undocumented answer may be about a run.
        self._observe(exchange)
        self._hold_against_document(exchange, all_headers)
        return Answer(exchange)

    def get(self, path: str, **options: Any) -> Answer:
        """A GET; see `ask`."""
        return self.ask("GET", path, **options)

    def post(self, path: str, json: Any = UNSENT, **options: Any) -> Answer:
        """A POST; see `ask`."""
        return self.ask("POST", path, json, **options)

    def patch(self, path: str, json: Any = UNSENT, **options: Any) -> Answer:
        """A PATCH; see `ask`."""
        return self.ask("PATCH", path, json, **options)

    @contextmanager
    def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, timeout: float = PATIENCE
    ) -> Iterator[Stream]:
        """Read a stream while the block runs. At its end, check that all frames are as documented."""
        # A little longer than the reader's limit, so that the reader reports the timeout.
        whole = max(timeout, self.server.patience + 5)
        idle = min(
            self.server.patience, _SILENCE_AGAIN if self.server.found.get("streams are silent") else _SILENCE
        )
        exchange, reply = self._send("GET", path, UNSENT, None, headers, True, whole, idle)
        stream = Stream(exchange, self._decoded(exchange, reply), self.server.patience)
        try:
            yield stream
        except (OSError, http.client.HTTPException, Undecodable) as error:
            self._broke(exchange, error, timeout, idle)
            raise Deviation(f"the stream breaks off: {exchange.broken}", exchange) from error
        finally:
            reply.close()
        if exchange.answer or exchange.status != 200:
            self._hold_against_document(exchange, False)

    def _decoded(self, exchange: RecordedExchange, reply: Reply) -> Iterator[bytes]:
        """The decoded pieces of a body."""
        decode = decoder(exchange.encoding)
        for piece in reply.pieces:
            yield decode(piece)

    def _broke(
        self, exchange: RecordedExchange, error: BaseException, timeout: float, idle: float | None = None
    ) -> None:
        """Note why an answer is missing or incomplete. A stream may be silent for `idle` seconds."""
        kind, exchange.broken = explain(error)
        if not self.server.still_answers(timeout) or kind != "timeout":
            return
        exchange.silent = True
        if idle is not None:
            self.server.found["streams are silent"] = True
            exchange.broken = f"nothing came for {idle:.0f} seconds"

    def _send(
        self,
        method: str,
        path: str,
        json_body: Any,
        data: bytes | str | None,
        headers: Mapping[str, str] | None,
        token: bool,
        timeout: float,
        idle: float | None = None,
    ) -> tuple[RecordedExchange, Reply]:
        sent = [*(self.server.headers() if token else []), *(headers or {}).items()]
        sent.append(("Accept-Encoding", "identity"))
        if json_body is not UNSENT:
            data = json.dumps(json_body)
            if not any(name.lower() == "content-type" for name, _ in sent):
                sent.append(("Content-Type", "application/json"))
        body = data.encode() if isinstance(data, str) else data
        exchange = RecordedExchange(method, path, sent, body)
        if self.exchanges and len(self.exchanges[-1].answer) > _LARGE:
            # Reports show no more of it, and a test may make many requests.
            self.exchanges[-1].answer = self.exchanges[-1].answer[:_LARGE]
        self.exchanges.append(exchange)
        try:
            reply = self.server.send(method, path, sent, body, timeout, idle)
        except pytest.skip.Exception:
            # Nothing was sent, so no run has started.
            self.exchanges.pop()
            for workflow_id in self._unsent:
                self._begun.pop(workflow_id, None)
                self.server.ledger.ended(workflow_id)
            raise
        except (OSError, http.client.HTTPException) as error:
            self._broke(exchange, error, timeout, idle)
            raise Deviation(f"no answer: {exchange.broken}", exchange) from error
        if method == "POST":
            self._unsent.clear()
        exchange.status = reply.status
        exchange.http_version = reply.http_version
        for name, value in reply.headers:
            known = exchange.answer_headers.get(name.lower())
            exchange.answer_headers[name.lower()] = value if known is None else f"{known}, {value}"
        exchange.encoding = exchange.answer_headers.get("content-encoding", "")
        return exchange, reply

    def _hold_against_document(self, exchange: RecordedExchange, all_headers: bool) -> None:
        __tracebackhide__ = True
        if exchange.status == 304:
            return
        found = document_for(self.server.judged.api, self.server.judged.sdk).response_problems(
            exchange.method, exchange.path, exchange.status, exchange.answer_headers, exchange.answer
        )
        problems = [problem.strip() for problem in found]
        if exchange.encoding not in ("", "identity"):
            problems.append(
                f"header content-encoding: is {exchange.encoding!r}, and the request accepts identity only"
            )
        if not all_headers:
            problems = [problem for problem in problems if not _OPTIONAL_HEADERS.match(problem)]
        message = f"the answer does not fit the OpenAPI document: {'; '.join(problems)}"
        of_headers = [problem for problem in problems if _HEADER.match(problem)]
        if of_headers:
            self.noted.append(Deviation(message, exchange, of_headers))
        others = [problem for problem in problems if problem not in of_headers]
        if others:
            raise Deviation(message, exchange, others)

    def _observe(self, exchange: RecordedExchange) -> None:
        """Keep track of the open runs."""
        if exchange.status not in (200, 408) or not exchange.answer.startswith(b'{"'):
            return
        with suppress(ValueError, RecursionError):
            body = json.loads(exchange.answer)
            workflow_id = body.get("workflowId")
            if not isinstance(workflow_id, str):
                return
            path = exchange.path.partition("?")[0].lower().rstrip("/")
            if exchange.status == 408 or path.endswith(("/reset", "/workflow/start")):
                # If a server names another user's run, do not end it.
                if workflow_id.startswith(self.server.prefix) or _names_no_id(exchange):
                    self._note_begun(workflow_id)
            elif "/runs/" not in path and _tells_of_the_end(body):
                self.server.ledger.ended(workflow_id)

    def _note_begun(self, workflow_id: str) -> None:
        self._begun[workflow_id] = None
        self.server.ledger.begun(workflow_id)

    # Runs

    def run(self, workflow: str, input: Any = UNSENT, **fields: Any) -> dict[str, Any]:
        """Run a workflow of the pack and return its result. Skips the test without the pack."""
        self.server.need(workflow)
        result: dict[str, Any] = self.run_body(self.body(workflow, input, **fields)).must_be(200).json
        return result

    def run_body(self, body: dict[str, Any]) -> Answer:
        """Send `POST /workflow/run`, and allow it as much time as a run."""
        return self.post("/workflow/run", body, timeout=self.server.patience + 5)

    def output(self, result: dict[str, Any]) -> Any:
        """What the workflow returned, by its result. Skips the test if the server loses newer results."""
        return results.output(self.server.judged, result)

    def places(self, result: dict[str, Any]) -> dict[str, str]:
        """Where the trace of a run is, by its result: `local`, `remote`."""
        return results.places(self.server.judged, result)

    def must_have_failed(self, result: dict[str, Any], error: dict[str, Any]) -> None:
        """Raise AssertionError unless the run failed with this error, in either shape of result."""
        __tracebackhide__ = True
        results.must_have_failed(self.server.judged, result, error)

    @property
    def unsupported(self) -> tuple[int, str]:
        """The answer for a workflow that is not in the catalog: the status, and the name of the error."""
        if self.server.judged.api_since("0.9.2"):
            return 424, "UnsupportedWorkflowError"
        return 404, "WorkflowNotFoundError"

    def run_role(self, role: str) -> dict[str, Any]:
        """Run a workflow with this role and return its result. Skips the test if there is none."""
        work = self.server.role(role)
        result: dict[str, Any] = self.run_body(self.body(work.workflow, work.input)).must_be(200).json
        return result

    def start(self, workflow: str, input: Any = UNSENT, **fields: Any) -> Begun:
        """Start a workflow of the pack. Skips the test without the pack."""
        self.server.need(workflow)
        return self._start(workflow, input, **fields)

    def _start(self, workflow: str, input: Any = UNSENT, **fields: Any) -> Begun:
        begun = self.post("/workflow/start", self.body(workflow, input, **fields)).must_be(200).json
        return Begun(begun["workflowId"], begun["runId"])

    def body(self, workflow: str, input: Any = UNSENT, **fields: Any) -> dict[str, Any]:
        """The body to start a workflow in the catalog under test. Its run is ended after the test."""
        body: dict[str, Any] = {"workflowName": workflow, **fields}
        if "workflowId" not in body:
            body["workflowId"] = self.server.new_id()
        if isinstance(body["workflowId"], str):
            if body["workflowId"] not in self.server.ledger.open:
                self._unsent.append(body["workflowId"])
            self._note_begun(body["workflowId"])
        if input is not UNSENT:
            body["input"] = input
        if self.server.catalog is not None and "catalog" not in body:
            body["catalog"] = self.server.catalog
        return body

    def start_and_end(self, workflow: str, input: Any = UNSENT) -> Begun:
        """A closed run of a workflow of the pack. Skips the test without the pack."""
        begun = self.start(workflow, input)
        self.until_closed(begun.id)
        return begun

    def started(self, role: str) -> Begun:
        """A run of a workflow with this role. Skips the test if there is none."""
        work = self.server.role(role)
        return self._start(work.workflow, work.input)

    def waiting(self) -> tuple[Role, Begun]:
        """A run that waits for a signal."""
        work = self.server.role("waits")
        begun = self._start(work.workflow, work.input)
        if work.packed:
            self.until_stage(begun, "getProgress", "review")
        return work, begun

    def until_stage(self, begun: Begun, query: str, stage: str) -> None:
        """Wait until a run of the pack answers a query with this stage. It cannot answer before it
        began."""

        def reached() -> bool:
            answer = self.post(f"{begun.base}/query/{query}", {})
            if answer.status == 500:
                answer.must_be(500, "QueryNotRegisteredError")
                return False
            return bool(answer.must_be(200).json.get("stage") == stage)

        self.until(reached, f"{begun.id} reaches {stage!r}")

    def approve(self, work: Role, begun: Begun) -> None:
        """Send the signal that this run waits for."""
        body = UNSENT if work.payload is UNSENT else {"payload": work.payload}
        self.post(f"{begun.base}/signal/{work.signal}", body).must_be_text(200, "OK")

    def finished(self, role: str) -> Finished:
        """A closed run of a workflow with this role. All tests of a process share it."""
        work = self.server.role(role)
        known: Finished | None = self.server.found.get(f"finished {role}")
        if known is not None:
            return known
        begun = self._start(work.workflow, work.input)
        self.until_closed(begun.id)
        result = self.get(f"{begun.base}/result").must_be(200).json
        known = Finished(begun.id, begun.run_id, work, result)
        self.server.found[f"finished {role}"] = known
        return known

    # Waiting

    def until(self, attempt: Callable[[], bool], what: str, within: float | None = None) -> None:
        """Try until `attempt()` is true. Raises `Deviation` after a number of seconds."""
        __tracebackhide__ = True
        within = min(self.server.patience, within or self.server.patience)
        if not eventually(attempt, within):
            raise Deviation(f"expected that within {within:.0f} seconds {what}", self.exchanges[-1])

    def until_closed(self, workflow_id: str) -> str:
        """Poll the status until the run has closed. Returns the final status."""
        __tracebackhide__ = True
        seen: list[str] = []

        def closed() -> bool:
            answer = self.get(f"/workflow/{quote(workflow_id, safe='')}/status").must_be(200)
            seen.append(answer.json["status"])
            return seen[-1] in CLOSED and seen[-1] != "continued_as_new"

        self.until(closed, f"the run {workflow_id} closes")
        return seen[-1]

    # Histories

    def walk(self, base: str, sizes: Iterator[int] | None = None, **query: Any) -> list[dict[str, Any]]:
        """The whole history below a path, read in pages with this number of batches."""
        events: list[dict[str, Any]] = []
        asked = {"includePayloads": "true", **query}
        for _ in range(500):
            size = 50 if sizes is None else next(sizes)
            text = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in asked.items())
            page = self.get(f"{base}/history?pageSize={size}&{text}").must_be(200).json
            events += page["events"]
            if page["nextPageToken"] is None:
                return events
            asked |= {"runId": page["runId"], "pageToken": page["nextPageToken"]}
            if "/runs/" in base:
                del asked["runId"]
        raise Deviation("a history ends, and its last page has no token", self.exchanges[-1])

    def end_runs(self) -> None:
        """Try once to end each run that this client started and did not see closed.

        If it cannot end a run, the run stays in the ledger until the end of the session. All other runs
        stay there too, once the server has not answered such a request or the time is up.
        """
        mine, self._begun = list(self._begun), {}
        still_open = set(self.server.ledger.open)
        seconds = min(_ENDING_A_TESTS, self.server.bounds.until - time.time())
        end(self.server, (one for one in mine if one in still_open), seconds)


def _tells_of_the_end(body: dict[str, Any]) -> bool:
    """Whether an answer says that the latest run has closed and that no other run continues it."""
    status = body.get("status")
    return body.get("terminated") is True or (status in CLOSED and status != "continued_as_new")


def _names_no_id(exchange: RecordedExchange) -> bool:
    """Whether a request started a run without a workflow id, so that the server chose it."""
    path = exchange.path.partition("?")[0].lower().rstrip("/")
    if exchange.method != "POST" or not path.endswith(("/workflow/start", "/workflow/run")):
        return False
    with suppress(ValueError, RecursionError):
        body = json.loads(exchange.body or b"")
        return isinstance(body, dict) and "workflowId" not in body
    return False


def end(server: Server, workflow_ids: Iterable[str], seconds: float = _ENDING_ALL) -> list[str]:
    """End the latest runs of these ids within a total number of seconds. Returns the ids of the runs that
    could not be ended.

    Once the server does not answer, this stops: every other run would take as long.
    """
    limit = time.monotonic() + seconds
    left = []
    for workflow_id in workflow_ids:
        patience = min(_ENDING_ONE, limit - time.monotonic())
        given_up = server.found.get("does not end runs") or patience <= 0
        if given_up or not server.bounds.take_to_end():
            left.append(workflow_id)
            continue
        ended = _terminate(server, workflow_id, patience)
        if ended:
            server.ledger.ended(workflow_id)
        else:
            left.append(workflow_id)
    return left


def _terminate(server: Server, workflow_id: str, patience: float) -> bool:
    """End the latest run of an id. Returns whether the server says that it has ended."""
    # If no path can hold an id, no run has it.
    path = f"/workflow/{quote(workflow_id, safe='', errors='replace')}/terminate"
    body = {"reason": "output-mock verify: the test is over"}
    exchange = server.exchange("POST", path, body, patience, counted=False)
    if not exchange.status:
        server.found["does not end runs"] = True
        return False
    try:
        answer = json.loads(exchange.answer)
    except (ValueError, RecursionError):
        return False
    if not isinstance(answer, dict):
        return False
    return (exchange.status == 200 and answer.get("terminated") is True) or (
        exchange.status == 404 and answer.get("error") == "WorkflowNotFoundError"
    )
