"""The real containers' environment variables, read as those read them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from datetime import timedelta

from output_mock.durations import nanoseconds
from output_mock.engine.traces import Traces

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


def traces(environment: Mapping[str, str]) -> Traces:
    """Where traces go, and whether the server may fetch them.

    Raises `ValueError` when they shall go to S3 and no bucket is named.
    """
    # A worker that is told nothing keeps no traces; but it is the server's environment that is most often
    # there, and beside it the project's own compose files have a worker that keeps local ones.
    local = (environment.get("OUTPUT_TRACE_LOCAL_ON") or "true") in _TRUE
    host = environment.get("OUTPUT_TRACE_HOST_PATH")
    folder = posixpath.normpath(posixpath.join(host, "runs")) if host else Traces.folder
    bucket = None
    if environment.get("OUTPUT_TRACE_REMOTE_ON") in _TRUE:
        bucket = environment.get("OUTPUT_TRACE_REMOTE_S3_BUCKET")
        if not bucket:
            raise ValueError(
                "OUTPUT_TRACE_REMOTE_ON is on and there is no bucket; set OUTPUT_TRACE_REMOTE_S3_BUCKET"
            )
    names = ("OUTPUT_AWS_ACCESS_KEY_ID", "OUTPUT_AWS_SECRET_ACCESS_KEY")
    return Traces(folder if local else None, bucket, all(environment.get(name) for name in names))


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
        raise ValueError(f"{text!r} is no number of milliseconds")
    return _checked(float(found[1]) / 1000, text)


def _checked(seconds: float, text: str) -> timedelta:
    try:
        nanoseconds(seconds)
    except ValueError:
        raise ValueError(f"a duration cannot be longer than a century: {text!r}") from None
    return timedelta(seconds=seconds)
