"""Where the traces of runs go, and what stores them.

The engine only says when there is something to store. `output_mock.traces` knows what a trace looks like and
stores it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from output_mock.durations import SECOND
from output_mock.engine.trace_places import ObjectPlace, file_name, object_key, safe_name

if TYPE_CHECKING:
    from output_mock.engine.run import Run, TraceUploader, TraceWriter


@dataclass(frozen=True)
class Traces:
    """Where workers keep the traces of runs: in a folder, in a bucket of S3, in both or nowhere."""

    folder: str | None = "/app/logs/runs"
    bucket: str | None = None
    # Whether the server, which fetches traces from S3, has credentials.
    keys: bool = False
    # What really writes them to the folder; then their names are valid on all file systems.
    writer: TraceWriter | None = None
    # What really uploads them to the bucket.
    uploader: TraceUploader | None = None
    # How long after a run's end its worker waits for entries of other workers, in nanoseconds.
    upload_delay: int = 10 * SECOND
    # What the server fetches traces from S3 with; None when there is no S3.
    source: TraceSource | None = None

    def forget(self, run: Run) -> None:
        """Delete the trace of a root run that was removed."""
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


class TraceSource(Protocol):
    """Fetches the objects of a bucket."""

    def fetch(self, place: ObjectPlace) -> IO[bytes]:
        """The object, from its beginning. Raises `TraceFileDownloadError` if that fails, and `ScriptError`
        if no S3 is configured.
        """
