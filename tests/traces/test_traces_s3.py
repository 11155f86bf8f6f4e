"""Traces in S3. The tests use moto, in this process or as a server, and never AWS itself."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from moto import mock_aws

from output_mock import Context, OutputMock
from output_mock.http.faults import Fault
from output_mock.http.trace_log import Trouble
from output_mock.stored_traces import StoredTraces, stored_in_s3
from output_mock.traces import Bucket, in_bucket
from output_mock.traces.s3 import S3Missing, moto_is_on, moto_server
from tests.client import Client, connected
from tests.conftest import BOTH_TRANSPORTS, Suite


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    url, stop = moto_server()
    yield url
    stop()


@pytest.fixture(params=["in_process", "server"])
def endpoint(request: pytest.FixtureRequest, moto_url: str) -> Iterator[str | None]:
    """The endpoint of S3: moto in this process, or its server."""
    if request.param == "server":
        yield moto_url
        return
    with mock_aws():
        yield None


@pytest.fixture
def mock(endpoint: str | None, request: pytest.FixtureRequest) -> Iterator[OutputMock]:
    """A fake whose traces are in its own bucket."""
    traces = in_bucket(f"traces-{abs(hash(request.node.name)) % 10**8}", endpoint=endpoint)
    bucket_of(traces.source).create()
    mock = OutputMock(traces=traces)
    mock.workflow("w").takes("1s").returns({"done": True})
    yield mock
    bucket_of(traces.source).settle()
    mock.close()


def bucket_of(source: Any) -> Bucket:
    assert isinstance(source, Bucket)
    return source


def log_of(client: Client, workflow_id: str) -> tuple[int, Any]:
    answer = client.get(f"/workflow/{workflow_id}/trace-log")
    return answer.status, answer.json


MISSING = (500, {"error": "TraceFileDownloadError", "message": "S3 GetObject failure"})
NO_KEYS = (500, {"error": "TraceFileDownloadError", "message": "Missing AWS keys to authenticate"})
NO_JSON = (500, {"error": "TraceFileParseError", "message": "Invalid trace file"})


# --- uploading -------------------------------------------------------------------------------------------


def test_the_trace_is_uploaded_a_moment_after_the_run_ends(mock: OutputMock) -> None:
    mock.clock.set_mode("manual")
    client = Client(mock)
    client.start("w", workflowId="w")
    mock.clock.advance("1s")
    assert log_of(client, "w") == MISSING
    mock.clock.advance("9.9s")
    assert log_of(client, "w") == MISSING
    mock.clock.advance("0.1s")
    status, body = log_of(client, "w")
    assert status == 200
    assert body == {"source": "remote", "runId": mock.runs["w"].run_id, "data": mock.runs["w"].trace}


def test_on_an_auto_clock_the_second_request_gets_the_trace(mock: OutputMock) -> None:
    client = Client(mock)
    client.run("w", workflowId="w")
    before = mock.clock.now()
    assert log_of(client, "w") == MISSING
    assert log_of(client, "w")[0] == 200
    assert (mock.clock.now() - before).total_seconds() == 10


def test_a_terminated_run_is_never_uploaded(mock: OutputMock) -> None:
    client = Client(mock)
    client.start("w", workflowId="w")
    client.post("/workflow/w/terminate")
    for _ in range(3):
        assert log_of(client, "w")[0] in (404, 500)
    mock.clock.advance("1h")
    assert bucket_of(mock.world.traces.source).keys() == []


def test_each_run_of_a_chain_has_its_own_object(mock: OutputMock) -> None:
    @mock.workflow("chain")
    async def chain(ctx: Context, input: Any) -> Any:
        if input["n"] < 3:
            ctx.continue_as_new({"n": input["n"] + 1})
        return "done"

    client = Client(mock)
    client.run("chain", {"n": 1}, workflowId="c")
    mock.clock.advance("1m")
    bucket = bucket_of(mock.world.traces.source)
    outputs = [bucket.get(key)["output"] for key in bucket.keys()]  # noqa: SIM118
    assert outputs == ["<<continued_as_new>>", "<<continued_as_new>>", "done"]


@pytest.mark.parametrize("workflow_id", ["id/with odd?chars é", "a+b&c=d", "#x", "ü/ö/ä"])
def test_a_key_contains_odd_characters_of_the_id_unchanged(mock: OutputMock, workflow_id: str) -> None:
    client = Client(mock)
    result = client.run("w", workflowId=workflow_id)
    assert result["trace"]["remote"].endswith(f"Z_{workflow_id}.json")
    mock.clock.advance("1m")
    (key,) = bucket_of(mock.world.traces.source).keys()
    assert key.endswith(f"Z_{workflow_id}.json")
    from urllib.parse import quote

    assert log_of(client, quote(workflow_id, safe=""))[0] == 200


def test_an_id_with_an_invalid_escape_gets_no_url(mock: OutputMock) -> None:
    client = Client(mock)
    client.run("w", workflowId="100%")
    mock.clock.advance("1m")
    assert log_of(client, "100%25") == (
        500,
        {"error": "InvalidTraceFileUrl", "message": "Error decoding the S3 key"},
    )


def test_an_invalid_bucket_name_is_refused_as_by_the_real_server() -> None:
    mock = OutputMock(traces=in_bucket("Under_Score"))
    mock.workflow("w").returns(1)
    client = Client(mock)
    client.run("w", workflowId="w")
    assert log_of(client, "w")[1]["error"] == "InvalidTraceFileUrl"


def test_a_restored_world_completes_its_pending_uploads(mock: OutputMock) -> None:
    from output_mock.engine.record_restoring import copy_of

    client = Client(mock)
    client.run("w", workflowId="w")
    copy = copy_of(mock.world)
    copy.clock.advance("1m")
    assert len(bucket_of(mock.world.traces.source).keys()) == 1
    copy.close()


# --- what goes wrong -------------------------------------------------------------------------------------


def uploaded(mock: OutputMock) -> tuple[Client, Bucket, str]:
    client = Client(mock)
    client.run("w", workflowId="w")
    mock.clock.advance("1m")
    bucket = bucket_of(mock.world.traces.source)
    (key,) = bucket.keys()
    return client, bucket, key


def test_a_removed_object_is_reported_as_missing(mock: OutputMock) -> None:
    client, bucket, key = uploaded(mock)
    bucket.delete(key)
    assert log_of(client, "w") == MISSING


def test_a_missing_bucket_is_reported_like_a_missing_object(
    mock: OutputMock, caplog: pytest.LogCaptureFixture
) -> None:
    client, bucket, key = uploaded(mock)
    bucket.delete(key)
    bucket.client.delete_bucket(Bucket=bucket.name)
    assert log_of(client, "w") == MISSING
    # A failed upload is logged and does not stop the run.
    client.run("w", workflowId="w2")
    mock.clock.advance("1m")
    assert log_of(client, "w2") == MISSING
    assert "was not uploaded" in caplog.text


@pytest.mark.parametrize(
    "content",
    [b"not json", b"", b"   ", b'{"a": 1', b"NaN", b"\xef\xbb\xbf{}", b"{}{}", b"'a'", b"[" * 100_000],
)
def test_an_object_that_is_not_json_is_not_a_trace(mock: OutputMock, content: bytes) -> None:
    client, bucket, key = uploaded(mock)
    bucket.put(key, content)
    assert log_of(client, "w") == NO_JSON


@pytest.mark.parametrize(
    ("content", "data"),
    [
        (b"42", 42),
        (b" [1.0, 1e2] ", [1, 100]),
        (b'"\xff"', "�"),
        (b"null", None),
        (b'{"a":1,"a":2}', {"a": 2}),
    ],
)
def test_any_json_is_passed_through(mock: OutputMock, content: bytes, data: Any) -> None:
    client, bucket, key = uploaded(mock)
    bucket.put(key, content)
    answer = client.unchecked("GET", "/workflow/w/trace-log")
    assert answer.status == 200
    assert answer.json["data"] == data


@pytest.mark.parametrize("good", [True, False])
def test_a_large_trace_is_streamed(mock: OutputMock, good: bool) -> None:
    client, bucket, key = uploaded(mock)
    tree = {**bucket.get(key), "output": ["x" * 1000] * 9000}
    text = json.dumps(tree).encode()
    bucket.put(key, text if good else text[:-1])
    answer = client.unchecked("GET", "/workflow/w/trace-log")
    if not good:
        assert answer.json["error"] == "TraceFileParseError"
        return
    assert answer.json["data"] == tree
    assert int(answer.headers["content-length"]) == len(answer.body)
    from output_mock.http.responses import etag

    assert answer.headers["etag"] == etag(answer.body)


def test_a_trace_of_200_megabytes_is_not_held_in_memory() -> None:
    mock = OutputMock()
    mock.workflow("w").returns(1)
    with mock.serve() as url:
        client = Client(url)
        client.run("w", workflowId="w")
        mock.faults.add(Fault(s3="huge"))
        tracemalloc.start()
        try:
            answer, chunks, close = client.open("GET", "/workflow/w/trace-log", [], None)
            size = sum(map(len, chunks))
            close()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert answer.status == 200
    assert size == int(answer.headers["content-length"]) > 200_000_000
    assert peak < 40_000_000


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        ("missing", MISSING),
        ("no_bucket", MISSING),
        ("denied", MISSING),
        ("wrong_region", MISSING),
        ("down", MISSING),
        ("no_keys", NO_KEYS),
        ("not_json", NO_JSON),
        ("empty", NO_JSON),
    ],
)
def test_s3_trouble_can_be_simulated_without_s3(trouble: Trouble, expected: tuple[int, Any]) -> None:
    mock = OutputMock()
    mock.workflow("w").returns(1)
    client = Client(mock)
    client.run("w", workflowId="w")
    mock.faults.add(Fault(s3=trouble))
    assert log_of(client, "w") == expected
    assert log_of(client, "w")[0] == 200


def test_an_invalid_kind_of_s3_trouble_is_refused() -> None:
    with pytest.raises(ValueError, match="s3 must be one of missing, no_bucket"):
        Fault(s3="broken")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a problem with S3 is for route trace_log, not for run"):
        Fault(s3="down", route="run")


def test_without_a_region_only_urls_with_a_region_can_be_fetched(endpoint: str | None) -> None:
    traces = in_bucket("region-less", endpoint=endpoint, region=None)
    bucket_of(traces.source).create()
    mock = OutputMock(traces=traces)
    mock.workflow("w").returns(1)
    client, _, _ = uploaded(mock)
    assert log_of(client, "w") == MISSING


class _Grumpy(BaseHTTPRequestHandler):
    """An S3 that returns the same error to every request, in the words of S3, or cuts an object off."""

    status, code = 403, "AccessDenied"

    def do_GET(self) -> None:
        if self.code == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"id": ')
            self.close_connection = True
            return
        body = f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (301, "PermanentRedirect"),
        (400, "AuthorizationHeaderMalformed"),
        (404, "NoSuchBucket"),
        (503, "SlowDown"),
        (200, "cut"),
    ],
)
def test_every_s3_error_becomes_the_same_api_error(status: int, code: str) -> None:
    handler = type("Handler", (_Grumpy,), {"status": status, "code": code})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        mock = OutputMock(traces=in_bucket("b-1", endpoint=f"http://127.0.0.1:{server.server_address[1]}"))
        mock.workflow("w").returns(1)
        client = Client(mock)
        client.run("w", workflowId="w")
        mock.clock.advance("1m")
        assert log_of(client, "w") == MISSING
        bucket_of(mock.world.traces.source).settle()
        server.shutdown()
        thread.join()


def test_an_unreachable_s3_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        mock = OutputMock(traces=in_bucket("b-1", endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}"))
        mock.workflow("w").returns(1)
        client = Client(mock)
        client.run("w", workflowId="w")
        mock.clock.advance("1m")
        assert log_of(client, "w") == MISSING
        bucket_of(mock.world.traces.source).settle()


# --- never AWS -------------------------------------------------------------------------------------------


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Block all connections, and record the attempts."""
    tried: list[Any] = []

    def refuse(*given: Any, **_: Any) -> Any:
        tried.append(given)
        raise AssertionError(f"a connection was tried: {given}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


def test_without_moto_or_an_endpoint_nothing_is_sent_over_the_network(
    no_sockets: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Not even with AWS settings in the user's environment.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.eu-west-1.amazonaws.com")
    monkeypatch.setenv("AWS_PROFILE", "production")
    mock = OutputMock(traces=in_bucket("b-1"))
    mock.workflow("w").returns(1)
    client = Client(mock)
    client.run("w", workflowId="w")
    mock.clock.advance("1m")
    status, body = log_of(client, "w")
    assert (status, body["error"]) == (500, "ScriptError")
    assert "AWS itself is never used" in body["message"]
    assert "was not uploaded to bucket b-1" in caplog.text
    with pytest.raises(S3Missing, match="use the fixture output_traces"):
        bucket_of(mock.world.traces.source).keys()
    assert no_sockets == []


def test_with_moto_nothing_is_sent_over_the_network(
    no_sockets: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("AWS_PROFILE", "production")
    mock = OutputMock()
    mock.workflow("w").returns(1)
    with stored_in_s3(mock) as traces:
        client = Client(mock)
        client.run("w", workflowId="w")
        traces.upload()
        assert log_of(client, "w")[0] == 200
    assert no_sockets == []


def test_s3_packages_are_imported_only_when_they_are_used() -> None:
    code = """
import sys
import output_mock, output_mock.traces, pytest_output.plugin, output_mock.cli
from output_mock import OutputMock
from output_mock.traces import llm, in_folder
mock = OutputMock()
mock.workflow("w").returns(1)
mock.app.test_client().post("/workflow/run", json={"workflowName": "w"})
print([name for name in ("boto3", "botocore", "moto", "ijson") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- in tests --------------------------------------------------------------------------------------------


@pytest.fixture
def stored() -> Iterator[tuple[Client, StoredTraces]]:
    mock = OutputMock()
    mock.workflow("w").takes("1s").returns({"done": True})
    with stored_in_s3(mock) as traces:
        yield Client(mock), traces


def test_a_test_can_read_change_and_remove_objects_in_the_bucket(
    stored: tuple[Client, StoredTraces],
) -> None:
    client, traces = stored
    client.run("w", workflowId="w")
    assert traces.keys() == []
    with pytest.raises(KeyError, match="not uploaded yet"):
        traces.get("w")
    with pytest.raises(ValueError, match="is not there yet: it is not uploaded yet"):
        traces.put("w", {})
    traces.upload()
    assert traces.keys() == [traces.key("w")]
    assert traces.get("w")["output"] == {"done": True}
    traces.put("w", {**traces.get("w"), "output": "changed"})
    assert log_of(client, "w")[1]["data"]["output"] == "changed"
    traces.corrupt("w")
    traces.corrupt("w")
    assert log_of(client, "w") == NO_JSON
    traces.delete("w")
    assert log_of(client, "w") == MISSING
    with pytest.raises(KeyError, match="deleted, or its upload failed"):
        traces.get("w")
    traces.fail("no_keys")
    assert log_of(client, "w") == NO_KEYS


def test_a_trace_that_will_never_be_uploaded_is_reported_with_the_reason(
    stored: tuple[Client, StoredTraces],
) -> None:
    client, traces = stored
    client.start("w", workflowId="w")
    with pytest.raises(KeyError, match="has not ended"):
        traces.get("w")
    client.get("/workflow/w/status")
    client.post("/workflow/w/terminate")
    with pytest.raises(KeyError, match="was terminated, and such runs have no uploaded trace"):
        traces.get("w")


def test_the_fake_shares_objects_with_the_users_own_moto() -> None:
    mock = OutputMock()
    mock.workflow("w").returns(1)
    with mock_aws():
        theirs = boto3.client("s3", region_name="us-east-1")
        theirs.create_bucket(Bucket="theirs")
        with stored_in_s3(mock) as traces:
            client = Client(mock)
            client.run("w", workflowId="w")
            traces.upload()
            found = theirs.get_object(Bucket="traces", Key=traces.key("w"))["Body"].read()
            assert json.loads(found) == mock.runs["w"].trace
            theirs.put_object(Bucket="traces", Key=traces.key("w"), Body=b"{}")
            assert client.unchecked("GET", "/workflow/w/trace-log").json["data"] == {}
        # The user's moto stays active after ours has ended.
        assert moto_is_on()
        assert theirs.list_buckets()["Buckets"]
    assert not moto_is_on()


def test_tests_that_share_a_moto_do_not_see_each_others_traces() -> None:
    with mock_aws():
        for _ in range(2):
            mock = OutputMock()
            mock.workflow("w").returns(1)
            with stored_in_s3(mock) as traces:
                assert traces.keys() == []
                client = Client(mock)
                client.run("w", workflowId="same")
                assert log_of(client, "same") == MISSING
                traces.upload()
                assert traces.keys() == [traces.key("same")]
        # An existing bucket is left unchanged.
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="traces")
        with stored_in_s3(OutputMock()) as traces:
            assert traces.name == "traces-2"


def test_a_moto_server_does_not_begin_with_the_objects_of_an_earlier_one() -> None:
    url, stop = moto_server()
    left = Bucket("left", endpoint=url)
    left.create()
    left.put("an/object.json", b"{}")
    stop()
    url, stop = moto_server()
    try:
        assert Bucket("any", endpoint=url).client.list_buckets()["Buckets"] == []
    finally:
        stop()


def test_a_moto_server_leaves_a_moto_alone_that_is_in_use() -> None:
    with mock_aws():
        mine = Bucket("mine")
        mine.create()
        mine.put("an/object.json", b"{}")
        url, stop = moto_server()
        try:
            assert Bucket("mine", endpoint=url).keys() == ["an/object.json"]
        finally:
            stop()
        assert mine.keys() == ["an/object.json"]


def test_the_server_mode_of_moto_is_supported(moto_url: str) -> None:
    code = """
from output_mock import OutputMock
from output_mock.stored_traces import stored_in_s3
mock = OutputMock()
mock.workflow("w").returns(1)
with stored_in_s3(mock) as traces:
    mock.app.test_client().post("/workflow/run", json={"workflowName": "w", "workflowId": "w"})
    traces.upload()
    print(traces.get("w")["output"])
"""
    environment = {**os.environ, "TEST_SERVER_MODE": "true", "TEST_SERVER_MODE_ENDPOINT": moto_url}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.strip() == "1", done.stderr


def test_moto_and_the_trace_settings_are_restored_afterwards() -> None:
    mock = OutputMock()
    before = mock.world.traces
    with stored_in_s3(mock):
        assert moto_is_on()
    assert not moto_is_on()
    assert mock.world.traces is before


def test_the_fixture_serves_tests_in_process_and_over_a_socket(suite: Suite) -> None:
    suite(
        """
        import boto3, pytest, requests
        from moto import mock_aws

        def run_and_fetch(url, traces):
            run = requests.post(f"{url}/workflow/run", json={"workflowName": "w", "workflowId": "id"}).json()
            traces.upload()
            return requests.get(f"{url}/workflow/id/trace-log").json()

        def test_in_process(output_mock, output_traces):
            output_mock.workflow("w").returns(1)
            assert run_and_fetch(output_mock.url, output_traces)["data"]["output"] == 1
            assert output_traces.keys() == [output_traces.key("id")]

        def test_on_a_socket(output_server, output_traces):
            output_server.workflow("w").returns(2)
            assert run_and_fetch(output_server.url, output_traces)["data"] == output_traces.get("id")

        @mock_aws
        def test_within_moto(output_mock, output_traces):
            output_mock.workflow("w").returns(3)
            run_and_fetch(output_mock.url, output_traces)
            objects = boto3.client("s3", region_name="us-east-1").list_objects_v2(Bucket=output_traces.name)
            assert objects["KeyCount"] == 1

        @pytest.fixture
        def aws():
            with mock_aws():
                yield

        def test_with_a_moto_that_was_there_before(aws, output_mock, output_traces):
            output_mock.workflow("w").returns(4)
            assert run_and_fetch(output_mock.url, output_traces)["source"] == "remote"

        def test_with_trouble(output_mock, output_traces):
            output_mock.workflow("w").returns(5)
            requests.post(f"{output_mock.url}/workflow/run", json={"workflowName": "w", "workflowId": "id"})
            output_traces.fail("denied")
            assert requests.get(f"{output_mock.url}/workflow/id/trace-log").status_code == 500
        """
    ).assert_outcomes(passed=5)


def test_without_the_extra_the_fixture_says_what_to_install(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    result = suite("def test_it(output_mock, output_traces): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*output_traces: traces in S3 need more packages*pip install*output-mock?s3?*"]
    )


# --- one fake, two transports ----------------------------------------------------------------------------


@BOTH_TRANSPORTS
def test_a_trace_is_the_same_in_process_and_over_a_socket(mock: OutputMock, transport: str) -> None:
    with connected(mock, transport) as client:
        client.run("w", workflowId="w")
        mock.clock.advance("1m")
        status, body = log_of(client, "w")
        assert status == 200
        assert body["data"] == mock.runs["w"].trace
        pinned = client.get(f"/workflow/w/runs/{body['runId']}/trace-log")
        assert pinned.json == body


def test_problems_are_logged_under_the_projects_logger(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="output_mock.traces"):
        mock = OutputMock(traces=in_bucket("b-1"))
        mock.workflow("w").returns(1)
        Client(mock).run("w")
        mock.clock.advance("1m")
    assert {record.name for record in caplog.records} == {"output_mock.traces"}
