"""A verdict as text, for a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from output_contract.checks import AREAS
from output_contract.verdict import Outcome, Verdict

_WIDTH = 100
# How many failed checks a terminal shows.
_MOST = 20
# Characters that move the cursor, change the text direction, or cannot be written at all.
_NOT_FOR_A_TERMINAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def table(verdict: Verdict) -> Iterator[str]:
    """A table: how many checks of each area passed, failed, and did not run."""
    yield f"{'area':<11} {'passed':>6} {'failed':>6} {'not checked':>11}"
    for area, counts in verdict.by_area():
        cells = [counts["passed"], counts["failed"], counts["not_checked"]]
        passed, failed, unchecked = (str(cell) if cell else "·" for cell in cells)
        yield f"{area:<11} {passed:>6} {failed:>6} {unchecked:>11}   {AREAS[area]}"
    counts = verdict.counts()
    yield f"{'':<11} {counts['passed']:>6} {counts['failed']:>6} {counts['not_checked']:>11}"


def failure(outcome: Outcome) -> Iterator[str]:
    """A failed check: the request, the answer, the expectation, and the reason."""
    for line in _failure(outcome):
        yield _printable(line)


def _failure(outcome: Outcome) -> Iterator[str]:
    found = outcome.failure or {}
    yield f"✗ {outcome.id}  ({outcome.level}; {outcome.source})"
    yield f"    {found.get('test', '')}"
    yield from _indented("found", found.get("expected", ""))
    if found.get("before"):
        yield from _indented("after", "\n".join(found["before"]))
    if "curl" in found:
        yield from _indented("request", found["curl"], wrap=False)
        yield from _indented("answer", answer_line(found["answer"])[:700])


def answer_line(answer: Mapping[str, Any]) -> str:
    """The status and body of an answer, or why there is no answer."""
    if answer["status"] is None:
        return f"none: {answer.get('broken', 'nothing was sent')}"
    cut = f" (cut off: {answer['broken']})" if "broken" in answer else ""
    return f"{answer['status']} {answer['body']}{cut}"


def _indented(name: str, text: str, *, wrap: bool = True) -> Iterator[str]:
    # Do this before the split into lines, because some of these characters also end a line.
    text = "\n".join(_printable(line) for line in text.replace("\r\n", "\n").split("\n"))
    head = f"    {name:<9}"
    lines = [
        piece
        for line in text.splitlines()[:12]
        for piece in (textwrap.wrap(line, _WIDTH, break_on_hyphens=False) or [""] if wrap else [line])
    ]
    for number, line in enumerate(lines[:14]):
        yield f"{head if number == 0 else ' ' * len(head)}{line}"


def _printable(line: str) -> str:
    """A line from a server, without characters that control a terminal."""
    return _NOT_FOR_A_TERMINAL.sub("�", line)


def whole(verdict: Verdict) -> Iterator[str]:
    """The verdict: failed checks, checks that did not run, the table, and a summary."""
    for line in _whole(verdict):
        yield _printable(line)


def _whole(verdict: Verdict) -> Iterator[str]:
    failed = verdict.of("failed")
    causes = verdict.causes
    explained = {check for cause in causes for check in cause.checks}
    # Checks with the same cause are represented by one example.
    examples = {cause.checks[0] for cause in causes}
    shown = [outcome for outcome in failed if outcome.id in examples or outcome.id not in explained]
    for outcome in shown[:_MOST]:
        yield from failure(outcome)
        yield ""
    if len(failed) > len(shown[:_MOST]):
        others = len(failed) - len(shown[:_MOST])
        yield f"✗ and {others} more; the report of --report DIR has all of them"
        yield ""
    if causes:
        # One line for each, however long, so that you can search a log for a cause.
        yield "Why checks failed:"
        for cause in causes:
            yield f"  {_checks(len(cause.checks))}: {cause.words}"
        rest = len([outcome for outcome in failed if outcome.id not in explained])
        if rest == 1:
            yield "  1 more check failed for its own reason, see above"
        elif rest:
            yield f"  {rest} more checks failed, each for its own reason, see above"
        yield ""
    excluded = verdict.of("not_applicable")
    if excluded:
        why = [f"{number} because {reason}" for reason, number in verdict.reasons("not_applicable")]
        yield from _wrapped(f"not applicable ({len(excluded)}): ", f"{'; '.join(why)}.")
    reasons = verdict.reasons()
    for reason, number in reasons:
        yield from _wrapped(f"not checked ({number}): ", reason)
    if excluded or reasons:
        yield ""
    yield from table(verdict)
    yield ""
    for problem in verdict.problems:
        yield f"problem: {problem}"
    for note in verdict.notes:
        yield f"note: {note}"
    for workflow_id in verdict.left_running:
        yield f"left running: {workflow_id}; end it with POST /workflow/{workflow_id}/terminate"
    requests = sum(outcome.requests for outcome in verdict.outcomes)
    yield f"{verdict.judged_as}; {requests} requests in {verdict.seconds:.1f} s"
    yield f"{verdict.url} {verdict.words}"


def _checks(number: int) -> str:
    return f"{number} check{'' if number == 1 else 's'}"


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(f"{head}{text}", _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
