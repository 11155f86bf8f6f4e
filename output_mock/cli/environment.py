"""The real containers' environment variables, read as those read them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from output_mock.durations import nanoseconds
from output_mock.engine.trace_storage import Traces

_TRUE = frozenset({"1", "true", "on"})
_NUMBER = re.compile(r"\s*((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*", re.ASCII | re.IGNORECASE)
# The words of the `ms` package, with which the real server reads lengths, in seconds.
_UNITS = {
    r"ms|msecs?|milliseconds?": 0.001,
    r"s|secs?|seconds?": 1,
    r"m|mins?|minutes?": 60,
    r"h|hrs?|hours?": 3600,
    r"d|days?": 86_400,
    r"w|weeks?": 604_800,
    r"y|yrs?|years?": 31_557_600,
}
_LENGTH = re.compile(
    r"(\d*\.?\d+) ?(?:" + "|".join(f"({words})" for words in _UNITS) + ")?", re.ASCII | re.IGNORECASE
)


class S3Settings(NamedTuple):
    """A bucket of S3, and who may use it."""

    bucket: str
    region: str
    key_id: str
    secret: str


# What a bucket of a fake's own is like, where the environment does not say.
_OWN = {
    "OUTPUT_TRACE_REMOTE_S3_BUCKET": "traces",
    "OUTPUT_AWS_REGION": "us-east-1",
    "OUTPUT_AWS_ACCESS_KEY_ID": "testing",
    "OUTPUT_AWS_SECRET_ACCESS_KEY": "testing",
}


def s3(environment: Mapping[str, str], *, complete: bool) -> S3Settings:
    """The bucket for traces. Raises `ValueError` when it has to be `complete` and is not."""
    missing = [name for name in _OWN if not environment.get(name)]
    if complete and missing:
        raise ValueError(f"an S3 server of your own needs settings; set {', '.join(missing)}")
    return S3Settings(*(environment.get(name) or default for name, default in _OWN.items()))


def traces(environment: Mapping[str, str], *, local: bool = False, remote: bool = False) -> Traces:
    """Where traces go, and whether the server may fetch them.

    Whoever asks has a folder for them in any case (`local`), and an S3 (`remote`).

    Raises `ValueError` when they shall go to S3 and no bucket is named, and for a delay that is no number.
    """
    # A worker that is told nothing keeps no traces; but it is the server's environment that is most often
    # there, and beside it the project's own compose files have a worker that keeps local ones.
    local = local or (environment.get("OUTPUT_TRACE_LOCAL_ON") or "true") in _TRUE
    host = environment.get("OUTPUT_TRACE_HOST_PATH")
    folder = posixpath.normpath(posixpath.join(host, "runs")) if host else Traces.folder
    bucket = None
    if environment.get("OUTPUT_TRACE_REMOTE_ON") in _TRUE and not remote:
        bucket = environment.get("OUTPUT_TRACE_REMOTE_S3_BUCKET")
        if not bucket:
            raise ValueError(
                "OUTPUT_TRACE_REMOTE_ON is on and there is no bucket; set OUTPUT_TRACE_REMOTE_S3_BUCKET"
            )
    names = ("OUTPUT_AWS_ACCESS_KEY_ID", "OUTPUT_AWS_SECRET_ACCESS_KEY")
    delay = environment.get("OUTPUT_TRACE_UPLOAD_DELAY_MS")
    try:
        length = Traces.upload_delay if not delay else nanoseconds(milliseconds(delay))
    except ValueError as error:
        raise ValueError(f"OUTPUT_TRACE_UPLOAD_DELAY_MS: {error}") from None
    return Traces(
        folder if local else None,
        bucket,
        all(environment.get(name) for name in names),
        upload_delay=length,
    )


def execution_timeout(text: str) -> timedelta:
    """A length as `TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT` has it: `24h`, `2 days`, or milliseconds.

    Raises `ValueError` for what the real server could not start a workflow with.
    """
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration; write it like '90s', '45m', '24h' or '2 days'")
    unit = 0.001 if found.lastindex == 1 else list(_UNITS.values())[(found.lastindex or 0) - 2]
    return _checked(float(found[1]) * unit, text)


def milliseconds(text: str) -> timedelta:
    """A number of milliseconds. Raises `ValueError` for anything else."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a number of milliseconds")
    return _checked(float(found[1]) / 1000, text)


def _checked(seconds: float, text: str) -> timedelta:
    try:
        nanoseconds(seconds)
    except ValueError:
        raise ValueError(f"a duration cannot be longer than a century: {text!r}") from None
    return timedelta(seconds=seconds)
