"""The workflows of a catalog, by their names and aliases."""

from __future__ import annotations

from typing import Any

from output_mock.scripts.definition import WorkflowDefinition
from output_mock.suggestions import listed


class CatalogContents:
    """The workflows of a catalog, by their names and aliases."""

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.workflows: dict[str, WorkflowDefinition] = {}
        self.names: dict[str, str] = {}

    def add(self, definition: WorkflowDefinition) -> None:
        """Offer a workflow; it replaces an earlier one of the same name.

        Raises `ValueError` when its name or an alias belongs to another workflow of this catalog.
        """
        old = self.workflows.get(definition.name)
        others = {
            name: real
            for name, real in self.names.items()
            if real != definition.name or (old is None and name != definition.name)
        }
        for name in (definition.name, *definition.aliases):
            if name in others:
                raise ValueError(
                    f"workflow {definition.name!r}: {name!r} already names workflow {others[name]!r} "
                    f"of catalog {self.name!r}"
                )
        self.workflows[definition.name] = definition
        self.names = {name: one.name for one in self.workflows.values() for name in (one.name, *one.aliases)}

    def remove(self, name: str) -> None:
        """Stop offering a workflow. Its runs continue."""
        del self.workflows[name]
        self.names = {alias: real for alias, real in self.names.items() if real != name}

    def child(self, name: str) -> str:
        """The workflow that a parent runs as a child. Raises `LookupError`, which lists the workflows."""
        resolved = self.names.get(name)
        if resolved is None:
            there = listed("; it has", name, self.names)
            raise LookupError(
                f"there is no workflow {name!r} in catalog {self.name!r} to run as a child{there}"
            )
        return resolved

    def as_json(self) -> dict[str, Any]:
        """The catalog as `/workflow/catalog` shows it (routing)."""
        return {
            "workflows": [definition.as_catalog_entry() for definition in self.workflows.values()],
            "workflowNames": dict(self.names),
        }
