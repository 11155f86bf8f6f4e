"""Requests that workflows send: the arguments of `sendHttpRequest`, and its step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.failures import invalid
from output_mock.sdk.options import resolved_options
from output_mock.sdk.step_plans import StepPlan
from output_mock.zod import anything, boolean, enum, object, record, string
from output_mock.zod.javascript import is_url

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
METHODS: tuple[Method, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# The signal that ends the wait of `sendPostRequestAndAwaitWebhook`; `/feedback` sends it.
RESUME = "resume"

# These apply whatever the options of the workflow are (call_get). Without a limit, an interval grows to a
# hundred times the first one.
REQUEST_OPTIONS = resolved_options(
    {
        "startToCloseTimeout": "3m",
        "heartbeatTimeout": 0,
        "retry": {
            "initialInterval": "15s",
            "backoffCoefficient": 2,
            "maximumInterval": "1500s",
            "maximumAttempts": 3,
            "nonRetryableErrorTypes": ["FatalError"],
        },
    },
    "the SDK's own requests",
)
_HTTP = re.compile(r"\s*https?:", re.IGNORECASE)


def _is_http(text: str) -> bool:
    return bool(_HTTP.match(text)) and is_url(text)


_ARGUMENTS = object(
    {
        "url": string().satisfies("url", _is_http, "Invalid URL"),
        "method": enum(*METHODS),
        "payload": anything().optional(),
        "headers": record(string()).optional(),
        "responseOptions": object(
            {"includeHeaders": boolean().optional(), "includeBody": boolean().optional()}, strict=True
        ).optional(),
    }
)


class RequestPlan(StepPlan):
    """The step that sends a request."""

    def __init__(self) -> None:
        super().__init__("sendHttpRequest", None, None, 0, "Internal")

    def where(self, workflow_path: str) -> str:
        """The place that stack traces name: the SDK's own code."""
        return "sendHttpRequest (@outputai/core/internal_activities)"


def request_arguments(
    url: Any, method: Any, payload: Any, headers: Any, response_options: Any
) -> dict[str, Any]:
    """The arguments of the step. Raises the SDK's `Failure` for arguments that the SDK refuses
    (call_refused_arguments).
    """
    given: Mapping[str, Any] = {
        "method": method,
        "url": url,
        "payload": payload,
        "headers": UNDEFINED if headers is None else headers,
        "responseOptions": {} if response_options is None else response_options,
    }
    arguments = {name: value for name, value in given.items() if value is not UNDEFINED}
    _, issues = _ARGUMENTS.safe_parse(arguments)
    if issues:
        raise invalid("Request payload", issues)
    return arguments
