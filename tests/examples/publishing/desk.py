"""The desk where people approve posts: a FastAPI application that workflows call.

The workflow `publish` posts a draft to `/drafts` and waits. Somebody looks at `/drafts/{id}` and decides. The
desk tells the workflow by `POST /workflow/{id}/feedback`.
"""

from __future__ import annotations

import html
import os
from typing import Annotated, Any, Literal

import httpx
from fastapi import FastAPI, Form, HTTPException
from fastapi.responses import HTMLResponse

State = Literal["open", "approved", "refused"]


class Draft:
    """A draft that waits for a decision."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.state: State = "open"


def desk() -> FastAPI:
    """The application, with an empty desk."""
    app = FastAPI()
    drafts: dict[str, Draft] = {}

    async def api(path: str, body: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=os.environ["OUTPUT_API_URL"], timeout=10) as client:
            return await client.post(path, json=body)

    @app.post("/posts")
    async def write(post: dict[str, str]) -> dict[str, str]:
        """Receive a new post."""
        answer = await api("/workflow/start", {"workflowName": "publish", "input": post})
        return {"id": answer.raise_for_status().json()["workflowId"]}

    @app.post("/drafts")
    async def ask(question: dict[str, Any]) -> dict[str, str]:
        """A workflow asks. It may ask twice: a worker that dies does not know that it has asked already."""
        workflow_id, text = question["workflowId"], question["payload"]["text"]
        draft = drafts.setdefault(workflow_id, Draft(text))
        if text.startswith("Typo: ") and draft.state == "open":
            # No person needs to look: the decision is sent during this request.
            await decide(workflow_id, "approved")
        return {"page": f"/drafts/{workflow_id}"}

    @app.get("/drafts/{workflow_id}", response_class=HTMLResponse)
    async def page(workflow_id: str) -> str:
        """Show a draft."""
        draft = found(workflow_id)
        form = "<form method=post><button name=decision value=approved>Approve</button></form>"
        return f"<p>{html.escape(draft.text)}</p><p>{draft.state}</p>{form if draft.state == 'open' else ''}"

    @app.post("/drafts/{workflow_id}")
    async def click(workflow_id: str, decision: Annotated[State, Form()]) -> dict[str, str]:
        """Receive the decision about a draft."""
        if found(workflow_id).state != "open":
            raise HTTPException(409, "somebody has decided already")
        return {"state": await decide(workflow_id, decision)}

    def found(workflow_id: str) -> Draft:
        if workflow_id not in drafts:
            raise HTTPException(404, "there is no such draft")
        return drafts[workflow_id]

    async def decide(workflow_id: str, decision: State) -> State:
        answer = await api(f"/workflow/{workflow_id}/feedback", {"payload": {"decision": decision}})
        if answer.status_code == 404:
            del drafts[workflow_id]
            raise HTTPException(410, "the workflow does not wait any more")
        answer.raise_for_status()
        drafts[workflow_id].state = decision
        return decision

    return app
