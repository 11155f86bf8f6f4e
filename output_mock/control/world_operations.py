"""Worlds over HTTP: listing, making, wiping and deleting them; the version of the server."""

from __future__ import annotations

from typing import Any

from output_mock.contract.iso_time import iso
from output_mock.contract.schemas import DURATION, fields, many, number, or_null, ref, shape, text
from output_mock.control import clock
from output_mock.control.names import NAME
from output_mock.control.operation import ControlOperation, ControlRequest, ControlResponse
from output_mock.control.problems import InvalidRequest, NotFound
from output_mock.control.worlds import MOST_TOKENS, WorldEntry
from output_mock.durations import MILLISECOND
from output_mock.http.journal import Calls
from output_mock.real_time import monotonic
from output_mock.version import NAME as PROGRAM
from output_mock.version import version

SCHEMAS = {
    "World": shape(
        {
            "name": text(),
            "path": text("The prefix of the API's paths for this world."),
            "seed": number(),
            "clock": ref("Clock"),
            "apiVersion": text("The version of the real server that it stands in for."),
            "sdkVersion": text("The version of its workers."),
            "stuck": or_null(text("The script that blocks the world, with its place and since when.")),
            "workflows": number("How many workflows there are."),
            "runs": number("How many workflow ids there are."),
            "calls": number("How many calls the journal holds."),
            "misses": number("How many of them no script matches."),
            "faults": number("How many faults are still active."),
            "scriptErrors": many(text(), description="The mistakes in the scripts."),
            "snapshots": many(text()),
            "idle": {"type": "number", "description": "Seconds since its last request."},
        },
        about="A world: a complete fake with its own scripts, clock, runs, journal and faults.",
    ),
    "Version": shape(
        {
            "name": {"const": "output-mock"},
            "version": text(),
            "keepRuns": or_null(
                number("How many closed runs are kept at most, over all worlds. null means all.")
            ),
            "runsGone": number("How many closed runs were removed because there were more, over all worlds."),
            "state": or_null(
                shape(
                    {
                        "file": text("The state file."),
                        "written": or_null(
                            text("The file has everything that happened up to this time: ISO 8601.")
                        ),
                        "problem": or_null(text("Why the file cannot be written at the moment.")),
                    },
                    about="With `--state`, the file with the state of all worlds.",
                )
            ),
        }
    ),
}


def _described(entry: WorldEntry) -> dict[str, Any]:
    world = entry.world
    time, stuck = clock.seen(world)
    offered = {name for catalog in world.catalogs.copy().values() for name in catalog.workflows.copy()}
    calls = Calls(entry.app.calls)
    return {
        "name": entry.name,
        "path": f"/w/{entry.name}",
        "seed": world.seed,
        "clock": time,
        "apiVersion": world.deployment.api,
        "sdkVersion": world.deployment.sdk,
        "stuck": stuck,
        "workflows": len(offered),
        "runs": len(world.workflow_ids()),
        "calls": len(calls),
        "misses": sum(call.unmatched_reason is not None for call in calls),
        "faults": len(entry.app.faults),
        "scriptErrors": [error.message for error in list(world.script_errors)[-100:]],
        "snapshots": list(entry.snapshots),
        "idle": round(max(0.0, monotonic() - entry.used), 3),
    }


def list_worlds(request: ControlRequest) -> ControlResponse:
    """List the worlds."""
    return ControlResponse(200, {"worlds": [_described(entry) for entry in request.visible()]})


def _named(request: ControlRequest) -> WorldEntry:
    """The world that the path names."""
    name, visible = request.path["name"], request.visible()
    for entry in visible:
        if entry.name == name:
            return entry
    raise NotFound.named("world", name, [entry.name for entry in visible], listed="worlds")


def show(request: ControlRequest) -> ControlResponse:
    """One world."""
    return ControlResponse(200, _described(_named(request)))


def show_own(request: ControlRequest) -> ControlResponse:
    """The world of this request."""
    return ControlResponse(200, _described(request.entry))


def make(request: ControlRequest) -> ControlResponse:
    """Make a world."""
    body = dict(request.body)
    name, tokens = body.pop("name"), body.pop("tokens", [])
    try:
        return ControlResponse(201, _described(request.worlds.make(name, body, tokens)))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def wipe(request: ControlRequest) -> ControlResponse:
    """Reset a world."""
    entry = _named(request)
    entry.used = monotonic()
    request.worlds.wipe(entry)
    return ControlResponse(200, _described(entry))


def wipe_own(request: ControlRequest) -> ControlResponse:
    """Reset the world of this request."""
    request.worlds.wipe(request.entry)
    return ControlResponse(200, _described(request.entry))


def delete(request: ControlRequest) -> ControlResponse:
    """Delete a world."""
    request.worlds.delete(_named(request))
    return ControlResponse(204, None)


def show_version(request: ControlRequest) -> ControlResponse:
    """The version of output-mock, and the state of the server."""
    kept = request.entry.world.kept_runs
    saver = request.worlds.saver
    state = None
    if saver is not None:
        written = None if saver.written is None else iso(int(saver.written.timestamp() * 1000) * MILLISECOND)
        state = {"file": saver.path, "written": written, "problem": saver.trouble()}
    return ControlResponse(
        200,
        {
            "name": PROGRAM,
            "version": version(),
            "keepRuns": kept.most,
            "runsGone": kept.gone,
            "state": state,
        },
    )


# The options of a new world.
NEW = fields(
    {
        "name": text("Its name.", pattern=NAME),
        "tokens": many(
            text(minLength=1, maxLength=200, pattern=r"^[!-~]+$"),
            maxItems=MOST_TOKENS,
            description="Requests with one of these tokens in `Authorization` are for this world.",
        ),
        "clock": text("How time passes. Default: as on the server.", enum=["real", "auto", "manual"]),
        "seed": number("The seed of all ids. Default: the server's.", minimum=0, maximum=2**53),
        "apiVersion": text("The version of the real server to stand in for. Default: as on the server."),
        "sdkVersion": text("The version of its workers. Default: that of `apiVersion`."),
        "catalog": text(
            "The catalog that is used when a request names none.", pattern="^[A-Za-z0-9_.@-]{1,64}$"
        ),
        "executionTimeout": DURATION,
        "scripts": text("Its scripts: those of the server (default), or none.", enum=["server", "none"]),
    },
    "name",
)
OPERATIONS = [
    ControlOperation(
        "getVersion",
        "GET",
        "/version",
        "The version of output-mock, and the state of the server.",
        show_version,
        {200: ref("Version")},
    ),
    ControlOperation(
        "listWorlds",
        "GET",
        "/worlds",
        "List the worlds.",
        list_worlds,
        {200: shape({"worlds": many(ref("World"))})},
        for_all=True,
    ),
    ControlOperation(
        "makeWorld",
        "POST",
        "/worlds",
        "Make a world. The first request to `/w/NAME/…` makes one, too.",
        make,
        {201: ref("World")},
        errors=(409, 503),
        body=NEW,
        for_all=True,
    ),
    ControlOperation(
        "getWorld",
        "GET",
        "/worlds/{name}",
        "Describe a world.",
        show,
        {200: ref("World")},
        errors=(404,),
        for_all=True,
    ),
    ControlOperation(
        "wipeWorld",
        "POST",
        "/worlds/{name}/wipe",
        "Reset a world: no runs, calls, faults and snapshots; scripts, clock and seed as at its start.",
        wipe,
        {200: ref("World")},
        errors=(404, 409),
        for_all=True,
    ),
    ControlOperation(
        "deleteWorld",
        "DELETE",
        "/worlds/{name}",
        "Delete a world. 409 for the default world.",
        delete,
        {204: None},
        errors=(404, 409),
        for_all=True,
    ),
    ControlOperation(
        "getOwnWorld", "GET", "/world", "Describe the world of this request.", show_own, {200: ref("World")}
    ),
    ControlOperation(
        "wipeOwnWorld",
        "POST",
        "/world/wipe",
        "Reset the world of this request.",
        wipe_own,
        {200: ref("World")},
        errors=(409,),
    ),
]
