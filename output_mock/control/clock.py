"""The clock of a world: what time it is, and moving it."""

from __future__ import annotations

from typing import Any

from output_mock.contract.iso_time import iso
from output_mock.contract.schemas import DURATION, fields, number, or_null, ref, shape, text
from output_mock.control.operation import TIME, ControlOperation, ControlRequest, ControlResponse, duration
from output_mock.control.problems import Conflict, InvalidRequest
from output_mock.engine.clock import LATEST
from output_mock.engine.world import World

# How many seconds of real time one request may spend on moving the clock.
PATIENCE = 10.0
# How many seconds a list of worlds waits for each world that a script blocks.
_SOON = 0.1

SCHEMAS = {
    "Clock": shape(
        {
            "mode": text("How time passes.", enum=["real", "auto", "manual"]),
            "now": TIME,
            "milliseconds": number("Now, in milliseconds since 1970."),
            "nextDue": or_null(TIME),
        },
        about="A world's clock. `nextDue` is the time at which something happens next by itself, such as a "
        "timeout or the end of a step; null if nothing will.",
    )
}


def described(world: World) -> dict[str, Any]:
    """The clock, as the control plane shows it."""
    with world.clock.lock:
        return _described(world, world.clock.next_due())


def seen(world: World) -> tuple[dict[str, Any], str | None]:
    """The clock even of a stuck world, and the script that blocks the world, or None."""
    lock = world.clock.lock
    if not lock.acquire(timeout=_SOON):
        return _described(world, None), world.watchdog.described()
    try:
        return _described(world, world.clock.next_due()), None
    finally:
        lock.release()


def _described(world: World, due: int | None) -> dict[str, Any]:
    now = world.clock.nanoseconds()
    return {
        "mode": world.clock.mode,
        "now": iso(now),
        "milliseconds": now // 1_000_000,
        "nextDue": None if due is None else iso(due),
    }


def show(request: ControlRequest) -> ControlResponse:
    """The clock."""
    return ControlResponse(200, described(request.entry.world))


def change(request: ControlRequest) -> ControlResponse:
    """Change the mode."""
    world = request.entry.world
    try:
        world.set_clock_mode(request.body["mode"])
    except ValueError as error:
        raise Conflict(str(error)) from None
    return ControlResponse(200, described(world))


def advance(request: ControlRequest) -> ControlResponse:
    """Move a virtual clock, and let everything happen that is due on the way."""
    world = request.entry.world
    clock = world.clock
    if clock.mode == "real":
        raise Conflict("a real clock cannot be advanced; use a world with an 'auto' or a 'manual' one")
    length = duration(request.body["by"])
    if clock.nanoseconds() + length > LATEST:
        raise InvalidRequest("the clock cannot move beyond the year 2998")
    if not world.let_pass(length, patience=PATIENCE):
        raise Conflict(
            f"so much happens in that time that {PATIENCE:g} s of real time were not enough; the clock is at "
            f"{iso(clock.nanoseconds())} now, so advance it further from there"
        )
    return ControlResponse(200, described(world))


OPERATIONS = [
    ControlOperation("getClock", "GET", "/clock", "Show the time.", show, {200: ref("Clock")}),
    ControlOperation(
        "setClock",
        "PUT",
        "/clock",
        "Change the clock between `auto` and `manual`. 409 for a `real` clock.",
        change,
        {200: ref("Clock")},
        errors=(409,),
        body=fields({"mode": text("The new mode.", enum=["real", "auto", "manual"])}, "mode"),
    ),
    ControlOperation(
        "advanceClock",
        "POST",
        "/clock/advance",
        "Move a virtual clock forward. Everything that is due on the way happens.",
        advance,
        {200: ref("Clock")},
        errors=(409,),
        body=fields({"by": DURATION}, "by"),
    ),
]
