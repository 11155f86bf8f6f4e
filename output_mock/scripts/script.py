"""A collection of scripted workflows, to be loaded into any number of fakes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from output_mock.callbacks.scripted import ScriptedAnswer
from output_mock.callbacks.sending import Callbacks
from output_mock.contract.errors import CatalogNotAvailableError, UnsupportedWorkflowError
from output_mock.contract.versions import Deployment
from output_mock.javascript_json import UNDEFINED
from output_mock.places import Mistake, Place
from output_mock.scripts.builder import WorkflowBuilder, calling_place
from output_mock.scripts.definition import JSONSchema, WorkflowDefinition
from output_mock.suggestions import Suggestions, listed


class ServingCatalog(Protocol):
    """What scripts need of a catalog that offers them."""

    @property
    def name(self) -> str: ...
    @property
    def workflows(self) -> dict[str, WorkflowDefinition]: ...
    @property
    def names(self) -> Mapping[str, str]: ...
    def add(self, definition: WorkflowDefinition) -> None: ...
    def remove(self, name: str) -> None: ...
    def withhold(self, name: str) -> None: ...
    def set_worker(self, present: bool) -> None: ...


class ServingClock(Protocol):
    """The clock of such a world, which has the world's lock."""

    @property
    def lock(self) -> AbstractContextManager[Any]: ...


class ServingWorld(Protocol):
    """What scripts need of a world that loads them."""

    namespace: str

    @property
    def clock(self) -> ServingClock: ...
    @property
    def catalogs(self) -> Mapping[str, ServingCatalog]: ...
    @property
    def default_catalog(self) -> str: ...
    @property
    def deployment(self) -> Deployment: ...
    @property
    def callbacks(self) -> Callbacks: ...
    def catalog(self, name: str | None = None) -> ServingCatalog: ...
    def known_catalog(self, name: str | None) -> ServingCatalog: ...
    def start(
        self,
        workflow_name: str,
        input: Any = UNDEFINED,
        *,
        workflow_id: str | None = None,
        catalog: str | None = None,
    ) -> object: ...


class FirstRun(NamedTuple):
    """A run that exists from the beginning, and where that is written."""

    name: str
    input: Any
    workflow_id: str | None
    catalog: str | None
    place: str

    def start(self, world: ServingWorld) -> None:
        """Start it. Raises `ValueError`, which lists the workflows, if there is no such workflow."""
        try:
            world.start(self.name, self.input, workflow_id=self.workflow_id, catalog=self.catalog)
        except CatalogNotAvailableError:
            there = listed("; the catalogs are", self.catalog or "", list(world.catalogs))
            raise ValueError(
                f"begin_with: there is no catalog {self.catalog!r}{there} ({self.place})"
            ) from None
        except UnsupportedWorkflowError as refusal:
            queue = world.known_catalog(self.catalog)
            if world.deployment.finds_no_workflow:
                raise ValueError(
                    f"begin_with: {self.name!r} cannot start: {refusal.unmatched_reason} ({self.place})"
                ) from None
            there = listed("; it has", self.name, list(queue.names))
            raise ValueError(
                f"begin_with: there is no workflow {self.name!r} in catalog {queue.name!r}{there} "
                f"({self.place})"
            ) from None


class Mentions(NamedTuple):
    """The workflows that a script mentions, as far as its text shows them."""

    # The names and aliases of its own workflows.
    called: set[str]
    # The names that it uses, for what, and where.
    used: Sequence[tuple[str, str, Place]] = ()

    def loose_ends(self, known: Collection[str]) -> list[Mistake]:
        """The names that it uses and that are unknown."""
        suggestions = Suggestions()
        return [
            Mistake(
                place.file,
                f"there is no workflow {name!r} {what}{suggestions.listed('; there are', name, known)}",
                place.line,
                place.column,
            )
            for name, what, place in self.used
            if name not in known
        ]


class Scripted:
    """Something on which you can script workflows: a `Script` or an `OutputMock`."""

    # Whether a workflow may be scripted once and not again.
    _once = False

    def __init__(self) -> None:
        self._builders: dict[tuple[str | None, str], WorkflowBuilder] = {}
        self._first_runs: list[FirstRun] = []

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
        """Script a workflow: with `.returns(…)`, `.fails(…)`, `.takes(…)`, `.when(…)`, or as a decorator.

        Takes what the catalog says about it: `description`, JSON schemas for input and output, `aliases`,
        step `options` with the SDK's own names (`{"retry": {"maximumAttempts": 1}}`), whether it is
        `traced`, its `path`; and the `catalog` that offers it (default: the server's own). Called again with
        the same name, it continues with the same workflow. On an `OutputMock`, it can also extend a loaded
        workflow, which is then used for inputs that you give no answer for here. Raises `ValueError` for
        invalid names, schemas and options, and `TypeError` when used as a decorator without a name.
        """
        if callable(name):
            raise TypeError(
                f'a workflow needs a name: write @….workflow("{getattr(name, "__name__", "name")}")'
            )
        builder = self._builders.get((catalog, name))
        if builder is None:
            builder = WorkflowBuilder(
                name,
                lambda one: self._changed(catalog, one),
                calling_place(),
                once=self._once,
                below=self._offered(catalog, name),
            )
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
        """Whether there is nothing in it."""
        return not (self._builders or self._first_runs)

    def _offered(self, catalog: str | None, name: str) -> WorkflowDefinition | None:
        """The workflow of this name that was loaded."""
        return None

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
        """Start a run of this workflow at the very beginning, before the first request."""
        self._first_runs.append(FirstRun(name, input, workflow_id, catalog, calling_place()))

    def load_into(self, world: ServingWorld) -> None:
        """Offer these workflows in a world, and start the runs that exist from the beginning.

        Raises `ValueError` for a name that belongs to another workflow, and for a first run of an unknown
        workflow.
        """
        self.offer_in(world)
        for run in self._first_runs:
            run.start(world)

    def offer_in(self, world: ServingWorld) -> None:
        """Offer these workflows in a world. Raises `ValueError` for a name that belongs to another one."""
        for (catalog, _), builder in self._builders.items():
            for name in self._catalogs(world) if catalog is None else (catalog,):
                world.catalog(name).add(builder.definition)

    def withdraw_from(self, world: ServingWorld) -> None:
        """Stop offering these workflows. Their runs continue."""
        own = {id(builder.definition) for builder in self._builders.values()}
        for catalog in world.catalogs.values():
            for name, definition in list(catalog.workflows.items()):
                if id(definition) in own:
                    catalog.remove(name)

    @property
    def callback_answers(self) -> list[ScriptedAnswer]:
        """The answers to requests that its workflows send."""
        return []

    @property
    def away(self) -> set[str]:
        """The catalogs whose worker is gone."""
        return set()

    def set_workers(self, world: ServingWorld) -> None:
        """Let the workers of catalogs come or go, as the script says."""

    def definitions(self, catalog: str) -> list[WorkflowDefinition]:
        """The workflows for a catalog of this name.

        Workflows that name another catalog are included only if none here names this one: a script can be
        offered under any name.
        """
        named = {name for name, _ in self._builders}
        return [
            builder.definition
            for (name, _), builder in self._builders.items()
            if name in (None, catalog) or catalog not in named
        ]

    def first_runs(self, catalog: str) -> list[FirstRun]:
        """The runs with which a catalog of this name begins."""
        return [run for run in self._first_runs if run.catalog in (None, catalog)]

    def _catalogs(self, world: ServingWorld) -> Sequence[str]:
        """The catalogs that offer workflows which name no catalog."""
        return (world.default_catalog,)

    @property
    def names(self) -> list[str]:
        """The names of the workflows, each once, in the order in which they were scripted."""
        return list(dict.fromkeys(name for _, name in self._builders))

    @property
    def all_definitions(self) -> list[WorkflowDefinition]:
        """The workflows, once for each catalog that they name."""
        return [builder.definition for builder in self._builders.values()]

    def mentions(self) -> Mentions:
        """The workflows that it mentions. A function may mention others, which cannot be found."""
        return Mentions({name for one in self.all_definitions for name in (one.name, *one.aliases)})


def replace(world: ServingWorld, old: Sequence[Scripted], new: Sequence[Scripted]) -> None:
    """Offer `new` in a world instead of `old`.

    Open runs continue as they began. Raises `ValueError` for a name that belongs to another workflow, and
    then changes nothing.
    """
    with world.clock.lock:
        before = {name: dict(catalog.workflows) for name, catalog in world.catalogs.items()}
        try:
            for script in old:
                script.withdraw_from(world)
            for script in new:
                script.offer_in(world)
        except ValueError:
            for name, catalog in world.catalogs.items():
                for workflow in list(catalog.workflows):
                    catalog.remove(workflow)
                for definition in before.get(name, {}).values():
                    catalog.add(definition)
            raise
        away = {name for script in new for name in script.away}
        for name in {name for script in old for name in script.away} - away:
            world.catalog(name).set_worker(True)
        for script in new:
            script.set_workers(world)


class Script(Scripted):
    """Workflows for a server or for several fakes, and the catalogs that offer them.

    A workflow that names no catalog is offered in all `catalogs`, or without these in the server's own
    catalog. `namespace` is the Temporal namespace in histories.
    """

    _once = True

    def __init__(self, *, catalogs: Sequence[str] = (), namespace: str | None = None) -> None:
        super().__init__()
        self.catalogs: tuple[str, ...] = tuple(catalogs)
        self.namespace = namespace
        self._workers: dict[str, bool] = {}

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return super().empty and not (self.catalogs or self._workers)

    def add_catalog(self, name: str, *, worker: bool = True) -> None:
        """Add a catalog, which may be empty. With `worker=False` its worker is away."""
        self._workers[name] = worker

    def load_into(self, world: ServingWorld) -> None:
        """Offer these workflows in a world, in the catalogs that they belong to; see `Scripted.load_into`."""
        super().load_into(world)
        # First runs begin before the worker goes away.
        self.set_workers(world)

    def offer_in(self, world: ServingWorld) -> None:
        """Offer these workflows in a world. Raises `ValueError` for a name that belongs to another one."""
        if self.namespace is not None:
            world.namespace = self.namespace
        for name in self.catalogs:
            world.catalog(name)
        super().offer_in(world)

    def _catalogs(self, world: ServingWorld) -> Sequence[str]:
        return self.catalogs or (world.default_catalog,)

    @property
    def away(self) -> set[str]:
        """The catalogs whose worker is gone."""
        return {name for name, worker in self._workers.items() if not worker}

    def set_workers(self, world: ServingWorld) -> None:
        """Let the workers of catalogs come or go, as the script says."""
        for name, worker in self._workers.items():
            world.catalog(name).set_worker(worker)
