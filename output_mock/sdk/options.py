"""The options of steps: timeouts and retries, with the SDK's names, forms and defaults.

Options are checked as by the SDK's own schema (sdk/core 0.11.0). A duration is a number of milliseconds, or
text with one whole number and one unit: `"500ms"`, `"10s"`, `"5m"`, `"2h"`, `"1d"`.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

from output_mock.contract.run_start import ActivityOptions
from output_mock.durations import nanoseconds
from output_mock.suggestions import nearest

# The defaults of the real SDK, as every recording's memo shows them.
_DEFAULTS: dict[str, Any] = {
    "startToCloseTimeout": "20m",
    "heartbeatTimeout": "5m",
    "retry": {
        "initialInterval": "10s",
        "backoffCoefficient": 2,
        "maximumInterval": "2m",
        "maximumAttempts": 3,
        "nonRetryableErrorTypes": [],
    },
}
_LENGTHS = ("startToCloseTimeout", "heartbeatTimeout", "scheduleToCloseTimeout", "scheduleToStartTimeout")
# Those that the fake accepts, but that have no effect, come last.
_OPTIONS = (*_LENGTHS, "retry", "priority", "activityId", "summary", "cancellationType")
_RETRY = tuple(_DEFAULTS["retry"])
_CANCELLATION_TYPES = ("TRY_CANCEL", "WAIT_CANCELLATION_COMPLETED", "ABANDON")
# Options that are written in another place than in TypeScript.
ELSEWHERE = {
    "activityOptions": "write what is in it directly into the options",
    "disableTrace": "write traced=False (Python) or `traced: false` (YAML) for the workflow instead",
}
# The form of a duration as text.
LENGTH = re.compile(r"(\d+)(ms|s|m|h|d)")


def activity_options(*layers: Mapping[str, Any] | None, where: str) -> ActivityOptions:
    """The options of steps: the SDK's defaults with `layers` on top, the last one winning.

    A layer has the SDK's own names: `{"startToCloseTimeout": "2h", "retry": {"maximumAttempts": 1}}`.
    Raises `ValueError`, which names `where`, for an unknown name, for a value that the SDK refuses, and for
    intervals with which the real server would never begin the step.
    """
    if not any(layers):
        return plain_options()
    merged: dict[str, Any] = {**_DEFAULTS, "retry": dict(_DEFAULTS["retry"])}
    for layer in layers:
        for name, value in (layer or {}).items():
            _check_name(name, _OPTIONS, "step option", where)
            if name != "retry":
                merged[name] = value
                continue
            if not isinstance(value, Mapping):
                raise ValueError(
                    f"{where}: retry must be an object such as {{'maximumAttempts': 3}}, not {value!r}"
                )
            for key, setting in value.items():
                _check_name(key, _RETRY, "retry option", where)
                merged["retry"][key] = setting
    return resolved_options(merged, where)


@functools.cache
def plain_options() -> ActivityOptions:
    """The SDK's defaults, which most workflows have."""
    return resolved_options({**_DEFAULTS, "retry": dict(_DEFAULTS["retry"])}, "the defaults")


def resolved_options(merged: dict[str, Any], where: str) -> ActivityOptions:
    """The complete options for these written ones. Raises `ValueError`, which names `where`."""
    retry = merged["retry"]
    try:
        names = _names(retry["nonRetryableErrorTypes"])
        retry["nonRetryableErrorTypes"] = list(dict.fromkeys([*names, "FatalError"]))
        _check_rest(merged)
        options = ActivityOptions(
            start_to_close=length_of("startToCloseTimeout", merged["startToCloseTimeout"]),
            heartbeat=length_of("heartbeatTimeout", merged["heartbeatTimeout"]),
            schedule_to_close=_optional_length(merged, "scheduleToCloseTimeout"),
            schedule_to_start=_optional_length(merged, "scheduleToStartTimeout"),
            initial_interval=length_of("initialInterval", retry["initialInterval"]),
            backoff=float(_number("backoffCoefficient", retry["backoffCoefficient"], least=1)),
            maximum_interval=length_of("maximumInterval", retry["maximumInterval"]),
            maximum_attempts=_attempts(retry["maximumAttempts"]),
            non_retryable=tuple(retry["nonRetryableErrorTypes"]),
            priority=merged.get("priority"),
            text=merged,
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if options.maximum_interval < options.initial_interval:
        raise ValueError(
            f"{where}: maximumInterval ({retry['maximumInterval']}) is shorter than initialInterval "
            f"({retry['initialInterval']}); the real server never begins such a step, and its run hangs, "
            "so set both"
        )
    return options


def _check_name(name: str, known: tuple[str, ...], what: str, where: str) -> None:
    if name in known:
        return
    instead = f"; {ELSEWHERE[name]}" if name in ELSEWHERE else nearest(name, known)
    raise ValueError(f"{where}: unknown {what} {name!r}{instead}")


def length_of(name: str, written: Any) -> int:
    """A duration in nanoseconds, from one of the forms that the SDK takes.

    Raises `ValueError` that names the option, `name`.
    """
    if isinstance(written, str):
        if LENGTH.fullmatch(written):
            return nanoseconds(written)
        raise ValueError(
            f"{name}: {written!r} is not a duration that the SDK takes; write one whole number and one unit, "
            "such as '500ms', '10s', '5m', '2h' or '1d', or a number of milliseconds"
        )
    return nanoseconds(_number(name, written, least=0) / 1000)


def _optional_length(merged: Mapping[str, Any], name: str) -> int | None:
    written = merged.get(name)
    return None if written is None else length_of(name, written)


def _number(name: str, written: Any, *, least: int) -> int | float:
    if isinstance(written, bool) or not isinstance(written, (int, float)) or not math.isfinite(written):
        length = "a duration such as '10s', or a number of milliseconds"
        forms = "a number" if name == "backoffCoefficient" else length
        raise ValueError(f"{name} must be {forms}, not {written!r}")
    if written < least:
        raise ValueError(f"{name} must be {least} or more, not {written!r}")
    return written


def _attempts(written: Any) -> int:
    if (
        isinstance(written, bool)
        or not isinstance(written, (int, float))
        or not math.isfinite(written)
        or written % 1
    ):
        raise ValueError(f"maximumAttempts must be a whole number, not {written!r}")
    if written < 1:
        raise ValueError(f"maximumAttempts must be 1 or more, not {written!r}")
    return int(written)


def _names(written: Any) -> list[str]:
    if not isinstance(written, (list, tuple)) or not all(isinstance(name, str) for name in written):
        raise ValueError(f"nonRetryableErrorTypes must be a list of names of errors, not {written!r}")
    return list(written)


def _check_rest(merged: Mapping[str, Any]) -> None:
    for name in ("activityId", "summary"):
        if not isinstance(merged.get(name, ""), str):
            raise ValueError(f"{name} must be text, not {merged[name]!r}")
    kind = merged.get("cancellationType", _CANCELLATION_TYPES[0])
    if kind not in _CANCELLATION_TYPES:
        raise ValueError(f"cancellationType must be one of {', '.join(_CANCELLATION_TYPES)}, not {kind!r}")
    if not isinstance(merged.get("priority", {}), Mapping):
        raise ValueError(
            f"priority must be an object such as {{'priorityKey': 1}}, not {merged['priority']!r}"
        )
