"""What expressions can do with JSON: operators, filters and tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jinja2 import Undefined

from output_mock.javascript_json import as_double, as_json, stringify

# How long a text or list an expression may build at once, in characters and items.
LONGEST_TEXT = 1_000_000
LONGEST_LIST = 100_000
_INFINITY = float("inf")

_KINDS = {
    "dict": "an object",
    "list": "a list",
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "NoneType": "null",
}


class FunctionError(Exception):
    """A calculation that is not possible. The message says why."""


def type_name(name: str) -> str:
    """The JSON word for a Python type."""
    return _KINDS.get(name, name)


def kind(value: Any) -> str:
    """What a value is, in words."""
    return type_name(type(value).__name__)


def as_text(value: Any) -> str:
    """A value inside a text: text stays as it is, everything else becomes JSON."""
    if isinstance(value, str):
        return value
    _measured(value)
    return stringify(value, "spaced")


def bounded(value: Any) -> Any:
    """The value. Raises `FunctionError` if it is too long, or a number that JSON does not have."""
    if type(value) is str and len(value) > LONGEST_TEXT:
        raise FunctionError(f"the text becomes longer than {LONGEST_TEXT} characters")
    if type(value) is list and len(value) > LONGEST_LIST:
        raise FunctionError(f"the list becomes longer than {LONGEST_LIST} items")
    if _is_number(value):
        value = as_double(value)
        if not -_INFINITY < value < _INFINITY:
            raise FunctionError("the number becomes too large")
    return value


def _measured(value: Any) -> None:
    rest = LONGEST_TEXT
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Undefined):
            one._fail_with_undefined_error()
        rest -= len(one) if type(one) is str else 1
        if rest < 0:
            raise FunctionError(f"the text becomes longer than {LONGEST_TEXT} characters")
        if type(one) is dict:
            waiting += one.keys()
            waiting += one.values()
        elif type(one) is list:
            waiting += one


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def calculated(operator: str, left: Any, right: Any) -> Any:
    """Calculate `left operator right`. Raises `FunctionError` if that is not possible, or too large."""
    if operator == "+" and type(left) is type(right) and type(left) in (str, list):
        return bounded(left + right)
    if not (_is_number(left) and _is_number(right)):
        hint = ""
        if operator == "+" and str in (type(left), type(right)):
            hint = "; write text ~ value to put things together as text"
        raise FunctionError(f"{kind(left)} {operator} {kind(right)} cannot be calculated{hint}")
    if operator in ("/", "//", "%") and right == 0:
        raise FunctionError("it divides by 0")
    try:
        if operator == "+":
            return bounded(left + right)
        if operator == "-":
            return bounded(left - right)
        if operator == "*":
            return bounded(left * right)
        if operator == "/":
            return bounded(left / right)
        if operator == "//":
            return bounded(left // right)
        if operator == "%":
            return bounded(left % right)
    except OverflowError:
        raise FunctionError("the number becomes too large") from None
    raise FunctionError(f"there is no operator {operator}")


def signed(operator: str, value: Any) -> Any:
    """Calculate `-value` or `+value`. Raises `FunctionError` if it is not a number."""
    if not _is_number(value):
        raise FunctionError(f"{operator} {kind(value)} cannot be calculated")
    return -value if operator == "-" else value


# Filters


def _text(value: Any, filter: str) -> str:
    if type(value) is not str:
        raise FunctionError(f"{filter} takes text, not {kind(value)}")
    return value


def _list(value: Any, filter: str) -> list[Any]:
    if type(value) is not list:
        raise FunctionError(f"{filter} takes a list, not {kind(value)}")
    return value


def _object(value: Any, filter: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise FunctionError(f"{filter} takes an object, not {kind(value)}")
    return value


def _number(value: Any, filter: str) -> Any:
    if not _is_number(value):
        raise FunctionError(f"{filter} takes a number, not {kind(value)}")
    return value


def _default(value: Any, otherwise: Any) -> Any:
    return otherwise if isinstance(value, Undefined) else value


def _length(value: Any) -> int:
    if type(value) not in (str, list, dict):
        raise FunctionError(f"length takes text, a list or an object, not {kind(value)}")
    return len(value)


def _replace(value: Any, old: Any, new: Any) -> str:
    text, old, new = _text(value, "replace"), _text(old, "replace"), _text(new, "replace")
    found = text.count(old)
    if len(text) + found * (len(new) - len(old)) > LONGEST_TEXT:
        raise FunctionError(f"the text becomes longer than {LONGEST_TEXT} characters")
    return text.replace(old, new)


def _split(value: Any, separator: Any = None) -> list[str]:
    text = _text(value, "split")
    if separator is None:
        return list(bounded(text.split()))
    if not _text(separator, "split"):
        raise FunctionError("split takes a text that is not empty to split at")
    return list(bounded(text.split(separator)))


def _join(value: Any, separator: Any = "") -> str:
    between = _text(separator, "join")
    items = _list(value, "join")
    if len(between) * len(items) > LONGEST_TEXT:
        raise FunctionError(f"the text becomes longer than {LONGEST_TEXT} characters")
    rest = LONGEST_TEXT
    words = []
    for item in items:
        words.append(as_text(item))
        rest -= len(words[-1])
        if rest < 0:
            raise FunctionError(f"the text becomes longer than {LONGEST_TEXT} characters")
    return str(bounded(between.join(words)))


def _first(value: Any) -> Any:
    return _end(value, 0, "first")


def _last(value: Any) -> Any:
    return _end(value, -1, "last")


def _end(value: Any, index: int, filter: str) -> Any:
    if type(value) is not str:
        _list(value, filter)
    if not value:
        raise FunctionError(f"{filter} takes something that is not empty")
    return value[index]


def _sum(value: Any) -> Any:
    return bounded(sum(_number(item, "sum") for item in _list(value, "sum")))


def _ordered(value: Any, filter: str) -> list[Any]:
    items = _list(value, filter)
    if not (all(_is_number(item) for item in items) or all(type(item) is str for item in items)):
        raise FunctionError(f"{filter} takes a list of numbers or a list of texts")
    return items


def _min(value: Any) -> Any:
    return min(_not_empty(_ordered(value, "min"), "min"))


def _max(value: Any) -> Any:
    return max(_not_empty(_ordered(value, "max"), "max"))


def _not_empty(items: list[Any], filter: str) -> list[Any]:
    if not items:
        raise FunctionError(f"{filter} takes something that is not empty")
    return items


def _sort(value: Any) -> list[Any]:
    return sorted(_ordered(value, "sort"))


def _reverse(value: Any) -> Any:
    if type(value) is str:
        return value[::-1]
    return _list(value, "reverse")[::-1]


def _unique(value: Any) -> list[Any]:
    _measured(value)
    found: dict[str, Any] = {}
    for item in _list(value, "unique"):
        found.setdefault(json.dumps(as_json(item), sort_keys=True), item)
    return list(found.values())


def _round(value: Any, digits: Any = 0) -> Any:
    number = _number(value, "round")
    if type(digits) is not int or not 0 <= digits <= 15:
        raise FunctionError("round takes 0 to 15 digits")
    return round(number, digits) if digits else round(number)


def _int(value: Any) -> int:
    return int(_from_text(value, "int"))


def _float(value: Any) -> float:
    return float(_from_text(value, "float"))


def _from_text(value: Any, filter: str) -> Any:
    if _is_number(value):
        return value
    text = _text(value, filter)
    try:
        return bounded(int(text)) if text.strip().lstrip("+-").isdigit() else bounded(float(text))
    except (ValueError, FunctionError):
        raise FunctionError(f"{filter}: {text[:40]!r} is not a number") from None


def _json(value: Any) -> str:
    _measured(value)
    return stringify(value)


def _map(value: Any, name: Any) -> list[Any]:
    key = _text(name, "map")
    found = []
    for index, item in enumerate(_list(value, "map")):
        if key not in _object(item, "map of a name"):
            raise FunctionError(f"item {index} has no {key!r}")
        found.append(item[key])
    return found


FILTERS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "length": _length,
    "upper": lambda value: bounded(_text(value, "upper").upper()),
    "lower": lambda value: bounded(_text(value, "lower").lower()),
    "title": lambda value: bounded(_text(value, "title").title()),
    "trim": lambda value: _text(value, "trim").strip(),
    "replace": _replace,
    "split": _split,
    "join": _join,
    "first": _first,
    "last": _last,
    "sum": _sum,
    "min": _min,
    "max": _max,
    "sort": _sort,
    "reverse": _reverse,
    "unique": _unique,
    "map": _map,
    "keys": lambda value: list(_object(value, "keys")),
    "values": lambda value: list(_object(value, "values").values()),
    "abs": lambda value: abs(_number(value, "abs")),
    "round": _round,
    "int": _int,
    "float": _float,
    "string": as_text,
    "json": _json,
}

# Tests


def _divisible(value: Any, by: Any) -> bool:
    return bool(calculated("%", value, by) == 0)


TESTS: dict[str, Callable[..., bool]] = {
    "defined": lambda value: not isinstance(value, Undefined),
    "undefined": lambda value: isinstance(value, Undefined),
    "none": lambda value: value is None,
    "null": lambda value: value is None,
    "boolean": lambda value: type(value) is bool,
    "number": _is_number,
    "integer": lambda value: type(value) is int,
    "string": lambda value: type(value) is str,
    "sequence": lambda value: type(value) is list,
    "mapping": lambda value: type(value) is dict,
    "even": lambda value: _divisible(value, 2),
    "odd": lambda value: not _divisible(value, 2),
    "divisibleby": _divisible,
}

# A missing value is not a number either, so that expressions can test what a payload has.
TAKE_WHAT_IS_MISSING = frozenset(
    {
        "default",
        "defined",
        "undefined",
        "boolean",
        "number",
        "integer",
        "string",
        "sequence",
        "mapping",
        " entry",
    }
)
