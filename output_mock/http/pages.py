"""History in pages: a page is a number of batches, and a token is a place between two batches."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NamedTuple

from output_mock.contract.errors import InvalidPageTokenError
from output_mock.contract.events import WorkflowTaskFailed
from output_mock.contract.history import History
from output_mock.contract.view import View
from output_mock.engine.run import Run
from output_mock.http import results


class Place(NamedTuple):
    """Where a page begins, as its token says.

    All are numbers of batches. Pages read the events from `first` on, which went to `end` at the last look,
    when the run was `running`. `read` is how far pages have read; None before the first page and after the
    last one.
    """

    first: int
    end: int
    running: bool
    read: int | None = None

    @property
    def begin(self) -> int:
        """The first batch of the page."""
        return self.first if self.read is None else self.read

    def token(self, run: Run) -> str:
        """The token that says so."""
        fields: dict[str, Any] = {"run": run.run_id, "first": self.first, "end": self.end}
        if self.running:
            fields["running"] = True
        if self.read is not None:
            fields["read"] = self.read
        return base64.b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode()


def first_place(run: Run, history: History) -> Place:
    """Where the first page begins, which needs no token."""
    return Place(0, len(history.batches), run.running)


def check(token: str, run_id: str) -> None:
    """Raise `InvalidPageTokenError` unless a token is one of a run, which may be unknown
    (page_tokens_of_unknown_runs).
    """
    if not _is_empty(token) and _read(token)[0] != run_id.lower():
        raise InvalidPageTokenError


def _is_empty(token: str) -> bool:
    """Whether it is too short to hold anything; it is read as nothing."""
    return len(token.rstrip("=")) < 2


def _read(token: str) -> tuple[Any, Place]:
    """The run of a token, and the place. Raises `InvalidPageTokenError`."""
    try:
        read = json.loads(base64.b64decode(token, validate=True))
        return read["run"], Place(read["first"], read["end"], "running" in read, read.get("read"))
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InvalidPageTokenError from None


def place_of(run: Run, history: History, token: str) -> Place:
    """Where the page of this token begins.

    Raises `InvalidPageTokenError`.
    """
    if _is_empty(token):
        return first_place(run, history)
    run_id, place = _read(token)
    written = len(history.batches)
    numbers = [place.first, place.end, place.first if place.read is None else place.read]
    if run_id != run.run_id or any(type(one) is not int or not 0 <= one <= written for one in numbers):
        raise InvalidPageTokenError
    return place


def events(
    run: Run, view: View, first: int = 0, last: int | None = None, *, include_payloads: bool
) -> list[dict[str, Any]]:
    """The events of batches `first` to before `last` (all that there are), as the API shows them."""
    history = view.history(run)
    ends = history.batches
    last = len(ends) if last is None else last
    begin = ends[first - 1] if first else 0
    end = ends[last - 1] if last else 0
    return [
        view.event(run, event_id, event, include_payloads=include_payloads)
        for event_id, event in enumerate(history.events[begin:end], begin + 1)
    ]


def described(run: Run, view: View) -> dict[str, Any]:
    """What a history says about the run as a whole (history_paging)."""
    return {**results.described(run), "historyLength": len(view.history(run))}


def page(
    run: Run,
    view: View,
    place: Place,
    size: int,
    *,
    with_workflow: bool,
    include_payloads: bool,
    live: bool,
) -> dict[str, Any]:
    """One answer of `/history`. With `live`, the end of a running history has a token as well.

    That token has no page of its own: without a wait it begins again where the pages before it began
    (long_poll_tokens).
    """
    history = view.history(run)
    written = len(history.batches)
    following: Place | None = None
    if place.read is None and place.running and place.first >= place.end:
        # Everything had been read at the last look.
        last, following = place.begin, place
    else:
        last, goes_on = _end_of_page(history, place.begin, size)
        if goes_on:
            # A full page has a token even if nothing comes after it; then the next page is empty.
            following = place._replace(read=last)
        elif live and place.running:
            following = place._replace(end=written, read=None)
    return {
        "workflow": described(run, view) if with_workflow else None,
        "events": events(run, view, place.begin, last, include_payloads=include_payloads),
        "runId": run.run_id,
        "nextPageToken": None if following is None else following.token(run),
    }


def _end_of_page(history: History, begin: int, size: int) -> tuple[int, bool]:
    """Where a page ends that begins at a batch, and whether another one follows.

    Temporal reads so many batches, but of one branch only: a reset begins a new one. It goes on with the next
    branch until it has at least so many events (pages_of_runs_that_were_reset).
    """
    ends = history.batches
    last = begin
    while True:
        furthest = min(last + size, len(ends))
        branch = next((at for at in range(last + 1, furthest) if _begins_a_branch(history, at)), None)
        read = (furthest if branch is None else branch) - last
        last += read
        is_over = branch is None and read < size
        if is_over or ends[last - 1] - (ends[begin - 1] if begin else 0) >= size:
            return last, not is_over


def _begins_a_branch(history: History, batch: int) -> bool:
    event = history.events[history.batches[batch - 1]]
    return isinstance(event, WorkflowTaskFailed) and event.base_run_id is not None


def empty_page(run: Run, view: View, token: str | None) -> dict[str, Any]:
    """The answer of a long poll that has no time for events; `token` is the request's own."""
    return {"workflow": described(run, view), "events": [], "runId": run.run_id, "nextPageToken": token}
