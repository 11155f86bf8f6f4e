"""One request to the API and the answer to it: what each operation does, and what a fault makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from flask import Request, Response

from output_mock.contract import errors
from output_mock.durations import MILLISECOND, SECOND
from output_mock.engine import results
from output_mock.engine.run import Run
from output_mock.engine.trace_storage import object_place
from output_mock.engine.world import World
from output_mock.http import (
    answers,
    bodies,
    corrupt_body,
    delays,
    diagnostics,
    pages,
    requests,
    stream,
    tokens,
    trace_log,
)
from output_mock.http.faults import Dropped, Strike, TimedOut
from output_mock.http.journal import Call, RequestHeaders
from output_mock.http.routes import BadEscapeError, Route, match
from output_mock.http.trace_log import Trouble
from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.errors import ScriptError
from output_mock.zod import ZodError

if TYPE_CHECKING:
    from output_mock.http.app import OutputApp

_SUNSET = "Thu, 16 Jul 2026 00:00:00 GMT"
_DEPRECATED = frozenset({"stop", "terminate", "reset"})
# A UUID as Temporal's server reads one: also in braces, as a URN, or without dashes.
_UUID = re.compile(
    r"(?:urn:uuid:|\{)?([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})\}?", re.IGNORECASE
)
# Where a server that can tell (`server.py`) puts the function that takes what shall happen once the client
# has gone.
WHEN_GONE = "output_mock.when_gone"
# Where a server that can puts the function that sends an answer in the place of the one that does not come.
GIVE_UP = "output_mock.give_up"
# Where a server that can puts the function that makes the end of the connection a TCP reset.
RESET = "output_mock.reset"
# Where a server that can puts the function that returns the IP address that the connection has come in by.
LOCAL_ADDRESS = "output_mock.local_address"
# Where an in-process client puts how many seconds it waits for an answer.
PATIENCE = "output_mock.patience"
_BASIC = re.compile(r"Basic\s")
# The operations whose bodies name a workflow.
_BEGINNING = frozenset({"run", "start"})


class Exchange:
    """One request and the answer to it."""

    def __init__(self, app: OutputApp, request: Request) -> None:
        self.app = app
        self.world: World = app.world
        self.request = request
        self.method: str = request.method
        environ = request.environ
        target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
        if target.startswith("http"):
            target = re.sub(r"^https?://[^/]*", "", target) or "/"
        if not target:
            target = _requoted(environ.get("PATH_INFO", "/"), environ.get("QUERY_STRING", ""))
        self.path: str
        self.path, _, query = target.partition("#")[0].partition("?")
        # A test client that is given the query by itself has a target without one.
        self._raw_query: str = query or environ.get("QUERY_STRING", "")
        self.query: dict[str, Any] = {}
        self.body: Any = UNDEFINED
        self.route: Route | None = None
        self.workflow_id: str | None = None
        # Whether the body is nested deeper than can be read.
        self.too_deep: bool = False
        # What nothing has foreseen about this request.
        self.unmatched_reason: str | None = None
        self._cut_after: int | None = None
        # What is wrong with S3.
        self._s3: Trouble | None = None
        # Whether that is the answer.
        self._s3_failed: bool = False
        # The answer, once there is one.
        self.answered: Response | None = None
        # Whether the client gets less than that.
        self.lost: bool = False

    def answer(self) -> Response:
        """The whole answer, headers and all.

        Raises `Dropped` and `TimedOut` when a fault has it that there is none.
        """
        unreadable: bodies.BodyError | None = None
        try:
            self.body = self._read_body()
        except bodies.BodyError as problem:
            unreadable = problem
        except RecursionError:
            self.too_deep = True
        strike = self._strike() if self.app.faults else None
        if strike is None:
            answer = self.answered = self._answer(unreadable)
            return answer
        try:
            return self._struck(strike, unreadable)
        except errors.OutputError as problem:
            # What a fault does to the world may find that stuck, too.
            self.unmatched_reason = problem.unmatched_reason
            answer = self.answered = self._identified(answers.error_answer(problem))
            return answer

    def as_call(self, number: int, *, lost: bool) -> Call:
        """What the journal keeps of it, once it is over."""
        route, answer = self.route, self.answered
        return Call(
            number,
            self.world.clock.nanoseconds(),
            self.method,
            self.path,
            self.query,
            None if route is None else route.operation,
            self.workflow(),
            self.workflow_id,
            None if route is None else _message(route),
            None if self.body is UNDEFINED else self.body,
            RequestHeaders(self.request.headers.items()),
            0 if answer is None else answer.status_code,
            None if answer is None or answer.is_streamed else answer.get_data(),
            lost,
            self.unmatched_reason,
        )

    def _answer(self, unreadable: bodies.BodyError | None) -> Response:
        if unreadable is None:
            return self._identified(self._guarded())
        # The body is read before anything else, so nothing else shows (raw_bodies).
        self.unmatched_reason = unreadable.message
        return self._finished(_error(unreadable.name, unreadable.message, unreadable.status))

    def _struck(self, strike: Strike, unreadable: bodies.BodyError | None) -> Response:
        """The answer to a call that something goes wrong with."""
        fault = strike.fault
        if fault is not None and fault.drop == "request":
            self._drop(reset=fault.reset)
        if fault is not None and fault.worker_away:
            self.world.send_worker_away(fault.worker_away)
        if fault is not None and fault.status is not None:
            answer = self._identified(fault.answer(strike.wait, cors=self._cors()))
        else:
            answer = self._answer(unreadable)
        self.answered = answer
        self._delay(strike)
        if fault is None:
            return answer
        if fault.limit is not None and self.world.clock.mode == "auto":
            # Nobody really waits on such a clock, so what the client is told to wait has passed.
            self.world.let_pass(strike.wait * SECOND)
        if fault.drop == "answer":
            self._drop(reset=fault.reset)
        if fault.spoils and self._has_body(answer):
            self.lost = fault.drop == "body"
            return corrupt_body.corrupted(answer, fault, self.world, self._reset)
        cut = fault.cut_after is not None and answer.is_streamed and self.method != "HEAD"
        if not (cut or self._s3_failed or fault.strikes_anything):
            self.app.faults.give_back(fault)
        return answer

    def _has_body(self, answer: Response) -> bool:
        return not answer.is_streamed and self.method != "HEAD" and bool(answer.get_data())

    def _drop(self, *, reset: bool) -> None:
        if reset:
            self._reset()
        raise Dropped

    def _reset(self) -> None:
        """Have the connection end in a reset, if the server can do that."""
        function = self.request.environ.get(RESET)
        if function is not None:
            function()

    def workflow(self) -> str | None:
        """The name of the workflow that the request is about; None when it is about none."""
        if self.workflow_id is not None:
            named = self.world.name_of(self.workflow_id)
            if named is not None:
                return named
        if self.route is not None and self.route.operation in _BEGINNING and isinstance(self.body, dict):
            name = self.body.get("workflowName")
            return name if isinstance(name, str) else None
        return None

    def _strike(self) -> Strike | None:
        try:
            self.route = match(self.method, self.path)
        except BadEscapeError:
            self.route = None
        if self.route is not None:
            self.workflow_id = self.route.id
            if self.route.operation in _BEGINNING and isinstance(self.body, dict):
                named = self.body.get("workflowId")
                self.workflow_id = named if isinstance(named, str) else None
        strike = self.app.faults.take(
            {
                "method": self.method,
                "route": None if self.route is None else self.route.operation,
                "workflow": self.workflow(),
                "workflow_id": self.workflow_id,
                "token": self.request.headers.get("Authorization"),
            },
            self.world.clock.nanoseconds(),
        )
        if strike is not None and strike.fault is not None:
            self._cut_after, self._s3 = strike.fault.cut_after, strike.fault.s3
        return strike

    def _delay(self, strike: Strike) -> None:
        """Let an answer be late, for a client that may not wait so long."""
        virtual, wall = strike.delay, strike.wall
        if self.world.clock.mode == "real":
            virtual, wall = 0, wall + virtual
        patience: Any = self.request.environ.get(PATIENCE)
        late = patience is not None and virtual + wall > float(patience) * 1e9
        if late:
            limit = round(float(patience) * 1e9)
            virtual = min(virtual, limit)
            wall = min(wall, limit - virtual)
        if virtual:
            self.world.be_late(virtual)
        if wall:
            delays.sleep(self.world, wall / 1e9)
        if late:
            raise TimedOut(f"no answer within {float(patience):g} s")

    def _identified(self, answer: Response) -> Response:
        headers = self.request.headers
        render_id, own = headers.get("Rndr-Id"), headers.get("X-Request-ID")
        if render_id is None and own is None:
            answer.headers["X-Request-ID"] = self.app.next_request_id()
        else:
            answer.headers["X-Request-ID"] = answers.request_id(render_id, own)
        return self._finished(answer)

    def _read_body(self) -> Any:
        current = self.request
        if "CONTENT_TYPE" not in current.environ:
            return UNDEFINED
        length = current.content_length
        if length is not None and length > bodies.LIMIT and "Content-Encoding" not in current.headers:
            if current.mimetype in ("application/json", "application/x-www-form-urlencoded"):
                raise bodies.BodyError("PayloadTooLargeError", 413, "request entity too large")
            return UNDEFINED
        data = current.stream.read(bodies.LIMIT + 1)
        return bodies.parse(current.headers, data)

    def _guarded(self) -> Response:
        method, path = self.method, self.path
        if method in ("GET", "HEAD"):
            bare = path.rstrip("/").lower() if path != "/" else path
            if bare in ("/health", "/ready") and path.count("/") <= 2 and not path.endswith("//"):
                self.route = Route(bare[1:])
                return answers.text_answer(200)
        token = self.app.auth_token
        if token is not None and path not in ("/health", "/ready"):
            given = self.request.headers.get("Authorization")
            bare = "" if given is None else _BASIC.sub("", given, count=1)
            mark = tokens.fingerprint(bare.removeprefix("Bearer "))
            if not tokens.same(bare, token) and mark not in self.app.tokens:
                return answers.text_answer(401)
        answer = self._operation()
        answer.headers.update(self._cors())
        return answer

    def _cors(self) -> Mapping[str, str]:
        return answers.cors(self.app.cors_origins, self.request.headers.get("Origin"))

    def _operation(self) -> Response:
        if self.method == "OPTIONS":
            return answers.text_answer(200)
        deprecated: str | None = None
        try:
            self.route = route = match(self.method, self.path)
            if route is None:
                self.unmatched_reason = diagnostics.no_route(self.method, self.path)
                return answers.text_answer(404)
            self.workflow_id = route.id
            if route.operation in _DEPRECATED and route.rid is None:
                deprecated = route.operation
            if self.too_deep:
                raise RecursionError
            self.query = requests.query_string(self._raw_query)
            answer = _OPERATIONS[route.operation](self, route)
        except ZodError as invalid:
            known = requests.FIELDS.get(self.route.operation, ()) if self.route is not None else ()
            kind = self.request.headers.get("Content-Type")
            self.unmatched_reason = diagnostics.invalid(invalid.issues, self.body, known, kind)
            body = {"error": "ValidationError", "message": "Invalid Payload", "issues": invalid.issues}
            answer = answers.json_answer(body, 400)
        except BadEscapeError as bad:
            self.unmatched_reason = bad.message
            answer = _error("URIError", bad.message, 400)
        except errors.OutputError as problem:
            self.unmatched_reason = problem.unmatched_reason
            answer = answers.error_answer(problem)
        except RecursionError:
            self.unmatched_reason = "the body is nested too deep"
            # What JSON that is nested too deep brought about on the real server.
            answer = _error("RangeError", "Maximum call stack size exceeded", 500)
        if deprecated is not None:
            answer.headers["Deprecation"] = "true"
            answer.headers["Sunset"] = _SUNSET
            answer.headers["Link"] = f'</workflow/{{id}}/runs/{{rid}}/{deprecated}>; rel="successor-version"'
        return answer

    def _finished(self, answer: Response) -> Response:
        answer.headers["X-Powered-By"] = "Express"
        if self.unmatched_reason is not None:
            answer.headers[diagnostics.HEADER] = diagnostics.header_text(self.unmatched_reason)
        if answer.is_streamed:
            return answer
        body = answer.get_data()
        if body:
            validator = answers.etag(body)
            answer.headers["ETag"] = validator
            headers = self.request.headers
            if (
                self.method in ("GET", "HEAD")
                and 200 <= answer.status_code < 300
                and answers.fresh(validator, headers.get("If-None-Match"), headers.get("Cache-Control"))
            ):
                answer.status_code = 304
                answer.set_data(b"")
                for name in ("Content-Type", "Content-Length"):
                    answer.headers.pop(name, None)
        return answer

    # Operations

    def _run_id(self, route: Route) -> str | None:
        """The pinned run. Raises `ZodError` when it is no UUID (unknown_workflow)."""
        if route.rid is None:
            return None
        run_id: str = requests.RUN_ID.parse(route.rid)
        return run_id.lower()

    def heartbeat(self, route: Route) -> Response:
        return answers.no_answer()

    def run(self, route: Route) -> Response:
        parsed = requests.RUN.parse(self.body)
        run = self._started(parsed)
        return answers.json_answer(self.world.wait_for_result(run, parsed.get("timeout")))

    def start(self, route: Route) -> Response:
        run = self._started(requests.START.parse(self.body))
        return answers.json_answer({"workflowId": run.workflow_id, "runId": run.run_id})

    def _started(self, parsed: dict[str, Any]) -> Run:
        run = self.world.start(
            parsed["workflowName"],
            parsed.get("input", UNDEFINED),
            workflow_id=parsed.get("workflowId"),
            catalog=parsed.get("catalog", parsed.get("taskQueue")),
        )
        self.workflow_id = run.workflow_id
        return run

    def status(self, route: Route) -> Response:
        run = self.world.find(_id(route), self._run_id(route))
        with self.world.clock.lock:
            answer = answers.json_answer(results.status(run))
        return self._polled(answer, run)

    def _polled(self, answer: Response, run: Run | None) -> Response:
        """The answer tells what stands now; the next thing may happen after it."""
        if run is None or run.running:
            self.world.poll(run)
        return answer

    def result(self, route: Route) -> Response:
        run_id = self._run_id(route)
        return answers.json_answer(self._result(self.world.find(_id(route), run_id)))

    def _result(self, run: Run) -> dict[str, Any]:
        """The result of a closed run; one that still runs is told that somebody has looked."""
        try:
            return self.world.result(run.workflow_id, run.run_id)
        except errors.WorkflowNotCompletedError:
            self.world.poll(run)
            raise

    def input(self, route: Route) -> Response:
        run_id = self._run_id(route)
        try:
            run = self.world.find(_id(route), run_id)
        except errors.WorkflowNotFoundError as problem:
            if run_id is not None:
                problem.message = f'Run "{run_id}" not found for workflow "{_id(route)}"'
            raise
        return answers.json_answer(results.given_input(run, first=run_id is None))

    def trace_log(self, route: Route) -> Response:
        run_id = self._run_id(route)
        run = self.world.find(_id(route), run_id)
        trace = self._result(run).get("trace") or {}
        if self._s3 is not None and trace:
            self._s3_failed = True
            return trace_log.failing(run.run_id, self._s3)
        if "remote" in trace:
            return self._remote_trace(run, trace["remote"])
        if "local" in trace:
            body = {"source": "local", "runId": run.run_id, "localPath": trace["local"]}
            return answers.json_answer(body)
        raise errors.TraceNotAvailableError(run.workflow_id)

    def _remote_trace(self, run: Run, url: str) -> Response:
        place, traces = object_place(url), self.world.traces
        if not traces.keys:
            raise errors.TraceFileDownloadError("Missing AWS keys to authenticate")
        late = traces.uploader is not None and run.worker_heard and not run.uploaded
        if traces.source is None or late:
            # Whoever asks again shall get what is merely late. Whatever lies in its place is older.
            self.world.poll_trace(run)
            raise errors.TraceFileDownloadError("S3 GetObject failure")
        try:
            file = traces.source.fetch(place)
        except ScriptError as problem:
            problem.workflow_id = run.workflow_id
            raise
        return trace_log.trace_answer(run.run_id, file)

    def stop(self, route: Route) -> Response:
        run = self.world.stop(_id(route), self._run_id(route))
        return answers.json_answer({"workflowId": run.workflow_id, "runId": run.run_id})

    def terminate(self, route: Route) -> Response:
        reason = requests.TERMINATE.parse(self.body).get("reason")
        run = self.world.terminate(_id(route), reason, self._run_id(route))
        body = {"terminated": True, "workflowId": run.workflow_id, "runId": run.run_id}
        return answers.json_answer(body)

    def reset(self, route: Route) -> Response:
        parsed = requests.RESET.parse(self.body)
        run_id = self._run_id(route)
        try:
            run = self.world.reset(_id(route), parsed["stepName"], parsed.get("reason"), run_id)
        except errors.WorkflowNotFoundError as problem:
            if run_id is None:
                raise
            # The real server forgets to map this one (unknown_workflow).
            raise errors.OutputError(f"5 NOT_FOUND: {problem.message}") from None
        return answers.json_answer({"workflowId": run.workflow_id, "runId": run.run_id})

    def history(self, route: Route) -> Response:
        query = self._pinned_query(route, requests.HISTORY)
        size, page_token = query["pageSize"], query.get("pageToken")
        include_payloads = query["includePayloads"] == "true"
        poll = query.get("longPollTimeoutMs")
        try:
            run = self._history_run(route, query)
        except errors.WorkflowNotFoundError as problem:
            if page_token is not None and poll is None:
                problem.message = f'Run "{query["runId"]}" not found for workflow "{_id(route)}"'
            raise
        world = self.world
        with world.clock.lock:
            first = 0 if page_token is None else pages.place(run, page_token)
        if poll is not None:
            length = min(poll * MILLISECOND, world.history_max_waiting)
            until = world.clock.nanoseconds() + length
            moved = world.wait(
                run,
                lambda: len(run.history.batches) > first or not run.running,
                until=until,
                wall=length / 1e9,
            )
            if not moved:
                with world.clock.lock:
                    body: dict[str, Any] = {
                        "workflow": results.described(run),
                        "events": [],
                        "runId": run.run_id,
                        "nextPageToken": page_token,
                    }
                # Who has waited in vain asks again; or a run would need a poll for each few seconds it takes.
                return self._polled(answers.json_answer(body), run)
        with world.clock.lock:
            body = pages.page(
                run,
                first,
                size,
                described=page_token is None or poll is not None,
                include_payloads=include_payloads,
                live=poll is not None,
            )
        answer = answers.json_answer(body)
        return answer if poll is not None else self._polled(answer, run)

    def _pinned_query(self, route: Route, schema: Any) -> dict[str, Any]:
        run_id = self._run_id(route)
        query = self.query if run_id is None else {**self.query, "runId": run_id}
        parsed: dict[str, Any] = schema.parse(query)
        return parsed

    def _history_run(self, route: Route, query: dict[str, Any]) -> Run:
        run_id = query.get("runId")
        if not run_id:
            return self.world.find(_id(route))
        uuid = _UUID.fullmatch(run_id)
        if uuid is None:
            raise errors.ServiceError("Failed to describe workflow", status=400, workflow_id=_id(route))
        digits = uuid.group(1).lower().replace("-", "")
        run_id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        return self.world.find(_id(route), run_id)

    def history_stream(self, route: Route) -> Response:
        query = self._pinned_query(route, requests.STREAM)
        after = query.get("lastEventId")
        header = self.request.headers.get("Last-Event-ID")
        if after is None and header is not None:
            parsed, issues = requests.LAST_EVENT_ID.safe_parse(header.split(",")[-1].strip())
            after = None if issues else parsed
        run = self._history_run(route, query)
        world = self.world
        with world.clock.lock:
            world.clock.run_due()
            if not run.running and after is not None and after >= len(run.history):
                return answers.no_answer()
        frames: Generator[bytes, None, None] = stream.nothing()
        if self.method != "HEAD":
            reader = stream.Reader(run)
            if WHEN_GONE in self.request.environ:
                self.request.environ[WHEN_GONE](reader.leave)
            include_payloads = query["includePayloads"] == "true"
            frames = stream.frames(
                world,
                run,
                reader,
                self.app.renderings,
                after=after or 0,
                include_payloads=include_payloads,
                cut_after=self._cut_after,
            )
        answer = Response(
            self.app.while_busy(frames, self.request.environ.get(GIVE_UP)),
            content_type="text/event-stream; charset=utf-8",
        )
        answer.headers["Cache-Control"] = "no-cache, no-transform"
        answer.headers["X-Accel-Buffering"] = "no"
        return answer

    def catalog(self, route: Route) -> Response:
        name = self.world.default_catalog if route.id is None else route.id
        return answers.json_answer(self.world.query(name, "get"))

    def runs(self, route: Route) -> Response:
        query = requests.RUNS.parse(self.query)
        listed = self.world.list_runs(
            workflow_type=query.get("workflowType"), catalog=query.get("catalog"), limit=query["limit"]
        )
        with self.world.clock.lock:
            entries = [results.listed(run) for run in listed]
        return self._polled(answers.json_answer({"runs": entries, "count": len(entries)}), None)

    def signal(self, route: Route) -> Response:
        payload = requests.MESSAGE.parse(self.body).get("payload", UNDEFINED)
        self.world.signal(_id(route), _message(route) or "", payload)
        self.world.let_signal_arrive()
        return answers.text_answer(200)

    def query_run(self, route: Route) -> Response:
        payload = requests.MESSAGE.parse(self.body).get("payload", UNDEFINED)
        value = self.world.query(_id(route), route.name or "", payload)
        return self._polled(_value(value), self.world.find(_id(route)))

    def update(self, route: Route) -> Response:
        payload = requests.MESSAGE.parse(self.body).get("payload", UNDEFINED)
        return _value(self.world.update(_id(route), route.name or "", payload))


_OPERATIONS: dict[str, Callable[[Exchange, Route], Response]] = {
    "heartbeat": Exchange.heartbeat,
    "run": Exchange.run,
    "start": Exchange.start,
    "status": Exchange.status,
    "stop": Exchange.stop,
    "terminate": Exchange.terminate,
    "reset": Exchange.reset,
    "result": Exchange.result,
    "input": Exchange.input,
    "trace_log": Exchange.trace_log,
    "history": Exchange.history,
    "history_stream": Exchange.history_stream,
    "catalog": Exchange.catalog,
    "runs": Exchange.runs,
    "feedback": Exchange.signal,
    "signal": Exchange.signal,
    "query": Exchange.query_run,
    "update": Exchange.update,
}


def _id(route: Route) -> str:
    assert route.id is not None
    return route.id


def _error(name: str, message: str, status: int) -> Response:
    return answers.json_answer({"error": name, "message": message}, status)


def _message(route: Route) -> str | None:
    """The name of the message that a call sends."""
    return "resume" if route.operation == "feedback" else route.name


def _value(value: Any) -> Response:
    """What a query or an update returned; nothing at all for undefined (approval, fact_update_answers)."""
    if value is UNDEFINED:
        return Response(b"", 200, content_type=answers.JSON_TYPE)
    return answers.json_answer(value)


def _requoted(path: str, query: str) -> str:
    """A request target for servers that do not pass on the one that was sent."""
    from urllib.parse import quote

    target = quote(path.encode("latin-1"), safe="/:@!$&'()*+,;=~")
    return f"{target}?{query}" if query else target
