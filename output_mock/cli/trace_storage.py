"""Where a served fake keeps the traces of runs, as `--trace-dir`, `--s3` and the environment say."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from output_mock.cli import environment
from output_mock.control.worlds import DEFAULT

if TYPE_CHECKING:
    from output_mock.engine.trace_storage import Traces
    from output_mock.traces.s3 import Bucket


class TraceStorage:
    """Makes the `Traces` of each world. Close it at the end.

    Takes the environment, the folder of `--trace-dir`, and what `--s3` says: `moto` starts moto's server, a
    URL is an S3-compatible one. Raises `ValueError` for settings that do not fit together and for a folder
    that cannot be written to, and `S3Missing` when the packages for S3 are not installed.
    """

    def __init__(
        self, variables: Mapping[str, str], folder: str | None = None, s3: str | None = None
    ) -> None:
        self._plain: Traces = environment.traces(variables, local=folder is not None, remote=s3 is not None)
        self._folder = None if folder is None else Path(folder).absolute()
        if self._folder is not None:
            from output_mock.traces.folder import Folder

            try:
                Folder(self._folder / "runs").make()
            except OSError as error:
                raise ValueError(
                    f"--trace-dir: cannot write to {self._folder / 'runs'}: {error.strerror}; give a folder "
                    "that you may write to"
                ) from None
        self._reported = bool(variables.get("OUTPUT_TRACE_HOST_PATH"))
        self._settings = environment.s3(variables, complete=s3 not in (None, "moto"))
        self.endpoint: str | None = None
        self._stop: Callable[[], None] = lambda: None
        self._buckets: dict[str, Bucket] = {}
        if s3 is None:
            return
        from output_mock.traces.s3 import installed, moto_server

        installed()
        self.endpoint = s3
        self._in_memory = s3 == "moto"
        if s3 == "moto":
            # Do not mix moto's log of requests with this server's.
            logging.getLogger("werkzeug").setLevel(logging.WARNING)
            self.endpoint, self._stop = moto_server()
            self._bucket(DEFAULT).create()

    def traces(self, world: str = DEFAULT) -> Traces:
        """Where the traces of this world go, separate from those of other worlds."""
        found = self._plain
        if self._folder is not None:
            from output_mock.traces.folder import Folder

            root = self._folder if world == DEFAULT else self._of(self._folder, world)
            runs = root / "runs"
            reported = found.folder if self._reported and world == DEFAULT else str(runs)
            found = replace(found, folder=reported, writer=Folder(runs))
        if self.endpoint is not None:
            bucket = self._bucket(world)
            found = replace(found, bucket=bucket.name, keys=True, uploader=bucket, source=bucket)
        return found

    def _of(self, folder: Path, world: str) -> Path:
        """The folder of a world, in `folder/worlds`. Raises `ValueError` for one that would be elsewhere."""
        worlds = folder / "worlds"
        found = worlds / world
        if found.parent != worlds or found.name != world or world == "..":
            raise ValueError(f"the traces of a world {world!r} would not be in {worlds}")
        return found

    def _bucket(self, world: str) -> Bucket:
        """The bucket of a world, which it keeps when it is wiped. Buckets are made when needed."""
        from output_mock.traces.s3 import Bucket

        if world in self._buckets:
            return self._buckets[world]
        name = self._settings.bucket
        if world != DEFAULT:
            name = f"{name[:50]}-{hashlib.sha256(world.encode()).hexdigest()[:8]}"
        bucket = Bucket(
            name,
            endpoint=self.endpoint,
            region=self._settings.region,
            key_id=self._settings.key_id,
            secret=self._settings.secret,
            make=world != DEFAULT,
            in_memory=self._in_memory,
        )
        self._buckets[world] = bucket
        return bucket

    def forget(self, world: str) -> None:
        """Delete the traces of a deleted world, except those in the user's own S3."""
        if self._folder is not None:
            shutil.rmtree(self._of(self._folder, world), ignore_errors=True)
        bucket = self._buckets.pop(world, None)
        if bucket is not None and self._in_memory:
            bucket.discard()

    def lines(self) -> list[str]:
        """Lines that tell the user where traces are."""
        told = []
        if self._folder is not None:
            told.append(f"traces are written to {self._folder / 'runs'}")
        if self.endpoint is not None:
            told.append(f"traces are uploaded to bucket {self._settings.bucket} of {self.endpoint}")
        return told

    def warning(self) -> str | None:
        """A warning about settings that would surprise the user."""
        if self._plain.bucket is not None and self.endpoint is None:
            return (
                "OUTPUT_TRACE_REMOTE_ON is on, but there is no S3, so remote traces cannot be fetched; give "
                "--s3 moto, or --s3 URL"
            )
        return None

    def close(self) -> None:
        """Let uploads that are under way finish, and stop moto's server if this has started it."""
        for bucket in self._buckets.values():
            bucket.settle()
        self._stop()
