"""The demonstration: what `output-mock serve` serves when it is given no script."""

from __future__ import annotations

from typing import Any

from output_mock.scripts.script import Script
from output_mock.sdk.context import Context
from output_mock.sdk.failures import Failure

script: Script = Script()

STRING = {"type": "string"}
NUMBER = {"type": "number"}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


@script.workflow(
    "summarize_url",
    description="Summarizes a web page, at once",
    input_schema=_object(("url",), url=STRING, words={"type": "integer", "default": 50}),
    output_schema=_object(("url", "summary"), url=STRING, summary=STRING),
)
async def summarize_url(ctx: Context, input: Any) -> Any:
    url = input["url"]
    # Workers before 0.11 use a schema only to check: defaults that it would fill in are missing then.
    words = input.get("words", 50)
    summary = await ctx.step(
        "summarize", input, returns=f"What {url} says, in {words} words.", output_schema=STRING
    )
    return {"url": url, "summary": summary}


@script.workflow(
    "content_pipeline",
    description="Researches, drafts and evaluates a post, and publishes it once somebody approves",
    input_schema=_object(("topic",), topic=STRING),
    output_schema=_object(("url", "approvedBy", "score"), url=STRING, approvedBy=STRING, score=NUMBER),
    aliases=["pipeline_v1"],
)
async def content_pipeline(ctx: Context, input: Any) -> Any:
    topic = input["topic"]
    progress = {"stage": "research", "threshold": 0.8}

    def set_threshold(payload: Any) -> Any:
        before = progress["threshold"]
        progress["threshold"] = payload["threshold"]
        return {"before": before, "threshold": payload["threshold"]}

    def check_threshold(payload: Any) -> None:
        threshold = (payload or {}).get("threshold")
        if not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
            raise ValueError("threshold must be a number from 0 to 1")

    ctx.on_query("getProgress", lambda payload: progress)
    ctx.on_update("setThreshold", set_threshold, validator=check_threshold)

    sources = await ctx.step(
        "research", topic, returns=[f"A history of {topic}", f"{topic}, explained"], takes="10m"
    )
    progress["stage"] = "draft"
    draft = await ctx.step(
        "draft",
        {"topic": topic, "sources": sources},
        fails=[Failure("rate limited, try again", name="RateLimitError")],
        returns=f"All there is to know about {topic}.",
        takes="5m",
    )
    progress["stage"] = "evaluate"
    verdict = await ctx.evaluate(
        "quality", draft, value=0.85, confidence=0.9, reasoning="Clear, but short.", takes="1m"
    )
    if verdict["value"] < progress["threshold"]:
        progress["stage"] = "revise"
        draft = await ctx.step("revise", draft, returns=f"{draft} And a little more.", takes="5m")
        verdict = await ctx.evaluate("quality", draft, value=0.95, confidence=0.9, takes="1m")
    progress["stage"] = "review"
    decision = await ctx.wait_for_signal("approve", timeout="8h")
    by = (decision or {}).get("by", "somebody")
    progress["stage"] = "publish"
    published = await ctx.child("publish", {"title": topic, "text": draft, "by": by})
    progress["stage"] = "done"
    return {"url": published["url"], "approvedBy": by, "score": verdict["value"]}


@script.workflow(
    "publish",
    description="Publishes a text; content_pipeline runs it as a child",
    input_schema=_object(("title", "text"), title=STRING, text=STRING, by=STRING),
    output_schema=_object(("url",), url=STRING),
)
async def publish(ctx: Context, input: Any) -> Any:
    slug = "-".join(input["title"].lower().split())
    return {"url": await ctx.step("upload", input, returns=f"https://blog.example/{slug}", takes="30s")}


script.workflow(
    "report",
    description="Takes 45 minutes",
    input_schema=_object((), pages={"type": "integer", "default": 12}),
    output_schema=_object(("pages", "title"), pages={"type": "integer"}, title=STRING),
).takes("45m").returns(lambda input: {"pages": input.get("pages", 12), "title": "The quarter in numbers"})


@script.workflow(
    "always_fails",
    description="Fails in its only step, with an error that is not retried",
    output_schema=_object(("paid",), paid={"type": "boolean"}),
)
async def always_fails(ctx: Context, input: Any) -> Any:
    await ctx.step("charge_card", fails=Failure("the card was declined", name="FatalError", code="declined"))
