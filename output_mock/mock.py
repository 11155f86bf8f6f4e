"""`OutputMock`: the fake as users see it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from os import PathLike
from typing import Any

from output_mock import expected as expectations
from output_mock.callbacks.sending import Callbacks
from output_mock.contract.closed_runs import error as error_of
from output_mock.contract.errors import WorkflowNotFoundError
from output_mock.contract.versions import deployment
from output_mock.durations import Duration, nanoseconds
from output_mock.engine.clock import Clock, Mode
from output_mock.engine.errors import Ending
from output_mock.engine.kept_runs import KeptRuns
from output_mock.engine.progress import progress
from output_mock.engine.run import Run
from output_mock.engine.trace_storage import Traces
from output_mock.engine.watchdog import checked_limit
from output_mock.engine.world import World
from output_mock.expected import Expected
from output_mock.http import pages, results
from output_mock.http.app import OutputApp
from output_mock.http.faults import Fault, Faults, Loss
from output_mock.http.journal import Calls, check_method, check_route
from output_mock.http.older_view import view_of
from output_mock.javascript_json import UNDEFINED, null_if_undefined
from output_mock.scripts.builder import WorkflowBuilder, calling_place
from output_mock.scripts.definition import CatalogDefinition, WorkflowDefinition
from output_mock.scripts.script import FirstRun, Scripted
from output_mock.sdk.errors import ScriptError
from output_mock.unused import UnusedScript, find_unused


class RunView:
    """A run, for tests to look at. Looking does not move the clock."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._world = run.world

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
        """The input of the run; None if none was sent."""
        return results.given_input(self._run).get("input")

    @property
    def output(self) -> Any:
        """What the run returned; None while it runs, and if it did not complete."""
        return null_if_undefined(self._run.result)

    @property
    def error(self) -> dict[str, Any] | None:
        """How the run failed, as `/result` of the newest server shows it."""
        return None if self._run.failure is None else error_of(self._run.failure)

    @property
    def history(self) -> list[dict[str, Any]]:
        """All events so far, as `/history` shows them with payloads."""
        with self._world.clock.lock:
            return pages.events(self._run, view_of(self._world.deployment), include_payloads=True)

    @property
    def trace(self) -> dict[str, Any] | None:
        """The tree of what it did so far, as in its trace; None if it has none.

        For a child, this is its own part; traces in files and in S3 are those of its root.
        """
        from output_mock.traces.tree import trace_tree

        with self._world.clock.lock:
            memo = self._run.memo
            return None if memo is None or memo.trace_info is None else trace_tree(self._run)

    @property
    def progress(self) -> str:
        """Where it stands, in words: `waiting for signal 'approve' since 2h, virtual`."""
        with self._world.clock.lock:
            return progress(self._run)

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
        return RunView(run)

    def __iter__(self) -> Iterator[str]:
        return iter(self._world.workflow_ids())

    def __len__(self) -> int:
        return len(self._world.workflow_ids())


class OutputMock(Scripted):
    """A fake of the Output API, with its workflows, runs, clock and calls.

    Takes:

    - `clock`: `auto` (nobody waits), `manual` (time moves when you say so), `real` (real time), or a `Clock`
    - `seed`: the seed of all ids and of everything random
    - `catalog`: the catalog that is used when a request names none
    - `auth_token`: the token that requests must send
    - `execution_timeout`: how long a run may take
    - `max_waiting`: how long `/workflow/run` waits if the request does not say
    - `history_max_waiting`: how long a long poll waits at most
    - `list_lag`: how late `/workflow/runs` shows that a run has started or ended (about 0.2 s on a real
      deployment)
    - `script_limit`: how long, in real time, a script may compute or block at a time before it is stopped
    - `start`: when a virtual clock starts; 1 January 2026 by default
    - `traces`: where traces are kept (`output_mock.traces`); by default the API reports files, and there are
      none
    - `keep_runs`: how many closed runs to keep; the oldest are removed first; None keeps all
    - `api_version`, `sdk_version`: the versions of the server and of its workers; the newest by default
    - `callback_hosts`: the hosts, besides this machine, that requests of workflows may go to
    - `scripts`: `Script`s, and Python or YAML files, to load
    """

    def __init__(
        self,
        clock: Mode | Clock = "auto",
        seed: int = 0,
        *,
        catalog: str = "main",
        auth_token: str | None = None,
        execution_timeout: Duration = "24h",
        max_waiting: Duration = "5m",
        history_max_waiting: Duration = "15s",
        list_lag: Duration = 0,
        script_limit: Duration = "2s",
        start: datetime | None = None,
        traces: Traces | None = None,
        keep_runs: int | KeptRuns | None = None,
        api_version: str | None = None,
        sdk_version: str | None = None,
        callback_hosts: Collection[str] = (),
        scripts: Sequence[Scripted | str | PathLike[str]] = (),
    ) -> None:
        super().__init__()
        self.world: World = World(
            clock=clock,
            start=start,
            seed=seed,
            catalog=catalog,
            execution_timeout=nanoseconds(execution_timeout),
            max_waiting=nanoseconds(max_waiting),
            history_max_waiting=nanoseconds(history_max_waiting),
            list_lag=nanoseconds(list_lag),
            script_limit=checked_limit(script_limit),
            traces=traces,
            callbacks=Callbacks(callback_hosts),
            kept_runs=keep_runs if isinstance(keep_runs, KeptRuns) else KeptRuns(keep_runs),
            deployment=deployment(api_version, sdk_version),
        )
        self.app: OutputApp = OutputApp(self.world, auth_token=auth_token)
        self.world.callbacks.before_looking = lambda: self.app.world.do_what_is_due()
        self._urls: list[str] = []
        # Closes the places where it is reached.
        self._places: list[ExitStack] = []
        self._expected_unmatched: list[dict[str, Any]] = []
        self.world.catalog()
        if isinstance(scripts, (str, PathLike, Scripted)):
            shown = "…" if isinstance(scripts, Scripted) else repr(str(scripts))
            raise TypeError(f"scripts must be a list, scripts=[{shown}], and not one script")
        for script in scripts:
            self.load(script)

    def load(self, script: Scripted | str | PathLike[str]) -> None:
        """Load the workflows of a `Script`, or of a Python or YAML file.

        Raises `ScriptFileError` for a file that cannot be loaded.
        """
        if not isinstance(script, Scripted):
            from output_mock.scripts.loading import load_file

            for found in load_file(script):
                self.load(found)
        else:
            script.load_into(self.world)

    def add_catalog(self, name: str, *, worker: bool = True) -> None:
        """Add a catalog. With `worker=False` its worker is away: runs start, but nothing happens in them."""
        self.world.catalog(name).set_worker(worker)

    def _offered(self, catalog: str | None, name: str) -> WorkflowDefinition | None:
        return self.world.catalog(catalog).workflows.get(name)

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
        """Start a run without a request. Raises `ValueError` if there is no such workflow."""
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
        """The mistakes in scripts so far, oldest first."""
        return list(self.world.script_errors)

    @property
    def script_warnings(self) -> list[str]:
        """The waits, pauses, steps and signals that take longer than what is left of their run's execution
        timeout, and faults for a route that this version of the API lacks, each with its place in the script.
        """
        found = [text for text, _ in self.world.outlasting.copy().values()]
        # Faults of presets are for all versions.
        unreachable = (self.app.why_out_of_reach(fault) for fault in self.faults if not fault.of_preset)
        return found + [text for text in unreachable if text is not None]

    # Messages from the test itself

    def signal(self, workflow_id: str, name: str, payload: Any = UNDEFINED, *, after: Duration = 0) -> None:
        """Send a signal without a request; with `after`, this much later on the clock.

        Raises `WorkflowNotFoundError` if there is no such run, or it has closed.
        """
        self.world.signal(workflow_id, name, payload, after=nanoseconds(after))

    # The application that workflows call

    def application(self, url: str, application: Callable[..., Any]) -> None:
        """Have your application, a WSGI or ASGI callable, answer requests of workflows to this URL and below
        it: Flask, Django, FastAPI, Starlette. It is called in this process, without a socket.

        On a virtual clock a WSGI application runs in the thread that lets time pass. An ASGI application has
        an event loop of its own.
        """
        self.callbacks.application(url, application)

    @property
    def callbacks(self) -> Callbacks:
        """Where requests of workflows go (`callbacks.respond(url, status=500, times=2)`), and the requests
        so far: `callbacks(url).one().json`.
        """
        return self.world.callbacks

    # Looking back

    @property
    def calls(self) -> Calls:
        """The requests that were made, oldest first: `calls[0].json`, `calls(route="signal").one()`."""
        return Calls(self.app.calls)

    @property
    def unused(self) -> list[UnusedScript]:
        """What was scripted and never used: workflows that were never run, `when`s that matched no input,
        answers that no run got, signals that came too late for every run, faults that affected no call.
        `str` of each says what and where.
        """
        return find_unused(self.world, self.app.faults)

    @property
    def unmatched_calls(self) -> Calls:
        """The requests that match nothing in the scripts, each with its `unmatched_reason`, except those
        that `expect_unmatched` allows.

        An unknown workflow, an input that no `when` matches, an unknown route, a wrong body, a script's
        mistake.
        """
        calls = Calls(self.app.calls.unmatched())
        allowed = {call.number for wanted in self._expected_unmatched for call in calls(**wanted)}
        return Calls(call for call in calls if call.number not in allowed)

    def expect_unmatched(
        self,
        method: str | None = None,
        path: str | None = None,
        *,
        route: str | None = None,
        workflow: str | None = None,
        workflow_id: str | None = None,
        status: int | None = None,
    ) -> None:
        """Allow calls like these, although no script matches them: for tests of how a client treats errors.

        Takes what `calls` takes; without arguments, all calls are allowed.
        """
        check_method(method)
        check_route(route)
        self._expected_unmatched.append(
            {
                "method": method,
                "path": path,
                "route": route,
                "workflow": workflow,
                "workflow_id": workflow_id,
                "status": status,
            }
        )

    @property
    def unmatched_errors(self) -> list[ScriptError]:
        """The mistakes in scripts that no answer has reported and that `expect_unmatched` does not allow."""
        calls = self.calls
        told = {call.unmatched_reason for call in self.app.calls.unmatched()}
        errors = {error.message: error for error in self.script_errors if error.message not in told}
        return [error for error in errors.values() if not self._is_expected(error, calls)]

    def _is_expected(self, error: ScriptError, calls: Calls) -> bool:
        """Whether `expect_unmatched` allows the call that started the run, or one that would request its
        result; for a child, also those of its parents.
        """
        world = self.world
        try:
            run = None if error.workflow_id is None else world.find(error.workflow_id)
        except WorkflowNotFoundError:
            # It was removed (`keep_runs`).
            run = None
        answers: list[dict[str, Any]] = [{"status": error.status}]
        while run is not None:
            about = {"workflow": run.info.workflow_type, "workflow_id": run.workflow_id}
            answers.append({"status": error.status, **about})
            with world.clock.lock:
                run = world.parent_of(run)
        for wanted in self._expected_unmatched:
            given = {name: value for name, value in wanted.items() if value is not None}
            ids = {answer.get("workflow_id") for answer in answers[1:]}
            if any(call.route in ("start", "run") and call.workflow_id in ids for call in calls(**wanted)):
                return True
            if given.pop("route", "result") in ("run", "result") and any(
                given.items() <= answer.items() for answer in answers
            ):
                return True
        return False

    def assert_called(self, expected: Expected, *, times: int | None = None) -> Calls:
        """Return the calls that match: `assert_called(started("report", {"n": 3}), times=1)`.

        Raises `AssertionError`, with the closest call and what is different about it, if the number of
        matches is not `times`; without `times`, if there is no match.
        """
        __tracebackhide__ = True
        return expectations.check_called(self.calls, expected, times)

    def assert_called_in_order(self, *expected: Expected) -> None:
        """Raise `AssertionError` unless these calls were made in this order; others may be between them."""
        __tracebackhide__ = True
        expectations.check_order(self.calls, expected)

    def assert_called_only(self, *expected: Expected) -> None:
        """Raise `AssertionError` unless these calls were made, and no others that change anything.

        Calls that only read (status, result, queries, streams, …) do not count.
        """
        __tracebackhide__ = True
        expectations.check_only(self.calls, expected)

    # What goes wrong

    @property
    def faults(self) -> Faults:
        """The faults: `faults.add(Fault(status=503, probability=0.1))`, `faults.preset("flaky")`,
        `faults.clear()`.
        """
        return self.app.faults

    def fail_next(
        self,
        status: int = 503,
        times: int = 1,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        delay: Duration = 0,
        method: str | None = None,
        route: str | None = None,
        workflow: str | None = None,
        workflow_id: str | None = None,
    ) -> Fault:
        """Answer the next calls with an error, and do nothing else: `fail_next(503, times=2, route="start")`.

        The body is the real server's for this status, unless you give `body` (any JSON, or text) and
        `headers`. Only calls with this method, route, workflow or workflow id fail, if you give them.
        """
        fault = Fault(
            times=times,
            status=status,
            body=body,
            headers=headers,
            delay=delay,
            method=method,
            route=route,
            workflow=workflow,
            workflow_id=workflow_id,
        )
        return self.faults.add(fault)

    def delay_next(
        self,
        delay: Duration,
        times: int = 1,
        *,
        method: str | None = None,
        route: str | None = None,
        workflow: str | None = None,
        workflow_id: str | None = None,
    ) -> Fault:
        """Answer the next calls late, on the fake's clock.

        A client in process with a shorter timeout gets its own timeout error at that time; what it has
        requested is done nevertheless.
        """
        fault = Fault(
            times=times, delay=delay, method=method, route=route, workflow=workflow, workflow_id=workflow_id
        )
        return self.faults.add(fault)

    def drop_next(
        self,
        times: int = 1,
        *,
        lose: Loss = "request",
        method: str | None = None,
        route: str | None = None,
        workflow: str | None = None,
        workflow_id: str | None = None,
    ) -> Fault:
        """Drop the connections of the next calls without an answer.

        `lose="request"`: nothing is done. `lose="answer"`: everything is done, and only the answer is lost.
        """
        fault = Fault(
            times=times, drop=lose, method=method, route=route, workflow=workflow, workflow_id=workflow_id
        )
        return self.faults.add(fault)

    def cut_next_stream(
        self,
        after: int,
        times: int = 1,
        *,
        workflow: str | None = None,
        workflow_id: str | None = None,
    ) -> Fault:
        """Drop the connections of the next history streams after this many events."""
        fault = Fault(
            times=times,
            cut_after=after,
            route="history_stream",
            workflow=workflow,
            workflow_id=workflow_id,
        )
        return self.faults.add(fault)

    # Being reached

    @property
    def url(self) -> str:
        """The URL at which the fake answers now. Raises `RuntimeError` if it answers nowhere."""
        if not self._urls:
            raise RuntimeError("this fake has no URL at the moment; use serve() or in_process()")
        return self._urls[-1]

    @contextmanager
    def serve(self, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
        """Serve on a real socket while the block runs, and yield the URL. Port 0 takes a free one."""
        from output_mock.server import running

        with self._open(running(self.app, host, port)) as url:
            yield url

    @contextmanager
    def in_process(self, url: str | None = None) -> Iterator[str]:
        """Answer what `requests`, `httpx` and `httpx2` send to `url` while the block runs, without a socket.

        Yields the URL; by default, one at which nothing else answers. Calls to other hosts are not touched.
        """
        from output_mock.in_process import reach

        with self._open(reach(self.app, url)) as found:
            yield found

    @contextmanager
    def _open(self, place: AbstractContextManager[str]) -> Iterator[str]:
        """Answer at a place while the block runs, or until the fake is closed."""
        with ExitStack() as stack:
            url = stack.enter_context(place)
            stack.enter_context(self.reached_by(url))
            opened = stack.pop_all()
        self._places.append(opened)
        try:
            yield url
        finally:
            if opened in self._places:
                self._places.remove(opened)
            opened.close()

    @contextmanager
    def reached_by(self, url: str) -> Iterator[None]:
        """Note that others let it answer at this URL while the block runs."""
        self._urls.append(url)
        try:
            yield
        finally:
            self._urls.remove(url)

    @contextmanager
    def virtual_time(self, *modules: str, stuck_after: Duration = "10s") -> Iterator[None]:
        """Make your code's own sleeping move the fake's clock instead of waiting, while the block runs.

        Takes the names of the modules and packages for which time is virtual; none: all but the standard
        library and pytest. For them `time.sleep`, `time.monotonic`, `time.time`, `datetime.now` and so on
        use the fake's clock. The timers of asyncio's event loops do so for all modules.

        Time passes only when everything else is idle: threads, sockets, other processes. When the same thing
        has held it up for `stuck_after` in real time, waiting code gets a `StuckError` that names it. Raises
        `ValueError` on a real clock, and `RuntimeError` if virtual time is on for another fake, another tool
        (freezegun) has frozen time, or this is not CPython.
        """
        from output_mock.virtual_time import virtual_time

        with virtual_time(self.app, modules, stuck_after):
            yield

    def close(self) -> None:
        """Stop the clock, end all waiting requests, and stop answering.

        You can still look at its calls and runs.
        """
        self.end(Ending.CLOSED)

    def end(self, ending: Ending) -> None:
        """Close it, and tell waiting requests why."""
        self.world.close(ending, on_stuck=lambda thread_id: self.app.give_up(thread_id, ending))
        self.app.calls.wake_all_waiters(ending)
        self.callbacks.close()
        while self._places:
            self._places.pop().close()
