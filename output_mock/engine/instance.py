"""The worker's side of a run: the script, resumed by one workflow task after another.

A workflow task tells the instance what has happened since the last one (`activate`), lets the script run
until it waits again, and collects its commands: schedule this step, start that timer, complete. The same
instance replays a history that another run has written, which is how a run is reset. What Temporal's SDK for
TypeScript does in this place is what the real server's workers run.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from output_mock.contract import failures
from output_mock.contract.errors import QueryNotRegisteredError
from output_mock.contract.events import EVENTS_TO_CONTINUE
from output_mock.contract.run_start import SEND_HTTP_REQUEST, TRACE_DESTINATIONS, ActivityOptions, Memo
from output_mock.engine.commands import (
    ACCEPT,
    CANCEL,
    CANCEL_CHILD,
    CANCEL_STEP,
    CANCEL_TIMER,
    CHILD,
    CHILD_CLOSED,
    COMPLETE,
    CONTINUE,
    DESTINATIONS,
    FAIL,
    FINISH,
    MEMO,
    SIGNAL,
    STEP,
    STEP_CLOSED,
    STOP,
    TIMER,
    TIMER_FIRED,
    UPDATE,
    Activity,
    Child,
    Command,
    Job,
    Update,
    WorkflowTimer,
)
from output_mock.engine.loop import ScriptLoop
from output_mock.engine.payload_limits import refused_answer
from output_mock.engine.watchdog import Watchdog, is_for_the_process
from output_mock.javascript_json import as_json, null_if_undefined
from output_mock.scripts.playing import (
    Mistaken,
    cause_of,
    cause_of_update,
    describe,
    ending_of,
    is_mistake,
    play,
)
from output_mock.sdk.built_in_queries import BUILT_IN_QUERIES, metadata
from output_mock.sdk.context import (
    Context,
    Handler,
    RunInfo,
    answer_of,
)
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import ChildFailure, Failure
from output_mock.sdk.http_requests import REQUEST_OPTIONS, RequestPlan
from output_mock.sdk.signals import Signals, check_predicate, set_first, timed_out
from output_mock.sdk.step_plans import StepPlan
from output_mock.sdk.values import named_json

if TYPE_CHECKING:
    from output_mock.contract.run_start import StartInfo
    from output_mock.contract.versions import Deployment
    from output_mock.engine.clock import Clock
    from output_mock.engine.ids import Ids
    from output_mock.scripts.definition import WorkflowDefinition

_Future: Any = asyncio.Future
_get_running_loop: Callable[[], Any] = asyncio._get_running_loop
_NO_MEMO = Memo()
_ENDINGS = {"completes": COMPLETE, "fails": FAIL, "stops": CANCEL, "continues": CONTINUE}
# The fields that the upserts of a run's memo name, in the order of the SDK.
_FIRST: tuple[str, ...] = ("payloadVersion",)
_FIRST_TRACED = ("payloadVersion", "traceInfo")
_SECOND: tuple[str, ...] = ("activityOptions",)
_SECOND_TRACED = ("activityOptions", "trace")


class InstanceWorld(Protocol):
    """What a script needs of its world."""

    @property
    def clock(self) -> Clock: ...
    @property
    def watchdog(self) -> Watchdog: ...
    @property
    def ids(self) -> Ids: ...
    @property
    def seed(self) -> int: ...
    @property
    def deployment(self) -> Deployment: ...
    @property
    def answers_given(self) -> dict[object, int]: ...
    @property
    def script_errors(self) -> list[ScriptError]: ...
    def note(self, error: ScriptError) -> None: ...


class InstanceRun(Protocol):
    """What a script needs of its run."""

    @property
    def world(self) -> InstanceWorld: ...
    @property
    def definition(self) -> WorkflowDefinition: ...
    @property
    def info(self) -> StartInfo: ...
    @property
    def run_id(self) -> str: ...
    @property
    def workflow_id(self) -> str: ...
    def child_type(self, name: str) -> str: ...
    def note_if_outlasting(self, what: str, length: int, *, is_timeout: bool) -> None: ...


class Instance:
    """A run's script, and everything that it waits for."""

    activity_count: int = 0
    timer_count: int = 0
    # Whether the run was asked to stop.
    stopped: bool = False
    replaying = False
    # The time of the events that are being replayed.
    replayed_at = 0
    # The number of the event with which the current workflow task began.
    task_started = 0
    # The step that every traced run begins with.
    destinations: Activity | None = None
    _random: random.Random | None = None

    def __init__(self, run: InstanceRun, definition: WorkflowDefinition) -> None:
        self.run = run
        self.definition = definition
        self.main: asyncio.Task[Any] | None = None
        self.loop: ScriptLoop = ScriptLoop(self)
        self.context: Context = Context(self)
        self.memo: Memo = run.info.memo or _NO_MEMO
        self.commands: list[Command] = []
        self.queries: dict[str, Handler] = {}
        self.update_handlers: dict[str, tuple[Handler, Handler | None]] = {}
        self._signals: Signals = Signals()
        self._conditions: list[tuple[Callable[[], bool], asyncio.Future[Any]]] = []
        # Since when the script waits for each signal and condition.
        self._since: dict[asyncio.Future[Any], int] = {}
        self._buffered_updates: list[Update] = []
        self._handling: list[asyncio.Task[Any]] = []

    # What the world asks of a worker

    def activate(self, jobs: list[Job]) -> list[Command]:
        """Tell the script what has happened, let it run, and return its commands.

        Raises `ScriptError` if the script itself is wrong.
        """
        self.commands = []
        if self.main is None and not self._begin(jobs):
            return self.commands
        watchdog, loop = self.run.world.watchdog, self.loop
        outer = loop.enter()
        try:
            watchdog.run(self._perform, jobs, strict=True, run=self.run)
        except BaseException as error:
            if is_for_the_process(error):
                raise
            if loop.closing:
                return []
            # A signal handler that fails makes the run fail, as in the SDK.
            cause = cause_of(error, self.definition)
            if cause is None:
                raise self.script_error(error) from error
            self.commands.append((FAIL, cause))
            return self.commands
        finally:
            loop.leave(outer)
        if loop.closing:
            # The script has ended its own run meanwhile, through the fake.
            return []
        main, refusal = self.main, watchdog.refusal
        assert main is not None
        if refusal is not None and not (main.done() and not main.cancelled() and main.exception()):
            # The script has caught the error and continued, without the value that it asked for.
            raise self.script_error(refusal) from refusal
        if self._buffered_updates:
            self._refuse_updates()
        if main.done():
            if main.cancelled() and self.stopped:
                self._stop_the_rest()
            self.commands.append(self._ending(main))
        return self.commands

    def _stop_the_rest(self) -> None:
        """Cancel everything that the script has begun, even what it does not wait for."""
        outer = self.loop.enter()
        try:
            self.loop.cancel_all()
            self.run.world.watchdog.run(self.loop.run_until_idle, strict=True, run=self.run)
        except BaseException as error:
            if is_for_the_process(error):
                raise
            raise self.script_error(error) from error
        finally:
            self.loop.leave(outer)

    def _begin(self, jobs: list[Job]) -> bool:
        """What the SDK does before a script begins (run_completes, untraced, child_workflow).

        Returns whether the script has begun; until then, signals wait for it.
        """
        run, definition, info = self.run, self.definition, self.run.info
        destinations = self.destinations
        if destinations is None:
            traced = definition.traced and info.parent is None
            if info.parent is None:
                self.memo = Memo(
                    (info.workflow_id, info.workflow_type, run.run_id, info.trace_start) if traced else None
                )
            self.commands.append((MEMO, (self.memo, _FIRST_TRACED if traced else _FIRST)))
            if definition.bare:
                self.main = self.loop.begin(self._bare())
                return True
            if traced:
                self.destinations = self._schedule(
                    TRACE_DESTINATIONS, DESTINATIONS, self.memo.trace_info_json(), definition.options
                )
                return self._not_yet(jobs)
            trace, names = self.memo.trace, _SECOND
        elif destinations.closed:
            trace, names = destinations.result, _SECOND_TRACED
        else:
            return self._not_yet(jobs)
        deployment = run.world.deployment
        options = definition.options_below(
            info.memo, info.invocation, parents_win=deployment.parents_options_win
        )
        self.memo = Memo(self.memo.trace_info, options, trace)
        self.commands.append((MEMO, (self.memo, names)))
        self.main = self.loop.begin(
            play(
                self.definition,
                self.context,
                run.info.input,
                only_checked=deployment.schemas_only_check,
            )
        )
        return True

    def _not_yet(self, jobs: list[Job]) -> bool:
        for kind, subject, detail in jobs:
            if kind == SIGNAL:
                self._signals.keep(subject, detail)
            elif kind == UPDATE:
                self._buffered_updates.append(subject)
            elif kind == STOP and self.destinations is not None:
                self.stopped = True
                self.abandon(self.destinations)
                self.commands.append((CANCEL, None))
        self._refuse_updates()
        return False

    def _refuse_updates(self) -> None:
        """Refuse updates that have no handler by the end of a workflow task."""
        for update in self._buffered_updates:
            update.rejected = f"no handler for update {update.name!r}"
            update.unknown = True
        self._buffered_updates = []

    def _perform(self, jobs: list[Job]) -> None:
        if len(jobs) > 1:
            # The SDK delivers signals and updates before everything else.
            jobs = sorted(jobs, key=lambda job: job[0] not in (SIGNAL, UPDATE))
        for kind, subject, detail in jobs:
            if kind in (STEP_CLOSED, CHILD_CLOSED):
                self._resolve(subject.future, detail)
            elif kind == TIMER_FIRED:
                subject.fire()
            elif kind == SIGNAL:
                self._deliver_signal(subject, detail)
            elif kind == UPDATE:
                self._deliver_update(subject)
            elif kind == STOP:
                self._stop()
        self.loop.run_until_idle()
        while self._conditions and self._unblock():
            self.loop.run_until_idle()

    def query(self, name: str, payload: Any) -> Any:
        """Let the script answer a query. Raises `QueryNotRegisteredError`, also for a handler that raised an
        error.
        """
        handler = self.queries.get(name) or self._built_in(name)
        if handler is None:
            raise QueryNotRegisteredError.unknown(name, self.queries, BUILT_IN_QUERIES)
        outer = self.loop.enter()
        try:
            answer = self.run.world.watchdog.run(
                answer_of, handler, name, payload, strict=False, run=self.run
            )
        except Failure as failure:
            raise QueryNotRegisteredError(failure.message) from None
        except BaseException as error:
            if is_for_the_process(error):
                raise
            raise self.script_error(error) from error
        finally:
            self.loop.leave(outer)
        refusal = refused_answer(answer)
        if refusal is not None:
            raise QueryNotRegisteredError(refusal)
        return answer

    def _built_in(self, name: str) -> Handler | None:
        """The queries that the SDK itself answers, for every run that has begun."""
        if name == "__stack_trace":
            return lambda _payload: self._stack_trace()
        if name == "__enhanced_stack_trace":
            return lambda _payload: {"sdk": {"name": "output-mock"}, "sources": {}, "stacks": []}
        if name == "__temporal_workflow_metadata":
            handlers = (self.queries, self._signals.handlers, self.update_handlers)
            return lambda _payload: metadata(self.definition.name, *handlers)
        return None

    def _stack_trace(self) -> str:
        if self.loop.closing or self.main is None or self.main.done():
            return ""
        frames = self.main.get_stack()
        return "\n".join(f"    at {frame.f_code.co_name} (line {frame.f_lineno})" for frame in frames)

    def drop_script(self) -> None:
        """Drop the script of a closed run, but keep its query handlers."""
        if self.loop.is_alive():
            self.run.world.watchdog.run(self.loop.close, strict=False, run=self.run)
        else:
            self.loop.close()
        if not self.queries:
            # Break reference cycles, so that the script is freed at once and not at some later garbage
            # collection.
            self.loop.host = None
            del self.context._instance, self.main
            return
        self.main = None
        self.commands = []
        self._signals = Signals()
        self._handling = []
        self._conditions = []
        self._since = {}
        self.update_handlers = {}

    def awaited_signals(self) -> list[tuple[str, int]]:
        """The names of the signals that the script waits for at the moment, and since when."""
        return [(name, self._since[future]) for name, future in self._signals.awaited()]

    def open_conditions(self) -> list[int]:
        """Since when the script waits for each of its conditions."""
        return [self._since[future] for _, future in self._conditions if not future.done()]

    def unread_signals(self) -> list[str]:
        """The names of the signals that have come and that nothing has read."""
        return self._signals.unread()

    # What the event loop needs of its host

    def now(self) -> int:
        if self.replaying:
            return self.replayed_at
        return self.run.world.clock.nanoseconds()

    def start_timer(self, length: int, fire: Callable[[], None], *, is_timeout: bool) -> Callable[[], None]:
        self._check_running()
        if not self.replaying:
            self.run.world.clock.due_in(length, "the end of this wait")
            self.run.note_if_outlasting(
                "a timeout" if is_timeout else "a pause", length, is_timeout=is_timeout
            )
        self.timer_count += 1
        timer = WorkflowTimer(str(self.timer_count), length, fire, is_timeout)
        self.commands.append((TIMER, timer))
        return lambda: self._cancel_timer(timer)

    def _cancel_timer(self, timer: WorkflowTimer) -> None:
        if timer.closed:
            return
        timer.closed = True
        if not timer.started:
            # Started and cancelled within one workflow task, so the server never hears of it.
            self.commands = [command for command in self.commands if command[1] is not timer]
        else:
            self.commands.append((CANCEL_TIMER, timer))

    # What the context needs

    def schedule(self, plan: StepPlan, input: Any, options: Mapping[str, Any] | None) -> Activity:
        """Start a step; its future has the outcome."""
        if _get_running_loop() is not self.loop:
            self._check_running()
        input = named_json(input, "the input of step {!r}", plan.name)
        definition = self.definition
        resolved = self.memo.options or definition.options
        if options:
            resolved = definition.step_options(resolved, options)
        return self._schedule(f"{definition.name}#{plan.name}", plan, input, resolved)

    def schedule_request(self, plan: RequestPlan, input: dict[str, Any]) -> Activity:
        """Start the step that sends a request."""
        self._check_running()
        given = named_json(input, "the arguments of {}", plan.name)
        return self._schedule(SEND_HTTP_REQUEST, plan, given, REQUEST_OPTIONS)

    def _schedule(self, activity_type: str, plan: StepPlan, input: Any, options: ActivityOptions) -> Activity:
        self.activity_count += 1
        activity = Activity(
            options.text.get("activityId") or str(self.activity_count),
            activity_type,
            plan,
            input,
            options,
            _Future(loop=self.loop),
        )
        self.commands.append((STEP, activity))
        return activity

    def abandon(self, activity: Activity) -> None:
        """Cancel a step for which the script no longer waits (the SDK's `TRY_CANCEL`)."""
        if activity.closed:
            return
        if activity.scheduled:
            self.commands.append((CANCEL_STEP, activity))
        else:
            # Started and given up within one workflow task, so the server never hears of it.
            self.commands = [command for command in self.commands if command[1] is not activity]
            activity.closed = True

    async def child(self, name: str, input: Any, *, detached: bool, options: Mapping[str, Any] | None) -> Any:
        self._check_running()
        input = named_json(input, "the input of child {!r}", name)
        try:
            child_type = self.run.child_type(name)
        except LookupError:
            if not self.replaying:
                raise
            # The workflow is no longer offered; the history knows what it was.
            child_type = name
        invocation: dict[str, Any] = {} if options is None else {"activityOptions": dict(options)}
        child: Child[Any] = Child(
            f"{self.run.workflow_id}-{self.run.world.ids.child_suffix()}",
            child_type,
            input,
            invocation,
            detached,
            self.memo,
            self.loop.create_future(),
        )
        self.commands.append((CHILD, child))
        return await self._outcome_of_child(child)

    async def _outcome_of_child(self, child: Child[Any]) -> Any:
        try:
            return await child.future
        except asyncio.CancelledError:
            if child.closed:
                raise
            if not child.initiated:
                self.commands = [command for command in self.commands if command[1] is not child]
                child.closed = True
                raise
            self.commands.append((CANCEL_CHILD, child))
            # As in the SDK, wait for the child to end before telling the parent.
            while not child.closed:
                child.future = self.loop.create_future()
                try:
                    await child.future
                except asyncio.CancelledError:
                    continue
                except ChildFailure:
                    break
            raise

    async def sleep(self, length: int) -> None:
        self._check_running()
        future: asyncio.Future[None] = self.loop.create_future()
        cancel = self.start_timer(length, lambda: _finish(future), is_timeout=False)
        try:
            await future
        except asyncio.CancelledError:
            cancel()
            raise

    async def wait_for_signal(self, name: str, timeout: int | None) -> Any:
        self._check_running()
        kept = self._signals.kept(name)
        if kept:
            return kept.pop(0)
        future: asyncio.Future[Any] = self.loop.create_future()
        self._signals.wait(name, future)
        if not await self._guarded(future, timeout):
            raise timed_out(name, timeout)
        return future.result()

    async def first_signal(self, name: str, timeout: int | None) -> Any:
        """Wait for the first signal of this name; later ones go to the same handler, which ignores them."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self._signals.wait(name, future)
        self.on_signal(name, partial(set_first, future))
        if not await self._guarded(future, timeout):
            raise timed_out(name, timeout)
        return future.result()

    async def condition(self, predicate: Callable[[], bool], timeout: int | None) -> bool:
        self._check_running()
        check_predicate(predicate)
        if predicate():
            return True
        future: asyncio.Future[Any] = self.loop.create_future()
        self._conditions.append((predicate, future))
        return await self._guarded(future, timeout)

    async def _guarded(self, future: asyncio.Future[Any], timeout: int | None) -> bool:
        """Wait for `future`. Returns whether it came before the timeout."""
        cancel = None
        self._since[future] = self.now()
        if timeout is not None:
            # The timer does nothing if the future is resolved already, which `done` tells.
            cancel = self.start_timer(max(1_000_000, timeout), lambda: _give_up(future), is_timeout=True)
        try:
            await future
        except asyncio.CancelledError:
            if cancel is not None:
                cancel()
            raise
        except _GaveUp:
            return False
        finally:
            del self._since[future]
        if cancel is not None:
            cancel()
        return True

    def on_signal(self, name: str, handler: Handler) -> None:
        self._check_running()
        for payload in self._signals.handle(name, handler):
            self._call_signal_handler(handler, payload)

    def on_query(self, name: str, handler: Handler) -> None:
        self._check_running()
        self.queries[name] = handler

    def on_update(self, name: str, handler: Handler, validator: Handler | None) -> None:
        self._check_running()
        self.update_handlers[name] = (handler, validator)
        held, self._buffered_updates = self._buffered_updates, []
        for update in held:
            self._deliver_update(update)

    def run_info(self) -> RunInfo:
        info = self.run.info
        return RunInfo(
            info.workflow_id,
            self.run.run_id,
            info.workflow_type,
            info.task_queue,
            datetime.fromtimestamp(info.start / 1e9, tz=timezone.utc),
            self.task_started > EVENTS_TO_CONTINUE,
        )

    def random(self) -> random.Random:
        if self._random is None:
            self._random = random.Random(f"{self.run.world.seed}/{self.run.info.run_id}")
        return self._random

    async def next_scripted_answer(self, pick: Callable[[], tuple[object, Sequence[Any]]]) -> Any:
        run = self.run
        if run.info.answer is None:
            whose, answers = pick()
            if run.info.turn is None:
                run.info.turn = run.world.answers_given.get(whose, 0)
                run.world.answers_given[whose] = run.info.turn + 1
            run.info.answer = answers[min(run.info.turn, len(answers) - 1)]
        return run.info.answer

    # The script

    async def _bare(self) -> Any:
        return await self.definition.script(self.context, null_if_undefined(self.run.info.input))

    def _unblock(self) -> bool:
        """Resume the waits whose condition holds by now."""
        self._conditions = [entry for entry in self._conditions if not entry[1].done()]
        met = [entry for entry in self._conditions if entry[0]()]
        for entry in met:
            self._conditions.remove(entry)
            entry[1].set_result(True)
        return bool(met)

    def _ending(self, main: asyncio.Task[Any]) -> Command:
        """The command that closes the run."""
        try:
            how, what = ending_of(main, self.definition, stopped=self.stopped)
        except Mistaken as mistaken:
            raise self.script_error(mistaken.error) from mistaken.error
        return (_ENDINGS[how], what)

    def _stop(self) -> None:
        self.stopped = True
        assert self.main is not None
        for task in (self.main, *self._handling):
            task.cancel()

    def _check_running(self) -> None:
        if self.loop.closing:
            raise RuntimeError("the run is closed")
        if not self.loop.is_running():
            raise RuntimeError(
                f"the context of run {self.run.run_id} was used outside its own script; use a context only "
                f"in the run that it was made for"
            )

    # Messages

    def _deliver_signal(self, name: str, payload: Any) -> None:
        handler = self._signals.deliver(name, payload)
        if handler is not None:
            self._call_signal_handler(handler, payload)

    def _call_signal_handler(self, handler: Handler, payload: Any) -> None:
        answer = handler(payload)
        if inspect.iscoroutine(answer):
            self._handle(answer).add_done_callback(self._signal_handled)

    def _handle(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a handler at the same time as the script; stopping the run stops it, too."""
        task = self.loop.create_task(coroutine)
        self._handling = [*(other for other in self._handling if not other.done()), task]
        return task

    def _signal_handled(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    def _deliver_update(self, update: Update) -> None:
        entry = self.update_handlers.get(update.name)
        if entry is None:
            self._buffered_updates.append(update)
            return
        handler, validator = entry
        payload = null_if_undefined(update.payload)
        if validator is not None and not self.replaying:
            try:
                validator(payload)
            except Exception as refusal:
                update.rejected = str(refusal) or type(refusal).__name__
                if is_mistake(refusal):
                    update.mistake = self._mistaken_validator(update.name, refusal)
                return
        self.commands.append((ACCEPT, update))
        try:
            answer = handler(payload)
        except Exception as error:
            self._update_failed(update, error)
            return
        if inspect.iscoroutine(answer):
            self._handle(answer).add_done_callback(lambda done: self._update_done(update, done))
        else:
            self._update_finished(update, answer)

    def _mistaken_validator(self, name: str, error: Exception) -> ScriptError:
        """Note a mistake in a validator: the update is refused, as by the real SDK, and the
        author is told.
        """
        mistake = self.script_error(error)
        if mistake is not error:
            mistake = ScriptError(
                f"{mistake.message}, in the validator of update {name!r}, so the update was refused; "
                "to refuse it on purpose, raise a Failure or a ValueError",
                workflow_id=mistake.workflow_id,
            )
        self.run.world.note(mistake)
        return mistake

    def _update_done(self, update: Update, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            update.failure = failures.stopped()
            self.commands.append((FINISH, update))
        elif (error := task.exception()) is not None:
            self._update_failed(update, error)
        else:
            self._update_finished(update, task.result())

    def _update_finished(self, update: Update, answer: Any) -> None:
        update.result = named_json(answer, "the answer to update {!r}", update.name)
        self.commands.append((FINISH, update))

    def _update_failed(self, update: Update, error: BaseException) -> None:
        update.failure = cause_of_update(update.name, error, self.definition)
        if update.failure is None:
            raise error
        self.commands.append((FINISH, update))

    def _resolve(self, future: asyncio.Future[Any], detail: Any) -> None:
        if future.done():
            return
        if isinstance(detail, Exception):
            future.set_exception(detail)
            # Perhaps nothing waits for it any more, which is up to the script.
            future.exception()
        else:
            future.set_result(as_json(detail))

    # Mistakes in the script

    def lost(self, error: BaseException) -> None:
        """Note the error of a task that was never awaited, if it is a mistake in the script."""
        if not isinstance(error, Exception) or cause_of(error, self.definition) is not None:
            return
        mistake = self.script_error(error)
        noted = self.run.world.script_errors
        # A replayed script makes its mistakes again.
        if all(mistake.message != other.message for other in noted):
            self.run.world.note(mistake)

    def script_error(self, error: BaseException) -> ScriptError:
        """An error that names the workflow, the file and the line, and says what to do."""
        return describe(error, self.definition, self.run.workflow_id)


class _GaveUp(Exception):
    """A wait's timer fired."""


def _give_up(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(_GaveUp())


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
