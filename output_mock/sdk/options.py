"""The options of steps: timeouts and retries, with the SDK's names and defaults."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from output_mock.contract.history import ActivityOptions
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
_OPTIONS = (
    "startToCloseTimeout",
    "heartbeatTimeout",
    "scheduleToCloseTimeout",
    "scheduleToStartTimeout",
    "retry",
    "priority",
    "activityId",
    # Taken, and without consequence in a fake.
    "summary",
    "cancellationType",
)
_RETRY = tuple(_DEFAULTS["retry"])


def activity_options(*layers: Mapping[str, Any] | None, where: str) -> ActivityOptions:
    """The options of steps after `layers` have been laid over the SDK's defaults, last one on top.

    A layer has the SDK's own names: `{"startToCloseTimeout": "2h", "retry": {"maximumAttempts": 1}}`.
    Raises `ValueError` that names `where` for an unknown name or a value that cannot be.
    """
    if not any(layers):
        return plain_options()
    merged: dict[str, Any] = {**_DEFAULTS, "retry": dict(_DEFAULTS["retry"])}
    for layer in layers:
        for name, value in (layer or {}).items():
            if name not in _OPTIONS:
                raise ValueError(f"{where}: unknown step option {name!r}{nearest(name, _OPTIONS)}")
            if name != "retry":
                merged[name] = value
                continue
            for key, setting in value.items():
                if key not in _RETRY:
                    raise ValueError(f"{where}: unknown retry option {key!r}{nearest(key, _RETRY)}")
                merged["retry"][key] = setting
    return resolved_options(merged, where)


@functools.cache
def plain_options() -> ActivityOptions:
    """The SDK's own; most workflows have these."""
    return resolved_options({**_DEFAULTS, "retry": dict(_DEFAULTS["retry"])}, "the defaults")


def resolved_options(merged: dict[str, Any], where: str) -> ActivityOptions:
    """The options that are written so, complete. Raises `ValueError` that names `where`."""
    retry = merged["retry"]
    retry["nonRetryableErrorTypes"] = list(dict.fromkeys([*retry["nonRetryableErrorTypes"], "FatalError"]))
    try:
        options = ActivityOptions(
            start_to_close=nanoseconds(merged["startToCloseTimeout"]),
            heartbeat=nanoseconds(merged["heartbeatTimeout"]),
            schedule_to_close=_length(merged.get("scheduleToCloseTimeout")),
            schedule_to_start=_length(merged.get("scheduleToStartTimeout")),
            initial_interval=nanoseconds(retry["initialInterval"]),
            backoff=float(retry["backoffCoefficient"]),
            maximum_interval=nanoseconds(retry["maximumInterval"]),
            maximum_attempts=int(retry["maximumAttempts"]),
            non_retryable=tuple(retry["nonRetryableErrorTypes"]),
            priority=merged.get("priority"),
            text=merged,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None
    if options.maximum_attempts < 1:
        raise ValueError(f"{where}: maximumAttempts must be 1 or more, not {retry['maximumAttempts']}")
    if options.backoff < 1:
        raise ValueError(f"{where}: backoffCoefficient must be 1 or more, not {retry['backoffCoefficient']}")
    return options


def _length(duration: Any) -> int | None:
    return None if duration is None else nanoseconds(duration)
