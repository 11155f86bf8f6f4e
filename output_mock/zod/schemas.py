"""zod's schemas, as far as the API and its workflows need them.

`run` is the core: it returns the parsed value and appends issues, relative to that value, to a list that the
caller owns. A parent puts its key before the paths of what its children have appended, so that a value that
fits costs no path at all.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from output_mock.javascript_json import MAX_SAFE_INTEGER, UNDEFINED, as_double, number_text, utf16

from . import patterns
from .issues import Fatal, Issue, ZodError, is_fatal
from .javascript import (
    MAX_NUMBER,
    is_multiple,
    is_url,
    to_number,
    type_name,
    url_text,
)
from .javascript import regex as javascript_regex

Check = Callable[[Any, list[Issue]], "bool | None"]
"""Appends an issue if the value does not fit; true when no further check is to be made."""

UUID_PATTERN = (
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    "|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$"
)


class Schema:
    """The base of all schemas."""

    may_be_absent = False
    """Whether it accepts `UNDEFINED`, so that a tuple may end without it."""

    def run(self, value: Any, issues: list[Issue]) -> Any:
        """Parse `value`, and append to `issues`. If there are any, ignore the returned value."""
        raise NotImplementedError

    def parse(self, value: Any = UNDEFINED) -> Any:
        """The parsed value. Raises `ZodError` if it does not fit."""
        parsed, issues = self.safe_parse(value)
        if issues:
            raise ZodError(issues)
        return parsed

    def safe_parse(self, value: Any = UNDEFINED) -> tuple[Any, list[Issue]]:
        """The parsed value and no issues, or `UNDEFINED` and the issues."""
        issues: list[Issue] = []
        patterns.begin()
        parsed = self.run(value, issues)
        return (UNDEFINED if issues else parsed), issues

    def optional(self) -> Schema:
        """Also accept `UNDEFINED`."""
        return _Optional(self)

    def nullable(self) -> Schema:
        """Also accept `None`."""
        return _Nullable(self)

    def default(self, value: Any) -> Schema:
        """Set a value for a missing one. It is not parsed."""
        return _Default(self, value)

    def refine(
        self, fits: Callable[[Any], Any], message: str = "Invalid input", path: Sequence[str | int] = ()
    ) -> Schema:
        """Asks `fits` about a value whose parts have the right types."""

        def check(given: Any, parsed: Any, issues: list[Issue]) -> None:
            if not fits(parsed):
                issues.append({"code": "custom", "path": list(path), "message": message})

        return Checked(self, check)


class Checked(Schema):
    """A schema with a check of the whole value, given and parsed, after it."""

    def __init__(self, inner: Schema, check: Callable[[Any, Any, list[Issue]], object]) -> None:
        self._run, self._check = inner.run, check
        self.may_be_absent: bool = inner.may_be_absent

    def run(self, value: Any, issues: list[Issue]) -> Any:
        seen = len(issues)
        parsed = self._run(value, issues)
        if len(issues) == seen or not is_fatal(issues[seen:]):
            self._check(value, parsed, issues)
        return parsed


class _Optional(Schema):
    may_be_absent = True

    def __init__(self, inner: Schema) -> None:
        self._run, self._asks_inner = inner.run, inner.may_be_absent

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if not self._asks_inner:
            return UNDEFINED if value is UNDEFINED else self._run(value, issues)
        problems: list[Issue] = []
        parsed = self._run(value, problems)
        # A missing value has no issues.
        issues += [] if parsed is UNDEFINED else problems
        return parsed


class _Nullable(Schema):
    def __init__(self, inner: Schema) -> None:
        self._run, self.may_be_absent = inner.run, inner.may_be_absent

    def run(self, value: Any, issues: list[Issue]) -> Any:
        return None if value is None else self._run(value, issues)


class _Default(Schema):
    may_be_absent = True

    def __init__(self, inner: Schema, value: Any) -> None:
        self._run, self._value = inner.run, value

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if value is not UNDEFINED:
            value = self._run(value, issues)
        return copy.deepcopy(self._value) if value is UNDEFINED else value


class Lazy(Schema):
    """A schema that is still being built, so that it can contain itself."""

    target: Schema | None = None

    def run(self, value: Any, issues: list[Issue]) -> Any:
        assert self.target is not None
        return self.target.run(value, issues)


class BlankIsAbsent(Schema):
    """`z.preprocess` that takes an empty string for a missing value, as query strings have it."""

    def __init__(self, inner: Schema) -> None:
        self._run = inner.run

    def run(self, value: Any, issues: list[Issue]) -> Any:
        return self._run(UNDEFINED if value == "" else value, issues)


def mistyped(expected: str, value: Any, **more: Any) -> Issue:
    """The issue for a value of the wrong type."""
    message = f"Invalid input: expected {expected}, received {type_name(value)}"
    return Fatal(expected=expected, code="invalid_type", **more, path=[], message=message)


class Anything(Schema):
    """`z.any()` and `z.unknown()`."""

    def run(self, value: Any, issues: list[Issue]) -> Any:
        return value


class Never(Schema):
    """`z.never()`."""

    def run(self, value: Any, issues: list[Issue]) -> Any:
        issues.append(mistyped("never", value))


class Boolean(Schema):
    """`z.boolean()`."""

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if value is not True and value is not False:
            issues.append(mistyped("boolean", value))
        return value


class Null(Schema):
    """`z.null()`."""

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if value is not None:
            issues.append(mistyped("null", value))
        return value


_COUNTED: dict[type[Any], tuple[str, str]] = {
    str: ("string", "characters"),
    list: ("array", "items"),
    dict: ("object", "properties"),
}


def bounds(
    origin: str | None = None,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    inclusive: bool = True,
    exact: bool = False,
) -> Check:
    """A check of the number called `origin`, or of the length of a string, array or object."""

    def report(value: Any, kind: str, bound: str, sign: str, limit: float) -> Issue:
        name, unit = (origin, "") if origin else _COUNTED[type(value)]
        wanted = (f"{sign}=" if inclusive else sign) + number_text(limit)
        wanted = f"have {wanted} {unit}" if unit else f"be {wanted}"
        issue: Issue = {
            "origin": name,
            "code": f"too_{kind}",
            bound: as_double(limit),
            "inclusive": inclusive,
        }
        if exact:
            issue["exact"] = True
        return {**issue, "path": [], "message": f"Too {kind}: expected {name} to {wanted}"}

    def check(value: Any, issues: list[Issue]) -> None:
        size = value if origin else len(utf16(value) if isinstance(value, str) else value)
        if size < low or (size == low and not inclusive):
            issues.append(report(value, "small", "minimum", ">", low))
        elif size > high or (size == high and not inclusive):
            issues.append(report(value, "big", "maximum", "<", high))

    return check


_S = TypeVar("_S", bound="_WithChecks")


class _WithChecks(Schema):
    _checks: tuple[Check, ...] = ()

    def _and(self: _S, check: Check) -> _S:
        twin = copy.copy(self)
        twin._checks = (*self._checks, check)
        return twin


_L = TypeVar("_L", bound="WithLength")


class WithLength(_WithChecks):
    """Shared by strings and arrays: zod checks the length of either, even if it wants the other."""

    _lengths: tuple[Check, ...] = ()

    def min(self: _L, length: float) -> _L:
        """At least so many characters or items."""
        return self._and_length(bounds(low=length))

    def max(self: _L, length: float) -> _L:
        """At most so many characters or items."""
        return self._and_length(bounds(high=length))

    def length(self: _L, length: float) -> _L:
        """Exactly so many characters or items."""
        return self._and_length(bounds(low=length, high=length, exact=True))

    def _and_length(self: _L, check: Check) -> _L:
        twin = self._and(check)
        twin._lengths = (*self._lengths, check)
        return twin

    def _mistyped(self, expected: str, value: Any, issues: list[Issue]) -> None:
        issues.append(mistyped(expected, value))
        for check in self._lengths if type(value) in (str, list) else ():
            check(value, issues)


class String(WithLength):
    """`z.string()` and its checks; lengths count UTF-16 code units."""

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if isinstance(value, str):
            for check in self._checks:
                check(value, issues)
        else:
            self._mistyped("string", value, issues)
        return value

    def regex(self, source: str, flags: str = "", message: str | None = None) -> String:
        """Must match a JavaScript regular expression somewhere."""
        matches, quoted = javascript_regex(source, flags)
        return self.matching("regex", matches, quoted, message or not_matching(quoted))

    def named(self, name: str, source: str, message: str) -> String:
        """Must match the pattern of a format, such as `uuid`, that zod knows by name."""
        return self.matching(name, *javascript_regex(source), message)

    def matching(self, name: str, matches: Callable[[str], bool], quoted: str, message: str) -> String:
        """Must match what a regular expression, which issues quote so, is the test of."""

        def check(value: str, issues: list[Issue]) -> None:
            if not matches(value):
                issue: Issue = {"origin": "string", "code": "invalid_format", "format": name}
                issues.append({**issue, "pattern": quoted, "path": [], "message": message})

        return self._and(check)

    def satisfies(self, name: str, fits: Callable[[str], Any], message: str) -> String:
        """Must be of a format that zod tests with a function, and so reports without a pattern."""

        def check(value: str, issues: list[Issue]) -> None:
            if not fits(value):
                issues.append({"code": "invalid_format", "format": name, "path": [], "message": message})

        return self._and(check)


def not_matching(quoted: str) -> str:
    """What zod says of text that does not match a pattern."""
    return f"Invalid string: must match pattern {quoted}"


class _Url(String):
    def run(self, value: Any, issues: list[Issue]) -> Any:
        return super().run(url_text(value) if isinstance(value, str) else value, issues)


def url() -> String:
    """`z.url()`."""
    return _Url().satisfies("url", is_url, "Invalid URL")


def uuid() -> String:
    """`z.uuid()`."""
    return String().named("uuid", UUID_PATTERN, "Invalid UUID")


class Number(_WithChecks):
    """`z.number()` or `z.coerce.number()` and their checks."""

    _is_int = False

    def __init__(self, coerce: bool = False) -> None:
        self._coerce = coerce

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if self._coerce:
            value = to_number(value)
        kind = type(value)
        if kind is not int and kind is not float and (kind is bool or not isinstance(value, (int, float))):
            issues.append(mistyped("number", value))
        elif -MAX_NUMBER <= value <= MAX_NUMBER:
            for check in self._checks:
                if check(value, issues):
                    return value
            if self._is_int and kind is not int:
                return int(value)
        else:
            received = "NaN" if value != value else "Infinity"
            issues.append(mistyped("number", value, received=received))
        return value

    def int(self) -> Number:
        """A whole number that fits a double. If it is not whole, no further check runs."""
        is_safe = bounds("int", low=-MAX_SAFE_INTEGER, high=MAX_SAFE_INTEGER)

        def check(value: float, issues: list[Issue]) -> bool:
            if value % 1:
                message = "Invalid input: expected int, received number"
                issue = Fatal(expected="int", format="safeint", code="invalid_type", path=[], message=message)
                issues.append(issue)
                return True
            seen = len(issues)
            is_safe(value, issues)
            for unsafe in issues[seen:]:
                note = "Integers must be within the safe integer range."
                bound = "maximum" if value > 0 else "minimum"
                issues[seen] = {"code": unsafe["code"], bound: unsafe[bound], "note": note, **unsafe}
            return False

        twin = self._and(check)
        twin._is_int = True
        return twin

    def min(self, limit: float, inclusive: bool = True) -> Number:
        """Not less than `limit`."""
        return self._and(bounds("number", low=limit, inclusive=inclusive))

    def max(self, limit: float, inclusive: bool = True) -> Number:
        """Not more than `limit`."""
        return self._and(bounds("number", high=limit, inclusive=inclusive))

    def positive(self) -> Number:
        """More than 0."""
        return self.min(0, inclusive=False)

    def multiple_of(self, divisor: float) -> Number:
        """A multiple of `divisor`, by their decimals."""

        def check(value: float, issues: list[Issue]) -> None:
            if not is_multiple(value, divisor):
                issue: Issue = {"origin": "number", "code": "not_multiple_of", "divisor": as_double(divisor)}
                message = f"Invalid number: must be a multiple of {number_text(divisor)}"
                issues.append({**issue, "path": [], "message": message})

        return self._and(check)


def identity(value: Any) -> Any:
    """A literal as a key of a dict: in Python, unlike in JSON, true is 1, and a list has no hash."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return isinstance(value, bool), value
    return ("null",) if value is None else None


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return number_text(value)


class Literal(Schema):
    """One of some strings, numbers, booleans and null: `z.literal` and `z.enum`."""

    def __init__(self, *values: Any) -> None:
        self.values: list[float | Any] = [
            as_double(value) if isinstance(value, float) else value for value in values
        ]
        self._allowed = {identity(value) for value in self.values}
        shown = "|".join(map(_shown, self.values))
        start = "Invalid input: expected" if len(self.values) == 1 else "Invalid option: expected one of"
        self._message = f"{start} {shown}"

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if identity(value) not in self._allowed:
            issue = Fatal(code="invalid_value", values=self.values, path=[], message=self._message)
            issues.append(issue)
        return value
