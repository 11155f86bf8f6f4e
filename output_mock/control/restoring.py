"""Restores the worlds of a state file into a server that has just started."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any

from output_mock.control.problems import InvalidRequest
from output_mock.control.worlds import WorldEntry, Worlds
from output_mock.engine.record_restoring import world_of
from output_mock.engine.run import Run
from output_mock.engine.world import World
from output_mock.state import json_runs, json_worlds
from output_mock.state.checked import Unreadable, below, fields
from output_mock.state.database import StateFile, StoredWorld, damaged
from output_mock.state.scripts import Definitions, DefinitionsAgain
from output_mock.state.worlds import WORLD_BODY, StoredHistory, from_bytes, offered

# A function that tells the user what is different than expected.
Tell = Callable[[str], None]


class Restored:
    """A restored world: its number in the file, and how many events each of its open runs has there."""

    def __init__(self, entry: WorldEntry, number: int, written: dict[int, int]) -> None:
        self.entry = entry
        self.world: World = entry.world
        self.number = number
        self.written = written


def restore(file: StateFile, worlds: Worlds, tell: Tell) -> tuple[Definitions, set[int], list[Restored]]:
    """Restore the worlds of a file, and tell what is different.

    Returns its workflows, their numbers, and the worlds. Raises `StateFileError` for a damaged file.
    """
    definitions, restored = Definitions(), []
    # All worlds of a server count together.
    kept = worlds.default.world.kept_runs
    kept.gone += file.runs_gone_before()
    file.runs_gone = lambda: kept.gone
    stored = file.workflows()
    # Everything that is made stays, so the garbage collector would find nothing.
    collects = gc.isenabled()
    gc.disable()
    try:
        workflows = {key: from_bytes(body) for key, body in stored.items()}
        for world in file.worlds():
            with below(f"the world {world.name!r:.100}"):
                restored.append(_restored(file, world, worlds, workflows, definitions, tell))
    except Unreadable as problem:
        raise damaged(file.path, str(problem)) from None
    finally:
        if collects:
            gc.enable()
    for one in restored:
        one.world.resume()
        with one.world.clock.lock:
            one.world.kept_runs.make_room(one.world)
    return definitions, set(stored), restored


def _restored(
    file: StateFile,
    stored: StoredWorld,
    worlds: Worlds,
    workflows: dict[int, Any],
    definitions: Definitions,
    tell: Tell,
) -> Restored:
    read = fields(from_bytes(stored.body), WORLD_BODY)
    entry = _made_again(stored.name, read["options"], read["marks"], worlds)
    like, name = entry.world, stored.name

    def tell_of(words: str) -> None:
        tell(f"world {name!r}: {words}")

    again = DefinitionsAgain(workflows, like)
    written: dict[int, int] = {}
    runs = []
    for one in file.runs(stored.id):
        record = json_runs.run(from_bytes(one.body), again)
        if record.number != one.number:
            raise Unreadable(f"the run {one.number} is stored under another number")
        if record.ended:
            record = record._replace(history=StoredHistory(one.history, record.values["info"]))
        else:
            record = json_runs.with_history(record, [from_bytes(piece) for piece in one.history])
            written[record.number] = record.length
        runs.append(record)
    whole = json_worlds.world(
        read["world"], runs, lambda catalog: offered(catalog, again, like, tell_of), again.part
    )
    for key, definition in again.used:
        definitions.add(definition, key)
    try:
        world = world_of(whole, like, on_unplayable=lambda run: tell_of(_unplayable(run)))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # Each field is valid, but they do not fit together.
        raise Unreadable(f"its parts do not fit together ({type(error).__name__}: {error})") from None
    _take_past_runs(world, like)
    world.changed = set()
    app = entry.app
    entry.mock.world = app.world = world
    app.faults.restore(read["faults"])
    app.set_request_ids_state(read["requestIds"])
    like.close()
    goes_on = len(world._open) - len(world.catalogs)
    tell_of(f"restored {len(runs) - len(world.catalogs)} runs, {goes_on} of them still open")
    return Restored(entry, stored.id, written)


def _made_again(name: str, options: dict[str, Any], marks: Iterable[bytes], worlds: Worlds) -> WorldEntry:
    """A new world of that name, with the options of the world in the file."""
    try:
        if options:
            from output_mock.control.checking import check
            from output_mock.control.world_operations import NEW

            check({**options, "name": name}, NEW, "its options")
        return worlds.make_again(name, options, marks)
    except (InvalidRequest, ValueError) as problem:
        raise Unreadable(str(problem)) from None


def _unplayable(run: Run) -> str:
    assert run.unplayable is not None
    return (
        f"the run {run.workflow_id!r} cannot continue without its script: {run.unplayable.message}. It is "
        f"kept as it is: serve the script that it began with, or end the run"
    )


def _take_past_runs(world: World, like: World) -> None:
    """Move runs that were read from traces to the restored world. A state file does not have them."""
    past = [
        run for run in like._runs.values() if run.trace_tree is not None and run.run_id not in world._runs
    ]
    for run in past:
        world.entered += 1
        world.ended += 1
        run.number, run.ended = world.entered, world.ended
        run.world, run.catalog = world, world.catalog(run.catalog.name)
        world._runs[run.run_id] = run
        world._latest.setdefault(run.workflow_id, run)
    world._closed = {**dict.fromkeys(past), **world._closed}
    world.let_leave()
