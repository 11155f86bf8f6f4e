"""What a catalog says about a workflow, and the function that does it."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from output_mock.durations import nanoseconds
from output_mock.engine.history import ActivityOptions, Memo
from output_mock.zod import Schema, from_json_schema

if TYPE_CHECKING:
    from output_mock.engine.context import Context
    from output_mock.scripts.builder import WorkflowBuilder

ScriptFunction = Callable[["Context", Any], Awaitable[Any]]
JSONSchema = Mapping[str, Any]
# What the real SDK accepts as a workflow's name and as an alias.
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

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
# How many names a message lists.
_LISTED = 8
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


def closest(name: str, known: Sequence[str]) -> str | None:
    """The known name that is most like `name`; None when none is."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.6)), None)


def nearest(name: str, known: Sequence[str]) -> str:
    """`"; did you mean 'x'?"` for the known name that is most like `name`, or nothing."""
    meant = closest(name, known)
    return "" if meant is None else f"; did you mean {meant!r}?"


def listed(before: str, name: str, known: Collection[str]) -> str:
    """What to say after that there is no `name`: the nearest of the known ones, or some of them."""
    names = sorted(known)
    more = ", …" if len(names) > _LISTED else ""
    return nearest(name, names) or f"{before} {', '.join(names[:_LISTED]) or 'nothing'}{more}"


class ScheduledSignal(NamedTuple):
    """A signal that every run gets so many nanoseconds after it has started; `UNDEFINED` has no payload."""

    name: str
    payload: Any
    after: int
    # Where it is written: file and line.
    place: str


class WorkflowDefinition:
    """One workflow of a catalog: its name, schemas, options, and the script that plays it.

    Takes the names and schemas as the real catalog shows them; `options` are step options with the
    SDK's own names; `traced=False` is the SDK's `disableTrace`. Raises `ValueError` for a name that
    the real SDK would refuse, and for schemas and options that make no sense.
    """

    # Whether the script is all there is: no schemas, no trace destinations, no step options.
    bare = False
    # Where it is scripted: file and line.
    place = ""
    # Whether a request has brought it, and no script of the command line.
    brought = False
    # What it was scripted on in calls, besides its script.
    builder: WorkflowBuilder | None = None

    def __init__(
        self,
        name: str,
        script: ScriptFunction,
        *,
        description: str | None = None,
        input_schema: JSONSchema | None = None,
        output_schema: JSONSchema | None = None,
        aliases: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        traced: bool = True,
        path: str | None = None,
        signals: Sequence[ScheduledSignal] = (),
    ) -> None:
        where = f"workflow {name!r}"
        for word in (name, *aliases):
            if not isinstance(word, str) or not NAME.fullmatch(word):
                raise ValueError(
                    f"{where}: {word!r} cannot name a workflow; "
                    "names are letters, digits and underscores, and begin with no digit"
                )
        self.name = name
        self.script = script
        self.description = description
        self.input_json_schema = input_schema
        self.output_json_schema = output_schema
        self.aliases: tuple[str, ...] = tuple(aliases)
        self.traced = traced
        self.signals: tuple[ScheduledSignal, ...] = tuple(signals)
        self.path: str = path or f"/app/dist/workflows/{name}/workflow.js"
        self.layer = options
        self.options: ActivityOptions = activity_options(options, where=where)
        self.input_schema: Schema | None = _schema(input_schema, f"input_schema of {where}")
        self.output_schema: Schema | None = _schema(output_schema, f"output_schema of {where}")
        self._step_schemas: dict[int, tuple[Mapping[str, Any], Schema]] = {}

    def said(self) -> dict[str, Any]:
        """What it was made with, but for its name and script."""
        said = {
            "description": self.description,
            "input_schema": self.input_json_schema,
            "output_schema": self.output_json_schema,
            "aliases": self.aliases,
            "options": self.layer,
            "traced": self.traced,
            "path": self.path,
            "signals": self.signals,
        }
        return {name: value for name, value in said.items() if value is not None}

    def options_below(self, memo: Memo | None, invocation: Mapping[str, Any] | None) -> ActivityOptions:
        """The step options of a run: a child's lie over its parent's, and the call's over both."""
        inherited = None if memo is None else memo.options
        if inherited is None and not invocation:
            return self.options
        layers = (None if inherited is None else inherited.text, self.layer, invocation)
        return activity_options(*layers, where=f"workflow {self.name!r}")

    def step_options(self, base: ActivityOptions, overrides: Mapping[str, Any] | None) -> ActivityOptions:
        """The options of one step: what the call says lies over the run's."""
        if not overrides:
            return base
        return activity_options(base.text, overrides, where=f"a step of workflow {self.name!r}")

    def step_schema(self, schema: Mapping[str, Any], where: str) -> Schema:
        """The compiled form of a step's schema; compiled once for each schema object."""
        known = self._step_schemas.get(id(schema))
        if known is None or known[0] is not schema:
            known = self._step_schemas[id(schema)] = (schema, from_json_schema(dict(schema), where=where))
        return known[1]

    def as_catalog_entry(self) -> dict[str, Any]:
        """The workflow as `/workflow/catalog` shows it (routing)."""
        entry: dict[str, Any] = {"name": self.name}
        if self.description is not None:
            entry["description"] = self.description
        entry["inputSchema"] = _catalog_schema(self.input_json_schema)
        entry["outputSchema"] = _catalog_schema(self.output_json_schema)
        entry["path"] = self.path
        entry["activities"] = []
        entry["aliases"] = list(self.aliases)
        return entry


class CatalogDefinition(WorkflowDefinition):
    """The workflow that holds a catalog itself: type `$catalog`, its id the catalog's name."""

    bare = True

    def __init__(self, contents: Callable[[], dict[str, Any]]) -> None:
        super().__init__("catalog", self._hold, traced=False)
        self.name = "$catalog"
        self._contents = contents

    async def _hold(self, ctx: Context, given: Any) -> None:
        complete = False

        def finish(_payload: Any) -> bool:
            nonlocal complete
            complete = True
            return True

        ctx.on_query("get", lambda _payload: self._contents())
        ctx.on_query("ping", lambda _payload: "pong")
        ctx.on_update("complete", finish)
        await ctx.condition(lambda: complete)


class Offered:
    """The workflows of a catalog, by their names and aliases."""

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.workflows: dict[str, WorkflowDefinition] = {}
        self.names: dict[str, str] = {}

    def add(self, definition: WorkflowDefinition) -> None:
        """Offer a workflow, in the place of an earlier one of the same name.

        Raises `ValueError` when its name or an alias belongs to another workflow of this catalog.
        """
        old = self.workflows.get(definition.name)
        others = {
            name: real
            for name, real in self.names.items()
            if real != definition.name or (old is None and name != definition.name)
        }
        for name in (definition.name, *definition.aliases):
            if name in others:
                raise ValueError(
                    f"workflow {definition.name!r}: {name!r} already names workflow {others[name]!r} "
                    f"of catalog {self.name!r}"
                )
        self.workflows[definition.name] = definition
        self.names = {name: one.name for one in self.workflows.values() for name in (one.name, *one.aliases)}

    def remove(self, name: str) -> None:
        """Offer a workflow no longer; its runs go on."""
        del self.workflows[name]
        self.names = {alias: real for alias, real in self.names.items() if real != name}

    def child(self, name: str) -> str:
        """The workflow that a parent means. Raises `LookupError` that tells what there is."""
        resolved = self.names.get(name)
        if resolved is None:
            there = listed("; it has", name, self.names)
            raise LookupError(
                f"there is no workflow {name!r} in catalog {self.name!r} to run as a child{there}"
            )
        return resolved

    def as_json(self) -> dict[str, Any]:
        """The catalog as `/workflow/catalog` shows it (routing)."""
        return {
            "workflows": [definition.as_catalog_entry() for definition in self.workflows.values()],
            "workflowNames": dict(self.names),
        }


def _schema(schema: JSONSchema | None, where: str) -> Schema | None:
    return None if schema is None else from_json_schema(dict(schema), where=where)


def _catalog_schema(schema: JSONSchema | None) -> Any:
    if schema is None:
        return None
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
