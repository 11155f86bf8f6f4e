"""A deployment: a server of one version and workers of another, and how the newest is turned into them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from output_mock.contract import closed_runs
from output_mock.contract.closed_runs import Closed
from output_mock.contract.events import Event
from output_mock.contract.reply import Reply
from output_mock.contract.versions import v0_9, v0_10, v0_11
from output_mock.contract.versions.change import Change, Facts, ShownEvent, Trait
from output_mock.contract.versions.numbers import NEWEST_VERSION, number_of, resolved

# All changes, newest first.
CHANGES: tuple[Change, ...] = (*v0_11.CHANGES, *v0_10.CHANGES, *v0_9.CHANGES)


class Deployment:
    """What a server and workers of these versions do.

    It holds the changes that came after them, newest first, and turns each of them back.
    """

    def __init__(self, api: str, sdk: str) -> None:
        self.api = api
        self.sdk = sdk
        mine = {"api": number_of(api), "sdk": number_of(sdk)}
        # What workers do comes first on the way out: the server makes its answers of that.
        self.changes: tuple[Change, ...] = tuple(
            change
            for axis in ("sdk", "api")
            for change in CHANGES
            if change.axis == axis and number_of(change.since) > mine[axis]
        )
        self.is_newest: bool = not self.changes
        traits: frozenset[Trait] = frozenset().union(*(change.before for change in self.changes))
        # Looked at for every run and step, so each is ready as it is.
        self.asks_the_catalog: bool = Trait.ASKS_THE_CATALOG in traits
        self.finds_no_workflow: bool = Trait.NO_NAMES_IN_THE_MEMO in traits and not self.asks_the_catalog
        self.schemas_only_check: bool = Trait.SCHEMAS_ONLY_CHECK in traits
        self.parents_options_win: bool = Trait.PARENTS_OPTIONS_WIN in traits
        self.fatal_by_name: bool = Trait.FATAL_BY_NAME in traits
        self.requests_as_written: bool = Trait.REQUESTS_AS_WRITTEN in traits
        self.untraced_runs_ask: bool = Trait.UNTRACED_RUNS_ASK in traits
        self._nested_traces_only: bool = Trait.NESTED_TRACES_ONLY in traits
        self.hidden_events: frozenset[type[Event]] = frozenset().union(
            *(change.hides for change in self.changes)
        )
        self._missing: frozenset[str] = frozenset().union(*(change.adds for change in self.changes))
        self._traces = [change.trace for change in self.changes if change.trace is not None]
        self._answers = [change for change in self.changes if change.answer is not None]

    def __repr__(self) -> str:
        return f"<API {self.api}, SDK {self.sdk}>"

    def has(self, operation: str) -> bool:
        """Whether the server has that operation."""
        return operation not in self._missing

    def query(self, operation: str, query: dict[str, Any]) -> None:
        """Turn the parameters of a request forth, in place."""
        for change in self.changes:
            if change.query is not None and operation in change.routes:
                change.query(query)

    def answer(self, operation: str | None, reply: Reply) -> None:
        """Turn an answer back, in place; `operation` is None where no path fits."""
        for change in self._answers:
            if change.answer is not None and (not change.routes or operation in change.routes):
                change.answer(reply)

    def result(self, closed: Closed, facts: Callable[[], Facts]) -> dict[str, Any]:
        """The result of a run as `/result` has it; `facts` tells more about the run if that is needed."""
        if not self.is_newest:
            run = facts()
            for change in self.changes:
                if change.closed is not None:
                    change.closed(closed, run)
        return closed_runs.result(closed)

    def places(self, result: dict[str, Any]) -> dict[str, Any]:
        """Where the server finds the trace of a run with this result."""
        return closed_runs.places(result, nested_only=self._nested_traces_only)

    def event(self, shown: ShownEvent) -> None:
        """Turn the attributes of an event back, in place."""
        for change in self.changes:
            if change.event is not None:
                change.event(shown)

    def trace(self, tree: dict[str, Any], facts: Callable[[], Facts]) -> None:
        """Turn the tree of a trace back, in place; `facts` tells more about its run if that is needed."""
        if not self._traces:
            return
        run, seen, waiting = facts(), set[int](), [tree]
        for node in waiting:
            # What was tried again is there several times, and is one node.
            if id(node) not in seen:
                seen.add(id(node))
                for turn in self._traces:
                    turn(node, run)
                waiting += node["children"]

    def document(self, document: dict[str, Any]) -> None:
        """Turn the OpenAPI document back, in place."""
        for change in self.changes:
            if change.document is not None:
                change.document(document)


@functools.lru_cache(maxsize=64)
def _made(api: str, sdk: str) -> Deployment:
    return Deployment(api, sdk)


def deployment(api_version: str | None = None, sdk_version: str | None = None) -> Deployment:
    """The deployment with these versions: `"0.9"` is the newest 0.9 that is known.

    Without `api_version` the server is the newest one, without `sdk_version` the workers are of the same
    version as the server. Raises `UnknownVersionError` for a version that was never measured.
    """
    api = resolved(api_version, "api")
    return _made(api, api if sdk_version is None else resolved(sdk_version, "sdk"))


NEWEST = deployment(NEWEST_VERSION, NEWEST_VERSION)
