"""History in pages: a page is a number of batches, a token is a place between two of them."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from output_mock.contract.errors import InvalidPageTokenError
from output_mock.contract.history import History
from output_mock.contract.view import View
from output_mock.engine.run import Run
from output_mock.http import results


def encode_page_token(run: Run, batch: int) -> str:
    """The token for what comes after `batch` batches of a run."""
    text = json.dumps({"run": run.run_id, "batch": batch}, separators=(",", ":"))
    return base64.b64encode(text.encode()).decode()


def decode_page_token(run: Run, history: History, token: str) -> int:
    """How many batches of the history come before the page of that token.

    Raises `InvalidPageTokenError`.
    """
    if len(token.rstrip("=")) < 2:
        return 0  # too short to hold anything, and read as nothing
    try:
        read = json.loads(base64.b64decode(token, validate=True))
        batch, run_id = read["batch"], read["run"]
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError):
        raise InvalidPageTokenError from None
    if run_id != run.run_id or type(batch) is not int or not 0 <= batch <= len(history.batches):
        raise InvalidPageTokenError
    return batch


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
    """What a history says of the run as a whole (history_paging)."""
    return {**results.described(run), "historyLength": len(view.history(run))}


def page(
    run: Run,
    view: View,
    first: int,
    size: int,
    *,
    with_workflow: bool,
    include_payloads: bool,
    live: bool,
) -> dict[str, Any]:
    """One answer of `/history`. With `live`, the end of a running history has a token as well."""
    last = min(first + size, len(view.history(run).batches))
    # A full page has a token, also when nothing comes after it; then the next page is empty.
    more = last - first == size or (live and run.running)
    return {
        "workflow": described(run, view) if with_workflow else None,
        "events": events(run, view, first, last, include_payloads=include_payloads),
        "runId": run.run_id,
        "nextPageToken": encode_page_token(run, last) if more else None,
    }


def empty_page(run: Run, view: View, token: str | None) -> dict[str, Any]:
    """The answer of a long poll during which nothing has come; `token` is the one that it was asked with."""
    return {"workflow": described(run, view), "events": [], "runId": run.run_id, "nextPageToken": token}
