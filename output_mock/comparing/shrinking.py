"""Makes a scenario smaller as long as it still shows what it shows.

Hypothesis could do it, too, but tries thousands of sequences, and each takes seconds of real time here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from output_mock.recording.scenario import Scenario, Step
from output_mock.recording.variables import names_in

# What a step can do without.
_OPTIONAL = ("meanwhile", "headers", "json", "text", "timeout", "until")
# Says which of some scenarios still shows it: the position of the first one, or None.
Showing = Callable[[Sequence[Scenario]], "int | None"]


def shrunk(scenario: Scenario, showing: Showing, at_once: int) -> Iterator[Scenario]:
    """Smaller and smaller scenarios, each of which shows it; the last one is the smallest that was found.

    `showing` is asked about up to `at_once` scenarios at a time.
    """
    tried: set[str] = set()
    while True:
        candidates = (one for one in _smaller(scenario) if repr(one.steps) not in tried)
        for some in _in_groups(candidates, at_once):
            tried.update(repr(one.steps) for one in some)
            position = showing(some)
            if position is not None:
                scenario = some[position]
                yield scenario
                break
        else:
            return


def stretched(scenario: Scenario, times: float) -> Scenario:
    """The same with waits that are so many times as long."""
    steps = (
        step if step.wait is None else replace(step, written={"wait": step.wait * times})
        for step in scenario.steps
    )
    return replace(scenario, steps=tuple(steps))


def _in_groups(scenarios: Iterator[Scenario], most: int) -> Iterator[list[Scenario]]:
    while some := list(islice(scenarios, most)):
        yield some


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios that are a little smaller, those first that lack most."""
    steps = scenario.steps
    # A request and how long it is let work belong together.
    begins = [number for number, step in enumerate(steps) if step.request is not None] + [len(steps)]
    length = len(begins) // 2
    while length:
        # What comes last is needed least.
        for start in range(len(begins) - 1 - length, -1, -length):
            rest = _without(steps, range(begins[start], begins[start + length]))
            if any(step.request is not None for step in rest):
                yield replace(scenario, steps=rest)
        length //= 2
    for number, step in enumerate(steps):
        for simpler in _simpler(step.written):
            yield replace(scenario, steps=(*steps[:number], Step(simpler), *steps[number + 1 :]))


def _without(steps: Sequence[Step], left_out: range) -> tuple[Step, ...]:
    """The steps without some of them, and without requests that need what only these have saved."""
    saved = {name for step in steps for name in step.written.get("save", {})}
    rest: list[Step] = []
    known: set[str] = set()
    kept = True
    for number, step in enumerate(steps):
        if step.request is not None:
            kept = number not in left_out and not (saved.intersection(step.names()) - known)
        if kept:
            rest.append(step)
            known |= step.written.get("save", {}).keys()
    return tuple(rest)


def _simpler(written: Any) -> Iterator[dict[str, Any]]:
    for name in _OPTIONAL:
        if name in written:
            yield {key: item for key, item in written.items() if key != name}
    line, question, query = written.get("request", "").partition("?")
    parts = query.split("&") if question else []
    for number in range(len(parts)):
        left = "&".join(parts[:number] + parts[number + 1 :])
        yield {**written, "request": f"{line}?{left}" if left else line}
    for name in ("json", "headers"):
        for simpler in _simpler_value(written.get(name)):
            yield {**written, name: simpler}


def _simpler_value(value: Any) -> Iterator[Any]:
    """A JSON value with one part less, at any depth."""
    if isinstance(value, dict):
        for name in value:
            yield {key: item for key, item in value.items() if key != name}
        for name, item in value.items():
            for simpler in _simpler_value(item):
                yield {**value, name: simpler}
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield value[:number] + value[number + 1 :]
            for simpler in _simpler_value(item):
                yield [*value[:number], simpler, *value[number + 1 :]]
    elif isinstance(value, str) and len(value) > 2 and not list(names_in(value)):
        yield value[: len(value) // 2]
