"""What the API takes: the schemas of its bodies and query strings (body_validation, runs, history_paging)."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

from output_mock import zod

_IDENTIFIER = zod.string().regex("^[a-z0-9_.@-]+$", "i")
_FLAG = zod.union(zod.literal("true"), zod.literal("false")).default("false")

_TO_START = {
    "workflowName": zod.string(),
    "input": zod.anything().optional(),
    "workflowId": zod.string().optional(),
    "catalog": _IDENTIFIER.optional(),
    "taskQueue": _IDENTIFIER.optional(),
}
START: zod.Schema = zod.object(_TO_START)
RUN: zod.Schema = zod.object({**_TO_START, "timeout": zod.number(coerce=True).int().min(250).optional()})
MESSAGE = zod.object({"payload": zod.object({}, zod.anything()).optional()}).default({})
TERMINATE = zod.object({"reason": zod.string().optional()}).default({})
RESET: zod.Schema = zod.object({"stepName": zod.string(), "reason": zod.string().optional()})
RUNS: zod.Schema = zod.object(
    {
        "workflowType": _IDENTIFIER.optional(),
        "catalog": _IDENTIFIER.optional(),
        "limit": zod.number(coerce=True).int().min(1).max(1000).default(100),
    }
)
HISTORY = zod.object(
    {
        "runId": zod.string().optional(),
        "pageSize": zod.number(coerce=True).int().min(1).max(50).default(20),
        "pageToken": zod.blank_is_absent(
            zod.string()
            .max(4096)
            .regex("^[A-Za-z0-9+/]+={0,2}$", message="Invalid pageToken format")
            .optional()
        ),
        "includePayloads": _FLAG,
        "longPollTimeoutMs": zod.number(coerce=True).int().positive().optional(),
    }
).refine(
    lambda query: not query.get("pageToken") or bool(query.get("runId")),
    "runId is required when using pageToken",
    ["runId"],
)
STREAM: zod.Schema = zod.object(
    {
        "runId": zod.string().optional(),
        "includePayloads": _FLAG,
        "lastEventId": zod.number(coerce=True).int().positive().optional(),
    }
)
LAST_EVENT_ID = zod.number(coerce=True).int().positive()
RUN_ID = zod.uuid()
# The fields of each operation's body.
FIELDS: dict[str, tuple[str, ...]] = {
    "run": (*_TO_START, "timeout"),
    "start": tuple(_TO_START),
    "signal": ("payload",),
    "query": ("payload",),
    "update": ("payload",),
    "feedback": ("payload",),
    "terminate": ("reason",),
    "reset": ("stepName", "reason"),
}

# Node's query parser reads no more parameters than this.
_MOST_PARAMETERS = 1000


def query_string(raw: str) -> dict[str, Any]:
    """A query string as Node reads it: a name that comes twice has a list of values."""
    query: dict[str, Any] = {}
    if not raw:
        return query
    for part in raw.split("&", _MOST_PARAMETERS)[:_MOST_PARAMETERS]:
        if not part:
            continue
        name, _, text = part.partition("=")
        key, value = _unescaped(name), _unescaped(text)
        known = query.get(key)
        if known is None:
            query[key] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            query[key] = [known, value]
    return query


def _unescaped(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode(errors="replace")
