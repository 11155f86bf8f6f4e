"""Where the traces of runs go, and who keeps them.

The engine only says when there is something to keep. What a trace looks like and how it is kept is for
`output_mock.traces`.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote, unquote_to_bytes

from output_mock.contract.errors import InvalidTraceFileUrl
from output_mock.contract.wire_forms import iso
from output_mock.durations import MILLISECOND, SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from output_mock.contract.failures import Cause
    from output_mock.engine.run import Run
    from output_mock.sdk.trace_nodes import Node


# Longer names no usual file system takes.
_LONGEST_NAME = 200


class Writer(Protocol):
    """Writes the traces of root runs to where they can be read at once. Called with the world's lock held."""

    def changed(self, run: Run) -> None:
        """There is an error in the trace of this root run, which goes on."""

    def ended(self, run: Run) -> None:
        """This root run has ended, in whatever way."""

    def forget(self, run: Run) -> None:
        """This root run has gone (`--keep-runs`), and its trace is of no use any more."""


class Uploader(Protocol):
    """Uploads the traces of root runs. Called with the world's lock held."""

    def ended(self, run: Run) -> None:
        """This root run had ended `upload_delay` ago: whatever else belongs into its trace is there."""

    def forget(self, run: Run) -> None:
        """This root run has gone (`--keep-runs`), and its trace is of no use any more."""


@dataclass(frozen=True)
class Traces:
    """Where workers keep the traces of runs: in a folder, in a bucket of S3, in both or nowhere."""

    folder: str | None = "/app/logs/runs"
    bucket: str | None = None
    # Whether the server, which fetches traces from S3, can show who it is.
    keys: bool = False
    # Who really writes them to the folder: then the names are such that every file system takes them.
    writer: Writer | None = None
    # Who really uploads them to the bucket.
    uploader: Uploader | None = None
    # How long after a run's end its worker waits for what other workers have to say, in nanoseconds.
    upload_delay: int = 10 * SECOND
    # What the server fetches traces from S3 with; None when there is no S3.
    source: Source | None = None

    def forget(self, run: Run) -> None:
        """A root run has gone, and what was kept of its trace goes with it."""
        if run.memo is not None and run.memo.trace_info is not None and run.memo.trace_info[2] == run.run_id:
            for place in (self.writer, self.uploader):
                if place is not None:
                    place.forget(run)

    def destinations(self, workflow_type: str, workflow_id: str, start: int) -> dict[str, str]:
        """Where the trace of a run goes (run_completes, remote_trace_no_credentials)."""
        places = {}
        if self.folder is not None:
            parts = [workflow_type, file_name(workflow_id, start)]
            places["local"] = "/".join([self.folder, *(map(safe_name, parts) if self.writer else parts)])
        if self.bucket is not None:
            key = object_key(workflow_type, workflow_id, start)
            places["remote"] = f"https://{self.bucket}.s3.amazonaws.com/{key}"
        return places


class Source(Protocol):
    """Has the objects of a bucket."""

    def fetch(self, place: ObjectPlace) -> IO[bytes]:
        """The object, from its beginning. Raises `TraceFileDownloadError` when it cannot be had, and
        `ScriptError` when nobody has said where S3 is.
        """


class ObjectPlace(NamedTuple):
    """Where an object is. Without a region, the server's own is meant."""

    bucket: str
    key: str
    region: str | None


# The URLs that the real server takes for objects of S3.
_URL = re.compile(r"https://([a-z0-9][a-z0-9.-]*[a-z0-9])\.s3(?:\.([a-z0-9-]+))?\.amazonaws\.com/(.+)")


def object_place(url: str) -> ObjectPlace:
    """The place that a trace's URL names: `https://BUCKET.s3[.REGION].amazonaws.com/KEY`.

    Raises `InvalidTraceFileUrl` for any other one, as the real server's code does.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise InvalidTraceFileUrl("Url is not a valid S3 url")
    bucket, region, key = found.groups()
    # What JavaScript's decodeURIComponent refuses.
    if re.search(r"%(?![0-9A-Fa-f]{2})", key):
        raise InvalidTraceFileUrl("Error decoding the S3 key")
    try:
        return ObjectPlace(bucket, unquote_to_bytes(key).decode(), region)
    except UnicodeDecodeError:
        raise InvalidTraceFileUrl("Error decoding the S3 key") from None


def file_name(workflow_id: str, start: int) -> str:
    """The name of a trace's file (run_completes); an id is taken as it is (workflow_id)."""
    return f"{_file_stamp(start // MILLISECOND)}_{workflow_id}.json"


def object_key(workflow_type: str, workflow_id: str, start: int) -> str:
    """The key of a trace's object (remote_trace)."""
    day = _file_stamp(start // MILLISECOND)[:10].replace("-", "/")
    return f"{workflow_type}/{day}/{file_name(workflow_id, start)}"


def safe_name(name: str) -> str:
    """A file name that leads nowhere else and is not too long, the same as `name` where that is one."""
    safe = quote(name, safe=" @+=,()[]{}", errors="surrogatepass")
    if safe.strip(".") == "":
        safe = safe.replace(".", "%2E")
    if len(safe) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        ending = ".json" if name.endswith(".json") else ""
        safe = f"{re.sub('%.?$', '', safe[: _LONGEST_NAME - 22])}~{digest}{ending}"
    return safe


@functools.lru_cache(maxsize=256)
def _file_stamp(milliseconds: int) -> str:
    """A time as the names of trace files have it."""
    return iso(milliseconds * MILLISECOND).replace(":", "-").replace("T", "-").replace(".", "-")


class Attempt(NamedTuple):
    """An attempt of a step of which the history does not tell enough: it failed, or did something inside."""

    activity_id: str
    # From when to when, in nanoseconds since 1970; 0 when its run was over before it.
    began: int
    ended: int
    # How it failed; None when it worked.
    failure: Cause | None
    result: Any
    # What happened inside.
    nodes: Sequence[Node]
