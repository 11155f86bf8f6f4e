"""Replays recordings and says what is different."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from output_mock.recording.comparison import MISSING, Difference, differences
from output_mock.recording.masks import Masks
from output_mock.recording.player import Player
from output_mock.recording.scenario import Scenario, Step


@dataclass(frozen=True)
class Compared:
    """A request of a recording that was sent again, and how its answer differs; `number` counts from 0."""

    number: int
    step: Step
    differences: tuple[Difference, ...]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def json(self) -> dict[str, Any]:
        """As JSON; what one side does not have is left out."""
        return {
            "step": self.number + 1,
            "request": self.step.request,
            "differences": [
                {"at": one.pointer}
                | ({} if one.recorded is MISSING else {"recorded": one.recorded})
                | ({} if one.got is MISSING else {"got": one.got})
                for one in self.differences
            ],
        }


def between(recording: Scenario, other: Scenario) -> Iterator[Compared]:
    """Compare a recording with another one of the same scenario, step by step, and send nothing.

    What is unstable in one of the two is left out. Raises `ValueError` when they are of different scenarios.
    """
    if [step.request for step in recording.steps] != [step.request for step in other.steps]:
        raise ValueError(f"{recording.file} and {other.file} do not send the same requests")
    for number, (step, again) in enumerate(zip(recording.steps, other.steps, strict=True)):
        if step.request is not None:
            mode = recording.mode(step) if recording.mode(step) != "exact" else other.mode(again)
            left_out = {*step.unstable, *again.unstable}
            found = differences(_answer(step), _answer(again), mode, left_out)
            yield Compared(number, step, tuple(found))


def replay(recording: Scenario, player: Player) -> Iterator[Compared]:
    """Play a recording, and compare each answer with the recorded one.

    Raises `ValueError` for a scenario that has not been recorded, and what the player raises.
    """
    if recording.recorded is None:
        raise ValueError(f"{recording.file or recording.name}: this is a scenario, not a recording")
    for played in player.play(recording):
        step = played.step
        found = differences(_answer(step), played.answer, recording.mode(step), step.unstable)
        yield Compared(played.number, step, tuple(found))


def _answer(step: Step) -> dict[str, Any]:
    """The recorded answer. Recordings of older releases may lack newer masks."""
    return Masks({}).answer(step.answer or {})
