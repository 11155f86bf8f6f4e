"""The workflows with which `tests/recordings/further` was recorded.

Each produces the same events as the TypeScript workflow of the same name on the real server. Where the two
languages differ, it uses the asyncio equivalent: for a non-cancellable scope it catches `CancelledError`, and
for a promise that is not awaited it starts a task.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

from output_mock import UNDEFINED, ChildFailure, Context, Failure, Script, StepFailure

script = Script(catalogs=["main"], namespace="conf")

NUMBER = {"type": "number"}
STRING = {"type": "string"}
BOOLEAN = {"type": "boolean"}
ANY: dict[str, Any] = {}
ONCE = {"retry": {"maximumAttempts": 1}}
# The error that the real SDK throws into a workflow that is stopped while it waits for a step.
STEP_CANCELLED = {
    "caught": "ActivityFailure",
    "message": "Activity cancelled",
    "cause": "CancelledFailure",
    "cancellation": True,
}


def _application(
    message: str = "",
    type: str = "Error",
    *details: Any,
    retryable: bool = True,
    cause: Failure | None = None,
) -> Failure:
    """Temporal's own ApplicationFailure, thrown without a wrapper."""
    return Failure(message, name=type, retryable=retryable, cause=cause)


def _of_class(kind: str, message: str, name: str = "Error", **properties: Any) -> Failure:
    """An error whose class name differs from its `name`."""
    return Failure(message, name=name, **properties)


def _object(**properties: Any) -> dict[str, Any]:
    """The schema of an object. A property given as a list of one schema is optional."""
    return {
        "type": "object",
        "properties": {name: one[0] if isinstance(one, list) else one for name, one in properties.items()},
        "required": [name for name, one in properties.items() if not isinstance(one, list)],
        "additionalProperties": False,
    }


def _path(folder: str) -> str:
    return f"/app/dist/workflows/{folder}/workflow.js"


# --- stops -----------------------------------------------------------------------------------------------


@script.workflow(
    "fact_steps",
    description="Steps that take time, for stopping in the middle",
    input_schema=_object(mode=STRING, ms={**NUMBER, "default": 3000}),
    output_schema=ANY,
)
async def steps(ctx: Context, input: Any) -> Any:
    mode, ms = input["mode"], input["ms"]
    state = {"stage": "begun"}
    ctx.on_query("stage", lambda payload: state)

    def slow(length: int) -> Awaitable[Any]:
        return ctx.step("slow", length, takes=length / 1000, returns=length)

    def quick(text: str) -> Awaitable[Any]:
        return ctx.step("quick", text, returns=f"quick {text}")

    if mode == "one":
        return {"v": await slow(ms)}
    if mode == "two":
        first = await slow(ms)
        state["stage"] = "second"
        return {"v": first, "w": await quick("x")}
    if mode == "catch":
        try:
            await slow(ms)
        except asyncio.CancelledError:
            return STEP_CANCELLED
        return {"caught": None}
    if mode == "sleep":
        await ctx.sleep(60)
        return {"slept": True}
    if mode == "sleep_caught":
        try:
            await ctx.sleep(60)
        except asyncio.CancelledError:
            return {"caught": "CancelledFailure", "message": "Workflow cancelled"}
        return {}
    if mode == "sleep_one_step":
        await ctx.sleep(ms / 1000)
        await quick("x")
        return {"slept": True}
    if mode == "parallel":
        return {"all": await asyncio.gather(slow(ms), slow(ms + 1), slow(ms + 2))}
    if mode == "race":
        tasks = [asyncio.ensure_future(slow(ms)), asyncio.ensure_future(quick("first"))]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return {"v": done.pop().result()}
    if mode == "condition":
        return {"met": await ctx.condition(lambda: False, timeout="1h")}
    if mode == "step_sleep":
        return {"all": len(await asyncio.gather(slow(ms), ctx.sleep(60)))}
    if mode == "timeout_scope":
        try:
            await asyncio.wait_for(slow(ms), 0.5)
        except asyncio.TimeoutError:
            return {"caught": "ActivityFailure", "cancellation": True}
        return {}
    if mode == "shield":
        step = asyncio.ensure_future(slow(ms))
        try:
            return {"v": await asyncio.shield(step)}
        except asyncio.CancelledError:
            return {"v": await step}
    return {}


@script.workflow(
    "fact_stopfail",
    description="What happens when it is stopped goes wrong",
    input_schema=_object(mode=STRING),
    output_schema=ANY,
)
async def stopfail(ctx: Context, input: Any) -> Any:
    state = {"stage": "waiting"}
    ctx.on_query("stage", lambda payload: state)
    try:
        await ctx.condition(lambda: False)
    except asyncio.CancelledError:
        state["stage"] = "cleaning"
        mode = input["mode"]
        if mode == "cleanup_fatal":
            await ctx.step("cleanup", "fatal", fails=Failure("cleanup failed", name="FatalError"))
        elif mode == "cleanup_slow":
            await ctx.step("cleanup", "slow", takes=1.5, returns="cleaned slow")
            raise
        elif mode == "throw_fatal":
            raise Failure("stopped badly", name="FatalError") from None
        elif mode == "throw_app":
            raise _application("app after stop", "StopError", retryable=False) from None
        elif mode == "throw_new_cancelled":
            raise asyncio.CancelledError("my own words") from None
        elif mode == "cancellable_cleanup":
            raise  # a step in a scope that was cancelled is never begun
        elif mode == "cleanup_wait":
            await ctx.condition(lambda: False, timeout=2)
            raise
    return {"stopped": True}


@script.workflow(
    "fact_cond",
    description="A condition with a timeout",
    input_schema=_object(timeout={"anyOf": [STRING, NUMBER]}, then=[BOOLEAN]),
    output_schema=ANY,
)
async def cond(ctx: Context, input: Any) -> Any:
    state: dict[str, Any] = {"stage": "waiting", "got": []}
    ctx.on_query("stage", lambda payload: state)
    ctx.on_signal("go", state["got"].append)
    timeout = input["timeout"]
    met = await ctx.condition(
        lambda: bool(state["got"]), timeout=timeout if isinstance(timeout, str) else timeout / 1000
    )
    state["stage"] = "after"
    then = await ctx.step("quick", "x", returns="quick x") if input.get("then") else None
    return {"met": met, "got": state["got"], "w": then}


# --- parents and children --------------------------------------------------------------------------------


def _told(error: ChildFailure) -> dict[str, Any]:
    """The error as the TypeScript workflows return it."""
    cause = error.chain.cause
    return {
        "name": "ChildWorkflowFailure",
        "message": "Child Workflow execution failed",
        "type": None,
        "cause": None if cause is None else {"name": cause.kind, "message": cause.message},
    }


@script.workflow(
    "fact_tree",
    description="Parents",
    input_schema=_object(mode=STRING),
    output_schema=ANY,
)
async def tree(ctx: Context, input: Any) -> Any:
    mode = input["mode"]
    state = {"got": False}
    ctx.on_signal("go", lambda payload: state.update(got=True))

    def leaf(mode: Any, n: int = 1, **more: Any) -> Awaitable[Any]:
        return ctx.child("fact_leaf", {"mode": mode, "n": n}, **more)

    def first() -> Awaitable[Any]:
        return ctx.step("first", "x", returns="first x")

    async def leave(**more: Any) -> asyncio.Future[Any]:
        child = asyncio.ensure_future(leaf("wait", **more))
        await asyncio.sleep(0)  # a task begins once somebody waits
        return child

    if mode == "two_plus_step":
        return {"all": await asyncio.gather(leaf("value", 1), leaf("value", 2), first())}
    if mode in ("grand", "grand_wait", "grand_fail"):
        passed = {"grand": "value", "grand_wait": "wait", "grand_fail": "fail_step"}[mode]
        return {"mid": await ctx.child("fact_mid", {"mode": passed, "n": 3})}
    if mode == "all_one_fails":
        return {"all": await asyncio.gather(leaf("wait", 1), leaf("fail_step", 2))}
    if mode == "settled":
        all = await asyncio.gather(leaf("fail_step", 1), leaf("value", 2), return_exceptions=True)
        return {"all": [_told(one) if isinstance(one, ChildFailure) else one for one in all]}
    if mode == "caught":
        try:
            await leaf("fail_fatal")
        except ChildFailure as error:
            return _told(error)
        return {}
    if mode == "wait_caught":
        try:
            await leaf("wait")
        except ChildFailure as error:
            return _told(error)
        except asyncio.CancelledError:
            return {
                "name": "ChildWorkflowFailure",
                "message": "Child Workflow execution failed",
                "type": None,
                "cause": {"name": "CancelledFailure", "message": ""},
            }
        return {}
    if mode in ("detached", "attached"):
        _left = await leave(detached=mode == "detached")
        await ctx.sleep(0.5)
        return {"left": True}
    if mode == "detached_wait":
        _left = await leave(detached=True)
        await ctx.condition(lambda: state["got"])
        return {}
    if mode == "chain":
        return {"one": await leaf("chain", 5)}
    if mode == "options":
        options = {"startToCloseTimeout": "7s", "retry": {"maximumAttempts": 5}}
        return {"one": await leaf("value", options=options)}
    if mode == "reset":
        told = {"a": await first(), "b": await leaf("value")}
        told["c"] = await ctx.step("last", "y", returns="last y")
        await ctx.condition(lambda: state["got"])
        return told
    given: Any = {"one": "value", "bad_input": 5}.get(mode, mode)
    return {"one": await leaf(given)}


@script.workflow(
    "fact_leaf",
    description="A child",
    aliases=["fact_leaf_alias"],
    input_schema=_object(mode=STRING, n=NUMBER),
    output_schema=ANY,
    options={"retry": {"maximumAttempts": 2}},
    path=_path("fact_tree/leaf"),
)
async def leaf(ctx: Context, input: Any) -> Any:
    mode, n = input["mode"], input["n"]
    state: dict[str, Any] = {"stage": "begun", "got": False}
    ctx.on_query("stage", lambda payload: state)
    ctx.on_signal("go", lambda payload: state.update(got=True))

    def work(takes: float = 0, fails: Failure | None = None, **more: Any) -> Awaitable[Any]:
        return ctx.step("work", {"n": n, **more}, takes=takes, fails=fails, returns=n * 10)

    if mode == "value":
        return {"n": await work()}
    if mode == "bare":
        return {"n": n}
    if mode == "slow":
        return {"n": await work(2, ms=2000)}
    if mode == "wait":
        await ctx.condition(lambda: state["got"])
        return {"n": n, "waited": True}
    if mode == "fail_step":
        return {"n": await work(fails=Failure(f"leaf {n} broke", name="FatalError"), fail=True)}
    if mode == "fail_fatal":
        raise Failure(f"leaf {n} is fatal", name="FatalError")
    if mode == "chain":
        value = await work()
        if value < 1000:
            ctx.continue_as_new({"mode": "chain", "n": value})
        return {"n": value}
    return None


@script.workflow(
    "fact_mid",
    description="A child with a child",
    input_schema=_object(mode=STRING, n=NUMBER),
    output_schema=ANY,
    path=_path("fact_tree/mid"),
)
async def mid(ctx: Context, input: Any) -> Any:
    return {"leaf": await ctx.child("fact_leaf", input)}


# --- updates and signals ---------------------------------------------------------------------------------


@script.workflow(
    "fact_updates",
    description="Updates of all kinds",
    input_schema=_object(begin=[STRING], endAfter=[NUMBER]),
    output_schema=ANY,
)
async def updates(ctx: Context, input: Any) -> Any:
    state: dict[str, Any] = {"stage": "begun", "done": False, "notes": [], "log": []}
    log: list[str] = state["log"]

    def quick(text: str) -> Awaitable[Any]:
        return ctx.step("quick", text, returns=f"quick {text}")

    def slow(length: int) -> Awaitable[Any]:
        return ctx.step("slow", length, takes=length / 1000, returns=length)

    def go(payload: Any) -> None:
        log.append("go")
        state["done"] = True

    def note(payload: Any) -> None:
        log.append("note")
        state["notes"].append(payload)

    def echo(payload: Any) -> Any:
        log.append("echo")
        return UNDEFINED if payload is None else payload

    def kind(payload: Any) -> Any:
        return {"n": 1, "kind": "undefined" if payload is None else "object"}

    async def wait_for_note(payload: Any) -> Any:
        log.append("waitForNote")
        await ctx.condition(lambda: bool(state["notes"]))
        log.append("noted")
        return {"notes": state["notes"]}

    async def with_step(payload: Any) -> Any:
        return {"w": await quick((payload or {}).get("v", "none"))}

    async def slow_step(payload: Any) -> Any:
        return {"w": await slow((payload or {}).get("ms", 1000))}

    async def broken_step(payload: Any) -> Any:
        return await ctx.step("broken", "x", fails=Failure("broken x", name="FatalError"))

    async def timed(payload: Any) -> Any:
        await ctx.sleep((payload or {}).get("ms", 300) / 1000)
        return {"slept": True}

    def finish(payload: Any) -> Any:
        state["done"] = True
        return "bye"

    async def forever(payload: Any) -> Any:
        log.append("forever")
        await ctx.condition(lambda: False)
        return "never"

    def fatal(payload: Any) -> None:
        raise Failure("fatal in update", name="FatalError")

    def app(payload: Any) -> None:
        raise _application("app in update", "MyUpdateError", {"a": 1})

    def is_ok(payload: Any) -> None:
        if not (payload or {}).get("ok"):
            raise ValueError("not ok")

    def never_ok(payload: Any) -> None:
        raise _application("app not ok", "CheckError", retryable=False)

    ctx.on_query("stage", lambda payload: state)
    ctx.on_signal("go", go)
    ctx.on_signal("note", note)
    ctx.on_update("echo", echo)
    ctx.on_update("nothing", lambda payload: UNDEFINED)
    ctx.on_update("nil", lambda payload: None)
    ctx.on_update("zero", lambda payload: 0)
    ctx.on_update("text", lambda payload: "just text")
    ctx.on_update("kind", kind)
    ctx.on_update("waitForNote", wait_for_note)
    ctx.on_update("withStep", with_step)
    ctx.on_update("slowStep", slow_step)
    ctx.on_update("brokenStep", broken_step)
    ctx.on_update("timed", timed)
    ctx.on_update("finish", finish)
    ctx.on_update("forever", forever)
    ctx.on_update("fatal", fatal)
    ctx.on_update("app", app)
    ctx.on_update("check", lambda payload: {"ok": payload}, validator=is_ok)
    ctx.on_update("checkApp", lambda payload: {"ok": payload}, validator=never_ok)
    if input.get("begin") == "step":
        await quick("begin")
    if input.get("begin") == "slow":
        await slow(2000)
    state["stage"] = "ready"
    limit = input.get("endAfter")
    await ctx.condition(lambda: state["done"], timeout=limit / 1000 if limit else None)
    return {"notes": state["notes"], "log": log}


@script.workflow(
    "fact_signals",
    description="Signals early, late and wrong",
    input_schema=_object(mode=STRING, n={**NUMBER, "default": 1}, ms={**NUMBER, "default": 2000}),
    output_schema=ANY,
)
async def signals(ctx: Context, input: Any) -> Any:
    mode, ms = input["mode"], input["ms"]
    state: dict[str, Any] = {"stage": "begun", "got": [], "order": []}
    order: list[str] = state["order"]

    async def go(payload: Any) -> None:
        if mode == "app":
            raise _application("app in signal", "SignalError", retryable=False)
        if mode == "fatal":
            raise Failure("fatal in signal", name="FatalError")
        if mode == "plain":
            raise Failure("plain in signal")
        order.append("signal")
        state["got"].append(payload)
        if mode == "step":
            order.append(await ctx.step("quick", "from signal", returns="quick from signal"))

    ctx.on_query("stage", lambda payload: state)
    if mode != "late":
        ctx.on_signal("go", go)
    if mode in ("late", "during"):
        await ctx.step("slow", ms, takes=ms / 1000, returns=ms)
        order.append("slow done")
    if mode == "late":
        ctx.on_signal("go", go)
    state["stage"] = "waiting"
    await ctx.condition(lambda: len(state["got"]) >= input["n"])
    order.append("met")
    return {"got": state["got"], "order": order}


# --- chains and resets -----------------------------------------------------------------------------------


@script.workflow(
    "fact_chain",
    description="Continues as new, fast or slowly, with signals",
    aliases=["fact_chain_alias"],
    input_schema=_object(
        n=NUMBER,
        to=NUMBER,
        ms={**NUMBER, "default": 0},
        wait=[BOOLEAN],
        lastWait=[BOOLEAN],
        seen={**NUMBER, "default": 0},
    ),
    output_schema=ANY,
)
async def chain(ctx: Context, input: Any) -> Any:
    state = {"n": input["n"], "got": 0}
    ctx.on_query("stage", lambda payload: state)
    ctx.on_signal("go", lambda payload: state.update(got=state["got"] + 1))
    n = await ctx.step("next", input["n"], returns=input["n"] + 1)
    if input["ms"]:
        await ctx.sleep(input["ms"] / 1000)
    if input.get("wait"):
        await ctx.condition(lambda: state["got"] > 0)
    if n < input["to"]:
        ctx.continue_as_new({**input, "n": n, "seen": input["seen"] + state["got"]})
    if input.get("lastWait"):
        await ctx.condition(lambda: state["got"] > 0)
    return {"n": n, "seen": input["seen"] + state["got"]}


@script.workflow(
    "fact_reset",
    description="For resetting",
    input_schema=_object(mode=STRING),
    output_schema=ANY,
)
async def reset(ctx: Context, input: Any) -> Any:
    mode = input["mode"]
    log: list[Any] = []
    state: dict[str, Any] = {"stage": "begun", "done": False, "log": log}

    def a(text: str) -> Awaitable[Any]:
        return ctx.step("a", text, returns=f"a {text}")

    def b(text: str, fails: Failure | None = None) -> Awaitable[Any]:
        return ctx.step("b", text, fails=fails, returns=f"b {text}")

    def slow(length: int) -> Awaitable[Any]:
        return ctx.step("slow", length, takes=length / 1000, returns=length)

    def go(payload: Any) -> None:
        log.append(["go", payload])
        state["done"] = True

    def set(payload: Any) -> int:
        log.append(["set", payload])
        return len(log)

    ctx.on_query("stage", lambda payload: state)
    ctx.on_signal("go", go)
    ctx.on_signal("note", lambda payload: log.append(["note", payload]))
    ctx.on_update("set", set)
    log.append(await a("x"))
    state["stage"] = "a done"
    if mode == "two":
        log.append(await b("y"))
        state["stage"] = "b done"
        await ctx.condition(lambda: state["done"])
    elif mode == "timer":
        await ctx.sleep(60)
    elif mode == "short_timer":
        await ctx.sleep(1)
        log.append(await b("y"))
    elif mode == "parallel":
        log.extend(await asyncio.gather(slow(3000), slow(3001)))
    elif mode == "slow":
        log.append(await slow(2500))
    elif mode == "fail":
        log.append(await b("fail", Failure("b failed", name="FatalError")))
    elif mode == "done":
        log.append(await b("y"))
    elif mode == "chain":
        ctx.continue_as_new({"mode": "two"})
    elif mode == "loop":
        for text in "123":
            log.append(await a(text))
        await ctx.condition(lambda: state["done"])
    return log


# --- failures --------------------------------------------------------------------------------------------


@script.workflow(
    "fact_errors",
    description="Fails in odd ways",
    input_schema=_object(where={**STRING, "enum": ["workflow", "step"]}, mode=STRING),
    output_schema=ANY,
)
async def errors(ctx: Context, input: Any) -> Any:
    mode = input["mode"]
    ctx.on_query("stage", lambda payload: {"here": True})
    if input["where"] == "step":
        return {
            "v": await ctx.step("fail", mode, fails=_step_errors().get(mode) or Failure(mode), options=ONCE)
        }
    if mode == "step_caught_rethrown":
        try:
            await ctx.step("fail", "x", fails=Failure("x"), options=ONCE)
        except StepFailure as error:
            raise Failure("rethrown", name="FatalError") from error
    failure = _workflow_errors().get(mode)
    if failure is not None:
        raise failure
    return {}


def _step_errors() -> dict[str, Failure]:
    one, two = {"message": "one", "name": "Error"}, {"message": "two", "name": "TypeError"}
    inner = Failure("middle", cause=Failure("inner", name="RangeError"))
    return {
        "odd": Failure("odd one", name="OddError", **_ODD),
        "transparent": Failure("seen through", name="OddError", retryable=False, code=7),
        "fatal_cause": Failure("outer", name="FatalError", cause=inner),
        "validation_cause": Failure(
            "bad value", name="ValidationError", cause=Failure.value({"plain": "object"})
        ),
        "app": _application("app in step", "StepType", {"d": 1}, "two", retryable=False),
        "app_noargs": _application(retryable=False),
        "object": Failure.value({"code": 5, "message": "not an error"}),
        "null": Failure.value(None),
        "number": Failure.value(42),
        "empty": Failure(""),
        "aggregate": Failure("several", name="AggregateError", errors=[one, two]),
        "named": _of_class("Error", "renamed", name="MyName"),
        "long": Failure("x" * 20_000),
        "multi": Failure("line one\nline two"),
    }


# What the SDK makes of an error with every kind of property: secrets gone, the odd ones in words.
_ODD: dict[str, Any] = {
    "nested": {"a": [1, {"b": None}]},
    "list": [1, "two", None, None, True],
    "when": "1970-01-01T00:00:00.000Z",
    "big": "12n",
    "re": "/x/g",
    "sym": "Symbol(s)",
    "map": [["k", 1]],
    "set": [1],
    "buf": "Buffer(3)",
    "url": "https://***:***@host.example/path?token=***",
    "nan": None,
    "inf": None,
    "nul": None,
    "code": "E_ODD",
    "status": 429,
}


def _workflow_errors() -> dict[str, Failure]:
    told = {"name": "FromDetail", "message": "told in detail", "extra": [1]}
    app = _application
    return {
        "plain": Failure("plain error in workflow"),
        "type_error": Failure("Cannot read properties of null (reading 'y')", name="TypeError"),
        "app": app("app in workflow", "CustomType", retryable=False),
        "app_details": app("app in workflow", "CustomType", {"d": 1}, "two", retryable=False),
        "app_retryable": app("retry me", "RetryType"),
        "app_error_detail": app("app in workflow", "CustomType", {"error": told}, retryable=False),
        "app_cause": app(
            "outer app", "Outer", cause=app("inner app", "Inner", retryable=False), retryable=False
        ),
        "transparent": Failure("seen through", name="RangeError", retryable=False, code=7),
        "fatal_props": Failure("with properties", name="FatalError", code=3, token="secret", nested={"a": 1}),
        "fatal_cause": Failure("outer", name="FatalError", cause=Failure("middle")),
        "validation": Failure("my validation", name="ValidationError"),
    }


# --- step options, evaluators, schemas -------------------------------------------------------------------


@script.workflow(
    "fact_timeouts",
    description="Steps with options of their own",
    input_schema=_object(mode=STRING),
    output_schema=ANY,
    options={
        "startToCloseTimeout": "30s",
        "heartbeatTimeout": "10s",
        "retry": {"initialInterval": "200ms", "nonRetryableErrorTypes": ["OtherError"]},
    },
)
async def timeouts(ctx: Context, input: Any) -> Any:
    mode = input["mode"]

    def step(name: str, ms: int, fails: Failure | None = None, **options: Any) -> Awaitable[Any]:
        takes = 0 if fails else ms / 1000
        return ctx.step(name, ms, takes=takes, fails=fails, returns=ms, options=options)

    no_quota = Failure("no quota", name="QuotaError")
    often = {"maximumAttempts": 10, "initialInterval": "600ms", "backoffCoefficient": 1}
    thrice = {"maximumAttempts": 3, "initialInterval": "100ms"}
    if mode == "start_to_close":
        retry = {"maximumAttempts": 2, "initialInterval": "100ms"}
        return {"v": await step(mode, 3000, startToCloseTimeout="1s", retry=retry)}
    if mode == "start_to_close_once":
        return {"v": await step(mode, 2000, startToCloseTimeout="500ms", **ONCE)}
    if mode == "schedule_to_close":
        return {"v": await step(mode, 1, Failure("again"), scheduleToCloseTimeout="2s", retry=often)}
    if mode == "schedule_to_close_running":
        return {"v": await step(mode, 3000, scheduleToCloseTimeout="1s")}
    if mode == "custom":
        return {
            "v": await step(mode, 1, no_quota, retry={**thrice, "nonRetryableErrorTypes": ["QuotaError"]})
        }
    if mode == "retried":
        retry = {**thrice, "backoffCoefficient": 2, "maximumInterval": "150ms"}
        return {"v": await step(mode, 1, no_quota, retry=retry)}
    if mode == "schedule_to_start":
        more = {"summary": "a summary", "priority": {"priorityKey": 2}}
        return {"v": await step(mode, 1, scheduleToStartTimeout="5s", **more)}
    if mode == "heart":
        return {"v": await step(mode, 2500, heartbeatTimeout="1s", **ONCE)}
    if mode == "named":
        return {"v": await step(mode, 1, activityId="my-own-id")}
    if mode == "caught":
        try:
            await step("start_to_close_once", 2000, startToCloseTimeout="500ms", **ONCE)
        except StepFailure as error:
            cause = error.chain.cause
            assert cause is not None
            timeout = cause.info["timeoutFailureInfo"]["timeoutType"].removeprefix("TIMEOUT_TYPE_")
            told = {"name": error.chain.kind, "message": error.chain.message}
            return {**told, "cause": cause.kind, "causeMessage": cause.message, "type": timeout}
    return {}


@script.workflow(
    "fact_eval",
    description="Runs an evaluator",
    input_schema=_object(mode=STRING),
    output_schema=ANY,
)
async def judged(ctx: Context, input: Any) -> Any:
    mode = input["mode"]
    tone = {"value": "warm", "confidence": 0.9, "name": "tone"}
    length = {
        "value": 3,
        "confidence": 0.8,
        "name": "length",
        "reasoning": "counted",
        "feedback": [{"issue": "x"}],
    }
    dull = {"issue": "dull", "suggestion": "joke", "reference": "p1", "priority": "high"}
    results: dict[str, dict[str, Any]] = {
        "string": {"value": "good", "confidence": 0.5},
        "number": {"value": 7, "confidence": 1},
        "verdict": {"value": "partial", "confidence": 0, "reasoning": ""},
        "full": {
            "value": True,
            "confidence": 0.25,
            "reasoning": "because",
            "feedback": [{"issue": "too long"}, dull],
            "dimensions": [tone, length],
        },
        "fatal": {"fails": Failure("cannot judge", name="FatalError")},
        "bad_value": {"fails": _not_valid("✖ Invalid input: expected number, received string\n  → at value")},
        "bad_verdict": {
            "fails": _not_valid('✖ Invalid option: expected one of "pass"|"partial"|"fail"\n  → at value')
        },
        "bad_shape": {
            "fails": Failure(
                'Evaluator "judge" output validation failed: '
                "✖ Invalid input: expected EvaluationResult, received object",
                name="ValidationError",
            )
        },
    }
    result = results.get(mode, {"fails": Failure("no such judgement")})
    return await ctx.evaluate("judge", mode, options=ONCE, **result)


def _not_valid(message: str) -> Failure:
    return _of_class("EvaluationResultValidationError", message, name="ValidationError")


@script.workflow("fact_par", description="Four jobs, two at a time", output_schema=ANY)
async def par(ctx: Context, input: Any) -> Any:
    two = asyncio.Semaphore(2)
    seen: list[Any] = []

    async def job(n: int, ms: int) -> Any:
        fails = Failure(f"job {n} failed", name="FatalError") if n == 1 else None
        async with two:
            try:
                given = {"n": n, "ms": ms, "fail": n == 1}
                result = await ctx.step("job", given, takes=ms / 1000, fails=fails, returns=n)
            except StepFailure as error:
                seen.append([n, False])
                told = {"name": error.chain.kind, "message": error.chain.message, "cause": error.message}
                return {"index": n, "ok": False, "result": None, "error": told}
            seen.append([n, True])
            return {"index": n, "ok": True, "result": result, "error": None}

    jobs = [(0, 300), (1, 600), (2, 600), (3, 600)]
    return {"results": await asyncio.gather(*(job(n, ms) for n, ms in jobs)), "seen": seen}


@script.workflow(
    "fact_union",
    description="A union at the top",
    input_schema={"anyOf": [_object(a=STRING), {"type": "array", "items": NUMBER}, {"type": "null"}]},
    output_schema={**STRING, "default": "nothing"},
)
async def union(ctx: Context, input: Any) -> Any:
    return UNDEFINED if input is None else json.dumps(input, separators=(",", ":"), ensure_ascii=False)


def _choice(**properties: Any) -> dict[str, Any]:
    (tag, value), *others = properties.items()
    return _object(**{tag: {**STRING, "const": value}, **dict(others)})


@script.workflow(
    "fact_schema",
    description="Every kind of field",
    input_schema=_object(
        need=STRING,
        **{"def": {**STRING, "default": "x"}},
        opt=[NUMBER],
        nul=[{"anyOf": [STRING, {"type": "null"}]}],
        nullish=[{"anyOf": [BOOLEAN, {"type": "null"}]}],
        en=[{**STRING, "enum": ["a", "b"]}],
        uni=[{"anyOf": [STRING, NUMBER]}],
        lit=[{**STRING, "const": "only"}],
        lits=[{**NUMBER, "enum": [1, 2]}],
        smin=[{**STRING, "minLength": 3}],
        smax=[{**STRING, "maxLength": 3}],
        slen=[{**STRING, "minLength": 3, "maxLength": 3}],
        sreg=[{**STRING, "pattern": "^a+$"}],
        sstart=[{**STRING, "pattern": "^ab.*"}],
        nmin=[{**NUMBER, "minimum": 3}],
        nmax=[{**NUMBER, "maximum": 3}],
        npos=[{**NUMBER, "exclusiveMinimum": 0}],
        nint=[{"type": "integer"}],
        nmul=[{**NUMBER, "multipleOf": 5}],
        mail=[{**STRING, "format": "email"}],
        mail2=[{**STRING, "format": "email"}],
        url=[{**STRING, "format": "uri"}],
        uuid=[{**STRING, "format": "uuid"}],
        dt=[{**STRING, "format": "date-time"}],
        date=[{**STRING, "format": "date"}],
        ip=[{**STRING, "format": "ipv4"}],
        arr=[{"type": "array", "items": NUMBER, "minItems": 1, "maxItems": 2}],
        tup=[{"type": "array", "prefixItems": [STRING, NUMBER]}],
        rec=[{"type": "object", "propertyNames": STRING, "additionalProperties": NUMBER}],
        nest=[_object(a=_object(b={"type": "array", "items": _object(c=STRING)}))],
        strict=[_object(k=STRING)],
        loose=[{**_object(k=STRING), "additionalProperties": {}}],
        disc=[{"oneOf": [_choice(t="x", x=NUMBER), _choice(t="y", y=STRING)]}],
        ref=[STRING],
        bool=[BOOLEAN],
        nothing=[{"type": "null"}],
        unk=[ANY],
        **{"odd key": [STRING]},
        described=[{**STRING, "description": "told about"}],
        stepN=[NUMBER],
        trans=[STRING],
    ),
    output_schema=_object(seen=ANY, kept=STRING, step=[_object(n=NUMBER)]),
    options=ONCE,
)
async def schema(ctx: Context, input: Any) -> Any:
    output = {"seen": input, "kept": "yes", "dropped": "no"}
    if "stepN" in input:
        output["step"] = await ctx.step(
            "narrow",
            {"n": input["stepN"], "more": 1},
            returns=lambda given: {**given, "extra": "dropped"},
            input_schema=_object(n={**NUMBER, "minimum": 1}, note={**STRING, "default": "none"}),
            output_schema=_object(n=NUMBER, note=STRING),
        )
    return output


@script.workflow(
    "fact_schema_strict",
    description="Takes no other keys",
    input_schema=_object(k=STRING),
    output_schema=_object(k=STRING),
)
async def strict(ctx: Context, input: Any) -> Any:
    return {"k": "x", "more": 1, "other": 2} if input["k"] == "more" else {"k": input["k"]}
