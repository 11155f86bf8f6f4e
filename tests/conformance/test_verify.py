"""`output-mock verify`: its output, its reports, its exit status, and that it leaves no runs behind."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import signal
import socketserver
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from output_contract import comparison, report_html, report_junit, verification
from output_contract.bounds import Bounds, Ledger, Spent, left_open
from output_contract.checks import AREAS, check_of
from output_contract.client import Client, Deviation, end
from output_contract.conformity import response_problems
from output_contract.exchange import RecordedExchange, Secrets, secret_values
from output_contract.pack import script
from output_contract.server import MapError, Server, read_map
from output_contract.target import Target
from output_contract.verdict import Outcome, Verdict, from_json
from output_contract.verification import Wanted
from output_contract.versions import NEWEST
from output_mock import Fault, OutputMock, Script
from output_mock.cli.verify import verify
from output_mock.recording.transport import InProcessTransport, SocketTransport
from tests.cli import commands
from tests.conformance.broken_fakes import BROKEN, TOKEN
from tests.conftest import eventually
from tests.inner_pytest import only_plugins

IDS = Path(__file__).with_name("contract_ids.txt")
PACKAGE = Path(verification.__file__).parent
QUICK = ("--only", "limits", "--examples", "5")


@contextmanager
def served(*scripts: Script, token: str | None = None) -> Iterator[tuple[OutputMock, str]]:
    mock = OutputMock("real", auth_token=token, scripts=scripts)
    try:
        with mock.serve() as url:
            yield mock, url
    finally:
        mock.close()


@pytest.fixture
def fake() -> Iterator[tuple[OutputMock, str]]:
    """A served fake with the pack."""
    with served(script) as both:
        yield both


def run(*arguments: str, **environment: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(verify, list(arguments), env=environment, catch_exceptions=False)


def command(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """The command in a separate process."""
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "output_mock", "verify", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def ended(mock: OutputMock) -> bool:
    return all(view.status != "running" for view in mock.runs.values())


# --- the verdict ------------------------------------------------------------------------------------------


def test_the_fake_passes_every_check_over_a_socket(tmp_path: Path) -> None:
    with served(script, token=TOKEN) as (mock, url):
        result = run(url, "--token", TOKEN, "-n", "2", "--report", str(tmp_path), "--examples", "5")
        assert result.exit_code == 0, result.output
        assert ended(mock), "it has left a run behind"
    report = json.loads((tmp_path / "verdict.json").read_text())
    assert report["verdict"] == "conforms"
    excluded = [check["id"] for check in report["checks"] if check["status"] == "not_applicable"]
    assert excluded == ["history.long-poll-ignored"], "that is how it was before"
    assert report["counts"] == {"passed": len(report["checks"]) - 1, "not_applicable": 1}, "all else passes"
    assert set(report["areas"]) == set(AREAS)


def test_the_fake_passes_every_check_in_process() -> None:
    # Broken fakes are also checked in process, with every check.
    result = run("--only", "system", "--only", "catalog", "--only", "messages", "--examples", "5")
    assert result.exit_code == 0, result.output
    assert "a fake in process passes the checks of system, catalog, messages" in result.output


def test_a_deviation_is_reported_with_request_response_expectation_and_reason() -> None:
    verdict = deviating("an_unknown_workflow_is_a_404", "validation.unknown-workflow")
    text = "\n".join(verification_text(verdict))
    assert verdict.exit_status == 1
    assert "✗ validation.unknown-workflow[run]  (required; body_validation: 424" in text
    assert re.search(r"found +expected 424 UnsupportedWorkflowError, got 404: ", text)
    (request,) = [line for line in text.splitlines() if "curl" in line and "/workflow/run" in line]
    words = shlex.split(request.partition("request")[2])
    assert words[:4] == ["curl", "-sS", "-i", "-X"]
    assert json.loads(words[words.index("--data-binary") + 1])["workflowName"].startswith("verify-")
    assert "Authorization: Basic $OUTPUT_API_AUTH_TOKEN" in words
    assert TOKEN not in text
    assert re.search(r"^validation +· +2 +·", text, re.MULTILINE)
    assert text.splitlines()[-1] == "a fake in process does not conform: 2 checks failed"


def deviating(name: str, *only: str, **options: Any) -> Verdict:
    """The verdict on a broken fake."""
    (broken,) = [one for one in BROKEN if one.name == name]
    mock = OutputMock("real", auth_token=TOKEN, scripts=[script])
    try:
        target = Target(broken.application(mock.app), TOKEN)
        return verification.verify(Wanted(target=target, only=only, patience=3, **options))
    finally:
        mock.close()


def verification_text(verdict: Verdict) -> list[str]:
    from output_contract import report_text

    return list(report_text.whole(verdict))


def test_the_example_that_a_property_fails_with_is_reported() -> None:
    text = "\n".join(verification_text(deviating("names_are_ascii", "messages.any-name")))
    # Hypothesis does not always print the values, which the request has in any case.
    assert re.search(r"is_answered\(\s+operation=.*,\s+name=", text), text
    assert re.search(r"request +curl .* -X POST .*/signal/", text), text


def test_a_partial_check_does_not_report_that_the_server_conforms() -> None:
    passed = [Outcome("run.alias", "required", "s", "passed")]
    assert Verdict("http://a", passed).words == "conforms"
    part = Verdict("http://a", passed, only=["run"])
    assert part.words == "passes the checks of run, and no others were asked for"


def test_one_failed_check_is_reported_in_the_singular() -> None:
    failed = [Outcome("run.alias", "required", "s", "failed", failure={"expected": "x"})]
    assert Verdict("http://a", failed).words == "does not conform: 1 check failed"
    minor = [*failed, Outcome("run.child", "observed", "s", "failed", failure={"expected": "y"})]
    assert Verdict("http://a", minor).words == "does not conform: 1 check failed, and 1 that is not required"


def test_only_the_first_of_many_failures_are_printed() -> None:
    verdict = Verdict("http://a")
    for number in range(30):
        failure = {"expected": f"x{'y' * number}"}
        verdict.add(Outcome(f"run.alias[{number}]", "required", "s", "failed", failure=failure))
    lines = verification_text(verdict)
    assert len([line for line in lines if line.startswith("✗ run.alias")]) == 20
    assert "✗ and 10 more; the report of --report DIR has all of them" in lines


def test_strict_counts_failures_of_recommended_checks() -> None:
    lenient = deviating("nothing_is_deprecated", "stop.deprecated")
    assert (lenient.exit_status, lenient.counts()["failed"]) == (0, 2)
    assert lenient.words.endswith("no others were asked for; 2 checks failed that are not required")
    assert deviating("nothing_is_deprecated", "stop.deprecated", strict=True).exit_status == 1


def test_a_server_without_the_pack_is_checked_as_far_as_possible(tmp_path: Path) -> None:
    with served() as (_, url):
        result = run(url, "--only", "run", "--only", "system", "--report", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "output-mock pack DIR" in result.output
    report = json.loads((tmp_path / "verdict.json").read_text())
    statuses = {one["status"] for one in report["checks"] if one["area"] == "run"}
    assert statuses == {"not_checked"}, "what could not be checked has not passed"
    assert all(one["reason"] for one in report["checks"] if one["status"] == "not_checked")


def test_a_verdict_says_when_nothing_could_be_checked() -> None:
    with served() as (_, url):
        result = run(url, "--only", "lifecycle")
    assert result.exit_code == 2
    assert "could not be checked: nothing could be checked, see the reasons above" in result.output


def test_read_only_starts_nothing(fake: tuple[OutputMock, str]) -> None:
    mock, url = fake
    before = set(mock.runs)
    result = run(url, "--read-only", "--examples", "2")
    assert result.exit_code == 0, result.output
    assert "which --read-only forbids" in result.output
    assert set(mock.runs) == before
    asked = [call for route in ("start", "run") for call in mock.calls(route=route)]
    assert not [call for call in asked if call.status == 200]


# --- workflows of one's own -------------------------------------------------------------------------------

own = Script()
own.workflow("short").returns({"pages": 3})
own.workflow("broken").fails("no such page", name="FatalError")
own.workflow("long").takes("1h").returns(None)
own.workflow("review").receives("never", {}, after="24h")


@own.workflow("asks")
async def asks(ctx: Any, input: Any) -> Any:
    return await ctx.wait_for_signal("approve", timeout="24h")


MAP = """
succeeds: {workflow: short, input: {month: 5, apiKey: sk-verysecret}, output: {pages: 3}}
fails: {workflow: broken}
takes_long: {workflow: long, input: {}}
waits: {workflow: asks, signal: approve, payload: {by: ana}}
"""


def test_your_own_workflows_can_take_the_roles_of_the_pack(tmp_path: Path) -> None:
    roles, report = tmp_path / "map.yaml", tmp_path / "report"
    roles.write_text(MAP)
    with served(own) as (mock, url):
        result = run(url, "--map", str(roles), "--examples", "2", "--patience", "10", "--report", str(report))
        assert result.exit_code == 0, result.output
        assert ended(mock)
    checks = json.loads((report / "verdict.json").read_text())["checks"]
    passed = {one["area"] for one in checks if one["status"] == "passed"}
    assert passed == set(AREAS) - {"auth", "lifecycle"}
    everything = "".join(path.read_text() for path in report.iterdir())
    assert "verysecret" not in everything + result.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("succeeds: [", ":1: the file is not valid YAML: "),
        ("- short", "write roles in it, such as 'succeeds: "),
        (
            "success: {workflow: short}",
            "there is no role 'success'; the roles are succeeds, fails, takes_long",
        ),
        ("fails: broken", "fails needs a workflow, such as 'workflow: my_workflow'"),
        (
            "fails: {workflow: b, inputs: {}}",
            "fails has an unknown key 'inputs'; it may have input, output, payload, signal",
        ),
        ("waits: {workflow: asks}", "waits needs the signal that it waits for"),
        ("fails: {workflow: b, step: 3}", "fails.step must be a name"),
    ],
)
def test_a_mistake_in_a_workflow_map_is_reported(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(text)
    with pytest.raises(MapError, match=re.escape(str(file))) as caught:
        read_map(file)
    assert words in str(caught.value)


def test_the_pack_can_be_served_on_temporal(monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[tuple[Any, ...]] = []
    with served() as (mock, url):

        @contextmanager
        def serve_on_temporal(
            given: Script, *, target: str, namespace: str, catalog: str, api_key: Any
        ) -> Iterator[str]:
            offered.append((given, target, namespace))
            for one in given.names:
                mock.workflow(one, catalog=catalog).returns({"total": 3})
            try:
                yield catalog
            finally:
                offered.append(("gone",))

        monkeypatch.setitem(
            sys.modules,
            "output_mock.temporal",
            SimpleNamespace(serve_on_temporal=serve_on_temporal, TemporalError=OSError),
        )
        result = run(url, "--temporal", "localhost:7233", "--namespace", "n", "--only", "run.result")
        assert result.exit_code == 0, result.output
        assert offered == [(script, "localhost:7233", "n"), ("gone",)]
        catalogs = {call.json["catalog"] for call in mock.calls(route="run")}
        assert [name.startswith("verify-") for name in catalogs] == [True]


# --- what goes wrong --------------------------------------------------------------------------------------


def failure(*arguments: str, **environment: str) -> str:
    result = CliRunner().invoke(verify, list(arguments), env=environment, catch_exceptions=True)
    assert result.exit_code == 2, result.output
    return result.output


def test_an_unreachable_server_could_not_be_checked() -> None:
    with served() as (_, url):
        pass
    assert (
        f"no server answers at {url} (the connection was refused); start it, or correct the URL"
        in failure(url)
    )
    assert "'localhost:3001' is not a base URL; write it like" in failure("localhost:3001")


def test_a_server_that_refuses_the_token_could_not_be_checked() -> None:
    with served(token=TOKEN) as (_, url):
        assert "asks for a token; give it with --token T" in failure(url, OUTPUT_API_AUTH_TOKEN="")
        assert "refuses this token; see --token" in failure(url, "--token", "wrong")
        ok = run(url, *QUICK, OUTPUT_API_AUTH_TOKEN=TOKEN)
        assert ok.exit_code == 0, ok.output


def test_an_unknown_area_is_reported() -> None:
    assert "there is no area 'stoop'; the areas are system, routing" in failure("--only", "stoop")
    assert "'many' is neither a number nor 'auto'" in failure("-n", "many")
    assert "give its URL" in failure("--catalog", "main")


@pytest.mark.parametrize(
    ("lacking", "told"),
    [({"pytest", "hypothesis"}, "pytest, hypothesis"), ({"xdist"}, "pytest-xdist")],
    ids=["checks", "in parallel"],
)
def test_a_missing_package_is_reported_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch, lacking: set[str], told: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in lacking else find(name))
    assert f"it needs {told}; run: pip install 'output-mock[contract]'" in failure("-n", "2")


def test_the_temporal_option_needs_the_sdk(
    monkeypatch: pytest.MonkeyPatch, fake: tuple[OutputMock, str]
) -> None:
    monkeypatch.setitem(sys.modules, "output_mock.temporal", None)
    assert "pip install 'output-mock[temporal]'" in failure(fake[1], "--temporal", "localhost:7233")


@pytest.mark.parametrize(
    ("area", "most", "workers"),
    [("routing", 20, ()), ("stop", 40, ()), ("stop", 41, ("-n", "2")), ("start", 7, ()), ("system", 1, ())],
)
def test_verify_respects_the_limit_of_requests(
    fake: tuple[OutputMock, str], area: str, most: int, workers: tuple[str, ...]
) -> None:
    mock, url = fake
    before = len(mock.calls)
    result = run(url, "--only", area, "--max-requests", str(most), *workers)
    assert result.exit_code == 2
    assert "the other requests are needed to end runs; --max-requests allows more" in result.output
    # Including those that check the access, and those that terminate runs.
    assert len(mock.calls) - before <= most
    assert ended(mock), "it has left a run behind"
    assert "left running" not in result.output


def test_the_limit_of_requests_holds_when_runs_cannot_be_terminated() -> None:
    with served(script) as (mock, url):
        mock.faults.add(Fault(status=500, route="terminate", times="always"))
        result = run(url, "--only", "start", "--max-requests", "30")
        assert len(mock.calls) <= 30
        assert "left running: verify-" in result.output


def test_verify_respects_the_time_limit() -> None:
    bounds = Bounds(10, until=0.0)
    with pytest.raises(Spent, match="--max-seconds gives more"):
        bounds.take()


@pytest.mark.parametrize(
    ("workers", "end"), [((), signal.SIGTERM), (("-n", "2"), signal.SIGINT)], ids=["alone", "workers"]
)
def test_an_interrupted_verify_terminates_its_runs(
    fake: tuple[OutputMock, str], workers: tuple[str, ...], end: signal.Signals
) -> None:
    mock, url = fake
    process = command(url, "--only", "run", *workers, start_new_session=True)
    begun = re.compile("verify-")

    def running() -> bool:
        return any(begun.match(name) and view.status == "running" for name, view in list(mock.runs.items()))

    eventually(running, seconds=60)
    # Like a terminal, which also signals the workers.
    os.killpg(process.pid, end)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, out + err
    assert "it was interrupted" in out
    assert ended(mock), "it has left a run behind"


def test_the_open_runs_of_a_killed_process_are_known(tmp_path: Path) -> None:
    one, other = Ledger(tmp_path, "gw0"), Ledger(tmp_path, "gw1")
    for name in ("a", "b é/😀\n"):
        one.begun(name)
    other.begun("c")
    one.ended("a")
    one.ended("never begun")
    assert list(left_open(tmp_path)) == ["b é/😀\n", "c"]
    one.begun("a")
    assert one.open == ["b é/😀\n", "a"]


def test_a_redirect_is_not_followed() -> None:
    elsewhere = Response("", 302, {"Location": "http://other.example/health"})
    verdict = verification.verify(Wanted(target=Target(elsewhere), only=["system.health"]))
    (outcome,) = verdict.failed
    assert outcome.failure is not None
    assert outcome.failure["answer"]["status"] == 302


@pytest.mark.parametrize("url", ["ftp://a", "http://", "http://a?b=c", "a.example"])
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not a base URL"):
        SocketTransport(url)


# --- what is left behind ----------------------------------------------------------------------------------


class Answering:
    """A server that gives the same response to every request, and records the paths."""

    def __init__(self, *answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.asked.append(Request(environ).path)
        if not self.answer:
            raise TimeoutError("no answer")
        status, value = self.answer
        answer = Response(json.dumps(value), status, {"Content-Type": "application/json; charset=utf-8"})
        return answer(environ, start_response)

    def server(self) -> Server:
        return Server(InProcessTransport(self), prefix="verify-x")


GONE = (404, {"error": "WorkflowNotFoundError", "message": "no"})


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        ((200, {"terminated": True, "workflowId": "a"}), True),
        (GONE, True),
        ((200, {"terminated": False}), False),
        ((200, {}), False),
        ((200, [True]), False),
        ((404, {"error": "NotFoundError"}), False),
        ((404, "Not Found"), False),
        ((500, {"terminated": True}), False),
    ],
)
def test_a_run_counts_as_ended_only_when_the_server_says_so(answer: Any, ended: bool) -> None:
    assert end(Answering(*answer).server(), ["a"]) == ([] if ended else ["a"])


def test_a_response_that_is_not_json_does_not_count_as_ended() -> None:
    server = Server(InProcessTransport(Response("OK")))
    assert end(server, ["a"]) == ["a"]


def test_a_run_that_could_not_be_terminated_is_reported() -> None:
    server = Answering(200, {"workflowId": "w", "runId": "r"})
    target = Target(server)
    verdict = verification.verify(Wanted(target=target, only=["validation.unknown-catalog"], patience=1))
    tried = [path for path in server.asked if path.endswith("/terminate")]
    assert verdict.left_running, "200 alone does not say that a run has ended"
    assert len(tried) == 3, "once after each of the two tests that have begun it, and once at the end"


def test_a_check_terminates_each_of_its_runs_once() -> None:
    answering = Answering(500, {})
    server = answering.server()
    one, other = Client(server), Client(server)
    one.body("w", workflowId="verify-x-1")
    other.body("w", workflowId="verify-x-2")
    one.end_runs()
    one.end_runs()
    assert answering.asked == ["/workflow/verify-x-1/terminate"]
    assert server.ledger.open == ["verify-x-1", "verify-x-2"], "what could not be ended is still known"


def test_a_server_that_ignores_one_terminate_request_gets_no_more() -> None:
    answering = Answering()
    server = answering.server()
    assert end(server, ["a", "b", "c"]) == ["a", "b", "c"]
    assert answering.asked == ["/workflow/a/terminate"]
    client = Client(server)
    client.body("w", workflowId="verify-x-1")
    client.end_runs()
    assert len(answering.asked) == 1
    assert server.ledger.open == ["verify-x-1"]


def test_no_run_is_terminated_after_the_time_limit() -> None:
    answering = Answering(*GONE)
    server = answering.server()
    server.bounds.until = 0.0
    client = Client(server)
    client.body("w", workflowId="verify-x-1")
    client.end_runs()
    assert end(server, ["a"], 0.0) == ["a"]
    assert answering.asked == []


def test_an_unsendable_id_does_not_prevent_terminating_other_runs() -> None:
    answering = Answering(*GONE)
    assert end(answering.server(), ["\ud800", "b"]) == []
    assert len(answering.asked) == 2


@pytest.mark.parametrize(
    ("body", "named", "known"),
    [
        ({"workflowName": "w", "workflowId": "verify-x-1"}, "verify-x-1", True),
        ({"workflowName": "w", "workflowId": "verify-x-1"}, "verify-x-other", True),
        ({"workflowName": "w", "workflowId": "verify-x-1"}, "production-7", False),
        ({"workflowName": "w"}, "chosen-by-the-server", True),
    ],
)
def test_verify_does_not_terminate_runs_that_it_did_not_start(body: Any, named: str, known: bool) -> None:
    server = Answering(200, {"workflowId": named, "runId": "0"}).server()
    client = Client(server)
    client._observe(client_exchange("/workflow/start", body, named))
    client._observe(client_exchange("/workflow/production-7/reset", {"stepName": "a"}, "production-7"))
    assert server.ledger.open == ([named] if known else [])


def client_exchange(path: str, body: Any, named: str) -> RecordedExchange:
    answer = json.dumps({"workflowId": named, "runId": "r"}).encode()
    return RecordedExchange("POST", path, [], json.dumps(body).encode(), 200, {}, answer)


# --- servers that mean harm -------------------------------------------------------------------------------


@contextmanager
def saying(first: bytes, again: bytes) -> Iterator[str]:
    """A server that sends some bytes to every client, and then others repeatedly."""
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            with suppress(OSError):
                self.request.sendall(first)
                while not over.wait(0.02):
                    self.request.sendall(again)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Drip: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
    ],
    ids=["headers", "continue", "endless", "length", "trailers"],
)
def test_a_response_that_trickles_in_is_cut_off_at_its_timeout(first: bytes, again: bytes) -> None:
    with saying(first, again) as url:
        client = Client(Server(SocketTransport(url)))
        with pytest.raises(Deviation, match=r"not whole after 1 seconds|to end within 1 seconds"):
            client.get("/health", timeout=1.0)


def test_an_endless_body_is_a_deviation_and_is_not_stored() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1024 * 1024)

    with pytest.raises(Deviation, match="the body has more than 16 MiB") as caught:
        Client(Server(InProcessTransport(Response(endless())))).get("/health")
    assert len(caught.value.exchange.answer) <= 16 * 1024 * 1024
    with pytest.raises(Deviation, match="16 MiB") as caught, served_by(Response(endless())) as url:
        Client(Server(SocketTransport(url))).get("/health")


@contextmanager
def served_by(application: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_large_bodies_of_many_responses_are_not_all_stored() -> None:
    client = Client(Server(InProcessTransport(Response("a" * 10**6, content_type="text/plain"))))
    for _ in range(3):
        with pytest.raises(Deviation):
            client.get("/health")
    assert [len(one.answer) > 10**5 for one in client.exchanges] == [False, False, True]


def test_only_the_first_of_many_problems_are_reported() -> None:
    body = json.dumps({"workflows": [5] * 10_000}).encode()
    headers = {"content-type": "application/json; charset=utf-8"}
    assert len(response_problems("GET", "/workflow/catalog", 200, headers, body)) == 50


# --- reports ----------------------------------------------------------------------------------------------


def a_verdict() -> Verdict:
    verdict = deviating("an_unknown_workflow_is_a_404", "validation.unknown-workflow", "validation.no-body")
    verdict.add(Outcome("run.alias", "required", "run_values", "not_checked", reason="it needs <the> pack"))
    return verdict


class Page(HTMLParser):
    """The parsed elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta",):
            self.open.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href", "srcset")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_self_contained() -> None:
    verdict = a_verdict()
    page = Page()
    page.feed(report_html.document(verdict))
    assert page.open == []
    assert page.links == []
    assert "url(" not in report_html.document(verdict)
    for words in (
        "validation.unknown-workflow[run]",
        "expected 424 UnsupportedWorkflowError, got 404",
        "it needs <the> pack",
        "run.alias",
    ):
        assert words in page.text
    assert TOKEN not in page.text


def test_the_counts_in_junit_xml_match_the_verdict() -> None:
    verdict = a_verdict()
    root = ElementTree.fromstring(report_junit.document(verdict))
    cases = root.findall("testsuite/testcase")
    assert len(cases) == len(verdict.outcomes) == int(root.attrib["tests"])
    assert [case.attrib["name"] for case in cases if case.find("failure") is not None] == [
        one.id for one in verdict.of("failed")
    ]
    assert [case.attrib["name"] for case in cases if case.find("skipped") is not None] == ["run.alias"]
    assert int(root.attrib["failures"]) == 2


def test_any_response_can_be_written_to_junit_xml() -> None:
    failure = {"expected": "a\x00b\ud800", "curl": "\x1b", "answer": {"status": 200, "body": "￾"}}
    verdict = Verdict("http://a", [Outcome("run.alias", "required", "s", "failed", failure=failure)])
    found = ElementTree.fromstring(report_junit.document(verdict)).find("testsuite/testcase/failure")
    assert found is not None
    assert found.attrib["message"] == "a�b�"


def test_a_verdict_can_be_written_and_read_again() -> None:
    verdict = a_verdict()
    again = from_json(json.loads(json.dumps(verdict.as_json())))
    assert again.as_json() == verdict.as_json()
    with pytest.raises(ValueError, match="it is not a verdict of this version of output-mock verify"):
        from_json({"url": "x"})


def test_secrets_are_masked() -> None:
    secrets = Secrets("tok-123456", ("hunter2",))
    body = json.dumps(
        {"password": "p4ss", "nested": [{"apiKey": "k3y", "pageToken": "AAAA"}], "a": "hunter2"}
    )
    exchange = RecordedExchange(
        "POST", "/x?X-Amz-Signature=abc&y=1", [("Authorization", "Basic tok-123456")], body.encode()
    )
    curl = secrets.curl("http://a", exchange)
    for hidden in ("tok-123456", "p4ss", "k3y", "hunter2", "abc"):
        assert hidden not in curl
    words = """got {"password":"p4ss", 'accessToken': 'k3y', "nextPageToken": "AAAA"}"""
    hidden = """got {"password":"[redacted]", 'accessToken': '[redacted]', "nextPageToken": "AAAA"}"""
    assert secrets.hidden(words) == hidden
    assert "AAAA" in curl, "a page token is no secret, and who repeats the request needs it"
    assert '-H "Authorization: Basic $OUTPUT_API_AUTH_TOKEN"' in curl
    exchange.answer, exchange.answer_headers = body.encode(), {"set-cookie": "s=1", "x": "tok-123456"}
    answer = secrets.answer(exchange)
    assert answer["headers"] == {"set-cookie": "[redacted]", "x": "[redacted]"}
    assert "p4ss" not in answer["body"]


@pytest.mark.parametrize(
    "name", ["token", "csrfToken", "x-amz-security-token", "GITHUB_TOKEN", "clientSecret"]
)
@pytest.mark.parametrize("value", ["p4ss", ["p4ss"], {"user": {"a]": "p4ss"}}, 'a"p4ss'])
def test_every_value_under_a_secret_name_is_masked(name: str, value: Any) -> None:
    whole = {"a": [{name: value}], "pageToken": "AAAA", "nextPageToken": "BBBB", "tokens": 7}
    text = json.dumps(whole)
    for said in (
        Secrets().body(text.encode()),
        Secrets().hidden(f"got {text}"),
        Secrets().hidden(f"got {whole!r}"),
        Secrets().hidden(f"got {json.dumps({'message': text})}"),
    ):
        assert "p4ss" not in said
        assert "[redacted]" in said
    shown = json.loads(Secrets().body(text.encode()))
    assert shown == {**whole, "a": [{name: "[redacted]"}]}
    assert "p4ss" in secret_values(whole)[0]


def test_a_truncated_secret_is_masked() -> None:
    for text in ('{"password": "p4ss', "{'password': 'p4ss\\", '{"secrets": ["p4ss"', '{"apiKey": 4444'):
        said = Secrets().hidden(text)
        assert not re.search("p4ss|4444", said)
    assert Secrets().hidden('{"password": null}') == '{"password": null}'


def test_secrets_are_found_quickly_in_any_text() -> None:
    pieces = ["?", "?token", "&a", '"', "'token", '"token":', "password", "[", '\\"', " "]
    code = (
        "import sys; from output_contract.exchange import Secrets\n"
        "for piece in sys.argv[1:]:\n"
        "    print(piece, flush=True)\n"
        "    for text in (piece, piece + ' token', '\"token\": ' + piece):\n"
        "        Secrets('tok-123456').hidden(text * 2_000_000)"
    )
    # A process of its own, as nothing can interrupt the search.
    command = [sys.executable, "-c", code, *pieces]
    try:
        process = subprocess.run(command, stdout=subprocess.PIPE, timeout=300, check=False)
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"the last of these takes too long: {late.stdout!r}")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Basic Tok-123456", "Basic $OUTPUT_API_AUTH_TOKEN"),
        ("Basic Tok-123456x", "Basic ${OUTPUT_API_AUTH_TOKEN}x"),
        ("Bearer Tok-123456", "Bearer $OUTPUT_API_AUTH_TOKEN"),
        ("Tok-123456", "$OUTPUT_API_AUTH_TOKEN"),
        ("Basic Tok-12345", "Basic …"),
        ("Basic tOK-123456", "Basic …"),
        ("Basic wrong`", "Basic …"),
        ("x Tok-123456", "Basic …"),
    ],
)
def test_a_nearly_correct_token_is_masked(value: str, shown: str) -> None:
    exchange = RecordedExchange("GET", "/x", [("Authorization", value)], None, 401, {}, value.encode())
    secrets = Secrets("Tok-123456")
    assert f'-H "Authorization: {shown}"' in secrets.curl("http://a", exchange)
    assert not re.search("Tok-12345|tOK-12345", secrets.answer(exchange)["body"])


def test_an_authorization_header_is_masked_even_without_a_known_token() -> None:
    exchange = RecordedExchange("GET", "/x", [("authorization", "Basic whatever"), ("Cookie", "s=1")], None)
    assert Secrets().curl("http://a", exchange) == (
        "curl -sS -i -H \"authorization: Basic …\" -H 'Cookie: [redacted]' http://a/x"
    )


HARMFUL = {
    "surrogate": b'{"runs": [], "workflows": "\\ud800", "\\ud800": 1}',
    "deep": b"[" * 100_000,
    "deep-object": b'{"a":' * 100_000,
    "nearly-too-deep": b"[" * 900 + b"]" * 900,
    "escapes": b'{"workflows": "\x1b[2J\\u001b]0;x\\u0007\\u009b\\u202e"}',
}


@pytest.mark.parametrize(
    ("body", "workers"),
    [*((body, None) for body in HARMFUL.values()), (HARMFUL["surrogate"], "2")],
    ids=[*HARMFUL, "surrogate-by-workers"],
)
def test_every_body_can_be_reported(tmp_path: Path, body: bytes, workers: str | None) -> None:
    if workers is not None:
        harmful = Response(body, content_type="application/json; charset=utf-8")
        with served_by(harmful) as url:
            result = run(url, "--only", "catalog", "-n", workers, "--report", str(tmp_path))
        text, status = result.output, result.exit_code
    else:
        harmful = Response(body, content_type="application/json; charset=utf-8")
        verdict = verification.verify(Wanted(target=Target(harmful), only=["catalog", "runs"], patience=1))
        verification.write_reports(verdict, tmp_path)
        text, status = "\n".join(verification_text(verdict)), verdict.exit_status
        text.encode()
        assert verdict.problems == []
    assert status == 1, text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    assert json.loads((tmp_path / "verdict.json").read_text())["counts"]["failed"] >= 2
    assert (tmp_path / "report.html").stat().st_size > 1000
    ElementTree.parse(tmp_path / "junit.xml")


def test_control_characters_in_a_report_are_escaped_on_the_terminal(tmp_path: Path) -> None:
    answer = {"status": 200, "headers": {"x": "\x1b"}, "body": "\x9b\r\n\tb"}
    failure = {"expected": "a\x1b[2J\r\ud800", "curl": "\x07", "answer": answer}
    verdict = Verdict("http://a", [Outcome("run.alias", "required", "s", "failed", failure=failure)])
    verdict.left_running = ["w\x1b"]
    text = "\n".join(verification_text(verdict))
    assert "found    a�[2J��" in text
    assert "left running: w�; end it" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text)
    verification.write_reports(verdict, tmp_path)
    assert "\x1b" not in (tmp_path / "report.html").read_text()


# --- two servers ------------------------------------------------------------------------------------------


def test_two_equal_servers_are_reported_as_equal(fake: tuple[OutputMock, str], tmp_path: Path) -> None:
    _, url = fake
    result = run(url, *QUICK, "--against", url, "--report", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "5 checks have the same result, 0 do not" in result.output
    again = run(url, *QUICK, "--against", str(tmp_path / "against"))
    assert again.exit_code == 0, again.output


def test_differences_between_two_servers_are_reported(fake: tuple[OutputMock, str], tmp_path: Path) -> None:
    verification.write_reports(deviating("a_body_may_have_any_size", "limits"), tmp_path)
    result = run(fake[1], *QUICK, "--against", str(tmp_path / "verdict.json"))
    assert result.exit_code == 1, result.output
    assert re.search(r"^limits.body +passed +failed$", result.output, re.MULTILINE)
    assert "    B: expected 413 PayloadTooLargeError, got 424" in result.output


def test_an_unreadable_report_is_an_error(fake: tuple[OutputMock, str], tmp_path: Path) -> None:
    assert "the file cannot be read: No such file" in failure(fake[1], "--against", str(tmp_path / "none"))


def test_a_check_that_ran_on_one_of_two_servers_is_a_difference() -> None:
    one, other = Verdict("http://a"), Verdict("http://b")
    one.add(Outcome("run.alias", "required", "s", "passed"))
    one.add(Outcome("run.child", "required", "s", "passed"))
    other.add(Outcome("run.child", "required", "s", "passed"))
    assert [pair.id for pair in comparison.differences(one, other)] == ["run.alias"]
    assert comparison.exit_status(one, other) == 1


# --- plain pytest -----------------------------------------------------------------------------------------


# This plugin takes as long to load as all others together.
ALL_PLUGINS = {"PYTEST_ADDOPTS": "-p no:schemathesis"}
OUR_PLUGIN = only_plugins()


def plain(
    tmp_path: Path, *arguments: str, plugins: Mapping[str, str] = OUR_PLUGIN
) -> subprocess.CompletedProcess[str]:
    """Run the suite with plain pytest in the folder of a project."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--pyargs", "output_contract", *arguments],
        cwd=tmp_path,
        env={**os.environ, **plugins},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_plain_pytest_runs_the_suite(fake: tuple[OutputMock, str], tmp_path: Path) -> None:
    arguments = ("--output-url", fake[1], "-k", "health or catalog or signal")
    found = plain(tmp_path, *arguments, plugins=ALL_PLUGINS)
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"^catalog +\d+ +· +·", found.stdout, re.MULTILINE)


def test_plain_pytest_has_the_options_of_the_plugin(tmp_path: Path) -> None:
    options = ("--output-fake", "--output-only", "catalog.there")
    found = plain(tmp_path, *options)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "deselected" in found.stdout


def test_the_suite_reports_that_it_needs_a_server(tmp_path: Path) -> None:
    found = plain(tmp_path)
    assert found.returncode != 0
    assert "name it with --output-url URL" in found.stdout + found.stderr


# Files of a user's project that could be mistaken for the suite, or that configure pytest.
_PASSES = "def test_own(): pass"
_NAMESAKES = {
    "contract_tests/__init__.py": "",
    "contract_tests/test_own.py": _PASSES,
    "output_contract/__init__.py": "",
    "output_contract/test_own.py": _PASSES,
    "pack.py": "1 / 0",
    "plugin.py": "1 / 0",
    "checks.py": "1 / 0",
}
_SKIPS = """
import pytest
@pytest.fixture(autouse=True)
def never():
    pytest.skip("theirs")
"""
# The files of a project, and whether the suite can check the server there. Otherwise it must fail.
PROJECTS: dict[str, tuple[dict[str, str], bool]] = {
    "namesakes": (_NAMESAKES, True),
    "a module of its name": ({"output_contract.py": _PASSES}, True),
    "a path with its name": (
        {
            "pytest.ini": "[pytest]\npythonpath = lib\n",
            "lib/output_contract/__init__.py": "",
            "lib/output_contract/test_own.py": _PASSES,
        },
        True,
    ),
    "a plugin of its name": (
        {"pytest.ini": "[pytest]\naddopts = -p output_contract\n", "output_contract.py": ""},
        False,
    ),
    "a conftest that skips all": ({"conftest.py": _SKIPS}, False),
    "options that run nothing": ({"pytest.ini": "[pytest]\naddopts = --collect-only\n"}, False),
    "other names of tests": ({"pytest.ini": "[pytest]\npython_functions = check_*\n"}, False),
}


def project(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return folder


@pytest.mark.parametrize("name", PROJECTS)
def test_pytest_checks_the_server_or_fails_in_any_project(
    fake: tuple[OutputMock, str], tmp_path: Path, name: str
) -> None:
    files, is_checked = PROJECTS[name]
    found = plain(project(tmp_path, files), "--output-url", fake[1], "--output-only", "catalog.there")
    output = found.stdout + found.stderr
    assert (found.returncode == 0) is is_checked, output
    assert (re.search(r"^catalog +1 +· +·", found.stdout, re.MULTILINE) is not None) is is_checked, output


def test_pytest_refuses_to_run_the_suite_without_a_reachable_server(tmp_path: Path) -> None:
    found = plain(project(tmp_path, _NAMESAKES), "--output-url", "http://127.0.0.1:9")
    assert found.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no server answers at http://127.0.0.1:9" in found.stderr


def test_verify_checks_the_server_in_any_project(fake: tuple[OutputMock, str], tmp_path: Path) -> None:
    options = "[pytest]\naddopts = --collect-only\npython_files = check_*.py\n"
    files = {**_NAMESAKES, "conftest.py": "1 / 0", "pytest.ini": options}
    environment = {**os.environ, "PYTEST_PLUGINS": "nothing_there", "PYTHONPATH": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-m", "output_mock", "verify", fake[1], "--only", "catalog.there", "-n", "2"],
        cwd=project(tmp_path, files),
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"^catalog +1 +· +·", found.stdout, re.MULTILINE)


# --- the checks themselves --------------------------------------------------------------------------------


class Checks:
    """Collects the marks of the suite's tests."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self.files: dict[str, set[str]] = {}
        self.sources: list[str] = []
        # The number of checks of the newest version in each area. Each case of a test counts.
        self.numbers: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            check = check_of(item)
            assert check is not None, f"{item.nodeid} has no @check"
            name = check.id.partition("[")[0]
            test = item.nodeid.partition("[")[0]
            assert self.found.setdefault(name, test) == test, f"{name} is the id of two tests"
            self.files.setdefault(check.area, set()).add(item.path.name)
            self.sources.append(check.source)
            if check.excluded(NEWEST, NEWEST) is None:
                self.numbers[check.area] += 1


@pytest.fixture(scope="module")
def checks() -> Checks:
    collected = Checks()
    mock = OutputMock()
    arguments = [str(PACKAGE), "-c", os.devnull, "--import-mode=importlib", "--collect-only"]
    plugins = ["-p", "pytest_output.plugin", "-p", "no:cacheprovider", "-p", "no:terminal"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        assert pytest.main([*arguments, *plugins], [collected, Target(mock.app)]) == 5, "nothing is checked"
    return collected


def test_check_ids_never_change(checks: Checks) -> None:
    """Users refer to the ids. A new check adds a line to the file, and no line is ever removed."""
    assert sorted(checks.found) == IDS.read_text().split()


def test_every_area_has_its_own_file(checks: Checks) -> None:
    assert checks.files == {area: {f"test_{area}.py"} for area in AREAS}


def test_every_recording_that_a_check_cites_exists(checks: Checks) -> None:
    recordings = Path(__file__).parents[1] / "recordings" / "0.11"
    known = {path.stem for path in recordings.glob("*.json")}
    known |= {f"further/{path.stem}" for path in (recordings / "further").glob("*.json")}
    known |= {path.stem for path in (recordings / "more").glob("*.json")}
    for source in checks.sources:
        named = {word for part in source.split(":")[0:1] for word in part.replace(";", ",").split(", ")}
        assert named & known, f"{source!r} names no recording"


def test_the_guide_shows_a_real_verdict(checks: Checks) -> None:
    readme = (Path(__file__).parents[2] / "docs" / "guides" / "verify.md").read_text()
    (screen,) = re.findall(r"```text\n(✗ .*?)```", readme, re.DOTALL)
    rows = re.findall(r"^(\w+) +(\d+|·) +(\d+|·) +· ", screen, re.MULTILINE)
    shown = {area: sum(int(cell) for cell in cells if cell != "·") for area, *cells in rows}
    assert shown == dict(checks.numbers)
    total = checks.numbers.total()
    assert re.search(rf"^ +{total - 1} +1 +0$", screen, re.MULTILINE)
    assert f"in {total} checks" in " ".join((Path(__file__).parents[2] / "CHANGELOG.md").read_text().split())
    assert f"by {len(BROKEN)} broken fakes" in readme
    verdict = deviating("later_pages_lose_an_event", "history.pages")
    found, _, _ = "\n".join(verification_text(verdict)).partition("\n\n")
    expected, _, _ = screen.partition("\n\n")
    pattern = ".*?".join(re.escape(part) for part in expected.split("…")).replace("output\\.example", "[^/]*")
    assert re.match(pattern.replace("https", "http"), found, re.DOTALL), f"{found}\n{pattern}"


def test_verify_reports_its_progress(fake: tuple[OutputMock, str]) -> None:
    import pty

    master, slave = pty.openpty()
    arguments = [sys.executable, "-m", "output_mock", "verify", fake[1], *QUICK]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    process.communicate(timeout=100)
    seen = os.read(master, 100_000).decode()
    os.close(master)
    assert process.returncode == 0
    assert "\r\x1b[K1 of 5  test_" in seen
    assert seen.endswith("\r\x1b[K"), "the line is gone at the end"


# --- what cannot be meant ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["http://127.0.0.1:9", "--token", "secret\n"], 2, "does it contain a line break?"),
        (["https://user:secret@127.0.0.1:9"], 2, "the URL must not contain a user name"),
        (
            ["http://127.0.0.1:9", "--against", "http://me@127.0.0.1:9"],
            2,
            "the URL must not contain a user name",
        ),
        (["http://127.0.0.1:9", "--catalog", "a b"], 2, "is not a valid catalog name"),
        (["http://127.0.0.1:9", "--temporal", "nowhere"], 2, "is not an address; write HOST:PORT"),
        (["http://127.0.0.1:9", "--temporal", "127.0.0.1:7233", "--read-only"], 2, "leave --read-only out"),
        (["http://127.0.0.1:9", "--temporal", "127.0.0.1:7233", "--catalog", "c"], 2, "leave --catalog out"),
        (["--only", "run.no-such-check", *QUICK], 2, "there is no check 'run.no-such-check'"),
    ],
)
def test_invalid_options_are_refused_without_revealing_secrets(
    arguments: list[str], status: int, words: str
) -> None:
    done = commands.run("verify", *arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stderr + done.stdout
    assert "secret" not in done.stderr + done.stdout


class _Gateway(BaseHTTPRequestHandler):
    """A gateway that responds in place of the server."""

    answer = 301

    def do_GET(self) -> None:
        self.send_response(self.answer)
        self.send_header("Location", "https://elsewhere.example/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("answer", "words"),
    [(301, "redirects to another URL (301); give that one"), (502, "the server behind it is not up")],
)
def test_a_gateway_in_front_of_a_server_is_not_mistaken_for_it(answer: int, words: str) -> None:
    handler = type("Handler", (_Gateway,), {"answer": answer})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        result = run(url)
        server.shutdown()
        thread.join()
    assert result.exit_code == 2
    assert words in result.output


def test_an_unreachable_temporal_is_reported_in_one_line(fake: tuple[OutputMock, str]) -> None:
    pytest.importorskip("temporalio")
    result = run(fake[1], "--token", TOKEN, "--temporal", "127.0.0.1:9", *QUICK)
    assert result.exit_code == 2
    assert "--temporal: " in result.output
    assert "127.0.0.1:9" in result.output
    assert "Traceback" not in result.output


def test_require_all_requires_every_check(fake: tuple[OutputMock, str]) -> None:
    arguments = [fake[1], "--token", TOKEN, "--only", "start", "--only", "system", "--read-only"]
    assert run(*arguments).exit_code == 0
    result = run(*arguments, "--require-all")
    assert result.exit_code == 2
    assert "--require-all demands all of them" in result.output
    other_versions = [fake[1], "--only", "history.long-poll-ignored", "--only", "system.health"]
    assert run(*other_versions, "--require-all").exit_code == 0, "what does not apply need not be checked"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("succeeds: {workflow: w, input: {day: 2024-01-01}}", "succeeds.input is not JSON"),
        ("succeeds: {workflow: w, output: .nan}", "succeeds.output is not JSON"),
    ],
)
def test_a_workflow_map_that_cannot_be_sent_is_refused(tmp_path: Path, said: str, words: str) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(said)
    with pytest.raises(MapError, match=words):
        read_map(file)


def test_a_workflow_map_with_an_unknown_workflow_is_refused(
    fake: tuple[OutputMock, str], tmp_path: Path
) -> None:
    file = tmp_path / "map.yaml"
    file.write_text("takes_long: {workflow: no_such_workflow}")
    told = failure(fake[1], "--token", TOKEN, "--map", str(file), "--only", "runs.running")
    assert "the catalog has no workflow 'no_such_workflow', which the file of --map names under" in told
    assert "; it has conf_" in told


def test_the_exit_status_is_the_same_when_the_output_pipe_is_closed_early(tmp_path: Path) -> None:
    words = f"{sys.executable} -m output_mock verify --only catalog --report {tmp_path} | head -n 1; "
    words += 'exit "${PIPESTATUS[0]}"'
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert (tmp_path / "verdict.json").exists()
