"""Reads a file by the rules of the language, and notes everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from output_mock.places import Place
from output_mock.scripts.yaml.expressions import InvalidExpression, Reference, expression, parts
from output_mock.scripts.yaml.source import Node, Source, shortened
from output_mock.scripts.yaml.templates import Listed, Mapped, Mixed, Template, Whole
from output_mock.suggestions import Suggestions

_EVERYWHERE = ("input", "state", "steps", "signals", "run")
_RUN = ("workflow_id", "run_id", "workflow_name", "catalog", "start_time")
# Where the names are known that are not known everywhere.
_ONLY = {
    "payload": "under queries, signals and updates",
    "before": "in an update's `returns:` and `fails:`",
    "item": "in the `do:` of a for_each",
    "index": "in the `do:` of a for_each",
    "error": "in the `catch:` of a try",
    "state": "once the run has begun, not in `state:` itself",
    "steps": "once the run has begun",
    "signals": "once the run has begun",
}


class Results:
    """The names of the results that are known in a part of a workflow."""

    def __init__(self, around: Results | None = None) -> None:
        self._around = around
        self._names: set[str] = set()

    def add(self, name: str) -> None:
        self._names.add(name)

    def __contains__(self, name: str) -> bool:
        return name in self._names or (self._around is not None and name in self._around)

    def names(self) -> set[str]:
        """These names, and those of the parts around."""
        return self._names if self._around is None else self._names | self._around.names()


class _Used(NamedTuple):
    reference: Reference
    text: str
    place: Place
    results: Results


class Scope(Protocol):
    """The names that expressions below a key can use; see `kinds.Key`."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def own_results(self) -> bool: ...
    @property
    def handler(self) -> bool: ...


class Said(Protocol):
    """What an object of the file says, key by key, and where; see `kinds.ParsedMapping`."""

    place: Place

    def __contains__(self, key: object, /) -> bool: ...
    def __getitem__(self, key: str, /) -> Any: ...
    def get(self, key: str, /) -> Any: ...
    def place_of(self, key: str) -> Place: ...


class Reader:
    """Reads a file: where it is, and which names of the workflow are known there."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.children: list[tuple[str, Place]] = []
        self._names: tuple[str, ...] = ()
        self.in_handler: bool = False
        self._suggestions = Suggestions()
        self._begin_workflow()

    def mistake(self, place: Place, message: str) -> None:
        """Note that something is wrong."""
        self.source.mistake(place, message)

    def _begin_workflow(self) -> None:
        self._results = Results()
        self._used: list[_Used] = []
        self._set: list[tuple[str, Place]] = []
        self._waited: set[str] = set()

    @contextmanager
    def workflow(self) -> Iterator[None]:
        """Read one workflow. Its expressions can use its own steps, state and signals."""
        self._begin_workflow()
        self._names = _EVERYWHERE
        try:
            yield
        finally:
            self._names = ()

    @contextmanager
    def below(self, scope: Scope) -> Iterator[None]:
        """Read the value of a key."""
        names, results, in_handler = self._names, self._results, self.in_handler
        self._names = scope.names[1:] if scope.names[:1] == ("only",) else (*names, *scope.names)
        if scope.own_results:
            self._results = Results(results)
        self.in_handler = in_handler or scope.handler
        try:
            yield
        finally:
            self._names, self._results, self.in_handler = names, results, in_handler

    # What is found on the way

    def acted(self, keyword: str, said: Said) -> None:
        """Note an action that was read."""
        if keyword in ("step", "evaluate", "child") and "as" not in said and keyword in said:
            self._results.add(said[keyword])
        if "as" in said:
            self._results.add(said["as"])
        if keyword == "child" and said.get("child"):
            self.children.append((said["child"], said.place_of("child")))
        if keyword == "wait_for_signal" and "wait_for_signal" in said:
            self._waited.add(said["wait_for_signal"])
        if keyword in ("return", "continue_as_new") and self.in_handler:
            self.mistake(
                said.place, f"`{keyword}:` ends a run, which a handler of a signal, query or update cannot do"
            )

    def has_set(self, name: str, place: Place) -> None:
        """Note a name that `set:` sets."""
        self._set.append((name, place))

    def template(self, node: Node) -> Template:
        """A value with its expressions compiled."""
        if node.is_text:
            return self._text(node)
        if node.is_list:
            items = [self.template(item) for item in node.value]
            if all(item.is_constant for item in items):
                return Template(node.json(), node.place)
            return Listed(items, node.place)
        if node.is_object:
            fields = {}
            for name, place, value in node.items():
                if "{{" in name:
                    self.mistake(place, "a name cannot have expressions")
                fields[name] = self.template(value)
            if all(field.is_constant for field in fields.values()):
                return Template(node.json(), node.place)
            return Mapped(fields, node.place)
        return Template(node.value, node.place)

    @property
    def known_names(self) -> tuple[str, ...]:
        """The names that expressions may use here."""
        return self._names

    def no_expressions(self, node: Node, key: str) -> None:
        """Note a mistake if there are expressions where none are allowed."""
        if node.is_text and "{{" in node.value:
            self.mistake(node.place, f"{key} is used as it is written, so it cannot have expressions")
        elif node.is_list:
            for item in node.value:
                self.no_expressions(item, key)
        elif node.is_object:
            for _, _, value in node.items():
                self.no_expressions(value, key)

    def _text(self, node: Node) -> Template:
        text: str = node.value
        if "{%" in text or "{#" in text:
            sign = "{%" if "{%" in text else "{#"
            self.mistake(
                self.source.place_of(sign, node),
                f"{sign} … blocks are not supported, only {{{{ … }}}}; to write {sign} itself, use {{{{ "
                f"'{sign}' }}}}",
            )
        if "{{" not in text:
            return Template(text, node.place)
        found: list[str | Whole] = []
        seen: dict[str, Iterator[Place]] = {}
        try:
            for part, is_expression, _ in parts(text):
                if not is_expression:
                    found.append(part)
                    continue
                written = f"{{{{{part}}}}}"
                places = seen.setdefault(written, self.source.places_of(written, node))
                whole = self._expression(part, next(places))
                if whole is not None:
                    found.append(whole)
        except InvalidExpression as fault:
            self.mistake(node.place, str(fault))
            return Template(text, node.place)
        texts = [part for part in found if isinstance(part, str) and part.strip()]
        expressions = [part for part in found if isinstance(part, Whole)]
        if len(expressions) == 1 and not texts:
            return expressions[0]
        return Mixed(found, node.place)

    def _expression(self, text: str, place: Place) -> Whole | None:
        shown = f"{{{{ {shortened(text)} }}}}"
        try:
            compiled = expression(text)
        except InvalidExpression as fault:
            self.mistake(place, f"{shown}: {fault}")
            return None
        for reference in sorted(compiled.references, key=str):
            if reference.root not in self._names:
                where = _ONLY.get(reference.root, "in a workflow")
                self.mistake(place, f"{shown}: {reference.root} is only known {where}")
            else:
                self._used.append(_Used(reference, shown, place, self._results))
        return Whole(compiled, place)

    # What can be told once a workflow has been read

    def finish(self, said: Said) -> None:
        """Check that the names that the expressions of a workflow use exist."""
        state = dict.fromkeys(said.get("state") or ())
        signals = {*self._waited, *(said.get("signals") or ())}
        fields = _closed(said.get("input_schema"))
        nearest, listed = self._suggestions.nearest, self._suggestions.listed
        for used in self._used:
            root, entry = used.reference
            if entry is None:
                continue
            if root == "state" and entry not in state:
                hint = nearest(entry, state) or "; give it a first value under `state:`"
                self.mistake(used.place, f"{used.text}: there is no state {entry!r}{hint}")
            elif root == "steps" and entry not in used.results:
                hint = listed("; the steps are", entry, used.results.names())
                self.mistake(used.place, f"{used.text}: no step here is named {entry!r}{hint}")
            elif root == "signals" and entry not in signals:
                hint = listed("; the signals are", entry, signals)
                self.mistake(used.place, f"{used.text}: nothing here receives a signal {entry!r}{hint}")
            elif root == "run" and entry not in _RUN:
                hint = nearest(entry, _RUN) or f"; it has {', '.join(_RUN)}"
                self.mistake(used.place, f"{used.text}: run has no {entry!r}{hint}")
            elif root == "input" and fields is not None and entry not in fields:
                hint = listed("; it has", entry, fields)
                self.mistake(used.place, f"{used.text}: the input_schema has no {entry!r}{hint}")
        for name, place in self._set:
            if name not in state:
                hint = nearest(name, state) or "; give it a first value under `state:`"
                self.mistake(place, f"there is no state {name!r}{hint}")


def _closed(schema: object) -> Collection[str] | None:
    """The only names that an input can have, if a schema says so (zod strips all others)."""
    if not isinstance(schema, dict) or schema.get("type") != "object" or "properties" not in schema:
        return None
    open_words = {"patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if", "dependentSchemas"}
    open_words |= {"propertyNames", "unevaluatedProperties"}
    if schema.keys() & open_words or schema.get("additionalProperties") not in (None, False):
        return None
    return {*schema["properties"], *schema.get("required", ())}
