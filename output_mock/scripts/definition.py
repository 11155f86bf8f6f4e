"""What a catalog says about a workflow, and its script."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from output_mock.contract.run_start import ActivityOptions, Memo
from output_mock.sdk.options import activity_options
from output_mock.zod import Schema, from_json_schema

if TYPE_CHECKING:
    from output_mock.sdk.context import Context

ScriptFunction = Callable[["Context", Any], Awaitable[Any]]
JSONSchema = Mapping[str, Any]
# What the real SDK accepts as a workflow's name and as an alias.
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class ScheduledSignal(NamedTuple):
    """A signal that every run gets some nanoseconds after its start. The payload `UNDEFINED` means none."""

    name: str
    payload: Any
    after: int
    # Where it is written: file and line.
    place: str


class WorkflowDefinition:
    """One workflow of a catalog: its name, schemas, options, and its script.

    Takes the names and schemas as the real catalog shows them; `options` are step options with the
    SDK's own names; `traced=False` is the SDK's `disableTrace`. Raises `ValueError` for a name that
    the real SDK would refuse, and for schemas and options that make no sense.
    """

    # Whether it is a plain Temporal workflow: no schemas, no trace destinations, no step options.
    bare = False
    # Where it is scripted: file and line.
    place = ""
    # Whether a request has added it, not a script of the command line.
    brought = False
    # The builder, if calls have scripted it, with or without a script function.
    builder: object | None = None

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
                    f"{where}: {word!r} is not a valid workflow name; use letters, digits and underscores, "
                    f"and do not begin with a digit"
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
        """The arguments that it was made with, except its name and script."""
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

    def options_below(
        self, memo: Memo | None, invocation: Mapping[str, Any] | None, *, parents_win: bool = False
    ) -> ActivityOptions:
        """The step options of a run: a child's options win over its parent's, and the call's over both.

        With `parents_win`, as in SDKs before 0.11.0, the parent's win over the child's.
        """
        inherited = None if memo is None else memo.options
        if inherited is None and not invocation:
            return self.options
        parents = None if inherited is None else inherited.text
        layers = (self.layer, parents, invocation) if parents_win else (parents, self.layer, invocation)
        return activity_options(*layers, where=f"workflow {self.name!r}")

    def step_options(self, base: ActivityOptions, overrides: Mapping[str, Any] | None) -> ActivityOptions:
        """The options of one step: those of the call win over the run's."""
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


def _schema(schema: JSONSchema | None, where: str) -> Schema | None:
    return None if schema is None else from_json_schema(dict(schema), where=where)


def _catalog_schema(schema: JSONSchema | None) -> Any:
    if schema is None:
        return None
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
