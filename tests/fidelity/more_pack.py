"""The workflows of `tests/recordings/pack/more` as scripts for `tests/recordings/*/more`.

Workflows that cannot be scripts are left out: they send their own requests, end themselves through the API,
or report JavaScript classes.
"""

from __future__ import annotations

from typing import Any

from output_mock import UNDEFINED, Context, Failure, Script

script = Script(catalogs=["main"], namespace="conf")

ANY: dict[str, Any] = {}
STRING = {"type": "string"}


def _object(**properties: Any) -> dict[str, Any]:
    """The schema of a closed object. A property given as a list of one schema is optional."""
    return {
        "type": "object",
        "properties": {name: one[0] if isinstance(one, list) else one for name, one in properties.items()},
        "required": [name for name, one in properties.items() if not isinstance(one, list)],
        "additionalProperties": False,
    }


def _path(folder: str) -> str:
    return f"/app/dist/workflows/{folder}/workflow.js"


@script.workflow("more_bare", description="A child that is given nothing", path=_path("family/bare"))
async def bare(ctx: Context, input: Any) -> Any:
    return {"bare": True}


@script.workflow(
    "more_child",
    description="A child",
    input_schema=_object(mode=STRING),
    output_schema=ANY,
    path=_path("family/child"),
    options={"startToCloseTimeout": "1m", "retry": {"initialInterval": "50ms", "maximumAttempts": 2}},
)
async def child(ctx: Context, input: Any) -> Any:
    mode = input["mode"]
    if mode == "fatal":
        raise Failure("the child broke", name="FatalError")
    broken = {
        "step_fatal": Failure("the child's step broke", name="FatalError"),
        "step_error": Failure("the child's step failed"),
    }.get(mode)
    return {
        "child": await ctx.step("work", mode, fails=broken, returns=f"worked {mode}"),
        "input": input,
    }


@script.workflow(
    "more_family",
    description="A parent with options for the steps of its children",
    input_schema=_object(mode=STRING, options=[{"type": "boolean"}]),
    output_schema=ANY,
    path=_path("family"),
    options={"startToCloseTimeout": "2m", "retry": {"initialInterval": "60ms", "maximumAttempts": 4}},
)
async def family(ctx: Context, input: Any) -> Any:
    if input["mode"] == "bare":
        return {"got": await ctx.child("more_bare")}
    options = {"startToCloseTimeout": "3m"} if input.get("options") else None
    return {"got": await ctx.child("more_child", {"mode": input["mode"]}, options=options)}


@script.workflow("more_nothing", description="No schemas, no input, no output", path=_path("nothing"))
async def nothing(ctx: Context, input: Any) -> Any:
    await ctx.step("silent")
    mode = (input or {}).get("mode")
    if mode == "null":
        return await ctx.step("empty", returns=None)
    if mode == "score":
        return await ctx.evaluate("score", None, value=3, confidence=0.5)
    return {"zero": 0, "false": False, "text": ""}.get(mode, UNDEFINED)


_THROWN = {
    "fatal": Failure("fatal in workflow", name="FatalError"),
    "fatal_cause": Failure("fatal with cause", name="FatalError", cause=Failure("inner", name="RangeError")),
    "validation": Failure("validation in workflow", name="ValidationError"),
}


@script.workflow(
    "more_throws",
    description="Throws in its own code",
    input_schema=_object(mode=STRING),
    output_schema=ANY,
    path=_path("throws"),
)
async def throws(ctx: Context, input: Any) -> Any:
    await ctx.step("noop", 1, returns="done")
    if input["mode"] in _THROWN:
        raise _THROWN[input["mode"]]
    return {"ok": True}


@script.workflow(
    "more_throws_untraced",
    description="Throws in its own code, without a trace",
    input_schema=_object(mode=STRING),
    output_schema=ANY,
    path=_path("throws_untraced"),
    traced=False,
)
async def throws_untraced(ctx: Context, input: Any) -> Any:
    await ctx.step("noop", 1, returns="done")
    if input["mode"] == "fatal":
        raise Failure("fatal in workflow", name="FatalError")
    return {"ok": True}


_TRIED = {
    "fatal": ("FatalError", "fatal"),
    "validation": ("ValidationError", "invalid"),
    "busy": ("BusyError", "busy"),
    "error": ("Error", "error"),
}


@script.workflow(
    "more_tries",
    description="Which errors are tried again, with a list of its own of those that are not",
    input_schema=_object(mode=STRING),
    output_schema=ANY,
    path=_path("tries"),
    options={
        "retry": {
            "initialInterval": "50ms",
            "backoffCoefficient": 1,
            "maximumInterval": "1s",
            "maximumAttempts": 3,
            "nonRetryableErrorTypes": ["BusyError"],
        }
    },
)
async def tries(ctx: Context, input: Any) -> Any:
    if input["mode"] == "bad_input":
        return await ctx.step("typed", "x", input_schema={"type": "number"}, returns="x")
    name, words = _TRIED[input["mode"]]
    fails = [Failure(f"{words} {attempt}", name=name) for attempt in (1, 2, 3)]
    return await ctx.step("attempt", input["mode"], fails=fails)


@script.workflow(
    "more_ends",
    description="Is stopped or terminated while somebody waits in /workflow/run",
    input_schema=_object(how=STRING),
    output_schema=ANY,
    path=_path("ends"),
)
async def ends(ctx: Context, input: Any) -> Any:
    # Only those that wait: to stop itself, a workflow would have to call the API.
    await ctx.condition(lambda: False)
