"""A world in a file: its record, its faults, and the state of its ids.

A snapshot file is one JSON object with all of it. The state file has the same content in parts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from output_mock.contract.events import Event
from output_mock.contract.history import History
from output_mock.contract.rendering import render
from output_mock.contract.run_start import StartInfo
from output_mock.engine.progress import progress
from output_mock.engine.record_restoring import world_of
from output_mock.engine.record_taking import record_of
from output_mock.engine.records import RunRecord, WorldRecord
from output_mock.engine.run import Run
from output_mock.engine.world import World
from output_mock.http import results
from output_mock.javascript_json import stringify
from output_mock.scripts.definition import WorkflowDefinition
from output_mock.sdk.errors import ScriptError
from output_mock.state import json_history, json_runs, json_values, json_worlds
from output_mock.state.calls import calls_json, read_calls
from output_mock.state.checked import (
    Unreadable,
    below,
    fields,
    items,
    many,
    mapping,
    row,
    time,
    time_json,
    whole,
)
from output_mock.state.database import MOST_RUNS
from output_mock.state.faults import faults_json, read_faults
from output_mock.state.scripts import Definitions, DefinitionsAgain, definition_json
from output_mock.state.snapshot import Snapshot
from output_mock.traces.tree import trace_tree

# The version of the snapshot format. Other versions are not read.
VERSION = 3
KIND = "output-mock snapshot"


def to_bytes(value: Any) -> bytes:
    """JSON for the state file."""
    return _encode(value).encode()


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def from_bytes(body: bytes) -> Any:
    """Read what `to_bytes` has written. Raises `Unreadable`."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not JSON: {error}") from None


# Snapshots


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as a file. Its calls contain no secrets."""
    definitions = Definitions()
    runs = [
        {
            "run": json_runs.run_json(record, definitions.key_of),
            "history": history_json(record),
        }
        for record in snapshot.world.runs
    ]
    for catalog in snapshot.world.catalogs:
        for definition in catalog.workflows:
            definitions.key_of(definition)
    world = json_worlds.world_json(snapshot.world, definitions.key_of, definitions.part_of)
    return {
        "kind": KIND,
        "version": VERSION,
        "now": time_json(snapshot.now),
        "ids": snapshot.ids,
        "workflows": {str(key): definition_json(definition) for key, definition in definitions},
        "world": world,
        "runs": runs,
        "faults": faults_json(snapshot.faults, tokens=False),
        "calls": calls_json(snapshot.calls),
        "requestIds": request_ids_json(snapshot.request_ids),
    }


def history_json(record: RunRecord, first: int = 0) -> dict[str, Any]:
    """The events of a run after a number of first events."""
    history = record.history
    length, batches = record.length, record.batches
    if record.ended:
        length, batches = len(history.events), len(history.batches)
    ends = [end for end in history.batches[:batches] if end > first]
    return json_history.events_json(history.events[first:length], ends)


def request_ids_json(request_ids: Any) -> list[Any]:
    """The state of the request ids and of the numbers of calls."""
    random, number = request_ids
    return [json_values.random_json(random), number]


def read_request_ids(given: Any) -> Any:
    """Read what `request_ids_json` has written."""
    random, number = row(given, json_values.random_state, whole)
    return random, number


_SNAPSHOT: Mapping[str, Callable[[Any], Any]] = {
    "kind": lambda given: given,
    "version": lambda given: given,
    "now": time,
    "ids": whole,
    "workflows": mapping,
    "world": mapping,
    "runs": items,
    "faults": read_faults,
    "calls": read_calls,
    "requestIds": read_request_ids,
}


def read_snapshot(given: Any, like: World) -> Snapshot:
    """Read what `snapshot_json` has written. Takes Python workflows from the world `like`.

    Raises `Unreadable`, also if one of these is missing.
    """
    whole_file = mapping(given)
    if whole_file.get("kind") != KIND:
        raise Unreadable("it is not a snapshot of output-mock")
    if whole_file.get("version") != VERSION:
        raise Unreadable(
            f"it is a snapshot of another version of output-mock: this version reads format {VERSION}"
        )
    read = fields(whole_file, _SNAPSHOT)
    with below("workflows"):
        workflows = {_key(key): one for key, one in read["workflows"].items()}
        definitions = DefinitionsAgain(workflows, like)
    if definitions.missing:
        names = ", ".join(sorted(definitions.missing))
        raise Unreadable(f"it needs workflows that are scripted in Python and not served here: {names}")
    runs = []
    with below("runs"):
        for number, one in enumerate(read["runs"]):
            with below(number):
                parts = fields(one, {"run": mapping, "history": mapping})
                record = json_runs.run(parts["run"], definitions)
                runs.append(json_runs.with_history(record, [parts["history"]]))
    with below("world"):

        def offered(catalog: Mapping[str, Any]) -> tuple[WorkflowDefinition, ...]:
            return tuple(definitions(key, catalog["name"]) for key in catalog["workflows"])

        world = json_worlds.world(read["world"], runs, offered, definitions.part)
    return Snapshot(world, read["now"], read["ids"], read["faults"], read["calls"], read["requestIds"])


def checked_snapshot(given: Any, like: World) -> Snapshot:
    """Like `read_snapshot`, for an untrusted file: tries it once.

    Raises `Unreadable`, and `ScriptError` if a script does not match the runs in the file.
    """
    try:
        snapshot = read_snapshot(given, like)
        _check_room(snapshot)
        world = world_of(snapshot.world, like)
        try:
            for run in world._runs.values():
                _look_at(run)
            # The replayed state goes into the state file, so it must be readable again.
            again = snapshot._replace(world=record_of(world))
            read_snapshot(from_bytes(to_bytes(snapshot_json(again))), like)
        finally:
            world.close()
    except (ScriptError, Unreadable):
        raise
    except Exception as error:
        # Each field is valid, but together they are not. So an error can occur anywhere.
        raise Unreadable(f"its parts do not fit together ({type(error).__name__}: {error})") from None
    return snapshot


def _check_room(snapshot: Snapshot) -> None:
    """Raise `Unreadable` if its numbers are close to the largest number in a file."""
    world = snapshot.world
    if max(world.entered, world.ended) >= MOST_RUNS // 2:
        raise Unreadable("world: the numbers of its runs are so large that no more runs could begin")
    counts = [world.sequence, snapshot.request_ids[1], *world.answers_given.values()]
    faults, _, last = snapshot.faults
    counts += [last, *(number for fault in faults for number in (fault.affected, fault.seen))]
    for run in world.runs:
        counts.append(0 if run.family is None else run.family.burst)
        counts += [run.values["info"].turn or 0, run.values.get("depth", 0)]
        steps = () if run.under_way is None else run.under_way.steps
        if any(step.attempt >= 2**30 for step in steps):
            raise Unreadable(
                f"the run {run.values['run_id']}: a step has had more attempts than any can have"
            )
    if max(counts) >= 2**53:
        raise Unreadable(f"it counts to {max(counts)}, and could count no further")


def _look_at(run: Run) -> None:
    """Make every API request about a run, except those that need its script."""
    for number, event in enumerate(run.history.events, 1):
        render(run.info, number, event, include_payloads=True)
    for look in (results.status, results.given_input, results.listed, results.described, progress):
        look(run)
    if not run.running:
        results.result(run)
    run.latest().next_due(guards=True)
    # The trace of the root contains the traces of all descendants.
    parent = run.info.parent
    alone = parent is None or run.world.begun_as(parent.workflow_id, parent.run_id) is None
    stringify(trace_tree(run, with_children=alone))


def _key(key: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 10):
        raise Unreadable(f"{key[:20]!r} is not the number of a workflow")
    return int(key)


# The state file


class StoredHistory(History):
    """The history of a closed run. It is read on first use."""

    __slots__ = ("_batches", "_events", "_info", "_pieces")

    def __init__(self, pieces: Sequence[bytes], info: StartInfo) -> None:
        self._pieces = pieces
        self._info = info
        self._events: list[Event] = []
        self._batches: list[int] = []

    @property
    def events(self) -> list[Event]:  # type: ignore[override]
        if self._pieces:
            self._read()
        return self._events

    @property
    def batches(self) -> list[int]:  # type: ignore[override]
        if self._pieces:
            self._read()
        return self._batches

    def _read(self) -> None:
        history = History()
        for piece in self._pieces:
            json_history.read_events(from_bytes(piece), self._info, history)
        self._events, self._batches = history.events, history.batches
        self._pieces = ()


def offered(
    catalog: Mapping[str, Any], definitions: DefinitionsAgain, like: World, tell: Callable[[str], None]
) -> tuple[WorkflowDefinition, ...]:
    """The current content of a catalog from the state file. Workflows from requests stay as they were.
    Workflows from the command line come from its scripts as they are now, without those that a request
    removed.
    """
    name = catalog["name"]
    served = like.catalogs[name].workflows.copy() if name in like.catalogs else {}
    for one in catalog["withheld"]:
        served.pop(one, None)
    found: dict[str, WorkflowDefinition] = {}
    for key in catalog["workflows"]:
        definition = definitions(key, name)
        if definition.brought:
            found[definition.name] = definition
            served.pop(definition.name, None)
        elif definition.name in served:
            found[definition.name] = served.pop(definition.name)
        else:
            tell(
                f"no script offers workflow {definition.name!r} of catalog {name!r} any more: its open runs "
                f"wait until you serve its script again"
            )
    names = {other for one in found.values() for other in (one.name, *one.aliases)}
    for definition in served.values():
        own = {definition.name, *definition.aliases}
        if own & names:
            tell(
                f"workflow {definition.name!r} of a script is not offered in catalog {name!r}: what a "
                "request has brought has one of its names"
            )
            continue
        found[definition.name] = definition
    return tuple(found.values())


def world_body(
    record: WorldRecord,
    options: Mapping[str, Any],
    marks: Sequence[bytes],
    faults: Any,
    request_ids: Any,
    definitions: Definitions,
) -> dict[str, Any]:
    """A world in the state file, without its runs."""
    return {
        "options": dict(options),
        "marks": [mark.hex() for mark in marks],
        "world": json_worlds.world_json(record, definitions.key_of, definitions.part_of),
        "faults": faults_json(faults, tokens=True),
        "requestIds": request_ids_json(request_ids),
    }


def _mark(given: Any) -> bytes:
    try:
        return bytes.fromhex(given)
    except (ValueError, TypeError):
        raise Unreadable("it is not a fingerprint") from None


WORLD_BODY: Mapping[str, Callable[[Any], Any]] = {
    "options": mapping,
    "marks": many(_mark),
    "world": mapping,
    "faults": read_faults,
    "requestIds": read_request_ids,
}
