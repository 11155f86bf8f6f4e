"""The recorded workflows that the suite runs.

Each produces the same events as the workflow of the same name on the recorded deployment. As there, two
catalogs offer them: `main` and `remote`.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

from output_mock import UNDEFINED, Context, Failure, Script

script = Script(catalogs=["remote", "main"], namespace="conf")

NUMBER = {"type": "number"}
STRING = {"type": "string"}
BOOLEAN = {"type": "boolean"}
ANY: dict[str, Any] = {}
ONCE = {"retry": {"maximumAttempts": 1}}


def _object(**properties: Any) -> dict[str, Any]:
    """An object without other keys. A property given as a list of one schema is optional."""
    schemas = {name: one[0] if isinstance(one, list) else one for name, one in properties.items()}
    return {
        "type": "object",
        "properties": schemas,
        "required": [name for name, one in properties.items() if not isinstance(one, list)],
        "additionalProperties": False,
    }


def _array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _one_of(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


def _path(folder: str) -> str:
    return f"/app/dist/workflows/{folder}/workflow.js"


@script.workflow(
    "conf_approval",
    description="Waits for a person to approve",
    input_schema=_object(topic=STRING),
    output_schema=_object(approvedBy=STRING, threshold=NUMBER, notes=_array(ANY)),
    path=_path("approval"),
)
async def approval(ctx: Context, input: Any) -> Any:
    state: dict[str, Any] = {"stage": "draft", "approvedBy": None, "threshold": 0.8, "notes": []}

    def progress(payload: Any) -> Any:
        return dict(state) if payload and payload.get("verbose") else {"stage": state["stage"]}

    def broken(payload: Any) -> Any:
        raise Failure("query handler broke")

    def approve(payload: Any) -> None:
        state["notes"].append(payload)
        state["approvedBy"] = (payload or {}).get("by", "unknown")

    def set_threshold(payload: Any) -> Any:
        before = state["threshold"]
        state["threshold"] = payload["threshold"]
        return before

    def check_threshold(payload: Any) -> None:
        if not isinstance((payload or {}).get("threshold"), (int, float)):
            raise ValueError("threshold must be a number")

    def broken_update(payload: Any) -> None:
        raise Failure("update handler broke", name="UpdateError", retryable=False)

    async def wait_for_approval(payload: Any) -> Any:
        await ctx.condition(lambda: state["approvedBy"] is not None)
        return state["approvedBy"]

    ctx.on_query("getProgress", progress)
    ctx.on_query("broken", broken)
    ctx.on_query("nothing", lambda payload: UNDEFINED)
    ctx.on_signal("approve", approve)
    ctx.on_update("setThreshold", set_threshold, validator=check_threshold)
    ctx.on_update("brokenUpdate", broken_update)
    ctx.on_update("waitForApproval", wait_for_approval)
    topic = input["topic"]
    await ctx.step("draft", topic, returns=f"draft of {topic}", input_schema=STRING, output_schema=STRING)
    state["stage"] = "review"
    await ctx.condition(lambda: state["approvedBy"] is not None)
    state["stage"] = "publish"
    await ctx.step("publish", topic, returns=f"published {topic}", input_schema=STRING, output_schema=STRING)
    state["stage"] = "done"
    return {"approvedBy": state["approvedBy"], "threshold": state["threshold"], "notes": state["notes"]}


@script.workflow(
    "conf_chain",
    description="Continues as new until it reaches its limit",
    input_schema=_object(value=NUMBER, limit=NUMBER),
    output_schema=_object(value=NUMBER),
    path=_path("chain"),
)
async def chain(ctx: Context, input: Any) -> Any:
    value = await ctx.step("next", input["value"], returns=input["value"] + 1, output_schema=NUMBER)
    if value < input["limit"]:
        ctx.continue_as_new({"value": value, "limit": input["limit"]})
    return {"value": value}


@script.workflow(
    "conf_echo",
    description="Returns its input through one step",
    input_schema=ANY,
    output_schema=ANY,
    aliases=["conf_mirror"],
    options=ONCE,
    path=_path("echo"),
)
async def echo(ctx: Context, input: Any) -> Any:
    return await ctx.step("reflect", input, returns=lambda value: value)


@script.workflow(
    "conf_fail",
    description="Fails in the way asked for",
    input_schema=_object(
        mode=_one_of(
            "error", "fatal", "cause", "workflow", "bad_step_output", "bad_output", "validation", "string"
        )
    ),
    output_schema=_object(ok=BOOLEAN),
    options=ONCE,
    path=_path("fail"),
)
async def fail(ctx: Context, input: Any) -> Any:
    mode = input["mode"]
    if mode == "workflow":
        raise Failure("workflow body failed", name="FatalError")
    if mode == "bad_output":
        return {"ok": "no"}
    failures = {
        "error": Failure("plain error in step"),
        "fatal": Failure("fatal in step", name="FatalError"),
        "validation": Failure("validation in step", name="ValidationError"),
        "cause": Failure(
            "quota exceeded", name="QuotaError", cause=Failure("inner reason", name="TypeError"), limit=10
        ),
        "string": Failure.value("just a string"),
    }
    await ctx.step("fail", mode, fails=failures.get(mode), returns="not a number", output_schema=NUMBER)
    return {"ok": True}


@script.workflow(
    "conf_fanout",
    description="Runs a step for every item at once",
    input_schema=_object(items=_array(NUMBER)),
    output_schema=_object(squares=_array(NUMBER)),
    path=_path("fanout"),
)
async def fanout(ctx: Context, input: Any) -> Any:
    squares = await asyncio.gather(
        *(ctx.step("square", item, returns=item * item, output_schema=NUMBER) for item in input["items"])
    )
    return {"squares": squares}


@script.workflow(
    "conf_flaky",
    description="A step that fails a number of times before it works",
    input_schema=_object(failures=NUMBER),
    output_schema=_object(attempt=NUMBER),
    options={"retry": {"initialInterval": "1s", "backoffCoefficient": 1, "maximumAttempts": 3}},
    path=_path("flaky"),
)
async def flaky(ctx: Context, input: Any) -> Any:
    failures = input["failures"]
    count = max(0, math.floor(min(failures, 3)))
    fails = [Failure(f"attempt {attempt} failed") for attempt in range(1, count + 1)]
    attempt = await ctx.step("wobble", failures, fails=fails, returns=count + 1, output_schema=NUMBER)
    return {"attempt": attempt}


@script.workflow(
    "conf_graceful",
    description="Cleans up when it is stopped",
    input_schema=_object(onStop=_one_of("cleanup", "swallow", "ignore")),
    output_schema=_object(stopped=BOOLEAN),
    path=_path("graceful"),
)
async def graceful(ctx: Context, input: Any) -> Any:
    state = {"stage": "waiting"}
    ctx.on_query("stage", lambda payload: state)
    try:
        await ctx.condition(lambda: False)
    except asyncio.CancelledError:
        state["stage"] = "cleaning"
        if input["onStop"] == "ignore":
            raise
        await ctx.step("cleanup", input["onStop"], returns=lambda value: f"cleaned {value}")
        if input["onStop"] == "cleanup":
            raise
    return {"stopped": True}


@script.workflow(
    "conf_judge",
    description="Runs an evaluator",
    input_schema=_object(text=STRING),
    output_schema=_object(verdict=BOOLEAN),
    path=_path("judge"),
)
async def judge(ctx: Context, input: Any) -> Any:
    verdict = await ctx.evaluate(
        "quality", input["text"], value=lambda text: len(text) > 3, confidence=0.9, reasoning="length"
    )
    return {"verdict": verdict["value"]}


@script.workflow(
    "conf_child",
    description="Greets",
    input_schema=_object(name=STRING, fail=[BOOLEAN]),
    output_schema=STRING,
    options=ONCE,
    path=_path("parent/child"),
)
async def child(ctx: Context, input: Any) -> Any:
    name = input["name"]
    fails = Failure(f"cannot greet {name}") if input.get("fail") else None
    return await ctx.step("greet", input, fails=fails, returns=f"hello {name}", output_schema=STRING)


@script.workflow(
    "conf_parent",
    description="Runs a child workflow",
    input_schema=_object(name=STRING, fail=[BOOLEAN]),
    output_schema=_object(greeting=STRING),
    path=_path("parent"),
)
async def parent(ctx: Context, input: Any) -> Any:
    return {"greeting": await ctx.child("conf_child", input)}


@script.workflow(
    "conf_resumable",
    description="Waits for feedback",
    output_schema=_object(feedback=ANY),
    path=_path("resumable"),
)
async def resumable(ctx: Context, input: Any) -> Any:
    return {"feedback": await ctx.wait_for_signal("resume")}


@script.workflow(
    "conf_sum",
    description="Adds two numbers",
    input_schema=_object(a=NUMBER, b=NUMBER),
    output_schema=_object(total=NUMBER),
    path=_path("sum"),
)
async def add(ctx: Context, input: Any) -> Any:
    return {"total": await ctx.step("add", input, returns=lambda given: given["a"] + given["b"])}


@script.workflow(
    "conf_timer",
    description="Sleeps, then runs a step",
    input_schema=_object(ms=NUMBER),
    output_schema=_object(slept=NUMBER),
    path=_path("timer"),
)
async def timer(ctx: Context, input: Any) -> Any:
    await ctx.sleep(input["ms"] / 1000)
    await ctx.step("tick", input["ms"])
    return {"slept": input["ms"]}


@script.workflow(
    "conf_untraced",
    description="Runs without a trace",
    input_schema=_object(text=STRING),
    output_schema=_object(text=STRING),
    traced=False,
    path=_path("untraced"),
)
async def untraced(ctx: Context, input: Any) -> Any:
    return {"text": await ctx.step("note", input["text"], returns=lambda text: text)}


# The deployment had run this one before the list of runs was recorded.
script.begin_with("conf_untraced", {"text": "x"}, catalog="main")
