"""JSON values as nodes, like those of files. A place in them is a JSON pointer."""

from __future__ import annotations

from typing import Any

from output_mock.places import Place
from output_mock.scripts.yaml.source import DEEPEST, MOST_NODES, Node, Source


class JSONSource(Source):
    """A JSON value instead of a YAML file.

    Its places and mistakes have JSON pointers as `file`, into the part `below` of the value where possible.
    """

    def __init__(self, value: Any, below: str = "") -> None:
        self._value = value
        self._below = below
        super().__init__("", "")

    def _at(self, pointer: str) -> Place:
        return Place(pointer.removeprefix(self._below), 0, 0)

    def _read(self) -> Node | None:
        try:
            return self._value_at(self._value, "", 1)
        except _TooMuch as problem:
            self.mistake(self._at(problem.pointer), str(problem))
            return None

    def _value_at(self, value: Any, pointer: str, depth: int) -> Node:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise _TooMuch(pointer, f"there are more than {MOST_NODES} values")
        if depth > DEEPEST:
            raise _TooMuch(pointer, f"values are nested more than {DEEPEST} deep")
        if isinstance(value, dict):
            fields = {}
            for name, item in value.items():
                below = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
                fields[name] = (self._at(below), self._value_at(item, below, depth + 1))
            return Node(fields, self._at(pointer), (0, 0))
        if isinstance(value, list):
            items = [self._value_at(item, f"{pointer}/{n}", depth + 1) for n, item in enumerate(value)]
            return Node(items, self._at(pointer), (0, 0))
        return Node(value, self._at(pointer), (0, 0))


class _TooMuch(Exception):
    """Reading cannot go on."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
