"""What was scripted and never played: workflows, their `when`s and answers, faults that struck no call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from output_mock.scripts.parts import parts_of, place_of

if TYPE_CHECKING:
    from output_mock.engine.run import Run
    from output_mock.engine.world import World
    from output_mock.http.faults import Faults
    from output_mock.scripts.definition import WorkflowDefinition


class Unplayed(NamedTuple):
    """Something that was scripted and never played."""

    # In words: what it is, and that it was not played.
    text: str
    # Where it is scripted: file and line, as often as it has parts that were scripted one by one.
    places: tuple[str, ...]
    # Whether it is a part of a workflow that was run.
    of_run: bool = False

    def __str__(self) -> str:
        return f"{self.text} ({self.places[0]})"


def unplayed(world: World, faults: Faults) -> list[Unplayed]:
    """What is scripted and was not played so far.

    A workflow is played by a run of it that was started. Which of its parts are played is open as long as
    one of its runs has not begun, and after one that ended with a mistake in the script: then none is listed.
    A fault is listed when it was to strike a number of calls and has struck none; not one that strikes by
    chance, always, beyond a limit, or as part of a preset.
    """
    found: dict[Unplayed, None] = {}
    with world.clock.lock:
        runs: dict[str, list[Run]] = {}
        for run in world.runs():
            runs.setdefault(run.info.workflow_type, []).append(run)
        for catalog in world.catalogs.values():
            for definition in catalog.workflows.values():
                found |= dict.fromkeys(_of_workflow(world, definition, runs.get(definition.name, [])))
    for fault in faults:
        if not fault.struck and fault.is_certain:
            found[Unplayed(f"the fault {str(fault)!r} struck no call", (fault.place,))] = None
    return list(found)


def _of_workflow(world: World, definition: WorkflowDefinition, runs: list[Run]) -> Iterator[Unplayed]:
    name, parts = f"workflow {definition.name!r}", parts_of(definition)
    if not runs:
        places = [place for part in parts for place in part.answers]
        yield Unplayed(f"{name} was never run", (place_of(definition), *places))
        return
    if any(_is_open(run) for run in runs):
        return
    for part in parts:
        given = world.answers_given.get(part.whose, 0)
        if not given:
            what = f"{part.match} fitted no input" if part.match else "no run got its answer for other inputs"
            yield Unplayed(f"{name}: {what}", tuple(part.answers), of_run=True)
            continue
        inputs = f" for {part.match or 'other inputs'}" if len(parts) > 1 else ""
        for number, place in enumerate(part.answers[given:], given + 1):
            text = f"{name}: no run got answer {number} of {len(part.answers)}{inputs}"
            yield Unplayed(text, (place,), of_run=True)


def _is_open(run: Run) -> bool:
    """Whether it may still play any part of its workflow, or could not because of a mistake."""
    if not run.began or run.script_error is not None:
        return True
    return run.running and run.instance is not None and run.instance.main is None
