"""Schemas that are made of other schemas."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .issues import Fatal, Issue, is_fatal, move_under
from .javascript import UNDEFINED, in_key_order
from .schemas import Schema, WithLength, bounds, identity, literal_text, mistyped


def _reordered(issue: Issue, *first: str) -> Issue:
    # zod's checks and types write the same issue with its keys in different orders.
    return Fatal({**{key: issue[key] for key in first}, **issue})


class Array(WithLength):
    """`z.array(item)`; too many items are reported without a look at them."""

    def __init__(self, item: Schema) -> None:
        self._run = item.run

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if not isinstance(value, list):
            self._mistyped("array", value, issues)
            return value
        wrong_lengths: list[Issue] = []
        for check in self._lengths:
            check(value, wrong_lengths)
        for issue in wrong_lengths:
            if issue["code"] == "too_big":
                issues.append(Fatal(issue))
                return value
        result = []
        run = self._run
        for index, item in enumerate(value):
            seen = len(issues)
            result.append(run(item, issues))
            if len(issues) != seen:
                move_under(issues, seen, index)
        issues += wrong_lengths
        return result


class Tuple(Schema):
    """`z.tuple(items, rest)`; optional items can be left out from the end."""

    def __init__(self, items: Sequence[Schema], rest: Schema | None = None) -> None:
        self._items, self._rest = items, rest
        self._required = max((n for n, item in enumerate(items, 1) if not item.may_be_absent), default=0)
        self._fits = bounds(low=self._required, high=len(items))

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if not isinstance(value, list):
            issues.append(mistyped("tuple", value))
            return value
        start, count = len(issues), len(self._items)
        if self._rest is None:
            self._fits(value, issues)
            for issue in issues[start:]:
                bound = "minimum" if len(value) < self._required else "maximum"
                issues[start] = _reordered(issue, "code", bound, "inclusive", "origin")
                if len(value) < self._required:
                    return value
        # zod looks at the rest before the items.
        rest = [] if self._rest is None else [(n, self._rest) for n in range(count, len(value))]
        parsed: dict[int, Any] = {}
        for index, schema in [*rest, *enumerate(self._items)]:
            seen = len(issues)
            item = schema.run(value[index] if index < len(value) else UNDEFINED, issues)
            move_under(issues, seen, index)
            if item is not UNDEFINED or index < self._required:
                # JSON writes a hole as null.
                parsed[index] = None if item is UNDEFINED else item
        return [parsed[index] for index in sorted(parsed)]


class Object(Schema):
    """`z.object(shape)`. Unknown keys go to the `patterns` that they match, else to `rest`, else away."""

    def __init__(
        self,
        shape: Mapping[str, Schema],
        rest: Schema | None = None,
        *,
        patterns: Sequence[tuple[re.Pattern[str], Schema]] = (),
        strict: bool = False,
        expected: str = "object",
    ) -> None:
        # The record of an enum lets keys be undefined whose values may be.
        owes_keys = expected == "object"
        self._fields = tuple(
            (name, shape[name].run, owes_keys and not shape[name].may_be_absent)
            for name in in_key_order(shape)
        )
        self._known = frozenset(shape)
        self._rest, self._patterns, self._strict, self._expected = rest, patterns, strict, expected
        self._minds_unknown = rest is not None or bool(patterns) or strict

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if not isinstance(value, dict):
            issues.append(mistyped(self._expected, value))
            return value
        result = {}
        get = value.get
        for name, run, required in self._fields:
            seen = len(issues)
            item = run(get(name, UNDEFINED), issues)
            if len(issues) != seen:
                move_under(issues, seen, name)
            elif required and item is UNDEFINED:
                message = "Invalid input: expected nonoptional, received undefined"
                lack = Fatal(code="invalid_type", expected="nonoptional", path=[name], message=message)
                issues.append(lack)
            if item is not UNDEFINED:
                result[name] = item
        if self._minds_unknown:
            self._run_unknown(value, result, issues)
            return {name: result[name] for name in in_key_order(result)}
        return result

    def _run_unknown(self, value: dict[str, Any], result: dict[str, Any], issues: list[Issue]) -> None:
        unknown = [key for key in in_key_order(value) if key not in self._known and key != "__proto__"]
        for key in unknown:
            schemas = [schema for pattern, schema in self._patterns if pattern.search(key)]
            if not schemas and self._rest is not None:
                schemas = [self._rest]
            for schema in schemas:
                seen = len(issues)
                result[key] = schema.run(value[key], issues)
                move_under(issues, seen, key)
        if self._strict and unknown:
            quoted = ", ".join(f'"{key}"' for key in unknown)
            message = f"Unrecognized {'keys' if len(unknown) > 1 else 'key'}: {quoted}"
            issues.append({"code": "unrecognized_keys", "keys": unknown, "path": [], "message": message})


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
        self.may_be_absent = any(option.may_be_absent for option in options)

    def run(self, value: Any, issues: list[Issue]) -> Any:
        attempts = []
        for option in self._options:
            problems: list[Issue] = []
            parsed = option.run(value, problems)
            if not problems:
                return parsed
            attempts.append(problems)
        # An option that recognised the value speaks for the union.
        near = [problems for problems in attempts if not is_fatal(problems)]
        if len(near) == 1 or len(attempts) == 1:
            issues.extend((near or attempts)[0])
        else:
            issues.append(_no_option(attempts))
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
            message = "Invalid input: more than one option matched"
            issue = Fatal(code="invalid_union", errors=[], inclusive=False, matches=matches)
            issues.append(Fatal(issue, path=[], message=message))
        elif len(attempts) == 1:
            issues.extend(attempts[0])
        else:
            issues.append(_no_option(attempts))
        return value


def _no_option(attempts: list[list[Issue]]) -> Issue:
    return Fatal(code="invalid_union", errors=attempts, path=[], message="Invalid input")


class DiscriminatedUnion(Schema):
    """`z.discriminatedUnion(key, options)`: the value of one key, a literal, chooses the option."""

    def __init__(self, key: str, options: Sequence[tuple[Sequence[Any], Schema]]) -> None:
        self._key = key
        self._values = [value for values, _ in options for value in values]
        self._options = {identity(value): schema for values, schema in options for value in values}
        choices = " | ".join(f"'{literal_text(value)}'" for value in self._values)
        self._message = f"Invalid discriminator value. Expected {choices}"

    def run(self, value: Any, issues: list[Issue]) -> Any:
        if not isinstance(value, dict):
            issues.append(_reordered(mistyped("object", value), "code"))
            return value
        option = self._options.get(identity(value.get(self._key, UNDEFINED)))
        if option is not None:
            return option.run(value, issues)
        issue = Fatal(code="invalid_union", errors=[], note="No matching discriminator")
        issue.update(discriminator=self._key, options=self._values, path=[self._key], message=self._message)
        issues.append(issue)
        return value


class Intersection(Schema):
    """`z.intersection(left, right)`: fits both, and has the keys that either leaves."""

    def __init__(self, left: Schema, right: Schema) -> None:
        self._left, self._right = left, right
        self.may_be_absent = left.may_be_absent and right.may_be_absent

    def run(self, value: Any, issues: list[Issue]) -> Any:
        return _merged(self._left.run(value, issues), self._right.run(value, issues))


def _merged(left: Any, right: Any) -> Any:
    if isinstance(left, dict) and isinstance(right, dict):
        both = {key: _merged(left[key], right[key]) for key in left if key in right}
        merged = {**left, **right, **both}
        return {key: merged[key] for key in in_key_order(merged)}
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [_merged(*items) for items in zip(left, right, strict=True)]
    return left if right is UNDEFINED else right
