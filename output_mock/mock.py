"""`OutputMock`: a fake of the Output API, with its scripts, its clock and what it has seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from output_mock.durations import Duration, nanoseconds
from output_mock.engine import results
from output_mock.engine.clock import Clock, Mode
from output_mock.engine.errors import ScriptError, WorkflowNotFoundError
from output_mock.engine.payloads import UNDEFINED, plain
from output_mock.engine.run import Run
from output_mock.engine.world import World
from output_mock.http import pages
from output_mock.http.app import Call, OutputApp
from output_mock.scripts.builder import WorkflowBuilder, calling_place
from output_mock.scripts.definition import CatalogDefinition
from output_mock.scripts.script import FirstRun, Scripted

if TYPE_CHECKING:
    from os import PathLike


class RunView:
    """A run as a test looks at it. Looking does not move the clock."""

    def __init__(self, run: Run, world: World) -> None:
        self._run = run
        self._world = world

    @property
    def workflow_id(self) -> str:
        """The workflow id that the run belongs to."""
        return self._run.workflow_id

    @property
    def run_id(self) -> str:
        """The run's own id."""
        return self._run.run_id

    @property
    def workflow(self) -> str:
        """The name of the workflow."""
        return self._run.info.workflow_type

    @property
    def status(self) -> str:
        """`running`, `completed`, `failed`, `cancelled`, `terminated`, `timed_out` or `continued_as_new`."""
        return self._run.status

    @property
    def input(self) -> Any:
        """What the run was started with; None when nothing was sent."""
        return results.given_input(self._run).get("input")

    @property
    def output(self) -> Any:
        """What the run returned; None while it runs, and when it did not complete."""
        return plain(self._run.result)

    @property
    def error(self) -> dict[str, Any] | None:
        """How the run failed, as `/result` says it."""
        return None if self._run.failure is None else results.error(self._run.failure)

    @property
    def history(self) -> list[dict[str, Any]]:
        """All events so far, as `/history` shows them with payloads."""
        with self._world.clock.lock:
            return pages.events(self._run, 0, len(self._run.history.batches), include_payloads=True)

    def __repr__(self) -> str:
        return f"<run {self.run_id} of {self.workflow_id!r} ({self.workflow}): {self.status}>"


class Runs(Mapping[str, RunView]):
    """Runs by workflow id: `runs["my-id"]` is the latest run of that id."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getitem__(self, workflow_id: str) -> RunView:
        try:
            run = self._world.find(workflow_id)
        except WorkflowNotFoundError:
            raise KeyError(workflow_id) from None
        if isinstance(run.definition, CatalogDefinition):
            raise KeyError(workflow_id)
        return RunView(run, self._world)

    def __iter__(self) -> Iterator[str]:
        return iter(self._world.workflow_ids())

    def __len__(self) -> int:
        return len(self._world.workflow_ids())


class OutputMock(Scripted):
    """A whole fake.

    Takes the clock's mode (`auto`: nobody waits; `manual`: time moves when told; `real`: the wall), the
    `seed` of every id, the name of the `catalog` that it serves by default, the `auth_token` that requests
    must bring, the run's `execution_timeout`, how long `/workflow/run` waits by default (`max_waiting`), the
    longest long poll (`history_max_waiting`), where a virtual clock starts, and `scripts` to load.
    """

    def __init__(
        self,
        clock: Mode = "auto",
        seed: int = 0,
        *,
        catalog: str = "main",
        auth_token: str | None = None,
        execution_timeout: Duration = "24h",
        max_waiting: Duration = "5m",
        history_max_waiting: Duration = "15s",
        start: datetime | None = None,
        scripts: Sequence[Scripted | str | PathLike[str]] = (),
    ) -> None:
        super().__init__()
        self.world = World(
            clock=clock,
            start=start,
            seed=seed,
            catalog=catalog,
            execution_timeout=nanoseconds(execution_timeout),
            max_waiting=nanoseconds(max_waiting),
            history_max_waiting=nanoseconds(history_max_waiting),
        )
        self.app = OutputApp(self.world, auth_token=auth_token)
        self.world.catalog()
        for script in scripts:
            self.load(script)

    def load(self, script: Scripted | str | PathLike[str]) -> None:
        """Offer the workflows of a `Script`, or of a Python or YAML file that holds some.

        Raises `ScriptFileError` for a file that cannot be loaded.
        """
        if not isinstance(script, Scripted):
            from output_mock.scripts.loading import load_file

            for found in load_file(script):
                self.load(found)
        else:
            script.load_into(self.world)

    def add_catalog(self, name: str, *, worker: bool = True) -> None:
        """Have another catalog; without `worker`, its worker is gone and nothing that it does moves."""
        self.world.catalog(name).set_worker(worker)

    def _changed(self, catalog: str | None, builder: WorkflowBuilder) -> None:
        self.world.catalog(catalog).add(builder.definition)

    def begin_with(
        self,
        name: str,
        input: Any = UNDEFINED,
        *,
        workflow_id: str | None = None,
        catalog: str | None = None,
    ) -> None:
        """Start a run without a request. Raises `ValueError` when there is no such workflow."""
        FirstRun(name, input, workflow_id, catalog, calling_place()).start(self.world)

    @property
    def clock(self) -> Clock:
        """The world's clock: `now()`, `advance("1h")`, `mode`."""
        return self.world.clock

    @property
    def runs(self) -> Runs:
        """Every run that was started."""
        return Runs(self.world)

    @property
    def script_errors(self) -> list[ScriptError]:
        """What was wrong with the scripts themselves, in the order in which it showed."""
        return list(self.world.script_errors)

    def calls(self, method: str | None = None, path: str | None = None) -> list[Call]:
        """The requests that were answered, oldest first; all, or those of a method and a path."""
        return [
            call
            for call in self.app.calls
            if (method is None or call.method == method.upper()) and (path is None or call.path == path)
        ]

    @contextmanager
    def serve(self, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
        """Serve on a real socket while the block runs, and yield the URL. Port 0 takes a free one."""
        from output_mock.server import Server

        server = Server(self.app, host, port)
        thread = threading.Thread(target=server.run, name="output-mock-server", daemon=True)
        thread.start()
        try:
            yield server.url
        finally:
            server.close()
            thread.join()

    def close(self) -> None:
        """Let go of the clock and of everybody who waits."""
        self.world.close()
