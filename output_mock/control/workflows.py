"""The workflows of a world: reading, adding, replacing and removing them, and the catalogs that offer them.

Scripts come in the language of YAML files, as JSON or as the text of a file. Python never comes over HTTP.
"""

from __future__ import annotations

import re
from typing import Any

from output_mock.contract.iso_time import iso
from output_mock.contract.schemas import DURATION, JsonSchema, fields, flag, many, or_null, ref, shape, text
from output_mock.control.operation import (
    ANYTHING,
    TIME,
    ControlOperation,
    ControlRequest,
    ControlResponse,
    duration,
)
from output_mock.control.problems import Conflict, InvalidRequest, InvalidScript, NotFound
from output_mock.engine.catalog import Catalog
from output_mock.engine.world import World
from output_mock.scripts.definition import WorkflowDefinition
from output_mock.scripts.file_error import ScriptFileError
from output_mock.scripts.script import Script, Scripted, ServingWorld, replace

# How many workflows and catalogs a world may have.
MOST_WORKFLOWS = 2000
MOST_CATALOGS = 100
CATALOG_NAME = "^[A-Za-z0-9_.@-]{1,64}$"

_WORKFLOW: JsonSchema = {
    "name": text(),
    "catalogs": many(text(), description="The catalogs that offer it."),
    "aliases": many(text()),
    "description": or_null(text()),
    "inputSchema": ANYTHING,
    "outputSchema": ANYTHING,
    "language": text("The language of its script.", enum=["python", "yaml"]),
}
SCHEMAS = {
    "Workflow": shape(_WORKFLOW, about="A workflow that clients can start."),
    "WorkflowInFull": shape(
        {**_WORKFLOW, "script": ANYTHING},
        about="A workflow with its script, in the language of YAML files; null if the script is in Python.",
    ),
    "Catalog": shape(
        {
            "name": text(),
            "worker": flag("Whether its worker is up. Without a worker, its runs do not continue."),
            "workerReturns": or_null(TIME),
            "workflows": many(text()),
        },
        about="A catalog, and whether its worker is up.",
    ),
}


# What there is


def _offered(world: World) -> dict[str, tuple[list[str], WorkflowDefinition]]:
    """The workflows by name: the catalogs that offer each, and its definition in the first of them."""
    found: dict[str, tuple[list[str], WorkflowDefinition]] = {}
    for catalog in world.catalogs.values():
        for name, definition in catalog.workflows.items():
            found.setdefault(name, ([], definition))[0].append(catalog.name)
    return found


def _written(definition: WorkflowDefinition) -> Any:
    """The script in the form of a YAML file; None for Python."""
    return getattr(getattr(definition.script, "__self__", None), "written", None)


def _described(definition: WorkflowDefinition, catalogs: list[str]) -> dict[str, Any]:
    return {
        "name": definition.name,
        "catalogs": catalogs,
        "aliases": list(definition.aliases),
        "description": definition.description,
        "inputSchema": definition.input_json_schema,
        "outputSchema": definition.output_json_schema,
        "language": "python" if _written(definition) is None else "yaml",
    }


def _in_full(world: World, name: str) -> dict[str, Any]:
    """A workflow with its script. Raises `NotFound`."""
    catalogs, definition = _the(world, name)
    return {**_described(definition, catalogs), "script": _written(definition)}


def _listing(world: World) -> ControlResponse:
    with world.clock.lock:
        found = _offered(world)
        return ControlResponse(
            200, {"workflows": [_described(definition, catalogs) for catalogs, definition in found.values()]}
        )


def list_workflows(request: ControlRequest) -> ControlResponse:
    """List the workflows."""
    return _listing(request.entry.world)


def show(request: ControlRequest) -> ControlResponse:
    """One workflow with its script."""
    world = request.entry.world
    with world.clock.lock:
        return ControlResponse(200, _in_full(world, request.path["name"]))


def _the(world: World, name: str) -> tuple[list[str], WorkflowDefinition]:
    found = _offered(world)
    if name not in found:
        raise NotFound.named("workflow", name, list(found), listed="workflows")
    return found[name]


# Adding and taking away


def _read(request: ControlRequest) -> Script:
    """The script that the body is. Raises `InvalidScript`."""
    from output_mock.scripts.yaml import document

    try:
        if request.yaml is not None:
            return document.read(request.yaml, "the body")
        return document.read_json(request.body)
    except ScriptFileError as error:
        raise InvalidScript.of(error.mistakes) from None


def _check(world: World, script: Script, *, kept: bool) -> None:
    """Raise unless all children exist, and there is room."""
    known = set(script.mentions().called)
    number = len(script.names)
    if kept:
        with world.clock.lock:
            known |= {name for catalog in world.catalogs.values() for name in catalog.names}
            number += len(_offered(world))
    loose = script.mentions().loose_ends(known)
    if loose:
        raise InvalidScript.of(loose)
    if number > MOST_WORKFLOWS:
        raise Conflict(f"a world has at most {MOST_WORKFLOWS} workflows")
    with world.clock.lock:
        if len({*world.catalogs, *_catalogs(script)}) > MOST_CATALOGS:
            raise Conflict(f"a world has at most {MOST_CATALOGS} catalogs")


def _catalogs(script: Script) -> set[str]:
    named = {catalog for catalog, _ in script._builders if catalog is not None}
    return named | set(script.catalogs) | script.away


def add(request: ControlRequest) -> ControlResponse:
    """Add the workflows of the body."""
    world, script = request.entry.world, _read(request)
    _check(world, script, kept=True)
    with world.clock.lock:
        taken = [name for name in script.names if name in _offered(world)]
        if taken:
            raise Conflict(
                f"workflow {taken[0]!r} exists already; replace it with PUT /workflows/{taken[0]}, or "
                "all with PUT /workflows"
            )
        _offer(world, [], script)
    return ControlResponse(201, _listing(world).value)


def replace_all(request: ControlRequest) -> ControlResponse:
    """Replace all workflows with those of the body."""
    world, script = request.entry.world, _read(request)
    _check(world, script, kept=False)
    _offer(world, [_Everything()], script)
    return _listing(world)


def put(request: ControlRequest) -> ControlResponse:
    """Add one workflow, or replace the one of its name."""
    world, name = request.entry.world, request.path["name"]
    script = _read_one(request, name)
    _check(world, script, kept=True)
    with world.clock.lock:
        new = name not in _offered(world)
        _offer(world, [], script)
        return ControlResponse(201 if new else 200, _in_full(world, name))


def _read_one(request: ControlRequest, name: str) -> Script:
    from output_mock.scripts.yaml import document

    try:
        if request.yaml is not None:
            script = document.read_one(request.yaml, "the body")
        else:
            script = document.read_json({"workflows": [{"name": name, **request.body}]}, below="/workflows/0")
    except ScriptFileError as error:
        raise InvalidScript.of(error.mistakes) from None
    if script.names != [name]:
        raise InvalidRequest(f"the path says {name!r}, and the body scripts {script.names[0]!r}")
    return script


def _offer(world: World, old: list[Scripted], script: Script) -> None:
    for definition in script.all_definitions:
        definition.brought = True
    try:
        replace(world, old, [script])
        for run in script._first_runs:
            run.start(world)
    except ValueError as error:
        raise Conflict(str(error)) from None


class _Everything(Scripted):
    """All workflows of a world."""

    def withdraw_from(self, world: ServingWorld) -> None:
        for catalog in world.catalogs.values():
            for name in list(catalog.workflows):
                catalog.withhold(name)


def remove(request: ControlRequest) -> ControlResponse:
    """Remove a workflow."""
    world, name, catalog = request.entry.world, request.path["name"], request.query.get("catalog")
    with world.clock.lock:
        catalogs, _ = _the(world, name)
        if catalog is not None and catalog not in catalogs:
            raise NotFound.named(f"workflow {name!r} in a catalog", catalog, catalogs, listed="catalogs")
        for one in catalogs if catalog is None else [catalog]:
            world.catalogs[one].withhold(name)
    return ControlResponse(204, None)


# Catalogs


def _shown(catalog: Catalog) -> dict[str, Any]:
    return {
        "name": catalog.name,
        "worker": catalog.worker,
        "workerReturns": None if catalog.returns is None else iso(catalog.returns),
        "workflows": list(catalog.workflows),
    }


def list_catalogs(request: ControlRequest) -> ControlResponse:
    """All catalogs."""
    world = request.entry.world
    with world.clock.lock:
        return ControlResponse(200, {"catalogs": [_shown(catalog) for catalog in world.catalogs.values()]})


def put_catalog(request: ControlRequest) -> ControlResponse:
    """Add a catalog, and let its worker come or go."""
    world, name, body = request.entry.world, request.path["name"], request.body or {}
    if not re.fullmatch(CATALOG_NAME, name):
        raise InvalidRequest(f"{name[:100]!r} is not a valid catalog name; use letters, digits and _ . @ -")
    away = duration(body.get("awayFor", 0))
    if away and body.get("worker", False):
        raise InvalidRequest(
            "with 'awayFor' the worker is away, so 'worker' cannot be true; leave out one of them"
        )
    with world.clock.lock:
        new = name not in world.catalogs
        if new and len(world.catalogs) >= MOST_CATALOGS:
            raise Conflict(f"a world has at most {MOST_CATALOGS} catalogs")
        catalog = world.catalog(name)
        if away:
            catalog.send_worker_away(away)
        elif "worker" in body:
            catalog.set_worker(body["worker"])
        world.clock.run_due()
        return ControlResponse(201 if new else 200, _shown(catalog))


_FILE: JsonSchema = {
    "type": "object",
    "description": "The content of a YAML file, as JSON. `output-mock schema` prints its JSON Schema.",
    "x-script": "file",
    "required": ["workflows"],
    "properties": {"workflows": {"type": "array", "items": {"type": "object"}}},
}
_ONE: JsonSchema = {
    "type": "object",
    "description": "The workflow as in a YAML file, as JSON. `name` may be left out.",
    "x-script": "workflow",
}
_CATALOG = {"catalog": text("Only in this catalog. Default: in all.", maxLength=64)}
_ALL = shape({"workflows": many(ref("Workflow"))})
OPERATIONS = [
    ControlOperation(
        "listWorkflows", "GET", "/workflows", "List the workflows.", list_workflows, {200: _ALL}
    ),
    ControlOperation(
        "addWorkflows",
        "POST",
        "/workflows",
        "Add workflows. 409 if one of them exists already.",
        add,
        {201: _ALL},
        errors=(409,),
        body=_FILE,
        yaml=True,
    ),
    ControlOperation(
        "replaceWorkflows",
        "PUT",
        "/workflows",
        "Replace all workflows. Open runs continue with the script that they started with.",
        replace_all,
        {200: _ALL},
        errors=(409,),
        body=_FILE,
        yaml=True,
    ),
    ControlOperation(
        "getWorkflow",
        "GET",
        "/workflows/{name}",
        "Show a workflow and its script.",
        show,
        {200: ref("WorkflowInFull")},
        errors=(404,),
    ),
    ControlOperation(
        "putWorkflow",
        "PUT",
        "/workflows/{name}",
        "Add or replace a workflow.",
        put,
        {200: ref("WorkflowInFull"), 201: ref("WorkflowInFull")},
        errors=(409,),
        body=_ONE,
        yaml=True,
    ),
    ControlOperation(
        "removeWorkflow",
        "DELETE",
        "/workflows/{name}",
        "Remove a workflow. Its runs continue.",
        remove,
        {204: None},
        errors=(404,),
        query=_CATALOG,
    ),
    ControlOperation(
        "listCatalogs",
        "GET",
        "/catalogs",
        "List the catalogs, and whether their workers are up.",
        list_catalogs,
        {200: shape({"catalogs": many(ref("Catalog"))})},
    ),
    ControlOperation(
        "putCatalog",
        "PUT",
        "/catalogs/{name}",
        "Add a catalog, or let its worker come, go, or go away for some time on the clock.",
        put_catalog,
        {200: ref("Catalog"), 201: ref("Catalog")},
        errors=(409,),
        body=fields({"worker": flag("Whether there is a worker."), "awayFor": DURATION}),
        body_required=False,
    ),
]
