"""What a fake has seen, as text for the report of a failed test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Literal

from output_mock.http.journal import Call, listing
from output_mock.masking import masked_text
from output_mock.unused import UnusedScript

if TYPE_CHECKING:
    from output_mock.callbacks.journal import CallbackList
    from output_mock.mock import OutputMock

# More runs than this are not shown one by one; the last ones are.
_MOST_RUNS = 30
# More unused scripts than this are only counted.
_MOST_UNUSED = 20

# Which unused scripts fail a test: none, those that the test itself has scripted, or all.
UnusedPolicy = Literal["report", "error", "all"]
# Whether a place, `file, line 7`, lies in the test itself.
IsOwn = Callable[[str], bool]


def sections(mock: OutputMock, is_own: IsOwn) -> list[tuple[str, str]]:
    """Titles and texts: the calls, where each run stands, and what was scripted but never used.

    `is_own` tells whether a place lies in the test itself. Workflows that others have scripted and that no
    run used are left out.
    """
    found = [("output_mock: calls", calls(mock)), ("output_mock: runs", runs(mock))]
    sent = mock.callbacks.so_far
    if sent:
        found.append(("output_mock: callbacks", callbacks(sent)))
    rest = [one for one in mock.unused if one.of_run or any(map(is_own, one.places))]
    if rest:
        found.append(("output_mock: scripted but never used", _listed(rest)))
    return found


def calls(mock: OutputMock, made: Sequence[Call] | None = None) -> str:
    """The calls, or these of them, and the faults that are still active."""
    made = mock.calls if made is None else made
    lines = [listing(made) if made else "no calls"]
    lines += [f"active fault: {fault!r}" for fault in mock.app.faults]
    return "\n".join(lines)


def callbacks(sent: CallbackList) -> str:
    """The requests that workflows have sent, why some went nowhere, and what the application raised."""
    shown = sent[-_MOST_RUNS:]
    lines = [f"… {len(sent) - len(shown)} earlier ones …"] if len(sent) > len(shown) else []
    for one in shown:
        lines.append(str(one))
        if one.unmatched_reason is not None:
            lines.append(f"    {one.unmatched_reason}")
        elif one.problem is not None and "\n" in one.problem:
            lines.append(indent(one.problem.rstrip(), "    "))
    return "\n".join(lines)


def runs(mock: OutputMock) -> str:
    """A line for each run, what is wrong with the scripts, and the clock."""
    every = list(mock.runs.values())
    lines = [
        masked_text(f"{run.workflow_id} ({run.workflow}): {run.progress}") for run in every[-_MOST_RUNS:]
    ]
    if len(every) > _MOST_RUNS:
        lines.insert(0, f"… {len(every) - _MOST_RUNS} earlier ones …")
    shown = "\n".join(lines)
    lines += [f"script error: {error.message}" for error in mock.script_errors if error.message not in shown]
    lines += [f"warning: {text}" for text in mock.script_warnings]
    if not lines:
        lines = ["no runs"]
    clock, deployment = mock.clock, mock.world.deployment
    versions = "" if deployment.is_newest else f"; API {deployment.api}, workers of SDK {deployment.sdk}"
    lines.append(
        f"clock {clock.mode}, at {clock.now():%Y-%m-%d %H:%M:%S} UTC; seed {mock.world.seed}{versions}"
    )
    return "\n".join(lines)


def complaint(mock: OutputMock, is_own: IsOwn, *, strict: bool, unused: UnusedPolicy) -> str | None:
    """The message that a test fails with at its end; None when nothing is wrong.

    With `strict`, requests that no script matches and mistakes in scripts count. With `unused="error"`, what
    the test itself has scripted and nothing has used counts; with `"all"`, also what others have scripted.
    """
    unmatched = unforeseen(mock, {}) if strict else None
    complaints = [unmatched]
    if unused != "report":
        counts = is_own if unused == "error" else bool
        complaints.append(_unused(mock, counts, follows=unmatched is not None))
    return "\n\n".join(text for text in complaints if text) or None


def unforeseen(mock: OutputMock, known: dict[int, object]) -> str | None:
    """What no script foresaw, as the message that a test fails with; None if there is nothing new.

    `known` has what was found before, by its id. This is left out, and what is new is added.
    """
    unmatched = [call for call in mock.unmatched_calls if id(call) not in known]
    unheard = [error for error in mock.unmatched_errors if id(error) not in known]
    nowhere = [
        one for one in mock.callbacks.so_far if one.unmatched_reason is not None and id(one) not in known
    ]
    known |= {id(one): one for one in (*unmatched, *unheard, *nowhere)}
    calls = [f"#{call.number} {call.method} {call.path}: {call.unmatched_reason}" for call in unmatched]
    mistakes = [error.message for error in unheard]
    told = []
    if calls:
        told += ["no script matches these requests:", *(f"  {line}" for line in calls)]
    if mistakes:
        told += [
            "these runs failed because of a mistake in their script, and your code did not ask for "
            "their results:"
        ]
        told += [f"  {line}" for line in mistakes]
    if nowhere:
        told.append("these requests of workflows went nowhere:")
        told += [f"  {one.workflow_id}: {one.unmatched_reason}" for one in nowhere]
    if nowhere and not (calls or mistakes):
        return "\n".join(
            [
                *told,
                "correct the URL, or say who answers. If the test expects this, write callbacks.respond(url, "
                'fails="refused"), or use @pytest.mark.output(strict=False) for the whole test',
            ]
        )
    if not told:
        return None
    return "\n".join(
        [
            *told,
            "correct the script. If the test expects this, call output_mock.expect_unmatched(status=…) for "
            "such calls, or use @pytest.mark.output(strict=False) for the whole test",
        ]
    )


def _unused(mock: OutputMock, counts: IsOwn, *, follows: bool) -> str | None:
    """`follows` says that requests that no script matches are listed above, and may be the cause."""
    rest = [one for one in mock.unused if any(map(counts, one.places))]
    if not rest:
        return None
    listed = "\n".join(f"  {line}" for line in _listed(rest).split("\n"))
    told = f"this was scripted but never used:\n{listed}\n"
    if follows:
        return f"{told}first fix what is listed above, which is probably the cause"
    return (
        f"{told}remove it, or have the code under test use it. If a test need not use everything, write "
        f'@pytest.mark.output(unused="report"), or output_unused = report in the ini file for all tests'
    )


def _listed(found: list[UnusedScript]) -> str:
    lines = [str(one) for one in found[:_MOST_UNUSED]]
    if len(found) > _MOST_UNUSED:
        lines.append(f"… and {len(found) - _MOST_UNUSED} more")
    return "\n".join(lines)
