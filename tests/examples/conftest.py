"""The application's client, and a script for its workflow."""

from __future__ import annotations

from typing import Any

import pytest
from publishing.client import OutputClient

from output_mock import Context, Failure, OutputMock


@pytest.fixture
def client(output_mock: OutputMock) -> OutputClient:
    """A client of the fake: `output_mock` has set `OUTPUT_API_URL`."""
    return OutputClient()


@pytest.fixture
def write_post(output_mock: OutputMock) -> None:
    """Writes a post in ten minutes, waits for its review, and publishes it."""

    @output_mock.workflow("write_post")
    async def write_post(ctx: Context, input: Any) -> Any:
        topic = input["topic"]
        progress = {"stage": "draft", "draft": ""}
        ctx.on_query("progress", lambda payload: progress)
        progress["draft"] = await ctx.step("draft", topic, returns=f"All about {topic}.", takes="10m")
        progress["stage"] = "review"
        review = await ctx.wait_for_signal("review")
        if not review["approved"]:
            raise Failure(review["why"], name="RejectedError")
        return {"url": await ctx.step("publish", returns=f"https://blog.example/{topic}", takes="1m")}
