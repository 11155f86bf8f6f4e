"""The workflows of `tests/recordings/pack/beside` as scripts for `tests/recordings/0.11/beside`."""

from __future__ import annotations

import asyncio
from typing import Any

from output_mock import Context, Failure, Script, StepFailure

script = Script(catalogs=["main"], namespace="conf")

ANY: dict[str, Any] = {}
STRING = {"type": "string"}
NUMBER = {"type": "number"}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _path(folder: str) -> str:
    return f"/app/dist/workflows/{folder}/workflow.js"


def _retry(**retry: Any) -> dict[str, Any]:
    return {"retry": retry}


@script.workflow(
    "more_sleeps",
    description="Sleeps of no length",
    input_schema=_object(ms={"type": "array", "items": ANY}),
    output_schema=ANY,
    path=_path("sleeps"),
)
async def sleeps(ctx: Context, input: Any) -> Any:
    for length in input["ms"]:
        await ctx.sleep(length if isinstance(length, str) else length / 1000)
    return await ctx.step("quick", input["ms"], returns=input["ms"])


@script.workflow(
    "more_above",
    description="A parent whose child waits",
    input_schema=ANY,
    output_schema=ANY,
    path=_path("above"),
)
async def above(ctx: Context, input: Any) -> Any:
    return {"child": await ctx.child("more_waiting", {"from": "parent"})}


@script.workflow(
    "more_waiting",
    description="Steps, then a wait; updates that wait",
    input_schema=ANY,
    output_schema=ANY,
    path=_path("waiting"),
)
async def waiting(ctx: Context, input: Any) -> Any:
    told = False

    def go(payload: Any) -> None:
        nonlocal told
        told = True

    async def wait(payload: Any) -> str:
        await ctx.condition(lambda: told)
        return "waited"

    ctx.on_signal("go", go)
    ctx.on_update("wait", wait)
    a = await ctx.step("quick", "a", returns="a")
    b = await ctx.step("quick", "b", returns="b")
    await ctx.condition(lambda: told)
    return {"a": a, "b": b, "input": input}


@script.workflow(
    "more_notime",
    description="No time is left for another try",
    input_schema=_object(mode=STRING),
    output_schema=ANY,
    path=_path("notime"),
    options={
        "scheduleToCloseTimeout": "2s",
        "startToCloseTimeout": "1s",
        **_retry(initialInterval="5s", maximumInterval="10s", maximumAttempts=3),
    },
)
async def notime(ctx: Context, input: Any) -> Any:
    if input["mode"] == "fails":
        return await ctx.step("broken", 1, fails="broken")
    return await ctx.step("slow", 3000, takes="3s", returns=3000)


@script.workflow(
    "more_long",
    description="Many steps at once, again and again",
    input_schema=_object(rounds=NUMBER, wide=NUMBER),
    output_schema=ANY,
    path=_path("long"),
)
async def long(ctx: Context, input: Any) -> Any:
    seen = []
    for i in range(input["rounds"]):
        await asyncio.gather(*(ctx.step("quick", n, returns=n) for n in range(input["wide"])))
        if (i + 1) % 10 == 0:
            suggested = ctx.info.is_continue_as_new_suggested
            seen.append([suggested, suggested])
    return seen


@script.workflow(
    "more_backoff",
    description="A step that waits for its next try is cancelled, and the run goes on",
    input_schema=ANY,
    output_schema=ANY,
    path=_path("backoff"),
    options=_retry(initialInterval="30s", maximumInterval="60s", maximumAttempts=3),
)
async def backoff(ctx: Context, input: Any) -> Any:
    told = "nothing"
    under = asyncio.ensure_future(ctx.step("broken", 1, fails="broken"))
    # Let it begin, because an `async` function in TypeScript starts at once.
    await asyncio.sleep(0)
    await ctx.sleep(1)
    under.cancel()
    try:
        await under
    except asyncio.CancelledError:
        told = "ActivityFailure: Activity cancelled"
    await ctx.step("quick", 2, returns=2)
    return {"told": told}


@script.workflow(
    "more_big",
    description="Payloads beyond the limit",
    input_schema=_object(mode=STRING, n=NUMBER),
    output_schema=ANY,
    path=_path("big"),
    options=_retry(maximumAttempts=1),
)
async def big(ctx: Context, input: Any) -> Any:
    ctx.on_query("big", lambda payload: "x" * payload["n"])
    ctx.on_update("bigUpdate", lambda payload: "x" * payload["n"])
    mode, n = input["mode"], input["n"]
    if mode == "step_result":
        return {"length": len(await ctx.step("make", n, returns="x" * n))}
    if mode == "step_input":
        return {"length": await ctx.step("take", "x" * n, returns=n)}
    if mode == "result":
        return {"text": "x" * n}
    await ctx.condition(lambda: False)
    return {}


@script.workflow(
    "more_bigger",
    description="More payloads beyond the limit",
    input_schema={**_object(mode=STRING, n=NUMBER, text=STRING), "required": ["mode", "n"]},
    output_schema=ANY,
    path=_path("bigger"),
    options=_retry(initialInterval="50ms", maximumInterval="1s", maximumAttempts=3),
)
async def bigger(ctx: Context, input: Any) -> Any:
    mode, n = input["mode"], input["n"]
    text = "x" * n
    if mode == "child_input":
        return {"child": await ctx.child("more_small", {"text": text})}
    if mode == "child_result":
        return {"child": len(await ctx.child("more_small", {"n": n}))}
    if mode == "continue":
        ctx.continue_as_new({"mode": "continue", "n": 1, "text": text})
    if mode == "fails":
        raise Failure(text, name="FatalError")
    if mode == "caught":
        try:
            await ctx.step("make", n, returns=text)
        except StepFailure as error:
            return {
                "caught": "ActivityFailure",
                "message": "Activity task failed",
                "cause": error.name,
                "words": error.message,
            }
    if mode == "step_fails":
        try:
            await ctx.step("fails", n, fails=Failure(text, name="FatalError"))
        except StepFailure as error:
            return {"caught": error.name, "length": len(error.message)}
    return text


@script.workflow(
    "more_small",
    description="A child that gives what it is asked for",
    input_schema=ANY,
    output_schema=ANY,
    path=_path("small"),
)
async def small(ctx: Context, input: Any) -> Any:
    return "x" * input["n"] if input.get("n") else "small"
