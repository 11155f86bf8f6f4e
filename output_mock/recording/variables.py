"""Variables in requests, `{{name}}`, and the answers from which they are taken.

`{{!name}}` means the text `{{name}}` itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

# Variables of every scenario: the token of the command, and a text that is different each time.
TOKEN, NONCE = "token", "nonce"
_PLACEHOLDER = re.compile(r"\{\{(!*)(\w+)\}\}")


class UnknownVariable(KeyError):
    """A variable that has no value; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{{{{{self.name}}}}} has no value"


def fill(value: Any, variables: Mapping[str, Any]) -> Any:
    """Replace variables in a JSON value by their values.

    A text that is just one variable becomes its value, of any type; in a longer text, the value is inserted
    as text. Raises `UnknownVariable`.
    """
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        if whole is not None and not whole[1]:
            return _value(whole[2], variables)
        return _PLACEHOLDER.sub(lambda found: _text(found, variables), value)
    if isinstance(value, dict):
        return {str(fill(name, variables)): fill(item, variables) for name, item in value.items()}
    if isinstance(value, list):
        return [fill(item, variables) for item in value]
    return value


def fill_text(text: str, variables: Mapping[str, Any]) -> str:
    """The same for a text that stays one. Raises `UnknownVariable`."""
    return _PLACEHOLDER.sub(lambda found: _text(found, variables), text)


def fill_path(path: str, variables: Mapping[str, Any]) -> str:
    """The same for a path with a query, in which values are percent-encoded. Raises `UnknownVariable`."""
    return _PLACEHOLDER.sub(lambda found: quote(_text(found, variables), safe=""), path)


def escaped(text: str) -> str:
    """Escape `text` so that filling variables gives `text` again, whatever braces it has."""
    return _PLACEHOLDER.sub(lambda found: f"{{{{!{found[1]}{found[2]}}}}}", text)


def names_in(value: Any) -> Iterator[str]:
    """The names of the variables that a JSON value needs."""
    if isinstance(value, str):
        yield from (found[2] for found in _PLACEHOLDER.finditer(value) if not found[1])
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from names_in(name)
            yield from names_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from names_in(item)


def at(value: Any, path: str, otherwise: Any = None) -> Any:
    """What is at a path such as `runs.0.status` in a JSON value, or `otherwise`."""
    for part in path.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return otherwise
    return value


def _text(found: re.Match[str], variables: Mapping[str, Any]) -> str:
    if found[1]:
        return f"{{{{{found[1][1:]}{found[2]}}}}}"
    return str(_value(found[2], variables))


def _value(name: str, variables: Mapping[str, Any]) -> Any:
    if name not in variables:
        raise UnknownVariable(name)
    return variables[name]
