"""Schemas that contain other schemas."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from output_mock.javascript_json import UNDEFINED, in_key_order, number_text

from .issues import Fatal, Issue, is_fatal, move_under
from .javascript import to_number
from .schemas import Never, Schema, WithLength, identity, mistyped


class Array(WithLength):
    """`z.array(item)`."""

    def __init__(self, item: Schema) -> None:
        self._run = item.run

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if not isinstance(value, list):
            self._mistyped("array", value, issues)
            return value
        result = []
        run = self._run
        for index, item in enumerate(value):
            seen = len(issues)
            result.append(run(item, issues))
            if len(issues) != seen:
                move_under(issues, seen, index)
        for check in self._lengths:
            check(value, issues)
        return result


class Tuple(Schema):
    """`z.tuple(items, rest)`. Optional items at the end may be missing."""

    def __init__(self, items: Sequence[Schema], rest: Schema | None = None) -> None:
        self._items, self._rest, self._is_closed = items, rest or Never(), rest is None
        self._required = max((n for n, item in enumerate(items, 1) if not item.may_be_absent), default=0)

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if not isinstance(value, list):
            issues.append(mistyped("tuple", value))
            return value
        length, count = len(value), len(self._items)
        if self._is_closed and length > count:
            issue = Fatal(code="too_big", maximum=count, inclusive=True, origin="array", path=[])
            issues.append(Fatal(issue, message=f"Too big: expected array to have <={count} items"))
            return value
        # If a single item is missing, the issue names that item.
        if self._is_closed and length < self._required - 1:
            issue = Fatal(code="too_small", minimum=count, origin="array", path=[])
            issues.append(Fatal(issue, message=f"Too small: expected array to have >{count} items"))
            return value
        parsed = []
        schemas = chain(self._items, repeat(self._rest))
        for index, schema in zip(range(max(length, self._required)), schemas, strict=False):
            seen = len(issues)
            item = schema.run(value[index] if index < length else UNDEFINED, issues)
            move_under(issues, seen, index)
            # JSON writes undefined as null.
            parsed.append(None if item is UNDEFINED else item)
        return parsed


class Object(Schema):
    """`z.object(shape)`. `patterns`, then `rest`, parse unknown keys. Without either, they are dropped."""

    def __init__(
        self,
        shape: Mapping[str, Schema],
        rest: Schema | None = None,
        *,
        patterns: Sequence[tuple[Callable[[str], bool], Schema]] = (),
        strict: bool = False,
        expected: str = "object",
    ) -> None:
        # A record takes its keys from a list, so their order does not matter.
        names = shape if expected == "record" else in_key_order(shape)
        self._fields = tuple((name, shape[name].run) for name in names)
        self._known = frozenset(shape)
        self._rest, self._patterns, self._strict, self._expected = rest, patterns, strict, expected
        self._minds_unknown = rest is not None or bool(patterns) or strict

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if not isinstance(value, dict):
            issues.append(mistyped(self._expected, value))
            return value
        result = {}
        get = value.get
        for name, run in self._fields:
            seen = len(issues)
            item = run(get(name, UNDEFINED), issues)
            if len(issues) != seen:
                move_under(issues, seen, name)
            if item is not UNDEFINED:
                result[name] = item
        if self._minds_unknown:
            self._run_unknown(value, result, issues)
            return {name: result[name] for name in in_key_order(result)}
        return result

    def _run_unknown(self, value: dict[str, Any], result: dict[str, Any], issues: list[Issue]) -> None:
        unknown = [key for key in in_key_order(value) if key not in self._known and key != "__proto__"]
        for key in unknown:
            schemas = [schema for matches, schema in self._patterns if matches(key)]
            if not schemas and self._rest is not None:
                schemas = [self._rest]
            for schema in schemas:
                seen = len(issues)
                result[key] = schema.run(value[key], issues)
                move_under(issues, seen, key)
        if self._strict and unknown:
            issues.append(_unrecognized(unknown, []))


def _unrecognized(keys: list[str], path: list[str | int]) -> Issue:
    quoted = ", ".join(f'"{key}"' for key in keys)
    message = f"Unrecognized {'keys' if len(keys) > 1 else 'key'}: {quoted}"
    return Fatal(code="unrecognized_keys", keys=keys, path=path, message=message)


_NUMERIC = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


class Record(Schema):
    """`z.record(keys, value)`."""

    def __init__(self, value: Schema, keys: Schema | None = None) -> None:
        self._value, self._keys = value, keys

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if not isinstance(value, dict):
            issues.append(mistyped("record", value))
            return value
        result = {}
        for key in in_key_order(value):
            if key == "__proto__":
                continue
            problems: list[Issue] = []
            name = key if self._keys is None else self._keys.run(key, problems)
            if problems and self._keys is not None and _NUMERIC.fullmatch(key):
                # Numeric keys are strings in JSON.
                others: list[Issue] = []
                number = self._keys.run(to_number(key), others)
                if not others:
                    name, problems = number_text(number), []
            if problems:
                issue = Fatal(code="invalid_key", origin="record", issues=problems, path=[key])
                issue["message"] = "Invalid key in record"
                issues.append(issue)
                continue
            seen = len(issues)
            result[name] = self._value.run(value[key], issues)
            move_under(issues, seen, key)
        return result


class Union(Schema):
    """`z.union(options)`: the first that fits."""

    def __init__(self, *options: Schema) -> None:
        self._options = options
        self.may_be_absent: bool = any(option.may_be_absent for option in options)

    def run(self, value: Any, issues: list[Issue]) -> Any:
        attempts = []
        for option in self._options:
            problems: list[Issue] = []
            parsed = option.run(value, problems)
            if not problems:
                return parsed
            attempts.append((parsed, problems))
        # An option that recognised the value provides the result of the union.
        near = [attempt for attempt in attempts if not is_fatal(attempt[1])]
        if len(near) == 1 or len(attempts) == 1:
            parsed, problems = (near or attempts)[0]
            issues += problems
            return parsed
        issues.append(_no_option([problems for _, problems in attempts]))
        return value


class OneOf(Union):
    """`z.xor(options)`: exactly one fits."""

    def run(self, value: Any, issues: list[Issue]) -> Any:
        attempts: list[list[Issue]] = [[] for _ in self._options]
        results = [option.run(value, attempts[index]) for index, option in enumerate(self._options)]
        matches = [index for index, problems in enumerate(attempts) if not problems]
        if len(matches) == 1:
            return results[matches[0]]
        if matches:
            issue = Fatal(code="invalid_union", errors=[], inclusive=False)
            issues.append(Fatal(issue, path=[], message="Invalid input"))
        elif len(attempts) == 1:
            issues += attempts[0]
            return results[0]
        else:
            issues.append(_no_option(attempts))
        return value


def _no_option(attempts: list[list[Issue]]) -> Issue:
    return Fatal(code="invalid_union", errors=attempts, path=[], message="Invalid input")


class DiscriminatedUnion(Schema):
    """`z.discriminatedUnion(key, options)`: the value of one key, a literal, chooses the option."""

    def __init__(self, key: str, options: Sequence[tuple[Sequence[Any], Schema]]) -> None:
        self._key = key
        self._options = {identity(value): schema for values, schema in options for value in values}

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if not isinstance(value, dict):
            issues.append(Fatal({"code": "invalid_type", **mistyped("object", value)}))
            return value
        option = self._options.get(identity(value.get(self._key, UNDEFINED)))
        if option is not None:
            return option.run(value, issues)
        issue = Fatal(code="invalid_union", errors=[], note="No matching discriminator")
        issues.append(Fatal(issue, discriminator=self._key, path=[self._key], message="Invalid input"))
        return value


class Intersection(Schema):
    """`z.intersection(left, right)`: fits both, and keeps the keys of either."""

    def __init__(self, left: Schema, right: Schema) -> None:
        self._left, self._right = left, right

    def run(self, value: Any, issues: list[Issue]) -> Any:
        sides: tuple[list[Issue], list[Issue]] = ([], [])
        merged = _merged(self._left.run(value, sides[0]), self._right.run(value, sides[1]))
        strange = [[issue for issue in side if issue["code"] == "unrecognized_keys"] for side in sides]
        issues += [issue for side in sides for issue in side if issue["code"] != "unrecognized_keys"]
        left, right = (dict.fromkeys(key for issue in side for key in issue["keys"]) for side in strange)
        # A key is only unknown if neither side knows it. This also holds for nested objects.
        unknown = [key for key in left if key in right]
        if unknown:
            issues.append(_unrecognized(unknown, strange[0][0]["path"]))
        return merged


def _merged(left: Any, right: Any) -> Any:
    if isinstance(left, dict) and isinstance(right, dict):
        both = {key: _merged(left[key], right[key]) for key in left if key in right}
        merged = {**left, **right, **both}
        return {key: merged[key] for key in in_key_order(merged)}
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [_merged(*items) for items in zip(left, right, strict=True)]
    return left if right is UNDEFINED else right
