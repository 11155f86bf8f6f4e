"""A collection of scripted workflows, to be loaded into any number of fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from output_mock.engine.payloads import UNDEFINED
from output_mock.scripts.builder import WorkflowBuilder, calling_place
from output_mock.scripts.definition import JSONSchema

if TYPE_CHECKING:
    from output_mock.engine.world import World


class Scripted:
    """Something that workflows can be scripted on: a `Script`, an `OutputMock`."""

    def __init__(self) -> None:
        self._builders: dict[tuple[str | None, str], WorkflowBuilder] = {}
        self._first_runs: list[tuple[str, Any, str | None, str | None]] = []

    def workflow(
        self,
        name: str,
        *,
        catalog: str | None = None,
        description: str | None = None,
        input_schema: JSONSchema | None = None,
        output_schema: JSONSchema | None = None,
        aliases: Sequence[str] | None = None,
        options: Mapping[str, Any] | None = None,
        traced: bool | None = None,
        path: str | None = None,
    ) -> WorkflowBuilder:
        """Script a workflow: `.returns(…)`, `.fails(…)`, `.takes(…)`, `.when(…)`, or use it as a decorator.

        Takes what the catalog says about it: `description`, JSON schemas that input and output are held
        against, `aliases`, step `options` with the SDK's own names (`{"retry": {"maximumAttempts": 1}}`),
        whether it is `traced`, its `path`; and the `catalog` that offers it (default: the server's own).
        Called again with the same name, it goes on with the same workflow. Raises `ValueError` for names,
        schemas and options that cannot be, `TypeError` when used as a decorator without a name.
        """
        if callable(name):
            raise TypeError(
                f'a workflow has a name: write @….workflow("{getattr(name, "__name__", "name")}")'
            )
        builder = self._builders.get((catalog, name))
        if builder is None:
            builder = WorkflowBuilder(name, lambda one: self._changed(catalog, one), calling_place())
        given = {
            "description": description,
            "input_schema": input_schema,
            "output_schema": output_schema,
            "aliases": aliases,
            "options": options,
            "traced": traced,
            "path": path,
        }
        builder.configure({key: value for key, value in given.items() if value is not None})
        self._builders[(catalog, name)] = builder
        return builder

    @property
    def empty(self) -> bool:
        """Whether it says nothing at all."""
        return not (self._builders or self._first_runs)

    def _changed(self, catalog: str | None, builder: WorkflowBuilder) -> None:
        """A workflow was added, or its definition has changed."""

    def begin_with(
        self,
        name: str,
        input: Any = UNDEFINED,
        *,
        workflow_id: str | None = None,
        catalog: str | None = None,
    ) -> None:
        """Have a run of this workflow that is there from the beginning, before the first request."""
        self._first_runs.append((name, input, workflow_id, catalog))

    def load_into(self, world: World) -> None:
        """Offer these workflows in a world."""
        self._offer(world, (world.default_catalog,))

    def _offer(self, world: World, catalogs: Sequence[str]) -> None:
        for (catalog, _), builder in self._builders.items():
            for name in catalogs if catalog is None else (catalog,):
                world.catalog(name).add(builder.definition)
        for name, input, workflow_id, catalog in self._first_runs:
            world.start(name, input, workflow_id=workflow_id, catalog=catalog)


class Script(Scripted):
    """Workflows, and the catalogs that offer them.

    With `catalogs`, every workflow that names no catalog of its own is offered in each of those; without,
    in the server's own. `namespace` is the Temporal namespace that histories name.
    """

    def __init__(self, *, catalogs: Sequence[str] = (), namespace: str | None = None) -> None:
        super().__init__()
        self.catalogs = tuple(catalogs)
        self.namespace = namespace
        self._workers: dict[str, bool] = {}

    @property
    def empty(self) -> bool:
        """Whether it says nothing at all."""
        return super().empty and not (self.catalogs or self._workers)

    def add_catalog(self, name: str, *, worker: bool = True) -> None:
        """Have a catalog of that name, also an empty one; without `worker`, its worker is gone."""
        self._workers[name] = worker

    def load_into(self, world: World) -> None:
        """Offer these workflows in a world, in the catalogs that they belong to."""
        if self.namespace is not None:
            world.namespace = self.namespace
        for name in self.catalogs:
            world.catalog(name)
        self._offer(world, self.catalogs or (world.default_catalog,))
        for name, worker in self._workers.items():
            world.catalog(name).set_worker(worker)
