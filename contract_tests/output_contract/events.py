"""Compares histories, and describes the differences."""

from __future__ import annotations

from typing import Any

Events = list[dict[str, Any]]


def must_be_same(got: Events, expected: Events) -> None:
    """Raise `AssertionError` with a one-line difference unless these are the same events."""
    __tracebackhide__ = True
    if got == expected:
        return
    numbers = [str(event.get("eventId")) for event in got]
    wanted = [str(event.get("eventId")) for event in expected]
    missing = [number for number in wanted if number not in numbers]
    repeated = sorted({number for number in numbers if numbers.count(number) > 1}, key=numbers.index)
    foreign = [number for number in numbers if number not in wanted]
    for what, found in (("missing", missing), ("there twice", repeated), ("too many", foreign)):
        if found:
            raise AssertionError(
                f"expected the events {_span(wanted)}, got {len(numbers)} events: "
                f"{', '.join(found[:8])}{', …' if len(found) > 8 else ''} {what}"
            )
    if numbers != wanted:
        raise AssertionError(f"expected the events {_span(wanted)}, got them in another order: {numbers}")
    number, one, other = next(
        (number, one, other) for number, one, other in zip(wanted, got, expected, strict=True) if one != other
    )
    names = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
    raise AssertionError(f"expected the event {number} to be the same, and its {', '.join(names)} differ")


def _span(numbers: list[str]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
