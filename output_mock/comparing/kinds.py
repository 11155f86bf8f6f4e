"""Kinds of differences: where two answers differ, without what changes each time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from output_mock.contract.operations import OPERATIONS
from output_mock.recording.comparison import MISSING, Difference, comparable, shown

_SLUG = re.compile(r"[^a-z0-9]+")
_VARIABLE = re.compile(r"\{\{\w+\}\}")
_EVENTS = ("body", "events")
_PARAMETER = re.compile(r"\{(\w+)\}")
# Longer values are cut.
_LONGEST = 60


class Kind(NamedTuple):
    """A kind of difference: of which request, and where."""

    request: str
    what: str

    def __str__(self) -> str:
        return f"{self.request}: {self.what}"

    @property
    def name(self) -> str:
        """A name for a file."""
        words = _SLUG.sub("_", str(self).lower()).strip("_")[:60].rstrip("_")
        return f"{words}_{hashlib.sha256(str(self).encode()).hexdigest()[:6]}"


def kinds_of(
    request: str, found: Sequence[Difference], first: Mapping[str, Any], second: Mapping[str, Any]
) -> list[Kind]:
    """The kinds of the differences between two masked answers to a request line."""
    if not found:
        return []
    template = endpoint_of(request)
    if any(one.path[0] in ("status", "broken_off", "skipped", "not_reached") for one in found):
        return [Kind(template, f"{_outcome(first)} / {_outcome(second)}")]
    # Different events imply all other differences in the same place.
    found = [one for one in found if one.path == _EVENTS] or found
    return list(dict.fromkeys(Kind(template, _place(one, first, second)) for one in found))


def _outcome(answer: Mapping[str, Any]) -> str:
    """An answer in a word or two."""
    for name in ("skipped", "broken_off"):
        if name in answer:
            return _VARIABLE.sub("{{…}}", str(answer[name]))
    body = answer.get("json")
    error = body.get("error") if isinstance(body, dict) else None
    words = str(answer.get("status"))
    if isinstance(error, str):
        words += f" {error}"
    return words + (" (never what was waited for)" if "not_reached" in answer else "")


def _place(one: Difference, first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Where two answers differ, without positions in lists."""
    events = [_events(comparable(answer, "exact")) for answer in (first, second)]
    if one.path == _EVENTS and not all(events):
        return f"events; none in the {'second' if events[0] else 'first'}"
    if one.path == _EVENTS:
        only = [", ".join(_only(*pair)) or "none" for pair in (events, events[::-1])]
        return f"events; only in the first: {only[0]}; only in the second: {only[1]}"
    parts = ["*" if isinstance(part, int) else str(part) for part in one.path]
    if one.path[:2] == _EVENTS and isinstance(one.path[2], int) and one.path[2] < len(events[0]):
        parts[2] = events[0][one.path[2]]
    what = "/".join(parts)
    if one.recorded is MISSING or one.got is MISSING:
        return f"{what}, only in the {'second' if one.recorded is MISSING else 'first'}"
    if what == "body/message" or one.path[0] == "headers":
        return (
            f"{what}: {' / '.join(_short(value) for value in _from_where_they_differ(one.recorded, one.got))}"
        )
    return what


def _from_where_they_differ(first: Any, second: Any) -> tuple[Any, Any]:
    """Two values; of long texts that begin alike, what comes after."""
    if isinstance(first, str) and isinstance(second, str):
        pairs = enumerate(zip(first, second, strict=False))
        alike = next((at for at, (one, other) in pairs if one != other), min(len(first), len(second)))
        if alike > _LONGEST // 2:
            return f"…{first[alike - 10 :]}", f"…{second[alike - 10 :]}"
    return first, second


def _short(value: Any) -> str:
    text = _VARIABLE.sub("{{…}}", shown(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _events(answer: Mapping[str, Any]) -> list[str]:
    body = answer.get("body")
    events = body.get("events") if isinstance(body, dict) else None
    found = events if isinstance(events, list) else []
    return [str(one.get("eventTypeName", "?")) if isinstance(one, dict) else "?" for one in found]


def _only(some: Sequence[str], others: Sequence[str]) -> list[str]:
    """The names that are there more often than among the others, each once."""
    return sorted({one for one in some if some.count(one) > others.count(one)})


def endpoint_of(request: str) -> str:
    """Method and path of a request line, with the names of path parameters in the place of their values."""
    method, _, target = request.partition(" ")
    path = target.partition("?")[0].removesuffix("/")
    for operation in OPERATIONS:
        for endpoint in operation.endpoints:
            if _pattern(endpoint.path).fullmatch(path):
                return f"{method} {endpoint.path}"
    return f"{method} (another path)"


def _pattern(template: str) -> re.Pattern[str]:
    parts = _PARAMETER.split(template)
    pattern = "".join("[^/]*" if number % 2 else re.escape(part) for number, part in enumerate(parts))
    return re.compile(pattern, re.IGNORECASE)
