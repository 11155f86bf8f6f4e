"""Schemas from JSON Schema, draft 2020-12: as `z.toJSONSchema` emits it, or as a person writes it.

The `jsonschema` package handles keywords that zod does not support, with its own messages.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import unquote

from output_mock.javascript_json import MAX_SAFE_INTEGER, UNDEFINED, NotJSONError, as_json

from .containers import Array, DiscriminatedUnion, Intersection, Object, OneOf, Record, Tuple, Union
from .formats import FORMATS, Format, recognised
from .issues import Issue
from .javascript import regex as javascript_regex
from .patterns import bounded_regex, validator_class
from .schemas import (
    Anything,
    Boolean,
    Checked,
    Lazy,
    Literal,
    Never,
    Null,
    Number,
    Schema,
    String,
    WithLength,
    bounds,
    identity,
    not_matching,
    url,
)

Path = tuple["str | int", ...]


class SchemaError(ValueError):
    """An invalid JSON Schema. The message names the schema, the place, and the mistake.

    `path` leads to that place.
    """

    path: Path = ()


def from_json_schema(schema: dict[str, Any] | bool, *, where: str) -> Schema:
    """The schema that a JSON Schema describes; `where` names it in the message of a `SchemaError`."""
    if not isinstance(schema, (dict, bool)):
        raise SchemaError(f"{where}: a JSON Schema must be an object, not {type(schema).__name__}")
    # Its numbers are compared with JavaScript's. What is no JSON is told with its place below.
    with suppress(NotJSONError):
        schema = as_json(schema)
    return _Builder(schema, where).root()


# How many levels deep a schema is looked at by itself.
_SURE_DEPTH = 20
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_OTHER_NAMES = {
    **dict.fromkeys(("list", "tuple", "set"), "array"),
    **dict.fromkeys(("dict", "map", "record"), "object"),
    **dict.fromkeys(("float", "double", "decimal"), "number"),
    **dict.fromkeys(("none", "nonetype", "undefined"), "null"),
    **dict.fromkeys(("str", "text"), "string"),
    "bool": "boolean",
    "int": "integer",
}


def _unknown_type(types: Any) -> str | None:
    unknown = [each for each in (types if isinstance(types, list) else [types]) if each not in _TYPES]
    if not unknown:
        return None
    name = str(getattr(unknown[0], "__name__", unknown[0]))
    near = difflib.get_close_matches(name.lower(), _TYPES, 1)
    meant = _OTHER_NAMES.get(name.lower()) or (near[0] if near else None)
    hint = f'did you mean "{meant}"?' if meant else f"the types are {', '.join(_TYPES)}"
    return f"{name!r} is not a type; {hint}"


def _json_path(path: Path) -> str:
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)


_LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
# fmt: off
_OWN = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": _LIMITS,
    "integer": _LIMITS,
    "array": {"prefixItems", "items", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties", "patternProperties", "propertyNames",
               "minProperties", "maxProperties"},
}
_FOREIGN = {
    "array": {"contains", "minContains", "maxContains", "uniqueItems"},
    "object": {"dependentRequired", "dependentSchemas"},
}
# fmt: on
_CONDITIONS = {"not", "if", "then", "else"}
_NEEDS_SIBLINGS = {"unevaluatedItems", "unevaluatedProperties"}
_COMPOSITION = {"$ref", "const", "enum", "allOf", "anyOf", "oneOf"}
# fmt: off
_KEYWORDS = {
    *_COMPOSITION, *_CONDITIONS, *_NEEDS_SIBLINGS, *set().union(*_OWN.values(), *_FOREIGN.values()),
    "type", "default", "title", "description", "examples", "deprecated", "readOnly", "writeOnly",
    "contentEncoding", "contentMediaType", "contentSchema",
    "$schema", "$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$vocabulary", "$comment", "$defs",
    # Of earlier drafts and of OpenAPI.
    "id", "definitions", "dependencies", "additionalItems", "$recursiveRef", "$recursiveAnchor",
    "nullable", "discriminator", "xml", "externalDocs", "example",
}
# fmt: on


def _misspelt(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    """A key that is not a keyword, and the most similar keyword. Custom keys resemble none."""
    for key in schema:
        if key not in _KEYWORDS:
            near = difflib.get_close_matches(key.lower(), map(str.lower, _KEYWORDS), 1, cutoff=0.8)
            if near:
                return key, next(word for word in _KEYWORDS if word.lower() == near[0])
    return None


def _words(table: Mapping[str, set[str]], types: Any) -> set[str]:
    kinds = [types] if isinstance(types, str) else types or ()
    return set().union(*(table.get(kind, set()) for kind in kinds))


def _only_judges(schema: Any, types: Any) -> bool:
    """Whether it says which values of those types are right without saying what they are made of."""
    return isinstance(schema, bool) or not schema.keys() & ({"type"} | _COMPOSITION | _words(_OWN, types))


_TEXTS = {"title", "description"}
_SIZES = {"minLength", "maxLength", "minItems", "maxItems"}


def _is_valid_at_sight(schema: Any, depth: int = 0) -> bool:
    """Whether a schema is certainly valid: it only has common keywords, used correctly.

    Importing the `jsonschema` package takes half as long as starting a server.
    """
    if isinstance(schema, bool):
        return True
    if not isinstance(schema, dict) or depth > _SURE_DEPTH:
        return False
    for key, value in schema.items():
        if key == "type":
            right = isinstance(value, str) and value in _TYPES
        elif key in _TEXTS:
            right = isinstance(value, str)
        elif key in _SIZES:
            right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        elif key == "properties":
            right = isinstance(value, dict) and all(
                _is_valid_at_sight(one, depth + 1) for one in value.values()
            )
        elif key in ("items", "additionalProperties"):
            right = _is_valid_at_sight(value, depth + 1)
        elif key == "required":
            right = (
                isinstance(value, list)
                and all(isinstance(name, str) for name in value)
                and len(set(value)) == len(value)
            )
        elif key == "enum":
            right = isinstance(value, list)
        else:
            right = key in ("default", "const")
        if not right:
            return False
    return True


class _Builder:
    def __init__(self, schema: Any, where: str) -> None:
        self._schema, self._where = schema, where
        self._refs: dict[str, Lazy] = {"#": Lazy()}

    @cached_property
    def _validator(self) -> Any:
        return validator_class()(self._schema)

    def root(self) -> Schema:
        root = self._refs["#"]
        self._check(self._schema, ())
        root.target = self._build(self._schema, (), frozenset("#"))
        return root.target

    def _check(self, schema: Any, path: Path) -> None:
        if _is_valid_at_sight(schema):
            return
        from jsonschema.exceptions import SchemaError as Rejection

        try:
            # Its check of formats would take JavaScript's regular expressions for Python's.
            self._validator.check_schema(schema, format_checker=None)
        except Rejection as error:
            steps = list(error.absolute_schema_path)
            is_type = ("properties", "type") in pairwise(steps[:-1])
            problem = (is_type and _unknown_type(error.instance)) or error.message
            raise self._error((*path, *error.absolute_path), problem) from None

    def _build(
        self, schema: Any, path: Path, inside: frozenset[str] = frozenset(), assumed: Any = None
    ) -> Schema:
        """`inside` are the references that led here with no step into the value, `assumed` is its type."""
        if isinstance(schema, bool):
            return Anything() if schema else Never()
        built = self._composed(schema, path, inside, schema.get("type", assumed))
        return built.default(schema["default"]) if "default" in schema else built

    def _composed(self, schema: dict[str, Any], path: Path, inside: frozenset[str], types: Any) -> Schema:
        misspelt = _misspelt(schema)
        if misspelt is not None:
            raise self._error(
                (*path, misspelt[0]), f'there is no such keyword; did you mean "{misspelt[1]}"?'
            )
        if schema.get("not", UNDEFINED) in ({}, True):
            return Never()
        parts: list[Schema] = []
        judges = self._judges(schema, types, path)
        members = [(member, (*path, "allOf", n)) for n, member in enumerate(schema.get("allOf", ()))]
        if "$ref" in schema:
            parts.append(self._referred(schema["$ref"], path, inside))
        if "const" in schema or "enum" in schema:
            values = [schema["const"]] if "const" in schema else schema["enum"]
            if any(isinstance(value, (dict, list)) for value in values):
                judges.append({word: schema[word] for word in ("const", "enum") if word in schema})
            else:
                parts.append(Literal(*values))
        elif types is not None:
            own: list[tuple[Any, Path]] = [(schema, path)]
            if types in ("string", "number", "integer"):
                # z.toJSONSchema writes a second pattern or multipleOf as one of allOf.
                own += [
                    each for each in members if isinstance(each[0], dict) and each[0].keys() <= _OWN[types]
                ]
                members = [each for each in members if each not in own]
            parts.append(self._typed(types, own))
        for member, place in members:
            if _only_judges(member, types):
                judges.append(member)
            else:
                parts.append(self._build(member, place, inside, types))
        for word in [word for word in ("anyOf", "oneOf") if word in schema]:
            if parts and any(_only_judges(option, types) for option in schema[word]):
                judges.append({word: schema[word]})
            else:
                parts.append(self._choice(word, schema[word], (*path, word), inside, types))
        return reduce(self._judged, judges, reduce(Intersection, parts) if parts else Anything())

    def _judges(self, schema: dict[str, Any], types: Any, path: Path) -> list[Any]:
        """The part of a schema for the `jsonschema` package."""
        if schema.keys() & _NEEDS_SIBLINGS:
            return [{word: value for word, value in schema.items() if word != "default"}]
        words = _CONDITIONS | _words(_FOREIGN, types)
        if types is None:
            words |= _words(_FOREIGN, _TYPES) | _words(_OWN, _TYPES)
        elif "prefixItems" in schema and schema.get("items") is not False:
            words |= {"maxItems"}
            words |= {"minItems"} if schema.get("minItems", 0) > len(schema["prefixItems"]) else set()
        elif "propertyNames" in schema and not self._is_record(schema, path):
            words |= {"propertyNames"}
        found = {word: value for word, value in schema.items() if word in words}
        # What may be anything may be missing, says zod; not so what a person requires and says no more of.
        unsaid = [name for name in schema.get("required", ()) if name not in schema.get("properties", ())]
        if unsaid and not self._is_record(schema, path):
            found.setdefault("required", unsaid)
        return [found] if found else []

    def _judged(self, inner: Schema, judge: Any) -> Schema:
        # Evolved from the root's, the validator resolves references from there.
        validator = self._validator.evolve(schema=judge)

        def check(given: Any, parsed: Any, issues: list[Issue]) -> None:
            for error in validator.iter_errors(given) if given is not UNDEFINED else ():
                issues.append({"code": "custom", "path": list(error.absolute_path), "message": error.message})

        return Checked(inner, check)

    def _choice(
        self, word: str, options: list[Any], path: Path, inside: frozenset[str], types: Any
    ) -> Schema:
        built = [self._build(option, (*path, n), inside, types) for n, option in enumerate(options)]
        if word == "anyOf":
            is_nullable = len(options) == 2 and options[1] == {"type": "null"}
            return built[0].nullable() if is_nullable else Union(*built)
        shapes = [self._followed(option, path) for option in options]
        for key in shapes[0].get("properties", ()):
            values = [_literals(shape, key) for shape in shapes]
            flat = [identity(value) for choice in values for value in choice]
            if all(values) and len(set(flat)) == len(flat):
                return DiscriminatedUnion(key, list(zip(values, built, strict=True)))
        return OneOf(*built)

    def _referred(self, reference: str, path: Path, inside: frozenset[str]) -> Schema:
        if reference in inside:
            raise self._error((*path, "$ref"), f"{reference} refers to itself")
        lazy = self._refs.get(reference)
        if lazy is None:
            target = self._resolved(reference, path)
            place = tuple(unquote(reference[1:]).split("/")[1:])
            # What lies outside $defs has not been checked with the whole.
            self._check(target, place)
            lazy = self._refs[reference] = Lazy()
            lazy.target = self._build(target, place, inside | {reference})
        return lazy.target or lazy

    def _resolved(self, reference: str, path: Path) -> Any:
        if not re.fullmatch("#(/.*)?", reference):
            raise self._error((*path, "$ref"), f"{reference} is in another document; only #/… is supported")
        target = self._schema
        for token in unquote(reference[1:]).split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            try:
                target = target[int(key)] if isinstance(target, list) else target[key]
            except (LookupError, TypeError, ValueError):
                near = difflib.get_close_matches(key, target, 1) if isinstance(target, dict) else []
                hint = f'; did you mean "{near[0]}"?' if near else ""
                raise self._error((*path, "$ref"), f"{reference} refers to nothing{hint}") from None
        return target

    def _followed(self, schema: Any, path: Path) -> dict[str, Any]:
        while isinstance(schema, dict) and "$ref" in schema:
            schema = self._resolved(schema["$ref"], path)
        return schema if isinstance(schema, dict) else {}

    def _typed(self, types: Any, own: list[tuple[dict[str, Any], Path]]) -> Schema:
        schema, path = own[0]
        if isinstance(types, list):
            built = [self._typed(kind, own) for kind in types]
            if types[1:] == ["null"]:
                return built[0].nullable()
            return Union(*built) if len(built) > 1 else built[0]
        if types == "string":
            return self._string(own)
        if types in ("number", "integer"):
            return _number(types, [limits for limits, _ in own])
        if types == "array":
            return self._array(schema, path)
        if types == "object":
            return self._object(schema, path)
        return Boolean() if types == "boolean" else Null()

    def _string(self, own: list[tuple[dict[str, Any], Path]]) -> String:
        built = url() if own[0][0].get("format") in ("uri", "url") else String()
        for schema, path in own:
            pattern = schema.get("pattern")
            # z.toJSONSchema writes a format's pattern beside its name: together they are one check.
            known = recognised(pattern) or FORMATS.get(schema.get("format", ""))
            source = pattern or (known.pattern if known else None)
            matches, quoted = self._regex(source, (*path, "pattern"), known) if source else (None, "")
            if known and (test := known.test or (None if known.is_quoted else matches)):
                built = built.satisfies(known.name, test, known.message)
            elif known and matches:
                built = built.matching(known.name, matches, quoted, known.message)
            built = _sized(built, schema.get("minLength"), schema.get("maxLength"))
            if matches and not known:
                built = built.matching("regex", matches, quoted, not_matching(quoted))
        return built

    def _regex(
        self, source: str, path: Path, known: Format | None = None
    ) -> tuple[Callable[[str], bool], str]:
        # The patterns of formats are the project's own, and none of them takes long.
        is_own = known is not None and source == known.pattern
        try:
            return javascript_regex(source) if is_own else bounded_regex(source)
        except re.error as error:
            raise self._error(
                path, f"{source!r} is not a regular expression of JavaScript: {error}"
            ) from None

    def _array(self, schema: dict[str, Any], path: Path) -> Schema:
        items = self._build(schema.get("items", True), (*path, "items"))
        if "prefixItems" not in schema:
            return _sized(Array(items), schema.get("minItems"), schema.get("maxItems"))
        first = [self._build(item, (*path, "prefixItems", n)) for n, item in enumerate(schema["prefixItems"])]
        # z.toJSONSchema does not write how many items a tuple has: it needs all, and only a rest allows more.
        is_zods = not schema.keys() & {"minItems", "maxItems"} and not isinstance(schema.get("items"), bool)
        low = len(first) if is_zods else schema.get("minItems", 0)
        first = [item if n < low else item.optional() for n, item in enumerate(first)]
        is_closed = "items" not in schema if is_zods else schema.get("items") is False
        return Tuple(first, None if is_closed else items)

    def _object(self, schema: dict[str, Any], path: Path) -> Schema:
        built = self._record(schema, path) if self._is_record(schema, path) else self._shape(schema, path)
        least, most = schema.get("minProperties", 0), schema.get("maxProperties", math.inf)
        if (least, most) == (0, math.inf):
            return built
        check = bounds(low=least, high=most)
        return Checked(built, lambda given, parsed, issues: check(given, issues))

    def _shape(self, schema: dict[str, Any], path: Path) -> Schema:
        required = schema.get("required", ())
        unknown = schema.get("additionalProperties", _keeps_unknown(schema))
        rest = None if unknown is False else self._build(unknown, (*path, "additionalProperties"))
        shape = {}
        for name, field in schema.get("properties", {}).items():
            built = self._build(field, (*path, "properties", name))
            shape[name] = built if name in required else built.optional()
        for name in required:
            shape.setdefault(name, rest or Anything())
        patterns = []
        for pattern, field in schema.get("patternProperties", {}).items():
            place = (*path, "patternProperties", pattern)
            patterns.append((self._regex(pattern, place)[0], self._build(field, place)))
        # What z.looseRecord is known by.
        expected = "record" if patterns and "properties" not in schema else "object"
        return Object(shape, rest, patterns=patterns, expected=expected)

    def _is_record(self, schema: dict[str, Any], path: Path) -> bool:
        if "propertyNames" not in schema or schema.get("properties"):
            return False
        names = _values(self._followed(schema["propertyNames"], path))
        return all(name in names for name in schema.get("required", ()))

    def _record(self, schema: dict[str, Any], path: Path) -> Schema:
        value = self._build(schema.get("additionalProperties", True), (*path, "additionalProperties"))
        keys = self._build(schema["propertyNames"], (*path, "propertyNames"), assumed="string")
        names = self._followed(schema["propertyNames"], path)
        if required := schema.get("required"):
            shape = {name: value if name in required else value.optional() for name in _values(names)}
            return Object(shape, strict=True, expected="record")
        return Record(value, None if names == {"type": "string"} else keys)

    def _error(self, path: Path, problem: str) -> SchemaError:
        error = SchemaError(f"{self._where}: {_json_path(path)}: {problem}")
        error.path = path
        return error


def _keeps_unknown(schema: dict[str, Any]) -> bool:
    """Whether an object that does not say what becomes of unknown keys keeps them.

    A person who writes `{"type": "object"}` means any object, and conditions may ask for keys that only they
    name. What zod writes without `additionalProperties` loses them.
    """
    is_bare = "type" in schema and not schema.keys() & ({"properties"} | _COMPOSITION)
    judges = [schema, *(member for member in schema.get("allOf", ()) if isinstance(member, dict))]
    return is_bare or any(judge.keys() & ({"if", "dependentSchemas"} | _NEEDS_SIBLINGS) for judge in judges)


def _values(schema: Any) -> list[Any]:
    """Those that `const`, `enum` or a choice of them lists; none if there are others."""
    if not isinstance(schema, dict):
        return []
    options = [_values(option) for option in schema.get("anyOf", ())]
    if options:
        return [value for values in options for value in values] if all(options) else []
    return [schema["const"]] if "const" in schema else schema.get("enum", [])


def _literals(shape: dict[str, Any], key: str) -> list[Any]:
    """The values of a required key that distinguish one shape from others."""
    field = shape.get("properties", {}).get(key)
    if key not in shape.get("required", ()) or not isinstance(field, dict) or "default" in field:
        return []
    values = _values(field)
    return [] if any(isinstance(value, (dict, list)) for value in values) else values


_W = TypeVar("_W", bound=WithLength)


def _sized(schema: _W, low: float | None, high: float | None) -> _W:
    if low is not None and low == high:
        return schema.length(low)
    schema = schema if low is None else schema.min(low)
    return schema if high is None else schema.max(high)


def _number(kind: str, limits: list[dict[str, Any]]) -> Number:
    built = Number().int() if kind == "integer" else Number()
    for schema in limits:
        for word in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"):
            limit = schema.get(word)
            # z.toJSONSchema gives every integer the bounds that are part of int().
            if limit is None or (kind == "integer" and abs(limit) == MAX_SAFE_INTEGER):
                continue
            if word == "multipleOf":
                built = built.multiple_of(limit)
            elif word.endswith("inimum"):
                built = built.min(limit, inclusive=word == "minimum")
            else:
                built = built.max(limit, inclusive=word == "maximum")
    return built
