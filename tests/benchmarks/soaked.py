"""The workflows of the server in `bench_soak.py`."""

from __future__ import annotations

from typing import Any

from output_mock import Context, Script

script = Script()


@script.workflow("sum")
async def add(ctx: Context, given: Any) -> Any:
    return {"total": await ctx.step("add", given, returns=lambda given: given["a"] + given["b"])}


@script.workflow("gather")
async def gather(ctx: Context, given: Any) -> Any:
    """Collects signal payloads until the last one."""
    taken: list[Any] = []
    ctx.on_query("taken", lambda payload: taken)
    await ctx.step("draft", given, returns="text")
    while not taken or not taken[-1].get("last"):
        taken.append(await ctx.wait_for_signal("item"))
    return {"taken": taken}
