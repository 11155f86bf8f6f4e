"""The traces of a fake in S3, for tests that read or break them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from output_mock.engine.run import Run
from output_mock.engine.trace_places import object_key
from output_mock.engine.trace_storage import Traces
from output_mock.engine.world import World
from output_mock.http.faults import Fault
from output_mock.http.trace_log import Trouble
from output_mock.javascript_json import as_json, parse, to_bytes
from output_mock.mock import OutputMock
from output_mock.traces import in_bucket
from output_mock.traces.s3 import Bucket, installed, moto_is_on


class StoredTraces:
    """The bucket of one fake, trace by trace.

    Choose a trace by workflow id, for its latest run, or also by `run_id`. A run's trace is uploaded ten
    seconds after the run has ended, on the fake's clock; before that, there is none. `upload` lets this time
    pass.
    """

    def __init__(self, mock: OutputMock, bucket: Bucket) -> None:
        self._mock = mock
        self.bucket = bucket

    @property
    def name(self) -> str:
        """The name of the bucket."""
        return self.bucket.name

    @property
    def client(self) -> Any:
        """A boto3 client for this S3."""
        return self.bucket.client

    def key(self, workflow_id: str, run_id: str | None = None) -> str:
        """The key of a run's trace, whether the trace exists or not. Raises `WorkflowNotFoundError`."""
        info = self._run(workflow_id, run_id).info
        return object_key(info.workflow_type, info.workflow_id, info.trace_start)

    def keys(self) -> list[str]:
        """The keys of all objects in the bucket, in order."""
        return self.bucket.keys()

    def get(self, workflow_id: str, run_id: str | None = None) -> Any:
        """A run's trace.

        Raises `KeyError`, which says why, if there is none, and `ValueError` if it is not JSON.
        """
        return parse(self._read(workflow_id, run_id).decode())

    def _read(self, workflow_id: str, run_id: str | None) -> bytes:
        key = self.key(workflow_id, run_id)
        try:
            return self.bucket.read(key)
        except KeyError:
            raise KeyError(f"there is no trace {key}: {self._why(self._run(workflow_id, run_id))}") from None

    def put(self, workflow_id: str, trace: Any, run_id: str | None = None) -> None:
        """Replace a run's trace by JSON or bytes.

        Raises `ValueError` before the worker has uploaded its own, which would overwrite this one.
        """
        run = self._run(workflow_id, run_id)
        if run.running or (run.worker_heard and not run.uploaded):
            raise ValueError(f"the trace of {workflow_id!r} is not there yet: {self._why(run)}")
        content = trace if isinstance(trace, bytes) else to_bytes(as_json(trace))
        self.bucket.put(self.key(workflow_id, run_id), content)

    def corrupt(self, workflow_id: str, run_id: str | None = None) -> None:
        """Break a run's trace: half of it is left, which is not JSON."""
        content = self._read(workflow_id, run_id)
        self.bucket.put(self.key(workflow_id, run_id), content[: len(content) // 2])

    def delete(self, workflow_id: str, run_id: str | None = None) -> None:
        """Delete a run's trace."""
        self.bucket.delete(self.key(workflow_id, run_id))

    def upload(self) -> None:
        """Let time pass on a virtual clock until the traces of all ended runs are uploaded.

        Raises `RuntimeError` on a real clock, where you have to wait.
        """
        clock = self._mock.clock
        with clock.lock:
            delay = self._mock.world.traces.upload_delay
            clock.advance(delay / 1e9)

    def fail(self, trouble: Trouble, times: int = 1, *, workflow_id: str | None = None) -> Fault:
        """Let S3 have a problem at the next requests for trace logs: `denied`, `missing`, `down`, ….

        See `Fault` for all problems. They are only simulated: S3 itself keeps working.
        """
        return self._mock.faults.add(Fault(s3=trouble, times=times, workflow_id=workflow_id))

    def _run(self, workflow_id: str, run_id: str | None) -> Run:
        return self._world.find(workflow_id, run_id)

    @property
    def _world(self) -> World:
        return self._mock.world

    def _why(self, run: Run) -> str:
        if run.running:
            return f"run {run.run_id} has not ended"
        if not run.worker_heard:
            return (
                f"run {run.run_id} was {run.status.replace('_', ' ')}, and such runs have no uploaded trace"
            )
        if run.memo is None or run.memo.trace_info is None:
            return f"run {run.run_id} is not traced"
        if not run.uploaded:
            return "it is not uploaded yet; call `upload()` to let that much time pass"
        return "it has been deleted, or its upload failed"


@contextlib.contextmanager
def stored_in_s3(mock: OutputMock, bucket: str = "traces") -> Iterator[StoredTraces]:
    """Let a fake keep its traces in S3 while the block runs: in the moto that is already active, or in its
    own.

    The bucket is empty at first, and is deleted at the end. If its name is taken, it is `traces-2`.
    Raises `S3Missing` if boto3 and moto are not installed.
    """
    installed()
    with contextlib.ExitStack() as stack:
        theirs = moto_is_on()
        if not theirs:
            from moto import mock_aws

            stack.enter_context(mock_aws())
        before: Traces = mock.world.traces
        traces = in_bucket(_free_name(bucket) if theirs else bucket)
        store = traces.source
        assert isinstance(store, Bucket)
        store.create()
        mock.world.traces = traces
        try:
            yield StoredTraces(mock, store)
        finally:
            mock.world.traces = before
            if theirs:
                store.remove()


def _free_name(bucket: str) -> str:
    """A name that no bucket has yet."""
    taken = {one["Name"] for one in Bucket(bucket).client.list_buckets()["Buckets"]}
    names = (f"{bucket}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (bucket, *names) if name not in taken)
