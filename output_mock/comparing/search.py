"""Looks for differences between two servers until the time is over, and makes each as small as possible."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from hypothesis.strategies import SearchStrategy

from output_mock.comparing.drawing import drawn
from output_mock.comparing.judgement import Judged, judged
from output_mock.comparing.kinds import Kind
from output_mock.comparing.pair import Pair, Sides
from output_mock.comparing.report import Found, Report
from output_mock.comparing.shrinking import shrunk, stretched
from output_mock.comparing.writing import Writer
from output_mock.recording.scenario import Scenario

# How many sequences are drawn before those that differ are looked into.
_BATCH = 24
# How often a difference must be seen to count, and how often while it is made smaller.
_SURE, _AGAIN = 3, 2
# How many times longer runs may settle then, and at the end, so that a slow server does not look different.
_LONGER, _LONGEST = 3, 8
# After this many times, a kind that was only late is ignored.
_LATE = 2
# How many seconds may be spent on making one difference smaller.
_SHRINKING = 60.0


class Plan(NamedTuple):
    """How many seconds to look, from which seed, and how many sequences at once."""

    seconds: float
    seed: int
    at_once: int
    # How many sequences to play at most; None for any number.
    sequences: int | None = None


class Over(Exception):
    """The time is over."""


class Search:
    """A search for differences between two servers, with scenarios of a strategy of Hypothesis.

    `report` has what it has found so far, even if it is interrupted.
    """

    def __init__(
        self,
        pair: Pair,
        strategy: SearchStrategy[Scenario],
        plan: Plan,
        writer: Writer,
        tell: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._pair = pair
        self._plan = plan
        self._writer = writer
        self._tell = tell
        self._strategy = strategy
        self._until = 0.0
        # What was answered to scenarios, by their text.
        self._plays: dict[str, list[Sides]] = {}
        # How often each kind was only a slow server.
        self._late: Counter[Kind] = Counter()
        self.report: Report = Report(plan.seed)

    def run(self) -> Report:
        """Look until the time is over. Raises `ServerGone`, and `OSError` where nothing can be written."""
        began = time.monotonic()
        self._until = began + self._plan.seconds
        number = 0
        try:
            while time.monotonic() < self._until and not self._has_enough():
                self._batch(self._plan.seed * 1_000_003 + number)
                number += 1
        except Over:
            pass
        finally:
            self.report.seconds = time.monotonic() - began
            self.report.requests = self._pair.requests
        return self.report

    def _has_enough(self) -> bool:
        most = self._plan.sequences
        return most is not None and self.report.sequences >= most

    def _batch(self, seed: int) -> None:
        self._plays.clear()
        scenarios = drawn(self._strategy, seed, _BATCH)
        if self._plan.sequences is not None:
            del scenarios[self._plan.sequences - self.report.sequences :]
        for start in range(0, len(scenarios), self._plan.at_once):
            self._again(scenarios[start : start + self._plan.at_once], 1)
        for scenario in scenarios:
            surely = self._counted(scenario)
            for one in self._judged(surely):
                for kind in one.kinds:
                    if not self._is_known(kind):
                        self._look_into(kind, surely)

    def _played(self, scenarios: Sequence[Scenario], times: int) -> list[list[Sides]]:
        if time.monotonic() >= self._until:
            raise Over
        try:
            return self._pair.play(scenarios, times)
        finally:
            self.report.requests = self._pair.requests

    def _counted(self, scenario: Scenario) -> Scenario:
        """Count the result of a scenario.

        Returns the scenario to look into, with more time for runs to settle if there seems to be something
        new.
        """
        found = self._judged(scenario)
        if any(not self._is_known(kind) for one in found for kind in one.kinds):
            scenario = stretched(scenario, _LONGER)
            self._again([scenario], _SURE)
            again = {one.number: one for one in self._judged(scenario)}
            # What is the same with more time to settle was only late.
            late = [one for one in found if one.kinds and one.number in again and not again[one.number].kinds]
            found = [*again.values()]
            self.report.late += len(late)
        known_as_late = {kind for kind, times in self._late.items() if times >= _LATE}
        self.report.count(scenario.exchanges, found, known_as_late)
        return scenario

    def _judged(self, scenario: Scenario) -> list[Judged]:
        return list(judged(scenario, self._plays[_key(scenario)]))

    def _again(self, scenarios: Sequence[Scenario], times: int) -> None:
        """Play scenarios until each was played this many times in total."""
        wanted = {_key(one): one for one in scenarios}
        missing = max(times - len(self._plays.get(key, ())) for key in wanted)
        if missing > 0:
            for key, more in zip(wanted, self._played(list(wanted.values()), missing), strict=True):
                self._plays[key] = self._plays.get(key, []) + more

    def _is_known(self, kind: Kind) -> bool:
        found = self.report.kinds.get(kind)
        return self._late[kind] >= _LATE or (found is not None and found.file is not None)

    def _look_into(self, kind: Kind, scenario: Scenario) -> None:
        """Make a scenario that shows a kind of difference smaller, and write it."""
        before = self._writer.found_before(kind)
        if before is not None:
            self.report.kinds[kind].file = before
            return
        self._tell(f"found: {kind}")
        number = next(one.number for one in self._judged(scenario) if kind in one.kinds)
        # What comes later has nothing to do with it.
        begun = replace(scenario, steps=scenario.steps[: number + 1])
        self._plays[_key(begun)] = self._plays[_key(scenario)]
        try:
            small = [begun, *shrunk(begun, self._showing(kind), self._plan.at_once)][-1]
            sure = stretched(small, _LONGEST / _LONGER)
            self._again([sure], _AGAIN)
        except (Over, KeyboardInterrupt):
            # Too large is better than lost.
            self.report.kinds[kind].file = self._writer.write(kind, begun, self._plays[_key(begun)])
            raise
        if not self._shows(sure, kind):
            self._late[kind] += 1
            self.report.was_late(kind)
            self._tell("  it disappears when runs have more time to settle")
            return
        path = self._writer.write(kind, sure, self._plays[_key(sure)])
        for one in self._judged(sure):
            # What else differs in the same answer is seen in the same file.
            if kind in one.kinds:
                for other in one.kinds:
                    self.report.kinds.setdefault(other, Found()).file = path
        self._tell(f"  {small.exchanges} of {scenario.exchanges} requests show it: {path}")

    def _showing(self, kind: Kind) -> Callable[[Sequence[Scenario]], int | None]:
        """Which of some scenarios is the first to show a kind of difference, each time that it is played."""
        enough = time.monotonic() + _SHRINKING

        def showing(scenarios: Sequence[Scenario]) -> int | None:
            if time.monotonic() >= min(enough, self._until):
                return None
            self._again(scenarios, _AGAIN)
            return next((n for n, one in enumerate(scenarios) if self._shows(one, kind)), None)

        return showing

    def _shows(self, scenario: Scenario, kind: Kind) -> bool:
        return any(kind in one.kinds for one in self._judged(scenario))


def _key(scenario: Scenario) -> str:
    return json.dumps([step.written for step in scenario.steps], sort_keys=True)
