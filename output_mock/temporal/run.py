"""One run of a script on a real Temporal: translates what its context does into calls of Temporal's own SDK.

The counterpart of the fake's `engine.instance`. Scripts, schemas, options and failures are the same; the
event loop, the timers and the history are Temporal's.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import logging
import random
import types
from collections.abc import Callable, Collection, Coroutine, Generator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, CancelledError, ChildWorkflowError, FailureError

from output_mock.contract import failures
from output_mock.contract.errors import OutputError, QueryNotRegisteredError
from output_mock.contract.failures import Cause
from output_mock.contract.run_start import SEND_HTTP_REQUEST, TRACE_DESTINATIONS
from output_mock.durations import MILLISECOND, SECOND
from output_mock.javascript_json import UNDEFINED
from output_mock.scripts.definition import WorkflowDefinition
from output_mock.scripts.playing import Mistaken, cause_of, cause_of_update, describe, ending_of, play
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
from output_mock.sdk.options import activity_options
from output_mock.sdk.signals import Signals, check_predicate, set_first, timed_out
from output_mock.sdk.step_plans import StepPlan
from output_mock.sdk.values import copy_for_script, named_json
from output_mock.temporal.failures import Sent, child_failure, mistaken, saying, step_failure
from output_mock.temporal.step_outcomes import StepOutcomes, precomputed_outcomes
from output_mock.temporal.steps import STEP_QUERY, TAKE_TURN

if TYPE_CHECKING:
    from output_mock.contract.run_start import ActivityOptions
    from output_mock.temporal.served_catalog import ServedCatalog

_log = logging.getLogger("output_mock.temporal")
# Each child's id is its parent's and 23 characters more, and Temporal takes ids of 1,000.
DEEPEST_CHILD = 32
_CHILD_SUFFIX = 23
_TURN_TIMEOUT = timedelta(seconds=10)
# No failure at all, as the TypeScript SDK sends it; the Python SDK would send an empty one, which histories
# show.
_NO_PRIORITY = cast(Priority, None)


class Step:
    """A step that the script has started."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self.future: asyncio.Future[Any] = future
        # None for a step that could not be started, in a run that is about to fail.
        self.handle: workflow.ActivityHandle[Any] | None = None


class ScriptRun:
    """Executes one run. Created inside the workflow, before its first signal is delivered."""

    # The script itself, once it has begun.
    main: asyncio.Task[Any] | None = None
    # Whether the run was asked to stop.
    stopped: bool = False
    # The failure of the run from something outside its main script, such as a signal handler.
    wrong: Cause | None = None

    def __init__(self, offer: ServedCatalog) -> None:
        info = workflow.info()
        self.offer: ServedCatalog = offer
        self.info: workflow.Info = info
        self.steps: dict[str, StepOutcomes] = {}
        self.queries: dict[str, Handler] = {}
        self._definition: WorkflowDefinition | None = offer.workflows.get(
            offer.names.get(info.workflow_type, "")
        )
        self._options: ActivityOptions | None = None
        self._updates: dict[str, tuple[Handler, Handler | None]] = {}
        self._signals: Signals = Signals()
        self._open: dict[int, asyncio.Task[Any]] = {}
        self._handling: list[asyncio.Task[Any]] = []
        self._activities = 0
        offer.seen(info.workflow_id, info.run_id, info.workflow_start_time)

    @property
    def definition(self) -> WorkflowDefinition:
        assert self._definition is not None
        return self._definition

    # The run

    async def play(self, args: Sequence[Any]) -> Any:
        """Execute the whole run, as the real SDK's interceptors and workflow wrapper do (run_completes)."""
        info = self.info
        if self._definition is None:
            raise Sent.of(saying(f"catalog {self.offer.name} has no workflow {info.workflow_type!r}"))
        given = args[0] if args else UNDEFINED
        invocation = args[1].get("activityOptions") if len(args) > 1 and isinstance(args[1], dict) else None
        traced = self.definition.traced and info.parent is None
        about = {
            "workflowId": info.workflow_id,
            "workflowType": info.workflow_type,
            "runId": info.run_id,
            "startTime": milliseconds(info.workflow_start_time),
        }
        inherited = workflow.memo_value("activityOptions", None)
        workflow.upsert_memo({"payloadVersion": "2", **({"traceInfo": about} if traced else {})})
        where = f"workflow {self.definition.name!r}"
        if inherited is None and not invocation:
            options = self.definition.options
        else:
            options = activity_options(inherited, self.definition.layer, invocation, where=where)
        self._options = options
        places = {"trace": await self._trace_destinations(about, options)} if traced else {}
        workflow.upsert_memo({"activityOptions": options.as_json(), **places})
        self.main = asyncio.create_task(self._script(given))
        for signal in self.definition.signals:
            self._handle(self._arrive(signal.after, signal.name, signal.payload))
        return await self._outcome(self.main)

    async def _trace_destinations(self, about: dict[str, Any], options: ActivityOptions) -> Any:
        handle = self._start(TRACE_DESTINATIONS, self._next_id(options), about, options)
        try:
            return await handle
        except ActivityError as error:
            if isinstance(error.cause, CancelledError):
                raise asyncio.CancelledError from None
            raise

    async def _script(self, given: Any) -> Any:
        try:
            return await play(self.definition, Context(self), given)
        except SystemExit as error:
            # It would end the worker.
            raise self._script_error(error) from error

    async def _outcome(self, main: asyncio.Task[Any]) -> Any:
        """Wait for the script, and return or raise what Temporal should close the run with."""
        while not (main.done() or self.wrong is not None):
            try:
                await workflow.wait_condition(lambda: main.done() or self.wrong is not None)
            except asyncio.CancelledError:
                if self.stopped:
                    # The run only leaves this worker's memory; nothing needs its result.
                    raise
                self.stopped = True
                for task in (main, *self._handling):
                    task.cancel()
        if self.wrong is not None:
            main.cancel()
            raise Sent.of(self.wrong)
        try:
            how, what = ending_of(main, self.definition, stopped=self.stopped)
        except Mistaken as mistaken:
            raise self._mistake(mistaken.error) from mistaken.error
        if how == "completes":
            return what
        if how == "continues":
            workflow.continue_as_new(args=[] if what is UNDEFINED else [what])
        if how == "fails":
            raise Sent.of(what)
        if main.cancelled():
            await self._stop_the_rest()
        raise asyncio.CancelledError

    async def _stop_the_rest(self) -> None:
        """Cancel everything that the script has begun, even what it does not wait for."""
        for task in list(self._open.values()):
            task.cancel()
        # Each sends its command before the run sends its own.
        for _ in range(3):
            await asyncio.sleep(0)

    # What the context asks: work

    def schedule(self, plan: StepPlan, input: Any, options: Mapping[str, Any] | None) -> Step:
        """Start a step; its future has the outcome."""
        input = named_json(input, "the input of step {!r}", plan.name)
        assert self._options is not None
        resolved = self.definition.step_options(self._options, options)
        activity_id = self._next_id(resolved)
        step = Step(asyncio.get_running_loop().create_future())
        try:
            outcomes = precomputed_outcomes(self.definition, plan, input, resolved)
        except (Exception, SystemExit) as error:
            # A function that the script gave to the step has a mistake: the run fails, as in the fake.
            self._fail(error)
            return step
        self.steps[activity_id] = outcomes
        key = (self.info.run_id, activity_id)
        self.offer.steps[key] = outcomes
        step.handle = self._start(f"{self.definition.name}#{plan.name}", activity_id, input, resolved)
        step.handle.add_done_callback(partial(self._step_closed, key, step.future))
        return step

    def schedule_request(self, plan: RequestPlan, input: dict[str, Any]) -> Step:
        """Start the step that sends a request."""
        given = named_json(input, "the arguments of {}", plan.name)
        activity_id = self._next_id(REQUEST_OPTIONS)
        step = Step(asyncio.get_running_loop().create_future())
        step.handle = self._start(SEND_HTTP_REQUEST, activity_id, given, REQUEST_OPTIONS)
        step.handle.add_done_callback(
            partial(self._step_closed, (self.info.run_id, activity_id), step.future)
        )
        return step

    def _next_id(self, options: ActivityOptions) -> str:
        self._activities += 1
        return options.text.get("activityId") or str(self._activities)

    def _start(
        self, activity_type: str, activity_id: str, input: Any, options: ActivityOptions
    ) -> workflow.ActivityHandle[Any]:
        handle = workflow.start_activity(
            activity_type,
            args=[] if input is UNDEFINED else [input],
            activity_id=activity_id,
            start_to_close_timeout=_length(options.start_to_close),
            heartbeat_timeout=_length(options.heartbeat),
            schedule_to_close_timeout=_optional_length(options.schedule_to_close),
            schedule_to_start_timeout=_optional_length(options.schedule_to_start),
            retry_policy=RetryPolicy(
                initial_interval=_length(options.initial_interval),
                backoff_coefficient=options.backoff,
                maximum_interval=_length(options.maximum_interval),
                maximum_attempts=options.maximum_attempts,
                non_retryable_error_types=list(options.non_retryable),
            ),
            priority=_priority(options.priority),
        )
        self._keep(handle)
        return handle

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._open[id(task)] = task
        task.add_done_callback(lambda done: self._open.pop(id(done), None))

    def _step_closed(
        self, key: tuple[str, str], future: asyncio.Future[Any], done: asyncio.Task[Any]
    ) -> None:
        self.offer.steps.pop(key, None)
        error = None if done.cancelled() else done.exception()
        if future.done():
            return
        if done.cancelled():
            future.cancel()
        elif error is None:
            future.set_result(copy_for_script(done.result()))
        elif isinstance(error, ActivityError) and not isinstance(error.cause, CancelledError):
            assert error.failure is not None
            _raise_in(future, step_failure(error.failure))
        elif isinstance(error, ActivityError):
            future.cancel()
        else:
            _raise_in(future, error)

    def abandon(self, activity: Step) -> None:
        """Cancel a step for which the script no longer waits."""
        if activity.handle is not None:
            activity.handle.cancel()

    async def child(self, name: str, input: Any, *, detached: bool, options: Mapping[str, Any] | None) -> Any:
        input = named_json(input, "the input of child {!r}", name)
        child_type = self.offer.child(name)
        self._check_depth(name)
        suffix = base64.urlsafe_b64encode(workflow.uuid4().bytes).rstrip(b"=").decode()
        invocation: dict[str, Any] = {} if options is None else {"activityOptions": dict(options)}
        policy = workflow.ParentClosePolicy.ABANDON if detached else workflow.ParentClosePolicy.TERMINATE
        running = asyncio.create_task(
            _begun(
                workflow.execute_child_workflow(
                    child_type,
                    args=[input, invocation],
                    id=f"{self.info.workflow_id}-{suffix}",
                    parent_close_policy=policy,
                    memo=dict(workflow.memo()),
                    priority=_NO_PRIORITY,
                )
            )
        )
        self._keep(running)
        try:
            return copy_for_script(await asyncio.shield(running))
        except ChildWorkflowError as error:
            raise _child_failure(error) from None
        except asyncio.CancelledError:
            # Not before it waits for the child that it has started.
            asyncio.get_running_loop().call_soon(running.cancel)
            # As in the SDK, the child ends before its parent hears of it, with whatever outcome.
            while not running.done():
                try:
                    await asyncio.shield(running)
                except (asyncio.CancelledError, FailureError):
                    continue
            raise asyncio.CancelledError from None

    def _check_depth(self, name: str) -> None:
        root = self.info.root
        depth = 0 if root is None else (len(self.info.workflow_id) - len(root.workflow_id)) // _CHILD_SUFFIX
        if depth >= DEEPEST_CHILD:
            raise RecursionError(
                f"children are nested {DEEPEST_CHILD} deep; does workflow {name!r} run itself without end?"
            )

    # What the context asks: time

    async def sleep(self, length: int) -> None:
        await asyncio.sleep(length / SECOND)

    def now(self) -> int:
        return workflow.time_ns()

    # What the context asks: messages

    async def wait_for_signal(self, name: str, timeout: int | None) -> Any:
        kept = self._signals.kept(name)
        if kept:
            return kept.pop(0)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._signals.wait(name, future)
        if not await self.condition(future.done, timeout):
            future.cancel()
            raise timed_out(name, timeout)
        return future.result()

    async def first_signal(self, name: str, timeout: int | None) -> Any:
        """Wait for the first signal of this name; later ones go to the same handler, which ignores them."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.on_signal(name, partial(set_first, future))
        if not await self.condition(future.done, timeout):
            future.cancel()
            raise timed_out(name, timeout)
        return future.result()

    async def condition(self, predicate: Callable[[], bool], timeout: int | None) -> bool:
        check_predicate(predicate)
        if predicate():
            return True
        limit = None if timeout is None else _length(max(MILLISECOND, timeout))
        try:
            await workflow.wait_condition(partial(self._holds, predicate), timeout=limit)
        except asyncio.TimeoutError:
            return False
        return True

    def _holds(self, predicate: Callable[[], bool]) -> bool:
        """Evaluate a predicate between two turns of the loop, where an error would fail the workflow task
        for ever.
        """
        try:
            return bool(predicate())
        except (Exception, SystemExit) as error:
            self._fail(error)
            # Let the loop turn once more, so that the run sees it.
            asyncio.get_running_loop().call_soon(lambda: None)
            return False

    def on_signal(self, name: str, handler: Handler) -> None:
        for payload in self._signals.handle(name, handler):
            self._call_signal_handler(handler, payload)

    def on_query(self, name: str, handler: Handler) -> None:
        self.queries[name] = handler

    def on_update(self, name: str, handler: Handler, validator: Handler | None) -> None:
        self._updates[name] = (handler, validator)

    # What the context asks: who and what

    def run_info(self) -> RunInfo:
        info = self.info
        start = info.workflow_start_time.astimezone(timezone.utc)
        return RunInfo(
            info.workflow_id,
            info.run_id,
            info.workflow_type,
            info.task_queue,
            start,
            info.is_continue_as_new_suggested(),
        )

    def random(self) -> random.Random:
        return workflow.random()

    async def next_scripted_answer(self, pick: Callable[[], tuple[object, Sequence[Any]]]) -> Any:
        whose, answers = pick()
        if len(answers) == 1:
            return answers[0]
        # Which answer is next depends on other runs, so it must be recorded for this run.
        turn = await workflow.execute_local_activity(
            TAKE_TURN, f"{self.definition.name}/{id(whose)}", start_to_close_timeout=_TURN_TIMEOUT
        )
        return answers[min(turn, len(answers) - 1)]

    # What clients send

    def signal(self, name: str, payload: Any) -> None:
        """Handle a signal that has come."""
        handler = self._signals.deliver(name, payload)
        if handler is not None:
            self._call_signal_handler(handler, payload)

    async def _arrive(self, after: int, name: str, payload: Any) -> None:
        """Deliver a signal that the script has scheduled, this long after the run's start."""
        due = self.info.workflow_start_time + timedelta(microseconds=after // 1000)
        await asyncio.sleep(max(0.0, (due - workflow.now()).total_seconds()))
        self.signal(name, copy_for_script(payload))

    def _call_signal_handler(self, handler: Handler, payload: Any) -> None:
        try:
            answer = handler(payload)
        except (Exception, SystemExit) as error:
            self._fail(error)
            return
        if inspect.iscoroutine(answer):
            self._handle(answer)

    def _handle(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a handler at the same time as the script; stopping the run stops it, too."""
        task = asyncio.create_task(coroutine)
        self._handling = [*(other for other in self._handling if not other.done()), task]
        task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def query(self, name: str, payload: Any) -> Any:
        """The answer to a query. Raises `Sent`, with the words of the error."""
        if name == STEP_QUERY and payload in self.steps:
            return list(self.steps[payload])
        handler = self.queries.get(name)
        if handler is None:
            raise no_such_query(name, self.queries)
        try:
            return answer_of(handler, name, payload)
        except Failure as failure:
            raise Sent.of(saying(failure.message)) from None
        except OutputError as error:
            raise Sent.of(saying(error.message)) from None
        except (Exception, SystemExit) as error:
            raise Sent.of(saying(self._script_error(error).message)) from None

    def metadata(self) -> dict[str, Any]:
        """The metadata of the run; the SDK only knows that there are handlers, not which."""
        return metadata(self.info.workflow_type, self.queries, self._signals.handlers, self._updates)

    def check_update(self, name: str, payload: Any) -> None:
        """Refuse an update that has no handler, or that its validator rejects: raises `Sent`."""
        entry = self._updates.get(name)
        if entry is None:
            raise Sent.of(saying(f"no handler for update {name!r}"))
        validator = entry[1]
        if validator is None:
            return
        try:
            validator(payload)
        except Exception as refusal:
            raise Sent.of(saying(str(refusal) or type(refusal).__name__)) from None

    async def update(self, name: str, payload: Any) -> Any:
        """The answer to an update. Raises `Sent`, with the failure that it ends with."""
        handler, _ = self._updates[name]
        task = asyncio.current_task()
        assert task is not None
        self._handling = [*(other for other in self._handling if not other.done()), task]
        try:
            answer = handler(payload)
            if inspect.iscoroutine(answer):
                answer = await answer
            return named_json(answer, "the answer to update {!r}", name)
        except asyncio.CancelledError:
            if not self.stopped:
                raise
            raise Sent.of(failures.stopped()) from None
        except Exception as error:
            cause = cause_of_update(name, error, self.definition)
            if cause is None:
                self._fail(error)
                cause = self.wrong
            assert cause is not None
            raise Sent.of(cause) from None

    # Mistakes in the script

    def _fail(self, error: BaseException) -> None:
        """End the run because of something outside its main script."""
        if self.wrong is None:
            cause = cause_of(error, self.definition)
            self.wrong = self._mistaken(error) if cause is None else cause

    def _mistake(self, error: BaseException) -> Sent:
        return Sent.of(self._mistaken(error))

    def _mistaken(self, error: BaseException) -> Cause:
        problem = self._script_error(error)
        if not workflow.unsafe.is_replaying():
            _log.warning("run %s: %s", self.info.workflow_id, problem.message)
        return mistaken(problem, f"fn ({self.definition.path})")

    def _script_error(self, error: BaseException) -> ScriptError:
        return describe(error, self.definition, self.info.workflow_id)


def no_such_query(name: str, known: Collection[str]) -> Sent:
    """The error for an unknown query, in the words of the TypeScript SDK (approval)."""
    return Sent.of(saying(QueryNotRegisteredError.unknown(name, known, BUILT_IN_QUERIES).message))


def _begun(coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """Run a coroutine to the place where it waits for the first time.

    A task would send its first command only in its turn, after those of other tasks. But histories should
    show children in the order in which the script has started them.
    """
    waits_for = coroutine.send(None)

    @types.coroutine
    def rest() -> Generator[Any, Any, Any]:
        yielded = waits_for
        while True:
            try:
                try:
                    sent = yield yielded
                except BaseException as error:
                    yielded = coroutine.throw(error)
                else:
                    yielded = coroutine.send(sent)
            except StopIteration as end:
                return end.value

    async def run() -> Any:
        return await rest()

    return run()


def _child_failure(error: ChildWorkflowError) -> ChildFailure:
    assert error.failure is not None
    return child_failure(error.failure)


def _priority(said: dict[str, Any] | None) -> Priority:
    if not said:
        return _NO_PRIORITY
    return Priority(
        priority_key=said.get("priorityKey"),
        fairness_key=said.get("fairnessKey"),
        fairness_weight=said.get("fairnessWeight"),
    )


def _raise_in(future: asyncio.Future[Any], error: BaseException) -> None:
    future.set_exception(error)
    # Perhaps nothing waits for it any more, which is up to the script.
    future.exception()


def _length(nanoseconds: int) -> timedelta:
    return timedelta(microseconds=nanoseconds // 1000)


def _optional_length(nanoseconds: int | None) -> timedelta | None:
    return None if nanoseconds is None else _length(nanoseconds)


def milliseconds(time: datetime) -> int:
    """A time in JavaScript's form."""
    return round(time.timestamp() * 1000)
