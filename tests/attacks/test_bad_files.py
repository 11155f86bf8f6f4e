"""Damaged, deeply nested, huge and unwritable files are reported, and everything else keeps working."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from output_mock import OutputMock
from output_mock.cli.trace_storage import TraceStorage
from output_mock.traces import reading
from output_mock.traces.past import load_past, read_past
from output_mock.traces.reading import NoTrace, read_trace
from tests.cli.test_cli import Serve, one_line, run, serve  # noqa: F401
from tests.client import Client

TRACE = {
    "id": "r",
    "kind": "workflow",
    "name": "report",
    "startedAt": 1_700_000_000_000,
    "endedAt": 1_700_000_001_000,
    "input": {"n": 1},
    "output": 2,
    "children": [],
}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def children(levels: int, kind: str) -> dict[str, Any]:
    tree: dict[str, Any] = {**TRACE, "id": "inner", "kind": kind}
    for level in range(levels - 1):
        tree = {**TRACE, "id": f"n{level}", "kind": kind, "children": [tree]}
    return {**TRACE, "children": [tree]}


BAD = {
    "half a character in an id": json.dumps({**TRACE, "id": "\ud800"}),
    "half a character in a name": json.dumps(
        {**TRACE, "children": [{**TRACE, "kind": "step", "name": "\udfff"}]}
    ),
    "input nested too deep": json.dumps({**TRACE, "input": nested(450)}),
    "children nested too deep": json.dumps(children(450, "workflow")),
    "steps nested too deep": json.dumps(children(450, "step")),
    "nested too deep for JSON": '{"id":' + "[" * 100_000 + "]" * 100_000 + "}",
    "NaN": json.dumps({**TRACE, "input": float("nan")}),
    "an end of all times": json.dumps({**TRACE, "endedAt": 1e300}),
    "cut off": json.dumps(TRACE)[:-20],
    "empty": "",
    "null": "null",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_bad_trace_is_skipped_and_the_others_are_loaded(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    (tmp_path / "good.json").write_text(json.dumps(TRACE))
    files, problems = read_past(tmp_path)
    assert [file.workflow_id for file in files] == ["good"]
    assert [str(tmp_path / "bad.json") in str(problem) for problem in problems] == [True]
    mock = OutputMock()
    load_past(mock.world, files)
    assert Client(mock).get("/workflow/good/result").json["output"] == 2


@pytest.mark.parametrize(
    "tree", [{**TRACE, "input": nested(390)}, children(190, "workflow"), children(190, "step")]
)
def test_a_trace_within_the_nesting_limit_is_loaded_in_full(tmp_path: Path, tree: dict[str, Any]) -> None:
    (tmp_path / "deep.json").write_text(json.dumps(tree))
    mock = OutputMock()
    load_past(mock.world, read_past(tmp_path).files)
    client = Client(mock)
    for path in ("status", "result", "input", "history?includePayloads=true", "trace-log"):
        assert client.unchecked("GET", f"/workflow/deep/{path}").status == 200
    assert client.get("/workflow/runs").status == 200


@pytest.mark.parametrize("number", ["9" * 5000, "1e999"], ids=["5,000 digits", "beyond all numbers"])
def test_a_number_beyond_a_double_is_read_as_in_javascript(tmp_path: Path, number: str) -> None:
    (tmp_path / "large.json").write_text(json.dumps(TRACE).replace('"n": 1', f'"n": {number}'))
    mock = OutputMock()
    load_past(mock.world, read_past(tmp_path).files)
    client = Client(mock)
    for path in ("status", "result", "input", "history?includePayloads=true", "trace-log"):
        assert client.unchecked("GET", f"/workflow/large/{path}").status == 200
    assert client.get("/workflow/large/input").json["input"] == {"n": None}


@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
def test_a_file_with_an_undecodable_name_is_skipped(tmp_path: Path) -> None:
    for name in (b"b\xffd.json", b"good.json"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text(
            json.dumps({**TRACE, "id": str(name)})
        )
    files, problems = read_past(tmp_path)
    assert [file.workflow_id for file in files] == ["good"]
    assert "its name is not UTF-8" in str(problems[0])


def test_serve_reports_a_bad_trace_and_serves_the_others(serve: Serve, tmp_path: Path) -> None:  # noqa: F811
    for name in ("half a character in an id", "children nested too deep"):
        (tmp_path / f"{name}.json").write_text(BAD[name])
    (tmp_path / "good.json").write_text(json.dumps(TRACE))
    fake = serve("--traces", tmp_path)
    assert fake.get("/workflow/good/status").json["status"] == "completed"
    for name in ("half a character in an id", "children nested too deep"):
        assert f"{name}.json" in fake.log
    assert fake.log.count("this trace is left out") == 2


# Too large


def test_a_file_that_is_too_large_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 2**20)
    path = tmp_path / "large.json"
    path.write_text(json.dumps({**TRACE, "input": "x" * 2**20}))
    with pytest.raises(NoTrace, match="it is too large; a trace may have at most 1 MB"):
        read_trace(path)
    path.write_text(json.dumps({**TRACE, "input": "x" * 2**19}))
    assert read_trace(path)["name"] == "report"


@contextmanager
def endless(head: bytes, piece: bytes, encoding: str | None = None) -> Iterator[tuple[str, list[int]]]:
    """A server whose responses never end. Yields its URL and the number of bytes that it has sent."""
    sent = [0]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if encoding is not None:
                self.send_header("Content-Encoding", encoding)
            self.end_headers()
            try:
                self.wfile.write(head)
                while True:
                    self.wfile.write(piece)
                    sent[0] += len(piece)
            except OSError:
                pass

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/trace", sent
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_an_endless_response_is_not_read_forever(encoding: str | None) -> None:
    piece = b" " * 2**20
    if encoding is not None:
        # Each piece is a gzip member of two megabytes.
        piece = gzip.compress(b" " * 2**21)
    with endless(b"", piece, encoding) as (url, sent):
        ended = run("trace", url)
    assert ended.returncode == 1
    assert "it is too large; a trace may have at most 100 MB" in one_line(ended)
    assert sent[0] < 150 * 2**20


# Unwritable files


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_impossible_trace_folder_is_refused_at_the_start(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    ended = run("serve", "--port", "0", "--trace-dir", str(tmp_path / place))
    assert ended.returncode == 2
    assert "--trace-dir" in one_line(ended)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_trace_folder_without_write_permission_is_refused_at_the_start(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(
        ValueError, match=r"--trace-dir: cannot write to .*: Permission denied; give a folder"
    ):
        TraceStorage({}, str(tmp_path / "traces"))


def test_a_full_disk_is_reported_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(ValueError, match=r"cannot write to .*: No space left on device"):
        TraceStorage({}, str(tmp_path))
