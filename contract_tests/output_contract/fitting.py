"""Does a value fit a schema? Yes or no, many times faster than `jsonschema` finds all that is wrong.

Most answers fit, and only for the others is it worth listing the problems. The keywords that contain schemas,
and the most frequent ones, are compiled here, each schema once. All others are those of `jsonschema`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

__all__ = ["Fitting"]

Test = Callable[[Any], bool]
Keyword = Callable[[Any, Mapping[str, Any]], Test]
# The types of JSON that are types of Python. A boolean is an integer in Python, and 1.0 is one in JSON.
_TYPES = {"string": str, "object": dict, "array": list, "boolean": bool}
_SCALAR = (str, int, float, type(None))
_ABSENT = object()


class Fitting:
    """The schemas of an OpenAPI document. They must not have `$id` or `$anchor`, and must not change.

    `resolve` returns the target of a schema that has a `$ref`.
    """

    def __init__(
        self, document: dict[str, Any], resolve: Callable[[dict[str, Any]], tuple[dict[str, Any], str]]
    ) -> None:
        self._resolve = resolve
        # By the ids of the schemas, which are kept so that no other object gets the same id.
        self._compiled: dict[int, tuple[Any, list[Test]]] = {}
        # Those of the schemas that are being compiled. They pass too much, so nobody else may use them.
        self._incomplete: dict[int, tuple[Any, list[Test]]] = {}
        self._compiling = threading.Lock()
        self._keywords: dict[str, Keyword] = {
            "$ref": self._ref,
            "type": self._type,
            "const": lambda value, schema: self._enum([value], schema),
            "enum": self._enum,
            "pattern": self._pattern,
            "required": self._required,
            "properties": self._properties,
            "dependentSchemas": self._dependent_schemas,
            "items": self._items,
            "allOf": self._all_of,
            "anyOf": self._any_of,
            "oneOf": self._one_of,
            "if": self._if,
        }
        explaining: Any = extend(  # type: ignore[no-untyped-call]
            Draft202012Validator,
            {
                "properties": self._problems_of_properties,
                "items": self._problems_of_items,
                "allOf": self._problems_of_all_of,
            },
        )
        # Otherwise it would fetch references to other documents.
        nothing: Registry[Any] = Registry()
        self._validator: Draft202012Validator = explaining(document, registry=nothing)

    def fits(self, schema: Any, value: Any) -> bool:
        """Whether a value fits a schema of the document."""
        known = self._compiled.get(id(schema))
        return _passes(self._compile(schema) if known is None else known[1], value)

    def errors(self, schema: Any, value: Any) -> Iterator[ValidationError]:
        """What is wrong with a value, by a schema of the document. Nothing if it fits."""
        if not self.fits(schema, value):
            yield from self._validator.descend(value, schema)

    def _compile(self, schema: Any) -> list[Test]:
        with self._compiling:
            try:
                tests = self._tests(schema)
                self._compiled.update(self._incomplete)
            finally:
                self._incomplete.clear()
        return tests

    def _tests(self, schema: Any) -> list[Test]:
        known = self._compiled.get(id(schema)) or self._incomplete.get(id(schema))
        if known is not None:
            return known[1]
        tests: list[Test] = []
        # Known before it is compiled, as it may refer to itself.
        self._incomplete[id(schema)] = schema, tests
        if schema is False:
            tests.append(lambda value: False)
        elif schema is not True:
            for name, content in schema.items():
                if name == "format" or (name == "additionalProperties" and content is True):
                    # They demand nothing: `jsonschema` only checks formats when told to.
                    continue
                if name in self._keywords:
                    tests.append(self._keywords[name](content, schema))
                elif name in self._validator.VALIDATORS:
                    tests.append(self._as_in_the_library(name, content, schema))
        return tests

    def _as_in_the_library(self, name: str, content: Any, schema: Mapping[str, Any]) -> Test:
        problems: Any = self._validator.VALIDATORS[name]
        return lambda value: next(iter(problems(self._validator, content, value, schema) or ()), None) is None

    # The keywords, with their content and the whole schema.

    def _ref(self, reference: str, schema: Mapping[str, Any]) -> Test:
        target, _ = self._resolve({"$ref": reference})
        return partial(_passes, self._tests(target))

    def _type(self, types: Any, schema: Mapping[str, Any]) -> Test:
        if types in ("integer", "null"):
            return _is_integer if types == "integer" else lambda value: value is None
        if isinstance(types, str) and types in _TYPES:
            python = _TYPES[types]
            return lambda value: isinstance(value, python)
        return self._as_in_the_library("type", types, schema)

    def _pattern(self, pattern: str, schema: Mapping[str, Any]) -> Test:
        search = re.compile(pattern).search
        return lambda value: not isinstance(value, str) or search(value) is not None

    def _enum(self, values: list[Any], schema: Mapping[str, Any]) -> Test:
        if all(isinstance(one, _SCALAR) for one in values):
            # True is 1 in Python, but not in JSON.
            allowed = {(isinstance(one, bool), one) for one in values}
            return lambda value: isinstance(value, _SCALAR) and (isinstance(value, bool), value) in allowed
        return self._as_in_the_library("enum", values, schema)

    def _required(self, names: list[str], schema: Mapping[str, Any]) -> Test:
        return lambda value: not isinstance(value, dict) or all(name in value for name in names)

    def _properties(self, properties: Mapping[str, Any], schema: Mapping[str, Any]) -> Test:
        compiled = [(name, self._tests(content)) for name, content in properties.items()]

        def test(value: Any) -> bool:
            if isinstance(value, dict):
                for name, tests in compiled:
                    if name in value and not _passes(tests, value[name]):
                        return False
            return True

        return test

    def _dependent_schemas(self, dependent: Mapping[str, Any], schema: Mapping[str, Any]) -> Test:
        compiled = [(name, self._tests(content)) for name, content in dependent.items()]
        return lambda value: (
            not isinstance(value, dict)
            or all(_passes(tests, value) for name, tests in compiled if name in value)
        )

    def _items(self, items: Any, schema: Mapping[str, Any]) -> Test:
        tests, first = self._tests(items), len(schema.get("prefixItems", ()))
        return lambda value: (
            not isinstance(value, list) or all(_passes(tests, item) for item in value[first:])
        )

    def _all_of(self, schemas: list[Any], schema: Mapping[str, Any]) -> Test:
        compiled: list[Test] = [partial(_passes, self._tests(one)) for one in schemas]
        # An event has dozens of schemas here, each for one kind: those of its kind are looked up.
        always: list[Test] = []
        chosen: dict[str, dict[tuple[bool, Any], list[Test]]] = {}
        for one, test in zip(schemas, compiled, strict=True):
            condition = _condition(one)
            if condition is None:
                always.append(test)
                continue
            name, values = condition
            for value in values:
                chosen.setdefault(name, {}).setdefault((isinstance(value, bool), value), []).append(test)

        def passes(value: Any) -> bool:
            if not isinstance(value, dict):
                # A condition on a property holds for all that has no properties.
                return _passes(compiled, value)
            for name, tests in chosen.items():
                given = value.get(name, _ABSENT)
                if isinstance(given, _SCALAR) and not _passes(
                    tests.get((isinstance(given, bool), given), []), value
                ):
                    return False
            return _passes(always, value)

        return passes

    def _any_of(self, schemas: list[Any], schema: Mapping[str, Any]) -> Test:
        compiled = [self._tests(one) for one in schemas]
        return lambda value: any(_passes(tests, value) for tests in compiled)

    def _one_of(self, schemas: list[Any], schema: Mapping[str, Any]) -> Test:
        compiled = [self._tests(one) for one in schemas]
        return lambda value: sum(_passes(tests, value) for tests in compiled) == 1

    def _if(self, condition: Any, schema: Mapping[str, Any]) -> Test:
        tests = self._tests(condition)
        then, other = (self._tests(schema.get(name, True)) for name in ("then", "else"))
        return lambda value: _passes(then if _passes(tests, value) else other, value)

    # What is wrong, without looking for problems where there are none.

    def _problems_of_properties(
        self, validator: Any, properties: Mapping[str, Any], value: Any, schema: Mapping[str, Any]
    ) -> Iterator[ValidationError]:
        for name, content in properties.items() if isinstance(value, dict) else ():
            if name in value and not self.fits(content, value[name]):
                yield from validator.descend(value[name], content, path=name, schema_path=name)

    def _problems_of_items(
        self, validator: Any, items: Any, value: Any, schema: Mapping[str, Any]
    ) -> Iterator[ValidationError]:
        if items is False:
            # One problem for all items.
            yield from Draft202012Validator.VALIDATORS["items"](validator, items, value, schema)
            return
        first = len(schema.get("prefixItems", ()))
        for index, item in enumerate(value[first:] if isinstance(value, list) else (), first):
            if not self.fits(items, item):
                yield from validator.descend(item, items, path=index)

    def _problems_of_all_of(
        self, validator: Any, schemas: list[Any], value: Any, schema: Mapping[str, Any]
    ) -> Iterator[ValidationError]:
        for index, one in enumerate(schemas):
            if not self.fits(one, value):
                yield from validator.descend(value, one, schema_path=index)


def _is_integer(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _condition(schema: Any) -> tuple[str, list[Any]] | None:
    """The name and the values of the one property that decides whether a schema demands anything."""
    match schema:
        case {"if": {"required": [name], "properties": dict(properties), **further}, "then": _, **others}:
            test = properties.get(name, {})
            values = test.get("enum") or [test.get("const", _ABSENT)] if isinstance(test, dict) else [_ABSENT]
            plain = all(isinstance(one, _SCALAR) for one in values)
            if plain and not further and not others and len(properties) == len(test) == 1:
                return name, values
    return None


def _passes(tests: list[Test], value: Any) -> bool:
    for test in tests:  # noqa: SIM110 - `all` with a generator takes twice as long.
        if not test(value):
            return False
    return True
