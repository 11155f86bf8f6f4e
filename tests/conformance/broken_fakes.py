"""Fakes with one deviation each, which the conformance suite must find.

Each is a function that gets a request and a function that asks the real fake, and returns the response.
`@broken` names the checks of which at least one must fail.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlencode

Environ = dict[str, Any]
_REASONS = {204: "No Content", 304: "Not Modified", 400: "Bad Request", 404: "Not Found"}


class Asked:
    """A request, which may be changed before it is passed on."""

    def __init__(self, environ: Environ) -> None:
        self._environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.path, _, self.query = environ["RAW_URI"].partition("?")
        self.body: bytes = environ["wsgi.input"].read()

    def header(self, name: str) -> str | None:
        value: str | None = self._environ.get("HTTP_" + name.upper().replace("-", "_"))
        return value

    def set_header(self, name: str, value: str | None) -> None:
        key = "HTTP_" + name.upper().replace("-", "_")
        if value is None:
            self._environ.pop(key, None)
        else:
            self._environ[key] = value

    def is_(self, method: str, pattern: str) -> bool:
        """Whether the request has this method and a path that matches the pattern."""
        return self.method == method and re.fullmatch(pattern, self.path) is not None

    @property
    def id(self) -> str:
        """The workflow id in the path."""
        return unquote(self.path.split("/")[2])

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @json.setter
    def json(self, value: Any) -> None:
        self.body = json.dumps(value).encode()

    @property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @parameters.setter
    def parameters(self, values: dict[str, str]) -> None:
        self.query = urlencode(values)

    def environ(
        self, method: str | None = None, path: str | None = None, body: bytes | None = None
    ) -> Environ:
        body = self.body if body is None else body
        path = self.path if path is None else path
        raw = f"{path}?{self.query}" if self.query and path == self.path else path
        environ = {
            **self._environ,
            "REQUEST_METHOD": method or self.method,
            "RAW_URI": raw,
            "PATH_INFO": unquote_to_bytes(path.partition("?")[0]).decode("latin-1"),
            "QUERY_STRING": raw.partition("?")[2],
            "wsgi.input": io.BytesIO(body),
        }
        environ.pop("CONTENT_LENGTH", None)
        if body:
            environ["CONTENT_LENGTH"] = str(len(body))
        return environ


class Given:
    """A response, which may be changed. A body that is not read stays a stream."""

    def __init__(self, status: int, headers: list[tuple[str, str]], pieces: Iterable[bytes]) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.pieces = pieces
        self._body: bytes | None = None

    @property
    def body(self) -> bytes:
        if self._body is None:
            self._body = b"".join(self.pieces)
        return self._body

    @body.setter
    def body(self, body: bytes) -> None:
        self._body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @json.setter
    def json(self, value: Any) -> None:
        self.body = json.dumps(value).encode()
        self.headers["content-type"] = "application/json; charset=utf-8"

    def text(self, status: int, text: str) -> Given:
        self.status, self.body = status, text.encode()
        self.headers["content-type"] = "text/plain; charset=utf-8"
        return self

    def error(self, status: int, name: str, message: str = "broken", **more: Any) -> Given:
        self.status, self.json = status, {"error": name, "message": message, **more}
        return self

    def change(self, **values: Any) -> Given:
        """Change values of the JSON object in the body."""
        self.json = {**self.json, **values}
        return self

    def frames(self) -> list[tuple[str, Any]]:
        """The frames of a stream that ends: event and data."""
        found = []
        for block in self.body.decode().split("\n\n"):
            fields = dict(line.partition(": ")[::2] for line in block.split("\n"))
            if "event" in fields:
                found.append((fields["event"], json.loads(fields["data"])))
        return found

    def stream(self, frames: Iterable[tuple[str, Any]], *, ids: bool = True) -> Given:
        """A stream of these frames; events have the id of the last of them."""
        text = ""
        for event, data in frames:
            if event == "history" and ids:
                text += f"id: {data[-1]['eventId']}\n"
            text += f"event: {event}\ndata: {json.dumps(data)}\n\n"
        self.body = text.encode()
        return self


Ask = Callable[..., Given]
Deviation = Callable[[Asked, Ask], Given]


class Broken(NamedTuple):
    """A broken fake, and the checks of which at least one must fail."""

    name: str
    caught_by: tuple[str, ...]
    deviation: Deviation

    def application(self, app: Any) -> Callable[[Environ, Any], Iterable[bytes]]:
        """The WSGI application of the fake with this deviation."""

        def answer(environ: Environ, start_response: Any) -> Iterable[bytes]:
            asked = Asked(environ)

            def ask(method: str | None = None, path: str | None = None, body: bytes | None = None) -> Given:
                begun: list[tuple[int, list[tuple[str, str]]]] = []

                def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
                    begun.append((int(status.split()[0]), headers))

                pieces = app(asked.environ(method, path, body), start)
                return Given(*begun[0], pieces)

            given = self.deviation(asked, ask)
            reason = _REASONS.get(given.status, "OK")
            headers = [(n, v) for n, v in given.headers.items() if n != "content-length"]
            start_response(f"{given.status} {reason}", headers)
            return given.pieces if given._body is None else [given._body]

        return answer


BROKEN: list[Broken] = []


def broken(*caught_by: str) -> Callable[[Deviation], Deviation]:
    def add(deviation: Deviation) -> Deviation:
        BROKEN.append(Broken(deviation.__name__, caught_by, deviation))
        return deviation

    return add


RUN = r"(/runs/[^/]+)?"
HISTORY = rf"/workflow/[^/]+{RUN}/history"
STREAM = rf"/workflow/[^/]+{RUN}/history/stream"


# --- system -----------------------------------------------------------------------------------------------


@broken("system.health")
def health_is_json(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if asked.is_("GET", "/health"):
        given.json = {"status": "ok"}
    return given


@broken("system.heartbeat")
def heartbeat_returns_a_body(asked: Asked, ask: Ask) -> Given:
    given = ask()
    return given.text(200, "OK") if asked.is_("POST", "/heartbeat") else given


@broken("system.request-id")
def errors_have_no_request_id(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 404:
        del given.headers["x-request-id"]
    return given


@broken("system.request-id")
def all_requests_have_the_same_id(asked: Asked, ask: Ask) -> Given:
    given = ask()
    given.headers["x-request-id"] = "0d9d0a6e-1b4e-4f0e-9d0c-2f9f6f1d7a11"
    return given


@broken("system.request-id-echoed")
def request_ids_are_lower_case(asked: Asked, ask: Ask) -> Given:
    given = ask()
    given.headers["x-request-id"] = given.headers["x-request-id"].lower()
    return given


@broken("system.request-id-replaced")
def request_ids_may_have_dots(asked: Asked, ask: Ask) -> Given:
    given, sent = ask(), asked.header("X-Request-ID")
    if sent and re.fullmatch(r"[\w.:!-]+", sent):
        given.headers["x-request-id"] = sent
    return given


@broken("system.request-id-length")
def request_ids_may_have_any_length(asked: Asked, ask: Ask) -> Given:
    given, sent = ask(), asked.header("X-Request-ID")
    if sent and len(sent) > 128:
        given.headers["x-request-id"] = sent
    return given


@broken("system.headers")
def responses_have_no_cors_headers(asked: Asked, ask: Ask) -> Given:
    given = ask()
    given.headers.pop("access-control-allow-origin", None)
    return given


@broken("system.etag")
def nothing_is_ever_cached(asked: Asked, ask: Ask) -> Given:
    asked.set_header("If-None-Match", None)
    return ask()


# --- routing ----------------------------------------------------------------------------------------------


@broken("routing.unknown-path")
def unknown_paths_are_json(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 404 and given.body == b"Not Found":
        given.error(404, "NotFound")
    return given


@broken("routing.wrong-method")
def wrong_methods_are_405(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 404 and given.body == b"Not Found" and asked.path in ("/health", "/heartbeat"):
        given.text(405, "Method Not Allowed")
    return given


@broken("routing.any-case")
def case_matters(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if asked.path in ("/HEALTH", "/Workflow/RUNS"):
        given.text(404, "Not Found")
    return given


@broken("routing.trailing-slash")
def a_slash_matters(asked: Asked, ask: Ask) -> Given:
    given = ask()
    return given.text(404, "Not Found") if asked.path.endswith("/") else given


@broken("routing.unknown-workflow")
def errors_do_not_name_the_workflow(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 404 and b"workflowId" in given.body:
        given.error(404, given.json["error"], given.json["message"])
    return given


@broken("routing.unknown-workflow")
def the_input_of_an_unknown_workflow_is_empty(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 404 and asked.is_("GET", "/workflow/[^/]+/input"):
        given.status, given.json = (
            200,
            {"workflowId": asked.id, "runId": "0" * 8 + "-0000-4000-8000-" + "0" * 12},
        )
    return given


@broken("routing.unknown-run-of-a-workflow")
def any_run_is_the_latest_run(asked: Asked, ask: Ask) -> Given:
    asked.path = re.sub("/runs/00000000[^/]+", "", asked.path)
    return ask()


@broken("routing.malformed-run")
def a_run_id_may_be_anything(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 400 and "/runs/xyz/" in asked.path:
        given.error(404, "WorkflowNotFoundError", workflowId=asked.id)
    return given


@broken("routing.escaped-id")
def ids_are_decoded_twice(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 404 and b"workflowId" in given.body:
        given.change(workflowId=unquote(quote(given.json["workflowId"], safe="").replace("%2F", "")))
    return given


@broken("routing.bad-escape")
def bad_escapes_are_500(asked: Asked, ask: Ask) -> Given:
    given = ask()
    return given.error(500, "Error") if b"URIError" in given.body[:30] else given


@broken("routing.any-path")
def odd_ids_crash_it(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if re.search("%[c-f]", asked.path, re.I) and "%E0%A4" not in asked.path:
        given.error(500, "Error")
    return given


# --- validation -------------------------------------------------------------------------------------------


@broken("validation.body")
def issues_have_no_path(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 400 and "issues" in given.json:
        given.change(issues=[{**issue, "path": []} for issue in given.json["issues"]])
    return given


@broken("validation.every-issue")
def only_the_first_issue_is_reported(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 400 and "issues" in given.json:
        given.change(issues=given.json["issues"][:1])
    return given


@broken("validation.body-words")
def issues_have_other_messages(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 400 and "issues" in given.json:
        given.change(issues=[{**issue, "message": "is invalid"} for issue in given.json["issues"]])
    return given


@broken("validation.timeout")
def a_timeout_may_be_short(asked: Asked, ask: Ask) -> Given:
    body = asked.json
    if isinstance(body, dict) and body.get("timeout") == 249:
        asked.json = {**body, "timeout": 250}
    return ask()


@broken("validation.no-json")
def broken_json_is_a_500(asked: Asked, ask: Ask) -> Given:
    given = ask()
    return given.error(500, "Error") if b"SyntaxError" in given.body[:30] else given


@broken("validation.no-json")
def a_scalar_is_a_body(asked: Asked, ask: Ask) -> Given:
    if asked.body == b"1":
        asked.body = b"{}"
    return ask()


@broken("validation.media-type")
def json_is_read_with_any_content_type(asked: Asked, ask: Ask) -> Given:
    if asked.body.startswith(b"{"):
        asked._environ["CONTENT_TYPE"] = "application/json"
    return ask()


@broken("validation.unknown-workflow")
def an_unknown_workflow_is_a_404(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 424 and given.json["error"] == "UnsupportedWorkflowError":
        given.error(404, "WorkflowNotFoundError", given.json["message"], workflowId="x")
    return given


@broken("validation.unknown-catalog")
def a_503_has_no_retry_after(asked: Asked, ask: Ask) -> Given:
    given = ask()
    given.headers.pop("retry-after", None)
    return given


@broken("validation.any-body")
def long_lists_crash_it(asked: Asked, ask: Ask) -> Given:
    given, body = ask(), asked.json
    if isinstance(body, dict) and isinstance(body.get("workflowId"), list):
        given.error(500, "Error", "x.trim is not a function")
    return given


# --- the token --------------------------------------------------------------------------------------------


def _as_admitted(asked: Asked, token: str) -> None:
    asked.set_header("Authorization", f"Basic {token}")


TOKEN = "tok-EN-0123456789"


@broken("auth.guarded")
def streams_need_no_token(asked: Asked, ask: Ask) -> Given:
    if asked.path.endswith("/stream"):
        _as_admitted(asked, TOKEN)
    return ask()


@broken("auth.guarded")
def the_list_of_runs_needs_no_token(asked: Asked, ask: Ask) -> Given:
    if asked.path.startswith("/workflow/runs"):
        _as_admitted(asked, TOKEN)
    return ask()


@broken("auth.guarded")
def stopping_needs_no_token(asked: Asked, ask: Ask) -> Given:
    if asked.method == "PATCH":
        _as_admitted(asked, TOKEN)
    return ask()


@broken("auth.guarded")
def validation_errors_need_no_token(asked: Asked, ask: Ask) -> Given:
    before = asked.header("Authorization")
    given = ask()
    if given.status == 401 and before is None:
        _as_admitted(asked, TOKEN)
        again = ask()
        if again.status == 400:
            return again
    return given


@broken("auth.wrong")
def the_token_may_be_longer(asked: Asked, ask: Ask) -> Given:
    if (asked.header("Authorization") or "").startswith(f"Basic {TOKEN}"):
        _as_admitted(asked, TOKEN)
    return ask()


@broken("auth.wrong")
def the_case_of_the_token_does_not_matter(asked: Asked, ask: Ask) -> Given:
    if (asked.header("Authorization") or "").lower() == f"basic {TOKEN}".lower():
        _as_admitted(asked, TOKEN)
    return ask()


@broken("auth.wrong")
def no_token_is_a_token(asked: Asked, ask: Ask) -> Given:
    if asked.header("Authorization") == "Basic ":
        _as_admitted(asked, TOKEN)
    return ask()


@broken("auth.open")
def health_needs_the_token(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if asked.path.lower().startswith("/health") and asked.header("Authorization") is None:
        given.text(401, "Unauthorized")
    return given


@broken("auth.guarded")
def refusals_are_json(asked: Asked, ask: Ask) -> Given:
    given = ask()
    return given.error(401, "Unauthorized") if given.status == 401 else given


# --- run --------------------------------------------------------------------------------------------------


def _is_result(given: Given) -> bool:
    return given.status == 200 and given.body.startswith(b'{"v":"2"')


@broken("run.failed")
def a_failed_workflow_is_a_failed_request(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if asked.path == "/workflow/run" and _is_result(given) and given.json["status"] == "failed":
        given.error(500, "ServiceError")
    return given


@broken("run.values")
def nulls_are_left_out(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if _is_result(given) and isinstance(given.json["output"], dict):
        given.change(output={k: v for k, v in given.json["output"].items() if v is not None})
    return given


@broken("run.numbers")
def large_numbers_have_all_digits_of_the_double(asked: Asked, ask: Ask) -> Given:
    given = ask()
    given.body = given.body.replace(b"30993505344677310", b"30993505344677312")
    return given


@broken("run.key-order")
def keys_keep_their_order(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if asked.path == "/workflow/run" and _is_result(given):
        given.change(input=asked.json.get("input"))
    return given


@broken("run.any-value")
def numbers_have_six_digits(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if _is_result(given) and isinstance(given.json["output"], list):
        output = [float(f"{one:.6g}") if isinstance(one, float) else one for one in given.json["output"]]
        given.change(output=output)
    return given


@broken("run.any-value")
def text_is_cut_at_ten_characters(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if _is_result(given) and isinstance(given.json["output"], str):
        given.change(output=given.json["output"][:10])
    return given


@broken("run.unknown-input-keys")
def the_input_is_returned_without_unknown_keys(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if _is_result(given) and isinstance(given.json["input"], dict):
        given.change(input={k: v for k, v in given.json["input"].items() if k != "c"})
    return given


@broken("run.timeout")
def a_408_does_not_name_the_workflow(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 408:
        given.error(408, "WorkflowExecutionTimedOutError")
    return given


@broken("run.timeout")
def a_timeout_of_run_ends_the_run(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 408:
        ask("POST", f"/workflow/{given.json['workflowId']}/terminate", b"").body  # noqa: B018
    return given


@broken("run.ended")
def a_run_that_is_ended_fails(asked: Asked, ask: Ask) -> Given:
    given = ask()
    run = asked.is_("POST", "/workflow/run") and given.status == 200
    if run and given.json["status"] in ("cancelled", "terminated"):
        given.change(status="failed")
    return given


@broken("run.id-taken", "lifecycle.model")
def starting_a_running_id_returns_the_running_run(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 500 and b"AlreadyStarted" in given.body:
        status = ask("GET", f"/workflow/{quote(given.json['workflowId'], safe='')}/status", b"").json
        given.status, given.json = 200, {"workflowId": status["workflowId"], "runId": status["runId"]}
    return given


@broken("run.any-id")
def ids_lose_non_ascii_characters(asked: Asked, ask: Ask) -> Given:
    body = asked.json
    if asked.path == "/workflow/run" and isinstance(body, dict) and isinstance(body.get("workflowId"), str):
        asked.json = {**body, "workflowId": body["workflowId"].encode("ascii", "ignore").decode()}
    return ask()


@broken("run.continues")
def run_returns_the_result_of_the_last_run(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if asked.path == "/workflow/run" and _is_result(given):
        return ask("GET", f"/workflow/{given.json['workflowId']}/result", b"")
    return given


# --- start and poll ---------------------------------------------------------------------------------------


@broken("start.running")
def the_end_of_a_running_run_is_null(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.path.endswith("/status") and given.json["completedAt"] == "":
        given.change(completedAt=None)
    return given


@broken("start.running")
def times_are_seconds(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.path.endswith("/status"):
        given.change(startedAt=given.json["startedAt"] // 1000)
    return given


@broken("start.no-result-yet")
def a_missing_result_is_a_404(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 424 and asked.path.endswith("/result"):
        given.error(404, "WorkflowNotFoundError", workflowId=asked.id)
    return given


_calls = itertools.count()


@broken("start.same-again")
def a_result_changes(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if _is_result(given) and asked.path.endswith("/result"):
        given.change(output={"total": 3, "asked": next(_calls)})
    return given


@broken("start.no-input")
def a_missing_input_is_null(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.path.endswith("/input"):
        given.json = {"input": None, **given.json}
    return given


@broken("start.chain")
def a_chain_has_the_input_of_its_last_run(asked: Asked, ask: Ask) -> Given:
    if asked.is_("GET", "/workflow/[^/]+/input"):
        status = ask("GET", asked.path.replace("/input", "/status"), b"")
        if status.status == 200:
            return ask("GET", asked.path.replace("/input", f"/runs/{status.json['runId']}/input"), b"")
    return ask()


@broken("start.latest-run")
def an_id_means_its_first_run(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if asked.path == "/workflow/start" and given.status == 200:
        first = _first_runs.setdefault(given.json["workflowId"], given.json["runId"])
        assert first
    elif asked.is_("GET", "/workflow/[^/]+/status") and asked.id in _first_runs:
        return ask("GET", asked.path.replace("/status", f"/runs/{_first_runs[asked.id]}/status"), b"")
    return given


_first_runs: dict[str, str] = {}


# --- results ----------------------------------------------------------------------------------------------


def _with_error(given: Given, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Given:
    if _is_result(given) and given.json["error"]:
        given.change(error=change(given.json["error"]))
    return given


@broken("results.error")
def errors_do_not_name_the_step(asked: Asked, ask: Ask) -> Given:
    return _with_error(ask(), lambda error: {k: v for k, v in error.items() if k != "activityType"})


@broken("results.error")
def errors_have_no_cause(asked: Asked, ask: Ask) -> Given:
    return _with_error(ask(), lambda error: {k: v for k, v in error.items() if k != "cause"})


@broken("results.error", "results.refused-output")
def all_errors_are_called_error(asked: Asked, ask: Ask) -> Given:
    return _with_error(ask(), lambda error: {**error, "name": "Error"})


@broken("results.closed")
def a_failed_run_has_completed(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.path.endswith("/status") and given.json["status"] == "failed":
        given.change(status="completed")
    return given


@broken("results.same-as-run")
def run_forgets_the_trace(asked: Asked, ask: Ask) -> Given:
    given = ask()
    return given.change(trace=None) if asked.path == "/workflow/run" and _is_result(given) else given


# --- messages ---------------------------------------------------------------------------------------------


@broken("messages.too-late")
def a_closed_run_accepts_signals(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 404 and "/signal/" in asked.path and b"already completed" in given.body:
        given.text(200, "OK")
    return given


@broken("messages.payload")
def a_payload_may_be_a_list(asked: Asked, ask: Ask) -> Given:
    body = asked.json
    if isinstance(body, dict) and isinstance(body.get("payload"), list):
        asked.json = {"payload": {}}
    return ask()


@broken("messages.signal")
def signals_are_lost(asked: Asked, ask: Ask) -> Given:
    if "/signal/approve" in asked.path:
        return ask(path=asked.path.replace("approve", "lost"))
    return ask()


@broken("messages.signal")
def payloads_of_signals_are_lost(asked: Asked, ask: Ask) -> Given:
    if "/signal/" in asked.path and asked.body:
        asked.json = {}
    return ask()


@broken("messages.query-does-nothing")
def queries_are_in_the_history(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if "/query/getProgress" in asked.path and given.status == 200:
        given.body  # noqa: B018
        ask("POST", f"/workflow/{asked.id}/signal/asked", b"").body  # noqa: B018
    return given


@broken("messages.unknown-query")
def an_unknown_query_is_a_404(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 500 and b"QueryNotRegistered" in given.body:
        given.error(404, "WorkflowNotFoundError", workflowId=asked.id)
    return given


@broken("messages.any-name")
def names_are_ascii(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if "/signal/" in asked.path and "%" in asked.path:
        given.error(400, "ServiceError", workflowId=asked.id)
    return given


@broken("messages.update")
def updates_return_the_new_value(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if "/update/setThreshold" in asked.path and given.status == 200:
        given.json = asked.json["payload"]["threshold"]
    return given


@broken("messages.refused-update")
def a_refused_update_is_a_400(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if "/update/" in asked.path and given.status == 500:
        given.error(400, "ServiceError", workflowId=asked.id)
    return given


@broken("messages.query-closed")
def a_closed_run_answers_no_queries(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if "/query/" in asked.path and given.status == 200:
        status = ask("GET", f"/workflow/{asked.id}/status", b"").json["status"]
        if status != "running":
            given.error(404, "WorkflowNotFoundError", workflowId=asked.id)
    return given


@broken("messages.feedback")
def feedback_is_a_signal_of_that_name(asked: Asked, ask: Ask) -> Given:
    if asked.path.endswith("/feedback"):
        return ask(path=asked.path.replace("/feedback", "/signal/feedback"))
    return ask()


# --- stop and terminate -----------------------------------------------------------------------------------


@broken("stop.result")
def stop_terminates(asked: Asked, ask: Ask) -> Given:
    if asked.method == "PATCH":
        # Instead of the request, not after it: the run might have stopped by then.
        given = ask("GET", asked.path.replace("/stop", "/status"))
        if given.status == 200:
            given.json = {name: given.json[name] for name in ("workflowId", "runId")}
            ask("POST", f"/workflow/{asked.id}/terminate", b"").body  # noqa: B018
        return given
    return ask()


@broken("stop.stops")
def stop_does_nothing(asked: Asked, ask: Ask) -> Given:
    if asked.method == "PATCH":
        given = ask("GET", asked.path.replace("/stop", "/status"))
        if given.status == 200:
            given.json = {name: given.json[name] for name in ("workflowId", "runId")}
        return given
    return ask()


@broken("stop.closed")
def stopping_a_closed_run_is_a_404(asked: Asked, ask: Ask) -> Given:
    if asked.method == "PATCH":
        status = ask("GET", asked.path.replace("/stop", "/status"))
        if status.status == 200 and status.json["status"] != "running":
            return ask().error(404, "WorkflowNotFoundError", workflowId=asked.id)
    return ask()


@broken("stop.terminate-closed", "lifecycle.model")
def terminating_a_closed_run_is_a_200(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if asked.path.endswith("/terminate") and given.status == 404 and b"already completed" in given.body:
        status = ask("GET", asked.path.replace("/terminate", "/status"), b"").json
        given.status, given.json = 200, {"terminated": True, "workflowId": asked.id, "runId": status["runId"]}
    return given


@broken("stop.terminate-result")
def reasons_are_lost(asked: Asked, ask: Ask) -> Given:
    if asked.path.endswith("/terminate") and asked.body:
        asked.json = {}
    return ask()


@broken("stop.terminate")
def a_terminated_run_was_cancelled(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.path.endswith("/status") and given.json["status"] == "terminated":
        given.change(status="cancelled")
    return given


@broken("stop.cleanup")
def stop_leaves_no_time_to_clean_up(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.is_("GET", HISTORY):
        events = [event for event in given.json["events"] if "#cleanup" not in json.dumps(event)]
        given.change(events=events)
    return given


@broken("stop.deprecated", "reset.deprecated")
def nothing_is_deprecated(asked: Asked, ask: Ask) -> Given:
    given = ask()
    for name in ("deprecation", "sunset", "link"):
        given.headers.pop(name, None)
    return given


# --- reset ------------------------------------------------------------------------------------------------


@broken("reset.new-run")
def reset_returns_the_old_run_id(asked: Asked, ask: Ask) -> Given:
    status = (
        ask("GET", asked.path.replace("/reset", "/status"), b"") if asked.path.endswith("/reset") else None
    )
    given = ask()
    if status is not None and status.status == 200 and given.status == 200:
        given.change(runId=status.json["runId"])
    return given


@broken("reset.running")
def reset_forgets_the_reason(asked: Asked, ask: Ask) -> Given:
    if asked.path.endswith("/reset") and isinstance(asked.json, dict):
        asked.json = {name: value for name, value in asked.json.items() if name != "reason"}
    return ask()


@broken("reset.unknown-step")
def an_unknown_step_is_a_400(asked: Asked, ask: Ask) -> Given:
    given = ask()
    return given.error(400, "ServiceError") if b"StepNotFound" in given.body[:40] else given


@broken("reset.no-step")
def a_reset_needs_no_step(asked: Asked, ask: Ask) -> Given:
    if asked.path.endswith("/reset") and asked.json == {}:
        asked.json = {"stepName": "add"}
    return ask()


@broken("reset.result")
def a_reset_starts_at_the_beginning(asked: Asked, ask: Ask) -> Given:
    if asked.path.endswith("/reset") and asked.json == {"stepName": "add"}:
        base = f"/workflow/{asked.id}"
        given = ask("GET", f"{base}/input", b"")
        ask("POST", f"{base}/terminate", b"").body  # noqa: B018
        body = {"workflowName": "conf_sum", "workflowId": asked.id, "input": {"a": 1, "b": 2}}
        assert given.status == 200
        asked._environ["CONTENT_TYPE"] = "application/json"
        return ask("POST", "/workflow/start", json.dumps(body).encode())
    return ask()


# --- history ----------------------------------------------------------------------------------------------


def _events(
    asked: Asked, given: Given, change: Callable[[list[Any]], list[Any]], *, later: bool = False
) -> Given:
    if given.status == 200 and asked.is_("GET", HISTORY) and (not later or "pageToken" in asked.parameters):
        given.change(events=change(given.json["events"]))
    return given


@broken("history.pages")
def later_pages_lose_an_event(asked: Asked, ask: Ask) -> Given:
    return _events(asked, ask(), lambda events: events[1:], later=True)


@broken("history.pages")
def later_pages_repeat_an_event(asked: Asked, ask: Ask) -> Given:
    return _events(asked, ask(), lambda events: events[:1] + events, later=True)


@broken("history.whole")
def events_are_numbered_from_zero(asked: Asked, ask: Ask) -> Given:
    return _events(
        asked, ask(), lambda all: [{**one, "eventId": str(int(one["eventId"]) - 1)} for one in all]
    )


@broken("history.whole")
def the_end_event_is_missing(asked: Asked, ask: Ask) -> Given:
    def without(events: list[Any]) -> list[Any]:
        return [one for one in events if one["eventTypeName"] != "WORKFLOW_EXECUTION_COMPLETED"]

    return _events(asked, ask(), without)


@broken("history.pointers")
def steps_follow_from_the_wrong_event(asked: Asked, ask: Ask) -> Given:
    def pointing(events: list[Any]) -> list[Any]:
        for event in events:
            attributes = event.get("activityTaskCompletedEventAttributes", {})
            if "startedEventId" in attributes:
                attributes["startedEventId"] = attributes["scheduledEventId"]
        return events

    return _events(asked, ask(), pointing)


@broken("history.payloads")
def payloads_are_always_included(asked: Asked, ask: Ask) -> Given:
    if asked.is_("GET", HISTORY):
        asked.parameters = {**asked.parameters, "includePayloads": "true"}
    return ask()


@broken("history.payloads")
def payloads_are_never_included(asked: Asked, ask: Ask) -> Given:
    if asked.is_("GET", HISTORY) and "includePayloads" in asked.parameters:
        asked.parameters = {**asked.parameters, "includePayloads": "false"}
    return ask()


@broken("history.query")
def a_page_may_have_51_batches(asked: Asked, ask: Ask) -> Given:
    if asked.parameters.get("pageSize") == "51":
        asked.parameters = {**asked.parameters, "pageSize": "50"}
    return ask()


@broken("history.query")
def a_token_needs_no_run(asked: Asked, ask: Ask) -> Given:
    if "pageToken" in asked.parameters and "runId" not in asked.parameters:
        asked.parameters = {name: text for name, text in asked.parameters.items() if name != "pageToken"}
    return ask()


@broken("history.bad-token")
def a_bad_token_is_the_first_page(asked: Asked, ask: Ask) -> Given:
    if asked.parameters.get("pageToken") == "AAAA" and "runId" in asked.parameters:
        asked.parameters = {name: text for name, text in asked.parameters.items() if name != "pageToken"}
    return ask()


@broken("history.workflow")
def the_history_length_is_too_small(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.is_("GET", HISTORY) and given.json["workflow"]:
        workflow = given.json["workflow"]
        given.change(workflow={**workflow, "historyLength": workflow["historyLength"] - 1})
    return given


@broken("history.long-poll-ends")
def a_long_poll_without_events_is_the_last_page(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.is_("GET", HISTORY) and not given.json["events"]:
        given.change(nextPageToken=None)
    return given


@broken("history.long-poll")
def a_long_poll_repeats_an_event(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if "longPollTimeoutMs" in asked.parameters and "pageToken" in asked.parameters:
        given.change(events=given.json["events"][:1] + given.json["events"])
    return given


# --- stream -----------------------------------------------------------------------------------------------


def _streamed(asked: Asked, given: Given, change: Callable[[list[Any]], list[Any]], **options: Any) -> Given:
    if given.status == 200 and asked.is_("GET", STREAM):
        given.stream(change(given.frames()), **options)
    return given


@broken("stream.resumes")
def a_resumed_stream_repeats_an_event(asked: Asked, ask: Ask) -> Given:
    last = asked.parameters.get("lastEventId", "")
    if asked.is_("GET", STREAM) and last.isdigit() and int(last) > 1:
        asked.parameters = {**asked.parameters, "lastEventId": str(int(last) - 1)}
    return ask()


@broken("stream.resumes")
def a_stream_cannot_be_resumed_by_a_header(asked: Asked, ask: Ask) -> Given:
    asked.set_header("Last-Event-ID", None)
    return ask()


@broken("stream.closed")
def a_stream_loses_an_event(asked: Asked, ask: Ask) -> Given:
    def without_the_second(frames: list[Any]) -> list[Any]:
        return [(e, data[:1] + data[2:] if e == "history" and len(data) > 2 else data) for e, data in frames]

    return _streamed(asked, ask(), without_the_second)


@broken("stream.closed")
def a_stream_has_no_done_event(asked: Asked, ask: Ask) -> Given:
    return _streamed(asked, ask(), lambda frames: [frame for frame in frames if frame[0] != "done"])


@broken("stream.closed")
def a_stream_always_ends_with_done(asked: Asked, ask: Ask) -> Given:
    def completed(frames: list[Any]) -> list[Any]:
        done = {"reason": "WORKFLOW_EXECUTION_COMPLETED"}
        return [(event, done if event == "done" else data) for event, data in frames]

    return _streamed(asked, ask(), completed)


@broken("stream.ids")
def the_frames_of_a_stream_have_no_id(asked: Asked, ask: Ask) -> Given:
    return _streamed(asked, ask(), lambda frames: frames, ids=False)


@broken("stream.nothing-left")
def a_stream_is_never_empty(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 204 and asked.is_("GET", STREAM):
        asked.query = ""
        asked.set_header("Last-Event-ID", None)
        return ask()
    return given


@broken("stream.live")
def a_stream_ends_before_its_run(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.is_("GET", STREAM):
        given.pieces = _first(given.pieces)
    return given


def _first(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A stream, cut after its first events."""
    seen = b""
    for piece in pieces:
        seen += piece
        yield piece
        if b"event: history" in seen:
            return


@broken("stream.headers")
def a_stream_may_be_buffered(asked: Asked, ask: Ask) -> Given:
    given = ask()
    given.headers.pop("cache-control", None)
    return given


# --- traces -----------------------------------------------------------------------------------------------


@broken("traces.running")
def the_trace_of_a_running_run_is_a_404(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 424 and asked.path.endswith("/trace-log"):
        given.error(404, "TraceNotAvailableError", workflowId=asked.id)
    return given


@broken("traces.closed")
def a_trace_has_another_path(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.path.endswith("/trace-log"):
        given.change(localPath="/tmp/trace.json")
    return given


@broken("traces.untraced")
def untraced_runs_are_incomplete(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if asked.path.endswith("/trace-log") and b"TraceNotAvailable" in given.body:
        given.error(424, "WorkflowNotCompletedError")
    return given


# --- catalog ----------------------------------------------------------------------------------------------


@broken("catalog.names")
def aliases_are_left_out_of_the_catalog(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.path == "/workflow/catalog":
        names = {name: real for name, real in given.json["workflowNames"].items() if name == real}
        given.change(workflowNames=names)
    return given


@broken("catalog.schemas")
def schemas_are_invalid(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.path == "/workflow/catalog":
        workflows = [{**one, "inputSchema": {"type": "any"}} for one in given.json["workflows"]]
        given.change(workflows=workflows)
    return given


@broken("catalog.unknown")
def an_unknown_catalog_is_empty(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 404 and asked.is_("GET", "/workflow/catalog/[^/]+"):
        given.status, given.json = 200, {"workflows": [], "workflowNames": {}}
    return given


@broken("catalog.same-again")
def a_named_catalog_is_another_one(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.is_("GET", "/workflow/catalog/[^/]+"):
        given.change(workflows=given.json["workflows"][1:])
    return given


# --- runs -------------------------------------------------------------------------------------------------


def _runs(asked: Asked, given: Given, change: Callable[[list[Any]], list[Any]]) -> Given:
    if given.status == 200 and asked.path == "/workflow/runs":
        runs = change(given.json["runs"])
        given.json = {"runs": runs, "count": len(runs)}
    return given


@broken("runs.list")
def the_oldest_run_comes_first(asked: Asked, ask: Ask) -> Given:
    return _runs(asked, ask(), lambda runs: runs[::-1])


@broken("runs.list")
def the_count_is_too_large(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if given.status == 200 and asked.path == "/workflow/runs":
        given.change(count=given.json["count"] + 1)
    return given


@broken("runs.limit")
def a_limit_is_ignored(asked: Asked, ask: Ask) -> Given:
    if asked.path == "/workflow/runs" and asked.parameters.get("limit") in ("1", "2"):
        asked.parameters = {name: text for name, text in asked.parameters.items() if name != "limit"}
    return ask()


@broken("runs.query")
def a_limit_may_be_zero(asked: Asked, ask: Ask) -> Given:
    if asked.query == "limit=0":
        asked.query = "limit=1"
    return ask()


@broken("runs.unknown-type", "runs.type")
def types_do_not_matter(asked: Asked, ask: Ask) -> Given:
    if asked.path == "/workflow/runs" and "workflowType" in asked.parameters:
        asked.parameters = {name: text for name, text in asked.parameters.items() if name != "workflowType"}
    return ask()


@broken("runs.entry")
def a_run_is_listed_with_the_time_of_its_start(asked: Asked, ask: Ask) -> Given:
    def changed(runs: list[Any]) -> list[Any]:
        return [{**one, "completedAt": one["completedAt"] and one["startedAt"]} for one in runs]

    return _runs(asked, ask(), changed)


@broken("runs.running")
def only_closed_runs_are_listed(asked: Asked, ask: Ask) -> Given:
    return _runs(asked, ask(), lambda runs: [one for one in runs if one["completedAt"]])


# --- sizes ------------------------------------------------------------------------------------------------


@broken("limits.body")
def a_body_may_have_one_mebibyte(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if len(asked.body) > 1024 * 1024:
        given.error(413, "PayloadTooLargeError")
    return given


@broken("limits.body")
def a_body_may_have_any_size(asked: Asked, ask: Ask) -> Given:
    if len(asked.body) > 2 * 1024 * 1024:
        asked.body = asked.body.replace(b"x" * 1024, b"")
    return ask()


@broken("limits.encoding")
def encodings_are_ignored(asked: Asked, ask: Ask) -> Given:
    if asked.header("Content-Encoding") == "br0ken":
        asked.set_header("Content-Encoding", None)
    return ask()


# --- lifecycle --------------------------------------------------------------------------------------------


@broken("lifecycle.model")
def updates_of_a_closed_run_answer(asked: Asked, ask: Ask) -> Given:
    given = ask()
    if "/update/" in asked.path and given.status == 404 and b"already completed" in given.body:
        given.status, given.json = 200, 0.8
    return given


@broken("lifecycle.model")
def a_reset_leaves_the_old_run_running(asked: Asked, ask: Ask) -> Given:
    given = ask()
    pinned = given.status == 200 and "/runs/" in asked.path and asked.path.endswith("/status")
    if pinned and given.json["status"] == "terminated":
        given.change(status="running", completedAt="")
    return given
