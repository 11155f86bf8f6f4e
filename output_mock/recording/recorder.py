"""Makes recordings: plays a scenario and keeps the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from output_mock.recording.answers import Answer
from output_mock.recording.comparison import differences, places_above, shown
from output_mock.recording.masks import Masks
from output_mock.recording.player import Played, Player
from output_mock.recording.scenario import Scenario, Step
from output_mock.recording.timing import Exchange, moments
from output_mock.recording.variables import at

# The parts of a step that a recording keeps, besides its answer.
_SENT = {"request", "headers", "json", "text", "repeat", "until", "about", "by_hand"}


@dataclass(frozen=True)
class Recorded:
    """A recording, and a line for each deviation from the scenario."""

    recording: Scenario
    warnings: tuple[str, ...]
    # The answers as received, in order.
    raw: tuple[Answer, ...]


def record(
    scenario: Scenario,
    player: Player,
    versions: Mapping[str, Any],
    *,
    times: int = 1,
    tell: Callable[[Played], None] = lambda played: None,
) -> Recorded:
    """Play a scenario and keep the answers.

    `versions` are the versions of the recorded software. `times` is how often to play the scenario: the
    recorder keeps the first answers and marks as unstable exactly the values that differed. Calls `tell`
    with each answer.
    """
    if times > 1:
        scenario = scenario.without_marks()
    plays = [[*_told(player, scenario, tell)] for _ in range(times)]
    recording = recorded_as(scenario, plays, versions, player.token)
    first = plays[0]
    warnings = [
        f"step {played.number + 1}, {played.step.request}: {words}"
        for played in first
        for words in _wrong(played, scenario)
    ]
    return Recorded(recording, tuple(warnings), tuple(one.raw for one in first if one.raw is not None))


def recorded_as(
    scenario: Scenario, plays: Sequence[Sequence[Played]], versions: Mapping[str, Any], token: str | None
) -> Scenario:
    """The recording of a scenario that was played once or more. Marks values that differed."""
    first, *others = plays
    first = sorted(first, key=lambda played: played.number)
    recording = _without_token(scenario.with_answers(_answers(first), versions), token)
    for again in others:
        recording = marked(recording, {played.number: played.answer for played in again})
    return recording


def _without_token(recording: Scenario, token: str | None) -> Scenario:
    """The recording of a scenario whose author wrote the token itself into it."""
    masks = Masks({}, token)
    steps = []
    for step in recording.steps:
        written = {name: masks.sent(item) if name in _SENT else item for name, item in step.written.items()}
        steps.append(replace(step, written=written))
    variables = {name: masks.sent(item) for name, item in (recording.variables or {}).items()}
    return replace(recording, steps=tuple(steps), variables=variables or None)


def _told(player: Player, scenario: Scenario, tell: Callable[[Played], None]) -> Any:
    for played in player.play(scenario):
        tell(played)
        yield played


def _answers(played: Sequence[Played]) -> dict[int, dict[str, Any]]:
    """The answers by step, each with the time of its request."""
    exchanges = [
        None if one.raw is None else Exchange(one.step.path, one.raw.status, one.raw.json()) for one in played
    ]
    times = moments(exchanges)
    first = min((when for when in times if when is not None), default=0)
    return {
        one.number: one.answer if when is None else {**one.answer, "at": when - first}
        for one, when in zip(played, times, strict=True)
    }


def _has(answer: dict[str, Any], place: str) -> str:
    """Describe the value at a place in the body of an answer."""
    value = at(answer.get("json"), place)
    return "has none" if value is None else f"has {shown(value)}"


def _wrong(played: Played, scenario: Scenario) -> list[str]:
    answer = played.answer
    words = []
    if "skipped" in answer:
        words.append(f"not sent, as {answer['skipped']}")
    if "broken_off" in answer:
        words.append(answer["broken_off"])
    if "not_reached" in answer:
        body = played.raw.json() if played.raw is not None else None
        missed = " and ".join(
            f"{place} to be {' or '.join(map(str, values))}, and the last answer {_has(answer, place)}"
            for place, values in played.step.until.items()
            if at(body, place) not in values
        )
        words.append(f"waited in vain for {missed}; correct 'until', or allow more time with 'within'")
    needed = {name for step in scenario.steps[played.number + 1 :] for name in step.names()}
    what, error = str(answer.get("status", "broken off")), at(answer.get("json"), "error")
    if isinstance(error, str):
        what += f" {shown(error)}"
    words += [
        f"the answer, {what}, has no value for {{{{{name}}}}}" for name in played.unsaved if name in needed
    ]
    return words


def marked(recording: Scenario, again: Mapping[int, Mapping[str, Any]]) -> Scenario:
    """Mark the values of a recording that differed when its scenario was played again. Takes the masked
    answers by step.

    A history whose order changed is compared without regard to order from then on.
    """
    steps = []
    for number, step in enumerate(recording.steps):
        other = again.get(number)
        if step.answer is not None and other is not None:
            step = _marked(recording, step, other)
        steps.append(step)
    return replace(recording, steps=tuple(steps))


def _marked(recording: Scenario, step: Step, other: Mapping[str, Any]) -> Step:
    assert step.answer is not None
    mode, unstable = recording.mode(step), step.unstable
    found = differences(step.answer, other, mode, unstable)
    if not found:
        return step
    if mode == "exact" and not unstable and not differences(step.answer, other, "unordered"):
        return replace(step, written={**step.written, "compare": "unordered"})
    places = {*unstable, *(one.pointer for one in found)}
    # A place below another marked place needs no mark.
    places = {one for one in places if places.isdisjoint(places_above(one))}
    return replace(step, written={**step.written, "unstable": sorted(places)})
