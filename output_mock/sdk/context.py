"""What a script sees of its run: `ctx`."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NoReturn, Protocol

from output_mock.durations import Duration, nanoseconds, pause
from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.http_requests import RESUME, Method, RequestPlan, request_arguments
from output_mock.sdk.step_plans import Fails, Inside, StepPlan
from output_mock.sdk.trace_nodes import checked_nodes
from output_mock.sdk.values import named_json

Handler = Callable[[Any], Any]


def answer_of(handler: Handler, name: str, payload: Any) -> Any:
    """The answer of a query's handler, as JSON.

    Raises `TypeError` for a handler that would have to wait, or an answer that is not JSON, and whatever the
    handler raises.
    """
    answer = handler(payload)
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(
            f"the handler of query {name!r} is a coroutine function; queries cannot wait, so use a plain "
            "function"
        )
    return named_json(answer, "the answer to query {!r}", name)


class ContinueAsNew(BaseException):
    """Ends a run and begins the next one of the chain; raised by `ctx.continue_as_new`."""

    def __init__(self, input: Any) -> None:
        super().__init__()
        self.input = input


class SignalTimeout(asyncio.TimeoutError):
    """What `await ctx.wait_for_signal(…)` raises when no signal came within its timeout."""


class RunInfo:
    """The ids, names and start time of a run.

    `is_continue_as_new_suggested` says whether the server suggests that it continues as new, because its
    history has more than 4096 events (many_events).
    """

    __slots__ = (
        "catalog",
        "is_continue_as_new_suggested",
        "run_id",
        "start_time",
        "workflow_id",
        "workflow_name",
    )

    def __init__(
        self,
        workflow_id: str,
        run_id: str,
        workflow_name: str,
        catalog: str,
        start_time: datetime,
        is_continue_as_new_suggested: bool,
    ) -> None:
        self.is_continue_as_new_suggested: bool = is_continue_as_new_suggested
        self.workflow_id: str = workflow_id
        self.run_id: str = run_id
        self.workflow_name: str = workflow_name
        self.catalog: str = catalog
        self.start_time: datetime = start_time


class Scheduled(Protocol):
    """A step that was started."""

    @property
    def future(self) -> Awaitable[Any]:
        """What it returns, or how it fails."""


class Player(Protocol):
    """What executes a run: the fake's own engine, or a worker on a real Temporal. Durations are
    nanoseconds.
    """

    def schedule(self, plan: StepPlan, input: Any, options: Mapping[str, Any] | None) -> Scheduled: ...
    def schedule_request(self, plan: RequestPlan, input: dict[str, Any]) -> Scheduled: ...
    def abandon(self, activity: Any) -> None: ...
    async def child(
        self, name: str, input: Any, *, detached: bool, options: Mapping[str, Any] | None
    ) -> Any: ...
    async def sleep(self, length: int) -> None: ...
    def now(self) -> int: ...
    def on_signal(self, name: str, handler: Handler) -> None: ...
    def on_query(self, name: str, handler: Handler) -> None: ...
    def on_update(self, name: str, handler: Handler, validator: Handler | None) -> None: ...
    async def wait_for_signal(self, name: str, timeout: int | None) -> Any: ...
    async def first_signal(self, name: str, timeout: int | None) -> Any: ...
    async def condition(self, predicate: Callable[[], bool], timeout: int | None) -> bool: ...
    def run_info(self) -> RunInfo: ...
    def random(self) -> random.Random: ...
    async def next_scripted_answer(self, pick: Callable[[], tuple[object, Sequence[Any]]]) -> Any: ...


class Context:
    """What a script gets as `ctx`: its run, with steps, timers, signals, queries, updates and children.

    Everything here happens on the world's clock and is written to the run's history.
    """

    __slots__ = ("_instance",)

    def __init__(self, instance: Player) -> None:
        self._instance = instance

    # Work

    async def step(
        self,
        name: str,
        input: Any = UNDEFINED,
        *,
        returns: Any = UNDEFINED,
        fails: Fails = None,
        takes: Duration = 0,
        options: Mapping[str, Any] | None = None,
        input_schema: Mapping[str, Any] | None = None,
        output_schema: Mapping[str, Any] | None = None,
        trace: Inside = (),
    ) -> Any:
        """Run a step (an activity of the workflow) and return what it returned.

        Takes the step's `input` (any JSON), what it `returns` (a value, or a function of the input), how
        it `fails` (a `Failure` or its message for every attempt, or a list with one or None an attempt), how
        long each attempt `takes`, step `options` with the SDK's own names (retries, timeouts), JSON schemas
        for its input and output, and what each attempt does inside, for the run's `trace`:
        `[llm("generateText", model="m"), http("GET", url, 200)]` (`output_mock.traces`), or a function of
        the input that returns such a list.

        Raises `StepFailure` when it has finally failed, and `asyncio.CancelledError` when the run is stopped.
        """
        plan = StepPlan(name, returns, fails, nanoseconds(takes) if takes else 0)
        if input_schema is not None or output_schema is not None:
            plan.input_schema, plan.output_schema = input_schema, output_schema
        if trace:
            plan.trace = checked_nodes(trace, name)
        return await self._outcome(plan, input, options)

    async def evaluate(
        self,
        name: str,
        input: Any = UNDEFINED,
        *,
        value: Any = None,
        confidence: float = 1.0,
        reasoning: str | None = None,
        feedback: Sequence[Mapping[str, Any]] = (),
        dimensions: Sequence[Mapping[str, Any]] = (),
        label: str | None = None,
        fails: Fails = None,
        takes: Duration = 0,
        options: Mapping[str, Any] | None = None,
        trace: Inside = (),
    ) -> Any:
        """Run an evaluator and return its result: `{"value", "confidence", "reasoning", …}` (evaluator).

        `value` may be a function of the input; `label` is the result's own `name`, and `dimensions` are
        further results below it. The other parameters are as in `step`.
        """

        def verdict(given: Any) -> dict[str, Any]:
            result: dict[str, Any] = {} if label is None else {"name": label}
            result["value"] = value(given) if callable(value) else value
            result["confidence"] = confidence
            if reasoning is not None:
                result["reasoning"] = reasoning
            result["feedback"] = [dict(item) for item in feedback]
            result["dimensions"] = [
                {**item, "feedback": [], "dimensions": []} | dict(item) for item in dimensions
            ]
            return result

        plan = StepPlan(name, verdict, fails, nanoseconds(takes), "Evaluator")
        if trace:
            plan.trace = checked_nodes(trace, name)
        return await self._outcome(plan, input, options)

    async def _outcome(self, plan: StepPlan, input: Any, options: Mapping[str, Any] | None) -> Any:
        return await self._outcome_of(self._instance.schedule(plan, input, options))

    async def _outcome_of(self, activity: Scheduled) -> Any:
        try:
            return await activity.future
        except asyncio.CancelledError:
            self._instance.abandon(activity)
            raise

    async def send_http_request(
        self,
        url: str,
        *,
        method: Method = "GET",
        payload: Any = UNDEFINED,
        headers: Mapping[str, str] | None = None,
        response_options: Mapping[str, bool] | None = None,
    ) -> Any:
        """Send a request to your application, as the SDK's `sendHttpRequest` does, and return the answer:
        `{"url", "status", "statusText", "ok"}` (call_get).

        Takes the `payload` (any JSON; sent with POST, PUT, PATCH and DELETE), `headers`, in which `$NAME`
        stands for the environment's value, and `response_options` for more of the answer:
        `{"includeHeaders": True, "includeBody": True}`.

        `mock.application`, `mock.callbacks.respond` and `--callback-host` say where requests go. Raises
        `StepFailure` when there is no answer, or one that is not 2xx, and `Failure` for wrong arguments.
        """
        arguments = request_arguments(url, method, payload, headers, response_options)
        return await self._outcome_of(self._instance.schedule_request(RequestPlan(), arguments))

    async def send_post_request_and_await_webhook(
        self,
        url: str,
        *,
        payload: Any = UNDEFINED,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
    ) -> Any:
        """Send `{"workflowId", "payload"}` to your application, wait until it answers through `/feedback`,
        and return the payload of that: a dict, or None without one (ask_answered_later).

        Feedback that comes before your application has answered the request counts, too. If several come,
        the first one counts. Raises `SignalTimeout` when none comes within the `timeout`, which the SDK does
        not have, and what `send_http_request` raises.
        """
        question = {"workflowId": self.info.workflow_id, "payload": payload}
        await self.send_http_request(url, method="POST", payload=question, headers=headers)
        return await self._instance.first_signal(RESUME, None if timeout is None else nanoseconds(timeout))

    async def child(
        self,
        name: str,
        input: Any = UNDEFINED,
        *,
        detached: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run another workflow of the same catalog as a child and return its output.

        A `detached` child continues when its parent ends; all others are terminated with it. Raises
        `ChildFailure` when the child fails, is terminated or times out.
        """
        return await self._instance.child(name, input, detached=detached, options=options)

    # Time

    async def sleep(self, duration: Duration) -> None:
        """Wait: a timer in the history. A duration of 0 or less takes a millisecond, as in the real SDK
        (sleeps_of_no_length).
        """
        await self._instance.sleep(pause(duration))

    def now(self) -> datetime:
        """The time on the fake's clock."""
        return datetime.fromtimestamp(self._instance.now() / 1e9, tz=timezone.utc)

    # Messages

    def on_signal(self, name: str, handler: Handler) -> None:
        """Call `handler(payload)` for each signal of this name, including those that came earlier.

        `payload` is a dict, or None for a signal without one. The handler may be a coroutine function.
        """
        self._instance.on_signal(name, handler)

    def on_query(self, name: str, handler: Handler) -> None:
        """Answer queries of this name with what `handler(payload)` returns, even after the run has ended.

        A `Failure` that it raises is the query's error. Return `UNDEFINED` for an empty answer.
        """
        self._instance.on_query(name, handler)

    def on_update(self, name: str, handler: Handler, *, validator: Handler | None = None) -> None:
        """Answer updates of this name with what `handler(payload)` returns; it may be a coroutine function.

        The `validator` is called first; if it raises, the update is refused and not recorded. A
        `Failure` that the handler raises fails the update.
        """
        self._instance.on_update(name, handler, validator)

    async def wait_for_signal(self, name: str, *, timeout: Duration | None = None) -> Any:
        """Wait for a signal of this name and return its payload: a dict, or None without one.

        Signals that came before are kept and taken first, in order. Raises `SignalTimeout` (an
        `asyncio.TimeoutError`) if none comes in time.
        """
        return await self._instance.wait_for_signal(name, None if timeout is None else nanoseconds(timeout))

    async def condition(self, predicate: Callable[[], bool], *, timeout: Duration | None = None) -> bool:
        """Wait until `predicate()` is true. Returns True, or False if `timeout` passed first."""
        return await self._instance.condition(predicate, None if timeout is None else nanoseconds(timeout))

    def continue_as_new(self, input: Any = UNDEFINED) -> NoReturn:
        """End this run and start the next one of the same workflow id (continue_as_new)."""
        raise ContinueAsNew(input)

    # Information

    @property
    def info(self) -> RunInfo:
        """The ids, the name, the catalog and the start time of this run."""
        return self._instance.run_info()

    @property
    def random(self) -> random.Random:
        """Random numbers that are the same each time this run is replayed, for example after a reset."""
        return self._instance.random()
