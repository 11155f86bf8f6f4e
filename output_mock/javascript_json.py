"""JSON as JavaScript reads and writes it: `JSON.parse` and `JSON.stringify`.

All JSON of the API, its payloads and its traces goes through here. What differs from Python's `json`:

- A number is a double: of `12345678901234567890` comes `12345678901234567000`, of `-0` comes `0`.
- Keys that could be places of an array ("0" to "4294967294") come first in an object, in ascending order.
- `NaN` and `Infinity` cannot be read. A literal beyond all doubles is infinite, and written as `null`.
- Half of a surrogate pair is written as an escape sequence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NoReturn

MAX_SAFE_INTEGER = 2**53 - 1
_MIN_SAFE_INTEGER = -MAX_SAFE_INTEGER
# From here on JavaScript writes numbers with an exponent.
_EXPONENT_FROM = 1e21
_INFINITY = float("inf")
# Any name that begins with a digit comes before it.
_AFTER_DIGITS = ":"


class Undefined(Enum):
    """The type of `UNDEFINED`: an enum, so that copying and pickling keep its identity."""

    UNDEFINED = "undefined"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED = Undefined.UNDEFINED
"""A value that is not there, which JSON can say only by leaving out the key."""


def null_if_undefined(value: Any) -> Any:
    """What a JSON reader sees: None where the value is undefined."""
    return None if value is UNDEFINED else value


class NotJSONError(TypeError):
    """A value that JSON has no form for."""


class JSONSyntaxError(ValueError):
    """A text that `JSON.parse` refuses; the message has the words of V8 in Node 24.

    `line` and `column`, from 1, say where the mistake is.
    """

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


# Numbers and keys


def as_double(number: float) -> float:
    """The number as JavaScript has it: `5.0` is 5, and a whole number has the digits that JavaScript writes.

    Python prints the result as `JSON.stringify` does, but for numbers between 1e-10 and 1e-4. Takes and
    returns NaN and infinite numbers as they are.
    """
    if isinstance(number, int):
        if _MIN_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER:
            return number
        try:
            number = float(number)
        except OverflowError:
            return _INFINITY if number > 0 else -_INFINITY
    if not number.is_integer() or abs(number) >= _EXPONENT_FROM:
        return number
    # The shortest digits that mean this double, then zeros.
    return int(number) if abs(number) <= MAX_SAFE_INTEGER else int(Decimal(repr(number)))


def number_text(number: float) -> str:
    """`String(number)`."""
    number = float(as_double(number))
    if math.isnan(number):
        return "NaN"
    if abs(number) == _INFINITY:
        return "Infinity" if number > 0 else "-Infinity"
    if number.is_integer() and abs(number) < _EXPONENT_FROM:
        return str(as_double(number))
    if 1e-6 <= abs(number) < 1e-4:
        return f"{Decimal(repr(number)):f}"
    return re.sub(r"e([+-])0+", r"e\1", repr(number))


def in_key_order(keys: Iterable[str]) -> list[str]:
    """The keys of an object as JavaScript orders them: those that could be places of an array come first."""
    names = list(keys)
    if any(map(_is_index, names)):
        names.sort(key=lambda name: int(name) if _is_index(name) else 2**32)
    return names


def _is_index(name: str) -> bool:
    return (
        name < _AFTER_DIGITS
        and name.isdecimal()
        and name.isascii()
        and (name[0] != "0" or name == "0")
        and len(name) <= 10
        and int(name) < 2**32 - 1
    )


def _ordered(pairs: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> dict[str, Any]:
    # A key that comes twice has its last value at its first place.
    fields = dict(pairs)
    for key in fields:
        if _is_index(key):
            return {name: fields[name] for name in in_key_order(fields)}
    return fields


def utf16(text: str) -> str:
    """The text as JavaScript counts and matches it: a character past U+FFFF is the two halves of a pair."""
    return text if text.isascii() else _PAST_FFFF.sub(_halves, text)


_PAST_FFFF = re.compile("[\U00010000-\U0010ffff]")


def _halves(match: re.Match[str]) -> str:
    code = ord(match[0]) - 0x10000
    return chr(0xD800 + (code >> 10)) + chr(0xDC00 + (code & 0x3FF))


# Reading


def _float(text: str) -> float:
    number = float(text)
    return as_double(number) if number.is_integer() else number


def _integer(text: str) -> float:
    # Anything shorter is exact.
    return int(text) if len(text) < 16 else as_double(float(text))


def _constant(name: str) -> Any:
    raise ValueError(name)


_decode = json.JSONDecoder(parse_float=_float, parse_int=_integer, parse_constant=_constant).decode
_decode_ordered = json.JSONDecoder(
    parse_float=_float, parse_int=_integer, parse_constant=_constant, object_pairs_hook=_ordered
).decode
# What may be a key that could be a place of an array; a digit may be written as an escape sequence.
_MAY_BE_INDEX = re.compile(r'"(?:[0-9]|\\u003)')


def parse(text: str) -> Any:
    """`JSON.parse(text)`; whole numbers below 1e21 are ints, others floats, which may be infinite.

    Raises `JSONSyntaxError`, and `RecursionError` for what is nested too deep for Python.
    """
    try:
        return _decode(text) if _MAY_BE_INDEX.search(text) is None else _decode_ordered(text)
    except ValueError:
        raise _Mistake(text).error() from None


# Writing

# What `parse` and `as_json` return holds nothing that holds itself.
_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode
# Text, which stays, or a small number, which Python and JavaScript print in two ways: 1e-07 and 1e-7.
_SMALL = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9.]+e-0[0-9]')
_SURROGATE = re.compile("[\ud800-\udfff]")


def to_bytes(value: Any) -> bytes:
    """`JSON.stringify(value)` in UTF-8, of a value that `parse` or `as_json` has returned.

    Other values may have numbers and keys that JavaScript has in another way: use `as_json` first.
    """
    try:
        text = _encode(value)
    except ValueError:
        # Infinite numbers.
        text = _encode(as_json(value))
    return _in_utf8(text)


_LAYOUTS = {
    "compact": _encode,
    "spaced": json.JSONEncoder(ensure_ascii=False).encode,
    "indented": json.JSONEncoder(ensure_ascii=False, indent=2).encode,
}


def stringify(value: Any, layout: Literal["compact", "spaced", "indented"] = "compact") -> str:
    """`JSON.stringify(value)` of any value that can travel; other layouts than `compact` are for people.

    Raises `NotJSONError` for other values.
    """
    return _in_utf8(_LAYOUTS[layout](as_json(value))).decode()


def _in_utf8(text: str) -> bytes:
    """What Python's encoder has written, with what JavaScript writes otherwise put right."""
    if "e-0" in text:
        text = _SMALL.sub(
            lambda found: found[0] if found[0][0] == '"' else number_text(float(found[0])), text
        )
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Two halves that stand together are a character; one alone has no UTF-8, and is escaped.
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", joined).encode()


_CONSTANTS = frozenset({str, bool, type(None)})


def as_json(value: Any) -> Any:
    """`value` as the JSON that would travel, a copy of its own: what `parse` would read of it.

    Tuples become lists, keys become text, and numbers are JavaScript's. Raises `NotJSONError` when the value
    cannot travel at all.
    """
    kind = type(value)
    if kind in _CONSTANTS or value is UNDEFINED:
        return value
    if kind is int and _MIN_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return value
    if kind is float and not value.is_integer() and -_INFINITY < value < _INFINITY:
        return value
    if kind is dict:
        for key, item in value.items():
            of = type(item)
            if of is int:
                if not _MIN_SAFE_INTEGER <= item <= MAX_SAFE_INTEGER:
                    break
            elif of not in _CONSTANTS:
                break
            if type(key) is not str or key < _AFTER_DIGITS:
                break
        else:
            return value.copy()
    # Loops, as each comprehension takes another frame, and JSON may be nested hundreds of levels deep.
    if isinstance(value, dict):
        fields = {}
        ordered = True
        for key, item in value.items():
            if item is not UNDEFINED:
                name = key if type(key) is str else _key(key)
                if name < _AFTER_DIGITS:
                    ordered = False
                fields[name] = item if type(item) in _CONSTANTS else as_json(item)
        return fields if ordered else _ordered(fields)
    if isinstance(value, (list, tuple)):
        items = []
        for item in value:
            items.append(item if type(item) in _CONSTANTS else as_json(None if item is UNDEFINED else item))
        return items
    if isinstance(value, (int, float)):
        number = as_double(int(value) if isinstance(value, int) else float(value))
        return number if -_INFINITY < number < _INFINITY else None
    if isinstance(value, str):
        return str.__str__(value)
    raise NotJSONError(
        f"is of the type {kind.__name__}, which is not JSON: {value!r}. "
        "Use dicts, lists, text, numbers, booleans or None"
    )


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, bool):
        return "true" if key else "false"
    if key is None:
        return "null"
    if isinstance(key, (int, float)):
        return number_text(key)
    raise NotJSONError(f"has the key {key!r}; keys of JSON objects are text")


# What is wrong with a text

_SPACE = re.compile(r"[ \t\n\r]*")
_ORDINARY = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# What programs write by mistake; V8 quotes it as a whole.
_WORDS = frozenset({"NaN", "Infinity", "undefined", "[object Object]"})
# How many characters of the text the message shows on either side.
_SHOWN = 10


class _Mistake:
    """Reads a text that is no JSON once more, as V8 does, to say what is wrong in V8's words.

    Positions count UTF-16 code units.
    """

    def __init__(self, text: str) -> None:
        self._text = utf16(text)
        self._at = 0

    def error(self) -> JSONSyntaxError:
        try:
            self._read()
        except JSONSyntaxError as found:
            return found
        raise AssertionError("this is JSON")

    def _read(self) -> None:
        # What is open, innermost last; a loop, as JSON may be nested deeper than Python calls.
        closing: list[str] = []
        while True:
            token = self._next()
            if token in ("{", "["):
                self._at += 1
                if token == "{":
                    closing.append("}")
                    if self._next() != "}":
                        self._name("Expected property name or '}'")
                        continue
                else:
                    closing.append("]")
                    if self._next() != "]":
                        continue
                closing.pop()
                self._at += 1
            else:
                self._scalar(token)
            while closing:
                token = self._next()
                if token == closing[-1]:
                    self._at += 1
                    closing.pop()
                    continue
                if token != ",":
                    after = "array element" if closing[-1] == "]" else "property value"
                    self._stop(f"Expected ',' or '{closing[-1]}' after {after}")
                self._at += 1
                if closing[-1] == "}":
                    self._next()
                    self._name("Expected double-quoted property name")
                break
            if not closing:
                if self._next():
                    self._stop("Unexpected non-whitespace character after JSON", " at position")
                return

    def _next(self) -> str:
        """The next character that is no white space; empty at the end."""
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
        return self._text[self._at : self._at + 1]

    def _name(self, otherwise: str) -> None:
        if self._next() != '"':
            self._stop(otherwise)
        self._string()
        if self._next() != ":":
            self._stop("Expected ':' after property name")
        self._at += 1

    def _scalar(self, token: str) -> None:
        if token == '"':
            self._string()
        elif token and token in "-0123456789":
            self._number(token)
        else:
            for word in ("true", "false", "null"):
                if token == word[0]:
                    for letter in word:
                        if self._text[self._at : self._at + 1] != letter:
                            self._unexpected()
                        self._at += 1
                    return
            self._unexpected()

    def _string(self) -> None:
        self._at += 1
        while True:
            self._at = _ORDINARY.match(self._text, self._at).end()  # type: ignore[union-attr]
            sign = self._text[self._at : self._at + 1]
            if not sign:
                self._stop("Unterminated string")
            if sign == '"':
                self._at += 1
                return
            if sign < " ":
                self._stop("Bad control character in string literal")
            self._at += 1
            if sign == "\\":
                self._escape()

    def _escape(self) -> None:
        kind = self._text[self._at : self._at + 1]
        if kind == "u":
            for _ in range(4):
                self._at += 1
                digit = self._text[self._at : self._at + 1]
                if not digit or digit not in "0123456789abcdefABCDEF":
                    self._stop("Bad Unicode escape")
        elif not kind or kind > "\xff":
            self._unexpected()
        elif kind not in '"\\/bfnrt':
            self._stop("Bad escaped character")
        self._at += 1

    def _number(self, token: str) -> None:
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            self._at += 1
            self._stop("No number after minus sign")
        self._at = found.end()
        rest = self._text[self._at : self._at + 2]
        if found[0].lstrip("-") == "0" and rest[:1].isdecimal() and rest[:1].isascii():
            self._stop("Unexpected number")
        has_exponent = "e" in found[0].lower()
        if rest[:1] == "." and "." not in found[0] and not has_exponent:
            self._at += 1
            self._stop("Unterminated fractional number")
        if rest[:1] and rest[:1] in "eE" and not has_exponent:
            self._at += 2 if rest[1:] and rest[1:] in "+-" else 1
            self._stop("Exponent part is missing a number")

    def _stop(self, problem: str, place: str = " in JSON at position") -> NoReturn:
        line, column = self._place()
        message = f"{problem}{place} {self._at} (line {line} column {column})"
        raise JSONSyntaxError(message, line, column)

    def _place(self) -> tuple[int, int]:
        lines = re.split("\r\n|\r|\n", self._text[: self._at])
        return len(lines), len(lines[-1]) + 1

    def _unexpected(self) -> NoReturn:
        text, at = self._text, self._at
        if text in _WORDS:
            raise JSONSyntaxError(f'"{text}" is not valid JSON', *self._place())
        if at >= len(text):
            raise JSONSyntaxError("Unexpected end of JSON input", *self._place())
        token, shown = text[at], f'"{text}"'
        if token == '"':
            self._stop("Unexpected string")
        if token in "-0123456789":
            self._stop("Unexpected number")
        if len(text) > 2 * _SHOWN:
            first, last = max(at - _SHOWN, 0), min(at + _SHOWN, len(text))
            if at < _SHOWN:
                shown = f'"{text[:last]}"...'
            elif at < len(text) - _SHOWN:
                shown = f'..."{text[first:last]}"...'
            else:
                shown = f'..."{text[first:]}"'
        raise JSONSyntaxError(f"Unexpected token '{token}', {shown} is not valid JSON", *self._place())
