"""Find what takes longer in scripts than a run may take, as far as their text shows it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from output_mock.durations import format_duration, nanoseconds
from output_mock.places import Mistake, Place

if TYPE_CHECKING:
    from output_mock.scripts.script import Scripted
    from output_mock.scripts.yaml.kinds import ParsedMapping

# Calls of a script, and which of their arguments are durations.
_CALLS = {
    "wait_for_signal": ("timeout",),
    "condition": ("timeout",),
    "step": ("takes",),
    "evaluate": ("takes",),
    "takes": ("duration",),
    "sleep": ("duration",),
    "receives": ("after",),
}
# Where the duration is the first argument.
_FIRST = frozenset({"sleep", "takes"})


def in_python(file: Path, limit: int) -> list[Mistake]:
    """The literal durations in a Python file that reach the execution timeout, in nanoseconds."""
    found = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name = node.func.attr
        written = [word.value for word in node.keywords if word.arg in _CALLS.get(name, ())]
        if name in _FIRST:
            written += node.args[:1]
        for value in written:
            length = _length(value.value) if isinstance(value, ast.Constant) else None
            if length is not None and length >= limit:
                place = Place(str(file), value.lineno, value.col_offset + 1)
                found.append(_warning(place, name, length, limit, limit))
    return found


def in_yaml(scripts: Iterable[Scripted], limit: int) -> list[Mistake]:
    """What takes longer in YAML scripts than what is left of the execution timeout, in nanoseconds, when it
    begins. Earlier actions count if they certainly take time.
    """
    found: dict[Mistake, None] = {}
    for script in scripts:
        for definition in script.all_definitions:
            said = getattr(getattr(definition.script, "__self__", None), "said", None)
            if said is not None:
                found |= dict.fromkeys(_Walk(limit).workflow(said))
    return list(found)


class _Walk:
    """Walks through a workflow, with the least time that has passed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._found: list[Mistake] = []

    def workflow(self, said: ParsedMapping) -> Sequence[Mistake]:
        for one in (said, *said.get("when", ())):
            for answer in one.get("answers") or [one]:
                self._actions(answer.get("steps", ()), self._takes(answer, "takes", 0))
        for name in ("signals", "updates"):
            for handler in said.get(name, {}).values():
                self._actions(handler.get("steps", ()), 0)
        for coming in said.get("receives", ()):
            self._takes(coming, "after", 0)
        return self._found

    def _takes(self, said: ParsedMapping, key: str, passed: int) -> int:
        """The time that has passed after something that takes this long."""
        template = said.get(key)
        length = _length(template.value({})) if template is not None and template.is_constant else None
        if length is None:
            return passed
        if passed + length >= self._limit:
            left = self._limit - passed
            self._found.append(_warning(said.place_of(key), key, length, left, self._limit))
        return passed + length

    def _actions(self, actions: Iterable[ParsedMapping], passed: int) -> int:
        for said in actions:
            passed = self._action(said, passed)
        return passed

    def _action(self, said: ParsedMapping, passed: int) -> int:
        kind = said.shape.name
        if kind == "sleep":
            return self._takes(said, "sleep", passed)
        if kind in ("step", "evaluate"):
            return self._takes(said, "takes", passed)
        if kind in ("wait_for_signal", "wait_until"):
            timed_out = self._takes(said, "timeout", passed)
            then = self._actions(said.get("then", ()), passed)
            return min(then, self._actions(said.get("on_timeout", ()), timed_out))
        if kind == "parallel":
            return max([passed, *(self._actions(branch, passed) for branch in said["parallel"])])
        if kind == "for_each":
            # The list may be empty.
            self._actions(said["do"], passed)
            return passed
        ways = list(_ways(said, kind))
        return min((self._actions(way, passed) for way in ways), default=passed)


def _ways(said: ParsedMapping, kind: str) -> Iterator[Iterable[ParsedMapping]]:
    """The possible branches of an action."""
    if kind == "if":
        yield from (said["then"], said.get("else", ()))
    elif kind == "switch":
        yield from (*said["cases"].values(), said.get("else", ()))
    elif kind == "try":
        yield from (said["try"], said["catch"])


def _length(written: Any) -> int | None:
    try:
        return nanoseconds(written)
    except (TypeError, ValueError):
        return None


def _warning(place: Place, what: str, length: int, left: int, limit: int) -> Mistake:
    return Mistake(
        place.file,
        f"warning: {what} {format_duration(length)}: the run reaches its execution timeout of "
        f"{format_duration(limit)} first, at the latest {format_duration(max(0, left))} after this begins; "
        "make it shorter, or say how long runs may take with --execution-timeout",
        place.line,
        place.column,
    )
