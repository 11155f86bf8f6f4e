"""Served fakes with a control plane, and clients of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from output_mock import OutputMock, Script
from output_mock.control.front import Front
from output_mock.control.worlds import Worlds
from output_mock.server import running
from tests.client import HANG_GUARD, Client

script = Script()
script.workflow("echo").returns(lambda given: given)
script.workflow("slow").takes("45m").returns("done")


@script.workflow("approval")
async def approval(ctx: Any, given: Any) -> Any:
    ctx.on_query("stage", lambda payload: "waiting")
    draft = await ctx.step("draft", given, returns="text", takes="10m")
    decision = await ctx.wait_for_signal("approve", timeout="24h")
    return {"draft": draft, "by": decision["by"]}


def worlds_of(*scripts: Any, **options: Any) -> Worlds:
    """Worlds that all have these scripts."""

    def make(given: Mapping[str, Any]) -> OutputMock:
        made = {"clock": given.get("clock", "auto"), "seed": given.get("seed", 7)}
        mock = OutputMock(**made, scripts=[] if given.get("scripts") == "none" else scripts or [script])
        # On a busy machine the other thread of a test may be late.
        mock.world.patience = HANG_GUARD
        return mock

    return Worlds(make({}), make, **options)


@contextmanager
def served(worlds: Worlds, **options: Any) -> Iterator[Client]:
    """A client of a server for these worlds, for the duration of the block."""
    try:
        with running(Front(worlds, **options)) as url:
            yield Client(url, token=options.get("control_token"))
    finally:
        for entry in worlds:
            entry.mock.close()
        worlds.close()
