"""Explain requests that match nothing: what is wrong with them, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from typing import Any

from output_mock.contract.operations import Endpoint, Operation
from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.values import short
from output_mock.suggestions import nearest
from output_mock.zod.issues import Issue

# The header of the answer with the reason.
HEADER = "Output-Mock-Unmatched"
_LONGEST = 1000
_FORM = "application/x-www-form-urlencoded"


def header_text(unmatched_reason: str) -> str:
    """The reason as the value of a header: one line of printable ASCII."""
    text = unmatched_reason.replace("\n", " ").encode("ascii", "backslashreplace").decode()
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def no_route(method: str, path: str, endpoints: Sequence[tuple[Operation, Endpoint]]) -> str:
    """The reason for a path, or a method of it, that does not exist."""

    # The parts of most operations are the same few.
    @cache
    def alike(one: str, other: str) -> float:
        return difflib.SequenceMatcher(None, one, other).ratio()

    asked = path.lower().split("/")
    best, likeness = "", -1.0
    for operation, endpoint in endpoints:
        parts = endpoint.path.split("/")
        same = [1.0 if "{" in part else alike(one, part) for one, part in zip(asked, parts, strict=False)]
        score = sum(same) / max(len(asked), len(parts)) + 0.1 * (operation.method == method)
        if score > likeness:
            best, likeness = f"{operation.method} {endpoint.path}", score
    return f"there is no {method} {path}; the nearest is {best}"


def invalid(issues: list[Issue], body: Any, known: tuple[str, ...], content_type: str | None) -> str:
    """The reason for a request that is not valid for its operation."""
    if body is UNDEFINED and known:
        if content_type is None:
            return "the body is missing, or has no Content-Type; send JSON as application/json"
        if not content_type.startswith("application/json"):
            return f"a body of type {content_type!r} is ignored; send JSON as application/json"
    words = []
    fields = list(body) if isinstance(body, dict) else []
    if known and fields and not set(known) & set(fields) and (content_type or "").startswith(_FORM):
        # What curl says of a body unless it is told otherwise.
        return f"a body of type {content_type!r} is read as a form; send JSON as application/json"
    for issue in issues:
        where = ".".join(str(part) for part in issue["path"])
        text = f"{where}: {issue['message']}" if where else str(issue["message"])
        if where in known and where not in fields:
            strangers = [name for name in fields if name not in known]
            text += _meant(where, strangers)
        words.append(text)
    given = "" if body is UNDEFINED else f" (the body is {short(body)})"
    return f"the request is not valid: {'; '.join(words)}{given}"


def _meant(missing: str, strangers: list[str]) -> str:
    """The unknown field that was probably meant to be the missing one."""
    for name in strangers:
        folded = name.replace("_", "").lower()
        if folded == missing.lower() or folded in missing.lower() or nearest(missing, [name]):
            return f"; {name!r} is ignored; did you mean {missing!r}?"
    return ""
