"""Compares two verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from output_contract.checks import AREAS
from output_contract.verdict import COULD_NOT_BE_CHECKED, Outcome, Verdict

_WORDS = {
    "passed": "passed",
    "failed": "failed",
    "not_checked": "not checked",
    "not_applicable": "not applicable",
    None: "not there",
}


class Difference(NamedTuple):
    """A check with different outcomes; None means that only the other verdict has it."""

    id: str
    one: Outcome | None
    other: Outcome | None


def differences(one: Verdict, other: Verdict) -> list[Difference]:
    """The checks with different outcomes, sorted by area and id."""
    sides = [{outcome.id: outcome for outcome in verdict.outcomes} for verdict in (one, other)]
    areas = list(AREAS)
    ids = sorted(sides[0], key=lambda id: (areas.index(id.partition(".")[0]), id))
    pairs = (Difference(id, sides[0].get(id), sides[1].get(id)) for id in ids)
    return [pair for pair in pairs if _status(pair.one) != _status(pair.other)]


def exit_status(one: Verdict, other: Verdict) -> int:
    """0: the first conforms, and both agree. 1: otherwise. 2: one could not be checked."""
    if COULD_NOT_BE_CHECKED in (one.exit_status, other.exit_status):
        return COULD_NOT_BE_CHECKED
    return 1 if one.exit_status or differences(one, other) else 0


def as_text(one: Verdict, other: Verdict) -> Iterator[str]:
    """The differences, a line each, and a summary."""
    found = differences(one, other)
    if found:
        yield f"{'check':<44} {'A':<15} B"
        for id, left, right in found:
            yield f"{id:<44} {_WORDS[_status(left)]:<15} {_WORDS[_status(right)]}"
            for name, outcome in (("A", left), ("B", right)):
                if outcome is not None and outcome.failure is not None:
                    yield f"    {name}: {outcome.failure['expected'].splitlines()[0][:160]}"
        yield ""
    yield f"A is {one.url}, {one.judged_as}: it {one.words}"
    yield f"B is {other.url}, {other.judged_as}: it {other.words}"
    alike = len({outcome.id for outcome in one.outcomes} & {outcome.id for outcome in other.outcomes})
    alike -= len([pair for pair in found if pair.one is not None and pair.other is not None])
    yield f"{alike} checks have the same result, {len(found)} do not"


def _status(outcome: Outcome | None) -> str | None:
    return None if outcome is None else outcome.status
