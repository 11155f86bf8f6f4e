"""The snapshots of a world, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from output_mock.contract.iso_time import iso
from output_mock.contract.schemas import JsonSchema, fields, many, number, ref, shape, text
from output_mock.control.names import NAME, NAME_WORDS
from output_mock.control.operation import TIME, ControlOperation, ControlRequest, ControlResponse, name_of
from output_mock.control.problems import Conflict, InvalidRequest, NotFound
from output_mock.state.snapshot import Snapshot

# How many snapshots a world may have.
MOST_SNAPSHOTS = 20
# How many bytes a snapshot may have as a file.
MOST_BYTES = 64 * 1024 * 1024

SCHEMAS = {
    "Snapshot": shape(
        {
            "name": name_of("the snapshot"),
            "now": TIME,
            "runs": number("How many workflow ids there are."),
            "calls": number("How many calls the journal held."),
        },
        about="The saved state of a world, under a name. `now` is the time on its clock.",
    )
}


def _described(name: str, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "name": name,
        "now": iso(snapshot.now),
        "runs": snapshot.ids,
        "calls": len(snapshot.calls),
    }


def list_snapshots(request: ControlRequest) -> ControlResponse:
    """List the snapshots."""
    found = list(request.entry.snapshots.items())
    return ControlResponse(200, {"snapshots": [_described(name, snapshot) for name, snapshot in found]})


def take(request: ControlRequest) -> ControlResponse:
    """Save a snapshot. It replaces one of the same name."""
    kept = request.entry.snapshots
    name = (request.body or {}).get("name")
    if name is None:
        name = next(name for n in range(1, len(kept) + 2) if (name := f"snapshot-{n}") not in kept)
    _check_name(name, kept)
    snapshot = Snapshot.of(request.entry.app)
    kept[name] = snapshot
    return ControlResponse(201, _described(name, snapshot))


def _check_name(name: str, kept: Mapping[str, Snapshot]) -> None:
    """Raise unless there may be a snapshot of that name."""
    if not re.fullmatch(NAME, name):
        raise InvalidRequest(f"{name[:100]!r} is not a valid snapshot name; {NAME_WORDS}")
    if name not in kept and len(kept) >= MOST_SNAPSHOTS:
        raise Conflict(f"a world has at most {MOST_SNAPSHOTS} snapshots; delete one")


def _the(request: ControlRequest) -> tuple[str, Snapshot]:
    name, kept = request.path["name"], request.entry.snapshots
    snapshot = kept.get(name)
    if snapshot is None:
        raise NotFound.named("snapshot", name, list(kept), listed="snapshots")
    return name, snapshot


def restore(request: ControlRequest) -> ControlResponse:
    """Go back to a snapshot."""
    name, snapshot = _the(request)
    snapshot.restore(request.entry.mock)
    return ControlResponse(200, _described(name, snapshot))


def show(request: ControlRequest) -> ControlResponse:
    """Get a snapshot as a file."""
    from output_mock.state.worlds import snapshot_json

    _, snapshot = _the(request)
    return ControlResponse(200, snapshot_json(snapshot))


def put(request: ControlRequest) -> ControlResponse:
    """Upload a snapshot from a file."""
    from output_mock.state.checked import Unreadable
    from output_mock.state.worlds import checked_snapshot

    name, kept = request.path["name"], request.entry.snapshots
    new = name not in kept
    _check_name(name, kept)
    try:
        snapshot = checked_snapshot(request.body, request.entry.world)
    except Unreadable as problem:
        raise InvalidRequest(f"the snapshot cannot be read: {problem}") from None
    kept[name] = snapshot
    return ControlResponse(201 if new else 200, _described(name, snapshot))


def delete(request: ControlRequest) -> ControlResponse:
    """Delete a snapshot."""
    name, _ = _the(request)
    request.entry.snapshots.pop(name, None)
    return ControlResponse(204, None)


_FILE: JsonSchema = {
    "type": "object",
    "description": "Everything in a snapshot. Its content may change with the version of the format.",
    "required": ["kind", "version"],
    "properties": {"kind": {"type": "string"}, "version": {"type": "integer"}},
}
OPERATIONS = [
    ControlOperation(
        "listSnapshots",
        "GET",
        "/snapshots",
        "List the snapshots of the world.",
        list_snapshots,
        {200: shape({"snapshots": many(ref("Snapshot"))})},
    ),
    ControlOperation(
        "takeSnapshot",
        "POST",
        "/snapshots",
        "Save the state of the whole world: runs, clock, faults and calls. 409 if a script behaves "
        "differently when it is replayed.",
        take,
        {201: ref("Snapshot")},
        errors=(409,),
        body=fields({"name": text("The snapshot's name. Default: a new name.", pattern=NAME)}),
        body_required=False,
    ),
    ControlOperation(
        "restoreSnapshot",
        "POST",
        "/snapshots/{name}/restore",
        "Go back to a snapshot. The snapshot is kept.",
        restore,
        {200: ref("Snapshot")},
        errors=(404, 409),
    ),
    ControlOperation(
        "getSnapshot",
        "GET",
        "/snapshots/{name}",
        "Get a snapshot as a file, for this server or another one. It has no tokens, cookies, keys and "
        "passwords of calls. Python scripts are in it by name only.",
        show,
        {200: _FILE},
        errors=(404,),
    ),
    ControlOperation(
        "putSnapshot",
        "PUT",
        "/snapshots/{name}",
        "Upload a snapshot from a file, to restore it later. 409 if a script behaves differently than the "
        "runs in the file.",
        put,
        {200: ref("Snapshot"), 201: ref("Snapshot")},
        errors=(409,),
        body=_FILE,
        most_bytes=MOST_BYTES,
    ),
    ControlOperation(
        "deleteSnapshot",
        "DELETE",
        "/snapshots/{name}",
        "Delete a snapshot.",
        delete,
        {204: None},
        errors=(404,),
    ),
]
