"""What was scripted and never used: workflows, their `when`s and answers, faults, answers to callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from output_mock.durations import format_duration
from output_mock.engine.on_the_way import IncomingSignal
from output_mock.scripts.parts import parts_of, place_of

if TYPE_CHECKING:
    from output_mock.engine.run import Run
    from output_mock.engine.world import World
    from output_mock.http.faults import Faults
    from output_mock.scripts.definition import WorkflowDefinition

# How runs end that something ended from outside.
_ENDINGS = {
    "cancelled": "was stopped",
    "terminated": "was terminated",
    "timed_out": "reached its execution timeout",
}


class UnusedScript(NamedTuple):
    """Something that was scripted but never used."""

    # In words: what it is, and that it was not used.
    text: str
    # Where it is scripted: a file and line for each of its parts.
    places: tuple[str, ...]
    # Whether it is a part of a workflow that was run.
    of_run: bool = False

    def __str__(self) -> str:
        return f"{self.text} ({self.places[0]})"


def find_unused(world: World, faults: Faults) -> list[UnusedScript]:
    """What is scripted and was not used so far.

    A workflow is used when a run of it was started. Its parts are not listed as long as one of its runs has
    not begun, nor after a run that ended with a mistake in the script. A signal that a workflow receives is
    listed when its runs have ended before it was due. A fault is listed when it should have affected a
    number of calls and has affected none. Faults that apply by chance, always, beyond a limit, or as part of
    a preset are not listed. Answers to requests of workflows, and faults of these, are listed likewise.
    """
    found: dict[UnusedScript, None] = {}
    with world.clock.lock:
        runs: dict[str, list[Run]] = {}
        for run in world.runs():
            runs.setdefault(run.info.workflow_type, []).append(run)
        for catalog in world.catalogs.values():
            for definition in catalog.workflows.values():
                there = runs.get(definition.name, [])
                if there or definition.name not in world.played:
                    found |= dict.fromkeys(_of_workflow(world, definition, there))
    for fault in faults:
        if not fault.affected and fault.is_certain:
            found[UnusedScript(f"the fault {str(fault)!r} affected no call", (fault.place,))] = None
    for text, place in world.callbacks.unused:
        found[UnusedScript(text, (place,))] = None
    return list(found)


def _of_workflow(world: World, definition: WorkflowDefinition, runs: list[Run]) -> Iterator[UnusedScript]:
    name, parts = f"workflow {definition.name!r}", parts_of(definition)
    if not runs:
        places = [place for part in parts for place in part.answers]
        yield UnusedScript(f"{name} was never run", tuple(dict.fromkeys((place_of(definition), *places))))
        return
    if any(_is_open(run) for run in runs):
        return
    for part in parts:
        given = world.answers_given.get(part.whose, 0)
        if not given:
            what = "no run got its answer for other inputs"
            if part.match:
                what = f"{part.match} matched no input"
            yield UnusedScript(f"{name}: {what}", tuple(part.answers), of_run=True)
            continue
        inputs = f" for {part.match or 'other inputs'}" if len(parts) > 1 else ""
        for number, place in enumerate(part.answers[given:], given + 1):
            text = f"{name}: no run got answer {number} of {len(part.answers)}{inputs}"
            yield UnusedScript(text, (place,), of_run=True)
    yield from _unsent(name, runs, world.played.get(definition.name, set()))


def _unsent(name: str, runs: list[Run], gone: set[tuple[str, str, int]]) -> Iterator[UnusedScript]:
    """The signals that the workflow should have received, but whose runs had all ended before. Those in
    `gone` were sent to runs that have been removed.
    """
    coming = (thing.scheduled for run in runs for thing in run.work if isinstance(thing, IncomingSignal))
    sent = (signal for run in runs for signal in run.sent)
    played = {(one.name, one.place, one.after) for one in chain(coming, sent) if one}
    played |= gone
    for run in runs:
        for signal, left in run.unsent:
            key = signal.name, signal.place, signal.after
            if key in played:
                continue
            played.add(key)
            ending = _ENDINGS.get(run.status, "ended")
            when = f"{format_duration(left)} before it was due" if left else "just when it was due"
            text = f"{name}: the signal {signal.name!r} was never sent: the run {ending} {when}"
            if run.status == "timed_out":
                text += "; set a longer execution_timeout"
            elif ending == "ended":
                text += (
                    "; .receives() only sends the signal and does not make the run wait for it: wait in the "
                    "script with ctx.wait_for_signal"
                )
            yield UnusedScript(text, (signal.place,), of_run=True)


def _is_open(run: Run) -> bool:
    """Whether it may still use a part of its workflow, or could not because of a mistake in the script."""
    if not run.began or run.script_error is not None:
        return True
    return run.running and run.instance is not None and run.instance.main is None
