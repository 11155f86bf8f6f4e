"""The types of values: how each is read, and how a JSON Schema describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from output_mock.durations import nanoseconds, pause
from output_mock.places import Place
from output_mock.scripts.definition import NAME
from output_mock.scripts.yaml.source import Node
from output_mock.scripts.yaml.templates import Template, Whole
from output_mock.sdk.options import ELSEWHERE, LENGTH, activity_options, length_of
from output_mock.suggestions import nearest

if TYPE_CHECKING:
    from output_mock.scripts.yaml.reader import Reader

JSONSchema = dict[str, Any]
_EXPRESSION = r"^\s*\{\{[\s\S]*\}\}\s*$"
_HAS_EXPRESSION = r"\{\{[\s\S]*\}\}"
_DURATION = r"^\s*(\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+$"


class FieldType:
    """A type of value."""

    def schema(self) -> JSONSchema:
        """Its JSON Schema."""
        raise NotImplementedError

    def read(self, node: Node, reader: Reader, key: str) -> Any:
        """Read the value of `key`. Mistakes are noted, and then the result must not be used."""
        raise NotImplementedError


class Text(FieldType):
    """Text without expressions; names must also match a pattern."""

    def __init__(self, words: str = "text", pattern: str | None = None) -> None:
        self._words = words
        self._pattern = pattern

    def schema(self) -> JSONSchema:
        return {"type": "string", "pattern": self._pattern or r"^(?!.*\{\{)[\s\S]+$"}

    def read(self, node: Node, reader: Reader, key: str) -> str:
        if not node.is_text:
            hint = f'; put it in quotes: "{node.value}"' if type(node.value) in (int, float) else ""
            reader.mistake(node.place, f"{key} must be {self._words}, not {node.kind}{hint}")
        elif not node.value:
            reader.mistake(node.place, f"{key} must be {self._words}, but it is empty")
        elif "{{" in node.value:
            reader.mistake(node.place, f"{key} is the same for every run, so it cannot have expressions")
        elif self._pattern is not None and not NAME.fullmatch(node.value):
            reader.mistake(
                node.place,
                f"{node.value!r} cannot be {self._words}; use letters, digits and underscores, and do not "
                f"begin with a digit",
            )
        return node.value if node.is_text else ""


class Flag(FieldType):
    """True or false."""

    def schema(self) -> JSONSchema:
        return {"type": "boolean"}

    def read(self, node: Node, reader: Reader, key: str) -> bool:
        if not isinstance(node.value, bool):
            reader.mistake(node.place, f"{key} must be true or false, not {node.kind}")
        return bool(node.value)


class Choice(FieldType):
    """One of some words."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def schema(self) -> JSONSchema:
        return {"enum": list(self.words)}

    def read(self, node: Node, reader: Reader, key: str) -> Any:
        if node.value not in self.words:
            hint = nearest(node.value, self.words) if node.is_text else ""
            reader.mistake(node.place, f"{key} is one of {', '.join(self.words)}{hint}")
        return node.value


class Names(FieldType):
    """A name, or a list of them."""

    def __init__(self, name: Text) -> None:
        self._name = name

    def schema(self) -> JSONSchema:
        one = self._name.schema()
        return {"anyOf": [one, {"type": "array", "items": one}]}

    def read(self, node: Node, reader: Reader, key: str) -> list[tuple[str, Place]]:
        nodes = node.value if node.is_list else [node]
        return [(self._name.read(one, reader, key), one.place) for one in nodes]


class Value(FieldType):
    """Any JSON, with expressions."""

    def schema(self) -> JSONSchema:
        return {}

    def read(self, node: Node, reader: Reader, key: str) -> Template:
        return reader.template(node)


class Message(FieldType):
    """Text with expressions."""

    def schema(self) -> JSONSchema:
        return {"type": "string"}

    def read(self, node: Node, reader: Reader, key: str) -> Template:
        if not node.is_text:
            reader.mistake(node.place, f"{key} must be text, not {node.kind}")
        return reader.template(node)


class Condition(FieldType):
    """An expression that is true or false."""

    def schema(self) -> JSONSchema:
        return {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": _EXPRESSION}]}

    def read(self, node: Node, reader: Reader, key: str) -> Template:
        template = reader.template(node)
        if isinstance(node.value, bool) or isinstance(template, Whole):
            return template
        if node.is_text and "{{" not in node.value:
            reader.mistake(node.place, f'{key} must be an expression; write "{{{{ {node.value} }}}}"')
        elif node.is_text:
            reader.mistake(node.place, f"{key} must be one expression, with nothing before or after it")
        else:
            reader.mistake(node.place, f'{key} must be an expression, "{{{{ … }}}}", not {node.kind}')
        return template


class Items(FieldType):
    """A list, or an expression whose value is one."""

    def schema(self) -> JSONSchema:
        return {"anyOf": [{"type": "array"}, {"type": "string", "pattern": _EXPRESSION}]}

    def read(self, node: Node, reader: Reader, key: str) -> Template:
        template = reader.template(node)
        if not (node.is_list or isinstance(template, Whole)):
            reader.mistake(
                node.place, f'{key} must be a list, or one expression, "{{{{ … }}}}", whose value is a list'
            )
        return template


class Duration(FieldType):
    """A duration; with expressions unless it is `fixed`. A `pause` may be negative."""

    def __init__(self, *, fixed: bool = False, pause: bool = False) -> None:
        self.fixed = fixed
        self.pause = pause

    def schema(self) -> JSONSchema:
        forms: list[JSONSchema] = [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": _DURATION},
        ]
        if self.pause:
            forms = [{"type": "number"}, {"type": "string", "pattern": _DURATION.replace("^", "^-?")}]
        if not self.fixed:
            forms.append({"type": "string", "pattern": _HAS_EXPRESSION})
        return {"anyOf": forms}

    def read(self, node: Node, reader: Reader, key: str) -> Template:
        if not self.fixed and node.is_text and "{{" in node.value:
            return reader.template(node)
        try:
            if node.value is None or node.is_list or node.is_object:
                raise ValueError(f"a duration is written like '10s', '45m' or '24h', not as {node.kind}")
            (pause if self.pause else nanoseconds)(node.value)
        except ValueError as error:
            reader.mistake(node.place, f"{key}: {error}")
        return Template(node.value, node.place)


class SDKDuration(FieldType):
    """A duration as in the SDK's options: milliseconds, or one number with one unit."""

    def schema(self) -> JSONSchema:
        text = {"type": "string", "pattern": f"^{LENGTH.pattern}$"}
        return {"anyOf": [{"type": "number", "minimum": 0}, text]}

    def read(self, node: Node, reader: Reader, key: str) -> Any:
        written = node.json()
        try:
            length_of(key, written)
        except ValueError as error:
            reader.mistake(node.place, str(error))
        return written


class Literal(FieldType):
    """Any JSON, without expressions."""

    def schema(self) -> JSONSchema:
        return {}

    def read(self, node: Node, reader: Reader, key: str) -> Any:
        reader.no_expressions(node, key)
        return node.json()


class JSONSchemaOf(FieldType):
    """A JSON Schema."""

    def schema(self) -> JSONSchema:
        return {"type": "object"}

    def read(self, node: Node, reader: Reader, key: str) -> Any:
        from output_mock.zod import SchemaError, from_json_schema

        if not node.is_object:
            reader.mistake(
                node.place, f"{key} must be a JSON Schema, such as {{type: object}}, not {node.kind}"
            )
            return None
        schema = node.json()
        try:
            from_json_schema(schema, where=key)
        except SchemaError as error:
            reader.mistake(_inside(node, error.path), str(error))
        return schema


def _inside(node: Node, path: Sequence[str | int]) -> Place:
    """The place that a path leads to, or the nearest one on the way."""
    place = node.place
    for step in path:
        if isinstance(node.value, dict) and step in node.value:
            _, node = node.value[step]
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            break
        place = node.place
    return place


class Map(FieldType):
    """An object with any names, and values of one kind."""

    def __init__(self, kind: FieldType, words: str) -> None:
        self.kind = kind
        self._words = words

    def schema(self) -> JSONSchema:
        return {"type": "object", "additionalProperties": self.kind.schema()}

    def read(self, node: Node, reader: Reader, key: str) -> dict[str, Any]:
        if not node.is_object:
            reader.mistake(node.place, f"{key} must be an object of {self._words}, not {node.kind}")
            return {}
        found = {}
        for name, place, value in node.items():
            if "{{" in name:
                reader.mistake(place, "a name cannot have expressions")
            found[name] = self.kind.read(value, reader, name)
        return found


class ListOf(FieldType):
    """A list with items of one kind; with `or_one`, also one item by itself."""

    def __init__(self, kind: FieldType, words: str, *, or_one: bool = False) -> None:
        self.kind = kind
        self._words = words
        self.or_one = or_one

    def schema(self) -> JSONSchema:
        one = self.kind.schema()
        several = {"type": "array", "items": one}
        return {"anyOf": [one, several]} if self.or_one else several

    def read(self, node: Node, reader: Reader, key: str) -> list[Any]:
        if not node.is_list:
            if self.or_one:
                return [self.kind.read(node, reader, key)]
            hint = "; begin each with a dash" if node.is_object else ""
            reader.mistake(node.place, f"{key} must be a list of {self._words}, not {node.kind}{hint}")
            return []
        return [self.kind.read(item, reader, key) for item in node.value]


class Key(NamedTuple):
    """A key of a shape."""

    kind: FieldType
    text: str
    required: bool = False
    # The names that expressions below it can use in addition to those around it.
    names: tuple[str, ...] = ()
    # Whether the results of steps below it are known only there.
    own_results: bool = False
    # Whether actions below it answer a message, and so cannot end the run.
    handler: bool = False


class ParsedMapping(Mapping[str, Any]):
    """The parsed values of an object of the file, by key, with their places."""

    def __init__(
        self, shape: ObjectType, place: Place, values: dict[str, Any], places: dict[str, Place]
    ) -> None:
        self.shape = shape
        self.place = place
        self._values = values
        self._places = places

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def place_of(self, key: str) -> Place:
        """Where the value of a key is written, or the whole object if the key is missing."""
        return self._places.get(key, self.place)


class ObjectType(FieldType):
    """An object with known keys.

    Takes its name, what it is in words, its keys, groups of keys of which it needs one, and groups of which
    it can have only one.
    """

    def __init__(
        self,
        name: str,
        words: str,
        text: str,
        keys: dict[str, Key],
        *,
        needs: Sequence[tuple[str, ...]] = (),
        excludes: Sequence[tuple[str, ...]] = (),
    ) -> None:
        self.name = name
        self.words = words
        self.text = text
        self.keys = keys
        self._needs = needs
        self._excludes = excludes

    def schema(self) -> JSONSchema:
        return {"$ref": f"#/$defs/{self.name}"}

    def definition(self) -> JSONSchema:
        """The definition to which `schema` refers."""
        schema: JSONSchema = {"description": self.text, "type": "object"}
        schema["properties"] = {
            name: {"description": key.text, **key.kind.schema()} for name, key in self.keys.items()
        }
        required = [name for name, key in self.keys.items() if key.required]
        if required:
            schema["required"] = required
        schema["additionalProperties"] = False
        rules: list[JSONSchema] = [
            {"anyOf": [{"required": [name]} for name in group]} for group in self._needs
        ]
        rules += [
            {"not": {"required": [one, other]}}
            for group in self._excludes
            for index, one in enumerate(group)
            for other in group[index + 1 :]
        ]
        if rules:
            schema["allOf"] = rules
        return schema

    def read(self, node: Node, reader: Reader, key: str) -> ParsedMapping:
        if not node.is_object:
            known = ", ".join(list(self.keys)[:4])
            what = "" if key == self.words else f" {self.words},"
            more = ", …" if len(self.keys) > 4 else ""
            reader.mistake(node.place, f"{key} is{what} an object with {known}{more}, not {node.kind}")
            return ParsedMapping(self, node.place, {}, {})
        values, places = {}, {}
        for name, place, value in node.items():
            entry = self.keys.get(name)
            if entry is None:
                reader.mistake(place, self._unknown(name))
                continue
            with reader.below(entry):
                values[name] = entry.kind.read(value, reader, name)
            places[name] = value.place
        for name, entry in self.keys.items():
            if entry.required and name not in node.value:
                reader.mistake(node.place, f"{self.words} needs `{name}:`")
        for group in self._needs:
            if not any(name in node.value for name in group):
                options = ", ".join(f"`{name}:`" for name in group[:-1])
                reader.mistake(node.place, f"{self.words} needs {options} or `{group[-1]}:`")
        for group in self._excludes:
            both = [name for name in group if name in node.value]
            if len(both) > 1:
                # The one that comes second.
                first, second = (name for name in node.value if name in both[:2])
                reader.mistake(
                    node.value[second][0], f"{self.words} cannot have both `{first}:` and `{second}:`"
                )
        return ParsedMapping(self, node.place, values, places)

    def _unknown(self, name: str) -> str:
        known = list(self.keys)
        hint = nearest(name, known) or f"; it can have {', '.join(known)}"
        return f"{self.words} has no key {name!r}{hint}"


class Options(ObjectType):
    """The options of steps, with the SDK's own names."""

    def _unknown(self, name: str) -> str:
        if name in ELSEWHERE:
            return f"{self.words} has no key {name!r}; {ELSEWHERE[name]}"
        return super()._unknown(name)

    def read(self, node: Node, reader: Reader, key: str) -> Any:
        before = len(reader.source.mistakes)
        super().read(node, reader, key)
        options = node.json()
        if len(reader.source.mistakes) == before:
            try:
                activity_options(options, where=key)
            except ValueError as error:
                reader.mistake(node.place, str(error))
        return options
