"""History in pages: a page is a number of batches, a token is a place between two of them."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from output_mock.contract.errors import InvalidPageTokenError
from output_mock.contract.rendering import render
from output_mock.engine import results
from output_mock.engine.run import Run


def token(run: Run, batch: int) -> str:
    """The token for what comes after `batch` batches of a run."""
    text = json.dumps({"run": run.run_id, "batch": batch}, separators=(",", ":"))
    return base64.b64encode(text.encode()).decode()


def place(run: Run, page_token: str) -> int:
    """How many batches come before the page of that token. Raises `InvalidPageTokenError`."""
    if len(page_token.rstrip("=")) < 2:
        return 0  # too short to hold anything, and read as nothing
    try:
        given = json.loads(base64.b64decode(page_token, validate=True))
        batch, run_id = given["batch"], given["run"]
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError):
        raise InvalidPageTokenError from None
    if run_id != run.run_id or type(batch) is not int or not 0 <= batch <= len(run.history.batches):
        raise InvalidPageTokenError
    return batch


def events(run: Run, first: int, last: int, *, include_payloads: bool) -> list[dict[str, Any]]:
    """The events of batches `first` to before `last`, as the API shows them."""
    ends = run.history.batches
    begin = ends[first - 1] if first else 0
    end = ends[last - 1] if last else 0
    info = run.info
    return [
        render(info, event_id, event, include_payloads=include_payloads)
        for event_id, event in enumerate(run.history.events[begin:end], begin + 1)
    ]


def page(
    run: Run, first: int, size: int, *, described: bool, include_payloads: bool, live: bool
) -> dict[str, Any]:
    """One answer of `/history`. With `live`, the end of a running history has a token as well."""
    ends = run.history.batches
    last = min(first + size, len(ends))
    # A full page has a token, also when nothing comes after it; then the next page is empty.
    more = last - first == size or (live and run.running)
    return {
        "workflow": results.described(run) if described else None,
        "events": events(run, first, last, include_payloads=include_payloads),
        "runId": run.run_id,
        "nextPageToken": token(run, last) if more else None,
    }
