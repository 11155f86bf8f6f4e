"""Records: the state of a world as data, from which the world can be made again.

Snapshots, the state file and snapshot files consist of records. A record shares with its world what no
longer changes: a run keeps the same record until it changes (`Run.changed`), so a hundred snapshots of a
world contain a closed run once.

A coroutine is not data. The script of an open run is replayed with the run's history, as for a reset
(`replay.py`), until it is where it was. The record has what the history does not contain:

the attempts of steps, signals that are on their way, what is due when. It does not have waiting requests,
variables that scripts share with each other or with their test, and what handlers of queries have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from output_mock.contract.failures import Cause
from output_mock.contract.history import History
from output_mock.engine.clock import Mode
from output_mock.engine.pending import Kind
from output_mock.scripts.definition import ScheduledSignal, WorkflowDefinition
from output_mock.sdk.errors import ScriptError

# The attributes of a run that are data, and that a run which has none has a default for.
RUN_VALUES = (
    *(
        "info",
        "run_id",
        "start_time",
        "status",
        "running",
        "close_time",
        "memo",
        "began",
        "result",
        "failure",
    ),
    *("script_error", "next_run_id", "evaluators", "uploaded", "trace_tree", "details", "task_scheduled"),
    *("speculative", "cancel_requested", "deadline", "sent", "unsent", "answers", "depth"),
)


class Subject(NamedTuple):
    """What a call is about, or what is under way: a step, timer or child by the number of the event that has
    begun it, a pause or a signal on its way by its place among those of its run.
    """

    kind: str
    number: int


class DueWork(NamedTuple):
    """A piece of work for a run that is due at a time, in nanoseconds since 1970.

    Of what is due at the same time the piece with the lowest `number` comes first.
    """

    number: int
    when: int
    is_timeout: bool
    kind: Kind
    subject: Subject | None


class NextWork(NamedTuple):
    """A piece of work for a run that comes next, or once there is a worker again."""

    run_id: str
    kind: Kind
    subject: Subject | None


class StepState(NamedTuple):
    """What no history tells of a step that is under way."""

    scheduled: int
    scheduled_at: int
    started_at: int
    attempt: int
    last_failure: Cause | None
    due: int
    cancel_requested: int


class Pause(NamedTuple):
    """The pause before the first workflow task of a continued run."""

    due: int


class Coming(NamedTuple):
    """A signal that is on its way."""

    name: str
    payload: Any
    due: int
    scheduled: ScheduledSignal | None


class ChildState(NamedTuple):
    """A child that has not closed for its parent."""

    initiated: int
    cancel_requested: int


class UpdateState(NamedTuple):
    """An update that the script has not heard of yet."""

    update_id: str
    name: str
    payload: Any
    admitted: int


class UnderWay(NamedTuple):
    """What no history tells of a run that goes on."""

    # Whether a worker has begun with its script.
    begun: bool
    steps: tuple[StepState, ...]
    # When each timer fires, by the event that has started it.
    timers: tuple[tuple[int, int], ...]
    loose: tuple[Pause | Coming, ...]
    children: tuple[ChildState, ...]
    # In which order it was begun.
    work: tuple[Subject, ...]
    # What the script has not heard of yet: an update, or the kind of what the history tells.
    jobs: tuple[UpdateState | int, ...]
    calls: tuple[DueWork, ...]


class FamilyState(NamedTuple):
    """The runs that come of one that a client has started; see `run.Family`."""

    run_id: str
    workflow: str
    workflow_id: str
    burst: int
    burst_began: int


class RunRecord(NamedTuple):
    """A run. Nothing of a record changes."""

    number: int
    # Which one it was to close; 0 as long as it is open.
    ended: int
    definition: WorkflowDefinition
    catalog: str
    # Those of `RUN_VALUES` that are not the default.
    values: Mapping[str, Any]
    # A run that goes on appends to these lists: it has so many by now.
    history: History
    length: int
    batches: int
    attempts: tuple[Any, ...]
    # The other runs that come of the same one, as long as it goes on.
    family: FamilyState | None
    # Its parent, and the event there that has asked for it, as long as it goes on; the run that it stays for
    # once it has closed.
    parent: tuple[str, int] | None
    stays_for: str | None
    # None when it has closed.
    under_way: UnderWay | None


class CatalogRecord(NamedTuple):
    """A catalog."""

    name: str
    workflows: tuple[WorkflowDefinition, ...]
    worker: bool
    # When its worker comes back, and the number of the call that brings it.
    returns: int | None
    returning: int | None
    waiting: tuple[NextWork, ...]
    run_id: str
    withheld: frozenset[str]


class WorldRecord(NamedTuple):
    """A world, with all of its runs or with those that have changed."""

    mode: Mode
    now: int
    sequence: int
    seed: int
    namespace: str
    default_catalog: str
    random: Any
    entered: int
    ended: int
    catalogs: tuple[CatalogRecord, ...]
    script_errors: tuple[ScriptError, ...]
    outlasting: Mapping[tuple[str, str], tuple[str, bool]]
    answers_given: Mapping[object, int]
    played: Mapping[str, frozenset[tuple[str, str, int]]]
    ready: tuple[NextWork, ...]
    # When runs reach their execution timeout next, and the number of the call for that.
    deadline: tuple[int, int] | None
    runs: tuple[RunRecord, ...]
