"""What a change between two versions is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NamedTuple

from output_mock.contract.closed_runs import Closed
from output_mock.contract.events import Event
from output_mock.contract.reply import Reply
from output_mock.contract.run_start import ActivityOptions

# Server and workers are upgraded apart: which of the two a change came with.
Axis = Literal["api", "sdk"]


class Trait(Enum):
    """What the server or the workers did before a change that no answer shows by itself."""

    # The server asks a catalog's worker for the names of workflows; since then it reads the catalog's memo.
    ASKS_THE_CATALOG = "asks the catalog"
    # No names stand in a catalog's memo: whoever looks there finds no workflow.
    NO_NAMES_IN_THE_MEMO = "no names in the catalog's memo"
    # An input schema says whether an input will do, and what it fills in or strips reaches no script.
    SCHEMAS_ONLY_CHECK = "schemas only check"
    # The step options of a parent lie over those of its child's definition.
    PARENTS_OPTIONS_WIN = "a parent's options win"
    # A step is tried again whatever it throws, unless the name of that is listed.
    FATAL_BY_NAME = "fatal by name"
    # The server looks for a trace only where the older shape of results has it.
    NESTED_TRACES_ONLY = "nested traces only"
    # An untraced run asks for the places of its trace like any other.
    UNTRACED_RUNS_ASK = "untraced runs ask"
    # Requests go out with their headers as they stand, and workflows get the whole answer.
    REQUESTS_AS_WRITTEN = "requests as written"


class Facts(NamedTuple):
    """What of a run an older shape needs to know, and the newest shape does not show."""

    # The workflow ids of the run and of those above it, the root's first.
    stack: tuple[str, ...]
    input: Any
    # The root's entry in the memo, `{workflowId, workflowType, runId, startTime}`, and whether it is traced.
    trace_info: Mapping[str, Any]
    traced: bool
    # The step options of its definition.
    options: ActivityOptions
    # The places of its trace, once they are known.
    destinations: Mapping[str, str] | None

    # Whether it is the run of a workflow, and no catalog's.
    scripted: bool = True

    @property
    def root(self) -> bool:
        """Whether it is nobody's child."""
        return len(self.stack) == 1


@dataclass
class ShownEvent:
    """An event as JSON: its kind, its attributes, whose it is, and whether it belongs to the
    step that asks for the places of the trace.
    """

    kind: type[Event]
    attributes: dict[str, Any]
    run: Facts
    internal: bool = False
    # Whether what it tells was returned is nothing at all, which shows as null.
    nothing: bool = False


@dataclass(frozen=True)
class Change:
    """One difference between two versions, and how to be as before it.

    `says` is for the developers of clients. Everything else is optional: `routes` are the operations that it
    concerns (for `answer` and `query`; none: all), `adds` the operations that were not there before, `hides`
    the kinds of event that were not, `before` what server or workers did otherwise.
    """

    id: str
    since: str
    axis: Axis
    says: str
    routes: frozenset[str] = frozenset()
    adds: frozenset[str] = frozenset()
    hides: frozenset[type[Event]] = frozenset()
    before: frozenset[Trait] = frozenset()
    # An answer turned back, in place; it has no operation when no path fits.
    answer: Callable[[Reply], None] | None = None
    # A query string turned forth, in place.
    query: Callable[[dict[str, Any]], None] | None = None
    # What Temporal holds of a closed run, turned back in place.
    closed: Callable[[Closed, Facts], None] | None = None
    # The attributes of one event, turned back in place. Of the events that `made` adds, too.
    event: Callable[[ShownEvent], None] | None = None
    # A node of a trace, turned back in place; its children follow by themselves.
    trace: Callable[[dict[str, Any], Facts], None] | None = None
    # The OpenAPI document, turned back in place.
    document: Callable[[dict[str, Any]], None] | None = None
