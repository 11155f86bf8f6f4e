"""The signals, queries, updates and steps of scripted workflows, found by running them in a fake in this
process.

Neither a script nor a catalog lists the signals, queries, updates and steps of a workflow; a run shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from output_mock.comparing.drawing import drawn
from output_mock.comparing.values import allowed_by
from output_mock.contract.errors import OutputError
from output_mock.mock import OutputMock, RunView

if TYPE_CHECKING:
    from output_mock.engine.run import Run
    from output_mock.scripts.script import Scripted

# How many inputs of each workflow are tried, and how long each run is watched, in seconds.
_INPUTS = 8
_WATCHED = (0, 1, 60, 3600)
_METADATA = "__temporal_workflow_metadata"
_HANDLED = {"queries": "queryDefinitions", "signals": "signalDefinitions", "updates": "updateDefinitions"}


@dataclass(eq=False)
class Workflow:
    """A workflow that can be started, and the names that its runs know."""

    name: str
    input_schema: Mapping[str, Any] | None = None
    steps: set[str] = field(default_factory=set)
    signals: set[str] = field(default_factory=set)
    queries: set[str] = field(default_factory=set)
    updates: set[str] = field(default_factory=set)


def rehearsed(scripts: Sequence[Scripted]) -> list[Workflow]:
    """The workflows of these scripts in the server's own catalog, in their order."""
    mock = OutputMock("manual", scripts=scripts)
    mock.world.patience = 0.0
    offered = list(mock.world.catalog().workflows.values())
    found = {one.name: Workflow(one.name, one.input_json_schema) for one in offered}
    for number, workflow in enumerate(found.values()):
        for given in drawn(allowed_by(workflow.input_schema), number, _INPUTS):
            _rehearse(mock, workflow.name, given, found)
    mock.close()
    return list(found.values())


def _rehearse(mock: OutputMock, name: str, given: Any, found: Mapping[str, Workflow]) -> None:
    before = {run.run_id for run in _runs(mock)}
    with suppress(OutputError, ValueError):
        workflow_id = mock.world.start(name, given).workflow_id
        for seconds in _WATCHED:
            mock.clock.advance(seconds)
            new = [run for run in _runs(mock) if run.run_id not in before]
            _look(mock, new, found)
            for run in new:
                for signal in sorted(found[run.info.workflow_type].signals):
                    with suppress(OutputError):
                        mock.world.signal(run.workflow_id, signal, {})
        mock.world.stop(workflow_id)
        mock.clock.advance(_WATCHED[-1])
        _look(mock, [run for run in _runs(mock) if run.run_id not in before], found)
        mock.world.terminate(workflow_id)


def _runs(mock: OutputMock) -> list[Run]:
    return [run for run in mock.world.list_runs(limit=1000) if run.info.workflow_type != "$catalog"]


def _look(mock: OutputMock, runs: Iterable[Run], found: Mapping[str, Workflow]) -> None:
    for run in runs:
        workflow = found.get(run.info.workflow_type)
        if workflow is None:
            continue
        workflow.steps |= set(_steps(RunView(run).history))
        if run.instance is not None and run.running:
            workflow.signals |= {name for name, _ in run.instance.awaited_signals()}
        with suppress(OutputError):
            told = mock.world.query(run.workflow_id, _METADATA)["definition"]
            for kind, key in _HANDLED.items():
                names = {one["name"] for one in told[key]}
                getattr(workflow, kind).update(name for name in names if not name.startswith("__"))


def _steps(history: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for event in history:
        kind = event.get("activityTaskScheduledEventAttributes", {}).get("activityType", {}).get("name", "")
        workflow, _, step = kind.partition("#")
        if step and workflow != "__internal":
            yield step
