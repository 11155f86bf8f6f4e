"""What a fake has seen, as text for somebody who looks for the reason of a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from output_mock.http.journal import listing

if TYPE_CHECKING:
    from output_mock.mock import OutputMock

# More runs than this are not shown one by one; the last ones are.
_MOST_RUNS = 30


def sections(mock: OutputMock) -> list[tuple[str, str]]:
    """Titles and texts: the calls, and the runs with where each of them stands."""
    return [("output_mock: calls", calls(mock)), ("output_mock: runs", runs(mock))]


def calls(mock: OutputMock) -> str:
    """The calls, and the faults that are still to strike."""
    lines = [listing(mock.calls) if mock.calls else "no calls"]
    lines += [f"still to come: {fault!r}" for fault in mock.app.faults]
    return "\n".join(lines)


def runs(mock: OutputMock) -> str:
    """A line for each run, what is wrong with the scripts, and the clock."""
    every = list(mock.runs.values())
    lines = [f"{run.workflow_id} ({run.workflow}): {run.standing}" for run in every[-_MOST_RUNS:]]
    if len(every) > _MOST_RUNS:
        lines.insert(0, f"… {len(every) - _MOST_RUNS} earlier ones …")
    shown = "\n".join(lines)
    lines += [f"script error: {error.message}" for error in mock.script_errors if error.message not in shown]
    if not lines:
        lines = ["no runs"]
    clock = mock.clock
    lines.append(f"clock {clock.mode}, at {clock.now():%Y-%m-%d %H:%M:%S} UTC; seed {mock.world.seed}")
    return "\n".join(lines)


def unforeseen(mock: OutputMock) -> str | None:
    """What a strict test fails with: calls that no script foresaw, mistakes in scripts; None if well."""
    calls = mock.unforeseen
    lines = [f"#{call.number} {call.method} {call.path}: {call.miss}" for call in calls]
    told = "\n".join(call.miss or "" for call in mock.calls)
    lines += [error.message for error in mock.script_errors if error.message not in told]
    if not lines:
        return None
    listed = "\n".join(f"  {line}" for line in lines)
    return (
        f"no script foresaw this:\n{listed}\n"
        "script it, or say that the test expects it: output_mock.foresee(status=…) for calls like these, "
        "@pytest.mark.output(strict=False) for a whole test"
    )
