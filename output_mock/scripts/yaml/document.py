"""YAML files as scripts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from output_mock.callbacks.scripted import ScriptedAnswer
from output_mock.javascript_json import UNDEFINED
from output_mock.places import Mistake
from output_mock.scripts.file_error import ScriptFileError
from output_mock.scripts.script import FirstRun, Mentions, Script, ServingWorld
from output_mock.scripts.yaml.interpreter import PlayedWorkflow
from output_mock.scripts.yaml.json_source import JSONSource
from output_mock.scripts.yaml.kinds import ParsedMapping
from output_mock.scripts.yaml.language import FILE
from output_mock.scripts.yaml.reader import Reader
from output_mock.scripts.yaml.source import Node, Source
from output_mock.scripts.yaml.templates import Template


class YAMLScript(Script):
    """What a YAML file scripts."""

    def __init__(
        self,
        catalogs: Iterable[str],
        namespace: str | None,
        mentions: Mentions,
        callbacks: Iterable[ScriptedAnswer] = (),
    ) -> None:
        super().__init__(catalogs=tuple(catalogs), namespace=namespace)
        self._mentions = mentions
        self._callbacks = list(callbacks)

    def offer_in(self, world: ServingWorld) -> None:
        super().offer_in(world)
        for answer in self.callback_answers:
            world.callbacks.add(answer)

    @property
    def callback_answers(self) -> list[ScriptedAnswer]:
        # Each world counts what it has answered by itself.
        return [answer.copy() for answer in self._callbacks]

    def withdraw_from(self, world: ServingWorld) -> None:
        super().withdraw_from(world)
        places = {answer.place for answer in self._callbacks}
        for answer in world.callbacks.scripted:
            if answer.place in places:
                world.callbacks.remove(answer)

    def mentions(self) -> Mentions:
        return self._mentions


def load(path: Path) -> YAMLScript:
    """Load a YAML file. Raises `ScriptFileError` with everything that is wrong with it."""
    return decoded(path.read_bytes(), str(path))


def decoded(data: bytes, file: str) -> YAMLScript:
    """Read the bytes of a YAML file; `file` is its name in messages. Raises `ScriptFileError`."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScriptFileError.of([Mistake(file, "the file is not UTF-8, as YAML must be", line)]) from None
    return read(text, file)


def read(text: str, file: str) -> YAMLScript:
    """Read the text of a YAML file; `file` is its name in messages. Raises `ScriptFileError`."""
    return _script(Source(text, file))


def read_one(text: str, file: str) -> YAMLScript:
    """Read one workflow: YAML text as in a file's `workflows:`. Raises `ScriptFileError`."""
    source = Source(text, file)
    root = source.root
    if root is not None and not (root.is_object and "workflows" in root.value):
        only = Node([root], root.place, root.span)
        source.root = Node({"workflows": (root.place, only)}, root.place, root.span)
    return _script(source)


def read_json(value: Any, *, below: str = "") -> YAMLScript:
    """Read JSON with the structure of a YAML file. Raises `ScriptFileError`, whose mistakes name JSON
    pointers, from the value `below` on, instead of a file.
    """
    return _script(JSONSource(value, below))


def _script(source: Source) -> YAMLScript:
    if source.root is None:
        raise ScriptFileError.of(source.mistakes)
    reader = Reader(source)
    said = FILE.read(source.root, reader, "the file")
    workflows: list[ParsedMapping] = said.get("workflows") or []
    if "workflows" in said and not workflows and not source.mistakes:
        reader.mistake(said.place_of("workflows"), "there is no workflow; add one with `- name: hello`")
    catalogs = [name for name, _ in said.get("catalogs") or ()]
    _check_names(workflows, catalogs, reader)
    first_runs: list[ParsedMapping] = said.get("begin_with") or []
    mentions = _mentions(workflows, first_runs, reader)
    if source.mistakes:
        raise ScriptFileError.of(sorted(source.mistakes, key=lambda one: (one.line, one.column)), mentions)
    script = YAMLScript(catalogs, said.get("namespace"), mentions, said.get("callbacks") or ())
    written = source.root.value["workflows"][1].value
    for workflow, node in zip(workflows, written, strict=True):
        _add(script, workflow, node.json())
    for name, _ in said.get("worker_down") or ():
        script.add_catalog(name, worker=False)
    for first in first_runs:
        place = first.place_of("workflow")
        script._first_runs.append(
            FirstRun(
                first["workflow"],
                first.get("input", UNDEFINED),
                first.get("workflow_id"),
                first.get("catalog"),
                str(place),
            )
        )
    return script


def _mentions(workflows: list[ParsedMapping], first_runs: list[ParsedMapping], reader: Reader) -> Mentions:
    called = {workflow.get("name", "") for workflow in workflows}
    called |= {alias for workflow in workflows for alias, _ in workflow.get("aliases") or ()}
    used = [(name, "to run as a child", place) for name, place in reader.children]
    used += [
        (run["workflow"], "to begin with", run.place_of("workflow"))
        for run in first_runs
        if "workflow" in run
    ]
    return Mentions(called, used)


def _check_names(workflows: list[ParsedMapping], catalogs: list[str], reader: Reader) -> None:
    """Each name and alias names one workflow of a catalog."""
    taken: dict[tuple[str | None, str], tuple[str, int]] = {}
    for workflow in workflows:
        names = [(workflow["name"], workflow.place_of("name"))] if workflow.get("name") else []
        names += [(name, place) for name, place in workflow.get("aliases") or () if name]
        own = [name for name, _ in workflow.get("catalogs") or ()]
        for name, place in dict(names).items():
            for catalog in own or catalogs or [None]:
                other = taken.setdefault((catalog, name), (workflow.get("name", ""), place.line))
                if other[1] != place.line or other[0] != workflow.get("name", ""):
                    reader.mistake(
                        place, f"{name!r} already names the workflow {other[0]!r}, in line {other[1]}"
                    )
                    break


def _add(script: YAMLScript, said: ParsedMapping, written: Any) -> None:
    played = PlayedWorkflow(said, written)
    settings = {
        key: said[key]
        for key in ("description", "input_schema", "output_schema", "options", "traced", "path")
        if key in said
    }
    aliases = [name for name, _ in said.get("aliases") or ()]
    for catalog in [name for name, _ in said.get("catalogs") or ()] or [None]:
        builder = script.workflow(played.name, catalog=catalog, aliases=aliases, **settings)
        builder.place = str(played.place)
        builder.configure({}, played.play)
        for coming in said.get("receives") or ():
            after: Template = coming["after"]
            payload = coming.get("payload", UNDEFINED)
            builder.receives_at(str(coming.place), coming["signal"], payload, after.value({}))
