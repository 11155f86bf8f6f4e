"""Workflows in a file: YAML scripts as you wrote them, Python scripts by name.

A file never holds Python. The reader finds a Python workflow by its name in the scripts of the command
line. If it is missing there, its runs wait for it (`Run.unplayable`).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from output_mock.engine.world import World
from output_mock.scripts.definition import CatalogDefinition, WorkflowDefinition
from output_mock.scripts.file_error import ScriptFileError
from output_mock.scripts.parts import parts_of
from output_mock.sdk.errors import ScriptError
from output_mock.state.checked import Unreadable, below, fields, flag, maybe, text, whole


class Definitions:
    """The workflows in a file, each with its own number."""

    def __init__(self) -> None:
        self._last = 0
        self._keys: weakref.WeakKeyDictionary[WorkflowDefinition, int] = weakref.WeakKeyDictionary()
        # An unchanged workflow may have several numbers.
        self._found: dict[int, weakref.WeakSet[WorkflowDefinition]] = {}
        # The scripted sequences of answers found so far, by workflow and place.
        self._parts: dict[object, tuple[int, int] | None] = {}

    def key_of(self, definition: WorkflowDefinition) -> int:
        """The number of a workflow. All workflows that hold catalogs have the number 0."""
        if isinstance(definition, CatalogDefinition):
            return 0
        key = self._keys.get(definition)
        if key is None:
            key = self._last + 1
            self.add(definition, key)
        return key

    def add(self, definition: WorkflowDefinition, key: int) -> None:
        """Add a workflow that is already in the file."""
        self._keys.setdefault(definition, key)
        self._found.setdefault(key, weakref.WeakSet()).add(definition)
        self._parts = {}
        self._last = max(self._last, key)

    def __iter__(self) -> Iterator[tuple[int, WorkflowDefinition]]:
        """The workflows still in use."""
        return iter([(key, one) for key, found in list(self._found.items()) for one in list(found)])

    def part_of(self, whose: object) -> tuple[int, int] | None:
        """For a scripted sequence of answers: the number of its workflow, and its part of it.

        None if its workflow is no longer in use.
        """
        if whose not in self._parts:
            self._parts = {
                part.whose: (key, number)
                for key, definition in self
                for number, part in enumerate(parts_of(definition))
            }
            self._parts.setdefault(whose, None)
        return self._parts[whose]


def written_of(definition: WorkflowDefinition) -> Any:
    """The YAML or JSON text of a workflow; None for Python."""
    return getattr(getattr(definition.script, "__self__", None), "written", None)


def definition_json(definition: WorkflowDefinition) -> dict[str, Any]:
    """A workflow."""
    return {
        "name": definition.name,
        "script": written_of(definition),
        "place": definition.place,
        "brought": definition.brought,
    }


_DEFINITION = {"name": text, "script": maybe(lambda given: given), "place": text, "brought": flag}


class Missing(WorkflowDefinition):
    """A workflow that a file names but that no script offers any more."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__("missing", self._play)
        self.name = name
        self.path: str = f"/app/dist/workflows/{name}/workflow.js"
        self.why = why

    async def _play(self, ctx: Any, given: Any) -> NoReturn:
        raise ScriptError(self.why)


class DefinitionsAgain:
    """The workflows of a file, restored for a world that is made like `like`.

    Takes what `definition_json` has written, by number. `missing` has the workflows that no longer exist.
    """

    def __init__(self, given: Mapping[int, Any], like: World) -> None:
        self._like = like
        self.missing: dict[str, Missing] = {}
        self._by_key: dict[int, WorkflowDefinition] = {}
        # Each requested workflow, with its number.
        self.used: set[tuple[int, WorkflowDefinition]] = set()
        self._catalog = CatalogDefinition(dict)
        for key, one in given.items():
            with below(key):
                self._by_key[key] = self._definition(one)

    def __call__(self, key: Any, catalog: str) -> WorkflowDefinition:
        """The workflow with this number, in this catalog."""
        if whole(key) == 0:
            return self._catalog
        found = self._by_key.get(key)
        if found is None:
            raise Unreadable(f"there is no workflow {key}")
        if written_of(found) is None:
            # Other catalogs may offer a different workflow of this name.
            found = self._served(found.name, None, catalog) or found
        self.used.add((key, found))
        return found

    def part(self, key: Any, catalog: str, number: int) -> object | None:
        """A scripted sequence of answers; None if the script has changed."""
        parts = list(parts_of(self(key, catalog)))
        return parts[number].whose if number < len(parts) else None

    def _served(self, name: str, script: Any, catalog: str | None = None) -> WorkflowDefinition | None:
        """The workflow from the scripts of the command line, in this catalog or any other."""
        for one in self._like.catalogs.values():
            served = one.workflows.get(name)
            if served is not None and written_of(served) == script and catalog in (None, one.name):
                return served
        return None

    def _definition(self, given: Any) -> WorkflowDefinition:
        read = fields(given, _DEFINITION)
        name, script = read["name"], read["script"]
        served = self._served(name, script)
        if served is not None:
            return served
        if script is None:
            return self._missing(name)
        return _scripted(name, script, read["place"], read["brought"])

    def _missing(self, name: str) -> Missing:
        if name not in self.missing:
            self.missing[name] = Missing(
                name, f"no script offers the workflow {name!r} any more; name its script when you serve"
            )
        return self.missing[name]


def _scripted(name: str, script: Any, place: str, brought: bool) -> WorkflowDefinition:
    from output_mock.scripts.yaml import document

    try:
        found = document.read_json({"workflows": [script]}, below="/workflows/0").all_definitions
    except ScriptFileError as error:
        raise Unreadable(f"the script of workflow {name!r}: {error}") from None
    if not found or found[0].name != name:
        raise Unreadable(f"the script of workflow {name!r} is of another one")
    definition = found[0]
    definition.place, definition.brought = place, brought
    return definition
