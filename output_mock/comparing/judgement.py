"""Finds how two servers differ every time, and how one server differs from itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from output_mock.comparing.kinds import Kind, endpoint_of, kinds_of
from output_mock.comparing.pair import Sides
from output_mock.comparing.requests import CHANGING
from output_mock.contract.operations import ROUTES
from output_mock.recording.comparison import Mode, differences
from output_mock.recording.scenario import Scenario

Answer = Mapping[str, Any]
_NO_ANSWER: Answer = {"skipped": "not sent"}
_CHANGING = {f"{method} {path}" for method, path, name in ROUTES if name in CHANGING}


@dataclass(frozen=True)
class Judged:
    """An exchange of a scenario: the number of its step, and how the answers to it differ, if they do.

    `unstable` says that one of the servers does not answer the same each time where they differ.
    """

    number: int
    kinds: tuple[Kind, ...] = ()
    unstable: bool = False


def judged(scenario: Scenario, plays: Sequence[Sides]) -> Iterator[Judged]:
    """The exchanges of a scenario that was played several times to both servers.

    What comes after a different answer to a request that changes something tells nothing new, so it is left
    out.
    """
    for number, step in enumerate(scenario.steps):
        if step.request is None:
            continue
        answers = [_answer(side, number) for side in plays[0]]
        if ("skipped" in answers[0]) != ("skipped" in answers[1]):
            # It needs a value of an earlier answer, which only one of them had.
            continue
        one = _of(number, step.request, plays)
        yield one
        if (one.kinds or one.unstable) and endpoint_of(step.request) in _CHANGING:
            return


def _of(number: int, request: str, plays: Sequence[Sides]) -> Judged:
    firsts = [_answer(sides.first, number) for sides in plays]
    seconds = [_answer(sides.second, number) for sides in plays]
    first, second = firsts[0], seconds[0]
    if not differences(first, second):
        return Judged(number)
    mode: Mode = "exact"
    if any(differences(one[0], again) for one in (firsts, seconds) for again in one[1:]):
        mode = "unordered"
    unstable = {
        found.pointer
        for one in (firsts, seconds)
        for again in one[1:]
        for found in differences(one[0], again, mode)
    }
    found = differences(first, second, mode, unstable)
    if not found:
        return Judged(number, unstable=True)
    return Judged(number, tuple(kinds_of(request, found, first, second)))


def _answer(side: Mapping[int, Any], number: int) -> Answer:
    played = side.get(number)
    answer: Answer = _NO_ANSWER if played is None else played.answer
    return answer
