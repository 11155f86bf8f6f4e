"""The command `output-mock` in separate processes: real sockets and signals."""

from __future__ import annotations

import errno
import functools
import http.client
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest

from output_mock import OutputMock
from output_mock.openapi import document
from tests.cli.commands import PATIENCE, REAL_VARIABLES, one_line, run
from tests.cli.forked import Forked
from tests.conftest import eventually, until_received

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "output_mock"]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(REAL_VARIABLES)},
    "PYTHONPATH": str(ROOT),
}

SCRIPT = """\
from output_mock import Script

script = Script()
script.workflow("echo").returns(lambda given: given)
script.workflow("long").takes("45m").returns("done")


@script.workflow("waits")
async def waits(ctx, given):
    return await ctx.wait_for_signal("go")


@script.workflow("parent")
async def parent(ctx, given):
    return await ctx.child("echo", given)


@script.workflow("wrong")
async def wrong(ctx, given):
    ctx.on_query("wrong", lambda payload: 1 / 0)
    return given["nothing"]
"""


class Answer(NamedTuple):
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Fake:
    """A running `output-mock serve`."""

    def __init__(self, process: subprocess.Popen[str] | Forked, first_line: str, log: Path) -> None:
        self.process = process
        self.first_line = first_line
        self._log = log
        found = re.search(r" on (http://\S+) ", first_line)
        assert found, (first_line, self.log)
        url = urllib.parse.urlsplit(found.group(1))
        assert url.port is not None
        self.host, self.port = url.hostname or "", url.port

    @property
    def log(self) -> str:
        """The output on stderr so far."""
        return self._log.read_text()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        with closing(http.client.HTTPConnection(host, self.port, timeout=PATIENCE)) as connection:
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def start(self, workflow: str, workflow_id: str | None = None, **body: Any) -> dict[str, Any]:
        given = {} if workflow_id is None else {"workflowId": workflow_id}
        answer = self.ask("POST", "/workflow/start", {"workflowName": workflow, **given, **body})
        assert answer.status == 200, answer
        started: dict[str, Any] = answer.json
        return started

    def send(self, path: str) -> socket.socket:
        """Open a connection and send a GET request on it."""
        connection = socket.create_connection((self.host, self.port), timeout=PATIENCE)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return connection

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


Serve = Callable[..., Fake]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers, on a free port unless the arguments name one."""
    with ExitStack() as stack:
        logs = iter(range(1000))

        def start(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Fake:
            environment = environment or {}
            words = [str(argument) for argument in arguments]
            if "--port" not in words and "OUTPUT_API_PORT" not in environment:
                words += ["--port", "0"]
            log = tmp_path / f"stderr-{next(logs)}.txt"
            process = Forked(["serve", *words], {**ENVIRONMENT, **environment}, tmp_path, log)
            stack.callback(_end, process)
            return Fake(process, process.stdout.readline(), log)

        yield start


def _end(process: subprocess.Popen[str] | Forked) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(PATIENCE)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    return file


until = functools.partial(eventually, seconds=PATIENCE)


# Scripts


def test_the_first_line_shows_url_catalog_workflows_clock_and_seed(serve: Serve, script: Path) -> None:
    fake = serve(script, "--seed", "7")
    assert re.fullmatch(
        r"Serving 5 workflows in catalog main on http://127\.0\.0\.1:\d+ \(clock auto, seed 7\)\n",
        fake.first_line,
    )
    assert fake.get("/health") == (200, "OK")


def test_without_a_script_the_demo_is_served(serve: Serve) -> None:
    fake = serve()
    assert fake.first_line.startswith("Serving 5 workflows of the demonstration in catalog main on http://")
    body = {"workflowName": "summarize_url", "input": {"url": "https://a.example"}}
    assert fake.ask("POST", "/workflow/run", body).json["status"] == "completed"


def test_several_scripts_are_served_together_and_can_import_modules_next_to_them(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "neighbour.py").write_text("NAME = 'first'\n")
    (tmp_path / "one.py").write_text(
        "import neighbour\nfrom output_mock import Script\n"
        "script = Script()\nscript.workflow(neighbour.NAME).returns(1)\n"
    )
    (tmp_path / "two.py").write_text(
        "from output_mock import OutputMock\nmock = OutputMock()\nmock.workflow('second').returns(2)\n"
    )
    fake = serve("one.py", "two.py")
    assert fake.first_line.startswith("Serving 2 workflows in catalog main")
    assert list(fake.get("/workflow/catalog").json["workflowNames"]) == ["first", "second"]


def test_the_workflows_of_the_conformance_suite_are_served_in_their_own_catalogs(serve: Serve) -> None:
    fake = serve("--pack", "--clock", "real")
    assert re.match(r"Serving \d+ workflows in catalogs main, remote on \S+ \(clock real", fake.first_line)
    assert fake.get("/workflow/catalog/remote").json == fake.get("/workflow/catalog/main").json


# Options and environment variables


def test_the_port_option_overrides_the_variable(serve: Serve) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    fake = serve("--port", str(port), environment={"OUTPUT_API_PORT": "1"})
    assert fake.port == port
    assert fake.get("/health") == (200, "OK")


def test_the_port_variable_applies_without_the_option(serve: Serve) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    assert serve(environment={"OUTPUT_API_PORT": str(port)}).port == port


@pytest.mark.parametrize(
    ("environment", "port"),
    [({}, 3001), ({"NODE_ENV": "production", "OUTPUT_API_AUTH_TOKEN": "t"}, 3000)],
    ids=["development", "production"],
)
def test_the_default_port_is_that_of_the_real_server(environment: dict[str, str], port: int) -> None:
    # The port is busy here, so the error names it.
    with ExitStack() as stack:
        try:
            stack.enter_context(closing(socket.create_server(("127.0.0.1", port))))
        except OSError:
            pass
        ended = run("serve", environment=environment)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"port {port} of 127.0.0.1 is in use" in ended.stderr


def test_the_host_option_sets_the_listening_address(serve: Serve) -> None:
    fake = serve("--host", "localhost")
    assert fake.host == "localhost"
    assert fake.get("/health") == (200, "OK")
    assert fake.log == "" or "warning" not in fake.log


@pytest.mark.parametrize(
    ("tokens", "unguarded"),
    [
        ([], "; requests need no token, see --auth-token"),
        (["--control-token", "u"], "; requests to its API need no token, see --auth-token"),
        (["--auth-token", "t"], ""),
        (["--auth-token", "t", "--control-token", "u"], ""),
    ],
    ids=["open", "half guarded", "one token for both", "two tokens"],
)
def test_a_host_that_other_machines_can_reach_gets_a_warning(
    serve: Serve, tokens: list[str], unguarded: str
) -> None:
    fake = serve("--host", "0.0.0.0", *tokens)
    assert fake.log.splitlines()[0] == f"warning: 0.0.0.0 can be reached from other machines{unguarded}"
    assert fake.get("/health") == (200, "OK")


def test_the_auto_clock_skips_waiting_times(serve: Serve, script: Path) -> None:
    fake = serve(script)
    fake.start("long", "l")
    until(lambda: fake.get("/workflow/l/status").json["status"] == "completed")


@pytest.mark.parametrize("clock", ["manual", "real"])
def test_on_the_other_clocks_time_does_not_jump(serve: Serve, script: Path, clock: str) -> None:
    fake = serve(script, "--clock", clock)
    assert f"(clock {clock}, " in fake.first_line
    fake.start("long", "l")
    for _ in range(10):
        assert fake.get("/workflow/l/status").json["status"] == "running"


def test_the_catalog_option_names_the_default_catalog_and_overrides_the_variable(
    serve: Serve, script: Path
) -> None:
    for fake in (
        serve(script, "--catalog", "Mine@1.0", environment={"OUTPUT_CATALOG_ID": "other"}),
        serve(script, environment={"OUTPUT_CATALOG_ID": "Mine@1.0"}),
    ):
        assert " in catalog Mine@1.0 on " in fake.first_line
        assert fake.get("/workflow/catalog/Mine@1.0").status == 200
        assert fake.get("/workflow/catalog/main").status == 404


def test_an_auth_token_is_required_for_every_request(serve: Serve) -> None:
    fake = serve("--auth-token", "secret")
    assert fake.first_line.endswith("token required)\n")
    assert "secret" not in fake.first_line
    assert fake.get("/workflow/catalog") == (401, "Unauthorized")
    assert fake.get("/workflow/catalog", Authorization="Basic secret").status == 200
    assert fake.get("/health") == (200, "OK")


def test_in_production_the_auth_token_variable_is_used(serve: Serve) -> None:
    variables = {"NODE_ENV": "production", "OUTPUT_API_AUTH_TOKEN": "secret"}
    fake = serve(environment=variables)
    assert fake.get("/workflow/catalog").status == 401
    assert fake.get("/workflow/catalog", Authorization="Basic secret").status == 200
    flagged = serve("--auth-token", "flag", environment=variables)
    assert flagged.get("/workflow/catalog", Authorization="Basic secret").status == 401
    assert flagged.get("/workflow/catalog", Authorization="Basic flag").status == 200
    assert "OUTPUT_API_AUTH_TOKEN is set but not used, as --auth-token gives another token" in flagged.log


@pytest.mark.parametrize("node_env", ["", "development", "test"])
def test_outside_production_the_auth_token_variable_is_ignored(serve: Serve, node_env: str) -> None:
    fake = serve(environment={"NODE_ENV": node_env, "OUTPUT_API_AUTH_TOKEN": "secret"})
    assert "requests need no token, as NODE_ENV is not production" in fake.log
    assert fake.get("/workflow/catalog").status == 200


@pytest.mark.parametrize("token", [{}, {"OUTPUT_API_AUTH_TOKEN": ""}], ids=["unset", "empty"])
def test_production_without_a_token_refuses_to_start(token: dict[str, str]) -> None:
    ended = run("serve", "--port", "0", environment={"NODE_ENV": "production", **token})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "output-mock serve: NODE_ENV is production, which needs a token; set OUTPUT_API_AUTH_TOKEN, give "
        "--auth-token, or unset NODE_ENV; see 'output-mock serve --help'\n"
    )


def test_the_same_seed_gives_the_same_ids(serve: Serve, script: Path) -> None:
    first, second = (serve(script, "--seed", "11").start("echo") for _ in range(2))
    assert first == second


def test_without_a_seed_ids_differ_and_the_printed_seed_reproduces_them(serve: Serve, script: Path) -> None:
    first, second = serve(script), serve(script)
    started = first.start("echo")
    assert second.start("echo") != started
    seed = re.search(r"seed (\d+)", first.first_line)
    assert seed
    assert serve(script, "--seed", seed.group(1)).start("echo") == started


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--execution-timeout", "10m"], {"TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT": "9h"}),
        ([], {"TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT": "10m"}),
        ([], {"TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT": "600000"}),
        ([], {"TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT": "10 minutes"}),
    ],
    ids=["flag", "variable", "milliseconds", "words"],
)
def test_the_execution_timeout_ends_workflows_that_take_longer(
    serve: Serve, script: Path, arguments: list[str], environment: dict[str, str]
) -> None:
    fake = serve(script, *arguments, environment=environment)
    body = {"workflowName": "long", "timeout": 3_600_000}
    assert fake.ask("POST", "/workflow/run", body).json["status"] == "timed_out"
    assert fake.ask("POST", "/workflow/run", {"workflowName": "echo"}).json["status"] == "completed"


def test_an_environment_variable_sets_the_timeout_of_run(serve: Serve, script: Path) -> None:
    body = {"workflowName": "long"}
    assert serve(script).ask("POST", "/workflow/run", body).status == 408
    patient = serve(script, environment={"TEMPORAL_WORKFLOW_EXECUTION_MAX_WAITING": "3600000"})
    assert patient.ask("POST", "/workflow/run", body).json["output"] == "done"


def test_an_environment_variable_limits_long_polls(serve: Serve, script: Path) -> None:
    fake = serve(script, "--clock", "manual", environment={"TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS": "20"})
    fake.start("waits", "w")
    page = fake.get("/workflow/w/history?longPollTimeoutMs=15000").json
    quickest, quiet = math.inf, 0
    while quiet < 3:
        token = urllib.parse.quote(page["nextPageToken"], safe="")
        poll = f"/workflow/w/history?runId={page['runId']}&pageToken={token}&longPollTimeoutMs=15000"
        began = time.monotonic()
        page = fake.get(poll).json
        if not page["events"]:
            quiet += 1
            quickest = min(quickest, time.monotonic() - began)
    # Otherwise each would take at least the requested time.
    assert quickest < 15


def test_an_environment_variable_sets_the_namespace(serve: Serve, script: Path) -> None:
    fake = serve(script, environment={"TEMPORAL_NAMESPACE": "elsewhere"})
    fake.ask("POST", "/workflow/run", {"workflowName": "parent", "workflowId": "p"})
    history = fake.get("/workflow/p/history?pageSize=50").text
    assert '"namespace":"elsewhere"' in history
    assert '"default"' not in history


def test_environment_variables_set_the_location_of_traces(serve: Serve, script: Path) -> None:
    variables = {
        "OUTPUT_TRACE_LOCAL_ON": "on",
        "OUTPUT_TRACE_HOST_PATH": "/home/me/logs",
        "OUTPUT_TRACE_REMOTE_ON": "true",
        "OUTPUT_TRACE_REMOTE_S3_BUCKET": "traces",
        "OUTPUT_AWS_ACCESS_KEY_ID": "key",
        "OUTPUT_AWS_SECRET_ACCESS_KEY": "secret",
    }
    fake = serve(script, environment=variables)
    body = {"workflowName": "echo", "workflowId": "e"}
    trace = fake.ask("POST", "/workflow/run", body).json["trace"]
    assert trace["local"].startswith("/home/me/logs/runs/echo/")
    assert trace["remote"].startswith("https://traces.s3.amazonaws.com/echo/")
    assert fake.get("/workflow/e/trace-log").json["message"] == "S3 GetObject failure"


def test_remote_traces_without_an_s3_get_a_warning(serve: Serve, script: Path) -> None:
    variables = {"OUTPUT_TRACE_REMOTE_ON": "true", "OUTPUT_TRACE_REMOTE_S3_BUCKET": "traces"}
    fake = serve(script, environment=variables)
    assert "so remote traces cannot be fetched; give --s3 moto, or --s3 URL" in fake.log


def told(fake: Fake) -> str:
    assert fake.process.stdout is not None
    return fake.process.stdout.readline().strip()


def test_traces_are_written_to_the_trace_dir_and_reported_there(
    serve: Serve, script: Path, tmp_path: Path
) -> None:
    fake = serve(script, "--trace-dir", "logs")
    assert told(fake) == f"traces are written to {tmp_path}/logs/runs"
    result = fake.ask("POST", "/workflow/run", {"workflowName": "echo", "input": 1}).json
    path = Path(result["trace"]["local"])
    assert path.parent == tmp_path / "logs" / "runs" / "echo"
    assert json.loads(path.read_text())["output"] == 1
    # Another world has its own folder.
    result = fake.ask("POST", "/w/other/workflow/run", {"workflowName": "echo"}).json
    assert result["trace"]["local"].startswith(f"{tmp_path}/logs/worlds/other/runs/echo/")
    assert Path(result["trace"]["local"]).exists()


def test_the_trace_path_of_the_host_is_reported_in_a_container(
    serve: Serve, script: Path, tmp_path: Path
) -> None:
    variables = {"OUTPUT_TRACE_HOST_PATH": "/home/me/logs", "OUTPUT_TRACE_LOCAL_ON": "no"}
    fake = serve(script, "--trace-dir", "logs", environment=variables)
    result = fake.ask("POST", "/workflow/run", {"workflowName": "echo"}).json
    # The option takes precedence over the variable.
    assert result["trace"]["local"].startswith("/home/me/logs/runs/echo/")
    assert list(tmp_path.glob("logs/runs/echo/*.json"))


def test_s3_moto_starts_an_s3_next_to_the_fake(serve: Serve, script: Path) -> None:
    variables = {
        "OUTPUT_TRACE_REMOTE_S3_BUCKET": "mine",
        "OUTPUT_AWS_REGION": "eu-west-1",
        "OUTPUT_AWS_ACCESS_KEY_ID": "key",
        "OUTPUT_AWS_SECRET_ACCESS_KEY": "secret",
        "OUTPUT_TRACE_UPLOAD_DELAY_MS": "2500",
    }
    fake = serve(script, "--s3", "moto", "--clock", "manual", environment=variables)
    line = told(fake)
    assert line.startswith("traces are uploaded to bucket mine of http://127.0.0.1:")
    fake.start("echo", "e", input=1)
    for length, expected in (("2s", 500), ("499ms", 500), ("1ms", 200)):
        fake.ask("POST", "/__mock__/clock/advance", {"by": length})
        assert fake.get("/workflow/e/trace-log").status == expected
    found = fake.get("/workflow/e/trace-log").json
    assert found["data"] == fake.get("/__mock__/runs/e/trace").json
    # Anyone with its URL can read and change the objects.
    s3 = boto3.client(
        "s3",
        endpoint_url=line.rpartition(" ")[2],
        region_name="eu-west-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    (item,) = s3.list_objects_v2(Bucket="mine")["Contents"]
    s3.put_object(Bucket="mine", Key=item["Key"], Body=b"no json")
    assert fake.get("/workflow/e/trace-log").json["error"] == "TraceFileParseError"
    # Old traces are not found under the ids of new runs after a wipe.
    fake.ask("POST", "/__mock__/world/wipe")
    fake.start("echo", "e", input=2)
    fake.ask("POST", "/__mock__/clock/advance", {"by": "2s"})
    assert fake.get("/workflow/e/trace-log").json["message"] == "S3 GetObject failure"
    fake.ask("POST", "/__mock__/clock/advance", {"by": "1s"})
    assert fake.get("/workflow/e/trace-log").json["data"]["output"] == 2
    # Another world has its own bucket.
    fake.ask("POST", "/w/other/workflow/start", {"workflowName": "echo", "workflowId": "e"})
    fake.ask("POST", "/w/other/__mock__/clock/advance", {"by": "1m"})
    assert fake.get("/w/other/workflow/e/trace-log").status == 200
    assert len(s3.list_buckets()["Buckets"]) == 2
    assert fake.stop() == 0


def test_traces_can_be_stored_on_any_s3_compatible_server(serve: Serve, script: Path) -> None:
    from output_mock.traces.s3 import Bucket, moto_server

    url, stop = moto_server()
    Bucket("theirs", endpoint=url).create()
    variables = {
        "OUTPUT_TRACE_REMOTE_S3_BUCKET": "theirs",
        "OUTPUT_AWS_REGION": "us-east-1",
        "OUTPUT_AWS_ACCESS_KEY_ID": "testing",
        "OUTPUT_AWS_SECRET_ACCESS_KEY": "testing",
    }
    fake = serve(script, "--s3", url, environment=variables)
    fake.ask("POST", "/workflow/run", {"workflowName": "echo", "workflowId": "e"})
    assert fake.get("/workflow/e/trace-log").status == 500
    assert fake.get("/workflow/e/trace-log").json["source"] == "remote"
    stop()


def test_worlds_can_be_created_while_s3_is_down(serve: Serve, script: Path) -> None:
    variables = {
        "OUTPUT_TRACE_REMOTE_S3_BUCKET": "theirs",
        "OUTPUT_AWS_REGION": "us-east-1",
        "OUTPUT_AWS_ACCESS_KEY_ID": "testing",
        "OUTPUT_AWS_SECRET_ACCESS_KEY": "testing",
    }
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        fake = serve(script, "--s3", url, environment=variables)
        assert fake.ask("POST", "/__mock__/worlds", {"name": "another"}).status == 201
        fake.ask("POST", "/w/another/workflow/run", {"workflowName": "echo", "workflowId": "e"})
        for _ in range(2):
            assert fake.get("/w/another/workflow/e/trace-log").json["error"] == "TraceFileDownloadError"


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["--s3", "s3.amazonaws.com"], {}, "'s3.amazonaws.com' is neither moto nor the URL"),
        (
            ["--s3", "http://127.0.0.1:9"],
            {"OUTPUT_AWS_REGION": "eu-west-1"},
            "the S3 server of --s3 URL needs settings; set OUTPUT_TRACE_REMOTE_S3_BUCKET, "
            "OUTPUT_AWS_ACCESS_KEY_ID, OUTPUT_AWS_SECRET_ACCESS_KEY",
        ),
        (
            [],
            {"OUTPUT_TRACE_UPLOAD_DELAY_MS": "soon"},
            "OUTPUT_TRACE_UPLOAD_DELAY_MS: 'soon' is not a number",
        ),
        (["--traces", "nowhere"], {}, "'nowhere' does not exist"),
    ],
)
def test_an_unusable_trace_location_is_refused_at_the_start(
    script: Path, arguments: list[str], variables: dict[str, str], words: str
) -> None:
    ended = run("serve", str(script), "--port", "0", *arguments, environment=variables)
    assert ended.returncode == 2
    assert words in one_line(ended)


def test_runs_are_loaded_from_old_traces_and_served(serve: Serve, script: Path, tmp_path: Path) -> None:
    first = serve(script, "--trace-dir", "logs")
    ran = first.ask("POST", "/workflow/run", {"workflowName": "parent", "input": {"a": 1}}).json
    first.stop()
    fake = serve(script, "--traces", tmp_path / "logs")
    listed = fake.get("/workflow/runs").json["runs"]
    assert {run["workflowType"] for run in listed} >= {"parent", "echo"}
    log = fake.get(f"/workflow/{ran['workflowId']}/trace-log").json
    assert log["data"] == json.loads(Path(ran["trace"]["local"]).read_text())
    # A bad file does not prevent serving the others, and is not reported later.
    (tmp_path / "logs" / "bad.json").write_text("{")
    fake = serve(script, "--traces", tmp_path / "logs")
    assert "bad.json, line 1, column 2: this is not JSON" in fake.log
    assert "; this trace is left out\n" in fake.log
    next((tmp_path / "logs").rglob("*Z_*.json")).write_text("{")
    assert fake.ask("POST", "/__mock__/worlds", {"name": "another"}).status == 201
    assert fake.get("/w/another/workflow/runs").json == fake.get("/workflow/runs").json
    (tmp_path / "none").mkdir()
    ended = run("serve", str(script), "--port", "0", "--traces", str(tmp_path / "none"))
    assert ended.returncode == 1
    assert "there are no traces" in one_line(ended)


def test_remote_traces_without_a_bucket_are_refused(script: Path) -> None:
    ended = run("serve", script, "--port", "0", environment={"OUTPUT_TRACE_REMOTE_ON": "1"})
    assert ended.returncode == 2
    assert one_line(ended) == (
        "output-mock serve: OUTPUT_TRACE_REMOTE_ON is on, but no bucket is set; set "
        "OUTPUT_TRACE_REMOTE_S3_BUCKET; see 'output-mock serve --help'\n"
    )


def test_worker_down_can_be_given_several_times(serve: Serve, script: Path) -> None:
    fake = serve(script, "--worker-down", "gone", "--worker-down", "lost")
    assert " in catalogs main, gone (no worker), lost (no worker) on " in fake.first_line
    for name in ("gone", "lost"):
        assert fake.get(f"/workflow/catalog/{name}").status == 409
    assert fake.get("/workflow/catalog/main").status == 200
    assert fake.get("/workflow/catalog/unknown").status == 404


# The log


def test_each_logged_request_explains_why_it_matches_nothing(serve: Serve) -> None:
    fake = serve()
    # A line is written after its answer was sent, so the next request could come before it.
    for number, (method, path, body) in enumerate(
        [
            ("GET", "/health?a=1", None),
            ("POST", "/workflow/nobody/signal/go", None),
            ("POST", "/workflow/start", {"workflowName": "simpel"}),
            ("GET", "/workflow/w/statsu", None),
        ],
        1,
    ):
        fake.ask(method, path, body)
        until(lambda number=number: fake.log.count("\n") == number)
    first, second, third, fourth = fake.log.splitlines()
    assert re.fullmatch(r"GET /health\?a=1 200 \d+\.\d ms", first)
    assert re.fullmatch(r"POST /workflow/nobody/signal/go 404 \d+\.\d ms", second)
    assert re.fullmatch(r"POST /workflow/start 424 \d+\.\d ms: .*'simpel'.*", third)
    assert re.fullmatch(r"GET /workflow/w/statsu 404 \d+\.\d ms: .* the nearest is GET .*/status", fourth)


def test_health_checks_can_be_left_out_of_the_log(serve: Serve) -> None:
    fake = serve("--no-health-log")
    fake.get("/health")
    fake.get("/workflow/catalog")
    until(lambda: fake.log.startswith("GET /workflow/catalog 200 "))


def test_a_stream_is_logged_when_it_begins_and_when_it_ends(serve: Serve, script: Path) -> None:
    fake = serve(script)
    fake.start("waits", "w")
    with closing(fake.send("/workflow/w/history/stream")) as stream:
        until(lambda: "GET /workflow/w/history/stream 200 stream begins\n" in fake.log)
        assert "stream ends" not in fake.log
        fake.ask("POST", "/workflow/w/signal/go")
        until_received(stream, b"event: done")
        until(lambda: "stream ends" in fake.log)
    assert re.search(r"^GET /workflow/w/history/stream 200 stream ends \d+\.\d ms$", fake.log, re.MULTILINE)


def test_control_characters_from_a_client_are_escaped_in_the_log(serve: Serve) -> None:
    fake = serve()
    with closing(fake.send("/\x1b[2Jgone")) as connection:
        until_received(connection, b"\r\n\r\n")
    until(lambda: fake.log)
    assert fake.log.startswith("GET /\\x1b[2Jgone ")


def test_an_error_of_a_script_is_reported_once_with_file_and_line(serve: Serve, script: Path) -> None:
    fake = serve(script)
    for number in range(3):
        failed = fake.ask("POST", "/workflow/run", {"workflowName": "wrong", "input": {"a": number}})
        assert failed.json["error"] == "ScriptError"
    fake.get("/health")
    until(lambda: "/health" in fake.log)
    told = [line for line in fake.log.splitlines() if line.startswith("SCRIPT ERROR: ")]
    assert len(told) == 1
    assert "'wrong'" in told[0]
    line = SCRIPT.splitlines().index('    return given["nothing"]') + 1
    assert f"{script}, line {line}" in told[0]


def test_an_error_of_a_query_handler_is_reported_too(serve: Serve, script: Path) -> None:
    fake = serve(script)
    fake.start("wrong", "w", input={"nothing": 1})
    for _ in range(2):
        assert fake.ask("POST", "/workflow/w/query/wrong").json["error"] == "ScriptError"
    until(lambda: "SCRIPT ERROR: " in fake.log)
    assert fake.log.count("SCRIPT ERROR: ") == 1


def test_an_unread_log_does_not_block_the_server(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    )
    try:
        assert process.stdout is not None
        fake = Fake(process, process.stdout.readline(), tmp_path / "none")
        # More than the buffer of any pipe.
        for _ in range(200):
            assert fake.get("/health?" + "x" * 10_000) == (200, "OK")
        assert fake.stop() == 0
    finally:
        _end(process)


# Stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("clock", ["auto", "real"])
def test_a_signal_ends_the_server_cleanly_while_clients_wait(
    serve: Serve, script: Path, number: int, clock: str
) -> None:
    hours = {"TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS": "36000000"}
    fake = serve(script, "--clock", clock, environment=hours)
    fake.start("waits", "w")
    until(lambda: len(fake.get("/workflow/w/history").json["events"]) > 3)
    page = fake.get("/workflow/w/history?longPollTimeoutMs=1000").json
    token = urllib.parse.quote(page["nextPageToken"], safe="")
    poll = f"/workflow/w/history?runId={page['runId']}&pageToken={token}&longPollTimeoutMs=36000000"
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(fake.send("/workflow/w/history/stream"))) for _ in range(5)]
        for stream in streams:
            until_received(stream, b"event: history")
        stack.enter_context(closing(fake.send(poll)))
        stack.enter_context(closing(fake.send("/health")))
        assert fake.stop(number) == 0
        for stream in streams:
            while stream.recv(65536):
                pass
    assert "Traceback" not in fake.log
    assert fake.log.count("stream ends") == 5
    assert fake.process.stdout is not None
    assert fake.process.stdout.read() == ""


def test_a_second_signal_is_harmless(serve: Serve, script: Path) -> None:
    fake = serve(script)
    fake.start("waits", "w")
    with closing(fake.send("/workflow/w/history/stream")) as stream:
        until_received(stream, b"event: history")
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            fake.process.send_signal(number)
        assert fake.process.wait(PATIENCE) == 0
    assert "Traceback" not in fake.log


STUCK = {
    "it spins": "while True:\n        pass",
    "it blocks": "os.read(os.pipe()[0], 1)",
    "it prints what nobody reads": "print('x' * 1_000_000)",
    "the interpreter's end takes long": "atexit.register(time.sleep, 3600)",
}


@pytest.mark.parametrize("stuck", STUCK.values(), ids=STUCK.keys())
def test_a_signal_ends_the_server_even_if_a_script_blocks(serve: Serve, tmp_path: Path, stuck: str) -> None:
    (tmp_path / "stuck.py").write_text(
        "import atexit, os, time\nfrom output_mock import Script\nscript = Script()\n"
        '@script.workflow("stuck")\nasync def stuck(ctx, input):\n'
        f'    open("begun", "w").close()\n    {stuck}\n'
    )
    fake = serve("stuck.py", "--script-limit", "24h")
    body = b'{"workflowName": "stuck"}'
    head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with closing(socket.create_connection((fake.host, fake.port), timeout=PATIENCE)) as connection:
        connection.sendall(f"POST /workflow/run HTTP/1.1\r\n{head}".encode() + body)
        until((tmp_path / "begun").exists)
        assert fake.stop() == 0
    assert "Traceback" not in fake.log


def test_the_port_is_free_again_after_a_stop(serve: Serve) -> None:
    fake = serve()
    fake.get("/health")
    assert fake.stop() == 0
    again = serve("--port", str(fake.port))
    assert again.get("/health") == (200, "OK")


def test_ctrl_c_while_a_script_is_loaded_prints_no_traceback(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\nprint('x on http://x:1 ', flush=True)\ntime.sleep(60)\n")
    fake = serve("slow.py")
    assert fake.stop(signal.SIGINT) == 130
    assert fake.log.strip() == ""


INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, *rest):
        if name == "{}":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = ["openapi"]
from output_mock.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["output_mock.cli", "click", "output_mock.openapi"])
def test_ctrl_c_while_the_command_is_being_imported_prints_no_traceback(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(module)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")


# Invalid options


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--clock", "nonsense"], "'--clock': 'nonsense' is not one of 'real', 'auto', 'manual'"),
        (
            ["--port", "99999"],
            "'--port': '99999' is not a port; give a number from 0 (takes a free one) to 65535",
        ),
        (["--port", "http"], "'--port': 'http' is not a port"),
        (["--port", "-1"], "'--port': '-1' is not a port"),
        (["--execution-timeout", "soon"], "'--execution-timeout': 'soon' is not a duration; write it like"),
        (["--execution-timeout", "600000"], "'--execution-timeout': '600000' is not a duration"),
        (
            ["--script-limit", "0s"],
            "'--script-limit': the limit for scripts must be longer than 0; write it like",
        ),
        (["--seed", "x"], "'--seed': 'x' is not a seed; give a whole number, 0 or more"),
        (["--catalog", "a/b"], "'--catalog': 'a/b' is not a valid catalog name; use letters, digits and"),
        (["--worker-down", ""], "'--worker-down': '' is not a valid catalog name"),
        (["--auth-token", " "], "'--auth-token': it is empty"),
        (["--colour"], "No such option"),
        (["--port"], "'--port' requires an argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_invalid_option_is_reported_in_one_line(arguments: list[str], expected: str) -> None:
    ended = run("serve", *arguments)
    assert ended.returncode == 2
    line = one_line(ended)
    assert line.startswith("output-mock serve: ")
    assert expected in line
    assert line.endswith("; see 'output-mock serve --help'\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OUTPUT_API_PORT", "http"),
        ("OUTPUT_CATALOG_ID", "not this"),
        ("TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT", "soon"),
        ("TEMPORAL_WORKFLOW_EXECUTION_MAX_WAITING", "5m"),
        ("TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS", "-1"),
        ("TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS", "9" * 20),
    ],
)
def test_an_invalid_environment_variable_is_named(name: str, value: str) -> None:
    ended = run("serve", environment={name: value})
    assert ended.returncode == 2
    assert f"Invalid value for '{name}': " in one_line(ended)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("missing.py", None, "missing.py: there is no such file; looked in "),
        (
            "script.yaml",
            "workflows: []\n",
            "script.yaml:1:12: there is no workflow; add one with `- name: hello`",
        ),
        ("script.py", "x = (\n", "script.py, line 1: SyntaxError: '(' was never closed"),
        ("script.py", "\n\ndef f(:\n    pass\n", "script.py, line 3: SyntaxError: invalid syntax"),
        (
            "script.py",
            "\nimport not_installed_here\n",
            "script.py, line 2: ModuleNotFoundError: No module named",
        ),
        ("script.py", "import neighbour\n", "neighbour.py, line 2: SyntaxError: "),
        (
            "script.py",
            "import output_mock\nscript = output_mock.Script()\n",
            "script.py: its Script has no workflows; add one, such as",
        ),
        (
            "script.py",
            "x = 1\n",
            "script.py: there is no Script in it; write `script = output_mock.Script()` and",
        ),
        ("script.py", "import sys\nsys.exit(3)\n", "script.py, line 2: it ends the program (SystemExit: 3)"),
        (
            "script.py",
            "from output_mock import Script\nscript = Script()\n\nscript.workflow('no name')\n",
            "script.py, line 4: ValueError: workflow 'no name': 'no name' is not a valid workflow name",
        ),
        (
            "script.py",
            "from output_mock import Script\nscript = Script()\nscript.begin_with('nothing')\n",
            "script.py: begin_with: there is no workflow 'nothing' in catalog 'main'; it has nothing (",
        ),
        (
            "script.py",
            "raise ValueError('one\\ntwo')\n",
            "script.py, line 1: ValueError: one two",
        ),
    ],
)
def test_a_script_that_cannot_be_loaded_is_reported_in_one_line(
    tmp_path: Path, name: str, text: str | None, expected: str
) -> None:
    (tmp_path / "neighbour.py").write_text("\nx = = 1\n")
    if text is not None:
        (tmp_path / name).write_text(text)
    ended = run("serve", "--port", "0", name, cwd=tmp_path)
    assert ended.returncode == 1
    line = one_line(ended)
    assert line.startswith("output-mock serve: ")
    assert expected.rstrip(".") in line


def test_an_unreadable_script_is_reported_in_one_line(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = SourceFileLoader.get_data

    def refused(loader: SourceFileLoader, path: str) -> bytes:
        if path == str(script):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return read(loader, path)

    # Root may read files of any mode.
    monkeypatch.setattr(SourceFileLoader, "get_data", refused)
    ended = run("serve", "--port", "0", str(script))
    assert ended.returncode == 1
    assert f"{script}: the file cannot be read: Permission denied" in one_line(ended)


def test_two_scripts_that_name_the_same_workflow_are_reported_in_one_line(tmp_path: Path) -> None:
    begin = "from output_mock import Script\nscript = Script()\n"
    (tmp_path / "one.py").write_text(f"{begin}script.workflow('one', aliases=['same']).returns(1)\n")
    (tmp_path / "two.py").write_text(f"{begin}script.workflow('same').returns(2)\n")
    ended = run("serve", "--port", "0", "one.py", "two.py", cwd=tmp_path)
    assert ended.returncode == 1
    assert "two.py: workflow 'same': 'same' already names workflow 'one' of catalog 'main'" in one_line(ended)


def test_a_busy_port_is_reported_in_one_line(serve: Serve) -> None:
    fake = serve()
    ended = run("serve", "--port", str(fake.port))
    assert ended.returncode == 1
    assert one_line(ended) == (
        f"output-mock serve: port {fake.port} of 127.0.0.1 is in use; stop the program that uses it, or "
        "choose another port with --port (0 takes a free one)\n"
    )
    assert fake.get("/health") == (200, "OK")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "300.1.1.1", "a" * 70])
def test_an_unresolvable_host_is_reported_in_one_line(host: str) -> None:
    ended = run("serve", "--port", "0", "--host", host)
    assert ended.returncode == 1
    assert f"the host {host!r} has no address; choose one with --host" in one_line(ended)


def test_an_address_of_another_machine_is_reported_in_one_line() -> None:
    ended = run("serve", "--port", "0", "--host", "192.0.2.1")
    assert ended.returncode == 1
    assert "192.0.2.1 is not an address of this machine" in one_line(ended)


# Health


def test_health_reports_whether_a_server_is_up(serve: Serve, tmp_path: Path) -> None:
    fake = serve("--auth-token", "secret")
    url = f"http://127.0.0.1:{fake.port}"
    assert run("health", url) == (0, f"{url} is up\n", "")
    for variable in ("OUTPUT_API_PORT", "OUTPUT_MOCK_PORT"):
        environment = {variable: str(fake.port), "OUTPUT_MOCK_HOST": "0.0.0.0"}
        assert run("health", "--wait", "1m", environment=environment).stdout == f"{url} is up\n"
    (tmp_path / "output-mock.toml").write_text(f"[serve]\nport = {fake.port}\n[verify]\nstrict = true\n")
    assert run("health", cwd=tmp_path).returncode == 0
    fake.stop()
    ended = run("health", url, "--wait", "200ms")
    assert ended.returncode == 1
    assert f"{url}/health: no server answers there (Connection refused); is it running?" in one_line(ended)


def test_health_fails_for_a_server_that_is_not_an_output_api() -> None:
    mock = OutputMock()
    mock.fail_next(404)
    with mock.serve() as url:
        assert "answered 404; is it an Output API?" in one_line(run("health", url))


# The rest of the command line


def test_several_mistakes_are_reported_on_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("workflows:\n  - name: w\n    retruns: 1\n  - name: two words\n")
    (tmp_path / "wrong.py").write_text("import not_installed_here\n")
    ended = run("serve", "--port", "0", "wrong.yaml", "wrong.py", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    *mistakes, last = ended.stderr.splitlines()
    assert [mistake.split(": ")[0] for mistake in mistakes] == [
        "wrong.py:1:1",
        "wrong.yaml:2:5",
        "wrong.yaml:3:5",
        "wrong.yaml:4:5",
        "wrong.yaml:4:11",
    ]
    assert last == "output-mock serve: there are 5 mistakes in the scripts, see above"


def test_serve_refuses_scripts_with_an_unknown_child_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("workflows: [{name: w, steps: [{child: publsh}]}]\n")
    (tmp_path / "two.yaml").write_text("workflows: [{name: publish, returns: 1}]\n")
    ended = run("serve", "--port", "0", "one.yaml", "two.yaml", cwd=tmp_path)
    assert ended.returncode == 1
    expected = "one.yaml:1:39: there is no workflow 'publsh' to run as a child; did you mean 'publish'?"
    assert expected in one_line(ended)


def test_yaml_scripts_are_served(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "workflows.yaml").write_text(
        "workflows:\n  - {name: double, returns: '{{ input * 2 }}'}\n"
        "  - {name: wrong, returns: '{{ input.x }}'}\n"
    )
    fake = serve("workflows.yaml")
    assert fake.first_line.startswith("Serving 2 workflows in catalog main")
    assert fake.ask("POST", "/workflow/run", {"workflowName": "double", "input": 4}).json["output"] == 8
    answer = fake.ask("POST", "/workflow/run", {"workflowName": "wrong", "input": {}})
    assert "(workflows.yaml, line 3, column 29)" in answer.json["message"]
    until(lambda: "SCRIPT ERROR: workflow 'wrong': {{ input.x }}: input has no 'x'" in fake.log)


# The check command


def test_check_summarises_the_files(tmp_path: Path, script: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "workflows: [{name: w, steps: [{child: echo}]}, {name: v, returns: 1}]\n"
    )
    ended = run("check", "one.yaml", "script.py", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        "one.yaml: ok, 2 workflows: w, v\nscript.py: ok, 5 workflows: echo, long, waits, parent, wrong\n"
    )


def test_check_prints_every_mistake_of_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("workflows: [{name: w, retruns: 1}, {name: v, steps: [{child: ww}]}]\n")
    (tmp_path / "b.py").write_text("x = 1\ndef f(:\n    pass\n")
    (tmp_path / "c.py").write_text(
        "from output_mock import Script\nscript = Script()\nscript.workflow('a b')\n"
    )
    ended = run("check", "a.yaml", "b.py", "c.py", "d.yaml", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (1, "")
    found = ended.stdout.splitlines()
    assert [line.split(": ")[0] for line in found] == [
        "a.yaml:1:13",
        "a.yaml:1:23",
        "b.py:2:7",
        "c.py:3:1",
        "d.yaml:1:1",
    ]
    assert found[1] == "a.yaml:1:23: a workflow has no key 'retruns'; did you mean 'returns'?"
    assert "SyntaxError" in found[2]
    assert "ValueError: workflow 'a b'" in found[3]
    assert "there is no such file" in found[4]


def test_check_looks_for_children_in_all_readable_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "workflows: [{name: w, retruns: 1, steps: [{child: ww}]}]\nbegin_with: [{workflow: x}]\n"
    )
    ended = run("check", "a.yaml", cwd=tmp_path)
    assert [line.partition(": ")[2] for line in ended.stdout.splitlines()] == [
        "a workflow has no key 'retruns'; did you mean 'returns'?",
        "there is no workflow 'ww' to run as a child; did you mean 'w'?",
        "there is no workflow 'x' to begin with; there are w",
    ]


def test_check_finds_conflicts_between_files(tmp_path: Path) -> None:
    begin = "from output_mock import Script\nscript = Script()\n"
    (tmp_path / "one.yaml").write_text("workflows: [{name: one, aliases: same, returns: 1}]\n")
    (tmp_path / "two.py").write_text(f"{begin}script.workflow('same').returns(2)\n")
    ended = run("check", "one.yaml", "two.py", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stdout.startswith("two.py:1:1: workflow 'same': 'same' already names workflow 'one'")


def test_check_requires_a_file() -> None:
    ended = run("check")
    assert ended.returncode == 2
    assert "Missing argument 'SCRIPT...'" in one_line(ended)


def test_schema_prints_the_schema_of_yaml_scripts() -> None:
    ended = run("schema")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_openapi_prints_the_document() -> None:
    ended = run("openapi")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == document()


def test_openapi_ends_quietly_when_its_output_pipe_is_closed() -> None:
    process = subprocess.Popen(
        [*COMMAND, "openapi"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE) == 0
    finally:
        _end(process)


def test_version_prints_the_name_of_the_command() -> None:
    ended = run("--version")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"output-mock \S.*\n", ended.stdout)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]], ids=["nothing", "--help", "-h"])
def test_help_lists_the_commands(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 0
    assert re.search(r"^  openapi +\S", ended.stdout, re.MULTILINE)
    assert re.search(r"^  serve +\S", ended.stdout, re.MULTILINE)


def test_the_help_of_serve_names_every_option_and_variable() -> None:
    text = run("serve", "--help").stdout
    for word in (
        *("--host", "--port", "--clock", "--catalog", "--auth-token", "--seed", "--execution-timeout"),
        *("--control-token", "--allow-host", "--allow-origin", "--cors"),
        "--script-limit",
        *("--worker-down", "OUTPUT_API_PORT", "OUTPUT_CATALOG_ID", "OUTPUT_API_AUTH_TOKEN", "NODE_ENV"),
        *("TEMPORAL_NAMESPACE", "TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT"),
        *("TEMPORAL_WORKFLOW_EXECUTION_MAX_WAITING", "TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS"),
        *("OUTPUT_TRACE_LOCAL_ON", "OUTPUT_TRACE_HOST_PATH", "OUTPUT_TRACE_REMOTE_ON"),
        *("OUTPUT_TRACE_REMOTE_S3_BUCKET", "OUTPUT_AWS_ACCESS_KEY_ID", "OUTPUT_AWS_SECRET_ACCESS_KEY"),
    ):
        assert word in text


def test_an_unknown_command_is_reported_in_one_line() -> None:
    ended = run("sevre")
    assert ended.returncode == 2
    line = one_line(ended)
    assert line.startswith("output-mock: No such command 'sevre'")
    assert line.endswith("; see 'output-mock --help'\n")


def test_serve_imports_only_the_modules_that_it_needs(tmp_path: Path, script: Path) -> None:
    code = (
        "import sys\n"
        "from output_mock import OutputMock\n"
        "import output_mock.server, output_mock.cli.log\n"
        f"OutputMock(scripts=[{str(script)!r}])\n"
        "print(sorted(sys.modules.keys() & "
        "{'jsonschema', 'requests', 'urllib3', 'pytest', 'yaml', 'hypothesis', 'boto3', 'moto'}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, env=ENVIRONMENT
    )
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


# Worlds, faults and the control plane


def test_worlds_have_the_served_scripts_and_options(serve: Serve, script: Path) -> None:
    fake = serve(script, "--seed", "3", "--worlds", "2", "--worker-down", "away")
    run = {"workflowName": "echo", "input": 1}
    first = fake.ask("POST", "/workflow/run", run)
    assert fake.ask("POST", "/w/one/workflow/run", run) == first
    made = fake.ask("GET", "/w/one/__mock__/catalogs").json["catalogs"]
    assert [(catalog["name"], catalog["worker"]) for catalog in made] == [("main", True), ("away", False)]
    assert fake.get("/w/two/health").status == 503


def test_the_log_shows_no_secrets(serve: Serve) -> None:
    for arguments in ([], ["--log", "json"]):
        fake = serve(*arguments)
        fake.get("/workflow/runs?limit=3&api_key=hunter2", Authorization="Bearer hunter2")
        fake.stop()
        assert "/workflow/runs?limit=3&api_key=[redacted]" in fake.log
        assert "hunter2" not in fake.log


def test_the_control_plane_accepts_the_configured_hosts_and_origins(serve: Serve) -> None:
    page = "http://localhost:5173"
    fake = serve(
        "--allow-host", "fakes.test", "--allow-origin", page, "--cors", page, "--cors", "http://b.test"
    )
    for host, status in (("fakes.test:3001", 200), ("localhost", 200), ("evil.example", 403)):
        assert fake.get("/__mock__/clock", Host=host).status == status
    for origin, status in ((page, 200), ("http://b.test", 403), ("null", 403)):
        assert fake.ask("POST", "/__mock__/world/wipe", Origin=origin).status == status
    for path in ("/workflow/runs", "/w/default/workflow/runs"):
        for origin, allowed in ((page, page), ("http://b.test", "http://b.test"), ("http://c.test", None)):
            with closing(http.client.HTTPConnection(fake.host, fake.port, timeout=PATIENCE)) as connection:
                connection.request("GET", path, headers={"Origin": origin})
                assert connection.getresponse().headers["Access-Control-Allow-Origin"] == allowed
    served = serve("--host", "localhost")
    assert served.get("/__mock__/clock").status == 200


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--allow-host", "http://x"],
            "'--allow-host': 'http://x' is not a host; write a name or an IP address",
        ),
        (
            ["--allow-origin", "null"],
            "'--allow-origin': 'null' would allow every page; name the origin of your own",
        ),
        (["--allow-origin", "localhost:5173"], "'--allow-origin': 'localhost:5173' is not an origin"),
        (["--cors", "*"], "'--cors': '*' would allow every page"),
    ],
)
def test_invalid_hosts_and_origins_are_refused_at_the_start(arguments: list[str], told: str) -> None:
    ended = run("serve", "--port", "0", *arguments)
    assert ended.returncode == 2
    assert told in one_line(ended)


def test_the_control_plane_requires_the_configured_token(serve: Serve) -> None:
    for fake in (serve("--control-token", "s"), serve(environment={"OUTPUT_MOCK_CONTROL_TOKEN": "s"})):
        assert fake.get("/__mock__/clock").status == 401
        assert fake.get("/__mock__/clock", Authorization="Bearer s").status == 200
        assert fake.get("/workflow/catalog").status == 200


def test_a_world_keeps_its_own_versions(serve: Serve, script: Path, tmp_path: Path) -> None:
    arguments = (script, "--api-version", "0.10", "--state", tmp_path / "fake.state")
    fake = serve(*arguments)
    assert "as API 0.10.0 with workers of SDK 0.10.0" in fake.first_line
    half = {"name": "half", "sdkVersion": "0.11"}
    old = {"name": "old", "apiVersion": "0.9"}
    for body, versions in ((half, ("0.10.0", "0.11.0")), (old, ("0.9.2", "0.9.2"))):
        made = fake.ask("POST", "/__mock__/worlds", body).json
        assert (made["apiVersion"], made["sdkVersion"]) == versions
    unknown = fake.ask("POST", "/__mock__/worlds", {"name": "none", "apiVersion": "0.7"})
    assert unknown.status == 400
    assert "0.9.2" in unknown.text
    for path in ("", "/w/half", "/w/old"):
        started = {"workflowName": "echo", "input": {"n": 1}}
        result = fake.ask("POST", f"{path}/workflow/run", started).json
        assert result.get("output", "lost") == ("lost" if path == "/w/half" else {"n": 1})
    assert fake.ask("POST", "/__mock__/worlds/old/wipe").json["apiVersion"] == "0.9.2"
    assert fake.stop() == 0
    again = serve(*arguments)
    worlds = {world["name"]: world["apiVersion"] for world in again.get("/__mock__/worlds").json["worlds"]}
    assert worlds == {"default": "0.10.0", "half": "0.10.0", "old": "0.9.2"}


def test_worlds_expire_when_nobody_uses_them(serve: Serve) -> None:
    fake = serve("--world-ttl", "300ms")
    begun = fake.ask("POST", "/w/one/workflow/start", {"workflowName": "summarize_url", "workflowId": "a"})
    assert begun.status == 200
    eventually(lambda: len(fake.get("/__mock__/worlds").json["worlds"]) == 1)
    assert fake.get("/w/one/workflow/a/status").status == 404


def test_configured_faults_apply_in_every_world_from_the_start(serve: Serve) -> None:
    fake = serve("--faults", "deploying", "--seed", "1")
    run = {"workflowName": "summarize_url", "input": {"url": "x"}}
    assert fake.ask("POST", "/workflow/run", run).status == 503
    assert fake.ask("POST", "/w/one/workflow/run", run).status == 503
    refused = subprocess.run(
        [*COMMAND, "serve", "--faults", "flacky"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=PATIENCE,
    )
    assert refused.returncode == 2
    assert "did you mean 'flaky'?" in refused.stderr


def test_the_journal_option_limits_the_calls_that_are_kept(serve: Serve) -> None:
    fake, none = serve("--journal", "2"), serve("--journal", "0")
    for one in (fake, none):
        for _ in range(3):
            one.get("/health")
    calls = fake.get("/__mock__/calls").json["calls"]
    assert [call["number"] for call in calls] == [2, 3]
    assert none.get("/__mock__/calls").json["count"] == 0


def test_the_log_shows_durations_on_request(serve: Serve) -> None:
    fake = serve("--timing")
    with closing(http.client.HTTPConnection(fake.host, fake.port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/health")
        assert re.fullmatch(r"fake;dur=[0-9.]+", connection.getresponse().getheader("Server-Timing") or "")


def test_the_log_can_be_json(serve: Serve, script: Path) -> None:
    fake = serve(script, "--log", "json")
    fake.get("/health")
    eventually(lambda: fake.log.endswith("\n"))
    fake.ask("POST", "/workflow/run", {"workflowName": "wrong", "input": {}})
    eventually(lambda: "script error" in fake.log)
    lines = [json.loads(line) for line in fake.log.splitlines()]
    assert (
        lines[0].items() >= {"event": "answered", "method": "GET", "target": "/health", "status": 200}.items()
    )
    (error,) = [line for line in lines if line["event"] == "script error"]
    assert "KeyError" in error["message"]


def test_openapi_prints_the_document_of_the_control_plane() -> None:
    done = run("openapi", "--control")
    assert json.loads(done.stdout)["info"]["title"] == "output-mock: control plane"
