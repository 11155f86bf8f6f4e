"""The traces of runs: trees of steps and calls, with inputs, outputs, errors, times and costs.

In a script, `trace=[llm(…), http(…)]` defines what a step does inside.
`OutputMock(traces=in_folder("logs"))` writes the traces as files, `in_bucket("traces")` keeps them in S3.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from output_mock.durations import Duration, nanoseconds
from output_mock.engine.trace_storage import Traces
from output_mock.sdk.llm_calls import llm
from output_mock.sdk.trace_nodes import event, http
from output_mock.traces.folder import Folder
from output_mock.traces.s3 import REGION, Bucket

__all__ = ["Bucket", "Traces", "event", "http", "in_bucket", "in_folder", "llm"]


def in_folder(folder: str | PathLike[str]) -> Traces:
    """Traces as files, `FOLDER/runs/WORKFLOW/TIME_ID.json`, like those in a worker's `logs` folder."""
    runs = Path(folder).absolute() / "runs"
    return Traces(folder=str(runs), writer=Folder(runs))


def in_bucket(
    name: str = "traces",
    *,
    endpoint: str | None = None,
    region: str | None = REGION,
    key_id: str = "testing",
    secret: str = "testing",
    upload_delay: Duration = "10s",
) -> Traces:
    """Traces in a bucket of S3, uploaded `upload_delay` after a run's end on the fake's clock.

    Takes the same arguments as `Bucket`. The bucket must exist: `traces.source.create()` creates it.
    """
    bucket = Bucket(name, endpoint=endpoint, region=region, key_id=key_id, secret=secret)
    return Traces(
        bucket=name,
        keys=True,
        uploader=bucket,
        source=bucket,
        upload_delay=nanoseconds(upload_delay),
    )
