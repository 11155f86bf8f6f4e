"""Where the traces of runs go."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from output_mock.durations import MILLISECOND
from output_mock.engine.rendering import iso


@dataclass(frozen=True)
class Traces:
    """Where workers keep the traces of runs: in a folder, in a bucket of S3, in both or nowhere."""

    folder: str | None = "/app/logs/runs"
    bucket: str | None = None
    # Whether the server, which fetches traces from S3, can show who it is.
    keys: bool = False

    def destinations(self, workflow_type: str, workflow_id: str, start: int) -> dict[str, str]:
        """Where the trace of a run goes (run_completes, remote_trace_no_credentials)."""
        stamp = _file_stamp(start // MILLISECOND)
        file = f"{stamp}_{workflow_id}.json"
        places = {}
        if self.folder is not None:
            places["local"] = f"{self.folder}/{workflow_type}/{file}"
        if self.bucket is not None:
            day = stamp[:10].replace("-", "/")
            places["remote"] = f"https://{self.bucket}.s3.amazonaws.com/{workflow_type}/{day}/{file}"
        return places


@functools.lru_cache(maxsize=256)
def _file_stamp(milliseconds: int) -> str:
    """A time as the names of trace files have it."""
    return iso(milliseconds * MILLISECOND).replace(":", "-").replace("T", "-").replace(".", "-")
