"""Traces in S3: a worker uploads them a moment after a run has ended, and the server fetches them.

It talks to moto, in this process or as a separate server, or to any S3-compatible endpoint that you name.
Without either, it refuses before it sends anything: it never talks to AWS. The extra `[s3]` installs boto3
and moto.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import IO, TYPE_CHECKING, Any, cast

from output_mock.contract.errors import TraceFileDownloadError
from output_mock.engine.trace_places import ObjectPlace, object_key
from output_mock.javascript_json import parse, to_bytes
from output_mock.sdk.errors import ScriptError
from output_mock.traces.tree import trace_tree

if TYPE_CHECKING:
    from output_mock.engine.run import Run

REGION = "us-east-1"
# Larger objects are not kept in memory.
_IN_MEMORY = 4 * 1024 * 1024
_PIECE = 256 * 1024
# How long an upload and an answer of S3 may take, in seconds.
_PATIENCE = 20.0

_log = logging.getLogger("output_mock.traces")


class S3Missing(RuntimeError):
    """The packages for traces in S3 are not installed, or the S3 endpoint is not set."""


class Bucket:
    """An S3 bucket that holds the traces of runs.

    Takes the name and the `endpoint` of an S3-compatible server (None: moto in this process, which must be
    active, as inside `moto.mock_aws()`). Without a `region`, it can only fetch URLs that name one. Also
    takes the keys, and whether to `make` the bucket on the first upload. `in_memory` keeps it small: it
    removes a trace when its run is removed.
    """

    def __init__(
        self,
        name: str,
        *,
        endpoint: str | None = None,
        region: str | None = REGION,
        key_id: str = "testing",
        secret: str = "testing",
        make: bool = False,
        in_memory: bool = False,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.region = region
        self._keys = key_id, secret
        # The work in progress, each with its key.
        self._under_way: dict[Future[None], str] = {}
        self._lock = threading.Lock()
        # Whether to create the bucket on the first upload if it does not exist.
        self._make = make
        self._in_memory = in_memory

    # Called by the engine

    def ended(self, run: Run) -> None:
        """Upload the trace of a root run. Like the worker, log an upload that fails."""
        key = _key(run)
        self._do(key, functools.partial(self._upload, key, to_bytes(trace_tree(run))))

    def forget(self, run: Run) -> None:
        """Remove the trace of a removed run, if the bucket is in memory."""
        if self._in_memory and run.uploaded:
            key = _key(run)
            with self._lock:
                before = [future for future, other in self._under_way.items() if other == key]
            self._do(key, functools.partial(self._remove, key, before))

    def _do(self, key: str, work: Callable[[], None]) -> None:
        if self.endpoint is None:
            work()
            return
        # A thread that holds the world's lock must not wait for the network.
        future = _uploaders().submit(work)
        with self._lock:
            self._under_way[future] = key
        future.add_done_callback(self._over)

    def _over(self, future: Future[None]) -> None:
        with self._lock:
            self._under_way.pop(future, None)

    def _upload(self, key: str, content: bytes) -> None:
        try:
            if self._make:
                self.create()
                self._make = False
            self.put(key, content)
        except Exception as error:
            _log.warning("the trace %s was not uploaded to bucket %s: %s", key, self.name, error)

    def discard(self) -> None:
        """Remove the bucket and its contents, without waiting."""
        self._do("", self._discard)

    def _discard(self) -> None:
        client = self.client
        try:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.name):
                for item in page.get("Contents", ()):
                    client.delete_object(Bucket=self.name, Key=item["Key"])
            client.delete_bucket(Bucket=self.name)
        except _failures() as error:
            # Most likely, nothing was ever uploaded.
            _log.info("the bucket %s was not removed: %s", self.name, error)

    def _remove(self, key: str, before: list[Future[None]]) -> None:
        # They were queued earlier, so they are running or done.
        wait(before, timeout=_PATIENCE)
        try:
            self.client.delete_object(Bucket=self.name, Key=key)
        except Exception as error:
            _log.warning("the trace %s was not removed from bucket %s: %s", key, self.name, error)

    def settle(self) -> None:
        """Wait for the uploads in progress, with a time limit."""
        with self._lock:
            under_way = list(self._under_way)
        wait(under_way, timeout=_PATIENCE)

    # Called by the server

    def fetch(self, place: ObjectPlace) -> IO[bytes]:
        """The object, to be read from its beginning. A large one is on disk.

        Like the real server's code, raises `TraceFileDownloadError` if S3 answers anything else. Raises
        `ScriptError` if there is no S3 at all.
        """
        self.settle()
        region = place.region or self.region
        if region is None:
            raise TraceFileDownloadError("S3 GetObject failure")
        try:
            client = self._client(region)
        except S3Missing as error:
            raise ScriptError(str(error)) from None
        file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115
        try:
            found = client.get_object(Bucket=place.bucket, Key=place.key)
            for piece in found["Body"].iter_chunks(_PIECE):
                file.write(piece)
        except _failures() as error:
            file.close()
            _log.info("s3://%s/%s cannot be fetched: %s", place.bucket, place.key, error)
            raise TraceFileDownloadError("S3 GetObject failure") from None
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    # The contents

    @property
    def client(self) -> Any:
        """The boto3 client for this S3. Raises `S3Missing`."""
        return self._client(self.region or REGION)

    def create(self) -> None:
        """Create the bucket if it does not exist."""
        region = self.region or REGION
        where = {} if region == REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self.client.create_bucket(Bucket=self.name, **where)
        except self.client.exceptions.BucketAlreadyOwnedByYou:
            pass

    def remove(self) -> None:
        """Remove the bucket and its contents. Does nothing if it is already gone."""
        client = self.client
        with contextlib.suppress(client.exceptions.NoSuchBucket, client.exceptions.ClientError):
            for key in self.keys():
                client.delete_object(Bucket=self.name, Key=key)
            client.delete_bucket(Bucket=self.name)

    def keys(self) -> list[str]:
        """The keys of all objects, in order."""
        self.settle()
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def get(self, key: str) -> Any:
        """A trace. Raises `KeyError` if there is no such key, and `ValueError` if it is not JSON."""
        return parse(self.read(key).decode())

    def read(self, key: str) -> bytes:
        """The bytes of an object. Raises `KeyError` if there is no such key."""
        self.settle()
        client = self.client
        try:
            content: bytes = client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except client.exceptions.NoSuchKey:
            raise KeyError(key) from None
        return content

    def put(self, key: str, content: bytes) -> None:
        """Store an object. Replaces an existing one."""
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.settle()
        self.client.delete_object(Bucket=self.name, Key=key)

    def _client(self, region: str) -> Any:
        endpoint = self.endpoint
        if endpoint is None:
            if not moto_is_on():
                raise S3Missing(
                    "it is not configured where S3 is, and AWS itself is never used: use the fixture "
                    "output_traces, moto.mock_aws() around this test, or the endpoint of an S3-compatible "
                    "server"
                )
            endpoint = _moto_elsewhere()
        return _new_client(endpoint, region, *self._keys)


@functools.lru_cache(maxsize=1)
def _uploaders() -> ThreadPoolExecutor:
    """The threads that upload for all buckets."""
    return ThreadPoolExecutor(4, thread_name_prefix="output-mock-traces")


def _key(run: Run) -> str:
    return object_key(run.info.workflow_type, run.info.workflow_id, run.info.trace_start)


def moto_is_on() -> bool:
    """Whether moto is active now, in this process or in the server that it is configured to use."""
    models = sys.modules.get("moto.core.models")
    return _moto_elsewhere() is not None or (models is not None and bool(models.botocore_stubber.enabled))


def _moto_elsewhere() -> str | None:
    """The server that moto's variable TEST_SERVER_MODE makes tests use; None if it is not set."""
    settings = sys.modules.get("moto.settings")
    if settings is None or not settings.TEST_SERVER_MODE:
        return None
    endpoint: str = settings.test_server_mode_endpoint()
    return endpoint


_INSTALL = "traces in S3 need more packages ({}); pip install 'output-mock[s3]'"


def installed() -> None:
    """Raises `S3Missing` if the packages are not installed."""
    try:
        import boto3  # noqa: F401
        import ijson  # noqa: F401
        import moto  # noqa: F401
    except ImportError as error:
        raise S3Missing(_INSTALL.format(error)) from None


@functools.lru_cache(maxsize=32)
def _new_client(endpoint: str | None, region: str, key_id: str, secret: str) -> Any:
    """A client that uses only its arguments: no profile, no environment, no proxy."""
    try:
        import boto3
        import botocore.session
        from botocore.config import Config

        if endpoint is None:
            # Clients that were created before moto was active bypass it.
            import moto  # noqa: F401
    except ImportError as error:
        raise S3Missing(_INSTALL.format(error)) from None
    nothing = {
        name: (None, None, value, None)
        for name, value in {
            "profile": None,
            "config_file": os.devnull,
            "credentials_file": os.devnull,
        }.items()
    }
    session = boto3.session.Session(
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        region_name=region,
        botocore_session=botocore.session.Session(session_vars=nothing),
    )
    config = Config(
        connect_timeout=5,
        read_timeout=_PATIENCE,
        retries={"total_max_attempts": 1},
        proxies={},
        ignore_configured_endpoint_urls=True,
        s3={"addressing_style": "path"},
    )
    return session.client("s3", endpoint_url=endpoint, config=config)


def _failures() -> tuple[type[BaseException], ...]:
    """The errors that boto3 raises for S3."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from urllib3.exceptions import HTTPError

    return BotoCoreError, ClientError, HTTPClientError, HTTPError


def moto_server() -> tuple[str, Callable[[], None]]:
    """Start moto's server on a free loopback port. Returns its URL, and a function that stops it.

    It begins empty, unless moto is active in this process already, as inside `moto.mock_aws()`: then it
    shares the objects of that moto. Raises `S3Missing` if moto is not installed.
    """
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise S3Missing(_INSTALL.format(error)) from None
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    if not moto_is_on():
        # All of moto's servers in a process share their objects, and keep them when one is stopped.
        connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
        connection.close()
    return f"http://{host}:{port}", server.stop
