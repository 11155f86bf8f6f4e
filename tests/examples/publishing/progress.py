"""A page that shows how far a run is, fed by the stream of its history."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from html import escape
from typing import Any

import httpx

from publishing.client import authorization

# In seconds.
CONNECT_AGAIN_AFTER = 1.0
# The API sends at least a comment every 15 seconds.
SILENCE = 60.0
STEP_ENDS = {
    "ACTIVITY_TASK_COMPLETED": "done",
    "ACTIVITY_TASK_FAILED": "failed",
    "ACTIVITY_TASK_TIMED_OUT": "failed",
}
RUN_ENDS = {
    f"WORKFLOW_EXECUTION_{name}"
    for name in ("COMPLETED", "FAILED", "CANCELED", "TERMINATED", "TIMED_OUT", "CONTINUED_AS_NEW")
}


class Progress:
    """The progress of a run, by the events seen so far."""

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        self.status = "running"
        # The states of the steps, in order of their start.
        self.steps: dict[str, str] = {}
        self.last_event_id = "0"
        self._scheduled: dict[str, str] = {}

    def see(self, event: dict[str, Any]) -> None:
        """Add one event of the run's history."""
        kind: str = event["eventTypeName"]
        attributes = next(value for key, value in event.items() if key.endswith("EventAttributes"))
        if kind == "ACTIVITY_TASK_SCHEDULED":
            # `workflow#step`; steps of the API's own begin with two underscores.
            workflow, _, step = attributes["activityType"]["name"].partition("#")
            if not workflow.startswith("__"):
                self._scheduled[event["eventId"]] = step
                self.steps[step] = "running"
        elif kind in STEP_ENDS and attributes["scheduledEventId"] in self._scheduled:
            self.steps[self._scheduled[attributes["scheduledEventId"]]] = STEP_ENDS[kind]
        elif kind in RUN_ENDS:
            self.status = kind.removeprefix("WORKFLOW_EXECUTION_").replace("_", " ").lower()
        self.last_event_id = event["eventId"]

    def html(self) -> str:
        """The page."""
        steps = "".join(f"<li>{escape(step)}: {state}</li>" for step, state in self.steps.items())
        return f"<h1>{escape(self.workflow_id)}: {self.status}</h1><ol>{steps}</ol>"


async def pages(workflow_id: str) -> AsyncIterator[str]:
    """The page of a run after each change, until the run ends. Survives dropped connections."""
    progress, shown = Progress(workflow_id), ""
    async with httpx.AsyncClient(headers=authorization(), timeout=SILENCE) as client:
        while True:
            with suppress(httpx.TransportError):
                async for event in _events(client, progress):
                    progress.see(event)
                    page = progress.html()
                    if page != shown:
                        yield page
                        shown = page
            if progress.status != "running":
                return
            await asyncio.sleep(CONNECT_AGAIN_AFTER)


async def _events(client: httpx.AsyncClient, progress: Progress) -> AsyncIterator[dict[str, Any]]:
    """The events after the last one seen."""
    url = f"{os.environ['OUTPUT_API_URL']}/workflow/{progress.workflow_id}/history/stream"
    async with client.stream("GET", url, headers={"Last-Event-ID": progress.last_event_id}) as answer:
        answer.raise_for_status()
        frame = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                frame = value
            elif name == "data" and frame == "history":
                for event in json.loads(value):
                    yield event
