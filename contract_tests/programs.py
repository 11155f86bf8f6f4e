"""Workflows that follow their input, for `output-mock compare`: random inputs give random workflows.

    {"do": [{"step": "a"}, {"parallel": [[{"sleep": 0.3}], [{"signal": "go"}]]}]}

`output-mock serve contract_tests/programs.py --clock real` serves them, and `output-mock worker
contract_tests/programs.py` offers them on a real deployment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from output_mock import ChildFailure, Context, Failure, Script, StepFailure

script = Script(catalogs=["main"], namespace="conf")


def _operation(**properties: Any) -> dict[str, Any]:
    """An object without other keys. All properties are required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_PROGRAM = {"$ref": "#/$defs/program"}
_INPUT = {
    "type": "object",
    "properties": {"do": _PROGRAM, "left": {"enum": [0, 1]}},
    "required": ["do"],
    "additionalProperties": False,
    "$defs": {
        "program": {"type": "array", "items": {"$ref": "#/$defs/operation"}, "maxItems": 4},
        "operation": {
            "oneOf": [
                _operation(step={"enum": ["a", "b"]}),
                _operation(step={"enum": ["a", "b"]}, failures={"enum": [1, 3]}),
                _operation(slow={"enum": [0.3, 5]}),
                _operation(sleep={"enum": [0.1, 3, 60]}),
                _operation(signal={"enum": ["go", "on"]}),
                _operation(signal={"enum": ["go"]}, seconds={"enum": [1, 60]}),
                _operation(notes={"enum": [1, 2]}),
                _operation(child={"enum": ["program_child"]}, detached={"type": "boolean"}, do=_PROGRAM),
                _operation(fail={"enum": ["FatalError"]}),
                _operation(parallel={"type": "array", "items": _PROGRAM, "minItems": 2, "maxItems": 2}),
                _operation(cleanup=_PROGRAM, then={"enum": ["raise", "go on", "fail"]}),
                _operation(limit=_PROGRAM, seconds={"enum": [1]}),
            ]
        },
    },
}
_OPTIONS = {"retry": {"initialInterval": "1s", "backoffCoefficient": 1, "maximumAttempts": 3}}


def _offer(name: str, *, traced: bool = True) -> None:
    @script.workflow(name, input_schema=_INPUT, options=_OPTIONS, traced=traced)
    async def program(ctx: Context, input: Any) -> Any:
        notes: list[Any] = []

        def refuse(payload: Any) -> None:
            if payload and payload.get("bad"):
                raise ValueError("refused")

        async def work(payload: Any) -> Any:
            return await ctx.step("a", payload, returns=lambda given: given)

        async def wait(payload: Any) -> Any:
            await ctx.condition(lambda: bool(notes))
            return notes

        def broken(payload: Any) -> Any:
            raise Failure("broken", name="FatalError")

        ctx.on_signal("note", notes.append)
        ctx.on_query("notes", lambda payload: notes)
        ctx.on_query("broken", broken)
        ctx.on_update("set", lambda payload: payload, validator=refuse)
        ctx.on_update("work", work)
        ctx.on_update("wait", wait)
        ctx.on_update("broken", broken)
        await _play(ctx, input["do"], notes)
        if input.get("left"):
            ctx.continue_as_new({**input, "left": input["left"] - 1})
        return {"notes": notes}


def _enough(notes: Sequence[Any], count: int) -> bool:
    return len(notes) >= count


async def _play(ctx: Context, program: Sequence[dict[str, Any]], notes: Sequence[Any]) -> None:
    for operation in program:
        match operation:
            case {"step": name}:
                fails: list[Any] = [
                    Failure(f"attempt {number}") for number in range(operation.get("failures", 0))
                ]
                await ctx.step(name, operation, fails=fails, returns=lambda given: given)
            case {"slow": seconds}:
                await ctx.step("slow", takes=seconds)
            case {"sleep": seconds}:
                await ctx.sleep(seconds)
            case {"signal": name}:
                try:
                    await ctx.wait_for_signal(name, timeout=operation.get("seconds"))
                except asyncio.TimeoutError:
                    await ctx.step("late")
            case {"notes": count}:
                await ctx.condition(partial(_enough, notes, count))
            case {"child": name, "detached": detached, "do": inner}:
                await ctx.child(name, {"do": inner}, detached=detached)
            case {"fail": name}:
                raise Failure("scripted", name=name, code=5)
            case {"parallel": branches}:
                await asyncio.gather(*(_play(ctx, branch, notes) for branch in branches))
            case {"cleanup": inner, "then": then}:
                await _cleaned_up(ctx, inner, notes, then)
            case {"limit": inner, "seconds": seconds}:
                try:
                    await asyncio.wait_for(_play(ctx, inner, notes), seconds)
                except asyncio.TimeoutError:
                    await ctx.step("late")


async def _cleaned_up(ctx: Context, inner: Sequence[dict[str, Any]], notes: Sequence[Any], then: str) -> None:
    try:
        await _play(ctx, inner, notes)
    except asyncio.CancelledError:
        await ctx.step("cleanup")
        if then == "raise":
            raise
        if then == "fail":
            raise Failure("cleanup", name="FatalError") from None
    except (StepFailure, ChildFailure):
        await ctx.step("cleanup")


_offer("program")
_offer("program_quiet", traced=False)
_offer("program_child")
