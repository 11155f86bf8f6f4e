"""The fields of the API's request bodies and query strings (body_validation, runs, history_paging).

A field defines how the server reads a value, issue by issue, and its schema in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from output_mock import zod
from output_mock.contract.schemas import JsonSchema, record
from output_mock.contract.schemas import text as text_schema
from output_mock.zod.schemas import UUID_PATTERN

# Names of catalogs and workflow types, as filters or in paths.
_IDENTIFIER = "^[A-Za-z0-9_.@-]+$"
_BASE64 = "^[A-Za-z0-9+/]+={0,2}$"
# The server accepts more run ids than it creates: also capitals, and the nil and max UUIDs.
RUN_ID_ACCEPTED = UUID_PATTERN


class Field(NamedTuple):
    """A field of a body, or a parameter of a query string or a header."""

    name: str
    # How the server reads it.
    rule: zod.Schema
    # Its schema in the OpenAPI document.
    schema: JsonSchema
    about: str = ""
    required: bool = False
    # Whether the OpenAPI document lists it.
    documented: bool = True


def _text(
    name: str, about: str, *, required: bool = False, documented: bool = True, **keywords: Any
) -> Field:
    rule: zod.Schema = zod.string() if required else zod.string().optional()
    return Field(name, rule, text_schema(**keywords), about, required, documented)


def _identifier(name: str, about: str, **keywords: Any) -> Field:
    rule = zod.string().regex("^[a-z0-9_.@-]+$", "i").optional()
    return Field(name, rule, text_schema(pattern=_IDENTIFIER, **keywords), about)


def _whole(
    name: str, about: str, *, least: int, most: int | None = None, default: int | None = None
) -> Field:
    """A whole number, or a string of digits. If it is not sent, only a `default` gives it a value."""
    rule = zod.number(coerce=True).int().min(least)
    schema: JsonSchema = {"type": "integer", "minimum": least}
    if most is not None:
        rule = rule.max(most)
        schema["maximum"] = most
    if default is not None:
        schema["default"] = default
    return Field(name, rule.optional() if default is None else rule.default(default), schema, about)


def _positive(name: str, about: str) -> Field:
    rule = zod.number(coerce=True).int().positive()
    return Field(name, rule.optional(), {"type": "integer", "minimum": 1}, about)


def _flag(name: str, about: str) -> Field:
    rule = zod.union(zod.literal("true"), zod.literal("false")).default("false")
    return Field(name, rule, {"type": "boolean", "default": False}, about)


class Body:
    """The body of a request: JSON, or a form. It may be missing if no field is required.

    The server ignores unknown keys.
    """

    def __init__(self, name: str, *fields: Field) -> None:
        self.name = name
        self.fields: tuple[Field, ...] = fields
        self.required: bool = any(field.required for field in fields)
        rule = zod.object({field.name: field.rule for field in fields})
        self._rule: zod.Schema = rule if self.required else rule.default({})

    def parse(self, value: Any) -> dict[str, Any]:
        """Parse the value of the body. Raises `ZodError`."""
        parsed: dict[str, Any] = self._rule.parse(value)
        return parsed

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(field.name for field in self.fields)


class Query:
    """The query string of a request. The server ignores unknown parameters."""

    def __init__(
        self, *fields: Field, refined: Callable[[zod.Schema], zod.Schema] = lambda rule: rule
    ) -> None:
        self.fields: tuple[Field, ...] = fields
        self._rule: zod.Schema = refined(zod.object({field.name: field.rule for field in fields}))

    def parse(self, value: dict[str, Any]) -> dict[str, Any]:
        """Parse the parameters. Raises `ZodError`."""
        parsed: dict[str, Any] = self._rule.parse(value)
        return parsed


# Bodies

_TO_START = (
    _text("workflowName", "The workflow's name, or an alias.", required=True, examples=["summarize_url"]),
    Field(
        "input",
        zod.anything().optional(),
        {"examples": [{"url": "https://a.example"}]},
        "Any JSON; may be left out.",
    ),
    _text("workflowId", "An id that no running workflow has; made up if missing.", minLength=1),
    _identifier("catalog", "Which catalog to look in; the server's own if missing."),
    _identifier("taskQueue", "The old name of `catalog`, which wins over it.", deprecated=True),
)
# Without this field the server decides how long `/workflow/run` waits. There is no `default` here, because
# generated TypeScript types would then require the property.
_TIMEOUT = _whole(
    "timeout",
    "How many milliseconds to wait; 300000 if missing. Digits in a string are understood too.",
    least=250,
)
_REASON = _text("reason", "Kept in the history.")
_PAYLOAD = Field(
    "payload",
    zod.object({}, zod.anything()).optional(),
    record(),
    "What the handler is given.",
)

START = Body("StartRequest", *_TO_START)
RUN = Body("RunRequest", *_TO_START, _TIMEOUT)
TERMINATE = Body("TerminateRequest", _REASON)
RESET = Body("ResetRequest", _text("stepName", "The step to begin again after.", required=True), _REASON)
MESSAGE = Body("MessageRequest", _PAYLOAD)
BODIES = (START, RUN, TERMINATE, RESET, MESSAGE)

# Query strings

_INCLUDE_PAYLOADS = _flag(
    "includePayloads", "With inputs, results and failures. Only `true` and `false` are understood."
)
_RUN_ID = _text("runId", "One of its runs, a UUID. Has to come with a page token.")

RUNS = Query(
    _identifier("workflowType", "Only runs of this workflow."),
    _identifier("catalog", "Only runs of this catalog."),
    _whole("limit", "At most so many.", least=1, most=1000, default=100),
)
HISTORY = Query(
    _RUN_ID,
    _whole(
        "pageSize",
        "How many batches to return: groups of events that were written at once.",
        least=1,
        most=50,
        default=20,
    ),
    Field(
        "pageToken",
        zod.blank_is_absent(
            zod.string().max(4096).regex(_BASE64, message="Invalid pageToken format").optional()
        ),
        text_schema(pattern=f"^$|{_BASE64}"),
        "`nextPageToken` of the page before; an empty one is as good as none.",
    ),
    _INCLUDE_PAYLOADS,
    _positive(
        "longPollTimeoutMs",
        "At the end of a running run's history, wait so long for more (15000 at most).",
    ),
    refined=lambda rule: rule.refine(
        lambda query: not query.get("pageToken") or bool(query.get("runId")),
        "runId is required when using pageToken",
        ["runId"],
    ),
)
STREAM = Query(
    # The real server reads it here too, but its document does not say so.
    _RUN_ID._replace(documented=False),
    _INCLUDE_PAYLOADS,
    _positive("lastEventId", "Begin after this event."),
)

# Headers

LAST_EVENT_ID = Field(
    "Last-Event-ID",
    zod.number(coerce=True).int().positive(),
    text_schema(),
    "The same, as browsers send it; its last number counts.",
)

# Paths

RUN_ID: zod.Schema = zod.uuid()
PATH_PARAMETERS: dict[str, tuple[str, JsonSchema]] = {
    "id": ("The workflow's id, or the catalog's name.", text_schema()),
    "rid": ("One of the workflow's runs.", text_schema(format="uuid", pattern=RUN_ID_ACCEPTED)),
    "signal": ("Any name; a signal that nobody waits for is kept.", text_schema()),
    "query": ("A query that the workflow has a handler for.", text_schema()),
    "update": ("An update that the workflow has a handler for.", text_schema()),
}
