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
# The units of the `ms` package, with which the real server reads durations, in seconds.
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
    """An S3 bucket, and its credentials."""

    bucket: str
    region: str
    key_id: str
    secret: str


# The settings of a fake's own bucket, where the environment does not set them.
_OWN = {
    "OUTPUT_TRACE_REMOTE_S3_BUCKET": "traces",
    "OUTPUT_AWS_REGION": "us-east-1",
    "OUTPUT_AWS_ACCESS_KEY_ID": "testing",
    "OUTPUT_AWS_SECRET_ACCESS_KEY": "testing",
}


def s3(environment: Mapping[str, str], *, complete: bool) -> S3Settings:
    """The bucket for traces. With `complete`, raises `ValueError` if a setting is missing."""
    missing = [name for name in _OWN if not environment.get(name)]
    if complete and missing:
        raise ValueError(f"the S3 server of --s3 URL needs settings; set {', '.join(missing)}")
    return S3Settings(*(environment.get(name) or default for name, default in _OWN.items()))


def traces(environment: Mapping[str, str], *, local: bool = False, remote: bool = False) -> Traces:
    """Where traces go, and whether the server may fetch them.

    `local` says that the caller has a folder for them in any case, `remote` that it has an S3.

    Raises `ValueError` if traces should go to S3 and no bucket is set, and for a delay that is not a number.
    """
    # By default, a worker keeps no traces. But what is set here is mostly the server's environment, and in
    # the compose files of Output projects the worker next to it keeps local traces.
    local = local or (environment.get("OUTPUT_TRACE_LOCAL_ON") or "true") in _TRUE
    host = environment.get("OUTPUT_TRACE_HOST_PATH")
    folder = posixpath.normpath(posixpath.join(host, "runs")) if host else Traces.folder
    bucket = None
    if environment.get("OUTPUT_TRACE_REMOTE_ON") in _TRUE and not remote:
        bucket = environment.get("OUTPUT_TRACE_REMOTE_S3_BUCKET")
        if not bucket:
            raise ValueError(
                "OUTPUT_TRACE_REMOTE_ON is on, but no bucket is set; set OUTPUT_TRACE_REMOTE_S3_BUCKET"
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
    """The duration that `TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT` sets: `24h`, `2 days`, or milliseconds.

    Raises `ValueError` for values with which the real server could not start a workflow.
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
