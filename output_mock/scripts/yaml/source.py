"""YAML as JSON values that know where they are written.

Reads only what JSON has: no tags, no merge keys, no dates. Where YAML 1.1, which PyYAML
reads, and YAML 1.2 and JSON, which most people and editors have in mind, would read a word differently, it
is refused.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat
from typing import Any

import yaml

from output_mock.places import Mistake, Place

# Far more than anybody writes by hand, and read within a few seconds.
LONGEST_FILE = 1_000_000
MOST_NODES = 50_000
DEEPEST = 60

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_YES = frozenset({"yes", "on"})
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
# Numbers in JSON and in YAML 1.2, text in YAML 1.1.
_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")
_TAG = "tag:yaml.org,2002:"
# The parser of libyaml, with which PyYAML is built nearly everywhere. It is ten times as fast.
_FAST_LOADER: Any = getattr(yaml, "CSafeLoader", None)
# Where libyaml accepts what PyYAML's own parser refuses, or counts characters differently.
_READ_DIFFERENTLY = re.compile(r"[\t\ufeff?]|[|>][-+0-9]*#|:\s+[,}\]]")


class Node:
    """A value of the file: a JSON scalar, a list of nodes, or an object of fields."""

    __slots__ = ("place", "span", "value")

    def __init__(self, value: Any, place: Place, span: tuple[int, int]) -> None:
        # For an object: a dict of name → (place of the name, node).
        self.value: Any = value
        self.place: Place = place
        # Where in the text it begins and ends.
        self.span: tuple[int, int] = span

    @property
    def is_object(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list)

    @property
    def is_text(self) -> bool:
        return isinstance(self.value, str)

    @property
    def kind(self) -> str:
        """What it is, in words: `a list`, `the number 5`."""
        value = self.value
        if isinstance(value, dict):
            return "an object"
        if isinstance(value, list):
            return "a list"
        if value is None:
            return "nothing"
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, (int, float)):
            return f"the number {value}"
        return f"the text {shortened(value)!r}"

    def items(self) -> Iterator[tuple[str, Place, Node]]:
        """The fields of an object: name, the place of the name, value."""
        for name, (place, node) in self.value.items():
            yield name, place, node

    def json(self) -> Any:
        """The value as plain JSON."""
        if isinstance(self.value, dict):
            return {name: node.json() for name, (_, node) in self.value.items()}
        if isinstance(self.value, list):
            return [node.json() for node in self.value]
        return self.value


def shortened(text: str, length: int = 60) -> str:
    """The first `length` characters of a text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[:length]}…"


class Source:
    """The text of a YAML file, and the mistakes that were found in it.

    `root` is its value, or None when it could not be read.
    """

    def __init__(self, text: str, file: str) -> None:
        self.text: str = text.removeprefix("\ufeff")
        self.file = file
        # How each line begins, to find the line of a character quickly.
        self._lines = [0, *(found.end() for found in re.finditer("\n", self.text))]
        self._begin()
        self.root: Node | None = self._read()

    def _begin(self) -> None:
        self.mistakes: list[Mistake] = []
        self._known: set[tuple[Place, str]] = set()
        self._nodes = 0
        self._anchors: dict[str, Node | None] = {}

    def mistake(self, place: Place, message: str) -> None:
        """Note that something is wrong at a place. The same mistake is noted once."""
        if (place, message) not in self._known:
            self._known.add((place, message))
            self.mistakes.append(Mistake(place.file, message, place.line, place.column))

    def place_of(self, part: str, node: Node) -> Place:
        """The first place of the text `part` in a scalar."""
        return next(self.places_of(part, node))

    def places_of(self, part: str, node: Node) -> Iterator[Place]:
        """The places of the text `part` in a scalar, one after the other, without end.

        Text with escapes, or over several lines, has the place of the scalar.
        """
        begin, end = node.span
        index = self.text.find(part, begin, end)
        while index >= 0:
            line = bisect_right(self._lines, index)
            yield Place(self.file, line, index - self._lines[line - 1] + 1)
            index = self.text.find(part, index + 1, end)
        yield from repeat(node.place)

    def _place(self, mark: Any) -> Place:
        return Place(self.file, mark.line + 1, mark.column + 1)

    def _read(self) -> Node | None:
        if len(self.text) > LONGEST_FILE:
            self.mistake(Place(self.file, 1, 1), f"the file has more than {LONGEST_FILE} characters")
            return None
        try:
            return self._parsed()
        except _TooMuch as problem:
            self.mistake(problem.place, str(problem))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(self.file, 1, 1) if mark is None else self._place(mark)
            self.mistake(place, self._in_words(error, place.line))
        except yaml.reader.ReaderError as error:
            line = self.text.count("\n", 0, error.position) + 1
            column = error.position - (self.text.rfind("\n", 0, error.position) + 1) + 1
            code = error.character if isinstance(error.character, int) else ord(error.character)
            self.mistake(
                Place(self.file, line, column),
                f"the character U+{code:04X} cannot be in a YAML file; "
                f'write it as an escape: "\\u{code:04x}"',
            )
        return None

    def _parsed(self) -> Node | None:
        if _FAST_LOADER is not None and not _READ_DIFFERENTLY.search(self.text):
            with suppress(yaml.YAMLError, UnicodeEncodeError):
                root = self._document(_FAST_LOADER(self.text))
                if root is not None and root.value is not None and not self.mistakes:
                    return root
            # What is wrong has the same words and place everywhere.
            self._begin()
        return self._document(yaml.SafeLoader(self.text))

    def _document(self, loader: Any) -> Node | None:
        loader.get_event()
        event = loader.get_event()
        if isinstance(event, yaml.StreamEndEvent):
            self.mistake(Place(self.file, 1, 1), "the file is empty; begin it with `workflows:`")
            return None
        root = self._node(loader, 1)
        loader.get_event()
        event = loader.get_event()
        if not isinstance(event, yaml.StreamEndEvent):
            self.mistake(self._place(event.start_mark), "a file must be one document; remove this `---`")
        return root

    def _node(self, loader: Any, depth: int) -> Node:
        event: Any = loader.get_event()
        place = self._place(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), place, depth)
        self._count(1, depth, place)
        begin = event.start_mark.index
        if event.tag is not None:
            self.mistake(place, f"tags such as {_tag(event.tag)} are not supported; remove it")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(loader, event, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not loader.check_event(yaml.SequenceEndEvent):
                items.append(self._node(loader, depth + 1))
            node = Node(items, place, (begin, loader.get_event().end_mark.index))
        else:
            fields = self._fields(loader, depth)
            node = Node(fields, place, (begin, loader.get_event().end_mark.index))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, name: str, place: Place, depth: int) -> Node:
        if name not in self._anchors:
            raise _TooMuch(place, f"*{name} refers to nothing; there is no &{name} above it")
        node = self._anchors[name]
        if node is None:
            raise _TooMuch(place, f"*{name} repeats itself without end")
        # Repetitions count as if they were written out, so that a small file cannot hold a huge value.
        self._repeat(node, place, depth)
        return node

    def _repeat(self, node: Node, place: Place, depth: int) -> None:
        self._count(1, depth, place)
        if isinstance(node.value, dict):
            for _, inner in node.value.values():
                self._repeat(inner, place, depth + 1)
        elif isinstance(node.value, list):
            for inner in node.value:
                self._repeat(inner, place, depth + 1)

    def _count(self, nodes: int, depth: int, place: Place) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            raise _TooMuch(place, f"the file holds more than {MOST_NODES} values")
        if depth > DEEPEST:
            raise _TooMuch(place, f"values are nested more than {DEEPEST} deep")

    def _fields(self, loader: Any, depth: int) -> dict[str, tuple[Place, Node]]:
        fields: dict[str, tuple[Place, Node]] = {}
        while not loader.check_event(yaml.MappingEndEvent):
            name, place = self._key(loader, depth)
            node = self._node(loader, depth + 1)
            if name is None:
                continue
            if name in fields:
                line = fields[name][0].line
                self.mistake(place, f"{name!r} is given twice; the first time in line {line}")
                continue
            fields[name] = (place, node)
        return fields

    def _key(self, loader: Any, depth: int) -> tuple[str | None, Place]:
        event = loader.peek_event()
        place = self._place(event.start_mark)
        if not isinstance(event, yaml.ScalarEvent):
            node = self._node(loader, depth + 1)
            if node.is_object and self.text.startswith("{{", node.span[0] - 1):
                place = place._replace(column=place.column - 1)
                self.mistake(place, 'YAML takes {{ … }} for an object; put it in quotes: "{{ … }}"')
            else:
                self.mistake(place, f"a name must be text, not {node.kind}")
            return None, place
        loader.get_event()
        self._count(1, depth, place)
        value: str = event.value
        if event.tag is not None:
            self.mistake(place, f"tags such as {_tag(event.tag)} are not supported; remove it")
        if not event.implicit[0]:
            return value, place
        tag = loader.resolve(yaml.ScalarNode, value, event.implicit).removeprefix(_TAG)
        if tag == "bool" and value not in _BOOLEANS:
            self.mistake(
                place,
                f"YAML 1.1 reads {value} as {_truth(value)}, and YAML 1.2 as text; "
                f'put it in quotes: "{value}"',
            )
            return None, place
        if tag == "merge":
            self.mistake(place, "merge keys (<<) are not supported; write out what they stand for")
            return None, place
        if tag == "null":
            self.mistake(place, f'a name must be text; put it in quotes: "{value}"')
            return None, place
        return value, place

    def _scalar(self, loader: Any, event: Any, place: Place) -> Node:
        span = (event.start_mark.index, event.end_mark.index)
        value: str = event.value
        if not event.implicit[0]:
            return Node(value, place, span)
        tag = loader.resolve(yaml.ScalarNode, value, event.implicit).removeprefix(_TAG)
        if tag == "null":
            return Node(None, place, span)
        if tag == "bool":
            if value not in _BOOLEANS:
                self.mistake(
                    place,
                    f"YAML 1.1 reads {value} as {_truth(value)}, and YAML 1.2 as text; "
                    f'write {_truth(value)}, or put it in quotes: "{value}"',
                )
            return Node(_BOOLEANS.get(value, value), place, span)
        if tag == "int":
            return Node(self._number(value, place, _INTEGER, int), place, span)
        if tag == "float":
            return Node(self._number(value, place, _FLOAT, float), place, span)
        if _EXPONENT.fullmatch(value):
            number = float(value)
            if number in (float("inf"), float("-inf")):
                return Node(self._number(value, place, _EXPONENT, float), place, span)
            # A number with an exponent needs a point, too.
            written = re.sub(r"^(-?[0-9]+)e", r"\1.0e", repr(number))
            self.mistake(
                place,
                f"YAML 1.1 reads {value} as text, and YAML 1.2 as a number; "
                f'write {written}, or put it in quotes: "{value}"',
            )
        return Node(value, place, span)

    def _number(self, text: str, place: Place, written: re.Pattern[str], make: Any) -> Any:
        if written.fullmatch(text):
            if len(text) > 300:
                self.mistake(place, "the number is too long")
                return 0
            number = make(text)
            if number not in (float("inf"), float("-inf")):
                return number
        if re.search("inf|nan", text, re.IGNORECASE) or written.fullmatch(text):
            self.mistake(
                place, f'{text} is not a number that JSON can express; as text, put it in quotes: "{text}"'
            )
        else:
            self.mistake(
                place,
                f"YAML 1.1 reads {text} as another number than it looks like; "
                f'write it with digits only, or put it in quotes: "{text}"',
            )
        return 0

    def _in_words(self, error: yaml.MarkedYAMLError, line: int) -> str:
        problem = error.problem or "this is not YAML"
        hint = ""
        lines = self.text.splitlines()
        written = lines[line - 1] if line <= len(lines) else ""
        before = lines[line - 2] if 2 <= line <= len(lines) + 1 else ""
        if "\\t" in problem or "\t" in written[: len(written) - len(written.lstrip())]:
            hint = "; indent with spaces, not with tabs"
        elif re.search(r":\s+\{\{|-\s+\{\{", written) or re.search(r":\s+\{\{|-\s+\{\{", before):
            hint = '; put text with {{ … }} in quotes: "{{ … }}"'
        elif "mapping values are not allowed" in problem:
            hint = "; is the indentation right, or does the text before it need quotes?"
        elif "expected <block end>" in problem or "could not find expected ':'" in problem:
            hint = "; is the indentation right, and is there a colon and a space after every name?"
        elif "cannot start any token" in problem:
            hint = "; put the text in quotes"
        elif "unexpected end of stream" in problem:
            hint = "; a quote is missing"
        context = ""
        if error.context and error.context_mark is not None and error.context_mark.line + 1 != line:
            context = f" ({error.context}, which begins in line {error.context_mark.line + 1})"
        return f"this is not valid YAML: {problem}{context}{hint}"


class _TooMuch(Exception):
    """Reading cannot go on."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


def _tag(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag


def _truth(word: str) -> str:
    return "true" if word.lower() in _YES else "false"
