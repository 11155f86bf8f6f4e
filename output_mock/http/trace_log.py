"""Replies with traces that were fetched from S3: small ones as any JSON, large ones piece by piece."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from typing import IO, Literal, cast

from output_mock.contract.errors import TraceFileDownloadError, TraceFileParseError
from output_mock.contract.reply import Reply
from output_mock.http.responses import validator
from output_mock.javascript_json import parse, to_bytes

# Larger ones are never completely in memory.
_LARGE = 8 * 1024 * 1024
_PIECE = 256 * 1024
# How large a huge trace is, in bytes.
_HUGE = 200 * 1024 * 1024

# What can be wrong with a trace in S3, or with S3.
Trouble = Literal[
    "missing", "no_bucket", "denied", "wrong_region", "down", "no_keys", "not_json", "empty", "huge"
]


def failing(run_id: str, trouble: Trouble) -> Reply:
    """What the server answers for one of these problems.

    Recorded are a missing object, missing keys and a trace that is not JSON (remote_trace_terminated,
    remote_trace_no_credentials, remote_trace_corrupt). The others go by the real server's code: whatever S3
    refuses, and a connection that fails, it reports as one error, and it reads what it gets as JSON.
    """
    if trouble == "no_keys":
        raise TraceFileDownloadError("Missing AWS keys to authenticate")
    if trouble in ("not_json", "empty"):
        raise TraceFileParseError
    if trouble != "huge":
        raise TraceFileDownloadError("S3 GetObject failure")
    return trace_reply(run_id, _huge(run_id), valid=True)


def _huge(run_id: str) -> IO[bytes]:
    """A trace that is too large for clients that hold it in memory several times."""
    file = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115
    node = {"id": run_id, "kind": "workflow", "name": "huge", "startedAt": 0, "endedAt": 0, "children": []}
    file.write(to_bytes({**node, "attributes": {}})[:-1] + b',"output":[0')
    piece = b"".join(b',"%d %s"' % (number, b"x" * 1000) for number in range(1000))
    while file.tell() < _HUGE:
        file.write(piece)
    file.write(b"]}")
    return file


def trace_reply(run_id: str, file: IO[bytes], *, valid: bool = False) -> Reply:
    """The reply of `/trace-log` with this file's content as its data (remote_trace); it closes the file.

    `valid` says that it is known to be JSON. Raises `TraceFileParseError` if it is not JSON
    (remote_trace_corrupt).
    """
    size = file.seek(0, 2)
    file.seek(0)
    if size > _LARGE:
        if not valid:
            _check(file)
        return _large(run_id, file, size)
    with file:
        # As in JavaScript: invalid UTF-8 is replaced, and a byte order mark is not JSON.
        text = file.read().decode("utf-8", "replace")
    try:
        data = parse(text)
    except (ValueError, RecursionError):
        raise TraceFileParseError from None
    return Reply({"source": "remote", "runId": run_id, "data": data})


def _large(run_id: str, file: IO[bytes], size: int) -> Reply:
    """The file's text as it is, within the rest of the answer. Its numbers stay as they are written."""
    before = to_bytes({"source": "remote", "runId": run_id})[:-1] + b',"data":'
    digest = hashlib.sha1(before, usedforsecurity=False)
    file.seek(0)
    while piece := file.read(_PIECE):
        digest.update(piece)
    digest.update(b"}")
    whole = len(before) + size + 1
    file.seek(0)

    def pieces() -> Iterator[bytes]:
        with file:
            yield before
            while piece := file.read(_PIECE):
                yield piece
            yield b"}"

    headers = {"Content-Length": str(whole), "ETag": validator(whole, digest.digest())}
    return Reply(headers=headers, stream=pieces())


def _check(file: IO[bytes]) -> None:
    import ijson

    try:
        for _ in ijson.basic_parse(file, use_float=True, buf_size=_PIECE):
            pass
    except ijson.JSONError:
        file.close()
        raise TraceFileParseError from None
